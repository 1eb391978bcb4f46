//! Flows in JSON and protobuf: those of the original, those that are made up, and what is none.
#![allow(clippy::unwrap_used, reason = "a test that cannot set up must fail")]

use std::net::IpAddr;
use std::sync::Arc;

use proptest::collection::vec;
use proptest::option;
use proptest::prelude::*;
use serde_json::{Value, json};
use skydive_flow::dns::{
    Class, EdnsOption, Extent, Header, Kind, Message, OptionCode, Question, Rdata, Record, Soa, Srv,
};
use skydive_flow::{
    Dhcp4, Direction, Extra, Finish, Flow, FlowId, FlowSearch, FlowSet, Http, Icmp, IcmpKind, IpMetric, Link,
    LinkType, Metric, Network, Process, Processes, RawPacket, Sort, StreamMetric, TcpMetric, TcpSide, Tls,
    Transport, TransportProtocol, Vrrp, Want,
};
use skydive_proto::{
    FlowError, FlowJson, FlowLimits, FlowMessage, FlowReply, FlowSetJson, FlowStamp, FlowStats,
    decode_flow_search, decode_flow_set, encode_flow_search, encode_flow_set, flow_of_json, flow_of_protobuf,
    flow_to_protobuf, flows_of_json,
};
use skydive_value::{Filter, Ipv4Net, Path, Pattern, Test, Timestamp};

const ORIGINAL: &str = include_str!("data/flows.json");

fn limits() -> FlowLimits {
    FlowLimits::default()
}

fn unexpected(error: FlowError) {
    panic!("refused: {error}");
}

fn read(json: &Value) -> Result<Flow, FlowError> {
    flow_of_json(json.to_string().as_bytes(), &limits())
}

fn written(flow: &Flow) -> Value {
    serde_json::to_value(FlowJson(flow)).unwrap()
}

fn a_flow() -> Flow {
    read(&json!({"UUID": "1"})).unwrap()
}

#[test]
fn flows_of_the_original_are_written_as_they_were_read() {
    let texts: Vec<&serde_json::value::RawValue> = serde_json::from_str(ORIGINAL).unwrap();
    let flows = flows_of_json(ORIGINAL.as_bytes(), &limits(), unexpected).unwrap();
    assert_eq!(flows.len(), texts.len());
    for (text, flow) in texts.iter().zip(&flows) {
        // The order of members too.
        assert_eq!(serde_json::to_string(&FlowJson(flow)).unwrap(), text.get());
        assert_eq!(&flow_of_protobuf(&flow_to_protobuf(flow), &limits()).unwrap(), flow);
    }
}

#[test]
fn what_is_zero_is_there_or_left_out_as_the_original_does() {
    assert_eq!(
        written(&a_flow()),
        json!({
            "UUID": "1", "Start": 0, "Last": 0, "ParentUUID": "", "RawPacketsCaptured": 0,
            "Metric": {"ABPackets": 0, "ABBytes": 0, "BAPackets": 0, "BABytes": 0, "Start": 0, "Last": 0},
        })
    );
    let full = Flow {
        link: Some(Link { a: [0; 6], b: [0; 6], id: 0 }),
        transport: Some(Transport { protocol: TransportProtocol::Udp, a: 0, b: 0 }),
        icmp: Some(Icmp { v6: false, kind: IcmpKind::Unknown, code: 0, id: 0 }),
        tcp: Some(Box::default()),
        ip: Some(IpMetric::default()),
        ..a_flow()
    };
    let full = written(&full);
    let zero = "00:00:00:00:00:00";
    assert_eq!(full["Link"], json!({"Protocol": "ETHERNET", "A": zero, "B": zero, "ID": 0}));
    assert_eq!(full["Transport"], json!({"Protocol": "UDP", "A": 0, "B": 0, "ID": 0}));
    assert_eq!(full["ICMP"], json!({"Type": "UNKNOWN"}));
    assert_eq!(full["IPMetric"], json!({"Fragments": 0, "FragmentErrors": 0}));
    // All of the original's but the two TTLs, and none of ours.
    assert_eq!(full["TCPMetric"].as_object().unwrap().len(), 20);
}

