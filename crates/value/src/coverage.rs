//! How much of the truth an answer holds.

use crate::{SmolStr, Span};

/// How much of the truth an answer holds: every answer says it, so that nothing is missing in silence.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Coverage {
    /// Sources that were asked: the graph, agents, stores.
    pub asked: u32,
    /// Sources that answered.
    pub answered: u32,
    /// Names of those that did not, as far as they have one; at most [`Coverage::NAMES`].
    pub silent: Vec<SmolStr>,
    /// Whether a source had more than it gave.
    pub truncated: bool,
    /// Whether a source looked at a sample only.
    pub sampled: bool,
    /// Records that sources know to have lost.
    pub lost: u64,
    /// The time that was asked for, where only its end, which is now, was looked at.
    pub instead_of: Option<Span>,
}

impl Coverage {
    /// Names that are told of those that did not answer.
    pub const NAMES: usize = 16;

    /// One source, which answered in full.
    pub const fn complete() -> Self {
        Self {
            asked: 1,
            answered: 1,
            silent: Vec::new(),
            truncated: false,
            sampled: false,
            lost: 0,
            instead_of: None,
        }
    }

    /// Whether nothing is missing.
    pub fn is_complete(&self) -> bool {
        *self == Self { asked: self.asked, answered: self.asked, ..Self::default() }
    }

    /// A source was asked and did not answer.
    pub fn miss(&mut self, name: SmolStr) {
        self.asked += 1;
        if self.silent.len() < Self::NAMES {
            self.silent.push(name);
        }
    }

    /// Adds what another answer, which this one was made of, says.
    pub fn add(&mut self, other: Self) {
        self.asked = self.asked.saturating_add(other.asked);
        self.answered = self.answered.saturating_add(other.answered);
        let room = Self::NAMES.saturating_sub(self.silent.len());
        self.silent.extend(other.silent.into_iter().take(room));
        self.truncated |= other.truncated;
        self.sampled |= other.sampled;
        self.lost = self.lost.saturating_add(other.lost);
        self.instead_of = self.instead_of.or(other.instead_of);
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn answers_add_up() {
        let mut all = Coverage::complete();
        assert!(all.is_complete());
        all.add(Coverage { lost: 2, truncated: true, ..Coverage::complete() });
        all.miss("host-3".into());
        let expected = Coverage {
            asked: 3,
            answered: 2,
            silent: vec!["host-3".into()],
            truncated: true,
            lost: 2,
            ..Coverage::default()
        };
        assert_eq!(all, expected);
        assert!(!all.is_complete());
        for _ in 0..100 {
            all.miss("other".into());
        }
        assert_eq!((all.asked, all.silent.len()), (103, Coverage::NAMES));
    }
}
