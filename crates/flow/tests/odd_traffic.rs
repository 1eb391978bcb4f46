//! Traffic that is odd but legal, and what its flows say.

#![allow(clippy::unwrap_used, clippy::indexing_slicing, reason = "a test that cannot set up must fail")]
#![allow(dead_code, reason = "packets are made with what other tests need too")]

#[path = "originals_failures/build.rs"]
mod build;

use build::{A, B, eth, gre, gtp, ip4, labels, tcp, udp, vxlan};
use skydive_flow::{ExtraLayers, Flow, FlowTable, KeyMode, TableConfig};
use skydive_packet::LinkType;
use skydive_packet::file::Packet;

const SYN: u8 = 0x02;
const RST: u8 = 0x04;
const ACK: u8 = 0x10;
const MS: i64 = 1_000_000;
const T0: i64 = 1_700_000_000_000 * MS;
/// Ends of an inner flow.
const C: [u8; 4] = [10, 0, 0, 1];
const D: [u8; 4] = [10, 0, 0, 2];

/// A packet to be counted: milliseconds after the first, and its bytes.
type Sent = (i64, Vec<u8>);

fn on(link: LinkType, bytes: &[u8], at: i64) -> Packet<'_> {
    Packet { bytes, at, wire_len: bytes.len() as u32, interface: 0, link }
}

fn flows_on(link: LinkType, config: TableConfig, sent: &[Sent]) -> Vec<Flow> {
    let mut table = FlowTable::new(config);
    let packets: Vec<_> = sent.iter().map(|(ms, bytes)| on(link, bytes, T0 + ms * MS)).collect();
    // All at once, as they come from a file.
    table.packets(&packets, |_, _| panic!("nothing has to go"));
    table.flows().map(|flow| flow.to_flow()).collect()
}

fn flows(config: TableConfig, sent: &[Sent]) -> Vec<Flow> {
    flows_on(LinkType::ETHERNET, config, sent)
}

fn defragment() -> TableConfig {
    TableConfig { defragment: true, ..TableConfig::default() }
}

/// The same from the other host of the wire.
fn back(mut frame: Vec<u8>) -> Vec<u8> {
    frame[..12].rotate_left(6);
    frame
}

/// As [`eth`], from the host with the lower or the higher address.
fn between(is_back: bool, packet: &[u8]) -> Vec<u8> {
    let frame = eth(0x0800, packet);
    if is_back { back(frame) } else { frame }
}

/// IPv4 in fragments of at most `size` bytes.
fn fragments(packet: &[u8], id: u8, size: usize) -> Vec<Vec<u8>> {
    let (header, payload) = packet.split_at(20);
    let count = payload.len().div_ceil(size);
    let fragment = |(n, piece): (usize, &[u8])| {
        let mut fragment = [header, piece].concat();
        let total = (20 + piece.len()) as u16;
        fragment[2..4].copy_from_slice(&total.to_be_bytes());
        fragment[5] = id;
        let more = if n + 1 < count { 0x2000 } else { 0 };
        fragment[6..8].copy_from_slice(&(more | (n * size / 8) as u16).to_be_bytes());
        fragment
    };
    payload.chunks(size).enumerate().map(fragment).collect()
}

fn ip6(from: u8, to: u8, next: u8, payload_len: u16, payload: &[u8]) -> Vec<u8> {
    let address = |last: u8| [[0x20; 15].as_slice(), &[last]].concat();
    let [high, low] = payload_len.to_be_bytes();
    [&[0x60, 0, 0, 0, high, low, next, 64], &address(from)[..], &address(to), payload].concat()
}

fn counts(flow: &Flow) -> [u64; 4] {
    let metric = &flow.metric;
    [metric.ab_packets, metric.ab_bytes, metric.ba_packets, metric.ba_bytes]
}

fn paths(flows: &[Flow]) -> Vec<&str> {
    flows.iter().map(|flow| flow.layers_path.as_str()).collect()
}

