//! Packets in hexadecimal and the layers they have: each protocol once, and what made the original fail.

#![allow(clippy::unwrap_used, clippy::indexing_slicing, reason = "a test that cannot set up must fail")]

use skydive_packet::wire::{erspan, gre, gtp, icmp6, ipv6, l2tp, mpls, sll, udp, vlan, vxlan};
use skydive_packet::{Decoder, End, LayerKind as K, Layers, LinkType};

const MACS: &str = "020000000001 020000000002";
const TCP: &str = "9c40 0050 00000001 00000002 5018 0100 0000 0000";
const ARP: &str = "0001 0800 06 04 0001 020000000001 0a000001 000000000000 0a000002";

fn hex(text: &str) -> Vec<u8> {
    let digits: Vec<u8> = text.bytes().filter(|b| !b.is_ascii_whitespace()).collect();
    digits.chunks(2).map(|pair| u8::from_str_radix(std::str::from_utf8(pair).unwrap(), 16).unwrap()).collect()
}

fn to_hex(bytes: &[u8]) -> String {
    bytes
        .iter()
        .flat_map(|byte| [byte >> 4, byte & 15])
        .map(|digit| char::from_digit(digit.into(), 16).unwrap())
        .collect()
}

fn eth(ethertype: &str, rest: &str) -> String {
    format!("{MACS} {ethertype} {rest}")
}

fn ip4(protocol: u8, rest: &str) -> String {
    format!("4500 {:04x} 0001 4000 40 {protocol:02x} 0000 0a000001 0a000002 {rest}", 20 + hex(rest).len())
}

fn ip6(next: u8, rest: &str) -> String {
    let address = "20010db8 00000000 00000000 000000";
    format!("60000000 {:04x} {next:02x} 40 {address}01 {address}02 {rest}", hex(rest).len())
}

fn udp(port: u16, rest: &str) -> String {
    format!("9c40 {port:04x} {:04x} 0000 {rest}", 8 + hex(rest).len())
}

fn over_udp(port: u16, rest: &str) -> String {
    eth("0800", &ip4(17, &udp(port, rest)))
}

fn tcp4() -> String {
    ip4(6, TCP)
}

fn decode_with(decoder: &Decoder, bytes: &[u8], link: LinkType) -> (String, Layers) {
    let mut layers = Layers::new();
    decoder.decode(bytes, link, &mut layers);
    let names: Vec<_> = layers.as_slice().iter().map(|layer| layer.kind.name()).collect();
    (names.join("/"), layers)
}

fn path_of(link: LinkType, packet: &str) -> (String, End) {
    let (path, layers) = decode_with(&Decoder::default(), &hex(packet), link);
    (path, layers.end())
}

#[track_caller]
fn check(packet: &str, path: &str, end: End) {
    assert_eq!(path_of(LinkType::ETHERNET, packet), (path.to_owned(), end));
}

#[test]
fn what_follows_ethernet() {
    check(&eth("0806", ARP), "Ethernet/ARP", End::Nothing);
    check(&eth("8100", &format!("0005 0806 {ARP}")), "Ethernet/Dot1Q/ARP", End::Nothing);
    check(
        &eth("88a8", &format!("0005 8100 0006 0800 {}", tcp4())),
        "Ethernet/Dot1Q/Dot1Q/IPv4/TCP",
        End::Nothing,
    );
    check(&eth("9100", &format!("0005 86dd {}", ip6(6, TCP))), "Ethernet/Dot1Q/IPv6/TCP", End::Nothing);
    check(&eth("8863", "11 09 0000 0004 01010000"), "Ethernet/PPPoE", End::Payload);
    check(
        &eth("8864", &format!("11 00 0007 002a 0021 {} ffff", tcp4())),
        "Ethernet/PPPoE/PPP/IPv4/TCP",
        End::Nothing,
    );
    check(&eth("8864", "11 00 0007 0006 c021 01010004"), "Ethernet/PPPoE/PPP", End::Unsupported);
    check(&eth("888e", "01 00 0005 01 02 0005 01"), "Ethernet/EAPOL/EAP", End::Nothing);
    check(&eth("888e", "01 01 0000"), "Ethernet/EAPOL", End::Nothing);
    check(&eth("9000", "0000 0200 0001"), "Ethernet/EthernetCTP", End::Payload);
    check(
        &eth("88cc", "0207 04 020000000001 0404 05 657468 0602 0078 0a01 41 0000"),
        "Ethernet/LinkLayerDiscovery/LinkLayerDiscoveryInfo",
        End::Nothing,
    );
    check(&eth("88cc", "0404 05 657468"), "Ethernet", End::Malformed(K::LinkLayerDiscovery));
    check(&eth("1234", "00"), "Ethernet", End::Unsupported);
    check(&eth("88e5", "00"), "Ethernet", End::Unsupported);
}

