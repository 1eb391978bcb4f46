//! `client node` and `client edge`: elements of the graph made and changed by hand.

use std::sync::Arc;

use anyhow::{Context as _, bail};
use serde_json::{Map as JsonMap, Value as Json};
use skydive_client::{Collection, PatchOp, Rest};
use skydive_graph::{Edge, Node, Source, key};
use skydive_proto::{EdgeJson, NodeJson};
use skydive_value::Id;

use super::show::{Look, print, show};
use super::{create, deletion, heard, read, require_ok};
use crate::cli::{EdgeCommand, EdgeDraft, ElementCommand, NodeCommand, NodeDraft, Shape};
use crate::config::Surroundings;
use crate::wiring::system_clock;

/// Before the host in the origin of what is made here.
const ORIGIN: &str = "cli";
/// Where an element has its metadata.
const METADATA: &str = "Metadata";

pub(super) async fn run_node(rest: &Rest, command: NodeCommand) -> anyhow::Result<()> {
    match command {
        NodeCommand::Create(draft) => create_node(rest, draft).await,
        NodeCommand::Other(command) => run(rest, Collection::Nodes, command).await,
    }
}

pub(super) async fn run_edge(rest: &Rest, command: EdgeCommand) -> anyhow::Result<()> {
    match command {
        EdgeCommand::Create(draft) => create_edge(rest, draft).await,
        EdgeCommand::Other(command) => run(rest, Collection::Edges, command).await,
    }
}

async fn run(rest: &Rest, collection: Collection, command: ElementCommand) -> anyhow::Result<()> {
    match command {
        ElementCommand::Read(command) => read(rest, collection, command).await,
        ElementCommand::Update { ids, add, remove, shape } => {
            for id in &ids {
                update(rest, collection, id, &add, &remove, shape.format).await?;
            }
            Ok(())
        }
        ElementCommand::Delete { ids, gremlin: false } => deletion::delete(rest, collection, &ids).await,
        ElementCommand::Delete { ids: queries, gremlin: true } => {
            let ids = deletion::found(rest, collection, &queries).await?;
            deletion::delete(rest, collection, &ids).await
        }
    }
}

async fn create_node(rest: &Rest, draft: NodeDraft) -> anyhow::Result<()> {
    let mut metadata = draft.metadata.into_map();
    for (key, given) in [(key::NAME, draft.node_name), (key::TYPE, draft.node_type)] {
        if let Some(given) = given {
            metadata.insert(key, given.as_str());
        }
    }
    let node = Node::new(Id::random(), source(draft.host), metadata, system_clock().now());
    create(rest, Collection::Nodes, serde_json::to_vec(&NodeJson(&node))?, &draft.shape).await
}

async fn create_edge(rest: &Rest, draft: EdgeDraft) -> anyhow::Result<()> {
    // A node that is not there is named here; the analyzer says only which end it is.
    for end in [&draft.parent, &draft.child] {
        require_ok(heard(rest, rest.find(Collection::Nodes, end)).await?, rest)?;
    }
    let mut metadata = draft.metadata.into_map();
    if let Some(relation) = draft.edge_type {
        metadata.insert(key::RELATION_TYPE, relation.as_str());
    }
    let (parent, child) = (Id::from(draft.parent.as_str()), Id::from(draft.child.as_str()));
    let edge = Edge::new(Id::random(), parent, child, source(draft.host), metadata, system_clock().now());
    create(rest, Collection::Edges, serde_json::to_vec(&EdgeJson(&edge))?, &draft.shape).await
}

/// Who makes an element: the host that was named, else this one.
fn source(host: Option<String>) -> Arc<Source> {
    Source::of(ORIGIN, &host.unwrap_or_else(|| Surroundings::of_process().host_name))
}

/// Changes one element and prints it as it is then.
async fn update(
    rest: &Rest,
    collection: Collection,
    id: &str,
    add: &[(String, Json)],
    remove: &[String],
    shape: Option<Shape>,
) -> anyhow::Result<()> {
    let found = require_ok(heard(rest, rest.find(collection, id)).await?, rest)?;
    let mut element: Json = serde_json::from_slice(&found.body).context("the answer is not JSON")?;
    let Some(Json::Object(metadata)) = element.get_mut(METADATA) else {
        bail!("{id} has no metadata");
    };
    let patch = patch(metadata, add, remove);
    let answer = require_ok(heard(rest, rest.patch(collection, id, &patch)).await?, rest)?;
    if answer.status == 304 {
        return print("Not modified\n");
    }
    show(&answer.body, shape, Look::Resource)
}

