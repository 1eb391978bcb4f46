//! IPv4 datagrams put together from their fragments, [RFC 791](https://www.rfc-editor.org/rfc/rfc791) 3.2.
//!
//! Fragments may come in any order. What was seen of a datagram is kept for [`Defragmenter::IDLE`] after the latest fragment, all
//! datagrams together within [`DefragmentLimits`]; the one that began first goes first. Overlaps are judged as Linux does since
//! 4.20, after RFC 5722: bytes that are all there already change nothing (the first ones stay), a fragment that brings
//! both seen and unseen bytes is an attack or a reused identification, and its whole datagram is dropped.
//!
//! A capture may have cut fragments behind their header. They count as long as they were, and the bytes of the datagram end
//! where the first one of them does.

use std::time::Duration;

use hashbrown::HashMap;
use skydive_packet::wire::ipv4::Ipv4;
use skydive_value::Timestamp;

/// Puts datagrams together. Buffers are used again.
#[derive(Debug)]
pub struct Defragmenter {
    limits: DefragmentLimits,
    places: HashMap<Key, u32, foldhash::fast::FixedState>,
    datagrams: Vec<Datagram>,
    free: Vec<u32>,
    /// Ends of the list of datagrams in the order they began.
    oldest: u32,
    newest: u32,
    /// Bytes allocated by `datagrams`.
    held: usize,
    whole: Vec<u8>,
    whole_pieces: usize,
    counters: DefragmentCounters,
}

/// What became of a packet.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Fragment<'a> {
    /// Not a fragment, or one that says it must not be one: to be taken as it is.
    Untouched,
    /// Kept, or known already. More is to come.
    Swallowed,
    /// Of no use.
    Bad(BadFragment),
    /// The last one that was missing: header of the first fragment with total length, flags and checksum mended, and
    /// the whole payload, or as much of it as was captured without a gap.
    Complete(&'a [u8]),
}

/// Why a fragment is of no use.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
pub enum BadFragment {
    /// No IPv4 header.
    #[error("no IPv4 header")]
    Header,
    /// It is longer than what was on the wire, or its header was not captured.
    #[error("fragment cut off")]
    Cut,
    /// Less than 8 bytes and not the last, or nothing at all.
    #[error("fragment too small")]
    TooSmall,
    /// Not a multiple of 8 bytes, and not the last.
    #[error("fragment ends between units of 8 bytes")]
    Unaligned,
    /// It begins or ends where no datagram can.
    #[error("fragment beyond the largest datagram")]
    TooFar,
    /// It brings bytes that are there and bytes that are not; the datagram was dropped.
    #[error("fragments overlap")]
    Overlap,
    /// It disagrees on the length of the datagram, which was dropped.
    #[error("fragments disagree on the length")]
    Length,
    /// The datagram is in too many fragments and was dropped.
    #[error("too many fragments")]
    TooMany,
}

/// How much a [`Defragmenter`] keeps.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct DefragmentLimits {
    /// Incomplete datagrams.
    pub datagrams: usize,
    /// Bytes allocated for them; one datagram is always kept.
    pub bytes: usize,
}

/// What became of fragments since the start.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct DefragmentCounters {
    /// Fragments.
    pub fragments: u64,
    /// Datagrams put together.
    pub complete: u64,
    /// Fragments all of whose bytes were there.
    pub duplicates: u64,
    /// Fragments of no use.
    pub bad: u64,
    /// Those of them that overlapped.
    pub overlaps: u64,
    /// Incomplete datagrams dropped to stay within the limits.
    pub evicted: u64,
    /// Incomplete datagrams dropped because nothing came any more.
    pub expired: u64,
}

/// What the fragments of one datagram have in common.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
struct Key {
    scope: u64,
    source: [u8; 4],
    destination: [u8; 4],
    id: u16,
    protocol: u8,
}

#[derive(Debug)]
struct Datagram {
    key: Key,
    last: Timestamp,
    /// Neighbours among the datagrams in the order they began.
    older: u32,
    newer: u32,
    /// Bytes of payload; known from the last fragment.
    total: Option<u32>,
    /// Bytes of payload whose fragments are there.
    have: u32,
    /// Of the first fragment; empty until it came.
    header: [u8; 60],
    header_len: u8,
    /// Payloads in the order they came.
    bytes: Vec<u8>,
    /// Where they belong; ascending by `offset`, never overlapping.
    pieces: Vec<Piece>,
}

