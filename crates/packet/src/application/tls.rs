//! The first message of each side of TLS, versions 1.0 ([RFC 2246](https://www.rfc-editor.org/rfc/rfc2246)) to 1.3
//! ([RFC 8446](https://www.rfc-editor.org/rfc/rfc8446)): they are clear, and say whom a client wants to speak to.
//!
//! A message is read as far as it lies in the payload's first record; clients that offer large keys send more than a
//! segment. What was cut off is not waited for: [`ClientHello::is_cut`] says that there was more.

use super::cursor::Cursor;

/// What a client offers.
#[derive(Clone, Copy, Debug)]
pub struct ClientHello<'a> {
    version: Version,
    ciphers: &'a [u8],
    extensions: &'a [u8],
    server_name: Option<&'a [u8]>,
    protocols: &'a [u8],
    versions: &'a [u8],
    cut: bool,
}

/// What a server chose.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct ServerHello<'a> {
    /// The version spoken.
    pub version: Version,
    /// Number of the cipher suite, see
    /// <https://www.iana.org/assignments/tls-parameters/tls-parameters.xhtml#tls-parameters-4>.
    pub cipher: u16,
    /// Protocol spoken inside, from ALPN. Version 1.3 encrypts it.
    pub protocol: Option<&'a [u8]>,
    /// Not the choice yet: the client shall offer again.
    pub is_retry: bool,
}

/// A version as it is sent; later ones are greater.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct Version(pub u16);

/// An extension of a message.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Extension<'a> {
    /// Which one, see [`extension`].
    pub kind: u16,
    /// What it says.
    pub value: &'a [u8],
}

/// The extensions of a message in the order they lie in. They end where one is not whole.
#[derive(Clone, Debug)]
pub struct Extensions<'a>(Cursor<'a>);

/// Numbers of extensions.
pub mod extension {
    /// Name of the server, [RFC 6066 section 3](https://www.rfc-editor.org/rfc/rfc6066#section-3).
    pub const SERVER_NAME: u16 = 0;
    /// Protocols inside, [RFC 7301](https://www.rfc-editor.org/rfc/rfc7301).
    pub const PROTOCOLS: u16 = 16;
    /// Versions from 1.3 on, RFC 8446 section 4.2.1.
    pub const VERSIONS: u16 = 43;
}

/// Why there is no message.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
pub enum TlsError {
    /// The payload begins with something else.
    #[error("another message")]
    Other,
    /// The bytes end before anything worth telling.
    #[error("the message is cut")]
    Incomplete,
    /// Lengths that contradict each other.
    #[error("lengths that contradict each other")]
    Malformed,
}

const HANDSHAKE: u8 = 22;
const CLIENT_HELLO: u8 = 1;
const SERVER_HELLO: u8 = 2;
/// Bytes of a record's header and of a message's.
const RECORD_LEN: usize = 5;
const MESSAGE_LEN: usize = 4;
const RANDOM_LEN: usize = 32;
const MAX_SESSION_LEN: usize = 32;

/// The random number that makes a server's choice a request to offer again, RFC 8446 section 4.1.3.
const RETRY: [u8; RANDOM_LEN] = [
    0xcf, 0x21, 0xad, 0x74, 0xe5, 0x9a, 0x61, 0x11, 0xbe, 0x1d, 0x8c, 0x02, 0x1e, 0x65, 0xb8, 0x91, 0xc2,
    0xa2, 0x11, 0x16, 0x7a, 0xbb, 0x8c, 0x5e, 0x07, 0x9e, 0x09, 0xe2, 0xc8, 0xa8, 0x33, 0x9c,
];

/// Whether the payload of a TCP segment begins with the first message of a client.
#[inline]
pub fn is_client_hello(payload: &[u8]) -> bool {
    begins(payload, CLIENT_HELLO)
}

/// Whether the payload of a TCP segment begins with the first message of a server.
#[inline]
pub fn is_server_hello(payload: &[u8]) -> bool {
    begins(payload, SERVER_HELLO)
}

/// A record of a handshake of version 3.0 (which is SSL) to 3.4, and in it the message `kind` shorter than 64 KiB,
/// as these messages are.
#[inline]
fn begins(payload: &[u8], kind: u8) -> bool {
    matches!(payload, [HANDSHAKE, 3, 0..=4, _, _, message, 0, ..] if *message == kind)
}