#[test]
fn what_follows_a_length() {
    let cdp = "aaaa03 00000c 2000 02 b4 0000 0001 0005 41";
    check(
        &eth("0011", &format!("{cdp} 0000 0000")),
        "Ethernet/LLC/SNAP/CiscoDiscovery/CiscoDiscoveryInfo",
        End::Nothing,
    );
    let stp = "424203 0000 00 00 00 8000020000000001 00000000 8000020000000001 8001 0000 1400 0200 0f00";
    check(&eth("0026", &format!("{stp} 0000")), "Ethernet/LLC/STP", End::Nothing);
    check(&eth("0007", "424203 0000 00 80"), "Ethernet/LLC/STP", End::Nothing);
    check(
        &eth("0013", "aaaa03 000081 01a2 0a000001 000001 02 01 01 01"),
        "Ethernet/LLC/SNAP/NortelDiscovery",
        End::Nothing,
    );
    check(
        &eth("0030", &format!("aaaa03 000000 0800 {}", tcp4())),
        "Ethernet/LLC/SNAP/IPv4/TCP",
        End::Nothing,
    );
    check(&eth("8100", &format!("0001 0026 {stp}")), "Ethernet/Dot1Q/LLC/STP", End::Nothing);
    check(&eth("0003", "e0e003"), "Ethernet/LLC", End::Nothing);
}

#[test]
fn what_follows_ip() {
    for (number, rest, path, end) in [
        (1, "0800 0000 0001 0001 6162", "ICMPv4", End::Payload),
        (2, "1600 0000 e0000001", "IGMP", End::Nothing),
        (6, TCP, "TCP", End::Nothing),
        (17, "9c40 9c41 0008 0000", "UDP", End::Nothing),
        (27, "40 09 01 02 0002 00000001 00000002 00000000 6162", "RUDP", End::Payload),
        (50, "00000001 00000002 6162", "IPSecESP", End::Payload),
        (89, "0201 0018 00000000 00000000 0000 0000 0000000000000000", "OSPF", End::Nothing),
        (112, "21 01 64 01 00 01 0000 0a000001", "VRRP", End::Nothing),
        (112, "31 01 64 01 00 01 0000 0a000001", "VRRP", End::Nothing),
        (
            132,
            "8001 8002 00000001 00000000 01 00 0014 00000001 00000001 0001 0001 00000001",
            "SCTP/SCTPInit",
            End::Nothing,
        ),
        (
            132,
            "8001 8002 00000001 00000000 0a 00 0006 6162 0000 00 03 0012 00000001 00000001 00000000 6162 0000",
            "SCTP/SCTPCookieEcho/SCTPData",
            End::Payload,
        ),
        (132, "8001 8002 00000001 00000000 0e 00 0004", "SCTP/SCTPShutdownComplete", End::Nothing),
        (132, "8001 8002 00000001 00000000 63 00 0004", "SCTP", End::Unsupported),
        (136, "9c40 9c41 0008 0000 6162", "UDPLite", End::Payload),
        (59, "6162", "", End::Payload),
        (253, "6162", "", End::Unsupported),
    ] {
        let tail = if path.is_empty() { String::new() } else { format!("/{path}") };
        check(&eth("0800", &ip4(number, rest)), &format!("Ethernet/IPv4{tail}"), end);
        check(&eth("86dd", &ip6(number, rest)), &format!("Ethernet/IPv6{tail}"), end);
    }
}

