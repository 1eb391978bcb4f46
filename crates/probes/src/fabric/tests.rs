//! The fabric on graphs: what it adds and takes back, whatever comes first.

use skydive_graph::Graph;
use skydive_value::Clock;
use tokio::sync::mpsc;
use tokio_util::sync::CancellationToken;

use crate::{Health, Report};

use super::*;

/// A graph and the fabric that keeps adding to it.
struct Bench {
    graph: Graph,
    weaver: Weaver,
}

impl Bench {
    fn new(entries: &[&str]) -> Self {
        let entries: Vec<String> = entries.iter().map(|entry| (*entry).to_owned()).collect();
        let fabric = Fabric::read(&entries);
        assert_eq!(fabric.faults(), []);
        Self { graph: Graph::new(), weaver: Weaver::new(fabric, Source::of("analyzer", "hub")) }
    }

    fn apply(&mut self, mutation: Mutation) {
        let _ = self.graph.apply(mutation, Timestamp::EPOCH, &mut Vec::new());
    }

    fn node(&mut self, name: &str, node_type: &str) {
        let metadata: Map = [("Name", name), ("Type", node_type)].into_iter().collect();
        let source = Source::of("agent", "h");
        self.apply(Mutation::AddNode(Node::new(name.into(), source, metadata, Timestamp::EPOCH)));
    }

    fn owns(&mut self, parent: &str, child: &str) -> Id {
        let source = Source::of("agent", "h");
        let edge = Edge::link(parent.into(), child.into(), "ownership", Map::new(), source, Timestamp::EPOCH);
        let id = edge.id.clone();
        self.apply(Mutation::AddEdge(edge));
        id
    }

    /// The links of the fabric after it has settled, by names, sorted; how many changes that took.
    fn settle(&mut self) -> (Vec<String>, usize) {
        let mut changes = 0;
        loop {
            let mutations = self.weaver.missing(self.graph.view(), Timestamp::EPOCH);
            if mutations.is_empty() {
                break;
            }
            changes += mutations.len();
            assert!(changes < 100, "it does not settle");
            for mutation in mutations {
                self.apply(mutation);
            }
        }
        let graph = self.graph.view();
        let mut links: Vec<String> = graph
            .edges()
            .filter(|edge| edge.source().origin == "analyzer.hub")
            .map(|edge| format!("{} {} {}", edge.parent().name(), edge.relation(), edge.child().name()))
            .collect();
        links.sort_unstable();
        (links, changes)
    }
}

const PATTERN: &[&str] = &["TOR --> [color=red] *[Type=host]/eth0"];

#[test]
fn described_nodes_and_links_come_once_and_come_back() {
    let mut bench = Bench::new(&["TOR[Name=tor] -> P1", "P1 --> P2"]);
    let expected = ["P1 layer2 P2", "tor layer2 P1", "tor ownership P1"].map(str::to_owned).to_vec();
    assert_eq!(bench.settle(), (expected.clone(), 6));
    assert_eq!(bench.settle(), (expected.clone(), 0));
    // Its edges go with it.
    bench.apply(Mutation::delete_node(Id::from_name("fabricP1")));
    assert_eq!(bench.settle(), (expected, 4));
}

#[test]
fn an_owner_given_by_somebody_else_stays() {
    let mut bench = Bench::new(&["TOR -> P1"]);
    bench.settle();
    bench.node("rack", "rack");
    let id = Id::from_name("fabricP1").to_string();
    let theirs = bench.owns("rack", &id);
    assert_eq!(bench.settle().0, ["TOR layer2 P1"]);
    bench.apply(Mutation::DeleteEdge { id: theirs });
    assert_eq!(bench.settle().0, ["TOR layer2 P1", "TOR ownership P1"]);
}

#[test]
fn pairs_are_linked_whatever_came_first() {
    let expected = vec!["TOR layer2 eth0".to_owned()];
    for order in 0..3 {
        let mut bench = Bench::new(PATTERN);
        if order == 0 {
            bench.settle();
        }
        bench.node("eth0", "device");
        if order == 1 {
            assert_eq!(bench.settle().0, [""; 0]);
        }
        bench.node("h", "host");
        bench.node("eth1", "device");
        bench.owns("h", "eth1");
        bench.owns("h", "eth0");
        assert_eq!(bench.settle().0, expected);
        let id = Edge::link_id(&Id::from_name("fabricTOR"), &"eth0".into(), "layer2");
        let graph = bench.graph.snapshot();
        let link = graph.edge(&id).unwrap();
        assert_eq!(
            (link.metadata().text("color"), link.metadata().text("Type")),
            (Some("red"), Some("fabric"))
        );
        assert_eq!(bench.settle(), (expected.clone(), 0));
    }
}

