//! Records and what they tell.

use std::net::{Ipv4Addr, Ipv6Addr};

use super::{Class, Kind, Limits, NameFault, OptionCode, Reading, Stop, name};
use crate::application::Text;
use crate::application::cursor::Cursor;

/// One thing known of a name.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Record {
    /// The name, without a dot at its end: empty for the root. A dot or backslash that is part of a label has a
    /// backslash before it, what is not printable ASCII is written `\DDD`.
    pub name: Box<str>,
    /// What it tells.
    pub kind: Kind,
    /// The class; of an `OPT` record the bytes that its sender takes in a datagram.
    pub class: Class,
    /// Seconds it may be kept; of an `OPT` record 8 more bits of the response code, a version and flags.
    pub ttl: u32,
    /// Bytes of what it tells, in the message.
    pub data_length: u16,
    /// What it tells.
    pub data: Rdata,
}

/// What a record tells, its `RDATA`.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Rdata {
    /// Nothing: in updates (RFC 2136) records have names only.
    Empty,
    /// Of `A`.
    Ipv4(Ipv4Addr),
    /// Of `AAAA`.
    Ipv6(Ipv6Addr),
    /// Of `NS`, `CNAME` and `PTR`: a name as in [`Record::name`].
    Name(Box<str>),
    /// Of `SOA`.
    Soa(Box<Soa>),
    /// Of `SRV`.
    Srv(Srv),
    /// Of `MX`.
    Mx {
        /// Lower ones are asked first.
        preference: u16,
        /// The mail server.
        name: Box<str>,
    },
    /// Of `TXT` and `HINFO`: texts as [`Text`] shows them.
    Texts(Box<[Box<str>]>),
    /// Of `OPT`.
    Options(Box<[EdnsOption]>),
}

/// What a zone says of itself.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Soa {
    /// `MNAME`, the server that has the original.
    pub primary: Box<str>,
    /// `RNAME`, who is responsible, with a dot for the @.
    pub mailbox: Box<str>,
    /// Number of this version.
    pub serial: u32,
    /// Seconds between looks for a newer one.
    pub refresh: u32,
    /// Seconds between looks after one failed.
    pub retry: u32,
    /// Seconds after which a copy is too old.
    pub expire: u32,
    /// Seconds that the absence of a name may be remembered, RFC 2308.
    pub minimum: u32,
}

/// Where a service is.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Srv {
    /// Lower ones are tried first.
    pub priority: u16,
    /// Share among those of one priority.
    pub weight: u16,
    /// Port of the service.
    pub port: u16,
    /// Host of the service.
    pub name: Box<str>,
}

/// An option of an `OPT` record.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct EdnsOption {
    /// What it is about.
    pub code: OptionCode,
    /// What it says, seldom text.
    pub data: Box<[u8]>,
}

impl Record {
    /// Bytes that it takes beside itself.
    pub(super) fn held(&self) -> usize {
        let data = match &self.data {
            Rdata::Empty | Rdata::Ipv4(_) | Rdata::Ipv6(_) => 0,
            Rdata::Name(name) | Rdata::Mx { name, .. } | Rdata::Srv(Srv { name, .. }) => name.len(),
            Rdata::Soa(soa) => size_of::<Soa>() + soa.primary.len() + soa.mailbox.len(),
            Rdata::Texts(texts) => texts.iter().map(|text| size_of_val(text) + text.len()).sum(),
            Rdata::Options(options) => {
                options.iter().map(|option| size_of_val(option) + option.data.len()).sum()
            }
        };
        self.name.len() + data
    }
}

/// Bytes that an entry of a list costs beside its content.
const ENTRY_COST: usize = 16;

/// Whether flows tell of records of this kind.
pub(super) fn is_kept(kind: Kind) -> bool {
    matches!(
        kind,
        Kind::A
            | Kind::AAAA
            | Kind::SOA
            | Kind::SRV
            | Kind::MX
            | Kind::TXT
            | Kind::HINFO
            | Kind::NS
            | Kind::CNAME
            | Kind::PTR
            | Kind::OPT
    )
}

