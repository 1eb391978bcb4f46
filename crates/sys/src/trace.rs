//! Trace points of the kernel, read by `perf_event_open(2)`.
//!
//! No program is loaded, and the kernel stops by itself when this process ends. It needs `CAP_PERFMON` (or
//! `CAP_SYS_ADMIN`), and a kernel with trace points.

pub(crate) mod ring;

use std::fs::File;
use std::io::{self, Read};
use std::os::fd::OwnedFd;

use rustix::event::epoll;
use rustix::fs::{CWD, Mode, OFlags, openat};
use rustix::mount::{FsMountFlags, FsOpenFlags, MountAttrFlags, fsconfig_create, fsmount, fsopen};
use thiserror::Error;

use self::ring::{TraceEvent, TraceRing};

/// Why nothing can be traced.
#[derive(Debug, Error)]
pub enum TraceError {
    /// The kernel has no such trace point, or does not show it.
    #[error("trace point {0}")]
    TracePoint(&'static str, #[source] io::Error),
    /// What it tells is not understood.
    #[error("trace point {0} has another format")]
    Format(&'static str),
    /// The kernel refused.
    #[error("opening a trace")]
    Open(#[source] io::Error),
}

/// A trace point, as the kernel describes it.
#[derive(Debug)]
pub(crate) struct TracePoint {
    pub(crate) id: u64,
    /// The fields of its records, a line each.
    pub(crate) format: String,
}

/// Bytes of a file that describes a trace point.
const MOST_BYTES: u64 = 64 << 10;
/// Processors at most.
const MOST_CPUS: u32 = 4096;

impl TracePoint {
    /// Reads the description of `group/event`.
    pub(crate) fn read(name: &'static str) -> Result<Self, TraceError> {
        let fault = |error| TraceError::TracePoint(name, error);
        let events = trace_events().map_err(fault)?;
        let read = |part: &str| -> io::Result<String> {
            let path = format!("events/{name}/{part}");
            let file = openat(&events, path, OFlags::RDONLY | OFlags::CLOEXEC, Mode::empty())?;
            let mut text = String::new();
            File::from(file).take(MOST_BYTES).read_to_string(&mut text)?;
            Ok(text)
        };
        let id = read("id").map_err(fault)?.trim().parse().map_err(|_| TraceError::Format(name))?;
        Ok(Self { id, format: read("format").map_err(fault)? })
    }
}

/// The rings of all processors that are on, each with these events, and what becomes readable when one wakes.
pub(crate) fn open_rings(events: &[TraceEvent<'_>]) -> Result<(Vec<TraceRing>, OwnedFd), TraceError> {
    let ready = epoll::create(epoll::CreateFlags::CLOEXEC).map_err(|e| TraceError::Open(e.into()))?;
    let mut rings = Vec::new();
    for cpu in 0..processors() {
        match TraceRing::open(cpu, events) {
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
    Ok((rings, ready))
}

/// Where a field of that size is in a record, in the kernel's description of it; `None` when there is none.
pub(crate) fn place(format: &str, name: &str, size: usize) -> Option<usize> {
    format.lines().find_map(|line| {
        let (declared, rest) = line.trim().strip_prefix("field:")?.split_once(';')?;
        let declared = declared.rsplit([' ', '*']).next()?;
        let number = |name: &str| {
            let part = rest.split(';').find_map(|part| part.trim().strip_prefix(name))?;
            part.parse::<usize>().ok()
        };
        let is_it = declared.split('[').next() == Some(name) && number("size:") == Some(size);
        if is_it { number("offset:").filter(|at| *at < 4096) } else { None }
    })
}

/// Bytes at a place.
pub(crate) fn at<const N: usize>(bytes: &[u8], from: usize) -> Option<[u8; N]> {
    bytes.get(from..)?.first_chunk::<N>().copied()
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
