//! The thread that reads netlink for all namespaces.
//!
//! It owns the sockets of every watched namespace, waits on all of them at once, and reports facts through one
//! bounded channel. A thread and not a task, because a question to the kernel takes the kernel's own lock and may
//! wait for it as long as somebody else needs; and one thread, because reading a namespace takes well under a
//! millisecond. When nobody takes the reports it waits: the kernel then drops events, says so, and the report of the
//! gap makes the receiver ask for everything again. Nothing is lost silently.

mod watched;

use std::collections::HashMap;
use std::io;
use std::os::fd::{AsFd, AsRawFd, OwnedFd};
use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};
use std::thread::{Builder, JoinHandle};

use rustix::event::{EventfdFlags, epoll, eventfd};
use thiserror::Error;
use tokio::sync::mpsc;
use watched::Watched;

use crate::ethtool::{self, DeviceFacts, Ethtool, FeatureNames};
use crate::limits::keep_reserve;
use crate::namespace::{EnterError, Namespaces, NsId, NsRef};
use crate::netlink::{
    AddrFacts, Event, GENERIC, LinkFacts, LinkStats, Message, NeighFacts, NetlinkError, Received, RouteFacts,
    Scratch, open_events, open_requests, parse_messages, receive,
};

/// Name a caller gives to a namespace it has watched; never used twice.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub struct NsKey(pub u32);

/// What to read of a namespace.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Hash)]
pub struct Parts(u8);

impl Parts {
    /// Interfaces.
    pub const LINKS: Self = Self(1);
    /// Addresses.
    pub const ADDRS: Self = Self(2);
    /// Routes.
    pub const ROUTES: Self = Self(4);
    /// Neighbours.
    pub const NEIGHS: Self = Self(8);
    /// Forwarding databases.
    pub const FDB: Self = Self(16);
    /// What drivers tell. Read together with interfaces.
    pub const DEVICES: Self = Self(32);
    /// Everything.
    pub const ALL: Self = Self(63);

    /// Both.
    #[must_use]
    pub const fn union(self, other: Self) -> Self {
        Self(self.0 | other.0)
    }

    /// Whether all of `other` is in this.
    pub const fn contains(self, other: Self) -> bool {
        self.0 & other.0 == other.0
    }

    /// Whether there is nothing in it.
    pub const fn is_empty(self) -> bool {
        self.0 == 0
    }
}

/// What the thread is asked to do.
#[derive(Clone, Debug)]
pub enum Command {
    /// Opens sockets in a namespace, reads all of it, and reports its events from then on.
    Watch(NsKey, NsRef),
    /// Closes the sockets of a namespace, which may be what kept it alive.
    Unwatch(NsKey),
    /// Reads parts of a namespace again.
    Read(NsKey, Parts),
    /// Reads one interface with its virtual functions, and what its driver tells.
    ReadLink(NsKey, u32),
    /// Reads the counters of all interfaces of these namespaces, which are reported together.
    ReadStats(Vec<NsKey>),
    /// Tells the id that the second namespace has in the first.
    NetnsId(NsKey, NsKey),
}

/// What the thread tells.
#[derive(Debug)]
pub enum Report {
    /// A namespace is watched; a [`Report::Facts`] of all its parts follows.
    Opened(NsKey, NsId),
    /// A namespace cannot be watched.
    Failed(NsKey, OpenError),
    /// What was read. Events that come later are newer, or tell of a change that is in it already.
    Facts(NsKey, Box<Facts>),
    /// One interface, `None` when there is none of that number.
    Link(NsKey, u32, Option<Box<(LinkFacts, DeviceFacts)>>),
    /// Counters, by namespace and interface.
    Stats(Vec<(NsKey, Vec<(u32, LinkStats)>)>),
    /// Changes, in order.
    Events(NsKey, Vec<Event>),
    /// Changes were lost: what is known of the namespace may be wrong until it is read again.
    Gap(NsKey),
    /// The id of the second namespace in the first, if it has one there.
    NetnsId(NsKey, NsKey, Option<i32>),
}