#[test]
fn what_follows_icmpv6() {
    let address = "20010db8000000000000000000000001";
    for (message, path) in [
        ("8000 0000 0001 0001 61".to_owned(), "/ICMPv6Echo"),
        ("8500 0000 00000000".to_owned(), "/ICMPv6RouterSolicitation"),
        ("8600 0000 40000000 00000000 00000000".to_owned(), "/ICMPv6RouterAdvertisement"),
        (format!("8700 0000 00000000 {address}"), "/ICMPv6NeighborSolicitation"),
        (format!("8800 0000 00000000 {address}"), "/ICMPv6NeighborAdvertisement"),
        (format!("8900 0000 00000000 {address} {address}"), "/ICMPv6Redirect"),
        (format!("8200 0000 00000000 {address}"), "/MLDv1MulticastListenerQuery"),
        (format!("8200 0000 00000000 {address} 00000000"), "/MLDv2MulticastListenerQuery"),
        (format!("8300 0000 00000000 {address}"), "/MLDv1MulticastListenerReport"),
        (format!("8400 0000 00000000 {address}"), "/MLDv1MulticastListenerDone"),
        ("8f00 0000 0000 0000".to_owned(), "/MLDv2MulticastListenerReport"),
        ("0100 0000 00000000".to_owned(), ""),
    ] {
        let packet = eth("86dd", &ip6(58, &message));
        assert_eq!(path_of(LinkType::ETHERNET, &packet).0, format!("Ethernet/IPv6/ICMPv6{path}"));
    }
    // Behind hop-by-hop options, as routers see it.
    let report = ip6(0, "3a 00 05 02 0000 0100 8f00 0000 0000 0000");
    check(
        &eth("86dd", &report),
        "Ethernet/IPv6/IPv6HopByHop/ICMPv6/MLDv2MulticastListenerReport",
        End::Nothing,
    );
}

#[test]
fn fragments() {
    let fragment =
        |flags: &str| format!("4500 001c 0001 {flags} 40 11 0000 0a000001 0a000002 9c40 0035 0030 0000");
    check(&eth("0800", &fragment("2000")), "Ethernet/IPv4/Fragment", End::Fragment);
    check(&eth("0800", &fragment("0010")), "Ethernet/IPv4/Fragment", End::Fragment);
    let fragment6 = |flags: &str| ip6(44, &format!("11 00 {flags} 00000001 9c40 9c41 0008 0000"));
    check(&eth("86dd", &fragment6("0001")), "Ethernet/IPv6/IPv6Fragment/Fragment", End::Fragment);
    check(&eth("86dd", &fragment6("0010")), "Ethernet/IPv6/IPv6Fragment/Fragment", End::Fragment);
    check(&eth("86dd", &fragment6("0000")), "Ethernet/IPv6/IPv6Fragment/UDP", End::Nothing);
}

#[test]
fn ip_in_ip() {
    check(&eth("0800", &ip4(4, &tcp4())), "Ethernet/IPv4/IPv4/TCP", End::Nothing);
    check(&eth("0800", &ip4(94, &tcp4())), "Ethernet/IPv4/IPv4/TCP", End::Nothing);
    check(&eth("0800", &ip4(41, &ip6(6, TCP))), "Ethernet/IPv4/IPv6/TCP", End::Nothing);
    check(&eth("86dd", &ip6(4, &tcp4())), "Ethernet/IPv6/IPv4/TCP", End::Nothing);
    check(&eth("86dd", &ip6(41, &ip6(6, TCP))), "Ethernet/IPv6/IPv6/TCP", End::Nothing);
    check(
        &eth("0800", &ip4(97, &format!("3000 {}", eth("0806", ARP)))),
        "Ethernet/IPv4/EtherIP/Ethernet/ARP",
        End::Nothing,
    );
}

#[test]
fn lengths_of_ip_are_believed_as_far_as_they_can() {
    let with_len = |len: u16, rest: &str| {
        eth("0800", &format!("4500 {len:04x} 0001 4000 40 06 0000 0a000001 0a000002 {TCP} {rest}"))
    };
    let end_of = |packet: &str| {
        let (path, layers) = decode_with(&Decoder::default(), &hex(packet), LinkType::ETHERNET);
        assert_eq!(path, "Ethernet/IPv4/TCP");
        (layers.as_slice()[2].end, layers.end())
    };
    assert_eq!(end_of(&with_len(40, "0000000000")), (54, End::Nothing), "padding");
    assert_eq!(end_of(&with_len(0, "6162")), (56, End::Payload), "left to the card");
    assert_eq!(end_of(&with_len(1500, "6162")), (56, End::Payload), "cut");
    assert_eq!(end_of(&with_len(1500, "")), (54, End::Payload), "cut where the payload begins");
    check(&with_len(19, ""), "Ethernet", End::Malformed(K::IPv4));
    check(&with_len(30, ""), "Ethernet/IPv4", End::Malformed(K::TCP));
    check(&eth("0800", &tcp4().replacen("45", "44", 1)), "Ethernet", End::Malformed(K::IPv4));
    check(&eth("0800", &ip6(6, TCP)), "Ethernet", End::Malformed(K::IPv4));
    check(&eth("86dd", &tcp4()), "Ethernet", End::Malformed(K::IPv6));
    let jumbo = ip6(6, TCP).replacen("0014", "0000", 1);
    check(&eth("86dd", &jumbo), "Ethernet/IPv6/TCP", End::Nothing);
}

