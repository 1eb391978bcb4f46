//! A growable array whose clones share what neither has written since.
//!
//! A tree of fixed depth: root → pages → chunks → items, each behind `Arc`. Cloning it copies one pointer; the first
//! write to a chunk after that copies the chunk and the way to it. Sizes were decided by measurement, see
//! `docs/decisions/001-snapshots.md`.

use std::hint::black_box;
use std::sync::Arc;

/// Items in a chunk: what the first write after a snapshot copies.
const CHUNK: usize = 32;
/// Chunks in a page.
const PAGE: usize = 64;

/// What is kept in [`Chunks`].
pub(crate) trait Item: Clone + Default {
    /// Reads the memory that cloning the item will write. Reads of many items overlap in the processor, the atomic
    /// increments of their clones do not: touching a whole chunk first more than halves the price of copying it.
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
struct Page<T: Item>([Option<Arc<Chunk<T>>>; PAGE]);

#[derive(Debug)]
struct Chunk<T: Item>([T; CHUNK]);

impl<T: Item> Chunks<T> {
    /// Number of places, used or default.
    pub(crate) fn len(&self) -> usize {
        self.len
    }

    pub(crate) fn at(&self, i: usize) -> Option<&T> {
        let page = self.root.get(i / (PAGE * CHUNK))?;
        let chunk = page.0[i / CHUNK % PAGE].as_ref()?;
        Some(&chunk.0[i % CHUNK])
    }

    /// The place `i`, for writing. The array grows to hold it.
    pub(crate) fn at_mut(&mut self, i: usize) -> &mut T {
        self.len = self.len.max(i + 1);
        if self.root.len() <= i / (PAGE * CHUNK) {
            let root = Arc::make_mut(&mut self.root);
            root.resize_with(i / (PAGE * CHUNK) + 1, || Arc::new(Page(std::array::from_fn(|_| None))));
        }
        if Arc::strong_count(&self.root) > 1 {
            touch_all(self.root.iter());
        }
        let page = Arc::make_mut(&mut Arc::make_mut(&mut self.root)[i / (PAGE * CHUNK)]);
        let chunk = page.0[i / CHUNK % PAGE]
            .get_or_insert_with(|| Arc::new(Chunk(std::array::from_fn(|_| T::default()))));
        &mut Arc::make_mut(chunk).0[i % CHUNK]
    }

    /// All places in order.
    pub(crate) fn iter(&self) -> impl Iterator<Item = (usize, &T)> {
        self.root.iter().enumerate().flat_map(move |(p, page)| {
            page.0.iter().enumerate().filter_map(move |(c, chunk)| Some((c, chunk.as_ref()?))).flat_map(
                move |(c, chunk)| {
                    chunk.0.iter().enumerate().map(move |(i, item)| ((p * PAGE + c) * CHUNK + i, item))
                },
            )
        })
    }
}

/// See [`Item::touch`].
fn touch_all<'a, T: 'a>(shared: impl Iterator<Item = &'a Arc<T>>) {
    black_box(shared.map(Arc::strong_count).sum::<usize>());
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
        touch_all(self.0.iter().flatten());
        Self(self.0.clone())
    }
}

impl<T: Item> Clone for Chunk<T> {
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
}
