//! Fragments on their way to being a datagram.

use skydive_packet::file::Packet;
use skydive_packet::wire::geneve::Geneve;
use skydive_packet::wire::gre::Gre;
use skydive_packet::wire::gtp::Gtp;
use skydive_packet::wire::ipv4::Ipv4;
use skydive_packet::wire::ipv6::Ipv6;
use skydive_packet::wire::pppoe::Pppoe;
use skydive_packet::wire::vlan::Vlan;
use skydive_packet::wire::vxlan::Vxlan;
use skydive_packet::{Decoder, End, Layer, LayerKind, Layers, LinkType};

use crate::defragment::{Defragmenter, Fragment};
use crate::record::timestamp;

/// A packet in place of the fragment that completed its datagram: the headers around that fragment, then the datagram.
#[derive(Debug)]
pub(super) struct Rebuilt {
    bytes: Vec<u8>,
    /// Those of the fragment.
    layers: Layers,
    at: i64,
    wire_len: u32,
    link: LinkType,
    pub(super) from: Fragments,
}

/// What a rebuilt packet was made of: the datagrams in it that came in fragments, outermost first.
#[derive(Clone, Copy, Debug, Default)]
pub(super) struct Fragments([Option<Cut>; LEVELS]);

#[derive(Clone, Copy, Debug)]
struct Cut {
    /// Place of the network layer that was cut.
    network: u8,
    /// Fragments before the one that completed it.
    swallowed: u64,
}

/// What became of a packet.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Taken {
    /// It is no fragment, or none of use, and counts as it came.
    Nothing,
    /// What begins with the network layer at this place waits for the rest of it.
    From(usize),
    /// It completed a datagram, which counts in its place.
    All,
}

/// Datagrams inside of each other that are put together: a tunnel's, and one in the tunnel.
const LEVELS: usize = 2;

impl Rebuilt {
    pub(super) fn packet(&self) -> Packet<'_> {
        let Self { bytes, at, wire_len, link, .. } = self;
        Packet { bytes, at: *at, wire_len: *wire_len, interface: 0, link: *link }
    }

    /// Finds the layers. Lengths in the headers around the datagram are those of a fragment and do not cut it.
    pub(super) fn decode(&self, decoder: &Decoder, layers: &mut Layers) {
        layers.clone_from(&self.layers);
        let network = self.from.0.iter().flatten().last().map_or(0, |cut| cut.network);
        decoder.decode_behind(&self.bytes, usize::from(network), LayerKind::IPv4, layers);
    }

    /// Its memory, to be used again.
    pub(super) fn into_bytes(self) -> Vec<u8> {
        self.bytes
    }
}

impl Fragments {
    /// Place of the first network layer that was cut, of a part's layers.
    pub(super) fn first(&self, layers: (u8, u8)) -> Option<u8> {
        self.of(layers).map(|cut| cut.network).next()
    }

    /// Fragments of a part's datagrams before those that completed them.
    pub(super) fn swallowed(&self, layers: (u8, u8)) -> u64 {
        self.of(layers).map(|cut| cut.swallowed).sum()
    }

    fn of(&self, (from, to): (u8, u8)) -> impl Iterator<Item = &Cut> {
        self.0.iter().flatten().filter(move |cut| (from..to).contains(&cut.network))
    }
}

/// Takes a packet if it is a fragment of use; the datagram that it completes goes to `rebuilt`. `from` is what the
/// packet itself was made of.
#[inline]
pub(super) fn take(
    defragmenter: &mut Defragmenter,
    packet: &Packet<'_>,
    layers: &Layers,
    from: Option<Fragments>,
    rebuilt: &mut Vec<Rebuilt>,
    spare: &mut Vec<u8>,
) -> Taken {
    if layers.end() != End::Fragment {
        return Taken::Nothing;
    }
    take_fragment(defragmenter, packet, layers, from.unwrap_or_default(), rebuilt, spare)
}

#[cold]
fn take_fragment(
    defragmenter: &mut Defragmenter,
    packet: &Packet<'_>,
    layers: &Layers,
    mut from: Fragments,
    rebuilt: &mut Vec<Rebuilt>,
    spare: &mut Vec<u8>,
) -> Taken {
    let [around @ .., network, _] = layers.as_slice() else { return Taken::Nothing };
    let Some(level) = from.0.iter_mut().find(|level| level.is_none()) else { return Taken::Nothing };
    if network.kind != LayerKind::IPv4 {
        return Taken::Nothing;
    }
    let bytes = network.bytes_of(packet.bytes);
    let cut = (packet.wire_len as usize).saturating_sub(packet.bytes.len());
    let (wire_len, scope) = (bytes.len() + cut, scope(around, packet.bytes));
    match defragmenter.push_captured(bytes, wire_len, scope, timestamp(packet.at)) {
        // What cannot be put together is counted as it came.
        Fragment::Untouched | Fragment::Bad(_) => Taken::Nothing,
        Fragment::Swallowed => Taken::From(around.len()),
        Fragment::Complete(datagram) => {
            let mut bytes = std::mem::take(spare);
            bytes.clear();
            bytes.extend_from_slice(packet.bytes.get(..network.start as usize).unwrap_or_default());
            bytes.extend_from_slice(datagram);
            let swallowed = defragmenter.pieces().saturating_sub(1) as u64;
            *level = Some(Cut { network: around.len() as u8, swallowed });
            let Packet { at, wire_len, link, .. } = *packet;
            rebuilt.push(Rebuilt { bytes, layers: layers.clone(), at, wire_len, link, from });
            Taken::All
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
            LayerKind::GTPv1U => Gtp::parse(header).map_or(0, Gtp::tunnel),
            LayerKind::PPPoE => Pppoe::parse(header).map_or(0, Pppoe::session).into(),
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
