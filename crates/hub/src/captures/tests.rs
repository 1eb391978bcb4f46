//! Captures against agents that do as a test says, on a graph that it makes.

use std::collections::BTreeMap;
use std::sync::Mutex;

use skydive_graph::{Edge, Mutation, Node, Op, Source, key};
use skydive_proto::{NodeCapture, on_demand_type};
use skydive_store::Resources;
use skydive_value::{Map, Timestamp, Value};
use tokio::sync::{broadcast, mpsc};
use tokio::task::JoinHandle;
use tokio::time::timeout;

use super::*;

/// What an agent was asked: the type of the message, the capture, the node.
type Said = (String, String, String);

const LONG: Duration = Duration::from_secs(30);

struct Rig {
    live: LiveGraph,
    store: Arc<Resources>,
    hosts: Hosts,
    notices: Notices,
    faults: CaptureFaults,
    told: broadcast::Receiver<Arc<Envelope>>,
    said: mpsc::Receiver<Said>,
    say: mpsc::Sender<Said>,
    stop: CancellationToken,
    engine: Option<JoinHandle<()>>,
}

/// What agents answer: how many requests fail before they succeed, by the name of the node.
type Failures = Arc<Mutex<BTreeMap<String, usize>>>;

fn clock() -> Clock {
    let begin = std::time::UNIX_EPOCH;
    Clock::new(move || {
        #[expect(clippy::disallowed_methods, reason = "resources expire by it")]
        let now = std::time::SystemTime::now();
        Timestamp::from_millis(now.duration_since(begin).map_or(0, |since| since.as_millis() as i64))
    })
}

impl Rig {
    fn new() -> Self {
        let (live, owner) = LiveGraph::new(clock(), Box::new(|_, _| Vec::new()));
        let stop = CancellationToken::new();
        tokio::spawn(owner.run(stop.clone()));
        let notices = Notices::new();
        let (say, said) = mpsc::channel(1024);
        Self {
            live,
            store: Arc::new(Resources::in_memory(clock()).unwrap()),
            hosts: Hosts::default(),
            told: notices.listen(),
            notices,
            faults: CaptureFaults::default(),
            said,
            say,
            stop,
            engine: None,
        }
    }

    fn start(&mut self, startup: Option<Capture>) {
        let captures = Captures {
            live: self.live.clone(),
            store: self.store.clone(),
            hosts: self.hosts.clone(),
            notices: self.notices.clone(),
            faults: self.faults.clone(),
            limits: Limits::default(),
            clock: clock(),
            startup,
        };
        self.engine = Some(tokio::spawn(captures.run(self.stop.child_token())));
    }

    /// An agent that does what it is asked and shows it in the graph, but fails as often as it is told to.
    fn agent(&self, host: &str, failures: &Failures) -> JoinHandle<()> {
        let (outgoing, mut questions) = mpsc::channel(64);
        let seat = self.hosts.join(host.into(), outgoing);
        let (live, say, failures) = (self.live.clone(), self.say.clone(), failures.clone());
        tokio::spawn(async move {
            let mut running: BTreeMap<Id, Vec<Capture>> = BTreeMap::new();
            while let Some(question) = questions.recv().await {
                let work = NodeCapture::decode(&question.obj).unwrap();
                let (node, id) = (work.node.clone(), work.capture.uuid.clone());
                say.send((question.kind.clone(), id.clone(), node.to_string())).await.unwrap();
                let fails = failures.lock().unwrap().get_mut(&*node.to_string()).is_some_and(|left| {
                    let fails = *left > 0;
                    *left = left.saturating_sub(1);
                    fails
                });
                let fault = fails.then_some((500, "not today"));
                if !fails {
                    let here = running.entry(node.clone()).or_default();
                    here.retain(|other| other.uuid != id);
                    if question.kind == on_demand_type::START {
                        here.push(work.capture.clone());
                    }
                    live.apply(vec![Mutation::update_node(node, [shown(here)])]).await.unwrap();
                }
                seat.answer(work.to_reply(&question, "Reply", fault));
            }
        })
    }

