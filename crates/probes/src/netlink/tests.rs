//! Pairs of interfaces in every order in which the kernel's words about them can arrive.
//!
//! [`Kernel`] does to interfaces and tells of them what the real one does (`veth_newlink`,
//! `__dev_change_net_namespace`, `peernet2id_alloc`): the first half of a pair is announced before it is joined to the
//! second, a move is told in the namespaces it leads from and to but never to the other half, and an id of a namespace
//! comes into being when somebody is told of it. [`World`] has the reading thread and the model between that kernel and
//! a graph, and makes one step at a time: the kernel acts, a socket is read, a command is executed, the model takes
//! what was reported. Whoever chooses the steps chooses the order. Whatever it was, the graph must end true.

use std::collections::{BTreeMap, BTreeSet, VecDeque};
use std::path::PathBuf;
use std::time::Duration;

use skydive_graph::{Graph, Mutation, Node, Source, key};
use skydive_sys::netlink::{Event, LinkFacts, LinkGone};
use skydive_sys::{Command, DeviceFacts, Facts, NsId, NsKey, OpenError, Parts, Report};
use skydive_value::{Id, Timestamp};
use tokio::time::Instant;

use super::model::{AFTER_GAP, Missing, Model};
use crate::{Namespaces, NsNode, ProbeConfig, ProbeTelemetry};
use Act::{Delete, First, Learn, Move, Rename, Second};

/// Half of a pair: number `2n` and `2n + 1` belong together.
type Half = usize;

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Act {
    /// The first half is there and announced, joined to nothing yet.
    First(Half, usize),
    /// The second half is there, joined to the first, and announced.
    Second(Half, usize),
    Rename(Half),
    Move(Half, usize),
    /// Both halves go.
    Delete(Half),
    /// The namespace becomes known to the probe.
    Learn(usize),
}

#[derive(Debug)]
struct Device {
    space: usize,
    index: u32,
    name: String,
    is_joined: bool,
}

#[derive(Debug, Default)]
struct Space {
    last_index: u32,
    /// Namespaces that have an id here: their place is the id.
    ids: Vec<usize>,
    is_watched: bool,
    /// What the socket holds.
    events: VecDeque<Event>,
}

#[derive(Debug)]
struct Kernel {
    spaces: Vec<Space>,
    devices: BTreeMap<Half, Device>,
}

impl Kernel {
    fn new(spaces: usize) -> Self {
        Self { spaces: (0..spaces).map(|_| Space::default()).collect(), devices: BTreeMap::new() }
    }

    fn tell(&mut self, space: usize, event: Event) {
        if self.spaces[space].is_watched {
            self.spaces[space].events.push_back(event);
        }
    }

    /// The id of a namespace in another, which is made and told when there is none.
    fn id_of(&mut self, here: usize, of: usize) -> i32 {
        let known = self.spaces[here].ids.iter().position(|id| *id == of);
        let id = known.unwrap_or_else(|| {
            self.spaces[here].ids.push(of);
            let id = self.spaces[here].ids.len() - 1;
            self.tell(here, Event::NetnsId(id as i32, true));
            id
        });
        id as i32
    }

    fn facts(&mut self, half: Half) -> LinkFacts {
        let device = &self.devices[&half];
        let (space, index, name) = (device.space, device.index, device.name.as_str().into());
        let other = device.is_joined.then(|| &self.devices[&(half ^ 1)]).map(|d| (d.space, d.index));
        let link_netnsid = other.filter(|(of, _)| *of != space).map(|(of, _)| self.id_of(space, of));
        LinkFacts {
            index,
            name,
            kind: Some("veth".into()),
            hardware: 1,
            link: other.map(|(_, index)| index),
            link_netnsid,
            ..LinkFacts::default()
        }
    }

    fn announce(&mut self, half: Half) {
        let facts = self.facts(half);
        self.tell(self.devices[&half].space, Event::Link(Box::new(facts)));
    }

    fn add(&mut self, half: Half, space: usize) {
        let index = self.spaces[space].last_index + 1;
        self.spaces[space].last_index = index;
        let name = format!("v{half}");
        self.devices.insert(half, Device { space, index, name, is_joined: false });
    }

