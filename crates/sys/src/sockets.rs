//! The sockets of a network namespace, and its addresses, read at once.
//!
//! Nothing stays open in the namespace afterwards: it may go when its last process does.

use std::io;
use std::net::IpAddr;

use rustix::net::netlink;
use thiserror::Error;

use crate::namespace::{EnterError, Namespaces, NsId, NsRef};
use crate::netlink::{
    Event, Message, NetlinkError, RequestSocket, SOCK_DIAG_BY_FAMILY, Scratch, SocketFacts, SocketProtocol,
    States, open_requests, parse_socket, question,
};

/// What was read of a namespace.
#[derive(Debug)]
pub struct SocketTable {
    /// Which one.
    pub namespace: NsId,
    /// Its sockets.
    pub sockets: Vec<SocketFacts>,
    /// Its own addresses.
    pub addresses: Vec<IpAddr>,
    /// Sockets that were left out, as there are too many.
    pub cut: usize,
    /// What could not be read: the name of a transport, and why.
    pub refused: Vec<(&'static str, NetlinkError)>,
}

/// Why sockets cannot be read.
#[derive(Debug, Error)]
pub enum SocketsError {
    /// The namespace cannot be entered.
    #[error(transparent)]
    Enter(#[from] EnterError),
    /// No socket for questions can be opened there.
    #[error("netlink sockets")]
    Open(#[source] io::Error),
}

impl SocketTable {
    /// Reads at most `most` sockets of these transports. Waits for the kernel, milliseconds where there are many.
    pub fn read(
        namespaces: &Namespaces,
        place: &NsRef,
        protocols: &[SocketProtocol],
        most: usize,
    ) -> Result<Self, SocketsError> {
        Self::read_states(namespaces, place, protocols, States::ALL, most)
    }

    /// Like [`Self::read`], but only sockets that a process may have: a host that closes many connections has thousands
    /// that wait for their end.
    pub fn read_owned(
        namespaces: &Namespaces,
        place: &NsRef,
        protocols: &[SocketProtocol],
        most: usize,
    ) -> Result<Self, SocketsError> {
        Self::read_states(namespaces, place, protocols, States::OWNED, most)
    }

    fn read_states(
        namespaces: &Namespaces,
        place: &NsRef,
        protocols: &[SocketProtocol],
        states: States,
        most: usize,
    ) -> Result<Self, SocketsError> {
        let open = || -> io::Result<(RequestSocket, RequestSocket)> {
            Ok((open_requests(Some(netlink::SOCK_DIAG))?, open_requests(None)?))
        };
        let (namespace, opened) = namespaces.enter(place, open)?;
        let (mut sockets, mut routes) = opened.map_err(SocketsError::Open)?;
        let (sockets_read, addresses) = (Vec::new(), Vec::new());
        let mut table = Self { namespace, sockets: sockets_read, addresses, cut: 0, refused: Vec::new() };
        let mut scratch = Scratch::new();
        for protocol in protocols {
            for family in [libc::AF_INET, libc::AF_INET6] {
                let asked = question(family, *protocol, states);
                let read = table.read_family(&mut sockets, &mut scratch, *protocol, &asked, most);
                table.note(protocol.name(), read);
            }
        }
        let read = table.read_addresses(&mut routes, &mut scratch);
        table.note("addresses", read);
        Ok(table)
    }

    fn read_family(
        &mut self,
        socket: &mut RequestSocket,
        scratch: &mut Scratch,
        protocol: SocketProtocol,
        asked: &[u8],
        most: usize,
    ) -> Result<(), NetlinkError> {
        let tally = crate::netlink::Tally::default();
        socket.dump(scratch, SOCK_DIAG_BY_FAMILY, &[], asked, &mut |message| {
            if let Message::Other(SOCK_DIAG_BY_FAMILY, body) = message {
                match parse_socket(protocol, body, &tally) {
                    Some(found) if self.sockets.len() < most => self.sockets.push(found),
                    Some(_) => self.cut += 1,
                    None => {}
                }
            }
        })
    }

    fn read_addresses(
        &mut self,
        socket: &mut RequestSocket,
        scratch: &mut Scratch,
    ) -> Result<(), NetlinkError> {
        // `struct ifaddrmsg` that asks for nothing special.
        socket.dump(scratch, libc::RTM_GETADDR, &[], &[0; 8], &mut |message| {
            if let Message::Event(Event::Addr(found)) = message {
                self.addresses.push(found.ip);
            }
        })
    }

    fn note(&mut self, what: &'static str, read: Result<(), NetlinkError>) {
        match read {
            // What changes while it is read is read the next time.
            Ok(()) | Err(NetlinkError::Interrupted) => {}
            Err(error) => self.refused.push((what, error)),
        }
    }
}
