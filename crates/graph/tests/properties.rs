//! What must hold for every history of a graph.

#![allow(clippy::unwrap_used, reason = "a test that cannot set up must fail")]

use std::collections::{BTreeMap, BTreeSet};
use std::sync::Arc;

use proptest::prelude::*;
use skydive_graph::{
    Cascade, Change, Edge, Graph, GraphEvent, Mutation, Node, Op, ReadCount, Snapshot, Source, key,
};
use skydive_value::{Filter, Id, Map, Timestamp, Value};

/// Everything a graph says, in comparable form.
fn content(graph: &Snapshot) -> (BTreeMap<Id, Node>, BTreeMap<Id, Edge>) {
    (
        graph.nodes().map(|n| (n.id.clone(), (**n).clone())).collect(),
        graph.edges().map(|e| (e.id().clone(), e.to_edge())).collect(),
    )
}

fn source(n: u8) -> Arc<Source> {
    Source::of("agent", ["h0", "h1"][usize::from(n % 2)])
}

fn node_id(n: u8) -> Id {
    Id::from(format!("n{}", n % 12))
}

fn metadata(v: u8) -> Map {
    let mut map: Map =
        [("Name", format!("name{}", v % 5)), ("Type", format!("type{}", v % 3))].into_iter().collect();
    if v.is_multiple_of(2) {
        map.insert("IPV4", Value::list([format!("10.0.0.{}/24", v % 7), format!("10.0.1.{}/24", v % 3)]));
    }
    if v.is_multiple_of(3) {
        map.insert("MTU", i64::from(v));
    }
    map
}

fn edge(id: u8, p: u8, c: u8, now: Timestamp) -> Edge {
    let relation = if id.is_multiple_of(2) { key::relation::OWNERSHIP } else { key::relation::LAYER2 };
    let metadata = [(key::RELATION_TYPE, relation)].into_iter().collect();
    Edge::new(Id::from(format!("e{}", id % 20)), node_id(p), node_id(c), source(id), metadata, now)
}

fn mutation(kind: u8, a: u8, b: u8, c: u8, now: Timestamp) -> Mutation {
    match kind % 12 {
        0..=2 => Mutation::AddNode(Node::new(node_id(a), source(b), metadata(c), now)),
        3 | 4 => {
            let ops = [Op::set("Name", format!("name{}", b % 5)), Op::set("Metric.RxBytes", i64::from(c))];
            Mutation::update_node(node_id(a), ops)
        }
        5 => Mutation::update_node(node_id(a), [Op::remove(["IPV4", "Type", "nothing"][usize::from(b % 3)])]),
        6 => Mutation::UpdateNode { id: node_id(a), change: Change::Metadata(metadata(b)), stamp: None },
        7 => Mutation::DeleteNode {
            id: node_id(a),
            cascade: if b.is_multiple_of(2) { Cascade::Edges } else { Cascade::Owned },
        },
        8 | 9 => Mutation::AddEdge(edge(a, b, c, now)),
        10 => Mutation::DeleteEdge { id: Id::from(format!("e{}", a % 20)) },
        _ if a.is_multiple_of(4) => Mutation::DeleteOrigin { origin: source(b).origin.clone() },
        _ => Mutation::Sync {
            origin: source(b).origin.clone(),
            nodes: (0..a % 6)
                .map(|i| Node::new(node_id(i.wrapping_add(c)), source(b), metadata(c), now))
                .collect(),
            edges: (0..b % 4).map(|i| edge(i, i.wrapping_add(c), c, now)).collect(),
        },
    }
}

