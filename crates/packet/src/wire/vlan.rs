//! A tag of 802.1Q or 802.1ad: the bytes behind the EtherType that announces it.

use super::u16_at;

/// The 4 bytes of a tag.
#[derive(Clone, Copy, Debug)]
pub struct Vlan<'a>(&'a [u8; Vlan::LEN]);

impl<'a> Vlan<'a> {
    /// Bytes of the tag.
    pub const LEN: usize = 4;

    /// A view of the tag that `bytes` begin with.
    #[inline]
    pub fn parse(bytes: &'a [u8]) -> Option<Self> {
        bytes.first_chunk().map(Self)
    }

    /// VLAN, 12 bits.
    #[inline]
    pub fn id(self) -> u16 {
        u16_at::<0, _>(self.0) & 0x0fff
    }

    /// Priority, 0 to 7.
    #[inline]
    pub fn priority(self) -> u8 {
        (u16_at::<0, _>(self.0) >> 13) as u8
    }

    /// Whether the frame may be dropped first.
    #[inline]
    pub fn drop_eligible(self) -> bool {
        u16_at::<0, _>(self.0) & 0x1000 != 0
    }

    /// EtherType of what follows, or a length as in [`Ethernet`](super::ethernet::Ethernet).
    #[inline]
    pub fn ethertype(self) -> u16 {
        u16_at::<2, _>(self.0)
    }
}