#[test]
fn a_link_goes_with_its_reason_and_comes_back_with_it() {
    let mut bench = Bench::new(PATTERN);
    bench.node("h", "host");
    bench.node("eth0", "device");
    for round in 0..3 {
        let owned = bench.owns("h", "eth0");
        assert_eq!(bench.settle().0, ["TOR layer2 eth0"], "{round}");
        match round {
            0 => bench.apply(Mutation::DeleteEdge { id: owned }),
            1 => bench.apply(Mutation::delete_node("eth0".into())),
            _ => bench.apply(Mutation::DeleteOrigin { origin: "agent.h".into() }),
        }
        assert_eq!(bench.settle().0, [""; 0], "{round}");
        bench.node("h", "host");
        bench.node("eth0", "device");
    }
    bench.owns("h", "eth0");
    bench.settle();
    bench.apply(Mutation::update_node("eth0".into(), [skydive_graph::Op::set("Name", "lan0")]));
    assert_eq!(bench.settle().0, [""; 0]);
}

#[test]
fn a_pattern_does_not_keep_itself_alive() {
    // Both ends of the link it makes are like the pattern.
    let mut bench = Bench::new(&["TOR --> *[Type=device]/eth0", "eth0 --> *[Type=device]/TOR"]);
    bench.node("eth0", "device");
    assert_eq!(bench.settle().0, [""; 0]);
}

#[test]
fn numbers_and_any_name_match() {
    let mut bench = Bench::new(&["TOR --> *[Type=host]/*[MTU=1500]"]);
    bench.node("h", "host");
    for (name, mtu) in [("a", 1500), ("b", 9000)] {
        bench.node(name, "device");
        bench.apply(Mutation::update_node(name.into(), [skydive_graph::Op::set("MTU", mtu)]));
        bench.owns("h", name);
    }
    assert_eq!(bench.settle().0, ["TOR layer2 a"]);
}

#[test]
fn who_is_linked_already_is_left() {
    let mut bench = Bench::new(PATTERN);
    bench.settle();
    bench.node("h", "host");
    bench.node("eth0", "device");
    let tor = Id::from_name("fabricTOR");
    let source = Source::of("api", "hub");
    let edge = Edge::link("eth0".into(), tor, "layer2", Map::new(), source, Timestamp::EPOCH);
    let id = edge.id.clone();
    bench.apply(Mutation::AddEdge(edge));
    bench.owns("h", "eth0");
    assert_eq!(bench.settle().0, [""; 0]);
    bench.apply(Mutation::DeleteEdge { id });
    assert_eq!(bench.settle().0, ["TOR layer2 eth0"]);
}

/// What a probe with these entries says first.
async fn health(entries: &[&str]) -> Health {
    let (graph, watched) = watch::channel(Graph::new().snapshot());
    let config = AnalyzerProbeConfig {
        source: Source::of("analyzer", "hub"),
        graph: watched,
        fabric: entries.iter().map(|entry| (*entry).to_owned()).collect(),
    };
    let probe = build(&config).unwrap();
    drop(config);
    let (reports, mut heard) = mpsc::channel(8);
    let stop = CancellationToken::new();
    let scope = ProbeScope::new(DEF.name, reports, Clock::new(|| Timestamp::EPOCH), stop.clone());
    let running = tokio::spawn(probe.run(scope));
    let Some(Report::Health { health, .. }) = heard.recv().await else { panic!("no health") };
    if entries.is_empty() {
        graph.closed().await;
    }
    stop.cancel();
    running.await.unwrap().unwrap();
    health
}

#[tokio::test]
async fn it_says_what_is_wrong_and_stops_when_told() {
    assert_eq!(health(&[]).await, Health::Running);
    assert_eq!(health(&["a -> b"]).await, Health::Running);
    let Health::Degraded { why, .. } = health(&["a -> b", "TOR"]).await else { panic!("all well") };
    assert_eq!(
        why,
        "1 of 2 entries refused: entry 2, character 4: Fabric link definition should have two endpoints: TOR"
    );
}
