//! What publishers of the original rely on, as mutations: they say the same twice, and do not count revisions.

use skydive_graph::{Change, Edge, Graph, Mutation, Node, Stamp};
use skydive_value::SmolStr;

/// What a mutation of a publisher of this service type means to the graph as it is.
///
/// Adding what a client of the same kind has added before replaces its metadata, so that a playbook may run again;
/// the host id is another one each time. What somebody else made is left as it is. An update without revision applies
/// always.
pub(super) fn meant(graph: &Graph, client_type: &SmolStr, mutation: Mutation) -> Vec<Mutation> {
    let is_of_kind = |origin: &str| {
        origin.strip_prefix(client_type.as_str()).is_some_and(|host_id| host_id.starts_with('.'))
    };
    match mutation {
        Mutation::AddNode(node) => match graph.node(&node.id) {
            Some(known) if is_of_kind(&known.source.origin) => vec![replace_node(node)],
            Some(_) => Vec::new(),
            None => vec![Mutation::AddNode(node)],
        },
        Mutation::AddEdge(edge) => match graph.view().edge(&edge.id) {
            Some(known) if is_of_kind(&known.source().origin) => {
                if (&known.parent().id, &known.child().id) == (&edge.parent, &edge.child) {
                    vec![replace_edge(edge)]
                } else {
                    vec![Mutation::DeleteEdge { id: edge.id.clone() }, Mutation::AddEdge(edge)]
                }
            }
            Some(_) => Vec::new(),
            None => vec![Mutation::AddEdge(edge)],
        },
        Mutation::UpdateNode { id, change, stamp } => {
            vec![Mutation::UpdateNode { id, change, stamp: counted(stamp) }]
        }
        Mutation::UpdateEdge { id, change, stamp } => {
            vec![Mutation::UpdateEdge { id, change, stamp: counted(stamp) }]
        }
        other => vec![other],
    }
}

/// Whether the graph counts the revision of what a mutation changes.
pub(super) fn has_no_revision(mutation: &Mutation) -> bool {
    matches!(mutation, Mutation::UpdateNode { stamp: None, .. } | Mutation::UpdateEdge { stamp: None, .. })
}

fn replace_node(node: Node) -> Mutation {
    Mutation::UpdateNode { id: node.id, change: Change::Metadata(node.metadata), stamp: None }
}

fn replace_edge(edge: Edge) -> Mutation {
    Mutation::UpdateEdge { id: edge.id, change: Change::Metadata((*edge.metadata).clone()), stamp: None }
}

/// A revision of 0 is none.
fn counted(stamp: Option<Stamp>) -> Option<Stamp> {
    stamp.filter(|stamp| stamp.revision > 0)
}
