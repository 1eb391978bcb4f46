//! Making an origin's part of the graph exactly what its owner says.

use hashbrown::{HashMap, HashSet};
use skydive_value::{Id, SmolStr, Timestamp};

use super::{Graph, same_origin};
use crate::{Cascade, Change, Edge, GraphEvent, MutationError, Node, Stamp};

impl Graph {
    /// Deletes what `origin` made: its edges first, then its nodes with every edge that touches them.
    pub(super) fn delete_origin(&mut self, origin: &SmolStr, now: Timestamp, events: &mut Vec<GraphEvent>) {
        for place in self.edges_of(origin) {
            self.delete_edge(place, now, events);
        }
        for place in self.nodes_of(origin) {
            self.delete_node(place, Cascade::Edges, now, events);
        }
    }

    /// See [`crate::Mutation::Sync`]. An edge with a missing end is left out; an element that belongs to another
    /// origin is left as it is.
    pub(super) fn sync(
        &mut self,
        origin: &SmolStr,
        nodes: Vec<Node>,
        edges: Vec<Edge>,
        now: Timestamp,
        events: &mut Vec<GraphEvent>,
    ) -> Result<(), MutationError> {
        self.drop_all_but(origin, &nodes, &edges, now, events);
        for node in nodes {
            match self.node(&node.id).cloned() {
                None => self.add_node(node, events)?,
                Some(known) if same_origin(&known.source, origin) && known.metadata != node.metadata => {
                    let stamp = Stamp {
                        revision: node.revision.max(known.revision + 1),
                        updated_at: node.updated_at,
                    };
                    self.update_node(&node.id, Change::Metadata(node.metadata), Some(stamp), now, events)?;
                }
                Some(_) => {}
            }
        }
        for edge in edges {
            match self.edge(&edge.id) {
                None => match self.add_edge(edge, now, events) {
                    Err(MutationError::NoEnd { .. }) => {}
                    other => other?,
                },
                Some(known) if same_origin(&known.source, origin) && known.metadata != edge.metadata => {
                    let stamp = Stamp {
                        revision: edge.revision.max(known.revision + 1),
                        updated_at: edge.updated_at,
                    };
                    let change = Change::Metadata((*edge.metadata).clone());
                    self.update_edge(&edge.id, change, Some(stamp), now, events)?;
                }
                Some(_) => {}
            }
        }
        Ok(())
    }

    fn drop_all_but(
        &mut self,
        origin: &SmolStr,
        nodes: &[Node],
        edges: &[Edge],
        now: Timestamp,
        events: &mut Vec<GraphEvent>,
    ) {
        let kept: HashMap<&Id, (&Id, &Id)> = edges.iter().map(|e| (&e.id, (&e.parent, &e.child))).collect();
        for place in self.edges_of(origin) {
            let stays =
                self.now.stored.edge_at(place).and_then(|e| self.now.stored.to_edge(e)).is_some_and(|edge| {
                    kept.get(&edge.id).is_some_and(|ends| *ends == (&edge.parent, &edge.child))
                });
            if !stays {
                self.delete_edge(place, now, events);
            }
        }
        let kept: HashSet<&Id> = nodes.iter().map(|n| &n.id).collect();
        for place in self.nodes_of(origin) {
            if self.now.stored.node_at(place).is_some_and(|node| !kept.contains(&node.id)) {
                self.delete_node(place, Cascade::Edges, now, events);
            }
        }
    }

    fn nodes_of(&self, origin: &SmolStr) -> Vec<u32> {
        self.now
            .stored
            .nodes
            .iter()
            .filter(|(_, node)| node.as_ref().is_some_and(|n| same_origin(&n.source, origin)))
            .map(|(place, _)| place as u32)
            .collect()
    }

    fn edges_of(&self, origin: &SmolStr) -> Vec<u32> {
        self.now
            .stored
            .edges
            .iter()
            .filter(|(_, edge)| edge.as_ref().is_some_and(|e| same_origin(&e.source, origin)))
            .map(|(place, _)| place as u32)
            .collect()
    }
}
