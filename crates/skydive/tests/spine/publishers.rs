//! Publishers, and those who listen too.

use std::collections::BTreeMap;
use std::net::{Shutdown, TcpStream};

use serde_json::{Value as Json, json};
use skydive_proto::{Envelope, Protocol};
use skydive_testnet::{eventually, require_root};
use tokio_tungstenite::tungstenite::Message;

use crate::stage::{AGENT, ANALYZER, Desk, Host, SOON};
use crate::talk::{Talk, edge, gist, message, node};

fn nodes_of(desk: &Desk, origin: &str) -> Option<BTreeMap<String, Json>> {
    Some(desk.graph()?.part(origin).nodes)
}

/// Waits until an origin has this many nodes.
fn wait_for(desk: &Desk, origin: &str, count: usize) {
    let what = format!("{count} nodes of {origin}");
    eventually(&what, SOON, || (nodes_of(desk, origin)?.len() == count).then_some(())).unwrap();
}

/// A count of dropped messages, by reason.
fn dropped(desk: &Desk, reason: &str) -> u64 {
    let name = format!("skydive_ws_dropped_messages_total{{reason=\"{reason}\"}} ");
    let metrics = desk.get("/metrics").message();
    metrics.lines().find_map(|line| line.strip_prefix(&name)?.parse().ok()).unwrap_or(0)
}

#[test]
fn what_publishers_say_is_done_in_every_form() {
    if !require_root() {
        return;
    }
    for (role, address) in [("analyzer", ANALYZER), ("agent", AGENT)] {
        let host = Host::new("publish");
        let _service = host.start(&[role], &[]);
        host.ask(address, |desk| {
            let path = "/ws/publisher?x-client-type=t&x-host-id=p";
            let mut talk = Talk::open(address, path, &[]);
            talk.say("NodeAdded", &node("a", "device"));
            talk.say("NodeAdded", &node("b", "device"));
            talk.say("EdgeAdded", &edge("a", "b", "layer2"));
            wait_for(desk, "t.p", 2);
            let status = &desk.status()["Publishers"]["p"];
            assert_eq!((&status["ServiceType"], &status["IsConnected"]), (&json!("t"), &json!(true)));
            assert!(status["FilterMode"].is_null());
            let reply = talk.sync(&json!({}));
            assert_eq!((&reply["UUID"], reply["Obj"]["Edges"].as_array().unwrap().is_empty()), (&json!("u"), false));

            // Without a revision it is applied all the same; one that is known is out of date.
            let named = |name: &str, revision: Json| {
                json!({"ID": "a", "Revision": revision, "Metadata": {"Name": name, "Type": "device"}})
            };
            let name = || name_of(desk, "a");
            talk.say("NodeUpdated", &named("first", json!(null)));
            eventually("the update", SOON, || (name()? == "first").then_some(())).unwrap();
            talk.say("NodeUpdated", &named("old", json!(1)));
            talk.say("NodeUpdated", &named("new", json!(9)));
            eventually("the update", SOON, || (name()? == "new").then_some(())).unwrap();
            talk.say("NodePartiallyUpdated", &json!({"ID": "a", "Ops": [{"Type": 2, "Key": "Name"}]}));
            eventually("the update", SOON, || (name()?.is_empty()).then_some(())).unwrap();
            talk.say("EdgeDeleted", &edge("a", "b", "layer2"));
            talk.say("NodeDeleted", &json!({"ID": "a"}));
            wait_for(desk, "t.p", 1);
            talk.leave();

            // What Go clients send who leave the protocol unset: JSON in binary frames, answered with text.
            let mut talk = Talk::open(address, path, &[("x-client-protocol", "")]);
            talk.socket.send(Message::binary(message("NodeAdded", &node("c", "device")))).unwrap();
            talk.socket.send(Message::binary(message("SyncRequest", &json!({})))).unwrap();
            assert_eq!(talk.hear()["Type"], "SyncReply");
            wait_for(desk, "t.p", 2);
            talk.leave();
            let mut talk = Talk::open(address, path, &[("x-client-protocol", "protobuf")]);
            let added = Envelope::json("Graph", "NodeAdded", node("d", "device").to_string().into());
            talk.socket.send(Message::Binary(added.encode(Protocol::Protobuf))).unwrap();
            wait_for(desk, "t.p", 3);

            // A whole graph; its elements say whose they are.
            let mut foreign = node("f", "device");
            foreign["Origin"] = json!("x.y");
            let graph = json!({"Nodes": [node("d", "device"), node("e", "device"), foreign], "Edges": []});
            let sync = Envelope::json("Graph", "Sync", graph.to_string().into());
            talk.socket.send(Message::Binary(sync.encode(Protocol::Protobuf))).unwrap();
            wait_for(desk, "x.y", 1);
            assert_eq!(nodes_of(desk, "t.p").unwrap().into_keys().collect::<Vec<_>>(), ["d", "e"]);
            talk.leave();
        });
    }
}

