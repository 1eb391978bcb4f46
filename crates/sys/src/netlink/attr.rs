//! Attributes: type, length, value, one after the other, some holding attributes themselves.

use std::cell::Cell;
use std::net::{IpAddr, Ipv4Addr, Ipv6Addr};

use smol_str::SmolStr;

/// What was passed over while reading. Shared by the walkers of one message, hence the cell.
#[derive(Debug, Default)]
pub struct Tally {
    malformed: Cell<u64>,
}

impl Tally {
    /// Attributes and messages that were cut short or ran over their buffer.
    pub fn malformed(&self) -> u64 {
        self.malformed.get()
    }

    pub(crate) fn count_malformed(&self) {
        self.malformed.set(self.malformed.get() + 1);
    }
}

/// One attribute. The readers give `None`, and count, when the value is too short for what is asked of it.
#[derive(Clone, Copy, Debug)]
pub struct Attr<'a> {
    /// Type, without the flags for nesting and byte order.
    pub kind: u16,
    /// Value, without padding.
    pub value: &'a [u8],
    tally: &'a Tally,
}

/// The attributes of a buffer in order.
#[derive(Clone, Debug)]
pub struct Attrs<'a> {
    rest: &'a [u8],
    tally: &'a Tally,
}

const HEADER: usize = 4;
const TYPE_MASK: u16 = 0x3fff;

impl<'a> Attrs<'a> {
    /// Walks `bytes`.
    pub fn new(bytes: &'a [u8], tally: &'a Tally) -> Self {
        Self { rest: bytes, tally }
    }
}

impl<'a> Iterator for Attrs<'a> {
    type Item = Attr<'a>;

    fn next(&mut self) -> Option<Attr<'a>> {
        if self.rest.is_empty() {
            return None;
        }
        let attr = split(self.rest);
        let Some((kind, value, used)) = attr else {
            // Up to three bytes of padding after the last attribute are no fault.
            if self.rest.len() >= HEADER || self.rest.iter().any(|b| *b != 0) {
                self.tally.count_malformed();
            }
            self.rest = &[];
            return None;
        };
        self.rest = self.rest.get(used..).unwrap_or_default();
        Some(Attr { kind, value, tally: self.tally })
    }
}

fn split(bytes: &[u8]) -> Option<(u16, &[u8], usize)> {
    let len = usize::from(u16::from_ne_bytes(fixed(bytes)?));
    let kind = u16::from_ne_bytes(fixed(bytes.get(2..)?)?) & TYPE_MASK;
    Some((kind, bytes.get(HEADER..len)?, len.next_multiple_of(4)))
}

/// The first `N` bytes.
pub(crate) fn fixed<const N: usize>(bytes: &[u8]) -> Option<[u8; N]> {
    bytes.first_chunk::<N>().copied()
}

impl<'a> Attr<'a> {
    /// The attributes inside.
    pub fn nested(&self) -> Attrs<'a> {
        Attrs { rest: self.value, tally: self.tally }
    }

    /// The first `N` bytes.
    pub fn array<const N: usize>(&self) -> Option<[u8; N]> {
        let array = fixed(self.value);
        if array.is_none() {
            self.tally.count_malformed();
        }
        array
    }

    /// A number of one byte.
    pub fn u8(&self) -> Option<u8> {
        self.array::<1>().map(|[b]| b)
    }

    /// A number of two bytes in host order.
    pub fn u16(&self) -> Option<u16> {
        self.array().map(u16::from_ne_bytes)
    }

    /// A number of two bytes in network order.
    pub fn be16(&self) -> Option<u16> {
        self.array().map(u16::from_be_bytes)
    }

    /// A number of four bytes in host order.
    pub fn u32(&self) -> Option<u32> {
        self.array().map(u32::from_ne_bytes)
    }

    /// A number of four bytes in network order.
    pub fn be32(&self) -> Option<u32> {
        self.array().map(u32::from_be_bytes)
    }

    /// A signed number of four bytes in host order.
    pub fn i32(&self) -> Option<i32> {
        self.array().map(i32::from_ne_bytes)
    }

    /// A number of eight bytes in host order.
    pub fn u64(&self) -> Option<u64> {
        self.array().map(u64::from_ne_bytes)
    }

    /// Text up to its terminating zero; bytes that are not UTF-8 become the replacement character.
    pub fn text(&self) -> SmolStr {
        let end = self.value.iter().position(|b| *b == 0).unwrap_or(self.value.len());
        SmolStr::from(String::from_utf8_lossy(self.value.get(..end).unwrap_or_default()))
    }

    /// An address, its family told by its length.
    pub fn ip(&self) -> Option<IpAddr> {
        let ip = ip(self.value);
        if ip.is_none() {
            self.tally.count_malformed();
        }
        ip
    }
}

/// An address of exactly 4 or 16 bytes.
pub(crate) fn ip(bytes: &[u8]) -> Option<IpAddr> {
    match bytes.len() {
        4 => fixed::<4>(bytes).map(|b| IpAddr::V4(Ipv4Addr::from(b))),
        16 => fixed::<16>(bytes).map(|b| IpAddr::V6(Ipv6Addr::from(b))),
        _ => None,
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn walks_padded_and_nested() {
        // kind 3 "lo\0" padded to 8; kind 18 nested (flag 0x8000) holding kind 1 "tun\0"
        let bytes = [
            7, 0, 3, 0, b'l', b'o', 0, 0, //
            12, 0, 18, 0x80, 8, 0, 1, 0, b't', b'u', b'n', 0,
        ];
        let tally = Tally::default();
        let all: Vec<_> = Attrs::new(&bytes, &tally).collect();
        assert_eq!(all.len(), 2);
        assert_eq!((all[0].kind, all[0].text().as_str()), (3, "lo"));
        assert_eq!(all[1].kind, 18);
        assert_eq!(all[1].nested().next().map(|a| a.text()), Some("tun".into()));
        assert_eq!(tally.malformed(), 0);
    }

    #[test]
    fn short_values_and_lengths_beyond_the_buffer_are_counted() {
        let tally = Tally::default();
        let short = [6, 0, 4, 0, 1, 2, 0, 0];
        assert_eq!(Attrs::new(&short, &tally).next().and_then(|a| a.u32()), None);
        assert_eq!(tally.malformed(), 1);
        for bytes in [&[255u8, 0, 1, 0][..], &[3, 0, 1, 0], &[0, 0, 0, 0], &[1], &[9, 9, 9]] {
            assert!(Attrs::new(bytes, &tally).next().is_none(), "{bytes:?}");
        }
        assert_eq!(tally.malformed(), 6);
    }
}
