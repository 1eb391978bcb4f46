//! The server over real sockets, asked by the real client.
#![allow(clippy::unwrap_used, reason = "a test that cannot set up must fail")]

mod agent_link;
mod login;
mod openapi;
mod resources;
mod rest;
mod subscriber;

use std::future::ready;
use std::net::SocketAddr;
use std::sync::{Arc, Mutex};
use std::time::Duration;

use prometheus_client::registry::Registry;
use skydive_api::{
    Agent, AgentEndpoint, AgentLink, AgentSession, ApiSettings, ApiTelemetry, Areas, ConfigKeys, Conflict,
    Elements, Listener, LiveGraph, NoAuth, Notices, Page, Permission, Queries, Roster, Server, Status,
    StatusReport, Subscriptions,
};
use skydive_client::{Connection, ConnectionSettings, Endpoint, Rest};
use skydive_graph::{BoxFuture, Edge, Mutation, Node, Source};
use skydive_proto::{AnalyzerStatus, Envelope, Handshake, Identity, Protocol};
use skydive_store::Resources;
use skydive_value::{Clock, Id, Map, Timestamp};
use tokio::sync::mpsc;
use tokio_util::sync::CancellationToken;

pub(crate) const DEADLINE: Duration = Duration::from_secs(20);
/// How long the hub works on a message that is slow.
const WORK: Duration = Duration::from_secs(1);
/// Bytes of the hub's reply to a question.
const REPLY: usize = 8 << 20;

/// A running server; stops when dropped.
pub(crate) struct Running {
    pub(crate) address: SocketAddr,
    pub(crate) live: LiveGraph,
    pub(crate) resources: Arc<Resources>,
    pub(crate) notices: Notices,
    pub(crate) agents: Roster,
    pub(crate) subscribers: Roster,
    pub(crate) telemetry: ApiTelemetry,
    pub(crate) heard: mpsc::UnboundedReceiver<Heard>,
    pub(crate) known_agents: Arc<Mutex<Vec<mpsc::Sender<Envelope>>>>,
    pub(crate) stop: CancellationToken,
}

/// What the hub's end of an agent link hears.
#[derive(Debug, PartialEq)]
pub(crate) enum Heard {
    Opened(String),
    Message(String),
    Closed,
}

struct Hub {
    heard: mpsc::UnboundedSender<Heard>,
    agents: Arc<Mutex<Vec<mpsc::Sender<Envelope>>>>,
}

struct HubSession(mpsc::UnboundedSender<Heard>);

struct Report(Roster, Roster, ApiTelemetry);

impl AgentLink for Hub {
    fn accept(&self, agent: Agent) -> Result<Box<dyn AgentSession>, Conflict> {
        self.heard.send(Heard::Opened(agent.handshake.host_id.to_string())).unwrap();
        self.agents.lock().unwrap().push(agent.outgoing);
        Ok(Box::new(HubSession(self.heard.clone())))
    }
}

impl AgentSession for HubSession {
    fn message(&mut self, message: Envelope) -> BoxFuture<'_, Result<Option<Envelope>, String>> {
        Box::pin(async move {
            match message.kind.as_str() {
                "Slow" => tokio::time::sleep(WORK).await,
                "Busy" => {
                    let begin = tokio::time::Instant::now();
                    while begin.elapsed() < WORK {}
                }
                _ => {}
            }
            let verdict = match message.kind.as_str() {
                "Nonsense" => Err("nonsense".to_owned()),
                "Ask" => {
                    let large = serde_json::to_vec(&"x".repeat(REPLY)).unwrap();
                    Ok(Some(Envelope::json("Graph", "Reply", large.into())))
                }
                _ => Ok(None),
            };
            self.0.send(Heard::Message(message.kind)).unwrap();
            verdict
        })
    }

    fn closed(self: Box<Self>) -> BoxFuture<'static, ()> {
        Box::pin(async move {
            // The test may have ended already.
            let _ = self.0.send(Heard::Closed);
        })
    }
}

impl StatusReport for Report {
    fn status(&self) -> BoxFuture<'_, Status> {
        let status = AnalyzerStatus {
            agents: self.0.statuses(),
            subscribers: self.1.statuses(),
            losses: self.2.losses(),
            ..AnalyzerStatus::default()
        };
        Box::pin(ready(Status::Analyzer(status)))
    }
}

pub(crate) async fn start(settings: ApiSettings) -> Running {
    start_with(settings, Box::new(NoAuth)).await
}

