//! The parts of usual packets, read straight on.
//!
//! What [`part`](super::part) finds out layer by layer is known beforehand of the stacks that most packets are:
//!
//! ```text
//! packet  =  part+
//! part    =  Ethernet? Dot1Q* (MPLS+ part | (IPv4 | IPv6) carried)
//! carried =  TCP | UDP | UDP message | UDP (VXLAN | VXLANGPE | Geneve) part? | GRE part?
//! ```
//!
//! A packet that is another stack is left to `part` as a whole.

use skydive_packet::wire::ethernet::Ethernet;
use skydive_packet::wire::geneve::Geneve;
use skydive_packet::wire::ipv4::Ipv4;
use skydive_packet::wire::ipv6::Ipv6;
use skydive_packet::wire::protocol;
use skydive_packet::wire::tcp::Tcp;
use skydive_packet::wire::udp::Udp;
use skydive_packet::wire::vxlan::Vxlan;
use skydive_packet::{Layer, LayerKind};

use super::{IPV4, IPV6, Key, LINK, NONE, Part, Seeds, TRANSPORT_SHIFT, TransportKind, in_order, unsaid_len};

/// A packet to be read.
pub(crate) struct Usual<'a> {
    pub(crate) layers: &'a [Layer],
    pub(crate) bytes: &'a [u8],
    pub(crate) wire_len: u32,
    /// Its number in the batch.
    pub(crate) packet: u16,
    pub(crate) seeds: &'a Seeds,
}

/// What a part was found to be: its hash, and where the part that it carries begins if it does.
type Found = (u64, Option<usize>);