/// Bytes as the original's protocol buffer has them, written by hand.
#[test]
fn protobuf_has_the_numbers_of_the_original() {
    let mut bytes = vec![0x0a, 1, b'f']; // UUID 1
    bytes.extend(b"\x12\x05a/TCP\x1a\x03TCP"); // LayersPath 2, Application 3
    bytes.extend(b"\x32\x01e"); // ParentUUID 6
    bytes.extend([0x50, 5, 0x58, 6]); // Start 10, Last 11
    bytes.extend(b"\xa2\x01\x28\x1a\x1100:00:00:00:00:01\x22\x1100:00:00:00:00:02\x28\x07"); // Link 20
    bytes.extend(b"\xaa\x01\x0c\x08\x05\x1a\x03::1\x22\x03::2"); // Network 21
    bytes.extend([0xb2, 1, 6, 8, 2, 16, 80, 24, 81]); // Transport 22
    bytes.extend([0xba, 1, 6, 8, 2, 16, 3, 24, 4]); // ICMP 23
    bytes.extend([0xfa, 1, 2, 24, 9]); // LastUpdateMetric 31
    bytes.extend([0x82, 2, 14, 16, 1, 24, 2, 32, 3, 40, 4, 48, 5, 56, 6, 64, 7]); // Metric 32
    bytes.extend(b"\x8a\x02\x01t\x92\x02\x01c"); // NodeTID 33, CaptureID 34
    bytes.extend([0xa2, 2, 10, 8, 1, 16, 2, 26, 2, 0xab, 0xcd, 32, 1]); // LastRawPackets 36
    bytes.extend([0xa8, 2, 2]); // RawPacketsCaptured 37
    bytes.extend([0xb2, 2, 5, 24, 64, 0xb0, 1, 1]); // TCPMetric 38: ABSynTTL 3, BASawEnd 22
    bytes.extend([0xba, 2, 2, 16, 1]); // IPMetric 39
    bytes.extend(b"\x92\x03\x01a\x9a\x03\x01b"); // TrackingID 50, L3TrackingID 51
    bytes.extend([0xe0, 3, 2]); // FinishType 60
    bytes.extend([0xc2, 0x3e, 2, 40, 9]); // DHCPv4 1000: xid 5
    bytes.extend([0xca, 0x3e, 2, 8, 7]); // DNS 1001: ID 1
    bytes.extend([0xd2, 0x3e, 2, 40, 100]); // VRRPv2 1002: priority 5
    let flow = flow_of_protobuf(&bytes, &limits()).unwrap();
    assert_eq!(
        written(&flow),
        json!({
            "UUID": "f", "LayersPath": "a/TCP", "Application": "TCP", "ParentUUID": "e", "Start": 5, "Last": 6,
            "Link": {"Protocol": "ETHERNET", "A": "00:00:00:00:00:01", "B": "00:00:00:00:00:02", "ID": 7},
            "Network": {"Protocol": "IPV6", "A": "::1", "B": "::2", "ID": 0},
            "Transport": {"Protocol": "TCP", "A": 80, "B": 81, "ID": 0},
            "ICMP": {"Type": "ECHO", "Code": 3, "ID": 4},
            "LastUpdateMetric": {"ABPackets": 0, "ABBytes": 9, "BAPackets": 0, "BABytes": 0, "Start": 0, "Last": 0},
            "Metric": {"ABPackets": 1, "ABBytes": 2, "BAPackets": 3, "BABytes": 4, "Start": 5, "Last": 6, "RTT": 7},
            "NodeTID": "t", "CaptureID": "c", "RawPacketsCaptured": 2,
            "TCPMetric": {
                "ABSynStart": 0, "BASynStart": 0, "ABSynTTL": 64, "ABFinStart": 0, "BAFinStart": 0,
                "ABRstStart": 0, "BARstStart": 0, "ABSegmentOutOfOrder": 0, "ABSegmentSkipped": 0,
                "ABSegmentSkippedBytes": 0, "ABPackets": 0, "ABBytes": 0, "ABSawStart": 0, "ABSawEnd": 0,
                "BASegmentOutOfOrder": 0, "BASegmentSkipped": 0, "BASegmentSkippedBytes": 0, "BAPackets": 0,
                "BABytes": 0, "BASawStart": 0, "BASawEnd": 1,
            },
            "IPMetric": {"Fragments": 0, "FragmentErrors": 1},
            "TrackingID": "a", "L3TrackingID": "b", "FinishType": 2,
            "DHCPv4": {"xid": 9}, "VRRPv2": {"priority": 100},
            "DNS": {"ID": 7, "op_code": "Query", "response_code": "No Error"},
        })
    );
    let packet =
        RawPacket { at: Timestamp::from_millis(1), index: 2, bytes: [0xab, 0xcd].into(), link: LinkType(1) };
    assert_eq!(flow.raw_packets, [packet]);
}

