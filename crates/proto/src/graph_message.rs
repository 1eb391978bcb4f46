//! Messages of the namespace `Graph`.

use std::sync::Arc;

use bytes::Bytes;
use serde::ser::SerializeStruct;
use serde::{Serialize, Serializer};
use skydive_graph::{Change, Edge, GraphEvent, Mutation, Node, Op, Snapshot, Stamp};
use skydive_value::{Id, Path, SmolStr, Timestamp, Value};
use thiserror::Error;

use crate::element::{EdgeJson, ElementError, NodeJson, RawElement, Sources};
use crate::json::{Millis, object};
use crate::{Envelope, Format, UpdatePolicy, namespace, pieces_of_elements, pieces_of_graph};

/// Types of messages.
pub mod graph_type {
    /// Asks for the graph.
    pub const SYNC_REQUEST: &str = "SyncRequest";
    /// Gives the graph, or says why not.
    pub const SYNC_REPLY: &str = "SyncReply";
    /// The whole graph of the sender.
    pub const SYNC: &str = "Sync";
    /// A node is new.
    pub const NODE_ADDED: &str = "NodeAdded";
    /// A node changed; the whole of it.
    pub const NODE_UPDATED: &str = "NodeUpdated";
    /// A node is gone.
    pub const NODE_DELETED: &str = "NodeDeleted";
    /// A node changed; the changed fields.
    pub const NODE_PARTIALLY_UPDATED: &str = "NodePartiallyUpdated";
    /// An edge is new.
    pub const EDGE_ADDED: &str = "EdgeAdded";
    /// An edge changed; the whole of it.
    pub const EDGE_UPDATED: &str = "EdgeUpdated";
    /// An edge is gone.
    pub const EDGE_DELETED: &str = "EdgeDeleted";
    /// An edge changed; the changed fields.
    pub const EDGE_PARTIALLY_UPDATED: &str = "EdgePartiallyUpdated";
}

/// Nodes and edges of a synchronisation.
#[derive(Clone, Debug, Default, PartialEq)]
pub struct Elements {
    /// The nodes.
    pub nodes: Vec<Node>,
    /// The edges.
    pub edges: Vec<Edge>,
}

/// What a synchronisation is asked for.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct SyncRequest {
    /// The state of when; `None` is the live one.
    pub at: Option<Timestamp>,
    /// Sub-graph filter; `None` keeps the current one, empty text clears it.
    pub filter: Option<String>,
}

/// The changed fields of an element.
#[derive(Clone, Debug, PartialEq)]
pub struct PartialUpdate {
    /// Which element.
    pub id: Id,
    /// When.
    pub updated_at: Timestamp,
    /// Its revision after the change.
    pub revision: i64,
    /// What changed.
    pub ops: Vec<Op>,
}

/// A message.
#[derive(Clone, Debug, PartialEq)]
pub enum GraphMessage {
    /// Asks for the graph.
    SyncRequest(SyncRequest),
    /// Gives the graph.
    SyncReply(Elements),
    /// The whole graph of the sender.
    Sync(Elements),
    /// A node is new.
    NodeAdded(Node),
    /// A node changed.
    NodeUpdated(Node),
    /// Some fields of a node changed.
    NodePartiallyUpdated(PartialUpdate),
    /// A node is gone.
    NodeDeleted(Node),
    /// An edge is new.
    EdgeAdded(Edge),
    /// An edge changed.
    EdgeUpdated(Edge),
    /// Some fields of an edge changed.
    EdgePartiallyUpdated(PartialUpdate),
    /// An edge is gone.
    EdgeDeleted(Edge),
}

/// A message that cannot be read.
#[derive(Debug, Error)]
pub enum MessageError {
    /// Of another namespace.
    #[error("unknown namespace {0:?}")]
    Namespace(String),
    /// Of a type that is not known.
    #[error("unknown message type {0:?}")]
    Kind(String),
    /// The payload is protobuf where JSON is expected.
    #[error("{0}: payload is not JSON")]
    NotJson(String),
    /// The payload is not what the type demands.
    #[error("malformed {kind}")]
    Obj {
        /// Type of the message.
        kind: &'static str,
        /// What is wrong.
        source: ElementError,
    },
    /// The sender reports a failure.
    #[error("{kind} with status {status}: {reason}")]
    Failed {
        /// Type of the message.
        kind: String,
        /// Its status.
        status: i64,
        /// Its reason.
        reason: String,
    },
}

object! {
    struct SyncRequestMembers "a request for synchronisation" {
        time: Millis = "Time",
        filter: String = "GremlinFilter",
    }
}

object! {
    struct ElementsMembers "nodes and edges" {
        nodes: Vec<RawElement> = "Nodes",
        edges: Vec<RawElement> = "Edges",
    }
}

