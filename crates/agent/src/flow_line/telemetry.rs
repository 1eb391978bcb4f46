//! What is counted of flows on their way out.

use prometheus_client::encoding::EncodeLabelSet;
use prometheus_client::metrics::counter::Counter;
use prometheus_client::metrics::family::Family;
use prometheus_client::registry::Registry;
use skydive_proto::FlowsSent;

/// Counters of flows that are sent. Clones share them.
#[derive(Clone, Debug, Default)]
pub(crate) struct FlowLineTelemetry {
    pub(super) sent: Counter,
    pub(super) cut: Counter,
    unsent: Family<ReasonLabels, Counter>,
    unsent_stats: Counter,
}

#[derive(Clone, Debug, Hash, PartialEq, Eq, EncodeLabelSet)]
struct ReasonLabels {
    reason: &'static str,
}

/// Why flows are not sent.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Unsent {
    /// No analyzer is connected.
    NoAnalyzer,
    /// The network does not take them, or the analyzer not fast enough.
    Failed,
    /// They do not fit a datagram, even without their packets.
    TooLong,
}

impl FlowLineTelemetry {
    /// Makes the counters known to `registry`.
    pub(crate) fn register(&self, registry: &mut Registry) {
        registry.register("skydive_flows_sent", "Flows sent to analyzers", self.sent.clone());
        registry.register(
            "skydive_flows_cut",
            "Flows sent without some of the packets kept with them, as a datagram has no room for these",
            self.cut.clone(),
        );
        registry.register("skydive_flows_unsent", "Flows not sent, by reason", self.unsent.clone());
        registry.register(
            "skydive_flow_stats_unsent",
            "Statistics of captures not sent",
            self.unsent_stats.clone(),
        );
    }

    /// The same for statuses.
    pub(crate) fn status(&self) -> FlowsSent {
        FlowsSent {
            sent: self.sent.get(),
            cut: self.cut.get(),
            unsent: Unsent::ALL.map(|why| self.counter(why).get()).iter().sum(),
        }
    }

    pub(super) fn unsent(&self, why: Unsent, flows: u64) {
        self.counter(why).inc_by(flows);
    }

    pub(super) fn stats(&self, is_sent: bool) {
        self.unsent_stats.inc_by(u64::from(!is_sent));
    }

    fn counter(&self, why: Unsent) -> Counter {
        self.unsent.get_or_create_owned(&ReasonLabels { reason: why.name() })
    }
}

impl Unsent {
    const ALL: [Self; 3] = [Self::NoAnalyzer, Self::Failed, Self::TooLong];

    fn name(self) -> &'static str {
        match self {
            Self::NoAnalyzer => "no_analyzer",
            Self::Failed => "failed",
            Self::TooLong => "too_long",
        }
    }
}