#[test]
fn a_header_without_its_options_is_a_layer() {
    let options = TCP.replacen("5018", "8018", 1);
    let packet = hex(&eth(
        "0800",
        &ip4(6, &format!("{options} 020405b4 01010402 01010101")).replacen("0034", "0100", 1),
    ));
    let (path, layers) = decode_with(&Decoder::default(), &packet[..54 + 5], LinkType::ETHERNET);
    assert_eq!((path.as_str(), layers.end()), ("Ethernet/IPv4/TCP", End::Truncated(K::TCP)));
    assert_eq!(layers.as_slice()[2].header, 25);
    let ip = hex(&eth("0800", "4600 0100 0001 4000 40 06 0000 0a000001 0a000002 94"));
    let (path, layers) = decode_with(&Decoder::default(), &ip, LinkType::ETHERNET);
    assert_eq!((path.as_str(), layers.end()), ("Ethernet/IPv4", End::Truncated(K::IPv4)));
    // Ports are kept where only a length is wrong.
    check(
        &eth("0800", &ip4(6, &TCP.replacen("5018", "4018", 1))),
        "Ethernet/IPv4/TCP",
        End::Malformed(K::TCP),
    );
    check(&eth("0800", &ip4(17, "9c40 0035 0007 0000 61")), "Ethernet/IPv4/UDP", End::Malformed(K::UDP));
}

#[test]
fn gre_of_every_kind() {
    let gre = |header: &str, rest: &str| eth("0800", &ip4(47, &format!("{header} {rest}")));
    check(&gre("0000 0800", &tcp4()), "Ethernet/IPv4/GRE/IPv4/TCP", End::Nothing);
    check(
        &gre("2000 6558 00000701", &eth("0800", &tcp4())),
        "Ethernet/IPv4/GRE/Ethernet/IPv4/TCP",
        End::Nothing,
    );
    check(
        &gre("b000 86dd 00000000 00000007 00000001", &ip6(6, TCP)),
        "Ethernet/IPv4/GRE/IPv6/TCP",
        End::Nothing,
    );
    check(
        &gre("4000 0800 0000 0000 0800 0004 0a000001 00000000", &tcp4()),
        "Ethernet/IPv4/GRE/IPv4/TCP",
        End::Nothing,
    );
    check(
        &gre("3001 880b 002c 0005 00000001 ff03 0021", &format!("{} ffff", tcp4())),
        "Ethernet/IPv4/GRE/PPP/IPv4/TCP",
        End::Nothing,
    );
    check(
        &gre("3001 880b 0008 0005 00000001", "ff03 c021 01010004"),
        "Ethernet/IPv4/GRE/PPP",
        End::Unsupported,
    );
    check(&gre("2081 880b 0000 0005 00000001", ""), "Ethernet/IPv4/GRE", End::Nothing);
    check(&gre("0000 0806", ARP), "Ethernet/IPv4/GRE/ARP", End::Nothing);
    check(&gre("0000 0000", ""), "Ethernet/IPv4/GRE", End::Nothing);
    check(&gre("0007 0800", &tcp4()), "Ethernet/IPv4", End::Malformed(K::GRE));
    check(&gre("0000 8847 00010040 00020140", &tcp4()), "Ethernet/IPv4/GRE/MPLS/MPLS/IPv4/TCP", End::Nothing);
}

#[test]
fn erspan_of_every_type() {
    let frame = eth("0806", ARP);
    let gre = |header: &str| eth("0800", &ip4(47, &format!("{header} {frame}")));
    let path = "Ethernet/IPv4/GRE/ERSPAN/Ethernet/ARP";
    check(&gre("0000 88be"), path, End::Nothing);
    check(&gre("1000 88be 00000001 10050009 00000001"), path, End::Nothing);
    check(&gre("1000 22eb 00000001 20050009 00000001 00000000"), path, End::Nothing);
    check(&gre("1000 22eb 00000001 20050009 00000001 00000001 0303030303030303"), path, End::Nothing);
    let ip = eth("0800", &ip4(47, &format!("1000 22eb 00000001 20050009 00000001 00000800 {}", tcp4())));
    check(&ip, "Ethernet/IPv4/GRE/ERSPAN/IPv4/TCP", End::Nothing);
    check(
        &gre("1000 22eb 00000001 10050009 00000001 00000000"),
        "Ethernet/IPv4/GRE",
        End::Malformed(K::ERSPAN),
    );
    check(&gre("1000 88be 00000001 20050009 00000001"), "Ethernet/IPv4/GRE", End::Malformed(K::ERSPAN));
}

