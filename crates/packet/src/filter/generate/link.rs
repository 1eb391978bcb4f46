//! Link layers: where their fields are, and what tells the protocol of the payload.

use super::super::FilterError;
use super::super::condition::{Compare, ConditionId};
use super::super::syntax::{Direction, Operator, Size};
use super::super::value::Value;
use super::{Anchor, Generator, Headers, Offset};
use crate::LinkType;

/// Types of Ethernet, by which protocols are named for every link layer.
pub(super) mod ethertype {
    pub(in super::super) const IP: u32 = 0x0800;
    pub(in super::super) const ARP: u32 = 0x0806;
    pub(in super::super) const RARP: u32 = 0x8035;
    pub(in super::super) const IP6: u32 = 0x86dd;
    pub(in super::super) const ATALK: u32 = 0x809b;
    pub(in super::super) const AARP: u32 = 0x80f3;
    pub(in super::super) const IPX: u32 = 0x8137;
    pub(in super::super) const MOPDL: u32 = 0x6001;
    pub(in super::super) const MOPRC: u32 = 0x6002;
    pub(in super::super) const DECNET: u32 = 0x6003;
    pub(in super::super) const LAT: u32 = 0x6004;
    pub(in super::super) const SCA: u32 = 0x6007;
    pub(in super::super) const NS: u32 = 0x0600;
    /// An Ethernet frame, in Geneve.
    pub(in super::super) const BRIDGED: u32 = 0x6558;
    pub(in super::super) const VLAN: u32 = 0x8100;
    pub(in super::super) const VLAN_AD: u32 = 0x88a8;
    pub(in super::super) const VLAN_QINQ: u32 = 0x9100;
    pub(in super::super) const MPLS: u32 = 0x8847;
    pub(in super::super) const PPPOE_DISCOVERY: u32 = 0x8863;
    pub(in super::super) const PPPOE_SESSION: u32 = 0x8864;
    /// The greatest number that is a length instead of a type.
    pub(in super::super) const MAX_LENGTH: u32 = 1500;
}

/// Service access points of LLC.
pub(super) mod sap {
    pub(in super::super) const IP: u32 = 0x06;
    pub(in super::super) const STP: u32 = 0x42;
    pub(in super::super) const IPX: u32 = 0xe0;
    pub(in super::super) const NETBEUI: u32 = 0xf0;
    pub(in super::super) const OSI: u32 = 0xfe;
}

/// Protocols of PPP.
mod ppp {
    pub(super) const IP: u32 = 0x0021;
    pub(super) const OSI: u32 = 0x0023;
    pub(super) const NS: u32 = 0x0025;
    pub(super) const DECNET: u32 = 0x0027;
    pub(super) const APPLE: u32 = 0x0029;
    pub(super) const IPX: u32 = 0x002b;
    pub(super) const BRIDGE: u32 = 0x0031;
    pub(super) const IP6: u32 = 0x0057;
}

/// Link layers that filters know.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Link {
    Ethernet,
    /// IPv4 or IPv6 by the version.
    Ip,
    Ip4,
    Ip6,
    /// An address family in the byte order of whoever wrote it.
    Null,
    Loop,
    Cooked,
    Cooked2,
    Ppp,
    /// PPP with serial framing or behind a PPPoE header, which have no MPLS here.
    PppPlain,
}

impl Link {
    pub(super) fn name(self) -> &'static str {
        match self {
            Link::Ethernet => "Ethernet",
            Link::Ip => "raw IP",
            Link::Ip4 => "raw IPv4",
            Link::Ip6 => "raw IPv6",
            Link::Null | Link::Loop => "BSD loopback",
            Link::Cooked => "Linux cooked capture",
            Link::Cooked2 => "Linux cooked capture 2",
            Link::Ppp | Link::PppPlain => "PPP",
        }
    }
}

/// The headers of a packet as captured, by its number in tcpdump.org's registry.
pub(super) fn outermost(link: LinkType) -> Option<Headers> {
    // Offsets of the type and the payload; layers without a type never read it.
    let (link, kind, payload) = match link.0 {
        0 => (Link::Null, 0, 4),
        1 => (Link::Ethernet, 12, 14),
        9 => (Link::Ppp, 2, 4),
        50 => (Link::PppPlain, 2, 4),
        51 => (Link::PppPlain, 6, 8),
        // 12 and 14 are raw IP as some systems have written it.
        12 | 14 | 101 => (Link::Ip, 0, 0),
        108 => (Link::Loop, 0, 4),
        113 => (Link::Cooked, 14, 16),
        228 => (Link::Ip4, 0, 0),
        229 => (Link::Ip6, 0, 0),
        276 => (Link::Cooked2, 0, 20),
        _ => return None,
    };
    let at = |constant| Offset { variable: None, constant };
    Some(Headers {
        link,
        start: at(0),
        kind: at(kind),
        payload: at(payload),
        network: 0,
        network_no_snap: if link == Link::Ethernet { 3 } else { 0 },
        labels: 0,
        geneve: false,
    })
}

