//! One direction of a TCP connection put in order and counted. Bytes are not kept, only where they belong.
//!
//! A chunk is what one segment adds to the stream in its order: payload, or a SYN, FIN or RST without any. Chunks that
//! have to wait are kept as [`Run`]s: segments that came one after the other and follow each other. A gap is waited
//! for until [`Stream::skip`] or [`Stream::flush`] gives it up, or until there are more than [`MAX_RUNS`] runs. The
//! counts are those that the `tcpassembly` package of gopacket gives to Skydive, with three differences where that is
//! clearly wrong: a SYN with another sequence number is another connection, what follows the end is not a stream of
//! its own, and a stream that was idle goes on counting.

use skydive_packet::wire::tcp::Flags;

use crate::budget::Budget;
use crate::flow::StreamMetric;

/// One direction of a connection.
#[derive(Clone, Debug, Default)]
pub struct Stream {
    metric: StreamMetric,
    phase: Phase,
    /// The sequence number of the first byte.
    first: u32,
    /// The one that is expected.
    next: u32,
    /// The latest time of a chunk in order; nanoseconds.
    latest: i64,
    /// The latest time of a segment.
    last_seen: i64,
    /// Whether something was counted since the metric was last given away.
    told: bool,
    /// Ascending by sequence number; all beyond `next` in [`Phase::Open`].
    waiting: Vec<Run>,
    /// Index of the run that the latest waiting segment went to.
    growing: u8,
}

/// How far a stream is.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
enum Phase {
    /// Neither its SYN was seen nor given up: everything waits.
    #[default]
    Unknown,
    /// `first` and `next` are valid.
    Open,
    /// Its FIN or RST came in order.
    Ended,
}

/// Segments that came one after the other and have to wait.
#[derive(Clone, Copy, Debug)]
struct Run {
    sequence: u32,
    len: u32,
    chunks: u32,
    /// Whether a FIN or RST follows its last byte.
    ends: bool,
    first_at: i64,
    last_at: i64,
}

/// Runs that wait in one direction. A burst of losses makes one; a receiver with selective acknowledgements seldom
/// has more.
const MAX_RUNS: usize = 32;

/// No run.
const NONE: u8 = u8::MAX;

/// The length of the gap before a stream whose start was missed.
const START_MISSED: i32 = -1;

impl Stream {
    /// What was counted so far. Chunks that wait are not part of it.
    pub fn metric(&self) -> StreamMetric {
        self.metric
    }

    /// Takes a segment: its sequence number, the length of its payload on the wire and its time in nanoseconds since
    /// the epoch. Gives the counts when a stream ends by it: by a FIN or RST in order, or by the SYN of another.
    #[inline]
    pub fn segment(
        &mut self,
        sequence: u32,
        payload_len: u32,
        flags: Flags,
        at: i64,
    ) -> Option<StreamMetric> {
        self.segment_within(sequence, payload_len, flags, at, &mut Budget::new(usize::MAX))
    }

    /// As [`Stream::segment`]. Where there is no room for what has to wait, the first gap is given up.
    #[inline]
    pub(crate) fn segment_within(
        &mut self,
        sequence: u32,
        payload_len: u32,
        flags: Flags,
        at: i64,
        budget: &mut Budget,
    ) -> Option<StreamMetric> {
        if payload_len == 0 && !flags.has_any(Flags::SYN | Flags::FIN | Flags::RST) {
            return None;
        }
        // In the order of numbers only half of them are ahead.
        let len = payload_len.min(u32::MAX / 4);
        let syn = flags.has(Flags::SYN);
        let sequence = sequence.wrapping_add(u32::from(syn));
        let another = syn && self.phase != Phase::Unknown && sequence != self.first;
        let before = if another { self.restart() } else { None };
        if self.phase == Phase::Ended {
            return before;
        }
        self.last_seen = self.last_seen.max(at);
        let ends = !syn && flags.has_any(Flags::FIN | Flags::RST);
        let run = Run { sequence, len, chunks: 1, ends, first_at: at, last_at: at };
        match self.phase {
            Phase::Unknown if syn => self.open(run),
            Phase::Unknown if len == 0 && self.waiting.is_empty() => return before,
            Phase::Open if ahead(self.next, sequence) <= 0 => self.release(run),
            _ => self.wait(run, budget),
        }
        self.drain();
        before.or_else(|| if self.phase == Phase::Ended { self.tell() } else { None })
    }

    /// Gives up the gaps whose following chunks came before `since`, and gives the counts of a stream of which
    /// nothing came since then. Should it go on, it goes on counting. To be called every now and then; times in
    /// nanoseconds since the epoch.
    pub fn skip(&mut self, since: i64) -> Option<StreamMetric> {
        while self.waiting.first().is_some_and(|run| run.first_at < since) {
            self.release_first();
            self.drain();
        }
        if self.last_seen < since && self.waiting.is_empty() { self.tell() } else { None }
    }

    /// Gives up all gaps, and gives the counts if there is something new in them.
    pub fn flush(&mut self) -> Option<StreamMetric> {
        while !self.waiting.is_empty() {
            self.release_first();
            self.drain();
        }
        self.tell()
    }

    /// Bytes that [`Stream::segment_within`] took of its budget.
    pub(crate) fn held(&self) -> usize {
        self.waiting.capacity() * size_of::<Run>()
    }

