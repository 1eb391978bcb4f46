//! A graph fed by the two probes, and questions to it.

use std::collections::BTreeMap;
use std::path::{Path, PathBuf};
use std::sync::{Arc, Mutex};
use std::time::Duration;

use anyhow::{Context, Result};
use serde_json::{Value as Json, json};
use skydive_graph::{Graph, Mutation, Node, Snapshot, Source, key};
use skydive_probes::{Health, Namespaces, PROBES, ProbeConfig, ProbeScope, ProbeTelemetry, Report};
use skydive_testnet::{Netns, ScratchDir};
use skydive_value::{Clock, Id, Map, Timestamp};
use tokio::sync::{mpsc, watch};
use tokio::task::JoinSet;
use tokio::time::timeout;
use tokio_util::sync::CancellationToken;

pub(crate) const DEADLINE: Duration = Duration::from_secs(30);
pub(crate) const METRICS: Duration = Duration::from_millis(200);

/// Tests take turns: all of them see the processes and names of all others.
static TURN: tokio::sync::Mutex<()> = tokio::sync::Mutex::const_new(());

pub(crate) struct World {
    state: watch::Receiver<Snapshot>,
    pub(crate) health: Arc<Mutex<BTreeMap<&'static str, Health>>>,
    pub(crate) telemetry: ProbeTelemetry,
    /// Held by who applies mutations while it does.
    applying: Arc<tokio::sync::Mutex<()>>,
    stop: CancellationToken,
    tasks: JoinSet<Result<()>>,
    names: Option<ScratchDir>,
}

/// What a test holds while it runs.
pub(crate) async fn turn() -> tokio::sync::MutexGuard<'static, ()> {
    TURN.lock().await
}

impl World {
    /// Probes that know the namespaces given, by links to their files, and those of processes.
    pub(crate) fn of(namespaces: &[&Netns]) -> Result<Self> {
        let names = ScratchDir::new("names")?;
        for netns in namespaces {
            std::os::unix::fs::symlink(netns.path(), names.path().join(netns.name()))?;
        }
        let mut world = Self::start(names.path())?;
        world.names = Some(names);
        Ok(world)
    }

    /// Probes that know the namespaces of a directory, and those of processes.
    pub(crate) fn start(directory: &Path) -> Result<Self> {
        let clock = Clock::new({
            let start = tokio::time::Instant::now();
            move || Timestamp::from_millis(1_700_000_000_000).plus(start.elapsed())
        });
        let source = Source::of("agent", "here");
        let telemetry = ProbeTelemetry::default();
        let config = ProbeConfig {
            host_node: Id::random(),
            source: Arc::clone(&source),
            host_id: "here".into(),
            metrics_update: METRICS,
            sockets_update: METRICS,
            netns_run_path: directory.to_owned(),
            metadata_files: Vec::new(),
            namespaces: Namespaces::default(),
            telemetry: telemetry.clone(),
        };
        let host: Map = [(key::NAME, "here"), (key::TYPE, key::node_type::HOST)].into_iter().collect();
        let host = Node::new(config.host_node.clone(), source, host, clock.now());
        let mut graph = Graph::new();
        graph.apply(Mutation::AddNode(host), clock.now(), &mut Vec::new())?;
        let (show, state) = watch::channel(graph.snapshot());
        let (reports, mut inbox) = mpsc::channel(64);
        let stop = CancellationToken::new();
        let mut tasks = JoinSet::new();
        for def in PROBES.iter().filter(|def| matches!(def.name, "netlink" | "netns")) {
            let probe = (def.build)(&config)?;
            let scope = ProbeScope::new(def.name, reports.clone(), clock.clone(), stop.clone());
            tasks.spawn(async move { Ok(probe.run(scope).await?) });
        }
        let health = Arc::new(Mutex::new(BTreeMap::new()));
        let told = Arc::clone(&health);
        let applying = Arc::new(tokio::sync::Mutex::new(()));
        let turn = Arc::clone(&applying);
        tasks.spawn(async move {
            while let Some(report) = inbox.recv().await {
                let _turn = turn.lock().await;
                match report {
                    Report::Mutations { mutations, .. } => {
                        for mutation in mutations {
                            // A namespace may go while its interfaces are being shown.
                            let _ = graph.apply(mutation, clock.now(), &mut Vec::new());
                        }
                        let _ = show.send(graph.snapshot());
                    }
                    Report::Health { probe, health } => {
                        told.lock().expect("no panic").insert(probe, health);
                    }
                    Report::Abandoned { probe } => panic!("{probe} ended by a defect"),
                }
            }
            Ok(())
        });
        Ok(Self { state, health, telemetry, applying, stop, tasks, names: None })
    }

