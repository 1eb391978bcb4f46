//! An ordered set of (hash, place) pairs whose clones share what neither has written since.
//!
//! Every index is one of these: equal hashes lie side by side, so the places of a value are a run that is read in
//! order, whether it holds one place or a million. A hash is not proof: who looks up compares the element itself.
//! A tree of fixed depth, root → branches → leaves, each behind `Arc` and sorted: an insertion moves at most a leaf,
//! the first write after a snapshot copies the root, one branch and one leaf.
//!
//! Hashes are spread evenly, so at each level the place is guessed, and a lookup in millions of entries waits for one
//! line of cold memory. The `Arc` is the one without weak references: making sure that nobody shares a part before
//! writing to it costs a read instead of two atomic writes at each level.

use skydive_prefetch::prefetch;
use triomphe::Arc;

/// Entries in a leaf: a kilobyte with its count.
const LEAF_MAX: usize = 127;
/// Leaves in a branch: what the first write after a snapshot counts up.
const BRANCH_MAX: usize = 128;

/// Moving fewer entries than this to the next leaf is not worth it.
const ROOM_MIN: usize = 16;
/// Entries in a line of memory.
const LINE: usize = 8;

#[derive(Clone, Debug, Default)]
pub(crate) struct Postings {
    root: Arc<Root>,
}

/// Sorted parts, and the first entry of each beside them so that finding one does not read the others.
#[derive(Clone, Debug, Default)]
struct Root {
    firsts: Vec<u64>,
    branches: Vec<Arc<Branch>>,
}

/// As [`Root`], one level down; never empty.
#[derive(Clone, Debug)]
struct Branch {
    firsts: Vec<u64>,
    /// How many entries of each leaf are in use; here, so that looking something up reads one line of the leaf.
    lens: Vec<u8>,
    leaves: Vec<Arc<Leaf>>,
}

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
            root.put(0, Branch::of(&[entry]));
            return;
        }
        let b = part_of(&root.firsts, entry);
        let branch = Arc::make_mut(&mut root.branches[b]);
        let l = branch.insert(entry);
        if branch.leaves.len() > BRANCH_MAX {
            let cut = if l + 1 == branch.leaves.len() { BRANCH_MAX } else { BRANCH_MAX / 2 };
            let right = branch.split_off(cut);
            root.put(b + 1, right);
        }
        root.firsts[b] = root.branches[b].firsts[0];
    }

    /// Removes a pair; nothing happens when it is not there.
    pub(crate) fn remove(&mut self, hash: u32, place: u32) {
        let entry = entry(hash, place);
        if self.places_from(entry).here.first() != Some(&entry) {
            return;
        }
        let root = Arc::make_mut(&mut self.root);
        let b = part_of(&root.firsts, entry);
        let branch = Arc::make_mut(&mut root.branches[b]);
        branch.remove(entry);
        if let Some(first) = branch.firsts.first() {
            root.firsts[b] = *first;
        } else {
            root.firsts.remove(b);
            root.branches.remove(b);
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
            let Some(branch) = self.root.branches.get(part_of(&self.root.firsts, entry)) else { continue };
            let l = part_of(&branch.firsts, entry);
            let Some(leaf) = branch.leaves.get(l) else { continue };
            // The count of references stands before the entries.
            prefetch(&leaf.0[0]);
            let entries = branch.entries(l);
            let moved = entries.get(guess(entries.len(), entry, branch.ends(l))..).unwrap_or_default();
            moved.iter().step_by(LINE).for_each(prefetch);
        }
    }

    /// About how many places a hash has: exact up to a leaf at either end. For choosing the best index.
    pub(crate) fn estimate(&self, hash: u32) -> usize {
        let (first, last) = (entry(hash, 0), entry(hash, u32::MAX));
        let (from, to) = (part_of(&self.root.firsts, first), part_of(&self.root.firsts, last));
        let leaf = |b: usize, entry| self.root.branches.get(b).map_or(0, |b| part_of(&b.firsts, entry));
        let between = self.root.branches.get(from..to).unwrap_or_default();
        let between: usize = between.iter().map(|branch| branch.leaves.len()).sum();
        let leaves = between + leaf(to, last) - leaf(from, first);
        if leaves > 0 { leaves * LEAF_MAX } else { self.places(hash).count() }
    }

    /// Bytes on the heap.
    pub(crate) fn bytes(&self) -> usize {
        let leaf = size_of::<Leaf>() + size_of::<usize>();
        let branch = |b: &Arc<Branch>| {
            b.firsts.capacity() * 8 + b.lens.capacity() + b.leaves.capacity() * 8 + b.leaves.len() * leaf
        };
        self.root.branches.iter().map(|b| branch(b) + 16).sum()
    }

    #[inline]
    fn places_from(&self, first: u64) -> Places<'_> {
        let hash = (first >> 32) as u32;
        let from = part_of(&self.root.firsts, first);
        let mut branches = self.root.branches.get(from..).unwrap_or_default().iter();
        let Some(branch) = branches.next() else {
            return Places { hash, here: &[], branch: None, leaf: 0, branches };
        };
        let leaf = part_of(&branch.firsts, first);
        let entries = branch.entries(leaf);
        let here = &entries[lower_bound(entries, first, branch.ends(leaf))..];
        Places { hash, here, branch: Some(branch), leaf, branches }
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
    fn put(&mut self, at: usize, branch: Branch) {
        self.firsts.insert(at, branch.firsts[0]);
        self.branches.insert(at, Arc::new(branch));
    }
}

impl Branch {
    fn of(entries: &[u64]) -> Self {
        let mut branch = Self { firsts: Vec::new(), lens: Vec::new(), leaves: Vec::new() };
        branch.put(0, entries);
        branch
    }

