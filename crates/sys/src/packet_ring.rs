//! Packets of an interface, read where the kernel puts them: AF_PACKET with a ring of TPACKET_V3.
//!
//! The ring is memory that the kernel and we share, cut into blocks. The kernel fills a block with packets and hands it
//! over when it is full or [`RingConfig::retire`] has passed; [`PacketRing::next_block`] lends it out, and dropping it
//! gives it back. When no block is free the kernel drops packets and counts them ([`PacketRing::statistics`]).
//!
//! A ring opens shut: it is bound with a filter that takes nothing, so that rings which share the packets of an
//! interface (fanout) can all be in place before the first packet comes. [`PacketRing::take`] lets packets in.
//!
//! The kernel takes the outermost VLAN tag out of a frame before anybody sees it, filters included. It is put back here,
//! in the ring, where there is room for it before each frame.
//!
//! packet(7), and Documentation/networking/packet_mmap.rst of Linux.

use std::io;
use std::os::fd::{AsFd, BorrowedFd, OwnedFd};
use std::time::Duration;

use rustix::net::sockopt::socket_error;
use rustix::net::{AddressFamily, SocketFlags, SocketType, socket_with};
use thiserror::Error;

pub use self::block::{Block, Frame, Frames};
use self::map::Mapping;
use crate::limits::keep_reserve;
use crate::namespace::{EnterError, Namespaces, NsId, NsRef};

mod block;
mod map;
mod socket;

/// An instruction of classic BPF, as `linux/filter.h` has it.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct FilterInstruction {
    /// Operation.
    pub code: u16,
    /// Instructions to skip when a comparison holds.
    pub jt: u8,
    /// Instructions to skip when it does not.
    pub jf: u8,
    /// Operand.
    pub k: u32,
}

/// What a ring is to be.
#[derive(Clone, Copy, Debug)]
pub struct RingConfig {
    /// Number of the interface in its namespace.
    pub interface: u32,
    /// Bytes of the ring. Rounded to what the kernel takes: blocks of a power of two, [`RingConfig::BLOCK`] at most.
    pub bytes: usize,
    /// How long a packet waits at most for its block to be full.
    pub retire: Duration,
    /// Whether the interface is told to receive what is for others, too.
    pub is_promiscuous: bool,
}

/// What the packets of an interface begin with.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub enum LinkLayer {
    /// Ethernet.
    Ethernet,
    /// IPv4 or IPv6: the link layer has no header, or one that is not shown.
    Network,
}

/// What the kernel counted.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct RingStatistics {
    /// Packets that passed the filter, those dropped included.
    pub packets: u64,
    /// Packets for which there was no room.
    pub drops: u64,
}

/// What became of the interface.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Attachment {
    /// There; when it is down, packets come again once it is up.
    There,
    /// Deleted or moved to another namespace: no packet will come any more.
    Gone,
}

/// Rings that share the packets of an interface, each conversation going to one of them.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Fanout(u16);

