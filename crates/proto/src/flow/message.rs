//! What carries flows: the message of an agent, and the answer to a search.
//!
//! These are taken apart here and not by `prost`: two bytes of a repeated field would become half a kilobyte of an
//! empty flow. Each flow is decoded by itself and is gone before the next.

use prost::Message;
use serde::{Deserialize, Serialize};
use skydive_flow::{Flow, FlowSet};
use skydive_value::Timestamp;

use super::{FlowError, FlowLimits, flow_of_protobuf, wire};

/// What an agent tells on its own: flows, or how a capture is going.
#[derive(Clone, Debug, Default, PartialEq)]
pub struct FlowMessage {
    /// Flows that changed.
    pub flows: Vec<Flow>,
    /// How the capture is going.
    pub stats: Option<FlowStats>,
    /// Who sends the flows, and which of all that it sends they are. Agents of the original do not say.
    pub stamp: Option<FlowStamp>,
}

/// Whose flows a message carries, and their numbers. Each sender numbers the flows that it sends to an analyzer, so that
/// those lost on the way are known.
#[derive(Clone, PartialEq, Eq, prost::Message)]
pub struct FlowStamp {
    /// Host id of the sender, [`FlowStamp::HOST_MAX`] bytes at most.
    #[prost(string, tag = "1")]
    pub host_id: String,
    /// The count that the numbers belong to: another one begins when the sender starts anew.
    #[prost(uint64, tag = "2")]
    pub count: u64,
    /// Number of the first flow in the message; the others follow. The first one sent has number 0.
    #[prost(uint64, tag = "3")]
    pub first: u64,
}

/// What a capture counted since it told last.
#[derive(Clone, PartialEq, Eq, prost::Message, Serialize, Deserialize)]
#[serde(default)]
pub struct FlowStats {
    /// The capture.
    #[prost(string, tag = "1")]
    #[serde(rename = "CaptureID", skip_serializing_if = "String::is_empty")]
    pub capture_id: String,
    /// Flows in its table now.
    #[prost(int64, tag = "2")]
    #[serde(rename = "FlowCount")]
    pub flow_count: i64,
    /// Flows that had to leave the table for others.
    #[prost(int64, tag = "3")]
    #[serde(rename = "FlowDropped")]
    pub flow_dropped: i64,
    /// Flows for which a table in the kernel had no room.
    #[prost(int64, tag = "4")]
    #[serde(rename = "KernelFlowDropped")]
    pub kernel_flow_dropped: i64,
    /// Packets that the kernel dropped.
    #[prost(int64, tag = "5")]
    #[serde(rename = "PacketsDropped")]
    pub packets_dropped: i64,
    /// Packets received.
    #[prost(int64, tag = "6")]
    #[serde(rename = "PacketsReceived")]
    pub packets_received: i64,
}

/// The answer of an agent to a search: one set of every table (`TableReply`).
#[derive(Clone, Debug, Default, PartialEq)]
pub struct FlowReply {
    /// 200, or a status of HTTP that says what is wrong.
    pub status: i32,
    /// The sets, one of each table.
    pub sets: Vec<FlowSet>,
    /// Whether there are more flows than are here.
    pub truncated: bool,
    /// Flows that the tables had no room for, and packets that never reached them, since they were made.
    pub lost: u64,
    /// What is wrong, when the status says that something is.
    pub error: String,
    /// How many flows there are, when only that was asked for. Who does not know the question gives the flows.
    pub count: u64,
}

/// Most sets in an answer: an agent has a table for every capture on every node.
const SETS_MAX: usize = 65_536;

/// Most bytes of what is wrong that are kept.
const TOLD_MAX: usize = 1024;

/// The members of a set beside its flows.
#[derive(Clone, Copy, PartialEq, prost::Message)]
struct SetTimes {
    #[prost(int64, tag = "2")]
    start: i64,
    #[prost(int64, tag = "3")]
    end: i64,
}

/// The members of an answer beside its sets.
#[derive(Clone, PartialEq, prost::Message)]
struct ReplyStatus {
    #[prost(int32, tag = "1")]
    status: i32,
    /// This and what follows is not in the original.
    #[prost(bool, tag = "100")]
    truncated: bool,
    #[prost(uint64, tag = "101")]
    lost: u64,
    #[prost(string, tag = "102")]
    error: String,
    #[prost(uint64, tag = "103")]
    count: u64,
}

