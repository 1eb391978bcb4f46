//! IP and its extension headers.

use super::dispatch::by_protocol;
use super::{Fault, Header, Next};
use crate::layer::LayerKind;
use crate::wire::ipv4::Ipv4;
use crate::wire::ipv6::{Extension, FragmentHeader, Ipv6};

/// The least an authentication header can have: one without a check value.
const MIN_AH_LEN: usize = 12;

/// What a packet without a link layer is.
#[inline]
pub(super) fn first_of_raw(bytes: &[u8]) -> LayerKind {
    match bytes.first().map(|byte| byte >> 4) {
        Some(4) => LayerKind::IPv4,
        Some(6) => LayerKind::IPv6,
        _ => LayerKind::ARP,
    }
}

#[inline]
pub(super) fn ipv4(rest: &[u8]) -> Result<Header, Fault> {
    let ip = Ipv4::parse(rest).ok_or(Fault::Short)?;
    // Version 4 and a length of at least 20 bytes.
    if !(0x45..=0x4f).contains(&ip.version_and_len()) {
        return Err(Fault::Bad);
    }
    let total = match usize::from(ip.total_len()) {
        0 => rest.len(),
        total => total,
    };
    let next: Next = if ip.is_fragment() { Ok(LayerKind::Fragment) } else { by_protocol(ip.protocol()) };
    Ok(Header { len: ip.header_len(), total, next })
}

#[inline]
pub(super) fn ipv6(rest: &[u8]) -> Result<Header, Fault> {
    let ip = Ipv6::parse(rest).ok_or(Fault::Short)?;
    if ip.version() != 6 {
        return Err(Fault::Bad);
    }
    // A jumbogram, or one that the network card was to cut up: the capture knows better than any option would.
    let total = match usize::from(ip.payload_len()) {
        0 => rest.len(),
        payload => Ipv6::LEN + payload,
    };
    Ok(Header { len: Ipv6::LEN, total, next: by_protocol(ip.next_header()) })
}

#[inline]
pub(super) fn ipv6_extension(rest: &[u8]) -> Result<Header, Fault> {
    let extension = Extension::parse(rest).ok_or(Fault::Short)?;
    Ok(Header::open(extension.header_len(), rest, by_protocol(extension.next_header())))
}

#[inline]
pub(super) fn ipv6_fragment(rest: &[u8]) -> Result<Header, Fault> {
    let fragment = FragmentHeader::parse(rest).ok_or(Fault::Short)?;
    let next =
        if fragment.is_fragment() { Ok(LayerKind::Fragment) } else { by_protocol(fragment.next_header()) };
    Ok(Header::open(FragmentHeader::LEN, rest, next))
}

#[inline]
pub(super) fn ipsec_ah(rest: &[u8]) -> Result<Header, Fault> {
    let extension = Extension::parse(rest).ok_or(Fault::Short)?;
    let len = extension.authentication_len();
    if len < MIN_AH_LEN {
        return Err(Fault::Bad);
    }
    Ok(Header::open(len, rest, by_protocol(extension.next_header())))
}
