//! Fragments on their way to being a datagram.

use skydive_packet::file::Packet;
use skydive_packet::wire::geneve::Geneve;
use skydive_packet::wire::gre::Gre;
use skydive_packet::wire::ipv4::Ipv4;
use skydive_packet::wire::ipv6::Ipv6;
use skydive_packet::wire::vlan::Vlan;
use skydive_packet::wire::vxlan::Vxlan;
use skydive_packet::{End, Layer, LayerKind, Layers, LinkType};

use crate::defragment::{Defragmenter, Fragment};
use crate::record::timestamp;

/// A packet in place of the fragment that completed it.
#[derive(Debug)]
pub(super) struct Rebuilt {
    bytes: Vec<u8>,
    at: i64,
    wire_len: u32,
    link: LinkType,
    pub(super) from: Fragments,
}

/// What a rebuilt packet was made of.
#[derive(Clone, Copy, Debug)]
pub(super) struct Fragments {
    /// Place of the network layer that was cut.
    pub(super) network: u8,
    /// Fragments before the one that completed it.
    pub(super) swallowed: u64,
}

impl Rebuilt {
    pub(super) fn packet(&self) -> Packet<'_> {
        let Self { bytes, at, wire_len, link, .. } = self;
        Packet { bytes, at: *at, wire_len: *wire_len, interface: 0, link: *link }
    }
}

/// Takes a packet if it is a fragment of use; the datagram that it completes goes to `rebuilt`.
#[inline]
pub(super) fn take(
    defragmenter: &mut Defragmenter,
    packet: &Packet<'_>,
    layers: &Layers,
    rebuilt: &mut Vec<Rebuilt>,
) -> bool {
    layers.end() == End::Fragment && take_fragment(defragmenter, packet, layers.as_slice(), rebuilt)
}

#[cold]
fn take_fragment(
    defragmenter: &mut Defragmenter,
    packet: &Packet<'_>,
    layers: &[Layer],
    rebuilt: &mut Vec<Rebuilt>,
) -> bool {
    let [around @ .., network, _] = layers else { return false };
    if network.kind != LayerKind::IPv4 {
        return false;
    }
    let bytes = network.bytes_of(packet.bytes);
    match defragmenter.push(bytes, scope(around, packet.bytes), timestamp(packet.at)) {
        // What cannot be put together is counted as it came.
        Fragment::Untouched | Fragment::Bad(_) => false,
        Fragment::Swallowed => true,
        Fragment::Complete(datagram) => {
            let before = packet.bytes.get(..network.start as usize).unwrap_or_default();
            let bytes = [before, datagram].concat();
            let swallowed = defragmenter.pieces().saturating_sub(1) as u64;
            let from = Fragments { network: around.len() as u8, swallowed };
            rebuilt.push(Rebuilt {
                bytes,
                at: packet.at,
                wire_len: packet.wire_len,
                link: packet.link,
                from,
            });
            true
        }
    }
}

/// Tells networks with the same addresses apart: by VLANs, and by the ends and the number of each tunnel. Labels of MPLS
/// do not count, as some spread the fragments of a datagram over paths.
fn scope(around: &[Layer], bytes: &[u8]) -> u64 {
    around.iter().fold(0, |scope: u64, layer| {
        let header = layer.bytes_of(bytes);
        let number = match layer.kind {
            LayerKind::Dot1Q => Vlan::parse(header).map_or(0, Vlan::id).into(),
            LayerKind::VXLAN | LayerKind::VXLANGPE => Vxlan::parse(header).map_or(0, Vxlan::vni),
            LayerKind::Geneve => Geneve::parse(header).map_or(0, Geneve::vni),
            LayerKind::GRE => Gre::parse(header).and_then(Gre::key).unwrap_or(0),
            LayerKind::IPv4 => {
                let ends = Ipv4::parse(header).map(|ip| [ip.source_octets(), ip.destination_octets()]);
                let [source, destination] = ends.unwrap_or_default().map(u32::from_be_bytes);
                return mix(mix(scope, source.into()), destination.into());
            }
            LayerKind::IPv6 => {
                let ends = Ipv6::parse(header).map(|ip| [ip.source_octets(), ip.destination_octets()]);
                let [source, destination] = ends.unwrap_or_default().map(u128::from_be_bytes);
                let halves = [source >> 64, source, destination >> 64, destination];
                return halves.into_iter().fold(scope, |scope, half| mix(scope, half as u64));
            }
            _ => return scope,
        };
        mix(scope, number.into())
    })
}

fn mix(scope: u64, number: u64) -> u64 {
    (scope ^ number.wrapping_add(1)).wrapping_mul(0x9E37_79B9_7F4A_7C15).rotate_left(29)
}
