//! Two hosts on a line, an agent that sees both, and an analyzer that asks it.

use std::collections::HashMap;
use std::sync::Mutex;
use std::time::Duration;

use serde_json::Value as Json;
use skydive_agent::{Agent, AgentConfig, CaptureSettings, Dial, DialError, Link, LinkClosed, ProbeChoice};
use skydive_api::ApiSettings;
use skydive_flow::{Flow, FlowSearch};
use skydive_graph::{BoxFuture, Graph, Node};
use skydive_proto::{
    Capture, Envelope, FlowLimits, FlowReply, Format, GraphMessage, NodeCapture, encode_flow_search,
    flow_type, namespace, on_demand_type,
};
use skydive_testnet::{Netns, ScratchDir, eventually, veth_pair};
use skydive_value::{Clock, Id, Map, Timestamp};
use tokio::sync::mpsc;
use tokio::task::JoinHandle;
use tokio_util::sync::CancellationToken;

pub(crate) const SOON: Duration = Duration::from_secs(20);

/// Fields end in order: the agent before the namespaces.
pub(crate) struct Stage {
    pub(crate) analyzer: Analyzer,
    stop: CancellationToken,
    agent: Option<JoinHandle<()>>,
    pub(crate) address: std::net::SocketAddr,
    _names: ScratchDir,
    /// 10.98.0.1 with [`Stage::near`].
    pub(crate) a: Netns,
    /// 10.98.0.2 with [`Stage::far`].
    pub(crate) b: Netns,
}

/// The other end of the agent's line, and the graph that came by it.
pub(crate) struct Analyzer {
    end: ChannelEnd,
    pub(crate) graph: Graph,
    answers: HashMap<String, Envelope>,
    asked: u64,
}

struct ChannelEnd {
    to: mpsc::Sender<Envelope>,
    from: mpsc::Receiver<Envelope>,
}

/// Gives out one line.
struct Prepared(&'static str, Mutex<Option<ChannelEnd>>);

impl Link for ChannelEnd {
    fn send(&mut self, message: Envelope) -> BoxFuture<'_, Result<(), LinkClosed>> {
        Box::pin(async move { self.to.send(message).await.map_err(|_| gone()) })
    }

    fn receive(&mut self) -> BoxFuture<'_, Result<Envelope, LinkClosed>> {
        Box::pin(async move { self.from.recv().await.ok_or_else(gone) })
    }
}

fn gone() -> LinkClosed {
    LinkClosed("the other end is gone".to_owned())
}

impl Dial for Prepared {
    fn address(&self) -> &str {
        self.0
    }

    fn dial(&self) -> BoxFuture<'_, Result<Box<dyn Link>, DialError>> {
        let end = self.1.lock().unwrap().take();
        Box::pin(async move {
            end.map(|end| Box::new(end) as Box<dyn Link>)
                .ok_or(DialError::Unreachable("none left".to_owned()))
        })
    }
}

impl Stage {
    pub(crate) async fn new() -> Self {
        Self::with(CaptureSettings::default()).await
    }

    pub(crate) async fn with(captures: CaptureSettings) -> Self {
        let (a, b) = (Netns::new("a").unwrap(), Netns::new("b").unwrap());
        let (near, far) = (link_of(&a), link_of(&b));
        veth_pair(&a, &near, &b, &far).unwrap();
        a.ip(&["addr", "add", "10.98.0.1/24", "dev", &near]).unwrap();
        b.ip(&["addr", "add", "10.98.0.2/24", "dev", &far]).unwrap();
        for (netns, link) in [(&a, &near), (&b, &far)] {
            netns
                .exec(&["ethtool", "-K", link, "tso", "off", "gso", "off", "gro", "off", "tx", "off"])
                .unwrap();
        }
        // Neighbours are known before anything is counted.
        eventually("a first answer", SOON, || a.exec(&["ping", "-c1", "-W1", "10.98.0.2"]).ok()).unwrap();
        // The agent looks at these two only.
        let names = ScratchDir::new("netns").unwrap();
        for netns in [&a, &b] {
            std::os::unix::fs::symlink(netns.path(), names.path().join(netns.name())).unwrap();
        }
        let config = AgentConfig {
            host_id: "h1".into(),
            hostname: "h1".into(),
            version: "0".into(),
            metadata: Map::new(),
            metadata_files: Vec::new(),
            probes: ProbeChoice::Automatic,
            metrics_update: Duration::from_secs(30),
            sockets_update: Duration::from_secs(30),
            netns_run_path: names.path().to_owned(),
            captures,
            flow_protocol: skydive_agent::FlowProtocol::WebSocket,
            api: ApiSettings::default(),
            clock: clock(),
        };
        let (to_agent, from_analyzer) = mpsc::channel(1000);
        let (to_analyzer, from_agent) = mpsc::channel(1000);
        let line = ChannelEnd { to: to_analyzer, from: from_analyzer };
        let dial = Prepared("127.0.0.1:8082", Mutex::new(Some(line)));
        let agent = Agent::bind(config, "127.0.0.1:0", vec![Box::new(dial)]).await.unwrap();
        let (address, stop) = (agent.address(), CancellationToken::new());
        let stopped = stop.clone();
        let agent = tokio::spawn(async move { agent.run(stopped).await.unwrap() });
        let end = ChannelEnd { to: to_agent, from: from_agent };
        let analyzer = Analyzer { end, graph: Graph::new(), answers: HashMap::new(), asked: 0 };
        Self { analyzer, stop, agent: Some(agent), address, _names: names, a, b }
    }

