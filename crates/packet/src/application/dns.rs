//! DNS messages, [RFC 1035](https://www.rfc-editor.org/rfc/rfc1035), with the `OPT` record of
//! [RFC 6891](https://www.rfc-editor.org/rfc/rfc6891).
//!
//! [`Header`] is a view for every packet: who asks and who answers, to pair them by number. [`Message`] is what a flow
//! keeps: names and records, owned, within [`Limits`]. Records are those that flows tell of; others are passed over
//! and counted. A record whose data is not what its kind says is passed over too, for its length says where the next
//! one begins; what cannot be passed over is an error.

mod name;
mod number;
mod record;

pub use number::{Class, Kind, OpCode, OptionCode, ResponseCode};
pub use record::{EdnsOption, Rdata, Record, Soa, Srv};

use super::cursor::Cursor;
use crate::wire::{u8_at, u16_at};
use name::NameFault;

/// Bytes of a header.
const HEADER_LEN: usize = 12;
/// An empty name, kind and class.
const MIN_QUESTION_LEN: usize = 5;
/// An empty name, kind, class, time to live and length.
const MIN_RECORD_LEN: usize = 11;

/// The header of a message, read in place.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Header([u8; HEADER_LEN]);

/// A message.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Message {
    /// The header as it came.
    pub header: Header,
    /// What is asked.
    pub questions: Vec<Question>,
    /// Records that answer it.
    pub answers: Vec<Record>,
    /// Records that say who would know.
    pub authorities: Vec<Record>,
    /// Records that may help.
    pub additionals: Vec<Record>,
    /// Whether that is all.
    pub extent: Extent,
}

/// What a question asks for.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Question {
    /// The name asked about, without a dot at its end: empty for the root. See [`Record::name`].
    pub name: Box<str>,
    /// The kind of record wanted.
    pub kind: Kind,
    /// The class wanted.
    pub class: Class,
}

/// How much of a message was read.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Extent {
    /// All of it.
    Whole,
    /// As much as the [`Limits`] allow.
    Limited,
    /// What was there: the bytes end before all records came that the header counts.
    Cut,
}

/// What a message may cost its owner.
#[derive(Clone, Copy, Debug)]
pub struct Limits {
    /// Questions and records looked into.
    pub records: usize,
    /// Bytes of names, texts and options kept, and 16 for each of these that a record lists.
    pub text: usize,
}

/// Why bytes are no message.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
pub enum DnsError {
    /// Fewer bytes than a header has.
    #[error("shorter than a header")]
    Short,
    /// Something else where a name must be, or a pointer that leads nowhere, or more than 255 bytes of it.
    #[error("byte {at}: no name")]
    Name {
        /// Where it begins, from the start of the message.
        at: usize,
    },
}

/// Why reading a message ended early.
enum Stop {
    /// The bytes did.
    Cut,
    /// A limit is reached.
    Full,
    Bad(DnsError),
}

/// A message while it is read.
struct Reading<'a> {
    message: &'a [u8],
    at: usize,
    /// What the limits still allow.
    left: Limits,
    /// Names are built here before they are stored with their exact length.
    name: String,
}

/// Whether the first bytes of a payload could be a message: a known operation, no reserved bit, something counted, and
/// no label longer than one can be in the first question. For ports that say little; on port 53 the decoder has
/// looked closer already.
#[inline]
pub fn looks_like(payload: &[u8]) -> bool {
    let Some((header, body)) = payload.split_first_chunk() else { return false };
    let header = Header(*header);
    matches!(header.op_code().0, 0..=2 | 4..=6)
        && header.z() & 4 == 0
        && header.counts() != [0; 4]
        && (header.questions() == 0 || body.first().is_some_and(|len| *len < 64))
}

/// The message that a segment of DNS over TCP begins with, behind its length; less of it if the segment ends before,
/// and nothing if the segment has no length or one less than a header's.
/// [RFC 7766 section 8](https://www.rfc-editor.org/rfc/rfc7766#section-8)
#[inline]
pub fn in_segment(segment: &[u8]) -> Option<&[u8]> {
    let mut cursor = Cursor(segment);
    let len = usize::from(cursor.u16()?);
    let there = len.min(cursor.0.len());
    (len >= HEADER_LEN).then(|| cursor.take(there))?
}

impl Header {
    /// The header that `message` begins with.
    #[inline]
    pub fn parse(message: &[u8]) -> Option<Self> {
        message.first_chunk().copied().map(Self)
    }

