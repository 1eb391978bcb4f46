//! Flows as JSON and as protobuf, as the original writes them.
//!
//! Sets and messages are read flow by flow: what one flow may be is bounded, how many there may be too, and one that
//! cannot be understood is told and does not cost the others. Between flows nothing is kept.

mod convert;
mod dns;
mod message;
mod packet;
mod search;
mod spell;
mod wire;

pub use message::{FlowMessage, FlowReply, FlowStamp, FlowStats, decode_flow_set, encode_flow_set};
pub(crate) use packet::{RawPacketJson, pcap_head, pcap_packet};
pub use search::{FLOW_SEARCH_MAX, decode_flow_search, encode_flow_search};

use prost::Message;
use serde::ser::SerializeStruct;
use serde::{Serialize, Serializer};
use serde_json::value::RawValue;
use skydive_flow::{Flow, FlowSet};
use thiserror::Error;

/// A flow that serialises as its JSON. Raw packets are not in it.
#[derive(Clone, Copy, Debug)]
pub struct FlowJson<'a>(pub &'a Flow);

/// A set that serialises as its JSON: `Flows`, `Start`, `End`.
#[derive(Clone, Copy, Debug)]
pub struct FlowSetJson<'a>(pub &'a FlowSet);

/// How much is taken from outside.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct FlowLimits {
    /// Bytes of a message or set.
    pub message: usize,
    /// Flows in one.
    pub flows: usize,
    /// Bytes of one flow, raw packets included.
    pub flow: usize,
}

/// Bytes that are no flows.
#[derive(Debug, Error)]
pub enum FlowError {
    /// Larger than the receiver takes.
    #[error("{what} of {size} bytes exceeds the limit of {max}")]
    TooLarge {
        /// What is.
        what: &'static str,
        /// Its size.
        size: usize,
        /// The limit.
        max: usize,
    },
    /// More than the receiver takes.
    #[error("more than {max} {what}")]
    TooMany {
        /// Of what.
        what: &'static str,
        /// The limit.
        max: usize,
    },
    /// Not JSON, or a member of a wrong type.
    #[error(transparent)]
    Json(#[from] serde_json::Error),
    /// Not protobuf, or a field of a wrong type.
    #[error(transparent)]
    Protobuf(#[from] prost::DecodeError),
    /// A field that cannot have this value.
    #[error("{field} cannot be {value:?}")]
    Field {
        /// Which one.
        field: &'static str,
        /// The value, as far as it fits a log line.
        value: String,
    },
}

/// Characters of a wrong value that are told.
const TOLD: usize = 64;

impl Default for FlowLimits {
    /// A message of 64 MiB, as many flows as a table has, a flow with a few dozen raw packets of 4 KiB.
    fn default() -> Self {
        Self { message: 64 << 20, flows: 500_000, flow: 256 << 10 }
    }
}

impl FlowLimits {
    fn admit_message(&self, bytes: &[u8]) -> Result<(), FlowError> {
        admit("message", bytes.len(), self.message)
    }

    fn admit_flow(&self, bytes: &[u8]) -> Result<(), FlowError> {
        admit("flow", bytes.len(), self.flow)
    }
}

fn admit(what: &'static str, size: usize, max: usize) -> Result<(), FlowError> {
    if size > max { Err(FlowError::TooLarge { what, size, max }) } else { Ok(()) }
}

impl FlowError {
    pub(crate) fn field(field: &'static str, value: &str) -> Self {
        Self::Field { field, value: value.chars().take(TOLD).collect() }
    }
}

/// Reads a flow from JSON, in the spelling of every version of the original.
pub fn flow_of_json(json: &[u8], limits: &FlowLimits) -> Result<Flow, FlowError> {
    limits.admit_flow(json)?;
    serde_json::from_slice::<wire::Flow>(json)?.try_into()
}

/// Reads a JSON array of flows. Those that cannot be read are given to `refuse`.
pub fn flows_of_json(
    json: &[u8],
    limits: &FlowLimits,
    mut refuse: impl FnMut(FlowError),
) -> Result<Vec<Flow>, FlowError> {
    limits.admit_message(json)?;
    let texts: Vec<&RawValue> = serde_json::from_slice(json)?;
    if texts.len() > limits.flows {
        return Err(FlowError::TooMany { what: "flows", max: limits.flows });
    }
    let mut flows = Vec::new();
    for text in texts {
        match flow_of_json(text.get().as_bytes(), limits) {
            Ok(flow) => flows.push(flow),
            Err(error) => refuse(error),
        }
    }
    Ok(flows)
}

/// Reads a flow from protobuf.
pub fn flow_of_protobuf(bytes: &[u8], limits: &FlowLimits) -> Result<Flow, FlowError> {
    limits.admit_flow(bytes)?;
    wire::Flow::decode(bytes)?.try_into()
}

/// Writes a flow as protobuf, with its raw packets.
pub fn flow_to_protobuf(flow: &Flow) -> Vec<u8> {
    wire::Flow::from(flow).encode_to_vec()
}

impl Serialize for FlowJson<'_> {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        wire::Flow::from(self.0).serialize(serializer)
    }
}

impl Serialize for FlowSetJson<'_> {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        struct Flows<'a>(&'a [Flow]);
        impl Serialize for Flows<'_> {
            fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
                serializer.collect_seq(self.0.iter().map(FlowJson))
            }
        }
        let FlowSet { flows, start, end } = self.0;
        let mut out = serializer.serialize_struct("FlowSet", 3)?;
        out.serialize_field("Flows", &Flows(flows))?;
        out.serialize_field("Start", start)?;
        out.serialize_field("End", end)?;
        out.end()
    }
}
