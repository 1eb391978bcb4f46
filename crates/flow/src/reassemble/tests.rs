//! Streams in segments, and those of the original captures.

use std::collections::BTreeMap;

use proptest::prelude::*;
use skydive_packet::wire::ipv4::Ipv4;
use skydive_packet::wire::ipv6::Ipv6;
use skydive_packet::wire::tcp::{Flags, Tcp};

use super::{MAX_RUNS, Stream};
use crate::flow::StreamMetric;

const NO: Flags = Flags(0x10);

fn counts(of: StreamMetric) -> [i64; 7] {
    [
        of.packets,
        of.bytes,
        of.segment_out_of_order,
        of.segment_skipped,
        of.segment_skipped_bytes,
        of.saw_start,
        of.saw_end,
    ]
}

/// The TCP streams of a classic capture in little endian, in the order of their first packets, all flushed.
fn streams(capture: &[u8], link_header: usize) -> Vec<[i64; 7]> {
    let mut streams: BTreeMap<Vec<u8>, (usize, Stream)> = BTreeMap::new();
    let mut rest = &capture[24..];
    while let Some((head, more)) = rest.split_at_checked(16) {
        let word = |at: usize| u32::from_le_bytes([head[at], head[at + 1], head[at + 2], head[at + 3]]);
        let (packet, after) = more.split_at(word(8) as usize);
        rest = after;
        let ip = &packet[link_header..];
        let v4 = Ipv4::parse(ip).unwrap();
        let (header, total, protocol, addresses) = match v4.version() {
            4 => (v4.header_len(), usize::from(v4.total_len()), v4.protocol(), 12..20),
            6 => {
                let v6 = Ipv6::parse(ip).unwrap();
                (40, 40 + usize::from(v6.payload_len()), v6.next_header(), 8..40)
            }
            _ => continue,
        };
        if protocol != 6 {
            continue;
        }
        let tcp = Tcp::parse(&ip[header..]).unwrap();
        let key = [&ip[addresses], &ip[header..header + 4]].concat();
        let place = streams.len();
        let (_, stream) = streams.entry(key).or_insert_with(|| (place, Stream::default()));
        let at = i64::from(word(0)) * 1_000_000_000 + i64::from(word(4)) * 1000;
        let len = total - header - tcp.header_len();
        stream.segment(tcp.sequence(), len as u32, tcp.flags(), at);
    }
    let mut streams: Vec<_> = streams.into_values().collect();
    streams.sort_by_key(|&(place, _)| place);
    let flushed = |(_, mut stream): (_, Stream)| {
        stream.flush();
        counts(stream.metric())
    };
    streams.into_iter().map(flushed).collect()
}

#[test]
fn streams_of_the_original_captures() {
    macro_rules! capture {
        ($name:literal) => {
            include_bytes!(concat!("../../../packet/tests/data/pcaps/", $name))
        };
    }
    assert_eq!(streams(capture!("simple-tcpv4.pcap"), 14), [[3, 6, 0, 0, 0, 1, 1], [2, 0, 0, 0, 0, 1, 1]]);
    assert_eq!(streams(capture!("simple-tcpv6.pcap"), 14), [[2, 6, 0, 0, 0, 1, 0], [1, 0, 0, 0, 0, 1, 0]]);
    assert_eq!(
        streams(capture!("eth-ip4-arp-dns-req-http-google.pcap"), 14),
        [
            [3, 112, 0, 0, 0, 1, 1],
            [3, 488, 0, 0, 0, 1, 1],
            [3, 147, 0, 0, 0, 1, 1],
            [17, 19884, 0, 0, 0, 1, 1]
        ]
    );
    // The original counts the 204 bytes that were captured.
    assert_eq!(streams(capture!("link-type-12.pcap"), 0), [[1, 1346, 0, 1, -1, 0, 0]]);
}