pub(crate) async fn start_with(settings: ApiSettings, permission: Box<dyn Permission>) -> Running {
    let clock = Clock::new(|| Timestamp::from_millis(1_700_000_000_000));
    let stop = CancellationToken::new();
    let (live, owner) = LiveGraph::new(clock.clone(), Box::new(|_, _| Vec::new()));
    tokio::spawn(owner.run(stop.clone()));
    let (heard_sender, heard) = mpsc::unbounded_channel();
    let known_agents = Arc::<Mutex<Vec<_>>>::default();
    let (agents, subscribers, telemetry) = (Roster::new(), Roster::new(), ApiTelemetry::default());
    let mut registry = Registry::default();
    telemetry.register(&mut registry);
    live.register(&mut registry);
    let identity =
        Identity { host: "hub1".to_owned(), version: "0.1.0".to_owned(), service: "analyzer".to_owned() };
    let notices = Notices::new();
    let resources = Arc::new(Resources::in_memory(clock.clone()).unwrap());
    let areas = Areas {
        elements: Some(Elements { live: live.clone(), origin: "api.hub1".into() }),
        resources: Some(resources.clone()),
        config: Some(Arc::new(ConfigKeys::new([("a.b".to_owned(), 1.into())], []))),
        topology: Some(Arc::new(Queries::new(Arc::new(live.clone()), None, &settings.limits, clock.clone()))),
        status: Some(Arc::new(Report(agents.clone(), subscribers.clone(), telemetry.clone()))),
        subscriptions: Some(Subscriptions {
            live: live.clone(),
            roster: subscribers.clone(),
            notices: notices.clone(),
        }),
        agents: Some(AgentEndpoint {
            link: Arc::new(Hub { heard: heard_sender, agents: known_agents.clone() }),
            roster: agents.clone(),
        }),
        metrics: Some(Arc::new(registry)),
        page: Some(Page::embedded()),
        ..Areas::new(identity)
    };
    let listener = Listener::bind("127.0.0.1:0").await.unwrap();
    let address = listener.address();
    let server = Server::new(areas, settings, telemetry.clone(), permission, clock, stop.clone());
    tokio::spawn(server.run(listener));
    Running { address, live, resources, notices, agents, subscribers, telemetry, heard, known_agents, stop }
}

impl Running {
    pub(crate) fn endpoint(&self) -> Endpoint {
        Endpoint::new(self.address.ip().to_string(), self.address.port())
    }

    pub(crate) fn rest(&self) -> Rest {
        Rest::new(self.endpoint()).unwrap()
    }

    pub(crate) fn url(&self, path: &str) -> String {
        self.endpoint().http_url(path)
    }

    pub(crate) async fn subscribe(&self, handshake: &Handshake) -> Connection {
        Connection::open(&self.endpoint(), "/ws/subscriber", handshake, ConnectionSettings::default())
            .await
            .unwrap()
    }

    /// Two nodes and an edge.
    pub(crate) async fn fill(&self) {
        let source = Source::of("agent", "h");
        let layer2: Map = [("RelationType", "layer2")].into_iter().collect();
        let edge = Edge::new("e".into(), "b".into(), "a".into(), source, layer2, Timestamp::from_millis(3));
        let mutations = vec![node("a", "eth0", 2), node("b", "br0", 1), Mutation::AddEdge(edge)];
        self.live.apply(mutations).await.unwrap();
    }
}

impl Drop for Running {
    fn drop(&mut self) {
        self.stop.cancel();
    }
}

pub(crate) fn node(id: &str, name: &str, at: i64) -> Mutation {
    let metadata: Map = [("Name", name), ("Type", "veth")].into_iter().collect();
    Mutation::AddNode(Node::new(Id::from(id), Source::of("agent", "h"), metadata, Timestamp::from_millis(at)))
}

pub(crate) fn handshake(client_type: &str, host_id: &str, protocol: Protocol) -> Handshake {
    Handshake { host_id: host_id.into(), client_type: client_type.into(), protocol, ..Handshake::default() }
}

/// Waits until `is_so`, within the deadline.
pub(crate) async fn eventually(what: &str, is_so: impl Fn() -> bool) {
    let waited = tokio::time::timeout(DEADLINE, async {
        while !is_so() {
            tokio::task::yield_now().await;
        }
    });
    assert!(waited.await.is_ok(), "not in time: {what}");
}

pub(crate) async fn soon<T>(future: impl Future<Output = T>) -> T {
    tokio::time::timeout(DEADLINE, future).await.unwrap()
}
