//! Capture files: pcap and pcapng, read and written over bytes.
//!
//! [`Reader`] is a cursor: the caller hands it the bytes it has, gets packets that borrow from them, and learns how
//! many bytes were used and how many more are needed. So the caller owns the one buffer, its size is bounded by
//! [`Reader::limit`] and not by what a file claims, and nothing is copied or allocated per packet.
//!
//! ```
//! # use skydive_packet::file::{FileError, Packet, Reader};
//! # fn read(mut input: impl FnMut(&mut [u8]) -> usize, mut seen: impl FnMut(&Packet<'_>)) -> Result<(), FileError> {
//! let mut reader = Reader::new();
//! let mut buffer = vec![0; 256 << 10];
//! let mut held = 0; // bytes of the buffer that are filled
//! loop {
//!     let mut packets = [Packet::default(); 64];
//!     let mut used = 0;
//!     let at_least = loop {
//!         let filled = reader.fill(&buffer[used..held], &mut packets)?;
//!         packets[..filled.packets].iter().for_each(&mut seen);
//!         used += filled.consumed;
//!         if filled.at_least > 0 {
//!             break filled.at_least;
//!         }
//!     };
//!     buffer.copy_within(used..held, 0);
//!     held -= used;
//!     buffer.resize(buffer.len().max(at_least), 0);
//!     match input(&mut buffer[held..]) {
//!         0 => return reader.end(held),
//!         more => held += more,
//!     }
//! }
//! # }
//! ```
//!
//! Damage ends the reading: there is no search for the next sane record, because whatever it would find is a guess.
//! All packets before it were delivered, and [`FileError`] names the offset of the record that is wrong.
//!
//! Formats: <https://datatracker.ietf.org/doc/draft-ietf-opsawg-pcap/> and
//! <https://datatracker.ietf.org/doc/draft-ietf-opsawg-pcapng/>.

use std::fmt;

use crate::LinkType;

mod error;
mod pcap;
mod pcapng;
mod write;

pub use error::{FileError, Part, Problem, WriteError};
pub use pcap::{PcapHeader, Precision};
pub use write::{PcapWriter, PcapngWriter};

/// The most bytes that a packet may have been captured with, unless a reader is told otherwise; longer ones are
/// cut when written. tcpdump and Wireshark have the same limit.
pub const MAX_PACKET: u32 = 262_144;

/// The most interfaces that a file may describe, all sections together.
pub const MAX_INTERFACES: usize = 65_536;

/// A packet as a capture file has it.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Packet<'a> {
    /// The bytes that were captured, from the first header on.
    pub bytes: &'a [u8],
    /// Nanoseconds since 1970, UTC. Times beyond what fits are cut to it. A Simple Packet Block has no time: it
    /// gets that of the packet before it, 0 if there is none.
    pub at: i64,
    /// Bytes the packet had on the wire: more than were captured when the snap length cut it, never fewer, even if
    /// the file says so.
    pub wire_len: u32,
    /// Index into [`Reader::interfaces`].
    pub interface: u32,
    /// What the first header is.
    pub link: LinkType,
}

/// Where packets of a capture file come from.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Interface {
    /// The name on the host that captured, at most 255 bytes of it. pcap has none.
    pub name: Option<Box<str>>,
    /// The link type of its packets.
    pub link: LinkType,
    /// The most bytes that were captured of a packet, 0 if that was not limited.
    pub snap_len: u32,
    /// Packets received since the capture began, as the newest statistics block so far says.
    pub received: Option<u64>,
    /// Packets that the interface or the system dropped, from the same block.
    pub dropped: Option<u64>,
}

/// The formats of capture files.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub enum Format {
    /// The classic format of tcpdump, in microseconds or nanoseconds.
    Pcap,
    /// The block format of Wireshark.
    Pcapng,
}

/// The order of bytes of the host that wrote a file or section.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Hash)]
pub enum ByteOrder {
    /// The least significant byte first.
    #[default]
    Little,
    /// The most significant byte first.
    Big,
}

/// What [`Reader::next`] found at the beginning of the bytes.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Step<'a> {
    /// A packet, which took `consumed` bytes with its header.
    Packet {
        /// The packet.
        packet: Packet<'a>,
        /// Where the next step begins.
        consumed: usize,
    },
    /// Something else that was understood or may be ignored.
    Passed {
        /// Where the next step begins.
        consumed: usize,
    },
    /// Too few bytes to tell: call again with the same bytes and more after them.
    More {
        /// The bytes needed, with those that are there. More may be needed when these are seen.
        at_least: usize,
    },
}

