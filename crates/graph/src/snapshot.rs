//! The graph at one moment, for readers.

use std::sync::Arc;

use skydive_value::{FieldRef, Fields, Hint, Id, Map, Path, Timestamp};

use crate::element::relation_of;
use crate::key::attribute;
use crate::stored::{Stored, StoredEdge};
use crate::{Edge, Node, Source};

/// A graph that never changes. Taking one and cloning one costs a few pointers; holding one costs the chunks that
/// its graph has written since.
#[derive(Clone, Debug, Default)]
pub struct Snapshot {
    pub(crate) stored: Stored,
}

/// An edge in a snapshot.
#[derive(Clone, Copy, Debug)]
pub struct EdgeView<'a> {
    edge: &'a StoredEdge,
    parent: &'a Arc<Node>,
    child: &'a Arc<Node>,
}

impl Snapshot {
    /// The node with an id.
    pub fn node(&self, id: &Id) -> Option<&Arc<Node>> {
        self.stored.node_at(self.stored.node_place(id)?)
    }

    /// The edge with an id.
    pub fn edge(&self, id: &Id) -> Option<EdgeView<'_>> {
        self.edge_view(self.stored.edge_place(id)?)
    }

    /// All nodes, in an order that is stable for this snapshot.
    pub fn nodes(&self) -> impl Iterator<Item = &Arc<Node>> {
        self.stored.nodes.iter().filter_map(|(_, place)| place.as_ref())
    }

    /// All edges, in an order that is stable for this snapshot.
    pub fn edges(&self) -> impl Iterator<Item = EdgeView<'_>> {
        self.stored.edges.iter().filter_map(|(_, place)| self.view(place.as_ref()?))
    }

    /// Number of nodes.
    pub fn node_count(&self) -> usize {
        self.stored.node_count
    }

    /// Number of edges.
    pub fn edge_count(&self) -> usize {
        self.stored.edge_count
    }

    pub(crate) fn edge_view(&self, place: u32) -> Option<EdgeView<'_>> {
        self.view(self.stored.edge_at(place)?)
    }

    fn view<'a>(&'a self, edge: &'a StoredEdge) -> Option<EdgeView<'a>> {
        Some(EdgeView {
            edge,
            parent: self.stored.node_at(edge.parent)?,
            child: self.stored.node_at(edge.child)?,
        })
    }
}

impl<'a> EdgeView<'a> {
    /// Identifier.
    pub fn id(&self) -> &'a Id {
        &self.edge.id
    }

    /// The node at the parent end.
    pub fn parent(&self) -> &'a Arc<Node> {
        self.parent
    }

    /// The node at the child end.
    pub fn child(&self) -> &'a Arc<Node> {
        self.child
    }

    /// Everything known about it.
    pub fn metadata(&self) -> &'a Map {
        &self.edge.metadata
    }

    /// What it means, or empty text.
    pub fn relation(&self) -> &'a str {
        relation_of(&self.edge.metadata)
    }

    /// Who made it.
    pub fn source(&self) -> &'a Arc<Source> {
        &self.edge.source
    }

    /// When it was made.
    pub fn created_at(&self) -> Timestamp {
        self.edge.created_at
    }

    /// When its metadata changed last.
    pub fn updated_at(&self) -> Timestamp {
        self.edge.updated_at
    }

    /// Counts committed changes.
    pub fn revision(&self) -> i64 {
        self.edge.revision
    }

    /// A copy that outlives the snapshot.
    pub fn to_edge(&self) -> Edge {
        Edge {
            id: self.edge.id.clone(),
            parent: self.parent.id.clone(),
            child: self.child.id.clone(),
            source: self.edge.source.clone(),
            created_at: self.edge.created_at,
            updated_at: self.edge.updated_at,
            deleted_at: None,
            revision: self.edge.revision,
            metadata: self.edge.metadata.clone(),
        }
    }
}

impl Fields for EdgeView<'_> {
    #[inline]
    fn field<'a>(&'a self, path: &'a Path, hint: &Hint) -> Option<FieldRef<'a>> {
        match path.first() {
            attribute::PARENT => Some(FieldRef::Id(&self.parent.id)),
            attribute::CHILD => Some(FieldRef::Id(&self.child.id)),
            _ if !path.is_attribute() => FieldRef::in_map(&self.edge.metadata, path, hint),
            attribute::ID => Some(FieldRef::Id(&self.edge.id)),
            attribute::HOST => Some(FieldRef::Str(&self.edge.source.host)),
            attribute::ORIGIN => Some(FieldRef::Str(&self.edge.source.origin)),
            attribute::CREATED_AT => Some(FieldRef::Int(self.edge.created_at.as_millis())),
            attribute::UPDATED_AT => Some(FieldRef::Int(self.edge.updated_at.as_millis())),
            attribute::REVISION => Some(FieldRef::Int(self.edge.revision)),
            _ => None,
        }
    }
}
