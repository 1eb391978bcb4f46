//! Messages: the frame around everything, and what each one says.

use super::addr::{self, AddrFacts};
use super::attr::{Attrs, Tally, fixed};
use super::link::{self, LinkFacts, LinkGone};
use super::neigh::{self, NeighFacts};
use super::route::{self, RouteFacts};
use super::stats::{self, LinkStats};

/// A fact of the rtnetlink family, from a dump or a notification.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Event {
    /// An interface is there, or changed.
    Link(Box<LinkFacts>),
    /// A bridge says something new of this member; what, the interface itself tells when it is read.
    BridgePort(u32),
    /// An interface left.
    LinkGone(LinkGone),
    /// An address is there.
    Addr(AddrFacts),
    /// An address left.
    AddrGone(AddrFacts),
    /// A route is there.
    Route(Box<RouteFacts>),
    /// A route left.
    RouteGone(Box<RouteFacts>),
    /// A neighbour or forwarding entry is there, or changed.
    Neigh(Box<NeighFacts>),
    /// A neighbour or forwarding entry left.
    NeighGone(Box<NeighFacts>),
    /// Counters of an interface.
    Stats(u32, LinkStats),
    /// A namespace has, or had (`false`), this id here.
    NetnsId(i32, bool),
}

/// One message, with the frame's own kinds apart.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Message<'a> {
    /// A fact.
    Event(Event),
    /// End of a dump, with an error number when it broke off.
    Done(i32),
    /// An error number (0 acknowledges) and the kernel's words for it, when it has some.
    Error(i32, String),
    /// Events were lost.
    Overrun,
    /// A message of another family: its type and body.
    Other(u16, &'a [u8]),
}

/// Frame of one message.
#[derive(Clone, Copy, Debug)]
pub(super) struct Header {
    pub(super) kind: u16,
    pub(super) flags: u16,
    pub(super) seq: u32,
}

pub(super) const HEADER: usize = 16;
const NLMSG_NOOP: u16 = 1;
const NLMSG_ERROR: u16 = 2;
const NLMSG_DONE: u16 = 3;
const NLMSG_OVERRUN: u16 = 4;
const NLM_F_CAPPED: u16 = 0x100;
const NLM_F_ACK_TLVS: u16 = 0x200;
const RTM_NEWNSID: u16 = 88;
const RTM_DELNSID: u16 = 89;

/// Reads every message of a datagram in order. Never panics: what is cut short is counted and ends the datagram.
pub fn parse_messages(bytes: &[u8], tally: &Tally, each: &mut impl FnMut(Message<'_>)) {
    split(bytes, tally, &mut |header, body| {
        if let Some(message) = read(header, body, tally) {
            each(message);
        }
    });
}

/// Cuts a datagram into messages.
pub(super) fn split<'a>(mut bytes: &'a [u8], tally: &Tally, each: &mut impl FnMut(Header, &'a [u8])) {
    while !bytes.is_empty() {
        let Some((header, body, used)) = split_one(bytes) else {
            tally.count_malformed();
            return;
        };
        each(header, body);
        bytes = bytes.get(used..).unwrap_or_default();
    }
}

fn split_one(bytes: &[u8]) -> Option<(Header, &[u8], usize)> {
    let len = u32::from_ne_bytes(fixed(bytes)?) as usize;
    let header = Header {
        kind: u16::from_ne_bytes(fixed(bytes.get(4..)?)?),
        flags: u16::from_ne_bytes(fixed(bytes.get(6..)?)?),
        seq: u32::from_ne_bytes(fixed(bytes.get(8..)?)?),
    };
    Some((header, bytes.get(HEADER..len)?, len.checked_next_multiple_of(4)?))
}

/// Reads one message of a family other than rtnetlink, whose types mean something else.
pub(super) fn read_foreign<'a>(header: Header, body: &'a [u8], tally: &Tally) -> Option<Message<'a>> {
    /// Types below belong to the frame, the same in all families.
    const NLMSG_MIN_TYPE: u16 = 0x10;
    if header.kind < NLMSG_MIN_TYPE {
        return read(header, body, tally);
    }
    Some(Message::Other(header.kind, body))
}

/// Reads one message; `None` for those that say nothing to us.
pub(super) fn read<'a>(header: Header, body: &'a [u8], tally: &Tally) -> Option<Message<'a>> {
    let event = match header.kind {
        NLMSG_NOOP => return None,
        NLMSG_ERROR => return Some(error(header.flags, body, tally)),
        NLMSG_DONE => {
            return Some(Message::Done(fixed(body).map_or(0, i32::from_ne_bytes).saturating_neg()));
        }
        NLMSG_OVERRUN => return Some(Message::Overrun),
        libc::RTM_NEWLINK => match link::bridge_port(body) {
            Some(index) => Some(Event::BridgePort(index)),
            None => link::parse(body, tally).map(|l| Event::Link(Box::new(l))),
        },
        libc::RTM_DELLINK => link::parse_gone(body, tally).map(Event::LinkGone),
        libc::RTM_NEWADDR => addr::parse(body, tally).map(Event::Addr),
        libc::RTM_DELADDR => addr::parse(body, tally).map(Event::AddrGone),
        libc::RTM_NEWROUTE => route::parse(body, header.flags, tally).map(|r| Event::Route(Box::new(r))),
        libc::RTM_DELROUTE => route::parse(body, header.flags, tally).map(|r| Event::RouteGone(Box::new(r))),
        libc::RTM_NEWNEIGH => neigh::parse(body, tally).map(|n| Event::Neigh(Box::new(n))),
        libc::RTM_DELNEIGH => neigh::parse(body, tally).map(|n| Event::NeighGone(Box::new(n))),
        libc::RTM_NEWSTATS => stats::parse(body, tally).map(|(index, stats)| Event::Stats(index, stats)),
        RTM_NEWNSID => netns_id(body, tally).map(|id| Event::NetnsId(id, true)),
        RTM_DELNSID => netns_id(body, tally).map(|id| Event::NetnsId(id, false)),
        other => return Some(Message::Other(other, body)),
    };
    event.map(Message::Event)
}