#[test]
fn tunnels_over_udp() {
    let frame = eth("0800", &tcp4());
    let udp_then = |port: u16, header: &str, rest: &str| over_udp(port, &format!("{header} {rest}"));
    for port in [4789, 8472] {
        check(
            &udp_then(port, "08000000 00000700", &frame),
            "Ethernet/IPv4/UDP/VXLAN/Ethernet/IPv4/TCP",
            End::Nothing,
        );
        check(&udp_then(port, "00000000 00000700", &frame), "Ethernet/IPv4/UDP", End::Malformed(K::VXLAN));
        check(
            &udp_then(port, "0c000001 00000700", &tcp4()),
            "Ethernet/IPv4/UDP/VXLANGPE/IPv4/TCP",
            End::Nothing,
        );
    }
    for (next, rest, path) in [
        (1, tcp4(), "IPv4/TCP"),
        (2, ip6(6, TCP), "IPv6/TCP"),
        (3, frame.clone(), "Ethernet/IPv4/TCP"),
        (4, format!("0f c2 01 03 000001ff {frame}"), "NSH/Ethernet/IPv4/TCP"),
        (5, format!("00010140 {}", tcp4()), "MPLS/IPv4/TCP"),
    ] {
        let header = format!("0c0000{next:02x} 00000700");
        check(&udp_then(4790, &header, &rest), &format!("Ethernet/IPv4/UDP/VXLANGPE/{path}"), End::Nothing);
    }
    check(
        &udp_then(6081, "0000 6558 00000700", &frame),
        "Ethernet/IPv4/UDP/Geneve/Ethernet/IPv4/TCP",
        End::Nothing,
    );
    check(
        &udp_then(6081, "0180 0800 00000700 00000000", &tcp4()),
        "Ethernet/IPv4/UDP/Geneve/IPv4/TCP",
        End::Nothing,
    );
    check(&udp_then(6081, "0000 1234 00000700", "6162"), "Ethernet/IPv4/UDP/Geneve", End::Unsupported);
    check(&udp_then(6081, "4000 6558 00000700", &frame), "Ethernet/IPv4/UDP", End::Malformed(K::Geneve));
    check(&udp_then(2152, "30 ff 0028 00000009", &tcp4()), "Ethernet/IPv4/UDP/GTPv1U/IPv4/TCP", End::Nothing);
    check(
        &udp_then(2152, "36 ff 0030 00000009 0001 00 85 01 0000 00", &tcp4()),
        "Ethernet/IPv4/UDP/GTPv1U/IPv4/TCP",
        End::Nothing,
    );
    check(&udp_then(2152, "30 ff 0000 00000009", ""), "Ethernet/IPv4/UDP/GTPv1U", End::Nothing);
    check(&udp_then(2152, "32 01 0004 00000000 0001 0000", ""), "Ethernet/IPv4/UDP/GTPv1U", End::Nothing);
    check(
        &udp_then(2152, "34 ff 0008 00000009 00000085 00000000", ""),
        "Ethernet/IPv4/UDP",
        End::Truncated(K::GTPv1U),
    );
    check(
        &udp_then(1701, "0002 0001 0002 ff03 0021", &tcp4()),
        "Ethernet/IPv4/UDP/L2TP/PPP/IPv4/TCP",
        End::Nothing,
    );
    check(&udp_then(1701, "c802 000c 0001 0000 0000 0000", ""), "Ethernet/IPv4/UDP/L2TP", End::Nothing);
    check(
        &udp_then(1701, "0003 0000 00000005 00000000", &frame),
        "Ethernet/IPv4/UDP/L2TP/Ethernet/IPv4/TCP",
        End::Nothing,
    );
    check(&udp_then(1701, "0001 0001 0002", ""), "Ethernet/IPv4/UDP", End::Malformed(K::L2TP));
    check(&udp_then(6635, "00010140", &tcp4()), "Ethernet/IPv4/UDP/MPLS/IPv4/TCP", End::Nothing);
    // What IPv6 carries may be nothing that is decoded.
    let pim = ip6(103, "2000 0000");
    check(&udp_then(6635, "00010140", &pim), "Ethernet/IPv4/UDP/MPLS/IPv6", End::Unsupported);
    for gap in ["", "00000000", "0102030405060708", "010203040506070800000000"] {
        let packet = eth("0800", &ip4(115, &format!("00000005 {gap} {frame}")));
        check(&packet, "Ethernet/IPv4/L2TP/Ethernet/IPv4/TCP", End::Nothing);
    }
    check(
        &eth("0800", &ip4(115, "00000000 c803 000c 00000001 0000 0000")),
        "Ethernet/IPv4/L2TP",
        End::Nothing,
    );
}

