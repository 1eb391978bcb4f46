//! A growable array whose clones share what neither has written since.
//!
//! A tree of fixed depth: root → pages → chunks → items, each behind `Arc`. Cloning it copies one pointer. The first
//! write to a chunk after that does not copy the chunk but puts a patch on it: copying means to count up, and later
//! down, references in as many cold places of memory as the chunk has items. A chunk with [`PATCHES`] patches is
//! copied; one that nobody shares any more takes its patches in. Sizes and the patches were decided by measurement,
//! see `docs/decisions/001-snapshots.md`.

use std::hint::black_box;

use triomphe::Arc;

/// Items in a chunk.
const CHUNK: usize = 32;
/// Chunks in a page: what the first write to a page after a snapshot copies.
const PAGE: usize = 64;
/// Patches on a chunk before it is copied.
const PATCHES: usize = 6;

/// What is kept in [`Chunks`].
pub(crate) trait Item: Clone + Default {
    /// Reads the memory that cloning the item will write. Reads of many items overlap in the processor, the atomic
    /// increments of their clones do not.
    fn touch(&self) -> usize {
        0
    }
}

#[derive(Debug)]
pub(crate) struct Chunks<T: Item> {
    root: Arc<Vec<Arc<Page<T>>>>,
    len: usize,
}

#[derive(Debug)]
struct Page<T: Item>([Chunk<T>; PAGE]);

#[derive(Clone, Debug, Default)]
enum Chunk<T: Item> {
    /// Never written.
    #[default]
    Empty,
    /// All items as they are.
    Plain(Arc<Items<T>>),
    /// Items of which some have been replaced.
    Patched(Arc<Patched<T>>),
}

/// All in one piece of memory, and what is asked first stands first: whoever reads an item waits once to know where
/// it is.
#[derive(Debug)]
#[repr(C)]
struct Patched<T: Item> {
    /// A bit for each place that has a patch.
    mask: u32,
    len: u8,
    /// The place of each patch.
    places: [u8; PATCHES],
    base: Arc<Items<T>>,
    patches: [T; PATCHES],
}

#[derive(Debug)]
struct Items<T: Item>([T; CHUNK]);

impl<T: Item> Chunks<T> {
    /// Number of places, used or default.
    pub(crate) fn len(&self) -> usize {
        self.len
    }

    #[inline]
    pub(crate) fn at(&self, i: usize) -> Option<&T> {
        let page = self.root.get(i / (PAGE * CHUNK))?;
        page.0[i / CHUNK % PAGE].at(i % CHUNK)
    }

    /// The place `i`, for writing. The array grows to hold it.
    #[inline]
    pub(crate) fn at_mut(&mut self, i: usize) -> &mut T {
        self.len = self.len.max(i + 1);
        if self.root.len() <= i / (PAGE * CHUNK) {
            let root = Arc::make_mut(&mut self.root);
            root.resize_with(i / (PAGE * CHUNK) + 1, || {
                Arc::new(Page(std::array::from_fn(|_| Chunk::Empty)))
            });
        }
        if Arc::strong_count(&self.root) > 1 {
            black_box(self.root.iter().map(Arc::strong_count).sum::<usize>());
        }
        let page = Arc::make_mut(&mut Arc::make_mut(&mut self.root)[i / (PAGE * CHUNK)]);
        page.0[i / CHUNK % PAGE].at_mut(i % CHUNK)
    }

    /// All places in order, a chunk at a time.
    pub(crate) fn chunks(&self) -> impl Iterator<Item = [&T; CHUNK]> {
        self.root.iter().flat_map(|page| page.0.iter()).filter_map(Chunk::items)
    }

    /// All places in order.
    pub(crate) fn iter(&self) -> impl Iterator<Item = (usize, &T)> {
        self.root.iter().enumerate().flat_map(move |(p, page)| {
            page.0.iter().enumerate().filter_map(|(c, chunk)| Some((c, chunk.items()?))).flat_map(
                move |(c, items)| {
                    items.into_iter().enumerate().map(move |(i, item)| ((p * PAGE + c) * CHUNK + i, item))
                },
            )
        })
    }
}

impl<T: Item> Chunk<T> {
    #[inline]
    fn at(&self, i: usize) -> Option<&T> {
        match self {
            Self::Empty => None,
            Self::Plain(items) => Some(&items.0[i]),
            Self::Patched(patched) => Some(patched.at(i)),
        }
    }

    #[inline]
    fn items(&self) -> Option<[&T; CHUNK]> {
        match self {
            Self::Empty => None,
            Self::Plain(items) => Some(items.0.each_ref()),
            Self::Patched(patched) => {
                let mut items = patched.base.0.each_ref();
                for (i, item) in patched.patches() {
                    items[i] = item;
                }
                Some(items)
            }
        }
    }

    #[inline]
    fn at_mut(&mut self, i: usize) -> &mut T {
        self.make_writable(i);
        match self {
            Self::Plain(items) => &mut Arc::make_mut(items).0[i],
            Self::Patched(patched) => Arc::make_mut(patched).at_mut(i),
            Self::Empty => unreachable!("made writable above"),
        }
    }

