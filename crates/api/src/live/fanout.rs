//! Batches of events to many followers, each through a bounded queue of its own.
//!
//! A follower that does not keep up loses its subscription and is told how much it missed; it never delays whoever
//! publishes.

use std::cell::LazyCell;
use std::collections::VecDeque;
use std::sync::{Arc, Mutex, PoisonError, Weak};

use skydive_graph::GraphEvent;
use thiserror::Error;
use tokio::sync::Notify;

use crate::weight;

/// Bytes of events that may wait behind the first batch of a subscription: what somebody who does not read keeps alive.
const QUEUE_BYTES: usize = 64 << 20;

/// The followers. When it is dropped, they are told that nothing more comes.
#[derive(Debug, Default)]
pub(crate) struct Fanout {
    queues: Vec<Weak<Queue>>,
}

/// Events from a moment on, in batches.
#[derive(Debug)]
pub struct Subscription {
    queue: Arc<Queue>,
}

/// Marks what one connection causes, so that it is not told of it. Clones are the same mark.
#[derive(Clone, Debug, Default)]
pub(crate) struct Mark(Arc<()>);

/// Why a subscription has ended.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Error)]
pub enum Ended {
    /// The queue was full; the messages in it and those that did not fit are lost.
    #[error("lost {messages} messages")]
    Lost {
        /// How many.
        messages: u64,
    },
    /// The owner has stopped.
    #[error("the graph is no longer served")]
    Stopped,
}

#[derive(Debug)]
struct Queue {
    waiting: Mutex<Waiting>,
    changed: Notify,
    bound: usize,
    /// What is not wanted here.
    mark: Option<Mark>,
}

#[derive(Debug, Default)]
struct Waiting {
    batches: VecDeque<Batch>,
    messages: usize,
    bytes: usize,
    ended: Option<Ended>,
}

#[derive(Debug)]
struct Batch {
    events: Arc<[GraphEvent]>,
    /// What it counts for.
    bytes: usize,
    /// Who caused it.
    by: Option<Mark>,
}

impl PartialEq for Mark {
    fn eq(&self, other: &Self) -> bool {
        Arc::ptr_eq(&self.0, &other.0)
    }
}

impl Fanout {
    /// A new follower, of all but what is marked with `mark`. `bound` is how many messages may wait for it.
    pub(crate) fn subscribe(&mut self, bound: usize, mark: Option<Mark>) -> Subscription {
        self.queues.retain(|queue| queue.strong_count() > 0);
        let queue = Arc::new(Queue { waiting: Mutex::default(), changed: Notify::new(), bound, mark });
        self.queues.push(Arc::downgrade(&queue));
        Subscription { queue }
    }

    /// Gives each follower what there is of a batch for it: all of it to who has no mark, to the others what `chosen` says.
    pub(crate) fn publish_chosen(
        &mut self,
        events: &Arc<[GraphEvent]>,
        chosen: impl Fn(&Mark) -> Arc<[GraphEvent]>,
    ) {
        for queue in self.queues.iter().filter_map(Weak::upgrade) {
            let events = queue.mark.as_ref().map_or_else(|| events.clone(), &chosen);
            if !events.is_empty() {
                // What is lost is counted where the live graph is followed.
                let _ = queue.push(&events, None, || events.iter().map(weight::of_event).sum());
            }
        }
    }

    /// Whether somebody follows who is not to be told of everything.
    pub(crate) fn has_marks(&self) -> bool {
        self.queues.iter().filter_map(Weak::upgrade).any(|queue| queue.mark.is_some())
    }

    /// Whether nobody follows.
    pub(crate) fn is_empty(&self) -> bool {
        self.queues.iter().all(|queue| queue.strong_count() == 0)
    }

    /// Gives a batch to everybody but who caused it; how many messages did not fit.
    pub(crate) fn publish(&mut self, events: &Arc<[GraphEvent]>, by: Option<&Mark>) -> u64 {
        let bytes = LazyCell::new(|| events.iter().map(weight::of_event).sum());
        let mut lost = 0;
        self.queues.retain(|queue| {
            let Some(queue) = queue.upgrade() else { return false };
            if by.is_none() || queue.mark.as_ref() != by {
                lost += queue.push(events, by, || *bytes).err().unwrap_or(0);
            }
            true
        });
        lost
    }
}

/// However it ends, by a defect of its owner too, nobody waits for it for ever.
impl Drop for Fanout {
    fn drop(&mut self) {
        for queue in self.queues.iter().filter_map(Weak::upgrade) {
            queue.end(Ended::Stopped);
        }
    }
}

impl Queue {
    /// Appends a batch; `Err` with the number of messages lost when it does not fit, which ends the subscription. What
    /// comes after that is lost too, and counted until the subscriber has gone.
    fn push(
        &self,
        events: &Arc<[GraphEvent]>,
        by: Option<&Mark>,
        bytes: impl Fn() -> usize,
    ) -> Result<(), u64> {
        let mut waiting = self.waiting.lock().unwrap_or_else(PoisonError::into_inner);
        if let Some(Ended::Lost { messages }) = &mut waiting.ended {
            *messages += events.len() as u64;
            return Err(events.len() as u64);
        }
        let messages = waiting.messages + events.len();
        // A batch larger than the bound still reaches a subscriber that has nothing waiting; nothing is weighed for it.
        let bytes = if waiting.messages > 0 { bytes() } else { 0 };
        if waiting.messages > 0 && (messages > self.bound || waiting.bytes + bytes > QUEUE_BYTES) {
            let lost = messages as u64;
            *waiting = Waiting { ended: Some(Ended::Lost { messages: lost }), ..Waiting::default() };
            drop(waiting);
            self.changed.notify_one();
            return Err(lost);
        }
        waiting.messages = messages;
        waiting.bytes += bytes;
        waiting.batches.push_back(Batch { events: events.clone(), bytes, by: by.cloned() });
        drop(waiting);
        self.changed.notify_one();
        Ok(())
    }

    fn end(&self, why: Ended) {
        self.waiting.lock().unwrap_or_else(PoisonError::into_inner).ended.get_or_insert(why);
        self.changed.notify_one();
    }

    fn pop(&self) -> Option<Result<Batch, Ended>> {
        let mut waiting = self.waiting.lock().unwrap_or_else(PoisonError::into_inner);
        if let Some(batch) = waiting.batches.pop_front() {
            waiting.messages -= batch.events.len();
            waiting.bytes -= batch.bytes;
            return Some(Ok(batch));
        }
        waiting.ended.map(Err)
    }
}

impl Subscription {
    /// Returns when the queue has overflowed, without taking anything from it. Safe to drop while waiting.
    pub async fn overflowed(&self) {
        while !matches!(self.ended(), Some(Ended::Lost { .. })) {
            self.queue.changed.notified().await;
        }
    }

    /// Why there will be no more batches than those that wait, with the count of now; `None` while there may be.
    pub fn ended(&self) -> Option<Ended> {
        self.queue.waiting.lock().unwrap_or_else(PoisonError::into_inner).ended
    }

    /// The next batch, in order and without gaps, or why there will be none. Safe to drop while waiting.
    pub async fn next(&mut self) -> Result<Arc<[GraphEvent]>, Ended> {
        Ok(self.next_with_mark().await?.0)
    }

    /// The same with the mark of who caused it.
    pub(crate) async fn next_with_mark(&mut self) -> Result<(Arc<[GraphEvent]>, Option<Mark>), Ended> {
        loop {
            if let Some(next) = self.queue.pop() {
                return next.map(|batch| (batch.events, batch.by));
            }
            self.queue.changed.notified().await;
        }
    }
}
