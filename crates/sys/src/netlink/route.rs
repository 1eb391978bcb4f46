//! Routes (`struct rtmsg`): IPv4, IPv6 and MPLS.

use std::net::{IpAddr, Ipv4Addr, Ipv6Addr};

use super::attr::{Attr, Attrs, Tally, fixed};

/// Where a route leads to.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub enum Destination {
    /// Addresses under a prefix of so many bits; the default route has none.
    Ip(IpAddr, u8),
    /// Packets with this label on top.
    Mpls(u32),
}

/// One way a route can take.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct RouteHop {
    /// Next router, absent when the destination is on the link.
    pub gateway: Option<IpAddr>,
    /// Outgoing interface.
    pub index: Option<u32>,
    /// Weight among the ways, from 1.
    pub weight: u16,
    /// `RTNH_F_*`.
    pub flags: u8,
    /// Kind of light-weight tunnel, 0 for none ([`encap_type_name`]).
    pub encap_type: u16,
    /// Labels pushed (MPLS encapsulation), or put in place of the incoming one (MPLS route), outermost first.
    pub labels: Vec<u32>,
}

/// One route.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct RouteFacts {
    /// `AF_INET`, `AF_INET6` or `AF_MPLS`.
    pub family: u8,
    /// Table it is in.
    pub table: u32,
    /// Where it leads to.
    pub destination: Destination,
    /// `RTPROT_*`: who made it.
    pub protocol: u8,
    /// `RT_SCOPE_*`.
    pub scope: u8,
    /// `RTN_*`: unicast, local, broadcast, blackhole …
    pub kind: u8,
    /// Type of service it is for.
    pub tos: u8,
    /// Preferred source address.
    pub source: Option<IpAddr>,
    /// Metric; lower wins.
    pub priority: u32,
    /// Nexthop object it refers to.
    pub nexthop_id: Option<u32>,
    /// The ways; empty for blackholes and the like.
    pub hops: Vec<RouteHop>,
    /// Whether the message replaces a route (`NLM_F_REPLACE`); only notifications say so.
    pub replaces: bool,
}

impl RouteFacts {
    /// Whether both are entries for the same packets, of which a table can hold several.
    pub fn is_same_slot(&self, other: &Self) -> bool {
        self.family == other.family
            && self.table == other.table
            && self.destination == other.destination
            && self.tos == other.tos
            && self.priority == other.priority
    }
}

/// Name of a light-weight tunnel (`LWTUNNEL_ENCAP_*`).
pub fn encap_type_name(encap_type: u16) -> Option<&'static str> {
    const NAMES: [&str; 10] =
        ["mpls", "ip", "ila", "ip6", "seg6", "bpf", "seg6local", "rpl", "ioam6", "xfrm"];
    NAMES.get(usize::from(encap_type).checked_sub(1)?).copied()
}

const RTA_DST: u16 = 1;
const RTA_OIF: u16 = 4;
const RTA_GATEWAY: u16 = 5;
const RTA_PRIORITY: u16 = 6;
const RTA_PREFSRC: u16 = 7;
const RTA_MULTIPATH: u16 = 9;
const RTA_TABLE: u16 = 15;
const RTA_VIA: u16 = 18;
const RTA_NEWDST: u16 = 19;
const RTA_ENCAP_TYPE: u16 = 21;
const RTA_ENCAP: u16 = 22;
const RTA_NH_ID: u16 = 30;
const LWTUNNEL_ENCAP_MPLS: u16 = 1;
const MPLS_IPTUNNEL_DST: u16 = 1;
const RTM_F_CLONED: u32 = 0x200;
const NLM_F_REPLACE: u16 = 0x100;
const AF_MPLS: u8 = 28;

pub(super) fn parse(body: &[u8], flags: u16, tally: &Tally) -> Option<RouteFacts> {
    let [family, dst_len, _, tos, table, protocol, scope, kind] = fixed(body)?;
    if u32::from_ne_bytes(fixed(body.get(8..)?)?) & RTM_F_CLONED != 0 {
        return None;
    }
    let unspecified = match i32::from(family) {
        libc::AF_INET => Destination::Ip(IpAddr::V4(Ipv4Addr::UNSPECIFIED), dst_len),
        libc::AF_INET6 => Destination::Ip(IpAddr::V6(Ipv6Addr::UNSPECIFIED), dst_len),
        libc::AF_MPLS => Destination::Mpls(0),
        _ => return None,
    };
    let mut facts = RouteFacts {
        family,
        table: u32::from(table),
        destination: unspecified,
        protocol,
        scope,
        kind,
        tos,
        source: None,
        priority: 0,
        nexthop_id: None,
        hops: Vec::new(),
        replaces: flags & NLM_F_REPLACE != 0,
    };
    let mut single = RouteHop { weight: 1, ..RouteHop::default() };
    for attr in Attrs::new(body.get(12..)?, tally) {
        match attr.kind {
            RTA_DST if family == AF_MPLS => {
                facts.destination = Destination::Mpls(labels(attr.value).first().copied()?);
            }
            RTA_DST => facts.destination = Destination::Ip(attr.ip()?, dst_len),
            RTA_PRIORITY => facts.priority = attr.u32().unwrap_or_default(),
            RTA_PREFSRC => facts.source = attr.ip(),
            RTA_TABLE => facts.table = attr.u32().unwrap_or(facts.table),
            RTA_NH_ID => facts.nexthop_id = attr.u32(),
            RTA_MULTIPATH => multipath(attr.value, tally, &mut facts.hops),
            _ => read_hop(&attr, &mut single),
        }
    }
    if facts.hops.is_empty() && (single.index.is_some() || single.gateway.is_some()) {
        facts.hops.push(single);
    }
    Some(facts)
}

