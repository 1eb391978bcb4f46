//! Sockets of TCP and UDP as the kernel lists them (`sock_diag(7)`, `struct inet_diag_msg`).

use std::net::{IpAddr, Ipv4Addr, Ipv6Addr, SocketAddr};

use super::attr::{Attrs, Tally, fixed};

/// One socket.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct SocketFacts {
    /// Which transport.
    pub protocol: SocketProtocol,
    /// Where it is bound. IPv4 in the form of IPv6 is told as IPv4.
    pub local: SocketAddr,
    /// Whom it is connected to; the address and port 0 when it is not.
    pub remote: SocketAddr,
    /// How it is.
    pub state: SocketState,
    /// What it is called in `/proc/<pid>/fd`; 0 when no process has it any more, or not yet.
    pub inode: u32,
    /// Whether it takes IPv4 too, being bound to no address of IPv6.
    pub is_dual: bool,
}

/// Transports whose sockets are listed.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub enum SocketProtocol {
    /// RFC 9293.
    Tcp,
    /// RFC 768.
    Udp,
}

/// How a socket is (`net/tcp_states.h`); one of UDP is [`SocketState::Established`] or [`SocketState::Close`].
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
#[allow(missing_docs, reason = "the names of RFC 9293")]
pub enum SocketState {
    Unknown,
    Established,
    SynSent,
    SynRecv,
    FinWait1,
    FinWait2,
    TimeWait,
    Close,
    CloseWait,
    LastAck,
    Listen,
    Closing,
}

/// `SOCK_DIAG_BY_FAMILY`, type of question and answer.
pub(crate) const SOCK_DIAG_BY_FAMILY: u16 = 20;

impl SocketProtocol {
    /// Both.
    pub const ALL: [Self; 2] = [Self::Tcp, Self::Udp];

    /// Its name in capitals.
    pub fn name(self) -> &'static str {
        match self {
            Self::Tcp => "TCP",
            Self::Udp => "UDP",
        }
    }

    fn number(self) -> u8 {
        match self {
            Self::Tcp => libc::IPPROTO_TCP as u8,
            Self::Udp => libc::IPPROTO_UDP as u8,
        }
    }
}

impl SocketState {
    /// The state that the kernel has a number for.
    pub fn of_number(number: u32) -> Self {
        match number {
            1 => Self::Established,
            2 => Self::SynSent,
            // One that is no socket yet (12) is told apart by nobody.
            3 | 12 => Self::SynRecv,
            4 => Self::FinWait1,
            5 => Self::FinWait2,
            6 => Self::TimeWait,
            7 => Self::Close,
            8 => Self::CloseWait,
            9 => Self::LastAck,
            10 => Self::Listen,
            11 => Self::Closing,
            _ => Self::Unknown,
        }
    }

    /// Its name, as the original has it.
    pub fn name(self) -> &'static str {
        match self {
            Self::Unknown => "UNKNOWN",
            Self::Established => "ESTABLISHED",
            Self::SynSent => "SYN_SENT",
            Self::SynRecv => "SYN_RECV",
            Self::FinWait1 => "FIN_WAIT1",
            Self::FinWait2 => "FIN_WAIT2",
            Self::TimeWait => "TIME_WAIT",
            Self::Close => "CLOSE",
            Self::CloseWait => "CLOSE_WAIT",
            Self::LastAck => "LAST_ACK",
            Self::Listen => "LISTEN",
            Self::Closing => "CLOSING",
        }
    }
}

/// States that are asked for: a bit for each number.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct States(u32);

impl States {
    /// All of them.
    pub(crate) const ALL: Self = Self(u32::MAX);
    /// Those in which a process may have the socket: not `SYN_RECV`, `TIME_WAIT`, `NEW_SYN_RECV`.
    pub(crate) const OWNED: Self = Self(!(1 << 3 | 1 << 6 | 1 << 12));
}

/// The question for sockets of a family and transport in these states (`struct inet_diag_req_v2`).
pub(crate) fn question(family: i32, protocol: SocketProtocol, States(asked): States) -> [u8; 56] {
    let mut question = [0; 56];
    let [family_at, protocol_at, _, _, states @ ..] = &mut question;
    *family_at = family as u8;
    *protocol_at = protocol.number();
    if let Some(states) = states.first_chunk_mut::<4>() {
        *states = asked.to_ne_bytes();
    }
    question
}

