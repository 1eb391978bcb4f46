//! The tree of a filter to conditions, for one link type, with libpcap's meaning.
//!
//! The state that makes the order of the text matter is [`Headers`]: where the link layer, the field with the type of its
//! payload, and the payload begin. Tunnels move it for all that stands to the right of them.

mod link;
mod named;
mod number;
mod tunnel;

use super::FilterError;
use super::condition::{Compare, ConditionId, Conditions};
use super::syntax::{Expr, Joint, LlcFrame, Operator, Protocol, Size, Way};
use super::value::{Value, ValueId, Values};
use crate::LinkType;

use link::{Link, ethertype};

/// Conditions of a filter before it is called too long; a port makes about thirty.
const MAX_CONDITIONS: usize = 1 << 17;
/// Slots of scratch memory.
const SLOTS: u8 = 16;

const ISIS: u32 = 0x83;

/// What a filter asks, and of which values.
#[derive(Debug)]
pub(super) struct Generated {
    pub(super) values: Values,
    pub(super) conditions: Conditions,
    pub(super) root: ConditionId,
    /// The first slot that no tunnel uses.
    pub(super) first_free_slot: u8,
}

pub(super) fn generate(expr: &Expr, link: LinkType) -> Result<Generated, FilterError> {
    let mut generator = Generator::new(link)?;
    let root = generator.expr(expr)?;
    Ok(generator.finish(root))
}

/// The empty filter.
pub(super) fn everything(link: LinkType) -> Result<Generated, FilterError> {
    let mut generator = Generator::new(link)?;
    let root = generator.conditions.always(true);
    Ok(generator.finish(root))
}

/// An offset in the packet: a constant, or one behind what a slot holds.
#[derive(Clone, Copy, Debug)]
struct Offset {
    variable: Option<ValueId>,
    constant: u32,
}

/// Where headers are, as far as the text has been read.
#[derive(Clone, Copy, Debug)]
struct Headers {
    link: Link,
    start: Offset,
    /// The field that says what the payload is.
    kind: Offset,
    payload: Offset,
    /// Bytes of payload before the network header: labels of MPLS.
    network: u32,
    /// The same in frames with LLC but no SNAP header.
    network_no_snap: u32,
    labels: u32,
    geneve: bool,
}

/// What an offset counts from.
#[derive(Clone, Copy, Debug)]
enum Anchor {
    /// The header of the link layer.
    Link,
    /// The type of its payload.
    Kind,
    /// The payload, where LLC begins if there is any.
    Llc,
    /// The network header.
    Network,
    NetworkNoSnap,
    /// The label before the network header.
    Label,
    /// What follows an IPv4 header.
    Transport4,
    /// What follows a bare IPv6 header.
    Transport6,
}

struct Generator {
    values: Values,
    conditions: Conditions,
    headers: Headers,
    /// Slots that tunnels use.
    slots: u8,
    /// Slots that arithmetic uses while it runs.
    spills: u8,
    tunnels: u8,
}

impl Generator {
    fn new(link: LinkType) -> Result<Generator, FilterError> {
        let Some(headers) = link::outermost(link) else {
            return Err(FilterError::new(0, format!("packets of link type {} cannot be filtered", link.0)));
        };
        Ok(Generator {
            values: Values::default(),
            conditions: Conditions::default(),
            headers,
            slots: 0,
            spills: 0,
            tunnels: 0,
        })
    }

    fn finish(self, root: ConditionId) -> Generated {
        Generated { values: self.values, conditions: self.conditions, root, first_free_slot: self.slots }
    }

