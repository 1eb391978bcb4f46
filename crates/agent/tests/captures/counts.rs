//! What is counted, and what nodes, status and metrics say of it.

use skydive_flow::{Direction, FlowSearch, Sort, Want, field};
use skydive_proto::{Capture, NodeCapture, on_demand_type};
use skydive_testnet::require_root;
use skydive_value::{Filter, Path, Test};

use crate::stage::{Stage, capture};

fn of_icmp() -> FlowSearch {
    let is = Filter::Field(Path::parse(field::APPLICATION), Test::Text("ICMPv4".into()));
    FlowSearch { filter: is, ..FlowSearch::default() }
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_capture_counts_what_ping_sends() {
    if !require_root() {
        return;
    }
    let mut stage = Stage::new().await;
    let far = stage.far();
    let node = stage.node(&far).await;
    let wanted = Capture {
        name: "c".to_owned(),
        description: "of the test".to_owned(),
        bpf_filter: "icmp".to_owned(),
        raw_packet_limit: 2,
        ..capture("u1")
    };
    assert_eq!(stage.analyzer.start(&node, &wanted).await, (200, String::new()));
    // The same again is no other one.
    assert_eq!(stage.analyzer.start(&node, &wanted).await, (200, String::new()));
    let entries = stage.analyzer.entries(&node, |all| all.len() == 1).await;
    assert_eq!(
        entries[0],
        serde_json::json!({
            "ID": "u1", "Name": "c", "Description": "of the test", "BPFFilter": "icmp", "State": "active",
            "PacketsReceived": 0, "PacketsDropped": 0, "PacketsIfDropped": 0,
        })
    );
    stage.ping(5);
    let search = FlowSearch { want: Want::WithPackets, ..of_icmp() };
    let flows = stage.analyzer.flows(&search, |all| all.iter().any(|f| f.metric.ba_packets == 5)).await;
    let [flow] = &flows[..] else { panic!("{flows:#?}") };
    assert_eq!((flow.metric.ab_packets, flow.metric.ab_bytes, flow.metric.ba_bytes), (5, 490, 490));
    assert_eq!(flow.raw_packets.len(), 2);
    let tid = stage.analyzer.graph.node(&node).unwrap().metadata.text("TID").unwrap().to_owned();
    assert_eq!((flow.node_tid.as_str(), flow.capture_id.as_str()), (tid.as_str(), "u1"));
    stage.analyzer.entries(&node, |all| all[0]["PacketsReceived"] == 10).await;

    let totals = stage.totals("what was counted", |all| all["Accounted"] == 10).await;
    assert_eq!((&totals["Running"], &totals["Flows"]), (&1.into(), &1.into()));
    let metrics = stage.get("/metrics").await;
    assert!(metrics.contains("\nskydive_capture_packets_received_total 10\n"), "{metrics}");
    assert!(metrics.contains("\nskydive_captures 1\n"), "{metrics}");

    assert_eq!(stage.analyzer.stop(&node, &wanted).await, (200, String::new()));
    stage.analyzer.entries(&node, <[_]>::is_empty).await;
    assert!(stage.analyzer.graph.node(&node).unwrap().metadata.get("Captures").is_none());
    let totals = stage.totals("an end", |all| all["Running"] == 0 && all["Received"] == 10).await;
    assert_eq!(
        (&totals["Accounted"], &totals["Waiting"], &totals["Flows"]),
        (&10.into(), &0.into(), &0.into())
    );
    assert!(stage.analyzer.flows(&of_icmp(), <[_]>::is_empty).await.is_empty());
    stage.end().await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn captures_on_a_node_do_not_disturb_each_other() {
    if !require_root() {
        return;
    }
    let mut stage = Stage::new().await;
    let (near, far) = (stage.near(), stage.far());
    let (near, far) = (stage.node(&near).await, stage.node(&far).await);
    let kinds = [("u1", "afpacket", "L2"), ("u2", "pcap", "L3"), ("u3", "", "")];
    let wanted = kinds.map(|(uuid, kind, mode)| Capture {
        kind: kind.to_owned(),
        layer_key_mode: mode.to_owned(),
        bpf_filter: "icmp".to_owned(),
        ..capture(uuid)
    });
    // Together, so that none waits for another.
    let mut asked = Vec::new();
    for node in [&near, &far] {
        for capture in &wanted {
            let work = NodeCapture { node: node.clone(), capture: capture.clone() };
            asked.push(stage.analyzer.send(work.to_envelope(on_demand_type::START)).await);
        }
    }
    for uuid in asked {
        assert_eq!(stage.analyzer.answer(&uuid).await.status, 200);
    }
    let all_active = |all: &[serde_json::Value]| all.len() == 3 && all.iter().all(|e| e["State"] == "active");
    for node in [&near, &far] {
        stage.analyzer.entries(node, all_active).await;
    }
    stage.ping(3);
    let is_all = |all: &[skydive_flow::Flow]| all.iter().filter(|f| f.metric.ba_packets == 3).count() == 6;
    let flows = stage.analyzer.flows(&of_icmp(), is_all).await;
    assert_eq!(flows.len(), 6);
    // One conversation: deduplicated by what follows from it, in an order, and a part of that.
    let sort = Some(Sort { by: field::CAPTURE_ID.into(), direction: Direction::Descending });
    let by = |path: &'static str| FlowSearch { dedup: Some(path.into()), sort: sort.clone(), ..of_icmp() };
    let ids = |flows: Vec<skydive_flow::Flow>| flows.into_iter().map(|f| f.capture_id).collect::<Vec<_>>();
    // With link addresses and without.
    let found = stage.analyzer.flows(&by(field::TRACKING_ID), |_| true).await;
    assert_eq!(found.len(), 2, "{found:#?}");
    let found = stage.analyzer.flows(&by(field::CAPTURE_ID), |_| true).await;
    assert_eq!(ids(found), ["u3", "u2", "u1"]);
    let part = FlowSearch { range: Some(1..3), ..by(field::CAPTURE_ID) };
    assert_eq!(ids(stage.analyzer.flows(&part, |_| true).await), ["u2", "u1"]);
    // Only their number.
    for (range, number) in [(None, 6), (Some(1..3), 2)] {
        let reply = stage.analyzer.search(&FlowSearch { range, want: Want::Count, ..of_icmp() }).await;
        assert_eq!((reply.status, reply.count), (200, number));
        assert!(reply.sets.iter().all(|set| set.flows.is_empty()));
    }

    // One of them ends; the others go on.
    assert_eq!(stage.analyzer.stop(&far, &wanted[1]).await.0, 200);
    let entries = stage.analyzer.entries(&far, |all| all.len() == 2).await;
    assert_eq!((&entries[0]["ID"], &entries[1]["ID"]), (&"u1".into(), &"u3".into()));
    stage.analyzer.entries(&near, all_active).await;
    stage.end().await;
}