#[test]
fn spellings_of_released_versions_are_read() {
    let flow = read(&json!({
        "UUID": "b", "Metric": null, "Unknown": [1],
        "DNS": {
            "ID": 3, "QR": true, "op_code": "Query", "response_code": "Non-Existent Domain", "QDCount": 1,
            "ANCount": 2, "NSCount": 3, "ARCount": 4, "questions": null,
            "answers": [{"name": "a", "type": "CNAME", "class": "IN", "data_length": 3, "CNAME": "b"}],
        },
    }))
    .unwrap();
    let message = flow.extra.unwrap().dns.unwrap();
    assert_eq!((message.header.questions(), message.header.additionals()), (1, 4));
    assert_eq!(message.response_code().0, 3);
    assert_eq!(message.answers[0].data, Rdata::Name("b".into()));
}

#[test]
fn what_the_original_writes_and_does_not_mean() {
    let flow = read(&json!({
        "UUID": "b",
        "Network": {"Protocol": "IPV4", "A": "<nil>", "B": "<nil>", "ID": 0},
        "Transport": {"Protocol": "ICMPV4", "A": 0, "B": 2048, "ID": 0},
        "Metric": {"ABPackets": 1, "ABBytes": -14},
    }))
    .unwrap();
    assert_eq!((flow.network, flow.transport, flow.metric.ab_bytes), (None, None, 0));
    let flow = read(&json!({"Network": {"Protocol": "IPV6", "A": "1.2.3.4", "B": "::1"}})).unwrap();
    assert_eq!(written(&flow)["Network"]["A"], "::ffff:1.2.3.4");
}

#[test]
fn what_is_no_flow_says_why() {
    for (json, why) in [
        (json!({"UUID": "xyz"}), "UUID cannot be \"xyz\""),
        (json!({"UUID": "+1"}), "UUID cannot be \"+1\""),
        (json!({"TrackingID": "12345678901234567"}), "TrackingID cannot be \"12345678901234567\""),
        (json!({"Link": {"Protocol": "ETHERNET", "A": "1", "B": ""}}), "Link.A cannot be \"1\""),
        (json!({"Link": {"Protocol": "TCP"}}), "Link.Protocol cannot be \"2\""),
        (json!({"Network": {"Protocol": "IPV4", "A": "::1", "B": "::1"}}), "Network.A cannot be \"::1\""),
        (json!({"Network": {"A": "::1", "B": "::1"}}), "Network.Protocol cannot be \"0\""),
        (json!({"Transport": {"Protocol": "TCP", "A": 65536}}), "Transport.A cannot be \"65536\""),
        (json!({"Transport": {"Protocol": "TCP", "B": -1}}), "Transport.B cannot be \"-1\""),
        (json!({"ICMP": {"Type": "ECHO", "Code": 256}}), "ICMP.Code cannot be \"256\""),
        (json!({"FinishType": 4}), "FinishType cannot be \"4\""),
        (json!({"TCPMetric": {"BASynTTL": 300}}), "TCPMetric.BASynTTL cannot be \"300\""),
        (json!({"DNS": {"ID": 65536}}), "DNS.ID cannot be \"65536\""),
        (json!({"DNS": {"answers": [{"type": "A", "class": "IN", "IP": "::1"}]}}), "IP cannot be \"::1\""),
    ] {
        assert_eq!(read(&json).unwrap_err().to_string(), why);
    }
    for json in [
        json!({"Link": {"Protocol": 0}}),
        json!({"Link": {"Protocol": "ARCNET"}}),
        json!({"ICMP": {"Type": 2}}),
        json!({"Start": "now"}),
        json!({"Start": 1.5}),
        json!({"DHCPv4": {"file": "%"}}),
        json!({"DNS": {"answers": vec![json!({}); 1025]}}),
        json!(7),
        json!(null),
    ] {
        assert!(matches!(read(&json), Err(FlowError::Json(_))), "{json}");
    }
    assert!(matches!(flow_of_json(b"{", &limits()), Err(FlowError::Json(_))));
    assert!(matches!(flow_of_protobuf(&[0x0a, 2, 1], &limits()), Err(FlowError::Protobuf(_))));
}

