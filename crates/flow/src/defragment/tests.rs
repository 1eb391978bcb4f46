//! Datagrams in bytes: their fragments, and what becomes of them.

use std::time::Duration;

use proptest::prelude::*;
use skydive_value::Timestamp;

use super::{BadFragment, DefragmentCounters, DefragmentLimits, Defragmenter, Fragment};

const MORE: u16 = 0x2000;
const DONT: u16 = 0x4000;

/// A header with `options`, and `payload`. `place` are the flags and the offset in units of 8 bytes.
fn ip(id: u16, place: u16, options: &[u8], payload: &[u8]) -> Vec<u8> {
    let header_len = 20 + options.len();
    let mut bytes = vec![0x40 | (header_len / 4) as u8, 0];
    bytes.extend(((header_len + payload.len()) as u16).to_be_bytes());
    bytes.extend(id.to_be_bytes());
    bytes.extend(place.to_be_bytes());
    bytes.extend([64, 17, 0xaa, 0xbb, 10, 0, 0, 1, 10, 0, 0, 2]);
    bytes.extend(options);
    bytes.extend(payload);
    bytes
}

fn at(seconds: u64) -> Timestamp {
    Timestamp::from_millis(1_500_000_000_000).plus(Duration::from_secs(seconds))
}

fn bytes(len: usize) -> Vec<u8> {
    (0..len).map(|at| (at * 7 + at / 256) as u8).collect()
}

impl Defragmenter {
    fn swallows(&mut self, packet: &[u8]) {
        assert_eq!(self.push(packet, 0, at(0)), Fragment::Swallowed);
    }

    fn refuses(&mut self, packet: &[u8], problem: BadFragment) {
        assert_eq!(self.push(packet, 0, at(0)), Fragment::Bad(problem));
    }
}

#[test]
fn two_fragments_are_a_datagram_with_a_right_header() {
    let payload = bytes(21);
    let mut all = Defragmenter::default();
    all.swallows(&ip(7, 2, &[], &payload[16..]));
    // The first has options and ECN; padding of the link behind it does not count.
    let mut first = ip(7, MORE, &[1, 1, 1, 0], &payload[..16]);
    first[1] = 3;
    first.extend([0; 4]);
    let header = [0x46, 3, 0, 45, 0, 7, 0, 0, 64, 17, 0x63, 0xb3, 10, 0, 0, 1, 10, 0, 0, 2, 1, 1, 1, 0];
    assert_eq!(all.push(&first, 0, at(0)), Fragment::Complete(&[&header[..], &payload].concat()));
    assert_eq!(all.pending(), 0);
    let expected = DefragmentCounters { fragments: 2, complete: 1, ..DefragmentCounters::default() };
    assert_eq!(all.counters(), expected);
}

#[test]
fn fragments_that_a_capture_cut_count_as_long_as_they_were() {
    let payload = bytes(40);
    let fragments = [
        ip(7, MORE, &[], &payload[..16]),
        ip(7, MORE | 2, &[], &payload[16..32]),
        ip(7, 4, &[], &payload[32..]),
    ];
    for (captured, left) in [(36, 40), (35, 15), (22, 2), (20, 0)] {
        let mut all = Defragmenter::default();
        let mut push = |fragment: &[u8]| {
            let captured = &fragment[..captured.min(fragment.len())];
            match all.push_captured(captured, fragment.len(), 0, at(0)) {
                Fragment::Complete(whole) => Some(whole.to_vec()),
                other => {
                    assert_eq!(other, Fragment::Swallowed);
                    None
                }
            }
        };
        let whole = fragments.iter().rev().find_map(|fragment| push(fragment)).unwrap();
        assert_eq!((&whole[2..4], &whole[20..]), (&[0, 60][..], &payload[..left]), "{captured}");
    }
    let mut all = Defragmenter::default();
    assert_eq!(all.push_captured(&fragments[0][..19], 36, 0, at(0)), Fragment::Bad(BadFragment::Header));
    // Not even on the wire.
    assert_eq!(all.push_captured(&fragments[0][..30], 35, 0, at(0)), Fragment::Bad(BadFragment::Cut));
}

#[test]
fn the_pings_of_the_original_capture() {
    let capture = include_bytes!("../../../packet/tests/data/pcaps/ipv4-fragments.pcap");
    let (mut rest, mut lengths) = (&capture[24..], Vec::new());
    let mut all = Defragmenter::default();
    while let Some((head, more)) = rest.split_at_checked(16) {
        let len = u32::from_le_bytes([head[8], head[9], head[10], head[11]]) as usize;
        lengths.push(match all.push(&more[14..len], 0, at(0)) {
            Fragment::Complete(whole) => whole.len(),
            Fragment::Untouched => 0,
            Fragment::Swallowed => 1,
            Fragment::Bad(problem) => panic!("{problem}"),
        });
        rest = &more[len..];
    }
    assert_eq!(lengths, [1, 20 + 976 + 432, 0]);
}

