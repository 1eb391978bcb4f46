//! Flows of every layer as a plain dictionary counts them, from the numbers in the specifications alone.
//!
//! It reads the headers that [`skydive_testnet::Traffic`] writes, as that writes them; any other protocol is a panic.

use std::collections::HashMap;

use skydive_flow::KeyMode;

/// What tells one side of a flow from the other. What a layer does not have stays empty.
#[derive(Clone, Debug, Default, PartialEq, Eq, PartialOrd, Ord, Hash)]
struct End {
    link: Vec<u8>,
    network: Vec<u8>,
    port: u16,
}

/// A flow.
#[derive(Debug)]
pub(crate) struct Counted {
    /// Names of its headers.
    pub(crate) kind: String,
    /// Packets and bytes from the side that began, then of the other.
    pub(crate) counts: [u64; 4],
    /// Whether others are inside.
    pub(crate) carries: bool,
    began: End,
}

/// Which flow carries it, both sides in order, and the network id and port of a tunnel that has them.
type Key = (Option<usize>, [End; 2], Option<(u32, u16)>);

/// All flows.
#[derive(Debug)]
pub(crate) struct Dictionary {
    mode: KeyMode,
    pub(crate) flows: Vec<Counted>,
    known: HashMap<Key, usize>,
}

/// The headers up to those of what is inside.
#[derive(Default)]
struct Part {
    names: Vec<&'static str>,
    from: End,
    to: End,
    tunnel: Option<(u32, u16)>,
    /// Of IPv6 without its header.
    network_len: usize,
    /// Where the next part begins, and its `EtherType`.
    inside: Option<(usize, u16)>,
}

const ETHERNET: u16 = 0x6558;
const IPV4: u16 = 0x0800;
const IPV6: u16 = 0x86dd;
const TAGS: [u16; 2] = [0x8100, 0x88a8];
const MPLS: u16 = 0x8847;

fn be16(bytes: &[u8], at: usize) -> u16 {
    u16::from_be_bytes([bytes[at], bytes[at + 1]])
}

impl Dictionary {
    /// The flows of a pcap file in microseconds, little endian.
    pub(crate) fn of(file: &[u8], mode: KeyMode) -> Self {
        let mut dictionary = Self { mode, flows: Vec::new(), known: HashMap::new() };
        let word =
            |at: usize| u32::from_le_bytes([file[at], file[at + 1], file[at + 2], file[at + 3]]) as usize;
        let mut at = 24;
        while at < file.len() {
            let (kept, wire) = (word(at + 8), word(at + 12));
            dictionary.packet(&file[at + 16..at + 16 + kept], wire);
            at += 16 + kept;
        }
        dictionary
    }

    fn packet(&mut self, frame: &[u8], wire: usize) {
        let (mut begin, mut kind, mut carrier) = (0, ETHERNET, None);
        loop {
            let mut part = Part::read(&frame[begin..], kind);
            // Link addresses count where they are asked for, or where there is nothing else.
            if self.mode == KeyMode::L3 && !part.from.network.is_empty() {
                (part.from.link, part.to.link) = (Vec::new(), Vec::new());
            }
            let has_length_of_its_own = self.mode == KeyMode::L2 && kind != ETHERNET;
            let bytes = if has_length_of_its_own { part.network_len } else { wire - begin };
            let inside = part.inside;
            let flow = self.count(carrier, part, bytes as u64);
            let Some((len, next)) = inside else { return };
            self.flows[flow].carries = true;
            (begin, kind, carrier) = (begin + len, next, Some(flow));
        }
    }

    fn count(&mut self, carrier: Option<usize>, part: Part, bytes: u64) -> usize {
        let mut ends = [part.from.clone(), part.to];
        ends.sort();
        let flows = &mut self.flows;
        let place = *self.known.entry((carrier, ends, part.tunnel)).or_insert_with(|| {
            let (kind, began) = (part.names.join("/"), part.from.clone());
            flows.push(Counted { kind, counts: [0; 4], carries: false, began });
            flows.len() - 1
        });
        let flow = &mut self.flows[place];
        let back = if same_side(&flow.began, &part.from, part.tunnel.is_some()) { 0 } else { 2 };
        flow.counts[back] += 1;
        flow.counts[back + 1] += bytes;
        place
    }
}

/// Ports of tunnels say nothing of the side.
fn same_side(began: &End, from: &End, is_tunnel: bool) -> bool {
    (&began.link, &began.network) == (&from.link, &from.network) && (is_tunnel || began.port == from.port)
}

impl Part {
    fn read(bytes: &[u8], mut kind: u16) -> Self {
        let (mut part, mut at) = (Self::default(), 0);
        if kind == ETHERNET {
            part.names.push("Ethernet");
            (part.to.link, part.from.link) = (bytes[..6].to_vec(), bytes[6..12].to_vec());
            (kind, at) = (be16(bytes, 12), 14);
            while TAGS.contains(&kind) {
                part.names.push("Dot1Q");
                (kind, at) = (be16(bytes, at + 2), at + 4);
            }
            if kind == MPLS {
                let mut is_last = false;
                while !is_last {
                    part.names.push("MPLS");
                    is_last = bytes[at + 2] & 1 == 1;
                    at += 4;
                }
                part.inside = Some((at, if bytes[at] >> 4 == 4 { IPV4 } else { IPV6 }));
                return part;
            }
        }
        let (name, protocol, addresses, len) = match kind {
            IPV4 => ("IPv4", bytes[at + 9], &bytes[at + 12..at + 20], be16(bytes, at + 2)),
            IPV6 => ("IPv6", bytes[at + 6], &bytes[at + 8..at + 40], be16(bytes, at + 4)),
            _ => panic!("EtherType {kind:04x}"),
        };
        part.names.push(name);
        let (from, to) = addresses.split_at(addresses.len() / 2);
        (part.from.network, part.to.network) = (from.to_vec(), to.to_vec());
        part.network_len = usize::from(len);
        at += if kind == IPV4 { 20 } else { 40 };
        part.transport(bytes, at, protocol);
        part
    }

    fn transport(&mut self, bytes: &[u8], at: usize, protocol: u8) {
        let network_id = |at: usize| u32::from(be16(bytes, at)) << 8 | u32::from(bytes[at + 2]);
        let to_port = be16(bytes, at + 2);
        match (protocol, to_port) {
            (47, inside) => {
                self.names.push("GRE");
                let has_key = bytes[at] & 0x20 != 0;
                self.inside = Some((at + if has_key { 8 } else { 4 }, inside));
            }
            (17, 4789) => {
                self.names.extend(["UDP", "VXLAN"]);
                self.tunnel = Some((network_id(at + 8 + 4), to_port));
                self.inside = Some((at + 8 + 8, ETHERNET));
            }
            (17, 6081) => {
                self.names.extend(["UDP", "Geneve"]);
                self.tunnel = Some((network_id(at + 8 + 4), to_port));
                let options = usize::from(bytes[at + 8] & 0x3f) * 4;
                self.inside = Some((at + 8 + 8 + options, ETHERNET));
            }
            (6 | 17, _) => {
                self.names.push(if protocol == 6 { "TCP" } else { "UDP" });
                (self.from.port, self.to.port) = (be16(bytes, at), to_port);
            }
            _ => panic!("protocol {protocol}"),
        }
    }
}