impl Usual<'_> {
    /// Adds the parts of the packet, outermost first, as [`part`](super::part) reads them with
    /// [`KeyMode::L2`](super::KeyMode::L2), and tells of their hashes. `None` when it is another packet: then those
    /// added are void.
    #[inline]
    pub(crate) fn read(&self, parts: &mut Vec<Part>, mut heard: impl FnMut(u64)) -> Option<()> {
        let (hash, next) = self.part(0, 0, parts)?;
        heard(hash);
        match next {
            Some(next) => self.read_nested(next, hash, parts, heard),
            None => Some(()),
        }
    }

    /// The parts from the second on. On its own as most packets have none.
    #[inline(never)]
    fn read_nested(
        &self,
        mut from: usize,
        mut parent: u64,
        parts: &mut Vec<Part>,
        mut heard: impl FnMut(u64),
    ) -> Option<()> {
        loop {
            let (hash, next) = self.part(from, parent, parts)?;
            heard(hash);
            let Some(next) = next else { return Some(()) };
            (from, parent) = (next, hash);
        }
    }

    #[expect(clippy::inline_always, reason = "a call passes more than it does")]
    #[inline(always)]
    fn part(&self, from: usize, parent: u64, parts: &mut Vec<Part>) -> Option<Found> {
        let mut layer = self.layers.get(from)?;
        let (mut at, mut link) = (from, None);
        if layer.kind == LayerKind::Ethernet {
            link = Some(Ethernet::parse(self.behind(layer))?.numbers());
            at += 1;
            layer = self.layers.get(at)?;
            while layer.kind == LayerKind::Dot1Q {
                at += 1;
                layer = self.layers.get(at)?;
            }
        }
        match layer.kind {
            LayerKind::IPv4 => self.datagram::<false>(from, at, layer, link, parent, parts),
            LayerKind::IPv6 => self.datagram::<true>(from, at, layer, link, parent, parts),
            LayerKind::MPLS => {
                let (destination, source) = link?;
                while layer.kind == LayerKind::MPLS {
                    at += 1;
                    layer = self.layers.get(at)?;
                }
                let shape = u64::from(LINK) << 48;
                let link = [source.min(destination) | shape, source.max(destination)];
                let key = Key { link, ..Key::default() };
                let hash = key.hash(parent, *self.seeds);
                parts.push(Part {
                    key,
                    hash,
                    bytes: self.len_from(from),
                    packet: self.packet,
                    layers: (from as u8, at as u8),
                    nested: from > 0,
                    carries: true,
                    swapped: source > destination,
                    network: NONE,
                    transport: NONE,
                    kind: TransportKind::None,
                    flags: 0,
                });
                layer.kind.has_addresses().then_some((hash, Some(at)))
            }
            _ => None,
        }
    }

    /// A part with a network layer, at place `at`.
    #[expect(clippy::inline_always, reason = "a call passes more than it does")]
    #[inline(always)]
    fn datagram<const V6: bool>(
        &self,
        from: usize,
        at: usize,
        layer: &Layer,
        link: Option<(u64, u64)>,
        parent: u64,
        parts: &mut Vec<Part>,
    ) -> Option<Found> {
        parts.push(Part {
            key: Key::default(),
            hash: 0,
            bytes: 0,
            packet: self.packet,
            layers: (from as u8, at as u8 + 2),
            nested: from > 0,
            carries: false,
            swapped: false,
            network: at as u8,
            transport: at as u8 + 1,
            kind: TransportKind::None,
            flags: 0,
        });
        let part = parts.last_mut()?;
        let (source, destination, len) = if V6 {
            let ip = Ipv6::parse(self.behind(layer))?;
            let len = match ip.payload_len() {
                0 if ip.next_header() != protocol::NONE => {
                    unsaid_len(self.layers, at as u8, self.bytes, self.wire_len)
                        .saturating_sub(Ipv6::LEN as u32)
                }
                len => u32::from(len),
            };
            (wide(ip.source_octets()), wide(ip.destination_octets()), len)
        } else {
            let ip = Ipv4::parse(self.behind(layer))?;
            let len = match ip.total_len() {
                0 => unsaid_len(self.layers, at as u8, self.bytes, self.wire_len),
                len => u32::from(len),
            };
            let number = |octets| (u64::from(u32::from_be_bytes(octets)), 0);
            (number(ip.source_octets()), number(ip.destination_octets()), len)
        };
        let transport = self.layers.get(at + 1)?;
        let header = self.behind(transport);
        let behind = self.layers.get(at + 2);
        let (mut to, mut carries) = (at + 2, false);
        let (kind, ports) = match transport.kind {
            LayerKind::TCP if behind.is_none() => {
                let header = Tcp::parse(header)?;
                part.flags = header.flags().0;
                (TransportKind::Tcp, (header.source(), header.destination()))
            }
            LayerKind::UDP => {
                let header = Udp::parse(header)?;
                let ports = (header.source(), header.destination());
                match behind {
                    None => (TransportKind::Udp, ports),
                    Some(message) => {
                        to = at + 3;
                        part.layers.1 = to as u8;
                        let inner = self.layers.get(to);
                        let header = self.behind(message);
                        let vni = match message.kind {
                            LayerKind::VXLAN | LayerKind::VXLANGPE => Some(Vxlan::parse(header)?.vni()),
                            LayerKind::Geneve => Some(Geneve::parse(header)?.vni()),
                            _ => None,
                        };
                        if let Some(vni) = vni {
                            part.key.transport = u64::from(vni) << 16 | u64::from(ports.1);
                            carries = inner.is_some();
                            (TransportKind::Tunnel, (0, 0))
                        } else if inner.is_none() && !message.kind.has_addresses() {
                            (TransportKind::Udp, ports)
                        } else {
                            return None;
                        }
                    }
                }
            }
            LayerKind::GRE => {
                part.transport = NONE;
                carries = behind.is_some();
                (TransportKind::None, (0, 0))
            }
            _ => return None,
        };
        if carries && !self.layers.get(to)?.kind.has_addresses() {
            return None;
        }
        let family = if V6 { IPV6 } else { IPV4 };
        let (shape, (mac_to, mac_from), bytes) = match link {
            Some(macs) => (LINK | family, macs, self.len_from(from)),
            None => (family, (0, 0), len),
        };
        let swapped = if mac_from != mac_to {
            mac_from > mac_to
        } else if source != destination {
            source > destination
        } else {
            ports.0 > ports.1
        };
        let (mac_low, mac_high) = in_order(mac_from, mac_to, swapped);
        let (low, high) = in_order(source, destination, swapped);
        let (port_low, port_high) = in_order(ports.0, ports.1, swapped);
        let shape = shape | (kind as u16) << TRANSPORT_SHIFT;
        let key = Key {
            link: [mac_low | u64::from(shape) << 48, mac_high],
            network: [low.0, low.1, high.0, high.1],
            transport: part.key.transport | u64::from(port_low) << 16 | u64::from(port_high),
            parent: 0,
        };
        let hash = key.hash_of::<V6>(parent, *self.seeds);
        (part.key, part.hash, part.bytes) = (key, hash, bytes);
        (part.carries, part.swapped, part.kind) = (carries, swapped, kind);
        Some((hash, carries.then_some(to)))
    }

    /// Bytes on the wire from a layer on.
    #[inline]
    fn len_from(&self, at: usize) -> u32 {
        self.wire_len.saturating_sub(self.layers.get(at).map_or(0, |layer| layer.start))
    }

    /// A layer's header and what follows it. That there is a whole header was made sure of when it was found.
    #[inline]
    fn behind(&self, layer: &Layer) -> &[u8] {
        self.bytes.get(layer.start as usize..).unwrap_or_default()
    }
}

