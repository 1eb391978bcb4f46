//! DNS messages within flows.
//!
//! Names of kinds, classes and codes are written as texts; a number goes with those that have no name, so that what
//! was read is what was written. Options of `OPT` are in hexadecimal digits, for they are seldom text.

use std::fmt::Write as _;
use std::net::{IpAddr, Ipv4Addr, Ipv6Addr};

use serde::{Deserialize, Serialize};
use skydive_flow::Extra;
use skydive_flow::dns::{
    Class, EdnsOption, Extent, Header, Kind, Message, OpCode, OptionCode, Question, Rdata, Record,
    ResponseCode, Soa, Srv,
};

use super::convert::{count, narrow};
use super::{FlowError, spell};

#[derive(Clone, PartialEq, prost::Message, Serialize, Deserialize)]
#[serde(default)]
#[expect(clippy::struct_excessive_bools, reason = "the flags of a header, as the original spells them")]
pub(super) struct Dns {
    #[prost(uint32, tag = "1")]
    #[serde(rename = "ID", skip_serializing_if = "spell::is_zero")]
    id: u32,
    #[prost(bool, tag = "2")]
    #[serde(rename = "QR", skip_serializing_if = "spell::is_zero")]
    is_response: bool,
    #[prost(string, tag = "3")]
    #[serde(rename = "op_code", skip_serializing_if = "spell::is_zero")]
    op_code: String,
    #[prost(bool, tag = "4")]
    #[serde(rename = "AA", skip_serializing_if = "spell::is_zero")]
    is_authoritative: bool,
    #[prost(bool, tag = "5")]
    #[serde(rename = "TC", skip_serializing_if = "spell::is_zero")]
    is_truncated: bool,
    #[prost(bool, tag = "6")]
    #[serde(rename = "RD", skip_serializing_if = "spell::is_zero")]
    wants_recursion: bool,
    #[prost(bool, tag = "7")]
    #[serde(rename = "RA", skip_serializing_if = "spell::is_zero")]
    offers_recursion: bool,
    #[prost(uint32, tag = "8")]
    #[serde(rename = "z", skip_serializing_if = "spell::is_zero")]
    z: u32,
    #[prost(string, tag = "9")]
    #[serde(rename = "response_code", skip_serializing_if = "spell::is_zero")]
    response_code: String,
    #[prost(uint32, tag = "10")]
    #[serde(rename = "q_d_count", alias = "QDCount", skip_serializing_if = "spell::is_zero")]
    question_count: u32,
    #[prost(uint32, tag = "11")]
    #[serde(rename = "a_n_count", alias = "ANCount", skip_serializing_if = "spell::is_zero")]
    answer_count: u32,
    #[prost(uint32, tag = "12")]
    #[serde(rename = "n_s_count", alias = "NSCount", skip_serializing_if = "spell::is_zero")]
    authority_count: u32,
    #[prost(uint32, tag = "13")]
    #[serde(rename = "a_r_count", alias = "ARCount", skip_serializing_if = "spell::is_zero")]
    additional_count: u32,
    #[prost(message, repeated, tag = "14")]
    #[serde(rename = "questions", deserialize_with = "spell::list", skip_serializing_if = "Vec::is_empty")]
    questions: Vec<DnsQuestion>,
    #[prost(message, repeated, tag = "15")]
    #[serde(rename = "answers", deserialize_with = "spell::list", skip_serializing_if = "Vec::is_empty")]
    answers: Vec<DnsResourceRecord>,
    #[prost(message, repeated, tag = "16")]
    #[serde(rename = "authorities", deserialize_with = "spell::list", skip_serializing_if = "Vec::is_empty")]
    authorities: Vec<DnsResourceRecord>,
    #[prost(message, repeated, tag = "17")]
    #[serde(rename = "additionals", deserialize_with = "spell::list", skip_serializing_if = "Vec::is_empty")]
    additionals: Vec<DnsResourceRecord>,
    #[prost(message, tag = "18")]
    #[serde(rename = "timestamp", skip_serializing_if = "Option::is_none")]
    timestamp: Option<Timestamp>,
    #[prost(int64, optional, tag = "100")]
    #[serde(rename = "latency", skip_serializing_if = "Option::is_none")]
    latency: Option<i64>,
    #[prost(string, tag = "101")]
    #[serde(rename = "extent", skip_serializing_if = "spell::is_zero")]
    extent: String,
    #[prost(uint32, tag = "102")]
    #[serde(rename = "op_code_number", skip_serializing_if = "spell::is_zero")]
    op_code_number: u32,
    #[prost(uint32, tag = "103")]
    #[serde(rename = "response_code_number", skip_serializing_if = "spell::is_zero")]
    response_code_number: u32,
}

