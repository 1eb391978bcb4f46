//! How a capture is doing.

use std::io;
use std::path::PathBuf;
use std::sync::Arc;

use skydive_flow::TableCounters;
use thiserror::Error;

/// Name of a running capture, never used twice.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub struct CaptureKey(pub u64);

/// How a capture is doing.
#[derive(Clone, Debug, Default)]
pub struct CaptureStatus {
    /// Whether packets come.
    pub state: CaptureState,
    /// What it counted. Those of the kernel are at most a second old.
    pub counters: CaptureCounters,
    /// What its tables counted, all together.
    pub table: TableCounters,
    /// Flows in its tables.
    pub flows: usize,
}

/// Whether packets come.
#[derive(Clone, Debug, Default)]
pub enum CaptureState {
    /// They do.
    #[default]
    Active,
    /// The interface is down. They come again when it is up.
    Down,
    /// They do not come any more.
    Failed(CaptureError),
    /// It was told to stop, and all its flows were told of.
    Stopped,
}

/// Why packets do not come any more.
#[derive(Clone, Debug, Error)]
pub enum CaptureError {
    /// The interface was deleted, or moved to another namespace.
    #[error("the interface is gone")]
    InterfaceGone,
    /// The file of the namespace is gone, or stands for another one.
    #[error("the namespace {0} is gone")]
    NamespaceGone(PathBuf),
    /// The socket gave an error.
    #[error("the source of packets")]
    Source(#[source] Arc<io::Error>),
}

/// Packets of a capture: `received` = `accounted` + `dropped_by_kernel` + `dropped` + those that wait in the ring.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct CaptureCounters {
    /// Packets that passed the filter.
    pub received: u64,
    /// Packets that the flow table was given.
    pub accounted: u64,
    /// Packets for which the ring had no room.
    pub dropped_by_kernel: u64,
    /// Packets that were in the ring and could not be read before the capture ended.
    pub dropped: u64,
    /// Flows that nobody was told of, as who takes them was too slow.
    pub flows_lost: u64,
    /// Packets kept with flows that were left out for the same reason.
    pub raw_packets_lost: u64,
    /// Streams of packets that were no capture file, damaged, or cut off.
    pub damaged: u64,
}

impl CaptureCounters {
    /// Packets that wait in the ring.
    pub fn waiting(&self) -> u64 {
        self.received.saturating_sub(self.accounted + self.dropped_by_kernel + self.dropped)
    }

    /// Adds what another part of the same capture counted.
    pub(crate) fn add(&mut self, other: &Self) {
        self.received += other.received;
        self.accounted += other.accounted;
        self.dropped_by_kernel += other.dropped_by_kernel;
        self.dropped += other.dropped;
        self.flows_lost += other.flows_lost;
        self.raw_packets_lost += other.raw_packets_lost;
        self.damaged += other.damaged;
    }
}

impl CaptureStatus {
    /// Adds another part of the same capture, or another capture: the worst state is that of all, and it has stopped when
    /// all have.
    pub fn add(&mut self, other: &Self) {
        if other.state.rank() > self.state.rank() {
            self.state = other.state.clone();
        }
        self.counters.add(&other.counters);
        self.flows += other.flows;
        let (all, more) = (&mut self.table, &other.table);
        all.packets += more.packets;
        all.unaccounted += more.unaccounted;
        all.flows += more.flows;
        all.evicted += more.evicted;
        all.unkept += more.unkept;
        all.folded_paths += more.folded_paths;
        for (end, more) in all.ends.iter_mut().zip(more.ends) {
            *end += more;
        }
    }
}

impl CaptureState {
    /// Whether it has ended.
    pub fn has_ended(&self) -> bool {
        matches!(self, Self::Failed(_) | Self::Stopped)
    }

    fn rank(&self) -> u8 {
        match self {
            Self::Stopped => 0,
            Self::Active => 1,
            Self::Down => 2,
            Self::Failed(_) => 3,
        }
    }
}
