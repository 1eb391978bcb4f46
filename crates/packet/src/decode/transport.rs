//! What IP carries to a host.

use super::dispatch::by_port;
use super::tunnel::is_stack;
use super::{Fault, Header, Next};
use crate::layer::{End, LayerKind};
use crate::wire::icmp4::Icmp4;
use crate::wire::icmp6::{Echo, Icmp6, kind as icmp6_kind};
use crate::wire::sctp::{Chunk, Sctp};
use crate::wire::tcp::Tcp;
use crate::wire::udp::Udp;
use crate::wire::vxlan::Vxlan;

/// Four bytes and an address: neighbor discovery and MLD version 1 behind the first four bytes of a message. A longer
/// query is of version 2.
const ADDRESS_BODY_LEN: usize = 20;

/// Parameters index and sequence number.
const ESP_LEN: usize = 8;

/// What is fixed in a data chunk, and in one that may be interleaved (RFC 8260).
const SCTP_DATA_LEN: usize = 16;
const SCTP_INTERLEAVED_LEN: usize = 20;

#[inline]
pub(super) fn tcp(rest: &[u8]) -> Result<Header, Fault> {
    let len = Tcp::parse(rest).ok_or(Fault::Short)?.header_len();
    if len < Tcp::LEN {
        return Ok(with_wrong_len(LayerKind::TCP, Tcp::LEN, rest));
    }
    Ok(Header::open(len, rest, Err(End::Payload)))
}

/// Bytes of a header that is sound and there.
#[inline]
pub(super) fn tcp_len(rest: &[u8]) -> Option<usize> {
    let len = Tcp::parse(rest)?.header_len();
    (Tcp::LEN..=rest.len()).contains(&len).then_some(len)
}

/// A header whose ports stand although its length is impossible.
#[cold]
fn with_wrong_len(kind: LayerKind, len: usize, rest: &[u8]) -> Header {
    Header::open(len, rest, Err(End::Malformed(kind)))
}

#[inline]
pub(super) fn udp(rest: &[u8], mpls_port: u16) -> Result<Header, Fault> {
    let udp = Udp::parse(rest).ok_or(Fault::Short)?;
    let total = match usize::from(udp.total_len()) {
        0 => rest.len(),
        1..Udp::LEN => return Ok(with_wrong_len(LayerKind::UDP, Udp::LEN, rest)),
        total => total,
    };
    Ok(Header { len: Udp::LEN, total, next: udp_next(udp, rest, mpls_port) })
}

/// The port of the destination says what follows, else that of the source; of a tunnel only that of the destination,
/// since its sender chooses any source port to spread flows (RFC 7348 section 5, RFC 7510 section 3).
#[inline]
fn udp_next(udp: Udp<'_>, rest: &[u8], mpls_port: u16) -> Next {
    let (source, destination) = (udp.source(), udp.destination());
    let known = by_port(destination).or_else(|| by_port(source).filter(|kind| !is_spread(*kind)));
    let Some(known) = known else {
        let configured = mpls_port != 0 && (destination == mpls_port || source == mpls_port);
        return if configured { Ok(LayerKind::MPLS) } else { Err(End::Payload) };
    };
    if !is_spread(known) {
        return Ok(known);
    }
    // Ports of tunnels lie among those that a client may get: what follows must look like one.
    let payload = rest.get(Udp::LEN..).unwrap_or_default();
    match known {
        // Linux speaks the generic form on any port it is told to; the bit is reserved in the plain one.
        LayerKind::VXLAN if Vxlan::parse(payload).is_some_and(Vxlan::has_next_protocol) => {
            is_vxlan(payload, LayerKind::VXLANGPE)
        }
        LayerKind::VXLAN | LayerKind::VXLANGPE => is_vxlan(payload, known),
        LayerKind::MPLS if !is_stack(payload, usize::from(udp.total_len()) > rest.len()) => Err(End::Payload),
        known => Ok(known),
    }
}

/// Tunnels that spread flows over their source port.
#[inline]
fn is_spread(kind: LayerKind) -> bool {
    matches!(kind, LayerKind::VXLAN | LayerKind::VXLANGPE | LayerKind::Geneve | LayerKind::MPLS)
}

/// `kind`, unless what must be zero is not. A header that was cut is believed.
#[inline]
fn is_vxlan(payload: &[u8], kind: LayerKind) -> Next {
    let sound = payload.first_chunk().is_none_or(|&[flags, one, two, next, _, _, _, last]| {
        let group = flags & 0x80 != 0;
        let reserved = (one | two == 0 || group) && (next == 0 || group || kind == LayerKind::VXLANGPE);
        last == 0 && reserved
    });
    if sound { Ok(kind) } else { Err(End::Payload) }
}

/// Flags, length of the header in words of 16 bits, ports, length of the payload, sequence numbers, checksum.
pub(super) fn rudp(rest: &[u8]) -> Result<Header, Fault> {
    let &[_flags, words, _source, _destination, high, low] = rest.first_chunk().ok_or(Fault::Short)?;
    if words < 9 {
        return Err(Fault::Bad);
    }
    let len = usize::from(words) * 2;
    Ok(Header { len, total: len + usize::from(u16::from_be_bytes([high, low])), next: Err(End::Payload) })
}

