//! ARP, [RFC 826](https://www.rfc-editor.org/rfc/rfc826).

use std::net::Ipv4Addr;

use super::{Mac, bytes, u8_at, u16_at};

/// The 8 bytes that say how long the addresses are.
#[derive(Clone, Copy, Debug)]
pub struct Arp<'a>(&'a [u8; 8]);

/// A message that asks for IPv4 addresses of Ethernet stations, 28 bytes.
#[derive(Clone, Copy, Debug)]
pub struct EthernetArp<'a>(&'a [u8; 28]);

/// Operation: who has that address?
pub const REQUEST: u16 = 1;
/// Operation: that address is mine.
pub const REPLY: u16 = 2;

impl<'a> Arp<'a> {
    /// A view of the message that `bytes` begin with.
    #[inline]
    pub fn parse(bytes: &'a [u8]) -> Option<Self> {
        bytes.first_chunk().map(Self)
    }

    /// Kind of hardware address, 1 for Ethernet.
    #[inline]
    pub fn hardware(self) -> u16 {
        u16_at::<0, _>(self.0)
    }

    /// EtherType of the protocol asked about.
    #[inline]
    pub fn protocol(self) -> u16 {
        u16_at::<2, _>(self.0)
    }

    /// [`REQUEST`], [`REPLY`] or another.
    #[inline]
    pub fn operation(self) -> u16 {
        u16_at::<6, _>(self.0)
    }

    /// Bytes of the whole message: these 8 and two pairs of addresses.
    #[inline]
    pub fn total_len(self) -> usize {
        8 + 2 * (usize::from(u8_at::<4, _>(self.0)) + usize::from(u8_at::<5, _>(self.0)))
    }
}

impl<'a> EthernetArp<'a> {
    /// A view of the message that `bytes` begin with, if it is of this form.
    #[inline]
    pub fn parse(bytes: &'a [u8]) -> Option<Self> {
        let message = bytes.first_chunk()?;
        super::bytes::<0, 6, _>(message).eq(&[0, 1, 8, 0, 6, 4]).then_some(Self(message))
    }

    /// Ethernet address of who sent it.
    #[inline]
    pub fn sender_mac(self) -> Mac {
        bytes::<8, 6, _>(self.0)
    }

    /// Its IPv4 address.
    #[inline]
    pub fn sender(self) -> Ipv4Addr {
        Ipv4Addr::from(bytes::<14, 4, _>(self.0))
    }

    /// Ethernet address of whom it is about; zeros in a request.
    #[inline]
    pub fn target_mac(self) -> Mac {
        bytes::<18, 6, _>(self.0)
    }

    /// Its IPv4 address.
    #[inline]
    pub fn target(self) -> Ipv4Addr {
        Ipv4Addr::from(bytes::<24, 4, _>(self.0))
    }
}
