//! One packet as bytes: headers with right lengths, sequence numbers and checksums around any payload.

use super::{Conversation, Tunnel, hash};

/// RFC 7348.
pub(super) const VXLAN_PORT: u16 = 4789;
/// RFC 8926.
pub(super) const GENEVE_PORT: u16 = 6081;
/// Without the frame's checksum.
const LEAST: usize = 60;
const QUESTION_LEN: usize = 12 + 17;
const ANSWER_LEN: usize = QUESTION_LEN + 16;

const IPV4: u16 = 0x0800;
const IPV6: u16 = 0x86dd;
pub(super) const MPLS: u16 = 0x8847;
const TAG: u16 = 0x8100;
const SERVICE_TAG: u16 = 0x88a8;
const ETHERNET: u16 = 0x6558;

const TCP: u8 = 6;
const UDP: u8 = 17;
const GRE: u8 = 47;

/// TCP flags.
pub(super) mod flag {
    pub(in super::super) const FIN: u8 = 1;
    pub(in super::super) const SYN: u8 = 2;
    pub(in super::super) const PUSH: u8 = 8;
    pub(in super::super) const ACK: u8 = 16;
}

/// Which side a packet comes from.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Sender {
    Client,
    Server,
}

/// Builds one packet after the other in the same memory.
pub(super) struct Wire {
    /// What payload is made of.
    noise: Vec<u8>,
    network: Vec<u8>,
    frame: Vec<u8>,
}

/// Bytes of a DNS question or answer.
pub(super) const fn dns_len(sender: Sender) -> usize {
    match sender {
        Sender::Client => QUESTION_LEN,
        Sender::Server => ANSWER_LEN,
    }
}

impl Wire {
    pub(super) fn new(seed: u64) -> Self {
        let noise = (0..1024).flat_map(|word| hash(seed, 50, word).to_le_bytes()).collect();
        Self { noise, network: Vec::new(), frame: Vec::new() }
    }

    /// The next packet of a conversation, padded to what Ethernet sends at least.
    pub(super) fn frame(&mut self, c: &mut Conversation, from: Sender, payload: usize, flags: u8) -> &[u8] {
        self.network(c, from, payload, flags);
        let (network, out) = (&self.network, &mut self.frame);
        out.clear();
        let inner = if c.is_v6 { IPV6 } else { IPV4 };
        let own = sides(from, c.client, c.server);
        let outer = {
            let (near, far) = c.tunnel_ends();
            sides(from, near, far)
        };
        let id = c.network_id();
        match c.tunnel {
            Tunnel::Plain => ethernet(out, own, inner),
            Tunnel::Vxlan => {
                udp_tunnel(out, c, outer, VXLAN_PORT, 8 + 14 + network.len());
                out.extend([8, 0, 0, 0]);
                out.extend((id << 8).to_be_bytes());
                ethernet(out, own, inner);
            }
            Tunnel::Geneve => {
                udp_tunnel(out, c, outer, GENEVE_PORT, 16 + 14 + network.len());
                out.extend([2, 0]);
                out.extend(ETHERNET.to_be_bytes());
                out.extend((id << 8).to_be_bytes());
                // One option of four bytes.
                out.extend([1, 2, 0x80, 1]);
                out.extend(c.client.to_be_bytes());
                ethernet(out, own, inner);
            }
            Tunnel::Gre => {
                ethernet(out, outer, IPV4);
                ipv4(out, outer, GRE, 4 + network.len(), 0);
                out.extend([0, 0]);
                out.extend(inner.to_be_bytes());
            }
            Tunnel::GreEthernet => {
                ethernet(out, outer, IPV4);
                ipv4(out, outer, GRE, 8 + 14 + network.len(), 0);
                out.extend([0x20, 0]);
                out.extend(ETHERNET.to_be_bytes());
                out.extend((id << 8).to_be_bytes());
                ethernet(out, own, inner);
            }
            Tunnel::Mpls => {
                ethernet(out, own, MPLS);
                let labels = 1 + id % 3;
                for depth in 1..=labels {
                    let bottom = u32::from(depth == labels) << 8;
                    out.extend(((16 + id + 200 * depth) << 12 | bottom | 64).to_be_bytes());
                }
            }
            Tunnel::QinQ => {
                ethernet(out, own, SERVICE_TAG);
                out.extend([0, 100]);
                out.extend(TAG.to_be_bytes());
                out.extend((id as u16).to_be_bytes());
                out.extend(inner.to_be_bytes());
            }
        }
        out.extend(network);
        if out.len() < LEAST {
            out.resize(LEAST, 0);
        }
        &self.frame
    }

