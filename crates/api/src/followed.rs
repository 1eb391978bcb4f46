//! Queries whose nodes are followed: captures and rules ask them again whenever the graph changes.

use std::collections::BTreeSet;
use std::sync::Arc;

use skydive_graph::{Node, ReadError, Snapshot};
use skydive_query::{Cx, Kind, Limits, ParseError, Plan, Query, QueryError, Rows, View, execute_on, parse};
use skydive_value::Timestamp;
use thiserror::Error;

/// A query whose nodes can be followed.
#[derive(Debug)]
pub struct FollowedQuery(Query);

/// Why the nodes of a query cannot be followed.
#[derive(Clone, Debug, Error)]
pub enum FollowError {
    /// The text is no query.
    #[error(transparent)]
    Parse(#[from] ParseError),
    /// A step cannot follow what the steps before it give.
    #[error("Invalid step '{step}' on '{on}'")]
    Misplaced {
        /// Name of the step.
        step: &'static str,
        /// What it stands on.
        on: Kind,
    },
    /// The query never has an answer.
    #[error(transparent)]
    Query(QueryError),
    /// Flows change without a change of the graph.
    #[error(
        "it asks for flows, which change without a change of the topology and cannot be followed: \
         choose the nodes by what they are, as G.V().Has('Name','eth0') does"
    )]
    Flows,
    /// What was does not change.
    #[error("it asks for the past, which cannot be followed: leave out At and Context")]
    Past,
    /// There are no nodes in its answer.
    #[error("its answer ({0}) has no nodes: choose nodes, as G.V().Has('Name','eth0') does")]
    NoNodes(Kind),
}

impl FollowedQuery {
    /// Reads a query whose nodes are to be followed from `now` on.
    ///
    /// # Errors
    /// What is wrong, so that whoever makes the resource hears of it and not only the log of the analyzer.
    pub fn read(text: &str, limits: &Limits, now: Timestamp) -> Result<Self, FollowError> {
        let query = parse(text, limits)?;
        let plan = Plan::new(&query, now).map_err(|fault| match fault {
            QueryError::Misplaced { step, on, .. } => FollowError::Misplaced { step, on },
            other => FollowError::Query(other),
        })?;
        if plan.asks_flows() {
            return Err(FollowError::Flows);
        }
        // Which moments need history is found out by asking; what else a graph without nodes lacks may come.
        let asked = execute_on(&query, &View::whole(Snapshot::default()), &Cx::new(now));
        if let Err(QueryError::Read(ReadError::NoHistory)) = asked {
            return Err(FollowError::Past);
        }
        match plan.kind() {
            Kind::Nodes | Kind::Paths | Kind::Graph => Ok(Self(query)),
            other => Err(FollowError::NoNodes(other)),
        }
    }

    /// The nodes that it gives now, in order and each once. A node that the query names and that is not there is none.
    ///
    /// # Errors
    /// What the query cannot be answered for: nothing is known of its nodes then.
    pub fn nodes(&self, view: &View, cx: &Cx) -> Result<Vec<Arc<Node>>, QueryError> {
        let nodes: Vec<Arc<Node>> = match execute_on(&self.0, view, cx) {
            Ok(answer) => match answer.rows {
                Rows::Nodes(nodes) => nodes,
                Rows::Paths(paths) => paths.into_iter().flatten().collect(),
                Rows::Graph(view) => view.nodes().cloned().collect(),
                _ => Vec::new(),
            },
            Err(QueryError::NoNode(_)) => Vec::new(),
            Err(fault) => return Err(fault),
        };
        let mut seen = BTreeSet::new();
        Ok(nodes.into_iter().filter(|node| seen.insert(node.id.clone())).collect())
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn why(text: &str) -> Option<String> {
        let now = Timestamp::from_millis(1_700_000_000_000);
        FollowedQuery::read(text, &Limits::default(), now).err().map(|fault| fault.to_string())
    }

    #[test]
    fn nodes_of_the_present_graph_can_be_followed() {
        for text in [
            "G.V()",
            "G.V('not there yet')",
            "G.V().Has('Name','x').Out().Limit(1)",
            "G.V().Has('Name','x').ShortestPathTo(Metadata('Name','z'))",
            "G.V().Has('Name','x').SubGraph()",
            "G.At(NOW).V()",
            "G",
        ] {
            assert_eq!(why(text), None, "{text}");
        }
    }

    #[test]
    fn what_cannot_be_followed_is_refused_with_the_reason() {
        for (text, reason) in [
            ("G.Flows()", "it asks for flows"),
            ("G.Flows().CaptureNode()", "it asks for flows"),
            ("G.V().Flows().Has('Application','HTTP').Nodes()", "it asks for flows"),
            ("G.Flows().Hops()", "it asks for flows"),
            ("G.At('-1h').V()", "it asks for the past"),
            ("G.Context('-1h', 60).V()", "it asks for the past"),
            ("G.V().Count()", "its answer (number) has no nodes"),
            ("G.E()", "its answer (edges) has no nodes"),
            ("G.V().Hops()", "Invalid step 'Hops' on 'nodes'"),
            ("G.V(", "Expected right parenthesis"),
        ] {
            let found = why(text).unwrap_or_default();
            assert!(found.contains(reason), "{text}: {found}");
        }
    }
}
