//! Datagrams from fragments, streams from segments, and what TCP sends again: limits hold whatever comes, and no
//! more is counted than was sent.

use skydive_flow::{DefragmentLimits, Defragmenter, Fragment, Side, Stream, TcpState};
use skydive_packet::wire::tcp::{Options, Tcp};
use skydive_value::Timestamp;

pub(crate) fn run(bytes: &[u8]) {
    match bytes.split_first() {
        Some((kind, rest)) if kind % 2 == 0 => fragments(rest),
        Some((_, rest)) => segments(rest),
        None => {}
    }
}

/// Packets, each after a byte of its length and one of the time that passed.
fn fragments(mut bytes: &[u8]) {
    const LIMITS: DefragmentLimits = DefragmentLimits { datagrams: 8, bytes: 4096 };
    let mut all = Defragmenter::new(LIMITS);
    let mut now = Timestamp::EPOCH;
    let (mut payload, mut rebuilt) = (0, 0);
    while let Some((&[len, seconds], rest)) = bytes.split_first_chunk() {
        let (packet, rest) = rest.split_at(rest.len().min(usize::from(len)));
        bytes = rest;
        now = now.plus(std::time::Duration::from_secs(u64::from(seconds)));
        payload += packet.len();
        if let Fragment::Complete(whole) = all.push(packet, u64::from(seconds & 1), now) {
            let header = usize::from(whole[0] & 15) * 4;
            assert_eq!(usize::from(u16::from_be_bytes([whole[2], whole[3]])), whole.len());
            let sum: u32 = whole[..header].chunks(2).map(|two| u32::from(two[0]) << 8 | u32::from(two[1])).sum();
            assert_eq!((sum & 0xffff) + (sum >> 16), 0xffff);
            rebuilt += whole.len() - header;
        }
        all.flush(now);
        assert!(all.pending() <= LIMITS.datagrams);
    }
    assert!(rebuilt <= payload);
    all.flush(now.plus(Defragmenter::IDLE * 2));
    assert_eq!(all.pending(), 0);
}

/// TCP headers of 24 bytes; of the acknowledgement the payload's length is made.
fn segments(bytes: &[u8]) {
    let (mut stream, mut state) = (Stream::default(), TcpState::default());
    let (mut count, mut sent) = (0, 0);
    let mut told = Vec::new();
    for header in bytes.chunks_exact(24) {
        let tcp = Tcp::parse(header).expect("24 bytes are enough");
        let len = tcp.acknowledgement() >> (tcp.urgent() & 31);
        let at = i64::from(tcp.checksum());
        state.packet(Side::A, tcp, Options::of(header), len, 64, at);
        told.extend(stream.segment(tcp.sequence(), len, tcp.flags(), at));
        if tcp.source() == 0 {
            told.extend(stream.skip(at));
        }
        count += 1;
        sent += u64::from(len);
        let side = state.metric().ab;
        assert!(side.retransmissions + side.out_of_order <= count);
        assert!(side.retransmitted_bytes <= sent);
        assert!(side.window_max == 0 || side.window_min <= side.window_max);
        assert!(stream.metric().bytes.cast_unsigned() <= sent);
    }
    told.extend(stream.flush());
    assert!(stream.flush().is_none());
    for metric in told {
        assert!(metric.packets > 0 && metric.packets.cast_unsigned() <= count);
        assert!(metric.bytes.cast_unsigned() <= sent);
    }
}
