//! The vectors of the original: decoding of elements, and what update messages do to a graph.
#![allow(clippy::unwrap_used, reason = "a test that cannot set up must fail")]

use serde_json::Value as Json;
use skydive_graph::{Graph, Mutation};
use skydive_proto::{
    EdgeJson, Envelope, GraphMessage, NodeJson, decode_edge, decode_node, graph_type, namespace,
};
use skydive_value::{Id, Timestamp};

const NOW: i64 = 1_700_000_000_000;

fn now() -> Timestamp {
    Timestamp::from_millis(NOW)
}

#[test]
fn elements() {
    let cases: Vec<Json> = serde_json::from_str(include_str!("data/elements.json")).unwrap();
    assert_eq!(cases.len(), 18);
    for case in &cases {
        let input = case["json"].to_string();
        let read = match case["kind"].as_str().unwrap() {
            "node" => {
                decode_node(input.as_bytes(), now()).map(|n| serde_json::to_value(NodeJson(&n)).unwrap())
            }
            _ => decode_edge(input.as_bytes(), now()).map(|e| serde_json::to_value(EdgeJson(&e)).unwrap()),
        };
        match (read, case.get("error").and_then(Json::as_str)) {
            (Ok(read), None) => {
                let mut expected = case["decoded"].clone();
                for time in case["set_to_now"].as_array().into_iter().flatten() {
                    expected[time.as_str().unwrap()] = NOW.into();
                }
                assert_eq!(read, expected, "{}", case["id"]);
            }
            (Err(error), Some(text)) => {
                // Texts of the original's libraries are not copied.
                let library = text.starts_with("json:") || text.starts_with("strconv.");
                assert!(library || error.to_string() == text, "{}: {error}", case["id"]);
            }
            (read, expected) => panic!("{}: {read:?}, expected {expected:?}", case["id"]),
        }
    }
}

#[test]
fn updates() {
    let cases: Vec<Json> = serde_json::from_str(include_str!("data/updates.json")).unwrap();
    assert_eq!(cases.len(), 11);
    for case in &cases {
        let mut graph = Graph::new();
        let mut events = Vec::new();
        let node = decode_node(case["node"].to_string().as_bytes(), now()).unwrap();
        let id = node.id.clone();
        graph.apply(Mutation::AddNode(node), now(), &mut events).unwrap();
        events.clear();

        let kind = match case["kind"].as_str().unwrap() {
            "partial" => graph_type::NODE_PARTIALLY_UPDATED,
            _ => graph_type::NODE_UPDATED,
        };
        let envelope = Envelope::json(namespace::GRAPH, kind, case["message"].to_string().into());
        let message = GraphMessage::decode(&envelope, now()).unwrap();
        let applied = graph.apply(message.into_mutation(&"o".into()).unwrap(), now(), &mut events);

        let after = serde_json::to_value(NodeJson(graph.node(&id).unwrap())).unwrap();
        assert_eq!(after, case["after"], "{}", case["id"]);
        assert_eq!(events.len() as u64, case["events"].as_u64().unwrap(), "{}", case["id"]);
        let error = applied.err().map(|e| e.to_string());
        assert_eq!(error.as_deref(), case.get("error").and_then(Json::as_str), "{}", case["id"]);
    }
}

#[test]
fn members_come_in_the_order_clients_know() {
    let edge = decode_edge(br#"{"ID":"e","Parent":"p","Child":"c"}"#, now()).unwrap();
    assert_eq!(
        serde_json::to_string(&EdgeJson(&edge)).unwrap(),
        format!(
            r#"{{"ID":"e","Metadata":{{}},"Host":"","Origin":"","CreatedAt":{NOW},"UpdatedAt":{NOW},"DeletedAt":null,"Revision":0,"Parent":"p","Child":"c"}}"#
        )
    );
    assert_eq!(edge.id, Id::from("e"));
}
