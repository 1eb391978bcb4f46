//! Ethernet and all that lies between it and IP, or beside it.

use super::dispatch::by_ethertype;
use super::{Fault, Header, Next};
use crate::layer::{End, LayerKind};
use crate::wire::arp::Arp;
use crate::wire::ethernet::Ethernet;
use crate::wire::ipv4::Ipv4;
use crate::wire::llc::{self, Llc, Snap};
use crate::wire::pppoe::Pppoe;
use crate::wire::sll::{self, Sll, Sll2};
use crate::wire::vlan::Vlan;
use crate::wire::{ethertype, ppp};

/// Bytes of a bridge protocol unit that only tells of a change, of a full one, and of RSTP's.
const STP_LENS: [usize; 3] = [4, 35, 36];

/// Of SONMP: address, segment, chassis, backplane, state and number of links.
pub(super) const NORTEL_LEN: usize = 11;

/// Of configuration testing: how many bytes to skip.
pub(super) const CTP_LEN: usize = 2;

/// Version, time to live and checksum of CDP; type and length of each field behind.
const CDP_LEN: usize = 4;

#[inline]
pub(super) fn ethernet(rest: &[u8]) -> Result<Header, Fault> {
    let frame = Ethernet::parse(rest).ok_or(Fault::Short)?;
    Ok(typed_or_long(Ethernet::LEN, rest, frame.ethertype()))
}

/// What IPv4 carries behind an Ethernet header, its protocol, and whether there was more of it: of whole datagrams
/// without options that carry something. Most packets begin so, and most that tunnels carry. They are read here at once.
#[inline]
pub(super) fn framed_ipv4(rest: &[u8]) -> Option<(&[u8], u8, bool)> {
    let (frame, datagram) = rest.split_first_chunk::<{ Ethernet::LEN }>()?;
    let (header, payload) = datagram.split_first_chunk::<{ Ipv4::LEN }>()?;
    let (frame, ip) = (Ethernet::parse(frame)?, Ipv4::parse(header)?);
    if frame.ethertype() != ethertype::IPV4 || ip.version_and_len() != 0x45 || ip.is_fragment() {
        return None;
    }
    let declared = match usize::from(ip.total_len()) {
        0 => payload.len(),
        total => total.checked_sub(Ipv4::LEN)?,
    };
    let there = payload.get(..declared.min(payload.len())).filter(|there| !there.is_empty())?;
    Some((there, ip.protocol(), declared > payload.len()))
}

#[inline]
pub(super) fn dot1q(rest: &[u8]) -> Result<Header, Fault> {
    let tag = Vlan::parse(rest).ok_or(Fault::Short)?;
    Ok(typed_or_long(Vlan::LEN, rest, tag.ethertype()))
}

/// A header whose last field is an EtherType, or the length of an 802.2 frame.
#[inline]
fn typed_or_long(len: usize, rest: &[u8], number: u16) -> Header {
    // Asked first because it is true most of the time.
    if number == ethertype::IPV4 {
        Header::open(len, rest, Ok(LayerKind::IPv4))
    } else if number < ethertype::MIN {
        Header { len, total: len + usize::from(number), next: Ok(LayerKind::LLC) }
    } else {
        Header::open(len, rest, by_ethertype(number))
    }
}

pub(super) fn llc(rest: &[u8]) -> Result<Header, Fault> {
    let frame = Llc::parse(rest).ok_or(Fault::Short)?;
    let next = match (frame.destination(), frame.source()) {
        (llc::SNAP, llc::SNAP) => Ok(LayerKind::SNAP),
        (llc::BRIDGES, llc::BRIDGES) => Ok(LayerKind::STP),
        _ => Err(End::Unsupported),
    };
    Ok(Header::open(frame.header_len(), rest, next))
}

pub(super) fn snap(rest: &[u8]) -> Result<Header, Fault> {
    let snap = Snap::parse(rest).ok_or(Fault::Short)?;
    Ok(Header::open(Snap::LEN, rest, by_ethertype(snap.ethertype())))
}

pub(super) fn stp(rest: &[u8]) -> Result<Header, Fault> {
    let &[high, low, version, kind] = rest.first_chunk().ok_or(Fault::Short)?;
    if [high, low] != [0, 0] {
        return Err(Fault::Bad);
    }
    let [change, full, rapid] = STP_LENS;
    let len = match (kind, version) {
        (0x80, _) => change,
        (_, 0) => full,
        _ => rapid,
    };
    Ok(Header::open(len, rest, Err(End::Payload)))
}

pub(super) fn arp(rest: &[u8]) -> Result<Header, Fault> {
    let len = Arp::parse(rest).ok_or(Fault::Short)?.total_len();
    Ok(Header { len, total: len, next: Err(End::Nothing) })
}

pub(super) fn loopback(rest: &[u8]) -> Result<Header, Fault> {
    let &family = rest.first_chunk().ok_or(Fault::Short)?;
    // Whichever byte order makes it a small number.
    let family = u32::from_be_bytes(family).min(u32::from_le_bytes(family));
    let next = match family {
        2 => Ok(LayerKind::IPv4),
        // Linux, BSD, FreeBSD and Darwin never agreed.
        10 | 24 | 28 | 30 => Ok(LayerKind::IPv6),
        _ => Err(End::Unsupported),
    };
    Ok(Header::open(4, rest, next))
}

