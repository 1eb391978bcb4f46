//! Flows that agents sent and that did not arrive, found by the numbers that they gave them.

use std::collections::HashMap;

use skydive_proto::FlowStamp;

use super::FlowTelemetry;

/// What is missing of each agent's flows.
#[derive(Debug, Default)]
pub(super) struct Lost {
    agents: HashMap<String, Numbers>,
    /// Messages heard, as a clock for who was heard last.
    heard: u64,
}

/// The numbers of one agent.
#[derive(Debug)]
struct Numbers {
    /// The count that they belong to, and the one before it: a datagram of that may be late.
    count: u64,
    before: Option<u64>,
    /// One above the highest number that has come.
    next: u64,
    /// Which of the [`WINDOW`] numbers below `next` have come, each at its remainder.
    come: [u64; WINDOW as usize / 64],
    missing: u64,
    heard: u64,
}

/// Numbers below the highest that may still come.
const WINDOW: u64 = 1024;
/// Numbers that may be missing at a time; when it were more, the agent has rather begun to count anew.
const GAP_MAX: u64 = 1 << 24;
/// Agents that are known, since anybody may claim to be one.
const AGENTS: usize = 4096;

impl Lost {
    /// A message with `flows` flows has come.
    pub(super) fn hear(&mut self, stamp: &FlowStamp, flows: u64, telemetry: &FlowTelemetry) {
        self.heard += 1;
        if !self.agents.contains_key(&stamp.host_id) {
            self.make_room(telemetry);
            self.agents.insert(stamp.host_id.clone(), Numbers::from(stamp.count, stamp.first));
        }
        let Some(numbers) = self.agents.get_mut(&stamp.host_id) else { return };
        numbers.heard = self.heard;
        let before = numbers.missing;
        numbers.come(stamp.count, stamp.first, flows);
        if numbers.missing != before {
            telemetry.set_lost(&stamp.host_id, numbers.missing);
        }
    }

    fn make_room(&mut self, telemetry: &FlowTelemetry) {
        if self.agents.len() < AGENTS {
            return;
        }
        let silent = self.agents.iter().min_by_key(|(_, numbers)| numbers.heard).map(|(id, _)| id.clone());
        if let Some(id) = silent {
            self.agents.remove(&id);
            telemetry.forget_lost(&id);
        }
    }
}

impl Numbers {
    /// Nothing is missing of what was sent before.
    fn from(count: u64, next: u64) -> Self {
        Self { count, before: None, next, come: [u64::MAX; WINDOW as usize / 64], missing: 0, heard: 0 }
    }

    fn come(&mut self, count: u64, first: u64, flows: u64) {
        if self.before == Some(count) {
            return;
        }
        let is_gap_credible = first <= self.next.saturating_add(GAP_MAX);
        if count != self.count || !is_gap_credible {
            let before = (count != self.count).then_some(self.count).or(self.before);
            let (missing, heard) = (self.missing, self.heard);
            *self = Self { before, missing, heard, ..Self::from(count, first) };
        }
        for number in first..first.saturating_add(flows) {
            self.one(number);
        }
    }

    fn one(&mut self, number: u64) {
        if number >= self.next {
            let gap = number - self.next;
            self.missing += gap;
            if gap >= WINDOW {
                self.come = [0; WINDOW as usize / 64];
            } else {
                (self.next..number).for_each(|missing| self.set(missing, false));
            }
            self.next = number + 1;
            self.set(number, true);
        } else if self.next - number <= WINDOW && !self.has(number) {
            self.set(number, true);
            // It had been counted as missing.
            self.missing = self.missing.saturating_sub(1);
        }
    }

    fn has(&self, number: u64) -> bool {
        let (word, bit) = place(number);
        self.come.get(word).is_some_and(|bits| bits & bit != 0)
    }

    fn set(&mut self, number: u64, has_come: bool) {
        let (word, bit) = place(number);
        if let Some(bits) = self.come.get_mut(word) {
            *bits = if has_come { *bits | bit } else { *bits & !bit };
        }
    }
}

fn place(number: u64) -> (usize, u64) {
    let place = number % WINDOW;
    ((place / 64) as usize, 1 << (place % 64))
}

#[cfg(test)]
mod tests {
    use super::*;

    /// What is missing after messages of a count, a first number and so many flows.
    fn missing(messages: &[(u64, u64, u64)]) -> u64 {
        let (mut lost, telemetry) = (Lost::default(), FlowTelemetry::default());
        for (count, first, flows) in messages {
            lost.hear(&FlowStamp { host_id: "h".into(), count: *count, first: *first }, *flows, &telemetry);
        }
        let missing = lost.agents["h"].missing;
        assert_eq!(telemetry.lost().get("h").copied().unwrap_or_default(), missing);
        missing
    }

    #[test]
    fn gaps_are_counted_and_what_is_late_is_not() {
        assert_eq!(missing(&[(1, 0, 10), (1, 10, 1)]), 0);
        assert_eq!(missing(&[(1, 0, 10), (1, 15, 1)]), 5);
        assert_eq!(missing(&[(1, 0, 10), (1, 15, 1), (1, 10, 5)]), 0, "out of order");
        assert_eq!(missing(&[(1, 0, 10), (1, 15, 1), (1, 12, 2), (1, 12, 2)]), 3, "a duplicate");
        assert_eq!(missing(&[(1, 0, 1), (1, 3000, 1), (1, 5, 1)]), 2999, "too late");
        assert_eq!(
            missing(&[(1, 0, 1), (1, 3000, 1), (1, 2990, 10)]),
            2989,
            "within the window of a large gap"
        );
    }

    #[test]
    fn who_begins_anew_has_lost_nothing() {
        assert_eq!(missing(&[(1, 500, 1)]), 0, "the analyzer has begun anew");
        assert_eq!(missing(&[(1, 500, 1), (1, 499, 1), (1, 501, 1)]), 0, "before the first");
        assert_eq!(missing(&[(1, 500, 1), (2, 0, 1), (2, 1, 1)]), 0);
        assert_eq!(
            missing(&[(1, 5, 1), (2, 0, 1), (1, 6, 1), (2, 1, 1), (2, 3, 1)]),
            1,
            "one of before is late"
        );
        assert_eq!(missing(&[(1, 5, 1), (1, 8, 1), (2, 0, 1)]), 2, "what was missing stays so");
        assert_eq!(missing(&[(1, 0, 1), (1, u64::MAX, 1), (1, u64::MAX - 3, 9)]), 0, "nonsense");
    }

    #[test]
    fn claimed_agents_do_not_fill_the_memory() {
        let (mut lost, telemetry) = (Lost::default(), FlowTelemetry::default());
        let mut say = |host: String, first| {
            lost.hear(&FlowStamp { host_id: host, count: 1, first }, 1, &telemetry);
            lost.agents.len()
        };
        say("true".to_owned(), 0);
        say("true".to_owned(), 2);
        for n in 0..2 * AGENTS {
            assert!(say(n.to_string(), 0) <= AGENTS);
            if n % 1000 == 0 {
                say("true".to_owned(), 3);
            }
        }
        assert_eq!(telemetry.lost(), [("true".to_owned(), 1)].into());
    }
}
