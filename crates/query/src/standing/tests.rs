//! A standing query beside a fresh run of it, for many queries and many histories.

use std::collections::BTreeMap;

use proptest::prelude::*;
use skydive_graph::{Cascade, Change, Graph, Mutation, Op as Set, Source};
use skydive_value::Map;

use super::*;
use crate::{Cx, Limits, Rows, View, execute_on, parse};

const NODES: [&str; 7] = ["a", "b", "c", "d", "e", "f", "g"];
const TYPES: [&str; 3] = ["host", "veth", "bridge"];
const RELATIONS: [&str; 2] = ["ownership", "layer2"];

type Copy = (BTreeMap<Id, Node>, BTreeMap<Id, Edge>);

fn query(text: &str) -> Query {
    parse(text, &Limits::default()).unwrap_or_else(|fault| panic!("{text}: {fault}"))
}

fn fresh(query: &Query, graph: &Graph) -> Copy {
    match execute_on(query, &View::whole(graph.snapshot()), &Cx::new(Timestamp::EPOCH)) {
        Ok(answer) => match answer.rows {
            Rows::Graph(view) => (
                view.nodes().map(|node| (node.id.clone(), (**node).clone())).collect(),
                view.edges().map(|edge| (edge.id().clone(), edge.to_edge())).collect(),
            ),
            other => panic!("{:?}", other.kind()),
        },
        Err(QueryError::NoNode(_) | QueryError::NoEdge(_)) => Copy::default(),
        Err(fault) => panic!("{fault}"),
    }
}

fn copy(standing: &Standing, graph: &Graph) -> Copy {
    let (nodes, edges) = standing.elements(graph.view());
    (
        nodes.into_iter().map(|node| (node.id.clone(), (*node).clone())).collect(),
        edges.into_iter().map(|edge| (edge.id.clone(), (*edge).clone())).collect(),
    )
}

/// What a client does that believes every message, and would notice one that makes no sense.
fn apply(copy: &mut Copy, event: &GraphEvent) {
    let (nodes, edges) = copy;
    match event {
        GraphEvent::NodeAdded(n) => assert!(nodes.insert(n.id.clone(), (**n).clone()).is_none(), "{event:?}"),
        GraphEvent::NodeUpdated { node: n, .. } => {
            assert!(nodes.insert(n.id.clone(), (**n).clone()).is_some(), "{event:?}");
        }
        GraphEvent::NodeDeleted(n) => assert!(nodes.remove(&n.id).is_some(), "{event:?}"),
        GraphEvent::EdgeAdded(e) => assert!(edges.insert(e.id.clone(), (**e).clone()).is_none(), "{event:?}"),
        GraphEvent::EdgeUpdated { edge: e, .. } => {
            assert!(edges.insert(e.id.clone(), (**e).clone()).is_some(), "{event:?}");
        }
        GraphEvent::EdgeDeleted(e) => assert!(edges.remove(&e.id).is_some(), "{event:?}"),
    }
}

fn id() -> impl Strategy<Value = Id> {
    prop::sample::select(&NODES[..]).prop_map(Id::from)
}

fn fields() -> impl Strategy<Value = Map> {
    (prop::sample::select(&TYPES[..]), 0..3_i64).prop_map(|(kind, mtu)| {
        let mut map: Map = [("Type", kind)].into_iter().collect();
        map.insert("MTU", mtu);
        map
    })
}

fn mutation() -> impl Strategy<Value = Mutation> {
    let source = Source::of("agent", "h");
    let (one, other) = (source.clone(), source);
    let relation =
        || prop::sample::select(&RELATIONS[..]).prop_map(|r| [("RelationType", r)].into_iter().collect());
    let edge_id = || (id(), id()).prop_map(|(a, b)| Id::from(format!("{a}-{b}").as_str()));
    prop_oneof![
        4 => (id(), fields()).prop_map(move |(id, map)| {
            Mutation::AddNode(Node::new(id, one.clone(), map, Timestamp::EPOCH))
        }),
        6 => (id(), id(), relation()).prop_map(move |(a, b, map): (Id, Id, Map)| {
            let id = Id::from(format!("{a}-{b}").as_str());
            Mutation::AddEdge(Edge::new(id, a, b, other.clone(), map, Timestamp::EPOCH))
        }),
        3 => (id(), 0..3_i64).prop_map(|(id, mtu)| Mutation::update_node(id, [Set::set("MTU", mtu)])),
        2 => (id(), fields()).prop_map(|(id, map)| {
            Mutation::UpdateNode { id, change: Change::Metadata(map), stamp: None }
        }),
        2 => (edge_id(), relation()).prop_map(|(id, map): (Id, Map)| {
            Mutation::UpdateEdge { id, change: Change::Metadata(map), stamp: None }
        }),
        2 => edge_id().prop_map(|id| Mutation::DeleteEdge { id }),
        1 => (id(), any::<bool>()).prop_map(|(id, all)| {
            Mutation::DeleteNode { id, cascade: if all { Cascade::Owned } else { Cascade::Edges } }
        }),
    ]
}

