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

/// What was seen of one TCP connection in both directions. 192 bytes, nothing behind them.
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
    retransmitted_bytes: u64,
    retransmissions: u32,
    out_of_order: u32,
    zero_windows: u32,
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
    hole_count: u8,
    /// Ranges from `base` to `next` that were not seen, ascending; the first `hole_count` are valid.
    holes: [Range; MAX_HOLES],
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

const _: () = assert!(size_of::<TcpState>() <= 192);

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
        TcpSide {
            syn_start: self.syn_start,
            syn_ttl: self.syn_ttl,
            fin_start: self.fin_start,
            rst_start: self.rst_start,
            retransmissions: u64::from(self.retransmissions),
            retransmitted_bytes: self.retransmitted_bytes,
            out_of_order: u64::from(self.out_of_order),
            zero_windows: u64::from(self.zero_windows),
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
            self.zero_windows = self.zero_windows.saturating_add(1);
        }
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
            (self.base, self.next, self.hole_count) = (from, from.wrapping_add(len), 0);
            return;
        }
        let keep_alive = len <= 1 && ahead == -1 && !flags.has_any(Flags::SYN | Flags::FIN);
        if len == 0 || keep_alive {
            return;
        }
        if ahead > 0 {
            self.add_hole((self.next, from));
            self.next = from.wrapping_add(len);
            return;
        }
        let to = from.wrapping_add(len);
        let before_all = self.base.wrapping_sub(from).cast_signed() > 0;
        if before_all {
            self.begin_at(from);
        }
        let filled = self.fill(from, to);
        let beyond = to.wrapping_sub(self.next).cast_signed() > 0;
        if beyond {
            self.next = to;
        }
        if filled || before_all {
            self.out_of_order = self.out_of_order.saturating_add(1);
        } else if !beyond {
            self.retransmissions = self.retransmissions.saturating_add(1);
            self.retransmitted_bytes = self.retransmitted_bytes.saturating_add(u64::from(len));
        }
    }

    /// Lowers `base`; what is between is a hole.
    fn begin_at(&mut self, first: u32) {
        let hole = (first, self.base);
        self.base = first;
        let count = usize::from(self.hole_count);
        if hole.0 != hole.1 && count < MAX_HOLES {
            self.holes.copy_within(..count, 1);
            self.holes[0] = hole;
            self.hole_count += 1;
        }
    }

    /// A hole above all others.
    fn add_hole(&mut self, hole: Range) {
        if usize::from(self.hole_count) == MAX_HOLES {
            self.holes.copy_within(1.., 0);
            self.hole_count -= 1;
        }
        self.holes[usize::from(self.hole_count)] = hole;
        self.hole_count += 1;
    }

    /// Takes the bytes out of the holes, and says whether there were any.
    fn fill(&mut self, from: u32, to: u32) -> bool {
        let (base, holes, count) = (self.base, self.holes, usize::from(self.hole_count));
        // Distances from the base are ordered as numbers are.
        let place = |sequence: u32| sequence.wrapping_sub(base);
        let mut filled = false;
        self.hole_count = 0;
        for &(start, end) in holes.iter().take(count) {
            if place(to) <= place(start) || place(from) >= place(end) {
                self.add_hole((start, end));
                continue;
            }
            filled = true;
            if place(start) < place(from) {
                self.add_hole((start, from));
            }
            if place(to) < place(end) {
                self.add_hole((to, end));
            }
        }
        filled
    }

    /// Keeps `base` near enough to `next` for their order to be plain.
    #[cold]
    fn forget(&mut self) {
        let base = self.next.wrapping_sub(MAX_WINDOW);
        let (holes, count) = (self.holes, usize::from(self.hole_count));
        self.hole_count = 0;
        for &(start, end) in holes.iter().take(count) {
            if start.wrapping_sub(base) < MAX_WINDOW {
                self.add_hole((start, end));
            }
        }
        self.base = base;
    }
}

impl Default for Sent {
    fn default() -> Self {
        Self {
            syn_start: 0,
            fin_start: 0,
            rst_start: 0,
            retransmitted_bytes: 0,
            retransmissions: 0,
            out_of_order: 0,
            zero_windows: 0,
            base: 0,
            next: 0,
            window_min: u16::MAX,
            window_max: 0,
            syn_ttl: 0,
            known: 0,
            window_shift: 0,
            hole_count: 0,
            holes: [(0, 0); MAX_HOLES],
        }
    }
}

#[cfg(test)]
mod tests;