#[test]
fn a_stream_ends_with_fin_or_rst_in_order() {
    for end in [Flags::FIN, Flags::RST] {
        let mut stream = Stream::default();
        assert_eq!(stream.segment(u32::MAX - 9, 0, Flags::SYN, 1), None);
        // The end comes before what precedes it.
        assert_eq!(stream.segment(20, 10, end, 2), None);
        assert_eq!(counts(stream.metric()), [1, 0, 0, 0, 0, 1, 0]);
        assert_eq!(stream.segment(u32::MAX - 8, 29, NO, 3).map(counts), Some([3, 39, 1, 0, 0, 1, 1]));
        // What is sent again after it is of no account.
        assert_eq!(stream.segment(20, 10, end, 4), None);
        assert_eq!(stream.segment(50, 10, NO, 4), None);
        assert_eq!(stream.flush(), None);
        assert_eq!(counts(stream.metric()), [3, 39, 1, 0, 0, 1, 1]);
    }
}

#[test]
fn acknowledgements_and_ends_alone_are_no_stream() {
    let mut stream = Stream::default();
    for flags in [NO, Flags::FIN, Flags::RST] {
        assert_eq!(stream.segment(1, 0, flags, 1), None);
    }
    assert_eq!((stream.flush(), stream.metric()), (None, StreamMetric::default()));
}

#[test]
fn what_was_there_is_a_chunk_without_bytes() {
    let mut stream = Stream::default();
    for _ in 0..2 {
        stream.segment(9, 0, Flags::SYN, 1);
        stream.segment(10, 10, NO, 2);
    }
    assert_eq!(counts(stream.metric()), [4, 10, 1, 0, 0, 1, 0]);
    // While it waits, too.
    for _ in 0..3 {
        stream.segment(30, 10, NO, 3);
    }
    stream.segment(15, 20, NO, 4);
    assert_eq!(counts(stream.metric()), [8, 30, 4, 0, 0, 1, 0]);
}

#[test]
fn gaps_are_given_up() {
    let mut stream = Stream::default();
    stream.segment(9, 0, Flags::SYN, 1000);
    stream.segment(20, 10, NO, 1010);
    stream.segment(30, 5, NO, 1020);
    stream.segment(40, 10, Flags::FIN, 1030);
    assert_eq!(stream.skip(1010), None);
    assert_eq!(counts(stream.metric()), [1, 0, 0, 0, 0, 1, 0]);
    assert_eq!(stream.skip(1011), None);
    assert_eq!(counts(stream.metric()), [3, 15, 0, 1, 10, 1, 0]);
    assert_eq!(stream.flush().map(counts), Some([4, 25, 0, 2, 15, 1, 1]));
    assert_eq!(stream.flush(), None);
}

#[test]
fn an_idle_stream_is_told_once_and_goes_on() {
    let mut stream = Stream::default();
    stream.segment(9, 0, Flags::SYN, 1000);
    stream.segment(10, 10, NO, 1001);
    assert_eq!(stream.skip(1001), None);
    assert_eq!(stream.skip(1002).map(counts), Some([2, 10, 0, 0, 0, 1, 0]));
    assert_eq!(stream.skip(1003), None);
    assert_eq!(stream.segment(20, 5, Flags::FIN, 2000).map(counts), Some([3, 15, 0, 0, 0, 1, 1]));
}

#[test]
fn another_connection_ends_the_one_before() {
    let mut stream = Stream::default();
    stream.segment(9, 0, Flags::SYN, 1);
    stream.segment(10, 10, NO, 2);
    stream.segment(30, 10, NO, 3);
    assert_eq!(stream.segment(500, 0, Flags::SYN, 4).map(counts), Some([3, 20, 0, 1, 10, 1, 0]));
    assert_eq!(stream.segment(501, 7, Flags::FIN, 5).map(counts), Some([2, 7, 0, 0, 0, 1, 1]));
    assert_eq!(stream.segment(9000, 0, Flags::SYN, 6), None);
    assert_eq!(stream.flush().map(counts), Some([1, 0, 0, 0, 0, 1, 0]));
}

#[test]
fn the_first_gap_is_given_up_when_there_are_too_many() {
    let mut stream = Stream::default();
    stream.segment(u32::MAX, 0, Flags::SYN, 0);
    for gap in 1..=MAX_RUNS as u32 {
        // A run is as long as its segments come one after the other.
        for part in 0..10 {
            stream.segment(gap * 100 + part, 1, NO, i64::from(gap));
        }
    }
    assert_eq!((counts(stream.metric()), stream.waiting.len()), ([1, 0, 0, 0, 0, 1, 0], MAX_RUNS));
    stream.segment(90_000, 1, NO, 100);
    assert_eq!((counts(stream.metric()), stream.waiting.len()), ([11, 10, 0, 1, 100, 1, 0], MAX_RUNS));
}

