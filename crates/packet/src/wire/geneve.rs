//! Geneve, [RFC 8926](https://www.rfc-editor.org/rfc/rfc8926).

use super::{u8_at, u16_at, u32_at};

/// The fixed 8 bytes of a header.
#[derive(Clone, Copy, Debug)]
pub struct Geneve<'a>(&'a [u8; Geneve::LEN]);

impl<'a> Geneve<'a> {
    /// Bytes of a header without options.
    pub const LEN: usize = 8;

    /// A view of the header that `bytes` begin with.
    #[inline]
    pub fn parse(bytes: &'a [u8]) -> Option<Self> {
        bytes.first_chunk().map(Self)
    }

    /// 0.
    #[inline]
    pub fn version(self) -> u8 {
        u8_at::<0, _>(self.0) >> 6
    }

    /// Bytes of the header with its options.
    #[inline]
    pub fn header_len(self) -> usize {
        Self::LEN + usize::from(u8_at::<0, _>(self.0) & 0x3f) * 4
    }

    /// Whether this is a message for the end of the tunnel.
    #[inline]
    pub fn is_control(self) -> bool {
        u8_at::<1, _>(self.0) & 0x80 != 0
    }

    /// EtherType of what follows.
    #[inline]
    pub fn protocol(self) -> u16 {
        u16_at::<2, _>(self.0)
    }

    /// The network, 24 bits.
    #[inline]
    pub fn vni(self) -> u32 {
        u32_at::<4, _>(self.0) >> 8
    }
}