/// What a network card is to cut up has no length in its header.
#[test]
fn packets_without_a_length_are_as_long_as_on_the_wire() {
    let segment = tcp(40000, 80, 1, ACK, &[0; 3000]);
    let v4 = |payload: &[u8]| {
        let mut packet = ip4(C, D, 6, payload);
        packet[2..4].fill(0);
        packet
    };
    let count = |link, bytes: &[u8], wire_len: usize| {
        let mut table = FlowTable::new(TableConfig::default());
        table.packets(&[Packet { wire_len: wire_len as u32, ..on(link, bytes, T0) }], |_, _| {});
        table.flows().last().unwrap().metric().ab_bytes
    };
    let whole = v4(&segment);
    assert_eq!(whole.len(), 3040);
    assert_eq!(count(LinkType::RAW, &whole, 3040), 3040);
    assert_eq!(count(LinkType::RAW, &whole[..96], 3040), 3040);
    // Without its header, as all of IPv6.
    let whole = ip6(1, 2, 6, 0, &segment);
    assert_eq!(count(LinkType::RAW, &whole[..96], 3060), 3020);
    // Nothing follows.
    assert_eq!(count(LinkType::RAW, &ip6(1, 2, 59, 0, &[]), 40), 0);
    // In a tunnel, whose length tells what is a trailer of the frame around it.
    for (inner, len) in [(v4(&segment), 3040), (ip6(1, 2, 6, 0, &segment), 3020)] {
        let kind = if inner[0] >> 4 == 4 { 0x0800 } else { 0x86dd };
        let mut frame = eth(0x0800, &ip4(A, B, 47, &gre(kind, &inner)));
        frame.extend([0; 7]);
        assert_eq!(count(LinkType::ETHERNET, &frame, frame.len()), len);
        assert_eq!(count(LinkType::ETHERNET, &frame[..100], frame.len()), len);
        let frame = eth(0x8847, &labels(1, &inner));
        assert_eq!(count(LinkType::ETHERNET, &frame[..100], frame.len()), len);
    }
}

fn echo(is_reply: bool, id: u16, sequence: u16) -> Vec<u8> {
    let kind = if is_reply { 0 } else { 8 };
    [&[kind, 0, 0, 0][..], &id.to_be_bytes(), &sequence.to_be_bytes()].concat()
}

fn ping(from_b: bool, is_reply: bool, sequence: u16) -> Vec<u8> {
    let (from, to) = if from_b { (B, A) } else { (A, B) };
    between(from_b, &ip4(from, to, 1, &echo(is_reply, 1, sequence)))
}

fn rtt(sent: &[Sent]) -> i64 {
    let flows = flows(TableConfig::default(), sent);
    assert_eq!(flows.len(), 1);
    flows[0].metric.rtt as i64 / MS
}

#[test]
fn the_reply_to_an_echo_has_its_number() {
    let request = |sequence| ping(false, false, sequence);
    let reply = |sequence| ping(true, true, sequence);
    assert_eq!(rtt(&[(0, request(1)), (7, reply(1))]), 7);
    // Longer under way than the next request is away.
    assert_eq!(rtt(&[(0, request(1)), (1000, request(2)), (1500, reply(1))]), 1500);
    assert_eq!(
        rtt(&[(0, request(1)), (1000, request(2)), (1500, reply(1)), (2000, request(3)), (2500, reply(2))]),
        1500
    );
    // Lost, and late.
    assert_eq!(rtt(&[(0, request(1)), (1000, request(2)), (1004, reply(2))]), 0);
    let lost = [(0, request(1)), (1000, request(2)), (1004, reply(2)), (2000, request(3)), (2005, reply(3))];
    assert_eq!(rtt(&lost), 5);
    assert_eq!(rtt(&[(0, request(9)), (1, reply(8)), (4, reply(9))]), 4);
    assert_eq!(rtt(&[(0, request(1)), (60_000, request(61)), (60_003, reply(61))]), 3);
    // Numbers begin again.
    assert_eq!(rtt(&[(0, request(65535)), (1, reply(0)), (2, request(1)), (4, reply(1))]), 2);
    // A reply that nobody sent comes from the wrong side.
    assert_eq!(rtt(&[(0, request(1)), (3, ping(false, true, 1))]), 0);
    // Both sides ask with one identifier.
    assert_eq!(
        rtt(&[(0, request(5)), (1, ping(true, false, 5)), (2, ping(false, true, 5)), (9, reply(5))]),
        9
    );
}

