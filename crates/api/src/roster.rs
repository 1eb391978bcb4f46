//! Who is connected to an endpoint: one connection per host id.
//!
//! A newcomer with a known id makes the holder prove that it is alive: it is pinged, and when it does not answer in
//! time its connection ends and the newcomer gets the seat. The holder judges this itself, because only there it is
//! known whether anybody listened; while it cannot say, it keeps its seat.

use std::collections::BTreeMap;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::time::Duration;

use skydive_proto::ConnStatus;
use skydive_value::SmolStr;
use tokio::sync::{mpsc, oneshot};
use tokio::time::timeout;
use tokio_util::sync::CancellationToken;

/// The connections of one endpoint. Clones share it.
#[derive(Clone, Debug, Default)]
pub struct Roster {
    seats: Arc<Mutex<BTreeMap<SmolStr, Holder>>>,
}

/// A place in the roster, given up when dropped.
#[derive(Debug)]
pub(crate) struct Seat {
    roster: Roster,
    host_id: SmolStr,
    /// Asks for a sign of life; answered with the next pong.
    pub(crate) probes: mpsc::Receiver<oneshot::Sender<()>>,
    left: CancellationToken,
}

/// The host id is in use by a live connection.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct Taken;

#[derive(Clone, Debug)]
struct Holder {
    status: ConnStatus,
    probes: mpsc::Sender<oneshot::Sender<()>>,
    left: CancellationToken,
}

/// How long a newcomer waits, in all.
const CLAIM_DEADLINE: Duration = Duration::from_secs(1);
/// Probes of one holder that may wait; more newcomers than that wait in the queue.
const PROBES: usize = 4;

impl Roster {
    /// A roster without anybody.
    pub fn new() -> Self {
        Self::default()
    }

    /// The connections by host id.
    pub fn statuses(&self) -> BTreeMap<String, ConnStatus> {
        self.locked().iter().map(|(id, holder)| (id.to_string(), holder.status.clone())).collect()
    }

    /// Number of connections.
    pub fn len(&self) -> usize {
        self.locked().len()
    }

    /// Whether nobody is connected.
    pub fn is_empty(&self) -> bool {
        self.locked().is_empty()
    }

    /// Takes the seat of `host_id`, from a dead holder if need be.
    pub(crate) async fn claim(&self, host_id: &SmolStr, status: &ConnStatus) -> Result<Seat, Taken> {
        let claimed = async {
            loop {
                let holder = match self.take(host_id, status) {
                    Ok(seat) => return Ok(seat),
                    Err(holder) => holder,
                };
                if holder.is_alive().await {
                    return Err(Taken);
                }
                tracing::info!(%host_id, "seat of a gone connection taken by a newcomer");
            }
        };
        timeout(CLAIM_DEADLINE, claimed).await.unwrap_or(Err(Taken))
    }

    fn take(&self, host_id: &SmolStr, status: &ConnStatus) -> Result<Seat, Box<Holder>> {
        let mut seats = self.locked();
        if let Some(holder) = seats.get(host_id) {
            return Err(Box::new(holder.clone()));
        }
        let (sender, probes) = mpsc::channel(PROBES);
        let left = CancellationToken::new();
        let holder = Holder { status: status.clone(), probes: sender, left: left.clone() };
        seats.insert(host_id.clone(), holder);
        Ok(Seat { roster: self.clone(), host_id: host_id.clone(), probes, left })
    }

    fn locked(&self) -> MutexGuard<'_, BTreeMap<SmolStr, Holder>> {
        self.seats.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

impl Holder {
    /// Waits until the holder has shown that it is alive, or has left.
    async fn is_alive(&self) -> bool {
        let proof = async {
            let (proven, proof) = oneshot::channel();
            self.probes.send(proven).await.ok()?;
            proof.await.ok()
        };
        tokio::select! {
            biased;
            () = self.left.cancelled() => false,
            Some(()) = proof => true,
        }
    }
}

impl Seat {
    /// Changes what statuses tell of the connection.
    pub(crate) fn describe(&self, change: impl FnOnce(&mut ConnStatus)) {
        if let Some(holder) = self.roster.locked().get_mut(&self.host_id) {
            change(&mut holder.status);
        }
    }
}

impl Drop for Seat {
    fn drop(&mut self) {
        self.roster.locked().remove(&self.host_id);
        self.left.cancel();
    }
}

#[cfg(test)]
mod tests {
    use tokio::time::Instant;

    use super::*;

    #[tokio::test]
    async fn a_live_holder_keeps_its_seat_and_a_dead_one_loses_it() {
        let (roster, id, status) = (Roster::new(), SmolStr::from("h"), ConnStatus::default());
        let mut seat = roster.claim(&id, &status).await.unwrap();
        let live = tokio::spawn(async move {
            if let Some(proven) = seat.probes.recv().await {
                proven.send(()).unwrap();
            }
            seat
        });
        assert!(matches!(roster.claim(&id, &status).await, Err(Taken)));
        let seat = live.await.unwrap();

        // From here on the holder cannot say whether it is alive: it keeps its seat.
        let begin = Instant::now();
        assert!(matches!(roster.claim(&id, &status).await, Err(Taken)));
        assert_eq!(begin.elapsed().as_secs(), 1);

        // It finds out that it is not.
        let mut seat = seat;
        let leaving = tokio::spawn(async move {
            // The first two newcomers have given up.
            while seat.probes.recv().await.is_some_and(|proven| proven.is_closed()) {}
        });
        let claimed = roster.claim(&id, &status).await;
        leaving.await.unwrap();
        assert!(claimed.is_ok());
        drop(claimed);
        assert!(roster.is_empty());
    }
}