    /// Stops the graph, and with it all that waits for room before it, until what is given is dropped.
    pub(crate) async fn hold(&self) -> tokio::sync::OwnedMutexGuard<()> {
        Arc::clone(&self.applying).lock_owned().await
    }

    /// Adds a name for a namespace.
    pub(crate) fn name(&self, netns: &Netns) -> Result<()> {
        let names = self.names.as_ref().context("a directory of our own")?;
        std::os::unix::fs::symlink(netns.path(), names.path().join(netns.name()))?;
        Ok(())
    }

    /// Removes the name of a namespace.
    pub(crate) fn unname(&self, name: &str) -> Result<()> {
        let names = self.names.as_ref().context("a directory of our own")?;
        Ok(std::fs::remove_file(names.path().join(name))?)
    }

    pub(crate) fn path_of(&self, netns: &Netns) -> Option<PathBuf> {
        Some(self.names.as_ref()?.path().join(netns.name()))
    }

    /// Waits until the graph answers.
    pub(crate) async fn wait<T>(
        &mut self,
        what: &str,
        mut look: impl FnMut(&View) -> Option<T>,
    ) -> Result<T> {
        let waiting = async {
            loop {
                let found = look(&View(self.state.borrow_and_update().clone()));
                match found {
                    Some(found) => return anyhow::Ok(found),
                    None => self.state.changed().await?,
                }
            }
        };
        let found = timeout(DEADLINE, waiting).await;
        match found {
            Ok(found) => found,
            Err(_) => {
                anyhow::bail!("still waiting for {what}:\n{}", View(self.state.borrow().clone()).print())
            }
        }
    }

    /// Waits until an interface answers.
    pub(crate) async fn wait_link(
        &mut self,
        netns: &Netns,
        name: &str,
        what: &str,
        look: impl Fn(&Json) -> bool,
    ) -> Result<Json> {
        let owner = netns.name().to_owned();
        self.wait(&format!("{name}: {what}"), |view| view.link(&owner, name).filter(&look)).await
    }

    /// Waits until both graphs have the same contents of a namespace.
    pub(crate) async fn agrees(&mut self, other: &Self, netns: &str) -> Result<()> {
        let mut other = other.state.clone();
        let agreeing = async {
            loop {
                let here = View(self.state.borrow_and_update().clone()).contents(netns);
                let there = View(other.borrow_and_update().clone()).contents(netns);
                if here == there && !here.is_empty() {
                    return anyhow::Ok(());
                }
                tokio::select! {
                    changed = self.state.changed() => changed?,
                    changed = other.changed() => changed?,
                }
            }
        };
        timeout(DEADLINE, agreeing).await?
    }

    pub(crate) fn view(&self) -> View {
        View(self.state.borrow().clone())
    }

    pub(crate) async fn stop(mut self) -> Result<()> {
        self.stop.cancel();
        let ended = async {
            while let Some(task) = self.tasks.join_next().await {
                task??;
            }
            anyhow::Ok(())
        };
        timeout(Duration::from_secs(5), ended).await?
    }
}

/// The graph at one moment.
pub(crate) struct View(Snapshot);

impl View {
    /// Metadata of a namespace, by its name.
    pub(crate) fn netns(&self, name: &str) -> Option<Json> {
        let node = self.netns_node(name)?;
        Some(json!(node.metadata))
    }

