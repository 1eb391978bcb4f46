//! Who is connected to whom.

use std::collections::BTreeSet;
use std::sync::Arc;

use skydive_graph::{Edge, Mutation, key, key::relation};
use skydive_sys::NsId;
use skydive_value::{Id, Map, SmolStr, Timestamp};

use super::model::{Dirty, IfRef, Interface, Model};
use super::pairs::PAIRS;

/// An edge the graph has.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) struct Shown {
    parent: IfRef,
    parent_node: Id,
    relation: &'static str,
    /// `Type` of the edge.
    kind: Option<SmolStr>,
}

/// Kinds of interfaces that lie on another one and share its wire.
const ON_TOP: [&str; 8] = ["vlan", "macvlan", "macvtap", "ipvlan", "ipvtap", "macsec", "ipoib", "dsa"];

/// Bridge of the kernel's Open vSwitch: its members are shown by what the switch says of them.
const OVS_SYSTEM: &str = "ovs-system";

impl Interface {
    /// The physical function this is a virtual function of, and its number.
    pub(super) fn virtual_function(&self) -> Option<(SmolStr, u32)> {
        let bus = &self.device.as_ref()?.bus;
        if bus.is_empty() { None } else { skydive_sys::pci_virtual_function(bus) }
    }
}

impl Model {
    /// Makes the edges an interface answers for what they should be: adds and deletes the difference.
    pub(super) fn show_edges(&mut self, at: IfRef, now: Timestamp, out: &mut Vec<Mutation>) {
        self.point(at);
        let wanted = self.wanted_edges(at);
        let Some(interface) = self.interface(at) else { return };
        let child = interface.node.clone();
        for old in interface.edges.iter().filter(|old| !wanted.contains(old)) {
            // Edges of a deleted node went with it.
            if self.interface(old.parent).is_some_and(|parent| parent.node == old.parent_node) {
                let id = Edge::link_id(&old.parent_node, &child, old.relation);
                out.push(Mutation::DeleteEdge { id });
            }
        }
        for new in wanted.iter().filter(|new| !interface.edges.contains(new)) {
            let extra: Map = new.kind.iter().map(|kind| (key::TYPE, kind.clone())).collect();
            let source = Arc::clone(&self.config.source);
            let parent = new.parent_node.clone();
            out.push(Mutation::AddEdge(Edge::link(parent, child.clone(), new.relation, extra, source, now)));
        }
        if let Some(interface) = self.interface_mut(at) {
            interface.edges = wanted;
        }
    }

    /// The edges to interfaces that one refers to and that are shown.
    fn wanted_edges(&self, at: IfRef) -> Vec<Shown> {
        let mut wanted: Vec<Shown> = Vec::new();
        for (parent, relation, kind) in self.references(at) {
            let (Some(relation), Some(parent_node)) = (relation, self.shown_node(parent)) else { continue };
            // The same pair and relation is one edge, however many reasons it has.
            if !wanted.iter().any(|w| w.parent_node == parent_node && w.relation == relation) {
                wanted.push(Shown { parent, parent_node, relation, kind });
            }
        }
        wanted
    }

    /// The interfaces one refers to, the relation it answers for, if it does, and the type of that.
    fn references(&self, at: IfRef) -> Vec<(IfRef, Option<&'static str>, Option<SmolStr>)> {
        let mut all = Vec::new();
        let (Some(space), Some(interface)) = (self.spaces.get(&at.0), self.interface(at)) else {
            return all;
        };
        let facts = &interface.facts;
        if let Some(master) = facts.master.map(|index| (at.0, index)) {
            let is_ovs = self.interface(master).is_some_and(|m| m.facts.name == OVS_SYSTEM);
            if !is_ovs {
                all.push((master, Some(relation::LAYER2), None));
            }
        }
        if let (Some(other), Some(kind)) = (space.behind(facts), facts.kind.as_deref()) {
            if ON_TOP.contains(&kind) {
                all.push((other, Some(relation::LAYER2), Some(kind.into())));
            } else if PAIRS.contains(&kind) {
                // One end shows the edge; what becomes of it concerns both.
                let relation = self.is_child(at, other).then_some(relation::LAYER2);
                all.push((other, relation, Some(kind.into())));
            } else {
                // A tunnel and what it leaves by: no wire is shared, but what becomes of one concerns the other.
                all.push((other, None, None));
            }
        }
        if let Some((physical, _)) = interface.virtual_function()
            && let Some(physical) = self.by_bus.get(&physical)
            && self.interface(*physical).is_some_and(|p| p.facts.kind.is_none())
        {
            all.push((*physical, Some(relation::VF), None));
        }
        all
    }

    /// Which end of a pair is the child: the one with the lower number, the namespace deciding between equals.
    fn is_child(&self, at: IfRef, other: IfRef) -> bool {
        let rank = |(key, index): IfRef| -> (u32, Option<NsId>) {
            (index, self.spaces.get(&key).map(|space| space.id))
        };
        rank(at) < rank(other)
    }

    fn shown_node(&self, at: IfRef) -> Option<Id> {
        let interface = self.interface(at)?;
        interface.shown.is_some().then(|| interface.node.clone())
    }

    /// Notes what an interface refers to, so that it is looked at when that comes or goes.
    fn point(&mut self, at: IfRef) {
        let targets: BTreeSet<IfRef> = self.references(at).into_iter().map(|(target, ..)| target).collect();
        let Some(interface) = self.interface_mut(at) else { return };
        let old = std::mem::replace(&mut interface.points_at, targets.clone());
        for target in old.difference(&targets) {
            self.unpoint(at, *target);
        }
        for target in targets {
            self.pointers.entry(target).or_default().insert(at);
        }
    }

    pub(super) fn unpoint(&mut self, at: IfRef, target: IfRef) {
        if let Some(pointers) = self.pointers.get_mut(&target) {
            pointers.remove(&at);
            if pointers.is_empty() {
                self.pointers.remove(&target);
            }
        }
    }

    /// An interface came or went: those that refer to it may gain or lose an edge.
    pub(super) fn touch_pointers(&mut self, at: IfRef) {
        for pointer in self.pointers.get(&at).cloned().unwrap_or_default() {
            self.touch(pointer, Dirty::EDGES);
        }
    }
}

/// Metadata of an ownership edge.
pub(super) fn ownership(owner: Id, child: Id, model: &Model, now: Timestamp) -> Edge {
    let source = Arc::clone(&model.config.source);
    Edge::link(owner, child, relation::OWNERSHIP, Map::new(), source, now)
}
