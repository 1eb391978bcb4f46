//! The two halves of a pair (veth, netkit, vxcan) finding each other.
//!
//! A pair never changes, but what each half says of the other does, and the kernel tells nobody: it announces the first
//! half before the two are joined, and a half that goes to another namespace is told of there, never at the other half.
//! Notifications wait in a socket per namespace and may be older than answers. So as long as two halves do not say the
//! same, whoever may be wrong is asked. An answer that changes nothing raises no question, so the questions end. What is
//! still alone then is asked again from time to time.

use std::time::Duration;

use skydive_sys::NsKey;
use skydive_sys::netlink::LinkFacts;
use tokio::time::Instant;

use super::agenda::Task;
use super::model::{IfRef, Interface, Model};

/// Kinds of interfaces that come in pairs.
pub(super) const PAIRS: [&str; 3] = ["veth", "netkit", "vxcan"];

/// A half by what it says, in the order in which halves are looked for.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub(super) struct Half {
    index: u32,
    /// Number of the other half, 0 when it speaks of none.
    link: u32,
    at: IfRef,
}

impl Half {
    pub(super) fn of(at: IfRef, facts: &LinkFacts) -> Option<Self> {
        is_half(facts).then(|| Self { index: at.1, link: facts.link.unwrap_or(0), at })
    }
}

/// First and longest pause before a half that is alone is asked again. Some stay alone: the other is where nobody may
/// look.
pub(super) const ASK_AGAIN: (Duration, Duration) = (Duration::from_secs(1), Duration::from_mins(1));

impl Interface {
    pub(super) fn is_half(&self) -> bool {
        is_half(&self.facts)
    }
}

impl Model {
    /// The half that a half speaks of, there or not.
    fn other_half(&self, at: IfRef) -> Option<IfRef> {
        let interface = self.interface(at).filter(|i| i.is_half())?;
        self.spaces.get(&at.0)?.behind(&interface.facts)
    }

    /// Whether the half that this one speaks of says the same.
    fn agrees(&self, at: IfRef) -> bool {
        self.other_half(at).is_some_and(|other| self.other_half(other) == Some(at))
    }

    /// Asks the half that one speaks of again when that does not speak of this one: this one has just changed.
    pub(super) fn ask_who_disagrees(&mut self, at: IfRef, now: Instant) {
        if !self.interface(at).is_some_and(|i| i.is_half()) || self.agrees(at) {
            return;
        }
        self.agenda.plan(now + ASK_AGAIN.0, Task::Ask(at));
        let Some(other) = self.other_half(at) else { return };
        self.ask_link(other);
    }

    /// Asks a half that is still alone.
    pub(super) fn ask_lonely(&mut self, at: IfRef, now: Instant) {
        let agrees = self.agrees(at);
        let Some(interface) = self.interface_mut(at).filter(|i| i.is_half()) else { return };
        if agrees {
            interface.ask_again = ASK_AGAIN.0;
            return;
        }
        interface.ask_again = (interface.ask_again * 2).min(ASK_AGAIN.1);
        let pause = interface.ask_again;
        self.agenda.plan(now + pause, Task::Ask(at));
        self.ask_link(at);
        self.ask_other_half(at);
    }

    /// A half in another namespace is known by its number and an id of the namespace: asks what ids this namespace and
    /// those of halves that may be meant have for each other.
    pub(super) fn ask_other_half(&mut self, at: IfRef) {
        let link = self.interface(at).filter(|i| i.is_half()).and_then(|i| i.facts.link);
        let Some(link) = link else { return };
        let with = |index: u32, link: u32| {
            let [first, last] = [(NsKey(0), 0), (NsKey(u32::MAX), u32::MAX)];
            self.halves.range(Half { index, link, at: first }..=Half { index, link, at: last })
        };
        // The two name each other's number, or the first half does not know of the second yet.
        let likely = with(link, at.1).chain(with(link, 0)).map(|half| half.at);
        let likely: Vec<IfRef> = likely.filter(|other| other.0 != at.0 && !self.agrees(*other)).collect();
        for (of, _) in likely {
            self.ask_pair(at.0, of);
        }
    }

    /// An interface is about to be forgotten here and may be in another namespace. For those that refer to it, and for
    /// its other half, another namespace is behind them now, of which nobody tells.
    pub(super) fn moved(&mut self, at: IfRef) {
        let mut behind = self.pointers.get(&at).cloned().unwrap_or_default();
        behind.extend(self.other_half(at));
        for other in behind {
            self.ask_link(other);
        }
    }
}

fn is_half(facts: &LinkFacts) -> bool {
    facts.kind.as_deref().is_some_and(|kind| PAIRS.contains(&kind))
}
