//! From the hash of a key to the place of its flow.
//!
//! Open addressing with linear steps, eight entries in a line of memory: half of an entry is the hash, the other the
//! place. The top bits of the hash choose where to start, so growing reads and writes memory in order. Whoever looks
//! up compares the key itself.

use skydive_prefetch::prefetch;

/// Hash in the upper half, place + 1 in the lower; 0 is free.
#[derive(Clone, Debug)]
pub(crate) struct Index {
    entries: Vec<u64>,
    len: usize,
    /// By how much a hash is shifted to choose an entry.
    shift: u32,
}

const BITS_MIN: u32 = 10;

impl Index {
    pub(crate) fn new() -> Self {
        Self { entries: vec![0; 1 << BITS_MIN], len: 0, shift: 32 - BITS_MIN }
    }

    /// Asks for the memory that looking up `hash` will wait for.
    #[inline]
    pub(crate) fn prefetch(&self, hash: u32) {
        if let Some(entry) = self.entries.get((hash >> self.shift) as usize) {
            prefetch(entry);
        }
    }

    /// The place whose hash is `hash` and of which `is_it` says so.
    #[inline]
    pub(crate) fn find(&self, hash: u32, mut is_it: impl FnMut(u32) -> bool) -> Option<u32> {
        let mask = self.entries.len() - 1;
        let mut at = (hash >> self.shift) as usize;
        loop {
            let entry = *self.entries.get(at)?;
            if entry == 0 {
                return None;
            }
            let place = entry as u32 - 1;
            if (entry >> 32) as u32 == hash && is_it(place) {
                return Some(place);
            }
            at = (at + 1) & mask;
        }
    }

    /// Adds a place that is not there.
    pub(crate) fn insert(&mut self, hash: u32, place: u32) {
        if self.len + 1 > self.entries.len() / 8 * 5 {
            self.grow();
        }
        self.put(u64::from(hash) << 32 | u64::from(place + 1));
        self.len += 1;
    }

    /// Removes a place; nothing happens when it is not there.
    pub(crate) fn remove(&mut self, hash: u32, place: u32) {
        let mask = self.entries.len() - 1;
        let wanted = u64::from(hash) << 32 | u64::from(place + 1);
        let mut at = (hash >> self.shift) as usize;
        while self.entries[at] != wanted {
            if self.entries[at] == 0 {
                return;
            }
            at = (at + 1) & mask;
        }
        self.len -= 1;
        // Those behind move up, unless they stand where their hash wants them or before the hole.
        let mut next = (at + 1) & mask;
        while self.entries[next] != 0 {
            let home = ((self.entries[next] >> 32) as u32 >> self.shift) as usize;
            if next.wrapping_sub(home) & mask >= next.wrapping_sub(at) & mask {
                self.entries[at] = self.entries[next];
                at = next;
            }
            next = (next + 1) & mask;
        }
        self.entries[at] = 0;
    }

    fn grow(&mut self) {
        let size = self.entries.len() * 2;
        self.shift -= 1;
        let old = std::mem::replace(&mut self.entries, vec![0; size]);
        for entry in old.into_iter().filter(|entry| *entry != 0) {
            self.put(entry);
        }
    }

    #[inline]
    fn put(&mut self, entry: u64) {
        let mask = self.entries.len() - 1;
        let mut at = ((entry >> 32) as u32 >> self.shift) as usize;
        while self.entries[at] != 0 {
            at = (at + 1) & mask;
        }
        self.entries[at] = entry;
    }
}

#[cfg(test)]
mod tests {
    use std::collections::HashSet;

    use proptest::prelude::*;

    use super::Index;

    proptest! {
        /// Hashes of few bits collide, at the end of the table too.
        #[test]
        fn agrees_with_a_set(ops in prop::collection::vec((any::<bool>(), 0u32..40, 0u32..30), 0..6000)) {
            let (mut index, mut set) = (Index::new(), HashSet::new());
            for (add, hash, place) in ops {
                let hash = hash.wrapping_sub(20) << 22;
                if add && set.insert((hash, place)) {
                    index.insert(hash, place);
                } else if !add {
                    set.remove(&(hash, place));
                    index.remove(hash, place);
                }
                let found = index.find(hash, |p| p == place);
                prop_assert_eq!(found.is_some(), set.contains(&(hash, place)));
            }
            for (hash, place) in &set {
                prop_assert_eq!(index.find(*hash, |p| p == *place), Some(*place));
            }
        }
    }

    #[test]
    fn it_grows() {
        let mut index = Index::new();
        let hash = |n: u32| n.wrapping_mul(0x9E37_79B1);
        for n in 0..100_000 {
            index.insert(hash(n), n);
        }
        for n in (0..100_000).step_by(2) {
            index.remove(hash(n), n);
        }
        for n in 0..100_000 {
            assert_eq!(index.find(hash(n), |p| p == n).is_some(), n % 2 == 1);
        }
    }
}
