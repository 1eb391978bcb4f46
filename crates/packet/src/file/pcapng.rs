//! The block format: sections, interfaces, and packets of three kinds among blocks of any other kind.
//!
//! Blocks that matter are looked at when all of them is there; others are passed over as their bytes come, however
//! long they are. Every block's length stands at both of its ends, and both are checked.

use super::{ByteOrder, Interface, MAX_INTERFACES, Packet, Problem, Step};
use crate::LinkType;

/// Reads blocks. Before the first one the order is not known, which a section header does not mind.
#[derive(Clone, Debug, Default)]
pub(super) struct Blocks {
    order: ByteOrder,
    /// The clocks of the interfaces of this section.
    clocks: Vec<Clock>,
    /// The time of the newest packet.
    at: i64,
    passing: Option<Passing>,
}

/// A block that is being passed over.
#[derive(Clone, Copy, Debug)]
struct Passing {
    /// The length that must stand at the end.
    length: u32,
    /// Bytes passed so far.
    passed: u32,
}

/// How to read the packets of an interface.
#[derive(Clone, Copy, Debug)]
struct Clock {
    unit: Unit,
    /// Nanoseconds to add.
    offset: i64,
    /// Index of the interface in the file.
    interface: u32,
    snap_len: u32,
    link: LinkType,
}

/// The unit of times.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Unit {
    /// So many nanoseconds.
    Nanos(u64),
    /// That part of a nanosecond.
    PartOfNano(u64),
    /// A second divided by this power of two.
    Binary(u32),
}

pub(super) const SECTION_HEADER: u32 = 0x0a0d_0d0a;
pub(super) const INTERFACE_DESCRIPTION: u32 = 1;
pub(super) const OBSOLETE_PACKET: u32 = 2;
pub(super) const SIMPLE_PACKET: u32 = 3;
pub(super) const INTERFACE_STATISTICS: u32 = 5;
pub(super) const ENHANCED_PACKET: u32 = 6;
pub(super) const BYTE_ORDER_MAGIC: u32 = 0x1a2b_3c4d;

pub(super) const OPTION_IF_NAME: u16 = 2;
pub(super) const OPTION_IF_TSRESOL: u16 = 9;
const OPTION_IF_TSOFFSET: u16 = 14;
pub(super) const OPTION_ISB_IFRECV: u16 = 4;
pub(super) const OPTION_ISB_IFDROP: u16 = 5;
const OPTION_ISB_OSDROP: u16 = 7;

/// Bytes of an interface's name that are kept and written.
pub(super) const MAX_NAME: usize = 255;

/// Bytes that options and headers may add to the longest packet, in blocks that are looked at.
const MAX_BESIDES: u32 = 256 << 10;

/// Type and length at the beginning of a block, length at its end.
const BLOCK_HEADER: usize = 8;
const BLOCK_TRAILER: usize = 4;
const LEAST_BLOCK: u32 = 12;

const NANOS_PER_SECOND: u64 = 1_000_000_000;

impl Blocks {
    /// Bytes of the current block that were passed over.
    pub(super) fn passed(&self) -> u64 {
        self.passing.map_or(0, |passing| u64::from(passing.passed))
    }

    /// Whether the next bytes are those of a block that is passed over.
    pub(super) fn is_passing(&self) -> bool {
        self.passing.is_some()
    }