    fn act(&mut self, act: Act) {
        match act {
            First(half, space) => {
                self.add(half, space);
                self.announce(half);
            }
            Second(half, space) => {
                self.add(half, space);
                for half in [half, half ^ 1] {
                    self.devices.get_mut(&half).unwrap().is_joined = true;
                }
                self.announce(half);
            }
            Rename(half) => {
                self.devices.get_mut(&half).unwrap().name.push('x');
                self.announce(half);
            }
            Move(half, to) => {
                let device = &self.devices[&half];
                let (from, index) = (device.space, device.index);
                if from == to {
                    return;
                }
                self.id_of(from, to);
                self.tell(from, Event::LinkGone(LinkGone { index, moved: true }));
                let is_taken = self.devices.values().any(|d| (d.space, d.index) == (to, index));
                let index = if is_taken { self.spaces[to].last_index + 1 } else { index };
                self.spaces[to].last_index = self.spaces[to].last_index.max(index);
                let device = self.devices.get_mut(&half).unwrap();
                (device.space, device.index) = (to, index);
                self.announce(half);
            }
            Delete(half) => {
                for half in [half, half ^ 1] {
                    let Device { space, index, .. } = self.devices.remove(&half).unwrap();
                    self.tell(space, Event::LinkGone(LinkGone { index, moved: false }));
                }
            }
            Learn(_) => {}
        }
    }

    /// The halves in a namespace, in order of their numbers there.
    fn halves_in(&self, space: usize) -> Vec<Half> {
        let mut halves: Vec<Half> =
            self.devices.iter().filter(|(_, d)| d.space == space).map(|(half, _)| *half).collect();
        halves.sort_by_key(|half| self.devices[half].index);
        halves
    }

    fn nodes(&self) -> BTreeSet<(usize, String)> {
        self.devices.values().map(|d| (d.space, d.name.clone())).collect()
    }

    fn pairs(&self) -> BTreeSet<[String; 2]> {
        let first = self.devices.iter().filter(|(half, device)| *half % 2 == 0 && device.is_joined);
        first.map(|(half, _)| sorted([half, &(half ^ 1)].map(|h| self.devices[h].name.clone()))).collect()
    }
}

fn sorted(mut names: [String; 2]) -> [String; 2] {
    names.sort();
    names
}

/// What may happen next.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Step {
    Kernel,
    /// The reading thread empties a socket.
    Read(usize),
    /// A socket was too full: the thread finds a gap.
    Overflow(usize),
    /// The reading thread executes the next command.
    Execute,
    /// The model takes all reports and shows what changed.
    Model,
}

struct World {
    kernel: Kernel,
    acts: VecDeque<Act>,
    may_overflow: bool,
    model: Model,
    table: BTreeMap<crate::NsKey, NsNode>,
    keys: BTreeMap<NsKey, usize>,
    commands: VecDeque<Command>,
    reports: Vec<Report>,
    graph: Graph,
    now: Instant,
    log: Vec<String>,
}

impl World {
    /// A probe that knows as many namespaces, all still to be opened.
    fn new(spaces: usize, acts: &[Act]) -> Self {
        let source = Source::of("agent", "here");
        let config = ProbeConfig {
            host_node: "0".into(),
            source: source.clone(),
            host_id: "here".into(),
            metrics_update: Duration::from_hours(1),
            sockets_update: Duration::from_hours(1),
            netns_run_path: PathBuf::new(),
            metadata_files: Vec::new(),
            namespaces: Namespaces::default(),
            telemetry: ProbeTelemetry::default(),
        };
        let mut graph = Graph::new();
        for space in 0..spaces {
            let metadata = [(key::NAME, space.to_string())].into_iter().collect();
            let node = Node::new(node_of(space), source.clone(), metadata, Timestamp::EPOCH);
            graph.apply(Mutation::AddNode(node), Timestamp::EPOCH, &mut Vec::new()).unwrap();
        }
        let now = Instant::now();
        let mut world = Self {
            kernel: Kernel::new(spaces),
            acts: acts.iter().copied().collect(),
            may_overflow: false,
            model: Model::new(config, id_of(0), true, now),
            table: BTreeMap::new(),
            keys: BTreeMap::from([(NsKey(0), 0)]),
            commands: VecDeque::new(),
            reports: Vec::new(),
            graph,
            now,
            log: Vec::new(),
        };
        for space in 1..spaces {
            if !acts.contains(&Learn(space)) {
                world.learn(space);
            }
        }
        world.show();
        world
    }

    /// The same, all opened and read before anything happens.
    fn settled(spaces: usize, acts: &[Act]) -> Self {
        let mut world = Self::new(spaces, &[]);
        world.run_dry();
        world.acts.extend(acts);
        world.log.clear();
        world
    }

    fn learn(&mut self, space: usize) {
        self.keys.insert(NsKey(self.keys.len() as u32), space);
        let id = id_of(space);
        self.table.insert((id.dev, id.ino), NsNode { node: node_of(space), path: space.to_string().into() });
        self.model.set_namespaces(&self.table);
    }

