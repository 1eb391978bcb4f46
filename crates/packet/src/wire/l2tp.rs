//! L2TP version 2 over UDP, [RFC 2661](https://www.rfc-editor.org/rfc/rfc2661), and what version 3
//! ([RFC 3931](https://www.rfc-editor.org/rfc/rfc3931)) shares with it.

use super::{u16_at, u16_in};

/// The first 2 bytes of a header over UDP, and those behind it.
#[derive(Clone, Copy, Debug)]
pub struct L2tp<'a> {
    fixed: &'a [u8; 2],
    bytes: &'a [u8],
}

impl<'a> L2tp<'a> {
    /// A view of the header that `bytes` begin with.
    #[inline]
    pub fn parse(bytes: &'a [u8]) -> Option<Self> {
        bytes.first_chunk().map(|fixed| Self { fixed, bytes })
    }

    #[inline]
    fn flags(self) -> u16 {
        u16_at::<0, _>(self.fixed)
    }

    /// 2 or 3.
    #[inline]
    pub fn version(self) -> u8 {
        (self.flags() & 0x0f) as u8
    }

    /// Whether this is a message about tunnels, not a packet in one.
    #[inline]
    pub fn is_control(self) -> bool {
        self.flags() & 0x8000 != 0
    }

    #[inline]
    fn has_len(self) -> bool {
        self.flags() & 0x4000 != 0
    }

    /// Bytes of header and payload, in version 2 when it says so.
    #[inline]
    pub fn total_len(self) -> Option<u16> {
        if self.has_len() { u16_in(self.bytes, 2) } else { None }
    }

    /// The tunnel, in version 2.
    #[inline]
    pub fn tunnel(self) -> Option<u16> {
        u16_in(self.bytes, if self.has_len() { 4 } else { 2 })
    }

    /// The session within the tunnel, in version 2.
    #[inline]
    pub fn session(self) -> Option<u16> {
        u16_in(self.bytes, if self.has_len() { 6 } else { 4 })
    }

    /// Bytes of a header of version 2; nothing if the field that says so is cut.
    #[inline]
    pub fn header_len(self) -> Option<usize> {
        let mut len = if self.has_len() { 8 } else { 6 };
        if self.flags() & 0x0800 != 0 {
            len += 4;
        }
        if self.flags() & 0x0200 != 0 {
            len += 2 + usize::from(u16_in(self.bytes, len)?);
        }
        Some(len)
    }
}
