//! Segments, and what they count as.

use proptest::prelude::*;
use skydive_packet::wire::tcp::{Flags, Options, Tcp};

use super::{Sent, Side, TcpState};
use crate::flow::TcpSide;

const ACK: u8 = 0x10;

/// A header with options that scale windows by 7 bits, or none.
fn header(sequence: u32, flags: u8, window: u16, scale: &[u8]) -> Vec<u8> {
    let mut bytes = vec![0x90, 0x1f, 0, 80];
    bytes.extend(sequence.to_be_bytes());
    bytes.extend([0, 0, 0, 0, ((20 + scale.len()) as u8 / 4) << 4, flags]);
    bytes.extend(window.to_be_bytes());
    bytes.extend([0; 4]);
    bytes.extend(scale);
    bytes
}

const SCALE_7: &[u8] = &[3, 3, 7, 0];

impl TcpState {
    fn sends(&mut self, from: Side, bytes: &[u8], len: u32, at: i64) {
        self.packet(from, Tcp::parse(bytes).unwrap(), Options::of(bytes), len, 64, at);
    }

    /// Payload of A from a place to another.
    fn data(&mut self, from: u32, to: u32) {
        self.sends(Side::A, &header(from, ACK, 1000, &[]), to.wrapping_sub(from), 5);
    }

    fn flags(&mut self, sequence: u32, flags: Flags) {
        self.sends(Side::A, &header(sequence, flags.0, 1000, &[]), 0, 5);
    }

    fn counts(&self) -> (u64, u64, u64) {
        let TcpSide { retransmissions, retransmitted_bytes, out_of_order, .. } = self.metric().ab;
        (retransmissions, retransmitted_bytes, out_of_order)
    }
}

#[test]
fn begin_and_end_have_times() {
    let mut state = TcpState::default();
    state.sends(Side::A, &header(9, 0x02, 100, SCALE_7), 0, 1000);
    state.sends(Side::A, &header(9, 0x02, 100, SCALE_7), 0, 2000);
    state.sends(Side::B, &header(70, 0x12, 200, &[]), 0, 2005);
    for at in [3000, 4000] {
        state.sends(Side::A, &header(10, 0x11, 300, &[]), 0, at);
        state.sends(Side::B, &header(71, 0x04, 0, &[]), 0, at + 1);
    }
    let metric = state.metric();
    assert_eq!((metric.ab.syn_start, metric.ab.syn_ttl, metric.ba.syn_start), (1000, 64, 2005));
    assert_eq!((metric.ab.fin_start, metric.ba.rst_start), (4000, 4001));
    assert_eq!((metric.ab.rst_start, metric.ba.fin_start), (0, 0));
}

#[test]
fn windows_are_scaled_when_both_sides_offered_it() {
    for (b, shift) in [(SCALE_7, 7), (&[][..], 0)] {
        let mut state = TcpState::default();
        state.sends(Side::A, &header(9, 0x02, 65000, SCALE_7), 0, 1);
        state.sends(Side::B, &header(70, 0x12, 65000, b), 0, 2);
        for window in [300, 0, 400, 0] {
            state.sends(Side::A, &header(10, ACK, window, &[]), 0, 3);
        }
        state.sends(Side::B, &header(71, ACK, 500, &[]), 0, 4);
        state.sends(Side::B, &header(71, 0x14, 0, &[]), 0, 5);
        let metric = state.metric();
        assert_eq!((metric.ab.window_min, metric.ab.window_max), (0, 400 << shift));
        assert_eq!((metric.ba.window_min, metric.ba.window_max), (500 << shift, 500 << shift));
        assert_eq!((metric.ab.zero_windows, metric.ba.zero_windows), (2, 0));
    }
    assert_eq!(TcpState::default().metric().ab.window_min, 0);
}

#[test]
fn what_was_seen_is_a_retransmission_and_what_was_not_is_out_of_order() {
    for start in [1000, u32::MAX - 150] {
        let at = |offset: u32| start.wrapping_add(offset);
        let mut state = TcpState::default();
        state.flags(at(0).wrapping_sub(1), Flags::SYN);
        state.data(at(0), at(100));
        state.data(at(200), at(300));
        state.data(at(400), at(500));
        assert_eq!(state.counts(), (0, 0, 0));
        state.data(at(0), at(100));
        assert_eq!(state.counts(), (1, 100, 0));
        // A part of a hole, then a part that is seen by half, then the rest of it with its neighbours.
        state.data(at(120), at(150));
        assert_eq!(state.counts(), (1, 100, 1));
        state.data(at(110), at(130));
        assert_eq!(state.counts(), (1, 100, 2));
        state.data(at(120), at(150));
        assert_eq!(state.counts(), (2, 130, 2));
        state.data(at(50), at(250));
        assert_eq!(state.counts(), (2, 130, 3));
        state.data(at(100), at(300));
        assert_eq!(state.counts(), (3, 330, 3));
        // The other hole stays one, and bytes beyond all are new.
        state.data(at(450), at(600));
        assert_eq!(state.counts(), (3, 330, 3));
        state.data(at(300), at(400));
        state.data(at(0), at(600));
        assert_eq!(state.counts(), (4, 930, 4));
    }
}

