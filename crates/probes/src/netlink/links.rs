//! Interfaces coming, changing and leaving, and the namespaces behind the ids they speak of.

use std::collections::BTreeSet;

use skydive_graph::Mutation;
use skydive_sys::netlink::LinkFacts;
use skydive_sys::{Command, DeviceFacts, NsKey, Parts};
use skydive_value::{Id, Map, Timestamp, Value};
use tokio::time::Instant;

use super::counters::Sampled;
use super::model::{Dirty, IfRef, Interface, Model, Reading};
use super::pairs::{ASK_AGAIN, Half};

const IFF_UP: u32 = 1;

impl Model {
    /// A notification that an interface is there, or changed.
    pub(super) fn link(&mut self, key: NsKey, mut facts: LinkFacts, now: Instant) {
        let at = (key, facts.index);
        let Some(space) = self.spaces.get_mut(&key) else { return };
        if space.read_at.is_none() {
            return; // the tables, which are on their way, are newer
        }
        let known = space.links.get(&facts.index).filter(|known| is_same(&known.facts, &facts));
        let ask = match known {
            None => true,
            Some(known) => {
                let was = &known.facts;
                facts.features_changed
                    || was.flags & IFF_UP != facts.flags & IFF_UP
                    || was.oper_state != facts.oper_state
                    || was.carrier != facts.carrier
                    // It may be older than the last answer: of a half, sent before the pair was joined, of which
                    // nothing else tells.
                    || was.link != facts.link
                    // Notifications never tell of virtual functions.
                    || facts.num_vf.is_some()
            }
        };
        // A master is as fast as the fastest of its members that are up, and the kernel tells of the member alone.
        let master = known
            .map(|k| &k.facts)
            .filter(|was| was.carrier != facts.carrier || was.oper_state != facts.oper_state)
            .and_then(|was| was.master);
        // Routes over an interface that goes down leave without a word (IPv4), and the addresses an interface
        // listens to change with every other thing.
        if known.is_some_and(|k| k.facts.flags & IFF_UP != facts.flags & IFF_UP) {
            self.read_later(key, Parts::ROUTES, now);
        }
        self.read_later(key, Parts::FDB, now);
        let stats = facts.stats.take();
        if let Some(known) = self.interface(at).filter(|known| is_same(&known.facts, &facts)) {
            facts.vfs.clone_from(&known.facts.vfs);
        }
        self.put_link(at, facts);
        if let (Some(interface), Some(stats)) = (self.interface_mut(at), stats) {
            interface.counters.discover(stats);
        }
        if ask {
            self.ask_link(at);
        }
        if let Some(master) = master {
            self.ask_link((key, master));
        }
    }

    /// The interfaces of a namespace as they were read.
    pub(super) fn set_links(
        &mut self,
        key: NsKey,
        links: Vec<LinkFacts>,
        mut devices: Vec<DeviceFacts>,
        at: Timestamp,
    ) {
        let Some(space) = self.spaces.get_mut(&key) else { return };
        if space.sampled_at == Timestamp::EPOCH {
            space.sampled_at = at;
        }
        let there: BTreeSet<u32> = links.iter().map(|link| link.index).collect();
        let gone: Vec<u32> = space.links.keys().copied().filter(|index| !there.contains(index)).collect();
        for index in gone {
            // Where to, if anywhere, was told while nobody listened.
            self.moved((key, index));
            self.remove_link((key, index));
        }
        for mut link in links {
            let at = (key, link.index);
            let stats = link.stats.take();
            let device = devices.binary_search_by_key(&link.index, |d| d.index).ok();
            let device = device.and_then(|i| devices.get_mut(i)).map(std::mem::take);
            self.put_link(at, link);
            if let Some(device) = device {
                self.put_device(at, device);
            }
            if let (Some(interface), Some(stats)) = (self.interface_mut(at), stats) {
                interface.counters.discover(stats);
            }
        }
    }

    /// The answer to a question about one interface.
    pub(super) fn answered(&mut self, key: NsKey, index: u32, found: Option<(LinkFacts, DeviceFacts)>) {
        let at = (key, index);
        let Some(interface) = self.interface_mut(at) else { return };
        let stale = interface.reading == Reading::Stale;
        interface.reading = Reading::None;
        // None: it left, and the notification of that is on its way.
        if let Some((mut link, device)) = found {
            link.stats = None;
            self.put_link(at, link);
            self.put_device(at, device);
        }
        if stale {
            self.ask_link(at);
        }
    }

