//! What cannot be, and what ends by itself: told, and the rest goes on.

use serde_json::Value as Json;
use skydive_agent::CaptureSettings;
use skydive_flow::FlowSearch;
use skydive_graph::Graph;
use skydive_proto::{
    Capture, Envelope, FlowLimits, FlowReply, NodeCapture, flow_type, namespace, on_demand_type,
};
use skydive_testnet::require_root;
use skydive_value::Id;

use crate::stage::{Stage, capture};

fn failed(why: &'static str) -> impl Fn(&[Json]) -> bool {
    move |all| {
        let [entry] = all else { return false };
        entry["State"] == "error" && entry["Error"].as_str().is_some_and(|error| error.contains(why))
    }
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn what_is_asked_wrongly_is_told_and_gone_when_stopped() {
    if !require_root() {
        return;
    }
    let mut stage = Stage::new().await;
    let far = stage.far();
    let node = stage.node(&far).await;
    let analyzer = &mut stage.analyzer;
    for (wanted, why) in [
        (Capture { bpf_filter: "tcp port".to_owned(), ..capture("u") }, "filter: "),
        (Capture { kind: "ovsmirror".to_owned(), ..capture("u") }, "no captures of type \"ovsmirror\""),
        (Capture { kind: "sflow".to_owned(), ..capture("u") }, "Type \"sflow\" is not supported yet"),
        (
            Capture { target_type: "netflowv5".to_owned(), ..capture("u") },
            "\"netflowv5\" is not supported yet",
        ),
        (Capture { header_size: 5000, ..capture("u") }, "HeaderSize is 5000"),
    ] {
        let (status, error) = analyzer.start(&node, &wanted).await;
        assert!(status == 400 && error.contains(why), "{status} {error}");
        analyzer.entries(&node, failed(why)).await;
    }
    // The same capture asked for rightly takes the place of the failed one.
    assert_eq!(analyzer.start(&node, &capture("u")).await.0, 200);
    analyzer.entries(&node, |all| all.len() == 1 && all[0]["State"] == "active").await;
    assert_eq!(analyzer.start(&node, &Capture { bpf_filter: "(".to_owned(), ..capture("v") }).await.0, 400);
    assert_eq!(analyzer.entries(&node, |all| all.len() == 2).await[1]["State"], "error");
    for uuid in ["u", "v"] {
        assert_eq!(analyzer.stop(&node, &capture(uuid)).await.0, 200);
    }
    analyzer.entries(&node, <[_]>::is_empty).await;

    let (status, error) = analyzer.stop(&node, &capture("u")).await;
    assert!(status == 404 && error.contains("no capture u"), "{status} {error}");
    let (status, error) = analyzer.start(&Id::from("nowhere"), &capture("u")).await;
    assert!(status == 404 && error.contains("no node nowhere"), "{status} {error}");
    let (status, error) = analyzer.start(&node, &capture("")).await;
    assert!(status == 400 && error.contains("no UUID"), "{status} {error}");
    let host = |graph: &Graph| {
        graph.view().nodes().find(|node| node.node_type() == "host").map(|node| node.id.clone())
    };
    let host = analyzer.until("the host", host).await;
    assert_eq!(analyzer.start(&host, &capture("u")).await.0, 400);

    for (space, kind) in
        [(namespace::ON_DEMAND_CAPTURE, on_demand_type::START), (namespace::FLOW, flow_type::TABLE_QUERY)]
    {
        let answer = analyzer.ask(Envelope::json(space, kind, b"[7"[..].into())).await;
        assert_eq!(answer.status, 400, "{answer:?}");
        if space == namespace::FLOW {
            let reply = FlowReply::decode(&answer.obj, &FlowLimits::default(), |_| {}).unwrap();
            assert!(reply.status == 400 && !reply.error.is_empty(), "{reply:?}");
        } else {
            assert!(NodeCapture::error_of(&answer.obj).is_some());
        }
    }
    stage.end().await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn an_interface_that_goes_takes_its_captures_and_no_others() {
    if !require_root() {
        return;
    }
    let mut stage = Stage::new().await;
    stage.b.ip(&["link", "add", "d0", "type", "veth", "peer", "name", "d1"]).unwrap();
    stage.b.ip(&["link", "set", "d0", "up"]).unwrap();
    let far = stage.far();
    let (gone, stays) = (stage.node("d0").await, stage.node(&far).await);
    for node in [&gone, &stays] {
        assert_eq!(stage.analyzer.start(node, &capture("u")).await.0, 200);
    }
    stage.totals("two captures", |all| all["Running"] == 2).await;
    stage.b.ip(&["link", "del", "d0"]).unwrap();
    let is_gone = |graph: &Graph| graph.node(&gone).is_none().then_some(());
    stage.analyzer.until("the interface to go", is_gone).await;
    let totals = stage.totals("one capture", |all| all["Running"] == 1 && all["Failed"] == 0).await;
    assert_eq!(totals["FlowsLost"], 0);
    assert_eq!(stage.analyzer.stop(&gone, &capture("u")).await.0, 404);
    stage.ping(1);
    stage.analyzer.flows(&FlowSearch::default(), |all| all.iter().any(|f| f.metric.ba_packets > 0)).await;
    stage.end().await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn an_interface_that_is_down_is_captured_once_it_is_up() {
    if !require_root() {
        return;
    }
    let mut stage = Stage::new().await;
    let far = stage.far();
    let node = stage.node(&far).await;
    stage.b.ip(&["link", "set", &far, "down"]).unwrap();
    assert_eq!(stage.analyzer.start(&node, &capture("u")).await.0, 200);
    let is_down = |all: &[Json]| all.len() == 1 && all[0]["Error"] == "the interface is down";
    assert_eq!(stage.analyzer.entries(&node, is_down).await[0]["State"], "active");
    stage.b.ip(&["link", "set", &far, "up"]).unwrap();
    stage.analyzer.entries(&node, |all| all[0]["Error"].is_null()).await;
    skydive_testnet::eventually("an answer", crate::stage::SOON, || {
        stage.a.exec(&["ping", "-c1", "-W1", "10.98.0.2"]).ok()
    })
    .unwrap();
    stage.analyzer.flows(&FlowSearch::default(), |all| all.iter().any(|f| f.metric.ba_packets > 0)).await;
    stage.end().await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_namespace_that_goes_is_told() {
    if !require_root() {
        return;
    }
    let mut stage = Stage::new().await;
    let (near, far) = (stage.near(), stage.far());
    let (stays, node) = (stage.node(&near).await, stage.node(&far).await);
    for node in [&node, &stays] {
        assert_eq!(stage.analyzer.start(node, &capture("u")).await.0, 200);
    }
    // The agent has another name of it, which it follows by; what is behind is gone.
    std::process::Command::new("ip").args(["netns", "del", stage.b.name()]).status().unwrap();
    stage.analyzer.entries(&node, failed("is gone")).await;
    stage.totals("one of each", |all| all["Running"] == 1 && all["Failed"] == 1).await;
    stage.analyzer.entries(&stays, |all| all.len() == 1 && all[0]["State"] == "active").await;
    assert_eq!(stage.analyzer.stop(&node, &capture("u")).await.0, 200);
    stage.analyzer.entries(&node, <[_]>::is_empty).await;
    stage.end().await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_ring_that_is_refused_is_told() {
    if !require_root() {
        return;
    }
    let mut stage = Stage::with(CaptureSettings { ring_bytes: 2 << 30, ..CaptureSettings::default() }).await;
    let far = stage.far();
    let node = stage.node(&far).await;
    let (status, error) = stage.analyzer.start(&node, &capture("u")).await;
    assert!(status == 500 && error.contains("a ring of 2147483648 bytes"), "{status} {error}");
    stage.analyzer.entries(&node, failed("a ring of 2147483648 bytes")).await;
    stage.totals("a fault", |all| all["Failed"] == 1 && all["Running"] == 0).await;
    stage.end().await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn one_too_many_is_told_on_its_node_and_runs_when_there_is_room() {
    if !require_root() {
        return;
    }
    let mut stage = Stage::with(CaptureSettings { most: 1, ..CaptureSettings::default() }).await;
    let (near, far) = (stage.near(), stage.far());
    let (first, second) = (stage.node(&near).await, stage.node(&far).await);
    let analyzer = &mut stage.analyzer;
    assert_eq!(analyzer.start(&first, &capture("u")).await.0, 200);
    let (status, error) = analyzer.start(&second, &capture("u")).await;
    assert!(status == 500 && error.contains("has 1 captures"), "{status} {error}");
    analyzer.entries(&second, failed("another one has to end first")).await;
    analyzer.entries(&first, |all| all.len() == 1 && all[0]["State"] == "active").await;
    assert_eq!(analyzer.stop(&first, &capture("u")).await.0, 200);
    analyzer.entries(&second, |all| all.len() == 1 && all[0]["State"] == "active").await;
    stage.end().await;
}

/// Threads inherit what they may do from the one that starts them.
#[test]
fn what_is_not_permitted_is_told() {
    if !require_root() {
        return;
    }
    let stage = || async {
        let mut stage = Stage::new().await;
        let far = stage.far();
        let node = stage.node(&far).await;
        let (status, error) = stage.analyzer.start(&node, &capture("u")).await;
        assert!(status == 500 && error.contains("CAP_NET_RAW"), "{status} {error}");
        stage.analyzer.entries(&node, failed("CAP_NET_RAW")).await;
        stage.end().await;
    };
    let without = move || {
        use rustix::thread::{CapabilitySet, capabilities, set_capabilities};
        let runtime = tokio::runtime::Builder::new_multi_thread()
            .worker_threads(2)
            .enable_all()
            .on_thread_start(|| {
                let mut sets = capabilities(None).unwrap();
                sets.effective.remove(CapabilitySet::NET_RAW);
                set_capabilities(None, sets).unwrap();
            })
            .build()
            .unwrap();
        runtime.block_on(async { tokio::spawn(stage()).await.unwrap() });
    };
    std::thread::spawn(without).join().unwrap();
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn requests_beyond_what_is_done_at_a_time_are_told_so() {
    if !require_root() {
        return;
    }
    const REQUESTS: usize = 3000;
    let mut stage = Stage::new().await;
    let mut statuses = std::collections::BTreeMap::new();
    for chunk in 0..REQUESTS / 500 {
        let mut asked = Vec::new();
        for n in 0..500 {
            let work = NodeCapture { node: Id::from("nowhere"), capture: capture(&format!("{chunk}.{n}")) };
            asked.push(stage.analyzer.send(work.to_envelope(on_demand_type::STOP)).await);
        }
        for uuid in asked {
            *statuses.entry(stage.analyzer.answer(&uuid).await.status).or_insert(0) += 1;
        }
    }
    assert_eq!(statuses.values().sum::<usize>(), REQUESTS);
    assert!(statuses.keys().all(|status| [404, 503].contains(status)), "{statuses:?}");
    stage.end().await;
}
