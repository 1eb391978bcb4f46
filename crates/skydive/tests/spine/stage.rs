//! Hosts made of network namespaces, the program running on them, and a client that stands on one of them.

use std::collections::BTreeMap;
use std::fs::File;
use std::future::Future;
use std::path::{Path, PathBuf};
use std::process::{Command, ExitStatus, Output, Stdio};
use std::sync::atomic::{AtomicU32, Ordering};
use std::time::Duration;

use rustix::process::{Pid, Signal, kill_process};
use rustix::thread::{LinkNameSpaceType, move_into_link_name_space};
use serde_json::Value as Json;
use skydive_client::{Connection, ConnectionSettings, Ended, Endpoint, Explained, Outgoing, Response, Rest};
use skydive_proto::{Envelope, Handshake, graph_type, namespace};
use skydive_testnet::{Netns, Running, ScratchDir, eventually};
use tokio::runtime::Runtime;

/// Where agents and analyzers listen unless told otherwise.
pub(crate) const AGENT: &str = "127.0.0.1:8081";
pub(crate) const ANALYZER: &str = "127.0.0.1:8082";

/// How long something may take that takes milliseconds on an idle machine.
pub(crate) const SOON: Duration = Duration::from_secs(20);

/// The binary under test: the one named by the environment, which all black-box tests share, or cargo's.
pub(crate) fn binary() -> PathBuf {
    std::env::var_os("SKYDIVE_BIN")
        .map_or_else(|| PathBuf::from(env!("CARGO_BIN_EXE_skydive")), PathBuf::from)
}

/// A host: a network namespace with its loopback up, and a directory for what its programs write.
pub(crate) struct Host {
    pub(crate) netns: Netns,
    scratch: ScratchDir,
    started: AtomicU32,
}

/// What a program on a host sees of the processes of the machine.
#[derive(Clone, Copy, PartialEq, Eq)]
pub(crate) enum Sees {
    /// Its own: namespaces that other tests make and change do not show.
    Itself,
    /// All, as on a host without tests.
    #[allow(dead_code, reason = "what the bench wants")]
    All,
}

/// The program, running on a host. Killed when dropped; what it logged is shown when the test has failed.
pub(crate) struct Service {
    running: Option<Running>,
    sees: Sees,
    log: PathBuf,
}

/// Gives a program process ids of its own; ends with it, and with its exit status.
const ALONE: [&str; 6] = ["unshare", "--pid", "--fork", "--kill-child=KILL", "--mount-proc", "--"];

/// A client that stands on a host and asks one server.
pub(crate) struct Desk {
    runtime: Runtime,
    rest: Rest,
}

/// A subscriber that keeps a copy of the graph from what it is told.
pub(crate) struct Subscriber<'d> {
    desk: &'d Desk,
    connection: Connection,
    pub(crate) graph: Graph,
}

/// An agent made of a connection alone: says what the test wants.
pub(crate) struct FakeAgent {
    outgoing: Outgoing,
}

/// Nodes and edges by id, as JSON.
#[derive(Clone, Debug, Default, PartialEq)]
pub(crate) struct Graph {
    pub(crate) nodes: BTreeMap<String, Json>,
    pub(crate) edges: BTreeMap<String, Json>,
}

impl Host {
    pub(crate) fn new(hint: &str) -> Self {
        let netns = Netns::with_loopback(hint).unwrap();
        let scratch = ScratchDir::new(hint).unwrap();
        std::fs::create_dir(scratch.path().join("netns")).unwrap();
        Self { netns, scratch, started: AtomicU32::new(0) }
    }

    pub(crate) fn ip(&self, command: &str) {
        let words: Vec<&str> = command.split_whitespace().collect();
        self.netns.ip(&words).unwrap();
    }

    pub(crate) fn directory(&self) -> &Path {
        self.scratch.path()
    }

    /// The program prepared to run here: nothing of the test's environment, state in the host's own directory, and
    /// only those named namespaces that the test puts there.
    pub(crate) fn command(&self, arguments: &[&str], environment: &[(&str, &str)]) -> Command {
        let binary = binary();
        self.command_of(&[&[binary.to_str().unwrap()], arguments].concat(), environment)
    }

    /// The same for any command line.
    pub(crate) fn command_of(&self, line: &[&str], environment: &[(&str, &str)]) -> Command {
        let mut command = self.netns.command(line).unwrap();
        command.env_clear().env("PATH", std::env::var_os("PATH").unwrap_or_default());
        command.env("SKYDIVE_DATA_DIR", self.scratch.path().join("data"));
        command.env("SKYDIVE_AGENT_TOPOLOGY_NETNS_RUN_PATH", self.scratch.path().join("netns"));
        command.envs(environment.iter().copied()).stdin(Stdio::null());
        command
    }

