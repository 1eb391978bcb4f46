//! An MPLS label, [RFC 3032](https://www.rfc-editor.org/rfc/rfc3032).

use super::u32_at;

/// The 4 bytes of a label.
#[derive(Clone, Copy, Debug)]
pub struct Mpls<'a>(&'a [u8; Mpls::LEN]);

impl<'a> Mpls<'a> {
    /// Bytes of a label.
    pub const LEN: usize = 4;

    /// A view of the label that `bytes` begin with.
    #[inline]
    pub fn parse(bytes: &'a [u8]) -> Option<Self> {
        bytes.first_chunk().map(Self)
    }

    /// The label, 20 bits.
    #[inline]
    pub fn label(self) -> u32 {
        u32_at::<0, _>(self.0) >> 12
    }

    /// Traffic class, 0 to 7.
    #[inline]
    pub fn traffic_class(self) -> u8 {
        (u32_at::<0, _>(self.0) >> 9 & 7) as u8
    }

    /// Whether this is the last label.
    #[inline]
    pub fn is_bottom(self) -> bool {
        u32_at::<0, _>(self.0) & 0x100 != 0
    }

    /// Hops left.
    #[inline]
    pub fn ttl(self) -> u8 {
        u32_at::<0, _>(self.0) as u8
    }
}
