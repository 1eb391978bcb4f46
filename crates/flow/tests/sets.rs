//! What the original does with sets of flows.
#![allow(clippy::unwrap_used, reason = "a test that cannot set up must fail")]

use std::fs;
use std::path::Path as File;

use serde_json::Value;
use skydive_flow::{Direction, Flow, FlowSet, FlowTable, Merge, Metric, Sort, TableConfig, field};
use skydive_packet::file::{Reader, Step};
use skydive_value::{Fields, Filter, Hint, Path, Timestamp};

fn scenario(name: &str) -> Value {
    let file = File::new(env!("CARGO_MANIFEST_DIR")).join("tests/data/expected.json");
    let expected: Value = serde_json::from_slice(&fs::read(file).unwrap()).unwrap();
    let all = expected["lifecycle"].as_array().unwrap();
    all.iter().find(|one| one["name"] == name).unwrap().clone()
}

/// The 100 conversations of a capture.
fn captured(node_tid: &str) -> FlowSet {
    let file = File::new(env!("CARGO_MANIFEST_DIR")).join("../packet/tests/data/pcaps/icmpv4-symetric.pcap");
    let bytes = fs::read(file).unwrap();
    let mut table = FlowTable::new(TableConfig { node_tid: node_tid.into(), ..TableConfig::default() });
    let (mut reader, mut at) = (Reader::new(), 0);
    while let Ok(step) = reader.next(&bytes[at..]) {
        match step {
            Step::Packet { packet, consumed } => {
                at += consumed;
                table.packets(&[packet], |_, _| panic!("the table is not full"));
            }
            Step::Passed { consumed } => at += consumed,
            Step::More { .. } => break,
        }
    }
    FlowSet::new(table.flows().map(|flow| flow.to_flow()).collect())
}

/// A flow with the fields that the scenario gives.
fn flow(template: &Flow, given: &Value) -> Flow {
    let time = |name: &str| Timestamp::from_millis(given[name].as_i64().unwrap_or(0));
    Flow {
        tracking_id: given["TrackingID"].as_str().unwrap().parse().unwrap(),
        node_tid: given["NodeTID"].as_str().unwrap_or_default().into(),
        start: time("Start"),
        last: time("Last"),
        ..template.clone()
    }
}

fn set(of: &Value) -> FlowSet {
    let template = captured("").flows.swap_remove(0);
    FlowSet::new(of.as_array().unwrap().iter().map(|given| flow(&template, given)).collect())
}

fn dedup_by(of: &Value) -> Path {
    match of.as_str().unwrap() {
        "" => field::TRACKING_ID.into(),
        name => name.into(),
    }
}

fn texts(set: &FlowSet, name: &str) -> Vec<String> {
    let (path, hint) = (Path::parse(name), Hint::default());
    let text = |flow: &Flow| flow.field(&path, &hint).unwrap().with_str(str::to_owned).unwrap();
    set.flows.iter().map(text).collect()
}

#[test]
fn sort_and_dedup() {
    let scenario = scenario("sort-and-dedup");
    let all = captured(scenario["options"]["NodeTID"].as_str().unwrap());
    for query in scenario["queries"].as_array().unwrap() {
        let mut set = all.clone();
        if let Some(tid) = query["filter"]["NodeTID"].as_str() {
            set.filter(&Filter::text(field::NODE_TID, tid));
        }
        if let Some(by) = query["sort_by"].as_str() {
            let is_ascending = query["order"] == "asc";
            let direction = if is_ascending { Direction::Ascending } else { Direction::Descending };
            set.sort(&Sort { by: by.into(), direction });
            let texts = texts(&set, by);
            let in_order = |pair: &[String]| pair[0] == pair[1] || (pair[0] < pair[1]) == is_ascending;
            assert!(texts.windows(2).all(in_order), "{texts:?}");
            assert_eq!(set.flows.len(), 100);
        }
        if let Some(by) = query["dedup_by"].as_str() {
            set.dedup(&by.into());
        }
        if let Some(count) = query["expect_count"].as_u64() {
            assert_eq!(set.flows.len() as u64, count, "{query}");
        }
    }
    let mut none = all;
    none.filter(&Filter::text(field::NODE_TID, "probe-2"));
    assert!(none.flows.is_empty());
}

#[test]
fn dedup() {
    for name in ["flowset-dedup-default-field", "flowset-dedup-by-field"] {
        let scenario = scenario(name);
        let mut given = set(&scenario["input"]);
        given.dedup(&dedup_by(&scenario["dedup_by"]));
        assert_eq!(given.flows, set(&scenario["expect"]).flows, "{name}");
    }
}

#[test]
fn merge() {
    for name in ["flowset-merge-dedup", "flowset-merge-sort-dedup"] {
        let scenario = scenario(name);
        let by = dedup_by(&scenario["merge"]["dedup_by"]);
        let sort = scenario["merge"]["sort_by"]
            .as_str()
            .map(|by| Sort { by: by.into(), direction: Direction::Descending });
        let (mut left, mut right) = (set(&scenario["left"]), set(&scenario["right"]));
        let start = left.start.min(right.start);
        if sort.is_none() {
            left.dedup(&by);
            right.dedup(&by);
        }
        left.merge(right, &Merge { sort, dedup: Some(by) });
        assert_eq!(left.flows, set(&scenario["expect"]).flows, "{name}");
        assert_eq!(left.start, start);
    }
}

#[test]
fn merging_sorted_sets_is_sorting_both() {
    let all = captured("");
    for direction in [Direction::Ascending, Direction::Descending] {
        let sort = Sort { by: field::METRIC_RTT.into(), direction };
        let mut whole = all.clone();
        whole.sort(&sort);
        let (left, right) = all.flows.split_at(37);
        let (mut left, mut right) = (FlowSet::new(left.to_vec()), FlowSet::new(right.to_vec()));
        left.sort(&sort);
        right.sort(&sort);
        left.merge(right, &Merge { sort: Some(sort), dedup: None });
        assert_eq!(left, whole);
    }
}

#[test]
fn a_slice_is_what_there_is_of_it() {
    let all = captured("");
    for (places, wanted) in
        [(0..10, 0..10), (95..200, 95..100), (200..300, 100..100), (40..usize::MAX, 40..100)]
    {
        let mut set = all.clone();
        set.slice(places);
        assert_eq!(set.flows, all.flows[wanted]);
    }
}

#[test]
fn metric_split() {
    let scenario = scenario("metric-split");
    let metric = |of: &Value| {
        let count = |name: &str| of[name].as_u64().unwrap();
        let time = |name: &str| Timestamp::from_millis(of[name].as_i64().unwrap());
        Metric {
            ab_packets: count("ABPackets"),
            ab_bytes: count("ABBytes"),
            ba_packets: count("BAPackets"),
            ba_bytes: count("BABytes"),
            start: time("Start"),
            last: time("Last"),
            rtt: 0,
        }
    };
    let cut = Timestamp::from_millis(scenario["cut"].as_i64().unwrap());
    let expect = &scenario["expect"];
    assert_eq!(metric(&scenario["input"]).split(cut), (Some(metric(&expect[0])), Some(metric(&expect[1]))));
}
