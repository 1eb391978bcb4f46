//! From the hash of a key to the place of its flow.
//!
//! Open addressing with linear steps, eight entries in a line of memory: half of an entry is the hash, the other the
//! place. The top bits of the hash choose where to start, so growing reads and writes memory in order. Whoever looks
//! up compares the key itself.
//!
//! It grows and shrinks a few entries at a time, with every addition and removal: nobody waits for all of them.

use skydive_prefetch::prefetch;

/// See the module.
#[derive(Clone, Debug)]
pub(crate) struct Index {
    entries: Slots,
    /// Entries of another size, of which those before `moved` are in `entries` too.
    old: Slots,
    moved: usize,
    len: usize,
}

/// Hash in the upper half, place + 1 in the lower; 0 is free.
#[derive(Clone, Debug)]
struct Slots {
    slots: Vec<u64>,
    /// By how much a hash is shifted to choose an entry.
    shift: u32,
}

const BITS_MIN: u32 = 10;
/// Entries looked at with each addition and removal: all have moved long before the size changes again.
const STEP: usize = 64;
/// An entry of `old` that was removed: no place, but the search goes on.
const GONE: u64 = 1 << 32;

impl Index {
    pub(crate) fn new() -> Self {
        Self { entries: Slots::new(BITS_MIN), old: Slots { slots: Vec::new(), shift: 0 }, moved: 0, len: 0 }
    }

    /// Asks for the memory that looking up `hash` will wait for.
    #[inline]
    pub(crate) fn prefetch(&self, hash: u32) {
        if let Some(entry) = self.entries.slots.get(self.entries.home(hash)) {
            prefetch(entry);
        }
    }

    /// The place whose hash is `hash` and of which `is_it` says so.
    #[inline]
    pub(crate) fn find(&self, hash: u32, mut is_it: impl FnMut(u32) -> bool) -> Option<u32> {
        let found = self.entries.find(hash, &mut is_it);
        if found.is_some() || self.old.slots.is_empty() {
            return found;
        }
        self.find_old(hash, is_it)
    }

    #[cold]
    fn find_old(&self, hash: u32, is_it: impl FnMut(u32) -> bool) -> Option<u32> {
        self.old.find(hash, is_it)
    }

    /// The place whose hash is `hash`, if it is among the first few entries; otherwise one that does not exist.
    ///
    /// Without branches: which of the entries it is cannot be foretold.
    #[inline]
    pub(crate) fn guess(&self, hash: u32) -> u32 {
        let slots = self.entries.slots.as_slice();
        let at = self.entries.home(hash);
        let mut likely = 0u32;
        for step in [3, 2, 1, 0] {
            let entry = slots.get((at + step) & (slots.len() - 1)).copied().unwrap_or(0);
            likely = if (entry >> 32) as u32 == hash { entry as u32 } else { likely };
        }
        likely.wrapping_sub(1)
    }

    /// Adds a place that is not there.
    pub(crate) fn insert(&mut self, hash: u32, place: u32) {
        self.go_on(STEP);
        let size = self.entries.slots.len();
        if self.len + 1 > size / 8 * 5 {
            self.resize(size * 2);
        }
        self.entries.put(entry(hash, place));
        self.len += 1;
    }

    /// Removes a place; nothing happens when it is not there.
    pub(crate) fn remove(&mut self, hash: u32, place: u32) {
        self.go_on(STEP);
        let mut is_there = self.entries.remove(hash, place);
        if !self.old.slots.is_empty() {
            is_there |= self.old.strike(hash, place);
        }
        self.len -= usize::from(is_there);
        let size = self.entries.slots.len();
        if self.len < size / 8 && size > 1 << BITS_MIN && self.old.slots.is_empty() {
            self.resize(size / 2);
        }
    }

    /// Entries there is memory for.
    #[cfg(test)]
    pub(crate) fn capacity(&self) -> usize {
        self.entries.slots.len() + self.old.slots.len()
    }

