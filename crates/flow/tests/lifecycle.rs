//! When flows are told of, and when they go.
#![allow(clippy::unwrap_used, reason = "a test that cannot set up must fail")]

use std::ops::Range;
use std::time::Duration;

use skydive_flow::{ExtraLayers, Finish, Flow, FlowTable, FlowView, Quota, TableConfig, Told};
use skydive_packet::LinkType;
use skydive_packet::file::Packet;
use skydive_value::SmolStr;

const SECOND: i64 = 1_000_000_000;
const T0: i64 = 1_700_000_000 * SECOND;

/// Ethernet and IPv4 between hosts 1 and 2, or back.
fn ip(back: bool, protocol: u8, payload: &[u8]) -> Vec<u8> {
    let (source, destination) = if back { (2, 1) } else { (1, 2) };
    let mut frame = vec![2, 0, 0, 0, 0, destination, 2, 0, 0, 0, 0, source, 8, 0];
    let total = (20 + payload.len()) as u16;
    frame.extend([0x45, 0]);
    frame.extend(total.to_be_bytes());
    frame.extend([0, 1, 0, 0, 64, protocol, 0, 0, 10, 0, 0, source, 10, 0, 0, destination]);
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
    ip(back, 17, &bytes)
}

fn tcp(back: bool, client: u16, flags: u8) -> Vec<u8> {
    let (source, destination) = if back { (80, client) } else { (client, 80) };
    let mut bytes = Vec::new();
    bytes.extend(u16::to_be_bytes(source));
    bytes.extend(u16::to_be_bytes(destination));
    bytes.extend([0, 0, 0, 1, 0, 0, 0, 1, 0x50, flags, 0xff, 0xff, 0, 0, 0, 0]);
    ip(back, 6, &bytes)
}

fn arp() -> Vec<u8> {
    let mut frame = vec![0xff; 6];
    frame.extend([2, 0, 0, 0, 0, 9, 8, 6, 0, 1, 8, 0, 6, 4, 0, 1]);
    frame.extend([0; 20]);
    frame
}

fn feed(table: &mut FlowTable, at: i64, bytes: &[u8]) {
    let wire_len = bytes.len() as u32;
    let packet = Packet { bytes, at, wire_len, interface: 0, link: LinkType::ETHERNET };
    table.packets(&[packet], |_, _| panic!("nothing has to go"));
}

fn told(all: &mut Vec<(Flow, Told)>) -> impl FnMut(FlowView<'_>, Told) {
    |flow, told| all.push((flow.to_flow(), told))
}

#[test]
fn updates_tell_the_difference_and_only_news() {
    let mut table = FlowTable::new(TableConfig::default());
    let mut all = Vec::new();
    feed(&mut table, T0, &udp(false, 1000, 2000, b""));
    feed(&mut table, T0 + SECOND, &udp(true, 1000, 2000, b"four"));
    table.update(T0 + 60 * SECOND, &mut told(&mut all));
    let (flow, news) = all.pop().unwrap();
    assert_eq!(news, Told { ended: false, news: true });
    let update = flow.last_update.unwrap();
    assert_eq!((update.ab_bytes, update.ba_bytes, update.ab_packets, update.ba_packets), (42, 46, 1, 1));
    assert_eq!((update.start, update.last), (flow.start, flow.start.plus(Duration::from_mins(1))));

    table.update(T0 + 120 * SECOND, &mut told(&mut all));
    assert!(all.is_empty(), "an idle flow is no news");
    let quiet = table.flows().next().unwrap().to_flow();
    assert_eq!(quiet.last_update.unwrap().ab_bytes, 0);

    feed(&mut table, T0 + 130 * SECOND, &udp(false, 1000, 2000, b"123456"));
    table.update(T0 + 180 * SECOND, &mut told(&mut all));
    let (flow, _) = all.pop().unwrap();
    let update = flow.last_update.unwrap();
    assert_eq!((update.ab_bytes, update.ba_bytes, flow.metric.ab_bytes), (48, 0, 90));
    assert_eq!(update.start, flow.start.plus(Duration::from_mins(2)));
    assert_eq!((flow.finish, all.len()), (Finish::Not, 0));
}

