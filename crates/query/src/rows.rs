//! What a step gives to the next one, and the last one to the caller.

use std::fmt;
use std::sync::Arc;

use foldhash::HashSet;
use skydive_flow::{Flow, RawPacket};
use skydive_graph::{Edge, Node};
use skydive_value::{Id, Map, SmolStr, Value};

use crate::run::Run;
use crate::{QueryError, View};

/// The result of a step. `proto` knows how each of them looks on a wire.
#[derive(Clone, Debug)]
pub enum Rows {
    /// A graph, whole or in part.
    Graph(View),
    /// Nodes, in order; the same may come many times.
    Nodes(Vec<Arc<Node>>),
    /// Edges, in order; the same may come many times.
    Edges(Vec<Arc<Edge>>),
    /// Paths from a start to a target, both included.
    Paths(Vec<Vec<Arc<Node>>>),
    /// One number: `Count`, `Sum`.
    Number(i64),
    /// Values of fields, names of fields, objects. An empty list is answered as `[]`; see decision 006.
    List(Vec<Value>),
    /// For nodes that have a route to an address, where it leads.
    NextHops(Vec<(Id, NextHop)>),
    /// What nodes counted, by their id; or all of it in slices of time.
    Metrics(Records),
    /// Connections of processes, by the id of the node or the flow.
    Sockets(Records),
    /// Flows, in order.
    Flows(Vec<Flow>),
    /// Flows by what they have in common.
    Groups(Vec<(SmolStr, Vec<Flow>)>),
    /// Packets kept with flows, by the UUID of the flow.
    RawPackets(Vec<(SmolStr, Vec<RawPacket>)>),
    /// One value: the sum of metrics. [`Value::Null`] when there was nothing to add up.
    Value(Value),
}

/// Objects by what they belong to.
#[derive(Clone, Debug, Default, PartialEq)]
pub struct Records(pub Vec<(SmolStr, Vec<Map>)>);

/// What kind of result a step takes or gives. It follows from the text of a query alone.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub enum Kind {
    /// [`Rows::Graph`].
    Graph,
    /// [`Rows::Nodes`].
    Nodes,
    /// [`Rows::Edges`].
    Edges,
    /// [`Rows::Paths`].
    Paths,
    /// [`Rows::Number`].
    Number,
    /// [`Rows::List`].
    List,
    /// [`Rows::NextHops`].
    NextHops,
    /// [`Rows::Metrics`].
    Metrics,
    /// [`Rows::Sockets`].
    Sockets,
    /// [`Rows::Flows`].
    Flows,
    /// [`Rows::Groups`].
    Groups,
    /// [`Rows::RawPackets`].
    RawPackets,
    /// [`Rows::Value`].
    Value,
}

/// Where a packet to an address goes next.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct NextHop {
    /// Priority of the route; 0 when it has none.
    pub priority: i64,
    /// Gateway, or the address itself when it is directly connected.
    pub ip: SmolStr,
    /// Hardware address of `ip`, when it is among the node's neighbours.
    pub mac: Option<SmolStr>,
    /// Index of the interface to send from.
    pub if_index: i64,
}

impl Rows {
    /// What kind they are.
    pub fn kind(&self) -> Kind {
        match self {
            Self::Graph(_) => Kind::Graph,
            Self::Nodes(_) => Kind::Nodes,
            Self::Edges(_) => Kind::Edges,
            Self::Paths(_) => Kind::Paths,
            Self::Number(_) => Kind::Number,
            Self::List(_) => Kind::List,
            Self::NextHops(_) => Kind::NextHops,
            Self::Metrics(_) => Kind::Metrics,
            Self::Sockets(_) => Kind::Sockets,
            Self::Flows(_) => Kind::Flows,
            Self::Groups(_) => Kind::Groups,
            Self::RawPackets(_) => Kind::RawPackets,
            Self::Value(_) => Kind::Value,
        }
    }

    /// Number of elements; a graph's are its nodes, those of metrics and sockets what they belong to, a number and a
    /// value are one.
    pub fn len(&self) -> usize {
        match self {
            Self::Graph(view) => view.node_count(),
            Self::Nodes(nodes) => nodes.len(),
            Self::Edges(edges) => edges.len(),
            Self::Paths(paths) => paths.len(),
            Self::Number(_) | Self::Value(_) => 1,
            Self::List(values) => values.len(),
            Self::NextHops(hops) => hops.len(),
            Self::Metrics(records) | Self::Sockets(records) => records.0.len(),
            Self::Flows(flows) => flows.len(),
            Self::Groups(groups) => groups.len(),
            Self::RawPackets(packets) => packets.len(),
        }
    }

    /// Whether there is no element.
    pub fn is_empty(&self) -> bool {
        self.len() == 0
    }

    pub(crate) fn into_graph(self) -> Result<View, QueryError> {
        match self {
            Self::Graph(view) => Ok(view),
            other => Err(other.unplanned()),
        }
    }

    pub(crate) fn into_nodes(self) -> Result<Vec<Arc<Node>>, QueryError> {
        match self {
            Self::Nodes(nodes) => Ok(nodes),
            other => Err(other.unplanned()),
        }
    }

    pub(crate) fn into_edges(self) -> Result<Vec<Arc<Edge>>, QueryError> {
        match self {
            Self::Edges(edges) => Ok(edges),
            other => Err(other.unplanned()),
        }
    }

    pub(crate) fn into_flows(self) -> Result<Vec<Flow>, QueryError> {
        match self {
            Self::Flows(flows) => Ok(flows),
            other => Err(other.unplanned()),
        }
    }

    pub(crate) fn into_metrics(self) -> Result<Records, QueryError> {
        match self {
            Self::Metrics(records) => Ok(records),
            other => Err(other.unplanned()),
        }
    }

    /// What an operation says of rows that the plan would not have given it.
    pub(crate) fn unplanned(&self) -> QueryError {
        QueryError::Misplaced { step: "", on: self.kind(), offset: 0 }
    }
}

impl Records {
    /// What `read` finds in each node, once for each; nodes without any are left out.
    pub(crate) fn of(
        nodes: &[Arc<Node>],
        run: &Run<'_>,
        read: impl Fn(&Node) -> Vec<Map>,
    ) -> Result<Self, QueryError> {
        let mut known = HashSet::default();
        let mut records = Vec::new();
        let mut len = 0;
        for node in nodes {
            run.tick()?;
            let found = read(node);
            if !found.is_empty() && known.insert(&node.id) {
                len += found.len();
                run.check_room(len)?;
                records.push((node.id.to_string().into(), found));
            }
        }
        Ok(Self(records))
    }

    /// All of the objects.
    pub fn maps(&self) -> impl Iterator<Item = &Map> {
        self.0.iter().flat_map(|(_, maps)| maps)
    }
}

impl fmt::Display for Kind {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match self {
            Self::Graph => "graph",
            Self::Nodes => "nodes",
            Self::Edges => "edges",
            Self::Paths => "paths",
            Self::Number => "number",
            Self::List => "values",
            Self::NextHops => "next hops",
            Self::Metrics => "metrics",
            Self::Sockets => "sockets",
            Self::Flows => "flows",
            Self::Groups => "groups",
            Self::RawPackets => "raw packets",
            Self::Value => "value",
        })
    }
}