    /// Starts the program; it sees no processes but itself.
    pub(crate) fn start(&self, arguments: &[&str], environment: &[(&str, &str)]) -> Service {
        let binary = binary();
        let line = [&[binary.to_str().unwrap()], arguments].concat();
        self.start_line(&line, environment, Sees::Itself)
    }

    /// Starts any command line.
    pub(crate) fn start_line(&self, line: &[&str], environment: &[(&str, &str)], sees: Sees) -> Service {
        let alone = if sees == Sees::Itself { &ALONE[..] } else { &[] };
        let mut command = self.command_of(&[alone, line].concat(), environment);
        let number = self.started.fetch_add(1, Ordering::Relaxed);
        let log = self.scratch.path().join(format!("log{number}"));
        let output = File::create(&log).unwrap();
        let running = Running::start(command.stdout(output.try_clone().unwrap()).stderr(output)).unwrap();
        Service { running: Some(running), sees, log }
    }

    /// Runs the program to its end.
    pub(crate) fn run(&self, arguments: &[&str]) -> Output {
        self.command(arguments, &[]).output().unwrap()
    }

    /// Runs `f` on a thread that stands on this host: its sockets, and those of the threads it makes, are here.
    pub(crate) fn enter<T: Send>(&self, f: impl FnOnce() -> T + Send) -> T {
        let path = self.netns.path();
        let inside = || {
            let netns = File::open(path).unwrap();
            let net = Some(LinkNameSpaceType::Network);
            move_into_link_name_space(std::os::fd::AsFd::as_fd(&netns), net).unwrap();
            f()
        };
        let ended = std::thread::scope(|scope| scope.spawn(inside).join());
        ended.unwrap_or_else(|panic| std::panic::resume_unwind(panic))
    }

    /// Runs `f` with a client of the server at `address`, which must answer soon.
    pub(crate) fn ask<T: Send>(&self, address: &str, f: impl FnOnce(&Desk) -> T + Send) -> T {
        self.enter(|| {
            let desk = Desk::new(address);
            eventually(&format!("{address} to answer"), SOON, || desk.is_up().then_some(())).unwrap();
            f(&desk)
        })
    }
}

impl Service {
    /// The process id of the program itself.
    pub(crate) fn pid(&self) -> u32 {
        let first = self.running.as_ref().unwrap().pid();
        eventually("the program to be started", SOON, || self.sees.innermost(first)).unwrap()
    }

    /// Processor time used so far, of all threads.
    #[allow(dead_code, reason = "what a bench wants")]
    pub(crate) fn processor_time(&self) -> Duration {
        // Ticks a second in `/proc/PID/stat`, the same on all of Linux's machines that matter.
        const TICKS: u64 = 100;
        let stat = std::fs::read_to_string(format!("/proc/{}/stat", self.pid())).unwrap();
        // The name may hold spaces; what follows its bracket does not.
        let fields: Vec<&str> = stat.rsplit_once(')').unwrap().1.split_whitespace().collect();
        let ticks = fields[11].parse::<u64>().unwrap() + fields[12].parse::<u64>().unwrap();
        Duration::from_millis(ticks * 1000 / TICKS)
    }

    pub(crate) fn log(&self) -> String {
        std::fs::read_to_string(&self.log).unwrap_or_default()
    }

    /// `SIGKILL`: no goodbye. What the program held is free when this returns.
    pub(crate) fn kill(mut self) {
        self.signal(Signal::KILL);
        self.ended(SOON);
    }

    pub(crate) fn signal(&self, signal: Signal) {
        let pid = Pid::from_raw(self.pid().cast_signed()).unwrap();
        kill_process(pid, signal).unwrap();
    }

    /// Waits for the end of the program.
    pub(crate) fn ended(&mut self, deadline: Duration) -> ExitStatus {
        let child = self.running.as_mut().unwrap().child();
        eventually("the program to end", deadline, || child.try_wait().unwrap()).unwrap()
    }
}

impl Drop for Service {
    fn drop(&mut self) {
        if let Some(mut running) = self.running.take() {
            // A program that became another user does not end with the process that started it; that one ends with
            // the program, and only then is free what it held.
            let inner = self.sees.innermost(running.pid()).and_then(|pid| Pid::from_raw(pid.cast_signed()));
            if inner.is_some_and(|pid| kill_process(pid, Signal::KILL).is_ok()) {
                let _ = eventually("the end", SOON, || running.child().try_wait().transpose());
            }
        }
        if std::thread::panicking() {
            eprintln!("--- {}\n{}---", self.log.display(), self.log());
        }
    }
}

