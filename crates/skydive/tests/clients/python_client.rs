//! The PyPI package `skydive-client` 0.10.0: its REST client, its WebSocket client, its program `skydive-ws-client`.

use std::fs::File;

use serde_json::{Value as Json, json};
use skydive_testnet::{Running, eventually, require_root};

use crate::packages::{file, program, script, with_analyzer};
use crate::site::{FAR, PORT, Street};
use crate::stage::{ANALYZER, Desk, Graph, Host, SOON, Sees, text};
use crate::talk::{edge, node};

/// The program `skydive-ws-client`, listening on a host.
struct Listener<'h> {
    host: &'h Host,
    name: &'static str,
    _running: Running,
}

impl<'h> Listener<'h> {
    fn start(host: &'h Host, name: &'static str, options: &[&str]) -> Self {
        let log = File::create(host.directory().join(name)).unwrap();
        let mut command =
            program(host, "skydive-ws-client", &[&["--host", name, "listen"], options].concat());
        let running = Running::start(command.stderr(log)).unwrap();
        let listener = Self { host, name, _running: running };
        eventually("the connection", SOON, || listener.log().contains("connection opened").then_some(()))
            .unwrap();
        listener
    }

    fn log(&self) -> String {
        std::fs::read_to_string(self.host.directory().join(self.name)).unwrap()
    }

    /// What it received.
    fn messages(&self) -> Vec<Json> {
        let log = self.log();
        let received = log.lines().filter_map(|line| line.split_once("Text message received: "));
        received.filter_map(|(_, text)| serde_json::from_str(text).ok()).collect()
    }

    /// Waits for a message about an element.
    fn expect(&self, kind: &str, id: &str) -> Json {
        let is_it = |message: &Json| text(message, "/Type") == kind && text(message, "/Obj/ID") == id;
        let found = eventually("a message", SOON, || self.messages().into_iter().find(is_it));
        found.unwrap_or_else(|_| panic!("no {kind} of {id}:\n{}", self.log()))
    }
}

fn graph_becomes(desk: &Desk, what: &str, is_so: impl Fn(&Graph) -> bool) -> Graph {
    let found = eventually(what, SOON, || desk.graph().filter(|graph| is_so(graph)));
    found.unwrap_or_else(|_| panic!("{what}: {:?}", desk.graph()))
}

fn has(graph: &Graph, id: &str) -> bool {
    graph.nodes.contains_key(id) || graph.edges.contains_key(id)
}

#[test]
fn all_rest_calls_about_the_topology() {
    if !require_root() {
        return;
    }
    with_analyzer("py-rest", |host, _| drop(script(host, "rest_calls.py", &[ANALYZER])));
}

#[test]
fn all_rest_calls_about_captures() {
    if !require_root() {
        return;
    }
    let host = Host::new("py-captures");
    host.ip("link add veth0 type veth peer name veth1");
    let _service = host.start(&["allinone"], &[]);
    host.ask(ANALYZER, |_| drop(script(&host, "capture_calls.py", &[ANALYZER])));
}

#[test]
fn flows_by_rest_and_by_subscription() {
    if !require_root() {
        return;
    }
    let street = Street::new("py-flows");
    let settings = [("SKYDIVE_FLOW_UPDATE", "1"), ("SKYDIVE_STORAGE_MEMORY_BULK_MAXDELAY", "50ms")];
    let binary = crate::stage::binary();
    // It sees the process that downloads.
    let _service = street.host.start_line(&[binary.to_str().unwrap(), "allinone"], &settings, Sees::All);
    street.ask(|_| {
        drop(script(&street.host, "flow_calls.py", &[ANALYZER, FAR, &format!("http://{FAR}:{PORT}/")]));
    });
}