fn condition() -> impl Strategy<Value = String> {
    prop_oneof![
        prop::sample::select(&TYPES[..]).prop_map(|kind| format!("'Type', '{kind}'")),
        (0..3).prop_map(|mtu| format!("'MTU', Gt({mtu})")),
        Just("'Type', Within('veth', 'bridge')".to_owned()),
        Just("'Type', Regex('.*e.*'), 'MTU', Ne(1)".to_owned()),
    ]
}

fn keep() -> impl Strategy<Value = String> {
    prop_oneof![
        condition().prop_map(|c| format!(".Has({c})")),
        condition().prop_map(|c| format!(".HasEither({c}, 'MTU', 0)")),
        Just(".HasKey('Type')".to_owned()),
        Just(".HasNot('Gone')".to_owned()),
        Just(".Dedup()".to_owned()),
        Just(String::new()),
    ]
}

fn cut() -> impl Strategy<Value = &'static str> {
    prop::sample::select(&[".SubGraph()", ".SubGraph('RelationType', 'layer2')"][..])
}

fn filter() -> impl Strategy<Value = String> {
    let walk = (prop::sample::select(&["In", "Out", "Both"][..]), prop::option::of(condition()), keep())
        .prop_map(|(step, condition, keep)| format!(".{step}({}){keep}", condition.unwrap_or_default()));
    let nodes = (prop::option::weighted(0.2, id()), keep(), prop::collection::vec(walk, 0..4), cut())
        .prop_map(|(id, keep, walks, cut)| {
            let id = id.map(|id| format!("'{id}'")).unwrap_or_default();
            format!("G.V({id}){keep}{}{cut}", walks.concat())
        });
    let edges =
        (prop::option::of(prop::sample::select(&RELATIONS[..])), cut()).prop_map(|(relation, cut)| {
            let has = relation.map(|r| format!(".Has('RelationType', '{r}')")).unwrap_or_default();
            format!("G.E(){has}{cut}")
        });
    prop_oneof![6 => nodes, 2 => edges, 1 => Just("G".to_owned())]
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(1000))]

    #[test]
    fn a_copy_that_hears_the_differences_is_the_answer(
        text in filter(),
        before in prop::collection::vec(mutation(), 0..40),
        after in prop::collection::vec(prop::collection::vec(mutation(), 1..6), 1..15),
    ) {
        let query = query(&text);
        let mut graph = Graph::new();
        for mutation in before {
            let _ = graph.apply(mutation, Timestamp::EPOCH, &mut Vec::new());
        }
        let mut standing = Standing::of(&query, Timestamp::EPOCH).unwrap().expect("a set");
        // It begins empty where the query would be refused.
        let _ = standing.start(graph.view());
        let mut kept = copy(&standing, &graph);
        prop_assert_eq!(&kept, &fresh(&query, &graph), "{} at the start", &text);

        let mut mirror = graph.snapshot();
        let mut follower = Graph::new();
        for event in everything(&mirror) {
            follower.apply(Mutation::from(&event), Timestamp::EPOCH, &mut Vec::new()).unwrap();
        }
        for batch in after {
            let mut events = Vec::new();
            for mutation in batch {
                let _ = graph.apply(mutation, Timestamp::EPOCH, &mut events);
            }
            let mut told = Vec::new();
            for event in &events {
                // Whoever follows the events has the graph after each of them.
                let _ = follower.apply(Mutation::from(event), Timestamp::EPOCH, &mut Vec::new());
                mirror = follower.snapshot();
                standing.hear(event, &mirror, &mut told);
            }
            for event in &told {
                apply(&mut kept, event);
            }
            prop_assert_eq!(&kept, &fresh(&query, &graph), "{} after {:?}", &text, events);
            prop_assert_eq!(&kept, &copy(&standing, &graph));
        }
    }
}

