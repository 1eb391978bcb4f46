//! What can be wrong with a capture file.

use std::fmt;

use super::{Compression, MAX_INTERFACES};
use crate::LinkType;

/// Why a file cannot be read on. All packets before the offset were read.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
#[error("byte {offset}: {problem}")]
pub struct FileError {
    /// Where the record or block begins that is wrong, in bytes from the start of the file. What comes before is
    /// a sound file.
    pub offset: u64,
    /// What is wrong with it.
    pub problem: Problem,
}

/// What is wrong with a record, a block or a whole file.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
pub enum Problem {
    /// Not one byte, not even a header.
    #[error("the file is empty")]
    Empty,
    /// A compressed file, maybe of a capture.
    #[error("compressed with {0}; decompress it first, as with `{0} -dc`")]
    Compressed(Compression),
    /// Some other file, which begins with these bytes.
    #[error("neither pcap nor pcapng begins with {:02x} {:02x} {:02x} {:02x}", .0[0], .0[1], .0[2], .0[3])]
    Magic([u8; 4]),
    /// A version of the format that is not known.
    #[error("version {major}.{minor} of the format is not known")]
    Version {
        /// The part that changes with what old readers cannot read.
        major: u16,
        /// The other.
        minor: u16,
    },
    /// The file ends within a record.
    #[error("the {part} needs {needs} bytes or more, the file ends after {has}")]
    Missing {
        /// What was being read.
        part: Part,
        /// Bytes it needs, as far as is known.
        needs: u64,
        /// Bytes of it that are there.
        has: u64,
    },
    /// More captured bytes than a reader allows.
    #[error("a packet of {captured} bytes is longer than the {limit} allowed")]
    PacketLength {
        /// What the file claims.
        captured: u32,
        /// The reader's limit.
        limit: u32,
    },
    /// More captured bytes than its block has.
    #[error("a packet of {captured} bytes in a block with room for {room}")]
    PacketRoom {
        /// What the file claims.
        captured: u32,
        /// What the length of the block leaves.
        room: u32,
    },
    /// No multiple of 4, too short for the kind of block, or longer than a reader allows.
    #[error("{length} bytes are no possible length of a block of type {kind:#x}")]
    BlockLength {
        /// The type of the block.
        kind: u32,
        /// What the file claims.
        length: u32,
    },
    /// The length at a block's end is not that at its beginning.
    #[error("a block of {length} bytes ends with the length {trailer}")]
    Trailer {
        /// The length at the beginning.
        length: u32,
        /// The length at the end.
        trailer: u32,
    },
    /// A section that does not tell its byte order.
    #[error("{:02x} {:02x} {:02x} {:02x} is no byte-order magic", .0[0], .0[1], .0[2], .0[3])]
    ByteOrder([u8; 4]),
    /// A packet of an interface that its section did not describe before.
    #[error("interface {interface} of a section that described {described}")]
    Interface {
        /// The number in the section.
        interface: u32,
        /// Interfaces the section described so far.
        described: u32,
    },
    /// More than [`MAX_INTERFACES`].
    #[error("more than {MAX_INTERFACES} interfaces")]
    Interfaces,
    /// An option of an interface whose length is not that of its kind, or exceeds its block.
    #[error("option {code} of an interface has an impossible length of {length}")]
    Option {
        /// Its code.
        code: u16,
        /// What the file claims.
        length: u16,
    },
}

/// What a file ended in.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Part {
    /// The header of a file.
    FileHeader,
    /// A packet and its header.
    Packet,
    /// A block.
    Block,
}

impl fmt::Display for Part {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match self {
            Self::FileHeader => "file header",
            Self::Packet => "packet",
            Self::Block => "block",
        })
    }
}

/// Why a packet cannot be written; nothing of it was.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
pub enum WriteError {
    /// A file or interface has packets of one link type.
    #[error("a packet of link type {} where those of {} are written", packet.0, file.0)]
    Link {
        /// That of the packet.
        packet: LinkType,
        /// That of the file or interface.
        file: LinkType,
    },
    /// A time that the format cannot say: before 1970, and for pcap after 2106.
    #[error("a time of {0} ns since 1970 does not fit the format")]
    Time(i64),
    /// An interface that was not described before.
    #[error("interface {0} was not described")]
    Interface(u32),
    /// One interface more than [`MAX_INTERFACES`].
    #[error("more than {MAX_INTERFACES} interfaces")]
    Interfaces,
}
