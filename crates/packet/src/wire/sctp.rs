//! SCTP, [RFC 9260](https://www.rfc-editor.org/rfc/rfc9260).

use super::{u8_at, u16_at, u32_at};

/// The 12 bytes that all chunks share.
#[derive(Clone, Copy, Debug)]
pub struct Sctp<'a>(&'a [u8; Sctp::LEN]);

/// The first 4 bytes of a chunk.
#[derive(Clone, Copy, Debug)]
pub struct Chunk<'a>(&'a [u8; Chunk::LEN]);

impl<'a> Sctp<'a> {
    /// Bytes of the header.
    pub const LEN: usize = 12;

    /// A view of the header that `bytes` begin with.
    #[inline]
    pub fn parse(bytes: &'a [u8]) -> Option<Self> {
        bytes.first_chunk().map(Self)
    }

    /// Port of the sender.
    #[inline]
    pub fn source(self) -> u16 {
        u16_at::<0, _>(self.0)
    }

    /// Port it goes to.
    #[inline]
    pub fn destination(self) -> u16 {
        u16_at::<2, _>(self.0)
    }

    /// What the receiver chose to tell its association by.
    #[inline]
    pub fn verification_tag(self) -> u32 {
        u32_at::<4, _>(self.0)
    }
}

impl<'a> Chunk<'a> {
    /// Bytes of this part.
    pub const LEN: usize = 4;

    /// A view of the chunk that `bytes` begin with.
    #[inline]
    pub fn parse(bytes: &'a [u8]) -> Option<Self> {
        bytes.first_chunk().map(Self)
    }

    /// Its number.
    #[inline]
    pub fn kind(self) -> u8 {
        u8_at::<0, _>(self.0)
    }

    /// Its flags.
    #[inline]
    pub fn flags(self) -> u8 {
        u8_at::<1, _>(self.0)
    }

    /// Its bytes, these 4 included, without the padding to a multiple of 4.
    #[inline]
    pub fn total_len(self) -> u16 {
        u16_at::<2, _>(self.0)
    }
}
