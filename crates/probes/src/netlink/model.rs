//! All that is known: namespaces, and the interfaces in them.

use std::collections::{BTreeMap, BTreeSet, HashMap, HashSet, VecDeque};
use std::time::Duration;

use skydive_graph::Mutation;
use skydive_sys::netlink::{AddrFacts, DetailValue, Event, LinkFacts, NeighFacts, detail};
use skydive_sys::{
    Command, DeviceFacts, EnterError, FeatureNames, NsId, NsKey, NsRef, OpenError, Parts, Report,
};
use skydive_value::{Id, Map, SmolStr, Timestamp, Value};
use tokio::time::Instant;

use super::agenda::{Agenda, Task};
use super::counters::Sampled;
use super::edges::Shown;
use super::pairs::Half;
use super::routes::Routes;
use crate::{Health, NsNode, ProbeConfig};

/// An interface: its namespace and its number there.
pub(super) type IfRef = (NsKey, u32);

/// A namespace that is looked into.
#[derive(Debug)]
pub(super) struct Space {
    key: NsKey,
    pub(super) id: NsId,
    /// The node that owns the interfaces.
    pub(super) node: Id,
    /// Name that other namespaces' interfaces show for it.
    pub(super) name: SmolStr,
    pub(super) place: NsRef,
    /// Whether what is told of it is really of it.
    open: bool,
    pub(super) links: BTreeMap<u32, Interface>,
    pub(super) routes: Routes,
    /// Namespaces behind the ids this one has for them.
    pub(super) peers: HashMap<i32, NsKey>,
    /// Namespaces whose id here was asked for.
    pub(super) asked: HashSet<NsKey>,
    pub(super) sampled_at: Timestamp,
    /// When all of it was read last.
    pub(super) read_at: Option<Instant>,
    /// Pause before the next try to open it.
    pub(super) pause: Duration,
}

impl Space {
    /// The interface that another one speaks of, there or not; `None` also while nobody knows the namespace.
    pub(super) fn behind(&self, facts: &LinkFacts) -> Option<IfRef> {
        let key = match facts.link_netnsid {
            None => self.key,
            Some(id) => *self.peers.get(&id)?,
        };
        // A vxlan names what it leaves by among its details.
        let index = facts.link.or_else(|| match detail(&facts.details, "LinkIndex") {
            Some(DetailValue::Int(index)) => u32::try_from(*index).ok(),
            _ => None,
        });
        Some((key, index?))
    }
}

/// What is known of an interface.
#[derive(Debug)]
pub(super) struct Interface {
    pub(super) node: Id,
    pub(super) facts: LinkFacts,
    /// What its driver tells; the interface is shown once this is known.
    pub(super) device: Option<DeviceFacts>,
    pub(super) reading: Reading,
    pub(super) addrs: Vec<AddrFacts>,
    pub(super) neighs: Vec<NeighFacts>,
    pub(super) fdb: Vec<NeighFacts>,
    pub(super) counters: Sampled,
    /// Metadata the graph has, counters apart; `None` when it has no node.
    pub(super) shown: Option<Map>,
    /// Edges the graph has, of those that this interface answers for.
    pub(super) edges: Vec<Shown>,
    /// Interfaces it refers to.
    pub(super) points_at: BTreeSet<IfRef>,
    pub(super) dirty: Dirty,
    /// Long lists are not shown again before this.
    pub(super) hold_until: Option<Instant>,
    /// Of a half that is alone: the pause before it is asked again.
    pub(super) ask_again: Duration,
}

/// Whether a question about one interface is under way.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub(super) enum Reading {
    #[default]
    None,
    Asked,
    /// Asked, and to be asked again when answered.
    Stale,
}

/// Parts of an interface that may differ from what the graph has.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub(super) struct Dirty(pub(super) u8);

