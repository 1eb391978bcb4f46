//! Rules: what users want to be in the graph beside what is found.
//!
//! One task follows the rules in the store and the nodes of the graph. After a change of either it works out, on a
//! snapshot, what all rules together want ([`wanted`]) and hands the difference to the graph's owner; what is wanted
//! already is no change, so a second look finds nothing to do. Where two rules want a different value for the same
//! field, the one that was stored last wins. Looks have pauses between them, longer ones after long looks and while
//! looks go on changing something: rules whose queries undo each other turn slowly and take no core.
//!
//! What a rule has done is remembered, and undone when the rule goes. Nothing of it is stored: the graph is made anew
//! after a start, and the rules are applied to it again.

mod made;
mod wanted;

use std::collections::BTreeMap;
use std::sync::Arc;
use std::time::Duration;

use skydive_api::{Ended, FollowedQuery, LiveGraph, Stopped};
use skydive_graph::{GraphEvent, Mutation, Snapshot};
use skydive_proto::{Changes, EdgeRule, NodeRule, Resource, ResourceChange, ResourceStore, StoreError};
use skydive_query::{Cx, Limits, Stop};
use skydive_value::{Clock, SmolStr, Timestamp};
use tokio::time::{Instant, sleep_until, timeout};
use tokio_util::sync::CancellationToken;

use made::Made;
use wanted::wanted;

/// Applies rules to a graph.
pub(crate) struct Rules {
    pub(crate) live: LiveGraph,
    pub(crate) store: Arc<dyn ResourceStore>,
    /// Origin of what rules make.
    pub(crate) origin: SmolStr,
    pub(crate) limits: Limits,
    pub(crate) clock: Clock,
}

/// A rule that can be applied.
#[derive(Debug)]
enum Rule {
    Node { rule: NodeRule, query: Option<FollowedQuery> },
    Edge { rule: EdgeRule, src: FollowedQuery, dst: FollowedQuery },
}

/// The rules in force, in the order in which they were stored.
#[derive(Debug, Default)]
struct Book {
    rules: BTreeMap<u64, (Name, Arc<Rule>)>,
    by_name: BTreeMap<Name, u64>,
}

