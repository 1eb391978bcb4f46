//! A ring as a source: packets in it, what the kernel counted, and what becomes of the interface.

use std::io;
use std::path::PathBuf;
use std::sync::Arc;
use std::time::Duration;

use rustix::event::epoll::{self, EventData, EventFlags};
use skydive_packet::LinkType;
use skydive_packet::file::Packet;
use skydive_packet::filter::Program;
use skydive_sys::{Attachment, LinkLayer, Namespaces, NsId, NsRef, PacketRing, RingConfig};

use crate::definition::Opened;
use crate::filters;
use crate::source::{Sink, Source, Watch};
use crate::status::{CaptureCounters, CaptureError, CaptureState};
use crate::{CaptureConfig, StartError};

/// A ring that is read.
#[derive(Debug)]
pub(crate) struct RingSource {
    ring: PacketRing,
    link: LinkType,
    /// For frames whose tag the kernel had taken out.
    program: Option<Program>,
    snap_len: usize,
    /// Frames that the kernel let pass and the program did not, beyond what was subtracted from those received.
    rejected: u64,
    /// The file of the namespace.
    place: Option<PathBuf>,
}

/// What the interface is told to receive.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Reception {
    /// What is for this host.
    Own,
    /// What is for others, too.
    All,
}

/// How long a packet waits at most until it is counted: whoever looks for what just happened finds it.
const RETIRE: Duration = Duration::from_millis(40);
/// Packets counted together: as many as a flow table takes through its stages at once.
const BATCH: usize = 64;
/// Blocks read before others get their turn.
const BLOCKS: usize = 8;

/// Opens the rings of a capture. Packets come to all of them when all are open.
pub(crate) fn open(
    config: &CaptureConfig,
    namespaces: &Namespaces,
    reception: Reception,
) -> Result<Opened, StartError> {
    // A wrong filter is told before anything is opened.
    filters::program(&config.filter, LinkType::ETHERNET, config.snap_len)?;
    let ring_config = RingConfig {
        interface: config.interface,
        bytes: config.ring_bytes,
        retire: RETIRE,
        is_promiscuous: reception == Reception::All,
    };
    let open = |_| PacketRing::open(namespaces, &config.place, &ring_config);
    let rings = (0..config.threads).map(open).collect::<Result<Vec<_>, _>>()?;
    if let [first, others @ ..] = &rings[..]
        && !others.is_empty()
    {
        let fanout = first.fan_out()?;
        others.iter().try_for_each(|ring| ring.join(fanout))?;
    }
    let source = |ring| RingSource::new(ring, config).map(Source::Ring);
    Ok(Opened { sources: rings.into_iter().map(source).collect::<Result<_, _>>()?, listens_at: None })
}

impl RingSource {
    fn new(ring: PacketRing, config: &CaptureConfig) -> Result<Self, StartError> {
        let link = match ring.link() {
            LinkLayer::Ethernet => LinkType::ETHERNET,
            LinkLayer::Network => LinkType::RAW,
        };
        let program = filters::program(&config.filter, link, config.snap_len)?;
        ring.take(&filters::for_kernel(program.as_ref(), link, config.snap_len)?)?;
        let place = match &config.place {
            NsRef::Here => None,
            NsRef::Path(path) => Some(path.clone()),
        };
        Ok(Self { ring, link, program, snap_len: config.snap_len as usize, rejected: 0, place })
    }

    pub(crate) fn begin(&self, watch: &Watch<'_>) -> io::Result<()> {
        Ok(epoll::add(watch.epoll, &self.ring, EventData::new_u64(watch.token(0)), EventFlags::IN)?)
    }

    /// Counts packets of some blocks. Says whether there may be more.
    pub(crate) fn read(&mut self, sink: &mut Sink<'_>) -> bool {
        let Self { ring, link, program, snap_len, rejected, .. } = self;
        for _ in 0..BLOCKS {
            let Some(mut block) = ring.next_block() else { return false };
            let mut batch = [Packet::default(); BATCH];
            let mut held = 0;
            for frame in block.frames() {
                if frame.is_tagged
                    && program.as_ref().is_some_and(|program| program.run(frame.bytes, frame.wire_len) == 0)
                {
                    *rejected += 1;
                    continue;
                }
                let bytes = frame.bytes.get(..*snap_len).unwrap_or(frame.bytes);
                let Some(place) = batch.get_mut(held) else { continue };
                *place = Packet { bytes, at: frame.at, wire_len: frame.wire_len, interface: 0, link: *link };
                held += 1;
                if held == BATCH {
                    sink.packets(&batch);
                    held = 0;
                }
            }
            sink.packets(batch.get(..held).unwrap_or_default());
        }
        true
    }

    /// Takes over what the kernel counted.
    fn statistics(&mut self, counters: &mut CaptureCounters) -> Result<(), CaptureError> {
        let counted = self.ring.statistics().map_err(source)?;
        counters.received += counted.packets;
        counters.dropped_by_kernel += counted.drops;
        // A frame may have been rejected before its receiving is told.
        let known = self.rejected.min(counters.received);
        counters.received -= known;
        self.rejected -= known;
        Ok(())
    }

    /// Packets that have come and are not counted yet.
    pub(crate) fn waiting(&mut self, counters: &mut CaptureCounters) -> u64 {
        // What is wrong with the socket is told by the next look.
        self.statistics(counters).map_or(0, |()| counters.waiting())
    }

    pub(crate) fn look(&mut self, counters: &mut CaptureCounters) -> Result<CaptureState, CaptureError> {
        self.statistics(counters)?;
        if let Some(path) = &self.place
            && NsId::of_path(path).ok() != Some(self.ring.namespace())
        {
            // The socket would keep it alive.
            return Err(CaptureError::NamespaceGone(path.clone()));
        }
        if self.ring.attachment().map_err(source)? == Attachment::Gone {
            return Err(CaptureError::InterfaceGone);
        }
        match self.ring.is_up() {
            Ok(true) => Ok(CaptureState::Active),
            Ok(false) => Ok(CaptureState::Down),
            // It went after it was asked for.
            Err(_) => Err(CaptureError::InterfaceGone),
        }
    }

    /// Says what an error that waits at the socket means.
    pub(crate) fn fault(&mut self, sink: &mut Sink<'_>) -> Result<(), CaptureError> {
        let Some(error) = self.ring.error() else { return Ok(()) };
        match self.look(sink.counters)? {
            // The interface is down, or was.
            _ if error.kind() == io::ErrorKind::NetworkDown => Ok(()),
            _ => Err(source(error)),
        }
    }

    pub(crate) fn shut(&self) {
        // It has only been refused to sockets that are no packet sockets.
        let _ = self.ring.shut();
    }

    /// Reads on until nothing waits.
    pub(crate) fn drain(&mut self, sink: &mut Sink<'_>) -> bool {
        while self.read(sink) {}
        self.statistics(sink.counters).is_err() || sink.counters.waiting() == 0
    }

    pub(crate) fn end(&self, watch: &Watch<'_>) {
        let _ = epoll::delete(watch.epoll, &self.ring);
    }

    /// How long it takes at most until what the kernel has is in blocks that are handed over.
    pub(crate) const RETIRED: Duration = Duration::from_millis(4 * RETIRE.as_millis() as u64);
}

fn source(error: io::Error) -> CaptureError {
    CaptureError::Source(Arc::new(error))
}