    pub(super) fn ask_link(&mut self, at: IfRef) {
        let Some(interface) = self.interface_mut(at) else { return };
        if interface.reading == Reading::None {
            interface.reading = Reading::Asked;
            self.commands.push_back(Command::ReadLink(at.0, at.1));
        } else {
            interface.reading = Reading::Stale;
        }
    }

    /// Takes over facts, of an interface known or new.
    fn put_link(&mut self, at: IfRef, mut facts: LinkFacts) {
        facts.features_changed = false;
        let known = self.interface(at).map(|i| (is_same(&i.facts, &facts), i.facts == facts));
        match known {
            Some((true, true)) => return,
            // The number was given to another interface while nobody listened.
            Some((false, _)) => self.remove_link(at),
            _ => {}
        }
        if let Some(was) = self.interface(at).and_then(|i| Half::of(at, &i.facts)) {
            self.halves.remove(&was);
        }
        self.halves.extend(Half::of(at, &facts));
        let Some(space) = self.spaces.get_mut(&at.0) else { return };
        let netnsid = facts.link_netnsid;
        match space.links.get_mut(&at.1) {
            Some(known) => known.facts = facts,
            None => {
                let interface = Interface {
                    node: Id::random(),
                    facts,
                    device: None,
                    reading: Reading::None,
                    addrs: Vec::new(),
                    neighs: Vec::new(),
                    fdb: Vec::new(),
                    counters: Sampled::default(),
                    shown: None,
                    edges: Vec::new(),
                    points_at: BTreeSet::new(),
                    dirty: Dirty::default(),
                    hold_until: None,
                    ask_again: ASK_AGAIN.0,
                };
                space.links.insert(at.1, interface);
            }
        }
        let unresolved = netnsid.filter(|id| !space.peers.contains_key(id));
        self.touch(at, Dirty(Dirty::LINK.0 | Dirty::EDGES.0));
        match unresolved {
            Some(id) => {
                self.unresolved.insert((at.0, id));
                self.ask_netns(at);
            }
            // The other half may wait for this one.
            None if netnsid.is_some() => self.ask_other_half(at),
            None => {}
        }
    }

    fn put_device(&mut self, at: IfRef, device: DeviceFacts) {
        let names = &self.feature_names;
        if !device.features.is_empty() && !names.is_empty() && !self.features.contains_key(&device.features) {
            let map: Map = names
                .iter()
                .enumerate()
                .filter(|(_, n)| !n.is_empty())
                .map(|(i, n)| (n.clone(), device.has_feature(i)))
                .collect();
            self.features.insert(device.features.clone(), Value::from(map));
        }
        let bus = device.bus.clone();
        let Some(interface) = self.interface_mut(at) else { return };
        if interface.device.as_ref() == Some(&device) {
            return;
        }
        let speed = device.speed;
        let known = interface.device.replace(device);
        let first = known.is_none();
        self.touch(at, if first { Dirty::ALL } else { Dirty::LINK });
        if known.is_some_and(|known| known.speed != speed) {
            self.ask_faster(at);
        }
        if first && !bus.is_empty() {
            self.by_bus.insert(bus.clone(), at);
            // A physical function shows its virtual ones; whichever comes later finds the other.
            for other in skydive_sys::pci_relatives(&bus) {
                if let Some(other) = self.by_bus.get(&other).copied() {
                    self.touch(other, Dirty(Dirty::LINK.0 | Dirty::EDGES.0));
                }
            }
        }
    }

    /// Asks those that are as fast as this one: its master and what lies on it. The kernel tells of none of them.
    fn ask_faster(&mut self, at: IfRef) {
        let Some(interface) = self.interface(at) else { return };
        let mut all: Vec<IfRef> = interface.facts.master.map(|master| (at.0, master)).into_iter().collect();
        let is_upper = |one: &IfRef| {
            let (space, interface) = (self.spaces.get(&one.0), self.interface(*one));
            let (Some(space), Some(interface)) = (space, interface) else { return false };
            !interface.is_half() && space.behind(&interface.facts) == Some(at)
        };
        all.extend(self.pointers.get(&at).into_iter().flatten().copied().filter(is_upper));
        for one in all {
            self.ask_link(one);
        }
    }

