//! What is written is read: envelopes and graph messages in both protocols; and arbitrary bytes never panic.
#![allow(clippy::unwrap_used, reason = "a test that cannot set up must fail")]

use std::sync::Arc;

use bytes::Bytes;
use proptest::collection::{btree_map, vec};
use proptest::prelude::*;
use skydive_graph::{Edge, GraphEvent, Mutation, Node, Op, Source};
use skydive_proto::{
    Elements, Envelope, Format, GraphMessage, PartialUpdate, Protocol, SyncRequest, UpdatePolicy,
    event_envelope,
};
use skydive_value::{Id, Map, Timestamp, Value};

const MAX: usize = 1 << 24;

fn value() -> impl Strategy<Value = Value> {
    let leaf = prop_oneof![
        Just(Value::Null),
        any::<bool>().prop_map(Value::from),
        any::<i64>().prop_map(Value::from),
        (-1e15..1e15f64).prop_map(Value::from),
        ".{0,8}".prop_map(Value::from),
    ];
    leaf.prop_recursive(3, 24, 4, |inner| {
        prop_oneof![
            vec(inner.clone(), 0..4).prop_map(Value::from),
            btree_map(".{0,5}", inner, 0..4).prop_map(|m| Value::from(m.into_iter().collect::<Map>())),
        ]
    })
}

fn metadata() -> impl Strategy<Value = Map> {
    btree_map("[A-Za-z.\"é]{0,6}", value(), 0..5).prop_map(|m| m.into_iter().collect())
}

fn id() -> impl Strategy<Value = Id> {
    prop_oneof!["[^\u{0}]{1,10}".prop_map(Id::from), "[a-f]{3}".prop_map(|n| Id::from_name(&n))]
}

fn time() -> impl Strategy<Value = Timestamp> {
    any::<i64>().prop_map(Timestamp::from_millis)
}

prop_compose! {
    fn node()(id in id(), metadata in metadata(), host in ".{0,5}", created_at in time(), updated_at in time(),
              deleted in any::<Option<i64>>(), revision in any::<i64>()) -> Node {
        Node { id, source: Source::of("agent", &host), created_at, updated_at,
               deleted_at: deleted.map(Timestamp::from_millis), revision, metadata }
    }
}

prop_compose! {
    fn edge()(node in node(), parent in id(), child in id()) -> Edge {
        Edge { id: node.id, parent, child, source: node.source, created_at: node.created_at,
               updated_at: node.updated_at, deleted_at: node.deleted_at, revision: node.revision,
               metadata: Arc::new(node.metadata) }
    }
}

fn op() -> impl Strategy<Value = Op> {
    prop_oneof![
        ("[a-z.]{1,8}", value()).prop_map(|(path, value)| Op::set(&path, value)),
        "[a-z.]{1,8}".prop_map(|path| Op::remove(&path)),
    ]
}

fn message() -> impl Strategy<Value = GraphMessage> {
    let partial = || {
        (id(), time(), any::<i64>(), vec(op(), 0..4))
            .prop_map(|(id, updated_at, revision, ops)| PartialUpdate { id, updated_at, revision, ops })
    };
    let elements =
        || (vec(node(), 0..3), vec(edge(), 0..3)).prop_map(|(nodes, edges)| Elements { nodes, edges });
    prop_oneof![
        (any::<Option<i64>>(), any::<Option<String>>()).prop_map(|(at, filter)| GraphMessage::SyncRequest(
            SyncRequest { at: at.filter(|at| *at != 0).map(Timestamp::from_millis), filter }
        )),
        elements().prop_map(GraphMessage::SyncReply),
        elements().prop_map(GraphMessage::Sync),
        node().prop_map(GraphMessage::NodeAdded),
        node().prop_map(GraphMessage::NodeUpdated),
        node().prop_map(GraphMessage::NodeDeleted),
        partial().prop_map(GraphMessage::NodePartiallyUpdated),
        edge().prop_map(GraphMessage::EdgeAdded),
        edge().prop_map(GraphMessage::EdgeUpdated),
        edge().prop_map(GraphMessage::EdgeDeleted),
        partial().prop_map(GraphMessage::EdgePartiallyUpdated),
    ]
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(128))]

    #[test]
    fn messages(message in message(), uuid in ".{0,8}") {
        for protocol in [Protocol::Json, Protocol::Protobuf] {
            let sent = Envelope { uuid: uuid.clone(), ..message.to_envelope() };
            let got = Envelope::decode(protocol, sent.encode(protocol), MAX).unwrap();
            prop_assert_eq!(&got, &sent);
            let read = GraphMessage::decode(&got, Timestamp::EPOCH).unwrap();
            prop_assert_eq!(&read, &message);
        }
    }

    #[test]
    fn an_event_told_in_either_policy_has_the_same_effect(node in node(), ops in vec(op(), 0..4)) {
        let event = GraphEvent::NodeUpdated { node: Arc::new(node.clone()), ops: Some(ops.clone().into()) };
        let partial = GraphMessage::decode(&event_envelope(&event, UpdatePolicy::Partial), Timestamp::EPOCH).unwrap();
        prop_assert_eq!(partial.into_mutation(&"".into()), Some(Mutation::from(&event)));
        let full = GraphMessage::decode(&event_envelope(&event, UpdatePolicy::Full), Timestamp::EPOCH).unwrap();
        prop_assert_eq!(full, GraphMessage::NodeUpdated(node));
    }

    #[test]
    fn payloads_that_are_protobuf(obj in vec(any::<u8>(), 0..20), status in 1i64..600) {
        let sent = Envelope { namespace: "Flow".into(), kind: "TableResult".into(), uuid: "u".into(), status,
                              format: Format::Protobuf, obj: obj.into() };
        let got = Envelope::decode(Protocol::Protobuf, sent.encode(Protocol::Protobuf), MAX).unwrap();
        prop_assert_eq!(got, sent);
    }

    #[test]
    fn arbitrary_bytes_do_not_panic(bytes in vec(any::<u8>(), 0..200)) {
        for protocol in [Protocol::Json, Protocol::Protobuf] {
            if let Ok(envelope) = Envelope::decode(protocol, Bytes::from(bytes.clone()), MAX) {
                let _ = GraphMessage::decode(&envelope, Timestamp::EPOCH);
            }
        }
    }

    #[test]
    fn damaged_messages_do_not_panic(message in message(), at in any::<prop::sample::Index>(), byte in any::<u8>()) {
        for protocol in [Protocol::Json, Protocol::Protobuf] {
            let mut frame = message.to_envelope().encode(protocol).to_vec();
            let at = at.index(frame.len());
            frame[at] = byte;
            if let Ok(envelope) = Envelope::decode(protocol, frame.into(), MAX) {
                let _ = GraphMessage::decode(&envelope, Timestamp::EPOCH);
            }
        }
    }
}