/// Gives the items another order.
fn shuffle<T>(items: &mut [T], seed: u64) {
    let mut state = seed | 1;
    for last in (1..items.len()).rev() {
        state = state.wrapping_mul(0x5851_f42d_4c95_7f2d).wrapping_add(0x1405_7b7e_f767_814f);
        items.swap(last, (state >> 33) as usize % (last + 1));
    }
}

proptest! {
    /// In whatever order the segments come, some of them twice or cut otherwise, the stream is the same.
    #[test]
    fn any_order_counts_the_same(
        isn: u32,
        lens in prop::collection::vec(1u32..2000, 1..20),
        again in prop::collection::vec((any::<prop::sample::Index>(), 1u32..2000), 0..8),
        seed: u64,
    ) {
        let first = isn.wrapping_add(1);
        let total: u32 = lens.iter().sum();
        let mut segments = vec![(isn, 0, Flags::SYN), (first.wrapping_add(total), 0, Flags::FIN)];
        let mut from = 0;
        for len in lens {
            segments.push((first.wrapping_add(from), len, NO));
            from += len;
        }
        shuffle(&mut segments, seed);
        if segments[0].2 == Flags::FIN {
            // Alone it would be no stream.
            segments.swap(0, 1);
        }
        for (place, len) in &again {
            let from = place.index(total as usize) as u32;
            let segment = (first.wrapping_add(from), *len.min(&(total - from)), NO);
            segments.insert(place.index(segments.len()), segment);
        }
        let mut stream = Stream::default();
        let mut told = Vec::new();
        for (at, &(sequence, len, flags)) in segments.iter().enumerate() {
            told.extend(stream.segment(sequence, len, flags, at as i64));
        }
        prop_assert_eq!(told.len(), 1);
        let [packets, bytes, _, skipped, skipped_bytes, start, end] = counts(told[0]);
        prop_assert_eq!([bytes, skipped, skipped_bytes, start, end], [i64::from(total), 0, 0, 1, 1]);
        // What comes after the end does not count; that takes a segment that was sent again.
        let packets = packets as usize;
        prop_assert!(packets == segments.len() || (packets < segments.len() && !again.is_empty()));
    }

    /// What is out of order is what came before the chunk ahead of it.
    #[test]
    fn late_chunks_are_those_with_an_earlier_time(isn: u32, count in 1u32..25, seed: u64) {
        let mut order: Vec<u32> = (0..count).collect();
        shuffle(&mut order, seed);
        let mut stream = Stream::default();
        stream.segment(isn, 0, Flags::SYN, -1);
        let mut times = vec![0; count as usize];
        for (at, &place) in order.iter().enumerate() {
            times[place as usize] = at;
            stream.segment(isn.wrapping_add(1 + place * 10), 10, NO, at as i64);
        }
        let late = (0..times.len()).filter(|&place| times[..place].iter().any(|&before| before > times[place]));
        let late = late.count();
        let expected = [i64::from(count) + 1, i64::from(count) * 10, late as i64, 0, 0, 1, 0];
        prop_assert_eq!(counts(stream.metric()), expected);
    }

    /// Any segments: what is kept has a limit, and no more is counted than came.
    #[test]
    fn hostile_segments(segments in prop::collection::vec((any::<u32>(), any::<u16>(), any::<u8>()), 1..200)) {
        let mut stream = Stream::default();
        let (mut sent, mut told) = (0, Vec::new());
        for (at, &(sequence, len, flags)) in segments.iter().enumerate() {
            let sequence = if flags & 0x80 == 0 { sequence >> 14 } else { sequence };
            told.extend(stream.segment(sequence, u32::from(len), Flags(flags & 0x17), at as i64));
            sent += i64::from(len);
            prop_assert!(stream.waiting.len() <= MAX_RUNS);
        }
        told.extend(stream.flush());
        prop_assert!(told.iter().map(|metric| metric.bytes).sum::<i64>() <= sent);
        prop_assert!(told.iter().map(|metric| metric.packets).sum::<i64>() <= segments.len() as i64);
    }
}
