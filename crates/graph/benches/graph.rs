//! The graph at a million nodes of ten keys and two million edges, beside a bare slab and petgraph.
//!
//! The slab has interned keys, an index by id and by the same five keys as ours, and neither events nor snapshots:
//! the least that could do the work. petgraph carries JSON values, as a first version of such a program would.

#![allow(clippy::unwrap_used, clippy::disallowed_methods, reason = "a bench reads the clock and the process")]

use std::collections::HashMap;
use std::hint::black_box;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::mpsc;
use std::time::{Duration, Instant};

use petgraph::stable_graph::{NodeIndex, StableDiGraph};
use serde_json::json;
use skydive_graph::{Edge, Graph, GraphEvent, Mutation, Node, Op, ReadCount, Snapshot, Source};
use skydive_value::{Filter, Id, Map, Path, SmolStr, Test, Timestamp, Value};

#[global_allocator]
static ALLOC: mimalloc::MiMalloc = mimalloc::MiMalloc;

const NODES: usize = 1_000_000;
const EDGES: usize = 2_000_000;
const UPDATES: usize = 1_000_000;
const SAMPLES: usize = 5;
/// Mutations applied together: what a full message of an agent or a burst of the kernel brings.
const BATCH: usize = 250;

fn main() {
    let ids: Vec<Id> = (0..NODES).map(|i| Id::from_name(&i.to_string())).collect();
    // Ours first: memory is what the process takes, which says nothing once a heap was used before. That of the
    // peers is in the design, measured alone.
    ours(&ids);
    peers(&ids);
}

