//! The filters that are in use, and a graph of their own on which they are evaluated.
//!
//! The graph follows the live one event by event: a standing query has to see it as it was after each of them, which
//! nobody else keeps. All who want the same filter share it.

use std::sync::Arc;
use std::time::Duration;

use skydive_graph::{Graph, GraphEvent, Mutation, Snapshot};
use skydive_query::{Query, QueryError, Standing};
use skydive_value::Timestamp;
use tokio::time::Instant;

use super::authors::Authors;
use super::told::Told;
use super::{Join, Joined};
use crate::encoded::EncodedBatches;
use crate::live::Fanout;

/// Graph and filters.
#[derive(Default)]
pub(crate) struct Engine {
    graph: Graph,
    groups: Vec<Group>,
}

/// Those who have the same filter.
struct Group {
    query: Query,
    mode: Mode,
    fanout: Fanout,
    encoded: Arc<EncodedBatches>,
}

enum Mode {
    /// Kept true by each event.
    Incremental(Box<Standing>, Vec<GraphEvent>),
    /// Evaluated anew from time to time.
    Periodic(Periodic),
}

struct Periodic {
    /// What its subscribers know; `None` before the first evaluation.
    told: Option<Arc<Told>>,
    /// Whether the graph has changed since.
    is_stale: bool,
    /// When it was evaluated last, or began.
    evaluated: Instant,
    /// Who changed the graph since, as long as that matters to somebody.
    authors: Authors,
    /// Who waits for an evaluation that begins after it came.
    waiting: Vec<Join>,
}

/// An evaluation to be done elsewhere.
pub(crate) struct Task {
    pub(crate) query: Query,
    pub(crate) graph: Snapshot,
    told: Option<Arc<Told>>,
    authors: Authors,
    waiting: Vec<Join>,
}

/// An evaluation that was done.
pub(crate) struct Done {
    task: Task,
    result: Result<(Told, Vec<GraphEvent>), QueryError>,
}

/// Least time between two evaluations of a filter.
pub(crate) const INTERVAL: Duration = Duration::from_millis(200);

impl Engine {
    /// Without filters.
    pub(crate) fn new(graph: &Snapshot) -> Self {
        Self { graph: copy_of(graph), groups: Vec::new() }
    }

    /// Whether nobody has a filter.
    pub(crate) fn is_idle(&self) -> bool {
        self.groups.is_empty()
    }

    /// How many filters there are.
    pub(crate) fn len(&self) -> usize {
        self.groups.len()
    }

    /// Forgets filters that nobody has any more.
    pub(crate) fn forget_unused(&mut self, evaluating: Option<&str>) {
        self.groups.retain(|group| {
            let is_awaited = match &group.mode {
                Mode::Periodic(periodic) => !periodic.waiting.is_empty(),
                Mode::Incremental(..) => false,
            };
            is_awaited || !group.fanout.is_empty() || evaluating == Some(group.query.text())
        });
    }

    /// Lets somebody in; the answer comes at once, or with the next evaluation.
    pub(crate) fn join(&mut self, join: Join, now: Timestamp) {
        let graph = self.graph.view();
        let known = self.groups.iter().position(|group| group.query.text() == join.query.text());
        let place = match known {
            Some(place) => place,
            None => match Mode::of(&join.query, graph, now) {
                Ok(mode) => {
                    self.groups.push(Group::new(join.query.clone(), mode));
                    self.groups.len() - 1
                }
                Err(fault) => return join.refuse(&fault),
            },
        };
        let Some(group) = self.groups.get_mut(place) else { return };
        match &mut group.mode {
            Mode::Incremental(standing, _) => {
                let elements = Told::of_standing(standing, graph).elements();
                let joined = Joined {
                    elements,
                    events: group.fanout.subscribe(join.bound, join.mark.clone()),
                    encoded: group.encoded.clone(),
                    is_incremental: true,
                };
                join.admit(joined);
            }
            Mode::Periodic(periodic) => periodic.waiting.push(join),
        }
    }

    /// Follows the live graph; `authors` are those of the batch.
    pub(crate) fn hear(&mut self, batch: &[GraphEvent], authors: &Authors) {
        let mut unheard = Vec::new();
        for event in batch {
            // An event of the live graph fits a copy of it; its time is in it.
            let _ = self.graph.apply(Mutation::from(event), Timestamp::EPOCH, &mut unheard);
            unheard.clear();
            for group in &mut self.groups {
                if let Mode::Incremental(standing, told) = &mut group.mode {
                    standing.hear(event, self.graph.view(), told);
                }
            }
        }
        for group in &mut self.groups {
            match &mut group.mode {
                Mode::Incremental(_, told) if told.is_empty() => {}
                Mode::Incremental(_, told) => {
                    let told: Arc<[GraphEvent]> = std::mem::take(told).into();
                    // What a change brings into the filter, or takes out of it, is news to who made it.
                    group.fanout.publish_chosen(&told, |listener| authors.news_for(listener, &told));
                }
                Mode::Periodic(periodic) => {
                    periodic.is_stale = true;
                    if group.fanout.has_marks() {
                        periodic.authors.follow(batch, authors);
                    }
                }
            }
        }
    }

