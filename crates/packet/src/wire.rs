//! Views of headers: a check of the length, then fields read in place.
//!
//! A view borrows the fixed part of a header as an array, so its field readers cannot fail and compile to one load
//! each; a place outside the header does not compile. Nothing is judged here: a view of nonsense reads nonsense, the
//! [`Decoder`](crate::Decoder) decides what is believed. `parse` says no only when the bytes are too few.

pub mod arp;
pub mod erspan;
pub mod ethernet;
pub mod ethertype;
pub mod geneve;
pub mod gre;
pub mod gtp;
pub mod icmp4;
pub mod icmp6;
pub mod ipv4;
pub mod ipv6;
pub mod l2tp;
pub mod llc;
pub mod mpls;
pub mod nsh;
pub mod ppp;
pub mod pppoe;
pub mod protocol;
pub mod sctp;
pub mod sll;
pub mod tcp;
pub mod udp;
pub mod vlan;
pub mod vxlan;

/// A MAC address.
pub type Mac = [u8; 6];

/// `N` bytes at `AT` of a header.
#[inline]
pub(crate) const fn bytes<const AT: usize, const N: usize, const LEN: usize>(header: &[u8; LEN]) -> [u8; N] {
    const { assert!(AT + N <= LEN, "the field lies within the header") };
    if let Some((_, rest)) = header.split_at_checked(AT)
        && let Some(field) = rest.first_chunk()
    {
        *field
    } else {
        [0; N]
    }
}

/// The number of 8 bits at `AT`.
#[inline]
pub(crate) const fn u8_at<const AT: usize, const LEN: usize>(header: &[u8; LEN]) -> u8 {
    u8::from_be_bytes(bytes::<AT, 1, LEN>(header))
}

/// The number of 16 bits at `AT`.
#[inline]
pub(crate) const fn u16_at<const AT: usize, const LEN: usize>(header: &[u8; LEN]) -> u16 {
    u16::from_be_bytes(bytes::<AT, 2, LEN>(header))
}

/// The number of 32 bits at `AT`.
#[inline]
pub(crate) const fn u32_at<const AT: usize, const LEN: usize>(header: &[u8; LEN]) -> u32 {
    u32::from_be_bytes(bytes::<AT, 4, LEN>(header))
}

/// The number of 32 bits at a place known only when running: a field behind optional ones.
#[inline]
pub(crate) fn u32_in(bytes: &[u8], at: usize) -> Option<u32> {
    bytes.get(at..)?.first_chunk().map(|field| u32::from_be_bytes(*field))
}

/// The number of 16 bits at a place known only when running.
#[inline]
pub(crate) fn u16_in(bytes: &[u8], at: usize) -> Option<u16> {
    bytes.get(at..)?.first_chunk().map(|field| u16::from_be_bytes(*field))
}
