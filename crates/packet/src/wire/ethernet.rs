//! Ethernet II and 802.3.

use super::{Mac, bytes, u16_at};

/// The 14 bytes of a frame's header.
#[derive(Clone, Copy, Debug)]
pub struct Ethernet<'a>(&'a [u8; Ethernet::LEN]);

impl<'a> Ethernet<'a> {
    /// Bytes of the header.
    pub const LEN: usize = 14;

    /// A view of the header that `bytes` begin with.
    #[inline]
    pub fn parse(bytes: &'a [u8]) -> Option<Self> {
        bytes.first_chunk().map(Self)
    }

    /// Where the frame goes.
    #[inline]
    pub fn destination(self) -> Mac {
        bytes::<0, 6, _>(self.0)
    }

    /// Who sent it.
    #[inline]
    pub fn source(self) -> Mac {
        bytes::<6, 6, _>(self.0)
    }

    /// Destination and source as numbers, the first byte the highest of 48 bits.
    #[inline]
    pub fn numbers(self) -> (u64, u64) {
        let destination = u64::from_be_bytes(bytes::<0, 8, _>(self.0)) >> 16;
        let source = u64::from_be_bytes(bytes::<4, 8, _>(self.0)) & ((1 << 48) - 1);
        (destination, source)
    }

    /// EtherType, or the length of the payload if below [`ethertype::MIN`](super::ethertype::MIN).
    #[inline]
    pub fn ethertype(self) -> u16 {
        u16_at::<12, _>(self.0)
    }
}