/// `google.protobuf.Timestamp`.
#[derive(Clone, Copy, PartialEq, prost::Message, Serialize, Deserialize)]
#[serde(default)]
struct Timestamp {
    #[prost(int64, tag = "1")]
    #[serde(rename = "seconds", skip_serializing_if = "spell::is_zero")]
    seconds: i64,
    #[prost(int32, tag = "2")]
    #[serde(rename = "nanos", skip_serializing_if = "spell::is_zero")]
    nanos: i32,
}

#[derive(Clone, PartialEq, prost::Message, Serialize, Deserialize)]
#[serde(default)]
struct DnsQuestion {
    #[prost(string, tag = "1")]
    #[serde(rename = "name", skip_serializing_if = "spell::is_zero")]
    name: String,
    #[prost(string, tag = "2")]
    #[serde(rename = "type", skip_serializing_if = "spell::is_zero")]
    kind: String,
    #[prost(string, tag = "3")]
    #[serde(rename = "class", skip_serializing_if = "spell::is_zero")]
    class: String,
    #[prost(uint32, tag = "100")]
    #[serde(rename = "type_number", skip_serializing_if = "spell::is_zero")]
    kind_number: u32,
    #[prost(uint32, tag = "101")]
    #[serde(rename = "class_number", skip_serializing_if = "spell::is_zero")]
    class_number: u32,
}

#[derive(Clone, PartialEq, prost::Message, Serialize, Deserialize)]
#[serde(default)]
struct DnsResourceRecord {
    #[prost(string, tag = "1")]
    #[serde(rename = "name", skip_serializing_if = "spell::is_zero")]
    name: String,
    #[prost(string, tag = "2")]
    #[serde(rename = "type", skip_serializing_if = "spell::is_zero")]
    kind: String,
    #[prost(string, tag = "3")]
    #[serde(rename = "class", skip_serializing_if = "spell::is_zero")]
    class: String,
    #[prost(uint32, tag = "4")]
    #[serde(rename = "TTL", skip_serializing_if = "spell::is_zero")]
    ttl: u32,
    #[prost(uint32, tag = "5")]
    #[serde(rename = "data_length", skip_serializing_if = "spell::is_zero")]
    data_length: u32,
    #[prost(string, tag = "6")]
    #[serde(rename = "IP", skip_serializing_if = "spell::is_zero")]
    ip: String,
    #[prost(string, tag = "7")]
    #[serde(rename = "NS", skip_serializing_if = "spell::is_zero")]
    ns: String,
    #[prost(string, tag = "8")]
    #[serde(rename = "c_name", alias = "CNAME", skip_serializing_if = "spell::is_zero")]
    cname: String,
    #[prost(string, tag = "9")]
    #[serde(rename = "PTR", skip_serializing_if = "spell::is_zero")]
    ptr: String,
    #[prost(string, repeated, tag = "10")]
    #[serde(rename = "TXTs", deserialize_with = "spell::list", skip_serializing_if = "Vec::is_empty")]
    texts: Vec<String>,
    #[prost(message, boxed, tag = "11")]
    #[serde(rename = "SOA", skip_serializing_if = "Option::is_none")]
    soa: Option<Box<DnsSoa>>,
    #[prost(message, boxed, tag = "12")]
    #[serde(rename = "SRV", skip_serializing_if = "Option::is_none")]
    srv: Option<Box<DnsSrv>>,
    #[prost(message, boxed, tag = "13")]
    #[serde(rename = "MX", skip_serializing_if = "Option::is_none")]
    mx: Option<Box<DnsMx>>,
    #[prost(message, repeated, tag = "14")]
    #[serde(rename = "OPT", deserialize_with = "spell::list", skip_serializing_if = "Vec::is_empty")]
    options: Vec<DnsOpt>,
    #[prost(uint32, tag = "100")]
    #[serde(rename = "type_number", skip_serializing_if = "spell::is_zero")]
    kind_number: u32,
    #[prost(uint32, tag = "101")]
    #[serde(rename = "class_number", skip_serializing_if = "spell::is_zero")]
    class_number: u32,
}

