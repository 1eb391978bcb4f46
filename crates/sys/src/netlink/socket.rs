//! Sockets: one for events, one for requests, both staying in the namespace they were opened in.

use std::io;
use std::os::fd::{AsFd, BorrowedFd, OwnedFd};
use std::time::Duration;

use rustix::io::Errno;
use rustix::net::netlink::{self, SocketAddrNetlink};
use rustix::net::{AddressFamily, Protocol, RecvFlags, SendFlags, SocketFlags, SocketType, sockopt};
use thiserror::Error;

use super::attr::Tally;
use super::message::{self, Message};
use super::request::{NLM_F_ACK, NLM_F_DUMP, Request};
use crate::ffi;

/// Why a question was not answered.
#[derive(Debug, Error)]
pub enum NetlinkError {
    /// The socket could not be used.
    #[error("netlink socket")]
    Socket(#[source] io::Error),
    /// The kernel refused.
    #[error("kernel refused: {error} {text}")]
    Refused {
        /// What is wrong.
        error: io::Error,
        /// The kernel's own words, often empty.
        text: String,
    },
    /// The tables changed while they were read, several times in a row; what was read is kept.
    #[error("tables changed while they were read")]
    Interrupted,
}

impl NetlinkError {
    /// The error number, when the kernel refused.
    pub fn errno(&self) -> Option<i32> {
        match self {
            Self::Refused { error, .. } => error.raw_os_error(),
            _ => None,
        }
    }
}

impl From<Errno> for NetlinkError {
    fn from(errno: Errno) -> Self {
        Self::Socket(errno.into())
    }
}

/// A socket for questions. Answers are read at once: the kernel makes them while it takes the question.
#[derive(Debug)]
pub struct RequestSocket {
    fd: OwnedFd,
    seq: u32,
    is_route: bool,
}

/// Multicast groups of rtnetlink that are listened to, as bits (`RTNLGRP_*` - 1).
const GROUPS: u32 = {
    const LINK: u32 = 1;
    const NEIGH: u32 = 3;
    const IPV4_IFADDR: u32 = 5;
    const IPV4_ROUTE: u32 = 7;
    const IPV6_IFADDR: u32 = 9;
    const IPV6_ROUTE: u32 = 11;
    const MPLS_ROUTE: u32 = 27;
    const NSID: u32 = 28;
    let all = [LINK, NEIGH, IPV4_IFADDR, IPV4_ROUTE, IPV6_IFADDR, IPV6_ROUTE, MPLS_ROUTE, NSID];
    let (mut bits, mut i) = (0, 0);
    while i < all.len() {
        bits |= 1 << (all[i] - 1);
        i += 1;
    }
    bits
};

/// The tables changed during the dump.
const NLM_F_DUMP_INTR: u16 = 0x10;

/// Room for events not yet read. Memory is only taken while they wait; about 700 link changes fit.
const EVENT_BUFFER: usize = 1 << 20;

/// A question is answered inline, save for the time that the kernel's own lock takes.
const ANSWER_TIMEOUT: Duration = Duration::from_secs(10);

/// The largest datagram the kernel makes for a dump is 32 KiB when the reader offers that much.
const FIRST_BUFFER: usize = 32 << 10;

/// Opens a socket that hears every change of links, addresses, routes and neighbours in the calling thread's namespace.
pub(crate) fn open_events() -> io::Result<OwnedFd> {
    let fd = open(SocketFlags::CLOEXEC | SocketFlags::NONBLOCK, None)?;
    if sockopt::set_socket_recv_buffer_size_force(&fd, EVENT_BUFFER).is_err() {
        sockopt::set_socket_recv_buffer_size(&fd, EVENT_BUFFER)?;
    }
    rustix::net::bind(&fd, &SocketAddrNetlink::new(0, GROUPS))?;
    Ok(fd)
}

/// Opens a socket for questions in the calling thread's namespace.
pub(crate) fn open_requests(protocol: Option<Protocol>) -> io::Result<RequestSocket> {
    let fd = open(SocketFlags::CLOEXEC, protocol)?;
    sockopt::set_socket_timeout(&fd, sockopt::Timeout::Recv, Some(ANSWER_TIMEOUT))?;
    rustix::net::bind(&fd, &SocketAddrNetlink::new(0, 0))?;
    // Without the first (Linux < 4.20) dumps are not narrowed by the kernel, without the second errors have no text.
    let _ = ffi::set_netlink_option(fd.as_fd(), libc::NETLINK_GET_STRICT_CHK);
    let _ = ffi::set_netlink_option(fd.as_fd(), libc::NETLINK_EXT_ACK);
    Ok(RequestSocket { fd, seq: 0, is_route: protocol.is_none() })
}

fn open(flags: SocketFlags, protocol: Option<Protocol>) -> io::Result<OwnedFd> {
    // NETLINK_ROUTE has the number 0, which is what no protocol stands for.
    Ok(rustix::net::socket_with(AddressFamily::NETLINK, SocketType::RAW, flags, protocol)?)
}

/// Generic netlink.
pub(crate) const GENERIC: Option<Protocol> = Some(netlink::GENERIC);

/// What a read of a socket gave.
pub(crate) enum Received {
    /// A datagram of so many bytes.
    Bytes(usize),
    /// Nothing is waiting.
    Nothing,
    /// Events were lost, or one was larger than the buffer.
    Overrun,
}

/// Reads one datagram of events. What was not sent by the kernel is passed over.
pub(crate) fn receive(fd: BorrowedFd<'_>, buffer: &mut [u8]) -> io::Result<Received> {
    loop {
        let len = buffer.len();
        match rustix::net::recvfrom(fd, &mut *buffer, RecvFlags::TRUNC) {
            Ok((_, actual, sender)) => {
                let from_kernel =
                    sender.and_then(|a| SocketAddrNetlink::try_from(a).ok()).is_some_and(|a| a.pid() == 0);
                if !from_kernel {
                    continue;
                }
                return Ok(if actual > len { Received::Overrun } else { Received::Bytes(actual) });
            }
            Err(Errno::AGAIN) => return Ok(Received::Nothing),
            Err(Errno::NOBUFS) => return Ok(Received::Overrun),
            Err(Errno::INTR) => {}
            Err(errno) => return Err(errno.into()),
        }
    }
}

/// Buffers for asking, shared by all sockets of a thread.
#[derive(Debug)]
pub(crate) struct Scratch {
    pub(crate) ask: Vec<u8>,
    pub(crate) answer: Vec<u8>,
    pub(crate) tally: Tally,
}

impl Scratch {
    pub(crate) fn new() -> Self {
        Self { ask: Vec::with_capacity(256), answer: vec![0; FIRST_BUFFER], tally: Tally::default() }
    }
}

impl RequestSocket {
    /// The socket, for `ioctl`s that are answered in its namespace.
    pub(crate) fn fd(&self) -> BorrowedFd<'_> {
        self.fd.as_fd()
    }