    /// Goes on with another graph because what lies between is not known: the differences are told.
    pub(crate) fn jump(&mut self, graph: &Snapshot, now: Timestamp) {
        let before = std::mem::replace(&mut self.graph, copy_of(graph));
        for group in &mut self.groups {
            match &mut group.mode {
                Mode::Incremental(standing, _) => {
                    let known = Told::of_standing(standing, before.view());
                    // It was planned before, and what it names may be gone.
                    if let Ok(Some(fresh)) = Standing::of(&group.query, now) {
                        **standing = fresh;
                        let _ = standing.start(self.graph.view());
                    }
                    let new = Told::of_standing(standing, self.graph.view());
                    let told = known.difference(&new, self.graph.view(), now);
                    if !told.is_empty() {
                        group.fanout.publish(&told.into(), None);
                    }
                }
                Mode::Periodic(periodic) => {
                    periodic.is_stale = true;
                    // Nobody knows who did what meanwhile.
                    periodic.authors = Authors::default();
                }
            }
        }
    }

    /// When the next evaluation is due; in the past if somebody waits. `rest` is until when the others have to wait.
    pub(crate) fn due(&self, rest: Instant) -> Option<Instant> {
        self.groups.iter().filter_map(|group| group.due(rest)).map(|(at, _)| at).min()
    }

    /// The evaluation that is due most.
    pub(crate) fn next_task(&mut self, now: Instant, rest: Instant) -> Option<Task> {
        let due = self.groups.iter_mut().filter_map(|group| Some((group.due(rest)?, group)));
        let ((at, _), group) = due.min_by_key(|(due, _)| *due)?;
        let Mode::Periodic(periodic) = &mut group.mode else { return None };
        if at > now {
            return None;
        }
        periodic.is_stale = false;
        periodic.evaluated = now;
        Some(Task {
            query: group.query.clone(),
            graph: self.graph.snapshot(),
            told: periodic.told.clone(),
            authors: std::mem::take(&mut periodic.authors),
            waiting: std::mem::take(&mut periodic.waiting),
        })
    }

    /// Tells what an evaluation found.
    pub(crate) fn conclude(&mut self, done: Done) {
        let Done { task, result } = done;
        let Some(group) = self.groups.iter_mut().find(|group| group.query.text() == task.query.text()) else {
            return;
        };
        let Mode::Periodic(periodic) = &mut group.mode else { return };
        match result {
            Ok((told, difference)) => {
                let difference: Arc<[GraphEvent]> = difference.into();
                group.fanout.publish_chosen(&difference, |mark| task.authors.news_for(mark, &difference));
                let elements = (!task.waiting.is_empty()).then(|| told.elements());
                periodic.told = Some(Arc::new(told));
                for join in task.waiting {
                    let joined = Joined {
                        elements: elements.clone().unwrap_or_default(),
                        events: group.fanout.subscribe(join.bound, join.mark.clone()),
                        encoded: group.encoded.clone(),
                        is_incremental: false,
                    };
                    join.admit(joined);
                }
            }
            Err(fault) => {
                tracing::debug!(filter = task.query.text(), %fault, "filter not evaluated");
                periodic.is_stale = true;
                periodic.authors.merge(task.authors);
                for join in task.waiting {
                    join.refuse(&fault);
                }
            }
        }
    }
}

impl Group {
    fn new(query: Query, mode: Mode) -> Self {
        Self { query, mode, fanout: Fanout::default(), encoded: Arc::default() }
    }

    /// When it is to be evaluated, and when it was: of several that are due, the one that waited longest is next.
    fn due(&self, rest: Instant) -> Option<(Instant, Instant)> {
        let Mode::Periodic(periodic) = &self.mode else { return None };
        let last = periodic.evaluated;
        if periodic.waiting.is_empty() {
            return periodic.is_stale.then(|| (rest.max(last + INTERVAL), last));
        }
        // Before all others.
        Some((last.min(rest), last))
    }
}

impl Mode {
    fn of(query: &Query, graph: &Snapshot, now: Timestamp) -> Result<Self, QueryError> {
        Ok(match Standing::of(query, now)? {
            Some(mut standing) => {
                standing.start(graph)?;
                Self::Incremental(Box::new(standing), Vec::new())
            }
            None => Self::Periodic(Periodic {
                told: None,
                is_stale: false,
                evaluated: Instant::now(),
                authors: Authors::default(),
                waiting: Vec::new(),
            }),
        })
    }
}

impl Task {
    /// Does it.
    pub(crate) fn run(self, cx: &skydive_query::Cx) -> Done {
        let found = match Told::evaluate(&self.query, &self.graph, cx) {
            // What it names has gone: that is an empty graph for those who had it.
            Err(QueryError::NoNode(_) | QueryError::NoEdge(_))
                if self.told.is_some() && self.waiting.is_empty() =>
            {
                Ok(Told::default())
            }
            other => other,
        };
        let result = found.map(|new| {
            let difference = self.told.as_ref().map(|told| told.difference(&new, &self.graph, cx.now));
            (new, difference.unwrap_or_default())
        });
        Done { task: self, result }
    }
}

fn copy_of(snapshot: &Snapshot) -> Graph {
    let nodes = snapshot.nodes().map(|node| Mutation::AddNode((**node).clone()));
    let edges = snapshot.edges().map(|edge| Mutation::AddEdge(edge.to_edge()));
    let mut graph = Graph::new();
    // Everything in a graph fits an empty one, nodes first.
    graph.apply_all(nodes.chain(edges).collect(), Timestamp::EPOCH, &mut Vec::new(), |_| {});
    graph
}
