//! An ordered set of (hash, place) pairs whose clones share what neither has written since.
//!
//! Every index is one of these: equal hashes lie side by side, so the places of a value are a run that is read in
//! order, whether it holds one place or a million. A hash is not proof: who looks up compares the element itself.
//! A tree of fixed depth, root → branches → leaves, each behind `Arc` and sorted: an insertion moves at most a leaf,
//! the first write after a snapshot copies the root, one branch and one leaf.
//!
//! Hashes are spread evenly, so at each level the place is guessed, and what is around the guess is read at once: a
//! lookup in millions of entries waits once for a branch and once for a leaf (`docs/decisions/012-lookups.md`). The
//! `Arc` is the one without weak references: making sure that nobody shares a part before writing to it costs a read
//! instead of two atomic writes at each level.

use skydive_prefetch::prefetch;
use triomphe::Arc;

/// Entries in a leaf: a kilobyte with its count.
const LEAF_MAX: usize = 127;
/// Leaves in a branch: what the first write after a snapshot counts up. Two kilobytes with its count.
const BRANCH_MAX: usize = 120;

/// Moving fewer entries than this to the next leaf is not worth it.
const ROOM_MIN: usize = 16;
/// Entries in a line of memory.
const LINE: usize = 8;
/// How far from the guess an entry mostly lies; see [`lower_bound`].
const NEAR: usize = 8;

#[derive(Clone, Debug, Default)]
pub(crate) struct Postings {
    root: Arc<Root>,
}

/// The branches in order. What is asked before a branch is read stands beside them.
#[derive(Clone, Debug, Default)]
struct Root {
    /// The first entry of each branch.
    firsts: Vec<u64>,
    /// How many leaves of each branch are in use.
    lens: Vec<u8>,
    branches: Vec<Arc<Branch>>,
    /// For each value that the uppermost bits of an entry can have, and the one after the last, how many of `firsts`
    /// begin with less. A hash that many places share fills many branches, of which a guess would know nothing.
    starts: Vec<u32>,
    /// By how much an entry is shifted to get these bits.
    shift: u32,
}

/// Sorted leaves, and the first entry of each beside them so that finding one does not read the others. All in one
/// piece of memory: the lines that a lookup needs are known before any of them has been read.
#[derive(Clone, Debug)]
struct Branch {
    firsts: [u64; BRANCH_MAX],
    leaves: [Option<Arc<Leaf>>; BRANCH_MAX],
    /// How many entries of each leaf are in use, 0 where there is no leaf; here, so that looking something up does
    /// not read the head of the leaf.
    lens: [u8; BRANCH_MAX],
}

/// Between which entries those of a part lie.
type Ends = (u64, u64);

#[derive(Clone, Debug)]
struct Leaf([u64; LEAF_MAX]);

/// The places of one hash, ascending.
#[derive(Clone, Debug)]
pub(crate) struct Places<'a> {
    hash: u32,
    /// The rest of the leaf.
    here: &'a [u64],
    branch: Option<&'a Branch>,
    leaf: usize,
    branches: std::slice::Iter<'a, Arc<Branch>>,
}

impl Postings {
    /// Adds a pair; nothing happens when it is there.
    pub(crate) fn insert(&mut self, hash: u32, place: u32) {
        let entry = entry(hash, place);
        let root = Arc::make_mut(&mut self.root);
        if root.branches.is_empty() {
            root.put(0, Branch::of(entry), 1);
            return;
        }
        let mut b = root.branch_of(entry);
        if usize::from(root.lens[b]) == BRANCH_MAX {
            root.split(b, entry);
            b = root.branch_of(entry);
        }
        let ends = root.ends(b);
        let branch = Arc::make_mut(&mut root.branches[b]);
        branch.insert(&mut root.lens[b], ends, entry);
        let first = branch.firsts[0];
        root.set_first(b, first);
    }

