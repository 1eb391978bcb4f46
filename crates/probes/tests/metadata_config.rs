//! Values from files, with real files: every way in which a file changes ends in the graph.
#![allow(clippy::unwrap_used, reason = "a test that cannot set up must fail")]

use std::fs;
use std::os::unix::fs::symlink;
use std::path::Path;
use std::time::Duration;

use skydive_graph::{Graph, Mutation, Node, Source};
use skydive_probes::{
    Health, MetadataFile, Namespaces, PROBES, ProbeConfig, ProbeError, ProbeScope, ProbeTelemetry, Report,
};
use skydive_testnet::ScratchDir;
use skydive_value::{Clock, Id, Map, Timestamp};
use tokio::sync::mpsc;
use tokio::task::JoinHandle;
use tokio_util::sync::CancellationToken;

const DEADLINE: Duration = Duration::from_secs(10);

/// A running probe and the graph that its mutations make.
struct Host {
    graph: Graph,
    node: Id,
    health: Option<Health>,
    reports: mpsc::Receiver<Report>,
    stop: CancellationToken,
    probe: JoinHandle<Result<(), ProbeError>>,
}

impl Host {
    fn new(files: Vec<MetadataFile>) -> Self {
        let (mut graph, node, source) = (Graph::new(), Id::from("h"), Source::of("agent", "h"));
        let metadata: Map = [("Type", "host"), ("Name", "h")].into_iter().collect();
        let host = Node::new(node.clone(), source.clone(), metadata, Timestamp::EPOCH);
        graph.apply(Mutation::AddNode(host), Timestamp::EPOCH, &mut Vec::new()).unwrap();
        let config = ProbeConfig {
            host_node: node.clone(),
            source,
            host_id: "h".into(),
            metrics_update: Duration::from_secs(30),
            sockets_update: Duration::from_secs(30),
            netns_run_path: "/nonexistent".into(),
            metadata_files: files,
            namespaces: Namespaces::default(),
            telemetry: ProbeTelemetry::default(),
        };
        let (sender, reports) = mpsc::channel(16);
        let stop = CancellationToken::new();
        let scope = ProbeScope::new("metadata-config", sender, Clock::new(|| Timestamp::EPOCH), stop.clone());
        let def = PROBES.iter().find(|def| def.name == "metadata-config").unwrap();
        let probe = tokio::spawn((def.build)(&config).unwrap().run(scope));
        Self { graph, node, health: None, reports, stop, probe }
    }

    fn config(&self) -> serde_json::Value {
        let node = self.graph.node(&self.node).unwrap();
        node.metadata.get("Config").map_or(serde_json::Value::Null, |v| serde_json::to_value(v).unwrap())
    }

    fn problem(&self) -> &str {
        match &self.health {
            Some(Health::Degraded { why, .. }) => why,
            Some(Health::Running) => "",
            None => "nothing was said yet",
        }
    }

    /// Applies what the probe sends until the node shows `config` and what is missing is told with `problem`.
    async fn shows(&mut self, config: serde_json::Value, problem: &str) {
        let is_there = |host: &Self| {
            host.config() == config
                && if problem.is_empty() {
                    host.problem().is_empty()
                } else {
                    host.problem().contains(problem)
                }
        };
        let all = async {
            while !is_there(self) {
                match self.reports.recv().await.expect("the probe runs") {
                    Report::Mutations { mutations, .. } => {
                        for mutation in mutations {
                            self.graph.apply(mutation, Timestamp::EPOCH, &mut Vec::new()).unwrap();
                        }
                    }
                    Report::Health { health, .. } => self.health = Some(health),
                    Report::Abandoned { probe } => panic!("{probe} ended by a defect"),
                }
            }
        };
        let in_time = tokio::time::timeout(DEADLINE, all).await;
        assert!(in_time.is_ok(), "{} and `{}`, not {config} and `{problem}`", self.config(), self.problem());
    }

    async fn stops(mut self) {
        self.stop.cancel();
        self.reports.close();
        tokio::time::timeout(DEADLINE, self.probe).await.expect("in time").unwrap().unwrap();
    }
}

fn entry(path: &Path, format: &str, name: &str, selector: &str) -> MetadataFile {
    MetadataFile {
        path: path.to_owned(),
        format: format.to_owned(),
        name: name.to_owned(),
        selector: selector.to_owned(),
    }
}

