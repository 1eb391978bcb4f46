//! The storage of a graph: what a snapshot shares with its graph.

use std::hash::{BuildHasher, Hash, Hasher};
use std::sync::Arc;

use foldhash::fast::RandomState;
use skydive_value::{Id, Map, Path, Timestamp};

use crate::chunks::{Chunks, Item};
use crate::index::{Near, indexed};
use crate::key::attribute;
use crate::postings::Postings;
use crate::{Edge, Node, Source};

/// All elements and all indexes. Cloning it is taking a snapshot.
#[derive(Clone, Debug, Default)]
pub(crate) struct Stored {
    pub(crate) nodes: Chunks<NodePlace>,
    pub(crate) edges: Chunks<EdgePlace>,
    pub(crate) node_count: usize,
    pub(crate) edge_count: usize,
    /// Nodes by identifier and by the values of [`crate::key::INDEXED`].
    pub(crate) node_index: Postings,
    /// Edges by identifier.
    pub(crate) edge_index: Postings,
    /// Edges by the place of their parent.
    pub(crate) outgoing: Postings,
    /// Edges by the place of their child.
    pub(crate) incoming: Postings,
    pub(crate) hasher: RandomState,
    /// Where the node added last has its indexed keys: a guess for any other.
    pub(crate) near: Near,
}

/// Where a node may live.
pub(crate) type NodePlace = Option<Arc<Node>>;
/// Where an edge may live.
pub(crate) type EdgePlace = Option<StoredEdge>;

/// An edge with its ends as places: 72 bytes instead of the 128 of an [`Edge`].
#[derive(Clone, Debug)]
pub(crate) struct StoredEdge {
    pub(crate) id: Id,
    pub(crate) source: Arc<Source>,
    pub(crate) metadata: Arc<Map>,
    pub(crate) created_at: Timestamp,
    pub(crate) updated_at: Timestamp,
    pub(crate) revision: i64,
    pub(crate) parent: u32,
    pub(crate) child: u32,
}

impl Item for NodePlace {
    fn touch(&self) -> usize {
        self.as_ref().map_or(0, Arc::strong_count)
    }
}

impl Item for EdgePlace {}

impl Stored {
    #[inline]
    pub(crate) fn node_at(&self, place: u32) -> Option<&Arc<Node>> {
        self.nodes.at(place as usize)?.as_ref()
    }

    #[inline]
    pub(crate) fn edge_at(&self, place: u32) -> Option<&StoredEdge> {
        self.edges.at(place as usize)?.as_ref()
    }

    #[inline]
    pub(crate) fn node_place(&self, id: &Id) -> Option<u32> {
        self.node_index.places(self.hash_id(id)).find(|p| self.node_at(*p).is_some_and(|n| n.id == *id))
    }

    pub(crate) fn edge_place(&self, id: &Id) -> Option<u32> {
        self.edge_index.places(self.hash_id(id)).find(|p| self.edge_at(*p).is_some_and(|e| e.id == *id))
    }

    #[inline]
    pub(crate) fn outgoing(&self, node: u32) -> impl Iterator<Item = u32> + '_ {
        self.outgoing.places(spread(node))
    }

    #[inline]
    pub(crate) fn incoming(&self, node: u32) -> impl Iterator<Item = u32> + '_ {
        self.incoming.places(spread(node))
    }

    #[inline]
    pub(crate) fn hash_id(&self, id: &Id) -> u32 {
        (self.hasher.hash_one(id) >> 32) as u32
    }

    /// The hash under which an indexed key's text is found.
    #[inline]
    pub(crate) fn hash_text(&self, key: usize, text: &str) -> u32 {
        let mut hasher = self.hasher.build_hasher();
        hasher.write_usize(key);
        text.hash(&mut hasher);
        (hasher.finish() >> 32) as u32
    }

    /// The hash under which nodes whose field at `path` has the text are found, if they are.
    #[inline]
    pub(crate) fn entry_of(&self, path: &Path, text: &str) -> Option<u32> {
        match indexed(path) {
            Some(key) => Some(self.hash_text(key, text)),
            None => (path.first() == attribute::ID).then(|| self.hash_id(&Id::from(text))),
        }
    }

    /// The edge as everybody outside sees it; `None` if an end is missing, which the graph never lets happen.
    pub(crate) fn to_edge(&self, edge: &StoredEdge) -> Option<Edge> {
        Some(Edge {
            id: edge.id.clone(),
            parent: self.node_at(edge.parent)?.id.clone(),
            child: self.node_at(edge.child)?.id.clone(),
            source: edge.source.clone(),
            created_at: edge.created_at,
            updated_at: edge.updated_at,
            deleted_at: None,
            revision: edge.revision,
            metadata: edge.metadata.clone(),
        })
    }
}

/// A bijection that spreads consecutive places over the shards of [`Postings`].
pub(crate) const fn spread(place: u32) -> u32 {
    place.wrapping_mul(0x9E37_79B1)
}
