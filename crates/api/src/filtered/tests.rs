//! Subscribers of filters keep a true copy, whichever way a filter is evaluated.

use std::collections::BTreeMap;

use proptest::prelude::*;
use skydive_graph::{Change, Mutation, Op, Source};
use skydive_value::{Id, Map, Timestamp};
use tokio::runtime::Builder;

use super::*;

type Copy = (BTreeMap<Id, Arc<Node>>, BTreeMap<Id, Arc<Edge>>);

const SOON: Duration = Duration::from_secs(20);

fn live(stop: &CancellationToken) -> LiveGraph {
    let (live, owner) = LiveGraph::new(Clock::new(|| Timestamp::from_millis(5)), Box::new(|_, _| Vec::new()));
    tokio::spawn(owner.run(stop.clone()));
    live
}

fn filters(live: &LiveGraph, queue_size: usize, stop: &CancellationToken) -> Filters {
    Filters {
        live: live.clone(),
        clock: Clock::new(|| Timestamp::from_millis(5)),
        limits: skydive_query::Limits::default(),
        queue_size,
        stop: stop.clone(),
        tasks: TaskTracker::new(),
        requests: Mutex::default(),
    }
}

fn copy((nodes, edges): Elements) -> Copy {
    (
        nodes.into_iter().map(|node| (node.id.clone(), node)).collect(),
        edges.into_iter().map(|edge| (edge.id.clone(), edge)).collect(),
    )
}

fn hear(copy: &mut Copy, batch: &[GraphEvent]) {
    let (nodes, edges) = copy;
    for event in batch {
        match event {
            GraphEvent::NodeAdded(node) => assert!(nodes.insert(node.id.clone(), node.clone()).is_none()),
            GraphEvent::NodeUpdated { node, .. } => {
                assert!(nodes.insert(node.id.clone(), node.clone()).is_some(), "{event:?}");
            }
            GraphEvent::NodeDeleted(node) => assert!(nodes.remove(&node.id).is_some(), "{event:?}"),
            GraphEvent::EdgeAdded(edge) => assert!(edges.insert(edge.id.clone(), edge.clone()).is_none()),
            GraphEvent::EdgeUpdated { edge, .. } => {
                assert!(edges.insert(edge.id.clone(), edge.clone()).is_some(), "{event:?}");
            }
            GraphEvent::EdgeDeleted(edge) => assert!(edges.remove(&edge.id).is_some(), "{event:?}"),
        }
    }
}

fn fresh(query: &Query, graph: &Snapshot) -> Copy {
    copy(Filters::evaluate(query, graph, &Cx::new(Timestamp::EPOCH)).unwrap_or_default())
}

fn name(n: u8) -> Id {
    Id::from(format!("n{}", n % 8).as_str())
}

fn mutation((what, one, other, mtu): (u8, u8, u8, i64)) -> Mutation {
    let source = Source::of("agent", "h");
    let (one, other) = (name(one), name(other));
    let mut map: Map = [("Type", if mtu == 0 { "host" } else { "veth" })].into_iter().collect();
    map.insert("MTU", mtu);
    let relation = if mtu == 1 { "ownership" } else { "layer2" };
    let id = Id::from(format!("{one}-{other}").as_str());
    match what {
        0 | 1 => Mutation::AddNode(Node::new(one, source, map, Timestamp::EPOCH)),
        2..=4 => {
            let map: Map = [("RelationType", relation)].into_iter().collect();
            Mutation::AddEdge(Edge::new(id, one, other, source, map, Timestamp::EPOCH))
        }
        5 => Mutation::update_node(one, [Op::set("MTU", mtu)]),
        6 => Mutation::UpdateNode { id: one, change: Change::Metadata(map), stamp: None },
        7 => Mutation::DeleteEdge { id },
        _ => Mutation::delete_node(one),
    }
}

fn mutations(most: usize) -> impl Strategy<Value = Vec<Mutation>> {
    let draw = (0..9_u8, any::<u8>(), any::<u8>(), 0..3_i64).prop_map(mutation);
    prop::collection::vec(draw, 1..most)
}