fn history() -> impl Strategy<Value = Vec<(u8, u8, u8, u8)>> {
    prop::collection::vec(any::<(u8, u8, u8, u8)>(), 1..120)
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(300))]

    #[test]
    fn a_snapshot_never_changes(history in history()) {
        let mut graph = Graph::new();
        let mut taken = Vec::new();
        for (i, (kind, a, b, c)) in history.into_iter().enumerate() {
            let now = Timestamp::from_millis(i as i64);
            let _ = graph.apply(mutation(kind, a, b, c, now), now, &mut Vec::new());
            if i % 5 == 0 {
                let snapshot = graph.snapshot();
                let then = content(&snapshot);
                taken.push((snapshot, then));
            }
        }
        for (snapshot, then) in taken {
            prop_assert_eq!(content(&snapshot), then);
        }
    }

    /// What is known ahead of a mutation is only a guess: those before it in the batch may add, move or delete all of it.
    #[test]
    fn a_batch_is_its_mutations_one_by_one(history in history(), size in 1usize..70) {
        let now = Timestamp::from_millis(1);
        let all: Vec<Mutation> = history.into_iter().map(|(k, a, b, c)| mutation(k, a, b, c, now)).collect();
        let (mut one, mut many) = (Graph::new(), Graph::new());
        let (mut from_one, mut from_many) = (Vec::new(), Vec::new());
        let (mut refused_one, mut refused_many) = (Vec::new(), Vec::new());
        for mutation in all.clone() {
            refused_one.extend(one.apply(mutation, now, &mut from_one).err());
        }
        for batch in all.chunks(size) {
            many.apply_all(batch.to_vec(), now, &mut from_many, |error| refused_many.push(error));
        }
        prop_assert_eq!(from_one, from_many);
        prop_assert_eq!(refused_one, refused_many);
        prop_assert_eq!(content(&one.snapshot()), content(&many.snapshot()));
    }

    #[test]
    fn events_rebuild_the_graph(history in history()) {
        let (mut graph, mut copy) = (Graph::new(), Graph::new());
        for (i, (kind, a, b, c)) in history.into_iter().enumerate() {
            let now = Timestamp::from_millis(i as i64);
            let mut events: Vec<GraphEvent> = Vec::new();
            let _ = graph.apply(mutation(kind, a, b, c, now), now, &mut events);
            for event in &events {
                let mut echoed = Vec::new();
                copy.apply(Mutation::from(event), now, &mut echoed).unwrap();
                prop_assert_eq!(&echoed[..], std::slice::from_ref(event));
            }
        }
        prop_assert_eq!(content(&copy.snapshot()), content(&graph.snapshot()));
    }

    #[test]
    fn indexes_agree_with_a_scan(history in history()) {
        let mut graph = Graph::new();
        for (i, (kind, a, b, c)) in history.into_iter().enumerate() {
            let now = Timestamp::from_millis(i as i64);
            let _ = graph.apply(mutation(kind, a, b, c, now), now, &mut Vec::new());
        }
        let snapshot = graph.snapshot();
        prop_assert_eq!(snapshot.nodes().count(), snapshot.node_count());
        prop_assert_eq!(snapshot.edges().count(), snapshot.edge_count());
        let asked = (0..5).map(|n| Filter::text("Name", format!("name{n}")))
            .chain((0..3).map(|n| Filter::text("Type", format!("type{n}"))))
            .chain((0..7).map(|n| Filter::text("IPV4", format!("10.0.0.{n}/24"))))
            .chain((0..12).map(|n| Filter::text("@ID", format!("n{n}"))))
            .chain([Filter::Or(vec![Filter::text("Name", "name1"), Filter::text("Name", "name2")])])
            .chain([Filter::text("Name", "name1").and(Filter::text("Type", "type1"))]);
        for filter in asked {
            let reads = ReadCount::default();
            let found: BTreeSet<Id> = snapshot.find_nodes(&filter, &reads).map(|n| n.id.clone()).collect();
            let scanned: BTreeSet<Id> =
                snapshot.nodes().filter(|n| filter.matches(&***n)).map(|n| n.id.clone()).collect();
            prop_assert_eq!(&found, &scanned, "{:?}", filter);
            prop_assert!(reads.index() > 0);
            let narrow = !matches!(filter, Filter::And(_));
            prop_assert!(!narrow || reads.nodes() == found.len() as u64, "an index reads what it returns");
        }
        for node in snapshot.nodes() {
            prop_assert_eq!(graph.node(&node.id), Some(node));
            prop_assert_eq!(snapshot.node(&node.id), Some(node));
            let reads = ReadCount::default();
            let out: BTreeSet<Id> = snapshot.out_edges(&node.id, &reads).map(|e| e.id().clone()).collect();
            let scanned: BTreeSet<Id> =
                snapshot.edges().filter(|e| e.parent().id == node.id).map(|e| e.id().clone()).collect();
            prop_assert_eq!(out, scanned);
            let owners = snapshot.in_edges(&node.id, &reads).filter(|e| e.relation() == "ownership").count();
            prop_assert!(owners <= 1);
        }
    }
}

