//! IPv4, [RFC 791](https://www.rfc-editor.org/rfc/rfc791).

use std::net::Ipv4Addr;

use super::{bytes, u8_at, u16_at};

/// The fixed 20 bytes of a header.
#[derive(Clone, Copy, Debug)]
pub struct Ipv4<'a>(&'a [u8; Ipv4::LEN]);

impl<'a> Ipv4<'a> {
    /// Bytes of a header without options.
    pub const LEN: usize = 20;

    /// A view of the header that `bytes` begin with.
    #[inline]
    pub fn parse(bytes: &'a [u8]) -> Option<Self> {
        bytes.first_chunk().map(Self)
    }

    /// The first byte: 4, and the length of the header in words of 4 bytes.
    #[inline]
    pub fn version_and_len(self) -> u8 {
        u8_at::<0, _>(self.0)
    }

    /// 4.
    #[inline]
    pub fn version(self) -> u8 {
        u8_at::<0, _>(self.0) >> 4
    }

    /// Bytes of the header with its options; less than 20 only in a malformed one.
    #[inline]
    pub fn header_len(self) -> usize {
        usize::from(u8_at::<0, _>(self.0) & 0x0f) * 4
    }

    /// Type of service: 6 bits of service class, 2 of congestion notification.
    #[inline]
    pub fn service(self) -> u8 {
        u8_at::<1, _>(self.0)
    }

    /// Bytes of header and payload; 0 when the sender left it to its network card.
    #[inline]
    pub fn total_len(self) -> u16 {
        u16_at::<2, _>(self.0)
    }

    /// What fragments of one datagram have in common.
    #[inline]
    pub fn id(self) -> u16 {
        u16_at::<4, _>(self.0)
    }

    /// Never to be fragmented.
    #[inline]
    pub fn dont_fragment(self) -> bool {
        u16_at::<6, _>(self.0) & 0x4000 != 0
    }

    /// Not the last fragment.
    #[inline]
    pub fn more_fragments(self) -> bool {
        u16_at::<6, _>(self.0) & 0x2000 != 0
    }

    /// Place of the payload in its datagram, in bytes.
    #[inline]
    pub fn fragment_offset(self) -> u32 {
        u32::from(u16_at::<6, _>(self.0) & 0x1fff) * 8
    }

    /// Whether this is part of a datagram only.
    #[inline]
    pub fn is_fragment(self) -> bool {
        u16_at::<6, _>(self.0) & 0x3fff != 0
    }

    /// Hops left.
    #[inline]
    pub fn ttl(self) -> u8 {
        u8_at::<8, _>(self.0)
    }

    /// What follows, see [`protocol`](super::protocol).
    #[inline]
    pub fn protocol(self) -> u8 {
        u8_at::<9, _>(self.0)
    }

    /// Checksum of the header.
    #[inline]
    pub fn checksum(self) -> u16 {
        u16_at::<10, _>(self.0)
    }

    /// Who sent it.
    #[inline]
    pub fn source(self) -> Ipv4Addr {
        Ipv4Addr::from(self.source_octets())
    }

    /// Where it goes.
    #[inline]
    pub fn destination(self) -> Ipv4Addr {
        Ipv4Addr::from(self.destination_octets())
    }

    /// The same as bytes.
    #[inline]
    pub fn source_octets(self) -> [u8; 4] {
        bytes::<12, 4, _>(self.0)
    }

    /// The same as bytes.
    #[inline]
    pub fn destination_octets(self) -> [u8; 4] {
        bytes::<16, 4, _>(self.0)
    }
}
