//! What it costs to ask a payload what it is, and to read it: the tests of the first bytes that every packet with a
//! payload may meet, the readers that a flow's first packets meet, and the worst that a message can do to them.

#![allow(clippy::unwrap_used, clippy::disallowed_methods, reason = "a bench reads the clock")]

use std::hint::black_box;
use std::time::Instant;

use skydive_packet::LayerKind;
use skydive_packet::application::{dns, http1, tls};
use skydive_packet::file::{Reader, Step};
use skydive_packet::{Decoder, Layers};

const SAMPLES: usize = 9;
/// Runs of which a sample is the middle one: what else the machine does is no part of the figure.
const RUNS: usize = 21;

const DIG: &[u8] = include_bytes!("../tests/data/application/dig.pcap");
const DNS: &[u8] = include_bytes!("../tests/data/pcaps/dns.pcap");
const TLS: &[u8] = include_bytes!("../tests/data/application/tls.pcap");
const HTTP: &[u8] = include_bytes!("../tests/data/application/http.pcap");

fn main() {
    let dns = [payloads(DIG), payloads(DNS)].concat();
    let dns: Vec<&[u8]> = dns.iter().map(Vec::as_slice).filter(|bytes| dns::looks_like(bytes)).collect();
    measure("dns: number and direction", &dns, 1000, |bytes| {
        dns::Header::parse(bytes)
            .map_or(0, |header| usize::from(header.id()) + usize::from(header.is_response()))
    });
    measure("dns: could it be", &dns, 1000, |bytes| usize::from(dns::looks_like(bytes)));
    measure("dns: a whole message", &dns, 20, |bytes| dns::Message::parse(bytes).unwrap().left_out());
    let tls = payloads(TLS);
    let tls: Vec<&[u8]> = tls.iter().map(Vec::as_slice).filter(|bytes| tls::is_client_hello(bytes)).collect();
    measure("tls: server name", &tls, 200, |bytes| {
        tls::ClientHello::parse(bytes).ok().and_then(|hello| hello.server_name()).map_or(0, <[u8]>::len)
    });
    let http = payloads(HTTP);
    let http: Vec<&[u8]> = http.iter().map(Vec::as_slice).filter(|bytes| http1::is_request(bytes)).collect();
    measure("http: request line and host", &http, 200, |bytes| {
        http1::Request::parse(bytes).map_or(0, |request| request.target.len())
    });
    let mixed = [dns, tls, http].concat();
    measure("tls or http: could it be", &mixed, 500, |bytes| {
        usize::from(tls::is_client_hello(bytes) || http1::is_request(bytes))
    });
    let chains = chains();
    measure("dns: the worst 64 KiB", &[&chains], 20, |bytes| {
        dns::Message::parse(bytes).map_or(0, |message| message.left_out())
    });
}

/// A message of names that are pointers to pointers, as many as are followed, each in a record of its own; behind
/// them records that are passed over.
fn chains() -> Vec<u8> {
    let mut message = vec![0, 1, 0x80, 0, 0, 0, 0xff, 0xff, 0, 0, 0, 0, 0];
    // The first record has the root's name, and a chain for data; the others are named by its end.
    let first = message.len() - 1;
    message.extend([0, 10, 0, 1, 0, 0, 0, 0, 0, 252]);
    let mut to = first as u16;
    for _ in 0..126 {
        let here = message.len() as u16;
        message.extend((0xc000 | to).to_be_bytes());
        to = here;
    }
    let pointer = (0xc000 | to).to_be_bytes();
    for kind in std::iter::repeat_n(2, 64).chain(std::iter::repeat(10)) {
        if message.len() + 14 > usize::from(u16::MAX) {
            return message;
        }
        message.extend(pointer);
        message.extend([0, kind, 0, 1, 0, 0, 0, 0, 0, 2]);
        message.extend(pointer);
    }
    message
}

fn payloads(file: &[u8]) -> Vec<Vec<u8>> {
    let (mut reader, mut layers) = (Reader::new(), Layers::new());
    let (mut at, mut found) = (0, Vec::new());
    loop {
        match reader.next(&file[at..]).unwrap() {
            Step::Packet { packet, consumed } => {
                Decoder::default().decode(packet.bytes, packet.link, &mut layers);
                let transport = |kind| matches!(kind, LayerKind::UDP | LayerKind::TCP);
                let layer = layers.as_slice().iter().find(|layer| transport(layer.kind));
                found.extend(layer.map(|layer| layer.payload_of(packet.bytes).to_vec()));
                at += consumed;
            }
            Step::Passed { consumed } => at += consumed,
            Step::More { .. } => return found,
        }
    }
}

/// Nanoseconds per payload of `read`, over all of them `times` times a run.
fn measure(name: &str, payloads: &[&[u8]], times: usize, read: impl Fn(&[u8]) -> usize) {
    let once = || {
        let start = Instant::now();
        let mut sum = 0_usize;
        for _ in 0..times {
            for payload in payloads {
                sum = sum.wrapping_add(read(black_box(payload)));
            }
        }
        black_box(sum);
        start.elapsed().as_secs_f64() * 1e9 / (times * payloads.len()) as f64
    };
    let samples: Vec<String> = (0..SAMPLES)
        .map(|_| {
            let mut runs: Vec<f64> = (0..RUNS).map(|_| once()).collect();
            runs.sort_by(f64::total_cmp);
            format!("{:.4}", runs[RUNS / 2])
        })
        .collect();
    println!(
        r#"perf: {{"name":"{name}","who":"ours","unit":"ns/payload","samples":[{}],"bar":null,"better":"lower"}}"#,
        samples.join(",")
    );
}
