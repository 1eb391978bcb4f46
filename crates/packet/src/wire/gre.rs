//! GRE: [RFC 2784](https://www.rfc-editor.org/rfc/rfc2784) with keys and sequence numbers
//! ([RFC 2890](https://www.rfc-editor.org/rfc/rfc2890)), and version 1 of PPTP
//! ([RFC 2637](https://www.rfc-editor.org/rfc/rfc2637)).

use super::{u16_at, u16_in, u32_in};

/// The first 4 bytes of a header, and those behind it that may be there.
#[derive(Clone, Copy, Debug)]
pub struct Gre<'a> {
    fixed: &'a [u8; Gre::LEN],
    bytes: &'a [u8],
}

/// Routes longer than this are taken for damage: they were given up in 2000, and none was ever so long.
const MAX_ROUTES: usize = 16;

impl<'a> Gre<'a> {
    /// Bytes of a header without anything optional.
    pub const LEN: usize = 4;

    /// A view of the header that `bytes` begin with.
    #[inline]
    pub fn parse(bytes: &'a [u8]) -> Option<Self> {
        bytes.first_chunk().map(|fixed| Self { fixed, bytes })
    }

    #[inline]
    fn flags(self) -> u16 {
        u16_at::<0, _>(self.fixed)
    }

    /// 0, or 1 in PPTP.
    #[inline]
    pub fn version(self) -> u8 {
        (self.flags() & 0x7) as u8
    }

    /// EtherType of what follows.
    #[inline]
    pub fn protocol(self) -> u16 {
        u16_at::<2, _>(self.fixed)
    }

    /// Whether there is a checksum.
    #[inline]
    pub fn has_checksum(self) -> bool {
        self.flags() & 0x8000 != 0
    }

    /// Whether there is a list of routes ([RFC 1701](https://www.rfc-editor.org/rfc/rfc1701)).
    #[inline]
    pub fn has_routing(self) -> bool {
        self.flags() & 0x4000 != 0
    }

    /// Whether there is a key.
    #[inline]
    pub fn has_key(self) -> bool {
        self.flags() & 0x2000 != 0
    }

    /// Whether there is a sequence number.
    #[inline]
    pub fn has_sequence(self) -> bool {
        self.flags() & 0x1000 != 0
    }

    /// Whether there is an acknowledgement; only in version 1.
    #[inline]
    pub fn has_acknowledgement(self) -> bool {
        self.version() == 1 && self.flags() & 0x0080 != 0
    }

    #[inline]
    fn key_at(self) -> usize {
        Self::LEN + if self.has_checksum() || self.has_routing() { 4 } else { 0 }
    }

    #[inline]
    fn sequence_at(self) -> usize {
        self.key_at() + if self.has_key() { 4 } else { 0 }
    }

    /// The key. NVGRE keeps a network of 24 bits above a flow of 8, PPTP a payload length above a call.
    #[inline]
    pub fn key(self) -> Option<u32> {
        if self.has_key() { u32_in(self.bytes, self.key_at()) } else { None }
    }

    /// The sequence number.
    #[inline]
    pub fn sequence(self) -> Option<u32> {
        if self.has_sequence() { u32_in(self.bytes, self.sequence_at()) } else { None }
    }

    /// Bytes of the payload; only PPTP says.
    #[inline]
    pub fn payload_len(self) -> Option<u16> {
        if self.version() == 1 && self.has_key() { u16_in(self.bytes, self.key_at()) } else { None }
    }

    /// Bytes of the whole header; nothing if a list of routes is cut or too long.
    #[inline]
    pub fn header_len(self) -> Option<usize> {
        let mut len = self.sequence_at();
        len += if self.has_sequence() { 4 } else { 0 };
        len += if self.has_acknowledgement() { 4 } else { 0 };
        if self.has_routing() { self.routes_end(len) } else { Some(len) }
    }

    #[cold]
    fn routes_end(self, mut at: usize) -> Option<usize> {
        for _ in 0..MAX_ROUTES {
            let &[a, b, _, len] = self.bytes.get(at..)?.first_chunk()?;
            at += 4 + usize::from(len);
            if [a, b, len] == [0, 0, 0] {
                return Some(at);
            }
        }
        None
    }
}

#[cfg(test)]
mod tests {
    use super::Gre;

    #[test]
    fn optional_fields_are_found() {
        let all = [0xb0, 0, 8, 0, 0, 0, 0, 0, 0, 0, 0, 7, 0, 0, 0, 9];
        let gre = Gre::parse(&all).unwrap();
        assert_eq!((gre.header_len(), gre.key(), gre.sequence()), (Some(16), Some(7), Some(9)));
        let plain = Gre::parse(&[0, 0, 0x65, 0x58]).unwrap();
        assert_eq!((plain.header_len(), plain.key(), plain.protocol()), (Some(4), None, 0x6558));
        let pptp = Gre::parse(&[0x30, 0x81, 0x88, 0x0b, 0, 12, 0, 5, 0, 0, 0, 1, 0, 0, 0, 2]).unwrap();
        assert_eq!((pptp.header_len(), pptp.payload_len(), pptp.sequence()), (Some(16), Some(12), Some(1)));
    }

    #[test]
    fn routes_end_with_an_empty_one() {
        let routed = [0x40, 0, 8, 0, 0, 0, 0, 0, 8, 0, 0, 4, 10, 0, 0, 1, 0, 0, 0, 0];
        assert_eq!(Gre::parse(&routed).unwrap().header_len(), Some(20));
        assert_eq!(Gre::parse(&routed[..16]).unwrap().header_len(), None);
    }
}