#[derive(Clone, Copy, Debug)]
struct Piece {
    /// Place in the datagram's payload.
    offset: u16,
    len: u16,
    /// Place in `Datagram::bytes`.
    at: u32,
    /// Bytes of it that were captured, at most `len`.
    captured: u16,
}

/// A fragment that passed the checks.
struct Part<'a> {
    key: Key,
    header: &'a [u8],
    /// As much as was captured.
    payload: &'a [u8],
    /// Bytes of payload on the wire.
    len: u32,
    offset: u32,
    last: bool,
}

/// The largest offset of a fragment, in units of 8 bytes: one more unit and the largest datagram is exceeded.
const MAX_OFFSET: u32 = 8183;

const MAX_DATAGRAM: usize = 65535;

/// Fragments of one datagram: the largest in units of 8 bytes.
const MAX_PIECES: usize = 8192;

/// No neighbour.
const NONE: u32 = u32::MAX;

const PIECE: usize = size_of::<Piece>();

impl Default for DefragmentLimits {
    fn default() -> Self {
        Self { datagrams: 4096, bytes: 16 << 20 }
    }
}

impl Defragmenter {
    /// Time after the latest fragment when a datagram is given up; that of Linux' `ipfrag_time`.
    pub const IDLE: Duration = Duration::from_secs(30);

    /// One that keeps as much as `limits` allow.
    pub fn new(limits: DefragmentLimits) -> Self {
        Self {
            limits: DefragmentLimits { datagrams: limits.datagrams.clamp(1, NONE as usize - 1), ..limits },
            places: HashMap::with_hasher(foldhash::fast::FixedState::default()),
            datagrams: Vec::new(),
            free: Vec::new(),
            oldest: NONE,
            newest: NONE,
            held: 0,
            whole: Vec::new(),
            whole_pieces: 0,
            counters: DefragmentCounters::default(),
        }
    }

    /// What became of fragments since the start.
    pub fn counters(&self) -> DefragmentCounters {
        self.counters
    }

    /// Fragments of the datagram that was put together last.
    pub fn pieces(&self) -> usize {
        self.whole_pieces
    }

    /// Datagrams that are not complete.
    pub fn pending(&self) -> usize {
        self.places.len()
    }