/// Half of them have to be evaluated anew.
const FILTERS: [&str; 10] = [
    "G",
    "G.V().Has('MTU', Gt(0)).SubGraph()",
    "G.V().Has('Type', 'host').Out().Dedup().Out('Type', 'veth').SubGraph()",
    "G.E().Has('RelationType', 'layer2').SubGraph()",
    "G.V('n1').Both().SubGraph('RelationType', 'layer2')",
    "G.V().Has('MTU', 1).Limit(2).SubGraph()",
    "G.V().Has('Type', 'host').Descendants(2).SubGraph()",
    "G.V().Has('MTU', 2).OutE().SubGraph()",
    "G.V().SubGraph().V().Has('Type', 'veth').SubGraph()",
    "G.V().Sort('MTU').Range(1, 4).Both().SubGraph()",
];

proptest! {
    // A wrong copy is only known by waiting: what shortens a failure has to end too.
    #![proptest_config(ProptestConfig { cases: 24, max_shrink_time: 60_000, ..ProptestConfig::default() })]

    /// Two mutations at a time hurry past a queue that holds four: filters that fall behind jump.
    #[test]
    fn a_copy_that_hears_the_differences_is_the_answer(
        filter in 0..FILTERS.len(),
        queue in prop::sample::select(&[4_usize, 1000][..]),
        before in mutations(60),
        after in prop::collection::vec(mutations(8), 1..4),
    ) {
        let runtime = Builder::new_multi_thread().worker_threads(2).enable_all().build().unwrap();
        runtime.block_on(async {
            let stop = CancellationToken::new();
            let live = live(&stop);
            live.apply(before).await.unwrap();
            let filters = filters(&live, queue, &stop);
            let query = filters.parse(FILTERS[filter]).unwrap();
            let Ok(joined) = filters.join(query.clone(), 10_000, None).await else { return };
            let mut kept = copy(joined.elements);
            let mut events = joined.events;
            assert_eq!(kept, fresh(&query, &live.snapshot().await.unwrap()), "{} at the start", query.text());
            for batch in after {
                for mutation in batch {
                    live.apply(vec![mutation]).await.unwrap();
                }
                let truth = fresh(&query, &live.snapshot().await.unwrap());
                let caught_up = async {
                    while kept != truth {
                        hear(&mut kept, &events.next().await.unwrap());
                    }
                };
                let in_time = timeout(SOON, caught_up).await.is_ok();
                assert!(in_time, "{}: {kept:?} is not {truth:?}", query.text());
            }
            stop.cancel();
        });
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn who_has_the_same_filter_shares_it_and_the_last_one_ends_it() {
    let stop = CancellationToken::new();
    let live = live(&stop);
    let filters = filters(&live, 100, &stop);
    let query = filters.parse("G.V().Has('Type', 'host').SubGraph()").unwrap();
    let mut one = filters.join(query.clone(), 10, None).await.unwrap();
    let mut other = filters.join(query, 10, None).await.unwrap();
    assert!(Arc::ptr_eq(&one.encoded, &other.encoded) && one.is_incremental);
    live.apply(vec![mutation((0, 1, 0, 0))]).await.unwrap();
    let (first, second) = (one.events.next().await.unwrap(), other.events.next().await.unwrap());
    assert!(Arc::ptr_eq(&first, &second));
    drop((one, other));
    let again = filters.join(filters.parse("G").unwrap(), 10, None).await.unwrap();
    assert_eq!(again.elements.0.len(), 1);
}

#[tokio::test(flavor = "multi_thread")]
async fn what_is_refused() {
    let stop = CancellationToken::new();
    let live = live(&stop);
    let filters = filters(&live, 100, &stop);
    let said = |text: &str| filters.parse(text).map(|_| ()).unwrap_err().to_string();
    assert_eq!(said("G.V("), "Invalid Gremlin filter 'G.V('");
    for text in ["G.V()", "G.Flows()", "G.V().Flows().Nodes().SubGraph()"] {
        assert_eq!(said(text), format!("Gremlin query '{text}' did not return a graph"));
    }
    assert_eq!(said("G.V().Has('MTU', Lt('x')).SubGraph()"), "LT values should be of int64 type");
    for (text, fault) in [
        ("G.V('x').SubGraph()", "Node 'x' does not exist"),
        ("G.V('x').OutE().SubGraph()", "Node 'x' does not exist"),
        ("G.At('-1h').V().SubGraph()", "Backend does not support history"),
    ] {
        let refused = filters.join(filters.parse(text).unwrap(), 10, None).await.err().unwrap();
        assert_eq!(refused.to_string(), fault, "{text}");
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn nobody_waits_for_the_evaluation_of_a_filter() {
    let stop = CancellationToken::new();
    let live = live(&stop);
    let many = (0..20_000_u32).map(|n| {
        let map: Map = [("Name", format!("{n}").as_str())].into_iter().collect();
        let id = Id::from(format!("m{n}").as_str());
        Mutation::AddNode(Node::new(id, Source::of("agent", "h"), map, Timestamp::EPOCH))
    });
    live.apply(many.collect()).await.unwrap();
    let filters = filters(&live, 1000, &stop);
    let heavy = filters.parse("G.V().Sort('Name').Limit(3).SubGraph()").unwrap();
    let heavy = filters.join(heavy, 1000, None).await.unwrap();
    assert!(!heavy.is_incremental);
    let light = filters.parse("G.V().Has('Type', 'host').SubGraph()").unwrap();
    let mut light = filters.join(light, 1000, None).await.unwrap();
    for n in 0..100 {
        live.apply(vec![mutation((8, 1, 0, 0)), mutation((0, 1, 0, 0))]).await.unwrap();
        let mut heard = 0;
        while heard < if n == 0 { 1 } else { 2 } {
            heard += timeout(SOON, light.events.next()).await.unwrap().unwrap().len();
        }
    }
    assert_eq!(live.counters().lost.get(), 0);
}

/// What a listener is told next, as many events, sorted.
async fn told(events: &mut Subscription, count: usize) -> Vec<String> {
    let mut told = Vec::new();
    while told.len() < count {
        let batch = timeout(SOON, events.next()).await.unwrap_or_else(|_| panic!("still {told:?}")).unwrap();
        told.extend(batch.iter().map(|event| match event {
            GraphEvent::NodeAdded(node) => format!("+{}", node.id),
            GraphEvent::NodeUpdated { node, .. } => format!("={}", node.id),
            GraphEvent::EdgeAdded(edge) => format!("+{}", edge.id),
            other => panic!("{other:?}"),
        }));
    }
    told.sort();
    told
}

#[tokio::test(flavor = "multi_thread")]
async fn who_publishes_is_told_of_others_and_of_what_follows_from_what_it_did() {
    // The first is followed event by event, the second evaluated anew.
    for (filter, is_incremental) in [
        ("G.V().Has('Type', 'host').Both().SubGraph()", true),
        ("G.V().Has('Type', 'host').Neighbors('RelationType', 'layer2', 1).SubGraph()", false),
    ] {
        let stop = CancellationToken::new();
        let live = live(&stop);
        // Two hosts that are linked, and something else.
        live.apply(vec![mutation((0, 1, 0, 0)), mutation((0, 2, 0, 0)), mutation((2, 1, 2, 0))])
            .await
            .unwrap();
        live.apply(vec![mutation((0, 3, 0, 2))]).await.unwrap();
        let filters = filters(&live, 100, &stop);
        let query = filters.parse(filter).unwrap();
        let (one, other) = (Mark::default(), Mark::default());
        let join = |mark: &Mark| filters.join(query.clone(), 100, Some(mark.clone()));
        let (mut first, mut second) = (join(&one).await.unwrap(), join(&other).await.unwrap());
        assert_eq!(first.is_incremental, is_incremental);
        let publish = async |mark: &Mark, mutations: Vec<Mutation>| {
            let publication =
                crate::live::Publication { client_type: "t".into(), mutations, mark: Some(mark.clone()) };
            live.publish(publication).await.unwrap();
        };
        // A change of its own, and an edge of its own that brings in what was there.
        let touch = |id: &str| Mutation::update_node(id.into(), [Op::set("A", 1)]);
        publish(&one, vec![touch("n1"), mutation((2, 1, 3, 0))]).await;
        assert_eq!(told(&mut first.events, 1).await, ["+n3"], "{filter}");
        assert_eq!(told(&mut second.events, 3).await, ["+n1-n3", "+n3", "=n1"], "{filter}");
        // What the other does, it hears.
        publish(&other, vec![touch("n2")]).await;
        assert_eq!(told(&mut first.events, 1).await, ["=n2"], "{filter}");
        // What both changed is told to both where it is not known who was last.
        if !is_incremental {
            let again = |n: i64| Mutation::update_node("n1".into(), [Op::set("B", n)]);
            publish(&one, vec![again(1)]).await;
            publish(&other, vec![again(2)]).await;
            assert_eq!(told(&mut first.events, 1).await, ["=n1"], "{filter}");
        }
        stop.cancel();
    }
}
