//! 802.2 and SNAP.

use super::{u8_at, u16_at, u32_at};

/// The 3 bytes of a header; a second control byte may follow.
#[derive(Clone, Copy, Debug)]
pub struct Llc<'a>(&'a [u8; Llc::LEN]);

/// The 5 bytes behind a header that announces SNAP.
#[derive(Clone, Copy, Debug)]
pub struct Snap<'a>(&'a [u8; Snap::LEN]);

/// Access point: SNAP follows.
pub const SNAP: u8 = 0xaa;
/// Access point: bridges.
pub const BRIDGES: u8 = 0x42;

impl<'a> Llc<'a> {
    /// Bytes of the shorter form.
    pub const LEN: usize = 3;

    /// A view of the header that `bytes` begin with.
    #[inline]
    pub fn parse(bytes: &'a [u8]) -> Option<Self> {
        bytes.first_chunk().map(Self)
    }

    /// Access point it goes to, without the group bit.
    #[inline]
    pub fn destination(self) -> u8 {
        u8_at::<0, _>(self.0) & 0xfe
    }

    /// Access point of the sender, without the response bit.
    #[inline]
    pub fn source(self) -> u8 {
        u8_at::<1, _>(self.0) & 0xfe
    }

    /// 3, or 4 when the frame is numbered.
    #[inline]
    pub fn header_len(self) -> usize {
        if u8_at::<2, _>(self.0) & 3 == 3 { 3 } else { 4 }
    }
}

impl<'a> Snap<'a> {
    /// Bytes of the header.
    pub const LEN: usize = 5;

    /// A view of the header that `bytes` begin with.
    #[inline]
    pub fn parse(bytes: &'a [u8]) -> Option<Self> {
        bytes.first_chunk().map(Self)
    }

    /// Who numbers the types, 24 bits; 0 for EtherTypes.
    #[inline]
    pub fn organisation(self) -> u32 {
        u32_at::<0, _>(self.0) >> 8
    }

    /// Type of what follows.
    #[inline]
    pub fn ethertype(self) -> u16 {
        u16_at::<3, _>(self.0)
    }
}
