//! Linux cooked captures, what stands for a link layer when a capture is made on every interface:
//! [version 1](https://www.tcpdump.org/linktypes/LINKTYPE_LINUX_SLL.html) and
//! [version 2](https://www.tcpdump.org/linktypes/LINKTYPE_LINUX_SLL2.html).

use super::{bytes, u8_at, u16_at, u32_at};

/// The 16 bytes of version 1.
#[derive(Clone, Copy, Debug)]
pub struct Sll<'a>(&'a [u8; Sll::LEN]);

/// The 20 bytes of version 2.
#[derive(Clone, Copy, Debug)]
pub struct Sll2<'a>(&'a [u8; Sll2::LEN]);

/// Protocol: an 802.2 frame.
pub const LLC: u16 = 0x0004;

impl<'a> Sll<'a> {
    /// Bytes of the header.
    pub const LEN: usize = 16;

    /// A view of the header that `bytes` begin with.
    #[inline]
    pub fn parse(bytes: &'a [u8]) -> Option<Self> {
        bytes.first_chunk().map(Self)
    }

    /// To whom: 0 us, 1 everybody, 2 a group, 3 another station, 4 from us.
    #[inline]
    pub fn packet_type(self) -> u16 {
        u16_at::<0, _>(self.0)
    }

    /// Kind of interface, one of Linux's ARPHRD numbers.
    #[inline]
    pub fn hardware(self) -> u16 {
        u16_at::<2, _>(self.0)
    }

    /// Address of the sender, padded with zeros.
    #[inline]
    pub fn address(self) -> [u8; 8] {
        bytes::<6, 8, _>(self.0)
    }

    /// EtherType of what follows, or one of Linux's numbers below 0x0600.
    #[inline]
    pub fn protocol(self) -> u16 {
        u16_at::<14, _>(self.0)
    }
}

impl<'a> Sll2<'a> {
    /// Bytes of the header.
    pub const LEN: usize = 20;

    /// A view of the header that `bytes` begin with.
    #[inline]
    pub fn parse(bytes: &'a [u8]) -> Option<Self> {
        bytes.first_chunk().map(Self)
    }

    /// EtherType of what follows, or one of Linux's numbers below 0x0600.
    #[inline]
    pub fn protocol(self) -> u16 {
        u16_at::<0, _>(self.0)
    }

    /// Number of the interface.
    #[inline]
    pub fn interface(self) -> u32 {
        u32_at::<4, _>(self.0)
    }

    /// Kind of interface, one of Linux's ARPHRD numbers.
    #[inline]
    pub fn hardware(self) -> u16 {
        u16_at::<8, _>(self.0)
    }

    /// To whom, as [`Sll::packet_type`].
    #[inline]
    pub fn packet_type(self) -> u8 {
        u8_at::<10, _>(self.0)
    }

    /// Address of the sender, padded with zeros.
    #[inline]
    pub fn address(self) -> [u8; 8] {
        bytes::<12, 8, _>(self.0)
    }
}
