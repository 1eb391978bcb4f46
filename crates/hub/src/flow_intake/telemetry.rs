//! What is counted of flows on their way in.

use std::collections::BTreeMap;
use std::sync::{Arc, Mutex, PoisonError};

use prometheus_client::encoding::EncodeLabelSet;
use prometheus_client::metrics::counter::Counter;
use prometheus_client::metrics::family::Family;
use prometheus_client::metrics::gauge::Gauge;
use prometheus_client::registry::Registry;
use skydive_api::OncePerSecond;
use skydive_proto::FlowsStatus;
use tokio::time::Instant;

use super::queue::Overflow;

/// Counters of flows. Clones share them.
#[derive(Clone, Debug, Default)]
pub(crate) struct FlowTelemetry {
    pub(crate) received: Counter,
    refused: Counter,
    malformed: Counter,
    overflowed: Counter,
    stats_overflowed: Counter,
    pub(crate) imported: Counter,
    imported_dropped: Counter,
    imported_unaccounted: Counter,
    lost: Family<AgentLabels, Gauge>,
    /// The same for statuses: a family cannot be listed.
    lost_by_agent: Arc<Mutex<BTreeMap<String, u64>>>,
    refused_log: OncePerSecond,
    malformed_log: OncePerSecond,
    overflow_log: OncePerSecond,
}

#[derive(Clone, Debug, Hash, PartialEq, Eq, EncodeLabelSet)]
struct AgentLabels {
    agent: String,
}

impl FlowTelemetry {
    /// Makes the counters known to `registry`.
    pub(crate) fn register(&self, registry: &mut Registry) {
        registry.register("skydive_flows_received", "Flows received from agents", self.received.clone());
        registry.register(
            "skydive_flows_refused",
            "Flows from agents that could not be read",
            self.refused.clone(),
        );
        registry.register(
            "skydive_flow_messages_malformed",
            "Datagrams and WebSocket messages that carry no flows",
            self.malformed.clone(),
        );
        registry.register(
            "skydive_flows_overflowed",
            "Flows dropped as too many waited to be told",
            self.overflowed.clone(),
        );
        registry.register(
            "skydive_flow_stats_overflowed",
            "Statistics of captures dropped as too many waited to be told",
            self.stats_overflowed.clone(),
        );
        registry.register("skydive_flows_imported", "Flows of imported capture files", self.imported.clone());
        registry.register(
            "skydive_flows_imported_dropped",
            "Flows of imported capture files that queries no longer find, as there are too many",
            self.imported_dropped.clone(),
        );
        registry.register(
            "skydive_flows_imported_packets_unaccounted",
            "Packets of imported capture files that are in no flow",
            self.imported_unaccounted.clone(),
        );
        registry.register(
            "skydive_flows_lost",
            "Flows that an agent sent and that did not arrive",
            self.lost.clone(),
        );
    }

    /// The same for statuses.
    pub(crate) fn status(&self) -> FlowsStatus {
        FlowsStatus {
            received: self.received.get(),
            refused: self.refused.get(),
            malformed_messages: self.malformed.get(),
            overflowed: self.overflowed.get(),
            imported: self.imported.get(),
            imported_dropped: self.imported_dropped.get(),
            imported_unaccounted: self.imported_unaccounted.get(),
            lost: self.lost(),
        }
    }

    /// Flows missing by agent.
    pub(crate) fn lost(&self) -> BTreeMap<String, u64> {
        self.lost_by_agent.lock().unwrap_or_else(PoisonError::into_inner).clone()
    }

    pub(super) fn set_lost(&self, agent: &str, flows: u64) {
        let labels = AgentLabels { agent: agent.to_owned() };
        self.lost.get_or_create(&labels).set(i64::try_from(flows).unwrap_or(i64::MAX));
        self.lost_by_agent.lock().unwrap_or_else(PoisonError::into_inner).insert(labels.agent, flows);
    }

    pub(super) fn forget_lost(&self, agent: &str) {
        self.lost.remove(&AgentLabels { agent: agent.to_owned() });
        self.lost_by_agent.lock().unwrap_or_else(PoisonError::into_inner).remove(agent);
    }

    pub(super) fn malformed(&self, reason: &str) {
        self.malformed.inc();
        if self.malformed_log.is_due(Instant::now()) {
            tracing::warn!(reason, messages = self.malformed.get(), "message without flows");
        }
    }

    pub(super) fn refused(&self, flows: u64, reason: &str) {
        self.refused.inc_by(flows);
        if self.refused_log.is_due(Instant::now()) {
            tracing::warn!(reason, flows = self.refused.get(), "flow refused");
        }
    }

    pub(super) fn overflowed(&self, overflow: Overflow) {
        if overflow == Overflow::default() {
            return;
        }
        self.overflowed.inc_by(overflow.flows);
        self.stats_overflowed.inc_by(overflow.stats);
        if self.overflow_log.is_due(Instant::now()) {
            tracing::warn!(flows = self.overflowed.get(), "flows dropped: too many wait");
        }
    }

    /// Packets of a file that are in no flow.
    pub(crate) fn unaccounted_imported(&self, packets: u64) {
        if packets > 0 {
            self.imported_unaccounted.inc_by(packets);
            tracing::warn!(packets, "packets of an imported file are in no flow");
        }
    }

    /// Flows of files that were dropped for others.
    pub(crate) fn dropped_imported(&self, flows: u64) {
        if flows > 0 {
            self.imported_dropped.inc_by(flows);
            tracing::warn!(flows, "imported flows dropped: `flow.max_entries` are there");
        }
    }
}