#[test]
fn echoes_of_ipv6_and_to_oneself_are_timed() {
    let message = |kind: u8, sequence: u8| vec![kind, 0, 0, 0, 0, 1, 0, sequence];
    let request = eth(0x86dd, &ip6(1, 2, 58, 8, &message(128, 3)));
    let reply = |sequence| back(eth(0x86dd, &ip6(2, 1, 58, 8, &message(129, sequence))));
    let sent = [(0, request), (1, reply(2)), (5, reply(3))];
    assert_eq!(rtt(&sent), 5);
    let own = |is_reply| {
        let mut frame = eth(0x0800, &ip4([127, 0, 0, 1], [127, 0, 0, 1], 1, &echo(is_reply, 1, 1)));
        frame[..12].fill(0);
        frame
    };
    assert_eq!(rtt(&[(0, own(false)), (2, own(true))]), 2);
}

#[test]
fn only_the_other_side_answers_a_syn() {
    let segment = |from_b, flags| {
        let (from, to, source, destination) = if from_b { (B, A, 80, 40000) } else { (A, B, 40000, 80) };
        between(from_b, &ip4(from, to, 6, &tcp(source, destination, 1, flags, b"")))
    };
    assert_eq!(rtt(&[(0, segment(false, SYN)), (3, segment(false, RST))]), 0);
    assert_eq!(rtt(&[(0, segment(false, SYN)), (3, segment(false, RST)), (9, segment(true, RST | ACK))]), 9);
    assert_eq!(rtt(&[(0, segment(false, SYN)), (4, segment(true, RST | ACK))]), 4);
    assert_eq!(rtt(&[(0, segment(false, SYN)), (3, segment(true, SYN)), (7, segment(true, SYN | ACK))]), 7);
}

/// GTP-U and IP in IP stay one flow with what they carry, tunnels too.
#[test]
fn a_tunnel_inside_of_what_is_one_flow_does_not_change_its_key() {
    let frame = eth(0x0800, &ip4(C, D, 17, &udp(1, 2, b"inner")));
    let tunnel = ip4([10, 1, 0, 1], [10, 1, 0, 2], 17, &udp(50000, 4789, &vxlan(&frame)));
    let plain = ip4([10, 1, 0, 1], [10, 1, 0, 2], 6, &tcp(40000, 80, 1, ACK, b""));
    let user = |packet: &[u8]| eth(0x0800, &ip4(A, B, 17, &udp(2152, 2152, &gtp(packet))));
    let found = flows(TableConfig::default(), &[(0, user(&plain)), (1, user(&tunnel))]);
    assert_eq!(paths(&found), ["Ethernet/IPv4/UDP/GTPv1U/IPv4/TCP", "Ethernet/IPv4/UDP"]);
    assert_eq!(found[0].metric.ab_packets, 2);
    assert_eq!(found[1].parent, Some(found[0].uuid));
}

/// Both ends on one host: nothing tells the directions apart, least of all the source port.
#[test]
fn a_tunnel_to_oneself_has_one_direction() {
    let inner = eth(0x0800, &ip4(C, D, 17, &udp(1, 2, b"inner")));
    let frame = |source| {
        let mut frame = eth(0x0800, &ip4(A, A, 17, &udp(source, 4789, &vxlan(&inner))));
        frame[..12].fill(0);
        frame
    };
    let found = flows(TableConfig::default(), &[(0, frame(50000)), (1, frame(4000)), (2, frame(50001))]);
    assert_eq!((found.len(), found[0].metric.ab_packets), (2, 3));
}

/// The snap length leaves labels of which none is the last.
#[test]
fn labels_over_udp_that_were_cut_are_labels() {
    let stack = labels(4, &ip4(C, D, 17, &udp(1, 2, b"inner")));
    let frame = eth(0x0800, &ip4(A, B, 17, &udp(50000, 6635, &stack)));
    let path = |bytes: &[u8]| {
        let mut table = FlowTable::new(TableConfig::default());
        table.packets(&[Packet { wire_len: 200, ..on(LinkType::ETHERNET, bytes, T0) }], |_, _| {});
        table.flows().next().unwrap().layers_path().to_string()
    };
    assert_eq!(path(&frame), "Ethernet/IPv4/UDP/MPLS/MPLS/MPLS/MPLS");
    assert_eq!(path(&frame[..42 + 10]), "Ethernet/IPv4/UDP/MPLS/MPLS");
    let whole = eth(0x0800, &ip4(A, B, 17, &udp(50000, 6635, &stack[..10])));
    assert_eq!(path(&whole), "Ethernet/IPv4/UDP", "no stack ends like that");
}