    /// Removes a pair; nothing happens when it is not there.
    pub(crate) fn remove(&mut self, hash: u32, place: u32) {
        let entry = entry(hash, place);
        if self.places_from(entry).here.first() != Some(&entry) {
            return;
        }
        let root = Arc::make_mut(&mut self.root);
        let b = root.branch_of(entry);
        let ends = root.ends(b);
        let branch = Arc::make_mut(&mut root.branches[b]);
        branch.remove(&mut root.lens[b], ends, entry);
        if root.lens[b] > 0 {
            let first = branch.firsts[0];
            root.set_first(b, first);
        } else {
            root.take_out(b);
        }
    }

    /// The places of a hash, ascending.
    #[inline]
    pub(crate) fn places(&self, hash: u32) -> Places<'_> {
        self.places_from(entry(hash, 0))
    }

    /// Asks for the memory that inserting with each of `hashes` will wait for.
    pub(crate) fn prefetch(&self, hashes: &[u32]) {
        for hash in hashes {
            let entry = entry(*hash, 0);
            let Some((b, branch)) = self.root.branch(entry) else { continue };
            let (l, ends) = branch.leaf_of(self.root.lens[b], self.root.ends(b), entry);
            let Some(leaf) = &branch.leaves[l] else { continue };
            // The count of references stands before the entries.
            prefetch(&leaf.0[0]);
            let entries = branch.entries(l);
            let moved = entries.get(guess(entries.len(), entry, ends)..).unwrap_or_default();
            moved.iter().step_by(LINE).for_each(prefetch);
        }
    }

    /// About how many places a hash has: exact up to a leaf at either end. For choosing the best index.
    pub(crate) fn estimate(&self, hash: u32) -> usize {
        let root = &*self.root;
        let (first, last) = (entry(hash, 0), entry(hash, u32::MAX));
        let (Some((from, first_branch)), Some((to, last_branch))) = (root.branch(first), root.branch(last))
        else {
            return 0;
        };
        let between: usize = root.lens[from..to].iter().map(|len| usize::from(*len)).sum();
        let leaf = |b: usize, branch: &Branch, entry| branch.leaf_of(root.lens[b], root.ends(b), entry).0;
        let leaves = between + leaf(to, last_branch, last) - leaf(from, first_branch, first);
        if leaves > 0 { leaves * LEAF_MAX } else { self.places(hash).count() }
    }

    /// Bytes on the heap.
    pub(crate) fn bytes(&self) -> usize {
        let leaves: usize = self.root.lens.iter().map(|len| usize::from(*len)).sum();
        let count = size_of::<usize>();
        // Beside each branch stand its first entry, its address and, on average, two numbers for guessing.
        leaves * (size_of::<Leaf>() + count) + self.root.branches.len() * (size_of::<Branch>() + count + 24)
    }

    #[inline]
    fn places_from(&self, first: u64) -> Places<'_> {
        let hash = (first >> 32) as u32;
        let Some((b, branch)) = self.root.branch(first) else {
            return Places { hash, here: &[], branch: None, leaf: 0, branches: [].iter() };
        };
        let (leaf, ends) = branch.leaf_of(self.root.lens[b], self.root.ends(b), first);
        let entries = branch.entries(leaf);
        let here = &entries[lower_bound(entries, first, ends)..];
        Places { hash, here, branch: Some(branch), leaf, branches: self.root.branches[b + 1..].iter() }
    }
}

impl Iterator for Places<'_> {
    type Item = u32;

    #[inline]
    fn next(&mut self) -> Option<u32> {
        loop {
            if let Some((entry, rest)) = self.here.split_first() {
                self.here = rest;
                return ((entry >> 32) as u32 == self.hash).then_some(*entry as u32);
            }
            self.leaf += 1;
            self.here = self.branch?.entries(self.leaf);
            if self.here.is_empty() {
                self.branch = Some(&**self.branches.next()?);
                self.leaf = 0;
                self.here = self.branch?.entries(0);
            }
        }
    }
}

