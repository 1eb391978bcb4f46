//! Running a plan.

use std::cell::Cell;
use std::fmt;
use std::sync::Arc;
use std::sync::atomic::{AtomicU8, Ordering};

use skydive_flow::{FlowRead, FlowReadError, FlowSearch, FlowsFound};
use skydive_graph::{GraphRead, Node, ReadCount, ReadError, When};
use skydive_value::{Coverage, Filter, SmolStr, Span, Timestamp};

use crate::plan::Op;
use crate::when::Moment;
use crate::{Plan, Query, QueryError, Rows, View};

/// What a query may know of the world, and may use of it.
#[derive(Clone, Debug)]
pub struct Cx {
    /// The time that `NOW` and offsets mean.
    pub now: Timestamp,
    /// Most elements that the result of one step may have.
    pub max_rows: usize,
    /// Looked at every few thousand elements.
    pub stop: Stop,
}

/// Ends a query from outside: who started it keeps a clone and has the clock.
#[derive(Clone, Debug, Default)]
pub struct Stop(Arc<AtomicU8>);

/// The answer to a query.
#[derive(Clone, Debug)]
pub struct Answer {
    /// What the last step gives.
    pub rows: Rows,
    /// Who was asked, and who answered.
    pub coverage: Coverage,
    /// What it cost.
    pub reads: Reads,
}

/// Elements read and index lookups made. Its text is the value of the header `X-Skydive-Explain`.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Reads {
    /// Nodes read.
    pub nodes: u64,
    /// Edges read.
    pub edges: u64,
    /// Index lookups made.
    pub index: u64,
    /// Flows that came in answer to searches.
    pub flows: u64,
}

/// A query as it runs.
#[derive(Debug)]
pub(crate) struct Run<'c> {
    cx: &'c Cx,
    reads: ReadCount,
    ticks: Cell<u32>,
    coverage: Coverage,
    /// The time that is looked at.
    moment: Moment,
    flows_read: u64,
    /// The graph as opened.
    root: View,
    /// The graph that traversal steps look at now: the root, or a part of it.
    pub graph: View,
    /// What `As` remembers.
    pub marks: Vec<(SmolStr, Vec<Arc<Node>>)>,
}

/// Where queries are answered from.
#[derive(Clone, Copy)]
pub struct Sources<'s> {
    /// Graphs.
    pub graph: &'s dyn GraphRead,
    /// Flows, where there are any.
    pub flows: Option<&'s dyn FlowRead>,
}

/// What a query waits for.
enum Need {
    Graph(Moment),
    Flows(FlowSearch),
}

/// A plan and how far it has come.
struct Engine<'c> {
    plan: &'c Plan,
    next: usize,
    rows: Rows,
    run: Run<'c>,
}

/// Elements between two looks at [`Cx::stop`]: a fraction of a millisecond.
const TICKS: u32 = 4096;

impl Cx {
    /// The defaults at time `now`: 4 Mi elements in a step, nobody to stop it.
    pub fn new(now: Timestamp) -> Self {
        Self { now, max_rows: 4 << 20, stop: Stop::default() }
    }
}

impl Stop {
    const GONE: u8 = 1;
    const LATE: u8 = 2;

    /// Says that nobody waits for the answer any more.
    pub fn cancel(&self) {
        self.raise(Self::GONE);
    }

    /// Says that the deadline has passed.
    pub fn expire(&self) {
        self.raise(Self::LATE);
    }

    /// An error once it was raised; the first reason counts.
    pub fn check(&self) -> Result<(), QueryError> {
        match self.0.load(Ordering::Relaxed) {
            0 => Ok(()),
            Self::LATE => Err(QueryError::Expired),
            _ => Err(QueryError::Cancelled),
        }
    }

    fn raise(&self, reason: u8) {
        // Only the first one wins; that another was first is not a failure.
        let _ = self.0.compare_exchange(0, reason, Ordering::Relaxed, Ordering::Relaxed);
    }
}

