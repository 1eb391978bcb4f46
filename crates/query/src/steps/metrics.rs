//! `Metrics` and `Aggregates`: what interfaces counted in their last interval, and that laid into slices of time.

use skydive_flow::Flow;
use skydive_graph::key;
use skydive_value::{FieldRef, Fields, Hint, Path, SmolStr, Value};

use crate::metric::{AggregateError, Metric, aggregate};
use crate::operation::Operation;
use crate::rows::Records;
use crate::run::Run;
use crate::{Arg, Args, Given, Kind, ParseError, Plan, QueryError, Rows, Slot, Step, StepDef};

pub(super) const METRICS: StepDef = StepDef {
    name: "Metrics",
    about: "what nodes and flows counted in their last interval",
    on: &[(Kind::Nodes, Kind::Metrics), (Kind::Flows, Kind::Metrics)],
    args: &[Slot::Metric],
    parse: |args| Ok(Box::new(Metrics(path(&args)?))),
};

pub(super) const AGGREGATES: StepDef = StepDef {
    name: "Aggregates",
    about: "metrics added up in slices of time of as many seconds",
    on: &[(Kind::Metrics, Kind::Metrics)],
    args: &[Slot::Number],
    parse: |args| Ok(Box::new(Aggregates(args))),
};

/// Whose last interval is a member of it.
const GROUPS: [&str; 2] = ["Ovs", "SFlow"];
/// What names of metrics end with.
const SUFFIX: &str = key::METRIC;
/// The one key of aggregated metrics.
const AGGREGATED: &str = "Aggregated";
/// Seconds of a slice when none are given.
const STEP_S: i64 = 30;

#[derive(Clone, Debug)]
struct Metrics(Path);

/// Arguments are looked at when planning, as they always were.
#[derive(Debug)]
struct Aggregates(Args);

#[derive(Debug)]
struct Slice {
    step_ms: i64,
    offset: usize,
}

fn path(args: &Args) -> Result<Path, ParseError> {
    let given = match args.given.as_slice() {
        [] => return Ok(Path::from(key::LAST_UPDATE_METRIC)),
        [given] => given,
        _ => return Err(args.refuse_number("Metrics accepts one parameter")),
    };
    let Some(name) = given.arg.as_text() else {
        let message = "Metrics parameter have to be a string".to_owned();
        return Err(ParseError { message, offset: given.offset });
    };
    if GROUPS.contains(&name.as_str()) {
        return Ok(Path::parse(&format!("{name}.{}", key::LAST_UPDATE_METRIC)));
    }
    if !name.ends_with(SUFFIX) {
        return Err(ParseError { message: format!("Metric field unknown : {args}"), offset: given.offset });
    }
    Ok(Path::parse(name))
}

impl Step for Metrics {
    fn plan(&self, plan: &mut Plan) -> Result<(), QueryError> {
        plan.push(self.clone());
        Ok(())
    }
}

impl Operation for Metrics {
    fn apply(&self, rows: Rows, run: &mut Run<'_>) -> Result<Rows, QueryError> {
        if let Rows::Flows(flows) = rows {
            return of_flows(&flows, run);
        }
        let hint = Hint::default();
        Ok(Rows::Metrics(Records::of(&rows.into_nodes()?, run, |node| {
            let found = node.field(&self.0, &hint).map(FieldRef::to_value);
            found.as_ref().and_then(|value| value.as_map()).cloned().into_iter().collect()
        })?))
    }
}

/// The last update of each flow, or all it counted when there was none yet.
fn of_flows(flows: &[Flow], run: &Run<'_>) -> Result<Rows, QueryError> {
    let (last, all) = (Path::from(key::LAST_UPDATE_METRIC), Path::from(key::METRIC));
    let mut records = Vec::with_capacity(flows.len());
    for flow in flows {
        run.tick()?;
        let metric = flow.read(&last).or_else(|| flow.read(&all));
        if let Some(metric) = metric.as_ref().and_then(Value::as_map) {
            records.push((flow.uuid.to_string().into(), vec![metric.clone()]));
        }
    }
    Ok(Rows::Metrics(Records(records)))
}

impl Step for Aggregates {
    fn plan(&self, plan: &mut Plan) -> Result<(), QueryError> {
        let seconds = match self.0.given.as_slice() {
            [] => Some(STEP_S),
            [Given { arg: Arg::Int(n), .. }] if *n > 0 => Some(*n),
            _ => None,
        };
        let offset = self.0.given.first().map_or(self.0.offset, |given| given.offset);
        let Some(seconds) = seconds else {
            return Err(QueryError::argument("Aggregates parameter has to be a positive number", offset));
        };
        plan.push(Slice { step_ms: seconds.saturating_mul(1000), offset });
        Ok(())
    }
}

impl Operation for Slice {
    fn apply(&self, rows: Rows, run: &mut Run<'_>) -> Result<Rows, QueryError> {
        let metrics: Vec<Metric> = rows.into_metrics()?.maps().map(Metric::of).collect();
        let range = run.asked_span();
        let slices =
            aggregate(&metrics, range, self.step_ms, || run.tick()).map_err(|error| match error {
                AggregateError::Ended(ended) => ended,
                error @ AggregateError::TooMany(_) => QueryError::argument(error.to_string(), self.offset),
            })?;
        Ok(Rows::Metrics(Records(vec![(SmolStr::new_static(AGGREGATED), slices)])))
    }
}