#[derive(Clone, PartialEq, prost::Message, Serialize, Deserialize)]
#[serde(default)]
struct DnsSoa {
    #[prost(string, tag = "1")]
    #[serde(rename = "m_name", alias = "MName", skip_serializing_if = "spell::is_zero")]
    primary: String,
    #[prost(string, tag = "2")]
    #[serde(rename = "r_name", alias = "RName", skip_serializing_if = "spell::is_zero")]
    mailbox: String,
    #[prost(uint32, tag = "3")]
    #[serde(rename = "serial", skip_serializing_if = "spell::is_zero")]
    serial: u32,
    #[prost(uint32, tag = "4")]
    #[serde(rename = "refresh", skip_serializing_if = "spell::is_zero")]
    refresh: u32,
    #[prost(uint32, tag = "5")]
    #[serde(rename = "retry", skip_serializing_if = "spell::is_zero")]
    retry: u32,
    #[prost(uint32, tag = "6")]
    #[serde(rename = "expire", skip_serializing_if = "spell::is_zero")]
    expire: u32,
    #[prost(uint32, tag = "7")]
    #[serde(rename = "minimum", skip_serializing_if = "spell::is_zero")]
    minimum: u32,
}

#[derive(Clone, PartialEq, prost::Message, Serialize, Deserialize)]
#[serde(default)]
struct DnsSrv {
    #[prost(uint32, tag = "1")]
    #[serde(rename = "priority", skip_serializing_if = "spell::is_zero")]
    priority: u32,
    #[prost(uint32, tag = "2")]
    #[serde(rename = "weight", skip_serializing_if = "spell::is_zero")]
    weight: u32,
    #[prost(uint32, tag = "3")]
    #[serde(rename = "port", skip_serializing_if = "spell::is_zero")]
    port: u32,
    #[prost(string, tag = "4")]
    #[serde(rename = "name", skip_serializing_if = "spell::is_zero")]
    name: String,
}

#[derive(Clone, PartialEq, prost::Message, Serialize, Deserialize)]
#[serde(default)]
struct DnsMx {
    #[prost(uint32, tag = "1")]
    #[serde(rename = "preference", skip_serializing_if = "spell::is_zero")]
    preference: u32,
    #[prost(string, tag = "2")]
    #[serde(rename = "name", skip_serializing_if = "spell::is_zero")]
    name: String,
}

#[derive(Clone, PartialEq, prost::Message, Serialize, Deserialize)]
#[serde(default)]
struct DnsOpt {
    #[prost(string, tag = "1")]
    #[serde(rename = "code", skip_serializing_if = "spell::is_zero")]
    code: String,
    #[prost(string, tag = "2")]
    #[serde(rename = "data", skip_serializing_if = "spell::is_zero")]
    data: String,
    #[prost(uint32, tag = "100")]
    #[serde(rename = "code_number", skip_serializing_if = "spell::is_zero")]
    code_number: u32,
}

const NANOS: i64 = 1_000_000_000;

/// Names of what is less than a whole message.
const CUT: &str = "cut";
const LIMITED: &str = "limited";

