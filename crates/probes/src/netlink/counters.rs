//! Samples of counters.
//!
//! The interval is cut into slices and each namespace belongs to one of them, so that a thousand namespaces are a
//! small piece of work often rather than a large one now and then.

use std::time::Duration;

use skydive_graph::{Mutation, Op, key};
use skydive_sys::netlink::LinkStats;
use skydive_sys::{Command, NsKey, Parts};
use skydive_value::{Map, SmolStr, Timestamp, Value};
use tokio::time::Instant;

use super::agenda::Task;
use super::model::Model;

/// Counters of an interface.
#[derive(Debug, Default)]
pub(super) struct Sampled {
    total: Option<LinkStats>,
}

/// Slices of the interval; each is at least [`MIN_SLICE`] long.
const SLICES: u32 = 10;
const MIN_SLICE: Duration = Duration::from_millis(100);

/// Keys of a metric beside its counters.
const START: SmolStr = SmolStr::new_static(key::METRIC_START);
const LAST: SmolStr = SmolStr::new_static(key::METRIC_LAST);

impl Sampled {
    /// Takes the counters that came with the interface, if there were none before.
    pub(super) fn discover(&mut self, stats: LinkStats) {
        self.total.get_or_insert(stats);
    }

    /// What a new node shows: counters alone.
    pub(super) fn first_metric(&self) -> Option<Value> {
        self.total.filter(|stats| !stats.is_zero()).map(|stats| metric(&stats, []).into())
    }
}

/// The counters that counted something, and the given times.
fn metric<const N: usize>(stats: &LinkStats, times: [(SmolStr, Timestamp); N]) -> Map {
    let counters = LinkStats::NAMES.iter().zip(stats.0).filter(|(_, count)| *count > 0);
    let counters = counters.map(|(name, count)| (SmolStr::new_static(name), Value::from(count)));
    counters.chain(times.into_iter().map(|(name, at)| (name, Value::from(at.as_millis())))).collect()
}

impl Model {
    fn slices(&self) -> u32 {
        let fit = self.config.metrics_update.as_millis() / MIN_SLICE.as_millis();
        (fit as u32).clamp(1, SLICES)
    }

    /// Plans the first round of samples.
    pub(super) fn plan_samples(&mut self, now: Instant) {
        let slices = self.slices();
        for slice in 0..slices {
            let at = now + self.config.metrics_update * (slice + 1) / slices;
            self.agenda.plan(at, Task::Sample(slice));
        }
    }

    /// Asks for the counters of a slice that is due, and plans its next turn.
    pub(super) fn ask_samples(&mut self, slice: u32, due: Instant, now: Instant) {
        let slices = self.slices();
        let mut keys = Vec::new();
        for (key, space) in &self.spaces {
            if key.0 % slices == slice && space.read_at.is_some() {
                keys.push(*key);
                if Self::is_stale(space, now) {
                    self.commands.push_back(Command::Read(*key, Parts::ALL));
                }
            }
        }
        if !keys.is_empty() {
            self.commands.push_back(Command::ReadStats(keys));
        }
        // After a pause of the whole machine the turns missed are left out.
        let next = (due + self.config.metrics_update).max(now);
        self.agenda.plan(next, Task::Sample(slice));
    }

    /// Takes a sample of all interfaces of a namespace.
    pub(super) fn sample(&mut self, key: NsKey, samples: Vec<(u32, LinkStats)>, at: Timestamp) {
        let Some(space) = self.spaces.get_mut(&key) else { return };
        let since = std::mem::replace(&mut space.sampled_at, at);
        for (index, stats) in samples {
            let Some(interface) = space.links.get_mut(&index) else { continue };
            let Some(before) = interface.counters.total.replace(stats) else { continue };
            if before == stats || stats.is_zero() || interface.shown.is_none() {
                continue;
            }
            let total = metric(&stats, [(LAST, at)]);
            let last = metric(&stats.since(&before), [(START, since), (LAST, at)]);
            let ops = [Op::set(key::METRIC, total), Op::set(key::LAST_UPDATE_METRIC, last)];
            self.decided.push(Mutation::update_node(interface.node.clone(), ops));
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_metric_leaves_zeros_out() {
        let mut stats = LinkStats::default();
        stats.0[2] = 7880;
        let map = metric(&stats, [(LAST, Timestamp::from_millis(5))]);
        assert_eq!(map.len(), 2);
        assert_eq!(map.get("RxBytes"), Some(&Value::Int(7880)));
        assert_eq!(map.get("Last"), Some(&Value::Int(5)));
        let mut sampled = Sampled::default();
        assert_eq!(sampled.first_metric(), None);
        sampled.discover(stats);
        sampled.discover(LinkStats::default());
        assert!(sampled.first_metric().is_some());
    }
}
