//! What crosses a socket or a process: messages, REST resources and their encodings.
//!
//! External spellings (`GremlinQuery`, `X-Host-ID`, `NodePartiallyUpdated`) appear here and nowhere else. Everything
//! decodes from bytes of outsiders: sizes are limited by the caller's maximum, nesting by the JSON parser (128
//! levels), and no input panics. Encoders borrow what they write; large answers are given in pieces ([`Pieces`]).
//! No I/O, no clock: where the time of now stands in for a missing one it is an argument.

#![deny(clippy::indexing_slicing)]

mod answer;
mod capture;
mod coverage;
mod dot;
mod element;
mod envelope;
mod flow;
mod graph_message;
mod handshake;
mod json;
mod language;
mod limits;
mod on_demand;
mod patch;
mod pieces;
mod reason;
mod resource;
mod resource_body;
mod resource_ttl;
mod rest;
mod rfc3339;
mod rule;
mod schema;
mod shape;
mod status;

pub use answer::{Answer, AnswerError, Edges, Output, pieces_of_answer, pieces_of_elements, pieces_of_graph};
pub use capture::Capture;
pub use coverage::{coverage_of_text, coverage_to_text};
pub use element::{EdgeJson, EdgeViewJson, ElementError, NodeJson, decode_edge, decode_node};
pub use envelope::{Envelope, EnvelopeError, Format, flow_type, namespace};
pub use flow::{
    FLOW_SEARCH_MAX, FlowError, FlowJson, FlowLimits, FlowMessage, FlowReply, FlowSetJson, FlowStamp,
    FlowStats, decode_flow_search, decode_flow_set, encode_flow_search, encode_flow_set, flow_of_json,
    flow_of_protobuf, flow_to_protobuf, flows_of_json,
};
pub use graph_message::{
    Elements, GraphMessage, MessageError, PartialUpdate, SyncRequest, event_envelope, graph_type,
    refused_sync, sync_envelope, sync_reply, sync_reply_of,
};
pub use handshake::{Handshake, HandshakeError, Persistence, Protocol, UpdatePolicy, header};
pub use language::{Language, Place, PredicateShape, StepShape};
pub use limits::Limits;
pub use on_demand::{NodeCapture, on_demand_type};
pub use patch::{JsonPatch, PatchError};
pub use pieces::{PIECE_SIZE, Part, Pieces, list};
pub use reason::reason;
pub use resource::{Changes, Draft, Listing, Put, Resource, ResourceChange, ResourceStore, StoreError};
pub use resource_body::{
    BodyError, YAML, first_json, json_of_resources, json_of_yaml, pieces_of_edges, pieces_of_nodes,
};
pub use resource_ttl::{TtlError, parse_ttl};
pub use rest::{Explain, Identity, QueryBodyError, encode_query, media, query_of_body, role};
pub use rfc3339::{Rfc3339Error, format_rfc3339, parse_rfc3339};
pub use rule::{EdgeRule, NodeAction, NodeRule};
pub use schema::{
    SchemaErrors, check_decoded_edge, check_decoded_node, check_edge, check_edge_metadata, check_node,
    check_node_metadata,
};
pub use shape::{Example, Shape};
pub use status::{
    AgentStatus, AnalyzerLink, AnalyzerStatus, CaptureTotals, ConnStatus, Election, FilterMode, FlowsSent,
    FlowsStatus, Losses, Peers, ProbeStatus,
};
