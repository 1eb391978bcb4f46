//! What a plan is made of, and how results are collected.

use std::fmt::Debug;
use std::ops::ControlFlow;

use crate::plan::{Selection, Window, Wish};
use crate::run::Run;
use crate::view::Wanted;
use crate::{QueryError, Rows};

/// One computation over the rows of the one before it.
pub(crate) trait Operation: Debug + Send + Sync {
    /// Takes over work of the next step; what cannot be taken is given back.
    fn take(&mut self, wish: Wish) -> Option<Wish> {
        Some(wish)
    }

    /// Computes. The plan has made sure that `rows` are of a kind that the step may follow.
    fn apply(&self, rows: Rows, run: &mut Run<'_>) -> Result<Rows, QueryError>;
}

/// Collects what a step gives: all of it, a window of it, or only how many there are.
#[derive(Debug)]
pub(crate) struct Output<'r, T> {
    run: &'r Run<'r>,
    window: Window,
    counts: bool,
    seen: u64,
    rows: Vec<T>,
}

impl<'r, T> Output<'r, T> {
    pub(crate) fn new(selection: &Selection, run: &'r Run<'_>) -> Self {
        let window = selection.window().unwrap_or(Window { from: 0, to: u64::MAX });
        Self { run, window, counts: selection.counts(), seen: 0, rows: Vec::new() }
    }

    /// Whether nothing more can come in, so that nothing more need be read.
    pub(crate) fn is_full(&self) -> bool {
        self.seen >= self.window.to.max(self.window.from) || self.window.to <= self.window.from
    }

    /// Takes the next element, which is only made when it is wanted.
    pub(crate) fn push(&mut self, element: impl FnOnce() -> T) -> Wanted {
        if !self.is_full() {
            if self.seen >= self.window.from && !self.counts {
                self.run.check_room(self.rows.len() + 1)?;
                self.rows.push(element());
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
