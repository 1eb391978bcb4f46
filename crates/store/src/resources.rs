//! The store of resources as its users hold it.

use std::path::Path;
use std::sync::{Arc, PoisonError, RwLock, RwLockReadGuard};
use std::thread::{self, JoinHandle};

use skydive_graph::BoxFuture;
use skydive_proto::{Changes, Draft, Listing, Put, Resource, ResourceStore, StoreError};
use skydive_value::Clock;
use tokio::runtime;
use tokio::sync::{mpsc, oneshot, watch};

use crate::OpenError;
use crate::disk::Disk;
use crate::keeper::{Action, Keeper, Order};
use crate::shelf::Shelf;

/// Resources in a file of a directory, or in memory. Dropping it waits for what was ordered to be written.
pub struct Resources {
    shelf: Arc<RwLock<Shelf>>,
    /// Taken when dropped.
    orders: Option<mpsc::Sender<Order>>,
    revision: watch::Receiver<u64>,
    thread: Option<JoinHandle<()>>,
}

/// Orders that wait while others are written; who has another one waits.
const ORDERS: usize = 1024;

impl Resources {
    /// Those in `directory`, which is made when it is absent. No other program may have them open.
    pub fn open(directory: &Path, clock: Clock) -> Result<Self, OpenError> {
        let (disk, resources) = Disk::open(directory)?;
        Self::start(Shelf::of(resources), Some(disk), clock)
    }

    /// None yet, and none after the end of the program.
    pub fn in_memory(clock: Clock) -> Result<Self, OpenError> {
        Self::start(Shelf::default(), None, clock)
    }

    fn start(shelf: Shelf, disk: Option<Disk>, clock: Clock) -> Result<Self, OpenError> {
        let (revision_sender, revision) = watch::channel(shelf.revision());
        let shelf = Arc::new(RwLock::new(shelf));
        let (sender, orders) = mpsc::channel(ORDERS);
        let keeper = Keeper { shelf: shelf.clone(), disk, orders, revision: revision_sender, clock };
        let waiting =
            runtime::Builder::new_current_thread().enable_time().build().map_err(OpenError::Thread)?;
        let thread = thread::Builder::new()
            .name("resources".to_owned())
            .spawn(move || waiting.block_on(keeper.run()))
            .map_err(OpenError::Thread)?;
        Ok(Self { shelf, orders: Some(sender), revision, thread: Some(thread) })
    }

    fn shelf(&self) -> RwLockReadGuard<'_, Shelf> {
        self.shelf.read().unwrap_or_else(PoisonError::into_inner)
    }

    async fn order(&self, kind: &str, action: Action) -> Result<Resource, StoreError> {
        let (reply, answer) = oneshot::channel();
        let orders = self.orders.as_ref().ok_or(StoreError::Stopped)?;
        let order = Order { kind: kind.into(), action, reply };
        orders.send(order).await.map_err(|_| StoreError::Stopped)?;
        answer.await.map_err(|_| StoreError::Stopped)?
    }
}

impl ResourceStore for Resources {
    fn list<'a>(&'a self, kind: &'a str) -> BoxFuture<'a, Result<Listing, StoreError>> {
        Box::pin(async move { Ok(self.shelf().list(kind)) })
    }

    fn find<'a>(&'a self, kind: &'a str, id: &'a str) -> BoxFuture<'a, Result<Option<Resource>, StoreError>> {
        Box::pin(async move { Ok(self.shelf().find(kind, id).cloned()) })
    }

    fn put<'a>(
        &'a self,
        kind: &'a str,
        draft: Draft,
        when: Put,
    ) -> BoxFuture<'a, Result<Resource, StoreError>> {
        Box::pin(self.order(kind, Action::Put(draft, when)))
    }

    fn remove<'a>(&'a self, kind: &'a str, id: &'a str) -> BoxFuture<'a, Result<Resource, StoreError>> {
        Box::pin(self.order(kind, Action::Remove(id.into())))
    }

    fn changes<'a>(&'a self, kind: &'a str, revision: u64) -> BoxFuture<'a, Result<Changes, StoreError>> {
        let mut changed = self.revision.clone();
        Box::pin(async move {
            loop {
                changed.mark_unchanged();
                if let Some(changes) = self.shelf().changes(kind, revision) {
                    return Ok(changes);
                }
                changed.changed().await.map_err(|_| StoreError::Stopped)?;
            }
        })
    }
}

impl Drop for Resources {
    fn drop(&mut self) {
        self.orders = None;
        if let Some(thread) = self.thread.take()
            && thread.join().is_err()
        {
            tracing::error!("the thread that writes resources has ended by a defect");
        }
    }
}

#[cfg(test)]
mod tests {
    use std::sync::atomic::{AtomicI64, Ordering};
    use std::time::Duration;

