//! IPv6 and its extension headers, [RFC 8200](https://www.rfc-editor.org/rfc/rfc8200).

use std::net::Ipv6Addr;

use super::{bytes, u8_at, u16_at, u32_at};

/// The 40 bytes of a header.
#[derive(Clone, Copy, Debug)]
pub struct Ipv6<'a>(&'a [u8; Ipv6::LEN]);

/// What hop-by-hop, routing and destination headers have in common: the first two bytes.
#[derive(Clone, Copy, Debug)]
pub struct Extension<'a>(&'a [u8; 2]);

/// The 8 bytes of a fragment header.
#[derive(Clone, Copy, Debug)]
pub struct FragmentHeader<'a>(&'a [u8; FragmentHeader::LEN]);

impl<'a> Ipv6<'a> {
    /// Bytes of the header.
    pub const LEN: usize = 40;

    /// A view of the header that `bytes` begin with.
    #[inline]
    pub fn parse(bytes: &'a [u8]) -> Option<Self> {
        bytes.first_chunk().map(Self)
    }

    /// 6.
    #[inline]
    pub fn version(self) -> u8 {
        u8_at::<0, _>(self.0) >> 4
    }

    /// Traffic class: 6 bits of service class, 2 of congestion notification.
    #[inline]
    pub fn traffic_class(self) -> u8 {
        (u16_at::<0, _>(self.0) >> 4) as u8
    }

    /// Flow label, 20 bits.
    #[inline]
    pub fn flow_label(self) -> u32 {
        u32_at::<0, _>(self.0) & 0x000f_ffff
    }

    /// Bytes behind this header, extension headers included; 0 for a jumbogram.
    #[inline]
    pub fn payload_len(self) -> u16 {
        u16_at::<4, _>(self.0)
    }

    /// What follows, see [`protocol`](super::protocol).
    #[inline]
    pub fn next_header(self) -> u8 {
        u8_at::<6, _>(self.0)
    }

    /// Hops left.
    #[inline]
    pub fn hop_limit(self) -> u8 {
        u8_at::<7, _>(self.0)
    }

    /// Who sent it.
    #[inline]
    pub fn source(self) -> Ipv6Addr {
        Ipv6Addr::from(self.source_octets())
    }

    /// Where it goes.
    #[inline]
    pub fn destination(self) -> Ipv6Addr {
        Ipv6Addr::from(self.destination_octets())
    }

    /// The same as bytes.
    #[inline]
    pub fn source_octets(self) -> [u8; 16] {
        bytes::<8, 16, _>(self.0)
    }

    /// The same as bytes.
    #[inline]
    pub fn destination_octets(self) -> [u8; 16] {
        bytes::<24, 16, _>(self.0)
    }
}

impl<'a> Extension<'a> {
    /// A view of the header that `bytes` begin with.
    #[inline]
    pub fn parse(bytes: &'a [u8]) -> Option<Self> {
        bytes.first_chunk().map(Self)
    }

    /// What follows.
    #[inline]
    pub fn next_header(self) -> u8 {
        u8_at::<0, _>(self.0)
    }

    /// Bytes of the whole header.
    #[inline]
    pub fn header_len(self) -> usize {
        (usize::from(u8_at::<1, _>(self.0)) + 1) * 8
    }

    /// The same of an IPsec authentication header, which counts otherwise
    /// ([RFC 4302](https://www.rfc-editor.org/rfc/rfc4302)); at least 12 in a sane one.
    #[inline]
    pub fn authentication_len(self) -> usize {
        (usize::from(u8_at::<1, _>(self.0)) + 2) * 4
    }
}

impl<'a> FragmentHeader<'a> {
    /// Bytes of the header.
    pub const LEN: usize = 8;

    /// A view of the header that `bytes` begin with.
    #[inline]
    pub fn parse(bytes: &'a [u8]) -> Option<Self> {
        bytes.first_chunk().map(Self)
    }

    /// What the datagram holds at its beginning.
    #[inline]
    pub fn next_header(self) -> u8 {
        u8_at::<0, _>(self.0)
    }

    /// Place of the payload in its datagram, in bytes.
    #[inline]
    pub fn fragment_offset(self) -> u32 {
        u32::from(u16_at::<2, _>(self.0) & 0xfff8)
    }

    /// Not the last fragment.
    #[inline]
    pub fn more_fragments(self) -> bool {
        u16_at::<2, _>(self.0) & 1 != 0
    }

    /// Whether this is part of a datagram only; not so for the atomic fragments of
    /// [RFC 6946](https://www.rfc-editor.org/rfc/rfc6946).
    #[inline]
    pub fn is_fragment(self) -> bool {
        u16_at::<2, _>(self.0) & 0xfff9 != 0
    }

    /// What fragments of one datagram have in common.
    #[inline]
    pub fn id(self) -> u32 {
        u32_at::<4, _>(self.0)
    }
}
