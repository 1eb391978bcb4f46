//! Captures on demand, from outside: `client capture`, what follows the graph, what subscribers hear, what a kill leaves.

#![allow(clippy::unwrap_used, reason = "a test that cannot set up must fail")]

use std::net::UdpSocket;
use std::process::{Command, Output};
use std::sync::mpsc::{Receiver, channel};

use serde_json::{Value as Json, json};
use skydive_testnet::{eventually, require_root};

use crate::stage::{ANALYZER, Desk, Host, SOON, stderr, text};
use crate::talk::Talk;

#[allow(dead_code, reason = "other tests need more of it")]
#[path = "spine/stage.rs"]
mod stage;
#[allow(dead_code, reason = "other tests need more of it")]
#[path = "spine/talk.rs"]
mod talk;

const VETH0: &str = "G.V().Has('Name','veth0')";

fn capture(host: &Host, arguments: &[&str]) -> Output {
    host.run(&[&["client", "capture"], arguments].concat())
}

/// What a command printed, which must have succeeded.
fn json_of(host: &Host, arguments: &[&str]) -> Json {
    let output = capture(host, arguments);
    assert!(output.status.success(), "{arguments:?}: {}", stderr(&output));
    serde_json::from_slice(&output.stdout).unwrap()
}

/// Why a command failed.
fn failure(host: &Host, arguments: &[&str]) -> String {
    let output = capture(host, arguments);
    assert_eq!(output.status.code(), Some(1), "{arguments:?}: {output:?}");
    stderr(&output)
}

/// The captures of nodes by name: id and state of each.
fn running(desk: &Desk) -> Option<Vec<(String, String, String)>> {
    let graph = desk.graph()?;
    let mut found = Vec::new();
    for node in graph.nodes.values() {
        for entry in node.pointer("/Metadata/Captures").and_then(Json::as_array).into_iter().flatten() {
            let [name, id, state] = [text(node, "/Metadata/Name"), text(entry, "/ID"), text(entry, "/State")];
            found.push((name.to_owned(), id.to_owned(), state.to_owned()));
        }
    }
    found.sort_unstable();
    Some(found)
}

/// Waits until exactly these captures run: name of the node, id.
fn until(desk: &Desk, what: &str, mut expected: Vec<(&str, &str)>) {
    expected.sort_unstable();
    let is_so = || {
        let running = running(desk)?;
        let found: Vec<(&str, &str)> =
            running.iter().map(|(name, id, _)| (name.as_str(), id.as_str())).collect();
        (found == expected && running.iter().all(|(_, _, state)| state == "active")).then_some(())
    };
    let done = eventually(what, SOON, is_so);
    assert!(done.is_ok(), "{what}: {:?}, expected {expected:?}", running(desk));
}

/// All that a connection hears.
fn listen(mut talk: Talk) -> Receiver<Json> {
    let (heard, notices) = channel();
    std::thread::spawn(move || {
        while let Ok(message) = talk.socket.read() {
            let Ok(text) = message.to_text() else { continue };
            let Ok(json) = serde_json::from_str(text) else { continue };
            if heard.send(json).is_err() {
                break;
            }
        }
    });
    notices
}

