//! VXLAN, [RFC 7348](https://www.rfc-editor.org/rfc/rfc7348), and its generic extension
//! ([draft](https://datatracker.ietf.org/doc/draft-ietf-nvo3-vxlan-gpe/)).

use super::{u8_at, u32_at};

/// The 8 bytes of a header, of either.
#[derive(Clone, Copy, Debug)]
pub struct Vxlan<'a>(&'a [u8; Vxlan::LEN]);

/// What a generic header says follows.
pub mod next {
    /// IPv4.
    pub const IPV4: u8 = 1;
    /// IPv6.
    pub const IPV6: u8 = 2;
    /// Ethernet.
    pub const ETHERNET: u8 = 3;
    /// NSH.
    pub const NSH: u8 = 4;
    /// MPLS.
    pub const MPLS: u8 = 5;
}

impl<'a> Vxlan<'a> {
    /// Bytes of the header.
    pub const LEN: usize = 8;

    /// A view of the header that `bytes` begin with.
    #[inline]
    pub fn parse(bytes: &'a [u8]) -> Option<Self> {
        bytes.first_chunk().map(Self)
    }

    /// Whether the network is given.
    #[inline]
    pub fn has_vni(self) -> bool {
        u8_at::<0, _>(self.0) & 0x08 != 0
    }

    /// Whether [`Vxlan::next_protocol`] is given; only in a generic header.
    #[inline]
    pub fn has_next_protocol(self) -> bool {
        u8_at::<0, _>(self.0) & 0x04 != 0
    }

    /// Version of a generic header.
    #[inline]
    pub fn version(self) -> u8 {
        u8_at::<0, _>(self.0) >> 4 & 3
    }

    /// Whether a generic header carries a message for the end of the tunnel.
    #[inline]
    pub fn is_operations(self) -> bool {
        u8_at::<0, _>(self.0) & 0x01 != 0
    }

    /// See [`next`].
    #[inline]
    pub fn next_protocol(self) -> u8 {
        u8_at::<3, _>(self.0)
    }

    /// The network, 24 bits.
    #[inline]
    pub fn vni(self) -> u32 {
        u32_at::<4, _>(self.0) >> 8
    }
}
