//! Frames of the agent link and of subscribers: envelope, then graph message, in both protocols.

use bytes::Bytes;
use skydive_proto::{Envelope, GraphMessage, Limits, Protocol};
use skydive_value::Timestamp;

/// The first byte chooses the protocol, the rest is the frame.
pub(crate) fn run(bytes: &[u8]) {
    let Some((choice, frame)) = bytes.split_first() else { return };
    let protocol = if choice % 2 == 0 { Protocol::Json } else { Protocol::Protobuf };
    let limit = Limits::default().ws_message;
    let Ok(envelope) = Envelope::decode(protocol, Bytes::copy_from_slice(frame), limit) else { return };
    let now = Timestamp::from_millis(1_700_000_000_000);
    let Ok(message) = GraphMessage::decode(&envelope, now) else { return };
    // What we understood we can say, and understand again.
    for protocol in [Protocol::Json, Protocol::Protobuf] {
        let said = message.to_envelope().encode(protocol);
        let heard = Envelope::decode(protocol, said, usize::MAX).expect("we read our own envelopes");
        GraphMessage::decode(&heard, now).expect("we read our own graph messages");
    }
}