/// Parts of a namespace as they were read: those not asked for, or refused, are absent.
#[derive(Debug, Default)]
pub struct Facts {
    /// Interfaces.
    pub links: Option<Vec<LinkFacts>>,
    /// What drivers tell, in order of the interfaces' numbers.
    pub devices: Option<Vec<DeviceFacts>>,
    /// Names of the bits in [`DeviceFacts::features`].
    pub feature_names: FeatureNames,
    /// Addresses.
    pub addrs: Option<Vec<AddrFacts>>,
    /// Routes.
    pub routes: Option<Vec<RouteFacts>>,
    /// Neighbours.
    pub neighs: Option<Vec<NeighFacts>>,
    /// Entries of forwarding databases.
    pub fdb: Option<Vec<NeighFacts>>,
    /// What was refused.
    pub refused: Vec<(Parts, NetlinkError)>,
}

/// Why a namespace cannot be watched.
#[derive(Debug, Error)]
pub enum OpenError {
    /// It cannot be entered.
    #[error(transparent)]
    Enter(#[from] EnterError),
    /// The sockets cannot be opened; too many open files, most often.
    #[error("netlink sockets")]
    Sockets(#[source] io::Error),
}

/// Counters of the thread, read by anybody.
#[derive(Debug, Default)]
pub struct ReaderCounters {
    /// Attributes and messages that were cut short.
    pub malformed: AtomicU64,
    /// Gaps reported.
    pub gaps: AtomicU64,
    /// Dumps made.
    pub dumps: AtomicU64,
    /// Datagrams of events read.
    pub datagrams: AtomicU64,
}

/// The running thread. It ends when this is dropped, and is waited for: drop the receiver of its reports before, or
/// it may wait for room there.
#[derive(Debug)]
pub struct Reader {
    commands: Option<mpsc::Sender<Command>>,
    wake: Arc<OwnedFd>,
    counters: Arc<ReaderCounters>,
    thread: Option<JoinHandle<()>>,
}

/// The thread ended, or takes no more commands just now.
#[derive(Debug)]
pub enum Refused {
    /// Too many wait already; here is the command back.
    Full(Command),
    /// The thread ended.
    Ended,
}

/// Commands that wait. Whoever has more keeps them until there is room.
const COMMANDS: usize = 1024;

impl Reader {
    /// Starts the thread, which opens its sockets through `namespaces` and reports to `reports`.
    pub fn start(namespaces: Namespaces, reports: mpsc::Sender<Report>) -> io::Result<Self> {
        let (commands, queue) = mpsc::channel(COMMANDS);
        let wake = Arc::new(eventfd(0, EventfdFlags::CLOEXEC | EventfdFlags::NONBLOCK)?);
        let counters = Arc::new(ReaderCounters::default());
        let epoll = epoll::create(epoll::CreateFlags::CLOEXEC)?;
        epoll::add(&epoll, &*wake, epoll::EventData::new_u64(WAKE), epoll::EventFlags::IN)?;
        let work = Work {
            namespaces,
            reports,
            queue,
            epoll,
            wake: Arc::clone(&wake),
            counters: Arc::clone(&counters),
            watched: HashMap::new(),
            ethtool: None,
            scratch: Scratch::new(),
            events: vec![0; EVENT_DATAGRAM],
        };
        let thread =
            Builder::new().name("sky-netlink".into()).stack_size(512 << 10).spawn(move || work.run())?;
        Ok(Self { commands: Some(commands), wake, counters, thread: Some(thread) })
    }

    /// Hands over a command.
    pub fn send(&self, command: Command) -> Result<(), Refused> {
        let Some(commands) = &self.commands else { return Err(Refused::Ended) };
        commands.try_send(command).map_err(|e| match e {
            mpsc::error::TrySendError::Full(command) => Refused::Full(command),
            mpsc::error::TrySendError::Closed(_) => Refused::Ended,
        })?;
        self.ring();
        Ok(())
    }

    /// Waits until there is room for a command, or the thread has ended.
    pub async fn room(&self) {
        if let Some(commands) = &self.commands {
            drop(commands.reserve().await);
        }
    }

    /// Counters of the thread.
    pub fn counters(&self) -> &ReaderCounters {
        &self.counters
    }

    fn ring(&self) {
        // Full would mean that it has been rung 2^64 times without being heard.
        let _ = rustix::io::write(&*self.wake, &1u64.to_ne_bytes());
    }
}

impl Drop for Reader {
    fn drop(&mut self) {
        self.commands = None;
        self.ring();
        if let Some(thread) = self.thread.take() {
            let _ = thread.join();
        }
    }
}

/// Epoll key of the descriptor that announces commands; namespaces have smaller ones.
const WAKE: u64 = u64::MAX;

/// Larger than any notification: those of links with many virtual functions leave the functions out.
const EVENT_DATAGRAM: usize = 32 << 10;

/// Datagrams read of one namespace before others have their turn.
const TURN: usize = 64;

struct Work {
    namespaces: Namespaces,
    reports: mpsc::Sender<Report>,
    queue: mpsc::Receiver<Command>,
    epoll: OwnedFd,
    wake: Arc<OwnedFd>,
    counters: Arc<ReaderCounters>,
    watched: HashMap<NsKey, Watched>,
    ethtool: Option<Ethtool>,
    scratch: Scratch,
    events: Vec<u8>,
}

/// Nobody takes reports any more.
struct Closed;

impl Work {
    fn run(mut self) {
        let mut ready = Vec::with_capacity(256);
        loop {
            ready.clear();
            match epoll::wait(&self.epoll, rustix::buffer::spare_capacity(&mut ready), None) {
                Ok(_) | Err(rustix::io::Errno::INTR) => {}
                Err(_) => return,
            }
            for event in &ready {
                let done = match event.data.u64() {
                    WAKE => self.commands(),
                    key => self.read_events(NsKey(key as u32)),
                };
                if done.is_err() {
                    return;
                }
            }
            self.counters.malformed.store(self.scratch.tally.malformed(), Ordering::Relaxed);
        }
    }

    fn report(&self, report: Report) -> Result<(), Closed> {
        self.reports.blocking_send(report).map_err(|_| Closed)
    }

    fn commands(&mut self) -> Result<(), Closed> {
        let _ = rustix::io::read(&*self.wake, &mut [0u8; 8]);
        loop {
            match self.queue.try_recv() {
                Ok(command) => self.execute(command)?,
                Err(mpsc::error::TryRecvError::Empty) => return Ok(()),
                Err(mpsc::error::TryRecvError::Disconnected) => return Err(Closed),
            }
        }
    }

    fn execute(&mut self, command: Command) -> Result<(), Closed> {
        match command {
            Command::Watch(key, place) => match self.open(key, &place) {
                Ok(id) => {
                    self.report(Report::Opened(key, id))?;
                    self.read(key, Parts::ALL)
                }
                Err(error) => self.report(Report::Failed(key, error)),
            },
            Command::Unwatch(key) => {
                if let Some(watched) = self.watched.remove(&key) {
                    let _ = epoll::delete(&self.epoll, &watched.events);
                }
                Ok(())
            }
            Command::Read(key, parts) => self.read(key, parts),
            Command::ReadLink(key, index) => self.read_link(key, index),
            Command::ReadStats(keys) => {
                let mut all = Vec::with_capacity(keys.len());
                for key in keys {
                    if let Some(watched) = self.watched.get_mut(&key) {
                        all.extend(watched.stats(&mut self.scratch).map(|stats| (key, stats)));
                    }
                }
                self.report(Report::Stats(all))
            }
            Command::NetnsId(here, of) => {
                let id = self.netns_id(here, of);
                self.report(Report::NetnsId(here, of, id))
            }
        }
    }

    fn open(&mut self, key: NsKey, place: &NsRef) -> Result<NsId, OpenError> {
        let (id, sockets) = self.namespaces.enter(place, || -> io::Result<Watched> {
            let watched = Watched {
                events: open_events()?,
                draining: false,
                route: open_requests(None)?,
                generic: open_requests(GENERIC)?,
                file: std::fs::File::open("/proc/thread-self/ns/net")?.into(),
            };
            keep_reserve(&watched.file)?;
            Ok(watched)
        })?;
        let mut sockets = sockets.map_err(OpenError::Sockets)?;
        if self.ethtool.is_none() {
            // Absent before Linux 5.6 or when left out of the kernel: devices then have no features and no speed.
            self.ethtool = Ethtool::resolve(&mut sockets.generic, &mut self.scratch).ok();
        }
        let data = epoll::EventData::new_u64(u64::from(key.0));
        epoll::add(&self.epoll, &sockets.events, data, epoll::EventFlags::IN)
            .map_err(|e| OpenError::Sockets(e.into()))?;
        self.watched.insert(key, sockets);
        Ok(id)
    }

    fn read(&mut self, key: NsKey, parts: Parts) -> Result<(), Closed> {
        let Some(watched) = self.watched.get_mut(&key) else { return Ok(()) };
        self.counters.dumps.fetch_add(1, Ordering::Relaxed);
        let facts = watched.read(parts, self.ethtool.as_ref(), &mut self.scratch);
        self.report(Report::Facts(key, Box::new(facts)))
    }

    fn read_link(&mut self, key: NsKey, index: u32) -> Result<(), Closed> {
        let Some(watched) = self.watched.get_mut(&key) else { return Ok(()) };
        let link = watched.link(index, &mut self.scratch);
        let found = link.map(|link| {
            let mut device = [DeviceFacts { index, ..DeviceFacts::default() }];
            if let Some(ethtool) = &self.ethtool {
                let _ = ethtool.read(&mut watched.generic, &mut self.scratch, Some(index), &mut device);
            }
            let [mut device] = device;
            ethtool::read_driver(&watched.generic, &mut device);
            Box::new((link, device))
        });
        self.report(Report::Link(key, index, found))
    }

    fn netns_id(&mut self, here: NsKey, of: NsKey) -> Option<i32> {
        let fd = self.watched.get(&of)?.file.as_raw_fd() as u32;
        self.watched.get_mut(&here)?.netns_id(fd, &mut self.scratch)
    }

    fn read_events(&mut self, key: NsKey) -> Result<(), Closed> {
        let mut events = Vec::new();
        for _ in 0..TURN {
            let Some(watched) = self.watched.get_mut(&key) else { return Ok(()) };
            match receive(watched.events.as_fd(), &mut self.events) {
                // After a loss the kernel goes on dropping events, without another word, until the socket is empty:
                // what is in it is thrown away, and only then is a new reading complete.
                Ok(Received::Bytes(_)) if watched.draining => {}
                Ok(Received::Bytes(len)) => {
                    self.counters.datagrams.fetch_add(1, Ordering::Relaxed);
                    let bytes = self.events.get(..len).unwrap_or_default();
                    let mut overrun = false;
                    parse_messages(bytes, &self.scratch.tally, &mut |message| match message {
                        Message::Event(event) => events.push(event),
                        Message::Overrun => overrun = true,
                        _ => {}
                    });
                    watched.draining |= overrun;
                }
                Ok(Received::Nothing) => {
                    if !std::mem::take(&mut watched.draining) {
                        break;
                    }
                    self.counters.gaps.fetch_add(1, Ordering::Relaxed);
                    if !events.is_empty() {
                        self.report(Report::Events(key, events))?;
                    }
                    return self.report(Report::Gap(key));
                }
                Ok(Received::Overrun) | Err(_) => watched.draining = true,
            }
        }
        if events.is_empty() { Ok(()) } else { self.report(Report::Events(key, events)) }
    }
}