object! {
    struct PartialMembers "a partial update" {
        id: Id = "ID",
        updated_at: Millis = "UpdatedAt",
        revision: i64 = "Revision",
        ops: Vec<OpMembers> = "Ops",
    }
}

object! {
    struct OpMembers "a change of a field" {
        kind: i64 = "Type",
        key: String = "Key",
        value: Value = "Value",
    }
}

/// Numbers of changes of a field.
const OP_SET: i64 = 1;
const OP_REMOVE: i64 = 2;

impl GraphMessage {
    /// Reads the payload of a message. Missing times are `now`. Never panics.
    pub fn decode(message: &Envelope, now: Timestamp) -> Result<Self, MessageError> {
        if message.namespace != namespace::GRAPH {
            return Err(MessageError::Namespace(message.namespace.clone()));
        }
        if message.format != Format::Json {
            return Err(MessageError::NotJson(message.kind.clone()));
        }
        if message.status >= 400 {
            return Err(MessageError::Failed {
                kind: message.kind.clone(),
                status: message.status,
                reason: serde_json::from_slice(&message.obj).unwrap_or_default(),
            });
        }
        Self::decode_obj(&message.kind, &message.obj, now)
    }

    fn decode_obj(kind: &str, obj: &[u8], now: Timestamp) -> Result<Self, MessageError> {
        use graph_type as t;
        let obj = if obj.is_empty() { b"null" } else { obj };
        let (kind, read) = match kind {
            t::SYNC_REQUEST => (t::SYNC_REQUEST, decode_sync_request(obj).map(Self::SyncRequest)),
            t::SYNC_REPLY => (t::SYNC_REPLY, decode_elements(obj, now).map(Self::SyncReply)),
            t::SYNC => (t::SYNC, decode_elements(obj, now).map(Self::Sync)),
            t::NODE_ADDED => (t::NODE_ADDED, crate::decode_node(obj, now).map(Self::NodeAdded)),
            t::NODE_UPDATED => (t::NODE_UPDATED, crate::decode_node(obj, now).map(Self::NodeUpdated)),
            t::NODE_DELETED => (t::NODE_DELETED, crate::decode_node(obj, now).map(Self::NodeDeleted)),
            t::NODE_PARTIALLY_UPDATED => {
                (t::NODE_PARTIALLY_UPDATED, decode_partial(obj, now).map(Self::NodePartiallyUpdated))
            }
            t::EDGE_ADDED => (t::EDGE_ADDED, crate::decode_edge(obj, now).map(Self::EdgeAdded)),
            t::EDGE_UPDATED => (t::EDGE_UPDATED, crate::decode_edge(obj, now).map(Self::EdgeUpdated)),
            t::EDGE_DELETED => (t::EDGE_DELETED, crate::decode_edge(obj, now).map(Self::EdgeDeleted)),
            t::EDGE_PARTIALLY_UPDATED => {
                (t::EDGE_PARTIALLY_UPDATED, decode_partial(obj, now).map(Self::EdgePartiallyUpdated))
            }
            other => return Err(MessageError::Kind(other.chars().take(64).collect())),
        };
        read.map_err(|source| MessageError::Obj { kind, source })
    }

    /// The type and the payload.
    pub fn to_envelope(&self) -> Envelope {
        use graph_type as t;
        let (kind, obj) = match self {
            Self::SyncRequest(request) => (t::SYNC_REQUEST, json(request)),
            Self::SyncReply(elements) => (t::SYNC_REPLY, json(elements)),
            Self::Sync(elements) => (t::SYNC, json(elements)),
            Self::NodeAdded(node) => (t::NODE_ADDED, json(&NodeJson(node))),
            Self::NodeUpdated(node) => (t::NODE_UPDATED, json(&NodeJson(node))),
            Self::NodePartiallyUpdated(update) => (t::NODE_PARTIALLY_UPDATED, json(&update.borrowed())),
            Self::NodeDeleted(node) => (t::NODE_DELETED, json(&NodeJson(node))),
            Self::EdgeAdded(edge) => (t::EDGE_ADDED, json(&EdgeJson(edge))),
            Self::EdgeUpdated(edge) => (t::EDGE_UPDATED, json(&EdgeJson(edge))),
            Self::EdgePartiallyUpdated(update) => (t::EDGE_PARTIALLY_UPDATED, json(&update.borrowed())),
            Self::EdgeDeleted(edge) => (t::EDGE_DELETED, json(&EdgeJson(edge))),
        };
        Envelope::json(namespace::GRAPH, kind, obj)
    }

