//! REST resources and bodies.

use std::fmt;
use std::str::FromStr;

use serde::{Deserialize, Serialize};
use thiserror::Error;
use utoipa::ToSchema;

use crate::json::object;

/// Media types.
pub mod media {
    /// JSON, with the parameter exactly as clients of the original compare it.
    pub const JSON: &str = "application/json; charset=UTF-8";
    /// Plain text of error messages.
    pub const TEXT: &str = "text/plain; charset=utf-8";
    /// Graphviz.
    pub const DOT: &str = "text/vnd.graphviz";
    /// Bytes of any kind.
    pub const BYTES: &str = "application/octet-stream";
    /// Packet capture.
    pub const PCAP: &str = "application/vnd.tcpdump.pcap";
}

/// Service types that this program has itself.
pub mod role {
    /// An agent.
    pub const AGENT: &str = "agent";
    /// An analyzer.
    pub const ANALYZER: &str = "analyzer";
}

/// What `/api` answers.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize, ToSchema)]
#[serde(rename_all = "PascalCase")]
pub struct Identity {
    /// Host id.
    pub host: String,
    /// Version of the program.
    pub version: String,
    /// `analyzer` or `agent`.
    pub service: String,
}

/// What a query read: the value of the header `X-Skydive-Explain`.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Explain {
    /// Nodes read.
    pub nodes: u64,
    /// Edges read.
    pub edges: u64,
    /// Index lookups made.
    pub index: u64,
    /// Flows that came in answer to searches.
    pub flows: u64,
}

/// A body of `POST /api/topology` that cannot be read.
#[derive(Debug, Error)]
#[error("malformed request")]
pub struct QueryBodyError(#[from] serde_json::Error);

object! {
    struct QueryMembers "a query" {
        query: String = "GremlinQuery",
    }
}

/// The query in a body of `POST /api/topology`; `None` when there is none. Only the first JSON value is read.
pub fn query_of_body(body: &[u8]) -> Result<Option<String>, QueryBodyError> {
    match serde_json::Deserializer::from_slice(body).into_iter::<Option<QueryMembers>>().next() {
        None => Ok(None),
        Some(first) => Ok(first?.and_then(|members| members.query).filter(|query| !query.is_empty())),
    }
}

/// The body that asks a query.
pub fn encode_query(query: &str) -> String {
    serde_json::json!({ "GremlinQuery": query }).to_string()
}

impl fmt::Display for Explain {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "nodes={};edges={};index={};flows={}", self.nodes, self.edges, self.index, self.flows)
    }
}

impl FromStr for Explain {
    type Err = ();

    fn from_str(text: &str) -> Result<Self, ()> {
        let mut explain = Self::default();
        for part in text.split(';') {
            let (name, value) = part.split_once('=').ok_or(())?;
            let value = value.parse().map_err(|_| ())?;
            match name {
                "nodes" => explain.nodes = value,
                "edges" => explain.edges = value,
                "index" => explain.index = value,
                "flows" => explain.flows = value,
                _ => {}
            }
        }
        Ok(explain)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn queries_of_bodies() {
        let query = |body: &str| query_of_body(body.as_bytes()).ok().flatten();
        assert_eq!(query(r#"{"gremlinquery":"G.V()","Other":[1]}"#).as_deref(), Some("G.V()"));
        assert_eq!(query(&encode_query("G.V('\"')")).as_deref(), Some("G.V('\"')"));
        for none in ["", "  ", "{}", "null", r#"{"GremlinQuery":""}"#, r#"{"GremlinQuery":null}"#] {
            assert!(matches!(query_of_body(none.as_bytes()), Ok(None)), "{none}");
        }
        for wrong in ["G.V()", "[", r#"{"GremlinQuery":1}"#, "\u{0}"] {
            assert!(query_of_body(wrong.as_bytes()).is_err(), "{wrong}");
        }
    }

    #[test]
    fn explain_is_read_as_written() {
        let explain = Explain { nodes: 3, edges: 2, index: 1, flows: 4 };
        assert_eq!(explain.to_string(), "nodes=3;edges=2;index=1;flows=4");
        assert_eq!("nodes=3;edges=2;index=1;flows=4".parse(), Ok(explain));
        assert_eq!("nodes".parse::<Explain>(), Err(()));
    }
}
