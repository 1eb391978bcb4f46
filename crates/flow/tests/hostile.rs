//! What hostile or odd traffic must not bring about.
#![allow(clippy::unwrap_used, reason = "a test that cannot set up must fail")]

use std::time::Duration;

use skydive_flow::{ExtraLayers, Finish, Flow, FlowTable, FlowView, KeyMode, TableConfig, Told};
use skydive_packet::LinkType;
use skydive_packet::file::Packet;

const SECOND: i64 = 1_000_000_000;
const T0: i64 = 1_700_000_000 * SECOND;

const FIN: u8 = 0x11;
const SYN: u8 = 2;
const RST: u8 = 4;
const ACK: u8 = 0x10;

/// IPv4 between hosts 1 and 2, or back.
fn ip(back: bool, protocol: u8, payload: &[u8]) -> Vec<u8> {
    let (source, destination) = if back { (2, 1) } else { (1, 2) };
    let total = (20 + payload.len()) as u16;
    let mut packet = vec![0x45, 0];
    packet.extend(total.to_be_bytes());
    packet.extend([0, 1, 0, 0, 64, protocol, 0, 0, 10, 0, 0, source, 10, 0, 0, destination]);
    packet.extend(payload);
    packet
}

fn ethernet(back: bool, kind: u16, payload: &[u8]) -> Vec<u8> {
    let (source, destination) = if back { (2, 1) } else { (1, 2) };
    let mut frame = vec![2, 0, 0, 0, 0, destination, 2, 0, 0, 0, 0, source];
    frame.extend(kind.to_be_bytes());
    frame.extend(payload);
    frame
}

fn udp(back: bool, client: u16, server: u16, payload: &[u8]) -> Vec<u8> {
    let (source, destination) = if back { (server, client) } else { (client, server) };
    let mut bytes = Vec::new();
    for field in [source, destination, 8 + payload.len() as u16, 0] {
        bytes.extend(field.to_be_bytes());
    }
    bytes.extend(payload);
    ethernet(back, 0x0800, &ip(back, 17, &bytes))
}

fn segment(back: bool, client: u16, flags: u8, sequence: u32, payload: &[u8]) -> Vec<u8> {
    let (source, destination) = if back { (80, client) } else { (client, 80) };
    let mut bytes = Vec::new();
    bytes.extend(u16::to_be_bytes(source));
    bytes.extend(u16::to_be_bytes(destination));
    bytes.extend(sequence.to_be_bytes());
    bytes.extend([0, 0, 0, 1, 0x50, flags, 0xff, 0xff, 0, 0, 0, 0]);
    bytes.extend(payload);
    bytes
}

fn tcp(back: bool, flags: u8, sequence: u32, payload: &[u8]) -> Vec<u8> {
    ethernet(back, 0x0800, &ip(back, 6, &segment(back, 1000, flags, sequence, payload)))
}

fn on(link: LinkType, at: i64, bytes: &[u8]) -> Packet<'_> {
    Packet { bytes, at, wire_len: bytes.len() as u32, interface: 0, link }
}

fn feed(table: &mut FlowTable, at: i64, bytes: &[u8]) {
    table.packets(&[on(LinkType::ETHERNET, at, bytes)], |_, _| panic!("nothing has to go"));
}

fn told(all: &mut Vec<(Flow, Told)>) -> impl FnMut(FlowView<'_>, Told) {
    |flow, told| all.push((flow.to_flow(), told))
}

#[test]
fn what_has_to_go_tells_what_was_not_told_yet() {
    let mut table = FlowTable::new(TableConfig { max_entries: Some(1), ..TableConfig::default() });
    let mut all = Vec::new();
    for n in 0..3 {
        feed(&mut table, T0 + n, &udp(false, 1000, 2000, b""));
    }
    table.update(T0 + SECOND, &mut told(&mut all));
    assert_eq!(all.pop().unwrap().0.last_update.unwrap().ab_packets, 3);
    feed(&mut table, T0 + 2 * SECOND, &udp(false, 1000, 2000, b""));
    let other = udp(false, 1001, 2000, b"");
    table.packets(&[on(LinkType::ETHERNET, T0 + 3 * SECOND, &other)], told(&mut all));
    let (flow, _) = all.pop().unwrap();
    assert_eq!(flow.metric.ab_packets, 4);
    assert_eq!(flow.last_update.unwrap().ab_packets, 1);
    assert_eq!(flow.finish, Finish::Timeout);
    let third = udp(false, 1002, 2000, b"");
    table.packets(&[on(LinkType::ETHERNET, T0 + 4 * SECOND, &third)], told(&mut all));
    assert_eq!(all.pop().unwrap().0.last_update.unwrap().ab_packets, 1, "never told of");
}