fn netns_id(body: &[u8], tally: &Tally) -> Option<i32> {
    const NETNSA_NSID: u16 = 1;
    Attrs::new(body.get(4..)?, tally).find(|a| a.kind == NETNSA_NSID)?.i32()
}

fn error<'a>(flags: u16, body: &[u8], tally: &Tally) -> Message<'a> {
    const NLMSGERR_ATTR_MSG: u16 = 1;
    let errno = fixed(body).map_or(libc::EPROTO, |b| i32::from_ne_bytes(b).saturating_neg());
    let mut text = String::new();
    if flags & NLM_F_ACK_TLVS != 0 {
        // After the error number comes the request: its header alone, or all of it.
        let request_len = body.get(4..).and_then(fixed).map_or(0, u32::from_ne_bytes) as usize;
        let skip = if flags & NLM_F_CAPPED != 0 { HEADER } else { request_len.max(HEADER) };
        let rest = skip.checked_next_multiple_of(4).and_then(|s| body.get(4..)?.get(s..));
        if let Some(attr) = Attrs::new(rest.unwrap_or_default(), tally).find(|a| a.kind == NLMSGERR_ATTR_MSG)
        {
            text = attr.text().into();
        }
    }
    Message::Error(errno, text)
}

#[cfg(test)]
mod tests {
    use super::*;

    fn collect(bytes: &[u8]) -> (Vec<String>, u64) {
        let tally = Tally::default();
        let mut seen = Vec::new();
        parse_messages(bytes, &tally, &mut |m| seen.push(format!("{m:?}")));
        (seen, tally.malformed())
    }

    #[test]
    fn an_error_with_the_kernels_words() {
        #[rustfmt::skip]
        let bytes = [
            52, 0, 0, 0, 2, 0, 0, 3, 1, 0, 0, 0, 0, 0, 0, 0, // capped, with attributes
            0xea, 0xff, 0xff, 0xff, // -EINVAL
            32, 0, 0, 0, 18, 0, 5, 0, 1, 0, 0, 0, 0, 0, 0, 0, // the request's header
            13, 0, 1, 0, b'b', b'a', b'd', b' ', b'n', b'a', b'm', b'e', 0, 0, 0, 0,
        ];
        assert_eq!(collect(&bytes), (vec!["Error(22, \"bad name\")".to_owned()], 0));
    }

    #[test]
    fn an_address_comes_and_goes() {
        #[rustfmt::skip]
        let message = |kind: u8| [
            32, 0, 0, 0, kind, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0,
            2, 24, 0x80, 0, 3, 0, 0, 0,
            8, 0, 2, 0, 10, 0, 0, 1,
        ];
        let bytes = [message(20), message(21)].concat();
        let (seen, malformed) = collect(&bytes);
        assert_eq!(malformed, 0);
        assert!(seen[0].contains("Addr(AddrFacts { index: 3, ip: 10.0.0.1, peer: None, prefix: 24"));
        assert!(seen[1].contains("AddrGone"));
    }

    #[test]
    fn bytes_that_are_no_message_are_counted() {
        for bytes in [&[0u8; 16][..], &[1, 2, 3], &[255; 64], &[17, 0, 0, 0, 16, 0, 0, 0, 0, 0, 0, 0]] {
            assert_eq!(collect(bytes), (Vec::new(), 1), "{bytes:?}");
        }
    }

    #[test]
    fn no_cut_of_a_message_panics() {
        let mut random = 0x9e37_79b9_7f4a_7c15_u64;
        let mut bytes = Vec::new();
        for kind in [16u16, 17, 20, 24, 28, 88, 92, 2, 3] {
            for len in 0..200usize {
                bytes.clear();
                bytes.extend_from_slice(&(len as u32 + 16).to_ne_bytes());
                bytes.extend_from_slice(&kind.to_ne_bytes());
                bytes.extend_from_slice(&[0, 3, 0, 0, 0, 0, 0, 0, 0, 0]);
                for i in 0..len {
                    random ^= random << 13;
                    random ^= random >> 7;
                    random ^= random << 17;
                    // small numbers make plausible attribute lengths and types
                    bytes.push(if i % 4 == 0 { random as u8 % 24 } else { random as u8 % 60 });
                }
                collect(&bytes);
                collect(bytes.get(..bytes.len() / 2).unwrap_or_default());
            }
        }
    }
}
