//! What carries packets.

use super::dispatch::{by_ethertype, by_next_protocol, by_protocol};
use super::{Fault, Header, Next};
use crate::layer::{End, Layer, LayerKind};
use crate::wire::erspan::{ErspanII, ErspanIII};
use crate::wire::ethernet::Ethernet;
use crate::wire::geneve::Geneve;
use crate::wire::gre::Gre;
use crate::wire::gtp::{self, Gtp};
use crate::wire::ipv4::Ipv4;
use crate::wire::ipv6::Ipv6;
use crate::wire::l2tp::L2tp;
use crate::wire::mpls::Mpls;
use crate::wire::nsh::Nsh;
use crate::wire::vxlan::Vxlan;
use crate::wire::{ethertype, ppp};

/// A control word before the frame of a pseudowire, RFC 4448: no flags, then a sequence number.
const CONTROL_WORD_LEN: usize = 4;

/// Bytes between session and frame in L2TP version 3: a sublayer of 4 bytes, a cookie of 4 or 8, both or neither. The
/// ends agree on them elsewhere, nothing in the packet tells. The shortest comes first, as what follows a tag looks
/// like what follows a frame.
const L2TPV3_GAPS: [usize; 4] = [0, 4, 8, 12];

#[inline]
pub(super) fn gre(rest: &[u8]) -> Result<Header, Fault> {
    let gre = Gre::parse(rest).ok_or(Fault::Short)?;
    let len = gre.header_len().ok_or(Fault::Short)?;
    match gre.version() {
        0 => Ok(Header::open(len, rest, by_ethertype(gre.protocol()))),
        1 => {
            let next =
                if gre.protocol() == ethertype::PPP { Ok(LayerKind::PPP) } else { Err(End::Unsupported) };
            let total = gre.payload_len().map_or(rest.len(), |payload| len + usize::from(payload));
            Ok(Header { len, total, next })
        }
        _ => Err(Fault::Bad),
    }
}

/// The type is said by the GRE header before: its protocol, and that type I has no sequence numbers.
pub(super) fn erspan(rest: &[u8], before: Option<&Layer>, packet: &[u8]) -> Result<Header, Fault> {
    let gre =
        before.filter(|layer| layer.kind == LayerKind::GRE).and_then(|gre| Gre::parse(gre.bytes_of(packet)));
    if gre.is_some_and(|gre| gre.protocol() == ethertype::ERSPAN_III) {
        let header = ErspanIII::parse(rest).ok_or(Fault::Short)?;
        let next = match (header.version(), header.frame_type()) {
            (2, 0) => Ok(LayerKind::Ethernet),
            (2, 2) => ip_by_version(rest.get(header.header_len())),
            (2, _) => Err(End::Unsupported),
            _ => return Err(Fault::Bad),
        };
        return Ok(Header::open(header.header_len(), rest, next));
    }
    if gre.is_some_and(|gre| !gre.has_sequence()) {
        return Ok(Header::open(0, rest, Ok(LayerKind::Ethernet)));
    }
    let header = ErspanII::parse(rest).ok_or(Fault::Short)?;
    if header.version() != 1 {
        return Err(Fault::Bad);
    }
    Ok(Header::open(ErspanII::LEN, rest, Ok(LayerKind::Ethernet)))
}

#[inline]
pub(super) fn mpls(rest: &[u8]) -> Result<Header, Fault> {
    let label = Mpls::parse(rest).ok_or(Fault::Short)?;
    if !label.is_bottom() {
        return Ok(Header::open(Mpls::LEN, rest, Ok(LayerKind::MPLS)));
    }
    let payload = rest.get(Mpls::LEN..).unwrap_or_default();
    let (gap, next) = below_labels(payload);
    Ok(Header::open(Mpls::LEN + gap, rest, Ok(next)))
}