#[test]
fn mpls_on_a_registered_port() {
    let packet = hex(&over_udp(51234, &format!("00010140 {}", tcp4())));
    assert_eq!(decode_with(&Decoder::default(), &packet, LinkType::ETHERNET).0, "Ethernet/IPv4/UDP");
    let decoder = Decoder::default().with_mpls_port(51234);
    assert_eq!(decode_with(&decoder, &packet, LinkType::ETHERNET).0, "Ethernet/IPv4/UDP/MPLS/IPv4/TCP");
}

#[test]
fn what_lies_below_labels() {
    let below = |rest: &str| eth("8847", &format!("00010040 00020140 {rest}"));
    let frame = eth("0800", &tcp4());
    check(&below(&tcp4()), "Ethernet/MPLS/MPLS/IPv4/TCP", End::Nothing);
    check(&below(&ip6(6, TCP)), "Ethernet/MPLS/MPLS/IPv6/TCP", End::Nothing);
    check(&below(&frame), "Ethernet/MPLS/MPLS/Ethernet/IPv4/TCP", End::Nothing);
    check(&below(&format!("00000001 {frame}")), "Ethernet/MPLS/MPLS/Ethernet/IPv4/TCP", End::Nothing);
    for first in ["46", "62", "00", "44"] {
        check(&below(&frame.replacen("02", first, 1)), "Ethernet/MPLS/MPLS/Ethernet/IPv4/TCP", End::Nothing);
    }
    check(&below(""), "Ethernet/MPLS/MPLS", End::Nothing);
    check(&eth("8847", "00010040"), "Ethernet/MPLS", End::Nothing);
    // An address that reads like an EtherType: a frame, unless the checksum says otherwise.
    let odd = |checksum: u16| {
        let header = format!("4500 0028 0001 4000 40 06 {checksum:04x} 08004500 0a000002");
        path_of(LinkType::ETHERNET, &below(&format!("{header} {TCP}"))).0
    };
    let words = [0x4500, 0x0028, 0x0001, 0x4000, 0x4006, 0x0800, 0x4500, 0x0a00, 0x0002u32];
    let sum = words.iter().sum::<u32>();
    assert_eq!(odd(!((sum & 0xffff) + (sum >> 16)) as u16), "Ethernet/MPLS/MPLS/IPv4/TCP");
    assert!(odd(0).starts_with("Ethernet/MPLS/MPLS/Ethernet"));
}

#[test]
fn applications_are_believed_if_they_make_sense() {
    let query = "1234 0100 0001 0000 0000 0000 03777777 0474657374 00 0001 0001";
    let ntp = format!("23 {}", "00".repeat(47));
    let dhcp = format!("01 01 06 00 {} 63825363 ff", "00".repeat(232));
    for (port, message, name) in [
        (53, query, "DNS"),
        (123, &ntp, "NTP"),
        (67, &dhcp, "DHCPv4"),
        (68, &dhcp, "DHCPv4"),
        (547, "01 000001 0001 0002 0001", "DHCPv6"),
        (5060, &to_hex(b"OPTIONS sip:a@b SIP/2.0\r\n"), "SIP"),
        (6343, &format!("00000005 00000001 0a000001 {}", "00".repeat(16)), "SFlow"),
        (3784, &format!("20 c0 03 18 {}", "00".repeat(20)), "BFD"),
    ] {
        check(&over_udp(port, message), &format!("Ethernet/IPv4/UDP/{name}"), End::Nothing);
        let junk = over_udp(port, &to_hex(&[0xee; 260]));
        let (path, end) = path_of(LinkType::ETHERNET, &junk);
        assert_eq!(path, "Ethernet/IPv4/UDP", "{name}");
        assert!(matches!(end, End::Malformed(_)), "{name}: {end:?}");
    }
    check(&over_udp(123, &to_hex(b"junk")), "Ethernet/IPv4/UDP", End::Malformed(K::NTP));
    check(&over_udp(53, ""), "Ethernet/IPv4/UDP", End::Nothing);
    let reply = eth("0800", &ip4(17, &format!("0035 9c40 {:04x} 0000 {query}", 8 + hex(query).len())));
    check(&reply, "Ethernet/IPv4/UDP/DNS", End::Nothing);
    let cut = hex(&over_udp(53, &query.replacen("0000 0000 0000", "0009 0000 0000", 1)));
    let mut long = cut.clone();
    long[16..18].copy_from_slice(&400u16.to_be_bytes());
    long[38..40].copy_from_slice(&380u16.to_be_bytes());
    assert_eq!(decode_with(&Decoder::default(), &cut, LinkType::ETHERNET).0, "Ethernet/IPv4/UDP");
    assert_eq!(decode_with(&Decoder::default(), &long, LinkType::ETHERNET).0, "Ethernet/IPv4/UDP/DNS");
}