/// Whether a number is one of those that clients offer without meaning, so that servers get used to numbers they do
/// not know, [RFC 8701](https://www.rfc-editor.org/rfc/rfc8701).
#[inline]
pub const fn is_grease(number: u16) -> bool {
    number & 0x0f0f == 0x0a0a && number >> 8 == number & 0xff
}

impl<'a> ClientHello<'a> {
    /// Reads the message that the payload of a TCP segment begins with.
    pub fn parse(payload: &'a [u8]) -> Result<Self, TlsError> {
        let (mut body, cut) = message(payload, CLIENT_HELLO)?;
        // Numbers that are missing are a matter of the cut, unless there was none.
        let missing = if cut { TlsError::Incomplete } else { TlsError::Malformed };
        let version = Version(body.u16().ok_or(missing)?);
        body.take(RANDOM_LEN).ok_or(missing)?;
        let session = body.counted_u8().ok_or(missing)?;
        let ciphers = body.counted_u16().ok_or(missing)?;
        if session.len() > MAX_SESSION_LEN || ciphers.len() % 2 != 0 {
            return Err(TlsError::Malformed);
        }
        let compression_is_there = body.counted_u8().is_some();
        let extensions = match extensions(body, cut) {
            Ok(extensions) if compression_is_there => extensions,
            _ if cut => &[],
            _ => return Err(TlsError::Malformed),
        };
        let mut hello =
            Self { version, ciphers, extensions, server_name: None, protocols: &[], versions: &[], cut };
        for Extension { kind, value } in hello.extensions() {
            match kind {
                extension::SERVER_NAME => hello.server_name = hello.server_name.or(host_name(value)),
                extension::PROTOCOLS => hello.protocols = Cursor(value).counted_u16().unwrap_or_default(),
                extension::VERSIONS => hello.versions = Cursor(value).counted_u8().unwrap_or_default(),
                _ => {}
            }
        }
        Ok(hello)
    }

    /// Name of the server that the client wants, as sent: nobody checked that it is text, see
    /// [`Text`](super::Text).
    pub fn server_name(&self) -> Option<&'a [u8]> {
        self.server_name
    }

    /// Protocols that the client would speak inside, the one it likes best first.
    pub fn protocols(&self) -> impl Iterator<Item = &'a [u8]> + use<'a> {
        let mut list = Cursor(self.protocols);
        std::iter::from_fn(move || list.counted_u8())
    }

    /// Versions offered, as sent.
    pub fn versions(&self) -> impl Iterator<Item = Version> + use<'a> {
        // Clients that do not list versions offer all up to the one that all name.
        let only = self.versions.is_empty().then_some(self.version);
        numbers(self.versions).map(Version).chain(only)
    }

    /// The latest version offered.
    pub fn latest_version(&self) -> Version {
        self.versions().filter(|version| !is_grease(version.0)).max().unwrap_or(self.version)
    }

    /// Cipher suites offered, as sent.
    pub fn ciphers(&self) -> impl Iterator<Item = u16> + use<'a> {
        numbers(self.ciphers)
    }

    /// Number of cipher suites offered, without those without meaning.
    pub fn cipher_count(&self) -> usize {
        self.ciphers().filter(|cipher| !is_grease(*cipher)).count()
    }

    /// All extensions that are there.
    pub fn extensions(&self) -> Extensions<'a> {
        Extensions(Cursor(self.extensions))
    }

    /// Whether there was more of it than the payload has: what is missing here may have been there.
    pub fn is_cut(&self) -> bool {
        self.cut
    }
}

