//! PPPoE, [RFC 2516](https://www.rfc-editor.org/rfc/rfc2516).

use super::{u8_at, u16_at};

/// The 6 bytes of a header.
#[derive(Clone, Copy, Debug)]
pub struct Pppoe<'a>(&'a [u8; Pppoe::LEN]);

impl<'a> Pppoe<'a> {
    /// Bytes of the header.
    pub const LEN: usize = 6;

    /// A view of the header that `bytes` begin with.
    #[inline]
    pub fn parse(bytes: &'a [u8]) -> Option<Self> {
        bytes.first_chunk().map(Self)
    }

    /// Version and type: 1 and 1.
    #[inline]
    pub fn version_and_type(self) -> u8 {
        u8_at::<0, _>(self.0)
    }

    /// 0 within a session, else a step of finding one.
    #[inline]
    pub fn code(self) -> u8 {
        u8_at::<1, _>(self.0)
    }

    /// The session.
    #[inline]
    pub fn session(self) -> u16 {
        u16_at::<2, _>(self.0)
    }

    /// Bytes behind this header.
    #[inline]
    pub fn payload_len(self) -> u16 {
        u16_at::<4, _>(self.0)
    }
}
