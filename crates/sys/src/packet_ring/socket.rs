//! Options of packet sockets, one function each.

use std::io;
use std::os::fd::{AsFd, AsRawFd, OwnedFd};
use std::time::Duration;

use libc::{c_int, socklen_t};

use super::{FilterInstruction, RingStatistics};
use crate::ffi;

/// Room for a packet as the kernel reckons; in a block of this version packets take what they need.
const FRAME: usize = 2048;

pub(super) fn set_version(fd: &OwnedFd) -> io::Result<()> {
    set(fd, libc::SOL_PACKET, libc::PACKET_VERSION, &(libc::tpacket_versions::TPACKET_V3 as c_int))
}

/// Keeps bytes free before each packet.
pub(super) fn reserve(fd: &OwnedFd, bytes: u32) -> io::Result<()> {
    set(fd, libc::SOL_PACKET, libc::PACKET_RESERVE, &bytes)
}

pub(super) fn make_ring(fd: &OwnedFd, block: usize, count: usize, retire: Duration) -> io::Result<()> {
    let frame = FRAME.min(block);
    let ask = libc::tpacket_req3 {
        tp_block_size: narrow(block)?,
        tp_block_nr: narrow(count)?,
        tp_frame_size: narrow(frame)?,
        tp_frame_nr: narrow(block / frame * count)?,
        tp_retire_blk_tov: u32::try_from(retire.as_millis()).unwrap_or(u32::MAX).max(1),
        tp_sizeof_priv: 0,
        tp_feature_req_word: 0,
    };
    set(fd, libc::SOL_PACKET, libc::PACKET_RX_RING, &ask)
}

fn narrow(number: usize) -> io::Result<u32> {
    u32::try_from(number).map_err(|_| io::ErrorKind::OutOfMemory.into())
}

pub(super) fn ignore_outgoing(fd: &OwnedFd) -> io::Result<()> {
    set(fd, libc::SOL_PACKET, libc::PACKET_IGNORE_OUTGOING, &1_i32)
}

pub(super) fn join_promiscuous(fd: &OwnedFd, interface: u32) -> io::Result<()> {
    let ask = libc::packet_mreq {
        mr_ifindex: interface as c_int,
        mr_type: libc::PACKET_MR_PROMISC as u16,
        mr_alen: 0,
        mr_address: [0; 8],
    };
    set(fd, libc::SOL_PACKET, libc::PACKET_ADD_MEMBERSHIP, &ask)
}

/// Joins the group of that number, or makes one whose number the kernel chooses, and gives the number.
pub(super) fn fan_out(fd: &OwnedFd, group: Option<u16>, is_loopback: bool) -> io::Result<u16> {
    let mut kind = libc::PACKET_FANOUT_HASH;
    if is_loopback {
        kind |= libc::PACKET_FANOUT_FLAG_IGNORE_OUTGOING;
    }
    if group.is_none() {
        kind |= libc::PACKET_FANOUT_FLAG_UNIQUEID;
    }
    let ask = u32::from(group.unwrap_or(0)) | kind << 16;
    set(fd, libc::SOL_PACKET, libc::PACKET_FANOUT, &ask)?;
    Ok(get::<u32>(fd, libc::PACKET_FANOUT)? as u16)
}

pub(super) fn statistics(fd: &OwnedFd) -> io::Result<RingStatistics> {
    let [packets, drops, _freezes] = get::<[u32; 3]>(fd, libc::PACKET_STATISTICS)?;
    Ok(RingStatistics { packets: packets.into(), drops: drops.into() })
}

pub(super) fn attach_filter(fd: &OwnedFd, program: &[FilterInstruction]) -> io::Result<()> {
    let mut instructions: Vec<_> =
        program.iter().map(|i| libc::sock_filter { code: i.code, jt: i.jt, jf: i.jf, k: i.k }).collect();
    let len = u16::try_from(instructions.len()).map_err(|_| io::ErrorKind::InvalidInput)?;
    let ask = libc::sock_fprog { len, filter: instructions.as_mut_ptr() };
    set(fd, libc::SOL_SOCKET, libc::SO_ATTACH_FILTER, &ask)
}

