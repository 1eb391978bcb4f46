//! The resources in memory, and what happened to them lately.

use std::collections::{BTreeMap, BTreeSet, VecDeque};

use skydive_proto::{Changes, Draft, Listing, Put, Resource, ResourceChange, StoreError};
use skydive_value::{SmolStr, Timestamp};

/// All resources as readers see them.
#[derive(Debug, Default)]
pub(crate) struct Shelf {
    kinds: BTreeMap<SmolStr, BTreeMap<SmolStr, Resource>>,
    expiring: BTreeSet<(Timestamp, Name)>,
    /// Newest last.
    log: VecDeque<Entry>,
    /// Number of the last change that the log no longer holds.
    forgotten: u64,
    revision: u64,
}

/// A kind and an id.
pub(crate) type Name = (SmolStr, SmolStr);

/// A change that is to be made, or was.
#[derive(Clone, Debug)]
pub(crate) struct Entry {
    pub(crate) revision: u64,
    pub(crate) kind: SmolStr,
    pub(crate) change: ResourceChange,
}

/// Changes on top of a shelf that nobody sees yet.
pub(crate) struct Pending<'s> {
    shelf: &'s Shelf,
    staged: BTreeMap<Name, Option<Resource>>,
    pub(crate) entries: Vec<Entry>,
}

/// Changes that followers can still be told of.
const LOG: usize = 1024;

impl Shelf {
    /// A shelf with what was read from a disk.
    pub(crate) fn of(resources: impl IntoIterator<Item = (SmolStr, Resource)>) -> Self {
        let mut shelf = Self::default();
        for (kind, resource) in resources {
            shelf.revision = shelf.revision.max(resource.revision);
            shelf.insert(&kind, resource);
        }
        shelf.forgotten = shelf.revision;
        shelf
    }

    pub(crate) fn list(&self, kind: &str) -> Listing {
        let resources = self.kinds.get(kind).map(|known| known.values().cloned().collect());
        Listing { resources: resources.unwrap_or_default(), revision: self.revision }
    }

    pub(crate) fn find(&self, kind: &str, id: &str) -> Option<&Resource> {
        self.kinds.get(kind)?.get(id)
    }

    /// What happened to a kind after `revision`; `None` when nothing did.
    pub(crate) fn changes(&self, kind: &str, revision: u64) -> Option<Changes> {
        // A follower that has seen more than there is followed another store.
        if revision < self.forgotten || revision > self.revision {
            return Some(Changes::Missed);
        }
        let start = self.log.partition_point(|entry| entry.revision <= revision);
        let changes: Vec<ResourceChange> = self
            .log
            .range(start..)
            .filter(|entry| entry.kind == kind)
            .map(|entry| entry.change.clone())
            .collect();
        (!changes.is_empty()).then_some(Changes::These { changes, revision: self.revision })
    }

    pub(crate) fn revision(&self) -> u64 {
        self.revision
    }

    /// When the next resource goes by itself.
    pub(crate) fn next_expiry(&self) -> Option<Timestamp> {
        self.expiring.first().map(|(at, _)| *at)
    }

    pub(crate) fn pending(&self) -> Pending<'_> {
        Pending { shelf: self, staged: BTreeMap::new(), entries: Vec::new() }
    }

    /// Makes changes seen.
    pub(crate) fn commit(&mut self, entries: Vec<Entry>) {
        for entry in entries {
            match &entry.change {
                ResourceChange::Stored(resource) => self.insert(&entry.kind, resource.clone()),
                ResourceChange::Removed(resource) => self.take(&entry.kind, &resource.id),
            }
            self.revision = entry.revision;
            self.log.push_back(entry);
        }
        while self.log.len() > LOG {
            self.forgotten = self.log.pop_front().map_or(self.forgotten, |entry| entry.revision);
        }
    }

    fn insert(&mut self, kind: &SmolStr, resource: Resource) {
        self.take(kind, &resource.id);
        if let Some(at) = resource.expires_at {
            self.expiring.insert((at, (kind.clone(), resource.id.clone())));
        }
        self.kinds.entry(kind.clone()).or_default().insert(resource.id.clone(), resource);
    }

    fn take(&mut self, kind: &SmolStr, id: &SmolStr) {
        let Some(old) = self.kinds.get_mut(kind).and_then(|known| known.remove(id)) else { return };
        if let Some(at) = old.expires_at {
            self.expiring.remove(&(at, (kind.clone(), old.id)));
        }
    }
}

