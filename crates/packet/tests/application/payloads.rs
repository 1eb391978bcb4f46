//! Payloads of the captures in `data/application/` and of those that the original Skydive is tested with.

use std::path::{Path, PathBuf};

use skydive_packet::file::{Reader, Step};
use skydive_packet::{Decoder, LayerKind, Layers};

/// What one packet carries.
#[derive(Clone, Debug)]
pub(crate) struct Payload {
    /// The file and the number of the packet in it, from 1.
    pub(crate) from: String,
    /// What UDP, TCP or, behind these, IP carries.
    pub(crate) bytes: Vec<u8>,
    pub(crate) over_tcp: bool,
}

pub(crate) fn capture(name: &str) -> PathBuf {
    let data = Path::new(env!("CARGO_MANIFEST_DIR")).join("tests/data");
    let own = data.join("application").join(name);
    if own.exists() { own } else { data.join("pcaps").join(name) }
}

/// What the packets of a capture carry, in their order; empty for a packet with neither UDP, TCP nor VRRP.
pub(crate) fn of(name: &str) -> Vec<Payload> {
    let file = std::fs::read(capture(name)).unwrap();
    let mut reader = Reader::new();
    let mut layers = Layers::new();
    let (mut at, mut found) = (0, Vec::new());
    while let Step::Packet { packet, consumed } = next_packet(&mut reader, &file, &mut at) {
        Decoder::default().decode(packet.bytes, packet.link, &mut layers);
        let mut payload = Payload {
            from: format!("{name}, packet {}", found.len() + 1),
            bytes: Vec::new(),
            over_tcp: false,
        };
        for layer in layers.as_slice() {
            match layer.kind {
                LayerKind::UDP => payload.bytes = layer.payload_of(packet.bytes).to_vec(),
                LayerKind::TCP => {
                    payload.bytes = layer.payload_of(packet.bytes).to_vec();
                    payload.over_tcp = true;
                }
                LayerKind::VRRP => payload.bytes = layer.bytes_of(packet.bytes).to_vec(),
                _ => {}
            }
        }
        found.push(payload);
        at += consumed;
    }
    assert!(!found.is_empty());
    found
}

/// The next packet, behind headers and blocks that hold none.
fn next_packet<'a>(reader: &mut Reader, file: &'a [u8], at: &mut usize) -> Step<'a> {
    loop {
        match reader.next(&file[*at..]).unwrap() {
            Step::Passed { consumed } => *at += consumed,
            step => return step,
        }
    }
}

/// Every payload of every capture here that has one.
pub(crate) fn all() -> Vec<Payload> {
    let captures = [
        "dns.pcap",
        "dig.pcap",
        "dhcp.pcap",
        "vrrp.pcap",
        "tls.pcap",
        "http.pcap",
        "eth-ip4-arp-dns-req-http-google.pcap",
    ];
    let payloads = captures.into_iter().flat_map(of);
    payloads.filter(|payload| !payload.bytes.is_empty()).collect()
}
