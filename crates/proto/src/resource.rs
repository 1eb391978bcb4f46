//! Resources that users make and that outlive a restart, and the store that keeps them.
//!
//! A resource is its JSON under a kind and an id. The store does not look into it; who makes one has checked it. Every
//! change of a store gets a number, larger than those before it, so that who follows a kind asks for what came after
//! the list it has; nobody's queue grows for a follower that is slow.

use std::sync::Arc;

use skydive_graph::BoxFuture;
use skydive_value::{SmolStr, Timestamp};
use thiserror::Error;

/// A resource as it is kept.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Resource {
    /// Unique within its kind.
    pub id: SmolStr,
    /// Its JSON.
    pub json: Arc<str>,
    /// Number of the change that made it what it is.
    pub revision: u64,
    /// When it goes by itself; `None` for never.
    pub expires_at: Option<Timestamp>,
}

/// What is to be stored.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Draft {
    /// Unique within its kind.
    pub id: SmolStr,
    /// Its JSON.
    pub json: Arc<str>,
    /// When it goes by itself; `None` for never.
    pub expires_at: Option<Timestamp>,
}

/// When a resource is stored.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Put {
    /// If there is none with its id.
    New,
    /// If the one with its id is at this revision.
    Over(u64),
}

/// All resources of a kind at one moment.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Listing {
    /// In the order of their ids.
    pub resources: Vec<Resource>,
    /// Number of the last change that is in it: where [`ResourceStore::changes`] goes on.
    pub revision: u64,
}

/// What happened to a resource.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum ResourceChange {
    /// It is new, or different.
    Stored(Resource),
    /// It was removed, or has expired; as it was before.
    Removed(Resource),
}

/// What happened to a kind since a revision.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Changes {
    /// These, in order; at least one.
    These {
        /// What happened.
        changes: Vec<ResourceChange>,
        /// Number of the last of them.
        revision: u64,
    },
    /// More than the store remembers: the kind must be listed again.
    Missed,
}

/// A resource that cannot be stored, removed or read.
#[derive(Clone, Debug, PartialEq, Eq, Error)]
pub enum StoreError {
    /// There is one with the id.
    #[error("resource already exists")]
    Exists,
    /// There is none with the id.
    #[error("resource not found")]
    Missing,
    /// It is not what the writer has seen.
    #[error("resource has changed meanwhile")]
    Changed,
    /// The disk does not take it. Nothing has changed.
    #[error("resource cannot be written: {0}")]
    Disk(String),
    /// The store has ended.
    #[error("resources are no longer served")]
    Stopped,
}

/// Keeps resources. What an answer said was done is there after a crash of the program.
pub trait ResourceStore: Send + Sync {
    /// All of a kind.
    fn list<'a>(&'a self, kind: &'a str) -> BoxFuture<'a, Result<Listing, StoreError>>;

    /// One of a kind.
    fn find<'a>(&'a self, kind: &'a str, id: &'a str) -> BoxFuture<'a, Result<Option<Resource>, StoreError>>;

    /// Inserts or replaces one.
    fn put<'a>(
        &'a self,
        kind: &'a str,
        draft: Draft,
        when: Put,
    ) -> BoxFuture<'a, Result<Resource, StoreError>>;

    /// Removes one, and gives what it was.
    fn remove<'a>(&'a self, kind: &'a str, id: &'a str) -> BoxFuture<'a, Result<Resource, StoreError>>;

    /// Waits until a kind changes after `revision`. Safe to drop while waiting.
    fn changes<'a>(&'a self, kind: &'a str, revision: u64) -> BoxFuture<'a, Result<Changes, StoreError>>;
}