    /// Lets go of the memory of runs that wait no longer, and says how many bytes.
    pub(crate) fn shrink(&mut self) -> usize {
        let held = self.held();
        if self.waiting.is_empty() {
            self.waiting = Vec::new();
        }
        held - self.held()
    }

    fn tell(&mut self) -> Option<StreamMetric> {
        let new = self.metric.packets > 0 && !self.told;
        self.told = true;
        new.then_some(self.metric)
    }

    /// Another connection of the same addresses and ports begins.
    #[cold]
    fn restart(&mut self) -> Option<StreamMetric> {
        let before = self.flush();
        let waiting = std::mem::take(&mut self.waiting);
        *self = Self { waiting, ..Self::default() };
        before
    }

    fn open(&mut self, syn: Run) {
        self.phase = Phase::Open;
        (self.first, self.next) = (syn.sequence, syn.sequence);
        self.metric.saw_start = 1;
        self.release(syn);
    }

    /// Counts a run whose turn it is.
    fn release(&mut self, run: Run) {
        self.told = false;
        let to = run.sequence.wrapping_add(run.len);
        let new = ahead(self.next, to).max(0);
        if self.metric.packets == 0 {
            self.latest = run.first_at;
        }
        self.metric.bytes += i64::from(new);
        self.metric.packets += i64::from(run.chunks);
        self.metric.segment_out_of_order += if run.last_at < self.latest {
            i64::from(run.chunks)
        } else {
            i64::from(run.first_at < self.latest)
        };
        self.latest = self.latest.max(run.last_at);
        self.next = self.next.wrapping_add(new.cast_unsigned());
        if run.ends {
            self.metric.saw_end = 1;
            self.phase = Phase::Ended;
        }
    }

    /// Counts what waits no longer.
    #[inline]
    fn drain(&mut self) {
        while self.phase == Phase::Open
            && self.waiting.first().is_some_and(|run| ahead(self.next, run.sequence) <= 0)
        {
            self.release_first();
        }
        if self.phase == Phase::Ended {
            self.waiting.clear();
        }
    }

    /// Counts the first run that waits, and the gap before it.
    fn release_first(&mut self) {
        if self.waiting.is_empty() {
            return;
        }
        let run = self.waiting.remove(0);
        self.growing = match self.growing {
            0 | NONE => NONE,
            place => place - 1,
        };
        self.release_beyond(run);
    }

    /// Counts a run, and the gap before it.
    fn release_beyond(&mut self, run: Run) {
        let gap = match self.phase {
            Phase::Unknown => {
                self.phase = Phase::Open;
                self.first = run.sequence;
                Some(START_MISSED)
            }
            _ => Some(ahead(self.next, run.sequence)).filter(|&gap| gap > 0),
        };
        if let Some(gap) = gap {
            self.metric.segment_skipped += 1;
            self.metric.segment_skipped_bytes += i64::from(gap);
            self.next = run.sequence;
        }
        self.release(run);
    }

    /// Keeps a run until its turn.
    #[cold]
    fn wait(&mut self, run: Run, budget: &mut Budget) {
        if let Some(growing) = self.waiting.get_mut(usize::from(self.growing))
            && growing.end() == run.sequence
            && !growing.ends
            && growing.last_at <= run.last_at
            && growing.len < u32::MAX / 4
        {
            growing.len += run.len;
            growing.chunks = growing.chunks.saturating_add(1);
            growing.ends = run.ends;
            growing.last_at = run.last_at;
            return;
        }
        let place = self.waiting.iter().rposition(|before| ahead(before.sequence, run.sequence) >= 0);
        if let Some(before) = place.and_then(|place| self.waiting.get_mut(place))
            && ahead(run.end(), before.end()) >= 0
            && !run.ends
        {
            // A segment sent again adds a chunk without bytes.
            before.chunks = before.chunks.saturating_add(1);
            return;
        }
        let place = place.map_or(0, |place| place + 1);
        if self.waiting.len() == self.waiting.capacity() && !self.grow(budget) {
            // Whatever is first: the gap before it is given up.
            if place == 0 {
                return self.release_beyond(run);
            }
            self.release_first();
            self.drain();
            return match self.phase {
                Phase::Open if ahead(self.next, run.sequence) <= 0 => self.release(run),
                Phase::Ended => {}
                _ => self.wait(run, budget),
            };
        }
        self.waiting.insert(place, run);
        self.growing = place as u8;
        if self.waiting.len() > MAX_RUNS {
            self.release_first();
        }
    }

    /// Makes room for more runs.
    fn grow(&mut self, budget: &mut Budget) -> bool {
        let capacity = self.waiting.capacity();
        let more = capacity.max(2).min((MAX_RUNS + 1).saturating_sub(capacity));
        let fits = budget.take(more * size_of::<Run>());
        if fits {
            self.waiting.reserve_exact(more);
        }
        fits
    }
}

impl Run {
    fn end(&self) -> u32 {
        self.sequence.wrapping_add(self.len)
    }
}

/// How far `to` is ahead of `from`; negative when it is behind.
fn ahead(from: u32, to: u32) -> i32 {
    to.wrapping_sub(from).cast_signed()
}

#[cfg(test)]
mod tests;