impl Sees {
    /// The program itself, when `first` was started for it; `None` while there is none.
    fn innermost(self, first: u32) -> Option<u32> {
        match self {
            Self::All => Some(first),
            Self::Itself => std::fs::read_to_string(format!("/proc/{first}/task/{first}/children"))
                .ok()?
                .trim()
                .parse()
                .ok(),
        }
    }
}

impl Desk {
    pub(crate) fn new(address: &str) -> Self {
        // Its threads are made by this one and so stand where it stands.
        let runtime =
            tokio::runtime::Builder::new_multi_thread().worker_threads(1).enable_all().build().unwrap();
        let rest = Rest::new(address.parse().unwrap()).unwrap();
        Self { runtime, rest }
    }

    pub(crate) fn block<T>(&self, future: impl Future<Output = T>) -> T {
        self.runtime.block_on(future)
    }

    pub(crate) fn is_up(&self) -> bool {
        self.block(self.rest.api()).is_ok()
    }

    /// The answer to a query, whatever it is.
    pub(crate) fn query(&self, gremlin: &str) -> Response {
        self.block(self.rest.topology(gremlin, "application/json", Explained::No)).unwrap()
    }

    pub(crate) fn rest(&self) -> &Rest {
        &self.rest
    }

    pub(crate) fn get(&self, path: &str) -> Response {
        self.block(self.rest.get(path)).unwrap()
    }

    /// The live graph; `None` when the server does not answer.
    pub(crate) fn graph(&self) -> Option<Graph> {
        let answer = self.block(self.rest.graph("application/json")).ok()?;
        let json = serde_json::from_slice(&answer.body).ok()?;
        Some(Graph::of(&json))
    }

    pub(crate) fn status(&self) -> Json {
        self.block(self.rest.status()).unwrap()
    }

    /// A count of refusals as the status tells it, which must be what `/metrics` tells too.
    pub(crate) fn loss(&self, field: &str, metric: &str) -> u64 {
        let same = eventually("the status and the metrics to agree", SOON, || {
            let told = self.status().pointer(&format!("/Losses/{field}"))?.as_u64()?;
            let line = format!("{metric}_total {told}");
            self.get("/metrics").message().lines().any(|l| l == line).then_some(told)
        });
        same.unwrap_or_else(|_| panic!("{field} and {metric}:\n{}", self.get("/metrics").message()))
    }

    /// Connects a subscriber; its graph is that of now.
    pub(crate) fn subscribe(&self) -> Subscriber<'_> {
        let handshake = Handshake { client_type: "test".into(), ..Handshake::default() };
        let settings = ConnectionSettings::default();
        let endpoint: &Endpoint = self.rest.endpoint();
        let connection = self.block(Connection::open(endpoint, "/ws/subscriber", &handshake, settings));
        let mut subscriber =
            Subscriber { desk: self, connection: connection.unwrap(), graph: Graph::default() };
        let request = Envelope::json(namespace::GRAPH, graph_type::SYNC_REQUEST, "{}".into());
        self.block(subscriber.connection.send(&request)).unwrap();
        let synced = subscriber.until("the reply to a SyncRequest", |kind, _| kind == graph_type::SYNC_REPLY);
        synced.unwrap();
        subscriber
    }

    /// Connects as the agent `host_id`.
    pub(crate) fn fake_agent(&self, host_id: &str) -> FakeAgent {
        let handshake =
            Handshake { host_id: host_id.into(), client_type: "agent".into(), ..Handshake::default() };
        let settings = ConnectionSettings::default();
        let opened = Connection::open(self.rest.endpoint(), "/ws/agent/topology", &handshake, settings);
        let mut connection = self.block(opened).unwrap();
        let outgoing = connection.outgoing();
        // Answers pings and writes what is queued until it is closed.
        self.runtime.spawn(async move { while connection.next().await.is_ok() {} });
        FakeAgent { outgoing }
    }
}

impl FakeAgent {
    pub(crate) fn say(&self, desk: &Desk, kind: &str, obj: &Json) {
        let message = Envelope::json(namespace::GRAPH, kind, obj.to_string().into());
        desk.block(self.outgoing.send(message)).unwrap();
    }
}

