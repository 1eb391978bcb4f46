//! Flows from outside: JSON, and the messages of agents and answers to searches that carry them.

use skydive_proto::{
    FlowJson, FlowLimits, FlowMessage, FLOW_SEARCH_MAX, FlowReply, decode_flow_search, decode_flow_set, encode_flow_search, encode_flow_set, flow_of_json,
    flow_of_protobuf, flow_to_protobuf, flows_of_json,
};

/// The first byte chooses what the rest is.
pub(crate) fn run(bytes: &[u8]) {
    let Some((choice, bytes)) = bytes.split_first() else { return };
    let limits = FlowLimits { message: 1 << 20, flows: 1000, flow: 64 << 10 };
    let wide = FlowLimits { message: usize::MAX, flows: usize::MAX, flow: usize::MAX };
    let none = |error| panic!("our own flow is refused: {error}");
    // What we understood we can say, and understand again.
    match choice % 5 {
        0 => {
            let Ok(flow) = flow_of_json(bytes, &limits) else { return };
            let said = serde_json::to_vec(&FlowJson(&flow)).expect("a flow is JSON");
            assert_eq!(flow_of_json(&said, &wide).expect("we read our own JSON"), flow);
            let said = flow_to_protobuf(&flow);
            assert_eq!(flow_of_protobuf(&said, &wide).expect("we read our own protobuf"), flow);
        }
        1 => {
            let Ok(message) = FlowMessage::decode(bytes, &limits, |_| ()) else { return };
            let heard =
                FlowMessage::decode(&message.encode(), &wide, none).expect("we read our own messages");
            assert_eq!(heard, message);
            for flow in message.flows {
                let said = serde_json::to_vec(&FlowJson(&flow)).expect("a flow is JSON");
                flow_of_json(&said, &wide).expect("we read our own JSON");
            }
        }
        2 => {
            let Ok(reply) = FlowReply::decode(bytes, &limits, |_| ()) else { return };
            let heard = FlowReply::decode(&reply.encode(), &wide, none).expect("we read our own replies");
            assert_eq!(heard, reply);
            for set in reply.sets {
                let heard = decode_flow_set(&encode_flow_set(&set), &wide, none);
                assert_eq!(heard.expect("we read our own sets"), set);
            }
        }
        3 => {
            let Ok(search) = decode_flow_search(bytes) else { return };
            let said = encode_flow_search(&search);
            if said.len() <= FLOW_SEARCH_MAX {
                decode_flow_search(&said).expect("we read our own searches");
            }
        }
        _ => drop(flows_of_json(bytes, &limits, |_| ())),
    }
}
