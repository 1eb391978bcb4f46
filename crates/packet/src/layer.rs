//! The layers of one packet: which header lies where.

mod kind;

use std::ops::Range;

pub use kind::LayerKind;

/// How a capture's packets begin, by its number in the registry of tcpdump.org.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub struct LinkType(pub u16);

/// One header.
///
/// The header of the next layer begins where this one's ends: `next.start == start + header`.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Layer {
    /// Where the header begins, in bytes from the start of the packet.
    pub start: u32,
    /// Where its payload ends: the end of the captured bytes, or sooner when a length field says so.
    pub end: u32,
    /// Bytes of the header itself. For an application layer all of its message, up to 65535.
    pub header: u16,
    /// What it is.
    pub kind: LayerKind,
}

/// Why the layers end where they end.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub enum End {
    /// Bytes follow that are nobody's header: what TCP, UDP to any port, ICMP or ESP carry.
    Payload,
    /// Nothing follows.
    Nothing,
    /// The rest is part of a datagram that came in fragments.
    Fragment,
    /// The captured bytes end inside the header of this kind. TCP and IPv4 headers of which only options are missing
    /// are still the last layer.
    Truncated(LayerKind),
    /// What should be a header of this kind contradicts itself. TCP and UDP headers with an impossible length are
    /// still the last layer: their ports stand.
    Malformed(LayerKind),
    /// A link type, EtherType or protocol number follows that is not decoded.
    Unsupported,
    /// More than [`Layers::MAX`] layers.
    TooDeep,
}

/// The layers of a packet, outermost first.
///
/// Kept by the caller and used again for the next packet: what is not used is never written.
#[derive(Clone, Debug)]
pub struct Layers {
    items: [Layer; Layers::MAX],
    /// As wide as a register: a narrow one is read together with what stands beside it before both are written.
    len: usize,
    end: End,
}

/// See [`Layers::parts`].
#[derive(Clone, Debug)]
pub struct Parts<'a> {
    layers: &'a [Layer],
    start: usize,
}

impl LinkType {
    /// BSD loopback, the family in the byte order of the host that captured.
    pub const NULL: LinkType = LinkType(0);
    /// Ethernet.
    pub const ETHERNET: LinkType = LinkType(1);
    /// PPP, with or without HDLC address and control.
    pub const PPP: LinkType = LinkType(9);
    /// What files say for raw IP when the system that wrote them kept its own number.
    pub const RAW_BSD: LinkType = LinkType(12);
    /// The same on OpenBSD.
    pub const RAW_OPENBSD: LinkType = LinkType(14);
    /// PPP in HDLC framing.
    pub const PPP_HDLC: LinkType = LinkType(50);
    /// PPPoE session packets without Ethernet.
    pub const PPP_ETHER: LinkType = LinkType(51);
    /// IPv4 or IPv6 without a link layer.
    pub const RAW: LinkType = LinkType(101);
    /// OpenBSD loopback, the family in network byte order.
    pub const LOOP: LinkType = LinkType(108);
    /// Linux cooked capture, version 1.
    pub const LINUX_SLL: LinkType = LinkType(113);
    /// IPv4 without a link layer.
    pub const IPV4: LinkType = LinkType(228);
    /// IPv6 without a link layer.
    pub const IPV6: LinkType = LinkType(229);
    /// Linux cooked capture, version 2.
    pub const LINUX_SLL2: LinkType = LinkType(276);

    /// Where decoding starts; nothing for the link types that are not decoded.
    #[inline]
    pub const fn first_layer(self) -> Option<LayerKind> {
        Some(match self {
            LinkType::ETHERNET => LayerKind::Ethernet,
            LinkType::NULL | LinkType::LOOP => LayerKind::Loopback,
            LinkType::PPP | LinkType::PPP_HDLC => LayerKind::PPP,
            LinkType::PPP_ETHER => LayerKind::PPPoE,
            LinkType::RAW_BSD | LinkType::RAW_OPENBSD | LinkType::RAW => LayerKind::RawIp,
            LinkType::LINUX_SLL => LayerKind::LinuxSLL,
            LinkType::LINUX_SLL2 => LayerKind::LinuxSLL2,
            LinkType::IPV4 => LayerKind::IPv4,
            LinkType::IPV6 => LayerKind::IPv6,
            _ => return None,
        })
    }
}

