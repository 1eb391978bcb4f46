//! Decoding of packets that lie in the cache, beside etherparse: what is left of a packet's budget for the rest.
//!
//! Every figure is the mean over as many packets of one kind with other addresses and ports, so that no branch is
//! learned by heart; the mixed ones come in a shuffled order.

#![allow(clippy::unwrap_used, clippy::disallowed_methods, reason = "a bench reads the clock")]

use std::hint::black_box;
use std::time::Instant;

use etherparse::{EtherType, PacketBuilder, SlicedPacket, TransportSlice};
use skydive_packet::{Decoder, Layers, LinkType};

const PACKETS: usize = 512;
const ROUNDS: usize = 4_000;
const SAMPLES: usize = 7;

/// A kind of packet: its name, the bar in nanoseconds, its layers, and how one is made.
struct Kind {
    name: &'static str,
    bar: Option<f64>,
    path: &'static str,
    make: fn(&mut Random) -> Vec<u8>,
}

const KINDS: &[Kind] = &[
    Kind { name: "decode Ethernet/IPv4/TCP", bar: Some(12.0), path: "Ethernet/IPv4/TCP", make: tcp },
    Kind { name: "decode Ethernet/IPv6/TCP", bar: None, path: "Ethernet/IPv6/TCP", make: tcp6 },
    Kind { name: "decode Ethernet/IPv4/UDP/DNS", bar: None, path: "Ethernet/IPv4/UDP/DNS", make: dns },
    Kind {
        name: "decode a VXLAN stack of 7 layers",
        bar: Some(40.0),
        path: "Ethernet/IPv4/UDP/VXLAN/Ethernet/IPv4/TCP",
        make: vxlan,
    },
    Kind {
        name: "decode an MPLS stack of 6 layers",
        bar: Some(40.0),
        path: "Ethernet/MPLS/MPLS/MPLS/IPv4/TCP",
        make: mpls,
    },
    Kind {
        name: "decode a GRE stack of 6 layers",
        bar: None,
        path: "Ethernet/IPv4/GRE/Ethernet/IPv4/TCP",
        make: gre,
    },
    Kind {
        name: "decode a QinQ stack of 5 layers",
        bar: None,
        path: "Ethernet/Dot1Q/Dot1Q/IPv4/TCP",
        make: qinq,
    },
];

fn main() {
    let mut random = Random(1);
    let mut mix = Vec::new();
    for kind in KINDS {
        let packets: Vec<Vec<u8>> = (0..PACKETS).map(|_| (kind.make)(&mut random)).collect();
        assert_eq!(path(packets.first().unwrap()), kind.path);
        report(kind.name, "ours", &measure(&packets, ours), kind.bar);
        report(kind.name, "etherparse, outermost stack only", &measure(&packets, etherparse), None);
        mix.extend(packets.into_iter().take(PACKETS / KINDS.len()));
    }
    for i in (1..mix.len()).rev() {
        mix.swap(i, random.below(i + 1));
    }
    let name = "decode the kinds above, shuffled";
    report(name, "ours", &measure(&mix, ours), None);
    report(name, "etherparse, outermost stack only", &measure(&mix, etherparse), None);
}

/// Nanoseconds a packet.
fn measure(packets: &[Vec<u8>], decode: fn(&[Vec<u8>]) -> usize) -> Vec<f64> {
    black_box(decode(packets));
    (0..SAMPLES)
        .map(|_| {
            let start = Instant::now();
            for _ in 0..ROUNDS {
                black_box(decode(black_box(packets)));
            }
            start.elapsed().as_nanos() as f64 / (ROUNDS * packets.len()) as f64
        })
        .collect()
}

fn ours(packets: &[Vec<u8>]) -> usize {
    let decoder = Decoder::default();
    let mut layers = Layers::new();
    let mut sum = 0;
    for packet in packets {
        decoder.decode(packet, LinkType::ETHERNET, &mut layers);
        sum += layers.as_slice().last().map_or(0, |layer| layer.end as usize);
    }
    sum
}

fn etherparse(packets: &[Vec<u8>]) -> usize {
    let mut sum = 0;
    for packet in packets {
        sum += SlicedPacket::from_ethernet(packet).map_or(0, |sliced| match sliced.transport {
            Some(TransportSlice::Tcp(tcp)) => tcp.payload().len(),
            Some(TransportSlice::Udp(udp)) => udp.payload().len(),
            _ => sliced.link_exts.len(),
        });
    }
    sum
}