    /// Takes a packet that begins with an IPv4 header. `scope` keeps networks with the same addresses apart: a hash
    /// of the VLANs and tunnels around it.
    pub fn push(&mut self, packet: &[u8], scope: u64, now: Timestamp) -> Fragment<'_> {
        self.push_captured(packet, packet.len(), scope, now)
    }

    /// The same of a packet that had `wire_len` bytes and may have been cut by a capture.
    pub fn push_captured(
        &mut self,
        packet: &[u8],
        wire_len: usize,
        scope: u64,
        now: Timestamp,
    ) -> Fragment<'_> {
        let Some(header) = Ipv4::parse(packet) else {
            return self.bad(BadFragment::Header);
        };
        if !header.is_fragment() || header.dont_fragment() {
            return Fragment::Untouched;
        }
        self.counters.fragments += 1;
        match Part::check(packet, wire_len, header, scope).and_then(|part| self.take(&part, now)) {
            Ok(Some(place)) => self.complete(place),
            Ok(None) => Fragment::Swallowed,
            Err(problem) => self.bad(problem),
        }
    }

    /// Drops the datagrams of which nothing came for [`Defragmenter::IDLE`]; to be called every now and then.
    pub fn flush(&mut self, now: Timestamp) {
        let mut place = self.oldest;
        while let Some(datagram) = self.datagrams.get(place as usize) {
            let newer = datagram.newer;
            if now.since(datagram.last) > Self::IDLE {
                self.remove(place);
                self.counters.expired += 1;
            }
            place = newer;
        }
    }

    #[cold]
    fn bad(&mut self, problem: BadFragment) -> Fragment<'static> {
        self.counters.bad += 1;
        self.counters.overlaps += u64::from(problem == BadFragment::Overlap);
        Fragment::Bad(problem)
    }

    /// Adds a part to its datagram, and gives that when nothing is missing.
    fn take(&mut self, part: &Part<'_>, now: Timestamp) -> Result<Option<u32>, BadFragment> {
        let place = match self.places.get(&part.key) {
            Some(&place) if now.since(self.datagrams[place as usize].last) <= Self::IDLE => place,
            known => {
                // An identification is used again: what was not flushed yet is of another datagram.
                if let Some(&old) = known {
                    self.remove(old);
                    self.counters.expired += 1;
                }
                self.begin(part.key)
            }
        };
        let datagram = &mut self.datagrams[place as usize];
        datagram.last = now;
        let before = datagram.allocated();
        let added = datagram.add(part);
        self.held = self.held - before + datagram.allocated();
        let complete = datagram.header_len > 0 && datagram.total == Some(datagram.have);
        match added {
            Err(problem) => {
                self.remove(place);
                return Err(problem);
            }
            Ok(false) => self.counters.duplicates += 1,
            Ok(true) => {}
        }
        if complete {
            return Ok(Some(place));
        }
        while self.held > self.limits.bytes && self.evict(place) {}
        Ok(None)
    }

    fn complete(&mut self, place: u32) -> Fragment<'_> {
        self.whole_pieces = self.datagrams[place as usize].pieces.len();
        self.datagrams[place as usize].build(&mut self.whole);
        self.remove(place);
        self.counters.complete += 1;
        Fragment::Complete(&self.whole)
    }

    /// A datagram of which nothing is there yet, the newest.
    fn begin(&mut self, key: Key) -> u32 {
        while self.places.len() >= self.limits.datagrams && self.evict(NONE) {}
        let place = self.free.pop().unwrap_or_else(|| {
            self.datagrams.push(Datagram::empty());
            self.datagrams.len() as u32 - 1
        });
        let datagram = &mut self.datagrams[place as usize];
        datagram.key = key;
        (datagram.older, datagram.newer) = (self.newest, NONE);
        match self.newest {
            NONE => self.oldest = place,
            newest => self.datagrams[newest as usize].newer = place,
        }
        self.newest = place;
        self.places.insert(key, place);
        place
    }

    /// Drops the oldest datagram that is not at `except`; false when there is none.
    fn evict(&mut self, except: u32) -> bool {
        let mut place = self.oldest;
        if place == except {
            place = self.datagrams[place as usize].newer;
        }
        if place == NONE {
            return false;
        }
        self.remove(place);
        self.counters.evicted += 1;
        true
    }

    fn remove(&mut self, place: u32) {
        let datagram = &mut self.datagrams[place as usize];
        let (key, older, newer, allocated) =
            (datagram.key, datagram.older, datagram.newer, datagram.allocated());
        // Buffers kept for later are at most half of what may be held, and leave room for what is needed now.
        if self.held > self.limits.bytes / 2 {
            *datagram = Datagram::empty();
            self.held -= allocated;
        } else {
            datagram.clear();
        }
        match older {
            NONE => self.oldest = newer,
            older => self.datagrams[older as usize].newer = newer,
        }
        match newer {
            NONE => self.newest = older,
            newer => self.datagrams[newer as usize].older = older,
        }
        self.places.remove(&key);
        self.free.push(place);
    }
}

impl Default for Defragmenter {
    fn default() -> Self {
        Self::new(DefragmentLimits::default())
    }
}

impl<'a> Part<'a> {
    fn check(packet: &'a [u8], wire_len: usize, fixed: Ipv4<'_>, scope: u64) -> Result<Self, BadFragment> {
        let header_len = fixed.header_len();
        let total = match usize::from(fixed.total_len()) {
            0 => wire_len,
            total => total,
        };
        if header_len < Ipv4::LEN || total < header_len {
            return Err(BadFragment::Header);
        }
        if total > wire_len {
            return Err(BadFragment::Cut);
        }
        let captured = packet.get(..total).unwrap_or(packet);
        let (header, payload) = captured.split_at_checked(header_len).ok_or(BadFragment::Cut)?;
        let len = total - header_len;
        let (offset, last) = (fixed.fragment_offset(), !fixed.more_fragments());
        if len == 0 || (len < 8 && !last) {
            return Err(BadFragment::TooSmall);
        }
        if !len.is_multiple_of(8) && !last {
            return Err(BadFragment::Unaligned);
        }
        if offset / 8 > MAX_OFFSET || header_len + offset as usize + len > MAX_DATAGRAM {
            return Err(BadFragment::TooFar);
        }
        let key = Key {
            scope,
            source: fixed.source_octets(),
            destination: fixed.destination_octets(),
            id: fixed.id(),
            protocol: fixed.protocol(),
        };
        Ok(Self { key, header, payload, len: len as u32, offset, last })
    }
}

