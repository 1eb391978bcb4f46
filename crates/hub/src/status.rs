//! What `/api/status` of an analyzer tells.

use std::collections::BTreeMap;

use skydive_api::{ApiTelemetry, LiveGraph, Roster, Status, StatusReport};
use skydive_graph::{BoxFuture, ReadCount, Snapshot, key};
use skydive_proto::{AnalyzerStatus, Election, Losses, ProbeStatus};
use skydive_value::{Filter, Value};

use crate::analyzer_probes::ProbeStates;
use crate::flow_intake::FlowTelemetry;

/// Who is connected, what agents miss, and what was lost.
pub(crate) struct Report {
    pub(crate) agents: Roster,
    pub(crate) subscribers: Roster,
    pub(crate) publishers: Roster,
    pub(crate) pub_subs: Roster,
    pub(crate) flow_subscribers: Roster,
    pub(crate) flows: FlowTelemetry,
    pub(crate) telemetry: ApiTelemetry,
    pub(crate) live: LiveGraph,
    pub(crate) probes: ProbeStates,
}

/// Probes that every analyzer has; clients look for them.
const ALWAYS: [&str; 2] = ["fabric", "peering"];

impl StatusReport for Report {
    fn status(&self) -> BoxFuture<'_, Status> {
        Box::pin(async move {
            let running = |name| (name, ProbeStatus { status: "running".to_owned(), degraded: None });
            let mut probes: BTreeMap<_, _> = ALWAYS.into_iter().map(running).collect();
            probes.extend(self.probes.borrow().clone());
            let graph = self.live.snapshot().await;
            Status::Analyzer(AnalyzerStatus {
                agents: self.agents.statuses(),
                subscribers: self.subscribers.statuses(),
                publishers: self.publishers.statuses(),
                pub_subs: self.pub_subs.statuses(),
                flow_subscribers: self.flow_subscribers.statuses(),
                flows: self.flows.status(),
                alerts: Election { is_master: true },
                captures: Election { is_master: true },
                probes: probes.into_iter().map(|(name, probe)| (name.to_owned(), probe)).collect(),
                // Without the graph the program is about to end.
                degraded: graph.map(|graph| degraded(&graph)).unwrap_or_default(),
                losses: Losses {
                    foreign_changes: self.live.counters().foreign.get(),
                    ..self.telemetry.losses()
                },
                ..AnalyzerStatus::default()
            })
        })
    }
}

/// The reasons that the nodes of hosts carry, by host and probe.
fn degraded(graph: &Snapshot) -> BTreeMap<String, BTreeMap<String, String>> {
    let (hosts, reads) = (Filter::text(key::TYPE, key::node_type::HOST), ReadCount::default());
    let reasons = |probes: &Value| {
        let Value::Map(probes) = probes else { return BTreeMap::new() };
        let why = |state: &Value| match state {
            Value::Map(state) => state.text("Why").map(ToString::to_string),
            _ => None,
        };
        probes.iter().filter_map(|(probe, state)| Some((probe.to_string(), why(state)?))).collect()
    };
    graph
        .find_nodes(&hosts, &reads)
        .filter_map(|node| Some((node.source.host.to_string(), reasons(node.metadata.get(key::DEGRADED)?))))
        .filter(|(_, reasons)| !reasons.is_empty())
        .collect()
}

#[cfg(test)]
mod tests {
    use skydive_graph::{Graph, Mutation, Node, Op, Source};
    use skydive_value::{Map, Timestamp};

    use super::*;

    #[test]
    fn what_agents_miss_is_told_by_host_and_probe() {
        let mut graph = Graph::new();
        for (host, why) in [("h1", Some("no rights")), ("h2", None)] {
            let metadata: Map = [("Name", host), ("Type", "host")].into_iter().collect();
            let node = Node::new(host.into(), Source::of("agent", host), metadata, Timestamp::EPOCH);
            let mut apply = |mutation| graph.apply(mutation, Timestamp::EPOCH, &mut Vec::new()).unwrap();
            apply(Mutation::AddNode(node));
            if let Some(why) = why {
                apply(Mutation::update_node(host.into(), [Op::set("Degraded.netns.Why", why)]));
            }
        }
        let reasons = BTreeMap::from([("netns".to_owned(), "no rights".to_owned())]);
        assert_eq!(degraded(graph.view()), BTreeMap::from([("h1".to_owned(), reasons)]));
    }
}
