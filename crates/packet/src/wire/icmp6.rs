//! ICMP of IPv6, [RFC 4443](https://www.rfc-editor.org/rfc/rfc4443).

use super::{u8_at, u16_at};

/// The 4 bytes that every message begins with.
#[derive(Clone, Copy, Debug)]
pub struct Icmp6<'a>(&'a [u8; Icmp6::LEN]);

/// The 4 bytes of an echo behind those.
#[derive(Clone, Copy, Debug)]
pub struct Echo<'a>(&'a [u8; Echo::LEN]);

/// Types with a layer of their own.
pub mod kind {
    /// Please answer.
    pub const ECHO_REQUEST: u8 = 128;
    /// The answer.
    pub const ECHO_REPLY: u8 = 129;
    /// MLD: who listens?
    pub const LISTENER_QUERY: u8 = 130;
    /// MLD version 1: I do.
    pub const LISTENER_REPORT: u8 = 131;
    /// MLD version 1: no longer.
    pub const LISTENER_DONE: u8 = 132;
    /// Any router here?
    pub const ROUTER_SOLICITATION: u8 = 133;
    /// Yes.
    pub const ROUTER_ADVERTISEMENT: u8 = 134;
    /// Who has that address?
    pub const NEIGHBOR_SOLICITATION: u8 = 135;
    /// I have.
    pub const NEIGHBOR_ADVERTISEMENT: u8 = 136;
    /// There is a better first hop.
    pub const REDIRECT: u8 = 137;
    /// MLD version 2: what I listen to.
    pub const LISTENER_REPORT_V2: u8 = 143;
}

impl<'a> Icmp6<'a> {
    /// Bytes of this part.
    pub const LEN: usize = 4;

    /// A view of the message that `bytes` begin with.
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
}

impl<'a> Echo<'a> {
    /// Bytes of this part.
    pub const LEN: usize = 4;

    /// A view of the part that `bytes` begin with.
    #[inline]
    pub fn parse(bytes: &'a [u8]) -> Option<Self> {
        bytes.first_chunk().map(Self)
    }

    /// Identifier.
    #[inline]
    pub fn id(self) -> u16 {
        u16_at::<0, _>(self.0)
    }

    /// Sequence number.
    #[inline]
    pub fn sequence(self) -> u16 {
        u16_at::<2, _>(self.0)
    }
}
