//! The tree of a filter: what was written, with the qualifiers that each name has or inherits.

use std::net::Ipv6Addr;

/// A filter or a part of it.
#[derive(Debug)]
pub(super) enum Expr {
    /// Parts joined from left to right; `and` and `or` bind equally strong.
    Chain(Box<Expr>, Vec<(Joint, Expr)>),
    Not(Box<Expr>),
    /// An address, port or protocol number and what it is of.
    Named(Named),
    /// A protocol's name alone.
    Protocol {
        at: usize,
        protocol: Protocol,
    },
    Broadcast {
        at: usize,
        protocol: Option<Protocol>,
    },
    Multicast {
        at: usize,
        protocol: Option<Protocol>,
    },
    Relation {
        at: usize,
        left: Arithmetic,
        relation: Relation,
        right: Arithmetic,
    },
    /// `less N`
    AtMost(u32),
    /// `greater N`
    AtLeast(u32),
    /// A header that moves the offsets of what follows in the text, with its number if one is asked for.
    Tunnel {
        at: usize,
        tunnel: Tunnel,
        number: Option<u32>,
    },
    PppoeDiscovery {
        at: usize,
    },
    Sent {
        at: usize,
        way: Way,
    },
    Interface {
        at: usize,
        index: u32,
    },
    Llc {
        at: usize,
        frame: LlcFrame,
    },
}

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Joint {
    And,
    Or,
}

/// A name with its qualifiers.
#[derive(Debug)]
pub(super) struct Named {
    pub(super) at: usize,
    pub(super) qualifiers: Qualifiers,
    pub(super) name: Name,
}

#[derive(Clone, Copy, Debug)]
pub(super) struct Qualifiers {
    pub(super) protocol: Option<Protocol>,
    pub(super) direction: Direction,
    pub(super) kind: Kind,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Direction {
    /// None given; the same as either.
    Unsaid,
    Src,
    Dst,
    Either,
    Both,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Kind {
    Host,
    Net,
    Port,
    PortRange,
    Proto,
}

#[derive(Debug)]
pub(super) enum Name {
    Number(u32),
    Word(String),
    /// Two to four numbers with dots between them, left-justified, and how many bits they have.
    Dotted {
        address: u32,
        bits: u32,
    },
    /// The same with a mask.
    Masked {
        address: u32,
        mask: u32,
    },
    Ip6 {
        address: Ipv6Addr,
        bits: u32,
        prefix: bool,
    },
    Mac([u8; 6]),
}

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Tunnel {
    Vlan,
    Mpls,
    PppoeSession,
    Geneve,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Way {
    In,
    Out,
}

/// The control field of an LLC frame.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum LlcFrame {
    Any,
    Information,
    /// What remains of it under a mask.
    Control {
        value: u32,
        mask: u32,
    },
}

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Relation {
    Equal,
    NotEqual,
    Greater,
    GreaterOrEqual,
    Less,
    LessOrEqual,
}

#[derive(Debug)]
pub(super) enum Arithmetic {
    Number(u32),
    Length,
    Field { at: usize, protocol: Protocol, index: Box<Arithmetic>, size: Size },
    Negate(Box<Arithmetic>),
    Binary { at: usize, operator: Operator, left: Box<Arithmetic>, right: Box<Arithmetic> },
}

/// Bytes of a load.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub(super) enum Size {
    Word,
    Half,
    Byte,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub(super) enum Operator {
    Add,
    Sub,
    Mul,
    Div,
    Mod,
    And,
    Or,
    Xor,
    Shl,
    Shr,
}

/// What a keyword names as a protocol.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Protocol {
    Link,
    Ip,
    Ip6,
    Arp,
    Rarp,
    Sctp,
    Tcp,
    Udp,
    Icmp,
    Icmp6,
    Igmp,
    Igrp,
    Pim,
    Vrrp,
    Carp,
    Ah,
    Esp,
    Atalk,
    Aarp,
    Decnet,
    Lat,
    Sca,
    Mopdl,
    Moprc,
    Iso,
    Esis,
    Isis,
    Clnp,
    IsisL1,
    IsisL2,
    IsisIih,
    IsisLsp,
    IsisSnp,
    IsisCsnp,
    IsisPsnp,
    Stp,
    Ipx,
    Netbeui,
}