/// Why a ring cannot be opened.
#[derive(Debug, Error)]
pub enum RingError {
    /// The namespace cannot be entered.
    #[error(transparent)]
    Enter(#[from] EnterError),
    /// Sockets that see all packets need CAP_NET_RAW.
    #[error("opening a packet socket takes CAP_NET_RAW")]
    NotPermitted(#[source] io::Error),
    /// There is no interface of that number.
    #[error("no interface {0}")]
    NoInterface(u32, #[source] io::Error),
    /// The kernel has no memory for the ring, or the process may not have it.
    #[error("no memory for a ring of {bytes} bytes")]
    NoMemory {
        /// The size asked for.
        bytes: usize,
        /// What the kernel said.
        #[source]
        source: io::Error,
    },
    /// The kernel refuses the filter.
    #[error("the kernel refuses the filter")]
    Filter(#[source] io::Error),
    /// Another call failed.
    #[error("packet socket: {call}")]
    Socket {
        /// Which.
        call: &'static str,
        /// What the kernel said.
        #[source]
        source: io::Error,
    },
}

/// The ring of one socket.
#[derive(Debug)]
pub struct PacketRing {
    fd: OwnedFd,
    map: Mapping,
    /// The block that is filled next.
    next: usize,
    namespace: NsId,
    interface: u32,
    link: LinkLayer,
    is_loopback: bool,
}

impl RingConfig {
    /// Bytes of a block, which is also the most that a packet may have. A block is handed over when its time is up, however
    /// little is in it: many small ones outlast a reader that is held up, and cost a wake-up each when much comes.
    pub const BLOCK: usize = 32 << 10;
    /// Least bytes of a ring.
    pub const MIN_BYTES: usize = 32 << 10;

    /// Size of a block, and how many.
    fn blocks(&self) -> (usize, usize) {
        let bytes = self.bytes.max(Self::MIN_BYTES);
        let block = prev_power_of_two(bytes / 4).clamp(PAGE, Self::BLOCK);
        (block, bytes / block)
    }
}

/// Blocks are made of pages; this is a multiple of their size everywhere but where they are huge.
const PAGE: usize = 4096;

fn prev_power_of_two(number: usize) -> usize {
    1 << number.checked_ilog2().unwrap_or(0)
}

impl PacketRing {
    /// Opens a ring in a namespace. May take tens of milliseconds, in which the kernel waits for its readers; several
    /// threads that do so wait together.
    pub fn open(namespaces: &Namespaces, place: &NsRef, config: &RingConfig) -> Result<Self, RingError> {
        let interface = config.interface;
        let (namespace, opened) = namespaces.enter(place, move || open_socket(interface))?;
        let (fd, hardware) = opened?;
        let in_call = |call| move |source| RingError::Socket { call, source };
        keep_reserve(&fd).map_err(in_call("socket"))?;
        let is_loopback = hardware == libc::ARPHRD_LOOPBACK;
        let link = if is_ethernet(hardware) { LinkLayer::Ethernet } else { LinkLayer::Network };

        socket::set_version(&fd).map_err(in_call("version"))?;
        socket::reserve(&fd, TAG as u32).map_err(in_call("reserve"))?;
        socket::attach_filter(&fd, &[NOTHING]).map_err(RingError::Filter)?;
        let (block, count) = config.blocks();
        let map = socket::make_ring(&fd, block, count, config.retire)
            .and_then(|()| Mapping::new(&fd, block, count))
            .map_err(|source| RingError::NoMemory { bytes: block * count, source })?;
        if is_loopback {
            // Each packet passes there twice, out and in again.
            socket::ignore_outgoing(&fd).map_err(in_call("ignore outgoing"))?;
        }
        socket::bind(&fd, interface).map_err(|e| match e.raw_os_error() {
            Some(libc::ENODEV) => RingError::NoInterface(interface, e),
            _ => in_call("bind")(e),
        })?;
        if config.is_promiscuous {
            socket::join_promiscuous(&fd, interface).map_err(in_call("promiscuous"))?;
        }
        Ok(Self { fd, map, next: 0, namespace, interface, link, is_loopback })
    }

    /// Makes this the first of rings that share the packets of the interface.
    pub fn fan_out(&self) -> Result<Fanout, RingError> {
        socket::fan_out(&self.fd, None, self.is_loopback)
            .map(Fanout)
            .map_err(|source| RingError::Socket { call: "fanout", source })
    }

    /// Joins rings of the same interface.
    pub fn join(&self, fanout: Fanout) -> Result<(), RingError> {
        socket::fan_out(&self.fd, Some(fanout.0), self.is_loopback)
            .map(drop)
            .map_err(|source| RingError::Socket { call: "fanout", source })
    }

    /// Lets packets in for which a program gives more than 0, as many of their bytes as it says. The program sees frames
    /// without the VLAN tag that the kernel took out.
    pub fn take(&self, program: &[FilterInstruction]) -> Result<(), RingError> {
        socket::attach_filter(&self.fd, program).map_err(RingError::Filter)
    }

    /// Lets no more packets in. What came before is handed over at the latest after [`RingConfig::retire`].
    pub fn shut(&self) -> Result<(), RingError> {
        self.take(&[NOTHING])
    }

    /// The next block of packets, if the kernel has handed one over.
    #[inline]
    pub fn next_block(&mut self) -> Option<Block<'_>> {
        let at = self.next;
        let block = Block::lend(&mut self.map, at)?;
        self.next = if at + 1 == block.blocks() { 0 } else { at + 1 };
        Some(block)
    }

    /// What was counted since it was asked for last.
    pub fn statistics(&self) -> io::Result<RingStatistics> {
        socket::statistics(&self.fd)
    }

    /// The error that waits at the socket, if there is one: `ENETDOWN` when the interface went down or away.
    pub fn error(&self) -> Option<io::Error> {
        match socket_error(&self.fd) {
            Ok(Ok(())) => None,
            Ok(Err(waiting)) => Some(waiting.into()),
            Err(asking) => Some(asking.into()),
        }
    }

    /// Whether the interface is there still.
    pub fn attachment(&self) -> io::Result<Attachment> {
        let is_there = socket::bound_interface(&self.fd)? == self.interface as i32;
        Ok(if is_there { Attachment::There } else { Attachment::Gone })
    }

    /// Whether the interface is up; an error when it is gone.
    pub fn is_up(&self) -> io::Result<bool> {
        socket::is_up(&self.fd, self.interface)
    }

    /// The namespace it is in, which lives as long as the ring.
    pub fn namespace(&self) -> NsId {
        self.namespace
    }

    /// What its packets begin with.
    pub fn link(&self) -> LinkLayer {
        self.link
    }

    /// Bytes of memory it takes.
    pub fn bytes(&self) -> usize {
        self.map.bytes()
    }
}

impl AsFd for PacketRing {
    fn as_fd(&self) -> BorrowedFd<'_> {
        self.fd.as_fd()
    }
}

/// Bytes of a VLAN tag.
const TAG: usize = 4;
/// `ret #0`.
const NOTHING: FilterInstruction = FilterInstruction { code: 0x06, jt: 0, jf: 0, k: 0 };

fn is_ethernet(hardware: u16) -> bool {
    matches!(hardware, libc::ARPHRD_ETHER | libc::ARPHRD_LOOPBACK)
}

/// A packet socket for an interface that receives nothing yet, and the interface's kind of hardware. Of an interface
/// without Ethernet it gives packets from the network layer on.
fn open_socket(interface: u32) -> Result<(OwnedFd, u16), RingError> {
    let open = |kind| {
        let flags = SocketFlags::CLOEXEC | SocketFlags::NONBLOCK;
        socket_with(AddressFamily::PACKET, kind, flags, None).map_err(|e| match e {
            rustix::io::Errno::PERM | rustix::io::Errno::ACCESS => RingError::NotPermitted(e.into()),
            _ => RingError::Socket { call: "socket", source: e.into() },
        })
    };
    let fd = open(SocketType::RAW)?;
    let hardware = socket::hardware(&fd, interface).map_err(|e| match e.raw_os_error() {
        Some(libc::ENODEV | libc::ENXIO) => RingError::NoInterface(interface, e),
        _ => RingError::Socket { call: "hardware type", source: e },
    })?;
    let fd = if is_ethernet(hardware) { fd } else { open(SocketType::DGRAM)? };
    Ok((fd, hardware))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_ring_is_cut_into_blocks_the_kernel_takes() {
        let blocks = |bytes| {
            let retire = Duration::from_millis(1);
            RingConfig { interface: 1, bytes, retire, is_promiscuous: false }.blocks()
        };
        assert_eq!(blocks(4 << 20), (32 << 10, 128));
        assert_eq!(blocks(128 << 20), (32 << 10, 4096));
        assert_eq!(blocks(100_000), (16 << 10, 6));
        assert_eq!(blocks(0), (8 << 10, 4));
    }
}
