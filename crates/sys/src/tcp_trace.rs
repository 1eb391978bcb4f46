//! Changes of TCP connections as they happen, in all namespaces, with the process that makes them.
//!
//! They come from the trace point `sock:inet_sock_set_state` (Linux 4.16). A process connects, and closes, in its own
//! context, so that the pid of these events is that of who speaks, however short the connection; all other changes happen
//! in whatever runs when a packet comes. With them comes which processes begin, run something else and end: so it is known
//! what a process is without a look at it.

mod format;
mod tasks;

use std::net::SocketAddr;
use std::os::fd::{AsFd, BorrowedFd, OwnedFd};

pub use self::format::StateFormat;
pub use self::tasks::{TaskChange, TaskEvent};
use crate::netlink::SocketState;
use crate::trace::ring::{TraceEvent, TraceRing};
use crate::trace::{TraceError, TracePoint, open_rings};

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

/// What is told.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Traced {
    /// A connection changed.
    Tcp(TcpChange),
    /// A process did.
    Task(TaskChange),
}

/// The events of all processors. Dropping it ends the tracing.
#[derive(Debug)]
pub struct TcpTrace {
    rings: Vec<TraceRing>,
    format: StateFormat,
    ready: OwnedFd,
    told: Vec<Traced>,
    record: Vec<u8>,
}

/// What wakes the reader: a process begins to connect, and may be gone soon.
const URGENT: &str = "protocol == 6 && newstate == 2";
/// What else is told: established, closed by one side or the other, and gone.
const OTHERS: &str = "protocol == 6 && (newstate == 1 || newstate == 4 || newstate == 7 || newstate == 9)";

impl Traced {
    fn at(&self) -> u64 {
        match self {
            Self::Tcp(change) => change.at,
            Self::Task(change) => change.at,
        }
    }
}

impl TcpTrace {
    /// Begins to trace.
    pub fn start() -> Result<Self, TraceError> {
        const POINT: &str = "sock/inet_sock_set_state";
        let point = TracePoint::read(POINT)?;
        let format = StateFormat::parse(&point.format).ok_or(TraceError::Format(POINT))?;
        let urgent = TraceEvent {
            trace_point: point.id,
            filter: URGENT,
            every: 1,
            is_urgent: true,
            has_bytes: true,
            has_tasks: true,
            most: None,
        };
        let others = TraceEvent { filter: OTHERS, is_urgent: false, has_tasks: false, ..urgent };
        let (rings, ready) = open_rings(&[urgent, others])?;
        Ok(Self { rings, format, ready, told: Vec::new(), record: Vec::new() })
    }

    /// Hands over what happened since it was read last, in order. Says how many events the kernel had no room for.
    pub fn read(&mut self, each: &mut impl FnMut(&Traced)) -> u64 {
        let mut lost = 0;
        let Self { rings, format, told, record, .. } = self;
        told.clear();
        for ring in rings {
            lost += ring.read(record, &mut |bytes| {
                let change = format.read(bytes).map(Traced::Tcp);
                told.extend(change.or_else(|| TaskChange::read(bytes).map(Traced::Task)));
            });
        }
        told.sort_by_key(Traced::at);
        told.iter().for_each(each);
        lost
    }
}

impl AsFd for TcpTrace {
    /// Becomes readable when a process begins to connect, or much else has happened.
    fn as_fd(&self) -> BorrowedFd<'_> {
        self.ready.as_fd()
    }
}
