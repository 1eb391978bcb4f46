//! Memory of what packets choose the size of, divided between the captures of an agent.
//!
//! A table gets its share when it is made and cannot be given another, and nobody knows how many more come: so each gets
//! a part of what is left.

/// What is left, and of how much; bytes.
#[derive(Debug)]
pub(super) struct Memory {
    left: usize,
}

/// A share is this part of what is left.
const PART: usize = 8;
/// And at least so much, though nothing is left: a few hundred packets with their headers.
const LEAST: usize = 256 << 10;

impl Memory {
    pub(super) fn new(total: usize) -> Self {
        Self { left: total }
    }

    /// A share, to be given back.
    pub(super) fn take(&mut self) -> usize {
        let share = (self.left / PART).max(LEAST);
        // What goes beyond is at most the least share of each.
        self.left = self.left.saturating_sub(share);
        share
    }

    pub(super) fn give(&mut self, share: usize, total: usize) {
        self.left = (self.left + share).min(total);
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn captures_together_take_what_there_is() {
        const TOTAL: usize = 256 << 20;
        let mut memory = Memory::new(TOTAL);
        let shares: Vec<_> = (0..1000).map(|_| memory.take()).collect();
        assert_eq!(shares[0], 32 << 20);
        assert!(shares.iter().sum::<usize>() <= TOTAL + 1000 * LEAST);
        assert_eq!(shares[999], LEAST);
        for share in shares {
            memory.give(share, TOTAL);
        }
        assert_eq!(memory.take(), 32 << 20);
    }
}
