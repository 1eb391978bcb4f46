//! EtherTypes, the numbers of the IEEE registry that are decoded.

/// Below this the field is a length of 802.3.
pub const MIN: u16 = 0x0600;
/// Of SONMP, only behind SNAP.
pub const NORTEL_DISCOVERY: u16 = 0x01a2;
/// IPv4.
pub const IPV4: u16 = 0x0800;
/// ARP.
pub const ARP: u16 = 0x0806;
/// CDP, only behind SNAP.
pub const CISCO_DISCOVERY: u16 = 0x2000;
/// ERSPAN type III, in GRE.
pub const ERSPAN_III: u16 = 0x22eb;
/// Transparent Ethernet bridging: a whole frame.
pub const ETHERNET: u16 = 0x6558;
/// 802.1Q.
pub const VLAN: u16 = 0x8100;
/// IPv6.
pub const IPV6: u16 = 0x86dd;
/// PPP, in GRE version 1.
pub const PPP: u16 = 0x880b;
/// MPLS.
pub const MPLS: u16 = 0x8847;
/// MPLS with a label assigned upstream, formerly multicast.
pub const MPLS_UPSTREAM: u16 = 0x8848;
/// PPPoE, finding a session.
pub const PPPOE_DISCOVERY: u16 = 0x8863;
/// PPPoE, within a session.
pub const PPPOE_SESSION: u16 = 0x8864;
/// 802.1X.
pub const EAPOL: u16 = 0x888e;
/// 802.1ad.
pub const SERVICE_VLAN: u16 = 0x88a8;
/// ERSPAN types I and II, in GRE.
pub const ERSPAN: u16 = 0x88be;
/// LLDP.
pub const LLDP: u16 = 0x88cc;
/// NSH.
pub const NSH: u16 = 0x894f;
/// Configuration testing.
pub const CTP: u16 = 0x9000;
/// What outer tags had before 802.1ad.
pub const OLD_SERVICE_VLAN: u16 = 0x9100;