impl Dirty {
    pub(super) const LINK: Self = Self(1);
    pub(super) const ADDRS: Self = Self(2);
    pub(super) const NEIGHS: Self = Self(4);
    pub(super) const FDB: Self = Self(8);
    pub(super) const ROUTES: Self = Self(16);
    pub(super) const EDGES: Self = Self(32);
    pub(super) const ALL: Self = Self(63);
    /// Those that can be long.
    pub(super) const LISTS: Self = Self(Self::NEIGHS.0 | Self::FDB.0 | Self::ROUTES.0);

    pub(super) fn has(self, other: Self) -> bool {
        self.0 & other.0 != 0
    }

    pub(super) fn add(&mut self, other: Self) {
        self.0 |= other.0;
    }

    pub(super) fn take(&mut self, other: Self) {
        self.0 &= !other.0;
    }
}

/// Everything the probe knows, and what it has to say and to ask.
#[derive(Debug)]
pub(super) struct Model {
    pub(super) config: ProbeConfig,
    pub(super) own: NsId,
    may_enter: bool,
    pub(super) spaces: BTreeMap<NsKey, Space>,
    by_id: HashMap<NsId, NsKey>,
    next_key: u32,
    pub(super) agenda: Agenda,
    pub(super) commands: VecDeque<Command>,
    /// Mutations already decided on: deletions, which come before all else.
    pub(super) decided: Vec<Mutation>,
    pub(super) dirty: BTreeSet<IfRef>,
    /// Who refers to an interface, there or not.
    pub(super) pointers: HashMap<IfRef, BTreeSet<IfRef>>,
    /// Halves of pairs.
    pub(super) halves: BTreeSet<Half>,
    /// Ids of namespaces that are not known to stand for any.
    pub(super) unresolved: BTreeSet<(NsKey, i32)>,
    pub(super) by_bus: HashMap<SmolStr, IfRef>,
    pub(super) feature_names: FeatureNames,
    /// Features as they are shown, by their bits: most interfaces share a few.
    pub(super) features: HashMap<Vec<u32>, Value>,
    faults: BTreeMap<NsKey, SmolStr>,
    /// Gaps in what the kernel told, not yet logged, and when some were logged last.
    pub(super) gaps: u64,
    pub(super) gaps_told_at: Instant,
    /// What was told to be missing, and when.
    told: Option<(Missing, Instant)>,
}

/// What cannot be shown.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) enum Missing {
    Nothing,
    /// This, for a human.
    This(SmolStr),
}

/// The namespace of this process.
const HERE: NsKey = NsKey(0);

/// Reading everything again from time to time heals what the kernel tells nobody.
const READ_AGAIN: Duration = Duration::from_mins(5);

/// After a gap, tables are read at most this often.
pub(super) const AFTER_GAP: Duration = Duration::from_millis(200);

/// Gaps are logged at most this often.
const GAPS_TOLD: Duration = Duration::from_secs(1);

/// What is missing is told again at most this often.
const HEALTH_TOLD: Duration = Duration::from_secs(1);

/// First and longest pause between tries to open a namespace.
const OPEN_AGAIN: (Duration, Duration) = (Duration::from_millis(200), Duration::from_mins(1));

impl Model {
    pub(super) fn new(config: ProbeConfig, own: NsId, may_enter: bool, now: Instant) -> Self {
        let mut model = Self {
            own,
            may_enter,
            spaces: BTreeMap::new(),
            by_id: HashMap::new(),
            next_key: HERE.0,
            agenda: Agenda::default(),
            commands: VecDeque::new(),
            decided: Vec::new(),
            dirty: BTreeSet::new(),
            pointers: HashMap::new(),
            halves: BTreeSet::new(),
            unresolved: BTreeSet::new(),
            by_bus: HashMap::new(),
            feature_names: FeatureNames::default(),
            features: HashMap::new(),
            faults: BTreeMap::new(),
            gaps: 0,
            gaps_told_at: now,
            told: None,
            config,
        };
        let node = model.config.host_node.clone();
        model.add_space(own, node, SmolStr::default(), NsRef::Here);
        model.plan_samples(now);
        model
    }

