//! The frame around every WebSocket message, as JSON or as protobuf.

use bytes::Bytes;
use serde_json::value::RawValue;
use thiserror::Error;

use crate::Protocol;
use crate::json::object;

/// Namespaces of messages.
pub mod namespace {
    /// Nodes and edges.
    pub const GRAPH: &str = "Graph";
    /// Captures that an agent is to start and stop.
    pub const ON_DEMAND_CAPTURE: &str = "OnDemandCapture";
    /// What became of captures, for subscribers.
    pub const ON_DEMAND_CAPTURE_NOTIFICATION: &str = "OnDemandCaptureNotification";
    /// Searches in the flow tables of an agent.
    pub const FLOW: &str = "Flow";
    /// Flows as they come, for flow subscribers; with a slash and its id behind, those of one capture.
    pub const FLOWS: &str = "flow";
    /// How captures are going, for flow subscribers.
    pub const STATS: &str = "stats";
    /// All of them, in a subscription.
    pub const ALL: &str = "*";
}

/// Types of messages about flows.
pub mod flow_type {
    /// A search in the tables of an agent.
    pub const TABLE_QUERY: &str = "TableQuery";
    /// Its answer.
    pub const TABLE_RESULT: &str = "TableResult";
    /// To subscribers: flows, as a list.
    pub const STORE: &str = "store";
    /// To subscribers: what a capture counted.
    pub const STATS: &str = "stats";
}

/// How `Obj` is written inside a protobuf envelope.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub enum Format {
    /// JSON text.
    #[default]
    Json,
    /// A protobuf message.
    Protobuf,
}

/// One message.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Envelope {
    /// What it is about.
    pub namespace: String,
    /// What it says.
    pub kind: String,
    /// Correlates a reply with its request; may be empty.
    pub uuid: String,
    /// As in HTTP; a message that gives none has 200.
    pub status: i64,
    /// How `obj` is written.
    pub format: Format,
    /// The payload; empty stands for JSON's `null`.
    pub obj: Bytes,
}

/// Bytes that are no envelope.
#[derive(Debug, Error)]
pub enum EnvelopeError {
    /// Larger than the receiver takes.
    #[error("message of {size} bytes exceeds the limit of {max}")]
    TooLarge {
        /// Its size.
        size: usize,
        /// The limit.
        max: usize,
    },
    /// Not a JSON envelope.
    #[error("malformed JSON message")]
    Json(#[source] serde_json::Error),
    /// Not a protobuf envelope.
    #[error("malformed protobuf message")]
    Protobuf(#[source] prost::DecodeError),
    /// A payload format with an unknown number.
    #[error("unknown payload format {0}")]
    Format(i32),
}

/// Status of a message that reports success, or gives none.
const OK: i64 = 200;

object! {
    struct Members<'de> "a message" {
        namespace: String = "Namespace",
        kind: String = "Type",
        uuid: String = "UUID",
        status: i64 = "Status",
        obj: &'de RawValue = "Obj",
    }
}

#[derive(Clone, PartialEq, prost::Message)]
struct Wire {
    #[prost(string, tag = "1")]
    namespace: String,
    #[prost(string, tag = "2")]
    kind: String,
    #[prost(string, tag = "3")]
    uuid: String,
    #[prost(int64, tag = "4")]
    status: i64,
    #[prost(int32, tag = "5")]
    format: i32,
    #[prost(bytes = "bytes", tag = "6")]
    obj: Bytes,
}

impl Envelope {
    /// A message with a JSON payload, status 200 and no UUID.
    pub fn json(namespace: &str, kind: &str, obj: Bytes) -> Self {
        Self {
            namespace: namespace.to_owned(),
            kind: kind.to_owned(),
            uuid: String::new(),
            status: OK,
            format: Format::Json,
            obj,
        }
    }

    /// The same message as the reply to `request`: in its namespace and with its UUID.
    #[must_use]
    pub fn answering(mut self, request: &Self) -> Self {
        self.namespace.clone_from(&request.namespace);
        self.uuid.clone_from(&request.uuid);
        self
    }

    /// Reads a frame. Never panics; frames above `max` bytes are refused unread.
    pub fn decode(protocol: Protocol, frame: Bytes, max: usize) -> Result<Self, EnvelopeError> {
        if frame.len() > max {
            return Err(EnvelopeError::TooLarge { size: frame.len(), max });
        }
        match protocol {
            Protocol::Json => Self::decode_json(&frame),
            Protocol::Protobuf => Self::decode_protobuf(frame),
        }
    }

    fn decode_json(frame: &Bytes) -> Result<Self, EnvelopeError> {
        let raw: Members<'_> = serde_json::from_slice(frame).map_err(EnvelopeError::Json)?;
        let obj = raw.obj.map_or_else(Bytes::new, |obj| frame.slice_ref(obj.get().as_bytes()));
        Ok(Self {
            namespace: raw.namespace.unwrap_or_default(),
            kind: raw.kind.unwrap_or_default(),
            uuid: raw.uuid.unwrap_or_default(),
            status: status_or_ok(raw.status.unwrap_or(0)),
            format: Format::Json,
            obj,
        })
    }

