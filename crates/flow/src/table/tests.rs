//! What a table keeps after hostile traffic, and how much work it is.

use std::time::Duration;

use skydive_packet::LinkType;
use skydive_packet::file::Packet;

use super::{ExtraLayers, FlowTable, TableConfig, Told};
use crate::Extra;
use crate::slab::CHUNK;

const SECOND: i64 = 1_000_000_000;
const T0: i64 = 1_700_000_000 * SECOND;

/// IPv4 from a host of this number.
fn ip(source: u32, protocol: u8, payload: &[u8]) -> Vec<u8> {
    let total = (20 + payload.len()) as u16;
    let mut frame = vec![2, 0, 0, 0, 0, 2, 2, 0, 0, 0, 0, 1, 8, 0, 0x45, 0];
    frame.extend(total.to_be_bytes());
    frame.extend([0, 1, 0, 0, 64, protocol, 0, 0]);
    frame.extend((source | 0x0a00_0000).to_be_bytes());
    frame.extend([10, 255, 0, 1]);
    frame.extend(payload);
    frame
}

fn udp(source: u32, port: u16, payload: &[u8]) -> Vec<u8> {
    let mut bytes = Vec::new();
    for field in [40_000, port, 8 + payload.len() as u16, 0] {
        bytes.extend(u16::to_be_bytes(field));
    }
    bytes.extend(payload);
    ip(source, 17, &bytes)
}

fn tcp(source: u32, sequence: u32, payload: &[u8]) -> Vec<u8> {
    let mut bytes = vec![0x9c, 0x40, 0, 80];
    bytes.extend(sequence.to_be_bytes());
    bytes.extend([0, 0, 0, 1, 0x50, 0x10, 0xff, 0xff, 0, 0, 0, 0]);
    bytes.extend(payload);
    ip(source, 6, &bytes)
}

fn feed(table: &mut FlowTable, at: i64, bytes: &[u8]) {
    let wire_len = bytes.len() as u32;
    table.packets(&[Packet { bytes, at, wire_len, interface: 0, link: LinkType::ETHERNET }], |_, _| {});
}

/// Unlimited, with everything that is kept beside a record.
fn everything() -> TableConfig {
    TableConfig {
        max_entries: None,
        tcp_metric: true,
        reassemble: true,
        extra_layers: ExtraLayers::ALL,
        raw_packets: 4,
        ..TableConfig::default()
    }
}

#[test]
fn the_memory_of_a_peak_is_given_back() {
    let mut table = FlowTable::new(TableConfig { raw_packets: 0, ..everything() });
    let many = 8 * CHUNK as u32;
    for source in 0..many {
        feed(&mut table, T0, &tcp(source, 1, b""));
    }
    table.advance(T0, |_, _| {});
    assert!(table.records.capacity() >= many as usize && table.tcp.capacity() >= many as usize);
    // A few in each chunk stay.
    for minute in 1..25 {
        let at = T0 + minute * 60 * SECOND;
        table.advance(at, |_, _| {});
        for source in (0..many).step_by(CHUNK / 8) {
            feed(&mut table, at, &tcp(source, 1, b""));
        }
    }
    assert_eq!(table.len(), 64);
    for (what, capacity) in [
        ("records", table.records.capacity()),
        ("updates", table.updates.capacity()),
        ("tcp", table.tcp.capacity()),
        ("index", table.index.capacity()),
    ] {
        assert!(capacity <= 2 * CHUNK, "{what}: {capacity}");
    }
    for source in (0..many).step_by(CHUNK / 8) {
        feed(&mut table, T0 + 1500 * SECOND, &tcp(source, 1, b""));
    }
    assert_eq!(table.len(), 64, "flows that were moved are found");
}

/// Times that leap to and fro, each beyond an update but never so far that the flows end.
#[test]
fn a_clock_that_leaps_is_not_a_walk_for_each_packet() {
    let mut table = FlowTable::new(TableConfig { max_entries: None, ..TableConfig::default() });
    let (flows, packets) = (20_000, 2_000);
    for source in 0..flows {
        feed(&mut table, T0, &udp(source, 1000, b""));
    }
    let (mut told, mut walked) = (0, 0);
    for n in 0..packets {
        let at = T0 - 601 * SECOND + (n % 11) * 61 * SECOND;
        let before = table.timer.looked_at;
        table.advance(at, |_, _| told += 1);
        walked += i64::from(table.timer.looked_at - before >= u64::from(flows));
        feed(&mut table, at, &udp(flows + 1, 1000, b""));
    }
    assert!(walked < packets / 4, "{walked} walks for {packets} packets");
    let paid = super::timer::ADVANCE + table.counters().packets * 84 + packets as u64 * 16;
    assert!(table.timer.looked_at <= paid, "{} flows looked at", table.timer.looked_at);
    assert!(told > 0);
}

