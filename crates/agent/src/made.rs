//! Which probe made which nodes.
//!
//! A probe that ends by a defect cannot take back what it has shown, and shows everything anew when it is started
//! again: what it left must go, or it would stand there twice.

use std::collections::{HashMap, HashSet};

use skydive_graph::{Mutation, Snapshot};
use skydive_value::Id;

/// The nodes each probe has added and not deleted. Nodes that went with their owner stay in it until it is looked
/// through, which happens whenever it has doubled.
#[derive(Debug, Default)]
pub(crate) struct Made {
    by_probe: HashMap<&'static str, HashSet<Id>>,
    len: usize,
    look_at: usize,
}

/// Below this many nodes looking through is not worth it.
const LOOK_MIN: usize = 4096;

impl Made {
    pub(crate) fn note(&mut self, probe: &'static str, mutations: &[Mutation]) {
        let ids = self.by_probe.entry(probe).or_default();
        let before = ids.len();
        for mutation in mutations {
            match mutation {
                Mutation::AddNode(node) => {
                    ids.insert(node.id.clone());
                }
                Mutation::DeleteNode { id, .. } => {
                    ids.remove(id);
                }
                _ => {}
            }
        }
        self.len = self.len + ids.len() - before;
    }

    /// Whether it has doubled since it was looked through.
    pub(crate) fn is_due(&self) -> bool {
        self.len > self.look_at.max(LOOK_MIN)
    }

    /// Looks through it: forgets nodes that are not in the graph any more.
    pub(crate) fn forget_gone(&mut self, graph: &Snapshot) {
        for ids in self.by_probe.values_mut() {
            ids.retain(|id| graph.node(id).is_some());
        }
        self.len = self.by_probe.values().map(HashSet::len).sum();
        self.look_at = 2 * self.len;
    }

    /// The nodes of a probe, which are forgotten.
    pub(crate) fn take(&mut self, probe: &str) -> HashSet<Id> {
        let ids = self.by_probe.remove(probe).unwrap_or_default();
        self.len -= ids.len();
        ids
    }
}

#[cfg(test)]
mod tests {
    use skydive_graph::{Graph, Node, Source};
    use skydive_value::{Map, Timestamp};

    use super::*;

    fn add(name: &str) -> Mutation {
        Mutation::AddNode(Node::new(name.into(), Source::of("agent", "h"), Map::new(), Timestamp::EPOCH))
    }

    #[test]
    fn what_a_probe_left_is_known_and_what_is_gone_forgotten() {
        let (mut made, mut graph) = (Made::default(), Graph::new());
        let all: Vec<Mutation> = (0..5000).map(|i| add(&format!("n{i}"))).collect();
        made.note("a", &all);
        made.note("b", &[add("other")]);
        made.note("a", &[Mutation::delete_node("n1".into())]);
        assert!(made.is_due());
        graph.apply(add("n7"), Timestamp::EPOCH, &mut Vec::new()).unwrap();
        graph.apply(add("other"), Timestamp::EPOCH, &mut Vec::new()).unwrap();
        made.forget_gone(graph.view());
        assert!(!made.is_due());
        assert_eq!(made.take("a"), HashSet::from(["n7".into()]));
        assert_eq!(made.take("a"), HashSet::new());
        assert_eq!(made.take("b"), HashSet::from(["other".into()]));
    }
}
