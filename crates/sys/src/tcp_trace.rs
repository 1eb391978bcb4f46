//! Changes of TCP connections as they happen, in all namespaces, with the process that makes them.
//!
//! The kernel's trace point `sock:inet_sock_set_state` (Linux 4.16) is read by `perf_event_open(2)`; no program is
//! loaded, and the kernel stops by itself when this process ends. A process connects, and closes, in its own context, so
//! that the pid of these events is that of who speaks, however short the connection; all other changes happen in
//! whatever runs when a packet comes. It needs `CAP_PERFMON` (or `CAP_SYS_ADMIN`) and a kernel with trace points.

mod format;
mod ring;

use std::fs::File;
use std::io::{self, Read};
use std::net::SocketAddr;
use std::os::fd::{AsFd, BorrowedFd, OwnedFd};

use rustix::event::epoll;
use rustix::fs::{CWD, Mode, OFlags, openat};
use rustix::mount::{FsMountFlags, FsOpenFlags, MountAttrFlags, fsconfig_create, fsmount, fsopen};
use thiserror::Error;

pub use self::format::StateFormat;
use self::ring::TraceRing;
use crate::netlink::SocketState;

/// A connection that changed.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct TcpChange {
    /// When, nanoseconds of a clock of the kernel.
    pub at: u64,
    /// The process in whose context it changed, as this process sees it; 0 when it does not.
    pub pid: u32,
    /// The socket, a number that another one has when it is gone.
    pub socket: u64,
    /// How it was.
    pub old: SocketState,
    /// How it is.
    pub new: SocketState,
    /// Its own end; the port is 0 as long as none was chosen, which is so when it begins to connect.
    pub local: SocketAddr,
    /// The other end.
    pub remote: SocketAddr,
}

/// The events of all processors. Dropping it ends the tracing.
#[derive(Debug)]
pub struct TcpTrace {
    rings: Vec<TraceRing>,
    format: StateFormat,
    ready: OwnedFd,
    changes: Vec<TcpChange>,
    record: Vec<u8>,
}

/// Why nothing can be traced.
#[derive(Debug, Error)]
pub enum TraceError {
    /// The kernel has no such trace point, or does not show it.
    #[error("trace point sock:inet_sock_set_state")]
    TracePoint(#[source] io::Error),
    /// What it tells is not understood.
    #[error("trace point sock:inet_sock_set_state has another format")]
    Format,
    /// The kernel refused.
    #[error("opening a trace")]
    Open(#[source] io::Error),
}

/// What wakes the reader: a process begins to connect, and may be gone soon.
const URGENT: &str = "protocol == 6 && newstate == 2";
/// What else is told: established, closed by one side or the other, and gone.
const OTHERS: &str = "protocol == 6 && (newstate == 1 || newstate == 4 || newstate == 7 || newstate == 9)";
/// Bytes of a file that describes a trace point.
const MOST_BYTES: u64 = 64 << 10;
/// Processors at most.
const MOST_CPUS: u32 = 4096;

impl TcpTrace {
    /// Begins to trace.
    pub fn start() -> Result<Self, TraceError> {
        let events = trace_events().map_err(TraceError::TracePoint)?;
        let read = |name: &str| -> io::Result<String> {
            let path = format!("events/sock/inet_sock_set_state/{name}");
            let file = openat(&events, path, OFlags::RDONLY | OFlags::CLOEXEC, Mode::empty())?;
            let mut text = String::new();
            File::from(file).take(MOST_BYTES).read_to_string(&mut text)?;
            Ok(text)
        };
        let id = read("id").map_err(TraceError::TracePoint)?;
        let id: u64 = id.trim().parse().map_err(|_| TraceError::Format)?;
        let format = read("format").map_err(TraceError::TracePoint)?;
        let format = StateFormat::parse(&format).ok_or(TraceError::Format)?;
        let ready = epoll::create(epoll::CreateFlags::CLOEXEC).map_err(|e| TraceError::Open(e.into()))?;
        let mut rings = Vec::new();
        for cpu in 0..processors() {
            match TraceRing::open(cpu, id, [URGENT, OTHERS]) {
                Ok(ring) => {
                    let data = epoll::EventData::new_u64(u64::from(cpu));
                    epoll::add(&ready, ring.fd(), data, epoll::EventFlags::IN)
                        .map_err(|e| TraceError::Open(e.into()))?;
                    rings.push(ring);
                }
                // Not switched on.
                Err(error) if error.raw_os_error() == Some(libc::ENODEV) => {}
                Err(error) => return Err(TraceError::Open(error)),
            }
        }
        Ok(Self { rings, format, ready, changes: Vec::new(), record: Vec::new() })
    }

    /// Hands over what happened since it was read last, in order. Says how many events the kernel had no room for.
    pub fn read(&mut self, each: &mut impl FnMut(&TcpChange)) -> u64 {
        let mut lost = 0;
        let Self { rings, format, changes, record, .. } = self;
        changes.clear();
        for ring in rings {
            lost += ring.read(record, &mut |bytes| changes.extend(format.read(bytes)));
        }
        changes.sort_by_key(|change| change.at);
        changes.iter().for_each(each);
        lost
    }
}

impl AsFd for TcpTrace {
    /// Becomes readable when a process begins to connect, or much else has happened.
    fn as_fd(&self) -> BorrowedFd<'_> {
        self.ready.as_fd()
    }
}

/// The directory of trace points: where it is mounted, or a mount of its own that nobody else sees.
fn trace_events() -> io::Result<OwnedFd> {
    let flags = OFlags::RDONLY | OFlags::DIRECTORY | OFlags::CLOEXEC;
    for place in ["/sys/kernel/tracing", "/sys/kernel/debug/tracing"] {
        if let Ok(directory) = openat(CWD, place, flags, Mode::empty())
            && openat(&directory, "events/sock", flags, Mode::empty()).is_ok()
        {
            return Ok(directory);
        }
    }
    let context = fsopen("tracefs", FsOpenFlags::FSOPEN_CLOEXEC)?;
    fsconfig_create(&context)?;
    Ok(fsmount(&context, FsMountFlags::FSMOUNT_CLOEXEC, MountAttrFlags::empty())?)
}

/// How many processors there may be: the last number in a list like `0-3,8`, and one.
fn processors() -> u32 {
    let list = std::fs::read_to_string("/sys/devices/system/cpu/possible").unwrap_or_default();
    let last = list.trim().rsplit([',', '-']).next().and_then(|last| last.parse::<u32>().ok());
    last.map_or(1, |last| last.saturating_add(1)).min(MOST_CPUS)
}
