//! Packets that made the original crash or tell what is not so.
//!
//! Each is counted with everything switched on, whole and cut at every byte: no panic, no address that is not in the
//! packet, and flows that say what is known.

#![allow(clippy::unwrap_used, clippy::indexing_slicing, reason = "a test that cannot set up must fail")]

#[path = "originals_failures/build.rs"]
mod build;
#[path = "conversations/capture.rs"]
mod capture;

use std::path::Path;

use build::{A, B, arp, erspan3, eth, geneve, gre, gtp, ip4, labels, ppp, pptp, tcp, udp, vxlan};
use skydive_flow::{ExtraLayers, Finish, Flow, FlowTable, KeyMode, TableConfig, dns};
use skydive_packet::LinkType;
use skydive_packet::file::Packet;

const FIN: u8 = 0x01;
const SYN: u8 = 0x02;
const RST: u8 = 0x04;
const ACK: u8 = 0x10;

fn everything(key_mode: KeyMode) -> TableConfig {
    TableConfig {
        key_mode,
        tcp_metric: true,
        reassemble: true,
        defragment: true,
        extra_layers: ExtraLayers::ALL,
        raw_packets: 10,
        ..TableConfig::default()
    }
}

/// The flows of packets; and that nothing is made up when they are cut.
fn flows(link: LinkType, packets: &[Vec<u8>]) -> Vec<Flow> {
    let (flows, counters) = capture::flows_of(packets, link, everything(KeyMode::L2));
    assert_eq!(counters.packets, packets.len() as u64);
    for key_mode in [KeyMode::L2, KeyMode::L3] {
        for (len, packet) in packets.iter().flat_map(|packet| (0..packet.len()).map(move |len| (len, packet)))
        {
            let mut table = FlowTable::new(everything(key_mode));
            let wire_len = packet.len() as u32;
            table
                .packets(&[Packet { at: 1, wire_len, bytes: &packet[..len], link, interface: 0 }], |_, _| ());
            table.flush_streams();
            for cut in table.flows().map(|flow| flow.to_flow()) {
                let known = |flow: &&Flow| {
                    cut.network.is_none_or(|cut| {
                        flow.network.is_some_and(|ip| [(ip.a, ip.b), (ip.b, ip.a)].contains(&(cut.a, cut.b)))
                    })
                };
                assert!(flows.iter().any(|flow| known(&flow)), "at {len}: {cut:#?}");
                assert!(cut.link.is_some() || cut.network.is_some(), "at {len}: {cut:#?}");
            }
        }
    }
    flows
}

/// Path and, in a tunnel, that of what carries it.
fn paths(flows: &[Flow]) -> Vec<String> {
    let carrier = |flow: &Flow| flows.iter().find(|other| Some(other.uuid) == flow.parent);
    flows
        .iter()
        .map(|flow| match carrier(flow) {
            Some(carrier) => format!("{} in {}", flow.layers_path, carrier.layers_path),
            None => flow.layers_path.to_string(),
        })
        .collect()
}

#[test]
fn what_a_tunnel_carries_without_addresses_stays_with_its_carrier() {
    let lcp = [0xc0, 0x21, 1, 1, 0, 4];
    let cases = [
        ("Ethernet/IPv4/GRE/PPP", ip4(A, B, 47, &pptp(&ppp(&lcp)))),
        ("Ethernet/IPv4/GRE/ARP", ip4(A, B, 47, &gre(0x0806, &arp()))),
        // An Ethernet trailer format that nobody decodes.
        ("Ethernet/IPv4/GRE", ip4(A, B, 47, &erspan3(1, &[7; 40]))),
        ("Ethernet/IPv4/UDP/Geneve", ip4(A, B, 17, &udp(50000, 6081, &geneve(0x1234, &[7; 40])))),
        ("Ethernet/IPv4/UDP/Geneve/ARP", ip4(A, B, 17, &udp(50000, 6081, &geneve(0x0806, &arp())))),
        ("Ethernet/IPv4/UDP/Geneve", ip4(A, B, 17, &udp(50000, 6081, &geneve(0x6558, &[])))),
        ("Ethernet/IPv4/UDP/Geneve", ip4(A, B, 17, &udp(50000, 6081, &geneve(0x6558, &[7; 5])))),
        ("Ethernet/IPv4/UDP/VXLAN", ip4(A, B, 17, &udp(50000, 4789, &vxlan(&[])))),
        ("Ethernet/IPv4/UDP/VXLAN", ip4(A, B, 17, &udp(50000, 4789, &vxlan(&[7; 5])))),
    ];
    for (path, packet) in cases {
        let frame = eth(0x0800, &packet);
        let flows = flows(LinkType::ETHERNET, std::slice::from_ref(&frame));
        assert_eq!(paths(&flows), [path]);
        assert_eq!((flows[0].metric.ab_packets, flows[0].metric.ab_bytes), (1, frame.len() as u64), "{path}");
    }
}