#[test]
fn captures_are_made_listed_and_deleted() {
    if !require_root() {
        return;
    }
    let host = Host::new("cap-client");
    let startup = [
        ("SKYDIVE_ANALYZER_STARTUP_CAPTURE_GREMLIN", "G.V().Has('Name','lo')"),
        ("SKYDIVE_ANALYZER_STARTUP_CAPTURE_BPF", "icmp"),
        ("SKYDIVE_ANALYZER_STARTUP_CAPTURE_TYPE", "pcap"),
    ];
    for _ in 0..2 {
        let service = host.start(&["analyzer"], &startup);
        let found = host.ask(ANALYZER, |_| {
            let one = || {
                let all = json_of(&host, &["list"]);
                let all = all.as_object().unwrap().values().cloned().collect::<Vec<_>>();
                (!all.is_empty()).then_some(all)
            };
            eventually("the capture of the configuration", SOON, one).unwrap()
        });
        assert_eq!(found.len(), 1, "once, however often it starts: {found:?}");
        assert_eq!([text(&found[0], "/BPFFilter"), text(&found[0], "/Type")], ["icmp", "pcap"]);
        assert_eq!(text(&found[0], "/GremlinQuery"), "G.V().Has('Name','lo')");
        service.kill();
    }
    let _service = host.start(&["analyzer"], &[]);
    host.ask(ANALYZER, |_| {});
    let all = [
        "create",
        "--gremlin",
        VETH0,
        "--bpf",
        "tcp port 80",
        "--name",
        "n",
        "--description",
        "d",
        "--type",
        "afpacket",
        "--port",
        "6343",
        "--samplingrate",
        "2",
        "--pollinginterval",
        "20",
        "--header-size",
        "64",
        "--rawpacket-limit",
        "10",
        "--extra-tcp-metric",
        "--ip-defrag",
        "--reassamble-tcp",
        "--layer-key-mode",
        "L3",
        "--extra-layer",
        "VRRP",
        "--extra-layer",
        "DNS",
        "--target",
        "10.0.0.1:4739",
        "--target-type",
        "local",
    ];
    let made = json_of(&host, &all);
    let expected = json!({"UUID": made["UUID"], "GremlinQuery": VETH0, "BPFFilter": "tcp port 80", "Name": "n",
        "Description": "d", "Type": "afpacket", "Count": 0, "Port": 6343, "SamplingRate": 2, "PollingInterval": 20,
        "RawPacketLimit": 10, "HeaderSize": 64, "ExtraTCPMetric": true, "IPDefrag": true, "ReassembleTCP": true,
        "LayerKeyMode": "L3", "ExtraLayers": 3, "Target": "10.0.0.1:4739", "TargetType": "local"});
    assert_eq!(made, expected);
    let id = text(&made, "/UUID");
    assert_eq!(json_of(&host, &["get", id]), made);
    assert_eq!(json_of(&host, &["list"])[id], made);
    let of_node = json_of(&host, &["create", "--node", "8d4a'b"]);
    assert_eq!(text(&of_node, "/GremlinQuery"), "G.V().Has('TID', '8d4a\\'b')");
    assert_eq!((&of_node["SamplingRate"], &of_node["PollingInterval"]), (&json!(1), &json!(10)));
    let table = capture(&host, &["list", "--format", "table"]);
    let table = String::from_utf8_lossy(&table.stdout).into_owned();
    assert!(table.contains("GremlinQuery") && table.contains(id), "{table}");

    assert!(failure(&host, &all).ends_with(" 409 Conflict: duplicated resource\n"));
    for (arguments, why) in [
        (&["create"][..], "--gremlin"),
        (&["create", "--gremlin", "G.V()", "--node", "x"], "--node"),
        (&["create", "--gremlin", "G.V("], "GremlinQuery: Not a valid Gremlin expression: "),
        (&["create", "--gremlin", "G.Flows().CaptureNode()"], "it asks for flows"),
        (&["create", "--gremlin", "G.V()", "--bpf", "tcp port"], "BPFFilter: Not a valid BPF expression: "),
        (&["create", "--gremlin", "G.V()", "--type", "tap"], "Type: Not a valid capture type: tap"),
        (&["create", "--gremlin", "G.V()", "--header-size", "7"], "A valid header size is >= 14 && <= 4096"),
        (&["create", "--gremlin", "G.V()", "--rawpacket-limit", "-1"], "A valid raw packet limit size"),
        (&["create", "--gremlin", "G.V()", "--layer-key-mode", "L4"], "--layer-key-mode"),
        (&["create", "--gremlin", "G.V()", "--extra-layer", "SMTP"], "--extra-layer"),
        (&["create", "--gremlin", "G.V()", "--target", "here"], "Target: Not a valid address"),
        (&["get", "nobody"], "Capture 'nobody' not found"),
    ] {
        let said = failure(&host, arguments);
        assert!(said.contains(why), "{arguments:?}: {said}");
    }
    let output = capture(&host, &["delete", "nobody", id]);
    assert_eq!(
        (output.status.code(), stderr(&output).as_str()),
        (Some(0), "error: Capture 'nobody' not found\n")
    );
    assert!(json_of(&host, &["list"]).get(id).is_none());

    let brief = json_of(&host, &["create", "--gremlin", "G.V('brief')", "--ttl", "1000"]);
    let gone = || json_of(&host, &["list"]).get(text(&brief, "/UUID")).is_none().then_some(());
    eventually("a capture to expire", SOON, gone).unwrap();
}