    /// The packet of an Enhanced Packet Block that `bytes` begin with, if all of it is there and in order, and the
    /// bytes of the block.
    #[inline]
    pub(super) fn sound<'a>(&mut self, bytes: &'a [u8], limit: u32) -> Option<(Packet<'a>, usize)> {
        let [kind, length, interface, high, low, captured, wire_len] = self.order.words(bytes)?;
        let most = limit.saturating_add(MAX_BESIDES);
        if kind != ENHANCED_PACKET || !length.is_multiple_of(4) || length > most || captured > limit {
            return None;
        }
        let clock = self.clocks.get(interface as usize)?;
        let (block, trailer) = bytes.get(..length as usize)?.split_last_chunk()?;
        if self.order.u32(*trailer) != length {
            return None;
        }
        let bytes = block.get(28..)?.get(..captured as usize)?;
        self.at = clock.nanos(u64::from(high) << 32 | u64::from(low));
        let wire_len = wire_len.max(captured);
        let packet = Packet { bytes, at: self.at, wire_len, interface: clock.interface, link: clock.link };
        Some((packet, length as usize))
    }

    /// Reads a block, or passes over a part of it.
    pub(super) fn next<'a>(
        &mut self,
        bytes: &'a [u8],
        limit: u32,
        interfaces: &mut Vec<Interface>,
    ) -> Result<Step<'a>, Problem> {
        if self.passing.is_some() {
            return self.pass(bytes);
        }
        let Some([kind, length]) = self.order.words(bytes) else {
            return Ok(Step::More { at_least: LEAST_BLOCK as usize });
        };
        if kind == SECTION_HEADER {
            return self.section(bytes, limit);
        }
        let needed = match kind {
            ENHANCED_PACKET | OBSOLETE_PACKET => 32,
            SIMPLE_PACKET => 16,
            INTERFACE_DESCRIPTION => 20,
            INTERFACE_STATISTICS => 24,
            _ => LEAST_BLOCK,
        };
        check_length(kind, length, needed, u32::MAX)?;
        match kind {
            ENHANCED_PACKET | OBSOLETE_PACKET => {
                let Some([_, _, interface, high, low, captured, wire_len]) = self.order.words(bytes) else {
                    return Ok(Step::More { at_least: 32 });
                };
                // The obsolete block counts drops in the other half of the word.
                let interface = match self.order {
                    _ if kind == ENHANCED_PACKET => interface,
                    ByteOrder::Little => interface & 0xffff,
                    ByteOrder::Big => interface >> 16,
                };
                let clock = self.clock(interface)?;
                let time = Some(u64::from(high) << 32 | u64::from(low));
                self.packet(bytes, Block { kind, length, captured, wire_len, before: 28 }, clock, time, limit)
            }
            SIMPLE_PACKET => {
                let Some([_, _, wire_len]) = self.order.words(bytes) else {
                    return Ok(Step::More { at_least: 16 });
                };
                let clock = self.clock(0)?;
                let captured = if clock.snap_len == 0 { wire_len } else { wire_len.min(clock.snap_len) };
                self.packet(bytes, Block { kind, length, captured, wire_len, before: 12 }, clock, None, limit)
            }
            INTERFACE_DESCRIPTION => {
                check_length(kind, length, needed, limit.saturating_add(MAX_BESIDES))?;
                let Some(body) = self.whole(bytes, length)? else {
                    return Ok(Step::More { at_least: length as usize });
                };
                self.describe(body, interfaces)?;
                Ok(Step::Passed { consumed: length as usize })
            }
            INTERFACE_STATISTICS if length <= MAX_BESIDES => {
                let Some(body) = self.whole(bytes, length)? else {
                    return Ok(Step::More { at_least: length as usize });
                };
                self.count(body, interfaces);
                Ok(Step::Passed { consumed: length as usize })
            }
            _ => {
                self.passing = Some(Passing { length, passed: 0 });
                self.pass(bytes)
            }
        }
    }

    /// Begins a section.
    fn section<'a>(&mut self, bytes: &[u8], limit: u32) -> Result<Step<'a>, Problem> {
        let Some(magic) = bytes.get(BLOCK_HEADER..).and_then(<[u8]>::first_chunk::<4>) else {
            return Ok(Step::More { at_least: 28 });
        };
        let order = [ByteOrder::Little, ByteOrder::Big]
            .into_iter()
            .find(|order| order.u32(*magic) == BYTE_ORDER_MAGIC)
            .ok_or(Problem::ByteOrder(*magic))?;
        let Some([kind, length, _, version]) = order.words(bytes) else {
            return Ok(Step::More { at_least: 28 });
        };
        check_length(kind, length, 28, limit.saturating_add(MAX_BESIDES))?;
        let (major, minor) = match order {
            ByteOrder::Little => (version as u16, (version >> 16) as u16),
            ByteOrder::Big => ((version >> 16) as u16, version as u16),
        };
        // 1.2 is 1.0 under another name, as the draft says.
        if major != 1 || (minor != 0 && minor != 2) {
            return Err(Problem::Version { major, minor });
        }
        if whole(order, bytes, length)?.is_none() {
            return Ok(Step::More { at_least: length as usize });
        }
        self.order = order;
        self.clocks.clear();
        Ok(Step::Passed { consumed: length as usize })
    }

    /// Takes the packet out of its block. Without `time` it gets that of the packet before it.
    fn packet<'a>(
        &mut self,
        bytes: &'a [u8],
        block: Block,
        clock: Clock,
        time: Option<u64>,
        limit: u32,
    ) -> Result<Step<'a>, Problem> {
        let Block { kind, length, captured, wire_len, before } = block;
        if captured > limit {
            return Err(Problem::PacketLength { captured, limit });
        }
        let least = before + BLOCK_TRAILER as u32;
        check_length(kind, length, least, limit.saturating_add(MAX_BESIDES))?;
        let room = length - least;
        let start = before as usize - BLOCK_HEADER;
        let Some(body) = self.whole(bytes, length)? else {
            return Ok(Step::More { at_least: length as usize });
        };
        let bytes =
            body.get(start..start + captured as usize).ok_or(Problem::PacketRoom { captured, room })?;
        if let Some(units) = time {
            self.at = clock.nanos(units);
        }
        let wire_len = wire_len.max(captured);
        let packet = Packet { bytes, at: self.at, wire_len, interface: clock.interface, link: clock.link };
        Ok(Step::Packet { packet, consumed: length as usize })
    }

    fn clock(&self, interface: u32) -> Result<Clock, Problem> {
        let described = self.clocks.len() as u32;
        self.clocks.get(interface as usize).copied().ok_or(Problem::Interface { interface, described })
    }

    fn whole<'a>(&self, bytes: &'a [u8], length: u32) -> Result<Option<&'a [u8]>, Problem> {
        whole(self.order, bytes, length)
    }

    /// Passes over what is there of a block that is not looked at.
    fn pass<'a>(&mut self, bytes: &[u8]) -> Result<Step<'a>, Problem> {
        let Some(Passing { length, passed }) = self.passing else { return Ok(Step::Passed { consumed: 0 }) };
        let left = length - passed;
        let before_trailer = left - BLOCK_TRAILER as u32;
        if before_trailer > 0 {
            let here = u32::try_from(bytes.len()).unwrap_or(u32::MAX).min(before_trailer);
            if here == 0 {
                return Ok(Step::More { at_least: BLOCK_TRAILER });
            }
            self.passing = Some(Passing { length, passed: passed + here });
            return Ok(Step::Passed { consumed: here as usize });
        }
        let Some([trailer]) = self.order.words(bytes) else {
            return Ok(Step::More { at_least: BLOCK_TRAILER });
        };
        if trailer != length {
            return Err(Problem::Trailer { length, trailer });
        }
        self.passing = None;
        Ok(Step::Passed { consumed: BLOCK_TRAILER })
    }

    /// Adds the interface of an Interface Description Block.
    fn describe(&mut self, body: &[u8], interfaces: &mut Vec<Interface>) -> Result<(), Problem> {
        let Some(fixed) = body.first_chunk::<8>() else { return Ok(()) };
        let link = LinkType(self.order.u16([fixed[0], fixed[1]]));
        let snap_len = self.order.u32([fixed[4], fixed[5], fixed[6], fixed[7]]);
        let (mut name, mut unit, mut offset) = (None, Unit::Nanos(1000), 0);
        for option in Options::new(self.order, body.get(8..).unwrap_or_default()) {
            let (code, value) = option?;
            let wrong = || Problem::Option { code, length: value.len() as u16 };
            match code {
                OPTION_IF_NAME => {
                    let kept = value.get(..value.len().min(MAX_NAME)).unwrap_or_default();
                    name = Some(String::from_utf8_lossy(kept).trim_end_matches(['\0', '\u{fffd}']).into());
                }
                OPTION_IF_TSRESOL => {
                    let [exponent] = value.try_into().map_err(|_| wrong())?;
                    unit = Unit::parse(exponent);
                }
                OPTION_IF_TSOFFSET => {
                    let seconds = self.order.u64(value.try_into().map_err(|_| wrong())?) as i64;
                    offset = seconds.saturating_mul(NANOS_PER_SECOND as i64);
                }
                _ => {}
            }
        }
        if interfaces.len() >= MAX_INTERFACES {
            return Err(Problem::Interfaces);
        }
        let interface = interfaces.len() as u32;
        self.clocks.push(Clock { unit, offset, interface, snap_len, link });
        interfaces.push(Interface { name, link, snap_len, received: None, dropped: None });
        Ok(())
    }

    /// Reads an Interface Statistics Block. Nothing depends on it: what is wrong with it is not counted.
    fn count(&self, body: &[u8], interfaces: &mut [Interface]) {
        let Some([interface]) = self.order.words(body) else { return };
        let Some(interface) =
            self.clock(interface).ok().and_then(|clock| interfaces.get_mut(clock.interface as usize))
        else {
            return;
        };
        let (mut received, mut dropped) = (None, None::<u64>);
        for (code, value) in Options::new(self.order, body.get(12..).unwrap_or_default()).flatten() {
            let Ok(count) = value.try_into().map(|value| self.order.u64(value)) else { continue };
            match code {
                OPTION_ISB_IFRECV => received = Some(count),
                OPTION_ISB_IFDROP | OPTION_ISB_OSDROP => {
                    dropped = Some(dropped.unwrap_or(0).saturating_add(count));
                }
                _ => {}
            }
        }
        interface.received = received.or(interface.received);
        interface.dropped = dropped.or(interface.dropped);
    }
}

