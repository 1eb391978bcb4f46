//! The set of keys of a map, shared by all maps that have the same keys.
//!
//! A million interfaces have a few dozen different sets of keys. Sharing the set makes a map as small as its values
//! and lets a scan find a field by comparing one pointer.

use std::hash::{BuildHasher, Hash, Hasher};
use std::sync::Arc;

use foldhash::fast::FixedState;
use smol_str::SmolStr;

use crate::{Map, Value};

/// A sorted set of keys without duplicates.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Shape(pub(crate) Arc<Vec<SmolStr>>);

impl Shape {
    /// The keys, ascending.
    #[inline]
    pub fn keys(&self) -> &[SmolStr] {
        &self.0
    }

    /// The position of `key`.
    #[inline]
    pub fn position(&self, key: &str) -> Option<usize> {
        self.0.binary_search_by(|k| k.as_str().cmp(key)).ok()
    }

    /// Whether the two are one and the same, which is cheaper than to ask whether they are equal.
    #[inline]
    pub fn is_same(&self, other: &Self) -> bool {
        Arc::ptr_eq(&self.0, &other.0)
    }
}

impl Hash for Shape {
    fn hash<H: Hasher>(&self, state: &mut H) {
        for key in self.0.iter() {
            key.hash(state);
        }
    }
}

/// The shapes in use by one owner of maps, each kept once. Shapes that no map has any more are dropped when the
/// table doubles, so it stays within twice the live ones.
#[derive(Debug, Default)]
pub struct Shapes {
    known: std::collections::HashMap<u64, Vec<Shape>>,
    /// The one given out last: elements of one kind come one after the other, and comparing is cheaper than hashing.
    last: Option<Shape>,
    len: usize,
    sweep_at: usize,
}

/// Below this many shapes sweeping is not worth a look.
const SWEEP_MIN: usize = 1024;

impl Shapes {
    /// Makes `map`, and the maps nested in it that nobody else holds, use the shared shape of their keys.
    pub fn share(&mut self, map: &mut Map) {
        map.shape = self.shared(&map.shape);
        map.values.shrink_to_fit();
        for value in &mut map.values {
            if let Value::Map(nested) = value
                && let Some(nested) = Arc::get_mut(nested)
            {
                self.share(nested);
            }
        }
    }

    /// Number of different shapes held.
    pub fn len(&self) -> usize {
        self.len
    }

    /// Whether none is held.
    pub fn is_empty(&self) -> bool {
        self.len == 0
    }

    fn shared(&mut self, shape: &Shape) -> Shape {
        if let Some(last) = self.last.as_ref().filter(|last| last.is_same(shape) || *last == shape) {
            return last.clone();
        }
        let found = self.find_or_add(shape);
        self.last = Some(found.clone());
        found
    }

    fn find_or_add(&mut self, shape: &Shape) -> Shape {
        let hash = FixedState::default().hash_one(shape);
        let same = self.known.entry(hash).or_default();
        if let Some(found) = same.iter().find(|known| *known == shape) {
            return found.clone();
        }
        let mut keys = (*shape.0).clone();
        keys.shrink_to_fit();
        let own = Shape(Arc::new(keys));
        same.push(own.clone());
        self.len += 1;
        if self.len > self.sweep_at.max(SWEEP_MIN) {
            self.sweep();
        }
        own
    }

    fn sweep(&mut self) {
        self.known.retain(|_, same| {
            same.retain(|shape| Arc::strong_count(&shape.0) > 1);
            !same.is_empty()
        });
        self.len = self.known.values().map(Vec::len).sum();
        self.sweep_at = self.len * 2;
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn equal_key_sets_share_and_unused_ones_go() {
        let mut shapes = Shapes::default();
        let mut a: Map = [("x", 1), ("y", 2)].into_iter().collect();
        let mut b: Map = [("y", 5), ("x", 4)].into_iter().collect();
        shapes.share(&mut a);
        shapes.share(&mut b);
        assert!(a.shape.is_same(&b.shape));
        for i in 0..5000 {
            let mut once: Map = [(format!("k{i}"), 1)].into_iter().collect();
            shapes.share(&mut once);
        }
        assert!(shapes.len() <= SWEEP_MIN + 2, "{}", shapes.len());
        assert_eq!(b.get("x"), Some(&Value::Int(4)));
    }
}