    /// The number that a response repeats from its request.
    #[inline]
    pub fn id(self) -> u16 {
        u16_at::<0, _>(&self.0)
    }

    /// A response, no request.
    #[inline]
    pub fn is_response(self) -> bool {
        u8_at::<2, _>(&self.0) & 0x80 != 0
    }

    /// What is wanted.
    #[inline]
    pub fn op_code(self) -> OpCode {
        OpCode(u8_at::<2, _>(&self.0) >> 3 & 0x0f)
    }

    /// The responder owns the name.
    #[inline]
    pub fn is_authoritative(self) -> bool {
        u8_at::<2, _>(&self.0) & 4 != 0
    }

    /// There was more than fits into a datagram.
    #[inline]
    pub fn is_truncated(self) -> bool {
        u8_at::<2, _>(&self.0) & 2 != 0
    }

    /// The responder shall ask others.
    #[inline]
    pub fn wants_recursion(self) -> bool {
        u8_at::<2, _>(&self.0) & 1 != 0
    }

    /// The responder does ask others.
    #[inline]
    pub fn offers_recursion(self) -> bool {
        u8_at::<3, _>(&self.0) & 0x80 != 0
    }

    /// The 3 bits that RFC 1035 reserved: 4 still is, 2 and 1 are `AD` and `CD` of DNSSEC.
    #[inline]
    pub fn z(self) -> u8 {
        u8_at::<3, _>(&self.0) >> 4 & 7
    }

    /// What became of the request, as far as 4 bits tell; see [`Message::response_code`].
    #[inline]
    pub fn response_code(self) -> ResponseCode {
        ResponseCode(u16::from(u8_at::<3, _>(&self.0) & 0x0f))
    }

    /// Questions that the message says it has.
    #[inline]
    pub fn questions(self) -> u16 {
        u16_at::<4, _>(&self.0)
    }

    /// Answers that the message says it has.
    #[inline]
    pub fn answers(self) -> u16 {
        u16_at::<6, _>(&self.0)
    }

    /// Records of authorities that the message says it has.
    #[inline]
    pub fn authorities(self) -> u16 {
        u16_at::<8, _>(&self.0)
    }

    /// Additional records that the message says it has.
    #[inline]
    pub fn additionals(self) -> u16 {
        u16_at::<10, _>(&self.0)
    }

    fn counts(self) -> [u16; 4] {
        [self.questions(), self.answers(), self.authorities(), self.additionals()]
    }
}

impl Message {
    /// Reads a message within the usual limits.
    pub fn parse(message: &[u8]) -> Result<Self, DnsError> {
        Self::parse_within(message, Limits::default())
    }

    /// Reads a message. The work is bounded by `limits` too: what exceeds them is not looked at.
    pub fn parse_within(message: &[u8], limits: Limits) -> Result<Self, DnsError> {
        let header = Header::parse(message).ok_or(DnsError::Short)?;
        let mut parsed = Self {
            header,
            questions: Vec::new(),
            answers: Vec::new(),
            authorities: Vec::new(),
            additionals: Vec::new(),
            extent: Extent::Whole,
        };
        let mut reading = Reading { message, at: HEADER_LEN, left: limits, name: String::new() };
        match parsed.read(&mut reading) {
            Ok(()) => {}
            Err(Stop::Cut) => parsed.extent = Extent::Cut,
            Err(Stop::Full) => parsed.extent = Extent::Limited,
            Err(Stop::Bad(error)) => return Err(error),
        }
        // Room was made for all that the header counts, what is passed over included.
        parsed.questions.shrink_to_fit();
        for section in [&mut parsed.answers, &mut parsed.authorities, &mut parsed.additionals] {
            section.shrink_to_fit();
        }
        Ok(parsed)
    }

    fn read(&mut self, reading: &mut Reading<'_>) -> Result<(), Stop> {
        reading.expect(self.header.questions(), MIN_QUESTION_LEN, &mut self.questions);
        for _ in 0..self.header.questions() {
            self.questions.push(reading.question()?);
        }
        let header = self.header;
        for (count, section) in [
            (header.answers(), &mut self.answers),
            (header.authorities(), &mut self.authorities),
            (header.additionals(), &mut self.additionals),
        ] {
            reading.expect(count, MIN_RECORD_LEN, section);
            for _ in 0..count {
                section.extend(reading.record()?);
            }
        }
        Ok(())
    }