/// Kind and id of a rule.
type Name = (&'static str, SmolStr);

/// How far the kinds were followed.
#[derive(Clone, Copy, Debug, Default)]
struct Seen {
    node: u64,
    edge: u64,
}

/// When to look next.
#[derive(Debug)]
struct Pace {
    due: Option<Instant>,
    not_before: Instant,
    /// The same had the looks before changed nothing.
    rested: Instant,
    pause: Duration,
}

/// Why the task ends early.
enum Over {
    Graph,
    Store(StoreError),
}

const NODE: &str = "noderule";
const EDGE: &str = "edgerule";
/// Shortest time between two looks.
const PAUSE: Duration = Duration::from_millis(200);
/// Longest time between two looks that changed something.
const LONG_PAUSE: Duration = Duration::from_secs(2);
/// A look takes at most this part of the time.
const SHARE: u32 = 5;
/// Longest time a look may take; the rules that are not reached keep what they have done.
const DEADLINE: Duration = Duration::from_secs(20);
/// Events that may wait while a look is taken. More are not needed: that there were some is enough.
const EVENTS: usize = 1024;
/// Mutations handed to the graph's owner at once, which delay others.
const BATCH: usize = 512;

impl Rules {
    /// Runs until `stop`, or until the graph or the store have ended.
    pub(crate) async fn run(self, stop: CancellationToken) {
        tokio::select! {
            over = self.follow() => if let Err(Over::Store(fault)) = over {
                tracing::error!(%fault, "rules are no longer applied");
            },
            () = stop.cancelled() => {}
        }
    }

    async fn follow(&self) -> Result<(), Over> {
        let (mut book, mut seen, mut made) = (Book::default(), Seen::default(), Made::default());
        self.read(NODE, &mut book, &mut seen.node).await?;
        self.read(EDGE, &mut book, &mut seen.edge).await?;
        let mut pace = Pace::new();
        let mut events = self.live.subscribe(EVENTS).await?;
        loop {
            let due = pace.due;
            let wait = async {
                match due {
                    Some(due) => sleep_until(due).await,
                    None => std::future::pending().await,
                }
            };
            tokio::select! {
                changes = self.store.changes(NODE, seen.node) => {
                    self.take(NODE, changes?, &mut book, &mut seen.node).await?;
                    pace.has_new_rules();
                }
                changes = self.store.changes(EDGE, seen.edge) => {
                    self.take(EDGE, changes?, &mut book, &mut seen.edge).await?;
                    pace.has_new_rules();
                }
                batch = events.next() => match batch {
                    Ok(batch) if !book.is_idle(&made) && batch.iter().any(concerns) => pace.wants_look(),
                    Ok(_) => {}
                    // Too much happened to be followed: all of it is in the next snapshot.
                    Err(Ended::Lost { .. }) => {
                        events = self.live.subscribe(EVENTS).await?;
                        pace.wants_look();
                    }
                    Err(Ended::Stopped) => return Err(Over::Graph),
                },
                () = wait => {
                    let begin = Instant::now();
                    let changed = self.look(&book, &mut made).await?;
                    pace.looked(begin, Instant::now(), changed);
                }
            }
        }
    }

    /// Applies all rules to the graph of now; whether that changed something.
    async fn look(&self, book: &Book, made: &mut Made) -> Result<bool, Over> {
        let snapshot = self.live.snapshot().await?;
        let rules: Vec<_> = book.rules.values().cloned().collect();
        let (origin, cx) = (self.origin.clone(), Cx::new(self.clock.now()));
        let (before, stopping) = (std::mem::take(made), Expiring(cx.stop.clone()));
        let mut working =
            tokio::task::spawn_blocking(move || wanted(&rules, &snapshot, &before, &origin, &cx));
        let worked = match timeout(DEADLINE, &mut working).await {
            Ok(worked) => worked,
            Err(_) => {
                stopping.0.expire();
                working.await
            }
        };
        let (mutations, after) = worked.map_err(|_| Over::Graph)?;
        *made = after;
        let changed = !mutations.is_empty();
        let mut mutations = mutations.into_iter().peekable();
        while mutations.peek().is_some() {
            let batch: Vec<Mutation> = mutations.by_ref().take(BATCH).collect();
            self.live.decide(move |_: &Snapshot| (batch, ())).await?;
        }
        Ok(changed)
    }

    /// Reads a kind anew.
    async fn read(&self, kind: &'static str, book: &mut Book, seen: &mut u64) -> Result<(), Over> {
        let listing = self.store.list(kind).await?;
        *seen = listing.revision;
        book.forget_kind(kind);
        for resource in listing.resources {
            self.add(kind, &resource, book);
        }
        Ok(())
    }

    async fn take(
        &self,
        kind: &'static str,
        changes: Changes,
        book: &mut Book,
        seen: &mut u64,
    ) -> Result<(), Over> {
        match changes {
            Changes::Missed => self.read(kind, book, seen).await?,
            Changes::These { changes, revision } => {
                *seen = revision;
                for change in changes {
                    match change {
                        ResourceChange::Stored(resource) => self.add(kind, &resource, book),
                        ResourceChange::Removed(resource) => book.remove(&(kind, resource.id)),
                    }
                }
            }
        }
        Ok(())
    }

    fn add(&self, kind: &'static str, resource: &Resource, book: &mut Book) {
        let name = (kind, resource.id.clone());
        book.remove(&name);
        match Rule::read(kind, resource, &self.limits, self.clock.now()) {
            Ok(rule) => book.add(name, resource.revision, rule),
            // It was checked when it was made, by an earlier version perhaps.
            Err(why) => tracing::warn!(kind, id = %resource.id, why, "rule cannot be applied"),
        }
    }
}

/// Ends a look that nobody waits for any more.
struct Expiring(Stop);

impl Drop for Expiring {
    fn drop(&mut self) {
        self.0.cancel();
    }
}

/// Whether rules may want something else after an event. What they made themselves is looked at once more, and found
/// as it should be.
fn concerns(event: &GraphEvent) -> bool {
    !matches!(event, GraphEvent::EdgeUpdated { .. })
}

impl Book {
    fn add(&mut self, name: Name, revision: u64, rule: Rule) {
        self.rules.insert(revision, (name.clone(), Arc::new(rule)));
        self.by_name.insert(name, revision);
    }

    fn remove(&mut self, name: &Name) {
        if let Some(revision) = self.by_name.remove(name) {
            self.rules.remove(&revision);
        }
    }

    fn forget_kind(&mut self, kind: &str) {
        self.by_name.retain(|(of, _), _| *of != kind);
        self.rules.retain(|_, ((of, _), _)| *of != kind);
    }

    fn is_idle(&self, made: &Made) -> bool {
        self.rules.is_empty() && made.is_empty()
    }
}

impl Rule {
    fn read(kind: &str, resource: &Resource, limits: &Limits, now: Timestamp) -> Result<Self, String> {
        let query = |text: &str| FollowedQuery::read(text, limits, now).map_err(|fault| fault.to_string());
        let json = resource.json.as_bytes();
        if kind == NODE {
            let rule = NodeRule::decode(json).map_err(|fault| fault.to_string())?;
            let is_blank = rule.query.trim().is_empty();
            let query = if is_blank { None } else { Some(query(&rule.query)?) };
            return Ok(Self::Node { rule, query });
        }
        let rule = EdgeRule::decode(json).map_err(|fault| fault.to_string())?;
        let (src, dst) = (query(&rule.src)?, query(&rule.dst)?);
        Ok(Self::Edge { rule, src, dst })
    }
}

impl Pace {
    fn new() -> Self {
        let now = Instant::now();
        Self { due: Some(now), not_before: now, rested: now, pause: PAUSE }
    }

    fn wants_look(&mut self) {
        self.due.get_or_insert(self.not_before);
    }

    /// Somebody made a rule, or deleted one, and waits for it: what rules did to each other before does not matter.
    fn has_new_rules(&mut self) {
        self.pause = PAUSE;
        self.not_before = self.rested;
        self.due = Some(self.rested);
    }

    /// Looks that go on changing something come at longer intervals.
    fn looked(&mut self, begin: Instant, end: Instant, changed: bool) {
        self.pause = if changed { (self.pause * 2).min(LONG_PAUSE) } else { PAUSE };
        let rest = (end - begin) * (SHARE - 1);
        self.not_before = end + self.pause.max(rest);
        self.rested = end + PAUSE.max(rest);
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

    #[test]
    fn rules_that_go_round_slow_down_and_a_new_rule_does_not_wait_for_them() {
        let mut pace = Pace::new();
        let begin = pace.not_before;
        for _ in 0..10 {
            pace.looked(begin, begin, true);
            pace.wants_look();
        }
        assert_eq!(pace.due, Some(begin + LONG_PAUSE));
        pace.has_new_rules();
        assert_eq!(pace.due, Some(begin + PAUSE));
        // What it does to others slows down anew, and long looks rest long.
        pace.looked(begin, begin, true);
        pace.wants_look();
        assert_eq!(pace.due, Some(begin + 2 * PAUSE));
        let end = begin + Duration::from_secs(1);
        pace.looked(begin, end, false);
        pace.has_new_rules();
        assert_eq!(pace.due, Some(end + Duration::from_secs(4)));
    }
}