fn ours(ids: &[Id]) {
    let source = Source::of("agent", "host");
    let now = Timestamp::from_millis(1_700_000_000_000);
    let mut events = Vec::new();
    let before = resident();
    let mut graph = Graph::new();
    for (i, id) in ids.iter().enumerate() {
        let node = Node::new(id.clone(), source.clone(), metadata(i), now);
        graph.apply(Mutation::AddNode(node), now, &mut events).unwrap();
        events.clear();
    }
    let per_node = (resident() - before) as f64 / NODES as f64;
    report("memory per node of 10 keys, with every index", "ours", "B", &[per_node], Some(1000.0), "lower");
    let before = resident();
    for i in 0..EDGES {
        let relation = if i % 2 == 0 { "ownership" } else { "layer2" };
        let (parent, child) = if i % 2 == 0 { (i / 2 % 1000, i / 2) } else { (i / 2, (i / 2 + 1) % NODES) };
        let edge =
            Edge::link(ids[parent].clone(), ids[child].clone(), relation, Map::new(), source.clone(), now);
        graph.apply(Mutation::AddEdge(edge), now, &mut events).unwrap();
        events.clear();
    }
    let per_edge = (resident() - before) as f64 / EDGES as f64;
    report("memory per edge with id, times, origin, index", "ours", "B", &[per_edge], Some(120.0), "lower");
    let memory = graph.memory();
    println!(
        "of that, indexes: {} B a node, {} B an edge",
        memory.node_index / NODES,
        memory.edge_index / EDGES
    );

    let path = Path::parse("MTU");
    let mut random = Random(1);
    let mut update = |i: usize| {
        let op = Op::Set(path.clone(), Value::Int(i as i64));
        Mutation::update_node(ids[random.below(NODES)].clone(), [op])
    };
    let alone: Vec<f64> = (0..SAMPLES)
        .map(|s| {
            let start = Instant::now();
            for i in (0..UPDATES).step_by(BATCH) {
                let batch = (i..i + BATCH).map(|i| update(s * UPDATES + i + 10_000)).collect();
                graph.apply_all(batch, now, &mut events, |e| panic!("{e}"));
                events.clear();
            }
            per_second(UPDATES, start.elapsed())
        })
        .collect();
    report("update by id, no snapshot held", "ours", "op/s", &alone, Some(2e6), "higher");

    let (to_consumer, batches) = mpsc::sync_channel::<(Vec<GraphEvent>, Option<Snapshot>)>(64);
    let consumer = std::thread::spawn(move || {
        let mut held = None;
        let mut seen = 0usize;
        for (events, snapshot) in batches {
            seen += events.len();
            held = snapshot.or(held);
        }
        drop(held);
        seen
    });
    let with: Vec<f64> = (0..SAMPLES)
        .map(|s| {
            let start = Instant::now();
            let mut last = start;
            for i in (0..UPDATES).step_by(BATCH) {
                let batch = (i..i + BATCH).map(|i| update(s * UPDATES + i + 100_000_000)).collect();
                let mut events = Vec::with_capacity(BATCH);
                graph.apply_all(batch, now, &mut events, |e| panic!("{e}"));
                let due = last.elapsed() >= Duration::from_millis(10);
                let snapshot = due.then(|| {
                    last = Instant::now();
                    graph.snapshot()
                });
                to_consumer.send((events, snapshot)).unwrap();
            }
            per_second(UPDATES, start.elapsed())
        })
        .collect();
    drop(to_consumer);
    assert!(consumer.join().unwrap() >= SAMPLES * UPDATES);
    report(
        "update by id, a consumer of events, a snapshot every 10 ms",
        "ours",
        "op/s",
        &with,
        Some(5e5),
        "higher",
    );

    let snapshot = graph.snapshot();
    let mut asked = Random(7);
    let filters: Vec<Filter> = (0..10_000)
        .map(|_| Filter::text("Name", SmolStr::from(format!("eth{}", asked.below(NODES)))))
        .collect();
    let lookup: Vec<f64> = (0..SAMPLES)
        .map(|_| {
            let start = Instant::now();
            for filter in &filters {
                let reads = ReadCount::default();
                assert_eq!(black_box(snapshot.find_nodes(filter, &reads).count()), 1);
            }
            start.elapsed().as_nanos() as f64 / filters.len() as f64
        })
        .collect();
    report("indexed lookup", "ours", "ns/op", &lookup, Some(1000.0), "lower");

    let filter = Filter::Field(Path::parse("IfIndex"), Test::Gt(NODES as i64 - 10));
    let scan = |snapshot: &Snapshot| {
        let start = Instant::now();
        let found = snapshot.find_nodes(&filter, &ReadCount::default()).count();
        assert_eq!(black_box(found), 9);
        start.elapsed().as_secs_f64() * 1e3
    };
    let scans: Vec<f64> = (0..SAMPLES).map(|_| scan(&snapshot)).collect();
    report("full scan with a filter over 1 M nodes", "ours", "ms", &scans, Some(40.0), "lower");

    let stop = Arc::new(AtomicBool::new(false));
    let scanner = std::thread::spawn({
        let (stop, snapshot) = (stop.clone(), graph.snapshot());
        move || {
            let filter = Filter::Field(Path::parse("IfIndex"), Test::Gt(NODES as i64 - 10));
            let mut times = Vec::new();
            while !stop.load(Ordering::Relaxed) {
                let start = Instant::now();
                assert_eq!(black_box(snapshot.find_nodes(&filter, &ReadCount::default()).count()), 9);
                times.push(start.elapsed().as_secs_f64() * 1e3);
            }
            times
        }
    });
    let mut spent: Vec<f64> = (0..UPDATES)
        .map(|i| {
            let start = Instant::now();
            graph.apply(update(i + 200_000_000), now, &mut events).unwrap();
            events.clear();
            start.elapsed().as_secs_f64() * 1e3
        })
        .collect();
    stop.store(true, Ordering::Relaxed);
    let during = scanner.join().unwrap();
    spent.sort_by(f64::total_cmp);
    report("the same while the graph is written to", "ours", "ms", &during, Some(40.0), "lower");
    report("mutation during scans, p99", "ours", "ms", &[spent[spent.len() * 99 / 100]], Some(10.0), "lower");
    drop((graph, snapshot));

    let nodes: Vec<Node> = ids
        .iter()
        .enumerate()
        .map(|(i, id)| Node::new(id.clone(), source.clone(), metadata(i), now))
        .collect();
    let mut insert = Vec::new();
    for _ in 0..3 {
        let copies: Vec<Mutation> = nodes.iter().cloned().map(Mutation::AddNode).collect();
        let mut graph = Graph::new();
        let start = Instant::now();
        let mut left = copies.into_iter();
        while left.len() > 0 {
            let batch = left.by_ref().take(BATCH).collect();
            graph.apply_all(batch, now, &mut events, |e| panic!("{e}"));
            events.clear();
        }
        insert.push(per_second(NODES, start.elapsed()));
    }
    report("insert of a 10-key node", "ours", "op/s", &insert, Some(400_000.0), "higher");
}