#[test]
fn what_the_websocket_client_says_before_it_drops_the_connection_is_done() {
    if !require_root() {
        return;
    }
    with_analyzer("py-ws", |host, desk| {
        let publish = |policy: &str, messages: &Json| {
            let file = file(host, "messages.json", messages.to_string());
            // The same host id again: it is free as soon as its connection is gone.
            let name = if policy == "transient" { "guest" } else { "publisher" };
            script(host, "publish.py", &[ANALYZER, name, policy, &file]);
        };
        let mut nameless = node("nameless", "t");
        nameless["Metadata"] = json!({"Type": "t"});
        publish(
            "persistent",
            &json!([
                ["NodeAdded", node("a", "t")],
                ["NodeAdded", nameless],
                ["NodeAdded", {"Host": "without an id"}],
                ["NodeAdded", node("b", "t")],
                ["EdgeAdded", edge("a", "b", "layer2")],
            ]),
        );
        let graph = graph_becomes(desk, "the graph published", |graph| has(graph, "a-b"));
        assert_eq!(graph.nodes.keys().collect::<Vec<_>>(), ["a", "b"], "what is invalid is dropped");
        assert_eq!(text(&graph.nodes["a"], "/Origin"), "skydive-python-client.publisher");
        assert!(graph.nodes["a"]["CreatedAt"].is_u64());

        publish(
            "persistent",
            &json!([["EdgeDeleted", edge("a", "b", "layer2")], ["NodeDeleted", node("b", "t")]]),
        );
        let graph = graph_becomes(desk, "the end of an edge and a node", |graph| !has(graph, "b"));
        assert!(has(&graph, "a") && !has(&graph, "a-b"));

        let mut subscriber = desk.subscribe();
        publish(
            "transient",
            &json!([["NodeAdded", node("c", "t")], ["EdgeAdded", edge("a", "c", "layer2")]]),
        );
        subscriber.until("the node of a guest", |_, graph| has(graph, "c")).unwrap();
        subscriber.until("its end with its publisher", |_, graph| !has(graph, "c")).unwrap();
        graph_becomes(desk, "what others published", |graph| has(graph, "a") && !has(graph, "a-c"));
    });
}

#[test]
fn the_program_adds_updates_deletes_and_listens() {
    if !require_root() {
        return;
    }
    with_analyzer("py-program", |host, desk| {
        let all = Listener::start(host, "all", &["--sync-request"]);
        let some = Listener::start(host, "some", &["--gremlin", "G.V().Has('Type', 'wanted').SubGraph()"]);
        for listener in [&all, &some] {
            let name = listener.name;
            let known =
                || desk.status().pointer(&format!("/Subscribers/{name}"))?.get("IsConnected")?.as_bool();
            eventually("a subscriber", SOON, known).unwrap();
        }
        let change = |mode: &str, graph: &Json| {
            let file = file(host, "graph.json", graph.to_string());
            let output =
                program(host, "skydive-ws-client", &["--host", "writer", mode, &file]).output().unwrap();
            assert!(output.status.success(), "{}", String::from_utf8_lossy(&output.stderr));
        };
        let mut graph = json!({
            "Nodes": [node("a", "wanted"), node("b", "other")],
            "Edges": [edge("a", "b", "layer2")],
        });
        change("add", &graph);
        assert_eq!(all.expect("NodeAdded", "b")["Obj"]["Metadata"]["Type"], "other");
        let added = all.expect("EdgeAdded", "a-b");
        assert_eq!((text(&added, "/Obj/Parent"), text(&added, "/Obj/Child")), ("a", "b"));
        assert_eq!(added["Namespace"], "Graph");
        some.expect("NodeAdded", "a");

        graph["Nodes"][0]["Metadata"]["Vendor"] = "x".into();
        graph["Nodes"][0]["Revision"] = 7.into();
        change("update", &json!({"Nodes": [graph["Nodes"][0]]}));
        for listener in [&all, &some] {
            assert_eq!(listener.expect("NodeUpdated", "a")["Obj"]["Metadata"]["Vendor"], "x");
        }

        change("delete", &json!({"Edges": graph["Edges"]}));
        all.expect("EdgeDeleted", "a-b");
        change("delete", &json!({"Nodes": graph["Nodes"]}));
        for id in ["a", "b"] {
            all.expect("NodeDeleted", id);
        }
        some.expect("NodeDeleted", "a");
        assert!(!some.messages().iter().any(|message| ["b", "a-b"].contains(&text(message, "/Obj/ID"))));

        // The reply to a request whose filter is empty text is the whole graph.
        let reply = all.messages().into_iter().find(|message| message["Type"] == "SyncReply").unwrap();
        assert_eq!(reply["Status"], 200);
        assert_eq!(text(&reply, "/UUID").len(), 32, "the UUID of the request, as the client writes it");
        assert!(reply["Obj"]["Nodes"].is_array() && reply["Obj"]["Edges"].is_array());
    });
}
