//! Which number means which kind.

use super::Next;
use crate::layer::{End, LayerKind};
use crate::wire::udp::port;
use crate::wire::{ethertype, protocol, vxlan};

/// What an EtherType announces. Lengths of 802.3 are the caller's.
#[inline]
pub(super) fn by_ethertype(number: u16) -> Next {
    Ok(match number {
        ethertype::IPV4 => LayerKind::IPv4,
        ethertype::IPV6 => LayerKind::IPv6,
        ethertype::ARP => LayerKind::ARP,
        ethertype::VLAN | ethertype::SERVICE_VLAN | ethertype::OLD_SERVICE_VLAN => LayerKind::Dot1Q,
        ethertype::MPLS | ethertype::MPLS_UPSTREAM => LayerKind::MPLS,
        ethertype::ETHERNET => LayerKind::Ethernet,
        ethertype::PPP => LayerKind::PPP,
        ethertype::PPPOE_DISCOVERY | ethertype::PPPOE_SESSION => LayerKind::PPPoE,
        ethertype::EAPOL => LayerKind::EAPOL,
        ethertype::LLDP => LayerKind::LinkLayerDiscovery,
        ethertype::ERSPAN | ethertype::ERSPAN_III => LayerKind::ERSPAN,
        ethertype::NSH => LayerKind::NSH,
        ethertype::CISCO_DISCOVERY => LayerKind::CiscoDiscovery,
        ethertype::NORTEL_DISCOVERY => LayerKind::NortelDiscovery,
        ethertype::CTP => LayerKind::EthernetCTP,
        _ => return Err(End::Unsupported),
    })
}

/// What each IP protocol number announces.
static PROTOCOLS: [Next; 256] = {
    let mut table = [Err(End::Unsupported); 256];
    let mut rest = table.as_mut_slice();
    let mut number = 0;
    while let Some((entry, behind)) = rest.split_first_mut() {
        *entry = protocol_kind(number);
        number = number.wrapping_add(1);
        rest = behind;
    }
    table
};

/// What an IP protocol number announces, of either version.
#[inline]
pub(super) fn by_protocol(number: u8) -> Next {
    PROTOCOLS.get(usize::from(number)).copied().unwrap_or(Err(End::Unsupported))
}

const fn protocol_kind(number: u8) -> Next {
    Ok(match number {
        protocol::TCP => LayerKind::TCP,
        protocol::UDP => LayerKind::UDP,
        protocol::ICMPV4 => LayerKind::ICMPv4,
        protocol::ICMPV6 => LayerKind::ICMPv6,
        protocol::IPV4 | protocol::IPIP => LayerKind::IPv4,
        protocol::IPV6 => LayerKind::IPv6,
        protocol::GRE => LayerKind::GRE,
        protocol::SCTP => LayerKind::SCTP,
        protocol::HOP_BY_HOP => LayerKind::IPv6HopByHop,
        protocol::ROUTING => LayerKind::IPv6Routing,
        protocol::FRAGMENT => LayerKind::IPv6Fragment,
        protocol::DESTINATION => LayerKind::IPv6Destination,
        protocol::ESP => LayerKind::IPSecESP,
        protocol::AH => LayerKind::IPSecAH,
        protocol::IGMP => LayerKind::IGMP,
        protocol::OSPF => LayerKind::OSPF,
        protocol::VRRP => LayerKind::VRRP,
        protocol::UDPLITE => LayerKind::UDPLite,
        protocol::RUDP => LayerKind::RUDP,
        protocol::ETHERIP => LayerKind::EtherIP,
        protocol::MPLS => LayerKind::MPLS,
        protocol::L2TP => LayerKind::L2TP,
        protocol::NONE => return Err(End::Payload),
        _ => return Err(End::Unsupported),
    })
}

/// What UDP carries to or from a port.
#[inline]
pub(super) fn by_port(number: u16) -> Option<LayerKind> {
    Some(match number {
        port::DNS => LayerKind::DNS,
        port::DHCP_SERVER | port::DHCP_CLIENT => LayerKind::DHCPv4,
        port::NTP => LayerKind::NTP,
        port::DHCPV6_CLIENT | port::DHCPV6_SERVER => LayerKind::DHCPv6,
        port::L2TP => LayerKind::L2TP,
        port::GTP_U => LayerKind::GTPv1U,
        port::BFD => LayerKind::BFD,
        port::VXLAN | port::VXLAN_LINUX => LayerKind::VXLAN,
        port::VXLAN_GPE => LayerKind::VXLANGPE,
        port::SIP => LayerKind::SIP,
        port::GENEVE => LayerKind::Geneve,
        port::SFLOW => LayerKind::SFlow,
        port::MPLS => LayerKind::MPLS,
        _ => return None,
    })
}

/// What VXLAN-GPE and NSH announce.
#[inline]
pub(super) fn by_next_protocol(number: u8) -> Next {
    Ok(match number {
        vxlan::next::IPV4 => LayerKind::IPv4,
        vxlan::next::IPV6 => LayerKind::IPv6,
        vxlan::next::ETHERNET => LayerKind::Ethernet,
        vxlan::next::NSH => LayerKind::NSH,
        vxlan::next::MPLS => LayerKind::MPLS,
        _ => return Err(End::Unsupported),
    })
}