    /// Questions and records that the header counts and that are not here: of kinds that are passed over, with data
    /// that is not what their kind says, or because of the [`Extent`].
    pub fn left_out(&self) -> usize {
        let counted: usize = self.header.counts().into_iter().map(usize::from).sum();
        let here =
            self.questions.len() + self.answers.len() + self.authorities.len() + self.additionals.len();
        counted.saturating_sub(here)
    }

    /// Bytes that it takes beside itself.
    pub fn held(&self) -> usize {
        let question = |question: &Question| size_of::<Question>() + question.name.len();
        let questions: usize = self.questions.iter().map(question).sum();
        let records = [&self.answers, &self.authorities, &self.additionals].into_iter().flatten();
        questions + records.map(|record| size_of::<Record>() + record.held()).sum::<usize>()
    }

    /// What became of the request, with the 8 more bits that an `OPT` record gives.
    pub fn response_code(&self) -> ResponseCode {
        let more = self.additionals.iter().find(|record| record.kind == Kind::OPT);
        let more = more.map_or(0, |record| record.ttl >> 24);
        ResponseCode((more as u16) << 4 | self.header.response_code().0)
    }
}

impl Default for Limits {
    /// 64 records and 8 KiB of text: several times what a resolver gets from well-known zones, and little enough for
    /// a message of every flow to be kept.
    fn default() -> Self {
        Self { records: 64, text: 8 << 10 }
    }
}

impl Limits {
    /// Counts `len` bytes of text as kept.
    fn spend(&mut self, len: usize) -> Result<(), Stop> {
        self.text = self.text.checked_sub(len).ok_or(Stop::Full)?;
        Ok(())
    }
}

impl Reading<'_> {
    /// Makes room for the parts of at least `least` bytes that the header counts, as far as they can be there.
    fn expect<T>(&self, count: u16, least: usize, section: &mut Vec<T>) {
        let possible = self.message.len().saturating_sub(self.at) / least;
        section.reserve_exact(usize::from(count).min(possible).min(self.left.records));
    }

    /// Counts one more question or record as looked at.
    fn keep(&mut self) -> Result<(), Stop> {
        self.left.records = self.left.records.checked_sub(1).ok_or(Stop::Full)?;
        Ok(())
    }

    /// The name at `at` and the place behind it.
    fn name(&mut self, at: usize) -> Result<(Box<str>, usize), Stop> {
        self.name.clear();
        let end = name::read(self.message, at, &mut self.name).map_err(|fault| stop(fault, at))?;
        self.left.spend(self.name.len())?;
        Ok((self.name.as_str().into(), end))
    }

    fn question(&mut self) -> Result<Question, Stop> {
        self.keep()?;
        let (name, end) = self.name(self.at)?;
        let mut fields = Cursor(self.message.get(end..).unwrap_or_default());
        let (Some(kind), Some(class)) = (fields.u16(), fields.u16()) else { return Err(Stop::Cut) };
        self.at = end + 4;
        Ok(Question { name, kind: Kind(kind), class: Class(class) })
    }

    /// The next record, nothing if it is passed over.
    fn record(&mut self) -> Result<Option<Record>, Stop> {
        let owner = self.at;
        let end = name::skip(self.message, owner).map_err(|fault| stop(fault, owner))?;
        let mut fields = Cursor(self.message.get(end..).unwrap_or_default());
        let (Some(kind), Some(class), Some(ttl), Some(data)) =
            (fields.u16(), fields.u16(), fields.u32(), fields.counted_u16())
        else {
            return Err(Stop::Cut);
        };
        let (kind, class, data_length) = (Kind(kind), Class(class), data.len() as u16);
        let data_at = end + 10;
        self.at = data_at + data.len();
        if !record::is_kept(kind) {
            return Ok(None);
        }
        // Before it is known whether the data are any good: this bounds the work too.
        self.keep()?;
        let Some(data) = record::read_data(self, kind, data_at, data)? else { return Ok(None) };
        let (name, _) = self.name(owner)?;
        Ok(Some(Record { name, kind, class, ttl, data_length, data }))
    }
}

fn stop(fault: NameFault, at: usize) -> Stop {
    match fault {
        NameFault::Cut => Stop::Cut,
        NameFault::Bad => Stop::Bad(DnsError::Name { at }),
    }
}