fn read_hop(attr: &Attr<'_>, hop: &mut RouteHop) {
    match attr.kind {
        RTA_OIF => hop.index = attr.u32(),
        RTA_GATEWAY => hop.gateway = attr.ip(),
        // struct rtvia: two bytes of family, then the address
        RTA_VIA => hop.gateway = attr.value.get(2..).and_then(super::attr::ip),
        RTA_NEWDST => hop.labels = labels(attr.value),
        // Type and content come in any order. What has the number of the labels in MPLS is something else in others:
        // an id, a list of segments.
        RTA_ENCAP_TYPE => {
            hop.encap_type = attr.u16().unwrap_or_default();
            if hop.encap_type != LWTUNNEL_ENCAP_MPLS {
                hop.labels.clear();
            }
        }
        RTA_ENCAP if matches!(hop.encap_type, 0 | LWTUNNEL_ENCAP_MPLS) => {
            if let Some(stack) = attr.nested().find(|a| a.kind == MPLS_IPTUNNEL_DST) {
                hop.labels = labels(stack.value);
            }
        }
        _ => {}
    }
}

/// `struct rtnexthop` one after the other, each with attributes.
fn multipath(mut bytes: &[u8], tally: &Tally, hops: &mut Vec<RouteHop>) {
    const HEADER: usize = 8;
    while let Some([len_low, len_high, flags, weight, i0, i1, i2, i3]) = fixed::<HEADER>(bytes) {
        let len = usize::from(u16::from_ne_bytes([len_low, len_high]));
        let Some(attrs) = bytes.get(HEADER..len) else {
            tally.count_malformed();
            return;
        };
        let index = u32::from_ne_bytes([i0, i1, i2, i3]);
        let mut hop = RouteHop {
            index: (index != 0).then_some(index),
            weight: u16::from(weight) + 1,
            flags,
            ..RouteHop::default()
        };
        for attr in Attrs::new(attrs, tally) {
            read_hop(&attr, &mut hop);
        }
        hops.push(hop);
        bytes = bytes.get(len.next_multiple_of(4)..).unwrap_or_default();
    }
}

/// A stack of MPLS labels: 20 bits each in 4 bytes of network order.
fn labels(bytes: &[u8]) -> Vec<u32> {
    bytes.chunks_exact(4).filter_map(fixed).map(|entry| u32::from_be_bytes(entry) >> 12).collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn multipath_with_labels() {
        #[rustfmt::skip]
        let body = [
            2, 24, 0, 0, 254, 4, 0, 1,  0, 0, 0, 0, // AF_INET /24 main static unicast
            8, 0, 1, 0, 10, 1, 2, 0,
            44, 0, 9, 0,
                16, 0, 0, 0, 3, 0, 0, 0,   8, 0, 5, 0, 10, 0, 0, 1,
                // weight 5, via 10.0.0.2, encapsulation without gateway
                24, 0, 0, 4, 4, 0, 0, 0,
                    6, 0, 21, 0, 1, 0, 0, 0,
                    8, 0, 22, 0, 4, 0, 9, 0, // an empty unknown attribute inside
        ];
        let tally = Tally::default();
        let route = parse(&body, 0, &tally).expect("a route");
        assert_eq!(route.destination, Destination::Ip("10.1.2.0".parse().expect("ip"), 24));
        assert_eq!(route.table, 254);
        assert_eq!(route.hops.len(), 2);
        assert_eq!(route.hops[0].gateway, Some("10.0.0.1".parse().expect("ip")));
        assert_eq!((route.hops[1].weight, route.hops[1].index, route.hops[1].encap_type), (5, Some(4), 1));
        assert_eq!(tally.malformed(), 0);
        assert_eq!(labels(&[0, 6, 0x41, 0, 0, 6, 0x50, 0]), [100, 101]);
    }

    #[test]
    fn only_mpls_pushes_labels() {
        for (encap_type, expected) in [(1, &[100][..]), (2, &[]), (5, &[]), (7, &[])] {
            let kind: [u8; 8] = [6, 0, 21, 0, encap_type, 0, 0, 0];
            let content: [u8; 12] = [12, 0, 22, 0, 8, 0, 1, 0, 0, 6, 0x41, 0];
            let index = [8, 0, 4, 0, 3, 0, 0, 0];
            // The kernel writes the content first.
            for encap in [[&content[..], &kind].concat(), [&kind[..], &content].concat()] {
                let mut body = vec![10, 64, 0, 0, 254, 4, 0, 1, 0, 0, 0, 0];
                body.extend(index);
                body.extend(encap);
                let route = parse(&body, 0, &Tally::default()).expect("a route");
                assert_eq!(route.hops[0].encap_type, u16::from(encap_type));
                assert_eq!(route.hops[0].labels, expected, "encapsulation {encap_type}");
            }
        }
    }
}