#[test]
fn a_stack_of_labels_is_one_flow_whatever_it_carries() {
    let packet = ip4(A, B, 17, &udp(1, 2, b"payload"));
    let found = flows(LinkType::ETHERNET, &[eth(0x8847, &labels(2, &packet))]);
    assert_eq!(paths(&found), ["Ethernet/MPLS/MPLS", "IPv4/UDP in Ethernet/MPLS/MPLS"]);
    let found = flows(LinkType::ETHERNET, &[eth(0x8847, &labels(5, &packet))]);
    assert_eq!(found.len(), 2);
    assert_eq!(found[1].metric.ab_bytes, packet.len() as u64);
    // Nothing behind, and nothing that is a header.
    for payload in [&[][..], &[7; 5]] {
        let found = flows(LinkType::ETHERNET, &[eth(0x8847, &labels(3, payload))]);
        assert_eq!(paths(&found), ["Ethernet/MPLS/MPLS/MPLS"]);
    }
}

#[test]
fn frames_without_any_address_are_no_flow() {
    let lcp = [&[0xff, 0x03][..], &[0xc0, 0x21, 1, 1, 0, 4]].concat();
    let cooked = |protocol: [u8; 2], payload: &[u8]| {
        [&[0, 0, 0, 1, 0, 6, 2, 0, 0, 0, 0, 1, 0, 0][..], &protocol, payload].concat()
    };
    let cooked2 = [&[0x08, 0x06, 0, 0, 0, 0, 0, 2, 0, 1, 0, 6, 2, 0, 0, 0, 0, 1, 0, 0][..], &arp()].concat();
    for (link, packet) in [
        (LinkType::PPP, lcp),
        (LinkType::LINUX_SLL, cooked([0x08, 0x06], &arp())),
        (LinkType::LINUX_SLL2, cooked2),
        (LinkType::RAW, arp()),
        (LinkType::NULL, vec![99, 0, 0, 0, 1, 2, 3]),
        (LinkType(147), vec![1, 2, 3]),
    ] {
        let (found, counters) =
            capture::flows_of(std::slice::from_ref(&packet), link, everything(KeyMode::L2));
        assert_eq!((found.len(), counters.unaccounted), (0, 1), "{link:?}");
        assert!(flows(link, &[packet]).is_empty());
    }
    let packet = cooked([0x08, 0x00], &ip4(A, B, 17, &udp(1, 2, b"payload")));
    assert_eq!(paths(&flows(LinkType::LINUX_SLL, &[packet])), ["/IPv4/UDP"]);
}

#[test]
fn streams_inside_of_gre_are_put_in_order() {
    let inside = |from, to, ports: (u16, u16), sequence, flags, payload: &[u8]| {
        let segment = ip4(from, to, 6, &tcp(ports.0, ports.1, sequence, flags, payload));
        eth(0x0800, &ip4(A, B, 47, &gre(0x0800, &segment)))
    };
    let (a, b) = ([10, 0, 0, 1], [10, 0, 0, 2]);
    let found = flows(
        LinkType::ETHERNET,
        &[
            inside(a, b, (40000, 80), 100, SYN, b""),
            inside(b, a, (80, 40000), 500, SYN | ACK, b""),
            inside(a, b, (40000, 80), 101, ACK, b"hello"),
            inside(a, b, (40000, 80), 106, FIN | ACK, b"last"),
            inside(b, a, (80, 40000), 501, FIN | ACK, b""),
        ],
    );
    assert_eq!(paths(&found), ["Ethernet/IPv4/GRE", "IPv4/TCP in Ethernet/IPv4/GRE"]);
    assert!(found[0].transport.is_none() && found[0].tcp.is_none());
    let stream = found[1].tcp.as_ref().unwrap().ab.stream;
    assert_eq!((stream.bytes, stream.saw_start, stream.saw_end), (9, 1, 1));
    assert_eq!(found[1].finish, Finish::Fin);
}

