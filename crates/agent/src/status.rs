//! What `/api/status` of an agent tells: its analyzers, its probes, its subscribers.

use std::collections::BTreeMap;
use std::sync::{Arc, Mutex, PoisonError};

use skydive_api::{ApiTelemetry, Roster, Status, StatusReport};
use skydive_probes::Health;
use skydive_proto::{AgentStatus, AnalyzerLink, ConnStatus, ProbeStatus, format_rfc3339, role};
use tokio::sync::watch;

use crate::master::{Connection, Connections};

/// The state of each probe that was started. Short locks, nothing called under them.
#[derive(Debug, Default)]
pub(crate) struct ProbeStates(Mutex<BTreeMap<&'static str, Health>>);

impl ProbeStates {
    pub(crate) fn running(&self, probe: &'static str) {
        self.set(probe, Health::Running);
    }

    pub(crate) fn set(&self, probe: &'static str, health: Health) {
        self.0.lock().unwrap_or_else(PoisonError::into_inner).insert(probe, health);
    }

    pub(crate) fn all(&self) -> BTreeMap<&'static str, Health> {
        self.0.lock().unwrap_or_else(PoisonError::into_inner).clone()
    }
}

/// Everything the status is made of.
pub(crate) struct AgentReport {
    pub(crate) subscribers: Roster,
    pub(crate) states: Arc<ProbeStates>,
    pub(crate) masters: watch::Receiver<Connections>,
    pub(crate) telemetry: ApiTelemetry,
}

impl StatusReport for AgentReport {
    fn status(&self) -> Status {
        let masters = self.masters.borrow();
        let analyzers = masters
            .analyzers
            .iter()
            .map(|(address, connection)| (address.clone(), link_status(address, connection, &masters)))
            .collect();
        Status::Agent(AgentStatus {
            clients: self.subscribers.statuses(),
            analyzers,
            topology_probes: self
                .states
                .all()
                .into_iter()
                .map(|(name, h)| (name.to_owned(), probe_status(h)))
                .collect(),
            flow_probes: Vec::new(),
            losses: self.telemetry.losses(),
        })
    }
}

fn link_status(address: &str, connection: &Connection, all: &Connections) -> AnalyzerLink {
    let (host, port) = address.rsplit_once(':').unwrap_or((address, ""));
    let (since, disconnected) = match connection {
        Connection::Up(since) => (Some(*since), None),
        Connection::Down(why) => (None, Some(why.clone())),
    };
    AnalyzerLink {
        connection: ConnStatus {
            service_type: role::ANALYZER.to_owned(),
            client_protocol: "protobuf".to_owned(),
            addr: host.trim_matches(['[', ']']).to_owned(),
            port: port.parse().unwrap_or(0),
            is_connected: since.is_some(),
            connect_time: since.map(format_rfc3339).unwrap_or_default(),
            ..ConnStatus::default()
        },
        is_master: all.is_master(address),
        disconnected,
    }
}

fn probe_status(health: Health) -> ProbeStatus {
    let degraded = match health {
        Health::Running => None,
        Health::Degraded { why, .. } => Some(why.to_string()),
    };
    ProbeStatus { status: "running".to_owned(), degraded }
}

#[cfg(test)]
mod tests {
    use skydive_value::Timestamp;

    use super::*;
    use crate::master::Masters;

    #[test]
    fn an_analyzer_that_is_not_connected_has_a_reason() {
        let masters = Masters::new(["a:1".to_owned(), "[::1]:2".to_owned()]);
        masters.up("a:1", Timestamp::EPOCH);
        masters.down("[::1]:2", "connection refused".to_owned());
        let report = AgentReport {
            subscribers: Roster::new(),
            states: Arc::default(),
            masters: masters.watch(),
            telemetry: ApiTelemetry::default(),
        };
        let Status::Agent(status) = report.status() else { panic!("not an agent's") };
        let json = serde_json::to_value(status.analyzers).unwrap();
        assert_eq!(json["a:1"]["IsConnected"], true);
        assert_eq!(json["a:1"].get("Disconnected"), None);
        assert_eq!((&json["[::1]:2"]["Addr"], &json["[::1]:2"]["Port"]), (&"::1".into(), &2.into()));
        assert_eq!(json["[::1]:2"]["Disconnected"], "connection refused");
    }
}
