//! NSH, [RFC 8300](https://www.rfc-editor.org/rfc/rfc8300).

use super::{u8_at, u16_at, u32_at};

/// The 8 bytes of base and service path headers.
#[derive(Clone, Copy, Debug)]
pub struct Nsh<'a>(&'a [u8; Nsh::LEN]);

impl<'a> Nsh<'a> {
    /// Bytes of a header without metadata.
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

    /// Bytes of the header with its metadata; less than 8 only in a malformed one.
    #[inline]
    pub fn header_len(self) -> usize {
        usize::from(u16_at::<0, _>(self.0) & 0x3f) * 4
    }

    /// What follows, numbered as in [`vxlan::next`](super::vxlan::next).
    #[inline]
    pub fn next_protocol(self) -> u8 {
        u8_at::<3, _>(self.0)
    }

    /// The service path, 24 bits.
    #[inline]
    pub fn path(self) -> u32 {
        u32_at::<4, _>(self.0) >> 8
    }
}