#[test]
fn link_types() {
    let (v4, v6) = (tcp4(), ip6(6, TCP));
    for (link, packet, path, end) in [
        (LinkType::RAW, v4.clone(), "IPv4/TCP", End::Nothing),
        (LinkType::RAW, v6.clone(), "IPv6/TCP", End::Nothing),
        (LinkType::RAW, ARP.to_owned(), "ARP", End::Nothing),
        (LinkType::RAW_BSD, v4.clone(), "IPv4/TCP", End::Nothing),
        (LinkType::RAW_OPENBSD, v6.clone(), "IPv6/TCP", End::Nothing),
        (LinkType::IPV4, v4.clone(), "IPv4/TCP", End::Nothing),
        (LinkType::IPV6, v6.clone(), "IPv6/TCP", End::Nothing),
        (LinkType::IPV6, v4.clone(), "", End::Malformed(K::IPv6)),
        (LinkType::NULL, format!("02000000 {v4}"), "Loopback/IPv4/TCP", End::Nothing),
        (LinkType::NULL, format!("1e000000 {v6}"), "Loopback/IPv6/TCP", End::Nothing),
        (LinkType::LOOP, format!("00000002 {v4}"), "Loopback/IPv4/TCP", End::Nothing),
        (LinkType::LOOP, format!("00000018 {v6}"), "Loopback/IPv6/TCP", End::Nothing),
        (LinkType::LOOP, format!("00000063 {v4}"), "Loopback", End::Unsupported),
        (LinkType::PPP, format!("ff03 0021 {v4}"), "PPP/IPv4/TCP", End::Nothing),
        (LinkType::PPP, format!("21 {v4}"), "PPP/IPv4/TCP", End::Nothing),
        (LinkType::PPP, "ff03 c021 01010004".to_owned(), "PPP", End::Unsupported),
        (LinkType::PPP, format!("ff03 0281 00010140 {v4}"), "PPP/MPLS/IPv4/TCP", End::Nothing),
        (LinkType::PPP_ETHER, format!("11 00 0007 002a 0021 {v4}"), "PPPoE/PPP/IPv4/TCP", End::Nothing),
        (
            LinkType::LINUX_SLL,
            format!("0000 0001 0006 0200000000010000 0800 {v4}"),
            "LinuxSLL/IPv4/TCP",
            End::Nothing,
        ),
        (
            LinkType::LINUX_SLL,
            format!("0000 0001 0006 0200000000010000 0806 {ARP}"),
            "LinuxSLL/ARP",
            End::Nothing,
        ),
        (
            LinkType::LINUX_SLL,
            "0000 0001 0006 0200000000010000 0004 424203 0000 00 80".to_owned(),
            "LinuxSLL/LLC/STP",
            End::Nothing,
        ),
        (
            LinkType::LINUX_SLL2,
            format!("86dd 0000 00000003 0001 00 06 0200000000010000 {v6}"),
            "LinuxSLL2/IPv6/TCP",
            End::Nothing,
        ),
        (LinkType(105), v4.clone(), "", End::Unsupported),
        (LinkType::ETHERNET, String::new(), "", End::Nothing),
        (LinkType::RAW, String::new(), "", End::Nothing),
        (LinkType::RAW, "45".to_owned(), "", End::Truncated(K::IPv4)),
    ] {
        assert_eq!(path_of(link, &packet), (path.to_owned(), end), "{link:?}");
    }
}

