//! A search that waits for packets that have come before it was asked for.
//!
//! The kernel hands packets over in blocks, some tens of milliseconds after the first one in it: who asks what there was
//! a moment ago is to find it. So a search begins when as many packets are accounted as had come when it was asked for.

use super::Running;
use crate::CaptureKey;
use crate::ring::RingSource;
use crate::search::{FlowSearch, Searching};

/// A search, and what it waits for.
#[derive(Debug)]
pub(super) struct Waiting {
    searching: Searching,
    arrivals: Vec<Arrivals>,
    /// When it begins whatever has come; nanoseconds since the epoch.
    until: i64,
}

/// Packets of a capture that are not accounted yet.
#[derive(Clone, Copy, Debug)]
struct Arrivals {
    slot: usize,
    key: CaptureKey,
    /// Packets that are accounted when these are.
    comes_to: u64,
}

impl Waiting {
    /// Notes what has come to the captures that are to be searched.
    pub(super) fn new(
        search: &FlowSearch,
        searching: Searching,
        slots: &mut [Option<Box<Running>>],
        now: i64,
    ) -> Self {
        let running =
            slots.iter_mut().enumerate().filter_map(|(slot, running)| Some((slot, running.as_mut()?)));
        let arrivals =
            running.filter(|(_, running)| search.searches(running.key())).filter_map(|(slot, running)| {
                Some(Arrivals { slot, key: running.key(), comes_to: running.comes_to()? })
            });
        let until = now.saturating_add(RingSource::RETIRED.as_nanos() as i64);
        Self { searching, arrivals: arrivals.collect(), until }
    }

    /// When it begins at the latest, or now.
    pub(super) fn due(&self, slots: &[Option<Box<Running>>], now: i64) -> i64 {
        let is_waiting = |arrivals: &Arrivals| {
            let running = slots.get(arrivals.slot).and_then(Option::as_ref);
            running.is_some_and(|running| {
                running.key() == arrivals.key && running.accounted() < arrivals.comes_to
            })
        };
        // A clock that was set back does not hold it up.
        let is_late = now >= self.until || now < self.until - 2 * RingSource::RETIRED.as_nanos() as i64;
        if !is_late && self.arrivals.iter().any(is_waiting) { self.until } else { now }
    }

    pub(super) fn begin(self) -> Searching {
        self.searching
    }
}
