//! ICMP of IPv4, [RFC 792](https://www.rfc-editor.org/rfc/rfc792).

use super::{u8_at, u16_at};

/// The 8 bytes of a header.
#[derive(Clone, Copy, Debug)]
pub struct Icmp4<'a>(&'a [u8; Icmp4::LEN]);

/// Type: the answer to an echo.
pub const ECHO_REPLY: u8 = 0;
/// Type: please answer.
pub const ECHO_REQUEST: u8 = 8;

impl<'a> Icmp4<'a> {
    /// Bytes of the header.
    pub const LEN: usize = 8;

    /// A view of the header that `bytes` begin with.
    #[inline]
    pub fn parse(bytes: &'a [u8]) -> Option<Self> {
        bytes.first_chunk().map(Self)
    }

    /// Type.
    #[inline]
    pub fn kind(self) -> u8 {
        u8_at::<0, _>(self.0)
    }

    /// Code.
    #[inline]
    pub fn code(self) -> u8 {
        u8_at::<1, _>(self.0)
    }

    /// Identifier of an echo; other types keep other things there.
    #[inline]
    pub fn id(self) -> u16 {
        u16_at::<4, _>(self.0)
    }

    /// Sequence number of an echo.
    #[inline]
    pub fn sequence(self) -> u16 {
        u16_at::<6, _>(self.0)
    }
}