/// Reads one answer, `struct inet_diag_msg` and its attributes; `None` when it is cut short or of another family.
pub fn parse_socket(protocol: SocketProtocol, body: &[u8], tally: &Tally) -> Option<SocketFacts> {
    const SIZE: usize = 72;
    const INET_DIAG_SKV6ONLY: u16 = 11;
    let message: [u8; SIZE] = fixed(body).or_else(|| {
        tally.count_malformed();
        None
    })?;
    let [family, state, ..] = message;
    let at = |from: usize| message.get(from..).unwrap_or_default();
    let port = |from| fixed(at(from)).map(u16::from_be_bytes);
    let address = |from| -> Option<IpAddr> {
        match i32::from(family) {
            libc::AF_INET => Some(Ipv4Addr::from(fixed::<4>(at(from))?).into()),
            libc::AF_INET6 => Some(Ipv6Addr::from(fixed::<16>(at(from))?).to_canonical()),
            _ => None,
        }
    };
    let local = SocketAddr::new(address(8)?, port(4)?);
    let mut remote = SocketAddr::new(address(24)?, port(6)?);
    // Not connected, but bound to IPv4 in the form of IPv6.
    if local.is_ipv4() && remote.ip().is_unspecified() {
        remote.set_ip(Ipv4Addr::UNSPECIFIED.into());
    }
    let mut is_dual = i32::from(family) == libc::AF_INET6 && local.ip().is_unspecified();
    for attr in Attrs::new(body.get(SIZE..).unwrap_or_default(), tally) {
        if attr.kind == INET_DIAG_SKV6ONLY && attr.u8().unwrap_or(0) != 0 {
            is_dual = false;
        }
    }
    Some(SocketFacts {
        protocol,
        local,
        remote,
        state: SocketState::of_number(state.into()),
        inode: u32::from_ne_bytes(fixed(at(68))?),
        is_dual,
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    /// A message of the kernel: family, state, ports, addresses, inode.
    fn message(family: i32, state: u8, ports: [u16; 2], addresses: [[u8; 16]; 2], inode: u32) -> Vec<u8> {
        let mut bytes = vec![family as u8, state, 0, 0];
        bytes.extend(ports.iter().flat_map(|port| port.to_be_bytes()));
        bytes.extend(addresses.as_flattened());
        bytes.extend([0; 12]); // interface, cookie
        bytes.extend([0; 16]); // expires, queues, uid
        bytes.extend(inode.to_ne_bytes());
        bytes
    }

    fn four(octets: [u8; 4]) -> [u8; 16] {
        let mut bytes = [0; 16];
        bytes[..4].copy_from_slice(&octets);
        bytes
    }

    #[test]
    fn a_connection() {
        let tally = Tally::default();
        let addresses = [four([10, 0, 0, 1]), four([10, 0, 0, 2])];
        let bytes = message(libc::AF_INET, 1, [40_000, 80], addresses, 77);
        assert_eq!(bytes.len(), 72);
        let socket = parse_socket(SocketProtocol::Tcp, &bytes, &tally).unwrap();
        assert_eq!(socket.local, "10.0.0.1:40000".parse().unwrap());
        assert_eq!(socket.remote, "10.0.0.2:80".parse().unwrap());
        assert_eq!((socket.state, socket.inode), (SocketState::Established, 77));
        assert!(!socket.is_dual);
        assert_eq!(parse_socket(SocketProtocol::Tcp, &bytes[..71], &tally), None);
        assert_eq!(tally.malformed(), 1);
    }

    #[test]
    fn four_in_six_and_sockets_of_both() {
        let tally = Tally::default();
        let mapped = |octets| Ipv4Addr::from(octets).to_ipv6_mapped().octets();
        let bytes = message(libc::AF_INET6, 1, [80, 9], [mapped([1, 2, 3, 4]), mapped([5, 6, 7, 8])], 1);
        let socket = parse_socket(SocketProtocol::Tcp, &bytes, &tally).unwrap();
        assert_eq!(
            (socket.local, socket.remote),
            ("1.2.3.4:80".parse().unwrap(), "5.6.7.8:9".parse().unwrap())
        );

        let mut listens = message(libc::AF_INET6, 10, [80, 0], [[0; 16]; 2], 2);
        assert!(parse_socket(SocketProtocol::Tcp, &listens, &tally).unwrap().is_dual);
        listens.extend([5, 0, 11, 0, 1, 0, 0, 0]);
        assert!(!parse_socket(SocketProtocol::Tcp, &listens, &tally).unwrap().is_dual);
        assert_eq!(parse_socket(SocketProtocol::Tcp, &message(7, 1, [1, 1], [[0; 16]; 2], 2), &tally), None);
        assert_eq!(tally.malformed(), 0);
    }
}
