//! Counters of an interval of time: adding them up, cutting them in time, laying them into slices of equal length.
//!
//! A metric is a map of numbers with the begin and the end of its time among them (`Start`, `Last`, ms). What else it
//! has is counted as evenly spread over that time.

use skydive_graph::key::{METRIC_LAST, METRIC_START};
use skydive_value::{Map, SmolStr, Span, Value};
use thiserror::Error;

use crate::QueryError;

#[cfg(test)]
mod tests;

/// Counters of interfaces. A metric leaves out those that are zero.
pub(crate) const COUNTERS: [&str; 23] = [
    "Collisions",
    "Multicast",
    "RxBytes",
    "RxCompressed",
    "RxCrcErrors",
    "RxDropped",
    "RxErrors",
    "RxFifoErrors",
    "RxFrameErrors",
    "RxLengthErrors",
    "RxMissedErrors",
    "RxOverErrors",
    "RxPackets",
    "TxAbortedErrors",
    "TxBytes",
    "TxCarrierErrors",
    "TxCompressed",
    "TxDropped",
    "TxErrors",
    "TxFifoErrors",
    "TxHeartbeatErrors",
    "TxPackets",
    "TxWindowErrors",
];

/// Every metric of flows has this counter.
const OF_FLOWS: &str = "ABPackets";
/// And a time that is none.
const RTT: &str = "RTT";

/// Slices that one answer may have.
pub(crate) const MAX_SLICES: usize = 10_000;

/// A metric to compute with.
#[derive(Clone, Debug, PartialEq)]
pub(crate) struct Metric {
    start: i64,
    last: i64,
    counted: Vec<(SmolStr, Count)>,
    rule: Rule,
}

/// What becomes of the remainder when counters are cut.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Rule {
    /// It is lost: counters of interfaces.
    Truncates,
    /// It stays with the part behind the cut: counters of flows.
    Keeps,
}

#[derive(Clone, Copy, Debug, PartialEq)]
enum Count {
    Whole(i64),
    Float(f64),
}

/// Slices of time and what was counted in each.
#[derive(Debug)]
struct Slices {
    since: i64,
    until: i64,
    step_ms: i64,
    sums: Vec<Option<Metric>>,
}

/// Metrics that cannot be laid into slices.
#[derive(Debug, Error)]
pub(crate) enum AggregateError {
    /// There would be this many slices.
    #[error("Aggregates available slices exceeded: {0}/{MAX_SLICES}")]
    TooMany(i128),
    /// The query ends.
    #[error(transparent)]
    Ended(#[from] QueryError),
}

impl Metric {
    /// Reads the numbers of a map; what is no number is left out. A metric that does not say when it began lasts no
    /// time.
    pub(crate) fn of(map: &Map) -> Self {
        let time = |key: &str| map.get(key).and_then(Value::to_int);
        let last = time(METRIC_LAST).unwrap_or(0);
        let start = time(METRIC_START).unwrap_or(last);
        let is_flow = map.get(OF_FLOWS).is_some();
        // A round-trip time is no counter.
        let skipped = |key: &str| [METRIC_START, METRIC_LAST].contains(&key) || (is_flow && key == RTT);
        let counted = map.iter().filter(|(key, _)| !skipped(key));
        let counted = counted.filter_map(|(key, value)| match value {
            Value::Int(n) => Some((key.clone(), Count::Whole(*n))),
            Value::Float(n) => Some((key.clone(), Count::Float(*n))),
            _ => None,
        });
        let rule = if is_flow { Rule::Keeps } else { Rule::Truncates };
        Self { start, last, counted: counted.collect(), rule }
    }

    /// Adds up; the time is that from the first begin to the last end.
    pub(crate) fn add(&mut self, other: &Self) {
        self.start = self.start.min(other.start);
        self.last = self.last.max(other.last);
        self.count(other);
    }

    /// Adds up and keeps the time.
    fn count(&mut self, other: &Self) {
        for (key, count) in &other.counted {
            match self.counted.binary_search_by(|(known, _)| known.cmp(key)) {
                Ok(at) => self.counted[at].1 = self.counted[at].1.plus(*count),
                Err(at) => self.counted.insert(at, (key.clone(), *count)),
            }
        }
    }

    /// The parts before and from `at`, both rounded down, so that units may be lost; of flows the rest is in the second. A cut at the begin or before
    /// leaves it whole behind, one at the end or after whole before.
    pub(crate) fn split(self, at: i64) -> (Option<Self>, Option<Self>) {
        if at <= self.start {
            return (None, Some(self));
        }
        if at >= self.last {
            return (Some(self), None);
        }
        let length = i128::from(self.last) - i128::from(self.start);
        let part = |of: i128| -> Vec<(SmolStr, Count)> {
            let share = |(key, count): &(SmolStr, Count)| (key.clone(), count.share(of, length));
            self.counted.iter().map(share).collect()
        };
        let before = part(i128::from(at) - i128::from(self.start));
        let behind = match self.rule {
            Rule::Truncates => part(i128::from(self.last) - i128::from(at)),
            Rule::Keeps => {
                let rest = |((key, all), (_, taken)): (&(SmolStr, Count), &(SmolStr, Count))| {
                    (key.clone(), all.minus(*taken))
                };
                self.counted.iter().zip(&before).map(rest).collect()
            }
        };
        let before = Self { last: at, counted: before, ..self };
        (Some(before), Some(Self { start: at, counted: behind, ..self }))
    }

