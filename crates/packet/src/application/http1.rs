//! The first line of HTTP/1 messages, [RFC 9112](https://www.rfc-editor.org/rfc/rfc9112), and the host asked for.
//!
//! A message is read as far as it lies in one payload, at most [`MAX_HEAD`] bytes of it. What a line holds is not
//! judged: targets and hosts are the bytes that were sent, see [`Text`](super::Text).

/// What a client asks for.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Request<'a> {
    /// What to do with the target.
    pub method: &'a str,
    /// What is asked for: mostly a path with a query, the whole address to a proxy.
    pub target: &'a [u8],
    /// Whether the target goes on behind these bytes.
    pub is_cut: bool,
    /// The digit behind `HTTP/1.`, unless the line was cut before it.
    pub minor: Option<u8>,
    /// The first `Host` field, if it is in the payload with all its line.
    pub host: Option<&'a [u8]>,
}

/// What a server answers.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Response {
    /// The digit behind `HTTP/1.`.
    pub minor: u8,
    /// The status, 100 to 599 by the standard, and 999 at most.
    pub status: u16,
}

/// Bytes of a first line that are looked at. RFC 9112 section 3 asks for 8000 at least.
pub const MAX_LINE: usize = 8 << 10;
/// Bytes of a payload that are looked at.
pub const MAX_HEAD: usize = 16 << 10;
/// Longer than all registered ones.
const MAX_METHOD: usize = 20;

/// Whether the payload of a TCP segment begins with a well-known method.
/// <https://www.iana.org/assignments/http-methods/http-methods.xhtml>
#[inline]
pub fn is_request(payload: &[u8]) -> bool {
    payload.first_chunk().is_some_and(|first: &[u8; 4]| {
        matches!(
            first,
            b"GET " | b"POST" | b"PUT " | b"HEAD" | b"DELE" | b"OPTI" | b"PATC" | b"CONN" | b"TRAC"
            // Of WebDAV and its relatives.
            | b"PROP" | b"MKCO" | b"COPY" | b"MOVE" | b"LOCK" | b"UNLO" | b"REPO" | b"SEAR" | b"ACL "
            // Of UPnP.
            | b"SUBS" | b"UNSU" | b"NOTI" | b"M-SE"
        )
    })
}

/// Whether the payload of a TCP segment begins with a status line.
#[inline]
pub fn is_response(payload: &[u8]) -> bool {
    payload.starts_with(b"HTTP/1.")
}

impl<'a> Request<'a> {
    /// Reads the request that a payload begins with. A line that is not whole is believed if [`is_request`], a whole
    /// one with any method. What HTTP/2 begins with is no request of HTTP/1.
    pub fn parse(payload: &'a [u8]) -> Option<Self> {
        let head = payload.get(..MAX_HEAD).unwrap_or(payload);
        let start = head.get(..MAX_LINE).unwrap_or(head);
        let (line, fields) = match split_line(start) {
            Some((line, _)) => (line, split_line(head).map(|(_, fields)| fields)),
            None => (start, None),
        };
        let method = line.get(..=MAX_METHOD).unwrap_or(line).split(|byte| *byte == b' ').next()?;
        let rest = line.get(method.len()..)?.strip_prefix(b" ")?;
        if method.is_empty() || !method.iter().all(|byte| is_token(*byte)) {
            return None;
        }
        let method = str::from_utf8(method).ok()?;
        let Some(fields) = fields else {
            if !is_request(payload) {
                return None;
            }
            let mut words = rest.split(|byte| *byte == b' ');
            let target = words.next()?;
            let version = words.next();
            let minor = version.and_then(minor);
            return Some(Self { method, target, is_cut: version.is_none(), minor, host: None });
        };
        // Some clients forget to encode blanks: the target is all before the last one.
        let blank = rest.iter().rposition(|byte| *byte == b' ')?;
        let (target, version) = rest.split_at_checked(blank)?;
        let minor = minor(version.strip_prefix(b" ")?)?;
        (!target.is_empty()).then(|| Self {
            method,
            target,
            is_cut: false,
            minor: Some(minor),
            host: host(fields),
        })
    }
}

impl Response {
    /// Reads the status line that a payload begins with.
    pub fn parse(payload: &[u8]) -> Option<Self> {
        let (line, rest) = payload.split_first_chunk::<12>()?;
        let (version, status) = line.split_first_chunk::<9>()?;
        let (b' ', version) = version.split_last()? else { return None };
        let mut number = 0;
        for digit in status {
            number = 10 * number + u16::from(digit.is_ascii_digit().then(|| digit - b'0')?);
        }
        // Behind the status is a blank, which some forget when there is no reason to give.
        matches!(rest, [] | [b' ' | b'\r' | b'\n', ..]).then_some(())?;
        Some(Self { minor: minor(version)?, status: number })
    }
}

/// The digit of `HTTP/1.x`.
fn minor(version: &[u8]) -> Option<u8> {
    match version.strip_prefix(b"HTTP/1.")? {
        [digit @ b'0'..=b'9'] => Some(digit - b'0'),
        _ => None,
    }
}

/// The first line without its end, and what follows; nothing if it has no end.
fn split_line(bytes: &[u8]) -> Option<(&[u8], &[u8])> {
    let end = bytes.iter().position(|byte| *byte == b'\n')?;
    let (line, rest) = bytes.split_at_checked(end)?;
    Some((line.strip_suffix(b"\r").unwrap_or(line), rest.get(1..)?))
}

/// The value of the first `Host` field.
fn host(fields: &[u8]) -> Option<&[u8]> {
    const NAME: &[u8; 5] = b"host:";
    let mut fields = fields;
    while let Some((line, rest)) = split_line(fields)
        && !line.is_empty()
    {
        if let Some((name, value)) = line.split_first_chunk::<{ NAME.len() }>()
            && name.eq_ignore_ascii_case(NAME)
        {
            return Some(value.trim_ascii());
        }
        fields = rest;
    }
    None
}

/// Characters of a method, RFC 9110 section 5.6.2.
const fn is_token(byte: u8) -> bool {
    byte.is_ascii_alphanumeric()
        || matches!(byte, b'!' | b'#'..=b'\'' | b'*' | b'+' | b'-' | b'.' | b'^'..=b'`' | b'|' | b'~')
}