impl Datagram {
    fn empty() -> Self {
        Self {
            key: Key { scope: 0, source: [0; 4], destination: [0; 4], id: 0, protocol: 0 },
            last: Timestamp::EPOCH,
            older: NONE,
            newer: NONE,
            total: None,
            have: 0,
            header: [0; 60],
            header_len: 0,
            bytes: Vec::new(),
            pieces: Vec::new(),
        }
    }

    fn clear(&mut self) {
        self.total = None;
        self.have = 0;
        self.header_len = 0;
        self.bytes.clear();
        self.pieces.clear();
    }

    fn allocated(&self) -> usize {
        self.bytes.capacity() + self.pieces.capacity() * PIECE
    }

    /// Adds a part; false when all of it was there.
    fn add(&mut self, part: &Part<'_>) -> Result<bool, BadFragment> {
        let (start, end) = (part.offset, part.offset + part.len);
        let reached = self.pieces.last().map_or(0, |piece| piece.end());
        match self.total {
            Some(total) if end > total || (part.last && end != total) => return Err(BadFragment::Length),
            None if part.last && end < reached => return Err(BadFragment::Length),
            _ => {}
        }
        // Most come in order.
        let place = if reached <= start {
            self.pieces.len()
        } else {
            self.pieces.partition_point(|piece| piece.end() <= start)
        };
        if self.pieces.get(place).is_some_and(|piece| u32::from(piece.offset) < end) {
            return if self.has(place, start, end) { Ok(false) } else { Err(BadFragment::Overlap) };
        }
        if self.pieces.len() == MAX_PIECES {
            return Err(BadFragment::TooMany);
        }
        self.pieces.insert(
            place,
            Piece {
                offset: start as u16,
                len: part.len as u16,
                at: self.bytes.len() as u32,
                captured: part.payload.len() as u16,
            },
        );
        self.bytes.extend_from_slice(part.payload);
        self.have += end - start;
        if part.last {
            self.total = Some(end);
        }
        if start == 0
            && let Some(header) = self.header.get_mut(..part.header.len())
        {
            header.copy_from_slice(part.header);
            self.header_len = part.header.len() as u8;
        }
        Ok(true)
    }

    /// Whether all bytes of a range are in the pieces from `place` on.
    fn has(&self, place: usize, start: u32, end: u32) -> bool {
        let mut reached = start;
        for piece in self.pieces.iter().skip(place) {
            if reached >= end || u32::from(piece.offset) > reached {
                break;
            }
            reached = piece.end();
        }
        reached >= end
    }

    /// Writes the datagram, of which no fragment is missing.
    fn build(&self, whole: &mut Vec<u8>) {
        whole.clear();
        whole.extend_from_slice(self.header.get(..usize::from(self.header_len)).unwrap_or_default());
        for piece in &self.pieces {
            let from = piece.at as usize;
            let bytes = self.bytes.get(from..from + usize::from(piece.captured));
            whole.extend_from_slice(bytes.unwrap_or_default());
            if piece.captured < piece.len {
                break;
            }
        }
        let total = u16::from(self.header_len) + self.have as u16;
        mend(whole.get_mut(..usize::from(self.header_len)).unwrap_or_default(), total);
    }
}

impl Piece {
    fn end(self) -> u32 {
        u32::from(self.offset) + u32::from(self.len)
    }
}

/// Sets the length, clears the place among fragments and makes the checksum right.
fn mend(header: &mut [u8], total: u16) {
    let Some(fixed) = header.first_chunk_mut::<{ Ipv4::LEN }>() else { return };
    [fixed[2], fixed[3]] = total.to_be_bytes();
    [fixed[6], fixed[7]] = [0, 0];
    [fixed[10], fixed[11]] = [0, 0];
    let sum: u32 = header.chunks_exact(2).map(|pair| u32::from(pair[0]) << 8 | u32::from(pair[1])).sum();
    let sum = (sum & 0xffff) + (sum >> 16);
    let checksum = !((sum & 0xffff) + (sum >> 16)) as u16;
    if let Some(field) = header.get_mut(10..12) {
        field.copy_from_slice(&checksum.to_be_bytes());
    }
}

#[cfg(test)]
mod tests;