#[test]
fn both_streams_of_a_reset_connection_are_told() {
    let mut table = FlowTable::new(TableConfig { reassemble: true, ..TableConfig::default() });
    let mut all = Vec::new();
    feed(&mut table, T0, &tcp(false, SYN, 0, b""));
    feed(&mut table, T0 + 1, &tcp(true, SYN | ACK, 0, b""));
    feed(&mut table, T0 + 2, &tcp(true, ACK, 1, b"hello"));
    feed(&mut table, T0 + 3, &tcp(false, RST, 1, b""));
    table.update(T0 + 5 * SECOND, &mut told(&mut all));
    all.clear();
    table.update(T0 + 20 * SECOND, &mut told(&mut all));
    let (flow, last) = all.pop().unwrap();
    assert!(last.ended && table.is_empty());
    assert_eq!(flow.tcp.unwrap().ba.stream.bytes, 5);
    assert!(last.news, "the stream was not told of before");
}

#[test]
fn a_connection_after_the_end_of_another_is_alive() {
    let mut table = FlowTable::new(TableConfig::default());
    let mut all = Vec::new();
    for (back, flags) in [(false, SYN), (true, RST), (false, SYN), (true, SYN | ACK)] {
        feed(&mut table, T0, &tcp(back, flags, 0, b""));
    }
    assert_eq!(table.flows().next().unwrap().finish(), Finish::Not);
    table.update(T0 + 20 * SECOND, &mut told(&mut all));
    assert_eq!(table.len(), 1);
    for back in [false, true] {
        feed(&mut table, T0 + 21 * SECOND, &tcp(back, FIN, 1, b""));
    }
    assert_eq!(table.flows().next().unwrap().finish(), Finish::Fin);
}

#[test]
fn a_connection_that_was_closed_does_not_time_out() {
    let timeouts = [("tcp".into(), Duration::from_secs(10))].into_iter().collect();
    let mut table = FlowTable::new(TableConfig { application_timeout: timeouts, ..TableConfig::default() });
    let mut all = Vec::new();
    feed(&mut table, T0, &tcp(false, FIN, 0, b""));
    feed(&mut table, T0, &tcp(true, FIN, 0, b""));
    table.update(T0 + SECOND, &mut told(&mut all));
    table.update(T0 + 12 * SECOND, &mut told(&mut all));
    assert_eq!(all.last().unwrap().0.finish, Finish::Fin);
}

#[test]
fn a_clock_that_is_set_back_does_not_stop_updates() {
    let mut table = FlowTable::new(TableConfig::default());
    let mut all = Vec::new();
    feed(&mut table, T0, &udp(false, 1000, 2000, b""));
    table.advance(T0, told(&mut all));
    let back = T0 - 86_400 * SECOND;
    for minute in 0..30 {
        let at = back + minute * 60 * SECOND;
        feed(&mut table, at, &udp(false, 1001, 2000, b""));
        table.advance(at, told(&mut all));
    }
    let count = |port| all.iter().filter(|(flow, _)| flow.transport.unwrap().a == port).count();
    assert!(count(1001) >= 25, "{}", count(1001));
    assert_eq!(table.len(), 1, "what came before the clock was set");
}

#[test]
fn a_pause_without_packets_ends_what_was_before() {
    let mut table = FlowTable::new(TableConfig::default());
    let mut all = Vec::new();
    for at in [0, 1, 86_400] {
        table.advance(T0 + at * SECOND, told(&mut all));
        feed(&mut table, T0 + at * SECOND, &udp(false, 1000, 2000, b""));
    }
    assert_eq!(all.iter().filter(|(_, told)| told.ended).count(), 1);
    assert_eq!(table.flows().next().unwrap().metric().ab_packets, 1, "another conversation, a day later");
}

#[test]
fn the_end_of_time_is_not_due_again_and_again() {
    let mut table = FlowTable::new(TableConfig::default());
    let mut all = Vec::new();
    for _ in 0..10 {
        feed(&mut table, i64::MAX, &udp(false, 1000, 2000, b""));
        table.advance(i64::MAX, told(&mut all));
    }
    assert!(all.len() <= 1, "{}", all.len());
}

#[test]
fn a_clock_that_starts_at_nothing_times_round_trips() {
    let mut table = FlowTable::new(TableConfig::default());
    feed(&mut table, 0, &tcp(false, SYN, 0, b""));
    feed(&mut table, 7_000_000, &tcp(true, SYN | ACK, 0, b""));
    assert_eq!(table.flows().next().unwrap().metric().rtt / 1_000_000, 7);
}