fn path(packet: &[u8]) -> String {
    let mut layers = Layers::new();
    Decoder::default().decode(packet, LinkType::ETHERNET, &mut layers);
    layers.as_slice().iter().map(|layer| layer.kind.name()).collect::<Vec<_>>().join("/")
}

fn tcp(random: &mut Random) -> Vec<u8> {
    frame(random, &[], EtherType::IPV4, &ipv4_tcp)
}

fn tcp6(random: &mut Random) -> Vec<u8> {
    frame(random, &[], EtherType::IPV6, &|random| {
        let builder = PacketBuilder::ipv6(random.bytes(), random.bytes(), 64);
        let builder = builder.tcp(random.port(), random.port(), 1, 1000);
        written(|out| builder.write(out, &[0; 100]).unwrap())
    })
}

fn dns(random: &mut Random) -> Vec<u8> {
    frame(random, &[], EtherType::IPV4, &|random| {
        let query =
            b"\x12\x34\x01\x00\x00\x01\x00\x00\x00\x00\x00\x00\x03www\x07example\x03com\x00\x00\x01\x00\x01";
        ipv4_udp(random, 53, query)
    })
}

fn vxlan(random: &mut Random) -> Vec<u8> {
    frame(random, &[], EtherType::IPV4, &|random| {
        let inner = [&[8, 0, 0, 0, 0, 0, 7, 0][..], &tcp(random)].concat();
        ipv4_udp(random, 4789, &inner)
    })
}

fn mpls(random: &mut Random) -> Vec<u8> {
    let labels = [0, 1, 0, 64, 0, 2, 0, 64, 0, 3, 1, 64];
    frame(random, &labels, EtherType(0x8847), &ipv4_tcp)
}

fn gre(random: &mut Random) -> Vec<u8> {
    frame(random, &[], EtherType::IPV4, &|random| {
        let inner = [&[0x20, 0, 0x65, 0x58, 0, 0, 7, 1][..], &tcp(random)].concat();
        let builder = PacketBuilder::ipv4(random.bytes(), random.bytes(), 64);
        written(|out| builder.write(out, 47.into(), &inner).unwrap())
    })
}

fn qinq(random: &mut Random) -> Vec<u8> {
    frame(random, &[0, 5, 0x81, 0, 0, 6, 8, 0], EtherType(0x88a8), &ipv4_tcp)
}

/// An Ethernet header, what stands before the packet, the packet.
fn frame(
    random: &mut Random,
    before: &[u8],
    kind: EtherType,
    packet: &dyn Fn(&mut Random) -> Vec<u8>,
) -> Vec<u8> {
    let mut out = vec![2];
    out.extend(random.bytes::<5>());
    out.push(2);
    out.extend(random.bytes::<5>());
    out.extend(kind.0.to_be_bytes());
    out.extend(before);
    out.extend(packet(random));
    out
}

fn ipv4_tcp(random: &mut Random) -> Vec<u8> {
    let builder = PacketBuilder::ipv4(random.bytes(), random.bytes(), 64);
    let builder = builder.tcp(random.port(), random.port(), 1, 1000);
    written(|out| builder.write(out, &[0; 100]).unwrap())
}

fn ipv4_udp(random: &mut Random, port: u16, payload: &[u8]) -> Vec<u8> {
    let builder = PacketBuilder::ipv4(random.bytes(), random.bytes(), 64).udp(random.port(), port);
    written(|out| builder.write(out, payload).unwrap())
}

fn written(write: impl FnOnce(&mut Vec<u8>)) -> Vec<u8> {
    let mut out = Vec::new();
    write(&mut out);
    out
}

struct Random(u64);

impl Random {
    fn below(&mut self, n: usize) -> usize {
        self.0 = self.0.wrapping_mul(6_364_136_223_846_793_005).wrapping_add(1_442_695_040_888_963_407);
        (self.0 >> 33) as usize % n
    }

    fn bytes<const N: usize>(&mut self) -> [u8; N] {
        std::array::from_fn(|_| self.below(256) as u8)
    }

    /// A port that means nothing.
    fn port(&mut self) -> u16 {
        32768 + self.below(28000) as u16
    }
}

fn report(name: &str, who: &str, samples: &[f64], bar: Option<f64>) {
    let samples: Vec<String> = samples.iter().map(|s| format!("{s:.2}")).collect();
    let bar = bar.map_or("null".to_owned(), |b| b.to_string());
    println!(
        r#"perf: {{"name":"{name}","who":"{who}","unit":"ns/packet","samples":[{}],"bar":{bar},"better":"lower"}}"#,
        samples.join(",")
    );
}
