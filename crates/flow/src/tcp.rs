//! TCP as a watcher between two hosts sees it: what each side sent again, late or with a closed window.
//!
//! The state is small, of fixed size and filled from headers alone. A side remembers the highest byte it sent and
//! the [`MAX_HOLES`] latest ranges below it that were not seen; a segment is judged by those:
//!
//! | payload | counts as |
//! |---|---|
//! | ends beyond the highest byte, holes untouched | new |
//! | every byte was seen | retransmission |
//! | fills at least one byte of a hole, or precedes all that was seen | out of order |
//! | one byte or none, directly before the highest, no SYN, FIN or RST | nothing: a keep-alive ([RFC 9293], 3.8.4) |
//!
//! A segment that was lost before the watcher and sent again is thus out of order here and a retransmission at its
//! sender: only the bytes tell, not the time. When a side has more holes than are remembered the lowest counts as seen.
//!
//! [RFC 9293]: https://www.rfc-editor.org/rfc/rfc9293

use skydive_packet::wire::tcp::{Flags, Options, Tcp, TcpOption};

use crate::flow::{TcpMetric, TcpSide};

/// Who of a flow sent a packet.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub enum Side {
    /// The sender of the flow's first packet.
    A,
    /// The other.
    B,
}

/// What was seen of one TCP connection in both directions. 96 bytes, and what a connection without losses has none of
/// behind them: a million connections are common, a million with losses are not.
#[derive(Clone, Debug, Default)]
pub struct TcpState {
    a: Sent,
    b: Sent,
}

/// What one side sent. Sequence numbers are those of the wire and wrap around.
#[derive(Clone, Debug)]
struct Sent {
    syn_start: i64,
    fin_start: i64,
    rst_start: i64,
    /// None as long as nothing of it was seen.
    seldom: Option<Box<Seldom>>,
    /// The lowest sequence number of which something is known; at most [`MAX_WINDOW`] before `next`.
    base: u32,
    /// The one after the highest byte.
    next: u32,
    /// Windows as on the wire; none yet when the smallest is above the largest.
    window_min: u16,
    window_max: u16,
    syn_ttl: u8,
    /// [`SYN`], [`SCALE`], [`TRACKED`].
    known: u8,
    window_shift: u8,
}

/// What few connections have.
#[derive(Clone, Debug, Default)]
struct Seldom {
    retransmitted_bytes: u64,
    retransmissions: u32,
    out_of_order: u32,
    zero_windows: u32,
    holes: Holes,
}

/// Ranges from `base` to `next` that were not seen, ascending; the first `count` are valid.
#[derive(Clone, Copy, Debug, Default)]
struct Holes {
    count: u8,
    ranges: [Range; MAX_HOLES],
}

/// Sequence numbers from the first to before the second.
type Range = (u32, u32);

/// Holes remembered of a side: a burst of losses makes one.
const MAX_HOLES: usize = 4;

/// The largest window that can be announced, RFC 7323 2.3. A segment further away is of another connection, or
/// follows a pause of the capture.
const MAX_WINDOW: u32 = 1 << 30;

/// The largest shift that a receiver uses, RFC 7323 2.3.
const MAX_SHIFT: u8 = 14;

/// A SYN was seen.
const SYN: u8 = 1;
/// That SYN offered to scale windows.
const SCALE: u8 = 2;
/// `base` and `next` are valid.
const TRACKED: u8 = 4;

const _: () = assert!(size_of::<TcpState>() <= 96);

impl TcpState {
    /// What was seen so far. The parts on the stream are left empty.
    pub fn metric(&self) -> TcpMetric {
        // Both must have offered it, RFC 7323 1.3.
        let scaled = self.a.known & self.b.known & SCALE != 0;
        TcpMetric { ab: self.a.metric(scaled), ba: self.b.metric(scaled) }
    }