/// What [`Reader::fill`] did.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Filled {
    /// Packets written to the front of the slice.
    pub packets: usize,
    /// Bytes used: where the next call begins.
    pub consumed: usize,
    /// 0 when the next call can go on with the bytes that are left; else it needs so many, with those left, as
    /// [`Step::More`] has it.
    pub at_least: usize,
}

/// Reads a capture file of either format, piece by piece.
#[derive(Clone, Debug)]
pub struct Reader {
    form: Form,
    interfaces: Vec<Interface>,
    offset: u64,
    /// What the newest `More` asked for.
    wanted: usize,
    limit: u32,
}

#[derive(Clone, Debug)]
enum Form {
    Unknown,
    Pcap(pcap::Records),
    Pcapng(pcapng::Blocks),
}

impl Default for Packet<'_> {
    /// No bytes, at time 0: what a slice to be filled may hold before.
    fn default() -> Self {
        Self { bytes: &[], at: 0, wire_len: 0, interface: 0, link: LinkType(0) }
    }
}

impl Reader {
    /// A reader at the beginning of a file, for packets of at most [`MAX_PACKET`] bytes.
    pub fn new() -> Self {
        Self::with_limit(MAX_PACKET)
    }

    /// A reader that takes a packet of more than `limit` captured bytes for damage.
    pub fn with_limit(limit: u32) -> Self {
        Self { form: Form::Unknown, interfaces: Vec::new(), offset: 0, wanted: 0, limit }
    }

    /// The most bytes of a packet. A buffer never needs more than 256 KiB beyond it.
    pub fn limit(&self) -> u32 {
        self.limit
    }

    /// The format, once the first bytes were read.
    pub fn format(&self) -> Option<Format> {
        match self.form {
            Form::Unknown => None,
            Form::Pcap(_) => Some(Format::Pcap),
            Form::Pcapng(_) => Some(Format::Pcapng),
        }
    }

    /// The interfaces seen so far, those of all sections one after the other. They only become more.
    pub fn interfaces(&self) -> &[Interface] {
        &self.interfaces
    }

    /// Bytes of the file that were consumed.
    pub fn offset(&self) -> u64 {
        self.offset
    }

