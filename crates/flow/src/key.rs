//! What makes packets one flow: addresses, ports and the flow that carries them.
//!
//! A key is the same for both directions: which side comes first is decided once per packet, by the link addresses, or
//! by the network addresses and then the ports where there are none or they are equal. VLAN ids and the layers path
//! are not part of it.

use skydive_packet::wire::ethernet::Ethernet;
use skydive_packet::wire::geneve::Geneve;
use skydive_packet::wire::icmp4::Icmp4;
use skydive_packet::wire::icmp6::{Echo, Icmp6};
use skydive_packet::wire::ipv4::Ipv4;
use skydive_packet::wire::ipv6::Ipv6;
use skydive_packet::wire::protocol;
use skydive_packet::wire::sctp::Sctp;
use skydive_packet::wire::tcp::Tcp;
use skydive_packet::wire::udp::Udp;
use skydive_packet::wire::vxlan::Vxlan;
use skydive_packet::{Layer, LayerKind};

use crate::IcmpKind;

mod usual;

pub(crate) use usual::Usual;

/// Which addresses tell flows apart.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub enum KeyMode {
    /// Link addresses too: the same packets before and after a router are two flows.
    #[default]
    L2,
    /// Network addresses; link addresses only where there are no others.
    L3,
}

/// The identity of a flow in a table, in a line of memory. The side that comes first is low.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
#[repr(C)]
pub(crate) struct Key {
    /// Low 48 bits: an address. Top 16 bits of the first: [`Key::shape`].
    link: [u64; 2],
    /// Low address, high address; IPv4 uses the first half of each.
    network: [u64; 4],
    /// Ports `low << 16 | high`, `vni << 16 | port`, or the value of ICMP.
    transport: u64,
    /// UUID of the flow that carries it; 0 for none.
    pub(crate) parent: u64,
}

/// What stands for ports in a key.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum KeyTransport {
    None,
    Ports { low: u16, high: u16, kind: u64 },
    Tunnel { vni: u32, port: u16 },
    Icmp(u32),
}

/// One part of a packet: what one flow gets of it.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct Part {
    pub(crate) key: Key,
    /// Over the key, with that of the part before in place of the parent.
    pub(crate) hash: u64,
    /// Bytes to be counted.
    pub(crate) bytes: u32,
    /// Which packet of the batch.
    pub(crate) packet: u16,
    /// Its layers: from, to.
    pub(crate) layers: (u8, u8),
    /// Whether the part before, of the same packet, carries it.
    pub(crate) nested: bool,
    /// Whether it carries the part behind it.
    pub(crate) carries: bool,
    /// Whether the packet goes from the high side to the low one.
    pub(crate) swapped: bool,
    /// Place of the network and of the transport or ICMP layer among the packet's, [`NONE`] without.
    pub(crate) network: u8,
    pub(crate) transport: u8,
    pub(crate) kind: TransportKind,
    /// Flags of TCP, or 1 for an echo request and 2 for a reply.
    pub(crate) flags: u8,
}

/// What a part's transport is.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
#[repr(u8)]
pub(crate) enum TransportKind {
    #[default]
    None = 0,
    Tcp = 1,
    Udp = 2,
    Sctp = 3,
    Icmp4 = 4,
    Icmp6 = 5,
    /// UDP that carries VXLAN of either kind or Geneve: its source port tells nothing.
    Tunnel = 6,
}

/// The four numbers that a table mixes into its hashes, so that nobody outside can make them collide.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Seeds(pub(crate) [u64; 4]);

/// No such layer.
pub(crate) const NONE: u8 = u8::MAX;
/// [`Part::flags`] of ICMP.
pub(crate) const ECHO_REQUEST: u8 = 1;
pub(crate) const ECHO_REPLY: u8 = 2;

const LINK: u16 = 1;
const IPV4: u16 = 2;
const IPV6: u16 = 4;
const TRANSPORT_SHIFT: u32 = 8;

impl Key {
    fn shape(&self) -> u16 {
        (self.link[0] >> 48) as u16
    }

    /// The link addresses, when they are part of the key.
    pub(crate) fn link(&self) -> Option<([u8; 6], [u8; 6])> {
        (self.shape() & LINK != 0).then(|| (mac_bytes(self.link[0]), mac_bytes(self.link[1])))
    }