    async fn apply(&self, mutations: Vec<Mutation>) {
        self.live.apply(mutations).await.unwrap();
    }

    async fn make(&self, id: &str, json: &str) {
        let mut capture = Capture::decode(json.as_bytes()).unwrap();
        id.clone_into(&mut capture.uuid);
        let draft = Draft { id: id.into(), json: capture.to_json().into(), expires_at: None };
        self.store.put(KIND, draft, Put::New).await.unwrap();
    }

    async fn remove(&self, id: &str) {
        self.store.remove(KIND, id).await.unwrap();
    }

    /// The next thing an agent is asked.
    async fn asked(&mut self) -> Said {
        timeout(LONG, self.said.recv()).await.expect("an agent is asked in time").unwrap()
    }

    async fn expect(&mut self, kind: &str, capture: &str, node: &str) {
        assert_eq!(self.asked().await, (kind.to_owned(), capture.to_owned(), node.to_owned()));
    }

    /// What is wrong with a capture, once it is as wanted.
    async fn fault(&self, id: &str, wanted: impl Fn(&str) -> bool) -> String {
        timeout(LONG, self.faults.until(|faults| wanted(faults.get(id).map_or("", String::as_str))))
            .await
            .unwrap();
        self.faults.of(id).unwrap_or_default()
    }

    /// The next notice: its type and the capture.
    async fn heard(&mut self) -> (String, String) {
        let notice = timeout(LONG, self.told.recv()).await.expect("a notice in time").unwrap();
        assert_eq!(notice.namespace, "OnDemandCaptureNotification");
        (notice.kind.clone(), Capture::decode(&notice.obj).unwrap().uuid)
    }
}

impl Drop for Rig {
    fn drop(&mut self) {
        self.stop.cancel();
    }
}

/// The metadata of captures as agents write it.
fn shown(captures: &[Capture]) -> Op {
    let entry = |capture: &Capture| {
        let (id, kind) = (capture.uuid.as_str(), capture.kind.as_str());
        Value::from([("ID", id), ("State", "active"), ("Type", kind)].into_iter().collect::<Map>())
    };
    match captures {
        [] => Op::remove(key::CAPTURES),
        captures => Op::set(key::CAPTURES, Value::list(captures.iter().map(entry))),
    }
}

fn node(id: &str, name: &str, kind: &str, host: &str) -> Node {
    let metadata: Map = [("Name", name), ("Type", kind)].into_iter().collect();
    let source = Arc::new(Source { host: host.into(), origin: "test".into() });
    Node::new(Id::from(id), source, metadata, Timestamp::EPOCH)
}

fn add(id: &str, name: &str, kind: &str, host: &str) -> Mutation {
    Mutation::AddNode(node(id, name, kind, host))
}