    /// Network header and all behind it.
    fn network(&mut self, c: &mut Conversation, from: Sender, payload: usize, flags: u8) {
        let out = &mut self.network;
        out.clear();
        let ends = sides(from, c.client, c.server);
        let (source, destination) = sides(from, c.client_port, c.server_port);
        let (protocol, header) = if c.is_tcp { (TCP, 20) } else { (UDP, 8) };
        if c.is_v6 {
            out.extend([0x60, 0, 0, 0]);
            out.extend(((header + payload) as u16).to_be_bytes());
            out.extend([protocol, 64]);
            out.extend(ipv6_address(ends.0));
            out.extend(ipv6_address(ends.1));
        } else {
            ipv4(out, ends, protocol, header + payload, c.number as u16);
        }
        // The pseudo header is the addresses, the protocol and the length: in both versions the addresses come last.
        let addresses = out.len() - if c.is_v6 { 32 } else { 8 };
        let transport = out.len();
        out.extend(source.to_be_bytes());
        out.extend(destination.to_be_bytes());
        let checksum = if c.is_tcp {
            let (own, other) = sides(from, 0, 1);
            let answered = if flags & flag::ACK == 0 { 0 } else { c.sent[other] };
            out.extend(c.sent[own].to_be_bytes());
            out.extend(answered.to_be_bytes());
            out.extend([0x50, flags, 0xff, 0xff, 0, 0, 0, 0]);
            let counts = payload as u32 + u32::from(flags & (flag::SYN | flag::FIN) != 0);
            c.sent[own] = c.sent[own].wrapping_add(counts);
            transport + 16
        } else {
            out.extend(((header + payload) as u16).to_be_bytes());
            out.extend([0, 0]);
            transport + 6
        };
        if c.is_dns {
            dns(out, c, from);
        } else {
            out.extend(&self.noise[..payload]);
        }
        let pseudo = u32::from(protocol) + (header + payload) as u32;
        let sum = match internet_checksum(pseudo, &out[addresses..]) {
            // Of UDP, 0 would say that there is none.
            0 if !c.is_tcp => 0xffff,
            sum => sum,
        };
        out[checksum..checksum + 2].copy_from_slice(&sum.to_be_bytes());
    }
}

fn sides<T>(from: Sender, client: T, server: T) -> (T, T) {
    match from {
        Sender::Client => (client, server),
        Sender::Server => (server, client),
    }
}

/// Hosts of a network share one: their router's.
pub(super) fn interface(host: u32) -> u32 {
    host >> 8
}

fn ethernet(out: &mut Vec<u8>, (source, destination): (u32, u32), kind: u16) {
    for host in [destination, source] {
        let [_, a, b, c] = interface(host).to_be_bytes();
        out.extend([2, 0, 0, a, b, c]);
    }
    out.extend(kind.to_be_bytes());
}

fn ipv4(out: &mut Vec<u8>, (source, destination): (u32, u32), protocol: u8, payload: usize, id: u16) {
    let begin = out.len();
    out.extend([0x45, 0]);
    out.extend(((20 + payload) as u16).to_be_bytes());
    out.extend(id.to_be_bytes());
    out.extend([0x40, 0, 64, protocol, 0, 0]);
    out.extend(source.to_be_bytes());
    out.extend(destination.to_be_bytes());
    let sum = internet_checksum(0, &out[begin..]);
    out[begin + 10..begin + 12].copy_from_slice(&sum.to_be_bytes());
}

fn udp_tunnel(out: &mut Vec<u8>, c: &Conversation, ends: (u32, u32), port: u16, payload: usize) {
    ethernet(out, ends, IPV4);
    ipv4(out, ends, UDP, 8 + payload, 0);
    // As switches do it: the source port spreads conversations over paths.
    out.extend((0xc000 | hash(0, 51, u64::from(c.number)) as u16 & 0x3fff).to_be_bytes());
    out.extend(port.to_be_bytes());
    out.extend(((8 + payload) as u16).to_be_bytes());
    out.extend([0, 0]);
}

/// The host within a network for documentation.
fn ipv6_address(host: u32) -> [u8; 16] {
    (0x2001_0db8_u128 << 96 | u128::from(host)).to_be_bytes()
}

/// A question for the address of a name, or its answer.
fn dns(out: &mut Vec<u8>, c: &Conversation, from: Sender) {
    out.extend((hash(0, 52, u64::from(c.number)) as u16).to_be_bytes());
    out.extend(match from {
        Sender::Client => [1, 0, 0, 1, 0, 0, 0, 0, 0, 0],
        Sender::Server => [0x81, 0x80, 0, 1, 0, 1, 0, 0, 0, 0],
    });
    out.extend(b"\x07example\x03net\x00\x00\x01\x00\x01");
    if from == Sender::Server {
        out.extend([0xc0, 12, 0, 1, 0, 1, 0, 0, 0, 60, 0, 4]);
        out.extend(c.server.to_be_bytes());
    }
}

/// RFC 1071.
fn internet_checksum(first: u32, bytes: &[u8]) -> u16 {
    let (words, last) = bytes.as_chunks::<2>();
    let sum: u32 = words.iter().map(|word| u32::from(u16::from_be_bytes(*word))).sum();
    let mut sum = first + sum + last.first().map_or(0, |byte| u32::from(*byte) << 8);
    while sum > 0xffff {
        sum = (sum & 0xffff) + (sum >> 16);
    }
    !(sum as u16)
}