#[inline]
fn wide(octets: [u8; 16]) -> (u64, u64) {
    let number = u128::from_be_bytes(octets);
    ((number >> 64) as u64, number as u64)
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;
    use skydive_packet::{Decoder, Layers, LinkType};

    use super::super::{KeyMode, part};
    use super::*;

    const SEEDS: Seeds = Seeds([1, 2, 3, 4]);

    /// A part of a packet, in few different values: sides are often equal.
    #[derive(Clone, Debug)]
    struct Piece {
        macs: [u8; 2],
        tags: usize,
        labels: usize,
        v6: bool,
        addresses: [u8; 2],
        ports: [u8; 2],
        /// TCP, UDP, DNS, ICMP, nothing, GRE with IP and with a frame, VXLAN, Geneve.
        carried: u8,
        flags: u8,
        /// Whether the length is left to the network card.
        unsaid: bool,
    }

    fn piece() -> impl Strategy<Value = Piece> {
        let (two, few) = (prop::array::uniform2(0u8..2), 0usize..3);
        let (macs, addresses, ports) = (two.clone(), two.clone(), two);
        let rest = (0u8..9, any::<u8>(), prop::bool::weighted(0.1));
        (macs, few.clone(), few, any::<bool>(), addresses, ports, rest).prop_map(
            |(macs, tags, labels, v6, addresses, ports, (carried, flags, unsaid))| Piece {
                macs,
                tags,
                labels,
                v6,
                addresses,
                ports,
                carried,
                flags,
                unsaid,
            },
        )
    }

    fn framed(pieces: &[Piece]) -> Vec<u8> {
        let Some((piece, inner)) = pieces.split_first() else { return vec![0xab; 30] };
        let mut frame = vec![2, 0, 0, 0, 0, piece.macs[1], 2, 0, 0, 0, 0, piece.macs[0]];
        for _ in 0..piece.tags {
            frame.extend([0x81, 0, 0, 7]);
        }
        let kind = if piece.v6 { [0x86, 0xdd] } else { [8, 0] };
        if piece.labels > 0 {
            frame.extend([0x88, 0x47]);
            for label in 1..=piece.labels {
                frame.extend([0, 0, 0x10 | u8::from(label == piece.labels), 64]);
            }
        } else {
            frame.extend(kind);
        }
        frame.extend(datagram(piece, inner));
        frame
    }

    fn datagram(piece: &Piece, inner: &[Piece]) -> Vec<u8> {
        let udp = |port: u16, header: &[u8], payload: Vec<u8>| {
            let [high, low] = ((8 + header.len() + payload.len()) as u16).to_be_bytes();
            let [to, port] = port.to_be_bytes();
            [&[0x90, piece.ports[0], to, port, high, low, 0, 0], header, &payload].concat()
        };
        let plain = 0x9000 | u16::from(piece.ports[1]);
        let (protocol, payload) = match piece.carried {
            0 => {
                let ports = [0, piece.ports[0], 0, piece.ports[1]];
                let rest = [0, 0, 0, 1, 0, 0, 0, 2, 0x50, piece.flags, 0, 9, 0, 0, 0, 0];
                (6, [ports.as_slice(), &rest, &framed(&[])].concat())
            }
            1 => (17, udp(plain, &[], framed(&[]))),
            2 => (17, udp(53, &[0, 1, 1, 0, 0, 1, 0, 0, 0, 0, 0, 0], vec![1, b'a', 0, 0, 1, 0, 1])),
            3 => (if piece.v6 { 58 } else { 1 }, vec![if piece.v6 { 128 } else { 8 }, 0, 0, 0, 0, 1, 0, 1]),
            4 => (59, framed(&[])),
            5 => match inner.split_first() {
                Some((first, others)) => {
                    let kind = if first.v6 { [0x86, 0xdd] } else { [8, 0] };
                    (47, [&[0, 0], kind.as_slice(), &datagram(first, others)].concat())
                }
                None => (47, vec![0, 0, 8, 0]),
            },
            6 => (47, [&[0x20, 0, 0x65, 0x58, 0, 0, 0, 9], framed(inner).as_slice()].concat()),
            7 => (17, udp(4789, &[8, 0, 0, 0, 0, 0, 5, 0], framed(inner))),
            _ => (17, udp(6081, &[0, 0, 0x65, 0x58, 0, 0, 6, 0], framed(inner))),
        };
        let [one, two] = piece.addresses;
        let said = if piece.unsaid { 0 } else { payload.len() as u16 };
        let [high, low] = said.to_be_bytes();
        let mut bytes = if piece.v6 {
            let mut header = vec![0x60, 0, 0, 0, high, low, protocol, 64];
            header.extend(
                [[[0x20; 15].as_slice(), &[one]].concat(), [[0x20; 15].as_slice(), &[two]].concat()].concat(),
            );
            header
        } else {
            let [high, low] = if piece.unsaid { [0; 2] } else { (said + 20).to_be_bytes() };
            vec![0x45, 0, high, low, 0, 0, 0, 0, 64, protocol, 0, 0, 10, 0, 0, one, 10, 0, 0, two]
        };
        bytes.extend(payload);
        bytes
    }

    proptest! {
        #![proptest_config(ProptestConfig::with_cases(4000))]

        #[test]
        fn usual_packets_are_read_like_others(
            pieces in prop::collection::vec(piece(), 1..4),
            is_frame: bool,
            cut in prop::sample::select(vec![usize::MAX, usize::MAX, 0, 1, 5, 17, 40, 70]),
        ) {
            let mut packet = if is_frame { framed(&pieces) } else { datagram(&pieces[0], &pieces[1..]) };
            let wire_len = packet.len() as u32;
            packet.truncate(packet.len().saturating_sub(if cut == usize::MAX { 0 } else { cut }));
            let link = if is_frame { LinkType::ETHERNET } else { LinkType::RAW };
            let mut layers = Layers::new();
            Decoder::default().decode(&packet, link, &mut layers);
            let mut any: Vec<Part> = Vec::new();
            for range in layers.parts() {
                let parent = any.last().map_or(0, |part| part.hash);
                let read = part(layers.as_slice(), range, &packet, wire_len, KeyMode::L2, parent, SEEDS);
                let Some(read) = read else { break };
                let nested = !any.is_empty();
                if let Some(carrier) = any.last_mut() {
                    carrier.carries = true;
                }
                any.push(Part { nested, packet: 9, ..read });
            }
            let layers = layers.as_slice();
            let usual = Usual { layers, bytes: &packet, wire_len, packet: 9, seeds: &SEEDS };
            let (mut parts, mut heard) = (Vec::new(), Vec::new());
            if usual.read(&mut parts, |hash| heard.push(hash)).is_some() {
                prop_assert_eq!(&parts, &any);
                prop_assert_eq!(heard, any.iter().map(|part| part.hash).collect::<Vec<_>>());
            } else if cut == usize::MAX {
                let is_other = pieces.iter().any(|piece| matches!(piece.carried, 3 | 4));
                prop_assert!(is_other || layers.len() < 2 || matches!(layers, [.., last] if last.kind.has_addresses() || last.kind == LayerKind::GRE), "{:?}", layers);
            }
        }
    }
}
