//! Places for many things of one kind, each with a number for as long as it stays.
//!
//! Places come in chunks, of which only the first moves while it grows: a large slab that grows copies nothing. What is
//! added goes to the lowest chunk that has room. After a peak the higher ones run empty, and the memory of a chunk that
//! is empty is given back.

use std::mem;

/// See the module.
#[derive(Debug)]
pub(crate) struct Slab<T> {
    chunks: Vec<Vec<T>>,
    /// Places of each chunk that were used and are not.
    free: Vec<Vec<u16>>,
    /// A bit for each chunk: whether it has memory and room.
    roomy: Vec<u64>,
    /// Chunks without memory.
    released: Vec<u32>,
    len: usize,
}

/// A place in a [`Slab`], or none.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub(crate) struct Handle(u32);

/// Bits of a place within its chunk.
const BITS: u32 = 13;
/// Places of a chunk.
pub(crate) const CHUNK: usize = 1 << BITS;

impl Handle {
    fn new(place: u32) -> Self {
        Self(place + 1)
    }

    #[inline]
    fn place(self) -> Option<u32> {
        self.0.checked_sub(1)
    }
}

impl<T> Default for Slab<T> {
    fn default() -> Self {
        Self { chunks: Vec::new(), free: Vec::new(), roomy: Vec::new(), released: Vec::new(), len: 0 }
    }
}

impl<T: Default> Slab<T> {
    /// Things that are there.
    pub(crate) fn len(&self) -> usize {
        self.len
    }

    #[inline]
    pub(crate) fn at(&self, place: u32) -> Option<&T> {
        let (chunk, slot) = split(place);
        self.chunks.get(chunk)?.get(slot)
    }

    #[inline]
    pub(crate) fn at_mut(&mut self, place: u32) -> Option<&mut T> {
        let (chunk, slot) = split(place);
        self.chunks.get_mut(chunk)?.get_mut(slot)
    }

    #[inline]
    pub(crate) fn of(&self, handle: Handle) -> Option<&T> {
        self.at(handle.place()?)
    }

    /// What is at the handle; something new if it is none.
    #[inline]
    pub(crate) fn of_or_new(&mut self, handle: &mut Handle) -> Option<&mut T> {
        let place = match handle.place() {
            Some(place) => place,
            None => {
                let place = self.add(T::default());
                *handle = Handle::new(place);
                place
            }
        };
        self.at_mut(place)
    }

    /// The first place from `place` on whose chunk has memory. Nothing may be there.
    #[inline]
    pub(crate) fn from(&self, place: u32) -> Option<u32> {
        let (chunk, slot) = split(place);
        if slot < self.chunks.get(chunk)?.len() {
            return Some(place);
        }
        let rest = self.chunks.get(chunk + 1..)?;
        let skipped = rest.iter().position(|chunk| !chunk.is_empty())?;
        Some(((chunk + 1 + skipped) << BITS) as u32)
    }

    /// All places with memory, what was removed among them.
    pub(crate) fn iter(&self) -> impl Iterator<Item = &T> {
        self.chunks.iter().flatten()
    }

    /// As [`Slab::iter`].
    pub(crate) fn iter_mut(&mut self) -> impl Iterator<Item = &mut T> {
        self.chunks.iter_mut().flatten()
    }

    pub(crate) fn add(&mut self, item: T) -> u32 {
        let chunk = self.lowest_with_room().unwrap_or_else(|| self.allocate());
        let (items, free) = (&mut self.chunks[chunk], &mut self.free[chunk]);
        let slot = match free.pop() {
            Some(slot) => {
                items[usize::from(slot)] = item;
                usize::from(slot)
            }
            None => {
                items.push(item);
                items.len() - 1
            }
        };
        if free.is_empty() && items.len() == CHUNK {
            self.roomy[chunk / 64] &= !(1 << (chunk % 64));
        }
        self.len += 1;
        (chunk << BITS | slot) as u32
    }

    /// Takes away what is at a place. To be called once for each thing that was added.
    pub(crate) fn remove(&mut self, place: u32) -> Option<T> {
        let (chunk, slot) = split(place);
        let item = mem::take(self.chunks.get_mut(chunk)?.get_mut(slot)?);
        self.free[chunk].push(slot as u16);
        self.len -= 1;
        self.roomy[chunk / 64] |= 1 << (chunk % 64);
        if self.free[chunk].len() == self.chunks[chunk].len() && self.others_have_room(chunk) {
            self.chunks[chunk] = Vec::new();
            self.free[chunk] = Vec::new();
            self.roomy[chunk / 64] &= !(1 << (chunk % 64));
            self.released.push(chunk as u32);
        }
        Some(item)
    }

    pub(crate) fn remove_handle(&mut self, handle: Handle) {
        handle.place().and_then(|place| self.remove(place));
    }

