//! Nodes and edges as JSON: `ID`, `Metadata`, `Host`, `Origin`, `CreatedAt`, `UpdatedAt`, `DeletedAt` (`null` while
//! alive), `Revision`, and for edges `Parent` and `Child`, in this order.

use std::sync::Arc;

use serde::ser::SerializeStruct;
use serde::{Serialize, Serializer};
use skydive_graph::{Edge, EdgeView, Node, Source};
use skydive_value::{Id, Map, SmolStr, Timestamp};
use thiserror::Error;

use crate::json::{Millis, object};

/// A node that serialises as its JSON.
#[derive(Clone, Copy)]
pub struct NodeJson<'a>(pub &'a Node);

/// An edge that serialises as its JSON.
#[derive(Clone, Copy)]
pub struct EdgeJson<'a>(pub &'a Edge);

/// An edge inside a snapshot that serialises as its JSON.
#[derive(Clone, Copy)]
pub struct EdgeViewJson<'a>(pub EdgeView<'a>);

/// An element that cannot be read.
#[derive(Debug, Error)]
pub enum ElementError {
    /// The id is absent or empty.
    #[error("No ID found for graph element")]
    NoId,
    /// The parent end is absent or empty.
    #[error("parent ID wrong format")]
    Parent,
    /// The child end is absent or empty.
    #[error("child ID wrong format")]
    Child,
    /// Not JSON, or a member of a wrong type.
    #[error(transparent)]
    Json(#[from] serde_json::Error),
    /// More operations in one update than a receiver does.
    #[error("update of {ops} operations exceeds the limit of {max}")]
    TooManyOps {
        /// How many.
        ops: usize,
        /// The limit.
        max: usize,
    },
}

object! {
    struct Members "a graph element" {
        id: Id = "ID",
        metadata: Map = "Metadata",
        host: SmolStr = "Host",
        origin: SmolStr = "Origin",
        created_at: Millis = "CreatedAt",
        updated_at: Millis = "UpdatedAt",
        deleted_at: Millis = "DeletedAt",
        revision: i64 = "Revision",
        parent: Id = "Parent",
        child: Id = "Child",
    }
}

/// Element members as read, before it is known whether they make a node or an edge.
#[derive(serde::Deserialize)]
#[serde(transparent)]
pub(crate) struct RawElement(Members);

/// Sources seen last, so that the elements of one maker share theirs.
#[derive(Default)]
pub(crate) struct Sources(Option<Arc<Source>>);

impl Sources {
    fn shared(&mut self, host: SmolStr, origin: SmolStr) -> Arc<Source> {
        match &self.0 {
            Some(last) if last.host == host && last.origin == origin => last.clone(),
            _ => self.0.insert(Arc::new(Source { host, origin })).clone(),
        }
    }
}

impl RawElement {
    pub(crate) fn into_node(self, now: Timestamp, sources: &mut Sources) -> Result<Node, ElementError> {
        let raw = self.0;
        Ok(Node {
            id: named(raw.id, ElementError::NoId)?,
            source: sources.shared(raw.host.unwrap_or_default(), raw.origin.unwrap_or_default()),
            created_at: raw.created_at.map_or(now, |at| at.0),
            updated_at: raw.updated_at.map_or(now, |at| at.0),
            deleted_at: raw.deleted_at.map(|at| at.0),
            revision: raw.revision.unwrap_or(0),
            metadata: raw.metadata.unwrap_or_default(),
        })
    }

    pub(crate) fn into_edge(self, now: Timestamp, sources: &mut Sources) -> Result<Edge, ElementError> {
        let raw = self.0;
        Ok(Edge {
            id: named(raw.id, ElementError::NoId)?,
            parent: named(raw.parent, ElementError::Parent)?,
            child: named(raw.child, ElementError::Child)?,
            source: sources.shared(raw.host.unwrap_or_default(), raw.origin.unwrap_or_default()),
            created_at: raw.created_at.map_or(now, |at| at.0),
            updated_at: raw.updated_at.map_or(now, |at| at.0),
            deleted_at: raw.deleted_at.map(|at| at.0),
            revision: raw.revision.unwrap_or(0),
            metadata: Arc::new(raw.metadata.unwrap_or_default()),
        })
    }
}

fn named(id: Option<Id>, missing: ElementError) -> Result<Id, ElementError> {
    id.filter(|id| !id.is_empty()).ok_or(missing)
}

/// Reads a node. Missing times of creation and update are `now`.
pub fn decode_node(json: &[u8], now: Timestamp) -> Result<Node, ElementError> {
    serde_json::from_slice::<RawElement>(json)?.into_node(now, &mut Sources::default())
}

/// Reads an edge. Missing times of creation and update are `now`.
pub fn decode_edge(json: &[u8], now: Timestamp) -> Result<Edge, ElementError> {
    serde_json::from_slice::<RawElement>(json)?.into_edge(now, &mut Sources::default())
}

impl Serialize for NodeJson<'_> {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        let Node { id, source, created_at, updated_at, deleted_at, revision, metadata } = self.0;
        let mut out = serializer.serialize_struct("Node", 8)?;
        out.serialize_field("ID", id)?;
        out.serialize_field("Metadata", metadata)?;
        out.serialize_field("Host", &source.host)?;
        out.serialize_field("Origin", &source.origin)?;
        out.serialize_field("CreatedAt", created_at)?;
        out.serialize_field("UpdatedAt", updated_at)?;
        out.serialize_field("DeletedAt", deleted_at)?;
        out.serialize_field("Revision", revision)?;
        out.end()
    }
}

struct EdgeMembers<'a> {
    id: &'a Id,
    metadata: &'a Map,
    source: &'a Source,
    created_at: Timestamp,
    updated_at: Timestamp,
    deleted_at: Option<Timestamp>,
    revision: i64,
    parent: &'a Id,
    child: &'a Id,
}

impl Serialize for EdgeMembers<'_> {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        let mut out = serializer.serialize_struct("Edge", 10)?;
        out.serialize_field("ID", self.id)?;
        out.serialize_field("Metadata", self.metadata)?;
        out.serialize_field("Host", &self.source.host)?;
        out.serialize_field("Origin", &self.source.origin)?;
        out.serialize_field("CreatedAt", &self.created_at)?;
        out.serialize_field("UpdatedAt", &self.updated_at)?;
        out.serialize_field("DeletedAt", &self.deleted_at)?;
        out.serialize_field("Revision", &self.revision)?;
        out.serialize_field("Parent", self.parent)?;
        out.serialize_field("Child", self.child)?;
        out.end()
    }
}

impl Serialize for EdgeJson<'_> {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        let edge = self.0;
        EdgeMembers {
            id: &edge.id,
            metadata: &edge.metadata,
            source: &edge.source,
            created_at: edge.created_at,
            updated_at: edge.updated_at,
            deleted_at: edge.deleted_at,
            revision: edge.revision,
            parent: &edge.parent,
            child: &edge.child,
        }
        .serialize(serializer)
    }
}

impl Serialize for EdgeViewJson<'_> {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        let edge = self.0;
        EdgeMembers {
            id: edge.id(),
            metadata: edge.metadata(),
            source: edge.source(),
            created_at: edge.created_at(),
            updated_at: edge.updated_at(),
            deleted_at: None,
            revision: edge.revision(),
            parent: &edge.parent().id,
            child: &edge.child().id,
        }
        .serialize(serializer)
    }
}