    /// Asks for all of something and hands over each message. After [`NetlinkError::Interrupted`] what was handed
    /// over may miss or repeat an entry.
    pub(crate) fn dump(
        &mut self,
        scratch: &mut Scratch,
        kind: u16,
        attrs: &[(u16, &[u8])],
        fixed_part: &[u8],
        each: &mut impl FnMut(Message<'_>),
    ) -> Result<(), NetlinkError> {
        self.ask(scratch, kind, NLM_F_DUMP, fixed_part, attrs, each)
    }

    /// Asks for one thing and hands over the message that answers.
    pub(crate) fn one(
        &mut self,
        scratch: &mut Scratch,
        kind: u16,
        attrs: &[(u16, &[u8])],
        fixed_part: &[u8],
        each: &mut impl FnMut(Message<'_>),
    ) -> Result<(), NetlinkError> {
        self.ask(scratch, kind, NLM_F_ACK, fixed_part, attrs, each)
    }

    fn ask(
        &mut self,
        scratch: &mut Scratch,
        kind: u16,
        flags: u16,
        fixed_part: &[u8],
        attrs: &[(u16, &[u8])],
        each: &mut impl FnMut(Message<'_>),
    ) -> Result<(), NetlinkError> {
        self.seq = self.seq.wrapping_add(1);
        let Scratch { ask, answer, tally } = scratch;
        let request = Request::new(ask, kind, flags, fixed_part);
        let bytes = attrs.iter().fold(request, |r, (kind, value)| r.attr(*kind, value)).finish(self.seq);
        rustix::net::send(&self.fd, bytes, SendFlags::empty())?;
        let mut interrupted = false;
        loop {
            let len = self.answer(answer)?;
            let mut end = None;
            message::split(answer.get(..len).unwrap_or_default(), tally, &mut |header, body| {
                // An answer to an earlier question that was given up is passed over.
                if header.seq != self.seq || end.is_some() {
                    return;
                }
                interrupted |= header.flags & NLM_F_DUMP_INTR != 0;
                let read = if self.is_route { message::read } else { message::read_foreign };
                match read(header, body, tally) {
                    Some(Message::Done(0) | Message::Error(0, _)) => end = Some(Ok(())),
                    Some(Message::Done(errno)) => end = Some(Err((errno, String::new()))),
                    Some(Message::Error(errno, text)) => end = Some(Err((errno, text))),
                    Some(message) => each(message),
                    None => {}
                }
            });
            match end {
                None => {}
                Some(Ok(())) if interrupted => return Err(NetlinkError::Interrupted),
                Some(Ok(())) => return Ok(()),
                Some(Err((errno, text))) => {
                    return Err(NetlinkError::Refused { error: io::Error::from_raw_os_error(errno), text });
                }
            }
        }
    }

    /// Reads one datagram. One larger than the buffer makes the buffer larger and spoils this answer, which is
    /// read to its end: the kernel takes no new question while it gives one.
    fn answer(&self, buffer: &mut Vec<u8>) -> Result<usize, NetlinkError> {
        let (_, actual) = rustix::net::recv(&self.fd, buffer.as_mut_slice(), RecvFlags::TRUNC)?;
        if actual <= buffer.len() {
            return Ok(actual);
        }
        buffer.resize(actual.next_power_of_two(), 0);
        while rustix::net::recv(&self.fd, buffer.as_mut_slice(), RecvFlags::DONTWAIT).is_ok() {}
        Err(NetlinkError::Interrupted)
    }
}
