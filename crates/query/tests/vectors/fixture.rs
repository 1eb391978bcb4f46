//! Graphs that queries are asked of.

use std::sync::Arc;

use serde_json::Value as Json;
use skydive_graph::{Edge, Graph, Mutation, Node, Source};
use skydive_query::View;
use skydive_value::{Id, Map, Timestamp};

fn text<'a>(json: &'a Json, member: &str) -> &'a str {
    json[member].as_str().unwrap_or_default()
}

fn time(json: &Json, member: &str) -> Timestamp {
    Timestamp::from_millis(json[member].as_i64().unwrap_or_default())
}

fn metadata(json: &Json) -> Map {
    serde_json::from_value(json["Metadata"].clone()).unwrap_or_default()
}

fn source(json: &Json) -> Arc<Source> {
    Source { host: text(json, "Host").into(), origin: text(json, "Origin").into() }.into()
}

/// A graph of `graphs.json`.
pub(crate) fn fixture(name: &str) -> View {
    let all: Json = serde_json::from_str(include_str!("../data/graphs.json")).unwrap();
    graph_of(&all[name])
}

/// The graph of lists of nodes and edges.
pub(crate) fn graph_of(all: &Json) -> View {
    let mut graph = Graph::new();
    let mut events = Vec::new();
    let mut add = |mutation| graph.apply(mutation, Timestamp::EPOCH, &mut events).unwrap();
    for json in all["nodes"].as_array().unwrap() {
        let mut node =
            Node::new(text(json, "ID").into(), source(json), metadata(json), time(json, "CreatedAt"));
        node.updated_at = time(json, "UpdatedAt");
        node.revision = json["Revision"].as_i64().unwrap_or(1);
        add(Mutation::AddNode(node));
    }
    for json in all["edges"].as_array().unwrap() {
        let ends: [Id; 2] = [text(json, "Parent").into(), text(json, "Child").into()];
        let [parent, child] = ends;
        let mut edge = Edge::new(
            text(json, "ID").into(),
            parent,
            child,
            source(json),
            metadata(json),
            time(json, "CreatedAt"),
        );
        edge.updated_at = time(json, "UpdatedAt");
        edge.revision = json["Revision"].as_i64().unwrap_or(1);
        add(Mutation::AddEdge(edge));
    }
    View::whole(graph.snapshot())
}