impl Generator {
    /// Whether the payload is of a protocol, which is named by Ethernet's type or, below 1501, by an access point of LLC.
    pub(super) fn link_type(&mut self, at: usize, protocol: u32) -> Result<ConditionId, FilterError> {
        if self.headers.labels > 0 {
            return self.under_label(at, protocol);
        }
        Ok(match self.headers.link {
            Link::Ethernet => self.ethernet_type(protocol),
            Link::Cooked => self.cooked_type(protocol),
            Link::Cooked2 => self.equal(Anchor::Kind, 0, Size::Half, protocol),
            Link::Ip => match protocol {
                ethertype::IP => self.masked(Anchor::Link, 0, Size::Byte, 0x40, 0xf0),
                ethertype::IP6 => self.masked(Anchor::Link, 0, Size::Byte, 0x60, 0xf0),
                _ => self.conditions.always(false),
            },
            Link::Ip4 => self.conditions.always(protocol == ethertype::IP),
            Link::Ip6 => self.conditions.always(protocol == ethertype::IP6),
            Link::Null | Link::Loop => match protocol {
                ethertype::IP => self.family(&[2]),
                // NetBSD and OpenBSD, FreeBSD, macOS: each has its own number.
                ethertype::IP6 => self.family(&[30, 24, 28]),
                _ => self.conditions.always(false),
            },
            Link::Ppp | Link::PppPlain => {
                let protocol = match protocol {
                    ethertype::IP => ppp::IP,
                    ethertype::IP6 => ppp::IP6,
                    ethertype::DECNET => ppp::DECNET,
                    ethertype::ATALK => ppp::APPLE,
                    ethertype::NS => ppp::NS,
                    sap::OSI => ppp::OSI,
                    sap::STP => ppp::BRIDGE,
                    sap::IPX => ppp::IPX,
                    other => other,
                };
                self.equal(Anchor::Kind, 0, Size::Half, protocol)
            }
        })
    }

    /// IPv4 or IPv6 behind the last label of a stack.
    fn under_label(&mut self, at: usize, protocol: u32) -> Result<ConditionId, FilterError> {
        let version = match protocol {
            ethertype::IP => 0x40,
            ethertype::IP6 => 0x60,
            _ => return Err(FilterError::new(at, "behind `mpls` only IPv4 and IPv6 can be told")),
        };
        let bottom = self.masked(Anchor::Label, 2, Size::Byte, 1, 1);
        let version = self.masked(Anchor::Network, 0, Size::Byte, version, 0xf0);
        Ok(self.conditions.and(bottom, version))
    }

    /// An 802.3 frame: a length where the type would be.
    pub(super) fn length_field(&mut self) -> ConditionId {
        let is_type = self.field(Anchor::Kind, 0, Size::Half, Compare::Greater, ethertype::MAX_LENGTH);
        self.conditions.not(is_type)
    }

    fn ethernet_type(&mut self, protocol: u32) -> ConditionId {
        match protocol {
            sap::OSI | sap::IP | sap::NETBEUI => {
                let length = self.length_field();
                let both = self.equal(Anchor::Llc, 0, Size::Half, protocol << 8 | protocol);
                self.conditions.and(length, both)
            }
            sap::IPX => {
                // Ethernet II; or of 802.3: SNAP, LLC, or nothing but the payload, which begins with ones.
                let ethernet = self.equal(Anchor::Kind, 0, Size::Half, ethertype::IPX);
                let length = self.length_field();
                let snap = self.snap(0, ethertype::IPX);
                let llc = self.equal(Anchor::Llc, 0, Size::Byte, sap::IPX);
                let bare = self.equal(Anchor::Llc, 0, Size::Half, 0xffff);
                let any = self.any([snap, llc, bare]);
                let any = self.conditions.and(length, any);
                self.conditions.or(ethernet, any)
            }
            ethertype::ATALK | ethertype::AARP => {
                let ethernet = self.equal(Anchor::Kind, 0, Size::Half, protocol);
                let length = self.length_field();
                let snap = self.snap(apple_organization(protocol), protocol);
                let snap = self.conditions.and(length, snap);
                self.conditions.or(ethernet, snap)
            }
            0..=ethertype::MAX_LENGTH => {
                let length = self.length_field();
                let destination = self.equal(Anchor::Kind, 2, Size::Byte, protocol);
                self.conditions.and(length, destination)
            }
            _ => self.equal(Anchor::Kind, 0, Size::Half, protocol),
        }
    }

