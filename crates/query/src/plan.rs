//! The steps of a query as operations, with filters, windows and counts where the reading is done.
//!
//! Kept from the original because queries depend on it: a `Has` behind a limit still counts as part of the step that
//! reads (`V().Limit(1).Has('Type','x')` is the first node of type x), as long as that step has no filter of its
//! own; and what chooses, sorts and limits right behind `Flows` is part of it in any order, see
//! [`Lookup`]. Pushing down is otherwise invisible but for what it saves.

use std::fmt::Debug;

use skydive_flow::Sort;
use skydive_value::{Filter, Path, Timestamp};

use crate::operation::Operation;
use crate::steps::flows::Lookup;
use crate::when::Moment;
use crate::{Arg, Args, Kind, Query, QueryError};

#[cfg(test)]
mod tests;

/// What to do for a query, in order.
#[derive(Debug)]
pub struct Plan {
    ops: Vec<Op>,
    kind: Kind,
    now: Timestamp,
    /// Whether operations may take over the work of later steps.
    pushes_down: bool,
    /// The step being planned.
    step: &'static str,
    offset: usize,
}

/// One thing to do.
#[derive(Debug)]
pub(crate) enum Op {
    /// Read a graph; awaits.
    Open(Moment),
    /// Back to the graph that was opened.
    Restart,
    /// Search for flows; awaits.
    Search(Lookup),
    /// Compute.
    Apply(Box<dyn Operation>),
}

/// Work that the operation before may do while it reads.
#[derive(Debug)]
pub(crate) enum Wish {
    /// Give only what passes.
    Filter(Filter, Form),
    /// Give only these.
    Window(Window),
    /// Give only how many.
    Count,
    /// Give flows in an order.
    Sort(Sort),
    /// Give each value of a field of flows once.
    Dedup(Path),
}

/// How a filter was written.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Form {
    /// `Has` with keys and values.
    Pairs,
    /// `Has` with one key.
    Key,
    /// Another step.
    Other,
}

/// Elements with an index from `from` up to but not including `to`.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct Window {
    pub from: u64,
    pub to: u64,
}

impl Plan {
    /// Plans `query`, as of `now`. Refuses steps that cannot follow each other and arguments without sense.
    pub fn new(query: &Query, now: Timestamp) -> Result<Self, QueryError> {
        Self::of(query, now, true)
    }

    fn of(query: &Query, now: Timestamp, pushes_down: bool) -> Result<Self, QueryError> {
        let mut plan = Self {
            ops: vec![Op::Open(Moment::Live(None))],
            kind: Kind::Graph,
            now,
            pushes_down,
            step: "G",
            offset: 0,
        };
        for call in query.calls() {
            (plan.step, plan.offset) = (call.def.name, call.offset);
            let Some((_, gives)) = call.def.on.iter().find(|(on, _)| *on == plan.kind) else {
                return Err(plan.misplaced());
            };
            call.step.plan(&mut plan)?;
            plan.kind = *gives;
        }
        Ok(plan)
    }

    /// What the last operation gives.
    pub fn kind(&self) -> Kind {
        self.kind
    }

    pub(crate) fn ops(&self) -> &[Op] {
        &self.ops
    }

    /// Adds an operation.
    pub(crate) fn push(&mut self, operation: impl Operation + 'static) {
        self.ops.push(Op::Apply(Box::new(operation)));
    }

    /// Adds a search for flows.
    pub(crate) fn search(&mut self, lookup: Lookup) {
        self.ops.push(Op::Search(lookup));
    }

    /// Whether it searches for flows: such an answer does not follow from graphs.
    pub fn asks_flows(&self) -> bool {
        self.ops.iter().any(|op| matches!(op, Op::Search(_)))
    }

    /// Whether operations may take over the work of later steps.
    pub(crate) fn pushes_down(&self) -> bool {
        self.pushes_down
    }

    /// The search before has to give packets too.
    pub(crate) fn want_packets(&mut self) {
        let search = self.ops.iter_mut().rev().find_map(|op| match op {
            Op::Search(lookup) => Some(lookup),
            _ => None,
        });
        if let Some(lookup) = search {
            lookup.want_packets();
        }
    }