/// Whether bytes could be labels with something below that can be told. What was `cut` before that is believed.
#[cold]
pub(super) fn is_stack(bytes: &[u8], cut: bool) -> bool {
    let (labels, _) = bytes.as_chunks::<{ Mpls::LEN }>();
    let bottom = labels.iter().position(|label| Mpls::parse(label).is_some_and(Mpls::is_bottom));
    let Some(below) = bottom.and_then(|at| bytes.get((at + 1) * Mpls::LEN..)) else { return cut };
    match below_labels(below) {
        (_, LayerKind::IPv4) => Ipv4::parse(below).is_none_or(|ip| {
            is_sound_ipv4(below, ip.header_len()) || usize::from(ip.total_len()) == below.len()
        }),
        (_, LayerKind::IPv6) => Ipv6::parse(below).is_none_or(|ip| {
            by_protocol(ip.next_header()).is_ok() || Ipv6::LEN + usize::from(ip.payload_len()) == below.len()
        }),
        (gap, _) => below.len() < gap + Ethernet::LEN || is_frame_at(below, gap),
    }
}

/// What lies below the last label, and where: nothing in the packet says it. Not inlined because the loop has no
/// registers for it.
///
/// A first half byte of 4 or 6 is IP, unless the header is impossible, or the bytes are a better frame than packet:
/// addresses of Ethernet may begin so as well. Everything else is a frame, behind a control word or not.
#[inline(never)]
fn below_labels(payload: &[u8]) -> (usize, LayerKind) {
    match payload.first().map(|byte| byte >> 4) {
        Some(4) if could_be_ipv4(payload) => (0, LayerKind::IPv4),
        Some(6) if !is_frame_at(payload, 0) || is_exact_ipv6(payload) => (0, LayerKind::IPv6),
        Some(0) if is_behind_control_word(payload) => (CONTROL_WORD_LEN, LayerKind::Ethernet),
        _ => (0, LayerKind::Ethernet),
    }
}

#[inline]
fn is_behind_control_word(payload: &[u8]) -> bool {
    payload.starts_with(&[0, 0]) && !is_frame_at(payload, 0) && is_frame_at(payload, CONTROL_WORD_LEN)
}

/// Whether IPv4 is the better reading of bytes that begin like it.
#[inline]
fn could_be_ipv4(bytes: &[u8]) -> bool {
    let Some(ip) = Ipv4::parse(bytes) else { return true };
    ip.header_len() >= Ipv4::LEN && (!is_frame_at(bytes, 0) || is_sound_ipv4(bytes, ip.header_len()))
}

/// Whether an Ethernet header could lie there: it announces what is decoded, and of IP the first half byte is right.
#[inline]
fn is_frame_at(bytes: &[u8], at: usize) -> bool {
    let Some(bytes) = bytes.get(at..) else { return false };
    let Some(frame) = Ethernet::parse(bytes) else { return false };
    let Ok(next) = by_ethertype(frame.ethertype()) else { return false };
    match (next, bytes.get(Ethernet::LEN).map(|byte| byte >> 4)) {
        (LayerKind::IPv4, version) => version == Some(4),
        (LayerKind::IPv6, version) => version == Some(6),
        (_, version) => version.is_some(),
    }
}

/// Whether the checksum of an IPv4 header is right.
#[cold]
fn is_sound_ipv4(bytes: &[u8], len: usize) -> bool {
    let Some(header) = bytes.get(..len) else { return false };
    let (words, _) = header.as_chunks::<2>();
    let sum: u32 = words.iter().map(|word| u32::from(u16::from_be_bytes(*word))).sum();
    (sum & 0xffff) + (sum >> 16) == 0xffff
}

/// Whether an IPv6 header says exactly as many bytes as there are, and that something follows that is decoded.
#[cold]
fn is_exact_ipv6(bytes: &[u8]) -> bool {
    Ipv6::parse(bytes).is_some_and(|ip| {
        Ipv6::LEN + usize::from(ip.payload_len()) == bytes.len() && by_protocol(ip.next_header()).is_ok()
    })
}

#[inline]
pub(super) fn vxlan(rest: &[u8]) -> Result<Header, Fault> {
    let vxlan = Vxlan::parse(rest).ok_or(Fault::Short)?;
    if !vxlan.has_vni() {
        return Err(Fault::Bad);
    }
    Ok(Header::open(Vxlan::LEN, rest, Ok(LayerKind::Ethernet)))
}

#[inline]
pub(super) fn vxlan_gpe(rest: &[u8]) -> Result<Header, Fault> {
    let vxlan = Vxlan::parse(rest).ok_or(Fault::Short)?;
    if vxlan.version() != 0 {
        return Err(Fault::Bad);
    }
    let next = if vxlan.is_operations() {
        Err(End::Payload)
    } else if vxlan.has_next_protocol() {
        by_next_protocol(vxlan.next_protocol())
    } else {
        Ok(LayerKind::Ethernet)
    };
    Ok(Header::open(Vxlan::LEN, rest, next))
}

