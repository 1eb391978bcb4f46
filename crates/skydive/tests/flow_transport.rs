//! Flows on their way: datagrams and WebSockets of agents, capture files, and who subscribes to all that.

#![allow(clippy::unwrap_used, reason = "a test that cannot set up must fail")]

use std::collections::BTreeSet;
use std::fs;
use std::net::{TcpStream, UdpSocket};
use std::time::Duration;

use serde_json::Value as Json;
use skydive_flow::Flow;
use skydive_proto::{FlowLimits, FlowMessage, FlowStamp, FlowStats, flow_of_json};
use skydive_testnet::{eventually, require_root, veth_pair, workspace_root};
use tokio_tungstenite::tungstenite::Message;

use crate::stage::{AGENT, ANALYZER, Desk, Host, SOON, stderr, text};
use crate::talk::Talk;

#[allow(dead_code, reason = "other tests need more of it")]
#[path = "spine/stage.rs"]
mod stage;
#[allow(dead_code, reason = "other tests need more of it")]
#[path = "spine/talk.rs"]
mod talk;

const SUBSCRIBER: &str = "/ws/subscriber/flow";
/// Flows are told at once.
const AT_ONCE: (&str, &str) = ("SKYDIVE_STORAGE_MEMORY_BULK_MAXDELAY", "50ms");

/// Runs `f` with a client beside an analyzer that has no agents.
fn with_analyzer(hint: &str, f: impl FnOnce(&Host, &Desk) + Send) {
    if !require_root() {
        return;
    }
    let host = Host::new(hint);
    let _service = host.start(&["analyzer"], &[("SKYDIVE_HOST_ID", "hub1"), AT_ONCE]);
    host.ask(ANALYZER, |desk| f(&host, desk));
}

fn subscribe(name: &str, namespaces: &[&str]) -> Talk {
    let namespaces = namespaces.iter().map(|namespace| ("X-Websocket-Namespace", *namespace));
    let headers: Vec<_> =
        [("X-Host-ID", name), ("X-Client-Type", "test")].into_iter().chain(namespaces).collect();
    Talk::open(ANALYZER, SUBSCRIBER, &headers)
}

/// The ids of the flows in the next message, which must be of a namespace.
fn heard(subscriber: &mut Talk, namespace: &str) -> Vec<String> {
    let message = subscriber.hear();
    assert_eq!((text(&message, "/Namespace"), text(&message, "/Type")), (namespace, "store"), "{message}");
    message["Obj"].as_array().unwrap().iter().map(|flow| text(flow, "/UUID").to_owned()).collect()
}

fn asked(desk: &Desk, query: &str) -> Vec<Json> {
    let answer = desk.query(query);
    assert_eq!(answer.status.as_u16(), 200, "{query}: {}", answer.message());
    serde_json::from_slice(&answer.body).unwrap()
}

fn ids(flows: &[Json]) -> BTreeSet<&str> {
    flows.iter().map(|flow| text(flow, "/UUID")).collect()
}

/// Takes messages until a flow has come.
fn hear_of(subscriber: &mut Talk, uuid: &str) -> Json {
    loop {
        let message = subscriber.hear();
        let flows = message["Obj"].as_array().cloned().unwrap_or_default();
        if let Some(flow) = flows.into_iter().find(|flow| flow["UUID"] == uuid) {
            return flow;
        }
    }
}

