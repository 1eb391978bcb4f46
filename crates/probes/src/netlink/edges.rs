//! Who is connected to whom.

use std::collections::BTreeSet;
use std::sync::Arc;

use skydive_graph::{Edge, Mutation, key, key::relation};
use skydive_sys::NsId;
use skydive_value::{Id, Map, SmolStr, Timestamp};

use super::model::{Dirty, IfRef, Interface, Model};

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
        let (points_at, wanted) = self.wanted_edges(at);
        self.point(at, points_at);
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

    /// The interfaces one refers to, there or not, and the edges to those that are shown.
    fn wanted_edges(&self, at: IfRef) -> (BTreeSet<IfRef>, Vec<Shown>) {
        let (mut points_at, mut wanted) = (BTreeSet::new(), Vec::new());
        let (Some(space), Some(interface)) = (self.spaces.get(&at.0), self.interface(at)) else {
            return (points_at, wanted);
        };
        let facts = &interface.facts;
        let mut want = |parent: IfRef, relation: &'static str, kind: Option<SmolStr>| {
            points_at.insert(parent);
            if let Some(node) = self.shown_node(parent) {
                wanted.push(Shown { parent, parent_node: node, relation, kind });
            }
        };
        if let Some(master) = facts.master.map(|index| (at.0, index)) {
            let is_ovs = self.interface(master).is_some_and(|m| m.facts.name == OVS_SYSTEM);
            if !is_ovs {
                want(master, relation::LAYER2, None);
            }
        }
        let below = facts.link.and_then(|index| match facts.link_netnsid {
            None => Some((at.0, index)),
            Some(id) => space.peers.get(&id).map(|peer| (*peer, index)),
        });
        if let (Some(below), Some(kind)) = (below, facts.kind.as_deref()) {
            let is_pair = matches!(kind, "veth" | "netkit" | "vxcan");
            if ON_TOP.contains(&kind) || (is_pair && self.is_child(at, below)) {
                want(below, relation::LAYER2, Some(kind.into()));
            }
        }
        if let Some((physical, _)) = interface.virtual_function()
            && let Some(physical) = self.by_bus.get(&physical)
            && self.interface(*physical).is_some_and(|p| p.facts.kind.is_none())
        {
            want(*physical, relation::VF, None);
        }
        // The same pair and relation is one edge, however many reasons it has.
        wanted.dedup_by(|a, b| a.parent_node == b.parent_node && a.relation == b.relation);
        (points_at, wanted)
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
    fn point(&mut self, at: IfRef, targets: BTreeSet<IfRef>) {
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
