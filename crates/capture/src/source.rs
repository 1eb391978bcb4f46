//! Sources of packets, as a thread sees them.

use std::io;
use std::os::fd::OwnedFd;

use rustix::event::epoll::EventFlags;
use skydive_flow::FlowTable;
use skydive_packet::file::Packet;

use crate::CaptureError;
use crate::enrich::Enriching;
use crate::outbox::Outbox;
use crate::pcapsocket::SocketSource;
use crate::ring::RingSource;
use crate::status::{CaptureCounters, CaptureState};

/// Where packets come from: not a trait object, as every packet passes here.
#[derive(Debug)]
pub(crate) enum Source {
    Ring(RingSource),
    Socket(SocketSource),
}

/// Where packets go.
pub(crate) struct Sink<'a> {
    pub(crate) table: &'a mut FlowTable,
    pub(crate) outbox: &'a mut Outbox,
    pub(crate) counters: &'a mut CaptureCounters,
    pub(crate) enriching: &'a Enriching,
}

/// Where a source registers what it waits for. Events carry the number of the capture and of the part of it.
pub(crate) struct Watch<'a> {
    pub(crate) epoll: &'a OwnedFd,
    pub(crate) slot: u32,
}

/// What became ready.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Ready {
    pub(crate) part: u32,
    pub(crate) flags: EventFlags,
}

impl Sink<'_> {
    /// Counts packets.
    #[inline]
    pub(crate) fn packets(&mut self, packets: &[Packet<'_>]) {
        let Self { table, outbox, counters, enriching } = self;
        table.packets(packets, |flow, told| outbox.push(flow, told, counters, enriching));
        counters.accounted += packets.len() as u64;
    }
}

impl Source {
    /// Begins to wait for packets.
    pub(crate) fn begin(&mut self, watch: &Watch<'_>) -> io::Result<()> {
        match self {
            Self::Ring(ring) => ring.begin(watch),
            Self::Socket(socket) => socket.begin(watch),
        }
    }

    /// Counts packets that are there, as many as one turn is for.
    pub(crate) fn read(
        &mut self,
        ready: Ready,
        now: i64,
        watch: &Watch<'_>,
        sink: &mut Sink<'_>,
    ) -> Result<(), CaptureError> {
        match self {
            Self::Ring(ring) => {
                ring.read(sink);
                if ready.flags.intersects(EventFlags::ERR | EventFlags::HUP) {
                    ring.fault(sink)
                } else {
                    Ok(())
                }
            }
            Self::Socket(socket) => {
                socket.read(ready.part, now, watch, sink);
                Ok(())
            }
        }
    }

    /// Looks after the source, once a second: counters of the kernel, and whether it is there still.
    pub(crate) fn look(&mut self, counters: &mut CaptureCounters) -> Result<CaptureState, CaptureError> {
        match self {
            Self::Ring(ring) => ring.look(counters),
            Self::Socket(_) => Ok(CaptureState::Active),
        }
    }

    /// Packets that have come and are not counted yet.
    pub(crate) fn waiting(&mut self, counters: &mut CaptureCounters) -> u64 {
        match self {
            Self::Ring(ring) => ring.waiting(counters),
            Self::Socket(_) => 0,
        }
    }

    /// When there is something to do though nothing becomes ready; nanoseconds since the epoch.
    pub(crate) fn due(&self) -> Option<i64> {
        match self {
            Self::Ring(_) => None,
            Self::Socket(socket) => socket.due(),
        }
    }

    /// Does what is due.
    pub(crate) fn play(&mut self, now: i64, watch: &Watch<'_>, sink: &mut Sink<'_>) {
        if let Self::Socket(socket) = self {
            socket.play(now, watch, sink);
        }
    }

    /// Takes no more packets.
    pub(crate) fn shut(&mut self, watch: &Watch<'_>) {
        match self {
            Self::Ring(ring) => ring.shut(),
            Self::Socket(socket) => socket.shut(watch),
        }
    }

    /// Counts what came before it was shut. Says whether that was all.
    pub(crate) fn drain(&mut self, sink: &mut Sink<'_>) -> bool {
        match self {
            Self::Ring(ring) => ring.drain(sink),
            Self::Socket(_) => true,
        }
    }

    /// Waits for nothing any more.
    pub(crate) fn end(&mut self, watch: &Watch<'_>) {
        match self {
            Self::Ring(ring) => ring.end(watch),
            Self::Socket(socket) => socket.shut(watch),
        }
    }
}

impl Watch<'_> {
    /// What an event carries.
    pub(crate) fn token(&self, part: u32) -> u64 {
        u64::from(part) << 32 | u64::from(self.slot)
    }
}