#[test]
fn a_datagram_counts_when_it_is_complete() {
    let question = ip4(A, B, 17, &udp(40000, 9999, &[1; 64]));
    let answer = ip4(B, A, 17, &udp(9999, 40000, &[2; 8]));
    let mut sent: Vec<Sent> =
        fragments(&question, 7, 40).iter().map(|piece| (0, between(false, piece))).collect();
    sent.push((3, between(true, &answer)));
    let found = flows(defragment(), &sent);
    assert_eq!(paths(&found), ["Ethernet/IPv4/Fragment/UDP"]);
    let flow = &found[0];
    assert_eq!((flow.network.unwrap().a.to_string(), flow.transport.unwrap().a), ("192.0.2.1".into(), 40000));
    // As long as the fragment that completed it.
    assert_eq!(counts(flow), [1, 14 + 20 + 32, 1, 14 + 36]);
    assert_eq!((flow.last.as_millis() - flow.start.as_millis(), flow.ip.unwrap().fragments), (3, 1));
}

/// Without a link layer it is as long as its header says, once.
#[test]
fn a_datagram_without_a_link_layer_counts_once() {
    let datagram = ip4(A, B, 17, &udp(40000, 9999, &[1; 64]));
    let sent: Vec<Sent> = fragments(&datagram, 7, 40).into_iter().map(|piece| (0, piece)).collect();
    let found = flows_on(LinkType::RAW, defragment(), &sent);
    assert_eq!((found.len(), counts(&found[0])), (1, [1, datagram.len() as u64, 0, 0]));
}

/// Many datagrams and what comes between them in one batch: nothing is lost, nothing is out of order.
#[test]
fn datagrams_and_packets_in_between_keep_their_order() {
    let mut sent = Vec::new();
    for n in 0..100u8 {
        let datagram = ip4(A, B, 17, &udp(40000, 9999, &[n; 64]));
        sent.extend(fragments(&datagram, n, 24).iter().map(|piece| (i64::from(n), between(false, piece))));
        sent.push((i64::from(n), between(true, &ip4(B, A, 17, &udp(9999, 40000, &[n; 8])))));
    }
    let found = flows(defragment(), &sent);
    assert_eq!((found.len(), found[0].metric.ab_packets, found[0].metric.ba_packets), (1, 100, 100));
    assert_eq!((found[0].transport.unwrap().a, found[0].ip.unwrap().fragments), (40000, 200));
}

/// The length of the tunnel's packet around the last fragment does not cut what was put together, and the tunnel
/// carried a packet for every fragment.
#[test]
fn fragments_in_a_tunnel_are_put_together() {
    let query =
        b"\x12\x34\x01\x00\x00\x01\x00\x00\x00\x00\x00\x00\x03www\x04test\x00\x00\x01\x00\x01".to_vec();
    let inner = ip4(C, D, 17, &udp(40000, 53, &query));
    let in_gre = |piece: &[u8]| eth(0x0800, &ip4(A, B, 47, &gre(0x0800, piece)));
    let in_vxlan = |piece: &[u8]| eth(0x0800, &ip4(A, B, 17, &udp(50000, 4789, &vxlan(&eth(0x0800, piece)))));
    for key_mode in [KeyMode::L2, KeyMode::L3] {
        let config = || TableConfig { key_mode, extra_layers: ExtraLayers::DNS, ..defragment() };
        // The last piece has two bytes.
        let pieces = fragments(&inner, 3, 32);
        assert_eq!(pieces.len(), 2);
        let sent: Vec<Sent> = pieces.iter().map(|piece| (0, in_gre(piece))).collect();
        let found = flows(config(), &sent);
        assert_eq!(paths(&found), ["Ethernet/IPv4/GRE", "IPv4/Fragment/UDP/DNS"], "{key_mode:?}");
        assert_eq!(counts(&found[0])[..2], [2, (sent[0].1.len() + sent[1].1.len()) as u64]);
        assert_eq!(found[1].parent, Some(found[0].uuid));
        assert_eq!((found[1].metric.ab_packets, found[1].ip.unwrap().fragments), (1, 1));
        assert_eq!(found[0].ip, None);
        let message = found[1].extra.as_ref().unwrap().dns.as_ref().unwrap();
        assert_eq!(message.questions.len(), 1);

        let sent: Vec<Sent> = fragments(&inner, 3, 24).iter().map(|piece| (0, in_vxlan(piece))).collect();
        let found = flows(config(), &sent);
        assert_eq!(paths(&found), ["Ethernet/IPv4/UDP/VXLAN", "Ethernet/IPv4/Fragment/UDP/DNS"]);
        assert_eq!((found[0].metric.ab_packets, found[1].metric.ab_packets), (sent.len() as u64, 1));
    }
}