fn flow(uuid: &str, capture: &str) -> Flow {
    let json = format!(r#"{{"UUID":"{uuid}","CaptureID":"{capture}","Application":"TCP"}}"#);
    flow_of_json(json.as_bytes(), &FlowLimits::default()).unwrap()
}

fn message(flows: Vec<Flow>, first: u64) -> Vec<u8> {
    let stamp = Some(FlowStamp { host_id: "agent1".into(), count: 1, first });
    FlowMessage { flows, stats: None, stamp }.encode()
}

fn datagrams() -> UdpSocket {
    let socket = UdpSocket::bind("127.0.0.1:0").unwrap();
    socket.connect(ANALYZER).unwrap();
    socket
}

/// A number of the status of flows, once it is at least `least`.
fn counted(desk: &Desk, field: &str, least: u64) -> u64 {
    let there = || desk.status()["Flows"][field].as_u64().filter(|number| *number >= least);
    eventually(field, SOON, there).unwrap_or_else(|_| panic!("{field}: {}", desk.status()["Flows"]))
}

#[test]
fn datagrams_and_messages_reach_those_who_want_them() {
    with_analyzer("transport", |_, desk| {
        let mut all = subscribe("all", &[]);
        let mut one = subscribe("one", &["flow/c1"]);
        let mut by_address = Talk::open(
            ANALYZER,
            &format!("{SUBSCRIBER}?x-client-type=test&x-websocket-namespace=stats"),
            &[],
        );
        let udp = datagrams();
        udp.send(&message(vec![flow("1", "c1"), flow("2", "c2")], 0)).unwrap();
        assert_eq!(heard(&mut all, "flow"), ["1", "2"]);
        assert_eq!(heard(&mut one, "flow/c1"), ["1"]);

        let stats = FlowStats { capture_id: "c1".into(), packets_received: 7, ..FlowStats::default() };
        udp.send(&FlowMessage { stats: Some(stats), ..FlowMessage::default() }.encode()).unwrap();
        for subscriber in [&mut all, &mut by_address] {
            let message = subscriber.hear();
            assert_eq!((text(&message, "/Namespace"), text(&message, "/Type")), ("stats", "stats"));
            assert_eq!(
                (text(&message, "/Obj/CaptureID"), &message["Obj"]["PacketsReceived"]),
                ("c1", &7.into())
            );
        }

        // The same by WebSocket; three flows before it are lost.
        let headers = [("X-Host-ID", "agent1"), ("X-Client-Type", "agent")];
        let mut agent = Talk::open(ANALYZER, "/ws/agent/flow", &headers);
        agent.socket.send(Message::binary(b"nonsense".to_vec())).unwrap();
        agent.socket.send(Message::binary(message(vec![flow("3", "c1")], 5))).unwrap();
        assert_eq!(heard(&mut all, "flow"), ["3"]);
        assert_eq!(heard(&mut one, "flow/c1"), ["3"]);
        let flows = desk.status()["Flows"].clone();
        assert_eq!((&flows["Received"], &flows["MalformedMessages"]), (&3.into(), &1.into()), "{flows}");
        assert_eq!(flows["Lost"], serde_json::json!({ "agent1": 3 }));
        let metrics = desk.get("/metrics").message();
        for line in [
            "skydive_flows_received_total 3",
            r#"skydive_flows_lost{agent="agent1"} 3"#,
            r#"skydive_ws_connections{endpoint="/ws/subscriber/flow"} 3"#,
        ] {
            assert!(metrics.lines().any(|told| told == line), "{line}:\n{metrics}");
        }
        assert!(desk.status()["FlowSubscribers"]["one"].is_object());
    });
}

#[test]
fn who_leaves_takes_nothing_from_others() {
    with_analyzer("leaving", |_, _| {
        let udp = datagrams();
        let mut stays = subscribe("stays", &["flow", "flow/c1"]);
        for round in 0..3 {
            let mut leaves = subscribe("leaves", &["flow", "flow/c1"]);
            let uuid = format!("{}", round + 1);
            udp.send(&message(vec![flow(&uuid, "c1")], round)).unwrap();
            for subscriber in [&mut stays, &mut leaves] {
                assert_eq!(heard(subscriber, "flow"), [uuid.as_str()]);
                assert_eq!(heard(subscriber, "flow/c1"), [uuid.as_str()]);
            }
            leaves.leave();
        }
        udp.send(&message(vec![flow("9", "c2")], 3)).unwrap();
        assert_eq!(heard(&mut stays, "flow"), ["9"]);
    });
}

#[test]
fn hostile_datagrams_end_nothing() {
    with_analyzer("hostile", |_, desk| {
        let mut subscriber = subscribe("s", &["flow"]);
        let (udp, mut random) = (datagrams(), 1u64);
        let mut noise = vec![0; 60_000];
        for round in 0..20_000usize {
            let len = if round % 100 == 0 { noise.len() } else { round % 300 };
            for byte in &mut noise[..len.min(300)] {
                random = random.wrapping_mul(6_364_136_223_846_793_005).wrapping_add(1);
                *byte = (random >> 56) as u8;
            }
            udp.send(&noise[..len]).unwrap();
        }
        // Flows that fill the queue, from a sender that counts as it likes.
        for round in 0..500u64 {
            let flows = (0..200).map(|_| flow("5", "c")).collect();
            udp.send(&message(flows, round.wrapping_mul(u64::MAX / 7))).unwrap();
        }
        assert!(counted(desk, "MalformedMessages", 100) > 0);
        udp.send(&message(vec![flow("77", "c")], 0)).unwrap();
        assert_eq!(hear_of(&mut subscriber, "77")["CaptureID"], "c");
        // The API answers beside it.
        assert_eq!(desk.query("G.V()").status.as_u16(), 200);
    });
}

#[test]
fn an_imported_file_is_told() {
    with_analyzer("import", |host, desk| {
        let mut subscriber = subscribe("s", &["flow"]);
        let file = workspace_root().join("crates/flow/tests/data/tcp/reordered.pcap");
        let file = file.to_str().unwrap();
        let imported = host.run(&["client", "pcap", "--trace", file]);
        assert!(imported.status.success(), "{}", stderr(&imported));
        let said = String::from_utf8_lossy(&imported.stdout).into_owned();
        assert_eq!(said, format!("{file} was successfully imported\n"));
        let flows = heard(&mut subscriber, "flow");
        let offline = host.run(&["flows", "read", "--format", "json", file]);
        let offline: Vec<Json> = String::from_utf8_lossy(&offline.stdout)
            .lines()
            .map(|line| serde_json::from_str(line).unwrap())
            .collect();
        assert_eq!(flows.len(), offline.len(), "{offline:?}");
        assert_eq!(counted(desk, "Imported", 1), flows.len() as u64);
        assert_eq!(ids(&asked(desk, "G.Flows()")), ids(&offline));
        let port = &offline[0]["Transport"]["B"];
        assert_eq!(asked(desk, &format!("G.Flows().Has('Transport', {port}).Metrics()")).len(), 1);

        // By HTTP, with any content type.
        let post = |body: &str| {
            let line = ["curl", "-s", "-w", " %{http_code} %{content_type}", "--data-binary", body];
            let url = format!("http://{ANALYZER}/api/pcap");
            let answer = host.command_of(&[&line[..], &[&url]].concat(), &[]).output().unwrap();
            String::from_utf8_lossy(&answer.stdout).into_owned()
        };
        assert_eq!(post(&format!("@{file}")), " 202 application/json; charset=UTF-8");
        assert_eq!(heard(&mut subscriber, "flow"), flows);

        // What is none leaves nothing.
        let before = counted(desk, "Imported", 1);
        assert!(post("nonsense that is no capture file").contains(" 400 text/plain"));
        let cut = host.directory().join("cut.pcap");
        let whole = fs::read(file).unwrap();
        fs::write(&cut, &whole[..whole.len() - 1]).unwrap();
        let refused = host.run(&["client", "pcap", "-t", cut.to_str().unwrap()]);
        assert!(!refused.status.success() && !stderr(&refused).is_empty());
        let absent = host.run(&["client", "pcap", "-t", "/nowhere.pcap"]);
        assert!(!absent.status.success() && stderr(&absent).contains("/nowhere.pcap"), "{}", stderr(&absent));
        assert_eq!(counted(desk, "Imported", 1), before);
    });
}

#[test]
fn imported_flows_go_when_they_expire() {
    if !require_root() {
        return;
    }
    let host = Host::new("expire");
    let _service = host.start(&["analyzer"], &[("SKYDIVE_FLOW_EXPIRE", "1"), AT_ONCE]);
    host.ask(ANALYZER, |desk| {
        let mut subscriber = subscribe("s", &["flow"]);
        let file = workspace_root().join("crates/flow/tests/data/tcp/reordered.pcap");
        let imported = host.run(&["client", "pcap", "--trace", file.to_str().unwrap()]);
        assert!(imported.status.success(), "{}", stderr(&imported));
        assert!(!heard(&mut subscriber, "flow").is_empty());
        eventually("no flow", SOON, || asked(desk, "G.Flows()").is_empty().then_some(())).unwrap();
    });
}

#[test]
fn a_large_file_is_taken_as_a_stream_and_a_larger_one_refused() {
    if !require_root() {
        return;
    }
    let host = Host::new("large");
    let limit = [("SKYDIVE_HTTP_REST_MAX_CAPTURE_FILE", "32MiB"), ("SKYDIVE_HTTP_REST_MAX_BODY", "64KiB")];
    let _service = host.start(&["analyzer"], &limit);
    host.ask(ANALYZER, |desk| {
        let small = fs::read(workspace_root().join("crates/flow/tests/data/tcp/reordered.pcap")).unwrap();
        let (head, packets) = small.split_at(24);
        let import = |bytes: usize| {
            let times = bytes / packets.len();
            let path = host.directory().join("large.pcap");
            fs::write(&path, [head, &packets.repeat(times)].concat()).unwrap();
            host.run(&["client", "pcap", "--trace", path.to_str().unwrap()])
        };
        let taken = import(24 << 20);
        assert!(taken.status.success(), "{}", stderr(&taken));
        assert!(counted(desk, "Imported", 1) >= 1);
        assert!(!import(40 << 20).status.success());
        assert_eq!(desk.query("G.V()").status.as_u16(), 200);
    });
}

#[test]
fn an_address_taken_for_datagrams_is_an_error_that_names_the_key() {
    if !require_root() {
        return;
    }
    let host = Host::new("taken");
    host.enter(|| {
        let _held = UdpSocket::bind(ANALYZER).unwrap();
        let ended = host.run(&["analyzer"]);
        let said = stderr(&ended);
        assert!(!ended.status.success());
        assert!(said.contains("analyzer.listen") && said.contains("flow.protocol"), "{said}");
        // Without datagrams it is not needed.
        let _service = host.start(&["analyzer"], &[("SKYDIVE_FLOW_PROTOCOL", "websocket")]);
        eventually("the analyzer", SOON, || TcpStream::connect(ANALYZER).ok()).unwrap();
    });
}

#[test]
fn flows_of_a_capture_come_as_datagrams() {
    come_by("udp");
}

#[test]
fn flows_of_a_capture_come_by_websocket() {
    come_by("websocket");
}

/// A capture of an agent, and a subscriber that is told of its flows.
fn come_by(protocol: &str) {
    if !require_root() {
        return;
    }
    let (host, far) = (Host::new(protocol), skydive_testnet::Netns::with_loopback("far").unwrap());
    veth_pair(&host.netns, "veth0", &far, "veth1").unwrap();
    host.ip("addr add 192.0.2.1/24 dev veth0");
    far.ip(&["addr", "add", "192.0.2.2/24", "dev", "veth1"]).unwrap();
    let settings = [("SKYDIVE_FLOW_PROTOCOL", protocol), ("SKYDIVE_FLOW_UPDATE", "1"), AT_ONCE];
    let _service = host.start(&["allinone"], &settings);
    host.ask(ANALYZER, |desk| {
        let mut subscriber = subscribe("s", &[]);
        let query = "G.V().Has('Name','veth0')";
        eventually("veth0", SOON, || desk.query(query).message().contains("veth0").then_some(())).unwrap();
        let made = host.run(&["client", "capture", "create", "--gremlin", query]);
        assert!(made.status.success(), "{}", stderr(&made));
        let mut ping = host.netns.command(&["ping", "-q", "-i", "0.2", "-w", "30", "192.0.2.2"]).unwrap();
        let _ping = skydive_testnet::Running::start(ping.stdout(std::process::Stdio::null())).unwrap();
        let (mut seen, mut stats) = (None, None);
        while seen.is_none() || stats.is_none() {
            let message = subscriber.hear();
            if message["Type"] == "stats" {
                stats = Some(message)
                    .filter(|stats| stats["Obj"]["PacketsReceived"].as_i64() > Some(0))
                    .or(stats);
            } else {
                let flows = message["Obj"].as_array().unwrap();
                seen = flows.iter().find(|flow| flow["Application"] == "ICMPv4").cloned().or(seen);
            }
        }
        let (seen, stats) = (seen.unwrap(), stats.unwrap());
        assert_eq!((text(&seen, "/Network/A"), text(&seen, "/Network/B")), ("192.0.2.1", "192.0.2.2"));
        assert_eq!(seen["CaptureID"], stats["Obj"]["CaptureID"]);
        let received = counted(desk, "Received", 1);
        assert_eq!(desk.status()["Flows"]["Lost"], serde_json::json!({}));
        let agent = Desk::new(AGENT);
        let sent = || agent.status()["Flows"]["Sent"].as_u64().filter(|sent| *sent >= received);
        eventually("the agent to tell", Duration::from_secs(5), sent).unwrap();
    });
}
