//! A thread of captures: it waits for all sources at once, and owns their tables.
//!
//! A turn reads what is ready, takes commands, looks at a slice of flows for a search or lets a slice of time pass, and
//! sends flows out. None of it waits for anybody, so that packets wait for no longer than a few milliseconds.

use std::collections::VecDeque;
use std::io;
use std::os::fd::OwnedFd;
use std::sync::Arc;
use std::thread::{Builder, JoinHandle};
use std::time::Duration;

use rustix::event::epoll::{self, EventData, EventFlags};
use rustix::event::{EventfdFlags, Timespec, eventfd};
use skydive_flow::Flow;
use skydive_value::Clock;
use tokio::sync::{mpsc, oneshot};

pub(crate) use self::running::Running;
use crate::outbox::Outbox;
use crate::search::{FlowSearch, Found, Next, Searching};
use crate::source::{Ready, Watch};
use crate::{CaptureKey, SearchError};
use waiting::Waiting;

mod running;
mod waiting;

/// A running thread. Dropping it ends all captures on it, and waits until their flows are taken.
#[derive(Debug)]
pub(crate) struct Worker {
    commands: Option<mpsc::Sender<Command>>,
    wake: Arc<OwnedFd>,
    thread: Option<JoinHandle<()>>,
}

/// What a thread is asked to do.
pub(crate) enum Command {
    /// Begins a capture, and says whether it could.
    Begin(Box<Running>, oneshot::Sender<io::Result<()>>),
    /// Ends a capture: what came is counted, and all flows are told of.
    Stop(CaptureKey),
    /// Searches the tables.
    Search(FlowSearch, oneshot::Sender<Found>),
}

/// Commands that wait.
const COMMANDS: usize = 1024;
/// Searches that wait for the one under way; more are refused.
const SEARCHES: usize = 256;
/// How often sources are looked after and time passes in tables; nanoseconds.
const SECOND: i64 = 1_000_000_000;
/// How often a source that drains is looked at; nanoseconds.
const DRAIN: i64 = 20_000_000;
const WAKE: u64 = u64::MAX;

impl Worker {
    /// Starts a thread that sends flows to `flows`.
    pub(crate) fn start(number: usize, clock: Clock, flows: mpsc::Sender<Vec<Flow>>) -> io::Result<Self> {
        let (commands, queue) = mpsc::channel(COMMANDS);
        let wake = Arc::new(eventfd(0, EventfdFlags::CLOEXEC | EventfdFlags::NONBLOCK)?);
        let epoll = epoll::create(epoll::CreateFlags::CLOEXEC)?;
        epoll::add(&epoll, &*wake, EventData::new_u64(WAKE), EventFlags::IN)?;
        let work = Work {
            clock,
            queue,
            wake: Arc::clone(&wake),
            epoll,
            slots: Vec::new(),
            outbox: Outbox::new(flows),
            searching: None,
            searches: VecDeque::new(),
            ending: Vec::new(),
            next_look: 0,
            has_more_time: false,
            is_closing: false,
        };
        let thread = Builder::new().name(format!("sky-capture-{number}")).spawn(move || work.run())?;
        Ok(Self { commands: Some(commands), wake, thread: Some(thread) })
    }

    /// Gives the thread something to do; the command is lost when it has too much to do, or has ended.
    pub(crate) fn ask(&self, command: Command) -> Result<(), SearchError> {
        let commands = self.commands.as_ref().ok_or(SearchError::Ended)?;
        commands.try_send(command).map_err(|error| match error {
            mpsc::error::TrySendError::Full(_) => SearchError::Busy,
            mpsc::error::TrySendError::Closed(_) => SearchError::Ended,
        })?;
        self.wake();
        Ok(())
    }

    fn wake(&self) {
        // It can only be refused when it is as high as it can be, and that wakes as well.
        let _ = rustix::io::write(&*self.wake, &1u64.to_ne_bytes());
    }
}

impl Drop for Worker {
    fn drop(&mut self) {
        self.commands = None;
        self.wake();
        if let Some(thread) = self.thread.take() {
            let _ = thread.join();
        }
    }
}

/// What the thread owns.
struct Work {
    clock: Clock,
    queue: mpsc::Receiver<Command>,
    wake: Arc<OwnedFd>,
    epoll: OwnedFd,
    /// Captures, each at the number that its events carry.
    slots: Vec<Option<Box<Running>>>,
    outbox: Outbox,
    searching: Option<Searching>,
    searches: VecDeque<Waiting>,
    /// Threads that tell of the flows of captures that have ended.
    ending: Vec<JoinHandle<()>>,
    /// When sources are looked after next; nanoseconds since the epoch.
    next_look: i64,
    /// Whether a table has flows left to look at.
    has_more_time: bool,
    /// Whether it ends when all captures have.
    is_closing: bool,
}

impl Work {
    fn run(mut self) {
        let mut ready = Vec::with_capacity(256);
        loop {
            ready.clear();
            let timeout = self.timeout();
            match epoll::wait(&self.epoll, rustix::buffer::spare_capacity(&mut ready), Some(&timeout)) {
                Ok(_) | Err(rustix::io::Errno::INTR) => {}
                Err(_) => break,
            }
            let now = self.now();
            for event in &ready {
                match event.data.u64() {
                    WAKE => self.commands(now),
                    token => self.read(token, event.flags, now),
                }
            }
            if now >= self.next_look || now < self.next_look - 2 * SECOND {
                self.next_look = now + SECOND;
                self.look();
            }
            self.drain(now);
            self.play(now);
            self.look_at_flows(now);
            self.outbox.flush();
            if self.is_closing && self.slots.iter().all(Option::is_none) {
                break;
            }
        }
        self.outbox.flush_waiting();
        for thread in self.ending {
            let _ = thread.join();
        }
    }

