//! Bodies that make resources: the first JSON value in them, or YAML; and the list of resources as an answer.

use std::sync::Arc;

use bytes::Bytes;
use serde::Deserialize;
use serde_json::value::RawValue;
use skydive_graph::Snapshot;
use skydive_value::{Id, SmolStr, Value};
use thiserror::Error;

use crate::pieces::{Part, Pieces};
use crate::resource::Resource;

/// A body that cannot be read.
#[derive(Debug, Error)]
pub enum BodyError {
    /// There is nothing in it.
    #[error("EOF")]
    Empty,
    /// Its JSON is malformed.
    #[error(transparent)]
    Json(#[from] serde_json::Error),
    /// Its YAML is malformed, or grows too large.
    #[error("invalid YAML: {0}")]
    Yaml(String),
}

/// Content type of bodies in YAML; anything else is taken for JSON.
pub const YAML: &str = "application/yaml";
/// Levels of nesting in YAML, as the JSON reader allows.
const MAX_DEPTH: usize = 127;
/// Nodes that aliases may repeat: a small file must not become a large tree.
const MAX_REPLAYED: usize = 10_000;

/// The first JSON value of a body; what follows it is not looked at.
pub fn first_json(body: &[u8]) -> Result<Bytes, BodyError> {
    match serde_json::Deserializer::from_slice(body).into_iter::<Box<RawValue>>().next() {
        None => Err(BodyError::Empty),
        Some(first) => Ok(Bytes::copy_from_slice(first?.get().as_bytes())),
    }
}

/// A body in YAML as JSON.
pub fn json_of_yaml(body: &[u8]) -> Result<Bytes, BodyError> {
    let text = std::str::from_utf8(body).map_err(|fault| BodyError::Yaml(fault.to_string()))?;
    let options = serde_saphyr::options! {
        budget: serde_saphyr::budget! { max_depth: MAX_DEPTH },
        alias_limits: serde_saphyr::alias_limits! { max_total_replayed_events: MAX_REPLAYED },
        strict_booleans: true,
    };
    let json: serde_json::Value = serde_saphyr::from_str_with_options(text, options)
        .map_err(|fault| BodyError::Yaml(fault.to_string()))?;
    if json.is_null() {
        return Err(BodyError::Empty);
    }
    Ok(serde_json::to_vec(&json)?.into())
}

/// The nodes of a snapshot by id, as the list of that resource.
pub fn pieces_of_nodes(snapshot: Snapshot) -> Pieces {
    let mut nodes: Vec<_> = snapshot.nodes().cloned().collect();
    nodes.sort_by_cached_key(|node| node.id.to_string());
    by_id(nodes.into_iter().map(|node| (node.id.clone(), Part::Node(node))))
}

/// The edges of a snapshot by id, as the list of that resource.
pub fn pieces_of_edges(snapshot: Snapshot) -> Pieces {
    let mut ids: Vec<Id> = snapshot.edges().map(|edge| edge.id().clone()).collect();
    ids.sort_by_cached_key(ToString::to_string);
    by_id(ids.into_iter().filter_map(move |id| {
        let edge = snapshot.edge(&id)?.to_edge();
        Some((id, Part::Edge(Arc::new(edge))))
    }))
}

fn by_id(parts: impl Iterator<Item = (Id, Part)> + Send + 'static) -> Pieces {
    let members = parts.enumerate().flat_map(|(at, (id, part))| {
        let separator = (at > 0).then_some(Part::Text(","));
        let id = Part::Value(Value::Str(SmolStr::from(id.to_string())));
        separator.into_iter().chain([id, Part::Text(":"), part])
    });
    Pieces::new(std::iter::once(Part::Text("{")).chain(members).chain(std::iter::once(Part::Text("}"))))
}

/// Stored resources by id, as their list.
pub fn json_of_resources(resources: &[Resource]) -> Bytes {
    let mut out =
        Vec::with_capacity(resources.iter().map(|r| r.json.len() + r.id.len() + 4).sum::<usize>() + 2);
    out.push(b'{');
    for (at, resource) in resources.iter().enumerate() {
        if at > 0 {
            out.push(b',');
        }
        out.extend_from_slice(serde_json::Value::from(resource.id.as_str()).to_string().as_bytes());
        out.push(b':');
        out.extend_from_slice(resource.json.as_bytes());
    }
    out.push(b'}');
    out.into()
}

/// Reads an object of a resource; members by any case, unknown ones skipped, `null` as absent.
pub(crate) fn read<'de, T: Deserialize<'de>>(json: &'de [u8]) -> Result<T, serde_json::Error> {
    serde_json::from_slice(json)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn only_the_first_value_is_read() {
        assert_eq!(&first_json(br#" {"A":1} {"A":2} nonsense"#).unwrap()[..], br#"{"A":1}"#);
        assert!(matches!(first_json(b"  "), Err(BodyError::Empty)));
        assert!(first_json(b"{").is_err());
    }

    #[test]
    fn yaml_is_json_then() {
        let json = json_of_yaml(b"Name: n\nMetadata:\n  Type: t\n  N: 1\n").unwrap();
        assert_eq!(&json[..], br#"{"Name":"n","Metadata":{"Type":"t","N":1}}"#);
        assert!(json_of_yaml(b"a: [").is_err());
        assert!(json_of_yaml(b"").is_err());
        assert!(json_of_yaml(b"\xff").is_err());
    }

    #[test]
    fn a_small_yaml_does_not_become_a_large_tree() {
        let mut text = String::from("a0: &a0 [x, x, x, x, x, x, x, x, x, x]\n");
        for i in 1..9 {
            let aliases = vec![format!("*a{}", i - 1); 10].join(", ");
            text += &format!("a{i}: &a{i} [{aliases}]\n");
        }
        assert!(json_of_yaml(text.as_bytes()).is_err());
    }

    #[test]
    fn lists_are_objects_by_id() {
        assert_eq!(&json_of_resources(&[])[..], b"{}");
        let resource = |id: &str| Resource {
            id: id.into(),
            json: format!("{{\"UUID\":{id:?}}}").into(),
            revision: 1,
            expires_at: None,
        };
        let list = json_of_resources(&[resource("a"), resource("b\"")]);
        let list: serde_json::Value = serde_json::from_slice(&list).unwrap();
        assert_eq!(list.pointer("/b\"/UUID").and_then(|id| id.as_str()), Some("b\""));
    }
}
