//! What users want and what there is, followed together: what the tasks of captures and of rules have in common.
//!
//! Such a task hears of changes of resources and of the graph ([`Following`]), waits a little so that what comes
//! together is looked at together ([`Pace`]), and then works on a snapshot where blocking is allowed ([`work`]). Nothing
//! is remembered of events but that there were some: the snapshot has all of them.

use std::future::{Future, poll_fn};
use std::sync::Arc;
use std::task::Poll;
use std::time::Duration;

use skydive_api::{Ended, LiveGraph, Stopped, Subscription};
use skydive_graph::GraphEvent;
use skydive_proto::{Changes, Listing, Resource, ResourceChange, ResourceStore, StoreError};
use skydive_query::{Cx, Stop};
use tokio::task::{JoinError, spawn_blocking};
use tokio::time::{Instant, sleep_until, timeout};
use tokio_util::sync::CancellationToken;

/// Kinds of resources and a graph as a task follows them.
pub(crate) struct Following {
    live: LiveGraph,
    store: Arc<dyn ResourceStore>,
    /// How far each kind was followed; `None` when it has to be read.
    kinds: Vec<(&'static str, Option<u64>)>,
    /// `None` when it has to be followed anew.
    events: Option<Subscription>,
}

/// What happened.
pub(crate) enum Heard {
    /// These are all resources of a kind.
    All(&'static str, Vec<Resource>),
    /// Resources of a kind were stored or removed.
    Changed(&'static str, Vec<ResourceChange>),
    /// The graph has changed; `None` when too much happened to be told.
    Graph(Option<Arc<[GraphEvent]>>),
}

/// Why a task ends early.
pub(crate) enum Over {
    Graph,
    Store(StoreError),
}

/// Times between looks.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Pauses {
    /// From a change to the look.
    pub(crate) soon: Duration,
    /// Least time between two looks.
    pub(crate) least: Duration,
    /// Longest time between two looks that changed something, but for [`SHARE`].
    pub(crate) longest: Duration,
}

/// When to look next.
#[derive(Debug)]
pub(crate) struct Pace {
    pauses: Pauses,
    due: Option<Instant>,
    not_before: Instant,
    /// The same had the looks before changed nothing.
    rested: Instant,
    pause: Duration,
}

/// Ends work that nobody waits for any more.
struct Expiring(Stop);

/// A look takes at most this part of the time.
const SHARE: u32 = 5;
/// Events that may wait while a look is taken.
const EVENTS: usize = 1024;

impl Following {
    /// Everything that is there is told first.
    pub(crate) fn new(live: LiveGraph, store: Arc<dyn ResourceStore>, kinds: &[&'static str]) -> Self {
        Self { live, store, kinds: kinds.iter().map(|kind| (*kind, None)).collect(), events: None }
    }

    /// The next thing that happens. Safe to drop while waiting.
    pub(crate) async fn next(&mut self) -> Result<Heard, Over> {
        loop {
            if let Some((kind, seen)) = self.kinds.iter_mut().find(|(_, seen)| seen.is_none()) {
                let Listing { resources, revision } = self.store.list(kind).await?;
                *seen = Some(revision);
                return Ok(Heard::All(kind, resources));
            }
            let Some(events) = &mut self.events else {
                self.events = Some(self.live.subscribe(EVENTS).await?);
                return Ok(Heard::Graph(None));
            };
            tokio::select! {
                (at, changes) = first_change(&*self.store, &self.kinds) => {
                    let (kind, seen) = &mut self.kinds[at];
                    match changes? {
                        Changes::These { changes, revision } => {
                            *seen = Some(revision);
                            return Ok(Heard::Changed(kind, changes));
                        }
                        Changes::Missed => *seen = None,
                    }
                }
                batch = events.next() => match batch {
                    Ok(batch) => return Ok(Heard::Graph(Some(batch))),
                    Err(Ended::Lost { .. }) => self.events = None,
                    Err(Ended::Stopped) => return Err(Over::Graph),
                },
            }
        }
    }
}

/// The first change of one of the kinds, with its place among them.
async fn first_change(
    store: &dyn ResourceStore,
    kinds: &[(&'static str, Option<u64>)],
) -> (usize, Result<Changes, StoreError>) {
    let changes = |(kind, seen): &(&'static str, Option<u64>)| store.changes(kind, seen.unwrap_or_default());
    let mut waiting: Vec<_> = kinds.iter().map(changes).collect();
    poll_fn(|cx| {
        for (at, changes) in waiting.iter_mut().enumerate() {
            if let Poll::Ready(changes) = changes.as_mut().poll(cx) {
                return Poll::Ready((at, changes));
            }
        }
        Poll::Pending
    })
    .await
}

/// Whether what is wanted may be something else after an event. What a look has changed itself is looked at once more,
/// and found as it should be.
pub(crate) fn concerns(event: &GraphEvent) -> bool {
    !matches!(event, GraphEvent::EdgeUpdated { .. })
}

/// Runs a task until `stop`, or until the graph or the store have ended; says `end` of the latter.
pub(crate) async fn run(task: impl Future<Output = Result<(), Over>>, stop: &CancellationToken, end: &str) {
    tokio::select! {
        over = task => if let Err(Over::Store(fault)) = over {
            tracing::error!(%fault, "{end}");
        },
        () = stop.cancelled() => {}
    }
}

/// Does `work` where blocking is allowed. Its queries end when `deadline` has passed, or when nobody waits any more.
pub(crate) async fn work<T: Send + 'static>(
    cx: Cx,
    deadline: Duration,
    work: impl FnOnce(&Cx) -> T + Send + 'static,
) -> Result<T, JoinError> {
    let stopping = Expiring(cx.stop.clone());
    let mut working = spawn_blocking(move || work(&cx));
    match timeout(deadline, &mut working).await {
        Ok(worked) => worked,
        Err(_) => {
            stopping.0.expire();
            working.await
        }
    }
}

impl Drop for Expiring {
    fn drop(&mut self) {
        self.0.cancel();
    }
}

impl Pace {
    /// Nothing is to be looked at yet.
    pub(crate) fn new(pauses: Pauses) -> Self {
        let now = Instant::now();
        Self { pauses, due: None, not_before: now, rested: now, pause: pauses.least }
    }

    /// Something has changed.
    pub(crate) fn wants_look(&mut self) {
        let soon = Instant::now() + self.pauses.soon;
        self.due.get_or_insert(soon.max(self.not_before));
    }

    /// Somebody wants something else, and waits for it: what looks did to each other before does not matter.
    pub(crate) fn begins_anew(&mut self) {
        self.pause = self.pauses.least;
        self.not_before = self.rested;
        self.due = Some(self.rested);
    }

    /// Waits until it is time to look, because of changes or because something is `due`.
    pub(crate) async fn wait(&self, due: Option<Instant>) {
        match [self.due, due].into_iter().flatten().min() {
            Some(at) => sleep_until(at.max(self.not_before)).await,
            None => std::future::pending().await,
        }
    }

    /// Looks that go on changing something come at longer intervals, until nothing was to be looked at for the longest.
    pub(crate) fn looked(&mut self, begin: Instant, end: Instant, changed: bool) {
        let Pauses { least, longest, .. } = self.pauses;
        let goes_on = changed && begin < self.not_before + longest;
        self.pause = if goes_on { (self.pause * 2).min(longest) } else { least };
        let rest = (end - begin) * (SHARE - 1);
        self.not_before = end + self.pause.max(rest);
        self.rested = end + least.max(rest);
        self.due = None;
    }
}

impl From<Stopped> for Over {
    fn from(_: Stopped) -> Self {
        Self::Graph
    }
}

impl From<StoreError> for Over {
    fn from(fault: StoreError) -> Self {
        Self::Store(fault)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[tokio::test]
    async fn looks_that_go_round_slow_down_and_a_new_wish_does_not_wait_for_them() {
        let (least, longest) = (Duration::from_millis(200), Duration::from_secs(2));
        let mut pace = Pace::new(Pauses { soon: Duration::ZERO, least, longest });
        let begin = pace.not_before;
        for _ in 0..10 {
            pace.looked(begin, begin, true);
            pace.wants_look();
        }
        assert_eq!(pace.due, Some(begin + longest));
        pace.begins_anew();
        assert_eq!(pace.due, Some(begin + least));
        // What it does to others slows down anew, and long looks rest long.
        pace.looked(begin, begin, true);
        pace.wants_look();
        assert_eq!(pace.due, Some(begin + 2 * least));
        let end = begin + Duration::from_secs(1);
        pace.looked(begin, end, false);
        pace.begins_anew();
        assert_eq!(pace.due, Some(end + Duration::from_secs(4)));
        // What comes after a long time goes round no more.
        let late = pace.not_before + longest;
        pace.looked(late, late, true);
        pace.wants_look();
        assert_eq!(pace.due, Some(late + least));
        // What is due by itself rests as well.
        assert!(timeout(Duration::ZERO, pace.wait(Some(begin))).await.is_err());
    }
}
