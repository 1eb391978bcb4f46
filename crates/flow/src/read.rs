//! Searches for flows, and the trait of who answers them: the tables of an agent, all agents together, a store. This
//! crate never awaits.

use std::ops::Range;

use skydive_value::{BoxFuture, Coverage, Filter, Path, SmolStr};
use thiserror::Error;

use crate::{FlowSet, Sort};

/// What is asked for: of the flows that pass `filter`, in the order of `sort`, the first of each value of `dedup`, and of
/// these those at the places of `range`. That is the order in which the four are applied, over the flows of all hosts
/// together.
#[derive(Clone, Debug, PartialEq)]
pub struct FlowSearch {
    /// Hosts whose flows are looked at; `None` for all. Who has the flows of one host passes over it.
    pub hosts: Option<Vec<SmolStr>>,
    /// Which flows.
    pub filter: Filter,
    /// Which of those, counted in their order; `None` for all. The answer has exactly these, merged over all hosts: who
    /// puts it together asks each of its parts for the places below `range.end` and drops those before `range.start`
    /// when all parts are there.
    pub range: Option<Range<u64>>,
    /// In which order; `None` for any.
    pub sort: Option<Sort>,
    /// The field of which each value comes once: with its first flow in the order of `sort`. Flows without the field all
    /// come.
    pub dedup: Option<Path>,
    /// What of them.
    pub want: Want,
}

/// What is wanted of flows.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub enum Want {
    /// The flows.
    #[default]
    Flows,
    /// And the packets kept since they were told of last.
    WithPackets,
    /// Only how many there are. Numbers do not tell which flows of several hosts are the same: `dedup` has no effect.
    Count,
}

/// What was found.
#[derive(Clone, Debug, Default, PartialEq)]
pub struct FlowsFound {
    /// The flows, in the order asked for.
    pub set: FlowSet,
    /// How many there are, when only that is wanted: nothing else is in the answer then.
    pub count: u64,
    /// How much of the truth that is.
    pub coverage: Coverage,
}

/// Flows that cannot be searched.
#[derive(Clone, Debug, PartialEq, Eq, Error)]
pub enum FlowReadError {
    /// Only flows of now are known.
    #[error("No storage backend has been configured")]
    NoHistory,
    /// More nodes are named than can be asked for.
    #[error("flows of too many nodes are asked for at once")]
    TooLarge,
    /// Nobody here has flows.
    #[error("flows are not served here")]
    NotServed,
    /// Who has them has stopped.
    #[error("flows are no longer served")]
    Stopped,
}

/// Answers searches for flows of now. Who did not answer, and what was left out, is in the answer's coverage.
pub trait FlowRead: Send + Sync {
    /// Searches; the answer comes within a deadline that is the implementation's business.
    fn search<'a>(&'a self, search: &'a FlowSearch) -> BoxFuture<'a, Result<FlowsFound, FlowReadError>>;
}

impl Default for FlowSearch {
    /// Every flow, in any order, without packets.
    fn default() -> Self {
        Self { hosts: None, filter: Filter::all(), range: None, sort: None, dedup: None, want: Want::Flows }
    }
}

impl FlowSearch {
    /// How many of `passing` flows that pass the filter have their place in `range`.
    pub fn count_of(&self, passing: u64) -> u64 {
        self.range.as_ref().map_or(passing, |range| passing.min(range.end).saturating_sub(range.start))
    }
}
