//! The classic format: a header for the file, then a header of 16 bytes before each packet.
//!
//! Read are all variants that say by their magic what they are: both byte orders, microseconds, nanoseconds, and the
//! "modified" format of Alexey Kuznetzov's libpcap, whose packet headers have 8 bytes more.

use super::{ByteOrder, Interface, Packet, Problem, Step};
use crate::LinkType;

/// The header of a pcap file: what is the same for all its packets.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct PcapHeader {
    /// The link type of every packet.
    pub link: LinkType,
    /// The most bytes that are kept of a packet; 0 does not limit them.
    pub snap_len: u32,
    /// The unit of the times.
    pub precision: Precision,
    /// The order of bytes of all numbers.
    pub order: ByteOrder,
}

/// The unit of times in a pcap file.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Hash)]
pub enum Precision {
    /// What every reader understands.
    Micro,
    /// What packets have when they are captured.
    #[default]
    Nano,
}

/// What the first four bytes say.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) struct Magic {
    order: ByteOrder,
    precision: Precision,
    record_header: usize,
}

/// The records of a file, whose headers were the same but for the packet.
#[derive(Clone, Copy, Debug)]
pub(super) struct Records {
    order: ByteOrder,
    /// Nanoseconds of a unit of the fraction of a second.
    unit: u32,
    record_header: usize,
    link: LinkType,
    snap_len: u32,
}

const MICRO: u32 = 0xa1b2_c3d4;
const NANO: u32 = 0xa1b2_3c4d;
const MODIFIED: u32 = 0xa1b2_cd34;

/// Bytes before each packet, and in the modified format.
const RECORD_HEADER: usize = 16;
const MODIFIED_RECORD_HEADER: usize = 24;

/// The version, which is that of 1998.
const VERSION: (u16, u16) = (2, 4);

pub(super) const NANOS_PER_SECOND: i64 = 1_000_000_000;

impl PcapHeader {
    /// Bytes of the header.
    pub const LEN: usize = 24;

    /// Appends the header.
    pub(super) fn write(self, out: &mut Vec<u8>) {
        let magic = match self.precision {
            Precision::Micro => MICRO,
            Precision::Nano => NANO,
        };
        self.order.put_u32(magic, out);
        self.order.put_u16(VERSION.0, out);
        self.order.put_u16(VERSION.1, out);
        out.extend([0; 8]);
        self.order.put_u32(self.snap_len, out);
        self.order.put_u32(u32::from(self.link.0), out);
    }
}

impl Precision {
    /// Nanoseconds of a unit.
    pub(super) fn nanos(self) -> u32 {
        match self {
            Self::Micro => 1000,
            Self::Nano => 1,
        }
    }
}

impl Magic {
    pub(super) fn parse(bytes: [u8; 4]) -> Option<Self> {
        [ByteOrder::Little, ByteOrder::Big].into_iter().find_map(|order| {
            let (precision, record_header) = match order.u32(bytes) {
                MICRO => (Precision::Micro, RECORD_HEADER),
                NANO => (Precision::Nano, RECORD_HEADER),
                MODIFIED => (Precision::Micro, MODIFIED_RECORD_HEADER),
                _ => return None,
            };
            Some(Self { order, precision, record_header })
        })
    }
}

impl Records {
    /// Reads the header of a file.
    pub(super) fn parse(bytes: &[u8; PcapHeader::LEN]) -> Result<Self, Problem> {
        let magic = [bytes[0], bytes[1], bytes[2], bytes[3]];
        let Magic { order, precision, record_header } = Magic::parse(magic).ok_or(Problem::Magic(magic))?;
        let major = order.u16([bytes[4], bytes[5]]);
        let minor = order.u16([bytes[6], bytes[7]]);
        // Before 2.4 the two lengths of a packet stood in the other order, some of the time.
        if (major, minor) != VERSION {
            return Err(Problem::Version { major, minor });
        }
        Ok(Self {
            order,
            unit: precision.nanos(),
            record_header,
            // The upper half tells of frame check sequences.
            link: LinkType(order.u32([bytes[20], bytes[21], bytes[22], bytes[23]]) as u16),
            snap_len: order.u32([bytes[16], bytes[17], bytes[18], bytes[19]]),
        })
    }

    pub(super) fn interface(&self) -> Interface {
        Interface { name: None, link: self.link, snap_len: self.snap_len, received: None, dropped: None }
    }

    /// The packet that `bytes` begin with, if all of it is there, and the bytes of its record.
    #[inline]
    pub(super) fn sound<'a>(&self, bytes: &'a [u8], limit: u32) -> Option<(Packet<'a>, usize)> {
        let [seconds, fraction, captured, wire_len] = self.order.words(bytes)?;
        if captured > limit {
            return None;
        }
        let consumed = self.record_header + captured as usize;
        let packet = Packet {
            bytes: bytes.get(self.record_header..consumed)?,
            // Fits: 2^32 seconds are half of what an i64 of nanoseconds holds, and the fraction adds hours at most.
            at: i64::from(seconds) * NANOS_PER_SECOND + i64::from(fraction) * i64::from(self.unit),
            wire_len: wire_len.max(captured),
            interface: 0,
            link: self.link,
        };
        Some((packet, consumed))
    }

    /// Why there is no packet.
    pub(super) fn stuck<'a>(&self, bytes: &[u8], limit: u32) -> Result<Step<'a>, Problem> {
        match self.order.words(bytes) {
            None => Ok(Step::More { at_least: self.record_header }),
            Some([_, _, captured, _]) if captured > limit => Err(Problem::PacketLength { captured, limit }),
            Some([_, _, captured, _]) => Ok(Step::More { at_least: self.record_header + captured as usize }),
        }
    }
}
