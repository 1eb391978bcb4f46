//! Making an origin's part of the graph exactly what its owner says.

use hashbrown::HashMap;
use skydive_value::{Id, Map, SmolStr, Timestamp};

use super::{Ahead, Graph, same_origin};
use crate::index::ORIGIN;
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

    /// See [`crate::Mutation::Sync`]. The owner's revisions are taken over as they are: an element whose revision went
    /// back (its owner counts anew) is deleted and added, since nobody would believe an update of it. An edge with a
    /// missing end is left out; an element that belongs to another origin is left as it is.
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
            match self.node(&node.id) {
                None => self.add_node(node, Ahead::default(), events)?,
                Some(known) if same_origin(&known.source, origin) => {
                    let stamp = Stamp { revision: node.revision, updated_at: node.updated_at };
                    self.update_node(
                        &node.id,
                        Change::Metadata(node.metadata),
                        Some(stamp),
                        Ahead::default(),
                        now,
                        events,
                    )?;
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
                Some(known) if same_origin(&known.source, origin) => {
                    let stamp = Stamp { revision: edge.revision, updated_at: edge.updated_at };
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
        let kept: HashMap<&Id, &Edge> = edges.iter().map(|edge| (&edge.id, edge)).collect();
        for place in self.edges_of(origin) {
            let known = self.now.stored.edge_at(place).and_then(|e| self.now.stored.to_edge(e));
            let stays = known.is_some_and(|known| {
                kept.get(&known.id).is_some_and(|edge| {
                    (&edge.parent, &edge.child) == (&known.parent, &known.child)
                        && can_become(known.revision, &known.metadata, edge.revision, &edge.metadata)
                })
            });
            if !stays {
                self.delete_edge(place, now, events);
            }
        }
        let kept: HashMap<&Id, &Node> = nodes.iter().map(|node| (&node.id, node)).collect();
        for place in self.nodes_of(origin) {
            let stays = self.now.stored.node_at(place).is_some_and(|known| {
                kept.get(&known.id).is_some_and(|node| {
                    can_become(known.revision, &known.metadata, node.revision, &node.metadata)
                })
            });
            if !stays {
                self.delete_node(place, Cascade::Edges, now, events);
            }
        }
    }

    fn nodes_of(&self, origin: &SmolStr) -> Vec<u32> {
        let stored = &self.now.stored;
        stored
            .node_index
            .places(stored.hash_text(ORIGIN, origin))
            .filter(|place| stored.node_at(*place).is_some_and(|node| same_origin(&node.source, origin)))
            .collect()
    }

    /// The edges an origin made. Nearly always they touch its own nodes; only when some do not, all are looked at.
    fn edges_of(&self, origin: &SmolStr) -> Vec<u32> {
        let stored = &self.now.stored;
        let count = self.edges_by_origin.get(origin).copied().unwrap_or(0);
        let is_its =
            |place: &u32| stored.edge_at(*place).is_some_and(|edge| same_origin(&edge.source, origin));
        let mut edges = Vec::new();
        if count > 0 {
            for node in self.nodes_of(origin) {
                edges.extend(stored.outgoing(node).chain(stored.incoming(node)).filter(is_its));
            }
            edges.sort_unstable();
            edges.dedup();
        }
        if edges.len() < count {
            edges = (0..stored.edges.len() as u32).filter(is_its).collect();
        }
        edges
    }
}

/// Whether a known element can be updated to what its owner says now: it is the same, or its revision went on.
fn can_become(known: i64, known_metadata: &Map, revision: i64, metadata: &Map) -> bool {
    revision > known || (revision == known && known_metadata == metadata)
}