impl Layer {
    /// The header and what follows it, of the packet that was decoded; nothing of any shorter one.
    #[inline]
    pub fn bytes_of<'a>(&self, packet: &'a [u8]) -> &'a [u8] {
        packet.get(self.start as usize..self.end as usize).unwrap_or_default()
    }

    /// The header, options included.
    #[inline]
    pub fn header_of<'a>(&self, packet: &'a [u8]) -> &'a [u8] {
        self.bytes_of(packet).get(..self.header.into()).unwrap_or_default()
    }

    /// What follows the header.
    #[inline]
    pub fn payload_of<'a>(&self, packet: &'a [u8]) -> &'a [u8] {
        self.bytes_of(packet).get(self.header.into()..).unwrap_or_default()
    }
}

impl End {
    /// The reasons in the order of [`End::index`], named as a label of a counter.
    pub const NAMES: [&str; 7] =
        ["payload", "nothing", "fragment", "truncated", "malformed", "unsupported", "too deep"];

    /// The place of the reason in a table of counters.
    #[inline]
    pub const fn index(self) -> usize {
        match self {
            End::Payload => 0,
            End::Nothing => 1,
            End::Fragment => 2,
            End::Truncated(_) => 3,
            End::Malformed(_) => 4,
            End::Unsupported => 5,
            End::TooDeep => 6,
        }
    }
}

impl Default for Layers {
    fn default() -> Self {
        let unused = Layer { start: 0, end: 0, header: 0, kind: LayerKind::RawIp };
        Self { items: [unused; Layers::MAX], len: 0, end: End::Nothing }
    }
}

impl Layers {
    /// The depth to which packets are decoded.
    pub const MAX: usize = 32;

    /// None yet.
    pub fn new() -> Self {
        Self::default()
    }

    /// The layers.
    #[inline]
    pub fn as_slice(&self) -> &[Layer] {
        self.items.get(..self.len).unwrap_or_default()
    }

    /// Why they end.
    #[inline]
    pub fn end(&self) -> End {
        self.end
    }

    /// The ranges of layers that are a flow each, outermost first.
    ///
    /// A part ends after the last of the tunnel layers ([`LayerKind::is_tunnel`]) that precede an Ethernet, IPv4 or
    /// IPv6 header. So a whole MPLS stack, or GRE with MPLS or ERSPAN behind it, is one part with what encloses it, the
    /// PPP that L2TP or PPTP carry belongs to the packet inside, and every part has addresses a flow can be keyed by.
    /// Layers behind a tunnel that have none (an LCP frame in PPTP, ARP in GRE) stay in the part before; layers without
    /// addresses before the first that has some (`PPP/MPLS`) belong to the first part. A packet without any address
    /// has no parts.
    #[inline]
    pub fn parts(&self) -> Parts<'_> {
        Parts { layers: self.as_slice(), start: 0 }
    }

    /// The layer before place `at`.
    #[inline]
    pub(crate) fn before(&self, at: usize) -> Option<&Layer> {
        self.items.get(at.checked_sub(1)?)
    }

    /// Lets the first `count` layers reach to `end`, and says where the next begins.
    pub(crate) fn extend_to(&mut self, end: u32, count: usize) -> u32 {
        let mut start = 0;
        for layer in self.items.iter_mut().take(count) {
            layer.end = end;
            start = layer.start.saturating_add(layer.header.into());
        }
        start.min(end)
    }

    /// Keeps the layer at place `at`; false if there is no such place.
    #[inline]
    pub(crate) fn put(&mut self, at: usize, layer: Layer) -> bool {
        let Some(place) = self.items.get_mut(at) else { return false };
        *place = layer;
        true
    }

    /// Says that the first `len` places are the layers, and why they end.
    #[inline]
    pub(crate) fn finish(&mut self, len: usize, end: End) {
        self.len = len;
        self.end = end;
    }
}