#[test]
fn kept_packets_begin_as_their_link_type_says() {
    let inner = ip(false, 17, &[3, 232, 7, 208, 0, 8, 0, 0]);
    let cooked = [&[0, 0, 0, 1, 0, 6, 2, 0, 0, 0, 0, 1, 0, 0, 8, 0][..], &inner].concat();
    let ppp = [&[0xff, 3, 0, 0x21][..], &inner].concat();
    let frame = ethernet(false, 0x0800, &inner);
    let ether_ip = ip(false, 97, &[&[0x30, 0][..], &frame].concat());
    for (link, bytes, kept) in [
        (LinkType::LINUX_SLL, &cooked, &inner),
        (LinkType::PPP, &ppp, &inner),
        (LinkType::RAW, &ether_ip, &ether_ip),
    ] {
        let mut table = FlowTable::new(TableConfig { raw_packets: 1, ..TableConfig::default() });
        table.packets(&[on(link, T0, bytes)], |_, _| {});
        let raw = table.flows().next().unwrap().to_flow().raw_packets;
        assert_eq!((raw[0].link, &raw[0].bytes[..]), (LinkType::IPV4, &kept[..]), "{link:?}");
    }
}

/// What a card is to cut up has no length in its header, and the snap length cuts what was captured.
#[test]
fn the_length_of_what_a_card_cuts_up_is_that_on_the_wire() {
    for v6 in [false, true] {
        let bytes = |sequence, len: usize| {
            let data = segment(false, 1000, ACK, sequence, &vec![0; len]);
            if v6 {
                let mut packet = vec![0x60, 0, 0, 0, 0, 0, 6, 64];
                packet.extend([[0; 15], [1; 15]].concat());
                packet.extend([2, 3]);
                packet.extend(data);
                ethernet(false, 0x86dd, &packet)
            } else {
                let mut packet = ip(false, 6, &data);
                packet[2..4].fill(0);
                ethernet(false, 0x0800, &packet)
            }
        };
        let config = TableConfig { reassemble: true, tcp_metric: true, ..TableConfig::default() };
        let mut table = FlowTable::new(config);
        for n in 0..3 {
            let whole = bytes(n * 30_000, 30_000);
            let packet = Packet {
                wire_len: whole.len() as u32,
                ..on(LinkType::ETHERNET, T0 + i64::from(n), &whole[..96])
            };
            table.packets(&[packet], |_, _| {});
        }
        table.flush_streams();
        let tcp = table.flows().next().unwrap().to_flow().tcp.unwrap();
        assert_eq!(tcp.ab.stream.bytes, 90_000, "IPv6: {v6}");
        assert_eq!((tcp.ab.out_of_order, tcp.ab.retransmissions), (0, 0));
    }
}

/// Fragments of two tunnels between other hosts with the same addresses, protocol and identification inside.
#[test]
fn fragments_of_different_networks_are_never_mixed() {
    let fragment = |host: u8, key: u8, fill: u8, last: bool| {
        let mut payload = vec![fill; 16];
        payload[..8].copy_from_slice(&[3, 232, 7, 208, 0, 32, 0, 0]);
        if last {
            payload = vec![fill; 16];
        }
        let mut inner = ip(false, 17, &payload);
        inner[6..8].copy_from_slice(if last { &[0, 2] } else { &[0x20, 0] });
        let gre = [&[0x20, 0, 8, 0, 0, 0, 0, key][..], &inner].concat();
        let mut outer = ip(false, 47, &gre);
        outer[15] = host;
        ethernet(false, 0x0800, &outer)
    };
    for (host, key) in [(9, 1), (1, 2)] {
        let mut table = FlowTable::new(TableConfig { defragment: true, ..TableConfig::default() });
        feed(&mut table, T0, &fragment(1, 1, b'a', false));
        feed(&mut table, T0, &fragment(host, key, b'b', true));
        let inner = |table: &FlowTable| table.flows().filter(|flow| flow.to_flow().parent.is_some()).count();
        assert_eq!(inner(&table), 0, "host {host} key {key}: a datagram of two networks");
        feed(&mut table, T0, &fragment(1, 1, b'a', true));
        assert_eq!(inner(&table), 1);
    }
}

#[test]
fn nothing_panics_at_the_ends_of_time_and_size() {
    let config = TableConfig {
        update: Duration::from_secs(1),
        max_entries: Some(3),
        raw_packets: 2,
        reassemble: true,
        tcp_metric: true,
        defragment: true,
        extra_layers: ExtraLayers::ALL,
        key_mode: KeyMode::L3,
        ..TableConfig::default()
    };
    let mut table = FlowTable::new(config);
    let frames = [
        tcp(false, SYN, u32::MAX, b"x"),
        tcp(true, ACK, 0, b"y"),
        udp(false, 1, 53, b"z"),
        udp(true, 1, 2, b""),
        tcp(false, RST, 0, b""),
        tcp(true, FIN, 0, b""),
    ];
    for at in [i64::MIN, -1, 0, 1, i64::MAX, i64::MIN, T0] {
        for bytes in &frames {
            let packet = Packet { wire_len: u32::MAX, ..on(LinkType::ETHERNET, at, bytes) };
            table.packets(&[packet], |_, _| {});
            table.advance(at, |_, _| {});
        }
    }
    table.finish(|_, _| {});
    assert!(table.is_empty());
}

