//! Filters: any text gives a valid program or an error with a position in it, any instructions a program or an error,
//! and a program ends on any packet.
//!
//! The first byte chooses the link type, or (from 128 on) instructions instead of text. A zero byte ends the text, ten
//! times eight bytes are instructions; the rest is the packet.

use skydive_packet::LinkType;
use skydive_packet::filter::{Instruction, Program, compile};

const LINKS: &[u16] = &[1, 0, 9, 12, 50, 51, 101, 108, 113, 228, 229, 276, 147];

pub(crate) fn run(bytes: &[u8]) {
    let Some((how, rest)) = bytes.split_first() else { return };
    if *how >= 128 {
        return from_instructions(rest);
    }
    let (text, packet) = match rest.iter().position(|byte| *byte == 0) {
        Some(end) => (&rest[..end], &rest[end + 1..]),
        None => (rest, &rest[..0]),
    };
    let Ok(text) = std::str::from_utf8(text) else { return };
    let link = LinkType(LINKS[usize::from(*how) % LINKS.len()]);
    match compile(text, link, 96) {
        Ok(program) => {
            Program::validate(program.instructions()).expect("a compiled program is valid");
            let verdict = program.run(packet, 1500);
            assert!(verdict == 0 || verdict == 96, "{text} gave {verdict}");
            assert!(!program.rejects_all() || verdict == 0);
            drop(program.to_string());
        }
        Err(error) => {
            assert!(error.offset <= text.len(), "{error} at {} of {}", error.offset, text.len());
            assert!(text.is_char_boundary(error.offset), "{error} within a character");
            assert!(!error.message.is_empty());
        }
    }
}

fn from_instructions(bytes: &[u8]) {
    let (instructions, packet) = bytes.split_at(bytes.len().min(80));
    let instructions = instructions.chunks_exact(8).map(|chunk| {
        let (code, jumps, k) = (&chunk[..2], &chunk[2..4], &chunk[4..]);
        Instruction {
            code: u16::from_le_bytes([code[0], code[1]]),
            jt: jumps[0],
            jf: jumps[1],
            k: u32::from_le_bytes([k[0], k[1], k[2], k[3]]),
        }
    });
    let Ok(program) = Program::new(instructions.collect()) else { return };
    program.run(packet, 1500);
    let text: String =
        program.instructions().iter().map(|i| format!("{} {} {} {}\n", i.code, i.jt, i.jf, i.k)).collect();
    let again = Program::parse_ddd(&format!("{}\n{text}", program.instructions().len()));
    assert_eq!(again.as_ref(), Ok(&program));
    drop(program.to_string());
}
