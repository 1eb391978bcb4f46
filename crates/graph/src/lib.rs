//! The graph: nodes and edges with metadata, mutations, revisions, events and snapshots.
//!
//! One task owns a [`Graph`] and applies [`Mutation`]s to it; each effective one gives the element a new revision and
//! yields [`GraphEvent`]s. Everybody else reads a [`Snapshot`], which never changes and costs a few pointers to take:
//! storage is chunks behind `Arc`, the owner copies a chunk on its first write after a snapshot. No I/O, no clock,
//! no task: time is an argument, and the traits of history ([`GraphRead`], [`GraphAppend`]) are declared here with
//! the data they speak of but implemented elsewhere.

mod chunks;
mod element;
mod event;
mod graph;
mod index;
pub mod key;
mod lookup;
mod mutation;
mod postings;
mod read;
mod snapshot;
mod stored;

pub use element::{Edge, Node, Source};
pub use event::GraphEvent;
pub use graph::{Graph, Memory};
pub use lookup::{Found, ReadCount};
pub use mutation::{Cascade, Change, Mutation, MutationError, Op, Outcome, Stamp};
pub use read::{AppendError, GraphAppend, GraphRead, ReadError, When};
pub use skydive_value::BoxFuture;
pub use snapshot::{EdgeView, Snapshot};
