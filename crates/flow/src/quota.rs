//! How many flows several tables may have together.
//!
//! A flow has a fixed size beside what its packets choose ([`crate::TableConfig::max_extra_bytes`]), so their number is
//! a bound of memory. Tables of several threads share it: each takes some flows at a time, and gives back what it does
//! not need when it has looked at its flows.

use std::sync::Arc;
use std::sync::atomic::{AtomicUsize, Ordering};

/// Flows that tables may have together. Clones share them.
///
/// A table has room for [`Quota::FREE`] flows beside them, so that none is without.
#[derive(Clone, Debug)]
pub struct Quota(Arc<AtomicUsize>);

impl Quota {
    /// Flows of each table that are not counted.
    pub const FREE: usize = 64;

    /// For so many flows.
    pub fn new(flows: usize) -> Self {
        Self(Arc::new(AtomicUsize::new(flows)))
    }

    /// Flows that no table has asked for. Tables ask for up to 64 at a time, fewer when little is left.
    pub fn left(&self) -> usize {
        // Nothing else is read by it.
        self.0.load(Ordering::Relaxed)
    }

    fn take(&self) -> usize {
        let some = |left: usize| (left / 1024).clamp(1, 64).min(left);
        let taken = self.0.fetch_update(Ordering::Relaxed, Ordering::Relaxed, |left| Some(left - some(left)));
        taken.map_or(0, some)
    }

    fn give(&self, flows: usize) {
        self.0.fetch_add(flows, Ordering::Relaxed);
    }
}

/// What a table has of a quota. It is given back when this is dropped.
#[derive(Debug)]
pub(crate) struct Share {
    quota: Option<Quota>,
    /// Flows that the table may have.
    flows: usize,
}

impl Share {
    /// None of a quota yet; without a quota there is no bound.
    pub(crate) fn of(quota: Option<Quota>) -> Self {
        let flows = if quota.is_some() { Quota::FREE } else { usize::MAX };
        Self { quota, flows }
    }

    /// Whether a table with `flows` flows may have one more.
    #[inline]
    pub(crate) fn has_room(&mut self, flows: usize) -> bool {
        flows < self.flows || self.grow()
    }

    #[cold]
    fn grow(&mut self) -> bool {
        let more = self.quota.as_ref().map_or(0, Quota::take);
        self.flows = self.flows.saturating_add(more);
        more > 0
    }

    /// Gives back what a table with `flows` flows does not need.
    pub(crate) fn shrink(&mut self, flows: usize) {
        if let Some(quota) = &self.quota {
            let needed = flows.max(Quota::FREE);
            quota.give(self.flows.saturating_sub(needed));
            self.flows = self.flows.min(needed);
        }
    }
}

impl Drop for Share {
    fn drop(&mut self) {
        self.shrink(0);
    }
}

#[cfg(test)]
mod tests {
    use super::{Quota, Share};

    #[test]
    fn shares_are_of_what_is_left_and_come_back() {
        let quota = Quota::new(3);
        let (mut one, mut other) = (Share::of(Some(quota.clone())), Share::of(Some(quota.clone())));
        assert!(one.has_room(63) && quota.left() == 3, "those that are free");
        assert!(one.has_room(64) && one.has_room(65) && other.has_room(64));
        assert!(!one.has_room(66) && !other.has_room(65) && one.has_room(65));
        one.shrink(65);
        assert_eq!(quota.left(), 1);
        drop(one);
        assert!(other.has_room(65) && quota.left() == 1);
        drop(other);
        assert_eq!(quota.left(), 3);
        assert!(Share::of(None).has_room(usize::MAX - 1));
    }

    #[test]
    fn threads_share_it_exactly() {
        let quota = Quota::new(100_000);
        std::thread::scope(|scope| {
            for _ in 0..4 {
                scope.spawn(|| {
                    for _ in 0..20 {
                        let mut share = Share::of(Some(quota.clone()));
                        let had = (0..10_000).take_while(|flows| share.has_room(*flows)).count();
                        assert_eq!(had, 10_000);
                        share.shrink(5_000);
                    }
                });
            }
        });
        assert_eq!(quota.left(), 100_000);
    }
}
