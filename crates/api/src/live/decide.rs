//! Changes that are decided on by looking at the graph, between two mutations: nothing happens in between.
//!
//! Such changes may concern elements of an agent, which counts their revisions itself and does not hear of ours. What
//! it says later must not seem out of date for that: its revisions are carried on by as many as were added here.

use std::collections::HashMap;
use std::fmt;

use skydive_graph::{Graph, GraphEvent, Mutation, Snapshot};
use skydive_value::Id;
use tokio::sync::oneshot;

use super::{LiveGraph, Request, Stopped};

/// A decision and what becomes of it.
pub(super) struct Decision {
    decide: Box<dyn FnOnce(&Snapshot) -> Decided + Send>,
}

/// What is to be done, and who hears of it.
type Decided = (Vec<Mutation>, Told);

/// Hears of the graph after a decision.
pub(super) type Told = Box<dyn FnOnce(Snapshot) + Send>;

/// How many revisions elements are ahead of what their owners elsewhere count.
#[derive(Debug, Default)]
pub(super) struct Leads {
    nodes: HashMap<Id, i64>,
    edges: HashMap<Id, i64>,
}

impl LiveGraph {
    /// Calls `decide` with the graph of the moment, applies what it gives, and returns what it says together with the
    /// graph after that. `decide` delays everybody: what takes time is to be done before.
    pub async fn decide<T: Send + 'static>(
        &self,
        decide: impl FnOnce(&Snapshot) -> (Vec<Mutation>, T) + Send + 'static,
    ) -> Result<(T, Snapshot), Stopped> {
        let (reply, answer) = oneshot::channel();
        let decide = Box::new(move |graph: &Snapshot| {
            let (mutations, said) = decide(graph);
            let told: Told = Box::new(move |after| {
                // Who asked may have gone; what was decided is done.
                let _ = reply.send((said, after));
            });
            (mutations, told)
        });
        self.requests.send(Request::Decide(Decision { decide })).await.map_err(|_| Stopped)?;
        answer.await.map_err(|_| Stopped)
    }
}

impl Decision {
    pub(super) fn of(self, graph: &Graph) -> (Vec<Mutation>, Told) {
        (self.decide)(graph.view())
    }
}

impl fmt::Debug for Decision {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("Decision")
    }
}

impl Leads {
    /// Counts what a decision did.
    pub(super) fn count(&mut self, events: &[GraphEvent]) {
        for event in events {
            match event {
                GraphEvent::NodeUpdated { node, .. } => *self.nodes.entry(node.id.clone()).or_default() += 1,
                GraphEvent::EdgeUpdated { edge, .. } => *self.edges.entry(edge.id.clone()).or_default() += 1,
                _ => {}
            }
        }
    }

    /// Forgets elements that are gone: new ones of the same name are counted anew.
    pub(super) fn forget(&mut self, events: &[GraphEvent]) {
        if self.nodes.is_empty() && self.edges.is_empty() {
            return;
        }
        for event in events {
            match event {
                GraphEvent::NodeDeleted(node) => drop(self.nodes.remove(&node.id)),
                GraphEvent::EdgeDeleted(edge) => drop(self.edges.remove(&edge.id)),
                _ => {}
            }
        }
    }

    /// What an element's owner says, with the revision it has here.
    pub(super) fn carry(&mut self, mutation: &mut Mutation) {
        match mutation {
            Mutation::UpdateNode { id, stamp: Some(stamp), .. } => {
                stamp.revision = stamp.revision.saturating_add(self.nodes.get(id).copied().unwrap_or(0));
            }
            Mutation::UpdateEdge { id, stamp: Some(stamp), .. } => {
                stamp.revision = stamp.revision.saturating_add(self.edges.get(id).copied().unwrap_or(0));
            }
            // The graph takes its revisions over as they are, and what seems to go back is made anew.
            Mutation::Sync { nodes, edges, .. } if !(self.nodes.is_empty() && self.edges.is_empty()) => {
                for node in nodes {
                    self.nodes.remove(&node.id);
                }
                for edge in edges {
                    self.edges.remove(&edge.id);
                }
            }
            _ => {}
        }
    }
}
