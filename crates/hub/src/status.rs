//! What `/api/status` of an analyzer tells.

use skydive_api::{ApiTelemetry, LiveGraph, Roster, Status, StatusReport};
use skydive_proto::{AnalyzerStatus, Election, Losses, ProbeStatus};

/// Who is connected, and what was lost.
pub(crate) struct Report {
    pub(crate) agents: Roster,
    pub(crate) subscribers: Roster,
    pub(crate) telemetry: ApiTelemetry,
    pub(crate) live: LiveGraph,
}

/// Probes that every analyzer has; clients look for them.
const ALWAYS: [&str; 2] = ["fabric", "peering"];

impl StatusReport for Report {
    fn status(&self) -> Status {
        let running =
            |name: &str| (name.to_owned(), ProbeStatus { status: "running".to_owned(), degraded: None });
        Status::Analyzer(AnalyzerStatus {
            agents: self.agents.statuses(),
            subscribers: self.subscribers.statuses(),
            alerts: Election { is_master: true },
            captures: Election { is_master: true },
            probes: ALWAYS.iter().map(|name| running(name)).collect(),
            losses: Losses { foreign_changes: self.live.counters().foreign.get(), ..self.telemetry.losses() },
            ..AnalyzerStatus::default()
        })
    }
}