    /// Forgets an interface and deletes its node.
    pub(super) fn remove_link(&mut self, at: IfRef) {
        let Some(space) = self.spaces.get_mut(&at.0) else { return };
        let Some(interface) = space.links.remove(&at.1) else { return };
        space.routes.forget(at.1);
        self.dirty.remove(&at);
        if interface.shown.is_some() {
            self.decided.push(Mutation::delete_node(interface.node));
        }
        if let Some(half) = Half::of(at, &interface.facts) {
            self.halves.remove(&half);
        }
        if let Some(device) = &interface.device
            && self.by_bus.get(&device.bus) == Some(&at)
        {
            self.by_bus.remove(&device.bus);
        }
        for target in interface.points_at {
            self.unpoint(at, target);
        }
        self.touch_pointers(at);
    }

    /// Asks who is behind the id of an interface's other namespace.
    fn ask_netns(&mut self, at: IfRef) {
        if self.interface(at).is_some_and(Interface::is_half) {
            self.ask_other_half(at);
        } else {
            let all: Vec<NsKey> = self.spaces.keys().copied().collect();
            for of in all {
                self.ask_id(at.0, of);
            }
        }
        // A namespace that nobody has found yet: one held by a process alone, most often.
        self.config.namespaces.look_again();
    }

    /// Asks for the ids that two namespaces have for each other.
    pub(super) fn ask_pair(&mut self, a: NsKey, b: NsKey) {
        self.ask_id(a, b);
        self.ask_id(b, a);
    }

    fn ask_id(&mut self, here: NsKey, of: NsKey) {
        if here != of
            && let Some(space) = self.spaces.get_mut(&here)
            && space.asked.insert(of)
        {
            self.commands.push_back(Command::NetnsId(here, of));
        }
    }

    /// A namespace was read for the first time: it may be the one that interfaces without a half wait for.
    pub(super) fn ask_unresolved(&mut self, of: NsKey) {
        let mut waiting: Vec<NsKey> = self.unresolved.iter().map(|(here, _)| *here).collect();
        // In order, so this leaves each once: the host of a thousand namespaces waits for a thousand ids.
        waiting.dedup();
        for here in waiting {
            let has_lower = self.spaces.get(&here).is_some_and(|space| {
                space.links.values().any(|i| i.facts.link_netnsid.is_some() && !i.is_half())
            });
            if has_lower {
                self.ask_id(here, of);
            }
        }
    }

    pub(super) fn netns_id(&mut self, here: NsKey, of: NsKey, id: Option<i32>) {
        if !self.spaces.contains_key(&of) {
            return;
        }
        let Some(space) = self.spaces.get_mut(&here) else { return };
        let Some(id) = id else {
            // It may get one any time.
            space.asked.remove(&of);
            return;
        };
        space.peers.insert(id, of);
        self.unresolved.remove(&(here, id));
        self.touch_netns(here, id);
    }

    pub(super) fn netns_id_made(&mut self, key: NsKey, id: i32) {
        self.netns_id_gone(key, id);
        let Some(space) = self.spaces.get_mut(&key) else { return };
        space.asked.clear();
        let waiting: Vec<_> = space
            .links
            .values()
            .filter(|i| i.facts.link_netnsid == Some(id))
            .map(|i| (key, i.facts.index))
            .collect();
        for at in waiting {
            self.unresolved.insert((key, id));
            self.ask_netns(at);
        }
    }

    pub(super) fn netns_id_gone(&mut self, key: NsKey, id: i32) {
        let Some(space) = self.spaces.get_mut(&key) else { return };
        if let Some(of) = space.peers.remove(&id) {
            space.asked.remove(&of);
            self.touch_netns(key, id);
        }
    }

    /// A namespace is no longer looked into: no id stands for it.
    pub(super) fn forget_peer(&mut self, of: NsKey) {
        let mut forgotten = Vec::new();
        for (key, space) in &mut self.spaces {
            space.asked.remove(&of);
            space.peers.retain(|id, peer| {
                if *peer == of {
                    forgotten.push((*key, *id));
                }
                *peer != of
            });
        }
        for (key, id) in forgotten {
            self.touch_netns(key, id);
        }
    }

    fn touch_netns(&mut self, key: NsKey, id: i32) {
        let Some(space) = self.spaces.get(&key) else { return };
        let behind: Vec<u32> = space
            .links
            .values()
            .filter(|i| i.facts.link_netnsid == Some(id))
            .map(|i| i.facts.index)
            .collect();
        for index in behind {
            self.touch((key, index), Dirty(Dirty::LINK.0 | Dirty::EDGES.0));
        }
    }
}

/// Whether the facts are of the same interface: number and kind never change.
fn is_same(a: &LinkFacts, b: &LinkFacts) -> bool {
    a.index == b.index && a.kind == b.kind && a.hardware == b.hardware
}