    /// The entries of a leaf, none beyond the last one.
    #[inline]
    fn entries(&self, leaf: usize) -> &[u64] {
        let (Some(len), Some(leaf)) = (self.lens.get(leaf), self.leaves.get(leaf)) else { return &[] };
        leaf.0.get(..usize::from(*len)).unwrap_or(&leaf.0)
    }

    /// Between which entries those of a leaf lie.
    #[inline]
    fn ends(&self, leaf: usize) -> (u64, u64) {
        let first = self.firsts.get(leaf).copied().unwrap_or(0);
        (first, self.firsts.get(leaf + 1).copied().unwrap_or(first | u64::from(u32::MAX)))
    }

    /// Adds an entry that may be there; says to which leaf.
    fn insert(&mut self, entry: u64) -> usize {
        let mut l = part_of(&self.firsts, entry);
        let mut i = lower_bound(self.entries(l), entry, self.ends(l));
        if self.entries(l).get(i) == Some(&entry) {
            return l;
        }
        if usize::from(self.lens[l]) == LEAF_MAX {
            // Ascending insertion is the common case (places are handed out in order): leave the left half full.
            if i == LEAF_MAX {
                self.put(l + 1, &[entry]);
                return l + 1;
            }
            if self.make_room(l) {
                return self.insert(entry);
            }
            let right = self.leaves[l].0;
            self.put(l + 1, &right[LEAF_MAX / 2..]);
            self.lens[l] = (LEAF_MAX / 2) as u8;
            if i > LEAF_MAX / 2 {
                l += 1;
                i -= LEAF_MAX / 2;
            }
        }
        let len = usize::from(self.lens[l]);
        let leaf = Arc::make_mut(&mut self.leaves[l]);
        leaf.0.copy_within(i..len, i + 1);
        leaf.0[i] = entry;
        self.lens[l] += 1;
        self.firsts[l] = leaf.0[0];
        l
    }

    /// Moves entries of a full leaf to the next one, when that has much room: leaves are fuller so, and fewer.
    fn make_room(&mut self, l: usize) -> bool {
        let (len, Some(next_len)) = (LEAF_MAX, self.lens.get(l + 1).map(|len| usize::from(*len))) else {
            return false;
        };
        let moved = (LEAF_MAX - next_len) / 2;
        if moved < ROOM_MIN {
            return false;
        }
        let (left, right) = self.leaves.split_at_mut(l + 1);
        let (Some(from), Some(to)) = (left.last(), right.first_mut()) else { return false };
        let to = Arc::make_mut(to);
        to.0.copy_within(..next_len, moved);
        to.0[..moved].copy_from_slice(&from.0[len - moved..]);
        self.lens[l] = (len - moved) as u8;
        self.lens[l + 1] = (next_len + moved) as u8;
        self.firsts[l + 1] = to.0[0];
        true
    }

    /// Removes an entry that is there.
    fn remove(&mut self, entry: u64) {
        let l = part_of(&self.firsts, entry);
        let i = lower_bound(self.entries(l), entry, self.ends(l));
        let len = usize::from(self.lens[l]);
        let leaf = Arc::make_mut(&mut self.leaves[l]);
        leaf.0.copy_within(i + 1..len, i);
        self.lens[l] -= 1;
        self.firsts[l] = leaf.0[0];
        if len == 1 {
            self.firsts.remove(l);
            self.lens.remove(l);
            self.leaves.remove(l);
        }
    }

    fn put(&mut self, at: usize, entries: &[u64]) {
        let mut leaf = Leaf([0; LEAF_MAX]);
        leaf.0[..entries.len()].copy_from_slice(entries);
        self.firsts.insert(at, entries[0]);
        self.lens.insert(at, entries.len() as u8);
        self.leaves.insert(at, Arc::new(leaf));
    }

    fn split_off(&mut self, at: usize) -> Self {
        Self {
            firsts: self.firsts.split_off(at),
            lens: self.lens.split_off(at),
            leaves: self.leaves.split_off(at),
        }
    }
}

/// The part that an entry belongs into, by the first entries of all.
#[inline]
fn part_of(firsts: &[u64], entry: u64) -> usize {
    let ends = (firsts.first().copied().unwrap_or(0), firsts.last().copied().unwrap_or(0));
    lower_bound(firsts, entry.saturating_add(1), ends).saturating_sub(1)
}

/// Where an entry would lie among `len` that are spread evenly between `ends`.
#[inline]
fn guess(len: usize, entry: u64, (first, end): (u64, u64)) -> usize {
    // In numbers of the hash alone: differences within one hash are too small to guess from.
    let (at, span) = (entry.saturating_sub(first) >> 32, end.saturating_sub(first) >> 32);
    (at * len as u64).checked_div(span + 1).map_or(0, |at| (at as usize).min(len.saturating_sub(1)))
}

/// The position of the first entry that is not less than `entry`. Around the guess mostly one line of memory is read
/// where halving reads five; from there the search widens in doubling steps, so that entries that are spread unevenly
/// cost no more than halving.
#[inline]
fn lower_bound(entries: &[u64], entry: u64, ends: (u64, u64)) -> usize {
    if entries.is_empty() || entry <= ends.0 {
        return 0;
    }
    let guess = guess(entries.len(), entry, ends);
    let mut step = 4;
    let (mut low, mut high) = (guess, guess);
    while low > 0 && entries[low] >= entry {
        low = low.saturating_sub(step);
        step *= 2;
    }
    step = 4;
    while high < entries.len() && entries[high] < entry {
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