    #[cold]
    fn resize(&mut self, size: usize) {
        // So early only after a change of mind.
        self.go_on(usize::MAX);
        let new = Slots::new(size.max(1 << BITS_MIN).trailing_zeros());
        self.old = std::mem::replace(&mut self.entries, new);
        self.moved = 0;
    }

    /// Moves entries from `old`.
    #[inline]
    fn go_on(&mut self, most: usize) {
        if !self.old.slots.is_empty() {
            self.move_some(most);
        }
    }

    #[cold]
    fn move_some(&mut self, most: usize) {
        let until = self.moved.saturating_add(most).min(self.old.slots.len());
        for at in self.moved..until {
            let entry = self.old.slots[at];
            if entry as u32 != 0 {
                self.entries.put(entry);
                // Found in `entries` from now on.
                self.old.slots[at] = GONE;
            }
        }
        self.moved = until;
        if until == self.old.slots.len() {
            self.old.slots = Vec::new();
        }
    }
}

#[inline]
fn entry(hash: u32, place: u32) -> u64 {
    u64::from(hash) << 32 | u64::from(place + 1)
}

impl Slots {
    fn new(bits: u32) -> Self {
        Self { slots: vec![0; 1 << bits], shift: 32 - bits }
    }

    #[inline]
    fn home(&self, hash: u32) -> usize {
        (hash >> self.shift) as usize
    }

    #[inline]
    fn find(&self, hash: u32, mut is_it: impl FnMut(u32) -> bool) -> Option<u32> {
        let mask = self.slots.len() - 1;
        let mut at = self.home(hash);
        loop {
            let entry = *self.slots.get(at)?;
            if entry == 0 {
                return None;
            }
            if (entry >> 32) as u32 == hash
                && let Some(place) = (entry as u32).checked_sub(1)
                && is_it(place)
            {
                return Some(place);
            }
            at = (at + 1) & mask;
        }
    }

    /// Where an entry is.
    fn position(&self, hash: u32, place: u32) -> Option<usize> {
        let mask = self.slots.len() - 1;
        let wanted = entry(hash, place);
        let mut at = self.home(hash);
        while self.slots[at] != wanted {
            if self.slots[at] == 0 {
                return None;
            }
            at = (at + 1) & mask;
        }
        Some(at)
    }

    /// Removes an entry and says whether it was there. Those behind move up, unless they stand where their hash wants
    /// them or before the hole.
    fn remove(&mut self, hash: u32, place: u32) -> bool {
        let mask = self.slots.len() - 1;
        let Some(mut at) = self.position(hash, place) else { return false };
        let mut next = (at + 1) & mask;
        while self.slots[next] != 0 {
            let home = self.home((self.slots[next] >> 32) as u32);
            if next.wrapping_sub(home) & mask >= next.wrapping_sub(at) & mask {
                self.slots[at] = self.slots[next];
                at = next;
            }
            next = (next + 1) & mask;
        }
        self.slots[at] = 0;
        true
    }

    /// Removes an entry and says whether it was there. The others stay where they are.
    #[cold]
    fn strike(&mut self, hash: u32, place: u32) -> bool {
        let at = self.position(hash, place);
        if let Some(at) = at {
            self.slots[at] = GONE;
        }
        at.is_some()
    }

    #[inline]
    fn put(&mut self, entry: u64) {
        let mask = self.slots.len() - 1;
        let mut at = self.home((entry >> 32) as u32);
        while self.slots[at] != 0 {
            at = (at + 1) & mask;
        }
        self.slots[at] = entry;
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
    fn it_shrinks() {
        let mut index = Index::new();
        let hash = |n: u32| n.wrapping_mul(0x9E37_79B1);
        for n in 0..100_000 {
            index.insert(hash(n), n);
        }
        for n in 0..99_900 {
            index.remove(hash(n), n);
            index.remove(hash(n), n);
        }
        assert!(index.capacity() <= 4096, "{}", index.capacity());
        for n in 0..100_000 {
            assert_eq!(index.find(hash(n), |p| p == n).is_some(), n >= 99_900);
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
