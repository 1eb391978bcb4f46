//! Flows of agents: taken in as datagrams and by WebSocket, put together in batches, told to subscribers.
//!
//! Whoever receives decodes, and puts flows into one bounded queue without ever waiting; one task takes them out. What a
//! stranger sends costs no more than the datagram that carried it: sizes and counts are limited, nonsense is counted,
//! and nothing of it ends a receiver.

mod datagrams;
mod lost;
mod queue;
mod telemetry;

use std::sync::{Arc, Mutex, PoisonError};
use std::time::Duration;

use skydive_api::{FLOW_MESSAGE_MAX, FlowLink, FlowNews};
use skydive_proto::{FlowLimits, FlowMessage, reason};
use tokio::time::{Instant, sleep_until};
use tokio_util::sync::CancellationToken;

pub(crate) use self::datagrams::Datagrams;
use self::lost::Lost;
use self::queue::Queue;
pub(crate) use self::telemetry::FlowTelemetry;

/// Takes flows in. Clones share all.
#[derive(Clone)]
pub(crate) struct FlowIntake(Arc<Inner>);

struct Inner {
    queue: Queue,
    lost: Mutex<Lost>,
    news: FlowNews,
    /// How long flows may wait for others.
    delay: Duration,
    telemetry: FlowTelemetry,
}

/// What is taken of a message: more than an agent of the original puts into one.
const LIMITS: FlowLimits = FlowLimits { message: FLOW_MESSAGE_MAX, flows: 1000, flow: 256 << 10 };
/// Flows that are told together.
const BATCH: usize = 100;

impl FlowIntake {
    /// One in which `buffer` flows may wait, each `delay` at most while there is room to tell it.
    pub(crate) fn new(buffer: usize, delay: Duration, news: FlowNews, telemetry: FlowTelemetry) -> Self {
        let lost = Mutex::new(Lost::default());
        Self(Arc::new(Inner { queue: Queue::new(buffer), lost, news, delay, telemetry }))
    }

    /// A message of an agent, or whatever else was sent. Never waits.
    pub(crate) fn take(&self, message: &[u8]) {
        let Inner { queue, lost, telemetry, .. } = &*self.0;
        let (mut refused, mut why) = (0u64, None);
        let decoded = FlowMessage::decode(message, &LIMITS, |fault| {
            refused += 1;
            why.get_or_insert(fault);
        });
        let message_len = message.len();
        let message = match decoded {
            Ok(message) if refused > 0 || !message.flows.is_empty() || message.stats.is_some() => message,
            Ok(_) => return telemetry.malformed("a message without flows"),
            Err(fault) => return telemetry.malformed(&reason(&fault)),
        };
        let FlowMessage { flows, stats, stamp } = message;
        let count = flows.len() as u64;
        telemetry.received.inc_by(count);
        if let Some(why) = why {
            telemetry.refused(refused, &reason(&why));
        }
        if let Some(stamp) = stamp {
            let mut lost = lost.lock().unwrap_or_else(PoisonError::into_inner);
            lost.hear(&stamp, count + refused, telemetry);
        }
        telemetry.overflowed(queue.push(flows, stats, message_len));
    }

    /// Tells of what comes until `stop`, and then of what is there.
    pub(crate) async fn deliver(&self, stop: CancellationToken) {
        let Inner { queue, news, delay, .. } = &*self.0;
        let mut due: Option<Instant> = None;
        loop {
            let now = Instant::now();
            let is_last = stop.is_cancelled();
            let least = if is_last || due.is_some_and(|due| due <= now) { 1 } else { BATCH };
            let taken = queue.take(least, BATCH);
            let is_something = !taken.flows.is_empty();
            news.tell_stats(taken.stats);
            news.tell(taken.flows);
            if taken.left == 0 {
                due = None;
            } else if is_something || due.is_none() {
                due = Some(now + *delay);
            }
            if taken.left >= BATCH || is_last && taken.left > 0 {
                tokio::task::yield_now().await;
                continue;
            }
            if is_last {
                return;
            }
            let wake_at = due.unwrap_or_else(|| now + *delay);
            tokio::select! {
                () = queue.changed() => {}
                () = sleep_until(wake_at), if due.is_some() => {}
                () = stop.cancelled() => {}
            }
        }
    }
}

impl FlowLink for FlowIntake {
    fn message(&self, message: &[u8]) {
        self.take(message);
    }
}

#[cfg(test)]
mod tests;
