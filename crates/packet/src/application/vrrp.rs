//! VRRP, version 2 of [RFC 3768](https://www.rfc-editor.org/rfc/rfc3768) and version 3 of
//! [RFC 5798](https://www.rfc-editor.org/rfc/rfc5798): who is the router.

use std::net::{IpAddr, Ipv4Addr, Ipv6Addr};

use crate::wire::{u8_at, u16_at};

/// Bytes before the addresses.
const FIXED_LEN: usize = 8;
/// The only kind of message there is.
const ADVERTISEMENT: u8 = 1;

/// An advertisement, read in place.
#[derive(Clone, Copy, Debug)]
pub struct Advertisement<'a> {
    fixed: &'a [u8; FIXED_LEN],
    rest: &'a [u8],
}

/// Whether what IP carries is an advertisement of version 2 or 3.
#[inline]
pub fn looks_like(payload: &[u8]) -> bool {
    Advertisement::parse(payload).is_some()
}

impl<'a> Advertisement<'a> {
    /// A view of the advertisement that `payload`, all that IP carries, is; nothing if it is none, or of another
    /// version.
    #[inline]
    pub fn parse(payload: &'a [u8]) -> Option<Self> {
        let (fixed, rest) = payload.split_first_chunk()?;
        let message = Self { fixed, rest };
        (matches!(message.version(), 2 | 3) && message.kind() == ADVERTISEMENT).then_some(message)
    }

    /// 2 or 3.
    #[inline]
    pub fn version(self) -> u8 {
        u8_at::<0, _>(self.fixed) >> 4
    }

    /// 1: an advertisement.
    #[inline]
    pub fn kind(self) -> u8 {
        u8_at::<0, _>(self.fixed) & 0x0f
    }

    /// Number of the virtual router on its link.
    #[inline]
    pub fn virtual_router(self) -> u8 {
        u8_at::<1, _>(self.fixed)
    }

    /// The highest one is the router; 255 is the owner of the addresses, 0 says that the router leaves.
    #[inline]
    pub fn priority(self) -> u8 {
        u8_at::<2, _>(self.fixed)
    }

    /// Addresses that the message says it has.
    #[inline]
    pub fn count(self) -> u8 {
        u8_at::<3, _>(self.fixed)
    }

    /// Time between advertisements as it was sent: seconds in version 2, hundredths of a second in version 3.
    #[inline]
    pub fn interval(self) -> u16 {
        match self.version() {
            2 => u16::from(u8_at::<5, _>(self.fixed)),
            _ => u16_at::<4, _>(self.fixed) & 0x0fff,
        }
    }

    /// Kind of authentication, of version 2 only: 0 for none, 1 for a password, which RFC 3768 took back.
    #[inline]
    pub fn authentication(self) -> Option<u8> {
        (self.version() == 2).then(|| u8_at::<4, _>(self.fixed))
    }

    /// Checksum; that of version 3 covers the addresses of IP too.
    #[inline]
    pub fn checksum(self) -> u16 {
        u16_at::<6, _>(self.fixed)
    }

    /// The addresses of the virtual router, those that are there. Which kind version 3 has is told by their length:
    /// nothing follows them.
    pub fn addresses(self) -> impl Iterator<Item = IpAddr> + 'a {
        let count = usize::from(self.count());
        let six = self.version() == 3 && self.rest.len() >= 16 * count;
        let (v4, v6): (&[[u8; 4]], &[[u8; 16]]) =
            if six { (&[], self.rest.as_chunks().0) } else { (self.rest.as_chunks().0, &[]) };
        let v4 = v4.iter().map(|octets| IpAddr::V4(Ipv4Addr::from(*octets)));
        v4.chain(v6.iter().map(|octets| IpAddr::V6(Ipv6Addr::from(*octets)))).take(count)
    }
}
