//! DHCP for IPv4, [RFC 2131](https://www.rfc-editor.org/rfc/rfc2131), and its options,
//! [RFC 2132](https://www.rfc-editor.org/rfc/rfc2132).

use std::net::Ipv4Addr;

use super::cursor::Cursor;
use crate::wire::{bytes, u8_at, u16_at, u32_at};

/// Bytes before the options.
const FIXED_LEN: usize = 240;
/// What tells DHCP from BOOTP, at the end of the fixed part.
const COOKIE: [u8; 4] = [0x63, 0x82, 0x53, 0x63];

/// A message, read in place.
#[derive(Clone, Copy, Debug)]
pub struct Message<'a> {
    fixed: &'a [u8; FIXED_LEN],
    options: &'a [u8],
}

/// Numbers of options.
pub mod option {
    /// Name of the client.
    pub const HOST_NAME: u8 = 12;
    /// Address that the client would like.
    pub const REQUESTED_ADDRESS: u8 = 50;
    /// Seconds that an address is lent for.
    pub const LEASE_TIME: u8 = 51;
    /// Which of the fields `file` (1) and `sname` (2) hold options.
    pub const OVERLOAD: u8 = 52;
    /// What a message is for.
    pub const MESSAGE_TYPE: u8 = 53;
    /// Address of the server meant.
    pub const SERVER: u8 = 54;
    /// Full name of the client, RFC 4702.
    pub const CLIENT_FQDN: u8 = 81;
}

/// What a message is for.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub struct MessageType(pub u8);

/// An option.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct DhcpOption<'a> {
    /// Which one, see [`option`].
    pub code: u8,
    /// What it says.
    pub value: &'a [u8],
}

/// The options of a message in the order they lie in, at most one for every two bytes.
#[derive(Clone, Debug)]
pub struct Options<'a> {
    left: Cursor<'a>,
    /// The fields that hold options too, or may once `OVERLOAD` says so.
    file: &'a [u8],
    server_name: &'a [u8],
    overload: u8,
}

/// Whether a payload is a request or a response with the cookie of DHCP.
#[inline]
pub fn looks_like(payload: &[u8]) -> bool {
    Message::parse(payload).is_some()
}

impl<'a> Message<'a> {
    /// A view of the message that `payload` begins with, if it is one: at least 240 bytes with the cookie.
    #[inline]
    pub fn parse(payload: &'a [u8]) -> Option<Self> {
        let (fixed, options) = payload.split_first_chunk()?;
        let message = Self { fixed, options };
        (matches!(message.operation(), 1 | 2) && bytes::<236, 4, _>(fixed) == COOKIE).then_some(message)
    }

    /// 1 for a request of a client, 2 for a response of a server.
    #[inline]
    pub fn operation(self) -> u8 {
        u8_at::<0, _>(self.fixed)
    }

    /// Kind of hardware address, 1 for Ethernet.
    #[inline]
    pub fn hardware_type(self) -> u8 {
        u8_at::<1, _>(self.fixed)
    }

    /// Bytes of a hardware address as the message says, be it possible or not.
    #[inline]
    pub fn hardware_len(self) -> u8 {
        u8_at::<2, _>(self.fixed)
    }

    /// Relays it came by; flows call this `hardware_opts`.
    #[inline]
    pub fn hops(self) -> u8 {
        u8_at::<3, _>(self.fixed)
    }

    /// Number that the messages of one exchange share.
    #[inline]
    pub fn transaction(self) -> u32 {
        u32_at::<4, _>(self.fixed)
    }

    /// Seconds since the client began to ask.
    #[inline]
    pub fn seconds(self) -> u16 {
        u16_at::<8, _>(self.fixed)
    }

    /// 0x8000: answer by broadcast. The rest is reserved.
    #[inline]
    pub fn flags(self) -> u16 {
        u16_at::<10, _>(self.fixed)
    }

    /// Address that the client has and uses, or unspecified.
    #[inline]
    pub fn client_address(self) -> Ipv4Addr {
        bytes::<12, 4, _>(self.fixed).into()
    }

    /// Address that the server gives, or unspecified.
    #[inline]
    pub fn your_address(self) -> Ipv4Addr {
        bytes::<16, 4, _>(self.fixed).into()
    }

    /// Address of the server to boot from, or unspecified.
    #[inline]
    pub fn next_server(self) -> Ipv4Addr {
        bytes::<20, 4, _>(self.fixed).into()
    }