    /// What may happen next, what a quick reader would do first.
    fn steps(&self) -> Vec<Step> {
        let mut steps = Vec::new();
        if !self.reports.is_empty() {
            steps.push(Step::Model);
        }
        if !self.commands.is_empty() {
            steps.push(Step::Execute);
        }
        for (space, socket) in self.kernel.spaces.iter().enumerate() {
            if !socket.events.is_empty() {
                steps.push(Step::Read(space));
                if self.may_overflow {
                    steps.push(Step::Overflow(space));
                }
            }
        }
        if !self.acts.is_empty() {
            steps.push(Step::Kernel);
        }
        steps
    }

    fn make(&mut self, step: Step) {
        match step {
            Step::Kernel => {
                let act = self.acts.pop_front().unwrap();
                self.log.push(format!("{act:?}"));
                if let Learn(space) = act {
                    self.learn(space);
                    self.show();
                }
                self.kernel.act(act);
            }
            Step::Read(space) => {
                let events: Vec<Event> = self.kernel.spaces[space].events.drain(..).collect();
                self.log.push(format!("  read {space}: {}", events.iter().map(tell).collect::<String>()));
                self.reports.push(Report::Events(self.key(space), events));
            }
            Step::Overflow(space) => {
                self.log.push(format!("  overflow {space}"));
                self.kernel.spaces[space].events.clear();
                self.reports.push(Report::Gap(self.key(space)));
            }
            Step::Execute => {
                let command = self.commands.pop_front().unwrap();
                self.log.push(format!("  {command:?}"));
                self.execute(command);
            }
            Step::Model => {
                self.log.push("  model".to_owned());
                for report in std::mem::take(&mut self.reports) {
                    self.model.take(report, self.now, Timestamp::EPOCH);
                }
                self.show();
            }
        }
    }

    fn key(&self, space: usize) -> NsKey {
        *self.keys.iter().find(|(_, known)| **known == space).unwrap().0
    }

    fn execute(&mut self, command: Command) {
        match command {
            Command::Watch(key, _) => {
                let space = self.keys[&key];
                self.kernel.spaces[space].is_watched = true;
                self.reports.push(Report::Opened(key, id_of(space)));
                // Not at once: what is told from now on may be in it already.
                self.commands.push_front(Command::Read(key, Parts::ALL));
            }
            Command::Read(key, parts) => self.read(key, parts),
            Command::ReadLink(key, index) => {
                let halves = self.kernel.halves_in(self.keys[&key]);
                let half = halves.into_iter().find(|half| self.kernel.devices[half].index == index);
                let found = half.map(|half| {
                    let facts = self.kernel.facts(half);
                    Box::new((facts, DeviceFacts { index, ..DeviceFacts::default() }))
                });
                self.reports.push(Report::Link(key, index, found));
            }
            Command::NetnsId(here, of) => {
                let ids = &self.kernel.spaces[self.keys[&here]].ids;
                let id = ids.iter().position(|id| *id == self.keys[&of]).map(|id| id as i32);
                self.reports.push(Report::NetnsId(here, of, id));
            }
            Command::Unwatch(_) | Command::ReadStats(_) => {}
        }
    }

    fn read(&mut self, key: NsKey, parts: Parts) {
        let mut facts = Facts::default();
        if parts.contains(Parts::LINKS) {
            let halves = self.kernel.halves_in(self.keys[&key]);
            let links: Vec<LinkFacts> = halves.into_iter().map(|half| self.kernel.facts(half)).collect();
            let device = |link: &LinkFacts| DeviceFacts { index: link.index, ..DeviceFacts::default() };
            facts.devices = Some(links.iter().map(device).collect());
            facts.links = Some(links);
        }
        self.reports.push(Report::Facts(key, Box::new(facts)));
    }

    fn show(&mut self) {
        while let Some(command) = self.model.next_command() {
            self.commands.push_back(command);
        }
        for mutation in self.model.show(self.now, Timestamp::EPOCH) {
            self.graph.apply(mutation, Timestamp::EPOCH, &mut Vec::new()).unwrap();
        }
        // Showing may raise questions.
        while let Some(command) = self.model.next_command() {
            self.commands.push_back(command);
        }
    }

    /// Makes steps until there are none; a model that asks for ever fails.
    fn run_dry(&mut self) {
        for round in 0.. {
            assert!(round < 1000, "no end:\n{}", self.log.join("\n"));
            let step = self.steps().into_iter().find(|step| !matches!(step, Step::Overflow(_)));
            let Some(step) = step else { return };
            self.make(step);
        }
    }