    fn is_zero(&self) -> bool {
        self.counted.iter().all(|(_, count)| count.is_zero())
    }

    /// As it is answered.
    pub(crate) fn into_map(self) -> Map {
        let mut map: Map = self.counted.into_iter().map(|(key, count)| (key, count.to_value())).collect();
        map.insert(METRIC_START, self.start);
        map.insert(METRIC_LAST, self.last);
        map
    }
}

impl Count {
    fn plus(self, other: Self) -> Self {
        match (self, other) {
            (Self::Whole(a), Self::Whole(b)) => Self::Whole(a.saturating_add(b)),
            (a, b) => Self::Float(a.to_float() + b.to_float()),
        }
    }

    fn minus(self, other: Self) -> Self {
        match (self, other) {
            (Self::Whole(a), Self::Whole(b)) => Self::Whole(a.saturating_sub(b)),
            (a, b) => Self::Float(a.to_float() - b.to_float()),
        }
    }

    fn share(self, part: i128, of: i128) -> Self {
        match self {
            Self::Whole(n) => Self::Whole(i64::try_from(i128::from(n) * part / of).unwrap_or(n)),
            Self::Float(n) => Self::Float(n * part as f64 / of as f64),
        }
    }

    fn is_zero(self) -> bool {
        self.to_float() == 0.0
    }

    fn to_float(self) -> f64 {
        match self {
            Self::Whole(n) => n as f64,
            Self::Float(n) => n,
        }
    }

    fn to_value(self) -> Value {
        match self {
            Self::Whole(n) => Value::Int(n),
            Self::Float(n) => Value::Float(n),
        }
    }
}

/// One field of all metrics, added up.
pub(crate) fn sum_of<'m>(metrics: impl Iterator<Item = &'m Map>, field: &str) -> Option<Value> {
    let counts = metrics.filter_map(|map| match map.get(field)? {
        Value::Int(n) => Some(Count::Whole(*n)),
        Value::Float(n) => Some(Count::Float(*n)),
        _ => None,
    });
    counts.reduce(Count::plus).map(Count::to_value)
}

/// Lays metrics into slices of `step_ms`, which is positive, over `range`, else over the time that they span. Slices
/// that no metric touches are left out.
pub(crate) fn aggregate(
    metrics: &[Metric],
    range: Option<Span>,
    step_ms: i64,
    tick: impl Fn() -> Result<(), QueryError>,
) -> Result<Vec<Map>, AggregateError> {
    let range = range.map(|span| (span.since.as_millis(), span.until.as_millis()));
    let Some((since, until)) = range.or_else(|| spanned(metrics)) else { return Ok(Vec::new()) };
    let mut slices = Slices::new(since, until, step_ms)?;
    for metric in metrics {
        slices.lay(metric, &tick)?;
    }
    Ok(slices.sums.into_iter().flatten().map(Metric::into_map).collect())
}

/// The time from the first begin to the last end.
fn spanned(metrics: &[Metric]) -> Option<(i64, i64)> {
    let since = metrics.iter().map(|metric| metric.start).min()?;
    let until = metrics.iter().map(|metric| metric.last.max(metric.start)).max()?;
    Some((since, until))
}

impl Slices {
    fn new(since: i64, until: i64, step_ms: i64) -> Result<Self, AggregateError> {
        let length = (i128::from(until) - i128::from(since)).max(1);
        let step = i128::from(step_ms);
        let number = (length + step - 1) / step;
        let number = usize::try_from(number)
            .ok()
            .filter(|n| *n <= MAX_SLICES)
            .ok_or(AggregateError::TooMany(number))?;
        Ok(Self { since, until, step_ms, sums: vec![None; number] })
    }

    /// Begin and end of a slice; the last one may be shorter.
    fn bounds(&self, at: usize) -> (i64, i64) {
        let start = self.since.saturating_add(self.step_ms.saturating_mul(at as i64));
        (start, start.saturating_add(self.step_ms).min(self.until))
    }

    /// The slice that a time within the range falls into.
    fn at(&self, time: i64) -> usize {
        let at = (i128::from(time) - i128::from(self.since)) / i128::from(self.step_ms);
        usize::try_from(at).unwrap_or(0).min(self.sums.len() - 1)
    }

    fn lay(&mut self, metric: &Metric, tick: &impl Fn() -> Result<(), QueryError>) -> Result<(), QueryError> {
        if metric.start > self.until || metric.last.max(metric.start) < self.since {
            return Ok(());
        }
        let first = self.at(metric.start.max(self.since));
        if metric.last <= metric.start {
            self.count(first, metric);
            return tick();
        }
        let mut rest = metric.clone().split(self.since).1;
        for at in first..self.sums.len() {
            tick()?;
            let Some(whole) = rest else { break };
            let (part, behind) = whole.clone().split(self.bounds(at).1);
            let Some(part) = part else { break };
            // What is too small to be shared out is counted where it begins.
            if at == first && metric.start >= self.since && part.is_zero() {
                self.count(at, &whole);
                break;
            }
            self.count(at, &part);
            rest = behind;
        }
        Ok(())
    }

    fn count(&mut self, at: usize, part: &Metric) {
        let (start, last) = self.bounds(at);
        if let Some(sum) = self.sums.get_mut(at) {
            let rule = part.rule;
            sum.get_or_insert_with(|| Metric { start, last, counted: Vec::new(), rule }).count(part);
        }
    }
}
