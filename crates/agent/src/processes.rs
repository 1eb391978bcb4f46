//! Who speaks: an index of the host's sockets and their processes, asked for each flow that leaves a table.
//!
//! Two threads keep the index ([`index`]) while captures run. One ([`tracer`]) hears of TCP in the moment a process
//! connects or closes, and of UDP when it begins to send, so that what is there for a millisecond has a name; it knows what
//! a process is mostly without a look at it ([`pids`]). The other ([`watcher`]) lists sockets: those of UDP, and of TCP where
//! the kernel refuses the trace, every second and soon after flows began. Looking costs no more than a hundredth of a
//! processor, whatever there is to see: the next look waits for a hundred times as long as the last one took. What was seen
//! is kept for longer than its flows are told of.

mod index;
mod owners;
mod pids;
mod tracer;
mod watcher;

#[cfg(test)]
mod tests;

use std::collections::BTreeMap;
use std::io;
use std::os::fd::{AsFd, BorrowedFd, OwnedFd};
use std::sync::atomic::{AtomicBool, AtomicUsize, Ordering};
use std::sync::{Arc, Condvar, Mutex, MutexGuard, PoisonError};
use std::thread::{Builder, JoinHandle};
use std::time::Duration;

use rustix::event::{EventfdFlags, PollFd, PollFlags, Timespec, eventfd, poll};
use skydive_capture::Enrich;
use skydive_flow::Flow;
use skydive_probes::{NsKey, NsNode};
use skydive_sys::{Namespaces, NsRef};
use skydive_value::Clock;
use tokio::sync::watch;

use self::index::Index;
use self::tracer::Tracer;
use self::watcher::Watcher;

/// Knows the processes of flows. Ends its threads when it is dropped.
#[derive(Debug)]
pub(crate) struct Processes {
    shared: Arc<Shared>,
    threads: Vec<JoinHandle<()>>,
}

/// The namespaces that can be entered.
type Places = watch::Receiver<Arc<BTreeMap<NsKey, NsNode>>>;

/// What the threads of captures and those that look share.
#[derive(Debug)]
struct Shared {
    /// Locked for single looks and a few changes at a time.
    index: Mutex<Index>,
    captures: AtomicUsize,
    /// Whether flows began since the last look.
    has_new_flows: AtomicBool,
    /// Whether changes of TCP are told, whether datagrams are, and whether some changes were lost.
    is_traced: AtomicBool,
    are_sends_traced: AtomicBool,
    has_lost: AtomicBool,
    is_ending: AtomicBool,
    tracer: Wake,
    watcher: Wake,
    ready: Mutex<Ready>,
    became_ready: Condvar,
}

/// What captures wait for when the first begins.
#[derive(Debug, Default)]
struct Ready {
    /// TCP is traced, or cannot be.
    trace: bool,
    /// All sockets were listed once.
    look: bool,
}

/// Wakes a thread.
#[derive(Debug)]
struct Wake(OwnedFd);

/// How long the beginning of a capture waits for the first look.
const FIRST_LOOK: Duration = Duration::from_millis(500);

impl Processes {
    /// Starts the threads, which look while captures run: here, and in the namespaces that are known.
    pub(crate) fn start(namespaces: Namespaces, places: Places, clock: Clock) -> io::Result<Self> {
        let shared = Arc::new(Shared {
            index: Mutex::default(),
            captures: AtomicUsize::new(0),
            has_new_flows: AtomicBool::new(false),
            is_traced: AtomicBool::new(false),
            are_sends_traced: AtomicBool::new(false),
            has_lost: AtomicBool::new(false),
            is_ending: AtomicBool::new(false),
            tracer: Wake::new()?,
            watcher: Wake::new()?,
            ready: Mutex::default(),
            became_ready: Condvar::new(),
        });
        let mut processes = Self { shared: Arc::clone(&shared), threads: Vec::new() };
        let tracer = Tracer::new(Arc::clone(&shared), clock.clone());
        let watcher = Watcher::new(shared, namespaces, places, clock);
        let thread = |name: &str| Builder::new().name(name.into()).stack_size(512 << 10);
        processes.threads.push(thread("sky-connects").spawn(move || tracer.run())?);
        processes.threads.push(thread("sky-processes").spawn(move || watcher.run())?);
        Ok(processes)
    }
}