    /// Lets time pass, with what was planned for it.
    fn wait(&mut self, time: Duration) {
        self.now += time;
        self.log.push(format!("  {time:?} pass"));
        self.model.do_due(self.now);
        self.show();
        self.run_dry();
    }

    /// Lets some seconds pass, with what is planned for later.
    fn pass(&mut self) {
        for _ in 0..8 {
            self.wait(Duration::from_secs(1));
        }
    }

    fn check(&self) {
        let view = self.graph.view();
        let mut nodes = BTreeSet::new();
        let mut pairs = BTreeSet::new();
        for edge in view.edges() {
            let (parent, child) = (edge.parent(), edge.child());
            if edge.relation() == key::relation::OWNERSHIP {
                nodes.insert((parent.name().parse::<usize>().unwrap(), child.name().to_owned()));
            } else {
                pairs.insert(sorted([parent, child].map(|node| node.name().to_owned())));
            }
        }
        let log = || self.log.join("\n");
        assert_eq!(nodes, self.kernel.nodes(), "interfaces after\n{}", log());
        assert_eq!(pairs, self.kernel.pairs(), "pairs after\n{}", log());
    }
}

fn node_of(space: usize) -> Id {
    Id::from(space.to_string().as_str())
}

fn id_of(space: usize) -> NsId {
    NsId { dev: 4, ino: space as u64 }
}

fn tell(event: &Event) -> String {
    match event {
        Event::Link(link) => {
            format!("[{} {} of {:?} {:?}] ", link.index, link.name, link.link, link.link_netnsid)
        }
        other => format!("[{other:?}] "),
    }
}

/// However many steps are put off.
const ALL: usize = usize::MAX;

/// Runs every order of steps in which up to so many are put off.
fn in_every_order(delays: usize, world: impl Fn() -> World) {
    let mut choices: Vec<usize> = Vec::new();
    loop {
        let mut world = world();
        let mut options = Vec::new();
        loop {
            let steps = world.steps();
            let choice = choices.get(options.len()).copied().unwrap_or(0);
            let Some(step) = steps.get(choice) else { break };
            options.push(steps.len());
            world.make(*step);
        }
        world.wait(AFTER_GAP);
        world.check();
        // The next order: the last choice that may be another is another, those behind it are the first again.
        choices.resize(options.len(), 0);
        loop {
            let (Some(choice), Some(of)) = (choices.pop(), options.pop()) else { return };
            let delayed = choices.iter().filter(|choice| **choice != 0).count();
            if choice + 1 < of && delayed < delays {
                choices.push(choice + 1);
                break;
            }
        }
    }
}

/// Numbers that look random, the same for the same seed.
struct Dice(u64);

impl Dice {
    fn below(&mut self, end: usize) -> usize {
        self.0 ^= self.0 << 13;
        self.0 ^= self.0 >> 7;
        self.0 ^= self.0 << 17;
        (self.0 >> 20) as usize % end
    }

    /// What may happen to pairs, in an order that makes sense.
    fn acts(&mut self, spaces: usize, pairs: usize, count: usize) -> Vec<Act> {
        let mut acts = Vec::new();
        let mut alive: Vec<Half> = Vec::new();
        let mut next = 0;
        if self.below(3) == 0 {
            let at = self.below(spaces - 1) + 1;
            acts.push(Learn(at));
        }
        while acts.len() < count && !(alive.is_empty() && next == 2 * pairs) {
            match self.below(6) {
                0 | 1 if next < 2 * pairs => {
                    acts.extend([First(next, self.below(spaces)), Second(next + 1, self.below(spaces))]);
                    alive.extend([next, next + 1]);
                    next += 2;
                }
                _ if alive.is_empty() => {}
                2..=4 => acts.push(Move(alive[self.below(alive.len())], self.below(spaces))),
                5 if self.below(3) == 0 => {
                    let half = alive[self.below(alive.len())];
                    acts.push(Delete(half));
                    alive.retain(|other| other / 2 != half / 2);
                }
                _ => acts.push(Rename(alive[self.below(alive.len())])),
            }
        }
        // What a probe learns late it may learn at any time.
        let late = self.below(acts.len());
        if let Some(Learn(_)) = acts.first() {
            acts[..=late].rotate_left(1);
        }
        acts
    }
}

