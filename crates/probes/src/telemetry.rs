//! What probes were not told, or could not read.

use prometheus_client::metrics::counter::Counter;
use prometheus_client::registry::Registry;

/// Counters of all probes since the program started; they outlive a probe that is started again. Clones share them.
#[derive(Clone, Debug, Default)]
pub struct ProbeTelemetry {
    netlink_gaps: Counter,
    netlink_malformed: Counter,
}

impl ProbeTelemetry {
    /// Makes the counters known to `registry`, which `/metrics` shows.
    pub fn register(&self, registry: &mut Registry) {
        registry.register(
            "skydive_netlink_gaps",
            "Times that the kernel dropped notifications of netlink; what they were about was read again",
            self.netlink_gaps.clone(),
        );
        registry.register(
            "skydive_netlink_malformed",
            "Messages and attributes of netlink that could not be read",
            self.netlink_malformed.clone(),
        );
    }

    /// How often the kernel dropped notifications of netlink, in any namespace: each time all of it is read again.
    pub fn netlink_gaps(&self) -> u64 {
        self.netlink_gaps.get()
    }

    /// Messages and attributes of netlink that could not be read.
    pub fn netlink_malformed(&self) -> u64 {
        self.netlink_malformed.get()
    }

    /// What is logged of it is the model's to say, once a second.
    pub(crate) fn netlink_gap(&self) {
        self.netlink_gaps.inc();
    }

    pub(crate) fn netlink_malformed_more(&self, more: u64) {
        self.netlink_malformed.inc_by(more);
    }
}