impl Dns {
    /// The message of a flow, with its time and the latency, which is nobody's without a message.
    pub(super) fn of(extra: &Extra) -> Option<Self> {
        let message = extra.dns.as_ref()?;
        let header = message.header;
        let (op_code, response_code) = (header.op_code(), message.response_code());
        Some(Self {
            id: header.id().into(),
            is_response: header.is_response(),
            op_code: op_code.name().into(),
            is_authoritative: header.is_authoritative(),
            is_truncated: header.is_truncated(),
            wants_recursion: header.wants_recursion(),
            offers_recursion: header.offers_recursion(),
            z: header.z().into(),
            response_code: response_code.name().into(),
            question_count: header.questions().into(),
            answer_count: header.answers().into(),
            authority_count: header.authorities().into(),
            additional_count: header.additionals().into(),
            questions: message.questions.iter().map(DnsQuestion::from).collect(),
            answers: message.answers.iter().map(DnsResourceRecord::from).collect(),
            authorities: message.authorities.iter().map(DnsResourceRecord::from).collect(),
            additionals: message.additionals.iter().map(DnsResourceRecord::from).collect(),
            timestamp: (extra.dns_at != 0).then(|| Timestamp {
                seconds: extra.dns_at.div_euclid(NANOS),
                nanos: extra.dns_at.rem_euclid(NANOS) as i32,
            }),
            latency: extra.dns_latency.map(count),
            extent: match message.extent {
                Extent::Whole => "",
                Extent::Cut => CUT,
                Extent::Limited => LIMITED,
            }
            .into(),
            op_code_number: unnamed(OpCode::from_name(op_code.name()), op_code.0),
            response_code_number: unnamed(ResponseCode::from_name(response_code.name()), response_code.0),
        })
    }

    /// Puts the message, its time and the latency back.
    pub(super) fn into_extra(self, extra: &mut Extra) -> Result<(), FlowError> {
        let at = self.timestamp.unwrap_or_default();
        extra.dns_at = at.seconds.saturating_mul(NANOS).saturating_add(at.nanos.into());
        extra.dns_latency = self.latency.map(|latency| u64::try_from(latency).unwrap_or(0));
        extra.dns = Some(self.into_message()?);
        Ok(())
    }

    fn into_message(self) -> Result<Message, FlowError> {
        let header = self.header()?;
        Ok(Message {
            header,
            questions: list(self.questions, DnsQuestion::into_question)?,
            answers: list(self.answers, DnsResourceRecord::into_record)?,
            authorities: list(self.authorities, DnsResourceRecord::into_record)?,
            additionals: list(self.additionals, DnsResourceRecord::into_record)?,
            extent: match self.extent.as_str() {
                CUT => Extent::Cut,
                LIMITED => Extent::Limited,
                _ => Extent::Whole,
            },
        })
    }

    /// The header as it lies in a packet, for that is what a message keeps of it.
    fn header(&self) -> Result<Header, FlowError> {
        let op_code = OpCode::from_name(&self.op_code).map_or(self.op_code_number, |code| code.0.into());
        // Bits above these four are in an OPT record.
        let response_code = ResponseCode::from_name(&self.response_code)
            .map_or(self.response_code_number, |code| code.0.into());
        let high = u8::from(self.is_response) << 7
            | narrow::<u8, _>("DNS.op_code", op_code)?.min(15) << 3
            | u8::from(self.is_authoritative) << 2
            | u8::from(self.is_truncated) << 1
            | u8::from(self.wants_recursion);
        let low = u8::from(self.offers_recursion) << 7
            | narrow::<u8, _>("DNS.z", self.z)?.min(7) << 4
            | (response_code & 15) as u8;
        let words = [
            narrow("DNS.ID", self.id)?,
            u16::from_be_bytes([high, low]),
            narrow("DNS.q_d_count", self.question_count)?,
            narrow("DNS.a_n_count", self.answer_count)?,
            narrow("DNS.n_s_count", self.authority_count)?,
            narrow("DNS.a_r_count", self.additional_count)?,
        ];
        let bytes: Vec<u8> = words.into_iter().flat_map(u16::to_be_bytes).collect();
        Ok(Header::parse(&bytes).expect("six words are the twelve bytes of a header"))
    }
}

/// The number of what has no name; 0 for what has one.
fn unnamed<T, N: Into<u32>>(named: Option<T>, number: N) -> u32 {
    if named.is_some() { 0 } else { number.into() }
}