#[inline]
pub(super) fn icmp6(rest: &[u8]) -> Result<Header, Fault> {
    let message = Icmp6::parse(rest).ok_or(Fault::Short)?;
    let next = match message.kind() {
        icmp6_kind::ECHO_REQUEST | icmp6_kind::ECHO_REPLY => LayerKind::ICMPv6Echo,
        icmp6_kind::ROUTER_SOLICITATION => LayerKind::ICMPv6RouterSolicitation,
        icmp6_kind::ROUTER_ADVERTISEMENT => LayerKind::ICMPv6RouterAdvertisement,
        icmp6_kind::NEIGHBOR_SOLICITATION => LayerKind::ICMPv6NeighborSolicitation,
        icmp6_kind::NEIGHBOR_ADVERTISEMENT => LayerKind::ICMPv6NeighborAdvertisement,
        icmp6_kind::REDIRECT => LayerKind::ICMPv6Redirect,
        icmp6_kind::LISTENER_REPORT => LayerKind::MLDv1MulticastListenerReport,
        icmp6_kind::LISTENER_DONE => LayerKind::MLDv1MulticastListenerDone,
        icmp6_kind::LISTENER_QUERY if rest.len() <= Icmp6::LEN + ADDRESS_BODY_LEN => {
            LayerKind::MLDv1MulticastListenerQuery
        }
        icmp6_kind::LISTENER_QUERY => LayerKind::MLDv2MulticastListenerQuery,
        icmp6_kind::LISTENER_REPORT_V2 => LayerKind::MLDv2MulticastListenerReport,
        _ => return Ok(Header::open(Icmp6::LEN, rest, Err(End::Payload))),
    };
    Ok(Header::open(Icmp6::LEN, rest, Ok(next)))
}

#[inline]
pub(super) fn sctp(rest: &[u8]) -> Header {
    Header::open(Sctp::LEN, rest, next_chunk(rest, Sctp::LEN))
}

/// Bytes of a header of a fixed length that only payload follows: of an ICMPv6 message the part behind its first four
/// bytes, with options and records as payload.
#[inline]
pub(super) fn fixed_len(kind: LayerKind) -> usize {
    match kind {
        LayerKind::ICMPv4 => Icmp4::LEN,
        LayerKind::UDPLite => Udp::LEN,
        LayerKind::IPSecESP => ESP_LEN,
        LayerKind::ICMPv6Echo => Echo::LEN,
        LayerKind::ICMPv6RouterSolicitation | LayerKind::MLDv2MulticastListenerReport => 4,
        LayerKind::ICMPv6RouterAdvertisement => 12,
        LayerKind::ICMPv6Redirect => 36,
        LayerKind::MLDv2MulticastListenerQuery => 24,
        _ => ADDRESS_BODY_LEN,
    }
}

/// A chunk: all of it, unless it carries data.
pub(super) fn sctp_chunk(rest: &[u8]) -> Result<Header, Fault> {
    let chunk = Chunk::parse(rest).ok_or(Fault::Short)?;
    let total = usize::from(chunk.total_len());
    let data_len = match chunk.kind() {
        0 => SCTP_DATA_LEN,
        64 => SCTP_INTERLEAVED_LEN,
        _ if total < Chunk::LEN => return Err(Fault::Bad),
        _ => {
            // The last one may come without its padding.
            let padded = total.next_multiple_of(4);
            let len = if padded > rest.len() { total } else { padded };
            if len > usize::from(u16::MAX) {
                return Err(Fault::Bad);
            }
            return Ok(Header::open(len, rest, next_chunk(rest, len)));
        }
    };
    if total < data_len {
        return Err(Fault::Bad);
    }
    Ok(Header { len: data_len, total, next: Err(End::Payload) })
}

fn next_chunk(rest: &[u8], at: usize) -> Next {
    Ok(match rest.get(at) {
        Some(0 | 64) => LayerKind::SCTPData,
        Some(1) => LayerKind::SCTPInit,
        Some(2) => LayerKind::SCTPInitAck,
        Some(3) => LayerKind::SCTPSack,
        Some(4) => LayerKind::SCTPHeartbeat,
        Some(5) => LayerKind::SCTPHeartbeatAck,
        Some(6) => LayerKind::SCTPAbort,
        Some(7) => LayerKind::SCTPShutdown,
        Some(8) => LayerKind::SCTPShutdownAck,
        Some(9) => LayerKind::SCTPError,
        Some(10) => LayerKind::SCTPCookieEcho,
        Some(11) => LayerKind::SCTPCookieAck,
        Some(14) => LayerKind::SCTPShutdownComplete,
        Some(_) => return Err(End::Unsupported),
        None => return Err(End::Payload),
    })
}

pub(super) fn igmp(rest: &[u8]) -> Result<Header, Fault> {
    whole_of_at_least(8, rest)
}

pub(super) fn ospf(rest: &[u8]) -> Result<Header, Fault> {
    match rest.first() {
        Some(2) => whole_of_at_least(24, rest),
        Some(3) => whole_of_at_least(16, rest),
        _ => Err(Fault::Bad),
    }
}

/// Versions 2 and 3, whose only message is an advertisement.
pub(super) fn vrrp(rest: &[u8]) -> Result<Header, Fault> {
    match rest.first() {
        Some(0x21 | 0x31) => whole_of_at_least(8, rest),
        _ => Err(Fault::Bad),
    }
}

fn whole_of_at_least(len: usize, rest: &[u8]) -> Result<Header, Fault> {
    if rest.len() < len { Err(Fault::Short) } else { Ok(Header::whole(rest)) }
}