impl Root {
    /// The branch that an entry belongs into.
    #[inline]
    fn branch(&self, entry: u64) -> Option<(usize, &Branch)> {
        let b = self.branch_of(entry);
        Some((b, self.branches.get(b)?))
    }

    #[inline]
    fn branch_of(&self, entry: u64) -> usize {
        let Some([low, high]) = self.starts.get(self.bits(entry)..).and_then(|starts| starts.first_chunk())
        else {
            return 0;
        };
        let (low, high) = (*low as usize, *high as usize);
        (low + self.firsts[low..high].partition_point(|first| *first <= entry)).saturating_sub(1)
    }

    #[inline]
    fn bits(&self, entry: u64) -> usize {
        (entry >> self.shift) as usize
    }

    #[inline]
    fn ends(&self, b: usize) -> Ends {
        (self.firsts[b], self.firsts.get(b + 1).copied().unwrap_or(u64::MAX))
    }

    fn set_first(&mut self, b: usize, first: u64) {
        let former = std::mem::replace(&mut self.firsts[b], first);
        if self.bits(former) != self.bits(first) {
            self.count_starts();
        }
    }

    fn put(&mut self, at: usize, branch: Branch, len: u8) {
        self.firsts.insert(at, branch.firsts[0]);
        self.lens.insert(at, len);
        self.branches.insert(at, Arc::new(branch));
        self.count_starts();
    }

    fn take_out(&mut self, at: usize) {
        self.firsts.remove(at);
        self.lens.remove(at);
        self.branches.remove(at);
        self.count_starts();
    }

    /// Splits a full branch into which an entry will come.
    fn split(&mut self, b: usize, entry: u64) {
        let ends = self.ends(b);
        let branch = Arc::make_mut(&mut self.branches[b]);
        let (l, _) = branch.leaf_of(BRANCH_MAX as u8, ends, entry);
        // Ascending insertion is common: leave the left one full.
        let cut = if l + 1 == BRANCH_MAX { l } else { BRANCH_MAX / 2 };
        let right = branch.split_off(cut);
        self.lens[b] = cut as u8;
        self.put(b + 1, right, (BRANCH_MAX - cut) as u8);
    }

    /// Does [`Root::starts`] anew: once for thousands of additions.
    fn count_starts(&mut self) {
        let bits = (2 * self.firsts.len().max(1)).next_power_of_two().ilog2();
        self.shift = u64::BITS - bits;
        self.starts.clear();
        self.starts.reserve((1 << bits) + 1);
        for (before, first) in self.firsts.iter().enumerate() {
            self.starts.resize(self.starts.len().max(self.bits(*first) + 1), before as u32);
        }
        self.starts.resize((1 << bits) + 1, self.firsts.len() as u32);
    }
}

impl Branch {
    fn of(entry: u64) -> Self {
        let mut branch =
            Self { firsts: [0; BRANCH_MAX], leaves: [const { None }; BRANCH_MAX], lens: [0; BRANCH_MAX] };
        branch.put(&mut 0, 0, &[entry]);
        branch
    }

    /// The entries of a leaf, none beyond the last one.
    #[inline]
    fn entries(&self, leaf: usize) -> &[u64] {
        let (Some(len), Some(Some(leaf))) = (self.lens.get(leaf), self.leaves.get(leaf)) else { return &[] };
        leaf.0.get(..usize::from(*len)).unwrap_or(&leaf.0)
    }

    /// The leaf that an entry belongs into, by the number of leaves and the ends of this branch; with the leaf's ends.
    #[inline]
    fn leaf_of(&self, len: u8, ends: Ends, entry: u64) -> (usize, Ends) {
        let firsts = &self.firsts[..usize::from(len)];
        let likely = guess(firsts.len(), entry, ends);
        // Whatever is found, it is mostly in the same line; these waits and that for the first entries are one.
        if let (Some(leaf), Some(len)) = (self.leaves.get(likely), self.lens.get(likely)) {
            prefetch(leaf);
            prefetch(len);
        }
        let leaf = lower_bound(firsts, entry.saturating_add(1), ends).saturating_sub(1);
        (leaf, (firsts[leaf], firsts.get(leaf + 1).copied().unwrap_or(ends.1)))
    }