#[tokio::test]
async fn captures_follow_the_graph_and_end_with_their_resource() {
    let mut rig = Rig::new();
    let calm = Failures::default();
    let _agents = [rig.agent("h", &calm), rig.agent("i", &calm)];
    rig.apply(vec![
        add("a", "veth0", "veth", "h"),
        add("other", "eth0", "device", "h"),
        add("space", "veth0", "netns", "h"),
        add("nowhere", "veth0", "veth", ""),
    ])
    .await;
    rig.start(None);
    rig.make("c", r#"{"GremlinQuery":"G.V().Has('Name','veth0')"}"#).await;
    rig.expect("Start", "c", "a").await;
    assert_eq!(rig.heard().await, ("Added".to_owned(), "c".to_owned()));
    assert_eq!(rig.heard().await, ("NodeUpdated".to_owned(), "c".to_owned()));

    // One that comes later, on another host; a tap is typed as the kernel's driver says.
    rig.apply(vec![add("b", "veth0", "tuntap", "i")]).await;
    rig.expect("Start", "c", "b").await;
    assert_eq!(rig.heard().await.0, "NodeUpdated");
    // One that goes takes its capture with it.
    rig.apply(vec![Mutation::delete_node(Id::from("b"))]).await;
    assert_eq!(rig.heard().await.0, "NodeUpdated");
    // One that no longer matches is given up.
    rig.apply(vec![Mutation::update_node(Id::from("a"), [Op::set("Name", "veth1")])]).await;
    rig.expect("Stop", "c", "a").await;

    rig.make("d", r#"{"GremlinQuery":"G.V().Has('Name',Within('veth1','eth0'))"}"#).await;
    let mut asked = vec![rig.asked().await, rig.asked().await];
    asked.sort_unstable();
    let said = |kind: &str, node: &str| (kind.to_owned(), "d".to_owned(), node.to_owned());
    assert_eq!(asked, [said("Start", "a"), said("Start", "other")]);
    rig.remove("d").await;
    let mut asked = vec![rig.asked().await, rig.asked().await];
    asked.sort_unstable();
    assert_eq!(asked, [said("Stop", "a"), said("Stop", "other")]);
    let kinds = async {
        loop {
            let (kind, id) = rig.heard().await;
            if (kind.as_str(), id.as_str()) == ("Deleted", "d") {
                break;
            }
        }
    };
    kinds.await;
}

#[tokio::test]
async fn what_fails_is_tried_again_with_pauses() {
    let mut rig = Rig::new();
    let failures = Failures::default();
    failures.lock().unwrap().insert("a".to_owned(), 2);
    let _agent = rig.agent("h", &failures);
    rig.apply(vec![add("a", "veth0", "veth", "h"), add("b", "veth1", "veth", "h")]).await;
    rig.start(None);
    rig.make("c", r#"{"GremlinQuery":"G.V().Has('Name','veth0')"}"#).await;
    rig.expect("Start", "c", "a").await;
    let first = Instant::now();
    // Whatever happens meanwhile does not make it come sooner.
    for n in 0..20 {
        rig.apply(vec![Mutation::update_node(Id::from("b"), [Op::set("MTU", n)])]).await;
    }
    rig.expect("Start", "c", "a").await;
    let second = Instant::now();
    rig.expect("Start", "c", "a").await;
    let third = Instant::now();
    // Answers come a moment after the questions that are seen here.
    let (one, two) = (second - first, third - second);
    let pause = Duration::from_secs(1);
    assert!(one >= pause && two + PAUSES.soon >= 2 * pause, "{one:?} {two:?}");
    assert_eq!(rig.heard().await.0, "Added");
    for _ in 0..3 {
        assert_eq!(rig.heard().await.0, "NodeUpdated", "failed ones are told of, too");
    }
}

#[tokio::test]
async fn a_capture_that_is_removed_while_it_begins_ends_at_once() {
    let mut rig = Rig::new();
    let (outgoing, mut questions) = mpsc::channel(64);
    let seat = rig.hosts.join("h".into(), outgoing);
    rig.apply(vec![add("a", "veth0", "veth", "h")]).await;
    rig.start(None);
    rig.make("c", r#"{"GremlinQuery":"G.V().Has('Name','veth0')"}"#).await;
    let question = timeout(LONG, questions.recv()).await.unwrap().unwrap();
    assert_eq!((question.kind.as_str(), rig.heard().await.0.as_str()), ("Start", "Added"));
    rig.remove("c").await;
    assert_eq!(rig.heard().await.0, "Deleted");
    // It is only now that the agent says that it runs.
    let work = NodeCapture::decode(&question.obj).unwrap();
    seat.answer(work.to_reply(&question, "Reply", None));
    rig.apply(vec![Mutation::update_node(Id::from("a"), [shown(std::slice::from_ref(&work.capture))])]).await;
    let question = timeout(Duration::from_secs(3), questions.recv()).await.expect("at once").unwrap();
    assert_eq!(question.kind, "Stop");
}

#[tokio::test]
async fn captures_that_nobody_made_are_ended() {
    let mut rig = Rig::new();
    let _agent = rig.agent("h", &Failures::default());
    let mut left = node("a", "veth0", "veth", "h");
    let unknown = Capture { uuid: "left-over".to_owned(), ..Capture::default() };
    let Op::Set(_, value) = shown(std::slice::from_ref(&unknown)) else { panic!("no captures") };
    left.metadata.insert(key::CAPTURES, value);
    rig.apply(vec![Mutation::AddNode(left.clone())]).await;
    rig.start(None);
    rig.expect("Stop", "left-over", "a").await;
    // And those of an agent that comes back, while there is nothing else to do.
    (left.id, left.revision) = (Id::from("b"), 1);
    rig.apply(vec![Mutation::AddNode(left)]).await;
    rig.expect("Stop", "left-over", "b").await;
}

#[tokio::test]
async fn kinds_are_wanted_where_nodes_have_them() {
    let mut rig = Rig::new();
    let _agent = rig.agent("h", &Failures::default());
    rig.apply(vec![
        add("a", "veth0", "veth", "h"),
        add("br", "br0", "ovsbridge", "h"),
        add("h", "h", "host", "h"),
    ])
    .await;
    rig.make("1", r#"{"GremlinQuery":"G.V()","Type":"pcapsocket"}"#).await;
    rig.make("2", r#"{"GremlinQuery":"G.V()","Type":"afpacket"}"#).await;
    rig.make("3", r#"{"GremlinQuery":"G.V().Has('Type','veth')"}"#).await;
    rig.make("4", r#"{"GremlinQuery":"G.V().Has('Type','host')"}"#).await;
    // None has it: the agent refuses, and the node says why.
    rig.make("5", r#"{"GremlinQuery":"G.V().Has('Type','veth')","Type":"ovsmirror"}"#).await;
    rig.start(None);
    let mut asked = Vec::new();
    for _ in 0..5 {
        let (kind, capture, node) = rig.asked().await;
        assert_eq!(kind, "Start");
        asked.push(format!("{capture} on {node}"));
    }
    asked.sort_unstable();
    assert_eq!(asked, ["1 on a", "1 on br", "2 on a", "3 on a", "5 on a"]);
    let why = rig.fault("4", |why| !why.is_empty()).await;
    assert_eq!(why, "no node that the query gives can be captured on, as \"h\" of type \"host\"");
}

#[tokio::test]
async fn what_is_wrong_is_told_of_the_resource_until_it_is_right() {
    let mut rig = Rig::new();
    let failures = Failures::default();
    failures.lock().unwrap().insert("a".to_owned(), 1);
    let _agent = rig.agent("h", &failures);
    rig.apply(vec![add("a", "veth0", "veth", "h")]).await;
    rig.make("c", r#"{"GremlinQuery":"G.V().Has('Type','veth')"}"#).await;
    rig.start(None);
    assert_eq!(rig.fault("c", |why| !why.is_empty()).await, "veth0: not today");
    rig.fault("c", str::is_empty).await;
    // What nodes say, of the first of many.
    let entry = |n: usize| -> Map {
        let why = format!("reason {n}");
        [("ID", "c"), ("State", "error"), ("Error", why.as_str())].into_iter().collect()
    };
    let failed = |n: usize| {
        let mut failed = node(&format!("f{n}"), &format!("veth{n}"), "veth", "h");
        failed.metadata.insert(key::CAPTURES, Value::list([entry(n)]));
        Mutation::AddNode(failed)
    };
    rig.apply((1..=5).map(failed).collect()).await;
    let why = rig.fault("c", |why| !why.is_empty()).await;
    assert_eq!(why, "veth1: reason 1; veth2: reason 2; veth3: reason 3; and 2 more");
    // A query that cannot be answered.
    rig.make("d", r#"{"GremlinQuery":"G.V().Has('Name','veth0').Out().Select('x')"}"#).await;
    let why = rig.fault("d", |why| !why.is_empty()).await;
    assert!(why.starts_with("the query has no answer: Key x not registered"), "{why}");
}

#[tokio::test]
async fn a_path_is_captured_at_all_its_nodes() {
    let mut rig = Rig::new();
    let _agent = rig.agent("h", &Failures::default());
    let edge = |parent: &str, child: &str| {
        let metadata: Map = [("RelationType", "layer2")].into_iter().collect();
        let (parent, child) = (Id::from(parent), Id::from(child));
        let id = Edge::link_id(&parent, &child, "layer2");
        Mutation::AddEdge(Edge::new(id, parent, child, Source::of("test", "h"), metadata, Timestamp::EPOCH))
    };
    rig.start(None);
    rig.make("c", r#"{"GremlinQuery":"G.V().Has('Name','x').ShortestPathTo(Metadata('Name','z'))"}"#).await;
    rig.apply(vec![
        add("x", "x", "veth", "h"),
        add("y", "y", "bridge", "h"),
        add("z", "z", "veth", "h"),
        edge("x", "y"),
        edge("y", "z"),
    ])
    .await;
    let mut nodes = Vec::new();
    for _ in 0..3 {
        nodes.push(rig.asked().await.2);
    }
    nodes.sort_unstable();
    assert_eq!(nodes, ["x", "y", "z"]);
}

#[tokio::test]
async fn the_capture_of_the_configuration_is_made_once() {
    let mut rig = Rig::new();
    let capture = Capture::decode(br#"{"GremlinQuery":"G.V()","BPFFilter":"tcp"}"#).unwrap();
    for _ in 0..2 {
        rig.start(Some(capture.clone()));
        let (kind, made) = rig.heard().await;
        let Listing { resources, .. } = rig.store.list(KIND).await.unwrap();
        let ids: Vec<&str> = resources.iter().map(|resource| resource.id.as_str()).collect();
        assert_eq!((kind.as_str(), ids), ("Added", vec![made.as_str()]));
        rig.engine.take().unwrap().abort();
    }
    for (query, filter) in [("G.V(", ""), ("G.V()", "tcp port")] {
        let (gremlin_query, bpf_filter) = (query.to_owned(), filter.to_owned());
        rig.start(Some(Capture { gremlin_query, bpf_filter, ..Capture::default() }));
        assert_eq!(rig.heard().await.0, "Added", "of the one that is there");
        assert_eq!(rig.store.list(KIND).await.unwrap().resources.len(), 1, "{query} {filter}");
        rig.engine.take().unwrap().abort();
    }
}

/// Thousands of nodes, hundreds of captures: what a look costs.
#[tokio::test]
async fn a_look_at_many_captures_is_short() {
    let rig = Rig::new();
    let nodes = (0..5000).map(|n| add(&format!("n{n}"), &format!("veth{n}"), "veth", "h")).collect();
    rig.apply(nodes).await;
    let snapshot = rig.live.snapshot().await.unwrap();
    let known = |n: usize| {
        let gremlin_query = format!("G.V().Has('Name','veth{n}')");
        let query = FollowedQuery::read(&gremlin_query, &Limits::default(), Timestamp::EPOCH).unwrap();
        (
            SmolStr::from(n.to_string()),
            Arc::new(wanted::Known { capture: Capture { gremlin_query, ..Capture::default() }, query }),
        )
    };
    let captures: BTreeMap<_, _> = (0..200).map(known).collect();
    let begin = Instant::now();
    let found = wanted::look(&captures, snapshot, &skydive_query::Cx::new(Timestamp::EPOCH));
    let took = begin.elapsed();
    assert_eq!(found.wanted.len(), 200);
    println!("a look at 200 captures in 5000 nodes: {took:?}");
    assert!(took < Duration::from_millis(200), "{took:?}");
}