    /// Address of the first relay, or unspecified.
    #[inline]
    pub fn relay_address(self) -> Ipv4Addr {
        bytes::<24, 4, _>(self.fixed).into()
    }

    /// Hardware address of the client, as many bytes as it has, up to 16.
    #[inline]
    pub fn hardware_address(self) -> &'a [u8] {
        let field: &[u8] = self.field(28, 16);
        field.get(..usize::from(self.hardware_len())).unwrap_or(field)
    }

    /// Name of the server to boot from, all 64 bytes with the zeros behind it; or options, see
    /// [`option::OVERLOAD`].
    #[inline]
    pub fn server_name(self) -> &'a [u8] {
        self.field(44, 64)
    }

    /// Name of the file to boot, all 128 bytes with the zeros behind it; or options, see [`option::OVERLOAD`].
    #[inline]
    pub fn file(self) -> &'a [u8] {
        self.field(108, 128)
    }

    /// The options, and those in `file` and `sname` if these hold any. They end where one is marked as the last, or
    /// is not whole.
    pub fn options(self) -> Options<'a> {
        Options {
            left: Cursor(self.options),
            file: self.file(),
            server_name: self.server_name(),
            overload: 0,
        }
    }

    /// The value of the first option of that number.
    pub fn option(self, code: u8) -> Option<&'a [u8]> {
        self.options().find(|option| option.code == code).map(|option| option.value)
    }

    /// What the message is for.
    pub fn message_type(self) -> Option<MessageType> {
        self.option(option::MESSAGE_TYPE)?.first().copied().map(MessageType)
    }

    /// Name that the client has for itself.
    pub fn host_name(self) -> Option<&'a [u8]> {
        self.option(option::HOST_NAME).map(until_zero)
    }

    /// Address that the client would like.
    pub fn requested_address(self) -> Option<Ipv4Addr> {
        address(self.option(option::REQUESTED_ADDRESS)?)
    }

    /// Seconds that the address is lent for, all ones for ever.
    pub fn lease_time(self) -> Option<u32> {
        self.option(option::LEASE_TIME)?.try_into().ok().map(u32::from_be_bytes)
    }

    /// Address of the server that answers, or of the one that the client chose.
    pub fn server(self) -> Option<Ipv4Addr> {
        address(self.option(option::SERVER)?)
    }

    #[inline]
    fn field(self, at: usize, len: usize) -> &'a [u8] {
        self.fixed.get(at..at + len).unwrap_or_default()
    }
}

/// The part of a fixed field before its zeros.
pub fn until_zero(field: &[u8]) -> &[u8] {
    field.split(|byte| *byte == 0).next().unwrap_or_default()
}

fn address(value: &[u8]) -> Option<Ipv4Addr> {
    let octets: [u8; 4] = value.try_into().ok()?;
    Some(octets.into())
}

impl MessageType {
    /// The name in RFC 2132 without its prefix, `Unknown` if it has none.
    pub const fn name(self) -> &'static str {
        match self.0 {
            1 => "DISCOVER",
            2 => "OFFER",
            3 => "REQUEST",
            4 => "DECLINE",
            5 => "ACK",
            6 => "NAK",
            7 => "RELEASE",
            8 => "INFORM",
            _ => "Unknown",
        }
    }
}

const PAD: u8 = 0;
const END: u8 = 255;
const OVERLOAD_FILE: u8 = 1;
const OVERLOAD_SERVER_NAME: u8 = 2;

impl<'a> Iterator for Options<'a> {
    type Item = DhcpOption<'a>;

    fn next(&mut self) -> Option<Self::Item> {
        loop {
            match self.left.u8() {
                Some(PAD) => {}
                Some(END) | None => self.left = Cursor(self.next_field()?),
                Some(code) => {
                    // One that is not whole is the last, here and in the other fields.
                    let Some(value) = self.left.counted_u8() else {
                        (self.left, self.overload) = (Cursor(&[]), 0);
                        return None;
                    };
                    if code == option::OVERLOAD {
                        self.overload |= value.first().copied().unwrap_or_default();
                    }
                    return Some(DhcpOption { code, value });
                }
            }
        }
    }
}

impl<'a> Options<'a> {
    /// The next field that holds options, first `file`, then `sname`, each once.
    fn next_field(&mut self) -> Option<&'a [u8]> {
        for (bit, field) in [(OVERLOAD_FILE, &mut self.file), (OVERLOAD_SERVER_NAME, &mut self.server_name)] {
            if self.overload & bit != 0 && !field.is_empty() {
                return Some(std::mem::take(field));
            }
        }
        None
    }
}
