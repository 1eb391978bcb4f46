//! Flows to test with.

use skydive_packet::application::dns;
use skydive_value::Timestamp;

use crate::{Finish, Flow, FlowId, Link, Metric, Network, Processes, Transport, TransportProtocol};

/// A flow with link, network and transport layer.
pub(crate) fn flow() -> Flow {
    let at = Timestamp::from_millis;
    Flow {
        uuid: FlowId(0x1a2b),
        parent: None,
        tracking_id: FlowId(0xaaa),
        l3_tracking_id: FlowId(0xbbb),
        layers_path: "Ethernet/IPv6/TCP".into(),
        application: "TCP".into(),
        start: at(1000),
        last: at(2000),
        link: Some(Link { a: [0, 0x1b, 0x21, 0x3c, 0xab, 0x64], b: [10, 0, 0, 0, 0, 1], id: 5 }),
        network: Some(Network {
            a: [0x2001, 0xdb8, 0, 0, 0, 0, 0, 1].into(),
            b: [0x2001, 0xdb8, 0, 0, 0, 0, 0, 2].into(),
            id: 0,
        }),
        transport: Some(Transport { protocol: TransportProtocol::Tcp, a: 1025, b: 443 }),
        icmp: None,
        metric: Metric { ab_packets: 1, ab_bytes: 100, start: at(1000), last: at(2000), ..Metric::default() },
        last_update: None,
        tcp: None,
        ip: None,
        finish: Finish::Fin,
        node_tid: "node-1".into(),
        capture_id: "".into(),
        raw_packets: Vec::new(),
        raw_packets_captured: 3,
        extra: None,
        process: Processes::default(),
    }
}

/// The answer to a question for the AAAA of example.org, number 7, without its record.
pub(crate) fn dns_answer() -> dns::Message {
    let mut message = vec![0, 7, 0x81, 0x80, 0, 1, 0, 0, 0, 0, 0, 0];
    message.extend(b"\x07example\x03org\0\0\x1c\0\x01");
    dns::Message::parse(&message).expect("a header and one question")
}