/// What the header of a packet block says.
#[derive(Clone, Copy)]
struct Block {
    kind: u32,
    length: u32,
    captured: u32,
    wire_len: u32,
    /// Bytes of the block before those of the packet.
    before: u32,
}

impl Clock {
    #[inline]
    fn nanos(self, units: u64) -> i64 {
        i64::try_from(self.unit.nanos(units)).unwrap_or(i64::MAX).saturating_add(self.offset)
    }
}

impl Unit {
    /// The unit that an `if_tsresol` option says: the exponent, negative, of 2 if the upper bit is set, else of 10.
    fn parse(exponent: u8) -> Self {
        if exponent & 0x80 != 0 {
            return Self::Binary(u32::from(exponent & 0x7f));
        }
        let exponent = u32::from(exponent);
        match exponent.checked_sub(9) {
            None | Some(0) => Self::Nanos(10_u64.pow(9 - exponent)),
            // Of the smallest units even 2^64 are no nanosecond: nor are they in that power of two.
            Some(finer) => 10_u64.checked_pow(finer).map_or(Self::Binary(127), Self::PartOfNano),
        }
    }

    /// Nanoseconds of so many units, or the most that fit.
    #[inline]
    fn nanos(self, units: u64) -> u64 {
        match self {
            Self::Nanos(nanos) => units.saturating_mul(nanos),
            Self::PartOfNano(part) => units / part,
            Self::Binary(exponent) => {
                let nanos = (u128::from(units) * u128::from(NANOS_PER_SECOND)) >> exponent;
                u64::try_from(nanos).unwrap_or(u64::MAX)
            }
        }
    }
}