#[test]
fn what_is_no_fragment_stays_as_it_is() {
    let mut all = Defragmenter::default();
    for place in [0, DONT, DONT | MORE, DONT | 5, DONT | MORE | 5] {
        assert_eq!(all.push(&ip(7, place, &[], &[0; 8]), 0, at(0)), Fragment::Untouched, "{place:x}");
    }
    assert_eq!(all.counters(), DefragmentCounters::default());
}

#[test]
fn fragments_of_no_use_have_a_reason() {
    let mut all = Defragmenter::default();
    all.refuses(&[0x45; 19], BadFragment::Header);
    let mut short = ip(1, MORE, &[], &[0; 8]);
    short[0] = 0x44;
    all.refuses(&short, BadFragment::Header);
    short[0] = 0x4f;
    all.refuses(&short, BadFragment::Header);
    all.refuses(&ip(1, MORE, &[], &[0; 16])[..35], BadFragment::Cut);
    all.refuses(&ip(1, MORE, &[], &[0; 7]), BadFragment::TooSmall);
    all.refuses(&ip(1, 1, &[], &[]), BadFragment::TooSmall);
    all.refuses(&ip(1, MORE, &[], &[0; 12]), BadFragment::Unaligned);
    all.refuses(&ip(1, 8184, &[], &[0; 8]), BadFragment::TooFar);
    all.refuses(&ip(1, 8183, &[], &[0; 52]), BadFragment::TooFar);
    all.refuses(&ip(1, 8183, &[0; 4], &[0; 48]), BadFragment::TooFar);
    assert_eq!((all.counters().bad, all.pending()), (10, 0));
    all.swallows(&ip(1, 8183, &[], &[0; 51]));
}

#[test]
fn what_is_there_stays_and_overlaps_end_the_datagram() {
    let payload = bytes(32);
    let mut all = Defragmenter::default();
    all.swallows(&ip(1, MORE, &[], &payload[..16]));
    all.swallows(&ip(1, MORE | 1, &[], &[9; 8]));
    all.swallows(&ip(1, MORE, &[], &[9; 16]));
    match all.push(&ip(1, 2, &[], &payload[16..]), 0, at(0)) {
        Fragment::Complete(whole) => assert_eq!(whole[20..], payload),
        other => panic!("{other:?}"),
    }
    assert_eq!(all.counters().duplicates, 2);

    for overlapping in
        [ip(2, MORE | 1, &[], &[0; 16]), ip(2, MORE | 3, &[], &[0; 16]), ip(2, MORE, &[], &[0; 64])]
    {
        all.swallows(&ip(2, MORE, &[], &payload[..16]));
        all.swallows(&ip(2, MORE | 4, &[], &payload[..16]));
        all.refuses(&overlapping, BadFragment::Overlap);
        assert_eq!(all.pending(), 0);
    }
    assert_eq!(all.counters().overlaps, 3);
}

#[test]
fn the_length_is_what_the_last_fragment_says() {
    let last_at = |units| ip(1, units, &[], &[0; 8]);
    let more_at = |units| ip(1, MORE | units, &[], &[0; 8]);
    for [first, second] in [
        [last_at(3), last_at(4)],
        [last_at(3), last_at(2)],
        [last_at(3), more_at(4)],
        [more_at(4), last_at(3)],
    ] {
        let mut all = Defragmenter::default();
        all.swallows(&first);
        all.refuses(&second, BadFragment::Length);
        assert_eq!(all.pending(), 0);
    }
}

#[test]
fn datagrams_are_kept_apart() {
    let mut all = Defragmenter::default();
    all.swallows(&ip(1, MORE, &[], &[0; 8]));
    let mut others = vec![ip(2, 1, &[], &[0; 8]); 4];
    others[1][9] = 6;
    others[2][12] = 11;
    others[3][16] = 11;
    others[1..].iter_mut().for_each(|other| other[5] = 1);
    for other in &others {
        all.swallows(other);
    }
    assert_eq!(all.push(&ip(1, 1, &[], &[0; 8]), 5, at(0)), Fragment::Swallowed);
    assert_eq!(all.pending(), 6);
    assert!(matches!(all.push(&ip(1, 1, &[], &[0; 8]), 0, at(0)), Fragment::Complete(_)));
}

#[test]
fn what_is_idle_is_given_up() {
    let mut all = Defragmenter::default();
    for id in 0..3 {
        all.push(&ip(id, MORE, &[], &[0; 8]), 0, at(u64::from(id) * 10));
    }
    all.push(&ip(0, MORE | 1, &[], &[0; 8]), 0, at(25));
    all.flush(at(40));
    assert_eq!((all.pending(), all.counters().expired), (3, 0));
    all.flush(at(41));
    assert_eq!((all.pending(), all.counters().expired), (2, 1));
    assert!(matches!(all.push(&ip(0, 2, &[], &[0; 8]), 0, at(41)), Fragment::Complete(_)));
    all.flush(at(80));
    assert_eq!((all.pending(), all.counters().expired), (0, 2));
}