fn peers(ids: &[Id]) {
    let mut random = Random(1);
    let (mut slab, mut insert) = (Slab::default(), Vec::new());
    for _ in 0..3 {
        let copies: Vec<Map> = (0..NODES).map(metadata).collect();
        slab = Slab::default();
        let start = Instant::now();
        for (id, metadata) in ids.iter().zip(copies) {
            slab.insert(id.clone(), metadata);
        }
        insert.push(per_second(NODES, start.elapsed()));
    }
    report("insert of a 10-key node", "slab", "op/s", &insert, None, "higher");
    let mtu = slab.key("MTU");
    let updates: Vec<f64> = (0..SAMPLES)
        .map(|_| {
            let start = Instant::now();
            for i in 0..UPDATES {
                slab.update(&ids[random.below(NODES)], mtu, Value::Int(i as i64));
            }
            per_second(UPDATES, start.elapsed())
        })
        .collect();
    report("update by id, no snapshot held", "slab", "op/s", &updates, None, "higher");
    let mut asked = Random(7);
    let names: Vec<SmolStr> = (0..10_000).map(|_| format!("eth{}", asked.below(NODES)).into()).collect();
    let lookup: Vec<f64> = (0..SAMPLES)
        .map(|_| {
            let start = Instant::now();
            for name in &names {
                assert_eq!(black_box(slab.named(name).count()), 1);
            }
            start.elapsed().as_nanos() as f64 / names.len() as f64
        })
        .collect();
    report("indexed lookup", "slab", "ns/op", &lookup, None, "lower");
    let index = slab.key("IfIndex");
    let scans: Vec<f64> = (0..SAMPLES)
        .map(|_| {
            let start = Instant::now();
            let found = slab
                .nodes
                .iter()
                .filter(|fields| {
                    fields
                        .iter()
                        .any(|(k, v)| *k == index && v.as_int().is_some_and(|n| n > NODES as i64 - 10))
                })
                .count();
            assert_eq!(black_box(found), 9);
            start.elapsed().as_secs_f64() * 1e3
        })
        .collect();
    report("full scan with a filter over 1 M nodes", "slab", "ms", &scans, None, "lower");
    drop(slab);

    let mut graph = StableDiGraph::<serde_json::Value, serde_json::Value>::new();
    let mut by_id: HashMap<Id, NodeIndex> = HashMap::new();
    let copies: Vec<serde_json::Value> = (0..NODES).map(json_metadata).collect();
    let start = Instant::now();
    for (id, metadata) in ids.iter().zip(copies) {
        by_id.insert(id.clone(), graph.add_node(metadata));
    }
    report(
        "insert of a 10-key node",
        "petgraph",
        "op/s",
        &[per_second(NODES, start.elapsed())],
        None,
        "higher",
    );
    let updates: Vec<f64> = (0..SAMPLES)
        .map(|_| {
            let start = Instant::now();
            for i in 0..UPDATES {
                graph[by_id[&ids[random.below(NODES)]]]["MTU"] = json!(i);
            }
            per_second(UPDATES, start.elapsed())
        })
        .collect();
    report("update by id, no snapshot held", "petgraph", "op/s", &updates, None, "higher");
    let scans: Vec<f64> = (0..SAMPLES)
        .map(|_| {
            let start = Instant::now();
            let found = graph
                .node_weights()
                .filter(|n| n["IfIndex"].as_i64().is_some_and(|v| v > NODES as i64 - 10))
                .count();
            assert_eq!(black_box(found), 9);
            start.elapsed().as_secs_f64() * 1e3
        })
        .collect();
    report("full scan with a filter over 1 M nodes", "petgraph", "ms", &scans, None, "lower");
}