    fn now(&self) -> i64 {
        self.clock.now().as_millis().saturating_mul(1_000_000)
    }

    /// How long it may sleep.
    fn timeout(&self) -> Timespec {
        let now = self.now();
        let mut until = self.next_look.min(now + SECOND);
        let is_waiting = self.searching.is_some() || (self.has_more_time && self.outbox.has_room());
        if is_waiting {
            until = now;
        }
        if let Some(waiting) = self.searches.front() {
            until = until.min(waiting.due(&self.slots, now));
        }
        for running in self.slots.iter().flatten() {
            if running.is_draining() {
                until = until.min(now + DRAIN);
            }
            until = until.min(running.due().unwrap_or(until));
        }
        if self.outbox.len() > 0 || self.has_more_time {
            until = until.min(now + DRAIN);
        }
        let wait = Duration::from_nanos(until.saturating_sub(now).max(0).unsigned_abs());
        Timespec { tv_sec: wait.as_secs() as i64, tv_nsec: wait.subsec_nanos().into() }
    }

    fn read(&mut self, token: u64, flags: EventFlags, now: i64) {
        let (slot, part) = (token as u32, (token >> 32) as u32);
        let Self { slots, epoll, outbox, .. } = self;
        if let Some(Some(running)) = slots.get_mut(slot as usize) {
            running.read(Ready { part, flags }, now, &Watch { epoll, slot }, outbox);
        }
    }

    fn commands(&mut self, now: i64) {
        let _ = rustix::io::read(&*self.wake, &mut [0u8; 8]);
        loop {
            match self.queue.try_recv() {
                Ok(Command::Begin(running, reply)) => {
                    let _ = reply.send(self.begin(running));
                }
                Ok(Command::Stop(key)) => self.stop(|running| running.key() == key),
                // Who asked learns it by the reply that is dropped.
                Ok(Command::Search(..)) if self.searches.len() >= SEARCHES => {}
                Ok(Command::Search(search, reply)) => {
                    let searching = Searching::new(search.clone(), reply);
                    self.searches.push_back(Waiting::new(&search, searching, &mut self.slots, now));
                }
                Err(mpsc::error::TryRecvError::Empty) => return,
                Err(mpsc::error::TryRecvError::Disconnected) => {
                    self.is_closing = true;
                    self.stop(|_| true);
                    return;
                }
            }
        }
    }

    fn begin(&mut self, mut running: Box<Running>) -> io::Result<()> {
        let slot = self.slots.iter().position(Option::is_none).unwrap_or(self.slots.len());
        running.begin(&Watch { epoll: &self.epoll, slot: slot as u32 })?;
        match self.slots.get_mut(slot) {
            Some(free) => *free = Some(running),
            None => self.slots.push(Some(running)),
        }
        Ok(())
    }

    fn stop(&mut self, which: impl Fn(&Running) -> bool) {
        let now = self.now();
        for (running, slot) in self.slots.iter_mut().zip(0..) {
            if let Some(running) = running.as_mut().filter(|running| which(running)) {
                running.stop(now, &Watch { epoll: &self.epoll, slot });
            }
        }
    }

    /// Looks after all sources.
    fn look(&mut self) {
        for running in self.slots.iter_mut().flatten() {
            running.look();
        }
        self.ending.retain(|thread| !thread.is_finished());
    }

    /// Sends captures that have ended, and of which nothing waits to be counted, to a thread of their own: telling of
    /// all flows waits for who takes them, and closing a ring waits for the kernel.
    fn drain(&mut self, now: i64) {
        for (place, slot) in self.slots.iter_mut().zip(0..) {
            let watch = Watch { epoll: &self.epoll, slot };
            let Some(running) = place else { continue };
            if !running.drain(now, &watch, &mut self.outbox) {
                continue;
            }
            let Some(mut running) = place.take() else { continue };
            // The next capture in the place must not be searched from the middle.
            if let Some(searching) = &mut self.searching {
                searching.skip(slot as usize);
            }
            let outbox = self.outbox.another();
            running.leave(&watch);
            let thread = Builder::new().name("sky-capture-end".into()).stack_size(256 << 10);
            // Without a thread its flows are not told of, which its status says.
            self.ending.extend(thread.spawn(move || running.end(outbox)));
        }
    }

    fn play(&mut self, now: i64) {
        let Self { slots, epoll, outbox, .. } = self;
        for (running, slot) in slots.iter_mut().zip(0..) {
            if let Some(running) =
                running.as_mut().filter(|running| running.due().is_some_and(|due| due <= now))
            {
                running.play(now, &Watch { epoll, slot }, outbox);
            }
        }
    }

    /// A slice of the search under way, or of what is due in the tables: flows stay in their places while they are
    /// searched. Between two searches time passes.
    fn look_at_flows(&mut self, now: i64) {
        if let Some(searching) = self.searching.take() {
            let slots = &self.slots;
            self.searching = searching.step(|at| match slots.get(at) {
                None => Next::End,
                Some(None) => Next::Nothing,
                Some(Some(running)) => Next::Table(running.key(), running.table(), running.enriching()),
            });
            return;
        }
        self.has_more_time = false;
        for running in self.slots.iter_mut().flatten() {
            if self.outbox.has_room() {
                self.has_more_time |= running.advance(now, &mut self.outbox);
            } else {
                self.has_more_time = true;
            }
        }
        let slots = &self.slots;
        let next = self.searches.pop_front_if(|waiting| waiting.due(slots, now) <= now);
        self.searching = next.map(Waiting::begin);
    }
}
