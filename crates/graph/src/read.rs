//! The traits of history: who remembers graphs implements them, this crate never awaits.

use skydive_value::{BoxFuture, Filter, Timestamp};
use thiserror::Error;

use crate::{GraphEvent, Snapshot};

/// Which state of the graph is asked for.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum When {
    /// The state of now: at least as new as every mutation acknowledged before the call.
    Live,
    /// The state at an instant.
    At(Timestamp),
}

/// A graph that cannot be read.
#[derive(Clone, Debug, Error)]
pub enum ReadError {
    /// Only the present is known.
    #[error("Backend does not support history")]
    NoHistory,
    /// The owner of the graph has stopped.
    #[error("the graph is no longer served")]
    Stopped,
}

/// An event that cannot be remembered.
#[derive(Clone, Debug, Error)]
pub enum AppendError {
    /// The store has stopped.
    #[error("the store is closed")]
    Closed,
}

/// Gives graphs to readers.
pub trait GraphRead: Send + Sync {
    /// The graph as of `when`. `filter` says which nodes the reader will look at: a store may leave out others, the
    /// live graph is given whole.
    fn graph_at<'a>(&'a self, when: When, filter: &'a Filter) -> BoxFuture<'a, Result<Snapshot, ReadError>>;
}

/// Remembers what happened.
pub trait GraphAppend: Send + Sync {
    /// Appends events in order; when it returns, they survive a crash of the process.
    fn append<'a>(&'a self, events: &'a [GraphEvent]) -> BoxFuture<'a, Result<(), AppendError>>;
}