impl Iterator for Parts<'_> {
    type Item = Range<usize>;

    #[inline]
    fn next(&mut self) -> Option<Range<usize>> {
        let start = self.start;
        let mut keyed = false;
        let mut cut = None;
        for (i, layer) in self.layers.iter().enumerate().skip(start) {
            if layer.kind.has_addresses() {
                if let Some(cut) = cut {
                    self.start = cut;
                    return Some(start..cut);
                }
                keyed = true;
            } else if keyed && layer.kind.is_tunnel() {
                cut = Some(i + 1);
            }
        }
        self.start = self.layers.len();
        keyed.then_some(start..self.start)
    }
}

#[cfg(test)]
mod tests {
    use super::LayerKind::*;
    use super::{End, Layer, LayerKind, Layers};

    /// How many layers each part has: one begins where the one before ends.
    fn parts(kinds: &[LayerKind]) -> Vec<usize> {
        let mut layers = Layers::new();
        for (at, &kind) in kinds.iter().enumerate() {
            assert!(layers.put(at, Layer { start: 0, end: 0, header: 0, kind }));
        }
        layers.finish(kinds.len(), End::Nothing);
        layers.parts().map(|part| part.len()).collect()
    }

    #[test]
    fn what_is_no_tunnel_is_one_part() {
        assert_eq!(parts(&[Ethernet, Dot1Q, IPv4, TCP]), [4]);
        assert_eq!(parts(&[Ethernet, IPv4, IPv6, TCP]), [4]);
        assert_eq!(parts(&[Ethernet, IPv4, UDP, GTPv1U, IPv4, TCP]), [6]);
        assert_eq!(parts(&[Ethernet, PPPoE, PPP, IPv4]), [4]);
        assert_eq!(parts(&[Ethernet]), [1]);
    }

    #[test]
    fn a_tunnel_ends_a_part() {
        assert_eq!(parts(&[Ethernet, IPv4, UDP, VXLAN, Ethernet, IPv4, TCP]), [4, 3]);
        assert_eq!(parts(&[Ethernet, IPv4, GRE, IPv4, GRE, IPv6, GRE, Ethernet, ARP]), [3, 2, 2, 2]);
        assert_eq!(parts(&[Ethernet, MPLS, MPLS, MPLS, IPv4, UDP]), [4, 2]);
        assert_eq!(parts(&[Ethernet, IPv4, GRE, MPLS, MPLS, IPv4]), [5, 1]);
        assert_eq!(parts(&[Ethernet, IPv4, GRE, ERSPAN, Ethernet, IPv4]), [4, 2]);
        assert_eq!(parts(&[Ethernet, IPv4, UDP, L2TP, PPP, IPv4, TCP]), [4, 3]);
        assert_eq!(parts(&[Ethernet, IPv4, UDP, VXLANGPE, NSH, Ethernet, IPv4]), [4, 3]);
        assert_eq!(parts(&[Ethernet, IPv4, UDP, VXLANGPE, MPLS, IPv4]), [5, 1]);
    }

    #[test]
    fn a_part_without_addresses_stays_with_the_one_before() {
        assert_eq!(parts(&[Ethernet, IPv4, GRE, ARP]), [4]);
        assert_eq!(parts(&[Ethernet, IPv4, GRE, PPP]), [4]);
        assert_eq!(parts(&[Ethernet, IPv4, UDP, Geneve]), [4]);
        assert_eq!(parts(&[Ethernet, MPLS, MPLS]), [3]);
        assert_eq!(parts(&[PPP, MPLS, IPv4, TCP]), [4]);
        assert_eq!(parts(&[PPP, MPLS, IPv4, GRE, IPv6]), [4, 1]);
        assert_eq!(parts(&[LinuxSLL, ARP]), [0; 0]);
        assert_eq!(parts(&[]), [0; 0]);
    }

    #[test]
    fn reasons_are_named_in_order() {
        assert_eq!(End::NAMES[End::Truncated(TCP).index()], "truncated");
        assert_eq!(End::NAMES[End::TooDeep.index()], "too deep");
    }
}