#[tokio::test]
async fn values_follow_their_files() {
    let dir = ScratchDir::new("follow").unwrap();
    let (json, toml) = (dir.path().join("a.json"), dir.path().join("b.toml"));
    fs::write(&json, r#"{"role": "edge", "n": {"size": 3}}"#).unwrap();
    let mut host = Host::new(vec![
        entry(&json, "json", "Role", "role"),
        entry(&json, "json", "site.Size", "n.size"),
        entry(&toml, "toml", "Port", "server.port"),
    ]);
    let both = |port: &str| serde_json::json!({"Role": "edge", "site": {"Size": "3"}, "Port": port});
    let one = serde_json::json!({"Role": "edge", "site": {"Size": "3"}});
    host.shows(one.clone(), "b.toml: No such file").await;
    // Appears late, is written in place, twice with the same length.
    fs::write(&toml, "[server]\nport = 80\n").unwrap();
    host.shows(both("80"), "").await;
    fs::write(&toml, "[server]\nport = 81\n").unwrap();
    host.shows(both("81"), "").await;
    fs::write(&toml, "[server]\nport = 82\n").unwrap();
    host.shows(both("82"), "").await;
    // Is replaced by rename.
    let new = dir.path().join("new");
    fs::write(&new, "server = {port = 'x'}").unwrap();
    fs::rename(&new, &toml).unwrap();
    host.shows(both("x"), "").await;
    // Breaks, lacks the value, is repaired.
    fs::write(&toml, "[server]\nport = \n").unwrap();
    host.shows(one.clone(), "at line 2").await;
    fs::write(&toml, "[client]\n").unwrap();
    host.shows(one.clone(), "b.toml: nothing is at `server.port`").await;
    fs::write(&toml, "[server]\nport = 80\n").unwrap();
    host.shows(both("80"), "").await;
    // Goes.
    fs::remove_file(&toml).unwrap();
    host.shows(one, "b.toml: No such file").await;
    fs::remove_file(&json).unwrap();
    host.shows(serde_json::Value::Null, "a.json: No such file").await;
    host.stops().await;
}

#[tokio::test]
async fn a_directory_may_come_late_and_go() {
    let dir = ScratchDir::new("late").unwrap();
    let deep = dir.path().join("x/y");
    let path = deep.join("c.yaml");
    let mut host = Host::new(vec![entry(&path, "yaml", "A", "a")]);
    host.shows(serde_json::Value::Null, "No such file").await;
    fs::create_dir_all(&deep).unwrap();
    fs::write(&path, "a: 1").unwrap();
    host.shows(serde_json::json!({"A": "1"}), "").await;
    fs::remove_dir_all(dir.path().join("x")).unwrap();
    host.shows(serde_json::Value::Null, "No such file").await;
    fs::create_dir_all(&deep).unwrap();
    fs::write(&path, "a: 2").unwrap();
    host.shows(serde_json::json!({"A": "2"}), "").await;
    host.stops().await;
}

#[tokio::test]
async fn links_are_followed_wherever_they_are_put() {
    let dir = ScratchDir::new("links").unwrap();
    let at = |name: &str| dir.path().join(name);
    for (version, value) in [("v1", "a=1"), ("v2", "a=2")] {
        fs::create_dir(at(version)).unwrap();
        fs::write(at(version).join("f.properties"), value).unwrap();
    }
    let point_to = |version: &str| {
        symlink(version, at("next")).unwrap();
        fs::rename(at("next"), at("current")).unwrap();
    };
    point_to("v1");
    // As volumes are mounted into containers: the name is a link through a link to a directory.
    symlink("current/f.properties", at("f")).unwrap();
    let mut host = Host::new(vec![
        entry(&at("f"), "properties", "ByFile", "a"),
        entry(&at("current/f.properties"), "properties", "ByDirectory", "a"),
    ]);
    let both = |value: &str| serde_json::json!({"ByFile": value, "ByDirectory": value});
    host.shows(both("1"), "").await;
    point_to("v2");
    host.shows(both("2"), "").await;
    fs::write(at("v2/f.properties"), "a=3").unwrap();
    host.shows(both("3"), "").await;
    host.stops().await;
}

#[tokio::test]
async fn without_files_it_waits_for_the_end() {
    let mut host = Host::new(Vec::new());
    host.shows(serde_json::Value::Null, "").await;
    host.stops().await;
}
