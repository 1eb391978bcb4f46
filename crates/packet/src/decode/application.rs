//! What UDP carries to a well-known port, believed when its header makes sense.
//!
//! Ports are only a hint: what does not look like the protocol ends the layers before it. A message is one layer with
//! all its bytes; reading it is the business of [`application`](crate::application).

use super::{Fault, Header};
use crate::layer::{Layer, LayerKind};
use crate::wire::udp::Udp;

const DNS_HEADER_LEN: usize = 12;
/// An empty name, type and class.
const MIN_QUESTION_LEN: usize = 5;
/// An empty name, type, class, time to live and length.
const MIN_RECORD_LEN: usize = 11;
/// A name has at most 255 bytes, so at most 127 labels.
const MAX_LABELS: usize = 127;

const DHCP4_LEN: usize = 240;
const DHCP4_COOKIE: [u8; 4] = [0x63, 0x82, 0x53, 0x63];
const DHCP6_LEN: usize = 4;
const DHCP6_RELAY_LEN: usize = 34;
const NTP_LEN: usize = 48;
const BFD_LEN: u8 = 24;

/// The requests of SIP and its extensions, and how responses begin.
const SIP_STARTS: [&[u8]; 15] = [
    b"SIP/2.0 ",
    b"INVITE ",
    b"ACK ",
    b"BYE ",
    b"CANCEL ",
    b"OPTIONS ",
    b"REGISTER ",
    b"PRACK ",
    b"SUBSCRIBE ",
    b"NOTIFY ",
    b"PUBLISH ",
    b"INFO ",
    b"REFER ",
    b"MESSAGE ",
    b"UPDATE ",
];

/// Counts that fit into the message and a first question that is one. A message that was cut needs no more than that
/// question.
pub(super) fn dns(rest: &[u8], before: Option<&Layer>, packet: &[u8]) -> Result<Header, Fault> {
    let header: &[u8; DNS_HEADER_LEN] = rest.first_chunk().ok_or(Fault::Short)?;
    let [_, _, flags, _, questions @ .., a1, a2, n1, n2, x1, x2] = *header;
    let questions = u16::from_be_bytes(questions);
    let records = [[a1, a2], [n1, n2], [x1, x2]].map(|count| usize::from(u16::from_be_bytes(count)));
    let udp =
        before.filter(|layer| layer.kind == LayerKind::UDP).and_then(|udp| Udp::parse(udp.bytes_of(packet)));
    let declared = udp.map_or(0, |udp| usize::from(udp.total_len()));
    let room = declared.saturating_sub(Udp::LEN).max(rest.len());
    let least = DNS_HEADER_LEN
        + usize::from(questions) * MIN_QUESTION_LEN
        + records.iter().sum::<usize>() * MIN_RECORD_LEN;
    let operation = flags >> 3 & 0x0f;
    if least > room || operation > 6 {
        return Err(Fault::Bad);
    }
    if questions > 0 {
        question(rest)?;
    }
    Ok(Header::whole(rest))
}

/// Walks the labels of the first question.
fn question(message: &[u8]) -> Result<(), Fault> {
    let mut at = DNS_HEADER_LEN;
    for _ in 0..MAX_LABELS {
        match *message.get(at).ok_or(Fault::Short)? {
            0 if at + MIN_QUESTION_LEN <= message.len() => return Ok(()),
            0 => return Err(Fault::Short),
            // There is nothing before a first question that a pointer could mean.
            len if len >= 64 => return Err(Fault::Bad),
            len => at += 1 + usize::from(len),
        }
    }
    Err(Fault::Bad)
}

/// Versions 1 to 4 with a mode.
pub(super) fn ntp(rest: &[u8]) -> Result<Header, Fault> {
    let first = *rest.first().ok_or(Fault::Short)?;
    let (version, mode) = (first >> 3 & 7, first & 7);
    if !(1..=4).contains(&version) || (mode == 0 && version > 1) {
        return Err(Fault::Bad);
    }
    if rest.len() < NTP_LEN { Err(Fault::Short) } else { Ok(Header::whole(rest)) }
}

/// A request or a reply with the cookie that tells DHCP from BOOTP.
pub(super) fn dhcp4(rest: &[u8]) -> Result<Header, Fault> {
    let fixed: &[u8; DHCP4_LEN] = rest.first_chunk().ok_or(Fault::Short)?;
    match fixed {
        [1 | 2, .., a, b, c, d] if [*a, *b, *c, *d] == DHCP4_COOKIE => Ok(Header::whole(rest)),
        _ => Err(Fault::Bad),
    }
}

/// A known type, and a first option that fits.
pub(super) fn dhcp6(rest: &[u8]) -> Result<Header, Fault> {
    let len = match rest.first() {
        Some(12 | 13) => DHCP6_RELAY_LEN,
        Some(1..=37) => DHCP6_LEN,
        _ => return Err(Fault::Bad),
    };
    let options = rest.get(len..).ok_or(Fault::Short)?;
    match *options {
        [] => Ok(Header::whole(rest)),
        [_, _, high, low, ref value @ ..] if usize::from(u16::from_be_bytes([high, low])) <= value.len() => {
            Ok(Header::whole(rest))
        }
        _ => Err(Fault::Short),
    }
}

pub(super) fn sip(rest: &[u8]) -> Result<Header, Fault> {
    if SIP_STARTS.iter().any(|start| rest.starts_with(start)) {
        Ok(Header::whole(rest))
    } else {
        Err(Fault::Bad)
    }
}

/// A datagram of version 5 of an agent with an address of either kind.
pub(super) fn sflow(rest: &[u8]) -> Result<Header, Fault> {
    let len = match rest {
        [0, 0, 0, 5, 0, 0, 0, 1, ..] => 28,
        [0, 0, 0, 5, 0, 0, 0, 2, ..] => 40,
        _ => return Err(Fault::Bad),
    };
    if rest.len() < len { Err(Fault::Short) } else { Ok(Header::whole(rest)) }
}

/// A control packet of version 1 as long as it says, with a detection multiplier.
pub(super) fn bfd(rest: &[u8]) -> Result<Header, Fault> {
    let &[version, _state, multiplier, len] = rest.first_chunk().ok_or(Fault::Short)?;
    if version >> 5 != 1 || multiplier == 0 || len < BFD_LEN {
        return Err(Fault::Bad);
    }
    if rest.len() < usize::from(len) { Err(Fault::Short) } else { Ok(Header::whole(rest)) }
}