    /// Reads what `bytes` begin with, which must go on where the step before ended.
    ///
    /// After an error the reader stays where it is: asking again gives the same error.
    #[inline]
    pub fn next<'a>(&mut self, bytes: &'a [u8]) -> Result<Step<'a>, FileError> {
        let limit = self.limit;
        let sound = match &mut self.form {
            Form::Pcap(records) => records.sound(bytes, limit),
            Form::Pcapng(blocks) if !blocks.is_passing() => blocks.sound(bytes, limit),
            _ => None,
        };
        match sound {
            Some((packet, consumed)) => {
                self.offset += consumed as u64;
                Ok(Step::Packet { packet, consumed })
            }
            None => self.next_other(bytes),
        }
    }

    /// Reads packets into `packets`, which must not be empty, until it is full or more bytes are needed.
    ///
    /// An error is returned alone: packets before it are delivered first, and it comes with the next call.
    pub fn fill<'a>(&mut self, bytes: &'a [u8], packets: &mut [Packet<'a>]) -> Result<Filled, FileError> {
        let limit = self.limit;
        let mut filled = Filled::default();
        loop {
            let rest = bytes.get(filled.consumed..).unwrap_or_default();
            let free = packets.get_mut(filled.packets..).unwrap_or_default();
            let (count, consumed) = match &mut self.form {
                Form::Pcap(records) => {
                    let records = *records;
                    run(rest, free, |bytes| records.sound(bytes, limit))
                }
                Form::Pcapng(blocks) if !blocks.is_passing() => {
                    run(rest, free, |bytes| blocks.sound(bytes, limit))
                }
                _ => (0, 0),
            };
            self.offset += consumed as u64;
            filled.packets += count;
            filled.consumed += consumed;
            let Some(slot) = packets.get_mut(filled.packets) else { return Ok(filled) };
            match self.next_other(bytes.get(filled.consumed..).unwrap_or_default()) {
                Ok(Step::Packet { packet, consumed }) => {
                    *slot = packet;
                    filled.packets += 1;
                    filled.consumed += consumed;
                }
                Ok(Step::Passed { consumed }) => filled.consumed += consumed,
                Ok(Step::More { at_least }) => {
                    filled.at_least = at_least;
                    return Ok(filled);
                }
                Err(error) if filled.packets == 0 => return Err(error),
                Err(_) => return Ok(filled),
            }
        }
    }

    /// Says whether the file may end here, `left` bytes after those consumed, once more were asked for and there
    /// are none.
    pub fn end(&self, left: usize) -> Result<(), FileError> {
        let offset = self.item();
        let before = (self.offset - offset) as usize;
        let has = (before + left) as u64;
        let part = match self.form {
            Form::Unknown if has == 0 => return Err(FileError { offset, problem: Problem::Empty }),
            _ if has == 0 => return Ok(()),
            Form::Unknown => Part::FileHeader,
            Form::Pcap(_) => Part::Packet,
            Form::Pcapng(_) => Part::Block,
        };
        let needs = (before + self.wanted.max(left + 1)) as u64;
        Err(FileError { offset, problem: Problem::Missing { part, needs, has } })
    }

    /// Everything but a usual packet that is there and in order.
    #[cold]
    fn next_other<'a>(&mut self, bytes: &'a [u8]) -> Result<Step<'a>, FileError> {
        let step = match &mut self.form {
            Form::Pcap(records) => records.stuck(bytes, self.limit),
            Form::Pcapng(blocks) => blocks.next(bytes, self.limit, &mut self.interfaces),
            Form::Unknown => self.begin(bytes),
        };
        match &step {
            Ok(Step::Packet { consumed, .. } | Step::Passed { consumed }) => self.offset += *consumed as u64,
            Ok(Step::More { at_least }) => self.wanted = *at_least,
            Err(_) => {}
        }
        step.map_err(|problem| FileError { offset: self.item(), problem })
    }

    /// Where the record or block begins that the next bytes belong to.
    fn item(&self) -> u64 {
        match &self.form {
            Form::Pcapng(blocks) => self.offset - blocks.passed(),
            _ => self.offset,
        }
    }

    fn begin<'a>(&mut self, bytes: &[u8]) -> Result<Step<'a>, Problem> {
        let Some(magic) = bytes.first_chunk::<4>() else {
            return Ok(Step::More { at_least: PcapHeader::LEN });
        };
        match detect(bytes) {
            Some(Format::Pcap) => {
                let Some(header) = bytes.first_chunk() else {
                    return Ok(Step::More { at_least: PcapHeader::LEN });
                };
                let records = pcap::Records::parse(header)?;
                self.interfaces.push(records.interface());
                self.form = Form::Pcap(records);
                Ok(Step::Passed { consumed: PcapHeader::LEN })
            }
            Some(Format::Pcapng) => {
                self.form = Form::Pcapng(pcapng::Blocks::default());
                Ok(Step::Passed { consumed: 0 })
            }
            None => Err(Compression::of(bytes).map_or(Problem::Magic(*magic), Problem::Compressed)),
        }
    }
}

impl Default for Reader {
    fn default() -> Self {
        Self::new()
    }
}

/// Reads packets, one by one with `sound`, as long as it gives some: how many, and the bytes used.
#[inline]
fn run<'a>(
    bytes: &'a [u8],
    packets: &mut [Packet<'a>],
    mut sound: impl FnMut(&'a [u8]) -> Option<(Packet<'a>, usize)>,
) -> (usize, usize) {
    let (mut count, mut used) = (0, 0);
    for slot in packets {
        let Some((packet, consumed)) = bytes.get(used..).and_then(&mut sound) else { break };
        *slot = packet;
        count += 1;
        used += consumed;
    }
    (count, used)
}

/// The format of a file that begins with `bytes`, of which four are enough.
pub fn detect(bytes: &[u8]) -> Option<Format> {
    let magic = bytes.first_chunk::<4>()?;
    if *magic == pcapng::SECTION_HEADER.to_le_bytes() {
        return Some(Format::Pcapng);
    }
    pcap::Magic::parse(*magic).map(|_| Format::Pcap)
}

/// A program that made a file smaller, which has to be undone first.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
#[expect(missing_docs, reason = "the names say it")]
pub enum Compression {
    Gzip,
    Zstd,
    Xz,
    Bzip2,
    Lz4,
}

