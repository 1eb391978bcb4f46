//! Reading capture files as a program does that reads them in pieces: what it costs beyond the copy into the buffer.
//!
//! The file is the mix that the offline bars are measured with: 7 small, 4 middling and 1 large packet of 12, cut to
//! 96 bytes. It lies in memory; copying from it stands for `read(2)` of a file that is cached.

#![allow(clippy::unwrap_used, clippy::disallowed_methods, reason = "a bench reads the clock")]

use std::hint::black_box;
use std::time::Instant;

use skydive_packet::LinkType;
use skydive_packet::file::{
    ByteOrder, Interface, Packet, PcapHeader, PcapWriter, PcapngWriter, Precision, Reader, Step,
};

/// Few, so that most runs end within a time slice; more than any cache but the last holds.
const PACKETS: usize = 100_000;
const SAMPLES: usize = 9;
/// Runs of which a sample is the middle one: what else the machine does is no part of the figure.
const RUNS: usize = 51;
const PIECE: usize = 256 << 10;
const SNAP_LEN: u32 = 96;
const LINK: LinkType = LinkType(1);

fn main() {
    let little = pcap(ByteOrder::Little);
    let big = pcap(ByteOrder::Big);
    let blocks = pcapng();
    measure("pcap, in batches of 64", &little, batches);
    measure("pcap, packet by packet", &little, steps);
    measure("pcap in the other byte order, in batches of 64", &big, batches);
    measure("pcapng, in batches of 64", &blocks, batches);
}

/// A way to read the packets that are whole in a buffer: bytes used, bytes needed, and something of each packet.
type Read = fn(&mut Reader, &[u8]) -> (usize, usize, Sum);

/// What keeps the compiler from leaving a packet out.
#[derive(Clone, Copy, Default)]
struct Sum {
    packets: usize,
    fields: u64,
}

impl Sum {
    fn add(&mut self, packet: &Packet<'_>) {
        self.packets += 1;
        self.fields += packet.at as u64 ^ packet.bytes.len() as u64 ^ u64::from(packet.wire_len);
    }
}

fn measure(name: &str, file: &[u8], read: Read) {
    let mut buffer = vec![0; PIECE];
    let mut once = || {
        let start = Instant::now();
        copy(file, &mut buffer);
        let copied = start.elapsed().as_secs_f64();
        let start = Instant::now();
        let sum = pieces(file, &mut buffer, read);
        let all = start.elapsed().as_secs_f64();
        assert_eq!(sum.packets, PACKETS);
        black_box(sum.fields);
        (all - copied) * 1e9 / PACKETS as f64
    };
    let samples: Vec<f64> = (0..SAMPLES)
        .map(|_| {
            let mut runs: Vec<f64> = (0..RUNS).map(|_| once()).collect();
            runs.sort_by(f64::total_cmp);
            runs[RUNS / 2]
        })
        .collect();
    report(&format!("read {name}, beyond the copy"), "ours", "ns/packet", &samples, Some(3.0), "lower");
}

/// What any reader of the file has to do.
fn copy(file: &[u8], buffer: &mut [u8]) {
    for piece in file.chunks(PIECE) {
        buffer[..piece.len()].copy_from_slice(piece);
        black_box(&mut *buffer);
    }
}

/// The loop of a program around a reader.
fn pieces(file: &[u8], buffer: &mut [u8], read: Read) -> Sum {
    let mut reader = Reader::new();
    let (mut file, mut held, mut sum) = (file, 0, Sum::default());
    loop {
        let (used, at_least, more) = read(&mut reader, &buffer[..held]);
        sum.packets += more.packets;
        sum.fields += more.fields;
        buffer.copy_within(used..held, 0);
        held -= used;
        assert!(at_least <= buffer.len());
        let here = file.len().min(buffer.len() - held);
        if here == 0 {
            reader.end(held).unwrap();
            return sum;
        }
        buffer[held..held + here].copy_from_slice(&file[..here]);
        held += here;
        file = &file[here..];
    }
}

fn batches(reader: &mut Reader, bytes: &[u8]) -> (usize, usize, Sum) {
    let (mut used, mut sum) = (0, Sum::default());
    let mut packets = [Packet::default(); 64];
    loop {
        let filled = reader.fill(&bytes[used..], &mut packets).unwrap();
        for packet in &packets[..filled.packets] {
            sum.add(packet);
        }
        used += filled.consumed;
        if filled.at_least > 0 {
            return (used, filled.at_least, sum);
        }
    }
}

fn steps(reader: &mut Reader, bytes: &[u8]) -> (usize, usize, Sum) {
    let (mut used, mut sum) = (0, Sum::default());
    loop {
        match reader.next(&bytes[used..]).unwrap() {
            Step::Packet { packet, consumed } => {
                sum.add(&packet);
                used += consumed;
            }
            Step::Passed { consumed } => used += consumed,
            Step::More { at_least } => return (used, at_least, sum),
        }
    }
}

fn pcap(order: ByteOrder) -> Vec<u8> {
    let header = PcapHeader { link: LINK, snap_len: SNAP_LEN, precision: Precision::Micro, order };
    let mut out = Vec::new();
    let writer = PcapWriter::new(header, &mut out);
    each_packet(|packet| writer.packet(&packet, &mut out).unwrap());
    out
}

fn pcapng() -> Vec<u8> {
    let mut out = Vec::new();
    let mut writer = PcapngWriter::new(ByteOrder::Little, &mut out);
    let interface = Interface {
        name: Some("eth0".into()),
        link: LINK,
        snap_len: SNAP_LEN,
        received: None,
        dropped: None,
    };
    writer.interface(&interface, &mut out).unwrap();
    each_packet(|packet| writer.packet(&packet, &mut out).unwrap());
    out
}

fn each_packet(mut write: impl FnMut(Packet<'_>)) {
    let mut random = 1_u64;
    let bytes: Vec<u8> = (0..1514).map(|i| i as u8).collect();
    let mut at = 1_700_000_000_000_000_000;
    for _ in 0..PACKETS {
        // Knuth's linear congruential generator; its upper bits are good enough to choose a size.
        random = random.wrapping_mul(6_364_136_223_846_793_005).wrapping_add(1_442_695_040_888_963_407);
        let size = match (random >> 33) % 12 {
            0..7 => 60,
            7..11 => 590,
            _ => 1514,
        };
        at += (random >> 50) as i64 * 1000;
        write(Packet { bytes: &bytes[..size], at, wire_len: size as u32, interface: 0, link: LINK });
    }
}

fn report(name: &str, who: &str, unit: &str, samples: &[f64], bar: Option<f64>, better: &str) {
    let samples: Vec<String> = samples.iter().map(|s| format!("{s:.4}")).collect();
    let bar = bar.map_or("null".to_owned(), |b| b.to_string());
    println!(
        r#"perf: {{"name":"{name}","who":"{who}","unit":"{unit}","samples":[{}],"bar":{bar},"better":"{better}"}}"#,
        samples.join(",")
    );
}