/// Options of a block, each with its code.
struct Options<'a> {
    order: ByteOrder,
    rest: &'a [u8],
}

impl<'a> Options<'a> {
    fn new(order: ByteOrder, rest: &'a [u8]) -> Self {
        Self { order, rest }
    }
}

impl<'a> Iterator for Options<'a> {
    type Item = Result<(u16, &'a [u8]), Problem>;

    fn next(&mut self) -> Option<Self::Item> {
        let (head, after) = self.rest.split_first_chunk::<4>()?;
        let code = self.order.u16([head[0], head[1]]);
        let length = self.order.u16([head[2], head[3]]);
        if code == 0 {
            return None;
        }
        let Some(value) = after.get(..length.into()) else {
            self.rest = &[];
            return Some(Err(Problem::Option { code, length }));
        };
        self.rest = after.get(usize::from(length).next_multiple_of(4)..).unwrap_or_default();
        Some(Ok((code, value)))
    }
}

/// What lies between the header and the trailer of a block of `length` bytes, at least [`LEAST_BLOCK`]. `None` if not
/// all of it is there.
fn whole(order: ByteOrder, bytes: &[u8], length: u32) -> Result<Option<&[u8]>, Problem> {
    let Some((rest, trailer)) =
        bytes.get(BLOCK_HEADER..length as usize).and_then(<[u8]>::split_last_chunk::<BLOCK_TRAILER>)
    else {
        return Ok(None);
    };
    let trailer = order.u32(*trailer);
    if trailer == length { Ok(Some(rest)) } else { Err(Problem::Trailer { length, trailer }) }
}

fn check_length(kind: u32, length: u32, least: u32, most: u32) -> Result<(), Problem> {
    if length.is_multiple_of(4) && (least..=most).contains(&length) {
        Ok(())
    } else {
        Err(Problem::BlockLength { kind, length })
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn units_of_time_become_nanoseconds() {
        let clock = |exponent, offset| Clock {
            unit: Unit::parse(exponent),
            offset,
            interface: 0,
            snap_len: 0,
            link: LinkType(1),
        };
        let time = |high: u32, low: u32| u64::from(high) << 32 | u64::from(low);
        assert_eq!(clock(6, 0).nanos(time(0, 1_500_000)), 1_500_000_000);
        assert_eq!(clock(9, 0).nanos(time(1, 0)), 1 << 32);
        assert_eq!(clock(0, 0).nanos(time(0, 2)), 2_000_000_000);
        assert_eq!(clock(3, 7).nanos(time(0, 5)), 5_000_007);
        assert_eq!(clock(12, 0).nanos(time(0, 5_999)), 5);
        assert_eq!(clock(127, 0).nanos(time(u32::MAX, u32::MAX)), 0);
        assert_eq!(clock(0x80, 0).nanos(time(0, 3)), 3_000_000_000);
        assert_eq!(clock(0x80 | 32, 0).nanos(time(3, 1 << 31)), 3_500_000_000);
        assert_eq!(clock(0xff, 0).nanos(time(u32::MAX, u32::MAX)), 0);
        assert_eq!(clock(0, 0).nanos(time(u32::MAX, u32::MAX)), i64::MAX);
        assert_eq!(clock(9, -5).nanos(time(0, 3)), -2);
    }
}