    /// Takes a segment of `from` with its fixed header, all its options, the length of its payload on the wire, the
    /// TTL or hop limit, and the time in milliseconds since the epoch.
    #[inline]
    pub fn packet(
        &mut self,
        from: Side,
        header: Tcp<'_>,
        options: Options<'_>,
        payload_len: u32,
        ttl: u8,
        at_ms: i64,
    ) {
        let sent = match from {
            Side::A => &mut self.a,
            Side::B => &mut self.b,
        };
        let flags = header.flags();
        if flags.has_any(Flags::SYN | Flags::FIN | Flags::RST) {
            sent.control(header, options, ttl, at_ms);
        }
        if !flags.has_any(Flags::SYN | Flags::RST) {
            sent.window(header.window(), flags);
        }
        if !flags.has(Flags::RST) {
            sent.payload(header.sequence(), payload_len, flags);
        }
    }
}

impl Sent {
    fn metric(&self, scaled: bool) -> TcpSide {
        let shift = if scaled { self.window_shift } else { 0 };
        let seen = self.window_min <= self.window_max;
        let seldom = self.seldom.as_deref();
        TcpSide {
            syn_start: self.syn_start,
            syn_ttl: self.syn_ttl,
            fin_start: self.fin_start,
            rst_start: self.rst_start,
            retransmissions: seldom.map_or(0, |seldom| seldom.retransmissions.into()),
            retransmitted_bytes: seldom.map_or(0, |seldom| seldom.retransmitted_bytes),
            out_of_order: seldom.map_or(0, |seldom| seldom.out_of_order.into()),
            zero_windows: seldom.map_or(0, |seldom| seldom.zero_windows.into()),
            window_min: if seen { u32::from(self.window_min) << shift } else { 0 },
            window_max: u32::from(self.window_max) << shift,
            ..TcpSide::default()
        }
    }

    /// Begin and end of the connection. Of SYNs the first stays, of FINs and RSTs the latest.
    fn control(&mut self, header: Tcp<'_>, options: Options<'_>, ttl: u8, at_ms: i64) {
        let flags = header.flags();
        if flags.has(Flags::SYN) {
            if self.known & SYN == 0 {
                self.syn_start = at_ms;
                self.syn_ttl = ttl;
            }
            let first = header.sequence().wrapping_add(1);
            if self.known & SYN == 0 || first != self.base {
                self.open(first, options);
            }
        } else if flags.has(Flags::FIN) {
            self.fin_start = at_ms;
        } else {
            self.rst_start = at_ms;
        }
    }

    /// A connection begins, the first of these addresses and ports or one more. Data seen before its SYN stays seen.
    #[cold]
    fn open(&mut self, first: u32, options: Options<'_>) {
        let shift = options.into_iter().find_map(|option| match option {
            TcpOption::WindowScale(shift) => Some(shift.min(MAX_SHIFT)),
            _ => None,
        });
        let overtaken = self.known & (SYN | TRACKED) == TRACKED
            && self.base.wrapping_sub(first) < MAX_WINDOW
            && self.next.wrapping_sub(first) <= MAX_WINDOW;
        self.known = SYN | if shift.is_some() { SCALE } else { 0 } | if overtaken { TRACKED } else { 0 };
        self.window_shift = shift.unwrap_or(0);
        if overtaken {
            self.begin_at(first);
        }
    }

    #[inline]
    fn window(&mut self, window: u16, flags: Flags) {
        self.window_min = self.window_min.min(window);
        self.window_max = self.window_max.max(window);
        if window == 0 && !flags.has(Flags::FIN) {
            self.closed_window();
        }
    }

    #[cold]
    fn closed_window(&mut self) {
        let count = &mut self.seldom().zero_windows;
        *count = count.saturating_add(1);
    }

    fn seldom(&mut self) -> &mut Seldom {
        self.seldom.get_or_insert_default()
    }

    #[inline]
    fn payload(&mut self, sequence: u32, len: u32, flags: Flags) {
        let from = sequence.wrapping_add(u32::from(flags.has(Flags::SYN)));
        let len = len.min(MAX_WINDOW);
        let to = from.wrapping_add(len);
        let ahead = from.wrapping_sub(self.next);
        if ahead == 0 && self.known & TRACKED != 0 {
            self.next = to;
        } else {
            self.not_next(from, len, flags, ahead.cast_signed());
        }
        if self.next.wrapping_sub(self.base) > MAX_WINDOW {
            self.forget();
        }
    }