    /// The network addresses as bytes, and the number of their kind in a tracking id.
    pub(crate) fn network_bytes(&self) -> Option<(Octets, Octets, u64)> {
        let [a, b, c, d] = self.network;
        if self.shape() & IPV4 != 0 {
            Some((Octets::V4((a as u32).to_be_bytes()), Octets::V4((c as u32).to_be_bytes()), 1))
        } else if self.shape() & IPV6 != 0 {
            let wide = |high: u64, low: u64| (u128::from(high) << 64 | u128::from(low)).to_be_bytes();
            Some((Octets::V6(wide(a, b)), Octets::V6(wide(c, d)), 2))
        } else {
            None
        }
    }

    pub(crate) fn transport(&self) -> KeyTransport {
        let value = self.transport;
        let ports = |kind| KeyTransport::Ports { low: (value >> 16) as u16, high: value as u16, kind };
        match self.shape() >> TRANSPORT_SHIFT {
            1 => ports(4),
            2 => ports(5),
            3 => ports(6),
            4 | 5 => KeyTransport::Icmp(value as u32),
            6 => KeyTransport::Tunnel { vni: (value >> 16) as u32, port: value as u16 },
            _ => KeyTransport::None,
        }
    }

    /// Whether packets of one direction differ from those of the other.
    pub(crate) fn has_two_sides(&self) -> bool {
        let [a, b, c, d] = self.network;
        let links_differ = self.link().is_some_and(|(low, high)| low != high);
        let ports_differ = matches!(self.transport(), KeyTransport::Ports { low, high, .. } if low != high);
        links_differ || (a, b) != (c, d) || ports_differ
    }

    /// Whether it is about ICMP version 6.
    pub(crate) fn is_icmp6(&self) -> bool {
        self.shape() >> TRANSPORT_SHIFT == TransportKind::Icmp6 as u16
    }

    #[inline]
    fn hash(&self, parent: u64, seeds: Seeds) -> u64 {
        if self.shape() & IPV6 != 0 {
            self.hash_of::<true>(parent, seeds)
        } else {
            self.hash_of::<false>(parent, seeds)
        }
    }

    #[inline]
    fn hash_of<const V6: bool>(&self, parent: u64, Seeds([s0, s1, s2, s3]): Seeds) -> u64 {
        let [a, b, c, d] = self.network;
        let mut hash = fold(self.link[0] ^ s0, self.link[1] ^ s1) ^ fold(a ^ s2, c ^ s3).rotate_left(23);
        if V6 {
            hash ^= fold(b ^ s1, d ^ s2).rotate_left(41);
        }
        fold(hash ^ s3, self.transport ^ parent ^ s0)
    }
}

/// An address as it stands in the packet.
#[derive(Clone, Copy, Debug)]
pub(crate) enum Octets {
    V4([u8; 4]),
    V6([u8; 16]),
}

impl Octets {
    pub(crate) fn as_slice(&self) -> &[u8] {
        match self {
            Self::V4(octets) => octets,
            Self::V6(octets) => octets,
        }
    }
}

/// What the layers of a part say, before the sides are put in order.
#[derive(Default)]
struct Sides {
    link: Option<(u64, u64)>,
    v6: bool,
    network: Option<([u64; 2], [u64; 2])>,
    /// What the network header says that it is long, for IPv6 without the header.
    network_len: u32,
    ports: (u16, u16),
    value: u64,
}

