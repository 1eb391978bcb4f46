//! Whose elements a mutation concerns: who brings a part of the graph may not change the others.

use skydive_graph::{Edge, Graph, Mutation};
use skydive_value::{Id, SmolStr};

/// Whether a mutation would change or delete what another than `origin` made. Elements that are not there are nobody's.
pub(crate) fn touches(graph: &Graph, origin: &SmolStr, mutation: &Mutation) -> bool {
    match mutation {
        Mutation::AddNode(node) => node.source.origin != *origin,
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

/// Whether a new edge would change what another than `origin` made: it joins two of its nodes, or owns one, which
/// would end the edge that owned it before.
pub(crate) fn claims(graph: &Graph, origin: &SmolStr, edge: &Edge) -> bool {
    // A known edge is left as it is.
    graph.view().edge(&edge.id).is_none()
        && is_node_of_other(graph, origin, &edge.child)
        && (edge.is_ownership() || is_node_of_other(graph, origin, &edge.parent))
}

fn is_node_of_other(graph: &Graph, origin: &SmolStr, id: &Id) -> bool {
    graph.node(id).is_some_and(|node| node.source.origin != *origin)
}
