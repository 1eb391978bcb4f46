//! What an update or an end tells of the time since the one before, and what has no time left.

#![allow(clippy::unwrap_used, clippy::indexing_slicing, reason = "a test that cannot set up must fail")]

#[path = "originals_failures/build.rs"]
#[allow(dead_code, reason = "tunnels are not needed here")]
mod build;
#[path = "conversations/capture.rs"]
#[allow(dead_code, reason = "packets are given one by one here")]
mod capture;

use std::fs;
use std::path::Path;
use std::time::Duration;

use build::{A, B, eth, ip4, tcp, udp};
use skydive_flow::{Finish, Flow, FlowTable, FlowView, TableConfig, Told};
use skydive_packet::LinkType;
use skydive_packet::file::Packet;
use skydive_value::{SmolStr, Timestamp};

const SECOND: i64 = 1_000_000_000;
const T0: i64 = 1_700_000_000 * SECOND;

const FIN: u8 = 0x11;
const SYN: u8 = 0x02;
const ACK: u8 = 0x10;

fn after(seconds: i64) -> Timestamp {
    Timestamp::from_millis((T0 / SECOND + seconds) * 1000)
}

/// From A, or back.
fn datagram(back: bool, payload: &[u8]) -> Vec<u8> {
    let (from, to, ports) = if back { (B, A, (2000, 1000)) } else { (A, B, (1000, 2000)) };
    frame(back, &ip4(from, to, 17, &udp(ports.0, ports.1, payload)))
}

fn segment(back: bool, sequence: u32, flags: u8, payload: &[u8]) -> Vec<u8> {
    let (from, to, ports) = if back { (B, A, (80, 1000)) } else { (A, B, (1000, 80)) };
    frame(back, &ip4(from, to, 6, &tcp(ports.0, ports.1, sequence, flags, payload)))
}

fn frame(back: bool, packet: &[u8]) -> Vec<u8> {
    let mut frame = eth(0x0800, packet);
    if back {
        frame[..12].rotate_left(6);
    }
    frame
}

fn feed(table: &mut FlowTable, seconds: i64, bytes: &[u8]) {
    let at = T0 + seconds * SECOND;
    let packet = Packet { bytes, at, wire_len: bytes.len() as u32, interface: 0, link: LinkType::ETHERNET };
    table.packets(&[packet], |_, _| panic!("nothing has to go"));
}

fn told(all: &mut Vec<(Flow, Told)>) -> impl FnMut(FlowView<'_>, Told) {
    |flow, told| all.push((flow.to_flow(), told))
}

fn update(table: &mut FlowTable, seconds: i64) -> Vec<(Flow, Told)> {
    let mut all = Vec::new();
    table.update(T0 + seconds * SECOND, &mut told(&mut all));
    all
}

fn expire(table: &mut FlowTable, seconds: i64) -> Vec<(Flow, Told)> {
    let mut all = Vec::new();
    table.expire(T0 + seconds * SECOND, &mut told(&mut all));
    all
}

fn only(table: &FlowTable) -> Flow {
    let [flow] = &table.flows().map(|flow| flow.to_flow()).collect::<Vec<_>>()[..] else {
        panic!("{} flows", table.len())
    };
    flow.clone()
}

/// The original looks for idle flows once in the time that they may be idle, and lets them stay for up to two.
#[test]
fn idle_flows_do_not_stay_for_twice_their_time() {
    for (expire, update, latest) in [(600, 60, 660), (20, 60, 40), (90, 60, 150)] {
        for last in [0, 1, 30, 59, 61, expire - 1, expire + 1] {
            let [expire_after, update] = [expire, update].map(|s: i64| Duration::from_secs(s as u64));
            let config = TableConfig { expire: expire_after, update, ..TableConfig::default() };
            let (mut table, mut ended) = (FlowTable::new(config), None);
            for second in 0..2 * expire + 200 {
                table.advance(T0 + second * SECOND, |_, told| {
                    if told.ended {
                        ended = Some(second);
                    }
                });
                if second == last {
                    feed(&mut table, second, &datagram(false, b""));
                }
            }
            let idle = ended.unwrap() - last;
            assert!(idle > expire && idle <= latest, "{idle} s after the last packet at {last}, of {expire}");
        }
    }
}

#[test]
fn the_end_tells_of_the_time_since_the_last_update() {
    let mut table = FlowTable::new(TableConfig::default());
    feed(&mut table, 0, &segment(false, 1, SYN, b""));
    feed(&mut table, 2, &segment(true, 1, SYN | ACK, b""));
    assert_eq!(only(&table).last_update, None, "it is seen before it was told of");
    let first = update(&mut table, 60)[0].0.last_update.unwrap();
    assert_eq!((first.start, first.last, first.rtt), (after(0), after(60), 2_000_000_000));
    feed(&mut table, 70, &segment(false, 2, ACK, b"data"));
    let ended = expire(&mut table, 100);
    let (flow, news) = &ended[0];
    assert_eq!(*news, Told { ended: true, news: true });
    let last = flow.last_update.unwrap();
    assert_eq!((last.start, last.last), (after(60), after(70)));
    assert_eq!((last.ab_packets, last.ba_packets, last.rtt), (1, 0, 2_000_000_000));
    assert_eq!((flow.finish, flow.metric.ab_packets), (Finish::Timeout, 2));
}

