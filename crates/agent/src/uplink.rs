//! One analyzer's line: dial, give it the graph while it is the master, dial again.

use std::sync::Arc;
use std::time::Duration;

use skydive_api::{Ended, LiveGraph, Subscription};
use skydive_proto::{Envelope, UpdatePolicy, event_envelope, sync_envelope};
use skydive_value::Clock;
use tokio_util::sync::CancellationToken;

use crate::link::{Link, LinkClosed, SharedDial};
use crate::master::Masters;

/// Pause before dialing again, as agents always did.
const REDIAL: Duration = Duration::from_secs(1);

/// What an uplink needs.
pub(crate) struct Uplink {
    pub(crate) dial: SharedDial,
    pub(crate) live: LiveGraph,
    pub(crate) masters: Arc<Masters>,
    pub(crate) queue_size: usize,
    pub(crate) clock: Clock,
}

/// Why a line was left.
enum Left {
    Closed,
    Stopped,
}

impl Uplink {
    /// Keeps the line up until `stop`.
    pub(crate) async fn run(self, stop: CancellationToken) {
        let address = self.dial.address().to_owned();
        let mut failures = 0u64;
        loop {
            let dialed = tokio::select! {
                dialed = self.dial.dial() => dialed,
                () = stop.cancelled() => return,
            };
            match dialed {
                Err(error) => {
                    // Said once per outage, not once per second.
                    if failures == 0 {
                        tracing::warn!(analyzer = address, %error, "no link to the analyzer, trying again");
                    }
                    failures += 1;
                    self.masters.down(&address, error.to_string());
                }
                Ok(mut link) => {
                    failures = 0;
                    tracing::info!(analyzer = address, "linked");
                    self.masters.up(&address, self.clock.now());
                    match self.serve(&address, &mut *link, &stop).await {
                        Left::Stopped => return,
                        Left::Closed => {
                            tracing::warn!(analyzer = address, "link lost");
                            self.masters.down(&address, "link lost".to_owned());
                        }
                    }
                }
            }
            tokio::select! {
                () = tokio::time::sleep(REDIAL) => {}
                () = stop.cancelled() => return,
            }
        }
    }

    async fn serve(&self, address: &str, link: &mut dyn Link, stop: &CancellationToken) -> Left {
        let mut masters = self.masters.watch();
        loop {
            let is_master = masters.borrow_and_update().is_master(address);
            if is_master {
                return match self.give_graph(link, stop).await {
                    Ok(()) => Left::Stopped,
                    Err(LinkClosed) => Left::Closed,
                };
            }
            tokio::select! {
                _ = masters.changed() => {}
                message = link.receive() => match message {
                    Some(message) => ignore(&message),
                    None => return Left::Closed,
                },
                () = stop.cancelled() => return Left::Stopped,
            }
        }
    }

    /// Sends the graph and every change of it. A line so slow that the queue overflows starts over with a new
    /// snapshot: the analyzer ends with the true graph in any case.
    async fn give_graph(&self, link: &mut dyn Link, stop: &CancellationToken) -> Result<(), LinkClosed> {
        loop {
            let Ok((snapshot, mut events)) = self.live.snapshot_and_subscribe(self.queue_size).await else {
                return Ok(());
            };
            tracing::debug!(nodes = snapshot.node_count(), edges = snapshot.edge_count(), "sync");
            link.send(sync_envelope(snapshot)).await?;
            match forward(link, &mut events, stop).await? {
                Some(Ended::Lost { messages }) => {
                    tracing::warn!(messages, "the analyzer does not keep up, sending the whole graph again");
                }
                Some(Ended::Stopped) | None => return Ok(()),
            }
        }
    }
}

/// Returns why events ended; `None` on stop.
async fn forward(
    link: &mut dyn Link,
    events: &mut Subscription,
    stop: &CancellationToken,
) -> Result<Option<Ended>, LinkClosed> {
    loop {
        tokio::select! {
            batch = events.next() => match batch {
                Ok(batch) => {
                    for event in batch.iter() {
                        link.send(event_envelope(event, UpdatePolicy::Partial)).await?;
                    }
                }
                Err(ended) => return Ok(Some(ended)),
            },
            message = link.receive() => match message {
                Some(message) => ignore(&message),
                None => return Err(LinkClosed),
            },
            () = stop.cancelled() => return Ok(None),
        }
    }
}

/// The analyzer asks for nothing yet that this agent could do.
fn ignore(message: &Envelope) {
    tracing::debug!(namespace = message.namespace, kind = message.kind, "message of an unknown kind");
}