    fn netns_node(&self, name: &str) -> Option<Arc<Node>> {
        self.0.nodes().find(|n| n.node_type() == "netns" && n.name() == name).cloned()
    }

    pub(crate) fn netns_by_path(&self, path: &str) -> Option<Json> {
        self.0.nodes().find(|n| n.metadata.text("Path") == Some(path)).map(|n| json!(n.metadata))
    }

    /// Metadata of an interface of a namespace, the host's for an empty name.
    pub(crate) fn link(&self, netns: &str, name: &str) -> Option<Json> {
        self.owned(netns).into_iter().find(|n| n.name() == name).map(|n| json!(n.metadata))
    }

    pub(crate) fn link_id(&self, netns: &str, name: &str) -> Option<String> {
        self.owned(netns).into_iter().find(|n| n.name() == name).map(|n| n.id.to_string())
    }

    /// Nodes owned by a namespace with this name or path.
    pub(crate) fn owned(&self, netns: &str) -> Vec<Arc<Node>> {
        let is_owner = |node: &Node| match netns {
            "" => node.node_type() == "host",
            name => {
                node.node_type() == "netns"
                    && (node.name() == name || node.metadata.text("Path") == Some(name))
            }
        };
        self.0
            .edges()
            .filter(|edge| edge.relation() == "ownership" && is_owner(edge.parent()))
            .map(|edge| Arc::clone(edge.child()))
            .collect()
    }

    /// Edges but ownership, by the names of their ends: parent, child, relation, type.
    pub(crate) fn edges(&self) -> Vec<[String; 4]> {
        let mut all: Vec<[String; 4]> = self
            .0
            .edges()
            .filter(|edge| edge.relation() != "ownership")
            .map(|edge| {
                let kind = edge.metadata().text("Type").unwrap_or_default();
                [edge.parent().name(), edge.child().name(), edge.relation(), kind].map(ToOwned::to_owned)
            })
            .collect();
        all.sort();
        all
    }

    pub(crate) fn has_edge(&self, edge: [&str; 4]) -> bool {
        self.edges().iter().any(|e| *e == edge)
    }

    pub(crate) fn counts(&self, kind: &str) -> usize {
        self.0.nodes().filter(|n| n.node_type() == kind).count()
    }

    /// Edges between the ends of pairs, both having one of these names.
    pub(crate) fn pairs(&self, names: &[&str]) -> usize {
        let is_one = |node: &Node| names.contains(&node.name());
        let veth = self.0.edges().filter(|e| e.metadata().text("Type") == Some("veth"));
        veth.filter(|e| is_one(e.parent()) && is_one(e.child())).count()
    }

    /// All edges between the ends of pairs.
    pub(crate) fn veth_edges(&self) -> usize {
        self.0.edges().filter(|e| e.metadata().text("Type") == Some("veth")).count()
    }

    /// What a namespace holds, in a form that is equal for equal contents: counters and ids left out.
    pub(crate) fn contents(&self, netns: &str) -> Vec<String> {
        let owned = self.owned(netns);
        let mut out: Vec<String> = owned
            .iter()
            .map(|node| {
                let mut metadata = node.metadata.clone();
                metadata.remove(key::METRIC);
                metadata.remove(key::LAST_UPDATE_METRIC);
                json!(metadata).to_string()
            })
            .collect();
        for edge in self.0.edges().filter(|e| e.relation() != "ownership") {
            if owned.iter().any(|n| n.id == edge.parent().id || n.id == edge.child().id) {
                let (parent, child) = (edge.parent().name(), edge.child().name());
                out.push(format!("{parent} -> {child} {}", json!(edge.metadata())));
            }
        }
        out.sort();
        out
    }

    fn print(&self) -> String {
        let mut text = String::new();
        for node in self.0.nodes().take(60) {
            let mut metadata = node.metadata.clone();
            metadata.remove(key::FEATURES);
            text.push_str(&format!("{}\n", json!(metadata)));
        }
        text + &format!("{:?}", self.edges())
    }
}
