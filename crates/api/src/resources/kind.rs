//! The kinds of resources that the store keeps. Adding one is one definition in a file of this folder and one line here.

use skydive_graph::Snapshot;
use skydive_proto::Limits;
use skydive_value::Timestamp;

use super::{Endpoint, Subject, capture, edge_rule, node_rule};
use crate::{CaptureFaults, FollowedQuery};

/// A kind of resource.
pub(crate) struct ResourceKind {
    pub(crate) endpoint: Endpoint,
    /// What is said of it.
    pub(crate) subject: fn() -> Subject,
    /// Reads one from JSON; what is absent gets its default. Errors are those of the decoder.
    pub(crate) read: fn(&[u8]) -> Read,
    /// What is told of one that is kept; `None` when it is told as it is kept.
    pub(crate) live: Option<Live>,
}

impl ResourceKind {
    /// One that is told as it is kept.
    pub(crate) const fn new(endpoint: Endpoint, subject: fn() -> Subject, read: fn(&[u8]) -> Read) -> Self {
        Self { endpoint, subject, read, live: None }
    }
}

/// What is told of a resource, from its JSON, the graph of now and what is wrong with captures.
pub(crate) type Live = fn(&str, &Snapshot, &CaptureFaults) -> Option<String>;

/// A resource as it was read.
pub(crate) type Read = Result<Box<dyn Submitted>, String>;

/// A resource that a client wants to make, or has changed.
pub(crate) trait Submitted: Send {
    /// What is wrong with it at `now`, as clients are told: fields first, then its shape, then the whole.
    fn check(&self, limits: &Limits, now: Timestamp) -> Result<(), String>;

    /// Its JSON under an id.
    fn named(&mut self, id: &str) -> Result<String, serde_json::Error>;

    /// Whether one that is kept, given as JSON, is the same but for its name.
    fn is_like(&self, _kept: &[u8]) -> bool {
        false
    }
}

/// All kinds.
pub(crate) const RESOURCES: &[ResourceKind] = &[capture::KIND, edge_rule::KIND, node_rule::KIND];

/// Whether the text of a field is a query whose nodes can be followed.
pub(super) fn check_query(field: &str, text: &str, limits: &Limits, now: Timestamp) -> Result<(), String> {
    let limits = skydive_query::Limits { max_query_bytes: limits.query_bytes, max_steps: limits.query_steps };
    match FollowedQuery::read(text, &limits, now) {
        Ok(_) => Ok(()),
        Err(fault) => Err(format!("{field}: Not a valid Gremlin expression: {fault}")),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn definitions_are_complete() {
        for kind in RESOURCES {
            let Endpoint { name, title, list, item } = kind.endpoint;
            assert!(name.bytes().all(|b| b.is_ascii_lowercase()), "{name}");
            assert_eq!((list, item), (&*format!("/api/{name}"), &*format!("/api/{name}/{{*id}}")));
            assert!(title.starts_with(char::is_uppercase) && title.eq_ignore_ascii_case(name));
            assert_eq!(RESOURCES.iter().filter(|other| other.endpoint.name == name).count(), 1);
            let mut empty = (kind.read)(b"{}").unwrap();
            assert!(empty.check(&Limits::default(), Timestamp::EPOCH).is_err(), "{name}");
            assert!(empty.named("i").unwrap().starts_with(r#"{"UUID":"i","#), "{name}");
            assert!((kind.read)(b"[]").is_err(), "{name}");
        }
    }
}