fn in_random_orders(seeds: std::ops::Range<u64>, may_overflow: bool) {
    const SPACES: usize = 3;
    for seed in seeds {
        let mut dice = Dice(seed.wrapping_mul(0x9e37_79b9_7f4a_7c15) | 1);
        let (pairs, count) = (1 + dice.below(3), 3 + dice.below(9));
        let acts = dice.acts(SPACES, pairs, count);
        let mut world = World::new(SPACES, &acts);
        world.may_overflow = may_overflow;
        world.log.push(format!("seed {seed}"));
        loop {
            let steps = world.steps();
            if steps.is_empty() {
                break;
            }
            world.make(steps[dice.below(steps.len())]);
        }
        world.pass();
        world.check();
    }
}

#[test]
fn a_pair_is_made_in_every_order() {
    in_every_order(ALL, || World::settled(1, &[First(0, 0), Second(1, 0)]));
}

#[test]
fn a_pair_across_namespaces_is_made_in_every_order() {
    in_every_order(ALL, || World::settled(2, &[First(0, 1), Second(1, 0)]));
    in_every_order(ALL, || World::settled(2, &[First(0, 0), Second(1, 1)]));
}

#[test]
fn a_pair_is_made_while_the_probe_starts_in_every_order() {
    in_every_order(ALL, || World::new(1, &[First(0, 0), Second(1, 0)]));
    in_every_order(4, || World::new(2, &[First(0, 1), Second(1, 0)]));
}

#[test]
fn a_pair_is_made_and_moves_in_every_order() {
    in_every_order(3, || World::settled(2, &[First(0, 0), Second(1, 0), Move(0, 1), Rename(1)]));
}

/// Where the number that a half had is taken, it gets another.
#[test]
fn a_pair_moves_on_and_back_in_every_order() {
    in_every_order(2, || {
        World::settled(
            3,
            &[First(0, 0), Second(1, 0), First(2, 1), Second(3, 1), Move(0, 1), Move(0, 2), Move(0, 0)],
        )
    });
}

#[test]
fn a_pair_goes_in_every_order() {
    in_every_order(2, || {
        World::settled(
            2,
            &[First(0, 0), Second(1, 0), Move(1, 1), Rename(0), Delete(0), First(2, 0), Second(3, 1)],
        )
    });
}

#[test]
fn a_half_comes_and_goes_in_every_order() {
    in_every_order(3, || World::settled(2, &[First(0, 1), Second(1, 0), Move(0, 0), Move(0, 1), Rename(0)]));
}

#[test]
fn a_half_moves_while_nobody_listens_in_every_order() {
    in_every_order(2, || {
        let mut world = World::settled(3, &[First(0, 0), Second(1, 0), Move(0, 1), Move(0, 2)]);
        world.may_overflow = true;
        world
    });
}

#[test]
fn pairs_in_random_orders() {
    in_random_orders(0..2_000, false);
}

#[test]
fn pairs_in_random_orders_with_gaps() {
    in_random_orders(0..2_000, true);
}

#[test]
fn gaps_are_told_of_once_a_second_at_most() {
    let mut world = World::settled(1, &[Learn(0)]);
    let (key, start) = (world.key(0), world.now);
    for _ in 0..1000 {
        world.model.take(Report::Gap(key), start, Timestamp::EPOCH);
    }
    assert_eq!(world.model.gaps, 1000);
    world.model.do_due(start + Duration::from_secs(1));
    assert_eq!((world.model.gaps, world.model.gaps_told_at), (0, start + Duration::from_secs(1)));
    world.model.take(Report::Gap(key), start + Duration::from_secs(1), Timestamp::EPOCH);
    world.model.do_due(start + Duration::from_millis(1900));
    assert_eq!(world.model.gaps, 1, "too soon");
    world.model.do_due(start + Duration::from_secs(2));
    assert_eq!(world.model.gaps, 0);
    assert_eq!(world.model.config.telemetry.netlink_gaps(), 1001, "each is counted");
}

#[test]
fn namespaces_that_fail_one_by_one_are_told_of_once_a_second() {
    let mut world = World::settled(40, &(0..40).map(Learn).collect::<Vec<_>>());
    let start = world.now;
    let keys: Vec<NsKey> = (0..40).map(|space| world.key(space)).collect();
    let mut told = 0;
    for key in keys {
        let error = OpenError::Sockets(std::io::ErrorKind::OutOfMemory.into());
        world.model.take(Report::Failed(key, error), start, Timestamp::EPOCH);
        told += usize::from(world.model.health(start).is_some());
    }
    assert_eq!(told, 1);
    assert!(world.model.next_due() <= start + Duration::from_secs(1), "the rest follows");
    let Some(Missing::This(why)) = world.model.health(start + Duration::from_secs(1)) else {
        panic!("not told")
    };
    assert!(why.starts_with("40 namespaces"), "{why}");
}