fn list<W, T>(from: Vec<W>, into: fn(W) -> Result<T, FlowError>) -> Result<Vec<T>, FlowError> {
    if from.len() > spell::LIST_MAX {
        return Err(FlowError::TooMany { what: "records", max: spell::LIST_MAX });
    }
    from.into_iter().map(into).collect()
}

fn kind_of(name: &str, number: u32) -> Result<Kind, FlowError> {
    Ok(match Kind::from_name(name) {
        Some(kind) => kind,
        None => Kind(narrow("type_number", number)?),
    })
}

fn class_of(name: &str, number: u32) -> Result<Class, FlowError> {
    Ok(match Class::from_name(name) {
        Some(class) => class,
        None => Class(narrow("class_number", number)?),
    })
}

impl From<&Question> for DnsQuestion {
    fn from(question: &Question) -> Self {
        let Question { name, kind, class } = question;
        Self {
            name: name.to_string(),
            kind: kind.name().into(),
            class: class.name().into(),
            kind_number: unnamed(Kind::from_name(kind.name()), kind.0),
            class_number: unnamed(Class::from_name(class.name()), class.0),
        }
    }
}

impl DnsQuestion {
    fn into_question(self) -> Result<Question, FlowError> {
        Ok(Question {
            kind: kind_of(&self.kind, self.kind_number)?,
            class: class_of(&self.class, self.class_number)?,
            name: self.name.into(),
        })
    }
}

impl From<&Record> for DnsResourceRecord {
    fn from(record: &Record) -> Self {
        let Record { name, kind, class, ttl, data_length, data } = record;
        let mut wire = Self {
            name: name.to_string(),
            kind: kind.name().into(),
            class: class.name().into(),
            ttl: *ttl,
            data_length: (*data_length).into(),
            kind_number: unnamed(Kind::from_name(kind.name()), kind.0),
            class_number: unnamed(Class::from_name(class.name()), class.0),
            ..Self::default()
        };
        match data {
            Rdata::Empty => {}
            Rdata::Ipv4(address) => wire.ip = address.to_string(),
            Rdata::Ipv6(address) => wire.ip = address.to_string(),
            Rdata::Name(name) => match *kind {
                Kind::NS => wire.ns = name.to_string(),
                Kind::CNAME => wire.cname = name.to_string(),
                _ => wire.ptr = name.to_string(),
            },
            Rdata::Soa(soa) => wire.soa = Some(Box::new(DnsSoa::from(&**soa))),
            Rdata::Srv(srv) => {
                wire.srv = Some(Box::new(DnsSrv {
                    priority: srv.priority.into(),
                    weight: srv.weight.into(),
                    port: srv.port.into(),
                    name: srv.name.to_string(),
                }));
            }
            Rdata::Mx { preference, name } => {
                let (preference, name) = (u32::from(*preference), name.to_string());
                wire.mx = Some(Box::new(DnsMx { preference, name }));
            }
            Rdata::Texts(texts) => wire.texts = texts.iter().map(ToString::to_string).collect(),
            Rdata::Options(options) => wire.options = options.iter().map(DnsOpt::from).collect(),
        }
        wire
    }
}

impl DnsResourceRecord {
    fn into_record(mut self) -> Result<Record, FlowError> {
        let kind = kind_of(&self.kind, self.kind_number)?;
        Ok(Record {
            kind,
            class: class_of(&self.class, self.class_number)?,
            ttl: self.ttl,
            data_length: narrow("data_length", self.data_length)?,
            data: self.data(kind)?,
            name: self.name.into(),
        })
    }

