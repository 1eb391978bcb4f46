//! All captures of a host, and the threads they are on.

use std::io;
use std::net::SocketAddr;
use std::sync::Arc;
use std::sync::atomic::{AtomicU64, AtomicUsize, Ordering};

use skydive_flow::Flow;
use skydive_sys::Namespaces;
use skydive_value::Clock;
use tokio::sync::{mpsc, oneshot, watch};

use crate::definition::definition;
use crate::enrich::{Enrich, Enriching};
use crate::outbox::FLOW_BATCHES;
use crate::search::{FlowSearch, Found, SearchError};
use crate::source::Source;
use crate::status::{CaptureKey, CaptureState, CaptureStatus};
use crate::worker::{Command, Running, Worker};
use crate::{CaptureConfig, StartError};

/// The threads that captures are on. Clones share them.
///
/// When the last clone and the last [`Capture`] are dropped, all captures end, which waits until their flows are taken:
/// go on receiving them meanwhile, or drop the receiver before.
#[derive(Clone, Debug)]
pub struct Captures(Arc<Threads>);

#[derive(Debug)]
struct Threads {
    workers: Vec<Slot>,
    namespaces: Namespaces,
    enrich: Option<Arc<dyn Enrich>>,
    next_key: AtomicU64,
    /// Captures that run.
    running: AtomicUsize,
}

/// A thread and how many captures it has.
#[derive(Debug)]
struct Slot {
    worker: Worker,
    captures: AtomicUsize,
}

/// A running capture. It stops when this is dropped.
#[derive(Debug)]
pub struct Capture {
    key: CaptureKey,
    listens_at: Option<SocketAddr>,
    /// One for each thread that it is on, with the thread's number.
    parts: Vec<(usize, watch::Receiver<CaptureStatus>)>,
    threads: Arc<Threads>,
}

impl Captures {
    /// Starts threads, and gives the end of the channel that their flows come out of, as updates and when they end.
    /// Flows of this host's packets are shown to `enrich` before anybody else sees them.
    pub fn start(
        threads: usize,
        namespaces: Namespaces,
        clock: Clock,
        enrich: Option<Arc<dyn Enrich>>,
    ) -> io::Result<(Self, mpsc::Receiver<Vec<Flow>>)> {
        let (flows, receiver) = mpsc::channel(FLOW_BATCHES);
        let worker = |number| Worker::start(number, clock.clone(), flows.clone());
        let slot = |worker| Slot { worker, captures: AtomicUsize::new(0) };
        let workers =
            (0..threads.max(1)).map(|number| worker(number).map(slot)).collect::<io::Result<_>>()?;
        let (next_key, running) = (AtomicU64::new(1), AtomicUsize::new(0));
        Ok((Self(Arc::new(Threads { workers, namespaces, enrich, next_key, running })), receiver))
    }

    /// Begins a capture. Blocks for some tens of milliseconds, in which the kernel makes the ring: a task calls it where
    /// blocking is allowed (`spawn_blocking`; elsewhere in a task it panics), several at once wait together.
    pub fn begin(&self, config: &CaptureConfig) -> Result<Capture, StartError> {
        let definition = definition(&config.kind).ok_or_else(|| StartError::Kind(config.kind.clone()))?;
        let mut config = config.checked()?;
        config.threads = config.threads.min(self.0.workers.len());
        let opened = (definition.open)(&config, &self.0.namespaces)?;
        let key = CaptureKey(self.0.next_key.fetch_add(1, Ordering::Relaxed));
        let mut capture =
            Capture { key, listens_at: opened.listens_at, parts: Vec::new(), threads: Arc::clone(&self.0) };
        self.0.tell_running(self.0.running.fetch_add(1, Ordering::Relaxed) + 1);
        for (source, number) in opened.sources.into_iter().zip(self.0.idlest()) {
            let Some(slot) = self.0.workers.get(number) else { continue };
            // What others send was spoken elsewhere.
            let hook = self.0.enrich.clone().filter(|_| matches!(source, Source::Ring(_)));
            let enriching = Enriching { hook, place: config.place.clone() };
            let (running, status) = Running::new(key, source, config.table.clone(), enriching);
            let (reply, begun) = oneshot::channel();
            slot.worker.ask(Command::Begin(Box::new(running), reply)).map_err(|_| StartError::Ended)?;
            slot.captures.fetch_add(1, Ordering::Relaxed);
            // What has begun stops when the capture is dropped.
            capture.parts.push((number, status));
            begun.blocking_recv().map_err(|_| StartError::Ended)?.map_err(StartError::Watch)?;
        }
        Ok(capture)
    }

    /// Searches the tables of all captures, or some.
    pub async fn search(&self, search: FlowSearch) -> Result<Found, SearchError> {
        let mut replies = Vec::with_capacity(self.0.workers.len());
        for slot in &self.0.workers {
            let (reply, found) = oneshot::channel();
            slot.worker.ask(Command::Search(search.clone(), reply))?;
            replies.push(found);
        }
        let mut all = Found::default();
        for reply in replies {
            all.add(reply.await.map_err(|_| SearchError::Busy)?, &search);
        }
        Ok(all)
    }
}

impl Threads {
    fn tell_running(&self, running: usize) {
        if let Some(enrich) = &self.enrich {
            enrich.captures(running);
        }
    }

    /// Numbers of the threads, those with the fewest captures first.
    fn idlest(&self) -> Vec<usize> {
        let mut loads: Vec<_> =
            self.workers.iter().map(|slot| slot.captures.load(Ordering::Relaxed)).zip(0..).collect();
        loads.sort_unstable();
        loads.into_iter().map(|(_, number)| number).collect()
    }
}

impl Capture {
    /// Its name.
    pub fn key(&self) -> CaptureKey {
        self.key
    }

    /// Where it takes packets from others.
    pub fn listens_at(&self) -> Option<SocketAddr> {
        self.listens_at
    }

    /// How it is doing. Read once a second from the kernel; the last status after its end is exact.
    pub fn status(&self) -> CaptureStatus {
        let none = CaptureStatus { state: CaptureState::Stopped, ..CaptureStatus::default() };
        self.parts.iter().fold(none, |mut all, (_, part)| {
            all.add(&part.borrow());
            all
        })
    }

    /// Begins its end; its status says when all was counted and told of.
    pub fn stop(&self) {
        for (number, _) in &self.parts {
            // A thread that has too much to do sees that the capture was dropped, a second later.
            let _ = self.threads.workers.get(*number).map(|slot| slot.worker.ask(Command::Stop(self.key)));
        }
    }

    /// Waits until it has ended, by itself or because it was told to, and gives the last status.
    pub async fn ended(&mut self) -> CaptureStatus {
        for (_, part) in &mut self.parts {
            // A thread that ended without a word has no more to say.
            let _ = part.wait_for(|status| status.state.has_ended()).await;
        }
        self.status()
    }

    /// Waits until the status is another than when it was looked at last; at most about a second.
    pub async fn changed(&mut self) {
        if let Some((_, part)) = self.parts.first_mut() {
            let _ = part.changed().await;
        }
    }
}

impl Drop for Capture {
    fn drop(&mut self) {
        self.stop();
        self.threads.tell_running(self.threads.running.fetch_sub(1, Ordering::Relaxed) - 1);
        for (number, _) in &self.parts {
            if let Some(slot) = self.threads.workers.get(*number) {
                slot.captures.fetch_sub(1, Ordering::Relaxed);
            }
        }
    }
}
