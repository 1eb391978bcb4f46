//! The one that changes resources: a thread of its own, since a disk is waited for.

use std::sync::{Arc, PoisonError, RwLock};
use std::time::Duration;

use skydive_proto::{Draft, Put, Resource, StoreError};
use skydive_value::{Clock, SmolStr};
use tokio::sync::{mpsc, oneshot, watch};

use crate::disk::Disk;
use crate::shelf::Shelf;

/// What is to be done, and who waits for it.
pub(crate) struct Order {
    pub(crate) kind: SmolStr,
    pub(crate) action: Action,
    pub(crate) reply: oneshot::Sender<Result<Resource, StoreError>>,
}

/// What can be done.
pub(crate) enum Action {
    Put(Draft, Put),
    Remove(SmolStr),
}

/// Serves orders until all who could give some are gone.
pub(crate) struct Keeper {
    pub(crate) shelf: Arc<RwLock<Shelf>>,
    /// `None` keeps everything in memory only.
    pub(crate) disk: Option<Disk>,
    pub(crate) orders: mpsc::Receiver<Order>,
    pub(crate) revision: watch::Sender<u64>,
    pub(crate) clock: Clock,
}

/// Orders that go to the disk with one sync.
const BATCH: usize = 256;
/// Longest wait for an expiry before the clock is asked again: it may have been set.
const LOOK: Duration = Duration::from_secs(1);

impl Keeper {
    pub(crate) async fn run(mut self) {
        let mut orders = Vec::with_capacity(BATCH);
        loop {
            let expiry = self.next_expiry();
            let pause = async {
                match expiry {
                    Some(wait) => tokio::time::sleep(wait).await,
                    None => std::future::pending().await,
                }
            };
            tokio::select! {
                taken = self.orders.recv_many(&mut orders, BATCH) => if taken == 0 { return },
                () = pause => {}
            }
            self.serve(&mut orders);
        }
    }

    fn next_expiry(&self) -> Option<Duration> {
        let at = self.shelf.read().unwrap_or_else(PoisonError::into_inner).next_expiry()?;
        Some(at.since(self.clock.now()).clamp(Duration::from_millis(1), LOOK))
    }

    fn serve(&mut self, orders: &mut Vec<Order>) {
        let (entries, answers) = {
            // Nobody else writes: what is read here is true until it is changed below.
            let shelf = self.shelf.read().unwrap_or_else(PoisonError::into_inner);
            let mut pending = shelf.pending();
            pending.expire(self.clock.now());
            let answers: Vec<_> = orders
                .drain(..)
                .map(|Order { kind, action, reply }| {
                    let done = match action {
                        Action::Put(draft, when) => pending.put(&kind, draft, when),
                        Action::Remove(id) => pending.remove(&kind, &id),
                    };
                    (reply, done)
                })
                .collect();
            (pending.entries, answers)
        };
        let written = match &mut self.disk {
            Some(disk) if !entries.is_empty() => disk.write(&entries),
            _ => Ok(()),
        };
        if let Err(why) = &written {
            tracing::error!(why, "resources cannot be written");
        } else if !entries.is_empty() {
            let mut shelf = self.shelf.write().unwrap_or_else(PoisonError::into_inner);
            shelf.commit(entries);
            let revision = shelf.revision();
            drop(shelf);
            self.revision.send_replace(revision);
        }
        for (reply, done) in answers {
            let done = match &written {
                Err(why) => done.and(Err(StoreError::Disk(why.clone()))),
                Ok(()) => done,
            };
            // Who asked may have gone; what was done stays done.
            let _ = reply.send(done);
        }
    }
}