impl fmt::Display for Reads {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "nodes={};edges={};index={};flows={}", self.nodes, self.edges, self.index, self.flows)
    }
}

impl Run<'_> {
    /// Counts an element that is looked at; an error when the query must end.
    pub(crate) fn tick(&self) -> Result<(), QueryError> {
        self.tick_by(1)
    }

    /// As [`Run::tick`], for an element that costs as much as `weight` others.
    pub(crate) fn tick_by(&self, weight: u32) -> Result<(), QueryError> {
        let ticks = self.ticks.get().saturating_add(weight);
        if ticks < TICKS {
            self.ticks.set(ticks);
            return Ok(());
        }
        self.ticks.set(0);
        self.cx.stop.check()
    }

    /// An error when a result of `len` elements is too large.
    pub(crate) fn check_room(&self, len: usize) -> Result<(), QueryError> {
        if len > self.cx.max_rows { Err(QueryError::TooMany(self.cx.max_rows)) } else { Ok(()) }
    }

    /// The length of time that the query asks for.
    pub(crate) fn asked_span(&self) -> Option<Span> {
        match self.moment {
            Moment::Live(span) => span,
            Moment::Point(_) => None,
            Moment::Slice(span) => Some(span),
        }
    }

    /// Says that the answer has less than there is.
    pub(crate) fn leave_out(&mut self) {
        self.coverage.truncated = true;
    }

    pub(crate) fn reads(&self) -> &ReadCount {
        &self.reads
    }
}

impl<'c> Engine<'c> {
    fn new(plan: &'c Plan, cx: &'c Cx) -> Self {
        let nothing = View::empty();
        let run = Run {
            cx,
            reads: ReadCount::default(),
            ticks: Cell::new(0),
            coverage: Coverage::default(),
            moment: Moment::Live(None),
            flows_read: 0,
            root: nothing.clone(),
            graph: nothing.clone(),
            marks: Vec::new(),
        };
        Self { plan, next: 0, rows: Rows::Graph(nothing), run }
    }

    /// Computes up to the next thing that must be read; `None` at the end.
    fn advance(&mut self) -> Result<Option<Need>, QueryError> {
        while let Some(op) = self.plan.ops().get(self.next) {
            self.next += 1;
            self.run.cx.stop.check()?;
            match op {
                Op::Open(moment) => return Ok(Some(Need::Graph(*moment))),
                Op::Search(lookup) => {
                    // What flows there were is in no store yet; those of now would be another answer.
                    if !matches!(self.run.moment, Moment::Live(_)) {
                        return Err(FlowReadError::NoHistory.into());
                    }
                    let rows = std::mem::replace(&mut self.rows, Rows::Number(0));
                    match lookup.search(rows, &self.run)? {
                        Some(search) => return Ok(Some(Need::Flows(search))),
                        None => self.rows = lookup.rows(FlowsFound::default(), &self.run)?,
                    }
                }
                Op::Restart => {
                    self.run.graph = self.run.root.clone();
                    self.rows = Rows::Graph(self.run.root.clone());
                }
                Op::Apply(operation) => {
                    let rows = std::mem::replace(&mut self.rows, Rows::Number(0));
                    self.rows = operation.apply(rows, &mut self.run)?;
                }
            }
        }
        Ok(None)
    }

    /// Goes on with the graph of a moment.
    fn open(&mut self, view: View, moment: Moment) {
        let instead_of = match moment {
            Moment::Live(span) => span,
            Moment::Point(_) | Moment::Slice(_) => None,
        };
        self.run.coverage.add(Coverage::complete());
        self.run.coverage.instead_of = instead_of;
        self.run.moment = moment;
        self.run.root = view.clone();
        self.run.graph = view.clone();
        self.rows = Rows::Graph(view);
    }