    /// What the message does to the receiver's graph; `None` for requests and replies. `origin` is the sender's: a
    /// `Sync` speaks for it.
    pub fn into_mutation(self, origin: &SmolStr) -> Option<Mutation> {
        let full = |revision, updated_at| Some(Stamp { revision, updated_at });
        Some(match self {
            Self::SyncRequest(_) | Self::SyncReply(_) => return None,
            Self::Sync(Elements { nodes, edges }) => Mutation::Sync { origin: origin.clone(), nodes, edges },
            Self::NodeAdded(node) => Mutation::AddNode(node),
            Self::NodeUpdated(node) => Mutation::UpdateNode {
                stamp: full(node.revision, node.updated_at),
                id: node.id,
                change: Change::Metadata(node.metadata),
            },
            Self::NodePartiallyUpdated(update) => Mutation::UpdateNode {
                stamp: full(update.revision, update.updated_at),
                id: update.id,
                change: Change::Ops(update.ops.into()),
            },
            Self::NodeDeleted(node) => Mutation::delete_node(node.id),
            Self::EdgeAdded(edge) => Mutation::AddEdge(edge),
            Self::EdgeUpdated(edge) => Mutation::UpdateEdge {
                stamp: full(edge.revision, edge.updated_at),
                id: edge.id,
                change: Change::Metadata(Arc::unwrap_or_clone(edge.metadata)),
            },
            Self::EdgePartiallyUpdated(update) => Mutation::UpdateEdge {
                stamp: full(update.revision, update.updated_at),
                id: update.id,
                change: Change::Ops(update.ops.into()),
            },
            Self::EdgeDeleted(edge) => Mutation::DeleteEdge { id: edge.id },
        })
    }
}

fn decode_sync_request(obj: &[u8]) -> Result<SyncRequest, ElementError> {
    let raw: Option<SyncRequestMembers> = serde_json::from_slice(obj)?;
    let raw = raw.unwrap_or_default();
    Ok(SyncRequest { at: raw.time.map(|at| at.0).filter(|at| *at != Timestamp::EPOCH), filter: raw.filter })
}

fn decode_elements(obj: &[u8], now: Timestamp) -> Result<Elements, ElementError> {
    let raw: Option<ElementsMembers> = serde_json::from_slice(obj)?;
    let raw = raw.unwrap_or_default();
    let mut sources = Sources::default();
    Ok(Elements {
        nodes: raw
            .nodes
            .unwrap_or_default()
            .into_iter()
            .map(|node| node.into_node(now, &mut sources))
            .collect::<Result<_, _>>()?,
        edges: raw
            .edges
            .unwrap_or_default()
            .into_iter()
            .map(|edge| edge.into_edge(now, &mut sources))
            .collect::<Result<_, _>>()?,
    })
}

/// Operations in one update. The receiver does them one after the other, and each that adds a field moves others.
const OPS_MAX: usize = 4096;

fn decode_partial(obj: &[u8], now: Timestamp) -> Result<PartialUpdate, ElementError> {
    let raw: PartialMembers = serde_json::from_slice(obj)?;
    let ops = raw.ops.unwrap_or_default();
    if ops.len() > OPS_MAX {
        return Err(ElementError::TooManyOps { ops: ops.len(), max: OPS_MAX });
    }
    let ops = ops.into_iter().filter_map(|op| {
        let path = Path::parse(&op.key.unwrap_or_default());
        match op.kind {
            Some(OP_SET) => Some(Op::Set(path, op.value.unwrap_or_default())),
            Some(OP_REMOVE) => Some(Op::Remove(path)),
            _ => None,
        }
    });
    Ok(PartialUpdate {
        id: raw.id.filter(|id| !id.is_empty()).ok_or(ElementError::NoId)?,
        updated_at: raw.updated_at.map_or(now, |at| at.0),
        revision: raw.revision.unwrap_or(0),
        ops: ops.collect(),
    })
}

/// The message that tells of an event. Where the fields that changed are not known, the `Partial` policy gets the
/// whole element too.
pub fn event_envelope(event: &GraphEvent, policy: UpdatePolicy) -> Envelope {
    use graph_type as t;
    let (kind, obj) = match event {
        GraphEvent::NodeAdded(node) => (t::NODE_ADDED, json(&NodeJson(node))),
        GraphEvent::NodeUpdated { node, ops } => match (policy, ops) {
            (UpdatePolicy::Partial, Some(ops)) => {
                let update =
                    PartialJson { id: &node.id, updated_at: node.updated_at, revision: node.revision, ops };
                (t::NODE_PARTIALLY_UPDATED, json(&update))
            }
            _ => (t::NODE_UPDATED, json(&NodeJson(node))),
        },
        GraphEvent::NodeDeleted(node) => (t::NODE_DELETED, json(&NodeJson(node))),
        GraphEvent::EdgeAdded(edge) => (t::EDGE_ADDED, json(&EdgeJson(edge))),
        GraphEvent::EdgeUpdated { edge, ops } => match (policy, ops) {
            (UpdatePolicy::Partial, Some(ops)) => {
                let update =
                    PartialJson { id: &edge.id, updated_at: edge.updated_at, revision: edge.revision, ops };
                (t::EDGE_PARTIALLY_UPDATED, json(&update))
            }
            _ => (t::EDGE_UPDATED, json(&EdgeJson(edge))),
        },
        GraphEvent::EdgeDeleted(edge) => (t::EDGE_DELETED, json(&EdgeJson(edge))),
    };
    Envelope::json(namespace::GRAPH, kind, obj)
}