/// Reads a part: `range` of a packet's layers. `None` when nothing in it has addresses. Those of most packets are read by
/// [`Usual`].
#[inline(never)]
pub(crate) fn part(
    layers: &[Layer],
    range: std::ops::Range<usize>,
    bytes: &[u8],
    wire_len: u32,
    mode: KeyMode,
    parent: u64,
    seeds: Seeds,
) -> Option<Part> {
    let mut sides = Sides::default();
    let (mut network, mut transport, mut kind, mut flags) = (NONE, NONE, TransportKind::None, 0);
    for (i, layer) in layers.get(range.clone())?.iter().enumerate() {
        let place = (range.start + i) as u8;
        match layer.kind {
            LayerKind::Ethernet if sides.link.is_none() => {
                let header = Ethernet::parse(layer.bytes_of(bytes))?;
                sides.link = Some((mac_number(header.source()), mac_number(header.destination())));
            }
            LayerKind::IPv4 if network == NONE => {
                let Some(header) = Ipv4::parse(layer.bytes_of(bytes)) else { continue };
                let wide = |octets| [u64::from(u32::from_be_bytes(octets)), 0];
                sides.network = Some((wide(header.source_octets()), wide(header.destination_octets())));
                sides.network_len = match header.total_len() {
                    0 => unsaid_len(layers, place, bytes, wire_len),
                    len => u32::from(len),
                };
                network = place;
            }
            LayerKind::IPv6 if network == NONE => {
                let Some(header) = Ipv6::parse(layer.bytes_of(bytes)) else { continue };
                let wide = |octets| {
                    let n = u128::from_be_bytes(octets);
                    [(n >> 64) as u64, n as u64]
                };
                sides.network = Some((wide(header.source_octets()), wide(header.destination_octets())));
                sides.network_len = match header.payload_len() {
                    0 if header.next_header() != protocol::NONE => {
                        unsaid_len(layers, place, bytes, wire_len).saturating_sub(Ipv6::LEN as u32)
                    }
                    len => u32::from(len),
                };
                sides.v6 = true;
                network = place;
            }
            LayerKind::TCP if transport == NONE && network != NONE => {
                let Some(header) = Tcp::parse(layer.bytes_of(bytes)) else { continue };
                sides.ports = (header.source(), header.destination());
                (transport, kind, flags) = (place, TransportKind::Tcp, header.flags().0);
            }
            LayerKind::UDP if transport == NONE && network != NONE => {
                let Some(header) = Udp::parse(layer.bytes_of(bytes)) else { continue };
                sides.ports = (header.source(), header.destination());
                (transport, kind) = (place, TransportKind::Udp);
            }
            LayerKind::SCTP if transport == NONE && network != NONE => {
                let Some(header) = Sctp::parse(layer.bytes_of(bytes)) else { continue };
                sides.ports = (header.source(), header.destination());
                (transport, kind) = (place, TransportKind::Sctp);
            }
            // Only in the datagram that the key is of: GTP-U and IP in IP carry others in the same flow.
            LayerKind::VXLAN | LayerKind::VXLANGPE
                if kind == TransportKind::Udp && place == transport + 1 =>
            {
                let Some(header) = Vxlan::parse(layer.bytes_of(bytes)) else { continue };
                sides.value = u64::from(header.vni()) << 16 | u64::from(sides.ports.1);
                kind = TransportKind::Tunnel;
            }
            LayerKind::Geneve if kind == TransportKind::Udp && place == transport + 1 => {
                let Some(header) = Geneve::parse(layer.bytes_of(bytes)) else { continue };
                sides.value = u64::from(header.vni()) << 16 | u64::from(sides.ports.1);
                kind = TransportKind::Tunnel;
            }
            LayerKind::ICMPv4 if transport == NONE && network != NONE => {
                let Some(header) = Icmp4::parse(layer.bytes_of(bytes)) else { continue };
                flags = match header.kind() {
                    8 => ECHO_REQUEST,
                    0 => ECHO_REPLY,
                    _ => 0,
                };
                sides.value = icmp_value(icmp4_kind(header.kind()), header.code(), header.id());
                (transport, kind) = (place, TransportKind::Icmp4);
            }
            LayerKind::ICMPv6 if transport == NONE && network != NONE => {
                let Some(header) = Icmp6::parse(layer.bytes_of(bytes)) else { continue };
                let class = icmp6_kind(header.kind());
                sides.value = match header.kind() {
                    128 | 129 => {
                        flags = if header.kind() == 128 { ECHO_REQUEST } else { ECHO_REPLY };
                        icmp_value(class, 0, Echo::parse(layer.payload_of(bytes)).map_or(0, Echo::id))
                    }
                    _ => icmp_value(class, header.code(), 0),
                };
                (transport, kind) = (place, TransportKind::Icmp6);
            }
            _ => {}
        }
    }
    let first = layers.get(range.start)?;
    let len = match layers.first()?.kind {
        LayerKind::IPv4 | LayerKind::IPv6 if range.start == 0 => sides.network_len,
        // Headers without a name count to what they carry.
        _ => wire_len.saturating_sub(first.start).saturating_add(nameless(layers, range.start)),
    };
    let bytes = if sides.link.is_none() && mode == KeyMode::L2 { sides.network_len } else { len };
    let (key, swapped) = sides.key(kind, mode)?;
    let hash = key.hash(parent, seeds);
    let layers = (range.start as u8, range.end as u8);
    Some(Part {
        key,
        hash,
        bytes,
        packet: 0,
        layers,
        nested: false,
        carries: false,
        swapped,
        network,
        transport,
        kind,
        flags,
    })
}