    /// Chooses the cheapest way to write place `i`: in place, by a patch, or in a copy.
    #[inline]
    fn make_writable(&mut self, i: usize) {
        match self {
            Self::Empty => *self = Self::Plain(Arc::new(Items(std::array::from_fn(|_| T::default())))),
            Self::Plain(items) => {
                if Arc::get_mut(items).is_none() {
                    *self = Self::Patched(Arc::new(Patched::of(items.clone())));
                }
            }
            Self::Patched(patched) => {
                let alone = Arc::get_mut(patched).is_some_and(|own| Arc::get_mut(&mut own.base).is_some());
                let full = usize::from(patched.len) == PATCHES && !patched.has(i);
                if alone || full {
                    let Self::Patched(patched) = std::mem::take(self) else { return };
                    *self = Self::Plain(Arc::unwrap_or_clone(patched).into_items());
                }
            }
        }
    }
}

impl<T: Item> Patched<T> {
    fn of(base: Arc<Items<T>>) -> Self {
        Self { mask: 0, len: 0, places: [0; PATCHES], base, patches: std::array::from_fn(|_| T::default()) }
    }

    #[inline]
    fn has(&self, i: usize) -> bool {
        self.mask >> i & 1 != 0
    }

    /// The patches, each with its place.
    fn patches(&self) -> impl Iterator<Item = (usize, &T)> {
        self.places.iter().map(|place| usize::from(*place)).zip(&self.patches).take(self.len.into())
    }

    #[inline]
    fn at(&self, i: usize) -> &T {
        let patch = if self.has(i) { self.patches().find(|(place, _)| *place == i) } else { None };
        patch.map_or(&self.base.0[i], |(_, item)| item)
    }

    /// The patch of a place, made if there is none; the caller knows that there is room.
    fn at_mut(&mut self, i: usize) -> &mut T {
        let known = self.patches().position(|(place, _)| place == i);
        let at = known.unwrap_or_else(|| {
            let at = usize::from(self.len);
            self.places[at] = i as u8;
            self.patches[at] = self.base.0[i].clone();
            self.mask |= 1 << i;
            self.len += 1;
            at
        });
        &mut self.patches[at]
    }

    /// The items with the patches taken in.
    fn into_items(self) -> Arc<Items<T>> {
        let Self { len, places, mut base, patches, .. } = self;
        let items = Arc::make_mut(&mut base);
        for (place, item) in places.into_iter().zip(patches).take(len.into()) {
            items.0[usize::from(place)] = item;
        }
        base
    }
}

impl<T: Item> Clone for Patched<T> {
    fn clone(&self) -> Self {
        let Self { mask, len, places, base, patches } = self;
        Self { mask: *mask, len: *len, places: *places, base: base.clone(), patches: patches.clone() }
    }
}

impl<T: Item> Clone for Chunks<T> {
    fn clone(&self) -> Self {
        Self { root: self.root.clone(), len: self.len }
    }
}

impl<T: Item> Default for Chunks<T> {
    fn default() -> Self {
        Self { root: Arc::default(), len: 0 }
    }
}

impl<T: Item> Clone for Page<T> {
    fn clone(&self) -> Self {
        let count = |chunk: &Chunk<T>| match chunk {
            Chunk::Empty => 0,
            Chunk::Plain(items) => Arc::strong_count(items),
            Chunk::Patched(patched) => Arc::strong_count(patched),
        };
        black_box(self.0.iter().map(count).sum::<usize>());
        Self(self.0.clone())
    }
}

impl<T: Item> Clone for Items<T> {
    fn clone(&self) -> Self {
        black_box(self.0.iter().map(Item::touch).sum::<usize>());
        Self(self.0.clone())
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    impl Item for u32 {}

    #[test]
    fn a_clone_keeps_what_it_saw() {
        let mut now = Chunks::<u32>::default();
        for i in 0..10_000 {
            *now.at_mut(i) = i as u32;
        }
        let then = now.clone();
        for i in (0..10_000).step_by(7) {
            *now.at_mut(i) = 0;
        }
        *now.at_mut(20_000) = 1;
        assert!(then.iter().take(10_000).all(|(i, v)| i as u32 == *v));
        assert_eq!((then.len(), now.len()), (10_000, 20_001));
        assert_eq!((now.at(20_000), then.at(20_000)), (Some(&1), None));
        assert_eq!(now.at(14), Some(&0));
    }

    #[test]
    fn patches_are_taken_in_when_nobody_shares() {
        let mut now = Chunks::<u32>::default();
        let mut model = vec![0; 64];
        for round in 1..200u32 {
            let then = now.clone();
            let expected = model.clone();
            for k in 0..round % 9 {
                let i = (round * 7 + k * 13) as usize % 64;
                *now.at_mut(i) = round;
                model[i] = round;
            }
            let seen = |c: &Chunks<u32>| (0..64).map(|i| c.at(i).copied().unwrap_or(0)).collect::<Vec<_>>();
            assert_eq!((seen(&then), seen(&now)), (expected, model.clone()));
            assert!(now.iter().all(|(i, v)| model[i] == *v));
        }
        *now.at_mut(0) = 1;
        *now.at_mut(40) = 1;
        assert!(now.root[0].0[..2].iter().all(|c| matches!(c, Chunk::Plain(_))));
    }
}
