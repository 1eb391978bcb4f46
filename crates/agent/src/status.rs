//! How the probes are, for the status page.

use std::collections::BTreeMap;
use std::sync::{Mutex, PoisonError};

use skydive_probes::Health;

/// The state of each probe that was started. Short locks, nothing called under them.
#[derive(Debug, Default)]
pub(crate) struct ProbeStates(Mutex<BTreeMap<&'static str, Health>>);

impl ProbeStates {
    pub(crate) fn running(&self, probe: &'static str) {
        self.set(probe, Health::Running);
    }

    pub(crate) fn set(&self, probe: &'static str, health: Health) {
        self.0.lock().unwrap_or_else(PoisonError::into_inner).insert(probe, health);
    }

    pub(crate) fn all(&self) -> BTreeMap<&'static str, Health> {
        self.0.lock().unwrap_or_else(PoisonError::into_inner).clone()
    }
}
