//! What can be done to a graph.

use std::sync::Arc;

use skydive_value::{Id, Map, Path, SmolStr, Timestamp, Value};
use thiserror::Error;

use crate::{Edge, GraphEvent, Node};

/// One change of one metadata field.
#[derive(Clone, Debug, PartialEq)]
pub enum Op {
    /// Add or replace the field at the path. Without effect when the path runs through something that is not a map.
    Set(Path, Value),
    /// Remove the field at the path, and maps that are empty for it.
    Remove(Path),
}

/// What becomes of an element's metadata.
#[derive(Clone, Debug, PartialEq)]
pub enum Change {
    /// Field by field.
    Ops(Arc<[Op]>),
    /// Replaced as a whole.
    Metadata(Map),
}

/// Revision and time given by the owner of an element elsewhere. An update that carries one is applied only if its
/// revision is greater than the known one, and then always, even if it changes no field.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Stamp {
    /// Revision after the update.
    pub revision: i64,
    /// Time of the update.
    pub updated_at: Timestamp,
}

/// What goes together with a deleted node.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Cascade {
    /// The edges that touch it.
    Edges,
    /// Everything it owns, directly or not, and all edges that touch any of it.
    Owned,
}

/// A change of the graph. The owner of the graph applies it and gives out the events that follow from it.
#[derive(Clone, Debug, PartialEq)]
pub enum Mutation {
    /// Adds a node; one with a known id is left as it is.
    AddNode(Node),
    /// Changes a node's metadata. Without stamp the revision is counted here and a change without effect is none.
    UpdateNode {
        /// Which.
        id: Id,
        /// How.
        change: Change,
        /// Set by replication.
        stamp: Option<Stamp>,
    },
    /// Deletes a node and what goes with it, edges first. What is gone already, with its owner perhaps, is no fault.
    DeleteNode {
        /// Which.
        id: Id,
        /// What goes with it.
        cascade: Cascade,
    },
    /// Adds an edge; one with a known id is left as it is. An ownership edge ends the child's former one.
    AddEdge(Edge),
    /// Changes an edge's metadata, see [`Mutation::UpdateNode`].
    UpdateEdge {
        /// Which.
        id: Id,
        /// How.
        change: Change,
        /// Set by replication.
        stamp: Option<Stamp>,
    },
    /// Deletes an edge; one that is gone already is no fault.
    DeleteEdge {
        /// Which.
        id: Id,
    },
    /// Deletes everything an origin made, and every edge that touches it.
    DeleteOrigin {
        /// Whose.
        origin: SmolStr,
    },
    /// Makes the elements of an origin exactly these: missing ones are deleted, unknown ones added, different ones
    /// updated; what is the same is not touched.
    Sync {
        /// Whose.
        origin: SmolStr,
        /// Its nodes.
        nodes: Vec<Node>,
        /// Its edges.
        edges: Vec<Edge>,
    },
}

/// What a mutation did.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Outcome {
    /// There are events.
    Applied,
    /// Nothing: known already, out of date, or equal.
    Unchanged,
}

/// A mutation that cannot be applied. The graph is as it was.
#[derive(Clone, Debug, PartialEq, Eq, Error)]
pub enum MutationError {
    /// No node has the id.
    #[error("Node not found")]
    NoNode(Id),
    /// No edge has the id.
    #[error("Edge not found")]
    NoEdge(Id),
    /// An end of the edge is not in the graph.
    #[error("edge {edge}: end {end} is not in the graph")]
    NoEnd {
        /// The edge.
        edge: Id,
        /// The missing node.
        end: Id,
    },
    /// The graph has as many elements as it can number.
    #[error("the graph is full")]
    Full,
}

impl Op {
    /// Sets the field at a dotted path.
    pub fn set(path: &str, value: impl Into<Value>) -> Self {
        Self::Set(Path::parse(path), value.into())
    }

    /// Removes the field at a dotted path.
    pub fn remove(path: &str) -> Self {
        Self::Remove(Path::parse(path))
    }

    /// The path concerned.
    pub fn path(&self) -> &Path {
        match self {
            Self::Set(path, _) | Self::Remove(path) => path,
        }
    }

    /// Whether doing it to `map` would change anything.
    pub(crate) fn has_effect(&self, map: &Map) -> bool {
        let Some((last, way)) = self.path().segments().split_last() else { return false };
        let mut at = map;
        for segment in way {
            match at.get(segment) {
                Some(Value::Map(nested)) => at = nested,
                Some(_) => return false,
                None => return matches!(self, Self::Set(path, _) if path.is_writable()),
            }
        }
        match self {
            Self::Set(path, value) => path.is_writable() && at.get(last) != Some(value),
            Self::Remove(_) => at.get(last).is_some(),
        }
    }

    /// Does it to `map`; false when the path does not allow it.
    pub(crate) fn apply(&self, map: &mut Map) -> bool {
        match (self, self.path().segments()) {
            (Self::Set(_, value), [key]) => {
                map.replace(key, value);
                true
            }
            (Self::Set(path, value), _) => map.set_path(path, value.clone()),
            (Self::Remove(path), _) => map.remove_path(path),
        }
    }
}

impl Mutation {
    /// Changes fields of a node; the graph counts the revision.
    pub fn update_node(id: Id, ops: impl Into<Arc<[Op]>>) -> Self {
        Self::UpdateNode { id, change: Change::Ops(ops.into()), stamp: None }
    }

    /// Deletes a node and the edges that touch it.
    pub fn delete_node(id: Id) -> Self {
        Self::DeleteNode { id, cascade: Cascade::Edges }
    }
}

/// The mutation that has on another graph the effect the event tells of.
impl From<&GraphEvent> for Mutation {
    fn from(event: &GraphEvent) -> Self {
        match event {
            GraphEvent::NodeAdded(node) => Self::AddNode((**node).clone()),
            GraphEvent::NodeUpdated { node, ops } => Self::UpdateNode {
                id: node.id.clone(),
                change: ops
                    .as_ref()
                    .map_or_else(|| Change::Metadata(node.metadata.clone()), |ops| Change::Ops(ops.clone())),
                stamp: Some(Stamp { revision: node.revision, updated_at: node.updated_at }),
            },
            GraphEvent::NodeDeleted(node) => Self::delete_node(node.id.clone()),
            GraphEvent::EdgeAdded(edge) => Self::AddEdge((**edge).clone()),
            GraphEvent::EdgeUpdated { edge, ops } => Self::UpdateEdge {
                id: edge.id.clone(),
                change: ops.as_ref().map_or_else(
                    || Change::Metadata((*edge.metadata).clone()),
                    |ops| Change::Ops(ops.clone()),
                ),
                stamp: Some(Stamp { revision: edge.revision, updated_at: edge.updated_at }),
            },
            GraphEvent::EdgeDeleted(edge) => Self::DeleteEdge { id: edge.id.clone() },
        }
    }
}