    /// Adds an entry that may be there. The caller knows that there is room for a leaf.
    fn insert(&mut self, leaves: &mut u8, ends: Ends, entry: u64) {
        let (mut l, leaf_ends) = self.leaf_of(*leaves, ends, entry);
        let mut i = lower_bound(self.entries(l), entry, leaf_ends);
        if self.entries(l).get(i) == Some(&entry) {
            return;
        }
        if usize::from(self.lens[l]) == LEAF_MAX {
            // Ascending insertion is the common case (places are handed out in order): leave the left half full.
            if i == LEAF_MAX {
                self.put(leaves, l + 1, &[entry]);
                return;
            }
            if self.make_room(l) {
                self.insert(leaves, ends, entry);
                return;
            }
            let mut right = [0; LEAF_MAX - LEAF_MAX / 2];
            right.copy_from_slice(&self.entries(l)[LEAF_MAX / 2..]);
            self.put(leaves, l + 1, &right);
            self.lens[l] = (LEAF_MAX / 2) as u8;
            if i > LEAF_MAX / 2 {
                l += 1;
                i -= LEAF_MAX / 2;
            }
        }
        let len = usize::from(self.lens[l]);
        let Some(leaf) = &mut self.leaves[l] else { return };
        let leaf = Arc::make_mut(leaf);
        leaf.0.copy_within(i..len, i + 1);
        leaf.0[i] = entry;
        self.lens[l] += 1;
        self.firsts[l] = leaf.0[0];
    }

    /// Moves entries of a full leaf to the next one, when that has much room: leaves are fuller so, and fewer.
    fn make_room(&mut self, l: usize) -> bool {
        let Some([Some(from), Some(to)]) = self.leaves.get_mut(l..l + 2) else { return false };
        let (len, next_len) = (LEAF_MAX, usize::from(self.lens[l + 1]));
        let moved = (LEAF_MAX - next_len) / 2;
        if moved < ROOM_MIN {
            return false;
        }
        let to = Arc::make_mut(to);
        to.0.copy_within(..next_len, moved);
        to.0[..moved].copy_from_slice(&from.0[len - moved..]);
        self.lens[l] = (len - moved) as u8;
        self.lens[l + 1] = (next_len + moved) as u8;
        self.firsts[l + 1] = to.0[0];
        true
    }

    /// Removes an entry that is there.
    fn remove(&mut self, leaves: &mut u8, ends: Ends, entry: u64) {
        let (l, leaf_ends) = self.leaf_of(*leaves, ends, entry);
        let i = lower_bound(self.entries(l), entry, leaf_ends);
        let len = usize::from(self.lens[l]);
        if len == 1 {
            let all = usize::from(*leaves);
            self.leaves[l] = None;
            self.leaves[l..all].rotate_left(1);
            self.firsts.copy_within(l + 1..all, l);
            self.lens.copy_within(l + 1..all, l);
            self.lens[all - 1] = 0;
            *leaves -= 1;
            return;
        }
        let Some(leaf) = &mut self.leaves[l] else { return };
        let leaf = Arc::make_mut(leaf);
        leaf.0.copy_within(i + 1..len, i);
        self.lens[l] -= 1;
        self.firsts[l] = leaf.0[0];
    }

    /// Puts a new leaf at a place among the others.
    fn put(&mut self, leaves: &mut u8, at: usize, entries: &[u64]) {
        let mut leaf = Leaf([0; LEAF_MAX]);
        leaf.0[..entries.len()].copy_from_slice(entries);
        let all = usize::from(*leaves);
        self.leaves[at..=all].rotate_right(1);
        self.leaves[at] = Some(Arc::new(leaf));
        self.firsts.copy_within(at..all, at + 1);
        self.firsts[at] = entries[0];
        self.lens.copy_within(at..all, at + 1);
        self.lens[at] = entries.len() as u8;
        *leaves += 1;
    }

