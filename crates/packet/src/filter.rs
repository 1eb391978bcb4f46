//! Packet filters: tcpdump's language, the classic BPF programs it becomes, and their interpreter.
//!
//! [`compile`] takes what `tcpdump` takes (pcap-filter(7)) and gives a program with the same verdicts as libpcap's, for
//! files of a given link type. The way from text to program is one line: `lex` cuts words, `parse` makes a tree in which
//! every name has its qualifiers, `generate` turns it left to right into conditions on values of the packet, `block`
//! makes a graph of two-way tests of them and leaves out what is already known, `emit` writes instructions.
//!
//! What is meant by "the same":
//! - `vlan`, `mpls`, `pppoes` and `geneve` move the offsets of everything that stands to the right of them, also after
//!   `or`; `and` and `or` bind equally strong, from the left.
//! - A load beyond the captured bytes, and a division by zero, reject the packet, whatever the rest of the expression
//!   says, in the kernel as here. What decides nothing is not loaded: libpcap does load some of it, so that of packets
//!   that are cut it may reject more.
//! - After `geneve` libpcap reads, of packets without Geneve, at places that it never computed; here a test to its right
//!   fails for them.
//! - `tcp[…]` and its like read behind an IPv4 header only; the upper protocol of IPv6 is looked for in the first header
//!   or behind one fragment header.
//! - Where libpcap fails with "expression rejects all packets" the program is made, see [`Program::rejects_all`].
//!
//! VLAN tags are looked for in the bytes of the packet, with plain loads. A kernel that takes the outermost tag out of
//! received frames must have it put back before a program sees them; the kernel's ancillary loads are never used, so that
//! one program serves files and sockets.
//!
//! Not in the language: host and network names (nothing is looked up; ports and protocols have a table), `gateway`,
//! `protochain` (it needs loops, which the kernel refuses), `byte`, DECnet addresses, and the primitives of 802.11, ATM,
//! MTP and pf. Each is refused by name.

mod block;
mod condition;
mod emit;
mod facts;
mod generate;
mod lex;
mod name;
mod parse;
mod program;
mod run;
mod syntax;
mod value;

use crate::LinkType;

pub use program::{Instruction, Program, ProgramError};

/// Bytes of text that are accepted as a filter.
const MAX_TEXT: usize = 64 << 10;

/// Why a text is not a filter.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
#[error("{message}, at byte {offset} of the filter")]
pub struct FilterError {
    /// Where, in bytes from the start of the text; always at a character's start or the text's end.
    pub offset: usize,
    /// What is wrong or was expected there.
    pub message: String,
}

impl FilterError {
    fn new(offset: usize, message: impl Into<String>) -> FilterError {
        FilterError { offset, message: message.into() }
    }
}

/// Makes a program of a filter in tcpdump's language, for packets of a link type.
///
/// The program returns `snap_len` for a packet that passes and 0 for others; a `snap_len` of 0 stands for "all of the
/// packet". An empty text lets everything pass. The program is at most [`Program::MAX_LEN`] instructions long. Linux takes
/// it for a socket, unless it reads before the first byte, as `ether[-1]` does.
pub fn compile(text: &str, link: LinkType, snap_len: u32) -> Result<Program, FilterError> {
    if text.len() > MAX_TEXT {
        return Err(FilterError::new(
            0,
            format!("a filter of {} bytes, at most {MAX_TEXT} are read", text.len()),
        ));
    }
    let accept = if snap_len == 0 { u32::MAX } else { snap_len };
    let generated = match parse::parse(text)? {
        Some(expr) => generate::generate(&expr, link)?,
        None => generate::everything(link)?,
    };
    let blocks = block::Blocks::build(&generated);
    emit::emit(&blocks, &generated, accept)
}