/// The tunnel's packets came in fragments: the flow around is told of them.
#[test]
fn fragments_of_a_tunnel_are_of_its_flow() {
    let inner = ip4(C, D, 17, &udp(40000, 9999, &[1; 100]));
    let outer = ip4(A, B, 47, &gre(0x0800, &inner));
    let sent: Vec<Sent> = fragments(&outer, 1, 48).iter().map(|piece| (0, eth(0x0800, piece))).collect();
    let found = flows(defragment(), &sent);
    assert_eq!(paths(&found), ["Ethernet/IPv4/Fragment/GRE", "IPv4/UDP"]);
    assert_eq!((found[0].ip.unwrap().fragments, found[1].ip.unwrap().fragments), (sent.len() as u64 - 1, 0));
    assert_eq!((found[0].metric.ab_packets, counts(&found[1])), (1, [1, 128, 0, 0]));
}

/// Fragments in a tunnel whose own packets came in fragments.
#[test]
fn fragments_of_fragments_are_put_together() {
    let inner = ip4(C, D, 17, &udp(40000, 9999, &[1; 100]));
    let pieces = fragments(&inner, 3, 56);
    let outer = pieces
        .iter()
        .zip(0..)
        .flat_map(|(piece, id)| fragments(&ip4(A, B, 47, &gre(0x0800, piece)), id, 40).into_iter().rev());
    let sent: Vec<Sent> = outer.map(|piece| (0, eth(0x0800, &piece))).collect();
    assert!(pieces.len() == 2 && sent.len() == 4);
    let found = flows(defragment(), &sent);
    assert_eq!(paths(&found), ["Ethernet/IPv4/Fragment/GRE", "IPv4/Fragment/UDP"]);
    assert_eq!((found[0].metric.ab_packets, found[1].metric.ab_packets), (2, 1));
    assert_eq!(found[1].parent, Some(found[0].uuid));
    assert_eq!((found[0].ip.unwrap().fragments, found[1].ip.unwrap().fragments), (2, 1));
    assert_eq!(counts(&found[1])[1], inner.len() as u64);
}

/// Three tunnels, each of whose packets came in fragments: there is an end to putting together, and it is told of.
#[test]
fn fragments_further_in_are_counted_as_they_came() {
    let cut = |packet: &[u8], id: u8, size| -> Vec<Vec<u8>> {
        let pieces = fragments(&ip4(A, B, 47, &gre(0x0800, packet)), id, size);
        assert_eq!(pieces.len(), 2);
        pieces
    };
    let inner = fragments(&ip4(C, D, 17, &udp(40000, 9999, &[1; 100])), 3, 56);
    let middle = inner.iter().zip(0..).flat_map(|(piece, id)| cut(piece, id, 56));
    let outer: Vec<_> = middle.zip(0..).flat_map(|(piece, id)| cut(&piece, id, 40)).collect();
    let sent: Vec<Sent> = outer.iter().map(|piece| (0, eth(0x0800, piece))).collect();
    assert_eq!((inner.len(), sent.len()), (2, 8));
    let found = flows(defragment(), &sent);
    assert_eq!(paths(&found), ["Ethernet/IPv4/Fragment/GRE", "IPv4/Fragment/GRE", "IPv4/Fragment"]);
    let told: Vec<_> =
        found.iter().map(|flow| flow.ip.unwrap()).map(|ip| (ip.fragments, ip.fragment_errors)).collect();
    assert_eq!(told, [(4, 0), (2, 0), (0, 2)]);
    assert_eq!(found.iter().map(|flow| flow.metric.ab_packets).collect::<Vec<_>>(), [4, 2, 2]);
}

