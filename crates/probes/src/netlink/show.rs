//! What changed → mutations.

use std::sync::Arc;
use std::time::Duration;

use skydive_graph::{Mutation, Node, Op, key};
use skydive_value::{Map, SmolStr, Timestamp};
use tokio::time::Instant;

use super::agenda::Task;
use super::edges::ownership;
use super::fields::{self, Field};
use super::model::{Dirty, IfRef, Model};

/// A list is shown again no sooner than this times its length, so that the work stays a small part of the time
/// however long it is and however often it changes.
const PER_ENTRY: Duration = Duration::from_micros(100);

/// Lists up to this length are always shown at once.
const SHORT: usize = 64;

impl Model {
    /// The mutations that make the graph what is known: deletions, then nodes, then edges between them.
    pub(super) fn show(&mut self, now: Instant, at: Timestamp) -> Vec<Mutation> {
        let mut out = std::mem::take(&mut self.decided);
        let dirty = std::mem::take(&mut self.dirty);
        for one in &dirty {
            self.show_node(*one, now, at, &mut out);
        }
        // Interfaces that came into sight above have touched those that refer to them.
        let edges = dirty.into_iter().chain(std::mem::take(&mut self.dirty));
        for one in edges.collect::<Vec<_>>() {
            let Some(interface) = self.interface_mut(one) else { continue };
            if interface.shown.is_some() && interface.dirty.has(Dirty::EDGES) {
                interface.dirty.take(Dirty::EDGES);
                self.ask_who_disagrees(one, now);
                self.show_edges(one, at, &mut out);
            }
        }
        out
    }

    fn show_node(&mut self, one: IfRef, now: Instant, at: Timestamp, out: &mut Vec<Mutation>) {
        let Some(space) = self.spaces.get(&one.0) else { return };
        let Some(interface) = space.links.get(&one.1) else { return };
        // Without what its driver tells an interface would be shown half.
        if interface.device.is_none() {
            return;
        }
        let mut what = interface.dirty;
        if what.has(Dirty::LISTS)
            && let Some(until) = interface.hold_until.filter(|until| *until > now)
        {
            what.take(Dirty::LISTS);
            self.agenda.plan(until, Task::Show(one));
        }
        let mut fresh: Vec<Field> = Vec::new();
        if what.has(Dirty::LINK) {
            let peer = interface.facts.link_netnsid.and_then(|id| space.peers.get(&id));
            let name = peer.and_then(|peer| self.spaces.get(peer)).map(|space| &space.name);
            fresh.extend(fields::link(interface, &self.features, name));
        }
        if what.has(Dirty::ADDRS) {
            fresh.extend(fields::addrs(&interface.addrs));
        }
        let mut entries = 0;
        if what.has(Dirty::NEIGHS) {
            entries += interface.neighs.len();
            fresh.extend(fields::neighs(key::NEIGHBORS, &interface.neighs));
        }
        if what.has(Dirty::FDB) {
            entries += interface.fdb.len();
            fresh.extend(fields::neighs(key::FDB, &interface.fdb));
        }
        if what.has(Dirty::ROUTES) {
            entries += space.routes.over(one.1).count();
            fresh.extend(fields::routes(one.1, space.routes.over(one.1)));
        }
        let owner = space.node.clone();
        let Some(interface) = self.interface_mut(one) else { return };
        interface.dirty.take(Dirty(what.0 & !Dirty::EDGES.0));
        if entries > SHORT {
            interface.hold_until = Some(now + PER_ENTRY * entries as u32);
        }
        let node = interface.node.clone();
        match &mut interface.shown {
            Some(shown) => {
                let ops = difference(shown, fresh);
                if !ops.is_empty() {
                    out.push(Mutation::update_node(node, ops));
                }
            }
            None => {
                let metadata: Map =
                    fresh.into_iter().filter_map(|(key, value)| Some((key, value?))).collect();
                interface.shown = Some(metadata.clone());
                let mut metadata = metadata;
                if let Some(metric) = interface.counters.first_metric() {
                    metadata.insert(key::METRIC, metric);
                }
                let source = Arc::clone(&self.config.source);
                out.push(Mutation::AddNode(Node::new(node.clone(), source, metadata, at)));
                out.push(Mutation::AddEdge(ownership(owner, node, self, at)));
                self.touch(one, Dirty::EDGES);
                self.touch_pointers(one);
            }
        }
    }
}

/// Makes `shown` hold the fresh fields, and says how.
fn difference(shown: &mut Map, fresh: Vec<Field>) -> Vec<Op> {
    let mut ops = Vec::new();
    for (key, value) in fresh {
        match value {
            Some(value) => {
                if shown.replace(&SmolStr::new_static(key), &value) {
                    ops.push(Op::set(key, value));
                }
            }
            None => {
                if shown.remove(key).is_some() {
                    ops.push(Op::remove(key));
                }
            }
        }
    }
    ops
}