    /// Takes over the table of known namespaces.
    pub(super) fn set_namespaces(&mut self, table: &BTreeMap<crate::NsKey, NsNode>) {
        let gone: Vec<NsKey> = self
            .spaces
            .iter()
            .filter(|(key, space)| {
                **key != HERE
                    && table.get(&(space.id.dev, space.id.ino)).is_none_or(|ns| ns.node != space.node)
            })
            .map(|(key, _)| *key)
            .collect();
        for key in gone {
            self.close(key);
        }
        for ((dev, ino), ns) in table {
            let id = NsId { dev: *dev, ino: *ino };
            let place = NsRef::Path(ns.path.clone());
            if id == self.own {
                continue;
            }
            match self.by_id.get(&id).and_then(|key| self.spaces.get_mut(key)) {
                Some(space) => space.place = place,
                None => {
                    let name = if ns.path.starts_with("/proc") {
                        format!("net:[{ino}]").into()
                    } else {
                        ns.path.file_name().map(|n| n.to_string_lossy().into()).unwrap_or_default()
                    };
                    self.add_space(id, ns.node.clone(), name, place);
                }
            }
        }
    }

    fn add_space(&mut self, id: NsId, node: Id, name: SmolStr, place: NsRef) {
        let key = NsKey(self.next_key);
        self.next_key = self.next_key.wrapping_add(1);
        self.commands.push_back(Command::Watch(key, place.clone()));
        self.by_id.insert(id, key);
        let space = Space {
            key,
            id,
            node,
            name,
            place,
            open: false,
            links: BTreeMap::new(),
            routes: Routes::default(),
            peers: HashMap::new(),
            asked: HashSet::new(),
            sampled_at: Timestamp::EPOCH,
            read_at: None,
            pause: OPEN_AGAIN.0,
        };
        self.spaces.insert(key, space);
    }

    /// Lets go of a namespace: deletes what it held and closes its sockets, which may be what kept it alive.
    fn close(&mut self, key: NsKey) {
        self.commands.push_back(Command::Unwatch(key));
        let indices: Vec<u32> =
            self.spaces.get(&key).map(|s| s.links.keys().copied().collect()).unwrap_or_default();
        for index in indices {
            self.remove_link((key, index));
        }
        self.faults.remove(&key);
        self.unresolved.retain(|(here, _)| *here != key);
        let Some(space) = self.spaces.remove(&key) else { return };
        if self.by_id.get(&space.id) == Some(&key) {
            self.by_id.remove(&space.id);
        }
        self.forget_peer(key);
    }

    /// Deletes everything shown.
    pub(super) fn clear(&mut self) -> Vec<Mutation> {
        for key in self.spaces.keys().copied().collect::<Vec<_>>() {
            self.close(key);
        }
        std::mem::take(&mut self.decided)
    }

    pub(super) fn interface(&self, (key, index): IfRef) -> Option<&Interface> {
        self.spaces.get(&key)?.links.get(&index)
    }

    pub(super) fn interface_mut(&mut self, (key, index): IfRef) -> Option<&mut Interface> {
        self.spaces.get_mut(&key)?.links.get_mut(&index)
    }

    /// Notes that parts of an interface have to be shown.
    pub(super) fn touch(&mut self, at: IfRef, what: Dirty) {
        if let Some(interface) = self.interface_mut(at) {
            interface.dirty.add(what);
            self.dirty.insert(at);
        }
    }

    /// Takes what the reading thread tells.
    pub(super) fn take(&mut self, report: Report, now: Instant, at: Timestamp) {
        match report {
            Report::Opened(key, id) => self.opened(key, id, now),
            Report::Failed(key, error) => self.failed(key, &error, now, at),
            Report::Events(key, events) => {
                for event in events {
                    self.event(key, event, now);
                }
            }
            Report::Gap(key) => self.gap(key, now),
            Report::Facts(key, facts) => self.facts(key, *facts, now, at),
            Report::Stats(all) => {
                for (key, samples) in all {
                    self.sample(key, samples, at);
                }
            }
            Report::Link(key, index, found) => self.answered(key, index, found.map(|f| *f)),
            Report::NetnsId(here, of, id) => self.netns_id(here, of, id),
        }
    }

