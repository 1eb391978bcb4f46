//! The calls that no safe crate has. What is unsafe of this crate is here, in `packet_ring` and in `tcp_trace`.

use std::io;
use std::os::fd::{AsRawFd, BorrowedFd, OwnedFd};

use tokio::io::Interest;
use tokio::io::unix::AsyncFd;

/// Switches an option of a netlink socket on.
pub(crate) fn set_netlink_option(fd: BorrowedFd<'_>, option: libc::c_int) -> io::Result<()> {
    let on: libc::c_int = 1;
    // SAFETY: the descriptor is open as long as it is borrowed; the value is a live integer of the length given.
    #[allow(unsafe_code)]
    let result = unsafe {
        libc::setsockopt(
            fd.as_raw_fd(),
            libc::SOL_NETLINK,
            option,
            (&raw const on).cast(),
            size_of_val(&on) as libc::socklen_t,
        )
    };
    if result == 0 { Ok(()) } else { Err(io::Error::last_os_error()) }
}

/// A descriptor whose becoming readable can be awaited.
pub(crate) fn readable(fd: OwnedFd) -> io::Result<AsyncFd<OwnedFd>> {
    // SAFETY: an owned descriptor stays open, and the same one, until it is dropped, and it is dropped after it has
    // been taken out of the reactor.
    #[allow(unsafe_code)]
    let fd = unsafe { AsyncFd::register_with_interest(fd, Interest::READABLE) };
    fd.map_err(Into::into)
}

/// `struct ethtool_drvinfo`.
#[repr(C)]
#[derive(Clone, Copy)]
pub(crate) struct DriverReply {
    command: u32,
    pub(crate) driver: [u8; 32],
    version: [u8; 32],
    firmware: [u8; 32],
    pub(crate) bus: [u8; 32],
    erom: [u8; 32],
    reserved: [u8; 12],
    counts: [u32; 5],
}

/// The name of an interface in the namespace of the socket, with its terminating zero (`SIOCGIFNAME`).
pub(crate) fn interface_name(fd: BorrowedFd<'_>, index: u32) -> io::Result<[u8; libc::IFNAMSIZ]> {
    const SIOCGIFNAME: libc::c_ulong = 0x8910;

    /// `struct ifreq` with the number in its union, padded to the union's size.
    #[repr(C)]
    struct Ask {
        name: [u8; libc::IFNAMSIZ],
        index: u32,
        rest: [u8; 20],
    }

    let mut ask = Ask { name: [0; libc::IFNAMSIZ], index, rest: [0; 20] };
    // SAFETY: `ask` is at least as large as `struct ifreq`, which is all that this command reads and writes, and
    // outlives the call.
    #[allow(unsafe_code)]
    let result = unsafe { libc::ioctl(fd.as_raw_fd(), SIOCGIFNAME as _, &raw mut ask) };
    if result == 0 { Ok(ask.name) } else { Err(io::Error::last_os_error()) }
}

/// Asks the driver of an interface, in the namespace of the socket, who it is (`ETHTOOL_GDRVINFO`). The question takes
/// the interface's name, which need not be text: its bytes are asked for first.
pub(crate) fn driver(fd: BorrowedFd<'_>, index: u32) -> io::Result<DriverReply> {
    const SIOCETHTOOL: libc::c_ulong = 0x8946;
    const ETHTOOL_GDRVINFO: u32 = 3;

    /// `struct ifreq` with the pointer member of its union, padded to the union's size.
    #[repr(C)]
    struct Ask {
        name: [u8; libc::IFNAMSIZ],
        reply: *mut DriverReply,
        rest: [u8; 16],
    }

    let mut reply = DriverReply {
        command: ETHTOOL_GDRVINFO,
        driver: [0; 32],
        version: [0; 32],
        firmware: [0; 32],
        bus: [0; 32],
        erom: [0; 32],
        reserved: [0; 12],
        counts: [0; 5],
    };
    let name = interface_name(fd, index)?;
    let mut ask = Ask { name, reply: &raw mut reply, rest: [0; 16] };
    // SAFETY: `ask` is at least as large as `struct ifreq`, its pointer leads to a live `struct ethtool_drvinfo`,
    // which is all that this command reads and writes, and both outlive the call.
    #[allow(unsafe_code)]
    let result = unsafe { libc::ioctl(fd.as_raw_fd(), SIOCETHTOOL as _, &raw mut ask) };
    if result == 0 { Ok(reply) } else { Err(io::Error::last_os_error()) }
}