    fn expr(&mut self, expr: &Expr) -> Result<ConditionId, FilterError> {
        match expr {
            Expr::Chain(first, rest) => {
                let mut joined = self.expr(first)?;
                for (joint, expr) in rest {
                    let next = self.expr(expr)?;
                    joined = match joint {
                        Joint::And => self.conditions.and(joined, next),
                        Joint::Or => self.conditions.or(joined, next),
                    };
                }
                Ok(joined)
            }
            Expr::Not(of) => {
                let of = self.expr(of)?;
                Ok(self.conditions.not(of))
            }
            Expr::Named(named) => self.named(named).and_then(|made| self.bounded(named.at, made)),
            Expr::Protocol { at, protocol } => {
                self.protocol(*at, *protocol).and_then(|made| self.bounded(*at, made))
            }
            Expr::Broadcast { at, protocol } => self.broadcast(*at, *protocol),
            Expr::Multicast { at, protocol } => self.multicast(*at, *protocol),
            Expr::Relation { at, left, relation, right } => self.relation(*at, left, *relation, right),
            Expr::AtMost(len) => {
                let longer = self.length(Compare::Greater, *len);
                Ok(self.conditions.not(longer))
            }
            Expr::AtLeast(len) => Ok(self.length(Compare::GreaterOrEqual, *len)),
            Expr::Tunnel { at, tunnel, number } => self.tunnel(*at, *tunnel, *number),
            Expr::PppoeDiscovery { at } => self.link_type(*at, ethertype::PPPOE_DISCOVERY),
            Expr::Sent { at, way } => self.sent(*at, *way),
            Expr::Interface { at, index } => match self.headers.link {
                Link::Cooked2 => Ok(self.equal(Anchor::Link, 4, Size::Word, *index)),
                link => Err(FilterError::new(*at, format!("`ifindex` is not in packets of {}", link.name()))),
            },
            Expr::Llc { at, frame } => self.llc(*at, *frame),
        }
    }

    fn bounded(&self, at: usize, made: ConditionId) -> Result<ConditionId, FilterError> {
        if self.conditions.len() > MAX_CONDITIONS {
            return Err(FilterError::new(at, "the filter is too long from here on"));
        }
        Ok(made)
    }

    fn length(&mut self, compare: Compare, len: u32) -> ConditionId {
        let value = self.values.keep(Value::Length);
        self.compare(value, compare, len)
    }

    fn compare(&mut self, value: ValueId, compare: Compare, with: u32) -> ConditionId {
        let with = self.values.number(with);
        self.conditions.test(&self.values, value, compare, with)
    }

    /// The field at an offset from a header.
    fn load(&mut self, anchor: Anchor, offset: u32, size: Size) -> ValueId {
        let Headers { start, kind, payload, network, network_no_snap, .. } = self.headers;
        let (from, add) = match anchor {
            Anchor::Link => (start, 0),
            Anchor::Kind => (kind, 0),
            Anchor::Llc => (payload, 0),
            Anchor::Network => (payload, network),
            Anchor::NetworkNoSnap => (payload, network_no_snap),
            Anchor::Label => (payload, network.wrapping_sub(4)),
            Anchor::Transport6 => (payload, network.wrapping_add(40)),
            Anchor::Transport4 => {
                let header = self.ip4_header();
                let at = payload.constant.wrapping_add(network).wrapping_add(offset);
                return self.values.load(Some(header), at, size);
            }
        };
        let at = from.constant.wrapping_add(add).wrapping_add(offset);
        self.values.load(from.variable, at, size)
    }

    /// Bytes of the IPv4 header, and of what a slot holds of the offset of the payload.
    fn ip4_header(&mut self) -> ValueId {
        let Headers { payload, network, .. } = self.headers;
        let at = payload.constant.wrapping_add(network);
        let Some(variable) = payload.variable else { return self.values.keep(Value::Ip4Header(at)) };
        let first = self.values.load(Some(variable), at, Size::Byte);
        let words = self.masked_value(first, 0xf);
        let two = self.values.number(2);
        let bytes = self.values.keep(Value::Binary(Operator::Shl, words, two));
        self.values.keep(Value::Binary(Operator::Add, bytes, variable))
    }

    fn masked_value(&mut self, value: ValueId, mask: u32) -> ValueId {
        let mask = self.values.number(mask);
        self.values.binary(Operator::And, value, mask).unwrap_or(value)
    }

    fn equal(&mut self, anchor: Anchor, offset: u32, size: Size, value: u32) -> ConditionId {
        self.field(anchor, offset, size, Compare::Equal, value)
    }

    fn field(&mut self, anchor: Anchor, offset: u32, size: Size, compare: Compare, with: u32) -> ConditionId {
        let value = self.load(anchor, offset, size);
        self.compare(value, compare, with)
    }

    /// Whether a field is equal to a value under a mask.
    fn masked(&mut self, anchor: Anchor, offset: u32, size: Size, value: u32, mask: u32) -> ConditionId {
        let field = self.load(anchor, offset, size);
        let field = self.masked_value(field, mask);
        self.compare(field, Compare::Equal, value)
    }

    fn all<const N: usize>(&mut self, conditions: [ConditionId; N]) -> ConditionId {
        let start = self.conditions.always(true);
        conditions.into_iter().fold(start, |all, one| self.conditions.and(all, one))
    }

