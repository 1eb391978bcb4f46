//! A capture file that arrives, and the times at which its packets are due.

use std::io::{self, Read};
use std::net::TcpStream;
use std::ops::Range;

use skydive_packet::LinkType;
use skydive_packet::file::{Packet, Reader, Step};

use crate::filters::Filters;
use crate::source::Sink;

/// A connection that sends a capture file.
#[derive(Debug)]
pub(super) struct Connection {
    stream: TcpStream,
    reader: Reader,
    /// Bytes that came and are not counted: those from `used` to `held`.
    buffer: Vec<u8>,
    used: usize,
    held: usize,
    /// What the reader needs to go on.
    at_least: usize,
    /// Nanoseconds from the times in the file to those of now.
    shift: Option<i64>,
    /// A packet that is not due.
    next: Option<Waiting>,
}

/// A packet whose bytes are in the buffer.
#[derive(Debug)]
struct Waiting {
    bytes: Range<usize>,
    due: i64,
    wire_len: u32,
    link: LinkType,
}

/// What a connection waits for.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Playing {
    /// Time.
    Waits,
    /// Bytes.
    Hungry,
    /// Nothing.
    Ended,
}

/// Bytes asked for at a time.
const PIECE: usize = 64 << 10;
/// Pieces read before others get their turn.
const PIECES: usize = 8;
/// Packets counted together.
const BATCH: usize = 64;
/// Packets that are due so soon are counted at once; nanoseconds.
const AT_ONCE: i64 = 1_000_000;

impl Connection {
    pub(super) fn new(stream: TcpStream) -> Self {
        let (buffer, reader) = (Vec::new(), Reader::new());
        Self { stream, reader, buffer, used: 0, held: 0, at_least: 0, shift: None, next: None }
    }

    pub(super) fn stream(&self) -> &TcpStream {
        &self.stream
    }

    /// When the next packet is due that is there.
    pub(super) fn due(&self) -> Option<i64> {
        self.next.as_ref().map(|next| next.due)
    }

    /// Takes what came and counts what is due.
    pub(super) fn read(&mut self, now: i64, filters: &mut Filters, sink: &mut Sink<'_>) -> Playing {
        for _ in 0..PIECES {
            self.buffer.copy_within(self.used..self.held, 0);
            self.held -= self.used;
            self.used = 0;
            let room = self.at_least.max(self.held + PIECE);
            if self.buffer.len() < room {
                self.buffer.resize(room, 0);
            }
            match self.stream.read(&mut self.buffer[self.held..]) {
                Ok(0) => {
                    sink.counters.damaged += u64::from(self.reader.end(self.held).is_err());
                    return Playing::Ended;
                }
                Ok(more) => self.held += more,
                Err(error) if error.kind() == io::ErrorKind::WouldBlock => return Playing::Hungry,
                Err(error) if error.kind() == io::ErrorKind::Interrupted => {}
                Err(_) => {
                    sink.counters.damaged += 1;
                    return Playing::Ended;
                }
            }
            match self.play(now, filters, sink) {
                Playing::Hungry => {}
                other => return other,
            }
        }
        Playing::Hungry
    }

    /// Counts what is due of the bytes that are there.
    pub(super) fn play(&mut self, now: i64, filters: &mut Filters, sink: &mut Sink<'_>) -> Playing {
        let Self { reader, buffer, used, held, at_least, shift, next, .. } = self;
        let filled = buffer.get(..*held).unwrap_or_default();
        let mut batch = [Packet::default(); BATCH];
        let mut count = 0;
        if let Some(waiting) = next.take_if(|next| next.due <= now.saturating_add(AT_ONCE)) {
            let bytes = filled.get(waiting.bytes).unwrap_or_default();
            let Waiting { due: at, wire_len, link, .. } = waiting;
            batch[0] = Packet { bytes, at, wire_len, interface: 0, link };
            count = 1;
        }
        let playing = loop {
            if next.is_some() {
                break Playing::Waits;
            }
            if count == BATCH {
                sink.packets(&batch);
                sink.counters.received += count as u64;
                count = 0;
            }
            let rest = filled.get(*used..).unwrap_or_default();
            match reader.next(rest) {
                Ok(Step::Packet { packet, consumed }) => {
                    *used += consumed;
                    match filters.passes(packet.link, packet.bytes, packet.wire_len) {
                        Ok(true) => {}
                        Ok(false) => continue,
                        Err(_) => {
                            sink.counters.damaged += 1;
                            break Playing::Ended;
                        }
                    }
                    let due = packet.at.saturating_add(*shift.get_or_insert(now.saturating_sub(packet.at)));
                    if due <= now.saturating_add(AT_ONCE) {
                        batch[count] = Packet { at: due, ..packet };
                        count += 1;
                    } else {
                        let start = packet.bytes.as_ptr().addr() - filled.as_ptr().addr();
                        let bytes = start..start + packet.bytes.len();
                        *next = Some(Waiting { bytes, due, wire_len: packet.wire_len, link: packet.link });
                    }
                }
                Ok(Step::Passed { consumed }) => *used += consumed,
                Ok(Step::More { at_least: wanted }) => {
                    *at_least = wanted;
                    break Playing::Hungry;
                }
                Err(_) => {
                    sink.counters.damaged += 1;
                    break Playing::Ended;
                }
            }
        };
        sink.counters.received += count as u64;
        sink.packets(batch.get(..count).unwrap_or_default());
        playing
    }
}
