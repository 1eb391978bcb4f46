//! Retransmissions, late segments and windows of real connections, beside tshark's: `data/tcp/tshark.txt`.

#![allow(clippy::unwrap_used, clippy::indexing_slicing, reason = "a test that cannot set up must fail")]

use std::collections::BTreeMap;
use std::path::Path;

use skydive_flow::{Side, TcpSide, TcpState};
use skydive_packet::file::{Reader, Step};
use skydive_packet::wire::ipv4::Ipv4;
use skydive_packet::wire::tcp::{Options, Tcp};

/// Bytes of an Ethernet header.
const ETHERNET: usize = 14;

/// What each side of the connections in a capture sent, by its port.
fn sides(capture: &[u8]) -> BTreeMap<u16, TcpSide> {
    let mut connections: BTreeMap<(u16, u16), TcpState> = BTreeMap::new();
    let (mut reader, mut at) = (Reader::new(), 0);
    loop {
        match reader.next(&capture[at..]).unwrap() {
            Step::Packet { packet, consumed } => {
                at += consumed;
                let ip = Ipv4::parse(&packet.bytes[ETHERNET..]).unwrap();
                let bytes = &packet.bytes[ETHERNET + ip.header_len()..];
                let tcp = Tcp::parse(bytes).unwrap();
                let len = usize::from(ip.total_len()) - ip.header_len() - tcp.header_len();
                let options = Options::of(&bytes[..tcp.header_len().min(bytes.len())]);
                let (a, b) = (tcp.source(), tcp.destination());
                // The servers have the lower ports.
                let (from, ports) = if a > b { (Side::A, (a, b)) } else { (Side::B, (b, a)) };
                let state = connections.entry(ports).or_default();
                state.packet(from, tcp, options, len as u32, ip.ttl(), packet.at / 1_000_000);
            }
            Step::Passed { consumed } => at += consumed,
            Step::More { .. } => break,
        }
    }
    let of_sides = |((a, b), state): ((u16, u16), TcpState)| {
        let metric = state.metric();
        [(a, metric.ab), (b, metric.ba)]
    };
    connections.into_iter().flat_map(of_sides).collect()
}

#[test]
fn tshark_agrees() {
    let data = Path::new(env!("CARGO_MANIFEST_DIR")).join("tests/data/tcp");
    let expected = std::fs::read_to_string(data.join("tshark.txt")).unwrap();
    let mut lines = 0;
    for line in expected.lines().filter(|line| !line.starts_with('#')) {
        let (file, numbers) = line.split_once(' ').unwrap();
        let numbers: Vec<u64> = numbers.split(' ').map(|number| number.parse().unwrap()).collect();
        let [port, again, again_bytes, late, zero, least, largest] = numbers[..] else { panic!("{line}") };
        let sides = sides(&std::fs::read(data.join(file)).unwrap());
        let side = &sides[&(port as u16)];
        assert_eq!(
            (side.zero_windows, side.window_min.into(), side.window_max.into()),
            (zero, least, largest),
            "{line}"
        );
        if file == "lost-before.pcap" {
            // tshark tells by the time between them whether a segment was late or sent again; here it is sent again
            // only if it was seen.
            assert_eq!(side.retransmissions + side.out_of_order, again + late, "{line}");
            assert!(side.retransmissions <= again, "{line}");
        } else {
            let found = (side.retransmissions, side.retransmitted_bytes, side.out_of_order);
            assert_eq!(found, (again, again_bytes, late), "{line}");
        }
        lines += 1;
    }
    assert_eq!(lines, 12);
}