#[test]
fn what_was_told_to_have_ended_goes_without_news() {
    let mut table = FlowTable::new(TableConfig::default());
    feed(&mut table, 0, &segment(false, 1, FIN, b""));
    let ends = update(&mut table, 1);
    assert_eq!((ends[0].0.finish, ends[0].1), (Finish::Fin, Told { ended: false, news: true }));
    let gone = expire(&mut table, 2);
    assert_eq!((gone[0].0.finish, gone[0].1), (Finish::Fin, Told { ended: true, news: false }));
    assert_eq!(gone[0].0.last_update.unwrap().ab_packets, 0);
}

#[test]
fn packets_after_the_end_are_another_flow_of_the_same_conversation() {
    let mut table = FlowTable::new(TableConfig::default());
    feed(&mut table, 0, &datagram(false, b""));
    let before = expire(&mut table, 1).remove(0).0;
    feed(&mut table, 5, &datagram(true, b""));
    let now = only(&table);
    assert_ne!(now.uuid, before.uuid);
    assert_eq!((now.tracking_id, now.l3_tracking_id), (before.tracking_id, before.l3_tracking_id));
    assert_eq!((now.start, now.metric.ab_packets, now.metric.ba_packets), (after(5), 1, 0));
    let ports = |flow: &Flow| flow.transport.map(|ports| (ports.a, ports.b));
    assert_eq!((ports(&before), ports(&now)), (Some((1000, 2000)), Some((2000, 1000))), "B began this one");
}

#[test]
fn every_flow_of_a_capture_is_told_of_once() {
    let file = Path::new(env!("CARGO_MANIFEST_DIR")).join("../packet/tests/data/pcaps/icmpv4-symetric.pcap");
    let (mut table, mut all) = (FlowTable::new(TableConfig::default()), Vec::new());
    let file = fs::read(file).unwrap();
    capture::for_each_packet(&file, |packet| table.packets(&[*packet], |_, _| panic!("nothing has to go")));
    table.expire(i64::MAX, &mut told(&mut all));
    assert_eq!((all.len(), table.len()), (100, 0));
    assert!(all.iter().all(|(_, told)| *told == Told { ended: true, news: true }));
}

#[test]
fn kept_packets_are_told_once_and_bounded_over_the_life_of_a_flow() {
    let mut table = FlowTable::new(TableConfig { raw_packets: 3, ..TableConfig::default() });
    let kept = |all: &[(Flow, Told)]| -> (Vec<u64>, u64) {
        let flow = &all[0].0;
        (flow.raw_packets.iter().map(|packet| packet.index).collect(), flow.raw_packets_captured)
    };
    feed(&mut table, 0, &datagram(false, b"1"));
    feed(&mut table, 1, &datagram(true, b"2"));
    assert_eq!(kept(&update(&mut table, 2)), (vec![1, 2], 2));
    feed(&mut table, 3, &datagram(false, b"3"));
    feed(&mut table, 4, &datagram(false, b"4"));
    assert_eq!(kept(&update(&mut table, 5)), (vec![3], 3));
    feed(&mut table, 6, &datagram(false, b"5"));
    assert_eq!(kept(&expire(&mut table, 7)), (vec![], 3));
}

#[test]
fn timeouts_of_applications_know_no_case_and_none_is_no_time() {
    let timeouts =
        [("icmpv4", 10), ("UDP", 0)].map(|(name, s)| (SmolStr::from(name), Duration::from_secs(s)));
    let config = TableConfig { application_timeout: timeouts.into(), ..TableConfig::default() };
    let mut table = FlowTable::new(config);
    feed(&mut table, 0, &frame(false, &ip4(A, B, 1, &[8, 0, 0, 0, 0, 1, 0, 1])));
    feed(&mut table, 0, &datagram(false, b""));
    assert_eq!(update(&mut table, 1).len(), 2);
    assert!(update(&mut table, 10).is_empty(), "as long as that it may be idle");
    let ended = update(&mut table, 11);
    assert_eq!((ended.len(), ended[0].0.application.as_str()), (1, "ICMPv4"));
    assert_eq!(only(&table).application, "UDP");
}

#[test]
fn a_missing_segment_is_waited_for_as_long_as_half_a_minute() {
    let mut table = FlowTable::new(TableConfig { reassemble: true, ..TableConfig::default() });
    feed(&mut table, 0, &segment(false, 1, SYN, b""));
    feed(&mut table, 0, &segment(false, 7, ACK, b"late"));
    let stream = |table: &FlowTable| only(table).tcp.map(|tcp| tcp.ab.stream).unwrap_or_default();
    update(&mut table, 29);
    assert_eq!(stream(&table).bytes, 0);
    update(&mut table, 31);
    let given_up = stream(&table);
    assert_eq!((given_up.bytes, given_up.segment_skipped, given_up.segment_skipped_bytes), (4, 1, 5));
}

#[test]
fn a_missing_fragment_is_waited_for_until_an_update() {
    let fragment = |offset: u8, more: u8| {
        let mut packet = ip4(A, B, 17, &if offset == 0 { udp(1, 2, &[7; 24]) } else { vec![7; 16] });
        packet.truncate(20 + 16);
        packet[2..4].copy_from_slice(&36_u16.to_be_bytes());
        packet[6..8].copy_from_slice(&[more, offset / 8]);
        frame(false, &packet)
    };
    for (pause, flows) in [(20, 1), (61, 0)] {
        let mut table = FlowTable::new(TableConfig { defragment: true, ..TableConfig::default() });
        table.advance(T0, |_, _| panic!("there is nothing"));
        feed(&mut table, 0, &fragment(0, 0x20));
        table.advance(T0 + pause * SECOND, |_, _| panic!("there is nothing"));
        feed(&mut table, pause, &fragment(16, 0));
        assert_eq!(table.len(), flows, "after {pause} s");
    }
}