    /// Goes on with the flows that were found.
    fn found(&mut self, mut found: FlowsFound) -> Result<(), QueryError> {
        self.run.coverage.add(std::mem::take(&mut found.coverage));
        self.run.flows_read += found.set.flows.len() as u64;
        let last = self.next.checked_sub(1).and_then(|at| self.plan.ops().get(at));
        let Some(Op::Search(lookup)) = last else { return Err(FlowReadError::NotServed.into()) };
        self.rows = lookup.rows(found, &self.run)?;
        Ok(())
    }

    fn finish(self) -> Answer {
        let reads = &self.run.reads;
        let mut reads = Reads {
            nodes: reads.nodes(),
            edges: reads.edges(),
            index: reads.index(),
            flows: self.run.flows_read,
        };
        // A whole graph is read when it is written out.
        if let Rows::Graph(view) = &self.rows
            && view.is_whole()
        {
            reads.nodes += view.node_count() as u64;
            reads.edges += view.edge_count() as u64;
        }
        Answer { rows: self.rows, coverage: self.run.coverage, reads }
    }
}

/// Answers `query`. Awaits only `sources`; see the crate's documentation for where to poll it.
pub async fn execute(query: &Query, sources: &Sources<'_>, cx: &Cx) -> Result<Answer, QueryError> {
    let all = Filter::all();
    let plan = Plan::new(query, cx.now)?;
    let mut engine = Engine::new(&plan, cx);
    while let Some(need) = engine.advance()? {
        let moment = match need {
            Need::Graph(moment) => moment,
            Need::Flows(search) => {
                let flows = sources.flows.ok_or(FlowReadError::NotServed)?;
                engine.found(flows.search(&search).await?)?;
                continue;
            }
        };
        let when = match moment {
            Moment::Live(_) => When::Live,
            Moment::Point(at) => When::At(at),
            // No store gives revisions yet.
            Moment::Slice(_) => return Err(ReadError::NoHistory.into()),
        };
        let snapshot = sources.graph.graph_at(when, &all).await?;
        engine.open(View::whole(snapshot), moment);
    }
    Ok(engine.finish())
}

/// Answers `query` about a graph at hand, which has no history.
pub fn execute_on(query: &Query, view: &View, cx: &Cx) -> Result<Answer, QueryError> {
    run_on(&Plan::new(query, cx.now)?, view, cx)
}

/// Does what `plan` says with a graph at hand.
pub(crate) fn run_on(plan: &Plan, view: &View, cx: &Cx) -> Result<Answer, QueryError> {
    run_with(plan, view, cx, |_| Err(FlowReadError::NotServed))
}

/// The same with flows at hand.
pub(crate) fn run_with(
    plan: &Plan,
    view: &View,
    cx: &Cx,
    find: impl Fn(&FlowSearch) -> Result<FlowsFound, FlowReadError>,
) -> Result<Answer, QueryError> {
    let mut engine = Engine::new(plan, cx);
    while let Some(need) = engine.advance()? {
        match need {
            Need::Graph(moment @ Moment::Live(_)) => engine.open(view.clone(), moment),
            Need::Graph(_) => return Err(ReadError::NoHistory.into()),
            Need::Flows(search) => engine.found(find(&search)?)?,
        }
    }
    Ok(engine.finish())
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::{Limits, parse};

    #[test]
    fn a_loop_ends_soon_after_the_stop() -> Result<(), QueryError> {
        let cx = Cx::new(Timestamp::EPOCH);
        let query = parse("G", &Limits::default()).expect("the shortest query");
        let plan = Plan::new(&query, cx.now)?;
        let run = Engine::new(&plan, &cx).run;
        for _ in 0..3 * TICKS {
            run.tick()?;
        }
        cx.stop.cancel();
        let ended = (0..TICKS).find_map(|_| run.tick().err());
        assert!(matches!(ended, Some(QueryError::Cancelled)));
        Ok(())
    }
}