#[test]
fn what_cannot_run_says_so_on_the_resource_and_the_node() {
    if !require_root() {
        return;
    }
    let host = Host::new("cap-faults");
    host.ip("link add veth0 type veth peer name veth1");
    let _service = host.start(&["allinone"], &[]);
    host.ask(ANALYZER, |desk| {
        let made =
            |arguments: &[&str]| json_of(&host, &[&["create", "--gremlin", VETH0], arguments].concat());
        let (good, bad) = (made(&[]), made(&["--type", "ovsmirror"]));
        let (good, bad) = (text(&good, "/UUID"), text(&bad, "/UUID"));
        let why = "a node of type \"veth\" has no captures of type \"ovsmirror\"";
        let told = || {
            let error = json_of(&host, &["get", bad]);
            text(&error, "/Error").starts_with(&format!("veth0: {why}")).then_some(())
        };
        eventually("the error of the resource", SOON, told).unwrap();
        assert_eq!(json_of(&host, &["get", bad])["Count"], 0);
        let graph = desk.graph().unwrap();
        let node = &graph.nodes[graph.named("veth0").unwrap()];
        let entries = node.pointer("/Metadata/Captures").and_then(Json::as_array).unwrap();
        let entry = entries.iter().find(|entry| text(entry, "/ID") == bad).unwrap();
        assert!(text(entry, "/State") == "error" && text(entry, "/Error").starts_with(why), "{entry}");
        // The other one runs, and nothing is wrong with it.
        let active = || (json_of(&host, &["get", good])["Count"] == 1).then_some(());
        eventually("the other capture", SOON, active).unwrap();
        assert_eq!(json_of(&host, &["get", good]).get("Error"), None);
        let all = json_of(&host, &["list"]);
        assert!(text(&all[bad], "/Error").starts_with("veth0: "), "{all}");
        assert_eq!(capture(&host, &["delete", bad]).status.code(), Some(0));
        until(desk, "the end of the one that failed", vec![("veth0", good)]);
    });
}