    /// Brings what lies in a chunk that is nearly empty to a lower one that has room, so that the memory can be given
    /// back; says where to.
    #[inline]
    pub(crate) fn move_down(&mut self, place: u32) -> Option<u32> {
        let (chunk, _) = split(place);
        if !self.is_lonely(chunk) {
            return None;
        }
        let item = self.remove(place)?;
        Some(self.add(item))
    }

    /// As [`Slab::move_down`].
    #[inline]
    pub(crate) fn move_down_handle(&mut self, handle: &mut Handle) {
        if let Some(place) = handle.place().and_then(|place| self.move_down(place)) {
            *handle = Handle::new(place);
        }
    }

    #[inline]
    fn is_lonely(&self, chunk: usize) -> bool {
        let used = |chunk: usize| self.chunks[chunk].len() - self.free[chunk].len();
        chunk > 0 && used(chunk) <= CHUNK / 8 && self.lowest_with_room().is_some_and(|lowest| lowest < chunk)
    }

    /// Places with memory.
    #[cfg(test)]
    pub(crate) fn capacity(&self) -> usize {
        self.chunks.iter().map(Vec::capacity).sum()
    }

    fn lowest_with_room(&self) -> Option<usize> {
        let word = self.roomy.iter().position(|word| *word != 0)?;
        Some(word * 64 + self.roomy[word].trailing_zeros() as usize)
    }

    /// Whoever adds one after the other shall not ask for memory each time.
    fn others_have_room(&self, chunk: usize) -> bool {
        let without = |at: usize| if at == chunk / 64 { 1 << (chunk % 64) } else { 0 };
        self.roomy.iter().enumerate().any(|(at, word)| word & !without(at) != 0)
    }

    #[cold]
    fn allocate(&mut self) -> usize {
        let chunk = self.released.pop().map_or(self.chunks.len(), |chunk| chunk as usize);
        if chunk == self.chunks.len() {
            self.chunks.push(Vec::new());
            self.free.push(Vec::new());
            self.roomy.resize(chunk / 64 + 1, 0);
        }
        // The first grows as it is used: few things need little memory.
        if chunk > 0 {
            self.chunks[chunk].reserve_exact(CHUNK);
        }
        self.roomy[chunk / 64] |= 1 << (chunk % 64);
        chunk
    }
}

#[inline]
fn split(place: u32) -> (usize, usize) {
    ((place >> BITS) as usize, place as usize & (CHUNK - 1))
}

#[cfg(test)]
mod tests {
    use std::collections::HashMap;

    use proptest::prelude::*;

    use super::{CHUNK, Slab};

    proptest! {
        #[test]
        fn agrees_with_a_map(ops in prop::collection::vec((0u32..4, any::<u64>()), 0..3000)) {
            let (mut slab, mut map) = (Slab::default(), HashMap::new());
            let mut places = Vec::new();
            for (op, value) in ops {
                if op > 0 || places.is_empty() {
                    let place = slab.add(value);
                    prop_assert_eq!(map.insert(place, value), None, "a place is given once");
                    places.push(place);
                } else {
                    let place = places.swap_remove(value as usize % places.len());
                    prop_assert_eq!(slab.remove(place), map.remove(&place));
                }
            }
            prop_assert_eq!(slab.len(), map.len());
            for (place, value) in map {
                prop_assert_eq!(slab.at(place), Some(&value));
            }
        }
    }

    #[test]
    fn the_memory_of_a_peak_is_given_back() {
        let mut slab = Slab::default();
        let places: Vec<u32> = (0..10 * CHUNK as u64).map(|n| slab.add(n)).collect();
        assert_eq!(slab.capacity(), 10 * CHUNK);
        for place in &places[100..] {
            slab.remove(*place);
        }
        assert!(slab.capacity() <= 2 * CHUNK, "{}", slab.capacity());
        assert_eq!((slab.len(), slab.at(99), slab.from(100)), (100, Some(&99), Some(100)));
        let last = (0..10 * CHUNK as u64).map(|n| slab.add(n)).max();
        assert_eq!(last, Some(10 * CHUNK as u32 + 99), "chunks are used again");
    }

    #[test]
    fn the_lowest_places_are_used_first() {
        let mut slab = Slab::default();
        let places: Vec<u32> = (0..3 * CHUNK as u64).map(|n| slab.add(n)).collect();
        for place in [places[3 * CHUNK - 1], places[7]] {
            slab.remove(place);
        }
        assert_eq!(slab.add(1), 7);
        assert_eq!(slab.add(1), 3 * CHUNK as u32 - 1);
        for place in &places[2 * CHUNK + 10..] {
            slab.remove(*place);
        }
        assert_eq!(slab.move_down(places[2 * CHUNK]), None, "no lower one has room");
        slab.remove(places[9]);
        assert_eq!(slab.move_down(places[2 * CHUNK]), Some(9));
        assert_eq!(slab.move_down(places[0]), None);
        assert_eq!(slab.at(9), Some(&(2 * CHUNK as u64)));
    }
}
