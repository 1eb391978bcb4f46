//! Whose elements a mutation concerns: who brings a part of the graph may not change the others.

use skydive_graph::{Edge, Graph, Mutation};
use skydive_value::{Id, SmolStr};

/// Whether a mutation would change or delete what another than `origin` made. Elements that are not there are nobody's.
pub(crate) fn touches(graph: &Graph, origin: &SmolStr, mutation: &Mutation) -> bool {
    match mutation {
        Mutation::AddNode(node) => node.source.origin != *origin || is_node_of_other(graph, origin, &node.id),
        Mutation::AddEdge(edge) => edge.source.origin != *origin || claims(graph, origin, edge),
        Mutation::UpdateNode { id, .. } | Mutation::DeleteNode { id, .. } => {
            is_node_of_other(graph, origin, id)
        }
        Mutation::UpdateEdge { id, .. } | Mutation::DeleteEdge { id } => {
            graph.view().edge(id).is_some_and(|edge| edge.source().origin != *origin)
        }
        Mutation::DeleteOrigin { origin: whose } | Mutation::Sync { origin: whose, .. } => whose != origin,
    }
}

/// Whether an edge would change what another than `origin` made: it has the id of its edge, joins two of its nodes, or
/// owns one, which would end the edge that owned it before.
pub(crate) fn claims(graph: &Graph, origin: &SmolStr, edge: &Edge) -> bool {
    match graph.view().edge(&edge.id) {
        // One of its own is left as it is.
        Some(known) => known.source().origin != *origin,
        None => {
            is_node_of_other(graph, origin, &edge.child)
                && (edge.is_ownership() || is_node_of_other(graph, origin, &edge.parent))
        }
    }
}

/// Whether another than `origin` made the node with this id.
pub(crate) fn is_node_of_other(graph: &Graph, origin: &SmolStr, id: &Id) -> bool {
    graph.node(id).is_some_and(|node| node.source.origin != *origin)
}