/// An update of many flows in slices tells of each once, and never of more at a time.
#[test]
fn an_update_in_slices_is_the_same_update() {
    let mut table = FlowTable::new(TableConfig::default());
    for source in 0..1000 {
        feed(&mut table, T0, &udp(source, 1000, b""));
    }
    assert!(!table.advance_within(T0, 100, |_, _| panic!("nothing is due")));
    let mut all = Vec::new();
    for slice in 1..=10 {
        let at = T0 + 60 * SECOND + slice * 1_000_000;
        let more = table.advance_within(at, 100, |flow, told| {
            assert_eq!(told, Told { ended: false, news: true });
            all.push(flow.to_flow());
        });
        assert_eq!((all.len(), more), (slice as usize * 100, true));
    }
    assert!(!table.advance_within(T0 + 61 * SECOND, 100, |_, _| panic!("it is done")));
    all.sort_by_key(|flow| flow.uuid);
    all.dedup_by_key(|flow| flow.uuid);
    assert_eq!(all.len(), 1000);
    assert!(all.iter().all(|flow| flow.last_update.unwrap().ab_packets == 1));
}

/// Flows come, fall silent for any time, and come again.
#[test]
fn slices_end_the_same_flows_as_whole_passes() {
    let config = || TableConfig { expire: Duration::from_mins(2), ..TableConfig::default() };
    let ended = |slice: Option<usize>| {
        let mut table = FlowTable::new(config());
        let mut all = Vec::new();
        let mut random = 1_u64;
        for second in 0..3000 {
            let at = T0 + second * SECOND;
            for tenth in 0..10 {
                let mut hear = |flow: super::FlowView<'_>, told: Told| {
                    if told.ended {
                        let flow = flow.to_flow();
                        all.push((flow.uuid, flow.start, flow.last, flow.metric.ab_packets));
                    }
                };
                match slice {
                    None => table.advance(at, &mut hear),
                    Some(most) => drop(table.advance_within(at, most, &mut hear)),
                }
                random = random.wrapping_mul(6_364_136_223_846_793_005).wrapping_add(1);
                let source = (random >> 40) as u32 % 3000;
                let bytes = udp(source, 1000, b"");
                let at = at + tenth * SECOND / 10;
                let packet =
                    Packet { bytes: &bytes, at, wire_len: 42, interface: 0, link: LinkType::ETHERNET };
                table.packets(&[packet], &mut hear);
            }
        }
        table.finish(|flow, _| {
            let flow = flow.to_flow();
            all.push((flow.uuid, flow.start, flow.last, flow.metric.ab_packets));
        });
        all.sort();
        all
    };
    let whole = ended(None);
    assert!(whole.len() > 5000, "{}", whole.len());
    for slice in [7, 100] {
        assert!(ended(Some(slice)) == whole, "slices of {slice}");
    }
}

#[test]
fn what_packets_choose_the_size_of_has_one_limit() {
    let most = 64 << 10;
    let mut table = FlowTable::new(TableConfig { max_extra_bytes: most, ..everything() });
    let mut answer = vec![0, 1, 0x81, 0x80, 0, 0, 0, 20, 0, 0, 0, 0];
    for _ in 0..20 {
        answer.extend(b"\0\0\x10\0\x01\0\0\0\0\0\x64\x63");
        answer.extend([b'x'; 99]);
    }
    for source in 0..300 {
        feed(&mut table, T0, &udp(source, 53, &answer));
        for n in 0..40 {
            // Every other segment is missing.
            feed(&mut table, T0 + n, &tcp(source, (n as u32) * 2000, &[0; 1000]));
        }
        assert!(table.budget.held() <= most);
    }
    let held = || table.records.iter().filter_map(|record| record.cold.more.as_ref()).map(|more| more.held());
    assert_eq!(held().sum::<usize>(), table.budget.held());
    assert!(table.budget.held() > most / 2);
    assert!(table.counters().unkept > 300);
    let unkept = table.counters().unkept;
    // Counts of what came are right all the same.
    table.flush_streams();
    let bytes = |flow: &super::FlowView<'_>| flow.to_flow().tcp.map(|tcp| tcp.ab.stream.bytes);
    assert!(table.flows().filter_map(|flow| bytes(&flow)).all(|bytes| bytes == 40_000));

    table.expire(i64::MAX, &mut |_, _| {});
    assert_eq!(table.budget.held(), 0);
    feed(&mut table, T0, &udp(1, 53, &answer));
    let flow = table.flows().next().unwrap().to_flow();
    assert!(flow.extra.unwrap().dns.is_some() && flow.raw_packets.len() == 1, "there is room again");
    assert_eq!(table.counters().unkept, unkept);
}

#[test]
fn packets_are_kept_up_to_a_length() {
    let mut table = FlowTable::new(TableConfig { raw_packet_bytes: 64, ..everything() });
    feed(&mut table, T0, &udp(1, 1000, &[0; 500]));
    feed(&mut table, T0, &udp(1, 1000, b""));
    let raw = table.flows().next().unwrap().to_flow().raw_packets;
    assert_eq!(raw.iter().map(|packet| packet.bytes.len()).collect::<Vec<_>>(), [64, 42]);
}