/// What the `data` of a record of that kind tell, which lie at `at`; nothing if they are not of that form.
pub(super) fn read_data(
    reading: &mut Reading<'_>,
    kind: Kind,
    at: usize,
    data: &[u8],
) -> Result<Option<Rdata>, Stop> {
    let mut fields = Cursor(data);
    let mut names = Names { end: at + data.len(), reading, at };
    Ok(match kind {
        Kind::OPT => options(fields, &mut reading.left)?.map(Rdata::Options),
        _ if data.is_empty() => Some(Rdata::Empty),
        Kind::A => data.try_into().ok().map(|octets: [u8; 4]| Rdata::Ipv4(octets.into())),
        Kind::AAAA => data.try_into().ok().map(|octets: [u8; 16]| Rdata::Ipv6(octets.into())),
        Kind::NS | Kind::CNAME | Kind::PTR => names.last(0)?.map(Rdata::Name),
        Kind::SOA => soa(names)?.map(Rdata::Soa),
        Kind::SRV => match (fields.u16(), fields.u16(), fields.u16()) {
            (Some(priority), Some(weight), Some(port)) => {
                names.last(6)?.map(|name| Rdata::Srv(Srv { priority, weight, port, name }))
            }
            _ => None,
        },
        Kind::MX => match fields.u16() {
            Some(preference) => names.last(2)?.map(|name| Rdata::Mx { preference, name }),
            None => None,
        },
        _ => texts(fields, &mut reading.left)?.map(Rdata::Texts),
    })
}

/// The names within the data of a record.
struct Names<'a, 'b> {
    reading: &'a mut Reading<'b>,
    /// Where the next one begins.
    at: usize,
    /// Where the data end.
    end: usize,
}

impl Names<'_, '_> {
    /// The next name behind `skip` bytes, nothing if there is none.
    fn next(&mut self, skip: usize) -> Result<Option<Box<str>>, Stop> {
        let Some(message) = self.reading.message.get(..self.end) else { return Ok(None) };
        self.reading.name.clear();
        match name::read(message, self.at + skip, &mut self.reading.name) {
            Ok(end) => self.at = end,
            // The data are all there, so a name that goes on behind them is none.
            Err(NameFault::Cut | NameFault::Bad) => return Ok(None),
        }
        self.reading.left.spend(self.reading.name.len())?;
        Ok(Some(self.reading.name.as_str().into()))
    }

    /// The name behind `skip` bytes that the data end with.
    fn last(&mut self, skip: usize) -> Result<Option<Box<str>>, Stop> {
        let name = self.next(skip)?;
        Ok(name.filter(|_| self.at == self.end))
    }
}

fn soa(mut names: Names<'_, '_>) -> Result<Option<Box<Soa>>, Stop> {
    let (Some(primary), Some(mailbox)) = (names.next(0)?, names.next(0)?) else { return Ok(None) };
    let mut fields = Cursor(names.reading.message.get(names.at..names.end).unwrap_or_default());
    let numbers = (fields.u32(), fields.u32(), fields.u32(), fields.u32(), fields.u32());
    let (Some(serial), Some(refresh), Some(retry), Some(expire), Some(minimum)) = numbers else {
        return Ok(None);
    };
    let soa = Soa { primary, mailbox, serial, refresh, retry, expire, minimum };
    Ok(fields.is_empty().then(|| Box::new(soa)))
}

fn texts(mut fields: Cursor<'_>, left: &mut Limits) -> Result<Option<Box<[Box<str>]>>, Stop> {
    let mut texts = Vec::new();
    while !fields.is_empty() {
        let Some(text) = fields.counted_u8() else { return Ok(None) };
        let text = Text(text).to_string().into_boxed_str();
        left.spend(ENTRY_COST + text.len())?;
        texts.push(text);
    }
    Ok(Some(texts.into()))
}

fn options(mut fields: Cursor<'_>, left: &mut Limits) -> Result<Option<Box<[EdnsOption]>>, Stop> {
    let mut options = Vec::new();
    while !fields.is_empty() {
        let (Some(code), Some(data)) = (fields.u16(), fields.counted_u16()) else { return Ok(None) };
        left.spend(ENTRY_COST + data.len())?;
        options.push(EdnsOption { code: OptionCode(code), data: data.into() });
    }
    Ok(Some(options.into()))
}