    /// What a record of that kind tells; nothing when its member is not there.
    fn data(&mut self, kind: Kind) -> Result<Rdata, FlowError> {
        let is_empty = self.data_length == 0;
        let name = |name: &mut String| match std::mem::take(name) {
            name if name.is_empty() && is_empty => Rdata::Empty,
            name => Rdata::Name(name.into()),
        };
        Ok(match kind {
            Kind::A => match self.address()? {
                Some(IpAddr::V4(address)) => Rdata::Ipv4(address),
                Some(IpAddr::V6(_)) => return Err(FlowError::field("IP", &self.ip)),
                None => Rdata::Empty,
            },
            Kind::AAAA => match self.address()? {
                Some(address) => Rdata::Ipv6(six(address)),
                None => Rdata::Empty,
            },
            Kind::NS => name(&mut self.ns),
            Kind::CNAME => name(&mut self.cname),
            Kind::PTR => name(&mut self.ptr),
            Kind::SOA => self.soa.take().map_or(Rdata::Empty, |soa| Rdata::Soa(Box::new((*soa).into()))),
            Kind::SRV => match self.srv.take() {
                Some(srv) => Rdata::Srv(srv.into_srv()?),
                None => Rdata::Empty,
            },
            Kind::MX => match self.mx.take() {
                Some(mx) => {
                    let preference = narrow("MX.preference", mx.preference)?;
                    Rdata::Mx { preference, name: mx.name.into() }
                }
                None => Rdata::Empty,
            },
            Kind::OPT => {
                let options = std::mem::take(&mut self.options);
                Rdata::Options(list(options, DnsOpt::into_option)?.into())
            }
            Kind::TXT | Kind::HINFO if !self.texts.is_empty() => {
                let texts = std::mem::take(&mut self.texts);
                Rdata::Texts(list(texts, |text| Ok(text.into()))?.into())
            }
            _ => Rdata::Empty,
        })
    }

    fn address(&self) -> Result<Option<IpAddr>, FlowError> {
        if self.ip.is_empty() {
            return Ok(None);
        }
        self.ip.parse().map(Some).map_err(|_| FlowError::field("IP", &self.ip))
    }
}

/// An address of version 6. The original writes those that hold one of version 4 as that.
pub(super) fn six(address: IpAddr) -> Ipv6Addr {
    match address {
        IpAddr::V6(address) => address,
        IpAddr::V4(address) => Ipv4Addr::to_ipv6_mapped(&address),
    }
}

impl From<&Soa> for DnsSoa {
    fn from(soa: &Soa) -> Self {
        let Soa { primary, mailbox, serial, refresh, retry, expire, minimum } = soa;
        Self {
            primary: primary.to_string(),
            mailbox: mailbox.to_string(),
            serial: *serial,
            refresh: *refresh,
            retry: *retry,
            expire: *expire,
            minimum: *minimum,
        }
    }
}

impl From<DnsSoa> for Soa {
    fn from(soa: DnsSoa) -> Self {
        let DnsSoa { primary, mailbox, serial, refresh, retry, expire, minimum } = soa;
        let (primary, mailbox) = (primary.into(), mailbox.into());
        Self { primary, mailbox, serial, refresh, retry, expire, minimum }
    }
}

impl DnsSrv {
    fn into_srv(self) -> Result<Srv, FlowError> {
        Ok(Srv {
            priority: narrow("SRV.priority", self.priority)?,
            weight: narrow("SRV.weight", self.weight)?,
            port: narrow("SRV.port", self.port)?,
            name: self.name.into(),
        })
    }
}

impl From<&EdnsOption> for DnsOpt {
    fn from(option: &EdnsOption) -> Self {
        let mut data = String::with_capacity(option.data.len() * 2);
        for byte in &option.data {
            let _ = write!(data, "{byte:02x}");
        }
        let code_number = unnamed(OptionCode::from_name(option.code.name()), option.code.0);
        Self { code: option.code.name().into(), data, code_number }
    }
}

impl DnsOpt {
    fn into_option(self) -> Result<EdnsOption, FlowError> {
        let code = match OptionCode::from_name(&self.code) {
            Some(code) => code,
            None => OptionCode(narrow("code_number", self.code_number)?),
        };
        // The original means the bytes themselves.
        let data = from_hex(&self.data).unwrap_or_else(|| self.data.into_bytes());
        Ok(EdnsOption { code, data: data.into() })
    }
}

fn from_hex(text: &str) -> Option<Vec<u8>> {
    let digit = |byte: u8| (byte as char).to_digit(16);
    let (pairs, []) = text.as_bytes().as_chunks::<2>() else { return None };
    pairs.iter().map(|[high, low]| Some((digit(*high)? << 4 | digit(*low)?) as u8)).collect()
}
