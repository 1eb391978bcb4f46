//! What `top` knows: the latest sample of flows and interfaces, and how fast each of them counts.
//!
//! Rates are differences between two samples of the same flow. A flow that is new is taken to have counted evenly since
//! it began. A conversation that several captures see is there once.

use std::cmp::Ordering;
use std::collections::HashMap;
use std::sync::Arc;

use skydive_flow::{Flow, FlowId, Process};
use skydive_value::{Coverage, SmolStr};

/// What is asked of an analyzer at one time.
#[derive(Debug, Default)]
pub(super) struct Sample {
    /// When, in seconds of a clock that never goes back.
    pub(super) at: f64,
    pub(super) flows: Vec<Flow>,
    /// `None` when they were not asked for this time.
    pub(super) nodes: Option<Nodes>,
    pub(super) coverage: Coverage,
}

/// What is asked of the graph.
#[derive(Debug, Default)]
pub(super) struct Nodes {
    pub(super) interfaces: Vec<InterfaceRow>,
    /// How nodes that are captured on are called, by their TID.
    pub(super) captured: HashMap<SmolStr, String>,
}

/// How fast something counts, per second.
#[derive(Clone, Copy, Debug, Default, PartialEq)]
pub(super) struct Rate {
    pub(super) bytes: f64,
    pub(super) packets: f64,
}

#[derive(Debug)]
pub(super) struct FlowRow {
    pub(super) flow: Flow,
    pub(super) rate: Rate,
    /// Where it was captured.
    pub(super) node: String,
    pub(super) processes: [Option<String>; 2],
}

#[derive(Clone, Debug, Default, PartialEq)]
pub(super) struct InterfaceRow {
    pub(super) name: String,
    /// Its host, and its namespace if that is not the host's own.
    pub(super) place: String,
    pub(super) kind: String,
    pub(super) received: Rate,
    pub(super) sent: Rate,
    /// Errors and drops of both directions, per second.
    pub(super) lost: f64,
}

#[derive(Debug, Default, PartialEq)]
pub(super) struct ProcessRow {
    pub(super) name: String,
    pub(super) flows: usize,
    pub(super) sent: Rate,
    pub(super) received: Rate,
    /// All that its flows counted.
    pub(super) total: u64,
}

/// What is shown.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub(super) enum View {
    #[default]
    Flows,
    Interfaces,
    Processes,
}

/// By what rows are ordered, largest first.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub(super) enum Order {
    #[default]
    Bytes,
    Packets,
    Total,
    RoundTrip,
    Latest,
}

/// All of it.
#[derive(Debug, Default)]
pub(super) struct Model {
    pub(super) flows: Vec<FlowRow>,
    pub(super) interfaces: Vec<InterfaceRow>,
    pub(super) processes: Vec<ProcessRow>,
    pub(super) coverage: Coverage,
    /// Nodes that are captured on.
    pub(super) captured: HashMap<SmolStr, String>,
    /// All flows together.
    pub(super) rate: Rate,
    counted: HashMap<FlowId, Counted>,
    at: f64,
}

/// What a flow had counted at the last sample.
#[derive(Clone, Copy, Debug)]
struct Counted {
    ab: (u64, u64),
    ba: (u64, u64),
}

/// Rates of both directions.
#[derive(Clone, Copy, Debug, Default)]
struct Both {
    ab: Rate,
    ba: Rate,
}

impl View {
    pub(super) const ALL: [Self; 3] = [Self::Flows, Self::Interfaces, Self::Processes];

    pub(super) fn next(self) -> Self {
        let at = Self::ALL.iter().position(|view| *view == self).unwrap_or(0);
        Self::ALL[(at + 1) % Self::ALL.len()]
    }

    pub(super) fn title(self) -> &'static str {
        match self {
            Self::Flows => "flows",
            Self::Interfaces => "interfaces",
            Self::Processes => "processes",
        }
    }
}

impl Order {
    const ALL: [Self; 5] = [Self::Bytes, Self::Packets, Self::Total, Self::RoundTrip, Self::Latest];

    pub(super) fn title(self) -> &'static str {
        match self {
            Self::Bytes => "bytes/s",
            Self::Packets => "packets/s",
            Self::Total => "total bytes",
            Self::RoundTrip => "round-trip time",
            Self::Latest => "latest packet",
        }
    }

    pub(super) fn next(self) -> Self {
        let at = Self::ALL.iter().position(|order| *order == self).unwrap_or(0);
        Self::ALL[(at + 1) % Self::ALL.len()]
    }
}

impl Rate {
    fn over(bytes: u64, packets: u64, seconds: f64) -> Self {
        Self { bytes: bytes as f64 / seconds, packets: packets as f64 / seconds }
    }

    fn add(&mut self, other: Self) {
        self.bytes += other.bytes;
        self.packets += other.packets;
    }

    pub(super) fn plus(mut self, other: Self) -> Self {
        self.add(other);
        self
    }
}

impl Counted {
    fn of(flow: &Flow) -> Self {
        let metric = &flow.metric;
        Self { ab: (metric.ab_bytes, metric.ab_packets), ba: (metric.ba_bytes, metric.ba_packets) }
    }

    /// Per second since `before`, `seconds` ago; a flow whose counters went back has begun anew.
    fn since(self, before: Self, seconds: f64) -> Both {
        let rate = |now: (u64, u64), then: (u64, u64)| {
            Rate::over(now.0.saturating_sub(then.0), now.1.saturating_sub(then.1), seconds)
        };
        Both { ab: rate(self.ab, before.ab), ba: rate(self.ba, before.ba) }
    }
}

