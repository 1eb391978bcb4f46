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

use skydive_api::{FollowedQuery, LiveGraph};
use skydive_graph::{Mutation, Snapshot};
use skydive_proto::{EdgeRule, NodeRule, Resource, ResourceChange, ResourceStore};
use skydive_query::{Cx, Limits};
use skydive_value::{Clock, SmolStr, Timestamp};
use tokio::time::Instant;
use tokio_util::sync::CancellationToken;

use made::Made;
use wanted::wanted;

use crate::follow::{self, Following, Heard, Over, Pace, Pauses, concerns, work};

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

const NODE: &str = "noderule";
const EDGE: &str = "edgerule";
const PAUSES: Pauses =
    Pauses { soon: Duration::ZERO, least: Duration::from_millis(200), longest: Duration::from_secs(2) };
/// Longest time a look may take; the rules that are not reached keep what they have done.
const DEADLINE: Duration = Duration::from_secs(20);
/// Mutations handed to the graph's owner at once, which delay others.
const BATCH: usize = 512;

impl Rules {
    /// Runs until `stop`, or until the graph or the store have ended.
    pub(crate) async fn run(self, stop: CancellationToken) {
        follow::run(self.follow(), &stop, "rules are no longer applied").await;
    }

    async fn follow(&self) -> Result<(), Over> {
        let (mut book, mut made) = (Book::default(), Made::default());
        let mut following = Following::new(self.live.clone(), self.store.clone(), &[NODE, EDGE]);
        let mut pace = Pace::new(PAUSES);
        loop {
            tokio::select! {
                heard = following.next() => match heard? {
                    Heard::All(kind, resources) => {
                        book.forget_kind(kind);
                        for resource in resources {
                            self.add(kind, &resource, &mut book);
                        }
                        pace.begins_anew();
                    }
                    Heard::Changed(kind, changes) => {
                        for change in changes {
                            match change {
                                ResourceChange::Stored(resource) => self.add(kind, &resource, &mut book),
                                ResourceChange::Removed(resource) => book.remove(&(kind, resource.id)),
                            }
                        }
                        pace.begins_anew();
                    }
                    Heard::Graph(events) => {
                        let matters = || events.is_none_or(|events| events.iter().any(concerns));
                        if !book.is_idle(&made) && matters() {
                            pace.wants_look();
                        }
                    }
                },
                () = pace.wait(None) => {
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
        let (origin, before) = (self.origin.clone(), std::mem::take(made));
        let worked = work(Cx::new(self.clock.now()), DEADLINE, move |cx| {
            wanted(&rules, &snapshot, &before, &origin, cx)
        })
        .await;
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