#[inline]
pub(super) fn geneve(rest: &[u8]) -> Result<Header, Fault> {
    let geneve = Geneve::parse(rest).ok_or(Fault::Short)?;
    if geneve.version() != 0 {
        return Err(Fault::Bad);
    }
    Ok(Header::open(geneve.header_len(), rest, by_ethertype(geneve.protocol())))
}

pub(super) fn nsh(rest: &[u8]) -> Result<Header, Fault> {
    let nsh = Nsh::parse(rest).ok_or(Fault::Short)?;
    if nsh.version() != 0 || nsh.header_len() < Nsh::LEN {
        return Err(Fault::Bad);
    }
    Ok(Header::open(nsh.header_len(), rest, by_next_protocol(nsh.next_protocol())))
}

pub(super) fn gtp(rest: &[u8]) -> Result<Header, Fault> {
    let gtp = Gtp::parse(rest).ok_or(Fault::Short)?;
    if gtp.version() != 1 || !gtp.is_gtp() {
        return Err(Fault::Bad);
    }
    let len = gtp.header_len().ok_or(Fault::Short)?;
    let payload = rest.get(len..).unwrap_or_default();
    let next = if gtp.message_type() == gtp::USER_PACKET { user_packet(payload) } else { Err(End::Payload) };
    Ok(Header { len, total: Gtp::LEN + usize::from(gtp.message_len()), next })
}

/// What a subscriber sends: IP, or PPP of the oldest kind of session.
fn user_packet(payload: &[u8]) -> Next {
    match payload {
        [0xff, 0x03, ..] => Ok(LayerKind::PPP),
        [high, low, ..] if matches!(u16::from_be_bytes([*high, *low]), ppp::IPV4 | ppp::IPV6) => {
            Ok(LayerKind::PPP)
        }
        _ => match ip_by_version(payload.first()) {
            Err(_) => Err(End::Payload),
            next => next,
        },
    }
}

fn ip_by_version(first: Option<&u8>) -> Next {
    match first.map(|byte| byte >> 4) {
        Some(4) => Ok(LayerKind::IPv4),
        Some(6) => Ok(LayerKind::IPv6),
        _ => Err(End::Unsupported),
    }
}

pub(super) fn etherip(rest: &[u8]) -> Result<Header, Fault> {
    match rest.first() {
        Some(first) if first >> 4 == 3 => Ok(Header::open(2, rest, Ok(LayerKind::Ethernet))),
        _ => Err(Fault::Bad),
    }
}

pub(super) fn l2tp(rest: &[u8], before: Option<&Layer>) -> Result<Header, Fault> {
    if before.is_none_or(|layer| layer.kind != LayerKind::UDP) {
        let session: &[u8; 4] = rest.first_chunk().ok_or(Fault::Short)?;
        return Ok(if *session == [0; 4] {
            Header::open(16, rest, Err(End::Payload))
        } else {
            l2tpv3_frame(rest, 4)
        });
    }
    let header = L2tp::parse(rest).ok_or(Fault::Short)?;
    match (header.version(), header.is_control()) {
        (2, control) => {
            let len = header.header_len().ok_or(Fault::Short)?;
            let total = header.total_len().map_or(rest.len(), usize::from);
            // Real headers are short, and an offset may say anything.
            if len > total || len > usize::from(u16::MAX) {
                return Err(if len > rest.len() { Fault::Short } else { Fault::Bad });
            }
            let next = if control { Err(End::Payload) } else { Ok(LayerKind::PPP) };
            Ok(Header { len, total, next })
        }
        (3, true) => Ok(Header::open(12, rest, Err(End::Payload))),
        (3, false) => Ok(l2tpv3_frame(rest, 8)),
        _ => Err(Fault::Bad),
    }
}

/// A packet of a session of version 3 whose fixed header has `len` bytes.
fn l2tpv3_frame(rest: &[u8], len: usize) -> Header {
    match L2TPV3_GAPS.iter().find(|gap| is_frame_at(rest, len + **gap)) {
        Some(gap) => Header::open(len + gap, rest, Ok(LayerKind::Ethernet)),
        None => Header::open(len, rest, Err(End::Unsupported)),
    }
}
