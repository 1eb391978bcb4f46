//! What subscribers are told beside the graph: what became of captures, alerts.

use std::sync::Arc;

use skydive_proto::Envelope;
use tokio::sync::broadcast;

/// Tells all subscribers who want a message's namespace. Clones tell the same ones.
#[derive(Clone, Debug)]
pub struct Notices(broadcast::Sender<Arc<Envelope>>);

/// Messages that wait for the slowest subscriber; one that is further behind misses the oldest.
const WAITING: usize = 1024;

impl Notices {
    /// Nobody listens yet.
    #[expect(clippy::new_without_default, reason = "who makes one has to hand it on")]
    pub fn new() -> Self {
        Self(broadcast::Sender::new(WAITING))
    }

    /// Tells a message. Never waits.
    pub fn tell(&self, message: Envelope) {
        // That nobody listens is no failure.
        let _ = self.0.send(Arc::new(message));
    }

    /// What is told from now on.
    pub fn listen(&self) -> broadcast::Receiver<Arc<Envelope>> {
        self.0.subscribe()
    }
}
