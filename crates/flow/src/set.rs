//! Flows that were found together: what answers to a search are made of.
//!
//! Every table answers with a set. Sets that are sorted the same way are merged in one step, so an answer from many
//! tables is put together without sorting it again.

use std::cmp::Ordering;
use std::collections::HashSet;
use std::mem;
use std::ops::Range;

use skydive_value::{FieldRef, Fields, Filter, Hint, Matcher, Path, SmolStr, Timestamp, Value};

use crate::{Flow, field};

/// Flows and the time that they cover.
#[derive(Clone, Debug, Default, PartialEq)]
pub struct FlowSet {
    /// The flows.
    pub flows: Vec<Flow>,
    /// Begin of the first of all that were looked at; the epoch for none.
    pub start: Timestamp,
    /// End of the last of them.
    pub end: Timestamp,
}

/// An order of flows.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Sort {
    /// By which field. Numbers are in the order of numbers, texts in that of bytes; what is missing comes first.
    pub by: Path,
    /// Which way.
    pub direction: Direction,
}

/// Which way an order goes.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Hash)]
pub enum Direction {
    /// Least first.
    #[default]
    Ascending,
    /// Greatest first.
    Descending,
}

/// What sets have in common that are merged.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Merge {
    /// The order that both are in; `None` puts one behind the other.
    pub sort: Option<Sort>,
    /// The field of which each value comes once; `None` keeps all.
    pub dedup: Option<Path>,
}

/// A field to be compared. Of one field all are of one kind or missing.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
enum Key {
    Missing,
    Int(i64),
    Text(SmolStr),
}

impl Default for Sort {
    /// By the time of the last packet, ascending.
    fn default() -> Self {
        Self { by: field::LAST.into(), direction: Direction::Ascending }
    }
}

impl Sort {
    fn compare(&self, left: &Key, right: &Key) -> Ordering {
        match self.direction {
            Direction::Ascending => left.cmp(right),
            Direction::Descending => right.cmp(left),
        }
    }
}

impl FlowSet {
    /// A set of these flows and the time that they cover.
    pub fn new(flows: Vec<Flow>) -> Self {
        let start = flows.iter().map(|flow| flow.start).min().unwrap_or_default();
        let end = flows.iter().map(|flow| flow.last).max().unwrap_or_default();
        Self { flows, start, end }
    }

    /// Keeps the flows that pass.
    pub fn filter(&mut self, filter: &Filter) {
        let matcher = Matcher::new(filter);
        self.flows.retain(|flow| matcher.matches(flow));
    }

    /// Brings the flows into an order; equal ones stay in theirs.
    pub fn sort(&mut self, sort: &Sort) {
        let mut keyed: Vec<_> = keyed(mem::take(&mut self.flows), &sort.by).collect();
        keyed.sort_by(|(left, _), (right, _)| sort.compare(left, right));
        self.flows = keyed.into_iter().map(|(_, flow)| flow).collect();
    }

    /// Keeps the first flow of each value of a field, and those that have not the field. Usually the field is
    /// [`field::TRACKING_ID`].
    pub fn dedup(&mut self, by: &Path) {
        let (hint, mut known) = (Hint::default(), HashSet::new());
        self.flows.retain(|flow| match key(flow, by, &hint) {
            Key::Missing => true,
            key => known.insert(key),
        });
    }

    /// Puts two sets together that are sorted and free of duplicates as `merge` says. Of equal flows those of `self`
    /// come first, or alone when there may be one.
    pub fn merge(&mut self, other: Self, merge: &Merge) {
        if !other.flows.is_empty() || other.end != Timestamp::EPOCH {
            let is_first = self.flows.is_empty() && self.end == Timestamp::EPOCH;
            self.start = if is_first { other.start } else { self.start.min(other.start) };
            self.end = self.end.max(other.end);
        }
        match &merge.sort {
            Some(sort) => self.flows = merged(mem::take(&mut self.flows), other.flows, sort),
            None => self.flows.extend(other.flows),
        }
        if let Some(by) = &merge.dedup {
            self.dedup(by);
        }
    }

    /// Keeps the flows at these places, as far as there are any.
    pub fn slice(&mut self, places: Range<usize>) {
        self.flows.truncate(places.end);
        self.flows.drain(..places.start.min(self.flows.len()));
    }
}

fn merged(left: Vec<Flow>, right: Vec<Flow>, sort: &Sort) -> Vec<Flow> {
    let mut all = Vec::with_capacity(left.len() + right.len());
    let (mut left, mut right) = (keyed(left, &sort.by).peekable(), keyed(right, &sort.by).peekable());
    loop {
        let next = match (left.peek(), right.peek()) {
            (Some((a, _)), Some((b, _))) if sort.compare(a, b).is_le() => left.next(),
            (_, Some(_)) => right.next(),
            (_, None) => left.next(),
        };
        let Some((_, flow)) = next else { return all };
        all.push(flow);
    }
}

/// Flows, each with the field that it is compared by.
fn keyed(flows: Vec<Flow>, by: &Path) -> impl Iterator<Item = (Key, Flow)> {
    let hint = Hint::default();
    flows.into_iter().map(move |flow| (key(&flow, by, &hint), flow))
}

fn key(flow: &Flow, by: &Path, hint: &Hint) -> Key {
    match flow.field(by, hint) {
        None => Key::Missing,
        Some(FieldRef::Int(number)) => Key::Int(number),
        Some(field) => match field.to_value() {
            Value::Int(number) => Key::Int(number),
            Value::Bool(is) => Key::Int(is.into()),
            Value::Str(text) => Key::Text(text),
            other => Key::Text(format!("{other:?}").into()),
        },
    }
}