impl Enrich for Processes {
    fn enrich(&self, place: &NsRef, flow: &mut Flow) {
        flow.process = self.shared.index().processes(place, flow);
    }

    fn flows_began(&self) {
        if !self.shared.has_new_flows.swap(true, Ordering::AcqRel) {
            self.shared.watcher.wake();
        }
        // What processes do is told of in pieces unless somebody asks.
        self.shared.tracer.wake();
    }

    fn captures(&self, running: usize) {
        let before = self.shared.captures.swap(running, Ordering::AcqRel);
        if (before == 0) != (running == 0) {
            self.shared.tracer.wake();
            self.shared.watcher.wake();
        }
        if running > 0 {
            // Flows of what is not known in time have no process.
            self.shared.await_ready(|ready| ready.trace && ready.look);
        }
    }
}

impl Drop for Processes {
    fn drop(&mut self) {
        self.shared.is_ending.store(true, Ordering::Release);
        self.shared.tracer.wake();
        self.shared.watcher.wake();
        for thread in self.threads.drain(..) {
            let _ = thread.join();
        }
    }
}

impl Shared {
    fn index(&self) -> MutexGuard<'_, Index> {
        self.index.lock().unwrap_or_else(PoisonError::into_inner)
    }

    fn has_captures(&self) -> bool {
        self.captures.load(Ordering::Acquire) > 0
    }

    fn is_ending(&self) -> bool {
        self.is_ending.load(Ordering::Acquire)
    }

    fn set_ready(&self, set: impl FnOnce(&mut Ready)) {
        set(&mut self.ready.lock().unwrap_or_else(PoisonError::into_inner));
        self.became_ready.notify_all();
    }

    /// Waits until it is so, but not for long.
    fn await_ready(&self, wanted: impl Fn(&Ready) -> bool) {
        let ready = self.ready.lock().unwrap_or_else(PoisonError::into_inner);
        let _ = self.became_ready.wait_timeout_while(ready, FIRST_LOOK, |ready| !wanted(ready));
    }
}

impl Wake {
    fn new() -> io::Result<Self> {
        Ok(Self(eventfd(0, EventfdFlags::CLOEXEC | EventfdFlags::NONBLOCK)?))
    }

    fn wake(&self) {
        // It can only be refused when it is as high as it can be, and that wakes as well.
        let _ = rustix::io::write(&self.0, &1u64.to_ne_bytes());
    }

    /// Waits until it is woken, or time is over.
    fn wait(&self, most: Option<Duration>) {
        self.poll(most, &[]);
    }

    /// Waits until it is woken, one of these is readable, or time is over. Says whether it was woken.
    fn has_woken(&self, most: Duration, others: &[Option<BorrowedFd<'_>>]) -> bool {
        self.poll(Some(most), others)
    }

    fn poll(&self, most: Option<Duration>, others: &[Option<BorrowedFd<'_>>]) -> bool {
        let timeout =
            most.map(|most| Timespec { tv_sec: most.as_secs() as i64, tv_nsec: most.subsec_nanos().into() });
        let all = std::iter::once(self.0.as_fd()).chain(others.iter().flatten().copied());
        let mut fds: Vec<_> = all.map(|fd| PollFd::from_borrowed_fd(fd, PollFlags::IN)).collect();
        // Interrupted is as good as woken.
        let _ = poll(&mut fds, timeout.as_ref());
        let is_woken = !fds[0].revents().is_empty();
        if is_woken {
            // Waits again.
            let _ = rustix::io::read(&self.0, &mut [0u8; 8]);
        }
        is_woken
    }
}