impl Compression {
    /// The one that makes files which begin so.
    pub fn of(bytes: &[u8]) -> Option<Self> {
        const MAGICS: [(&[u8], Compression); 5] = [
            (&[0x1f, 0x8b], Compression::Gzip),
            (&[0x28, 0xb5, 0x2f, 0xfd], Compression::Zstd),
            (&[0xfd, b'7', b'z', b'X', b'Z', 0], Compression::Xz),
            (b"BZh", Compression::Bzip2),
            (&[0x04, 0x22, 0x4d, 0x18], Compression::Lz4),
        ];
        // As much as is there: a file of four bytes is still known by them.
        MAGICS
            .iter()
            .find(|(magic, _)| bytes.len() >= 2 && bytes.iter().zip(*magic).all(|(a, b)| a == b))
            .map(|(_, compression)| *compression)
    }
}

impl fmt::Display for Compression {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match self {
            Self::Gzip => "gzip",
            Self::Zstd => "zstd",
            Self::Xz => "xz",
            Self::Bzip2 => "bzip2",
            Self::Lz4 => "lz4",
        })
    }
}

impl ByteOrder {
    /// The first `N` words of 32 bits.
    #[inline]
    fn words<const N: usize>(self, bytes: &[u8]) -> Option<[u32; N]> {
        let mut words = bytes.as_chunks::<4>().0.first_chunk::<N>()?.as_slice().iter();
        let mut numbers = [0; N];
        // Neither `map` nor `zip`: these stay calls where a program is not optimised as a whole.
        for number in numbers.as_mut_slice() {
            *number = self.u32(*words.next()?);
        }
        Some(numbers)
    }

    #[inline]
    fn u32(self, bytes: [u8; 4]) -> u32 {
        match self {
            Self::Little => u32::from_le_bytes(bytes),
            Self::Big => u32::from_be_bytes(bytes),
        }
    }

    fn u16(self, bytes: [u8; 2]) -> u16 {
        match self {
            Self::Little => u16::from_le_bytes(bytes),
            Self::Big => u16::from_be_bytes(bytes),
        }
    }

    fn u64(self, bytes: [u8; 8]) -> u64 {
        match self {
            Self::Little => u64::from_le_bytes(bytes),
            Self::Big => u64::from_be_bytes(bytes),
        }
    }

    fn put_u16(self, number: u16, out: &mut Vec<u8>) {
        out.extend(match self {
            Self::Little => number.to_le_bytes(),
            Self::Big => number.to_be_bytes(),
        });
    }

    fn put_u32(self, number: u32, out: &mut Vec<u8>) {
        out.extend(match self {
            Self::Little => number.to_le_bytes(),
            Self::Big => number.to_be_bytes(),
        });
    }

    fn put_u64(self, number: u64, out: &mut Vec<u8>) {
        out.extend(match self {
            Self::Little => number.to_le_bytes(),
            Self::Big => number.to_be_bytes(),
        });
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_file_is_known_by_its_first_bytes() {
        assert_eq!(detect(&[0xd4, 0xc3, 0xb2, 0xa1]), Some(Format::Pcap));
        assert_eq!(detect(&[0xa1, 0xb2, 0x3c, 0x4d, 0]), Some(Format::Pcap));
        assert_eq!(detect(&[0xa1, 0xb2, 0xcd, 0x34]), Some(Format::Pcap));
        assert_eq!(detect(&[0x0a, 0x0d, 0x0d, 0x0a]), Some(Format::Pcapng));
        assert_eq!(detect(&[0x0a, 0x0d, 0x0d]), None);
        assert_eq!(detect(b"snoop\0\0\0"), None);
    }

    #[test]
    fn what_is_no_capture_file_says_what_it_is() {
        let error = |bytes: &[u8]| match Reader::new().next(bytes) {
            Err(error) => error.to_string(),
            Ok(step) => panic!("{step:?}"),
        };
        assert_eq!(
            error(&[0x1f, 0x8b, 8, 0, 0]),
            "byte 0: compressed with gzip; decompress it first, as with `gzip -dc`"
        );
        assert_eq!(
            error(&[0x28, 0xb5, 0x2f, 0xfd]),
            "byte 0: compressed with zstd; decompress it first, as with `zstd -dc`"
        );
        assert_eq!(error(b"PK\x03\x04"), "byte 0: neither pcap nor pcapng begins with 50 4b 03 04");
        assert_eq!(Reader::new().end(0).unwrap_err().to_string(), "byte 0: the file is empty");
        assert_eq!(
            Reader::new().end(3).unwrap_err().to_string(),
            "byte 0: the file header needs 4 bytes or more, the file ends after 3"
        );
    }
}