impl Sides {
    #[inline]
    fn key(&self, kind: TransportKind, mode: KeyMode) -> Option<(Key, bool)> {
        let by_link = self.link.filter(|_| mode == KeyMode::L2 || self.network.is_none());
        let swapped = match (by_link, self.network) {
            (Some((source, destination)), _) if source != destination => source > destination,
            (_, Some((source, destination))) if source != destination => source > destination,
            // The source port of a tunnel is any, of either side.
            (_, Some(_)) => kind != TransportKind::Tunnel && self.ports.0 > self.ports.1,
            (Some(_), None) => false,
            (None, None) => return None,
        };
        let mut shape = (kind as u16) << TRANSPORT_SHIFT;
        let mut key = Key::default();
        if let Some((source, destination)) = by_link {
            key.link = in_order(source, destination, swapped).into();
            shape |= LINK;
        }
        if let Some((source, destination)) = self.network {
            let (low, high) = in_order(source, destination, swapped);
            key.network = [low[0], low[1], high[0], high[1]];
            shape |= if self.v6 { IPV6 } else { IPV4 };
        }
        key.link[0] |= u64::from(shape) << 48;
        key.transport = match kind {
            TransportKind::Tcp | TransportKind::Udp | TransportKind::Sctp => {
                let (low, high) = in_order(self.ports.0, self.ports.1, swapped);
                u64::from(low) << 16 | u64::from(high)
            }
            _ => self.value,
        };
        Some((key, swapped))
    }
}

/// How long a packet was on the wire whose network header, at place `at`, does not say it: a jumbogram, or one that the
/// network card was to cut up. It reaches as far as the headers around it say, else to the end of the packet.
#[cold]
pub(crate) fn unsaid_len(layers: &[Layer], at: u8, bytes: &[u8], wire_len: u32) -> u32 {
    let Some((layer, around)) = layers.get(..=usize::from(at)).and_then(<[Layer]>::split_last) else {
        return 0;
    };
    let captured = layer.end - layer.start;
    if (layer.end as usize) < bytes.len() {
        return captured;
    }
    let said = around.iter().filter_map(|layer| {
        let header = layer.bytes_of(bytes);
        let len = match layer.kind {
            LayerKind::IPv4 => u32::from(Ipv4::parse(header)?.total_len()),
            LayerKind::IPv6 => match Ipv6::parse(header)?.payload_len() {
                0 => 0,
                payload => Ipv6::LEN as u32 + u32::from(payload),
            },
            LayerKind::UDP => u32::from(Udp::parse(header)?.total_len()),
            _ => 0,
        };
        (len > 0).then(|| layer.start.saturating_add(len))
    });
    said.fold(wire_len, u32::min).saturating_sub(layer.start).max(captured)
}

/// Bytes of the headers right before place `at` that no path names.
#[inline]
fn nameless(layers: &[Layer], at: usize) -> u32 {
    let before = layers.get(..at).unwrap_or_default();
    before
        .iter()
        .rev()
        .take_while(|layer| layer.kind == LayerKind::ERSPAN)
        .map(|layer| u32::from(layer.header))
        .sum()
}

#[inline]
fn in_order<T>(source: T, destination: T, swapped: bool) -> (T, T) {
    if swapped { (destination, source) } else { (source, destination) }
}

#[inline]
fn mac_number(mac: [u8; 6]) -> u64 {
    mac.into_iter().fold(0, |number, byte| number << 8 | u64::from(byte))
}

fn mac_bytes(number: u64) -> [u8; 6] {
    let [_, _, mac @ ..] = number.to_be_bytes();
    mac
}

#[inline]
fn fold(a: u64, b: u64) -> u64 {
    let product = u128::from(a) * u128::from(b);
    product as u64 ^ (product >> 64) as u64
}

fn icmp_value(kind: IcmpKind, code: u8, id: u16) -> u64 {
    u64::from(kind as u8) << 24 | u64::from(code) << 16 | u64::from(id)
}

fn icmp4_kind(kind: u8) -> IcmpKind {
    match kind {
        0 | 8 => IcmpKind::Echo,
        17 | 18 => IcmpKind::AddressMask,
        3 => IcmpKind::DestinationUnreachable,
        15 | 16 => IcmpKind::Info,
        12 => IcmpKind::ParameterProblem,
        5 => IcmpKind::Redirect,
        9 | 10 => IcmpKind::Router,
        4 => IcmpKind::SourceQuench,
        11 => IcmpKind::TimeExceeded,
        13 | 14 => IcmpKind::Timestamp,
        _ => IcmpKind::Unknown,
    }
}

fn icmp6_kind(kind: u8) -> IcmpKind {
    match kind {
        128 | 129 => IcmpKind::Echo,
        135 | 136 => IcmpKind::Neighbor,
        1 => IcmpKind::DestinationUnreachable,
        2 => IcmpKind::PacketTooBig,
        4 => IcmpKind::ParameterProblem,
        137 => IcmpKind::Redirect,
        133 | 134 => IcmpKind::Router,
        3 => IcmpKind::TimeExceeded,
        _ => IcmpKind::Unknown,
    }
}
