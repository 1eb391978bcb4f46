//! What a plan is made of, and how results are collected.

use std::fmt::Debug;
use std::ops::ControlFlow;

use skydive_value::Fields;

use crate::check::Check;
use crate::plan::{Selection, Window, Wish};
use crate::run::Run;
use crate::standing::SetStep;
use crate::view::Wanted;
use crate::{QueryError, Rows};

/// One computation over the rows of the one before it.
pub(crate) trait Operation: Debug + Send + Sync {
    /// Takes over work of the next step; what cannot be taken is given back.
    fn take(&mut self, wish: Wish) -> Option<Wish> {
        Some(wish)
    }

    /// What it means to a standing query; `None` when order or number matters to it.
    fn as_set(&self) -> Option<SetStep<'_>> {
        None
    }

    /// Computes. The plan has made sure that `rows` are of a kind that the step may follow.
    fn apply(&self, rows: Rows, run: &mut Run<'_>) -> Result<Rows, QueryError>;
}

/// Collects what a step gives: what passes its filter, a window of that, or only how many there are.
pub(crate) struct Output<'r, T> {
    run: &'r Run<'r>,
    check: Option<Check<'r>>,
    /// Whether anything was offered, wanted or not.
    met: bool,
    window: Window,
    counts: bool,
    seen: u64,
    rows: Vec<T>,
}

impl<'r, T> Output<'r, T> {
    /// Collects what passes the filter of `selection`.
    pub(crate) fn new(selection: &'r Selection, run: &'r Run<'_>) -> Self {
        let check = selection.filter().map(Check::new);
        Self { check, ..Self::tested(selection, run) }
    }

    /// Collects what is known to pass the filter of `selection`.
    pub(crate) fn tested(selection: &Selection, run: &'r Run<'_>) -> Self {
        let window = selection.window().unwrap_or(Window { from: 0, to: u64::MAX });
        let counts = selection.counts();
        Self { run, check: None, met: false, window, counts, seen: 0, rows: Vec::new() }
    }

    /// Collects what `look` finds around each of `rows`.
    pub(crate) fn around<R>(
        selection: &'r Selection,
        run: &'r Run<'_>,
        rows: Vec<R>,
        mut look: impl FnMut(&R, &mut Self) -> Result<(), QueryError>,
    ) -> Result<Self, QueryError> {
        let mut output = Self::new(selection, run);
        for row in rows {
            run.tick()?;
            if output.is_full() {
                break;
            }
            look(&row, &mut output)?;
        }
        Ok(output)
    }

    /// Whether anything was offered, wanted or not.
    pub(crate) fn has_met(&self) -> bool {
        self.met
    }

    /// Whether nothing more can come in, so that nothing more need be read.
    pub(crate) fn is_full(&self) -> bool {
        self.seen >= self.window.to.max(self.window.from) || self.window.to <= self.window.from
    }

    /// Takes the next element if it passes; its row is only made when it is wanted.
    pub(crate) fn offer(&mut self, element: &impl Fields, row: impl FnOnce() -> T) -> Wanted {
        self.met = true;
        let passes = match &self.check {
            Some(check) => check.passes(element, self.run)?,
            None => true,
        };
        if passes && !self.is_full() {
            if self.seen >= self.window.from && !self.counts {
                self.run.check_room(self.rows.len() + 1)?;
                self.rows.push(row());
            }
            self.seen += 1;
        }
        Ok(if self.is_full() { ControlFlow::Break(()) } else { ControlFlow::Continue(()) })
    }

    /// The result, `wrap`ped when it is not a number.
    pub(crate) fn finish(self, wrap: impl FnOnce(Vec<T>) -> Rows) -> Rows {
        if self.counts {
            return Rows::Number(self.seen.saturating_sub(self.window.from) as i64);
        }
        wrap(self.rows)
    }
}