    fn cooked_type(&mut self, protocol: u32) -> ConditionId {
        /// Stand where the type is in frames of 802.3.
        const LINUX_802_3: u32 = 0x0001;
        const LINUX_802_2: u32 = 0x0004;
        match protocol {
            sap::OSI | sap::IP | sap::NETBEUI => {
                let llc = self.equal(Anchor::Kind, 0, Size::Half, LINUX_802_2);
                let both = self.equal(Anchor::Llc, 0, Size::Half, protocol << 8 | protocol);
                self.conditions.and(llc, both)
            }
            sap::IPX => {
                let ethernet = self.equal(Anchor::Kind, 0, Size::Half, ethertype::IPX);
                let bare = self.equal(Anchor::Kind, 0, Size::Half, LINUX_802_3);
                let llc = self.equal(Anchor::Kind, 0, Size::Half, LINUX_802_2);
                let destination = self.equal(Anchor::Llc, 0, Size::Byte, sap::IPX);
                let snap = self.snap(0, ethertype::IPX);
                let either = self.conditions.or(destination, snap);
                let llc = self.conditions.and(llc, either);
                self.any([ethernet, bare, llc])
            }
            ethertype::ATALK | ethertype::AARP => {
                let ethernet = self.equal(Anchor::Kind, 0, Size::Half, protocol);
                let llc = self.equal(Anchor::Kind, 0, Size::Half, LINUX_802_2);
                let snap = self.snap(apple_organization(protocol), protocol);
                let snap = self.conditions.and(llc, snap);
                self.conditions.or(ethernet, snap)
            }
            0..=ethertype::MAX_LENGTH => {
                let llc = self.equal(Anchor::Kind, 0, Size::Half, LINUX_802_2);
                let destination = self.equal(Anchor::Llc, 0, Size::Byte, protocol);
                self.conditions.and(llc, destination)
            }
            _ => self.equal(Anchor::Kind, 0, Size::Half, protocol),
        }
    }

    /// LLC and SNAP headers with an organization and a protocol.
    fn snap(&mut self, organization: u32, protocol: u32) -> ConditionId {
        let low = self.equal(Anchor::Llc, 4, Size::Word, organization << 16 | protocol);
        let high = self.equal(Anchor::Llc, 0, Size::Word, 0xaaaa_0300 | organization >> 16);
        self.conditions.and(low, high)
    }

    /// One of some address families of BSD's loopback.
    fn family(&mut self, families: &[u32]) -> ConditionId {
        let mut value = self.load(Anchor::Link, 0, Size::Word);
        if self.headers.link == Link::Null {
            // Whoever wrote the header used his own byte order, of which the packet says nothing. Families fit a byte: the
            // first or the last one, and the other is 0.
            let by = self.values.number(24);
            let first = self.values.keep(Value::Binary(Operator::Shr, value, by));
            let rest = self.masked_value(value, 0x00ff_ffff);
            value = self.values.keep(Value::Binary(Operator::Or, first, rest));
        }
        let mut any = self.conditions.always(false);
        for family in families {
            let one = self.compare(value, Compare::Equal, *family);
            any = self.conditions.or(any, one);
        }
        any
    }

    pub(super) fn needs_ethernet(&self, at: usize, what: &str) -> Result<(), FilterError> {
        match self.headers.link {
            Link::Ethernet => Ok(()),
            link => {
                Err(FilterError::new(at, format!("{what} needs Ethernet, packets are of {}", link.name())))
            }
        }
    }

    /// An Ethernet address as source, destination or either.
    pub(super) fn mac(
        &mut self,
        at: usize,
        direction: Direction,
        mac: [u8; 6],
    ) -> Result<ConditionId, FilterError> {
        self.needs_ethernet(at, "an Ethernet address")?;
        let inner = self.inner_frame();
        let address = self.both_ways(direction, |generator, source| {
            let offset = if source { 6 } else { 0 };
            let [first, second, rest @ ..] = mac;
            let low = generator.equal(Anchor::Link, offset + 2, Size::Word, u32::from_be_bytes(rest));
            let high = u16::from_be_bytes([first, second]);
            let high = generator.equal(Anchor::Link, offset, Size::Half, high.into());
            generator.conditions.and(low, high)
        });
        Ok(self.conditions.and(inner, address))
    }

    /// A condition on the source, the destination, both or either; told whether it is of the source.
    pub(super) fn both_ways(
        &mut self,
        direction: Direction,
        mut of: impl FnMut(&mut Self, bool) -> ConditionId,
    ) -> ConditionId {
        match direction {
            Direction::Src => of(self, true),
            Direction::Dst => of(self, false),
            Direction::Unsaid | Direction::Either => {
                let source = of(self, true);
                let destination = of(self, false);
                self.conditions.or(source, destination)
            }
            Direction::Both => {
                let source = of(self, true);
                let destination = of(self, false);
                self.conditions.and(source, destination)
            }
        }
    }
}

/// The organization in the SNAP header of AppleTalk's two protocols.
fn apple_organization(protocol: u32) -> u32 {
    if protocol == ethertype::ATALK { 0x080007 } else { 0 }
}