/// The address space of the agent is bounded, so that the kernel refuses to map a ring: memory itself cannot be made
/// scarce without harm to whatever else runs, and rings are not counted by memory cgroups.
#[test]
fn a_ring_that_the_kernel_refuses_is_told_and_the_other_captures_go_on() {
    const MIB: u64 = 1 << 20;
    if !require_root() {
        return;
    }
    let host = Host::new("cap-ring");
    host.ip("link add veth0 type veth peer name veth1");
    for link in ["lo", "veth0", "veth1"] {
        host.ip(&format!("link set {link} up"));
    }
    let ring = (256 * MIB).to_string();
    let service = host.start(&["allinone"], &[("SKYDIVE_AGENT_CAPTURE_RING_SIZE", &ring)]);
    let bound = |soft: &str| {
        let pid = service.pid().to_string();
        let set = Command::new("prlimit").args(["--pid", &pid, &format!("--as={soft}:unlimited")]).status();
        assert!(set.unwrap().success());
    };
    host.ask(ANALYZER, |desk| {
        let first = json_of(&host, &["create", "--gremlin", "G.V().Has('Name','lo')"]);
        let first = text(&first, "/UUID");
        until(desk, "the first capture", vec![("lo", first)]);
        let status = std::fs::read_to_string(format!("/proc/{}/status", service.pid())).unwrap();
        let size = status.lines().find_map(|line| line.strip_prefix("VmSize:")).unwrap();
        let size: u64 = size.trim().trim_end_matches(" kB").parse().unwrap();
        bound(&(size * 1024 + 128 * MIB).to_string());

        let second = json_of(&host, &["create", "--gremlin", VETH0]);
        let second = text(&second, "/UUID");
        let told = || {
            let capture = json_of(&host, &["get", second]);
            let error = text(&capture, "/Error");
            (error.contains("no memory for a ring of 268435456 bytes")
                && error.contains("a smaller `agent.capture.ring_size`"))
            .then(|| error.to_owned())
        };
        let error = eventually("the error of the resource", SOON, told).unwrap();
        let graph = desk.graph().unwrap();
        let node = &graph.nodes[graph.named("veth0").unwrap()];
        assert_eq!(format!("veth0: {}", text(node, "/Metadata/Captures/0/Error")), error);
        assert_eq!(text(node, "/Metadata/Captures/0/State"), "error");

        // The first one counts on: what comes now is among its flows.
        host.enter(|| {
            let from = UdpSocket::bind("127.0.0.1:0").unwrap();
            from.send_to(b"hello", "127.0.0.1:9999").unwrap();
        });
        let counted = || {
            let query = "G.Flows().Has('Transport.B', 9999).Count()";
            (host.run(&["client", "query", query]).stdout == b"1\n").then_some(())
        };
        eventually("a packet of the first capture", SOON, counted).unwrap();

        // It is tried again, and runs once the kernel lets it.
        bound("unlimited");
        until(desk, "the second capture", vec![("lo", first), ("veth0", second)]);
        let right = || json_of(&host, &["get", second]).get("Error").is_none().then_some(());
        eventually("no error of the resource", SOON, right).unwrap();
    });
}

#[test]
fn captures_follow_the_graph() {
    if !require_root() {
        return;
    }
    let host = Host::new("cap-follow");
    let _service = host.start(&["allinone"], &[]);
    host.ask(ANALYZER, |desk| {
        let headers = [("X-Websocket-Namespace", "OnDemandCaptureNotification"), ("X-Client-Type", "test")];
        let notices = listen(Talk::open(ANALYZER, "/ws/subscriber", &headers));
        let made = json_of(&host, &["create", "--gremlin", VETH0, "--name", "mine"]);
        let id = text(&made, "/UUID");
        let heard = |kind: &str, id: &str| {
            loop {
                let message = notices.recv_timeout(SOON).unwrap();
                assert_eq!(message["Namespace"], "OnDemandCaptureNotification");
                if message["Type"] == kind && message["Obj"]["UUID"] == id {
                    return message;
                }
            }
        };
        assert_eq!(heard("Added", id)["Obj"], made);

        // What is there later is captured, with what the kind allows and nothing else.
        host.ip("link add veth0 type veth peer name veth1");
        until(desk, "an interface that comes later", vec![("veth0", id)]);
        heard("NodeUpdated", id);
        assert_eq!(json_of(&host, &["get", id])["Count"], 1);
        let entry = desk.graph().unwrap();
        let node = &entry.nodes[entry.named("veth0").unwrap()];
        assert_eq!(node.pointer("/Metadata/Captures/0/Name"), Some(&json!("mine")), "{node}");

        // Several on one node, and one that goes by itself.
        let other = json_of(&host, &["create", "--gremlin", VETH0, "--bpf", "icmp", "--ttl", "4000"]);
        let other = text(&other, "/UUID");
        until(desk, "two captures on a node", vec![("veth0", id), ("veth0", other)]);
        until(desk, "the end of one that expires", vec![("veth0", id)]);
        heard("Deleted", other);

        // One that no longer matches is released, one that goes takes its capture with it.
        host.ip("link set veth0 name other0");
        until(desk, "the release of an interface", Vec::new());
        host.ip("link set other0 name veth0");
        until(desk, "an interface that matches again", vec![("veth0", id)]);
        host.ip("link del veth0");
        until(desk, "the end of an interface", Vec::new());
        heard("NodeUpdated", id);
        assert_eq!(json_of(&host, &["get", id])["Count"], 0);
        host.ip("link add veth0 type veth peer name veth1");
        until(desk, "an interface that comes back", vec![("veth0", id)]);

        assert!(capture(&host, &["delete", id]).status.success());
        until(desk, "the end of a capture", Vec::new());
        heard("Deleted", id);
    });
}