#[test]
fn a_sync_touches_only_what_differs() {
    let now = Timestamp::from_millis(1);
    let mut graph = Graph::new();
    let nodes: Vec<Node> = (0..6).map(|n| Node::new(node_id(n), source(0), metadata(n), now)).collect();
    let sync = |nodes: &[Node]| Mutation::Sync {
        origin: source(0).origin.clone(),
        nodes: nodes.to_vec(),
        edges: Vec::new(),
    };
    graph.apply(sync(&nodes), now, &mut Vec::new()).unwrap();
    let mut events = Vec::new();
    graph.apply(sync(&nodes), now, &mut events).unwrap();
    assert_eq!(events, []);

    let mut changed = nodes;
    changed.remove(0);
    changed[0].metadata.insert("Name", "renamed");
    changed[0].revision = 2;
    graph.apply(sync(&changed), Timestamp::from_millis(2), &mut events).unwrap();
    assert!(matches!(&events[..], [GraphEvent::NodeDeleted(gone), GraphEvent::NodeUpdated { node, .. }]
        if gone.id == node_id(0) && node.name() == "renamed" && node.created_at == now));
}

#[test]
fn a_sync_with_a_revision_that_went_back_is_believed() {
    let now = Timestamp::from_millis(1);
    let mut graph = Graph::new();
    let at = |revision, name| {
        let mut node = Node::new(node_id(1), source(0), [("Name", name)].into_iter().collect(), now);
        node.revision = revision;
        Mutation::Sync { origin: source(0).origin.clone(), nodes: vec![node], edges: Vec::new() }
    };
    graph.apply(at(50, "before"), now, &mut Vec::new()).unwrap();
    graph.apply(at(1, "after"), now, &mut Vec::new()).unwrap();
    let node = graph.node(&node_id(1)).unwrap();
    assert_eq!((node.revision, node.name()), (1, "after"));
    // The highest revision there is must not break the counting.
    graph.apply(at(i64::MAX, "last"), now, &mut Vec::new()).unwrap();
    graph.apply(Mutation::update_node(node_id(1), [Op::set("Name", "x")]), now, &mut Vec::new()).unwrap();
    assert_eq!(graph.node(&node_id(1)).unwrap().name(), "x");
}

#[test]
fn what_cannot_change_anything_is_no_change() {
    let now = Timestamp::from_millis(1);
    let mut graph = Graph::new();
    let metadata: Map = [("Name", Value::from("n")), ("L", Value::list([1i64]))].into_iter().collect();
    graph
        .apply(Mutation::AddNode(Node::new(node_id(1), source(0), metadata, now)), now, &mut Vec::new())
        .unwrap();
    let deep = vec!["a"; 100_000].join(".");
    for op in [Op::set("Name.x", 1i64), Op::remove("L.k"), Op::set(&deep, 1i64), Op::remove("no.such")] {
        let mut events = Vec::new();
        graph.apply(Mutation::update_node(node_id(1), [op.clone()]), now, &mut events).unwrap();
        assert_eq!((events.len(), graph.node(&node_id(1)).unwrap().revision), (0, 1));
    }
}

#[test]
fn the_child_has_one_owner_and_goes_with_it() {
    let now = Timestamp::from_millis(1);
    let mut graph = Graph::new();
    let mut events = Vec::new();
    for n in 0..3 {
        graph
            .apply(Mutation::AddNode(Node::new(node_id(n), source(0), metadata(n), now)), now, &mut events)
            .unwrap();
    }
    let own = |p, c| Edge::link(node_id(p), node_id(c), key::relation::OWNERSHIP, Map::new(), source(0), now);
    graph.apply(Mutation::AddEdge(own(0, 1)), now, &mut events).unwrap();
    events.clear();
    graph.apply(Mutation::AddEdge(own(2, 1)), now, &mut events).unwrap();
    assert!(
        matches!(&events[..], [GraphEvent::EdgeDeleted(old), GraphEvent::EdgeAdded(_)] if old.parent == node_id(0))
    );
    events.clear();
    graph.apply(Mutation::DeleteNode { id: node_id(2), cascade: Cascade::Owned }, now, &mut events).unwrap();
    assert!(
        matches!(&events[..], [GraphEvent::EdgeDeleted(_), GraphEvent::NodeDeleted(child), GraphEvent::NodeDeleted(_)]
        if child.id == node_id(1) && child.deleted_at == Some(now))
    );
    assert_eq!(graph.node_count(), 1);
}