    /// Takes the leaves from `at` on out of a full branch.
    fn split_off(&mut self, at: usize) -> Self {
        let mut right =
            Self { firsts: [0; BRANCH_MAX], leaves: [const { None }; BRANCH_MAX], lens: [0; BRANCH_MAX] };
        let moved = BRANCH_MAX - at;
        right.firsts[..moved].copy_from_slice(&self.firsts[at..]);
        right.lens[..moved].copy_from_slice(&self.lens[at..]);
        right.leaves[..moved].swap_with_slice(&mut self.leaves[at..]);
        self.lens[at..].fill(0);
        right
    }
}

/// Where an entry would lie among `len` that are spread evenly between `ends`.
#[inline]
fn guess(len: usize, entry: u64, (first, end): Ends) -> usize {
    // In numbers of the hash alone: differences within one hash are too small to guess from.
    let (at, span) = (entry.saturating_sub(first) >> 32, end.saturating_sub(first) >> 32);
    (at * len as u64).checked_div(span + 1).map_or(0, |at| (at as usize).min(len.saturating_sub(1)))
}

/// The position of the first entry that is not less than `entry`. Nearly always it is near the guess, and whether it
/// is can be foretold: the processor reads the lines around the guess together and goes on without waiting for the
/// answer. Further away the search widens in doubling steps, so that entries that are spread unevenly cost no more
/// than halving.
#[inline]
fn lower_bound(entries: &[u64], entry: u64, ends: Ends) -> usize {
    let guess = guess(entries.len(), entry, ends);
    let (mut low, mut high) = (guess.saturating_sub(NEAR), (guess + NEAR).min(entries.len()));
    let mut step = NEAR;
    while low > 0 && entries[low] >= entry {
        high = low;
        low = low.saturating_sub(step);
        step *= 2;
    }
    step = NEAR;
    while high < entries.len() && entries[high] < entry {
        low = high;
        high = (high + step).min(entries.len());
        step *= 2;
    }
    low + entries[low..high].partition_point(|e| *e < entry)
}

const fn entry(hash: u32, place: u32) -> u64 {
    (hash as u64) << 32 | place as u64
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
    fn many_branches_agree_with_an_ordered_set() {
        let (mut ours, mut set) = (Postings::default(), BTreeSet::new());
        // Hashes all over, three that many places share, and a stretch that begins with the same bits.
        let hash = |i: u32| match i % 8 {
            0..=2 => (i % 3) << 30 | 7,
            3 => 0x5555_0000 | i >> 8,
            _ => i.wrapping_mul(0x9E37_79B1),
        };
        let pairs: Vec<(u32, u32)> = (0..80_000).map(|i| (hash(i), i)).collect();
        let agrees = |ours: &Postings, set: &BTreeSet<(u32, u32)>| {
            for (hash, _) in pairs.iter().step_by(97) {
                let expected: Vec<u32> = set.range((*hash, 0)..=(*hash, u32::MAX)).map(|(_, p)| *p).collect();
                assert_eq!(ours.places(*hash).collect::<Vec<_>>(), expected);
            }
        };
        for (hash, place) in &pairs {
            ours.insert(*hash, *place);
            set.insert((*hash, *place));
        }
        assert!(ours.root.branches.len() > 4);
        agrees(&ours, &set);
        let then = ours.clone();
        let whole = set.clone();
        for (n, (hash, place)) in pairs.iter().enumerate().filter(|(n, _)| n % 50 != 0) {
            ours.remove(*hash, *place);
            set.remove(&(*hash, *place));
            if n % 20_000 == 1 {
                agrees(&ours, &set);
            }
        }
        agrees(&ours, &set);
        agrees(&then, &whole);
        for (hash, place) in &set {
            ours.remove(*hash, *place);
        }
        assert!(ours.root.branches.is_empty());
        ours.insert(3, 4);
        assert_eq!(ours.places(3).collect::<Vec<_>>(), [4]);
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