pub(super) fn sll(rest: &[u8]) -> Result<Header, Fault> {
    let cooked = Sll::parse(rest).ok_or(Fault::Short)?;
    Ok(Header::open(Sll::LEN, rest, cooked_next(cooked.protocol())))
}

pub(super) fn sll2(rest: &[u8]) -> Result<Header, Fault> {
    let cooked = Sll2::parse(rest).ok_or(Fault::Short)?;
    Ok(Header::open(Sll2::LEN, rest, cooked_next(cooked.protocol())))
}

fn cooked_next(protocol: u16) -> Next {
    match protocol {
        sll::LLC => Ok(LayerKind::LLC),
        0..ethertype::MIN => Err(End::Unsupported),
        _ => by_ethertype(protocol),
    }
}

pub(super) fn ppp(rest: &[u8]) -> Result<Header, Fault> {
    let (protocol, len) = ppp::protocol(rest).ok_or(Fault::Short)?;
    let next = match protocol {
        ppp::IPV4 => Ok(LayerKind::IPv4),
        ppp::IPV6 => Ok(LayerKind::IPv6),
        ppp::MPLS | ppp::MPLS_UPSTREAM => Ok(LayerKind::MPLS),
        _ => Err(End::Unsupported),
    };
    Ok(Header::open(len, rest, next))
}

pub(super) fn pppoe(rest: &[u8]) -> Result<Header, Fault> {
    let pppoe = Pppoe::parse(rest).ok_or(Fault::Short)?;
    if pppoe.version_and_type() != 0x11 {
        return Err(Fault::Bad);
    }
    let next = if pppoe.code() == 0 { Ok(LayerKind::PPP) } else { Err(End::Payload) };
    Ok(Header { len: Pppoe::LEN, total: Pppoe::LEN + usize::from(pppoe.payload_len()), next })
}

pub(super) fn eapol(rest: &[u8]) -> Result<Header, Fault> {
    let &[_version, kind, high, low] = rest.first_chunk().ok_or(Fault::Short)?;
    let next = if kind == 0 { Ok(LayerKind::EAP) } else { Err(End::Payload) };
    Ok(Header { len: 4, total: 4 + usize::from(u16::from_be_bytes([high, low])), next })
}

pub(super) fn eap(rest: &[u8]) -> Result<Header, Fault> {
    let &[code, _id, high, low] = rest.first_chunk().ok_or(Fault::Short)?;
    let len = usize::from(u16::from_be_bytes([high, low]));
    if len < 4 || !(1..=6).contains(&code) {
        return Err(Fault::Bad);
    }
    Ok(Header { len, total: len, next: Err(End::Nothing) })
}

/// The three fields every frame begins with: chassis, port and time to live.
pub(super) fn lldp(rest: &[u8]) -> Result<Header, Fault> {
    let mut len = 0;
    for expected in 1..=3 {
        let (kind, field) = lldp_field(rest, len)?;
        if kind != expected {
            return Err(Fault::Bad);
        }
        len += field;
    }
    Ok(Header::open(len, rest, Ok(LayerKind::LinkLayerDiscoveryInfo)))
}

/// The fields up to the end mark.
pub(super) fn lldp_fields(rest: &[u8]) -> Result<Header, Fault> {
    let mut len = 0;
    while len < rest.len() {
        let (kind, field) = lldp_field(rest, len)?;
        len += field;
        if kind == 0 {
            break;
        }
    }
    if len > usize::from(u16::MAX) {
        return Err(Fault::Bad);
    }
    Ok(Header { len, total: len, next: Err(End::Nothing) })
}

/// Type of the field at `at` and the bytes it takes.
fn lldp_field(rest: &[u8], at: usize) -> Result<(u8, usize), Fault> {
    let &[high, low] = rest.get(at..).and_then(<[u8]>::first_chunk).ok_or(Fault::Short)?;
    let len = 2 + usize::from(u16::from_be_bytes([high & 1, low]));
    if at + len > rest.len() { Err(Fault::Short) } else { Ok((high >> 1, len)) }
}

pub(super) fn cdp(rest: &[u8]) -> Result<Header, Fault> {
    match rest.first() {
        Some(1 | 2) => Ok(Header::open(CDP_LEN, rest, Ok(LayerKind::CiscoDiscoveryInfo))),
        Some(_) => Err(Fault::Bad),
        None => Err(Fault::Short),
    }
}

pub(super) fn cdp_fields(rest: &[u8]) -> Result<Header, Fault> {
    let mut at = 0;
    while at < rest.len() {
        let &[_, _, high, low] = rest.get(at..).and_then(<[u8]>::first_chunk).ok_or(Fault::Short)?;
        let len = usize::from(u16::from_be_bytes([high, low]));
        if len < CDP_LEN {
            return Err(Fault::Bad);
        }
        at += len;
    }
    if at > rest.len() { Err(Fault::Short) } else { Ok(Header::whole(rest)) }
}