#[test]
fn what_expires_is_told_once_with_what_was_not_told_yet() {
    let mut table = FlowTable::new(TableConfig::default());
    let mut all = Vec::new();
    for port in 0..100 {
        feed(&mut table, T0, &udp(false, 1000 + port, 2000, b""));
    }
    table.update(T0 + SECOND, &mut told(&mut all));
    assert_eq!(all.len(), 100);
    all.clear();
    feed(&mut table, T0 + 2 * SECOND, &udp(false, 1000, 2000, b""));
    table.expire(T0 + 3 * SECOND, &mut told(&mut all));
    assert!(table.is_empty());
    assert!(all.iter().all(|(flow, told)| told.ended && told.news && flow.finish == Finish::Timeout));
    assert_eq!(all.len(), 100);
    assert_eq!(all[0].0.last_update.unwrap().ab_packets, 1);
    assert_eq!(all[1].0.last_update.unwrap().ab_packets, 0);
    table.expire(i64::MAX, &mut told(&mut all));
    assert_eq!(all.len(), 100);
}

#[test]
fn a_flow_that_goes_before_any_update_tells_all_of_it() {
    let mut table = FlowTable::new(TableConfig::default());
    let mut all = Vec::new();
    feed(&mut table, T0, &udp(false, 1000, 2000, b""));
    table.finish(told(&mut all));
    assert_eq!(all[0].0.last_update, Some(all[0].0.metric));
    assert!(table.is_empty());
    feed(&mut table, T0, &udp(false, 1000, 2000, b""));
    assert_eq!(table.len(), 1, "a table goes on after its end");
}

#[test]
fn time_passes_with_the_packets() {
    let config = TableConfig { expire: Duration::from_secs(100), ..TableConfig::default() };
    let mut table = FlowTable::new(config);
    let mut all = Vec::new();
    for second in 0..=400 {
        let at = T0 + second * SECOND;
        table.advance(at, told(&mut all));
        if second == 0 {
            feed(&mut table, at, &udp(false, 1, 2, b""));
        }
        feed(&mut table, at, &udp(false, 3, 4, b""));
    }
    let ended: Vec<_> = all.iter().filter(|(_, told)| told.ended).collect();
    assert_eq!(ended.len(), 1);
    assert_eq!(ended[0].0.transport.unwrap().a, 1);
    assert_eq!(
        all.iter().filter(|(flow, _)| flow.transport.unwrap().a == 3).count(),
        6,
        "one update a minute"
    );
}

#[test]
fn applications_that_are_known_to_fall_silent_end_early() {
    let timeouts = [("arp", 10), ("dns", 20)];
    let timeouts = timeouts.map(|(name, seconds)| (SmolStr::from(name), Duration::from_secs(seconds)));
    let config =
        TableConfig { application_timeout: timeouts.into_iter().collect(), ..TableConfig::default() };
    let mut table = FlowTable::new(config);
    let mut all = Vec::new();
    let question = b"\x00\x01\x01\x00\x00\x01\x00\x00\x00\x00\x00\x00\x01a\x00\x00\x01\x00\x01";
    feed(&mut table, T0, &arp());
    feed(&mut table, T0, &udp(false, 1000, 53, question));
    table.update(T0 + SECOND, &mut told(&mut all));
    all.clear();
    table.update(T0 + 15 * SECOND, &mut told(&mut all));
    assert_eq!(all.len(), 1);
    assert_eq!((all[0].0.application.as_str(), all[0].0.finish), ("ARP", Finish::Timeout));
    assert_eq!(all[0].1, Told { ended: true, news: true });
    assert_eq!(table.flows().next().unwrap().to_flow().finish, Finish::Not);
}

#[test]
fn the_answer_to_each_question_is_timed() {
    let config = TableConfig { extra_layers: ExtraLayers::DNS, ..TableConfig::default() };
    let mut table = FlowTable::new(config);
    let message = |id: u8, answer: u8| {
        [&[0, id, answer << 7 | 1, 0, 0, 1, 0, 0, 0, 0, 0, 0][..], b"\x01a\x00\x00\x01\x00\x01"].concat()
    };
    let mut latencies = Vec::new();
    for (ms, id, answer) in [(0, 1, 0), (1, 2, 0), (5, 1, 1), (9, 2, 1), (10, 9, 1)] {
        feed(&mut table, T0 + ms * 1_000_000, &udp(answer == 1, 1000, 53, &message(id, answer)));
        latencies.push(table.flows().next().unwrap().to_flow().extra.unwrap().dns_latency);
    }
    assert_eq!(latencies, [None, None, Some(5_000_000), Some(8_000_000), Some(8_000_000)]);
}

