//! Stable topology ids.
//!
//! A node's id is random and ends with the agent; its `TID` follows from what it is and from what owns it, so that
//! flows and clients find it again after a restart. Computed here, for every node of the agent, as the graph changes;
//! once there it stays while the owner does, so that one renamed has another after a restart.
//!
//! | node | TID is the UUID v5 of |
//! |---|---|
//! | host | its name |
//! | netns | TID of the host, path, `netns` |
//! | ovsbridge, ovsport | TID of the host, UUID, type |
//! | any other with an owner | TID of the owner, name, type |

use skydive_graph::{Graph, GraphEvent, Mutation, Node, Op, ReadCount, key};
use skydive_value::{Id, SmolStr};

use key::{node_type, relation};

/// The mutations that keep the stable ids right after `events`.
pub(crate) fn derive(graph: &Graph, events: &[GraphEvent]) -> Vec<Mutation> {
    let mut mutations = Vec::new();
    for event in events {
        match event {
            GraphEvent::NodeAdded(node) => set_if_missing(graph, &node.id, &mut mutations),
            GraphEvent::NodeUpdated { node, ops } => {
                set_if_missing(graph, &node.id, &mut mutations);
                if node.metadata.get(key::TID).is_some() {
                    // What hangs below follows it: a subtree that moved has no id of its old place left.
                    let follow = match ops {
                        Some(ops) if ops.iter().any(|op| op.path().first() == key::TID) => set,
                        Some(_) => continue,
                        None => set_if_missing,
                    };
                    for child in owned(graph, &node.id) {
                        follow(graph, &child, &mut mutations);
                    }
                }
            }
            GraphEvent::EdgeAdded(edge) if edge.is_ownership() => set(graph, &edge.child, &mut mutations),
            GraphEvent::EdgeDeleted(edge) if edge.is_ownership() => unset(graph, &edge.child, &mut mutations),
            _ => {}
        }
    }
    mutations
}

fn set_if_missing(graph: &Graph, id: &Id, mutations: &mut Vec<Mutation>) {
    if graph.node(id).is_some_and(|node| node.metadata.get(key::TID).is_none()) {
        set(graph, id, mutations);
    }
}

fn set(graph: &Graph, id: &Id, mutations: &mut Vec<Mutation>) {
    let Some(node) = graph.node(id) else { return };
    let Some(tid) = tid_of(graph, node) else { return };
    if node.metadata.text(key::TID) != Some(&tid) {
        mutations.push(Mutation::update_node(id.clone(), [Op::set(key::TID, tid)]));
    }
}

/// An ownership edge ended: unless another has taken its place, the node has no stable id.
fn unset(graph: &Graph, id: &Id, mutations: &mut Vec<Mutation>) {
    let Some(node) = graph.node(id) else { return };
    if owner(graph, id).is_none()
        && node.node_type() != node_type::HOST
        && node.metadata.get(key::TID).is_some()
    {
        mutations.push(Mutation::update_node(id.clone(), [Op::remove(key::TID)]));
    }
}

fn tid_of(graph: &Graph, node: &Node) -> Option<SmolStr> {
    let (name, kind) = (node.metadata.text(key::NAME), node.metadata.text(key::TYPE)?);
    let input = match kind {
        node_type::HOST => name?.to_owned(),
        node_type::NETNS => {
            let host = owner(graph, &node.id)?;
            format!("{}{}{kind}", host.metadata.text(key::TID)?, node.metadata.text(key::PATH)?)
        }
        node_type::OVSBRIDGE | node_type::OVSPORT => {
            let host = host_of(graph, &node.id)?;
            format!("{}{}{kind}", host.metadata.text(key::TID)?, node.metadata.text(key::UUID)?)
        }
        _ => {
            let owner = owner(graph, &node.id)?;
            format!("{}{}{kind}", owner.metadata.text(key::TID)?, name?)
        }
    };
    Some(SmolStr::from(Id::from_name(&input).to_string()))
}

fn owner<'g>(graph: &'g Graph, id: &Id) -> Option<&'g Node> {
    let reads = ReadCount::default();
    let parent = graph
        .view()
        .in_edges(id, &reads)
        .find(|edge| edge.relation() == relation::OWNERSHIP)
        .map(|edge| edge.parent().id.clone())?;
    graph.node(&parent).map(|node| &**node)
}

/// The host that owns a node, directly or not. Ownership has no cycles worth following beyond a few levels.
fn host_of<'g>(graph: &'g Graph, id: &Id) -> Option<&'g Node> {
    const LEVELS: usize = 16;
    let mut node = owner(graph, id)?;
    for _ in 0..LEVELS {
        if node.node_type() == node_type::HOST {
            return Some(node);
        }
        node = owner(graph, &node.id)?;
    }
    None
}