#[test]
fn a_flow_that_cannot_be_read_costs_no_other() {
    let flows = |count| FlowMessage { flows: vec![a_flow(); count], stats: None, stamp: None }.encode();
    // An empty flow is one, for nothing in it is wrong.
    let bytes = [flows(2).as_slice(), b"\x0a\x03\x0a\x01?", b"\x0a\x00", &flows(1)].concat();
    let mut refused = Vec::new();
    let message = FlowMessage::decode(&bytes, &limits(), |error| refused.push(error.to_string())).unwrap();
    assert_eq!((message.flows.len(), refused), (4, vec!["UUID cannot be \"?\"".to_owned()]));

    let mut refused = 0;
    let flows = flows_of_json(br#"[{"UUID": "1"}, 7, {"UUID": "?"}]"#, &limits(), |_| refused += 1).unwrap();
    assert_eq!((flows.len(), refused), (1, 2));
}

#[test]
fn limits_hold() {
    let few = FlowLimits { message: 1000, flows: 3, flow: 40 };
    let flow = Flow { node_tid: "x".repeat(50).into(), ..a_flow() };
    let message = |count: usize, flow: &Flow| {
        FlowMessage { flows: vec![flow.clone(); count], stats: None, stamp: None }.encode()
    };
    assert_eq!(FlowMessage::decode(&message(3, &a_flow()), &few, unexpected).unwrap().flows.len(), 3);
    let refused = |bytes: &[u8]| FlowMessage::decode(bytes, &few, unexpected).unwrap_err().to_string();
    assert_eq!(refused(&message(4, &a_flow())), "more than 3 flows");
    assert_eq!(refused(&vec![0; 1001]), "message of 1001 bytes exceeds the limit of 1000");
    let mut told = Vec::new();
    FlowMessage::decode(&message(1, &flow), &few, |error| told.push(error.to_string())).unwrap();
    assert_eq!(told.len(), 1);
    assert!(
        told[0].starts_with("flow of ") && told[0].ends_with(" bytes exceeds the limit of 40"),
        "{told:?}"
    );
    let set = FlowSet::new(vec![a_flow(); 2]);
    let reply = FlowReply { status: 200, sets: vec![set.clone(), set], ..FlowReply::default() }.encode();
    assert_eq!(FlowReply::decode(&reply, &few, unexpected).unwrap_err().to_string(), "more than 1 flows");
    assert!(flows_of_json(b"[{},{},{},{}]", &few, unexpected).is_err());
}

#[test]
fn who_sends_is_told_in_a_field_of_ours() {
    let stamp = FlowStamp { host_id: "h".into(), count: 1, first: 300 };
    let message = FlowMessage { stamp: Some(stamp.clone()), ..FlowMessage::default() };
    assert_eq!(message.encode(), [0xa2, 6, 8, 0x0a, 1, b'h', 0x10, 1, 0x18, 0xac, 2]);
    assert_eq!(FlowMessage::decode(&message.encode(), &limits(), unexpected).unwrap(), message);
    let long = FlowStamp { host_id: "h".repeat(FlowStamp::HOST_MAX + 1), ..stamp };
    let long = FlowMessage { stamp: Some(long), ..FlowMessage::default() };
    let refused = FlowMessage::decode(&long.encode(), &limits(), unexpected).unwrap_err();
    assert_eq!(refused.to_string(), "host id of 256 bytes exceeds the limit of 255");
}

#[test]
fn stats_and_sets_have_the_members_of_the_original() {
    let stats = FlowStats { capture_id: "c".into(), packets_received: 7, ..FlowStats::default() };
    let json = json!({
        "CaptureID": "c", "FlowCount": 0, "FlowDropped": 0, "KernelFlowDropped": 0, "PacketsDropped": 0,
        "PacketsReceived": 7,
    });
    assert_eq!(serde_json::to_value(&stats).unwrap(), json);
    assert_eq!(serde_json::from_value::<FlowStats>(json).unwrap(), stats);
    let message = FlowMessage { flows: Vec::new(), stats: Some(stats), stamp: None };
    assert_eq!(message.encode(), [0x12, 5, 0x0a, 1, b'c', 0x30, 7]);
    assert_eq!(FlowMessage::decode(&message.encode(), &limits(), unexpected).unwrap(), message);
    let set = serde_json::to_value(FlowSetJson(&FlowSet::default())).unwrap();
    assert_eq!(set, json!({"Flows": [], "Start": 0, "End": 0}));
}

fn time() -> impl Strategy<Value = Timestamp> {
    any::<i64>().prop_map(Timestamp::from_millis)
}

/// A count that fits the signed number it is written as.
fn count() -> impl Strategy<Value = u64> {
    0..=i64::MAX as u64
}

fn id() -> impl Strategy<Value = FlowId> {
    any::<u64>().prop_map(FlowId)
}

fn text() -> impl Strategy<Value = String> {
    ".{0,12}"
}

prop_compose! {
    fn metric()(counts in [count(), count(), count(), count()], start in time(), last in time(), rtt in count())
        -> Metric {
        let [ab_packets, ab_bytes, ba_packets, ba_bytes] = counts;
        Metric { ab_packets, ab_bytes, ba_packets, ba_bytes, start, last, rtt }
    }
}

prop_compose! {
    fn tcp_side()(times in any::<[i64; 3]>(), syn_ttl: u8, counts in [count(), count(), count(), count()],
                  window_min: u32, window_max: u32, stream in any::<[i64; 7]>()) -> TcpSide {
        let [syn_start, fin_start, rst_start] = times;
        let [retransmissions, retransmitted_bytes, out_of_order, zero_windows] = counts;
        let [packets, bytes, segment_out_of_order, segment_skipped, segment_skipped_bytes, saw_start, saw_end] = stream;
        let stream = StreamMetric {
            packets, bytes, segment_out_of_order, segment_skipped, segment_skipped_bytes, saw_start, saw_end,
        };
        TcpSide {
            syn_start, syn_ttl, fin_start, rst_start, retransmissions, retransmitted_bytes, out_of_order,
            zero_windows, window_min, window_max, stream,
        }
    }
}

fn network() -> impl Strategy<Value = Network> {
    let v4 = any::<([u8; 4], [u8; 4])>().prop_map(|(a, b)| (IpAddr::from(a), IpAddr::from(b)));
    let v6 = any::<([u8; 16], [u8; 16])>().prop_map(|(a, b)| (IpAddr::from(a), IpAddr::from(b)));
    (prop_oneof![v4, v6], any::<u32>()).prop_map(|((a, b), id)| Network { a, b, id })
}

fn transport() -> impl Strategy<Value = Transport> {
    let protocol = prop_oneof![
        Just(TransportProtocol::Tcp),
        Just(TransportProtocol::Udp),
        Just(TransportProtocol::Sctp)
    ];
    (protocol, any::<u16>(), any::<u16>()).prop_map(|(protocol, a, b)| Transport { protocol, a, b })
}

/// Data of a record with its kind and length.
fn data() -> impl Strategy<Value = (Kind, u16, Rdata)> {
    let name = || text().prop_map(String::into_boxed_str);
    let kind = prop_oneof![Just(Kind::NS), Just(Kind::CNAME), Just(Kind::PTR)];
    prop_oneof![
        any::<u16>().prop_filter("options are never empty data", |kind| *kind != 41).prop_map(|kind| (
            Kind(kind),
            0,
            Rdata::Empty
        )),
        any::<[u8; 4]>().prop_map(|a| (Kind::A, 4, Rdata::Ipv4(a.into()))),
        any::<[u8; 16]>().prop_map(|a| (Kind::AAAA, 16, Rdata::Ipv6(a.into()))),
        (kind, 1u16.., name()).prop_map(|(kind, len, name)| (kind, len, Rdata::Name(name))),
        (name(), name(), any::<[u32; 5]>()).prop_map(|(primary, mailbox, numbers)| {
            let [serial, refresh, retry, expire, minimum] = numbers;
            let soa = Soa { primary, mailbox, serial, refresh, retry, expire, minimum };
            (Kind::SOA, 22, Rdata::Soa(Box::new(soa)))
        }),
        (any::<[u16; 3]>(), name()).prop_map(|([priority, weight, port], name)| {
            (Kind::SRV, 7, Rdata::Srv(Srv { priority, weight, port, name }))
        }),
        (any::<u16>(), name()).prop_map(|(preference, name)| (Kind::MX, 3, Rdata::Mx { preference, name })),
        (prop_oneof![Just(Kind::TXT), Just(Kind::HINFO)], vec(name(), 1..4)).prop_map(|(kind, texts)| (
            kind,
            9,
            Rdata::Texts(texts.into())
        )),
        vec((any::<u16>(), vec(any::<u8>(), 0..9)), 0..3).prop_map(|options| {
            let option =
                |(code, data): (u16, Vec<u8>)| EdnsOption { code: OptionCode(code), data: data.into() };
            (Kind::OPT, 9, Rdata::Options(options.into_iter().map(option).collect()))
        }),
    ]
}

fn record() -> impl Strategy<Value = Record> {
    (text(), any::<u16>(), any::<u32>(), data()).prop_map(|(name, class, ttl, (kind, data_length, data))| {
        Record { name: name.into(), kind, class: Class(class), ttl, data_length, data }
    })
}

fn message() -> impl Strategy<Value = Message> {
    let question = (text(), any::<u16>(), any::<u16>()).prop_map(|(name, kind, class)| Question {
        name: name.into(),
        kind: Kind(kind),
        class: Class(class),
    });
    let extent = prop_oneof![Just(Extent::Whole), Just(Extent::Cut), Just(Extent::Limited)];
    let records = || vec(record(), 0..3);
    (any::<[u8; 12]>(), vec(question, 0..3), records(), records(), records(), extent).prop_map(
        |(header, questions, answers, authorities, additionals, extent)| Message {
            header: Header::parse(&header).unwrap(),
            questions,
            answers,
            authorities,
            additionals,
            extent,
        },
    )
}

fn extra() -> impl Strategy<Value = Extra> {
    let dns = option::of((message(), any::<i64>(), option::of(count())));
    let bytes = || vec(any::<u8>(), 0..9).prop_map(Vec::into_boxed_slice);
    let dhcp4 = (bytes(), bytes(), any::<([u16; 2], [u8; 2], u32)>()).prop_map(
        |(file, server_name, ([flags, secs], [hardware_len, hardware_opts], xid))| Dhcp4 {
            file,
            flags,
            hardware_len,
            hardware_opts,
            server_name,
            secs,
            xid,
        },
    );
    let vrrp = any::<(u16, [u8; 3])>().prop_map(|(adver_int, [priority, version, virtual_router])| Vrrp {
        adver_int,
        priority,
        version,
        virtual_router,
    });
    let tls = (text(), vec(text(), 0..3), any::<u16>()).prop_map(|(name, alpn, version)| Tls {
        server_name: name.into(),
        alpn: alpn.into_iter().map(Into::into).collect(),
        version,
    });
    let http = (text(), text(), text()).prop_map(|(method, target, host)| Http {
        method: method.into(),
        target: target.into(),
        host: host.into(),
    });
    (dns, option::of(dhcp4), option::of(vrrp), option::of(tls), option::of(http)).prop_map(
        |(dns, dhcp4, vrrp, tls, http)| {
            let (dns, dns_at, dns_latency) =
                dns.map_or((None, 0, None), |(dns, at, latency)| (Some(dns), at, latency));
            Extra { dns, dns_at, dns_latency, dhcp4, vrrp, tls, http }
        },
    )
}

fn process() -> impl Strategy<Value = Process> {
    (any::<u32>(), [text(), text(), text(), text()]).prop_map(|(pid, texts)| {
        let [name, path, cgroup, container_id] = texts.map(Into::into);
        Process { pid, name, path, cgroup, container_id }
    })
}

fn raw_packet() -> impl Strategy<Value = RawPacket> {
    (time(), count(), vec(any::<u8>(), 0..20), any::<u16>()).prop_map(|(at, index, bytes, link)| RawPacket {
        at,
        index,
        bytes: bytes.into(),
        link: LinkType(link),
    })
}

prop_compose! {
    fn parts()(
        link in option::of((any::<[u8; 6]>(), any::<[u8; 6]>(), count()).prop_map(|(a, b, id)| Link { a, b, id })),
        network in option::of(network()),
        transport in option::of(transport()),
        icmp in option::of((any::<bool>(), 0..13usize, any::<u8>(), any::<u16>())),
        last_update in option::of(metric()),
        tcp in option::of((tcp_side(), tcp_side()).prop_map(|(ab, ba)| Box::new(TcpMetric { ab, ba }))),
        ip in option::of((count(), count()).prop_map(|(fragments, fragment_errors)| IpMetric { fragments, fragment_errors })),
        extra in option::of(extra()),
        process in (option::of(process()), option::of(process())),
    ) -> Flow {
        let process = Processes { a: process.0.map(Arc::new), b: process.1.map(Arc::new) };
        let icmp = icmp.map(|(v6, kind, code, id)| Icmp { v6, kind: IcmpKind::ALL[kind], code, id });
        let layers_path = icmp.map_or("Ethernet/ARP", |icmp| if icmp.v6 { "IPv6/ICMPv6" } else { "IPv4/ICMPv4" });
        Flow {
            layers_path: layers_path.into(), link, network, transport, icmp, last_update, tcp, ip, process,
            // Nothing said is no layer.
            extra: extra.filter(|extra| *extra != Extra::default()).map(Box::new),
            ..a_flow()
        }
    }
}

prop_compose! {
    fn flow()(parts in parts(), ids in [id(), id(), id(), id()], times in [time(), time()], texts in [text(), text(), text()],
              metric in metric(), finish in 0..4i32, raw_packets_captured in count(),
              raw_packets in vec(raw_packet(), 0..3)) -> Flow {
        let [uuid, tracking_id, l3_tracking_id, parent] = ids;
        let [start, last] = times;
        let [application, node_tid, capture_id] = texts.map(Into::into);
        Flow {
            uuid, tracking_id, l3_tracking_id, parent: Some(parent).filter(|id| id.0 != 0), start, last, application,
            node_tid, capture_id, metric, finish: Finish::from_number(finish).unwrap(), raw_packets_captured,
            raw_packets, ..parts
        }
    }
}

fn filter() -> impl Strategy<Value = Filter> {
    let test = prop_oneof![
        text().prop_map(|text| Test::Text(text.into())),
        any::<i64>().prop_map(Test::Int),
        any::<bool>().prop_map(Test::Bool),
        any::<i64>().prop_map(Test::Gt),
        any::<i64>().prop_map(Test::Gte),
        any::<i64>().prop_map(Test::Lt),
        any::<i64>().prop_map(Test::Lte),
        Just(Test::Missing),
        Just(Test::Ipv4Range(Ipv4Net::parse("10.0.0.0/8").unwrap())),
        proptest::collection::btree_set("[a-z]{1,3}", 2..5)
            .prop_map(|texts| Test::OneOf(texts.into_iter().map(Into::into).collect())),
    ];
    let leaf = ("[A-Z][a-z]{0,3}(\\.[A-Z]{1,2})?", test)
        .prop_map(|(path, test)| Filter::Field(Path::parse(&path), test));
    leaf.prop_recursive(3, 16, 3, |inner| {
        prop_oneof![
            vec(inner.clone(), 0..4).prop_map(Filter::And),
            vec(inner.clone(), 0..2).prop_map(Filter::Or),
            vec(inner, 0..4).prop_map(Filter::Not),
        ]
    })
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(192))]

    #[test]
    fn what_is_written_is_read(flow in flow()) {
        prop_assert_eq!(&flow_of_protobuf(&flow_to_protobuf(&flow), &limits()).unwrap(), &flow);
        // JSON has no raw packets.
        let json = serde_json::to_vec(&FlowJson(&flow)).unwrap();
        prop_assert_eq!(flow_of_json(&json, &limits()).unwrap(), Flow { raw_packets: Vec::new(), ..flow });
    }

    #[test]
    fn sets_and_messages(flows in vec(flow(), 0..4), start in time(), end in time(), status: i32) {
        let set = FlowSet { flows, start, end };
        prop_assert_eq!(&decode_flow_set(&encode_flow_set(&set), &limits(), unexpected).unwrap(), &set);
        let sets = vec![set.clone(), FlowSet::default(), set.clone()];
        let reply = FlowReply { status, sets, truncated: status % 2 == 0, lost: 7, error: "late".into(), count: 9 };
        prop_assert_eq!(&FlowReply::decode(&reply.encode(), &limits(), unexpected).unwrap(), &reply);
        let stamp = FlowStamp { host_id: "h".into(), count: u64::MAX, first: 7 };
        let stats = FlowStats { flow_dropped: -1, ..FlowStats::default() };
        let message = FlowMessage { flows: set.flows, stats: Some(stats), stamp: Some(stamp) };
        prop_assert_eq!(&FlowMessage::decode(&message.encode(), &limits(), unexpected).unwrap(), &message);
    }

    #[test]
    fn searches(filter in filter(), range in option::of((0..=i64::MAX as u64, 0..=i64::MAX as u64)),
                sort in option::of(any::<bool>()), dedup in option::of("[A-Z]{1,4}"), want in 0..3usize) {
        let direction = |is: bool| if is { Direction::Ascending } else { Direction::Descending };
        let search = FlowSearch {
            filter: if filter.is_all() { Filter::all() } else { filter },
            range: range.map(|(from, to)| from..to),
            sort: sort.map(|is| Sort { by: "Start".into(), direction: direction(is) }),
            dedup: dedup.map(|by| Path::parse(&by)),
            want: [Want::Flows, Want::WithPackets, Want::Count][want],
            ..FlowSearch::default()
        };
        prop_assert_eq!(decode_flow_search(&encode_flow_search(&search)).unwrap(), search);
    }

    #[test]
    fn arbitrary_bytes_do_not_panic(bytes in vec(any::<u8>(), 0..200)) {
        let _ = flow_of_protobuf(&bytes, &limits());
        let _ = flow_of_json(&bytes, &limits());
        let _ = FlowMessage::decode(&bytes, &limits(), |_| ());
        let _ = FlowReply::decode(&bytes, &limits(), |_| ());
        let _ = decode_flow_search(&bytes);
    }

    #[test]
    fn damaged_flows_do_not_panic(flow in flow(), at in any::<prop::sample::Index>(), byte: u8) {
        let mut bytes = flow_to_protobuf(&flow);
        let at_byte = at.index(bytes.len());
        bytes[at_byte] = byte;
        let _ = flow_of_protobuf(&bytes, &limits());
        let mut json = serde_json::to_vec(&FlowJson(&flow)).unwrap();
        let at_byte = at.index(json.len());
        json[at_byte] = byte;
        let _ = flow_of_json(&json, &limits());
    }
}

