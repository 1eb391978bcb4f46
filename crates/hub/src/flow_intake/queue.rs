//! Flows that wait to be told: bounded in number and in bytes.

use std::collections::VecDeque;
use std::mem;
use std::sync::{Mutex, MutexGuard, PoisonError};

use skydive_flow::Flow;
use skydive_proto::FlowStats;
use tokio::sync::Notify;

/// A bounded queue that many fill and one empties.
#[derive(Debug)]
pub(super) struct Queue {
    waiting: Mutex<Waiting>,
    changed: Notify,
    most: usize,
}

#[derive(Debug, Default)]
struct Waiting {
    flows: VecDeque<(Flow, usize)>,
    /// Bytes that the flows had on the wire.
    bytes: usize,
    stats: Vec<FlowStats>,
}

/// What was taken out.
#[derive(Debug, Default)]
pub(super) struct Taken {
    pub(super) flows: Vec<Flow>,
    pub(super) stats: Vec<FlowStats>,
    /// Flows that still wait.
    pub(super) left: usize,
}

/// What does not fit.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub(super) struct Overflow {
    pub(super) flows: u64,
    pub(super) stats: u64,
}

/// Fewest flows that there is room for, however little was asked for.
const LEAST: usize = 200;
/// Bytes that flows may have had on the wire, so that packets kept with them do not fill the memory.
const BYTES: usize = 256 << 20;
/// Statistics of captures that may wait; they are taken out as soon as they are there.
const STATS: usize = 1000;
/// Bytes of a batch from which no further flow joins it.
const BATCH_BYTES: usize = 256 << 10;

impl Queue {
    pub(super) fn new(most: usize) -> Self {
        Self { waiting: Mutex::default(), changed: Notify::new(), most: most.max(LEAST) }
    }

    /// Puts in what came in a message of `bytes` bytes, as far as there is room.
    pub(super) fn push(&self, flows: Vec<Flow>, stats: Option<FlowStats>, bytes: usize) -> Overflow {
        let mut overflow = Overflow::default();
        let each = bytes / flows.len().max(1);
        {
            let mut waiting = self.locked();
            for flow in flows {
                if waiting.flows.len() >= self.most || waiting.bytes + each > BYTES {
                    overflow.flows += 1;
                } else {
                    waiting.bytes += each;
                    waiting.flows.push_back((flow, each));
                }
            }
            match stats {
                Some(_) if waiting.stats.len() >= STATS => overflow.stats += 1,
                stats => waiting.stats.extend(stats),
            }
        }
        self.changed.notify_one();
        overflow
    }

    /// Takes out flows when there are at least `least`, and then `most` at most; and all statistics.
    pub(super) fn take(&self, least: usize, most: usize) -> Taken {
        let mut waiting = self.locked();
        let Waiting { flows, bytes, stats } = &mut *waiting;
        let mut taken = Taken { stats: mem::take(stats), ..Taken::default() };
        if flows.len() >= least {
            let mut batch_bytes = 0;
            while taken.flows.len() < most && batch_bytes < BATCH_BYTES {
                let Some((flow, each)) = flows.pop_front() else { break };
                batch_bytes += each;
                taken.flows.push(flow);
            }
            *bytes -= batch_bytes;
        }
        taken.left = flows.len();
        taken
    }

    /// Something was put in since the last time. Safe to drop while waiting.
    pub(super) async fn changed(&self) {
        self.changed.notified().await;
    }

    fn locked(&self) -> MutexGuard<'_, Waiting> {
        self.waiting.lock().unwrap_or_else(PoisonError::into_inner)
    }
}
