//! Filters over a mix of packets: time to compile, and to decide one packet.

#![allow(clippy::unwrap_used, clippy::disallowed_methods, reason = "a bench reads the clock")]

use std::hint::black_box;
use std::time::{Duration, Instant};

use skydive_packet::LinkType;
use skydive_packet::filter::compile;

const PACKETS: usize = 4096;
const ROUNDS: usize = 500;
const SAMPLES: usize = 5;

fn main() {
    let packets: Vec<Vec<u8>> = (0..PACKETS as u32).map(packet).collect();
    let long: Vec<String> = (0..100).map(|host| format!("host 10.0.{host}.1")).collect();
    let long = long.join(" or ");
    let filters = [
        ("tcp port 80", "tcp port 80", 2),
        ("host and port", "host 10.0.3.7 and port 443", 2),
        (
            "header arithmetic",
            "tcp[tcpflags] & (tcp-syn|tcp-ack) == tcp-syn and ip[2:2] - ((ip[0]&0xf)<<2) < 100",
            2,
        ),
        ("100 hosts", &long, 0),
    ];
    for (name, text, digits) in filters {
        let program = compile(text, LinkType(1), 96).unwrap();
        let samples: Vec<f64> = (0..SAMPLES)
            .map(|_| {
                let start = Instant::now();
                for _ in 0..ROUNDS {
                    for packet in &packets {
                        black_box(program.run(black_box(packet), 1500));
                    }
                }
                nanoseconds(start.elapsed()) / (ROUNDS * PACKETS) as f64
            })
            .collect();
        let passed = packets.iter().filter(|packet| program.run(packet, 1500) > 0).count();
        println!("{name}: {} instructions, {passed} of {PACKETS} packets pass", program.instructions().len());
        report(&format!("filter, {name}"), "ns/packet", &samples, digits);
    }
    let samples: Vec<f64> = (0..SAMPLES)
        .map(|_| {
            let start = Instant::now();
            for _ in 0..1000 {
                black_box(compile(black_box("host 10.0.3.7 and tcp port 443"), LinkType(1), 96).unwrap());
            }
            nanoseconds(start.elapsed()) / 1000.0
        })
        .collect();
    report("compile a filter of a host and a port", "ns", &samples, 0);
}

/// TCP and UDP over IPv4 and IPv6, to some ports of some hosts, in no order that a branch predictor could learn.
fn packet(number: u32) -> Vec<u8> {
    let mixed = number.wrapping_mul(2654435761) >> 7;
    let port = [80_u16, 443, 53, 8080, 22][mixed as usize % 5].to_be_bytes();
    let transport = if mixed & 0x700 == 0 { 17 } else { 6 };
    let host = [10, 0, (mixed >> 12) as u8 % 16, (mixed >> 16) as u8 % 16];
    let mut bytes = vec![2, 0, 0, 0, 0, 1, 2, 0, 0, 0, 0, 2];
    if mixed & 0x3800 == 0 {
        bytes.extend([0x86, 0xdd, 0x60, 0, 0, 0, 0, 20, transport, 64]);
        bytes.extend([0x20; 32]);
    } else {
        bytes.extend([0x08, 0x00, 0x45, 0, 0, 60, 0, 0, 0x40, 0, 64, transport, 0, 0, 192, 168, 1, 9]);
        bytes.extend(host);
    }
    bytes.extend([0x9c, 0x40, port[0], port[1], 0, 0, 0, 1, 0, 0, 0, 2, 0x50, mixed as u8 & 0x12, 0x20, 0]);
    bytes.resize(96, 0);
    bytes
}

fn nanoseconds(time: Duration) -> f64 {
    time.as_nanos() as f64
}

fn report(name: &str, unit: &str, samples: &[f64], digits: usize) {
    let samples: Vec<String> = samples.iter().map(|s| format!("{s:.digits$}")).collect();
    println!(
        r#"perf: {{"name":"{name}","who":"ours","unit":"{unit}","samples":[{}],"bar":null,"better":"lower"}}"#,
        samples.join(",")
    );
}