/// Nodes in a vector, keys as numbers, indexes as hash maps.
#[derive(Default)]
struct Slab {
    nodes: Vec<Vec<(u32, Value)>>,
    by_id: HashMap<Id, u32, foldhash::fast::RandomState>,
    indexes: [HashMap<SmolStr, Vec<u32>, foldhash::fast::RandomState>; 5],
    keys: HashMap<SmolStr, u32, foldhash::fast::RandomState>,
}

impl Slab {
    fn key(&mut self, name: &str) -> u32 {
        let next = self.keys.len() as u32;
        *self.keys.entry(name.into()).or_insert(next)
    }

    fn insert(&mut self, id: Id, metadata: Map) {
        let place = self.nodes.len() as u32;
        for (index, key) in self.indexes.iter_mut().zip(["Name", "Type", "TID", "MAC", "IPV4"]) {
            let text = match metadata.get(key) {
                Some(Value::Str(text)) => text.clone(),
                Some(Value::List(items)) => items[0].as_str().unwrap().into(),
                _ => continue,
            };
            index.entry(text).or_default().push(place);
        }
        let fields = metadata.iter().map(|(k, v)| (self.key(k), v.clone())).collect();
        self.nodes.push(fields);
        self.by_id.insert(id, place);
    }

    /// The nodes of a name, each looked at as ours are.
    fn named<'a>(&'a self, name: &'a str) -> impl Iterator<Item = &'a Vec<(u32, Value)>> {
        let places = self.indexes[0].get(name).map(Vec::as_slice).unwrap_or_default();
        let key = self.keys["Name"];
        places
            .iter()
            .map(|place| &self.nodes[*place as usize])
            .filter(move |fields| fields.iter().any(|(k, value)| *k == key && value.as_str() == Some(name)))
    }

    fn update(&mut self, id: &Id, key: u32, value: Value) {
        let fields = &mut self.nodes[self.by_id[id] as usize];
        fields.iter_mut().find(|(k, _)| *k == key).unwrap().1 = value;
    }
}

fn metadata(i: usize) -> Map {
    [
        ("Name", Value::from(format!("eth{i}"))),
        ("Type", Value::from(["veth", "bridge", "device", "vlan"][i % 4])),
        ("TID", Value::from(format!("d720e32d-4765-5177-b65b-{i:012x}"))),
        ("MAC", Value::from(format!("02:00:{:02x}:{:02x}:{:02x}:01", i >> 16 & 255, i >> 8 & 255, i & 255))),
        ("IPV4", Value::list([format!("10.{}.{}.{}/24", i >> 16 & 255, i >> 8 & 255, i & 255)])),
        ("IfIndex", Value::Int(i as i64)),
        ("MTU", Value::Int(1500)),
        ("State", Value::from("UP")),
        ("EncapType", Value::from("ether")),
        ("Driver", Value::from("veth")),
    ]
    .into_iter()
    .collect()
}

fn json_metadata(i: usize) -> serde_json::Value {
    serde_json::to_value(metadata(i)).unwrap()
}

struct Random(u64);

impl Random {
    fn below(&mut self, n: usize) -> usize {
        self.0 = self.0.wrapping_mul(6_364_136_223_846_793_005).wrapping_add(1_442_695_040_888_963_407);
        (self.0 >> 33) as usize % n
    }
}

fn per_second(n: usize, spent: Duration) -> f64 {
    n as f64 / spent.as_secs_f64()
}

/// Bytes resident, from the second field of `/proc/self/statm` in pages.
fn resident() -> u64 {
    let statm = std::fs::read_to_string("/proc/self/statm").unwrap();
    statm.split(' ').nth(1).unwrap().parse::<u64>().unwrap() * 4096
}

fn report(name: &str, who: &str, unit: &str, samples: &[f64], bar: Option<f64>, better: &str) {
    let samples: Vec<String> = samples.iter().map(|s| format!("{s:.4}")).collect();
    let bar = bar.map_or("null".to_owned(), |b| b.to_string());
    println!(
        r#"perf: {{"name":"{name}","who":"{who}","unit":"{unit}","samples":[{}],"bar":{bar},"better":"{better}"}}"#,
        samples.join(",")
    );
}
