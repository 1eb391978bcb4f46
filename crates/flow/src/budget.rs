//! How much memory packets may choose to take.
//!
//! Most of a flow has a fixed size. What its packets say, what of them is kept, and what waits for a missing segment
//! have a size that a sender chooses; all flows of a table share a limit of those.

/// See the module.
#[derive(Debug)]
pub(crate) struct Budget {
    most: usize,
    held: usize,
    /// Part of `held`.
    lent: usize,
    refused: u64,
}

impl Budget {
    pub(crate) fn new(most: usize) -> Self {
        Self { most, held: 0, lent: 0, refused: 0 }
    }

    /// Gives `old` bytes back and takes `new` ones. If that is too much nothing changes, and it is counted.
    pub(crate) fn exchange(&mut self, old: usize, new: usize) -> bool {
        let held = self.held.saturating_sub(old).saturating_add(new);
        if new > old && held > self.most {
            self.refused += 1;
            return false;
        }
        self.held = held;
        true
    }

    pub(crate) fn take(&mut self, bytes: usize) -> bool {
        self.exchange(0, bytes)
    }

    /// Takes bytes for what is of use for a while only: an eighth of the limit, so that it leaves room for what is kept.
    /// Who finds no room loses little, and it is not counted.
    pub(crate) fn lend(&mut self, bytes: usize) -> bool {
        let lent = self.lent.saturating_add(bytes);
        let is_room = lent <= self.most / 8 && self.held.saturating_add(bytes) <= self.most;
        if is_room {
            self.lent = lent;
            self.held += bytes;
        }
        is_room
    }

    /// Gives back what was lent.
    pub(crate) fn take_back(&mut self, bytes: usize) {
        self.lent = self.lent.saturating_sub(bytes);
        self.give(bytes);
    }

    pub(crate) fn give(&mut self, bytes: usize) {
        self.held = self.held.saturating_sub(bytes);
    }

    #[cfg(test)]
    pub(crate) fn held(&self) -> usize {
        self.held
    }

    /// How often something was too much.
    pub(crate) fn refused(&self) -> u64 {
        self.refused
    }

    /// Nothing is held any more.
    pub(crate) fn clear(&mut self) {
        (self.held, self.lent) = (0, 0);
    }
}

#[cfg(test)]
mod tests {
    use super::Budget;

    #[test]
    fn what_is_too_much_is_refused_and_counted() {
        let mut budget = Budget::new(100);
        assert!(budget.take(60) && !budget.take(41) && budget.take(40));
        assert!(!budget.exchange(40, 41) && budget.exchange(40, 30) && budget.exchange(60, 70));
        assert_eq!((budget.held(), budget.refused()), (100, 2));
        budget.give(100);
        assert!(!budget.take(usize::MAX) && budget.take(100));
        budget.give(60);
        assert!(budget.lend(12) && !budget.lend(1));
        assert_eq!((budget.held(), budget.refused()), (52, 3));
        budget.take_back(12);
        assert!(budget.take(59) && budget.lend(1) && !budget.lend(1));
    }
}