    /// Everything but the payload that was to come.
    #[cold]
    fn not_next(&mut self, from: u32, len: u32, flags: Flags, ahead: i32) {
        if self.known & TRACKED == 0 || ahead.unsigned_abs() > MAX_WINDOW {
            self.known |= TRACKED;
            (self.base, self.next) = (from, from.wrapping_add(len));
            if let Some(seldom) = &mut self.seldom {
                seldom.holes = Holes::default();
            }
            return;
        }
        let keep_alive = len <= 1 && ahead == -1 && !flags.has_any(Flags::SYN | Flags::FIN);
        if len == 0 || keep_alive {
            return;
        }
        if ahead > 0 {
            let hole = (self.next, from);
            self.seldom().holes.add(hole);
            self.next = from.wrapping_add(len);
            return;
        }
        let to = from.wrapping_add(len);
        let before_all = self.base.wrapping_sub(from).cast_signed() > 0;
        if before_all {
            self.begin_at(from);
        }
        let base = self.base;
        let filled = self.seldom.as_mut().is_some_and(|seldom| seldom.holes.fill(base, from, to));
        let beyond = to.wrapping_sub(self.next).cast_signed() > 0;
        if beyond {
            self.next = to;
        }
        if filled || before_all {
            let seldom = self.seldom();
            seldom.out_of_order = seldom.out_of_order.saturating_add(1);
        } else if !beyond {
            let seldom = self.seldom();
            seldom.retransmissions = seldom.retransmissions.saturating_add(1);
            seldom.retransmitted_bytes = seldom.retransmitted_bytes.saturating_add(u64::from(len));
        }
    }

    /// Lowers `base`; what is between is a hole.
    fn begin_at(&mut self, first: u32) {
        let hole = (first, self.base);
        self.base = first;
        if hole.0 != hole.1 {
            self.seldom().holes.add_lowest(hole);
        }
    }

    /// Keeps `base` near enough to `next` for their order to be plain.
    #[cold]
    fn forget(&mut self) {
        self.base = self.next.wrapping_sub(MAX_WINDOW);
        if let Some(seldom) = &mut self.seldom {
            seldom.holes.forget_before(self.base);
        }
    }
}

impl Holes {
    fn as_slice(&self) -> &[Range] {
        self.ranges.get(..usize::from(self.count)).unwrap_or_default()
    }

    /// A hole below all others, unless there are too many.
    fn add_lowest(&mut self, hole: Range) {
        let count = usize::from(self.count);
        if count < MAX_HOLES {
            self.ranges.copy_within(..count, 1);
            self.ranges[0] = hole;
            self.count += 1;
        }
    }

    /// A hole above all others. The lowest of too many is forgotten.
    fn add(&mut self, hole: Range) {
        if usize::from(self.count) == MAX_HOLES {
            self.ranges.copy_within(1.., 0);
            self.count -= 1;
        }
        self.ranges[usize::from(self.count)] = hole;
        self.count += 1;
    }

    /// Takes the bytes out of the holes, and says whether there were any. None is below `base`.
    fn fill(&mut self, base: u32, from: u32, to: u32) -> bool {
        // Distances from the base are ordered as numbers are.
        let place = |sequence: u32| sequence.wrapping_sub(base);
        let mut filled = false;
        let before = *self;
        self.count = 0;
        for &(start, end) in before.as_slice() {
            if place(to) <= place(start) || place(from) >= place(end) {
                self.add((start, end));
                continue;
            }
            filled = true;
            if place(start) < place(from) {
                self.add((start, from));
            }
            if place(to) < place(end) {
                self.add((to, end));
            }
        }
        filled
    }

    fn forget_before(&mut self, base: u32) {
        let before = *self;
        self.count = 0;
        for &(start, end) in before.as_slice() {
            if start.wrapping_sub(base) < MAX_WINDOW {
                self.add((start, end));
            }
        }
    }
}

impl Default for Sent {
    fn default() -> Self {
        Self {
            syn_start: 0,
            fin_start: 0,
            rst_start: 0,
            seldom: None,
            base: 0,
            next: 0,
            window_min: u16::MAX,
            window_max: 0,
            syn_ttl: 0,
            known: 0,
            window_shift: 0,
        }
    }
}

#[cfg(test)]
mod tests;