#[test]
fn a_connection_that_ended_stays_for_what_is_on_its_way() {
    const SYN: u8 = 2;
    const FIN: u8 = 0x11;
    const RST: u8 = 4;
    let mut table = FlowTable::new(TableConfig::default());
    let mut all = Vec::new();
    feed(&mut table, T0, &tcp(false, 1000, SYN));
    feed(&mut table, T0 + 5_000_000, &tcp(true, 1000, SYN | 0x10));
    feed(&mut table, T0, &tcp(false, 1000, FIN));
    assert_eq!(table.flows().next().unwrap().finish(), Finish::Not, "one side is open");
    feed(&mut table, T0, &tcp(true, 1000, FIN));
    feed(&mut table, T0, &tcp(false, 1001, SYN));
    feed(&mut table, T0, &tcp(true, 1001, RST));
    let finish: Vec<_> = table.flows().map(|flow| flow.finish()).collect();
    assert_eq!(finish, [Finish::Fin, Finish::Rst]);
    assert_eq!(table.flows().next().unwrap().metric().rtt, 5_000_000);
    table.update(T0 + 5 * SECOND, &mut told(&mut all));
    assert_eq!((table.len(), all.len()), (2, 2));
    all.clear();
    table.update(T0 + 15 * SECOND, &mut told(&mut all));
    assert!(table.is_empty());
    assert!(all.iter().all(|(_, told)| *told == Told { ended: true, news: false }));
}

#[test]
fn a_full_table_lets_the_idle_go_and_says_so() {
    let mut table = FlowTable::new(TableConfig { max_entries: Some(10), ..TableConfig::default() });
    let mut gone = 0;
    for port in 0..1000u16 {
        let bytes = udp(false, port, 2000, b"");
        let at = T0 + i64::from(port) * SECOND;
        let packet = Packet { bytes: &bytes, at, wire_len: 42, interface: 0, link: LinkType::ETHERNET };
        table.packets(&[packet], |flow, told| {
            gone += 1;
            assert!(told.ended && told.news && flow.metric().ab_packets == 1);
        });
        assert!(table.len() <= 10);
    }
    assert_eq!((gone, table.counters().evicted, table.counters().flows), (990, 990, 1000));
    let left = table.flows().map(|flow| flow.to_flow().transport.unwrap().a).min();
    assert!(left >= Some(980), "the oldest went: {left:?}");
}

#[test]
fn tables_share_a_quota_and_give_it_back() {
    const FLOWS: usize = 100;
    let quota = Quota::new(FLOWS);
    let config = TableConfig { quota: Some(quota.clone()), ..TableConfig::default() };
    let (mut one, mut other) = (FlowTable::new(config.clone()), FlowTable::new(config));
    let count = |table: &mut FlowTable, ports: Range<u16>, at: i64| {
        let mut gone = 0;
        for port in ports {
            let bytes = udp(false, port, 2000, b"");
            let packet = Packet { bytes: &bytes, at, wire_len: 42, interface: 0, link: LinkType::ETHERNET };
            table.packets(&[packet], |flow, told| {
                gone += 1;
                assert!(told.ended && told.news && flow.metric().ab_packets == 1);
            });
        }
        gone
    };
    // All but what each table has in any case goes to who asks first.
    assert_eq!(count(&mut one, 0..120, T0), 0);
    assert_eq!((one.len(), quota.left()), (120, FLOWS + Quota::FREE - 120));
    assert_eq!(count(&mut other, 0..300, T0), 300 - 44 - Quota::FREE);
    assert_eq!((other.len(), quota.left()), (44 + Quota::FREE, 0));
    assert_eq!((other.counters().flows, other.counters().evicted), (300, 192));
    assert_eq!((one.len(), one.counters().evicted), (120, 0), "each lets go of its own");
    // Flows that end make room for those of others.
    one.expire(T0 + 1, &mut |_, told| assert!(told.ended));
    assert_eq!((one.len(), quota.left()), (0, 56));
    assert_eq!(count(&mut other, 300..600, T0 + SECOND), 300 - 56);
    other.finish(|_, _| ());
    assert_eq!(quota.left(), FLOWS);
    assert_eq!(count(&mut other, 0..100, T0 + SECOND), 0);
    assert_eq!(quota.left(), FLOWS + Quota::FREE - 100);
    drop(other);
    assert_eq!(quota.left(), FLOWS);
}