    fn any<const N: usize>(&mut self, conditions: [ConditionId; N]) -> ConditionId {
        let start = self.conditions.always(false);
        conditions.into_iter().fold(start, |any, one| self.conditions.or(any, one))
    }

    fn protocol(&mut self, at: usize, protocol: Protocol) -> Result<ConditionId, FilterError> {
        let link_type = match protocol {
            Protocol::Ip => ethertype::IP,
            Protocol::Ip6 => ethertype::IP6,
            Protocol::Arp => ethertype::ARP,
            Protocol::Rarp => ethertype::RARP,
            Protocol::Atalk => ethertype::ATALK,
            Protocol::Aarp => ethertype::AARP,
            Protocol::Decnet => ethertype::DECNET,
            Protocol::Sca => ethertype::SCA,
            Protocol::Lat => ethertype::LAT,
            Protocol::Mopdl => ethertype::MOPDL,
            Protocol::Moprc => ethertype::MOPRC,
            Protocol::Iso => link::sap::OSI,
            Protocol::Stp => link::sap::STP,
            Protocol::Ipx => link::sap::IPX,
            Protocol::Netbeui => link::sap::NETBEUI,
            Protocol::Tcp => return self.ip_protocol(at, super::name::TCP),
            Protocol::Udp => return self.ip_protocol(at, super::name::UDP),
            Protocol::Sctp => return self.ip_protocol(at, super::name::SCTP),
            Protocol::Pim => return self.ip_protocol(at, 103),
            Protocol::Ah => return self.ip_protocol(at, 51),
            Protocol::Esp => return self.ip_protocol(at, 50),
            Protocol::Icmp => return self.ip4_protocol(at, 1),
            Protocol::Igmp => return self.ip4_protocol(at, 2),
            Protocol::Igrp => return self.ip4_protocol(at, 9),
            Protocol::Vrrp | Protocol::Carp => return self.ip4_protocol(at, 112),
            Protocol::Icmp6 => return self.ip6_protocol(at, 58),
            Protocol::Clnp => return self.osi_protocol(at, 0x81),
            Protocol::Esis => return self.osi_protocol(at, 0x82),
            Protocol::Isis => return self.osi_protocol(at, ISIS),
            Protocol::IsisL1 => return self.isis_kinds(at, &[26, 24, 18, 17, 15]),
            Protocol::IsisL2 => return self.isis_kinds(at, &[27, 25, 20, 17, 16]),
            Protocol::IsisIih => return self.isis_kinds(at, &[17, 15, 16]),
            Protocol::IsisLsp => return self.isis_kinds(at, &[18, 20]),
            Protocol::IsisSnp => return self.isis_kinds(at, &[27, 26, 24, 25]),
            Protocol::IsisCsnp => return self.isis_kinds(at, &[24, 25]),
            Protocol::IsisPsnp => return self.isis_kinds(at, &[26, 27]),
            Protocol::Link => {
                return Err(FilterError::new(
                    at,
                    "the link layer alone is no condition; add `host`, `proto` or `[`",
                ));
            }
        };
        self.link_type(at, link_type)
    }

    /// IPv4 or IPv6 with a protocol number.
    fn ip_protocol(&mut self, at: usize, number: u32) -> Result<ConditionId, FilterError> {
        let ip4 = self.ip4_protocol(at, number)?;
        let ip6 = self.ip6_protocol(at, number)?;
        Ok(self.conditions.or(ip4, ip6))
    }

    fn ip4_protocol(&mut self, at: usize, number: u32) -> Result<ConditionId, FilterError> {
        let ip = self.link_type(at, ethertype::IP)?;
        let protocol = self.equal(Anchor::Network, 9, Size::Byte, number);
        Ok(self.conditions.and(ip, protocol))
    }

    /// The next header of IPv6, or that of a fragment header behind it.
    fn ip6_protocol(&mut self, at: usize, number: u32) -> Result<ConditionId, FilterError> {
        const FRAGMENT: u32 = 44;
        let ip6 = self.link_type(at, ethertype::IP6)?;
        let direct = self.equal(Anchor::Network, 6, Size::Byte, number);
        let fragment = self.equal(Anchor::Network, 6, Size::Byte, FRAGMENT);
        let behind = self.equal(Anchor::Network, 40, Size::Byte, number);
        let fragment = self.conditions.and(fragment, behind);
        let either = self.conditions.or(direct, fragment);
        Ok(self.conditions.and(ip6, either))
    }