/// The operations that set and remove these fields of `metadata`, which is changed likewise.
fn patch(metadata: &mut JsonMap<String, Json>, add: &[(String, Json)], remove: &[String]) -> Vec<PatchOp> {
    let mut patch = Vec::new();
    for (key, value) in add {
        let (names, value) = place(metadata, key, value.clone());
        patch.push(PatchOp::Add { path: pointer(&names), value });
    }
    for key in remove {
        let names = names_of(metadata, &key.replace('/', "."));
        patch.push(PatchOp::Remove { path: pointer(&names) });
    }
    patch
}

/// Sets a field. Gives the object in which something is new or different and what is put there: JSON patches do not
/// make the objects on the way.
fn place(metadata: &mut JsonMap<String, Json>, key: &str, value: Json) -> (Vec<String>, Json) {
    let mut names = Vec::new();
    let mut object = metadata;
    let mut rest = key;
    loop {
        let (name, deeper) = split(object, rest);
        names.push(name.clone());
        let Some(deeper) = deeper else {
            object.insert(name, value.clone());
            return (names, value);
        };
        if !object.get(&name).is_some_and(Json::is_object) {
            let nested = nest(deeper, value);
            object.insert(name, nested.clone());
            return (names, nested);
        }
        let Some(Json::Object(inner)) = object.get_mut(&name) else {
            unreachable!("it was looked at above");
        };
        object = inner;
        rest = deeper;
    }
}

/// The names that lead to a field.
fn names_of(metadata: &JsonMap<String, Json>, key: &str) -> Vec<String> {
    let (mut object, mut rest, mut names) = (Some(metadata), key, Vec::new());
    loop {
        let (name, deeper) = match object {
            Some(object) => split(object, rest),
            None => (rest.to_owned(), None),
        };
        object = object.and_then(|object| object.get(&name)).and_then(Json::as_object);
        names.push(name);
        match deeper {
            Some(deeper) => rest = deeper,
            None => return names,
        }
    }
}

/// The first name of a dotted key and what follows it. A field that is called like all of it, dots too, is meant first.
fn split<'k>(object: &JsonMap<String, Json>, key: &'k str) -> (String, Option<&'k str>) {
    match key.split_once('.') {
        Some((name, deeper)) if !object.contains_key(key) => (name.to_owned(), Some(deeper)),
        _ => (key.to_owned(), None),
    }
}

fn nest(key: &str, value: Json) -> Json {
    key.rsplit('.').fold(value, |inner, name| Json::Object(JsonMap::from_iter([(name.to_owned(), inner)])))
}

fn pointer(names: &[String]) -> String {
    PatchOp::pointer([METADATA].into_iter().chain(names.iter().map(String::as_str)))
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;

    #[test]
    fn patches_make_the_objects_on_the_way() {
        let mut metadata = json!({"a": {"b": 1}, "x.y": 2, "t": "text"});
        let Json::Object(metadata) = &mut metadata else { panic!("not an object") };
        let add = |key: &str, value| (key.to_owned(), value);
        let adds = [
            add("k", json!("v")),
            add("a.c", json!(1)),
            add("n.m.o", json!(true)),
            add("n.m.p", json!(false)),
            add("x.y", json!(3)),
            add("t.u", json!(null)),
            add("s~", json!([1])),
        ];
        let removes = ["a.b", "x.y", "a/c", "none.at.all"].map(str::to_owned);
        let patch = serde_json::to_value(patch(metadata, &adds, &removes)).unwrap();
        assert_eq!(
            patch,
            json!([
                {"op": "add", "path": "/Metadata/k", "value": "v"},
                {"op": "add", "path": "/Metadata/a/c", "value": 1},
                {"op": "add", "path": "/Metadata/n", "value": {"m": {"o": true}}},
                {"op": "add", "path": "/Metadata/n/m/p", "value": false},
                {"op": "add", "path": "/Metadata/x.y", "value": 3},
                {"op": "add", "path": "/Metadata/t", "value": {"u": null}},
                {"op": "add", "path": "/Metadata/s~0", "value": [1]},
                {"op": "remove", "path": "/Metadata/a/b"},
                {"op": "remove", "path": "/Metadata/x.y"},
                {"op": "remove", "path": "/Metadata/a/c"},
                {"op": "remove", "path": "/Metadata/none/at.all"},
            ])
        );
    }
}
