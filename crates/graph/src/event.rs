//! What happened to a graph.

use std::sync::Arc;

use crate::{Edge, Node, Op};

/// An effective change. Elements are shared, not copied: an event costs a pointer per consumer. Applying the events
/// of a graph, in order, to an empty one rebuilds it (`Mutation::from(&event)`).
#[derive(Clone, Debug, PartialEq)]
pub enum GraphEvent {
    /// A node is new.
    NodeAdded(Arc<Node>),
    /// A node's metadata changed.
    NodeUpdated {
        /// The node after the change.
        node: Arc<Node>,
        /// What changed, field by field; `None` when the metadata was replaced as a whole.
        ops: Option<Arc<[Op]>>,
    },
    /// A node is gone; the node carries its time of deletion. Its edges went before.
    NodeDeleted(Arc<Node>),
    /// An edge is new.
    EdgeAdded(Arc<Edge>),
    /// An edge's metadata changed.
    EdgeUpdated {
        /// The edge after the change.
        edge: Arc<Edge>,
        /// What changed, field by field; `None` when the metadata was replaced as a whole.
        ops: Option<Arc<[Op]>>,
    },
    /// An edge is gone; the edge carries its time of deletion.
    EdgeDeleted(Arc<Edge>),
}
