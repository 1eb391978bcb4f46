//! Whether the other end of a connection lives.
//!
//! Only silence that was listened to counts: time in which nobody read the socket (a message is being worked on, one
//! more waits, the machine was busy) moves the deadlines on. Any sign of life settles all that is unanswered.

use std::time::Duration;

use tokio::sync::oneshot;
use tokio::time::Instant;

/// What is owed by the other end, and until when.
#[derive(Debug)]
pub(crate) struct Pulse {
    ping_delay: Duration,
    /// How long a ping may stay unanswered.
    patience: Duration,
    ping_at: Instant,
    /// When the oldest ping without a sign of life after it went out; later by the time nobody listened.
    unanswered: Option<Instant>,
    /// Newcomers waiting for a sign of life.
    probing: Vec<oneshot::Sender<()>>,
    proof_by: Option<Instant>,
    /// Until when it is settled whether somebody listened.
    settled: Instant,
}

/// How long a holder of a host id may take to show that it is alive when a newcomer wants the id. The rest of the
/// second that a newcomer waits is for the holder to leave.
const PROOF_DEADLINE: Duration = Duration::from_millis(750);

impl Pulse {
    /// A ping is due at once: some clients act only on the first one.
    pub(crate) fn new(ping_delay: Duration, pong_timeout: Duration, now: Instant) -> Self {
        Self {
            ping_delay,
            patience: ping_delay + pong_timeout,
            ping_at: now,
            unanswered: None,
            probing: Vec::new(),
            proof_by: None,
            settled: now,
        }
    }

    /// Whether a ping is to be sent.
    pub(crate) fn ping_is_due(&self) -> bool {
        self.ping_at <= self.settled
    }

    /// Whether the other end owes a sign of life for too long. One that does not take what is sent to it is judged
    /// by that, not by its missing pong, but it cannot keep a newcomer out.
    pub(crate) fn is_silent(&self, is_writing: bool) -> bool {
        let is_past = |at: Option<Instant>| at.is_some_and(|at| at <= self.settled);
        is_past(self.proof_by) || !is_writing && is_past(self.unanswered_until())
    }

    /// When to look again at the latest.
    pub(crate) fn look_at(&self, is_writing: bool) -> Instant {
        let silent_at = self.unanswered_until().filter(|_| !is_writing);
        [self.proof_by, silent_at].into_iter().flatten().fold(self.ping_at, Instant::min)
    }

    /// The time until `now` was spent waiting for the socket.
    pub(crate) fn listened(&mut self, now: Instant) {
        self.settled = now;
    }

    /// The time until `now` was spent elsewhere.
    pub(crate) fn was_away(&mut self, now: Instant) {
        let away = now - self.settled;
        for at in [&mut self.unanswered, &mut self.proof_by].into_iter().flatten() {
            *at += away;
        }
        self.settled = now;
    }

    /// A ping is on its way, or waits for those before it.
    pub(crate) fn pinged(&mut self) {
        self.ping_at = self.settled + self.ping_delay;
        self.unanswered.get_or_insert(self.settled);
    }

    /// A newcomer wants to know; a ping is due at once.
    pub(crate) fn probe(&mut self, proven: oneshot::Sender<()>) {
        self.probing.push(proven);
        self.proof_by.get_or_insert(self.settled + PROOF_DEADLINE);
        self.ping_at = self.settled;
    }

    /// A sign of life.
    pub(crate) fn heard(&mut self) {
        self.unanswered = None;
        self.proof_by = None;
        for proven in self.probing.drain(..) {
            // A newcomer that no longer waits needs no proof.
            let _ = proven.send(());
        }
    }

    fn unanswered_until(&self) -> Option<Instant> {
        Some(self.unanswered? + self.patience)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const MS: Duration = Duration::from_millis(1);

    fn pulse() -> (Pulse, Instant) {
        let now = Instant::now();
        let mut pulse = Pulse::new(100 * MS, 200 * MS, now);
        assert!(pulse.ping_is_due() && !pulse.is_silent(false));
        pulse.pinged();
        (pulse, now)
    }

    #[test]
    fn silence_that_was_listened_to_ends_the_connection() {
        let (mut pulse, begin) = pulse();
        pulse.listened(begin + 100 * MS);
        assert!(pulse.ping_is_due());
        pulse.pinged();
        assert_eq!(pulse.look_at(false), begin + 200 * MS);
        pulse.listened(begin + 299 * MS);
        assert!(!pulse.is_silent(false));
        pulse.listened(begin + 300 * MS);
        assert!(pulse.is_silent(false) && !pulse.is_silent(true));
        pulse.heard();
        assert!(!pulse.is_silent(false));
    }

    #[test]
    fn time_away_does_not_count() {
        let (mut pulse, begin) = pulse();
        pulse.was_away(begin + 1000 * MS);
        assert!(pulse.ping_is_due() && !pulse.is_silent(false));
        pulse.pinged();
        pulse.listened(begin + 1299 * MS);
        assert!(!pulse.is_silent(false));
        pulse.listened(begin + 1300 * MS);
        assert!(pulse.is_silent(false));
    }

    #[test]
    fn a_newcomer_waits_for_a_proof_and_not_longer() {
        let (mut pulse, begin) = pulse();
        pulse.heard();
        let (proven, mut proof) = oneshot::channel();
        pulse.probe(proven);
        assert!(pulse.ping_is_due());
        pulse.was_away(begin + 1000 * MS);
        assert!(!pulse.is_silent(true));
        pulse.listened(begin + 1000 * MS + PROOF_DEADLINE);
        assert!(pulse.is_silent(true));
        pulse.heard();
        assert!(!pulse.is_silent(false));
        assert_eq!(proof.try_recv(), Ok(()));
    }
}