    fn opened(&mut self, key: NsKey, id: NsId, now: Instant) {
        let Some(space) = self.spaces.get_mut(&key) else { return };
        space.open = space.id == id;
        if !space.open {
            // The name was given to another namespace meanwhile; the table will tell.
            self.commands.push_back(Command::Unwatch(key));
            self.agenda.plan(now + space.pause, Task::Open(key));
            return;
        }
        space.pause = OPEN_AGAIN.0;
        if self.faults.remove(&key).is_some() {
            let op = Health::Running.op(super::DEF.name);
            self.decided.push(Mutation::update_node(space.node.clone(), [op]));
        }
    }

    fn failed(&mut self, key: NsKey, error: &OpenError, now: Instant, at: Timestamp) {
        let Some(space) = self.spaces.get_mut(&key) else { return };
        self.agenda.plan(now + space.pause, Task::Open(key));
        space.pause = (space.pause * 2).min(OPEN_AGAIN.1);
        if let OpenError::Enter(EnterError::Open(_, cause)) = error
            && cause.kind() == std::io::ErrorKind::NotFound
        {
            return; // it just went, and the table is about to say so
        }
        let mut why = error.to_string();
        let mut cause = std::error::Error::source(error);
        while let Some(error) = cause {
            why = format!("{why}: {error}");
            cause = error.source();
        }
        let why = SmolStr::from(why);
        if self.faults.insert(key, why.clone()).as_ref() != Some(&why) {
            let health = Health::Degraded { since: at, why };
            self.decided.push(Mutation::update_node(space.node.clone(), [health.op(super::DEF.name)]));
        }
    }

    fn gap(&mut self, key: NsKey, now: Instant) {
        self.config.telemetry.netlink_gap();
        self.gaps += 1;
        self.agenda.plan(now.max(self.gaps_told_at + GAPS_TOLD), Task::TellGaps);
        let Some(space) = self.spaces.get(&key) else { return };
        let at = space.read_at.map_or(now, |read| now.max(read + AFTER_GAP));
        self.agenda.plan(at, Task::Read(key, Parts::ALL));
    }

    fn event(&mut self, key: NsKey, event: Event, now: Instant) {
        match event {
            Event::Link(link) => self.link(key, *link, now),
            Event::BridgePort(index) => self.ask_link((key, index)),
            Event::LinkGone(gone) => {
                if gone.moved {
                    self.moved((key, gone.index));
                }
                self.remove_link((key, gone.index));
                self.read_later(key, Parts::ROUTES, now);
            }
            Event::Addr(addr) => self.addr(key, addr, now),
            Event::AddrGone(addr) => self.addr_gone(key, &addr, now),
            Event::Route(route) => self.route(key, *route, now),
            Event::RouteGone(route) => self.route_gone(key, &route, now),
            Event::Neigh(neigh) => self.neigh(key, *neigh),
            Event::NeighGone(neigh) => self.neigh_gone(key, &neigh),
            Event::NetnsId(id, true) => self.netns_id_made(key, id),
            Event::NetnsId(id, false) => self.netns_id_gone(key, id),
            // Only ever asked for.
            Event::Stats(..) => {}
        }
    }

    fn facts(&mut self, key: NsKey, facts: skydive_sys::Facts, now: Instant, at: Timestamp) {
        if self.spaces.get(&key).is_none_or(|space| !space.open) {
            return;
        }
        for (part, error) in &facts.refused {
            tracing::debug!(namespace = key.0, ?part, %error, "part of a namespace not read");
        }
        if !facts.feature_names.is_empty() {
            self.feature_names = facts.feature_names;
        }
        if let Some(links) = facts.links {
            let first = self.spaces.get(&key).is_some_and(|space| space.read_at.is_none());
            if let Some(space) = self.spaces.get_mut(&key) {
                space.read_at = Some(now);
            }
            self.set_links(key, links, facts.devices.unwrap_or_default(), at);
            if first {
                self.ask_unresolved(key);
            }
        }
        if let Some(addrs) = facts.addrs {
            self.set_addrs(key, addrs);
        }
        if let Some(routes) = facts.routes {
            self.set_routes(key, routes);
        }
        if let Some(neighs) = facts.neighs {
            self.set_neighs(key, neighs);
        }
        if let Some(fdb) = facts.fdb {
            self.set_fdb(key, fdb);
        }
    }

