//! An ordered set of (hash, place) pairs whose clones share what neither has written since.
//!
//! Every index is one of these: equal hashes lie side by side, so the places of a value are a run that is read in
//! order, whether it holds one place or a million. A hash is not proof: who looks up compares the element itself.
//! 256 shards by the top bits of the hash, each a sorted list of sorted leaves behind `Arc`: an insertion moves at
//! most a leaf, the first write after a snapshot copies one leaf and the pointers of one shard.

use std::sync::Arc;

/// Top bits of the hash that choose the shard.
const SHARD_BITS: u32 = 8;
/// A leaf of this many entries is split.
const LEAF_MAX: usize = 256;
/// Leaves grow by this many entries, which keeps unused room small.
const LEAF_STEP: usize = 16;

#[derive(Clone, Debug)]
pub(crate) struct Postings {
    shards: Arc<Vec<Arc<Shard>>>,
}

#[derive(Clone, Debug, Default)]
struct Shard {
    /// First entry of each leaf.
    firsts: Vec<u64>,
    leaves: Vec<Arc<Vec<u64>>>,
}

impl Default for Postings {
    fn default() -> Self {
        Self { shards: Arc::new((0..1 << SHARD_BITS).map(|_| Arc::default()).collect()) }
    }
}

impl Postings {
    /// Adds a pair; nothing happens when it is there.
    pub(crate) fn insert(&mut self, hash: u32, place: u32) {
        let entry = entry(hash, place);
        let shard = Arc::make_mut(&mut Arc::make_mut(&mut self.shards)[shard_of(hash)]);
        let at = shard.leaf_of(entry);
        let Some(leaf) = shard.leaves.get_mut(at) else {
            shard.firsts.push(entry);
            shard.leaves.push(Arc::new(vec![entry]));
            return;
        };
        let leaf = Arc::make_mut(leaf);
        let i = lower_bound(leaf, entry);
        if leaf.get(i) == Some(&entry) {
            return;
        }
        if leaf.len() == leaf.capacity() {
            leaf.reserve_exact(LEAF_STEP);
        }
        leaf.insert(i, entry);
        if i == 0 {
            shard.firsts[at] = entry;
        }
        if leaf.len() > LEAF_MAX {
            // Ascending insertion is the common case (places are handed out in order): leave the left half full.
            let cut = if i + 1 == leaf.len() { LEAF_MAX } else { LEAF_MAX / 2 };
            let right = leaf.split_off(cut);
            leaf.shrink_to_fit();
            shard.firsts.insert(at + 1, right[0]);
            shard.leaves.insert(at + 1, Arc::new(right));
        }
    }

    /// Removes a pair; nothing happens when it is not there.
    pub(crate) fn remove(&mut self, hash: u32, place: u32) {
        let entry = entry(hash, place);
        let shard = Arc::make_mut(&mut Arc::make_mut(&mut self.shards)[shard_of(hash)]);
        let at = shard.leaf_of(entry);
        let Some(leaf) = shard.leaves.get_mut(at) else { return };
        let i = lower_bound(leaf, entry);
        if leaf.get(i) != Some(&entry) {
            return;
        }
        let leaf = Arc::make_mut(leaf);
        leaf.remove(i);
        match leaf.first() {
            None => {
                shard.firsts.remove(at);
                shard.leaves.remove(at);
            }
            Some(first) => shard.firsts[at] = *first,
        }
    }