    fn osi_protocol(&mut self, at: usize, number: u32) -> Result<ConditionId, FilterError> {
        let osi = self.link_type(at, link::sap::OSI)?;
        let protocol = self.equal(Anchor::NetworkNoSnap, 0, Size::Byte, number);
        Ok(self.conditions.and(osi, protocol))
    }

    /// IS-IS with a type of PDU.
    fn isis_kind(&mut self, at: usize, kind: u32) -> Result<ConditionId, FilterError> {
        let isis = self.osi_protocol(at, ISIS)?;
        let kind = self.equal(Anchor::NetworkNoSnap, 4, Size::Byte, kind);
        Ok(self.conditions.and(isis, kind))
    }

    fn isis_kinds(&mut self, at: usize, kinds: &[u32]) -> Result<ConditionId, FilterError> {
        let mut any = self.conditions.always(false);
        for kind in kinds {
            let one = self.isis_kind(at, *kind)?;
            any = self.conditions.or(any, one);
        }
        Ok(any)
    }

    /// Not a fragment of IPv4 other than the first.
    fn first_fragment(&mut self) -> ConditionId {
        self.masked(Anchor::Network, 6, Size::Half, 0, 0x1fff)
    }

    fn broadcast(&mut self, at: usize, protocol: Option<Protocol>) -> Result<ConditionId, FilterError> {
        match protocol {
            None | Some(Protocol::Link) => self.mac(at, super::syntax::Direction::Dst, [0xff; 6]),
            Some(Protocol::Ip) => {
                // A file has no netmask: every bit counts as the host's.
                let ip = self.link_type(at, ethertype::IP)?;
                let zeroes = self.equal(Anchor::Network, 16, Size::Word, 0);
                let ones = self.equal(Anchor::Network, 16, Size::Word, u32::MAX);
                let either = self.conditions.or(zeroes, ones);
                Ok(self.conditions.and(ip, either))
            }
            Some(_) => Err(FilterError::new(at, "`broadcast` is of `ether` or `ip` only")),
        }
    }

    fn multicast(&mut self, at: usize, protocol: Option<Protocol>) -> Result<ConditionId, FilterError> {
        match protocol {
            None | Some(Protocol::Link) => {
                self.needs_ethernet(at, "`multicast`")?;
                let inner = self.inner_frame();
                let first = self.load(Anchor::Link, 0, Size::Byte);
                let first = self.masked_value(first, 1);
                let group = self.compare(first, Compare::Equal, 1);
                Ok(self.conditions.and(inner, group))
            }
            Some(Protocol::Ip) => {
                let ip = self.link_type(at, ethertype::IP)?;
                let group = self.field(Anchor::Network, 16, Size::Byte, Compare::GreaterOrEqual, 224);
                Ok(self.conditions.and(ip, group))
            }
            Some(Protocol::Ip6) => {
                let ip6 = self.link_type(at, ethertype::IP6)?;
                let group = self.equal(Anchor::Network, 24, Size::Byte, 255);
                Ok(self.conditions.and(ip6, group))
            }
            Some(_) => Err(FilterError::new(at, "`multicast` is of `ether`, `ip` or `ip6` only")),
        }
    }

    fn sent(&mut self, at: usize, way: Way) -> Result<ConditionId, FilterError> {
        const OUTGOING: u32 = 4;
        let out = match self.headers.link {
            Link::Cooked => self.equal(Anchor::Link, 0, Size::Half, OUTGOING),
            Link::Cooked2 => self.equal(Anchor::Link, 10, Size::Byte, OUTGOING),
            link => {
                let why =
                    format!("packets of {} do not tell whether they were sent or received", link.name());
                return Err(FilterError::new(at, why));
            }
        };
        Ok(if way == Way::Out { out } else { self.conditions.not(out) })
    }

    fn llc(&mut self, at: usize, frame: LlcFrame) -> Result<ConditionId, FilterError> {
        self.needs_ethernet(at, "`llc`")?;
        let length = self.length_field();
        let novell = self.equal(Anchor::Llc, 0, Size::Half, 0xffff);
        let not_novell = self.conditions.not(novell);
        let llc = self.conditions.and(length, not_novell);
        let (value, mask) = match frame {
            LlcFrame::Any => return Ok(llc),
            LlcFrame::Information => (0, 0x01),
            LlcFrame::Control { value, mask } => (value, mask),
        };
        let control = self.masked(Anchor::Llc, 2, Size::Byte, value, mask);
        Ok(self.conditions.and(llc, control))
    }
}