impl<'a> ServerHello<'a> {
    /// Reads the message that the payload of a TCP segment begins with.
    pub fn parse(payload: &'a [u8]) -> Result<Self, TlsError> {
        let (mut body, cut) = message(payload, SERVER_HELLO)?;
        let missing = if cut { TlsError::Incomplete } else { TlsError::Malformed };
        let version = Version(body.u16().ok_or(missing)?);
        let random = body.array::<RANDOM_LEN>().ok_or(missing)?;
        let session = body.counted_u8().ok_or(missing)?;
        let cipher = body.u16().ok_or(missing)?;
        let _compression = body.u8().ok_or(missing)?;
        if session.len() > MAX_SESSION_LEN {
            return Err(TlsError::Malformed);
        }
        let mut hello = Self { version, cipher, protocol: None, is_retry: *random == RETRY };
        for Extension { kind, value } in Extensions(Cursor(extensions(body, cut)?)) {
            match kind {
                extension::PROTOCOLS => {
                    hello.protocol = Cursor(value).counted_u16().and_then(|list| Cursor(list).counted_u8());
                }
                extension::VERSIONS => {
                    hello.version = Cursor(value).u16().map_or(hello.version, Version);
                }
                _ => {}
            }
        }
        // A version that was not read would be taken for 1.2, which all claim to be.
        if cut { Err(TlsError::Incomplete) } else { Ok(hello) }
    }
}

impl Version {
    /// The name, `Unknown` if it has none.
    pub const fn name(self) -> &'static str {
        match self.0 {
            0x0300 => "SSL 3.0",
            0x0301 => "TLS 1.0",
            0x0302 => "TLS 1.1",
            0x0303 => "TLS 1.2",
            0x0304 => "TLS 1.3",
            _ => "Unknown",
        }
    }
}

impl<'a> Iterator for Extensions<'a> {
    type Item = Extension<'a>;

    #[inline]
    fn next(&mut self) -> Option<Self::Item> {
        let kind = self.0.u16()?;
        let value = self.0.counted_u16()?;
        Some(Extension { kind, value })
    }
}

/// The body of the message, as far as it is in the first record, and whether there was more.
fn message(payload: &[u8], kind: u8) -> Result<(Cursor<'_>, bool), TlsError> {
    if !begins(payload, kind) {
        // The first bytes of one are no other message.
        let start = [HANDSHAKE, 3].iter().zip(payload).all(|(wanted, byte)| wanted == byte);
        let short = payload.len() < RECORD_LEN + MESSAGE_LEN;
        let same = payload.get(RECORD_LEN).is_none_or(|message| *message == kind);
        return Err(if start && short && same { TlsError::Incomplete } else { TlsError::Other });
    }
    let mut bytes = Cursor(payload);
    let (Some([_, _, _, high, low]), Some([_, len @ ..])) =
        (bytes.array::<RECORD_LEN>(), bytes.array::<MESSAGE_LEN>())
    else {
        return Err(TlsError::Incomplete);
    };
    let record = usize::from(u16::from_be_bytes([*high, *low]));
    let record = record.checked_sub(MESSAGE_LEN).ok_or(TlsError::Malformed)?;
    let [a, b, c] = *len;
    let len = u32::from_be_bytes([0, a, b, c]) as usize;
    let there = len.min(record).min(bytes.0.len());
    Ok((Cursor(bytes.take(there).unwrap_or_default()), there < len))
}

/// The extensions that end a message; old ones have none. If the message is whole, so must they be.
fn extensions(mut body: Cursor<'_>, cut: bool) -> Result<&[u8], TlsError> {
    if body.is_empty() {
        return Ok(&[]);
    }
    let Some(len) = body.u16() else {
        return if cut { Ok(&[]) } else { Err(TlsError::Malformed) };
    };
    let there = usize::from(len).min(body.0.len());
    if there < usize::from(len) && !cut {
        return Err(TlsError::Malformed);
    }
    let list = body.take(there).unwrap_or_default();
    if !cut {
        let mut rest = Extensions(Cursor(list));
        while rest.next().is_some() {}
        if !rest.0.is_empty() {
            return Err(TlsError::Malformed);
        }
    }
    Ok(list)
}

/// The first name of a host in a list of names.
fn host_name(value: &[u8]) -> Option<&[u8]> {
    const HOST_NAME: u8 = 0;
    let mut list = Cursor(Cursor(value).counted_u16()?);
    while let Some(kind) = list.u8() {
        let name = list.counted_u16()?;
        if kind == HOST_NAME {
            return (!name.is_empty()).then_some(name);
        }
    }
    None
}

fn numbers(list: &[u8]) -> impl Iterator<Item = u16> + use<'_> {
    list.as_chunks().0.iter().map(|bytes| u16::from_be_bytes(*bytes))
}
