//! From the bytes of a file to the flow table.
//!
//! One thread and one buffer. A piece of the file is read, its packets are found in place, filtered and counted by a flow
//! table whose time is that of the packets; flows are written as they end. Files are read and not mapped: a page that is
//! mapped in costs more than its bytes copied, and a pipe is no different from a file.

use std::fs::File;
use std::io;
use std::path::Path;

use skydive_flow::{FlowView, Replay, Told};
use skydive_packet::file::{FileError, Packet, Reader};

use super::filter::{Filters, Refused};
use super::input;
use super::interrupt::Interrupt;
use super::progress::Progress;
use super::rows::Rows;
use super::summary::Summary;
use super::totals::Totals;

/// What files are read into.
pub(super) struct Reading {
    pub(super) replay: Replay,
    pub(super) filters: Filters,
    pub(super) totals: Totals,
    pub(super) output: Output,
    pub(super) progress: Progress,
    pub(super) interrupt: Option<Interrupt>,
}

/// Where flows go when they end.
pub(super) enum Output {
    Rows(Rows),
    Summary(Summary),
}

/// Why a file is not read to its end.
#[derive(Debug, thiserror::Error)]
pub(super) enum Stopped {
    #[error("cannot be read")]
    Unreadable(#[from] io::Error),
    #[error(transparent)]
    Damaged(#[from] FileError),
    #[error(transparent)]
    Refused(#[from] Refused),
}

/// Bytes asked for at a time: few calls, and what was read is still in the processor's second cache when it is looked at.
const PIECE: usize = 256 << 10;
/// Packets looked at together.
const BATCH: usize = 64;

impl Reading {
    /// Reads a file to its end, or until nobody wants to know more.
    pub(super) fn file(&mut self, path: &Path, buffer: &mut Vec<u8>) -> Result<(), Stopped> {
        let mut file = input::open(path)?;
        let mut reader = Reader::new();
        let result = self.packets(&mut file, &mut reader, buffer);
        self.totals.dropped +=
            reader.interfaces().iter().filter_map(|interface| interface.dropped).sum::<u64>();
        result
    }

    fn packets(&mut self, file: &mut File, reader: &mut Reader, buffer: &mut Vec<u8>) -> Result<(), Stopped> {
        // Bytes of the buffer that are filled, and how many came last.
        let (mut held, mut more) = (0, 0);
        loop {
            let mut packets = [Packet::default(); BATCH];
            let mut used = 0;
            let at_least = loop {
                let filled = reader.fill(&buffer[used..held], &mut packets)?;
                used += filled.consumed;
                self.count(&mut packets[..filled.packets])?;
                if filled.at_least > 0 {
                    break filled.at_least;
                }
            };
            if more < PIECE {
                // The next may be long in coming.
                self.output.flush();
            }
            if self.output.is_broken() {
                return Ok(());
            }
            buffer.copy_within(used..held, 0);
            held -= used;
            let room = at_least.max(held + PIECE);
            if buffer.len() < room {
                buffer.resize(room, 0);
            }
            if let Some(interrupt) = &mut self.interrupt
                && !interrupt.wait(file)?
            {
                return Ok(());
            }
            more = input::read(file, &mut buffer[held..held + PIECE])?;
            if more == 0 {
                return Ok(reader.end(held)?);
            }
            held += more;
            self.progress.step(more, || (self.totals.packets, self.replay.table().len()));
        }
    }

    fn count(&mut self, packets: &mut [Packet<'_>]) -> Result<(), Refused> {
        self.totals.read += packets.len() as u64;
        let packets = self.filters.pass(packets)?;
        self.totals.count(packets);
        let Self { replay, output, .. } = self;
        replay.packets(packets, |flow, told| output.hear(flow, told));
        Ok(())
    }
}

impl Output {
    pub(super) fn hear(&mut self, flow: FlowView<'_>, told: Told) {
        match self {
            Self::Rows(rows) => rows.hear(flow, told),
            Self::Summary(summary) if told.ended => summary.count(flow),
            Self::Summary(_) => {}
        }
    }

    /// Whether nobody reads any more.
    pub(super) fn is_broken(&self) -> bool {
        matches!(self, Self::Rows(rows) if rows.is_broken())
    }

    fn flush(&mut self) {
        if let Self::Rows(rows) = self {
            rows.flush();
        }
    }
}