/// The stamp of a message; not in the original, as all from 100 on.
const STAMP: u32 = 100;

/// The key of a field with a length.
const fn key_of(tag: u8) -> u8 {
    tag << 3 | LENGTH
}

/// Kinds of fields.
const VARINT: u8 = 0;
const FIXED64: u8 = 1;
const LENGTH: u8 = 2;
const FIXED32: u8 = 5;

impl FlowStamp {
    /// Longest host id, bytes.
    pub const HOST_MAX: usize = 255;

    fn of_bytes(bytes: &[u8]) -> Result<Self, FlowError> {
        let stamp = Self::decode(bytes)?;
        match stamp.host_id.len() {
            size if size > Self::HOST_MAX => {
                Err(FlowError::TooLarge { what: "host id", size, max: Self::HOST_MAX })
            }
            _ => Ok(stamp),
        }
    }
}

impl FlowMessage {
    /// Writes it.
    pub fn encode(&self) -> Vec<u8> {
        let mut out = Vec::new();
        if let Some(stamp) = &self.stamp {
            prost::encoding::message::encode(STAMP, stamp, &mut out);
        }
        for flow in &self.flows {
            put_flow(flow, &mut out);
        }
        if let Some(stats) = &self.stats {
            out.push(key_of(2));
            out.extend(stats.encode_length_delimited_to_vec());
        }
        out
    }

    /// Reads it. Flows that cannot be read are given to `refuse`.
    pub fn decode(
        bytes: &[u8],
        limits: &FlowLimits,
        mut refuse: impl FnMut(FlowError),
    ) -> Result<Self, FlowError> {
        limits.admit_message(bytes)?;
        let mut message = Self::default();
        for part in Parts(bytes) {
            match part? {
                Part { tag: 1, bytes: Some(flow), .. } => {
                    take_flow(flow, limits, &mut message.flows, &mut refuse)?;
                }
                Part { tag: 2, bytes: Some(stats), .. } => message.stats = Some(FlowStats::decode(stats)?),
                Part { tag, bytes: Some(stamp), .. } if tag == u64::from(STAMP) => {
                    message.stamp = Some(FlowStamp::of_bytes(stamp)?);
                }
                _ => {}
            }
        }
        Ok(message)
    }
}

/// Writes a set as protobuf.
pub fn encode_flow_set(set: &FlowSet) -> Vec<u8> {
    let mut out = Vec::new();
    for flow in &set.flows {
        put_flow(flow, &mut out);
    }
    let times = SetTimes { start: set.start.as_millis(), end: set.end.as_millis() };
    out.extend(times.encode_to_vec());
    out
}

/// Reads a set from protobuf. Flows that cannot be read are given to `refuse`.
pub fn decode_flow_set(
    bytes: &[u8],
    limits: &FlowLimits,
    mut refuse: impl FnMut(FlowError),
) -> Result<FlowSet, FlowError> {
    limits.admit_message(bytes)?;
    let mut set = FlowSet::default();
    for part in Parts(bytes) {
        match part? {
            Part { tag: 1, bytes: Some(flow), .. } => {
                take_flow(flow, limits, &mut set.flows, &mut refuse)?;
            }
            Part { tag: 2, number, bytes: None } => set.start = Timestamp::from_millis(number as i64),
            Part { tag: 3, number, bytes: None } => set.end = Timestamp::from_millis(number as i64),
            _ => {}
        }
    }
    Ok(set)
}

impl FlowReply {
    /// Writes it.
    pub fn encode(&self) -> Vec<u8> {
        let Self { status, truncated, lost, count, .. } = *self;
        let error = self.error.clone();
        let mut out = ReplyStatus { status, truncated, lost, error, count }.encode_to_vec();
        for set in &self.sets {
            let set = encode_flow_set(set);
            out.push(key_of(2));
            prost::encoding::encode_varint(set.len() as u64, &mut out);
            out.extend(set);
        }
        out
    }