    /// Name of the interface of the first host.
    pub(crate) fn near(&self) -> String {
        link_of(&self.a)
    }

    /// Name of the interface of the second host.
    pub(crate) fn far(&self) -> String {
        link_of(&self.b)
    }

    /// The node of an interface, as soon as a capture can be on it.
    pub(crate) async fn node(&mut self, name: &str) -> Id {
        let found = |graph: &Graph| {
            let mut nodes = graph.view().nodes();
            let node = nodes.find(|node| node.name() == name && node.metadata.text("TID").is_some())?;
            let is_owned =
                graph.view().edges().any(|edge| edge.child().id == node.id && edge.relation() == "ownership");
            is_owned.then(|| node.id.clone())
        };
        self.analyzer.until("the interface", found).await
    }

    /// Sends `count` pings from the first host to the second.
    pub(crate) fn ping(&self, count: u32) {
        self.a.exec(&["ping", "-c", &count.to_string(), "-i", "0.02", "10.98.0.2"]).unwrap();
    }

    /// What the agent's API says.
    pub(crate) async fn get(&self, path: &str) -> String {
        use tokio::io::{AsyncReadExt, AsyncWriteExt};
        let mut stream = tokio::net::TcpStream::connect(self.address).await.unwrap();
        let request = format!("GET {path} HTTP/1.1\r\nHost: h\r\nConnection: close\r\n\r\n");
        stream.write_all(request.as_bytes()).await.unwrap();
        let mut answer = String::new();
        stream.read_to_string(&mut answer).await.unwrap();
        answer.split_once("\r\n\r\n").unwrap().1.to_owned()
    }

    /// The totals in the status, once they are as wanted.
    pub(crate) async fn totals(&self, what: &str, wanted: impl Fn(&Json) -> bool) -> Json {
        let deadline = tokio::time::Instant::now() + SOON;
        loop {
            let answer = self.get("/api/status").await;
            let status: Json = serde_json::from_str(&answer).unwrap_or_else(|_| panic!("{answer}"));
            let totals = status["Captures"].clone();
            if wanted(&totals) {
                return totals;
            }
            assert!(tokio::time::Instant::now() < deadline, "{what}: {totals}");
            tokio::time::sleep(Duration::from_millis(50)).await;
        }
    }

    /// Ends the agent, which ends everything that it started.
    pub(crate) async fn end(mut self) {
        self.stop.cancel();
        let agent = self.agent.take().unwrap();
        tokio::time::timeout(SOON, agent).await.unwrap().unwrap();
    }
}

impl Drop for Stage {
    fn drop(&mut self) {
        self.stop.cancel();
    }
}

impl Analyzer {
    /// Takes one message.
    async fn hear(&mut self, what: &str) {
        let message = tokio::time::timeout(SOON, self.end.receive()).await;
        let message = message.unwrap_or_else(|_| panic!("{what}: nothing comes")).unwrap();
        if message.namespace != namespace::GRAPH {
            self.answers.insert(message.uuid.clone(), message);
            return;
        }
        let message = GraphMessage::decode(&message, Timestamp::EPOCH).unwrap();
        if let Some(mutation) = message.into_mutation(&"agent.h1".into()) {
            self.graph.apply(mutation, Timestamp::EPOCH, &mut Vec::new()).unwrap();
        }
    }

    /// Follows the graph until it is as wanted.
    pub(crate) async fn until<T>(&mut self, what: &str, wanted: impl Fn(&Graph) -> Option<T>) -> T {
        let deadline = tokio::time::Instant::now() + SOON;
        loop {
            if let Some(found) = wanted(&self.graph) {
                return found;
            }
            assert!(tokio::time::Instant::now() < deadline, "{what}");
            self.hear(what).await;
        }
    }

