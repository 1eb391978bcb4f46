//! ERSPAN types II and III ([draft](https://datatracker.ietf.org/doc/draft-foschiano-erspan/)); type I has no header.

use super::{u16_at, u32_at};

/// The 8 bytes of type II.
#[derive(Clone, Copy, Debug)]
pub struct ErspanII<'a>(&'a [u8; ErspanII::LEN]);

/// The fixed 12 bytes of type III.
#[derive(Clone, Copy, Debug)]
pub struct ErspanIII<'a>(&'a [u8; ErspanIII::LEN]);

impl<'a> ErspanII<'a> {
    /// Bytes of the header.
    pub const LEN: usize = 8;

    /// A view of the header that `bytes` begin with.
    #[inline]
    pub fn parse(bytes: &'a [u8]) -> Option<Self> {
        bytes.first_chunk().map(Self)
    }

    /// 1.
    #[inline]
    pub fn version(self) -> u8 {
        (u16_at::<0, _>(self.0) >> 12) as u8
    }

    /// VLAN of the mirrored frame.
    #[inline]
    pub fn vlan(self) -> u16 {
        u16_at::<0, _>(self.0) & 0x0fff
    }

    /// The mirror session, 10 bits.
    #[inline]
    pub fn session(self) -> u16 {
        u16_at::<2, _>(self.0) & 0x03ff
    }

    /// Port and direction it was mirrored from, 20 bits.
    #[inline]
    pub fn index(self) -> u32 {
        u32_at::<4, _>(self.0) & 0x000f_ffff
    }
}

impl<'a> ErspanIII<'a> {
    /// Bytes of the header without the part of the platform.
    pub const LEN: usize = 12;

    /// A view of the header that `bytes` begin with.
    #[inline]
    pub fn parse(bytes: &'a [u8]) -> Option<Self> {
        bytes.first_chunk().map(Self)
    }

    /// 2.
    #[inline]
    pub fn version(self) -> u8 {
        (u16_at::<0, _>(self.0) >> 12) as u8
    }

    /// VLAN of the mirrored frame.
    #[inline]
    pub fn vlan(self) -> u16 {
        u16_at::<0, _>(self.0) & 0x0fff
    }

    /// The mirror session, 10 bits.
    #[inline]
    pub fn session(self) -> u16 {
        u16_at::<2, _>(self.0) & 0x03ff
    }

    /// What was mirrored: 0 an Ethernet frame, 2 an IP packet.
    #[inline]
    pub fn frame_type(self) -> u8 {
        (u16_at::<10, _>(self.0) >> 10 & 0x1f) as u8
    }

    /// Bytes of the header with the part of the platform.
    #[inline]
    pub fn header_len(self) -> usize {
        Self::LEN + if u16_at::<10, _>(self.0) & 1 != 0 { 8 } else { 0 }
    }
}
