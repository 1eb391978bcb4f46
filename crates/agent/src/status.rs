//! What `/api/status` of an agent tells: its analyzers, its probes, its subscribers.

use std::collections::BTreeMap;
use std::future::ready;
use std::sync::{Arc, Mutex, PoisonError};

use skydive_api::{ApiTelemetry, Roster, Status, StatusReport};
use skydive_capture::CAPTURES;
use skydive_graph::BoxFuture;
use skydive_probes::{Health, ProbeTelemetry};
use skydive_proto::{
    AgentStatus, AnalyzerLink, CaptureTotals, ConnStatus, Losses, ProbeStatus, format_rfc3339, role,
};
use skydive_value::SmolStr;
use tokio::sync::watch;

use crate::flow_line::FlowLineTelemetry;
use crate::master::{Connection, Connections};

/// The state of each probe that was started. Short locks, nothing called under them.
#[derive(Debug, Default)]
pub(crate) struct ProbeStates(Mutex<BTreeMap<&'static str, Health>>);

/// The last reason of each probe that was logged: one that comes and goes fills no log.
#[derive(Debug, Default)]
pub(crate) struct Complaints(BTreeMap<&'static str, SmolStr>);

impl Complaints {
    /// Logs why a probe shows less than it should, unless that was the last thing said of it.
    pub(crate) fn hear(&mut self, probe: &'static str, health: &Health) {
        if let Some(why) = self.news(probe, health) {
            tracing::warn!(probe, %why, "probe is degraded");
        }
    }

    fn news<'h>(&mut self, probe: &'static str, health: &'h Health) -> Option<&'h SmolStr> {
        let Health::Degraded { why, .. } = health else { return None };
        let before = self.0.insert(probe, why.clone());
        (before.as_ref() != Some(why)).then_some(why)
    }
}

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
    pub(crate) publishers: Roster,
    pub(crate) pub_subs: Roster,
    pub(crate) states: Arc<ProbeStates>,
    pub(crate) masters: watch::Receiver<Connections>,
    pub(crate) telemetry: ApiTelemetry,
    pub(crate) probes: ProbeTelemetry,
    pub(crate) flows: FlowLineTelemetry,
    pub(crate) captures: watch::Receiver<CaptureTotals>,
}

impl StatusReport for AgentReport {
    fn status(&self) -> BoxFuture<'_, Status> {
        Box::pin(ready(Status::Agent(self.of_now())))
    }
}

impl AgentReport {
    fn of_now(&self) -> AgentStatus {
        let masters = self.masters.borrow();
        let analyzers = masters
            .analyzers
            .iter()
            .map(|(address, connection)| (address.clone(), link_status(address, connection, &masters)))
            .collect();
        let probes = self.states.all().into_iter();
        AgentStatus {
            clients: self.subscribers.statuses(),
            publishers: self.publishers.statuses(),
            pub_subs: self.pub_subs.statuses(),
            analyzers,
            topology_probes: probes.map(|(name, health)| (name.to_owned(), probe_status(health))).collect(),
            flow_probes: CAPTURES.iter().map(|kind| kind.name.to_owned()).collect(),
            captures: self.captures.borrow().clone(),
            flows: self.flows.status(),
            losses: Losses {
                netlink_gaps: self.probes.netlink_gaps(),
                netlink_malformed: self.probes.netlink_malformed(),
                ..self.telemetry.losses()
            },
        }
    }
}

fn link_status(address: &str, connection: &Connection, all: &Connections) -> AnalyzerLink {
    let (host, port) = address.rsplit_once(':').unwrap_or((address, ""));
    let (since, server, disconnected) = match connection {
        Connection::Up { since, server } => (Some(*since), server.as_ref(), None),
        Connection::Down(why) => (None, None, Some(why.clone())),
    };
    AnalyzerLink {
        connection: ConnStatus {
            service_type: role::ANALYZER.to_owned(),
            client_protocol: "protobuf".to_owned(),
            addr: host.trim_matches(['[', ']']).to_owned(),
            port: port.parse().unwrap_or(0),
            is_connected: since.is_some(),
            connect_time: since.map(format_rfc3339).unwrap_or_default(),
            remote_host: server.map(|server| server.host_id.to_string()).unwrap_or_default(),
            remote_service_type: server.map(|server| server.service_type.to_string()).unwrap_or_default(),
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
    use skydive_client::ServerIdentity;
    use skydive_value::Timestamp;

    use super::*;
    use crate::master::Masters;

    #[test]
    fn a_reason_is_logged_once_until_there_is_another() {
        let degraded = |why: &str| Health::Degraded { since: Timestamp::EPOCH, why: why.into() };
        let mut complaints = Complaints::default();
        let mut said = |probe, health| complaints.news(probe, &health).map(ToString::to_string);
        assert_eq!(said("netns", degraded("no rights")).as_deref(), Some("no rights"));
        assert_eq!(said("netns", degraded("no rights")), None);
        assert_eq!(said("netns", Health::Running), None);
        assert_eq!(said("netns", degraded("no rights")), None, "it only came and went");
        assert_eq!(said("netlink", degraded("no rights")).as_deref(), Some("no rights"));
        assert_eq!(said("netns", degraded("gone")).as_deref(), Some("gone"));
    }

    #[test]
    fn an_analyzer_that_is_not_connected_has_a_reason() {
        let masters = Masters::new(["a:1".to_owned(), "[::1]:2".to_owned()]);
        let server = ServerIdentity { host_id: "hub1".into(), service_type: "analyzer".into() };
        masters.up("a:1", Some(server), Timestamp::EPOCH);
        masters.down("[::1]:2", "connection refused".to_owned());
        let report = AgentReport {
            subscribers: Roster::new(),
            publishers: Roster::new(),
            pub_subs: Roster::new(),
            states: Arc::default(),
            masters: masters.watch(),
            telemetry: ApiTelemetry::default(),
            probes: ProbeTelemetry::default(),
            flows: FlowLineTelemetry::default(),
            captures: watch::channel(CaptureTotals::default()).1,
        };
        let json = serde_json::to_value(report.of_now().analyzers).unwrap();
        assert_eq!(json["a:1"]["IsConnected"], true);
        assert_eq!(json["a:1"]["RemoteHost"], "hub1");
        assert_eq!(json["a:1"]["RemoteServiceType"], "analyzer");
        assert_eq!(json["[::1]:2"].get("RemoteHost"), None);
        assert_eq!(json["a:1"].get("Disconnected"), None);
        assert_eq!((&json["[::1]:2"]["Addr"], &json["[::1]:2"]["Port"]), (&"::1".into(), &2.into()));
        assert_eq!(json["[::1]:2"]["Disconnected"], "connection refused");
    }
}
