//! What the subscribers of a filter know, and what they have to be told next.

use std::collections::HashMap;
use std::sync::Arc;

use skydive_graph::{Edge, GraphEvent, Node, Snapshot};
use skydive_query::{Cx, Query, QueryError, Rows, Standing, View, execute_on};
use skydive_value::{Id, Timestamp};

/// A graph as somebody has it.
#[derive(Clone, Debug, Default, PartialEq)]
pub(crate) struct Told {
    nodes: HashMap<Id, Arc<Node>>,
    edges: HashMap<Id, Arc<Edge>>,
}

impl Told {
    /// What a query gives for a graph.
    pub(crate) fn evaluate(query: &Query, graph: &Snapshot, cx: &Cx) -> Result<Self, QueryError> {
        match execute_on(query, &View::whole(graph.clone()), cx)?.rows {
            Rows::Graph(view) => Ok(Self {
                nodes: view.nodes().map(|node| (node.id.clone(), node.clone())).collect(),
                edges: view.edges().map(|edge| (edge.id().clone(), Arc::new(edge.to_edge()))).collect(),
            }),
            // Filters of another kind are refused before.
            _ => Ok(Self::default()),
        }
    }

    /// What a standing query gives.
    pub(crate) fn of_standing(standing: &Standing, graph: &Snapshot) -> Self {
        let (nodes, edges) = standing.elements(graph);
        Self {
            nodes: nodes.into_iter().map(|node| (node.id.clone(), node)).collect(),
            edges: edges.into_iter().map(|edge| (edge.id.clone(), edge)).collect(),
        }
    }

    /// All elements, oldest first.
    pub(crate) fn elements(&self) -> (Vec<Arc<Node>>, Vec<Arc<Edge>>) {
        let mut nodes: Vec<_> = self.nodes.values().cloned().collect();
        nodes.sort_by(|a, b| (a.created_at, &a.id).cmp(&(b.created_at, &b.id)));
        let mut edges: Vec<_> = self.edges.values().cloned().collect();
        edges.sort_by(|a, b| (a.created_at, &a.id).cmp(&(b.created_at, &b.id)));
        (nodes, edges)
    }

    /// What makes `self` equal to `now`: nodes that came, nodes that went, edges that came, edges that went, and what
    /// is different. What `graph` no longer has was deleted, at `at`.
    pub(crate) fn difference(&self, now: &Self, graph: &Snapshot, at: Timestamp) -> Vec<GraphEvent> {
        let mut told = Vec::new();
        let mut changed = Vec::new();
        // An edge with other ends is another edge.
        let moved = |id: &Id, edge: &Edge| {
            now.edges.get(id).is_some_and(|new| (&new.parent, &new.child) != (&edge.parent, &edge.child))
        };
        let gone = |edge: &Arc<Edge>| {
            let mut edge = (**edge).clone();
            edge.deleted_at = Some(at);
            GraphEvent::EdgeDeleted(Arc::new(edge))
        };
        told.extend(self.edges.iter().filter(|(id, edge)| moved(id, edge)).map(|(_, edge)| gone(edge)));
        for (id, node) in &now.nodes {
            match self.nodes.get(id) {
                None => told.push(GraphEvent::NodeAdded(node.clone())),
                Some(known) if is_same(known, node) => {}
                Some(_) => changed.push(GraphEvent::NodeUpdated { node: node.clone(), ops: None }),
            }
        }
        for (id, node) in self.nodes.iter().filter(|(id, _)| !now.nodes.contains_key(*id)) {
            told.push(GraphEvent::NodeDeleted(match graph.node(id) {
                Some(node) => node.clone(),
                None => Arc::new(Node { deleted_at: Some(at), ..(**node).clone() }),
            }));
        }
        for (id, edge) in &now.edges {
            match self.edges.get(id) {
                Some(known) if known == edge => {}
                Some(known) if !moved(id, known) => {
                    changed.push(GraphEvent::EdgeUpdated { edge: edge.clone(), ops: None });
                }
                _ => told.push(GraphEvent::EdgeAdded(edge.clone())),
            }
        }
        for (id, edge) in self.edges.iter().filter(|(id, _)| !now.edges.contains_key(*id)) {
            told.push(match graph.edge(id) {
                Some(edge) => GraphEvent::EdgeDeleted(Arc::new(edge.to_edge())),
                None => gone(edge),
            });
        }
        told.extend(changed);
        told
    }
}

/// Whether nothing changed. A node that was not touched is still the same one.
fn is_same(one: &Arc<Node>, other: &Arc<Node>) -> bool {
    Arc::ptr_eq(one, other) || one == other
}
