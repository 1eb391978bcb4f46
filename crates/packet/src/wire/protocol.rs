//! IP protocol numbers, those of the IANA registry that are decoded.

/// IPv6 hop-by-hop options.
pub const HOP_BY_HOP: u8 = 0;
/// ICMPv4.
pub const ICMPV4: u8 = 1;
/// IGMP.
pub const IGMP: u8 = 2;
/// IPv4 in IP.
pub const IPV4: u8 = 4;
/// TCP.
pub const TCP: u8 = 6;
/// UDP.
pub const UDP: u8 = 17;
/// RUDP.
pub const RUDP: u8 = 27;
/// IPv6 in IP.
pub const IPV6: u8 = 41;
/// IPv6 routing header.
pub const ROUTING: u8 = 43;
/// IPv6 fragment header.
pub const FRAGMENT: u8 = 44;
/// GRE.
pub const GRE: u8 = 47;
/// IPsec encrypted payload.
pub const ESP: u8 = 50;
/// IPsec authentication header.
pub const AH: u8 = 51;
/// ICMPv6.
pub const ICMPV6: u8 = 58;
/// Nothing follows.
pub const NONE: u8 = 59;
/// IPv6 destination options.
pub const DESTINATION: u8 = 60;
/// OSPF.
pub const OSPF: u8 = 89;
/// IPv4 in IP, the older KA9Q number.
pub const IPIP: u8 = 94;
/// Ethernet in IP.
pub const ETHERIP: u8 = 97;
/// VRRP.
pub const VRRP: u8 = 112;
/// L2TP version 3.
pub const L2TP: u8 = 115;
/// SCTP.
pub const SCTP: u8 = 132;
/// UDP-Lite.
pub const UDPLITE: u8 = 136;
/// MPLS in IP.
pub const MPLS: u8 = 137;