/// What was not on the wire cannot be put together, but the packets were there.
#[test]
fn fragments_of_no_use_are_counted_as_they_came() {
    let mut table = FlowTable::new(TableConfig { defragment: true, ..TableConfig::default() });
    for offset in 0..3 {
        let mut packet = ip(false, 17, &[0; 1480]);
        packet[6..8].copy_from_slice(&[if offset < 2 { 0x20 } else { 0 }, offset * 60]);
        let frame = ethernet(false, 0x0800, &packet);
        table.packets(&[on(LinkType::ETHERNET, T0, &frame[..96])], |_, _| {});
    }
    assert_eq!(table.counters().unaccounted, 0);
    let flow = table.flows().next().unwrap().to_flow();
    assert_eq!((flow.layers_path.as_str(), flow.metric.ab_bytes), ("Ethernet/IPv4/Fragment", 3 * 96));
    assert_eq!(flow.ip.unwrap().fragment_errors, 3);
}

/// A snap length leaves enough to put together.
#[test]
fn fragments_that_a_capture_cut_are_put_together() {
    let mut table = FlowTable::new(TableConfig { defragment: true, ..TableConfig::default() });
    for part in 0..3 {
        let mut payload = [0; 1480];
        payload[..4].copy_from_slice(&[0, 7, 0, 9]);
        let mut packet = ip(false, 17, &payload);
        let more = if part < 2 { 0x2000 } else { 0 };
        packet[6..8].copy_from_slice(&(more | (part * 185_u16)).to_be_bytes());
        let frame = ethernet(false, 0x0800, &packet);
        let cut = Packet { wire_len: frame.len() as u32, ..on(LinkType::ETHERNET, T0, &frame[..96]) };
        table.packets(&[cut], |_, _| {});
    }
    let [flow] = &table.flows().map(|flow| flow.to_flow()).collect::<Vec<_>>()[..] else { panic!() };
    assert_eq!((flow.layers_path.as_str(), flow.metric.ab_packets), ("Ethernet/IPv4/Fragment/UDP", 1));
    let (ports, fragments) = (flow.transport.as_ref().unwrap(), flow.ip.unwrap());
    assert_eq!((ports.a, ports.b, fragments.fragments, fragments.fragment_errors), (7, 9, 2, 0));
}

/// More stacks of extension headers than there are numbers for paths.
#[test]
fn hostile_stacks_do_not_take_the_paths_of_others() {
    let mut table = FlowTable::new(TableConfig { max_entries: None, ..TableConfig::default() });
    let stack = |number: u32| {
        // Hop by hop, routing or destination options in any order, then UDP.
        let kinds: Vec<u8> =
            (0..11).map(|place| [0, 43, 60][(number / 3_u32.pow(place) % 3) as usize]).collect();
        let mut payload = Vec::new();
        for next in kinds.iter().skip(1).chain([&17]) {
            payload.extend([*next, 0, 1, 4, 0, 0, 0, 0]);
        }
        payload.extend([0, 1, 0, 2, 0, 8, 0, 0]);
        let mut packet = vec![0x60, 0, 0, 0, 0, payload.len() as u8, kinds[0], 64];
        packet.extend([0xfd, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0]);
        packet.extend(number.to_be_bytes());
        packet.extend([0xfd, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0xff, 0, 0, 1]);
        packet.extend(payload);
        ethernet(false, 0x86dd, &packet)
    };
    for number in 0..70_000 {
        feed(&mut table, T0, &stack(number));
    }
    assert_eq!(table.len(), 70_000);
    feed(&mut table, T0 + SECOND, &tcp(false, SYN, 0, b""));
    let paths: Vec<String> = table.flows().map(|flow| flow.layers_path().to_string()).collect();
    assert_eq!(paths.last().unwrap(), "Ethernet/IPv4/TCP");
    assert_eq!(paths[0].split('/').count(), 14);
    assert!(paths[..70_000].iter().all(|path| path.starts_with("Ethernet/IPv6/") && path.ends_with("/UDP")));
    let folded = paths.iter().filter(|path| *path == "Ethernet/IPv6/Other/UDP").count();
    assert!(folded > 30_000);
    assert_eq!(table.counters().folded_paths, folded as u64);

    // When they are gone there is room for others of their kind.
    table.expire(i64::MAX, &mut |_, _| {});
    feed(&mut table, T0, &stack(69_999));
    assert_eq!(table.flows().next().unwrap().layers_path().split('/').count(), 14);
}