#[test]
fn searches_as_the_original_asks() {
    // SearchQuery with Sort, Dedup and nothing else.
    let bytes = b"\x0a\x0bSearchQuery\x12\x04\x18\x01\x20\x01";
    let search = decode_flow_search(bytes).unwrap();
    assert_eq!(
        search,
        FlowSearch {
            sort: Some(Sort { by: "Last".into(), direction: Direction::Descending }),
            dedup: Some("TrackingID".into()),
            ..FlowSearch::default()
        }
    );
    let one = |test| FlowSearch { filter: Filter::Field("A".into(), test), ..FlowSearch::default() };
    // TermString 1, Regex 9, none of nothing.
    assert_eq!(
        encode_flow_search(&one(Test::Text("b".into())))[15..],
        *b"\x0a\x08\x0a\x06\x0a\x01A\x12\x01b"
    );
    let regex = one(Test::Regex(Pattern::new("^b.*$").unwrap()));
    assert_eq!(encode_flow_search(&regex)[15..20], *b"\x0a\x0c\x4a\x0a\x0a");
    assert!(matches!(
        decode_flow_search(&encode_flow_search(&regex)).unwrap().filter,
        Filter::Field(_, Test::Regex(pattern)) if pattern.as_str() == "^b.*$"
    ));
    let none = decode_flow_search(&encode_flow_search(&one(Test::OneOf(Vec::new())))).unwrap().filter;
    assert!(!none.matches(&a_flow()));
    for bad in [&b"\x0a\x01x"[..], b"\x0a\x0bSearchQuery\x12\x08\x0a\x06\x4a\x04\x12\x02(?"] {
        assert!(decode_flow_search(bad).is_err());
    }
}