    use skydive_proto::ResourceChange;
    use skydive_testnet::ScratchDir;
    use skydive_value::Timestamp;
    use tokio::time::timeout;

    use super::*;

    fn draft(id: &str) -> Draft {
        Draft { id: id.into(), json: format!("{{\"UUID\":{id:?}}}").into(), expires_at: None }
    }

    fn still() -> Clock {
        Clock::new(|| Timestamp::EPOCH)
    }

    async fn soon<T>(what: impl Future<Output = T>) -> T {
        timeout(Duration::from_secs(20), what).await.unwrap()
    }

    #[tokio::test]
    async fn both_kinds_of_store_do_the_same_and_one_remembers() {
        let scratch = ScratchDir::new("resources").unwrap();
        for is_kept in [true, false] {
            let open = || {
                if is_kept { Resources::open(scratch.path(), still()) } else { Resources::in_memory(still()) }
            };
            let store = open().unwrap();
            let a = store.put("k", draft("a"), Put::New).await.unwrap();
            assert_eq!(store.put("k", draft("a"), Put::New).await, Err(StoreError::Exists));
            assert_eq!(store.put("k", draft("x"), Put::Over(1)).await, Err(StoreError::Missing));
            store.put("other", draft("a"), Put::New).await.unwrap();
            let a = store.put("k", draft("a"), Put::Over(a.revision)).await.unwrap();
            assert_eq!(store.put("k", draft("a"), Put::Over(1)).await, Err(StoreError::Changed));
            store.put("k", draft("b"), Put::New).await.unwrap();
            assert_eq!(store.remove("k", "b").await.unwrap().id, "b");
            assert_eq!(store.remove("k", "b").await, Err(StoreError::Missing));
            assert_eq!(store.find("k", "a").await, Ok(Some(a.clone())));
            assert_eq!(store.list("k").await.unwrap().resources, std::slice::from_ref(&a));
            drop(store);
            let kept = open().unwrap().list("k").await.unwrap().resources;
            assert_eq!(kept, if is_kept { vec![a] } else { vec![] });
        }
    }

    #[tokio::test]
    async fn followers_hear_of_changes_after_their_list() {
        let store = Arc::new(Resources::in_memory(still()).unwrap());
        store.put("k", draft("a"), Put::New).await.unwrap();
        let listing = store.list("k").await.unwrap();
        let following = tokio::spawn({
            let store = store.clone();
            async move { store.changes("k", listing.revision).await }
        });
        store.put("other", draft("x"), Put::New).await.unwrap();
        store.remove("k", "a").await.unwrap();
        let Changes::These { changes, revision } = soon(following).await.unwrap().unwrap() else {
            panic!("missed")
        };
        assert!(matches!(&changes[..], [ResourceChange::Removed(gone)] if gone.id == "a"));
        assert!(timeout(Duration::from_millis(20), store.changes("k", revision)).await.is_err());
        assert_eq!(store.changes("k", revision + 5).await, Ok(Changes::Missed));
    }

    #[tokio::test]
    async fn a_resource_goes_when_its_time_has_come() {
        let ms = Arc::new(AtomicI64::new(0));
        let read = ms.clone();
        let clock = Clock::new(move || Timestamp::from_millis(read.load(Ordering::Relaxed)));
        let store = Resources::in_memory(clock).unwrap();
        let expiring = Draft { expires_at: Some(Timestamp::from_millis(4_500)), ..draft("a") };
        let put = store.put("k", expiring, Put::New).await.unwrap();
        assert_eq!(put.expires_at, Some(Timestamp::from_millis(4_500)));
        ms.store(4_500, Ordering::Relaxed);
        let changes = soon(store.changes("k", put.revision)).await.unwrap();
        assert!(
            matches!(changes, Changes::These { changes, .. } if matches!(&changes[..], [ResourceChange::Removed(_)]))
        );
        assert_eq!(store.find("k", "a").await, Ok(None));
    }

    /// Many at once go with few syncs; each is there afterwards.
    #[tokio::test]
    async fn many_writers_at_once_are_all_kept() {
        let scratch = ScratchDir::new("resources").unwrap();
        let store = Arc::new(Resources::open(scratch.path(), still()).unwrap());
        let writers: Vec<_> = (0..500)
            .map(|i| {
                let store = store.clone();
                tokio::spawn(
                    async move { store.put("k", draft(&format!("{i:03}")), Put::New).await.unwrap() },
                )
            })
            .collect();
        for writer in writers {
            writer.await.unwrap();
        }
        drop(Arc::into_inner(store));
        let store = Resources::open(scratch.path(), still()).unwrap();
        assert_eq!(store.list("k").await.unwrap().resources.len(), 500);
    }
}