/// The reply to a `SyncRequest` that holds the graph. A message is one frame, so it lies whole in memory.
pub fn sync_reply(request: &Envelope, snapshot: Snapshot) -> Envelope {
    Envelope::json(namespace::GRAPH, graph_type::SYNC_REPLY, pieces_of_graph(snapshot).into_bytes())
        .answering(request)
}

/// The same with a part of a graph.
pub fn sync_reply_of(request: &Envelope, nodes: Vec<Arc<Node>>, edges: Vec<Arc<Edge>>) -> Envelope {
    let obj = pieces_of_elements(nodes, edges).into_bytes();
    Envelope::json(namespace::GRAPH, graph_type::SYNC_REPLY, obj).answering(request)
}

/// The reply to a `SyncRequest` that is refused; without reason its payload is `null`.
pub fn refused_sync(request: &Envelope, reason: Option<&str>) -> Envelope {
    let obj = reason.map_or_else(Bytes::new, json);
    Envelope { status: 400, ..Envelope::json(namespace::GRAPH, graph_type::SYNC_REPLY, obj) }
        .answering(request)
}

/// The message that makes the receiver's copy of a graph equal to `snapshot`.
pub fn sync_envelope(snapshot: Snapshot) -> Envelope {
    Envelope::json(namespace::GRAPH, graph_type::SYNC, pieces_of_graph(snapshot).into_bytes())
}

fn json<T: Serialize + ?Sized>(value: &T) -> Bytes {
    serde_json::to_vec(value).expect("writing to memory does not fail and all keys are text").into()
}

impl PartialUpdate {
    fn borrowed(&self) -> PartialJson<'_> {
        PartialJson { id: &self.id, updated_at: self.updated_at, revision: self.revision, ops: &self.ops }
    }
}

struct PartialJson<'a> {
    id: &'a Id,
    updated_at: Timestamp,
    revision: i64,
    ops: &'a [Op],
}

impl Serialize for PartialJson<'_> {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        let mut out = serializer.serialize_struct("PartialUpdate", 4)?;
        out.serialize_field("ID", self.id)?;
        out.serialize_field("UpdatedAt", &self.updated_at)?;
        out.serialize_field("Revision", &self.revision)?;
        out.serialize_field("Ops", &OpsJson(self.ops))?;
        out.end()
    }
}

struct OpsJson<'a>(&'a [Op]);

impl Serialize for OpsJson<'_> {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        serializer.collect_seq(self.0.iter().map(OpJson))
    }
}

struct OpJson<'a>(&'a Op);

impl Serialize for OpJson<'_> {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        let (kind, value) = match self.0 {
            Op::Set(_, value) => (OP_SET, value),
            Op::Remove(_) => (OP_REMOVE, &Value::Null),
        };
        let mut out = serializer.serialize_struct("Op", 3)?;
        out.serialize_field("Type", &kind)?;
        out.serialize_field("Key", &self.0.path().to_string())?;
        out.serialize_field("Value", value)?;
        out.end()
    }
}

impl Serialize for Elements {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        struct Nodes<'a>(&'a [Node]);
        struct Edges<'a>(&'a [Edge]);
        impl Serialize for Nodes<'_> {
            fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
                serializer.collect_seq(self.0.iter().map(NodeJson))
            }
        }
        impl Serialize for Edges<'_> {
            fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
                serializer.collect_seq(self.0.iter().map(EdgeJson))
            }
        }
        let mut out = serializer.serialize_struct("Graph", 2)?;
        out.serialize_field("Nodes", &Nodes(&self.nodes))?;
        out.serialize_field("Edges", &Edges(&self.edges))?;
        out.end()
    }
}

impl Serialize for SyncRequest {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        let mut out = serializer.serialize_struct("SyncRequest", 2)?;
        out.serialize_field("Time", &self.at)?;
        out.serialize_field("GremlinFilter", &self.filter)?;
        out.end()
    }
}