impl Pending<'_> {
    pub(crate) fn put(&mut self, kind: &SmolStr, draft: Draft, when: Put) -> Result<Resource, StoreError> {
        match (self.find(kind, &draft.id), when) {
            (None, Put::New) => {}
            (Some(_), Put::New) => return Err(StoreError::Exists),
            (Some(known), Put::Over(revision)) if known.revision == revision => {}
            (Some(_), Put::Over(_)) => return Err(StoreError::Changed),
            (None, Put::Over(_)) => return Err(StoreError::Missing),
        }
        let Draft { id, json, expires_at } = draft;
        let resource = Resource { id, json, revision: self.next_revision(), expires_at };
        self.stage(kind, Some(resource.clone()), ResourceChange::Stored(resource.clone()));
        Ok(resource)
    }

    pub(crate) fn remove(&mut self, kind: &SmolStr, id: &str) -> Result<Resource, StoreError> {
        let known = self.find(kind, id).cloned().ok_or(StoreError::Missing)?;
        self.stage(kind, None, ResourceChange::Removed(known.clone()));
        Ok(known)
    }

    /// Removes what has had its time.
    pub(crate) fn expire(&mut self, now: Timestamp) {
        let due = self.shelf.expiring.iter().take_while(|(at, _)| *at <= now);
        for (_, (kind, id)) in due {
            if self.remove(kind, id).is_ok() {
                tracing::debug!(%kind, %id, "resource has expired");
            }
        }
    }

    fn find(&self, kind: &SmolStr, id: &str) -> Option<&Resource> {
        let name = (kind.clone(), SmolStr::from(id));
        match self.staged.get(&name) {
            Some(staged) => staged.as_ref(),
            None => self.shelf.find(kind, id),
        }
    }

    fn next_revision(&self) -> u64 {
        self.entries.last().map_or(self.shelf.revision, |entry| entry.revision) + 1
    }

    fn stage(&mut self, kind: &SmolStr, becomes: Option<Resource>, change: ResourceChange) {
        let (ResourceChange::Stored(resource) | ResourceChange::Removed(resource)) = &change;
        let name = (kind.clone(), resource.id.clone());
        let revision = self.next_revision();
        self.entries.push(Entry { revision, kind: kind.clone(), change });
        self.staged.insert(name, becomes);
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn draft(id: &str) -> Draft {
        Draft { id: id.into(), json: "{}".into(), expires_at: None }
    }

    fn put(shelf: &mut Shelf, kind: &str, id: &str) {
        let mut pending = shelf.pending();
        pending.put(&kind.into(), draft(id), Put::New).unwrap();
        let entries = pending.entries;
        shelf.commit(entries);
    }

    #[test]
    fn changes_in_one_batch_see_each_other() {
        let mut shelf = Shelf::default();
        let kind = SmolStr::from("k");
        let mut pending = shelf.pending();
        let first = pending.put(&kind, draft("a"), Put::New).unwrap();
        assert_eq!(pending.put(&kind, draft("a"), Put::New), Err(StoreError::Exists));
        let second = pending.put(&kind, draft("a"), Put::Over(first.revision)).unwrap();
        assert_eq!(pending.put(&kind, draft("a"), Put::Over(first.revision)), Err(StoreError::Changed));
        assert_eq!(pending.remove(&kind, "a").unwrap(), second);
        assert_eq!(pending.remove(&kind, "a"), Err(StoreError::Missing));
        let entries = pending.entries;
        assert_eq!(shelf.revision(), 0);
        shelf.commit(entries);
        assert_eq!((shelf.revision(), shelf.list("k").resources.len()), (3, 0));
        let Some(Changes::These { changes, revision: 3 }) = shelf.changes("k", 0) else {
            panic!("no changes")
        };
        assert_eq!(changes.len(), 3);
    }

    #[test]
    fn a_follower_who_is_late_is_told() {
        let mut shelf = Shelf::default();
        put(&mut shelf, "other", "a");
        assert_eq!(shelf.changes("k", 0), None);
        for i in 0..=LOG {
            put(&mut shelf, "k", &format!("{i}"));
        }
        assert_eq!(shelf.changes("k", 0), Some(Changes::Missed));
        assert_eq!(shelf.changes("k", 1_000_000), Some(Changes::Missed));
        let last = shelf.revision();
        assert!(
            matches!(shelf.changes("k", last - 1), Some(Changes::These { changes, .. }) if changes.len() == 1)
        );
        assert_eq!(shelf.changes("k", last), None);
    }

    #[test]
    fn expiry_is_exact_and_ends_with_its_resource() {
        let mut shelf = Shelf::default();
        let expiring = Draft { expires_at: Some(Timestamp::from_millis(1500)), ..draft("a") };
        let mut pending = shelf.pending();
        let kind = SmolStr::from("k");
        pending.put(&kind, expiring, Put::New).unwrap();
        let entries = pending.entries;
        shelf.commit(entries);
        assert_eq!(shelf.next_expiry(), Some(Timestamp::from_millis(1500)));
        let mut pending = shelf.pending();
        pending.expire(Timestamp::from_millis(1499));
        assert!(pending.entries.is_empty());
        pending.expire(Timestamp::from_millis(1500));
        let entries = pending.entries;
        shelf.commit(entries);
        assert_eq!((shelf.next_expiry(), shelf.find("k", "a")), (None, None));
    }
}