    /// Plans to read a part again, later the longer it was: never more than a small part of the time goes into it.
    pub(super) fn read_later(&mut self, key: NsKey, part: Parts, now: Instant) {
        const PAUSE: Duration = Duration::from_millis(50);
        const PER_ENTRY: Duration = Duration::from_micros(50);
        let Some(space) = self.spaces.get(&key) else { return };
        let entries = if part == Parts::ROUTES { space.routes.len() } else { space.links.len() * 8 };
        self.agenda.plan(now + PAUSE + PER_ENTRY * entries as u32, Task::Read(key, part));
    }

    pub(super) fn next_due(&self) -> Instant {
        self.agenda.next(Instant::now())
    }

    /// Does what is due.
    pub(super) fn do_due(&mut self, now: Instant) {
        for (at, task) in self.agenda.take(now) {
            match task {
                Task::Read(key, part) => self.commands.push_back(Command::Read(key, part)),
                Task::Show(at) => {
                    if self.interface(at).is_some() {
                        self.dirty.insert(at);
                    }
                }
                Task::Ask(at) => self.ask_lonely(at, now),
                Task::TellHealth => {} // it is told whenever there was something to do
                Task::TellGaps => {
                    let times = std::mem::take(&mut self.gaps);
                    tracing::warn!(
                        times,
                        "the kernel dropped notifications of netlink; what they were about is read again"
                    );
                    self.gaps_told_at = now;
                }
                Task::Sample(slice) => self.ask_samples(slice, at, now),
                Task::Open(key) => {
                    if let Some(space) = self.spaces.get(&key) {
                        self.commands.push_back(Command::Watch(key, space.place.clone()));
                    }
                }
            }
        }
    }

    /// Whether a namespace should be read as a whole, for what the kernel tells nobody.
    pub(super) fn is_stale(space: &Space, now: Instant) -> bool {
        space.read_at.is_some_and(|read| now.duration_since(read) > READ_AGAIN)
    }

    pub(super) fn has_commands(&self) -> bool {
        !self.commands.is_empty()
    }

    pub(super) fn next_command(&mut self) -> Option<Command> {
        self.commands.pop_front()
    }

    pub(super) fn keep_command(&mut self, command: Command) {
        self.commands.push_front(command);
    }

    /// What is missing, when that changed since it was told. While something is, changes are told at most so often:
    /// namespaces fail one by one.
    pub(super) fn health(&mut self, now: Instant) -> Option<Missing> {
        let missing = match self.faults.first_key_value() {
            Some((key, first)) => {
                let name = self.spaces.get(key).map(|space| space.name.as_str()).unwrap_or_default();
                let count = self.faults.len();
                let hint = if self.may_enter { "" } else { "CAP_SYS_ADMIN is missing; " };
                Missing::This(
                    format!("{hint}{count} namespaces not looked into, first: {name}: {first}").into(),
                )
            }
            None if !self.may_enter => Missing::This(SmolStr::new_static(
                "CAP_SYS_ADMIN is missing: other namespaces cannot be looked into",
            )),
            None => Missing::Nothing,
        };
        if let Some((told, at)) = &self.told {
            if *told == missing {
                return None;
            }
            let next = *at + HEALTH_TOLD;
            if [told, &missing].iter().all(|m| matches!(m, Missing::This(_))) && now < next {
                self.agenda.plan(next, Task::TellHealth);
                return None;
            }
        }
        self.told = Some((missing.clone(), now));
        Some(missing)
    }
}