#[test]
fn the_oldest_goes_when_there_are_too_many() {
    let mut all = Defragmenter::new(DefragmentLimits { datagrams: 3, ..DefragmentLimits::default() });
    for id in 0..5 {
        all.swallows(&ip(id, MORE, &[], &[0; 8]));
    }
    assert_eq!((all.pending(), all.counters().evicted, all.datagrams.len()), (3, 2, 3));
    assert!(matches!(all.push(&ip(2, 1, &[], &[0; 8]), 0, at(0)), Fragment::Complete(_)));
    all.swallows(&ip(0, 1, &[], &[0; 8]));
}

#[test]
fn memory_has_a_limit() {
    let limits = DefragmentLimits { datagrams: 1000, bytes: 100_000 };
    let mut all = Defragmenter::new(limits);
    for round in 0..3000u16 {
        all.swallows(&ip(round, MORE | (round % 7), &[], &bytes(1480)));
        assert!(all.held <= limits.bytes);
        assert_eq!(all.held, all.datagrams.iter().map(super::Datagram::allocated).sum::<usize>());
    }
    assert!(all.counters().evicted > 2900 && all.pending() > 20);
    // The largest datagram, in the smallest fragments and the worst order, has room alone.
    let mut all = Defragmenter::new(DefragmentLimits { datagrams: 1, bytes: 1 });
    for units in (1..8184).rev() {
        all.swallows(&ip(1, if units == 8183 { units } else { MORE | units }, &[], &[units as u8; 8]));
    }
    match all.push(&ip(1, MORE, &[], &[0; 8]), 0, at(0)) {
        Fragment::Complete(whole) => assert_eq!(whole.len(), 20 + 8184 * 8),
        other => panic!("{other:?}"),
    }
    assert_eq!(all.held, 0);
}

/// Cuts a payload at the given units of 8 bytes.
fn cut(id: u16, payload: &[u8], cuts: &[usize]) -> Vec<Vec<u8>> {
    let mut cuts: Vec<_> =
        cuts.iter().map(|cut| cut * 8).filter(|&cut| cut > 0 && cut < payload.len()).collect();
    cuts.extend([0, payload.len()]);
    cuts.sort_unstable();
    cuts.dedup();
    let fragment = |pair: &[usize]| {
        let more = if pair[1] < payload.len() { MORE } else { 0 };
        ip(id, more | (pair[0] / 8) as u16, &[], &payload[pair[0]..pair[1]])
    };
    cuts.windows(2).map(fragment).collect()
}

proptest! {
    /// Fragments of several datagrams in any order, some of them twice.
    #[test]
    fn any_order_gives_the_datagrams(
        datagrams in prop::collection::vec((9usize..4000, prop::collection::vec(0usize..500, 1..9)), 1..5),
        order: prop::sample::Index,
        seed: u64,
    ) {
        let mut fragments = Vec::new();
        let mut waiting = Vec::new();
        for (id, (len, cuts)) in datagrams.iter().enumerate() {
            let of = cut(id as u16, &bytes(*len), cuts);
            if of.len() > 1 {
                waiting.push(id as u16);
                fragments.extend(of);
            }
        }
        if let Some(again) = fragments.get(order.index(fragments.len().max(1))).cloned() {
            fragments.push(again);
        }
        let mut state = seed | 1;
        fragments.sort_by_cached_key(|_| {
            state = state.wrapping_mul(0x5851_f42d_4c95_7f2d).wrapping_add(0x1405_7b7e_f767_814f);
            state
        });
        let mut all = Defragmenter::default();
        for fragment in &fragments {
            match all.push(fragment, 3, at(0)) {
                Fragment::Complete(whole) => {
                    let id = u16::from_be_bytes([whole[4], whole[5]]);
                    prop_assert!(whole[20..] == bytes(datagrams[usize::from(id)].0));
                    waiting.retain(|&other| other != id);
                }
                other => prop_assert_eq!(other, Fragment::Swallowed),
            }
        }
        prop_assert!(waiting.is_empty());
    }

    /// Any headers: the limits hold, and what is complete is a datagram.
    #[test]
    fn hostile_fragments(packets in prop::collection::vec((0u16..4, any::<u16>(), 0usize..64), 1..200)) {
        let limits = DefragmentLimits { datagrams: 3, bytes: 2000 };
        let mut all = Defragmenter::new(limits);
        for (id, place, len) in packets {
            // Near places often enough to fit together.
            let place = if place & 0x8000 == 0 { place & (MORE | 7) } else { place };
            if let Fragment::Complete(whole) = all.push(&ip(id, place, &[], &bytes(len)), 0, at(0)) {
                prop_assert_eq!(usize::from(u16::from_be_bytes([whole[2], whole[3]])), whole.len());
                prop_assert_eq!(&whole[6..8], &[0, 0]);
            }
            prop_assert!(all.pending() <= 3);
            prop_assert_eq!(all.pending() + all.free.len(), all.datagrams.len());
            prop_assert!(all.held <= limits.bytes || all.pending() == 1);
        }
    }
}