    /// Reads it. The limit of flows is one of all sets together. Flows that cannot be read are given to `refuse`.
    pub fn decode(
        bytes: &[u8],
        limits: &FlowLimits,
        mut refuse: impl FnMut(FlowError),
    ) -> Result<Self, FlowError> {
        limits.admit_message(bytes)?;
        let mut reply = Self::default();
        let mut left = *limits;
        for part in Parts(bytes) {
            match part? {
                Part { tag: 1, number, bytes: None } => reply.status = number as i32,
                Part { tag: 100, number, bytes: None } => reply.truncated = number != 0,
                Part { tag: 101, number, bytes: None } => reply.lost = number,
                Part { tag: 103, number, bytes: None } => reply.count = number,
                Part { tag: 102, bytes: Some(error), .. } => {
                    reply.error =
                        String::from_utf8_lossy(error.get(..TOLD_MAX).unwrap_or(error)).into_owned();
                }
                Part { tag: 2, bytes: Some(_), .. } if reply.sets.len() == SETS_MAX => {
                    return Err(FlowError::TooMany { what: "sets", max: SETS_MAX });
                }
                Part { tag: 2, bytes: Some(set), .. } => {
                    let set = decode_flow_set(set, &left, &mut refuse)?;
                    left.flows -= set.flows.len();
                    reply.sets.push(set);
                }
                _ => {}
            }
        }
        Ok(reply)
    }
}

fn put_flow(flow: &Flow, out: &mut Vec<u8>) {
    out.push(key_of(1));
    // What we write, not what came in: it fails where a buffer is full, and this one grows.
    wire::Flow::from(flow).encode_length_delimited(out).expect("memory takes every message");
}

fn take_flow(
    bytes: &[u8],
    limits: &FlowLimits,
    flows: &mut Vec<Flow>,
    refuse: &mut impl FnMut(FlowError),
) -> Result<(), FlowError> {
    if flows.len() == limits.flows {
        return Err(FlowError::TooMany { what: "flows", max: limits.flows });
    }
    match flow_of_protobuf(bytes, limits) {
        Ok(flow) => flows.push(flow),
        Err(error) => refuse(error),
    }
    Ok(())
}

/// The fields of a message, as they lie in its bytes.
struct Parts<'a>(&'a [u8]);

struct Part<'a> {
    tag: u64,
    /// The value of a field without a length.
    number: u64,
    /// The value of a field with one.
    bytes: Option<&'a [u8]>,
}

impl<'a> Parts<'a> {
    fn varint(&mut self) -> Result<u64, FlowError> {
        // Ten bytes at most, as all of protobuf.
        Ok(prost::decode_length_delimiter(&mut self.0)? as u64)
    }

    fn take(&mut self, len: u64) -> Result<&'a [u8], FlowError> {
        let split = usize::try_from(len).ok().and_then(|len| self.0.split_at_checked(len));
        let (taken, rest) = split.ok_or_else(|| FlowError::field("length", &len.to_string()))?;
        self.0 = rest;
        Ok(taken)
    }

    fn part(&mut self) -> Result<Part<'a>, FlowError> {
        let key = self.varint()?;
        let (tag, kind) = (key >> 3, key as u8 & 7);
        let (number, bytes) = match kind {
            VARINT => (self.varint()?, None),
            FIXED64 => (0, Some(self.take(8)?)),
            LENGTH => {
                let len = self.varint()?;
                (0, Some(self.take(len)?))
            }
            FIXED32 => (0, Some(self.take(4)?)),
            _ => return Err(FlowError::field("kind of field", &kind.to_string())),
        };
        // What has the wrong kind for its tag is passed over, as fields that are not known.
        let is_known = matches!(kind, VARINT | LENGTH);
        Ok(Part { tag: if is_known { tag } else { 0 }, number, bytes })
    }
}

impl<'a> Iterator for Parts<'a> {
    type Item = Result<Part<'a>, FlowError>;

    fn next(&mut self) -> Option<Self::Item> {
        if self.0.is_empty() {
            return None;
        }
        let part = self.part();
        if part.is_err() {
            self.0 = &[];
        }
        Some(part)
    }
}