#[test]
fn options_of_extended_dns_are_read() {
    let mut query =
        b"\x12\x34\x01\x00\x00\x01\x00\x00\x00\x00\x00\x01\x03www\x04test\x00\x00\x01\x00\x01".to_vec();
    // OPT with a client's cookie.
    query.extend(b"\x00\x00\x29\x04\xd0\x00\x00\x00\x00\x00\x0c\x00\x0a\x00\x08COOKIE!!");
    let found = flows(LinkType::ETHERNET, &[eth(0x0800, &ip4(A, B, 17, &udp(40000, 53, &query)))]);
    assert_eq!(paths(&found), ["Ethernet/IPv4/UDP/DNS"]);
    let message = found[0].extra.as_ref().unwrap().dns.as_ref().unwrap();
    let [record] = &message.additionals[..] else { panic!("{message:?}") };
    let dns::Rdata::Options(options) = &record.data else { panic!("{record:?}") };
    assert_eq!((options.len(), &options[0].data[..]), (1, &b"COOKIE!!"[..]));
}

#[test]
fn a_connection_that_ends_later_says_how() {
    let segment = |back: bool, flags| {
        let (from, to, source, destination) = if back { (B, A, 80, 40000) } else { (A, B, 40000, 80) };
        let mut frame = eth(0x0800, &ip4(from, to, 6, &tcp(source, destination, 1, flags, b"")));
        if back {
            frame[..12].rotate_left(6);
        }
        frame
    };
    let found =
        flows(LinkType::ETHERNET, &[segment(false, SYN), segment(true, SYN | ACK), segment(true, RST)]);
    assert_eq!((found.len(), found[0].finish), (1, Finish::Rst));
    let found = flows(
        LinkType::ETHERNET,
        &[segment(false, SYN), segment(true, SYN | ACK), segment(false, FIN | ACK), segment(true, FIN | ACK)],
    );
    assert_eq!((found.len(), found[0].finish), (1, Finish::Fin));
}

#[test]
fn a_header_of_ipv4_that_is_cut_gives_no_addresses() {
    let frame = eth(0x0800, &ip4(A, B, 6, &tcp(40000, 80, 1, SYN, b"")));
    for len in 14..34 {
        let mut table = FlowTable::new(everything(KeyMode::L2));
        let packet = Packet {
            at: 1,
            wire_len: frame.len() as u32,
            bytes: &frame[..len],
            link: LinkType::ETHERNET,
            interface: 0,
        };
        table.packets(&[packet], |_, _| ());
        let flow = table.flows().next().unwrap().to_flow();
        assert_eq!((flow.layers_path.as_str(), flow.network), ("Ethernet", None), "at {len}");
        assert_eq!(flow.metric.ab_bytes, frame.len() as u64);
    }
    // Options may be missing.
    let mut with_options = ip4(A, B, 6, &[&[1; 8][..], &tcp(40000, 80, 1, SYN, b"")].concat());
    with_options[0] = 0x47;
    let frame = eth(0x0800, &with_options);
    let (found, _) = capture::flows_of(&[frame[..36].to_vec()], LinkType::ETHERNET, everything(KeyMode::L2));
    assert_eq!(found[0].network.unwrap().a.to_string(), "192.0.2.1");
    assert_eq!((found[0].layers_path.as_str(), found[0].transport), ("Ethernet/IPv4", None));
}

#[test]
fn gtp_without_payload_is_a_layer() {
    let frame = eth(0x0800, &ip4(A, B, 17, &udp(2152, 2152, &gtp(&[]))));
    let found = flows(LinkType::ETHERNET, &[frame]);
    assert_eq!(paths(&found), ["Ethernet/IPv4/UDP/GTPv1U"]);
    assert_eq!((found[0].transport.unwrap().a, found[0].transport.unwrap().b), (2152, 2152));
}

#[test]
fn pcapng_is_read() {
    let file = Path::new(env!("CARGO_MANIFEST_DIR")).join("../packet/tests/data/files/live.pcapng");
    let (found, counters) = capture::flows(&std::fs::read(file).unwrap(), everything(KeyMode::L2));
    assert_eq!(counters.packets, 4);
    // Two pings, each with an identifier of its own.
    assert_eq!(paths(&found), ["Ethernet/IPv4/ICMPv4"; 2]);
}