    fn decode_protobuf(frame: Bytes) -> Result<Self, EnvelopeError> {
        let wire = <Wire as prost::Message>::decode(frame).map_err(EnvelopeError::Protobuf)?;
        let format = match wire.format {
            0 => Format::Json,
            1 => Format::Protobuf,
            other => return Err(EnvelopeError::Format(other)),
        };
        let obj = if format == Format::Json && &*wire.obj == b"null" { Bytes::new() } else { wire.obj };
        Ok(Self {
            namespace: wire.namespace,
            kind: wire.kind,
            uuid: wire.uuid,
            status: status_or_ok(wire.status),
            format,
            obj,
        })
    }

    /// Writes the frame. `obj` is taken to be what `format` says; a payload that is not JSON has no place in the JSON
    /// protocol and is left out there.
    pub fn encode(&self, protocol: Protocol) -> Bytes {
        match protocol {
            Protocol::Json => {
                let obj: &[u8] = match self.format {
                    Format::Json if !self.obj.is_empty() => &self.obj,
                    _ => b"null",
                };
                let (namespace, kind, uuid) =
                    (quoted(&self.namespace), quoted(&self.kind), quoted(&self.uuid));
                let head = format!(
                    r#"{{"Namespace":{namespace},"Type":{kind},"UUID":{uuid},"Status":{},"Obj":"#,
                    self.status
                );
                let mut frame = Vec::with_capacity(head.len() + obj.len() + 1);
                frame.extend_from_slice(head.as_bytes());
                frame.extend_from_slice(obj);
                frame.push(b'}');
                frame.into()
            }
            Protocol::Protobuf => {
                let obj = if self.obj.is_empty() && self.format == Format::Json {
                    Bytes::from_static(b"null")
                } else {
                    self.obj.clone()
                };
                let wire = Wire {
                    namespace: self.namespace.clone(),
                    kind: self.kind.clone(),
                    uuid: self.uuid.clone(),
                    status: self.status,
                    format: self.format as i32,
                    obj,
                };
                prost::Message::encode_to_vec(&wire).into()
            }
        }
    }
}

fn status_or_ok(status: i64) -> i64 {
    if status == 0 { OK } else { status }
}

fn quoted(text: &str) -> String {
    serde_json::to_string(text).expect("text is always JSON")
}

#[cfg(test)]
mod tests {
    use super::*;

    const MAX: usize = 1 << 20;

    #[test]
    fn browsers_leave_members_out() {
        let frame = Bytes::from_static(br#"{"namespace":"Graph","TYPE":"SyncRequest","Obj":{"Time":null}}"#);
        let message = Envelope::decode(Protocol::Json, frame, MAX).unwrap();
        assert_eq!(message.namespace, "Graph");
        assert_eq!(message.kind, "SyncRequest");
        assert_eq!((message.uuid.as_str(), message.status), ("", 200));
        assert_eq!(&*message.obj, br#"{"Time":null}"#);
    }

    #[test]
    fn the_json_frame_has_the_members_in_order() {
        let message = Envelope::json("Graph", "NodeDeleted", Bytes::from_static(br#"{"ID":"a"}"#));
        assert_eq!(
            &*message.encode(Protocol::Json),
            br#"{"Namespace":"Graph","Type":"NodeDeleted","UUID":"","Status":200,"Obj":{"ID":"a"}}"#
        );
        let empty = Envelope { obj: Bytes::new(), status: 400, ..message };
        assert!(empty.encode(Protocol::Json).ends_with(br#""Status":400,"Obj":null}"#));
    }

    #[test]
    fn the_protobuf_frame_has_the_numbers_of_the_original() {
        let message = Envelope::json("G", "T", Bytes::from_static(b"1"));
        assert_eq!(
            &*message.encode(Protocol::Protobuf),
            [0x0a, 1, b'G', 0x12, 1, b'T', 0x20, 0xc8, 0x01, 0x32, 1, b'1']
        );
    }

    #[test]
    fn large_and_malformed_frames_are_refused() {
        let large = Envelope::decode(Protocol::Json, Bytes::from_static(b"{}"), 1);
        assert_eq!(large.unwrap_err().to_string(), "message of 2 bytes exceeds the limit of 1");
        for frame in ["", "[]", "{", "{\"Status\":\"x\"}", "\"\u{fffd}\"", "{\"Obj\":}"] {
            let frame = Bytes::copy_from_slice(frame.as_bytes());
            assert!(matches!(Envelope::decode(Protocol::Json, frame, MAX), Err(EnvelopeError::Json(_))));
        }
        let unknown = Bytes::from_static(&[0x28, 9]);
        assert!(matches!(Envelope::decode(Protocol::Protobuf, unknown, MAX), Err(EnvelopeError::Format(9))));
        let cut = Bytes::from_static(&[0x0a, 200]);
        assert!(matches!(Envelope::decode(Protocol::Protobuf, cut, MAX), Err(EnvelopeError::Protobuf(_))));
    }

    #[test]
    fn deep_nesting_is_refused_when_the_payload_is_read_not_by_overflow() {
        let deep = format!("{{\"Obj\":{}{}}}", "[".repeat(200_000), "]".repeat(200_000));
        let message = Envelope::decode(Protocol::Json, deep.into(), MAX).unwrap();
        assert!(serde_json::from_slice::<skydive_value::Value>(&message.obj).is_err());
    }
}