fn everything(graph: &Snapshot) -> Vec<GraphEvent> {
    let nodes = graph.nodes().map(|node| GraphEvent::NodeAdded(node.clone()));
    nodes.chain(graph.edges().map(|edge| GraphEvent::EdgeAdded(Arc::new(edge.to_edge())))).collect()
}

#[test]
fn which_queries_stand() {
    for (text, stands) in [
        ("G", true),
        ("G.V().SubGraph()", true),
        ("G.V('x').Out().Out().SubGraph()", true),
        ("G.E().Has('RelationType', 'layer2').SubGraph()", true),
        ("G.V().Has('Type', 'host').Dedup().Both('Type', 'veth').HasNot('MTU').SubGraph()", true),
        ("G.V().Limit(3).SubGraph()", false),
        ("G.V().Dedup('Type').SubGraph()", false),
        ("G.V().Descendants().SubGraph()", false),
        ("G.V().SubGraph().V().SubGraph()", false),
        ("G.V().OutE().SubGraph()", false),
        ("G.At('-1m').V().SubGraph()", false),
        ("G.V().Has('Type', 'host').As('a').G.V().SubGraph()", false),
    ] {
        assert_eq!(Standing::of(&query(text), Timestamp::EPOCH).unwrap().is_some(), stands, "{text}");
    }
    assert!(Standing::of(&query("G.V().Has('MTU', Lt('x')).SubGraph()"), Timestamp::EPOCH).is_err());
}

#[test]
fn an_element_that_is_named_has_to_exist_at_the_start() {
    let mut standing = Standing::of(&query("G.V('x').SubGraph()"), Timestamp::EPOCH).unwrap().unwrap();
    assert_eq!(standing.start(&Snapshot::default()).unwrap_err().to_string(), "Node 'x' does not exist");
}

#[test]
fn the_order_is_that_of_the_original() {
    let standing = Standing::of(&query("G.V('a').Out().SubGraph()"), Timestamp::EPOCH).unwrap();
    let (mut standing, mut graph) = (standing.unwrap(), Graph::new());
    let (source, mut events) = (Source::of("agent", "h"), Vec::new());
    for id in ["a", "b", "c"] {
        let node = Node::new(id.into(), source.clone(), Map::new(), Timestamp::EPOCH);
        graph.apply(Mutation::AddNode(node), Timestamp::EPOCH, &mut events).unwrap();
    }
    let link = |from: &str, to: &str| {
        let extra = Map::new();
        Edge::link(from.into(), to.into(), "layer2", extra, source.clone(), Timestamp::EPOCH)
    };
    let first = link("b", "c");
    for edge in [link("a", "b"), first.clone()] {
        graph.apply(Mutation::AddEdge(edge), Timestamp::EPOCH, &mut events).unwrap();
    }
    standing.start(graph.view()).unwrap();
    let mut said = |graph: &mut Graph, mutation| {
        let (mut events, mut told) = (Vec::new(), Vec::new());
        graph.apply(mutation, Timestamp::from_millis(5), &mut events).unwrap();
        for event in &events {
            standing.hear(event, graph.view(), &mut told);
        }
        told
    };
    let joined = link("a", "c");
    let told = said(&mut graph, Mutation::AddEdge(joined.clone()));
    let [GraphEvent::NodeAdded(node), GraphEvent::EdgeAdded(edge)] = &told[..] else { panic!("{told:?}") };
    assert_eq!((&node.id, &edge.id), (&Id::from("c"), &first.id));
    let told = said(&mut graph, Mutation::DeleteEdge { id: joined.id });
    let [GraphEvent::NodeDeleted(node), GraphEvent::EdgeDeleted(edge)] = &told[..] else {
        panic!("{told:?}")
    };
    // Both are still there, only not here.
    assert_eq!((node.deleted_at, edge.deleted_at), (None, None));

    // What is gone says when.
    let mut all = Standing::of(&query("G.V().SubGraph()"), Timestamp::EPOCH).unwrap().unwrap();
    all.start(graph.view()).unwrap();
    let (mut events, mut told) = (Vec::new(), Vec::new());
    let gone = Timestamp::from_millis(5);
    graph.apply(Mutation::delete_node("b".into()), gone, &mut events).unwrap();
    for event in &events {
        all.hear(event, graph.view(), &mut told);
    }
    assert_eq!(told, events);
    assert!(
        matches!(&told[..], [.., GraphEvent::NodeDeleted(node)] if node.deleted_at == Some(gone)),
        "{told:?}"
    );
}