/// What made the original crash or fail, with how many layers each part of the packet has now.
#[test]
fn known_failures_of_the_original() {
    let gre = |header: &str, rest: &str| eth("0800", &ip4(47, &format!("{header} {rest}")));
    let parts = |link: LinkType, packet: &str| {
        let (_, layers) = decode_with(&Decoder::default(), &hex(packet), link);
        layers.parts().map(|part| part.len()).collect::<Vec<_>>()
    };
    let ethernet = |packet: &str| parts(LinkType::ETHERNET, packet);
    assert_eq!(ethernet(&gre("3001 880b 0008 0005 00000001", "ff03 c021 01010004")), [4], "LCP in PPTP");
    assert_eq!(ethernet(&gre("0000 0806", ARP)), [4], "ARP in GRE");
    assert_eq!(
        ethernet(&gre("1000 22eb 00000001 20050009 00000001 00000000", &eth("0806", ARP))),
        [4, 2],
        "ERSPAN III"
    );
    assert_eq!(ethernet(&over_udp(6081, "0000 1234 00000700 6162")), [4], "Geneve with something");
    assert_eq!(ethernet(&over_udp(6081, "0000 6558 00000700")), [4], "Geneve with nothing");
    assert_eq!(ethernet(&over_udp(4789, "08000000 00000700")), [4], "VXLAN with nothing");
    assert_eq!(ethernet(&over_udp(4789, "08000000 00000700 0102")), [4], "VXLAN with two bytes");
    assert_eq!(ethernet(&eth("8847", "00010040 00020040 00030140")), [4], "labels with nothing");
    assert_eq!(ethernet(&eth("8847", &format!("00010040 00020140 {}", tcp4()))), [3, 2], "two labels");
    assert_eq!(parts(LinkType::PPP, "ff03 c021 01010004"), [0; 0], "LCP");
    assert_eq!(
        parts(LinkType::LINUX_SLL, &format!("0000 0001 0006 0200000000010000 0806 {ARP}")),
        [],
        "ARP, cooked"
    );
    assert_eq!(ethernet(&over_udp(2152, "30 ff 0000 00000009")), [4], "GTP-U with nothing");
    assert_eq!(ethernet(&eth("0800", "4500 0028 0001")), [1], "a cut IPv4 header");
}

#[test]
fn depth_is_bounded() {
    let tags = "0001 8100".repeat(40);
    let (path, end) = path_of(LinkType::ETHERNET, &eth("8100", &format!("{tags} 0001 0800")));
    assert_eq!((path.split('/').count(), end), (Layers::MAX, End::TooDeep));
}

/// Layers say where their bytes are, and views read what was written there.
#[test]
fn fields_are_read_where_the_layers_say() {
    let frame = eth("0800", &tcp4());
    let packet = hex(&eth(
        "8100",
        &format!("6005 86dd {}", ip6(17, &udp(4789, &format!("08000000 00000700 {frame}")))),
    ));
    let (_, layers) = decode_with(&Decoder::default(), &packet, LinkType::ETHERNET);
    let bytes = |at: usize| layers.as_slice()[at].bytes_of(&packet);
    let tag = vlan::Vlan::parse(bytes(1)).unwrap();
    assert_eq!((tag.id(), tag.priority(), tag.ethertype()), (5, 3, 0x86dd));
    let ip = ipv6::Ipv6::parse(bytes(2)).unwrap();
    assert_eq!((ip.source().to_string().as_str(), ip.next_header(), ip.hop_limit()), ("2001:db8::1", 17, 64));
    assert_eq!(udp::Udp::parse(bytes(3)).unwrap().destination(), 4789);
    assert_eq!(vxlan::Vxlan::parse(bytes(4)).unwrap().vni(), 7);
    assert_eq!(layers.as_slice()[4].payload_of(&packet), hex(&frame));
    assert_eq!(layers.as_slice()[4].header_of(&packet), hex("08000000 00000700"));

    assert_eq!(mpls::Mpls::parse(&hex("00010b40")).unwrap().label(), 16);
    assert_eq!(mpls::Mpls::parse(&hex("00010b40")).unwrap().traffic_class(), 5);
    assert_eq!(gre::Gre::parse(&hex("2000 6558 00000701")).unwrap().key(), Some(0x701));
    assert_eq!(gtp::Gtp::parse(&hex("30 ff 0000 00000009")).unwrap().tunnel(), 9);
    assert_eq!(erspan::ErspanII::parse(&hex("10050009 00000001")).unwrap().session(), 9);
    assert_eq!(l2tp::L2tp::parse(&hex("4002 0008 0001 0002")).unwrap().session(), Some(2));
    assert_eq!(icmp6::Echo::parse(&hex("0007 0001")).unwrap().id(), 7);
    assert_eq!(
        sll::Sll2::parse(&hex("86dd 0000 00000003 0001 00 06 0200000000010000")).unwrap().interface(),
        3
    );
}