fn owned(graph: &Graph, id: &Id) -> Vec<Id> {
    let reads = ReadCount::default();
    graph
        .view()
        .out_edges(id, &reads)
        .filter(|edge| edge.relation() == relation::OWNERSHIP)
        .map(|edge| edge.child().id.clone())
        .collect()
}

#[cfg(test)]
mod tests {
    use std::sync::Arc;

    use skydive_graph::{Edge, Source};
    use skydive_value::{Map, Timestamp};

    use super::*;

    struct World {
        graph: Graph,
        source: Arc<Source>,
    }

    impl World {
        /// Applies a mutation and everything derived from it, as the owner of the graph does.
        fn apply(&mut self, mutation: Mutation) {
            let mut due = vec![mutation];
            while !due.is_empty() {
                let mut events = Vec::new();
                for mutation in due {
                    self.graph.apply(mutation, Timestamp::EPOCH, &mut events).unwrap();
                }
                due = derive(&self.graph, &events);
            }
        }

        fn node(&mut self, id: &str, fields: &[(&str, &str)]) {
            let metadata: Map = fields.iter().copied().collect();
            self.apply(Mutation::AddNode(Node::new(
                id.into(),
                self.source.clone(),
                metadata,
                Timestamp::EPOCH,
            )));
        }

        fn own(&mut self, parent: &str, child: &str) {
            let edge = Edge::link(
                parent.into(),
                child.into(),
                relation::OWNERSHIP,
                Map::new(),
                self.source.clone(),
                Timestamp::EPOCH,
            );
            self.apply(Mutation::AddEdge(edge));
        }

        fn tid(&self, id: &str) -> Option<&str> {
            self.graph.node(&Id::from(id)).unwrap().metadata.text(key::TID)
        }
    }

    fn v5(text: &str) -> String {
        Id::from_name(text).to_string()
    }

    #[test]
    fn ids_follow_ownership_in_any_order() {
        let mut world = World { graph: Graph::new(), source: Source::of("agent", "h") };
        world.node("i", &[("Name", "eth0"), ("Type", "veth")]);
        world.node("n", &[("Name", "vm1"), ("Type", "netns"), ("Path", "/var/run/netns/vm1")]);
        world.own("n", "i");
        assert_eq!((world.tid("n"), world.tid("i")), (None, None));

        world.node("h", &[("Name", "host1"), ("Type", "host")]);
        world.own("h", "n");
        let host = v5("host1");
        let netns = v5(&format!("{host}/var/run/netns/vm1netns"));
        let interface = v5(&format!("{netns}eth0veth"));
        assert_eq!(world.tid("h"), Some(&*host));
        assert_eq!(world.tid("n"), Some(&*netns));
        assert_eq!(world.tid("i"), Some(&*interface));

        // A rename does not change it, a move to another owner does.
        world.apply(Mutation::update_node("i".into(), [Op::set("Name", "eth1")]));
        assert_eq!(world.tid("i"), Some(&*interface));
        world.own("h", "i");
        assert_eq!(world.tid("i"), Some(&*v5(&format!("{host}eth1veth"))));

        let edge = Edge::link_id(&"h".into(), &"i".into(), relation::OWNERSHIP);
        world.apply(Mutation::DeleteEdge { id: edge });
        assert_eq!(world.tid("i"), None);
    }

    #[test]
    fn a_subtree_that_moves_has_ids_of_its_new_place() {
        let mut world = World { graph: Graph::new(), source: Source::of("agent", "h") };
        world.node("h", &[("Name", "host1"), ("Type", "host")]);
        world.node("n", &[("Name", "vm1"), ("Type", "netns"), ("Path", "/run/vm1")]);
        world.node("c", &[("Name", "web"), ("Type", "container")]);
        world.node("i", &[("Name", "eth0"), ("Type", "veth")]);
        world.node("j", &[("Name", "eth1"), ("Type", "veth")]);
        world.own("h", "n");
        world.own("h", "c");
        world.own("c", "i");
        world.own("i", "j");
        world.apply(Mutation::update_node("j".into(), [Op::set("Name", "renamed")]));
        let below = |owner: &str, rest: &str| v5(&format!("{owner}{rest}"));
        let kept = below(&below(&below(&v5("host1"), "webcontainer"), "eth0veth"), "eth1veth");
        assert_eq!(world.tid("j"), Some(&*kept));

        world.own("n", "c");
        let netns = v5(&format!("{}/run/vm1netns", v5("host1")));
        let container = v5(&format!("{netns}webcontainer"));
        let interface = v5(&format!("{container}eth0veth"));
        assert_eq!(world.tid("c"), Some(&*container));
        assert_eq!(world.tid("i"), Some(&*interface));
        assert_eq!(world.tid("j"), Some(&*v5(&format!("{interface}renamedveth"))));
    }
}