/// What a TLS client says that offers large keys before it names the server and the versions.
fn large_hello() -> Vec<u8> {
    let extension = |kind: u16, value: &[u8]| {
        [&kind.to_be_bytes()[..], &(value.len() as u16).to_be_bytes(), value].concat()
    };
    let name = [b"\0\x0e\0\0\x0b".as_slice(), b"example.org"].concat();
    let extensions = [
        extension(51, &[7; 1216]),
        extension(0, &name),
        extension(16, b"\0\x03\x02h2"),
        extension(43, b"\x02\x03\x04"),
    ]
    .concat();
    let body = [
        &[3, 3][..],
        &[9; 32],
        &[0, 0, 2, 0x13, 1, 1, 0],
        &(extensions.len() as u16).to_be_bytes(),
        &extensions,
    ]
    .concat();
    let len = body.len() as u16;
    [&[22, 3, 1][..], &(len + 4).to_be_bytes(), &[1, 0], &len.to_be_bytes(), &body].concat()
}

/// What the only flow's client said, by these segments of it.
fn said(segments: &[(u32, &[u8])]) -> Extra {
    let mut table = FlowTable::new(everything());
    for &(sequence, payload) in segments {
        feed(&mut table, T0, &tcp(1, sequence, payload));
    }
    let more = |table: &FlowTable| {
        let record = table.records.iter().find(|record| record.is_used());
        record.and_then(|record| record.cold.more.as_ref().map(|more| more.held())).unwrap()
    };
    assert_eq!(more(&table), table.budget.held());
    let extra = table.flows().next().unwrap().to_flow().extra;
    table.expire(i64::MAX, &mut |_, _| {});
    assert_eq!(table.budget.held(), 0);
    *extra.unwrap()
}

#[test]
fn a_hello_of_several_segments_is_read_whole() {
    let hello = large_hello();
    let tls = |segments: &[(u32, &[u8])]| said(segments).tls.unwrap();
    let (start, rest) = hello.split_at(1200);
    let (second, third) = rest.split_at(20);
    let whole = tls(&[(1, &hello)]);
    assert_eq!((whole.server_name.as_str(), whole.alpn.len(), whole.version), ("example.org", 1, 0x304));
    assert_eq!(tls(&[(1, start), (1201, rest)]), whole);
    // Sent again, and what follows it.
    let after = 1 + hello.len() as u32;
    assert_eq!(tls(&[(1, start), (1, start), (1201, second), (1221, third), (after, b"\x14\x03")]), whole);
    // Before anything worth telling.
    let (start, rest) = hello.split_at(20);
    assert_eq!(tls(&[(u32::MAX, start), (19, rest)]), whole);
    // What did not come is not guessed: least of all the version, which clients of 1.3 have at its end.
    let cut = tls(&[(1, &hello[..1200]), (1300, &hello[1300..])]);
    assert_eq!((cut.server_name.as_str(), cut.alpn.len(), cut.version), ("", 0, 0));
}

#[test]
fn a_request_of_several_segments_is_read_whole() {
    let http = |segments: &[(u32, &[u8])]| said(segments).http.unwrap();
    let whole = http(&[(1, b"GET /a?b HTTP/1.1\r\nHost: example.org\r\n\r\n")]);
    assert_eq!((whole.target.as_str(), whole.host.as_str()), ("/a?b", "example.org"));
    assert_eq!(http(&[(1, b"GET /a"), (7, b"?b HTTP/1.1\r\nHo"), (22, b"st: example.org\r\n\r\n")]), whole);
    // The next request is another one.
    assert_eq!(http(&[(1, b"GET /x HTTP/1.0\r\n\r\n"), (20, b"GET /y HTTP/1.0\r\n\r\n")]).target, "/x");
}

#[test]
fn what_never_ends_is_not_waited_for() {
    let mut table = FlowTable::new(TableConfig { raw_packets: 0, reassemble: false, ..everything() });
    for n in 0..20 {
        let payload: &[u8] = if n == 0 { b"GET /" } else { &[b'a'; 1400] };
        feed(&mut table, T0, &tcp(1, if n == 0 { 1 } else { 6 + (n - 1) * 1400 }, payload));
    }
    let extra = table.flows().next().unwrap().to_flow().extra.unwrap();
    assert_eq!(extra.http.unwrap().target.len(), 1024);
    assert!(table.budget.held() < 2048, "{}", table.budget.held());
}

#[test]
fn what_is_begun_leaves_room_for_what_is_kept() {
    let keep = |end: &[u8]| {
        let config =
            TableConfig { raw_packets: 0, reassemble: false, max_extra_bytes: 64 << 10, ..everything() };
        let mut table = FlowTable::new(config);
        for source in 0..100 {
            feed(&mut table, T0, &tcp(source, 1, &[b"GET /".as_slice(), &[b'a'; 1000], end].concat()));
        }
        table.flows().filter(|flow| flow.to_flow().extra.is_some()).count()
    };
    let (whole, begun) = (keep(b" HTTP/1.1\r\n\r\n"), keep(b""));
    assert!(whole < 100 && begun * 5 > whole * 4, "{begun} of {whole}");
}
