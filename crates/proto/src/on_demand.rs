//! What an analyzer asks of an agent on a node, and what the agent answers: `{"NodeID": …, "Resource": …}`.

use bytes::Bytes;
use serde_json::value::RawValue;
use skydive_value::Id;

use crate::Capture;
use crate::envelope::{Envelope, namespace};
use crate::json::object;
use crate::resource_body::read;

/// Types of messages about work on demand.
pub mod on_demand_type {
    /// Begin.
    pub const START: &str = "Start";
    /// End.
    pub const STOP: &str = "Stop";
    /// It has begun, or not: the status says which, 404 when there is no such node, 500 when it failed.
    pub const START_REPLY: &str = "StartReply";
    /// It has ended; 404 when there was none.
    pub const STOP_REPLY: &str = "StopReply";
    /// Told to subscribers: a resource is there.
    pub const ADDED: &str = "Added";
    /// Told to subscribers: a resource is gone.
    pub const DELETED: &str = "Deleted";
    /// Told to subscribers: a node began it, failed to, or is gone.
    pub const NODE_UPDATED: &str = "NodeUpdated";
}

/// A capture on a node.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct NodeCapture {
    /// The node.
    pub node: Id,
    /// What is to be captured there.
    pub capture: Capture,
}

object! {
    struct OnDemandMembers<'de> "work on a node" {
        node: String = "NodeID",
        resource: &'de RawValue = "Resource",
    }
}

object! {
    struct ReplyMembers "an answer about work on a node" {
        error: String = "Error",
    }
}

impl NodeCapture {
    /// A message about it, of one of [`on_demand_type`].
    pub fn to_envelope(&self, kind: &str) -> Envelope {
        let body = serde_json::json!({ "NodeID": self.node.to_string(), "Resource": self.capture });
        Envelope::json(namespace::ON_DEMAND_CAPTURE, kind, Bytes::from(body.to_string()))
    }

    /// The answer to `request`, a message about it: what was asked for, and if it failed with which status of HTTP and
    /// why, as member `Error`.
    pub fn to_reply(&self, request: &Envelope, kind: &str, fault: Option<(i64, &str)>) -> Envelope {
        let mut body = serde_json::json!({ "NodeID": self.node.to_string(), "Resource": self.capture });
        if let (Some((_, why)), Some(members)) = (fault, body.as_object_mut()) {
            members.insert("Error".to_owned(), why.into());
        }
        let mut reply = Envelope::json("", kind, Bytes::from(body.to_string())).answering(request);
        reply.status = fault.map_or(reply.status, |(status, _)| status);
        reply
    }

    /// Why it failed, as far as the payload of an answer says so.
    pub fn error_of(obj: &[u8]) -> Option<String> {
        read::<ReplyMembers>(obj).ok()?.error
    }

    /// Reads it from the payload of a message.
    pub fn decode(obj: &[u8]) -> Result<Self, serde_json::Error> {
        let members: OnDemandMembers<'_> = read(obj)?;
        let resource = members.resource.map_or("{}", RawValue::get);
        let node = Id::from(members.node.unwrap_or_default().as_str());
        Ok(Self { node, capture: Capture::decode(resource.as_bytes())? })
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn it_is_read_as_written() {
        let capture =
            Capture { uuid: "c".to_owned(), gremlin_query: "G.V()".to_owned(), ..Capture::default() };
        let wanted = NodeCapture { node: Id::from("n"), capture };
        let message = wanted.to_envelope(on_demand_type::START);
        assert_eq!((message.namespace.as_str(), message.kind.as_str()), ("OnDemandCapture", "Start"));
        assert!(message.obj.starts_with(br#"{"NodeID":"n","Resource":{"#), "{:?}", message.obj);
        assert_eq!(NodeCapture::decode(&message.obj).unwrap(), wanted);
        assert!(NodeCapture::decode(b"3").is_err());
        let done = wanted.to_reply(&message, on_demand_type::START_REPLY, None);
        assert_eq!((done.kind.as_str(), done.status, &done.obj), ("StartReply", 200, &message.obj));
        assert_eq!(NodeCapture::error_of(&done.obj), None);
        let failed = wanted.to_reply(&message, on_demand_type::START_REPLY, Some((500, "no memory")));
        assert_eq!((failed.status, failed.namespace.as_str()), (500, "OnDemandCapture"));
        assert_eq!(NodeCapture::decode(&failed.obj).unwrap(), wanted);
        assert_eq!(NodeCapture::error_of(&failed.obj).as_deref(), Some("no memory"));
    }
}
