//! The user plane of GTP version 1, 3GPP TS 29.281.

use super::{u8_at, u16_at, u32_at};

/// The 8 bytes of a header that are always there, and those behind it that may be.
#[derive(Clone, Copy, Debug)]
pub struct Gtp<'a> {
    fixed: &'a [u8; Gtp::LEN],
    bytes: &'a [u8],
}

/// Message type of a packet of the user; others are of the tunnel itself.
pub const USER_PACKET: u8 = 255;

/// Longer chains are taken for damage: the standard has fewer kinds of extension than this.
const MAX_EXTENSIONS: usize = 8;

impl<'a> Gtp<'a> {
    /// Bytes of a header without anything optional.
    pub const LEN: usize = 8;

    /// A view of the header that `bytes` begin with.
    #[inline]
    pub fn parse(bytes: &'a [u8]) -> Option<Self> {
        bytes.first_chunk().map(|fixed| Self { fixed, bytes })
    }

    /// 1.
    #[inline]
    pub fn version(self) -> u8 {
        u8_at::<0, _>(self.fixed) >> 5
    }

    /// False for GTP', the charging protocol of the same form.
    #[inline]
    pub fn is_gtp(self) -> bool {
        u8_at::<0, _>(self.fixed) & 0x10 != 0
    }

    /// See [`USER_PACKET`].
    #[inline]
    pub fn message_type(self) -> u8 {
        u8_at::<1, _>(self.fixed)
    }

    /// Bytes behind these 8, optional fields included.
    #[inline]
    pub fn message_len(self) -> u16 {
        u16_at::<2, _>(self.fixed)
    }

    /// The end of the tunnel it goes to.
    #[inline]
    pub fn tunnel(self) -> u32 {
        u32_at::<4, _>(self.fixed)
    }

    /// Bytes of the header with sequence number and extension headers; nothing if they are cut or damaged.
    #[inline]
    pub fn header_len(self) -> Option<usize> {
        let flags = u8_at::<0, _>(self.fixed) & 0x07;
        if flags == 0 {
            return Some(Self::LEN);
        }
        let mut len = Self::LEN + 4;
        if flags & 0x04 == 0 {
            return Some(len);
        }
        for _ in 0..MAX_EXTENSIONS {
            // The byte before says what comes next, 0 for nothing; an extension begins with its length in words.
            if *self.bytes.get(len - 1)? == 0 {
                return Some(len);
            }
            let words = *self.bytes.get(len)?;
            if words == 0 {
                return None;
            }
            len += usize::from(words) * 4;
        }
        None
    }
}
