//! Filters of captures: the program the kernel runs, and the one for frames that it does not see whole.
//!
//! A program of `skydive-packet` looks for VLAN tags in the bytes. The kernel has taken the outermost one out when it runs
//! a socket's filter, so a tagged frame is let through there and judged here, with its tag put back.

use skydive_packet::LinkType;
use skydive_packet::filter::{FilterError, Program, compile};
use skydive_sys::FilterInstruction;

use crate::StartError;

/// Instructions of a filter that the kernel takes, beside those before it.
pub(crate) const MOST_INSTRUCTIONS: usize = Program::MAX_LEN - TAGGED_PASS.len();

/// A filter, compiled for each link type that is met.
#[derive(Debug)]
pub(crate) struct Filters {
    text: String,
    programs: Vec<(LinkType, Option<Program>)>,
}

/// `ldb vlan_present; jeq #0 over the next; ret #262144`.
const TAGGED_PASS: [FilterInstruction; 3] = [
    FilterInstruction { code: 0x30, jt: 0, jf: 0, k: 0xffff_f000 + 48 },
    FilterInstruction { code: 0x15, jt: 1, jf: 0, k: 0 },
    FilterInstruction { code: 0x06, jt: 0, jf: 0, k: 262_144 },
];

/// The filter for packets of a link type; `None` when everything passes.
pub(crate) fn program(text: &str, link: LinkType, snap_len: u32) -> Result<Option<Program>, FilterError> {
    if text.trim().is_empty() { Ok(None) } else { compile(text, link, snap_len).map(Some) }
}

/// Says what is wrong with a filter, if something is.
pub fn check_filter(text: &str) -> Result<(), StartError> {
    program(text, LinkType::ETHERNET, 0)?;
    Ok(())
}

/// What the kernel runs.
pub(crate) fn for_kernel(
    program: Option<&Program>,
    link: LinkType,
    snap_len: u32,
) -> Result<Vec<FilterInstruction>, StartError> {
    let Some(program) = program else {
        return Ok(vec![FilterInstruction { code: 0x06, jt: 0, jf: 0, k: snap_len }]);
    };
    let instructions = program.instructions();
    if instructions.len() > MOST_INSTRUCTIONS {
        return Err(StartError::FilterLength(instructions.len()));
    }
    let before: &[_] = if link == LinkType::ETHERNET { &TAGGED_PASS } else { &[] };
    let same = instructions.iter().map(|i| FilterInstruction { code: i.code, jt: i.jt, jf: i.jf, k: i.k });
    Ok(before.iter().copied().chain(same).collect())
}

impl Filters {
    /// A filter that is one for Ethernet at least.
    pub(crate) fn new(text: &str) -> Result<Self, FilterError> {
        let ethernet = program(text, LinkType::ETHERNET, 0)?;
        Ok(Self { text: text.to_owned(), programs: vec![(LinkType::ETHERNET, ethernet)] })
    }

    /// Whether a packet passes; an error when the filter cannot be one for its link type.
    #[inline]
    pub(crate) fn passes(
        &mut self,
        link: LinkType,
        bytes: &[u8],
        wire_len: u32,
    ) -> Result<bool, FilterError> {
        if let Some((_, program)) = self.programs.iter().find(|(known, _)| *known == link) {
            return Ok(program.as_ref().is_none_or(|program| program.run(bytes, wire_len) > 0));
        }
        let made = program(&self.text, link, 0)?;
        self.programs.push((link, made));
        self.passes(link, bytes, wire_len)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_program_for_the_kernel_begins_with_what_lets_tags_pass() {
        let made = program("icmp", LinkType::ETHERNET, 96).unwrap().unwrap();
        let ethernet = for_kernel(Some(&made), LinkType::ETHERNET, 96).unwrap();
        assert_eq!(ethernet.len(), made.instructions().len() + 3);
        let raw = program("icmp", LinkType::RAW, 96).unwrap().unwrap();
        assert_eq!(for_kernel(Some(&raw), LinkType::RAW, 96).unwrap().len(), raw.instructions().len());
        let all = for_kernel(None, LinkType::ETHERNET, 96).unwrap();
        assert_eq!(all, [FilterInstruction { code: 6, jt: 0, jf: 0, k: 96 }]);
    }

    #[test]
    fn each_link_type_has_its_program() {
        let mut filters = Filters::new("ip").unwrap();
        let packet = [0x45; 40];
        assert!(!filters.passes(LinkType::ETHERNET, &packet, 40).unwrap());
        assert!(filters.passes(LinkType::RAW, &packet, 40).unwrap());
        assert!(Filters::new("ip or (").is_err());
        assert!(Filters::new("ether host 2:0:0:0:0:1").unwrap().passes(LinkType::RAW, &packet, 40).is_err());
    }
}
