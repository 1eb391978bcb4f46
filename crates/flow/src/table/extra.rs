//! What applications say in the clear, for captures that ask for it.

use std::ops::{BitOr, BitOrAssign};

use skydive_packet::application::{dhcp4, dns, vrrp};
use skydive_packet::wire::tcp::Tcp;
use skydive_packet::{Layer, LayerKind};

use crate::budget::Budget;
use crate::key::TransportKind;
use crate::record::{More, Record};
use crate::{Dhcp4, Vrrp};

/// Which applications' messages are read.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Hash)]
pub struct ExtraLayers(pub u8);

/// Packets of a flow in which the first words of a connection are looked for.
const FIRST_WORDS: u64 = 8;
/// How long after a DNS question one with its number is the same question, sent again for want of an answer, in
/// nanoseconds. Resolvers give up sooner.
const ASKED_AGAIN: i64 = 30_000_000_000;

impl ExtraLayers {
    /// None.
    pub const NONE: Self = Self(0);
    /// VRRP advertisements.
    pub const VRRP: Self = Self(1);
    /// DNS messages.
    pub const DNS: Self = Self(2);
    /// DHCPv4 messages.
    pub const DHCPV4: Self = Self(4);
    /// The name in a TLS ClientHello.
    pub const TLS: Self = Self(8);
    /// The first line of an HTTP/1 request.
    pub const HTTP: Self = Self(16);
    /// All there are and will be.
    pub const ALL: Self = Self(255);

    /// Whether any of `of` is among these.
    pub fn has(self, of: Self) -> bool {
        self.0 & of.0 != 0
    }
}

impl BitOr for ExtraLayers {
    type Output = Self;

    fn bitor(self, other: Self) -> Self {
        Self(self.0 | other.0)
    }
}

impl BitOrAssign for ExtraLayers {
    fn bitor_assign(&mut self, other: Self) {
        self.0 |= other.0;
    }
}

impl Record {
    /// Reads what a packet says. `layers` are those of the flow's part.
    #[cold]
    pub(super) fn read_extra(
        &mut self,
        wanted: ExtraLayers,
        layers: &[Layer],
        bytes: &[u8],
        kind: TransportKind,
        at: i64,
        budget: &mut Budget,
    ) {
        let packets = self.hot.counts[0] + self.hot.counts[2];
        let Some(last) = layers.last() else { return };
        match last.kind {
            LayerKind::DNS if wanted.has(ExtraLayers::DNS) => {
                if let Ok(message) = dns::Message::parse(last.bytes_of(bytes)) {
                    self.more().keep_dns(message, at, budget);
                }
            }
            LayerKind::DHCPv4 if wanted.has(ExtraLayers::DHCPV4) && packets == 1 => {
                if let Some(message) = dhcp4::Message::parse(last.bytes_of(bytes)) {
                    let held = message.file().len() + message.server_name().len();
                    self.more().keep_extra(0, held, budget, |extra| extra.dhcp4 = Some(dhcp4_of(message)));
                }
            }
            LayerKind::VRRP if wanted.has(ExtraLayers::VRRP) && packets == 1 => {
                if let Some(message) = vrrp::Advertisement::parse(last.bytes_of(bytes)) {
                    let vrrp = Vrrp {
                        adver_int: message.interval(),
                        priority: message.priority(),
                        version: message.version(),
                        virtual_router: message.virtual_router(),
                    };
                    self.more().keep_extra(0, 0, budget, |extra| extra.vrrp = Some(vrrp));
                }
            }
            LayerKind::TCP if kind == TransportKind::Tcp && packets <= FIRST_WORDS => {
                if let Some(segment) = Tcp::parse(last.bytes_of(bytes)) {
                    self.read_first_words(wanted, segment, last.payload_of(bytes), budget);
                }
                if packets == FIRST_WORDS {
                    self.forget_first_words(budget);
                }
            }
            _ => {}
        }
    }
}

impl More {
    /// The latest message is kept, and how long the latest answer was waited for: from the first time that its question
    /// was sent to the first answer, as whoever asked had to.
    fn keep_dns(&mut self, message: dns::Message, at: i64, budget: &mut Budget) {
        let id = message.header.id();
        let mut latency = None;
        if !message.header.is_response() {
            let is_again = self
                .dns_asked
                .iter()
                .flatten()
                .any(|&(asked, first)| asked == id && at.saturating_sub(first) <= ASKED_AGAIN);
            let oldest = self.dns_asked.iter_mut().min_by_key(|asked| match asked {
                // An older one of the same number goes first.
                Some((asked, _)) if *asked == id => i64::MIN,
                Some((_, first)) => *first,
                None => i64::MIN + 1,
            });
            if let Some(place) = oldest.filter(|_| !is_again) {
                *place = Some((id, at));
            }
        } else if let Some((_, asked_at)) =
            self.dns_asked.iter_mut().find_map(|asked| asked.take_if(|(asked, _)| *asked == id))
        {
            latency = Some(at.saturating_sub(asked_at).max(0) as u64);
        }
        if let Some(extra) = self.extra.as_mut() {
            extra.dns_latency = latency.or(extra.dns_latency);
        }
        let old = self.extra.as_ref().and_then(|extra| extra.dns.as_ref()).map_or(0, dns::Message::held);
        self.keep_extra(old, message.held(), budget, |extra| {
            extra.dns_latency = latency.or(extra.dns_latency);
            extra.dns = Some(message);
            extra.dns_at = at;
        });
    }
}

fn dhcp4_of(message: dhcp4::Message<'_>) -> Dhcp4 {
    Dhcp4 {
        file: message.file().into(),
        flags: message.flags(),
        hardware_len: message.hardware_len(),
        hardware_opts: message.hops(),
        server_name: message.server_name().into(),
        secs: message.seconds(),
        xid: message.transaction(),
    }
}