impl Model {
    /// Takes a sample in place of the one before.
    pub(super) fn take(&mut self, sample: Sample, order: Order) {
        let elapsed = (sample.at - self.at).max(0.001);
        if let Some(nodes) = sample.nodes {
            self.interfaces = nodes.interfaces;
            self.captured = nodes.captured;
        }
        let mut counted = HashMap::with_capacity(sample.flows.len());
        let mut processes: HashMap<String, ProcessRow> = HashMap::new();
        let mut seen: HashMap<FlowId, usize> = HashMap::new();
        let mut rows: Vec<FlowRow> = Vec::with_capacity(sample.flows.len());
        let mut rates: Vec<Both> = Vec::new();
        for flow in sample.flows {
            let now = Counted::of(&flow);
            let both = match self.counted.get(&flow.uuid) {
                Some(before) => now.since(*before, elapsed),
                None => now.since(Counted { ab: (0, 0), ba: (0, 0) }, age(&flow)),
            };
            counted.insert(flow.uuid, now);
            let node = self.captured.get(&flow.node_tid).cloned().unwrap_or_default();
            let processes = processes_of(&flow);
            let row = FlowRow { rate: both.ab.plus(both.ba), flow, node, processes };
            // Who sees most of a conversation stands for it; of equals the first by name, so that it stays the same.
            match seen.get(&row.flow.tracking_id) {
                None => {
                    seen.insert(row.flow.tracking_id, rows.len());
                    rows.push(row);
                    rates.push(both);
                }
                Some(&at) if stands_before(&row.flow, &rows[at].flow) => {
                    rows[at] = row;
                    rates[at] = both;
                }
                Some(_) => {}
            }
        }
        for (row, both) in rows.iter().zip(&rates) {
            let total = row.flow.metric.ab_bytes + row.flow.metric.ba_bytes;
            let [a, b] = &row.processes;
            for (name, sent, received) in [(a, both.ab, both.ba), (b, both.ba, both.ab)] {
                let Some(name) = name else { continue };
                let process = processes.entry(name.clone()).or_default();
                process.sent.add(sent);
                process.received.add(received);
            }
            // What speaks with itself has one flow of it.
            for name in a.iter().chain(b.iter().filter(|b| a.as_ref() != Some(b))) {
                let process = processes.entry(name.clone()).or_default();
                process.flows += 1;
                process.total += total;
            }
        }
        self.rate = rows.iter().fold(Rate::default(), |all, row| all.plus(row.rate));
        self.processes = processes.into_iter().map(|(name, row)| ProcessRow { name, ..row }).collect();
        (self.flows, self.counted, self.at, self.coverage) = (rows, counted, sample.at, sample.coverage);
        self.sort(order);
    }

    /// Brings the rows into an order; equal ones by name, so that they stay where they are.
    pub(super) fn sort(&mut self, order: Order) {
        let largest = |a: f64, b: f64| b.total_cmp(&a);
        self.flows.sort_by(|a, b| {
            let total = |row: &FlowRow| (row.flow.metric.ab_bytes + row.flow.metric.ba_bytes) as f64;
            let by = match order {
                Order::Bytes => largest(a.rate.bytes, b.rate.bytes),
                Order::Packets => largest(a.rate.packets, b.rate.packets),
                Order::Total => largest(total(a), total(b)),
                Order::RoundTrip => b.flow.metric.rtt.cmp(&a.flow.metric.rtt),
                Order::Latest => b.flow.last.cmp(&a.flow.last),
            };
            by.then_with(|| largest(total(a), total(b))).then_with(|| a.flow.uuid.cmp(&b.flow.uuid))
        });
        self.interfaces.sort_by(|a, b| {
            let (x, y) = (a.received.plus(a.sent), b.received.plus(b.sent));
            let by = if order == Order::Packets {
                largest(x.packets, y.packets)
            } else {
                largest(x.bytes, y.bytes)
            };
            by.then_with(|| (&a.place, &a.name).cmp(&(&b.place, &b.name)))
        });
        self.processes.sort_by(|a, b| {
            let (x, y) = (a.received.plus(a.sent), b.received.plus(b.sent));
            let by = match order {
                Order::Packets => largest(x.packets, y.packets),
                Order::Total => b.total.cmp(&a.total),
                _ => largest(x.bytes, y.bytes),
            };
            by.then_with(|| a.name.cmp(&b.name))
        });
    }
}

/// Seconds that a flow has lasted, at least one.
fn age(flow: &Flow) -> f64 {
    let millis = flow.last.as_millis().saturating_sub(flow.start.as_millis());
    (millis as f64 / 1000.0).max(1.0)
}

/// Which of two flows of one conversation stands for it.
fn stands_before(one: &Flow, other: &Flow) -> bool {
    let packets = |flow: &Flow| flow.metric.ab_packets + flow.metric.ba_packets;
    let by = packets(other).cmp(&packets(one)).then_with(|| one.uuid.cmp(&other.uuid));
    by == Ordering::Less
}

/// The processes of side A and side B, as far as they are known.
fn processes_of(flow: &Flow) -> [Option<String>; 2] {
    let named = |process: &Option<Arc<Process>>| process.as_ref().map(|process| process.name.to_string());
    [named(&flow.process.a), named(&flow.process.b)]
}