    /// Ends the line.
    pub(crate) fn leave(&mut self) {
        let (to, _) = mpsc::channel(1);
        let (_, from) = mpsc::channel(1);
        self.end = ChannelEnd { to, from };
    }

    pub(crate) async fn send(&mut self, mut request: Envelope) -> String {
        self.asked += 1;
        request.uuid = format!("r{}", self.asked);
        let uuid = request.uuid.clone();
        self.end.send(request).await.unwrap();
        uuid
    }

    pub(crate) async fn answer(&mut self, uuid: &str) -> Envelope {
        loop {
            if let Some(answer) = self.answers.remove(uuid) {
                return answer;
            }
            self.hear("an answer").await;
        }
    }

    pub(crate) async fn ask(&mut self, request: Envelope) -> Envelope {
        let uuid = self.send(request).await;
        self.answer(&uuid).await
    }

    /// Asks for a capture; gives the status and what is wrong.
    pub(crate) async fn start(&mut self, node: &Id, capture: &Capture) -> (i64, String) {
        self.demand(on_demand_type::START, node, capture).await
    }

    pub(crate) async fn stop(&mut self, node: &Id, capture: &Capture) -> (i64, String) {
        self.demand(on_demand_type::STOP, node, capture).await
    }

    async fn demand(&mut self, kind: &str, node: &Id, capture: &Capture) -> (i64, String) {
        let work = NodeCapture { node: node.clone(), capture: capture.clone() };
        let answer = self.ask(work.to_envelope(kind)).await;
        assert_eq!(answer.kind, format!("{kind}Reply"));
        assert_eq!(NodeCapture::decode(&answer.obj).unwrap(), work);
        (answer.status, NodeCapture::error_of(&answer.obj).unwrap_or_default())
    }

    pub(crate) async fn search(&mut self, search: &FlowSearch) -> FlowReply {
        let query = Envelope {
            format: Format::Protobuf,
            ..Envelope::json(namespace::FLOW, flow_type::TABLE_QUERY, encode_flow_search(search).into())
        };
        let answer = self.ask(query).await;
        assert_eq!((answer.kind.as_str(), answer.format), (flow_type::TABLE_RESULT, Format::Protobuf));
        FlowReply::decode(&answer.obj, &FlowLimits::default(), |bad| panic!("{bad}")).unwrap()
    }

    /// Flows, once they are as wanted.
    pub(crate) async fn flows(&mut self, search: &FlowSearch, wanted: impl Fn(&[Flow]) -> bool) -> Vec<Flow> {
        let deadline = tokio::time::Instant::now() + SOON;
        loop {
            let reply = self.search(search).await;
            assert_eq!((reply.status, reply.error.as_str()), (200, ""));
            let flows: Vec<_> = reply.sets.into_iter().flat_map(|set| set.flows).collect();
            if wanted(&flows) {
                return flows;
            }
            assert!(tokio::time::Instant::now() < deadline, "{flows:#?}");
            tokio::time::sleep(Duration::from_millis(20)).await;
        }
    }

    /// What the node says of its captures, once it is as wanted.
    pub(crate) async fn entries(&mut self, node: &Id, wanted: impl Fn(&[Json]) -> bool) -> Vec<Json> {
        let found = |graph: &Graph| {
            let entries = entries(graph.node(node)?);
            wanted(&entries).then_some(entries)
        };
        self.until("what the node says of its captures", found).await
    }
}

fn entries(node: &Node) -> Vec<Json> {
    match node.metadata.get("Captures").map(|list| serde_json::to_value(list).unwrap()) {
        Some(Json::Array(entries)) => entries,
        _ => Vec::new(),
    }
}

/// A capture of everything.
pub(crate) fn capture(uuid: &str) -> Capture {
    Capture { uuid: uuid.to_owned(), gremlin_query: "G.V()".to_owned(), ..Capture::default() }
}

/// As the namespace is called, but for the first letter: the node of the namespace has that name.
fn link_of(netns: &Netns) -> String {
    let name = format!("k{}", netns.name().get(1..).unwrap());
    assert!(name.len() <= 15, "{name}");
    name
}

pub(crate) fn clock() -> Clock {
    Clock::new(|| {
        Timestamp::from_millis(std::time::UNIX_EPOCH.elapsed().unwrap_or_default().as_millis() as i64)
    })
}
