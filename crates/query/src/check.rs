//! A filter being asked of elements while the query can still be ended.

use skydive_value::{Fields, Filter, Matcher, Test};

use crate::QueryError;
use crate::run::Run;

/// A filter ready to be asked many times. What it costs counts towards the next look at whether to go on.
#[derive(Debug)]
pub(crate) struct Check<'f> {
    matcher: Matcher<'f>,
    weight: u32,
}

/// What a regular expression costs: a large one on a long text takes milliseconds.
const REGEX: u32 = 128;

impl<'f> Check<'f> {
    pub(crate) fn new(filter: &'f Filter) -> Self {
        Self { matcher: Matcher::new(filter), weight: weight(filter) }
    }

    /// Whether `subject` passes; an error when the query must end.
    pub(crate) fn passes(&self, subject: &impl Fields, run: &Run<'_>) -> Result<bool, QueryError> {
        run.tick_by(self.weight)?;
        Ok(self.matcher.matches(subject))
    }
}

/// What a filter costs, in units of comparing one field.
pub(crate) fn weight(filter: &Filter) -> u32 {
    match filter {
        Filter::And(of) | Filter::Or(of) | Filter::Not(of) => {
            of.iter().map(weight).fold(0, u32::saturating_add)
        }
        Filter::Field(_, Test::Regex(_)) => REGEX,
        Filter::Field(..) => 1,
    }
}