    /// Goes back to the whole graph.
    pub(crate) fn restart(&mut self) {
        self.ops.push(Op::Restart);
    }

    /// Offers work to the last operation; gives it back when that cannot do it.
    pub(crate) fn offer(&mut self, wish: Wish) -> Option<Wish> {
        match self.ops.last_mut() {
            Some(Op::Apply(last)) if self.pushes_down => last.take(wish),
            // What belongs to `Flows` is a rule of the language; where it is done is not.
            Some(Op::Search(last)) => last.take(wish),
            _ => Some(wish),
        }
    }

    /// Opens the graph of another time; only at the start, or after a restart.
    pub(crate) fn open(&mut self, args: &Args) -> Result<(), QueryError> {
        let moment = crate::when::moment(args, self.now)?;
        match self.ops.last_mut() {
            Some(last @ (Op::Open(_) | Op::Restart)) => *last = Op::Open(moment),
            _ => return Err(self.misplaced()),
        }
        Ok(())
    }

    /// Refuses the step being planned.
    pub(crate) fn misplaced(&self) -> QueryError {
        QueryError::Misplaced { step: self.step, on: self.kind, offset: self.offset }
    }
}

impl Window {
    /// The window that two arguments name.
    pub(crate) fn of(args: &Args) -> Result<Self, QueryError> {
        let mut bounds = args.given.iter().map(|given| match &given.arg {
            Arg::Int(n) => Ok(u64::try_from(*n).unwrap_or(0)),
            other => Err(QueryError::argument(format!("{other} is not an integer"), given.offset)),
        });
        let first = bounds.next().transpose()?.unwrap_or(0);
        let second = bounds.next().transpose()?;
        Ok(second.map_or(Self { from: 0, to: first }, |to| Self { from: first, to }))
    }

    /// Cuts `rows` down to the window.
    pub(crate) fn cut<T>(self, rows: &mut Vec<T>) {
        rows.truncate(usize::try_from(self.to).unwrap_or(usize::MAX));
        let from = usize::try_from(self.from).unwrap_or(usize::MAX).min(rows.len());
        rows.drain(..from);
    }
}

/// What a step that reads does beside reading.
#[derive(Debug, Default)]
pub(crate) struct Selection {
    filter: Option<Filter>,
    window: Option<Window>,
    count: bool,
    early: Early,
}

/// Whether a `Has` behind a limit is applied before it, when the step has no other filter.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub(crate) enum Early {
    #[default]
    Never,
    /// Only one with keys and values.
    Pairs,
    /// Any.
    Has,
}

impl Selection {
    pub(crate) fn new(filter: Option<Filter>, early: Early) -> Self {
        Self { filter, early, ..Self::default() }
    }

    pub(crate) fn take(&mut self, wish: Wish) -> Option<Wish> {
        if self.count {
            return Some(wish);
        }
        match wish {
            Wish::Filter(filter, form) => {
                let is_early = match self.early {
                    Early::Never => false,
                    Early::Pairs => form == Form::Pairs,
                    Early::Has => form != Form::Other,
                };
                if self.window.is_some() && !(is_early && self.filter.is_none()) {
                    return Some(Wish::Filter(filter, form));
                }
                self.filter = Some(match self.filter.take() {
                    Some(own) => own.and(filter),
                    None => filter,
                });
            }
            Wish::Window(window) if self.window.is_none() => self.window = Some(window),
            Wish::Count => self.count = true,
            Wish::Window(_) | Wish::Sort(_) | Wish::Dedup(_) => return Some(wish),
        }
        None
    }

    /// The filter; `None` when everything passes.
    pub(crate) fn filter(&self) -> Option<&Filter> {
        self.filter.as_ref().filter(|filter| !filter.is_all())
    }

    /// Whether it does nothing but filter.
    pub(crate) fn only_filters(&self) -> bool {
        self.window.is_none() && !self.count
    }

    pub(crate) fn window(&self) -> Option<Window> {
        self.window
    }

    pub(crate) fn counts(&self) -> bool {
        self.count
    }
}