#[test]
fn keep_alives_and_acknowledgements_are_not_retransmissions() {
    let mut state = TcpState::default();
    state.flags(999, Flags::SYN);
    state.data(1000, 1100);
    for (from, to) in [(1099, 1100), (1099, 1099), (1100, 1100)] {
        state.data(from, to);
    }
    assert_eq!(state.counts(), (0, 0, 0));
    state.data(1090, 1091);
    assert_eq!(state.counts(), (1, 1, 0));
}

#[test]
fn data_before_the_first_seen_was_overtaken() {
    let mut state = TcpState::default();
    state.data(1000, 1100);
    state.data(800, 900);
    state.data(900, 1000);
    assert_eq!(state.counts(), (0, 0, 2));
    state.data(800, 1100);
    assert_eq!(state.counts(), (1, 300, 2));
    // The SYN comes last, and with it a hole before everything.
    state.flags(699, Flags::SYN);
    state.data(700, 800);
    assert_eq!(state.counts(), (1, 300, 3));
}

#[test]
fn the_lowest_of_too_many_holes_is_forgotten() {
    let mut state = TcpState::default();
    for hole in 0..5 {
        state.data(hole * 20, hole * 20 + 10);
    }
    state.data(100, 110);
    for hole in 0..5 {
        state.data(hole * 20 + 10, hole * 20 + 20);
    }
    assert_eq!(state.counts(), (1, 10, 4));
}

#[test]
fn one_more_connection_on_the_same_ports_starts_anew() {
    let mut state = TcpState::default();
    state.flags(999, Flags::SYN);
    state.data(1000, 2000);
    state.flags(1499, Flags::SYN);
    state.data(1500, 1700);
    assert_eq!(state.counts(), (0, 0, 0));
    state.data(1500, 1700);
    assert_eq!(state.counts(), (1, 200, 0));
}

#[test]
fn gigabytes_pass() {
    let mut state = TcpState::default();
    state.flags(u32::MAX, Flags::SYN);
    let step = 1 << 24;
    for at in 0..1000u32 {
        let from = at.wrapping_mul(step);
        if at % 10 != 3 {
            state.data(from, from.wrapping_add(step));
        }
        if at % 10 == 5 {
            state.data(from.wrapping_sub(2 * step), from.wrapping_sub(step));
            state.data(from, from.wrapping_add(100));
        }
    }
    assert_eq!(state.counts(), (100, 10_000, 100));
}

#[test]
fn a_segment_from_nowhere_is_where_it_goes_on() {
    let mut state = TcpState::default();
    state.data(0, 100);
    state.data(0x7000_0000, 0x7000_0064);
    state.data(0x7000_0000, 0x7000_0064);
    state.data(0, u32::MAX);
    assert_eq!(state.counts(), (1, 100, 0));
}

proptest! {
    /// A side with a bit for every byte agrees, as long as there are few holes.
    #[test]
    fn as_with_a_bit_for_every_byte(
        start: u32,
        segments in prop::collection::vec((0u32..40, 1u32..6), 1..30),
    ) {
        let mut state = TcpState::default();
        state.flags(start.wrapping_sub(1), Flags::SYN);
        let mut seen = [false; 512];
        let mut highest = 0;
        let mut expected = (0, 0, 0);
        for (from, len) in segments {
            let (from, len) = (from * 10, len * 10);
            let of = &mut seen[from as usize..(from + len) as usize];
            let (known, unknown_below) = (
                of.iter().all(|&byte| byte),
                of.iter().zip(from..).any(|(&byte, at)| !byte && at < highest),
            );
            of.fill(true);
            highest = highest.max(from + len);
            let holes = seen[..highest as usize].chunk_by(|a, b| a == b).filter(|run| !run[0]).count();
            if holes > super::MAX_HOLES {
                return Ok(());
            }
            state.data(start.wrapping_add(from), start.wrapping_add(from + len));
            if known {
                expected.0 += 1;
                expected.1 += u64::from(len);
            } else if unknown_below {
                expected.2 += 1;
            }
            prop_assert_eq!(state.counts(), expected);
        }
    }

    /// Any headers at all: holes stay ascending, apart and between the ends.
    #[test]
    fn hostile_headers(segments in prop::collection::vec((any::<u32>(), any::<u8>(), any::<u32>()), 1..60)) {
        let mut state = TcpState::default();
        for (sequence, flags, len) in segments {
            // Near ones, too.
            let (sequence, len) = if flags & 0x80 == 0 { (sequence >> 20, len >> 24) } else { (sequence, len) };
            state.sends(Side::A, &header(sequence, flags, 1, &[]), len, 1);
            let Sent { base, next, ref seldom, .. } = state.a;
            let place = |sequence: u32| sequence.wrapping_sub(base);
            let mut least = 0;
            for &(from, to) in seldom.iter().flat_map(|seldom| seldom.holes.as_slice()) {
                prop_assert!(least <= place(from) && place(from) < place(to) && place(to) <= place(next));
                least = place(to);
            }
            prop_assert!(place(next) <= super::MAX_WINDOW);
        }
    }
}