#[test]
fn what_cannot_be_captured_is_told_on_the_node() {
    if !require_root() {
        return;
    }
    let host = Host::new("cap-later");
    let _service = host.start(&["allinone"], &[]);
    host.ask(ANALYZER, |desk| {
        for (more, why) in [
            (["--type", "sflow"], "sflow"),
            (["--type", "ebpf"], "ebpf"),
            (["--target-type", "netflowv5"], "netflowv5"),
        ] {
            let line = ["create", "--gremlin", "G.V().Has('Name','lo')"];
            let made = json_of(&host, &[&line[..], &more].concat());
            let id = text(&made, "/UUID");
            let told = eventually("an error on the node", SOON, || {
                let graph = desk.graph()?;
                let entries =
                    graph.nodes[graph.named("lo")?].pointer("/Metadata/Captures")?.as_array()?.clone();
                let entry = entries.into_iter().find(|entry| text(entry, "/ID") == id)?;
                (text(&entry, "/State") == "error").then(|| text(&entry, "/Error").to_owned())
            });
            let told = told.unwrap();
            assert!(told.contains(why) && told.contains("not supported yet"), "{told}");
            assert_eq!(json_of(&host, &["get", id])["Count"], 0);
            assert!(capture(&host, &["delete", id]).status.success());
            until(desk, "the end of what failed", Vec::new());
        }
    });
}

#[test]
fn a_killed_analyzer_finds_its_captures_and_ends_those_it_does_not_know() {
    if !require_root() {
        return;
    }
    let host = Host::new("cap-killed");
    host.ip("link add veth0 type veth peer name veth1");
    let analyzer = || host.start(&["analyzer"], &[]);
    let first = analyzer();
    let _agent = host.start(&["agent"], &[("SKYDIVE_ANALYZERS", ANALYZER), ("SKYDIVE_HOST_ID", "h")]);
    let id = host.ask(ANALYZER, |desk| {
        let made = json_of(&host, &["create", "--gremlin", "G.V().Has('Type','veth')"]);
        let id = text(&made, "/UUID").to_owned();
        until(desk, "captures", vec![("veth0", &id), ("veth1", &id)]);
        id
    });
    first.kill();
    // Meanwhile the captures go on, and an interface comes.
    host.ip("link add veth2 type veth peer name veth3");
    let second = analyzer();
    host.ask(ANALYZER, |desk| {
        until(desk, "what was kept", ["veth0", "veth1", "veth2", "veth3"].map(|name| (name, &*id)).to_vec());
        assert_eq!(json_of(&host, &["get", &id])["Count"], 4);
    });
    second.kill();
    std::fs::remove_dir_all(host.directory().join("data")).unwrap();
    let _third = analyzer();
    host.ask(ANALYZER, |desk| {
        let is_back = || desk.graph().is_some_and(|graph| graph.named("veth3").is_some()).then_some(());
        eventually("the agent", SOON, is_back).unwrap();
        until(desk, "the end of captures that nobody knows", Vec::new());
    });
}
