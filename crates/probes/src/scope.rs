//! What a running probe can reach.

use skydive_graph::{Mutation, Op, key};
use skydive_value::{Clock, Map, SmolStr, Timestamp, Value};
use thiserror::Error;
use tokio::sync::mpsc;
use tokio_util::sync::CancellationToken;

/// All that a probe can reach: where mutations go, what time it is, when to stop, and whom to tell what is missing.
#[derive(Clone, Debug)]
pub struct ProbeScope {
    name: &'static str,
    reports: mpsc::Sender<Report>,
    clock: Clock,
    stop: CancellationToken,
}

/// What probes send to the owner of the graph.
#[derive(Debug)]
pub enum Report {
    /// Changes that belong together, in order.
    Mutations {
        /// Which probe wants them.
        probe: &'static str,
        /// The changes.
        mutations: Vec<Mutation>,
    },
    /// The probe ended by a defect and could not take back what it had shown; it starts over with nothing.
    Abandoned {
        /// Which probe.
        probe: &'static str,
    },
    /// How the probe is.
    Health {
        /// Which probe.
        probe: &'static str,
        /// How it is.
        health: Health,
    },
}

/// How a probe is.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Health {
    /// It shows everything it can.
    Running,
    /// Something is missing; the rest is true.
    Degraded {
        /// Since when.
        since: Timestamp,
        /// What, for a human.
        why: SmolStr,
    },
}

impl Health {
    /// What makes a node show how `probe` is: `Degraded.<probe>` is `{Since, Why}` while something is missing, else
    /// absent. On the host's node it is of the probe as a whole, on a namespace's of what is inside.
    pub fn op(&self, probe: &str) -> Op {
        let path = format!("{}.{probe}", key::DEGRADED);
        match self {
            Self::Running => Op::remove(&path),
            Self::Degraded { since, why } => {
                let state = [("Since", Value::Int(since.as_millis())), ("Why", Value::from(why.clone()))];
                Op::set(&path, state.into_iter().collect::<Map>())
            }
        }
    }
}

/// The owner of the graph has stopped; the probe should too.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Error)]
#[error("the graph is no longer served")]
pub struct Stopped;

impl ProbeScope {
    /// The scope of probe `name`. `reports` is bounded: a probe waits when the graph cannot follow.
    pub fn new(
        name: &'static str,
        reports: mpsc::Sender<Report>,
        clock: Clock,
        stop: CancellationToken,
    ) -> Self {
        Self { name, reports, clock, stop }
    }

    /// The time of now.
    pub fn now(&self) -> Timestamp {
        self.clock.now()
    }

    /// Sends changes that belong together; they are applied in order. Waits when the graph cannot follow.
    pub async fn send(&self, mutations: Vec<Mutation>) -> Result<(), Stopped> {
        if mutations.is_empty() {
            return Ok(());
        }
        self.reports.send(Report::Mutations { probe: self.name, mutations }).await.map_err(|_| Stopped)
    }

    /// Says that something is missing, for a human.
    pub async fn degraded(&self, why: impl Into<SmolStr>) -> Result<(), Stopped> {
        let health = Health::Degraded { since: self.now(), why: why.into() };
        self.reports.send(Report::Health { probe: self.name, health }).await.map_err(|_| Stopped)
    }

    /// Says that nothing is missing any more.
    pub async fn running(&self) -> Result<(), Stopped> {
        let report = Report::Health { probe: self.name, health: Health::Running };
        self.reports.send(report).await.map_err(|_| Stopped)
    }

    /// Returns when the probe is to stop.
    pub async fn stopped(&self) {
        self.stop.cancelled().await;
    }
}
