//! What crosses a socket or a process: messages, REST resources and their encodings.
//!
//! External spellings (`GremlinQuery`, `X-Host-ID`, `NodePartiallyUpdated`) appear here and nowhere else. Everything
//! decodes from bytes of outsiders: sizes are limited by the caller's maximum, nesting by the JSON parser (128
//! levels), and no input panics. Encoders borrow what they write; large answers are given in pieces ([`Pieces`]).
//! No I/O, no clock: where the time of now stands in for a missing one it is an argument.

#![deny(clippy::indexing_slicing)]

mod answer;
mod dot;
mod element;
mod envelope;
mod flow;
mod graph_message;
mod handshake;
mod json;
mod limits;
mod pieces;
mod reason;
mod rest;
mod rfc3339;
mod schema;
mod status;

pub use answer::{Answer, AnswerError, Edges, Output, pieces_of_answer, pieces_of_graph};
pub use element::{EdgeJson, EdgeViewJson, ElementError, NodeJson, decode_edge, decode_node};
pub use envelope::{Envelope, EnvelopeError, Format, namespace};
pub use flow::{
    FlowError, FlowJson, FlowLimits, FlowMessage, FlowReply, FlowSearch, FlowSetJson, FlowStats,
    decode_flow_set, encode_flow_set, flow_of_json, flow_of_protobuf, flow_to_protobuf, flows_of_json,
};
pub use graph_message::{
    Elements, GraphMessage, MessageError, PartialUpdate, SyncRequest, event_envelope, graph_type,
    refused_sync, sync_envelope, sync_reply,
};
pub use handshake::{Handshake, HandshakeError, Persistence, Protocol, UpdatePolicy, header};
pub use limits::Limits;
pub use pieces::{PIECE_SIZE, Part, Pieces, list};
pub use reason::reason;
pub use rest::{Explain, Identity, QueryBodyError, encode_query, media, query_of_body, role};
pub use rfc3339::{Rfc3339Error, format_rfc3339, parse_rfc3339};
pub use schema::{
    SchemaErrors, check_decoded_edge, check_decoded_node, check_edge, check_edge_metadata, check_node,
    check_node_metadata,
};
pub use status::{
    AgentStatus, AnalyzerLink, AnalyzerStatus, ConnStatus, Election, Losses, Peers, ProbeStatus,
};