/// An identification comes again after 65536 datagrams.
#[test]
fn fragments_of_long_ago_are_of_another_datagram() {
    let pieces = fragments(&ip4(A, B, 17, &udp(40000, 9999, &[1; 64])), 7, 40);
    let at = |ms, piece: usize| (ms, between(false, &pieces[piece]));
    assert!(flows(defragment(), &[at(0, 0), at(40_000, 1)]).is_empty());
    assert_eq!(flows(defragment(), &[at(0, 0), at(40_000, 1), at(40_001, 0)])[0].metric.ab_packets, 1);
    assert_eq!(flows(defragment(), &[at(0, 0), at(20_000, 1)]).len(), 1);
}

/// IP in IP stays one flow: so do the fragments of the inner one.
#[test]
fn fragments_in_ip_in_ip_are_told_of() {
    let inner = ip4(C, D, 17, &udp(40000, 9999, &[1; 100]));
    let sent: Vec<Sent> =
        fragments(&inner, 3, 56).iter().map(|piece| (0, eth(0x0800, &ip4(A, B, 4, piece)))).collect();
    let found = flows(defragment(), &sent);
    assert_eq!(paths(&found), ["Ethernet/IPv4/IPv4/Fragment/UDP"]);
    assert_eq!((found[0].metric.ab_packets, found[0].ip.unwrap().fragments), (1, 1));
}

/// Users of a mobile network may have the same addresses.
#[test]
fn fragments_of_two_sessions_are_never_mixed() {
    let inner = ip4(C, D, 17, &udp(40000, 9999, &[1; 100]));
    let pieces = fragments(&inner, 3, 56);
    let sent: Vec<Sent> = [(0, 1), (1, 2)]
        .map(|(piece, tunnel)| {
            let mut user = gtp(&pieces[piece]);
            user[7] = tunnel;
            (0, eth(0x0800, &ip4(A, B, 17, &udp(2152, 2152, &user))))
        })
        .into();
    assert!(flows(defragment(), &sent).is_empty());
}

#[test]
fn a_question_sent_again_is_waited_for_from_the_first() {
    let config = || TableConfig { extra_layers: ExtraLayers::DNS, ..TableConfig::default() };
    let message = |id: u8, is_answer: bool| {
        let flags = if is_answer { 0x81 } else { 0x01 };
        let message = [&[0, id, flags, 0, 0, 1, 0, 0, 0, 0, 0, 0][..], b"\x01a\x00\x00\x01\x00\x01"].concat();
        let (from, to, source, destination) = if is_answer { (B, A, 53, 4000) } else { (A, B, 4000, 53) };
        between(is_answer, &ip4(from, to, 17, &udp(source, destination, &message)))
    };
    let latency = |sent: &[(i64, u8, bool)]| {
        let sent: Vec<Sent> = sent.iter().map(|&(ms, id, is_answer)| (ms, message(id, is_answer))).collect();
        flows(config(), &sent)[0].extra.as_ref().unwrap().dns_latency.map(|ns| ns as i64 / MS)
    };
    assert_eq!(latency(&[(0, 1, false), (5000, 1, false), (5020, 1, true)]), Some(5020));
    // The answer to the second question is not one more.
    assert_eq!(latency(&[(0, 1, false), (50, 1, false), (60, 1, true), (90, 1, true)]), Some(60));
    // Nobody waits that long: it is another question by the same number.
    assert_eq!(latency(&[(0, 1, false), (60_000, 1, false), (60_020, 1, true)]), Some(20));
    assert_eq!(latency(&[(0, 1, false), (60_000, 1, false), (60_020, 1, true), (60_030, 1, true)]), Some(20));
    // One sent again does not push others out.
    let many = [(0, 9, false), (1, 1, false), (2, 1, false), (3, 1, false), (4, 1, false), (5, 1, false)];
    assert_eq!(latency(&[&many[..], &[(10, 9, true)]].concat()), Some(10));
}
