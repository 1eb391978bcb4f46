//! The packets that are counted: those that pass a filter of tcpdump's language.

use skydive_packet::LinkType;
use skydive_packet::file::Packet;
use skydive_packet::filter::{self, FilterError, Program};

use crate::client::complaint;
use crate::terminal::Paint;

/// A filter, compiled for each link type that is met.
pub(super) struct Filters {
    text: Option<String>,
    programs: Vec<(LinkType, Program)>,
    misfits: Vec<Misfit>,
}

/// Packets of a link type that the filter has no meaning for.
pub(super) struct Misfit {
    pub(super) refused: Refused,
    pub(super) packets: u64,
}

/// A filter that cannot be: by its text, or for the packets of a link type.
#[derive(Debug, thiserror::Error)]
#[error("the filter cannot be used on packets of link type {}", link.0)]
pub(super) struct Refused {
    text: String,
    link: LinkType,
    source: FilterError,
}

impl Filters {
    pub(super) fn new(text: Option<&str>) -> Self {
        Self { text: text.map(ToOwned::to_owned), programs: Vec::new(), misfits: Vec::new() }
    }

    /// Packets that were neither passed nor passed over, by their link types.
    pub(super) fn misfits(&self) -> &[Misfit] {
        &self.misfits
    }

    /// Moves the packets that pass to the front, in order, and gives them. A filter that is none is refused; what it has
    /// no meaning for is left out and counted.
    #[inline]
    pub(super) fn pass<'p, 'b>(
        &mut self,
        packets: &'p mut [Packet<'b>],
    ) -> Result<&'p [Packet<'b>], Refused> {
        if self.text.is_none() {
            return Ok(packets);
        }
        let mut passed = 0;
        for at in 0..packets.len() {
            let packet = packets[at];
            if let Some(misfit) = self.misfits.iter_mut().find(|misfit| misfit.refused.link == packet.link) {
                misfit.packets += 1;
                continue;
            }
            let program = match self.program(packet.link) {
                Ok(program) => program,
                Err(refused) => {
                    self.leave_out(packet.link, refused)?;
                    continue;
                }
            };
            if program.run(packet.bytes, packet.wire_len) != 0 {
                packets[passed] = packet;
                passed += 1;
            }
        }
        Ok(&packets[..passed])
    }

    /// Counts the first packet of a link type that cannot be filtered; an error when none can.
    #[cold]
    fn leave_out(&mut self, link: LinkType, refused: Refused) -> Result<(), Refused> {
        if link == LinkType::ETHERNET || filter::compile(&refused.text, LinkType::ETHERNET, 0).is_err() {
            return Err(refused);
        }
        self.misfits.push(Misfit { refused, packets: 1 });
        Ok(())
    }

    fn program(&mut self, link: LinkType) -> Result<&Program, Refused> {
        let known = self.programs.iter().position(|(of, _)| *of == link);
        let at = match known {
            Some(at) => at,
            None => {
                let text = self.text.as_deref().unwrap_or_default();
                let program = filter::compile(text, link, 0).map_err(|source| Refused {
                    text: text.to_owned(),
                    link,
                    source,
                })?;
                self.programs.push((link, program));
                self.programs.len() - 1
            }
        };
        Ok(&self.programs[at].1)
    }
}

impl Refused {
    /// The complaint with a caret under what is complained of.
    pub(super) fn draw(&self, paint: Paint) -> String {
        let FilterError { offset, message } = &self.source;
        let message = match self.link {
            LinkType::ETHERNET => format!("--filter: {message}"),
            LinkType(number) => {
                let number = number.to_string();
                let names_it = message.contains(&format!("link type {number}"));
                let on =
                    if names_it { String::new() } else { format!(" (for packets of link type {number})") };
                format!("--filter: {message}{on}")
            }
        };
        complaint::draw(&self.text, &message, Some(*offset), paint)
    }
}