impl Subscriber<'_> {
    /// Takes messages until `enough(type of the message, graph after it)`, which is first asked without a message.
    pub(crate) fn until(
        &mut self,
        what: &str,
        mut enough: impl FnMut(&str, &Graph) -> bool,
    ) -> Result<(), Ended> {
        let (connection, graph) = (&mut self.connection, &mut self.graph);
        let waited = async {
            let mut kind = String::new();
            while !enough(&kind, graph) {
                let message = connection.next().await?;
                kind.clone_from(&message.kind);
                graph.hear(&message);
            }
            Ok(())
        };
        let waited = async { tokio::time::timeout(SOON, waited).await };
        self.desk.block(waited).unwrap_or_else(|_| panic!("still waiting for {what} after {SOON:?}"))
    }
}

impl Graph {
    /// From `{"Nodes": […], "Edges": […]}`.
    pub(crate) fn of(json: &Json) -> Self {
        let by_id = |field: &str| {
            let list = json.get(field).and_then(Json::as_array);
            list.into_iter().flatten().map(|element| (id_of(element), element.clone())).collect()
        };
        Self { nodes: by_id("Nodes"), edges: by_id("Edges") }
    }

    /// What came from one origin.
    pub(crate) fn part(&self, origin: &str) -> Self {
        let of = |all: &BTreeMap<String, Json>| {
            let mine = all
                .iter()
                .filter(|(_, element)| element.get("Origin").and_then(Json::as_str) == Some(origin));
            mine.map(|(id, element)| (id.clone(), element.clone())).collect()
        };
        Self { nodes: of(&self.nodes), edges: of(&self.edges) }
    }

    pub(crate) fn is_empty(&self) -> bool {
        self.nodes.is_empty() && self.edges.is_empty()
    }

    /// The id of the node with this name.
    pub(crate) fn named(&self, name: &str) -> Option<&str> {
        self.nodes.iter().find(|(_, node)| text(node, "/Metadata/Name") == name).map(|(id, _)| id.as_str())
    }

    /// The names of the interfaces that the host node owns, sorted.
    pub(crate) fn interfaces_of_host(&self) -> Vec<String> {
        let is_host =
            |id: &str| self.nodes.get(id).is_some_and(|node| text(node, "/Metadata/Type") == "host");
        let owned = self.edges.values().filter(|edge| {
            text(edge, "/Metadata/RelationType") == "ownership" && is_host(text(edge, "/Parent"))
        });
        let children = owned.filter_map(|edge| self.nodes.get(text(edge, "/Child")));
        let interfaces = children.filter(|node| node.pointer("/Metadata/IfIndex").is_some());
        let mut names: Vec<String> = interfaces.map(|node| text(node, "/Metadata/Name").to_owned()).collect();
        names.sort_unstable();
        names
    }

    /// What is different in `other`, a line each.
    pub(crate) fn differences(&self, other: &Self) -> Vec<String> {
        let mut lines = Vec::new();
        for (ours, theirs) in [(&self.nodes, &other.nodes), (&self.edges, &other.edges)] {
            for (id, element) in ours {
                match theirs.get(id) {
                    None => lines.push(format!("missing: {element}")),
                    Some(copy) if copy != element => {
                        lines.push(format!("differs: {element}\n     from: {copy}"));
                    }
                    Some(_) => {}
                }
            }
            let ghosts = theirs.iter().filter(|(id, _)| !ours.contains_key(*id));
            lines.extend(ghosts.map(|(_, element)| format!("ghost: {element}")));
        }
        lines
    }

    fn hear(&mut self, message: &Envelope) {
        let obj: Json = serde_json::from_slice(&message.obj).unwrap_or_default();
        use graph_type as t;
        match message.kind.as_str() {
            t::SYNC_REPLY => *self = Self::of(&obj),
            t::NODE_ADDED | t::NODE_UPDATED => drop(self.nodes.insert(id_of(&obj), obj)),
            t::NODE_DELETED => drop(self.nodes.remove(&id_of(&obj))),
            t::EDGE_ADDED | t::EDGE_UPDATED => drop(self.edges.insert(id_of(&obj), obj)),
            t::EDGE_DELETED => drop(self.edges.remove(&id_of(&obj))),
            _ => {}
        }
    }
}

fn id_of(element: &Json) -> String {
    text(element, "/ID").to_owned()
}

/// The text at a JSON pointer; empty when there is none.
pub(crate) fn text<'j>(json: &'j Json, pointer: &str) -> &'j str {
    json.pointer(pointer).and_then(Json::as_str).unwrap_or_default()
}

pub(crate) fn stderr(output: &Output) -> String {
    String::from_utf8_lossy(&output.stderr).into_owned()
}
