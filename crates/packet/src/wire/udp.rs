//! UDP, [RFC 768](https://www.rfc-editor.org/rfc/rfc768), and the ports whose payload is decoded.

use super::u16_at;

/// The 8 bytes of a header; those of UDP-Lite too, whose length is a checksum coverage.
#[derive(Clone, Copy, Debug)]
pub struct Udp<'a>(&'a [u8; Udp::LEN]);

/// Ports whose payload is decoded.
pub mod port {
    /// DNS.
    pub const DNS: u16 = 53;
    /// DHCP, the server's side.
    pub const DHCP_SERVER: u16 = 67;
    /// DHCP, the client's side.
    pub const DHCP_CLIENT: u16 = 68;
    /// NTP.
    pub const NTP: u16 = 123;
    /// DHCPv6, the client's side.
    pub const DHCPV6_CLIENT: u16 = 546;
    /// DHCPv6, the server's side.
    pub const DHCPV6_SERVER: u16 = 547;
    /// L2TP.
    pub const L2TP: u16 = 1701;
    /// GTP, user plane.
    pub const GTP_U: u16 = 2152;
    /// BFD over one hop.
    pub const BFD: u16 = 3784;
    /// VXLAN as registered.
    pub const VXLAN: u16 = 4789;
    /// VXLAN-GPE.
    pub const VXLAN_GPE: u16 = 4790;
    /// SIP.
    pub const SIP: u16 = 5060;
    /// Geneve.
    pub const GENEVE: u16 = 6081;
    /// sFlow.
    pub const SFLOW: u16 = 6343;
    /// MPLS in UDP, RFC 7510.
    pub const MPLS: u16 = 6635;
    /// VXLAN on Linux when nobody says otherwise.
    pub const VXLAN_LINUX: u16 = 8472;
}

impl<'a> Udp<'a> {
    /// Bytes of the header.
    pub const LEN: usize = 8;

    /// A view of the header that `bytes` begin with.
    #[inline]
    pub fn parse(bytes: &'a [u8]) -> Option<Self> {
        bytes.first_chunk().map(Self)
    }

    /// Port of the sender.
    #[inline]
    pub fn source(self) -> u16 {
        u16_at::<0, _>(self.0)
    }

    /// Port it goes to.
    #[inline]
    pub fn destination(self) -> u16 {
        u16_at::<2, _>(self.0)
    }

    /// Bytes of header and payload; 0 in a jumbogram.
    #[inline]
    pub fn total_len(self) -> u16 {
        u16_at::<4, _>(self.0)
    }

    /// Checksum, 0 for none.
    #[inline]
    pub fn checksum(self) -> u16 {
        u16_at::<6, _>(self.0)
    }
}