fn name_of(desk: &Desk, id: &str) -> Option<String> {
    let graph = desk.graph()?;
    Some(graph.nodes.get(id)?["Metadata"]["Name"].as_str().unwrap_or_default().to_owned())
}

#[test]
fn nonsense_is_dropped_and_counted_and_the_connection_stays() {
    if !require_root() {
        return;
    }
    let host = Host::new("nonsense");
    let limit = [("SKYDIVE_HTTP_WS_AGENT_MAX_MESSAGE", "64KiB")];
    let _service = host.start(&["analyzer"], &limit);
    host.ask(ANALYZER, |desk| {
        for (n, path) in ["/ws/publisher", "/ws/pubsub"].into_iter().enumerate() {
            let origin = format!("t.n{n}");
            let mut talk = Talk::open(ANALYZER, &format!("{path}?x-client-type=t&x-host-id=n{n}"), &[]);
            let before = ["malformed", "namespace", "type", "schema"].map(|why| dropped(desk, why));
            for text in ["", "{", "[]", "null", r#"{"Namespace": 1}"#] {
                talk.socket.send(Message::text(text)).unwrap();
            }
            talk.say("NodeAdded", &json!({"ID": 1}));
            talk.say("NodeAdded", &json!({"Metadata": {"Name": "x", "Type": "y"}}));
            talk.say("EdgeAdded", &json!({"ID": "e", "Parent": "", "Child": "b"}));
            talk.socket.send(Message::text(r#"{"Namespace":"Flow","Type":"NodeAdded","Obj":{}}"#)).unwrap();
            talk.socket.send(Message::text(r#"{"Namespace":"Graph","Type":"Nonsense","Obj":{}}"#)).unwrap();
            talk.socket.send(Message::text(r#"{"Type":"NodeAdded","Obj":{}}"#)).unwrap();
            talk.say("NodeAdded", &json!({"ID": "x", "Metadata": {"Type": "device"}}));
            talk.say("NodeUpdated", &json!({"ID": "x", "Metadata": {}}));
            talk.say("EdgeAdded", &json!({"ID": "e", "Parent": "a", "Child": "b", "Metadata": {}}));
            talk.say("NodeAdded", &node(&format!("good{n}"), "device"));
            // An edge of nothing is counted by the graph.
            talk.say("EdgeAdded", &edge("nobody", "nothing", "layer2"));
            wait_for(desk, &origin, 1);
            let counted = ["malformed", "namespace", "type", "schema"].map(|why| dropped(desk, why));
            let by: Vec<u64> = counted.iter().zip(before).map(|(now, before)| now - before).collect();
            assert_eq!(by, [8, 2, 1, 3], "{path}");
            let sum: u64 = counted.iter().sum();
            assert_eq!(desk.status()["Losses"]["DroppedMessages"], json!(sum));

            talk.socket.send(Message::text("x".repeat((64 << 10) + 1))).unwrap();
            let (code, reason) = talk.goodbye();
            assert_eq!(code, 1009, "{path}: {reason}");
        }
        assert_eq!(Talk::open(ANALYZER, "/ws/publisher", &[]).goodbye(), (1000, String::new()));
    });
}

/// Waits until the other end has received all that was written.
fn wait_until_sent(stream: &TcpStream) {
    let port = format!(":{:04X} ", stream.local_addr().unwrap().port());
    let is_sent = || {
        let table = std::fs::read_to_string("/proc/thread-self/net/tcp").unwrap();
        // Local address, remote address, state, then what waits to be sent.
        let line =
            table.lines().find(|line| line.split(": ").nth(1).is_some_and(|l| l[8..].starts_with(&port)));
        line?.split_whitespace().nth(4)?.starts_with("00000000:").then_some(())
    };
    eventually("all to be sent", SOON, is_sent).unwrap();
}

#[test]
fn an_abrupt_end_loses_nothing_and_the_policy_says_what_stays() {
    if !require_root() {
        return;
    }
    const MANY: usize = 2000;
    let host = Host::new("abrupt");
    let _service = host.start(&["analyzer"], &[]);
    host.ask(ANALYZER, |desk| {
        for round in 0..5 {
            let path = format!("/ws/publisher?x-client-type=t&x-host-id=r{round}");
            let mut talk = Talk::open(ANALYZER, &path, &[("x-persistence-policy", "Persistent")]);
            for n in 0..MANY {
                // As some libraries do at times: the answer finds nobody.
                if n % 500 == 250 {
                    talk.socket.send(Message::Ping(Vec::new().into())).unwrap();
                }
                talk.say("NodeAdded", &node(&format!("{round}.{n}"), "device"));
            }
            // Pings of the server were not read: the system resets the connection, and forgets what it has not sent.
            wait_until_sent(talk.socket.get_ref());
            drop(talk);
            wait_for(desk, &format!("t.r{round}"), MANY);
        }

        // Playbooks run again, with another host id each time.
        let add = |host_id: &str, kind: &str| {
            let path = format!("/ws/publisher?x-client-type=t&x-host-id={host_id}");
            let mut talk = Talk::open(ANALYZER, &path, &[]);
            talk.say("NodeAdded", &node("again", kind));
            talk.say("NodeAdded", &node(&format!("last-{host_id}"), kind));
            wait_until_sent(talk.socket.get_ref());
            drop(talk);
            let known = || desk.graph()?.nodes.contains_key(&format!("last-{host_id}")).then_some(());
            eventually("the last message", SOON, known).unwrap();
            let node = desk.graph().unwrap().nodes["again"].clone();
            (node["Revision"].as_i64().unwrap(), node["Metadata"]["Type"].clone(), node["Origin"].clone())
        };
        let first = add("ansible-1-h", "device");
        assert_eq!(add("ansible-2-h", "device"), first, "the same again changes nothing");
        let other = add("ansible-3-h", "bridge");
        assert_eq!(other, (first.0 + 1, json!("bridge"), json!("t.ansible-1-h")));

        // What goes with its publisher takes its edges along, those to others too.
        let path = "/ws/publisher?x-client-type=t&x-host-id=gone";
        let mut talk = Talk::open(ANALYZER, path, &[("x-persistence-policy", "DeleteOnDisconnect")]);
        talk.say("NodeAdded", &node("mine", "device"));
        talk.say("EdgeAdded", &edge("mine", "again", "layer2"));
        talk.say("EdgeAdded", &edge("last-ansible-1-h", "again", "layer2"));
        eventually("the edges", SOON, || (desk.graph()?.part("t.gone").edges.len() == 2).then_some(()))
            .unwrap();
        drop(talk);
        eventually("the end", SOON, || desk.graph()?.part("t.gone").is_empty().then_some(())).unwrap();
        assert!(desk.graph().unwrap().edges.is_empty());

        // What agents made is theirs: adding it again changes nothing.
        let agent = desk.fake_agent("one");
        agent.say(desk, "NodeAdded", &node("theirs", "device"));
        wait_for(desk, "agent.one", 1);
        assert_eq!(add("ansible-4-h", "veth").1, json!("veth"));
        let mut talk = Talk::open(ANALYZER, "/ws/publisher?x-client-type=t&x-host-id=x", &[]);
        talk.say("NodeAdded", &node("theirs", "bridge"));
        talk.say("NodeAdded", &node("done", "bridge"));
        wait_for(desk, "t.x", 1);
        assert_eq!(nodes_of(desk, "agent.one").unwrap()["theirs"]["Metadata"]["Type"], "device");
    });
}

#[test]
fn a_host_id_is_unique_per_endpoint_and_free_at_once() {
    if !require_root() {
        return;
    }
    let host = Host::new("unique");
    let _service = host.start(&["analyzer"], &[]);
    host.ask(ANALYZER, |_| {
        for path in ["/ws/subscriber", "/ws/publisher", "/ws/pubsub"] {
            let path = format!("{path}?x-client-type=t&x-host-id=same");
            let mut holder = Talk::open(ANALYZER, &path, &[]);
            let line = holder.socket.get_ref().try_clone().unwrap();
            std::thread::scope(|scope| {
                // The holder proves that it lives by answering pings.
                scope.spawn(move || while holder.socket.read().is_ok() {});
                assert_eq!(Talk::try_open(ANALYZER, &path, &[]).err(), Some(409), "{path}");
                line.shutdown(Shutdown::Both).unwrap();
            });
            for _ in 0..20 {
                Talk::open(ANALYZER, &path, &[]).leave();
            }
        }
    });
}

#[test]
fn who_publishes_and_subscribes_hears_the_others_and_not_itself() {
    if !require_root() {
        return;
    }
    for (role, address) in [("analyzer", ANALYZER), ("agent", AGENT)] {
        let host = Host::new("pubsub");
        let _service = host.start(&[role], &[]);
        host.ask(address, |desk| {
            // No probe finds any of these.
            let filter = "G.V().Has('Type', 'server').SubGraph()";
            let open = |id: &str, headers: &[(&str, &str)]| {
                Talk::open(address, &format!("/ws/pubsub?x-client-type=t&x-host-id={id}"), headers)
            };
            let (mut one, mut other) = (open("one", &[]), open("other", &[("x-gremlin-filter", filter)]));
            one.sync(&json!({"GremlinFilter": filter}));
            other.sync(&json!({}));
            assert_eq!(desk.status()["PubSubs"]["other"]["FilterMode"], "incremental");
            let added = |id: &str| ("NodeAdded".to_owned(), id.to_owned());
            for n in 0..20 {
                let (mine, theirs) = (format!("mine{n}"), format!("theirs{n}"));
                one.say("NodeAdded", &node(&mine, "server"));
                assert_eq!(gist(&other.hear()), added(&mine));
                other.say("NodeAdded", &node(&theirs, "server"));
                other.say("NodeAdded", &json!({"ID": "bad", "Metadata": {}}));
                assert_eq!(gist(&one.hear()), added(&theirs));
            }
            // Without a filter too.
            one.sync(&json!({"GremlinFilter": ""}));
            one.say("NodeDeleted", &node("theirs0", "server"));
            assert_eq!(gist(&other.hear()), ("NodeDeleted".to_owned(), "theirs0".to_owned()));
            other.say("NodeDeleted", &node("mine0", "server"));
            while gist(&one.hear()) != ("NodeDeleted".to_owned(), "mine0".to_owned()) {}
            let graph = one.sync(&json!({}));
            assert!(graph["Obj"]["Nodes"].as_array().unwrap().len() >= 38);
        });
    }
}