/// Binds to an interface: from here on packets come.
pub(super) fn bind(fd: &OwnedFd, interface: u32) -> io::Result<()> {
    let address = libc::sockaddr_ll {
        sll_family: libc::AF_PACKET as u16,
        sll_protocol: (libc::ETH_P_ALL as u16).to_be(),
        sll_ifindex: interface as c_int,
        sll_hatype: 0,
        sll_pkttype: 0,
        sll_halen: 0,
        sll_addr: [0; 8],
    };
    // SAFETY: the address is a live `sockaddr_ll` of the length given, which is only read.
    #[allow(unsafe_code)]
    let result = unsafe {
        libc::bind(fd.as_raw_fd(), (&raw const address).cast(), size_of_val(&address) as socklen_t)
    };
    if result == 0 { Ok(()) } else { Err(io::Error::last_os_error()) }
}

/// The interface a socket is bound to; -1 when that was deleted.
pub(super) fn bound_interface(fd: &OwnedFd) -> io::Result<c_int> {
    let mut address = libc::sockaddr_ll {
        sll_family: 0,
        sll_protocol: 0,
        sll_ifindex: 0,
        sll_hatype: 0,
        sll_pkttype: 0,
        sll_halen: 0,
        sll_addr: [0; 8],
    };
    let mut length = size_of_val(&address) as socklen_t;
    // SAFETY: the kernel writes no more than the length given, which is that of the live `sockaddr_ll`.
    #[allow(unsafe_code)]
    let result = unsafe { libc::getsockname(fd.as_raw_fd(), (&raw mut address).cast(), &raw mut length) };
    if result == 0 { Ok(address.sll_ifindex) } else { Err(io::Error::last_os_error()) }
}

/// The kind of an interface (`ARPHRD_…`).
pub(super) fn hardware(fd: &OwnedFd, interface: u32) -> io::Result<u16> {
    const SIOCGIFHWADDR: libc::c_ulong = 0x8927;
    ask_interface(fd, interface, SIOCGIFHWADDR)
}

pub(super) fn is_up(fd: &OwnedFd, interface: u32) -> io::Result<bool> {
    const SIOCGIFFLAGS: libc::c_ulong = 0x8913;
    Ok(ask_interface(fd, interface, SIOCGIFFLAGS)? & libc::IFF_UP as u16 != 0)
}

/// Asks for what begins with a number of 16 bits: the family of an address, or flags.
fn ask_interface(fd: &OwnedFd, interface: u32, command: libc::c_ulong) -> io::Result<u16> {
    /// `struct ifreq` with the number in its union, padded to the union's size.
    #[repr(C)]
    struct Ask {
        name: [u8; libc::IFNAMSIZ],
        number: u16,
        rest: [u8; 22],
    }

    let name = ffi::interface_name(fd.as_fd(), interface)?;
    let mut ask = Ask { name, number: 0, rest: [0; 22] };
    // SAFETY: `ask` is at least as large as `struct ifreq`, which is all that these commands read and write, and
    // outlives the call.
    #[allow(unsafe_code)]
    let result = unsafe { libc::ioctl(fd.as_raw_fd(), command as _, &raw mut ask) };
    if result == 0 { Ok(ask.number) } else { Err(io::Error::last_os_error()) }
}

fn set<T>(fd: &OwnedFd, level: c_int, option: c_int, value: &T) -> io::Result<()> {
    // SAFETY: the value is live, of the length given, and only read. What it may point to (the instructions of a filter)
    // is live in the caller.
    #[allow(unsafe_code)]
    let result = unsafe {
        libc::setsockopt(
            fd.as_raw_fd(),
            level,
            option,
            (&raw const *value).cast(),
            size_of::<T>() as socklen_t,
        )
    };
    if result == 0 { Ok(()) } else { Err(io::Error::last_os_error()) }
}

/// Reads an option of packet sockets that is made of 32-bit numbers.
fn get<T: Numbers>(fd: &OwnedFd, option: c_int) -> io::Result<T> {
    let mut value = T::default();
    let mut length = size_of::<T>() as socklen_t;
    // SAFETY: the kernel writes no more than the length given, which is that of the live value, and any bytes are
    // a value of these types.
    #[allow(unsafe_code)]
    let result = unsafe {
        libc::getsockopt(fd.as_raw_fd(), libc::SOL_PACKET, option, (&raw mut value).cast(), &raw mut length)
    };
    if result == 0 { Ok(value) } else { Err(io::Error::last_os_error()) }
}

/// Types of which any bytes are a value.
trait Numbers: Default {}
impl Numbers for u32 {}
impl Numbers for [u32; 3] {}
