//! What a client says first over TCP, and what is kept of it until it is whole.
//!
//! A TLS client that offers large keys, and a request with many cookies, take more than a segment, in any order of what
//! they say. Segments that follow each other are put together while the connection is young, at most [`MAX`] bytes;
//! what comes late or in another order is not waited for.

use skydive_packet::application::{Text, http1, tls};
use skydive_packet::wire::tcp::{Flags, Tcp};
use skydive_value::SmolStr;

use super::extra::ExtraLayers;
use crate::budget::Budget;
use crate::record::Record;
use crate::{Http, Tls};

/// The begin of a message of which more is to come.
#[derive(Debug)]
pub(crate) struct FirstWords {
    /// The port of who says it.
    from: u16,
    /// The sequence number of what follows.
    next: u32,
    bytes: Vec<u8>,
}

/// Bytes of a message that are put together; of a request's head no more is looked at.
const MAX: usize = http1::MAX_HEAD;
/// Longest text kept of one field.
const TEXT_MAX: usize = 1024;
/// Protocols kept of those that a client offers.
const PROTOCOLS_MAX: usize = 16;

impl FirstWords {
    /// Bytes of the budget that it takes.
    pub(crate) fn held(&self) -> usize {
        size_of::<Self>() + self.bytes.len()
    }
}

impl Record {
    /// Reads a segment of a young connection.
    pub(super) fn read_first_words(
        &mut self,
        wanted: ExtraLayers,
        segment: Tcp<'_>,
        payload: &[u8],
        budget: &mut Budget,
    ) {
        if payload.is_empty() {
            return;
        }
        let syn = segment.flags().has(Flags::SYN);
        let sequence = segment.sequence().wrapping_add(u32::from(syn));
        let from = segment.source();
        let next = sequence.wrapping_add(payload.len() as u32);
        let more = self.cold.more.as_mut();
        let Some(mut begun) = more.and_then(|more| more.begun.take_if(|begun| begun.from == from)) else {
            let words = FirstWords { from, next, bytes: Vec::new() };
            if !self.read_words(wanted, payload, false, budget) && budget.lend(words.held() + payload.len()) {
                self.forget_first_words(budget);
                self.more().begun = Some(Box::new(FirstWords { bytes: payload.to_vec(), ..words }));
            }
            return;
        };
        if begun.next == sequence && begun.bytes.len() + payload.len() <= MAX && budget.lend(payload.len()) {
            begun.bytes.extend_from_slice(payload);
            begun.next = next;
            if self.read_words(wanted, &begun.bytes, true, budget) {
                return budget.take_back(begun.held());
            }
        }
        self.more().begun = Some(begun);
    }

    /// Waits for no more of what was begun.
    pub(super) fn forget_first_words(&mut self, budget: &mut Budget) {
        if let Some(begun) = self.cold.more.as_mut().and_then(|more| more.begun.take()) {
            budget.take_back(begun.held());
        }
    }

    /// Reads what was said so far. `goes_on` says that it begins with words that were read before. Whether that was
    /// all that is worth knowing.
    fn read_words(&mut self, wanted: ExtraLayers, words: &[u8], goes_on: bool, budget: &mut Budget) -> bool {
        if wanted.has(ExtraLayers::TLS) && tls::is_client_hello(words) {
            self.read_tls(words, goes_on, budget)
        } else if wanted.has(ExtraLayers::HTTP) && http1::is_request(words) {
            self.read_http(words, goes_on, budget)
        } else {
            true
        }
    }

    fn read_tls(&mut self, words: &[u8], goes_on: bool, budget: &mut Budget) -> bool {
        let hello = match tls::ClientHello::parse(words) {
            Ok(hello) => hello,
            Err(error) => return error != tls::TlsError::Incomplete,
        };
        let more = self.more();
        let known = more.extra.as_ref().and_then(|extra| extra.tls.as_ref());
        if !goes_on && known.is_some_and(|known| !known.server_name.is_empty()) {
            return true;
        }
        // The version that all clients name stands for itself only where none are listed.
        let listed = hello.extensions().any(|one| one.kind == tls::extension::VERSIONS);
        let version = if listed || !hello.is_cut() { hello.latest_version().0 } else { 0 };
        let tls = Tls {
            server_name: hello.server_name().map(text).unwrap_or_default(),
            alpn: hello.protocols().take(PROTOCOLS_MAX).map(text).collect(),
            version,
        };
        let old = known.map_or(0, held);
        more.keep_extra(old, held(&tls), budget, |extra| extra.tls = Some(tls));
        !hello.is_cut()
    }

    fn read_http(&mut self, words: &[u8], goes_on: bool, budget: &mut Budget) -> bool {
        let Some(request) = http1::Request::parse(words) else { return true };
        let more = self.more();
        let known = more.extra.as_ref().and_then(|extra| extra.http.as_ref());
        if !goes_on && known.is_some() {
            return true;
        }
        let http = Http {
            method: request.method.into(),
            target: text(request.target),
            host: request.host.map(text).unwrap_or_default(),
        };
        let held = |http: &Http| http.method.len() + http.target.len() + http.host.len();
        let (old, new) = (known.map_or(0, held), held(&http));
        more.keep_extra(old, new, budget, |extra| extra.http = Some(http));
        request.host.is_some() || words.windows(4).any(|end| end == b"\r\n\r\n")
    }
}

fn held(tls: &Tls) -> usize {
    let alpn: usize = tls.alpn.iter().map(SmolStr::len).sum();
    tls.server_name.len() + alpn + tls.alpn.capacity() * size_of::<SmolStr>()
}

fn text(bytes: &[u8]) -> SmolStr {
    SmolStr::from(Text(bytes.get(..TEXT_MAX).unwrap_or(bytes)).to_string())
}