    /// The places of a hash, ascending.
    #[inline]
    pub(crate) fn places(&self, hash: u32) -> impl Iterator<Item = u32> + '_ {
        let shard = &self.shards[shard_of(hash)];
        let first = entry(hash, 0);
        let from = shard.leaf_of(first);
        let start = shard.leaves.get(from).map_or(0, |leaf| lower_bound(leaf, first));
        shard.leaves[from.min(shard.leaves.len())..]
            .iter()
            .flat_map(|leaf| leaf.iter())
            .skip(start)
            .take_while(move |e| (**e >> 32) as u32 == hash)
            .map(|e| *e as u32)
    }

    /// About how many places a hash has: exact up to a leaf at either end. For choosing the best index.
    pub(crate) fn estimate(&self, hash: u32) -> usize {
        let shard = &self.shards[shard_of(hash)];
        let from = shard.leaf_of(entry(hash, 0));
        let to = shard.leaf_of(entry(hash, u32::MAX));
        if to > from { (to - from) * LEAF_MAX } else { self.places(hash).take(LEAF_MAX).count() }
    }

    /// Bytes on the heap.
    pub(crate) fn bytes(&self) -> usize {
        self.shards
            .iter()
            .map(|s| {
                (s.firsts.capacity() + s.leaves.capacity()) * 8
                    + s.leaves.iter().map(|l| l.capacity() * 8 + 40).sum::<usize>()
            })
            .sum()
    }
}

impl Shard {
    /// The leaf an entry belongs into; the number of leaves only when there is none.
    #[inline]
    fn leaf_of(&self, entry: u64) -> usize {
        lower_bound(&self.firsts, entry.saturating_add(1)).saturating_sub(1)
    }
}

/// The position of the first entry that is not less than `entry`. Hashes are spread evenly, so the place can be
/// guessed from the ends of the leaf: mostly one line of memory is read where halving reads five. From the guess the
/// search widens in doubling steps, so that uneven leaves cost no more than halving.
#[inline]
fn lower_bound(leaf: &[u64], entry: u64) -> usize {
    let (Some(first), Some(last)) = (leaf.first(), leaf.last()) else { return 0 };
    if entry <= *first {
        return 0;
    }
    if entry > *last {
        return leaf.len();
    }
    // In numbers of the hash alone: differences within one hash are too small to guess from.
    let (at, span) = ((entry - first) >> 32, (last - first) >> 32);
    let guess = (at * leaf.len() as u64).checked_div(span + 1).unwrap_or(0) as usize;
    let guess = guess.min(leaf.len() - 1);
    let mut step = 4;
    let (mut low, mut high) = (guess, guess);
    while low > 0 && leaf[low] >= entry {
        low = low.saturating_sub(step);
        step *= 2;
    }
    step = 4;
    while high < leaf.len() && leaf[high] < entry {
        high = (high + step).min(leaf.len());
        step *= 2;
    }
    low + leaf[low..high].partition_point(|e| *e < entry)
}

const fn entry(hash: u32, place: u32) -> u64 {
    (hash as u64) << 32 | place as u64
}

const fn shard_of(hash: u32) -> usize {
    (hash >> (32 - SHARD_BITS)) as usize
}

#[cfg(test)]
mod tests {
    use std::collections::BTreeSet;

    use proptest::prelude::*;

    use super::*;

    proptest! {
        /// Few hashes and many places: runs that span leaves, splits and empty leaves all occur.
        #[test]
        fn agrees_with_an_ordered_set(ops in prop::collection::vec((any::<bool>(), 0u32..3, 0u32..800), 0..4000)) {
            let (mut ours, mut set) = (Postings::default(), BTreeSet::new());
            for (add, hash, place) in ops {
                let hash = hash << 30;
                if add {
                    ours.insert(hash, place);
                    set.insert((hash, place));
                } else {
                    ours.remove(hash, place);
                    set.remove(&(hash, place));
                }
            }
            for hash in [0u32, 1 << 30, 2 << 30, 3 << 30] {
                let expected: Vec<u32> = set.range((hash, 0)..=(hash, u32::MAX)).map(|(_, p)| *p).collect();
                prop_assert_eq!(ours.places(hash).collect::<Vec<_>>(), expected);
            }
        }
    }

    #[test]
    fn neighbouring_hashes_do_not_mix() {
        let mut ours = Postings::default();
        for place in 0..5000 {
            ours.insert(7, place);
            ours.insert(8, place);
        }
        assert_eq!(ours.places(7).count(), 5000);
        assert_eq!(ours.places(8).last(), Some(4999));
        assert_eq!(ours.places(9).count(), 0);
        assert!(ours.estimate(7) >= 4000);
    }
}
