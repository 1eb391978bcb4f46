//! Many captures, many packets, and no analyzer.

use std::time::{Duration, Instant};

use serde_json::Value as Json;
use skydive_agent::{CaptureSettings, TableConfig};
use skydive_flow::{FlowSearch, Quota};
use skydive_graph::Graph;
use skydive_proto::{Capture, NodeCapture, on_demand_type};
use skydive_sys::{Namespaces, NsRef};
use skydive_testnet::require_root;

use crate::stage::{Stage, capture};

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
#[expect(clippy::disallowed_methods, reason = "how long it takes is what is looked at")]
async fn two_hundred_captures_begin_together() {
    const CAPTURES: usize = 200;
    // Of a bar of two seconds on an idle machine.
    const LONGEST: Duration = Duration::from_secs(10);
    if !require_root() {
        return;
    }
    let settings = CaptureSettings { ring_bytes: 1 << 20, threads: 2, ..CaptureSettings::default() };
    let mut stage = Stage::with(settings).await;
    let far = stage.far();
    let node = stage.node(&far).await;
    let wanted: Vec<Capture> = (0..CAPTURES)
        .map(|n| Capture { bpf_filter: "icmp".to_owned(), ..capture(&format!("u{n}")) })
        .collect();
    for kind in [on_demand_type::START, on_demand_type::STOP] {
        let began = Instant::now();
        let mut asked = Vec::new();
        for capture in &wanted {
            let work = NodeCapture { node: node.clone(), capture: capture.clone() };
            asked.push(stage.analyzer.send(work.to_envelope(kind)).await);
        }
        for uuid in asked {
            assert_eq!(stage.analyzer.answer(&uuid).await.status, 200);
        }
        let took = began.elapsed();
        println!("{kind}: {CAPTURES} captures in {took:?}");
        assert!(took < LONGEST, "{kind}: {took:?}");
        if kind == on_demand_type::START {
            stage.analyzer.entries(&node, |all| all.len() == CAPTURES).await;
            stage.ping(1);
            let is_all = |all: &[skydive_flow::Flow]| all.len() == CAPTURES;
            stage.analyzer.flows(&FlowSearch::default(), is_all).await;
        }
    }
    stage.analyzer.entries(&node, <[_]>::is_empty).await;
    let totals = stage.totals("the ends", |all| all["Running"] == 0).await;
    let counted = 2 * CAPTURES as u64;
    assert_eq!((&totals["Received"], &totals["Accounted"]), (&counted.into(), &counted.into()));
    stage.end().await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_flood_of_packets_is_accounted_for_and_does_not_hold_up_the_topology() {
    const PACKETS: u64 = 150_000;
    if !require_root() {
        return;
    }
    // Little room: packets are lost in the kernel, flows have to go for others, and most packets are not kept.
    let quota = Quota::new(5000);
    let table =
        TableConfig { max_extra_bytes: 1 << 20, quota: Some(quota.clone()), ..TableConfig::default() };
    let settings = CaptureSettings { ring_bytes: 64 << 10, table, ..CaptureSettings::default() };
    let mut stage = Stage::with(settings).await;
    let far = stage.far();
    let node = stage.node(&far).await;
    let wanted = Capture { bpf_filter: "udp".to_owned(), raw_packet_limit: 10, ..capture("u") };
    assert_eq!(stage.analyzer.start(&node, &wanted).await.0, 200);

    // What arrives is thrown away, and nothing answers.
    let mac = "02:00:00:00:00:99";
    let near = stage.near();
    stage.a.ip(&["neigh", "replace", "10.98.0.2", "lladdr", mac, "nud", "permanent", "dev", &near]).unwrap();
    let place = NsRef::Path(stage.a.path());
    let namespaces = Namespaces::start().unwrap();
    let bind = || std::net::UdpSocket::bind("10.98.0.1:0").unwrap();
    let (_, socket) = namespaces.enter(&place, bind).unwrap();
    let flood = tokio::task::spawn_blocking(move || {
        for n in 0..PACKETS {
            let port = 10_000 + (n % 20_000) as u16;
            while socket.send_to(&[7; 100], ("10.98.0.2", port)).is_err() {}
        }
    });
    // Meanwhile the topology changes and is told.
    stage.b.ip(&["link", "set", &far, "alias", "seen"]).unwrap();
    let is_seen = |graph: &Graph| (graph.node(&node)?.metadata.text("Alias") == Some("seen")).then_some(());
    stage.analyzer.until("a change of the topology", is_seen).await;
    let is_shedding = |all: &Json| {
        let what = all["Shedding"].as_array().unwrap();
        what.contains(&"raw packets".into()) && what.contains(&"flows".into())
    };
    stage.totals("what is given up", is_shedding).await;
    flood.await.unwrap();
    assert_eq!(stage.analyzer.stop(&node, &wanted).await.0, 200);
    let totals = stage.totals("the end", |all| all["Running"] == 0 && all["Waiting"] == 0).await;
    let count = |name: &str| totals[name].as_u64().unwrap();
    assert_eq!(count("Received"), PACKETS);
    assert_eq!(count("Received"), count("Accounted") + count("DroppedByKernel") + count("Dropped"));
    assert!(count("Unkept") > 0 && count("FlowsEvicted") > 0, "{totals}");
    assert_eq!(quota.left(), 5000, "what ended gave its flows back");
    stage.totals("an end of it", |all| all["Shedding"] == Json::Array(Vec::new())).await;
    stage.end().await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn captures_go_on_without_an_analyzer() {
    if !require_root() {
        return;
    }
    let mut stage = Stage::new().await;
    let far = stage.far();
    let node = stage.node(&far).await;
    assert_eq!(stage.analyzer.start(&node, &capture("u")).await.0, 200);
    stage.analyzer.leave();
    stage.ping(3);
    let totals = stage.totals("packets", |all| all["Accounted"].as_u64() >= Some(6)).await;
    assert_eq!(totals["Running"], 1);
    stage.end().await;
}
