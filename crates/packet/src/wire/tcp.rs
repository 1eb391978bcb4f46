//! TCP, [RFC 9293](https://www.rfc-editor.org/rfc/rfc9293).

use super::{u8_at, u16_at, u32_at};

/// The fixed 20 bytes of a header.
#[derive(Clone, Copy, Debug)]
pub struct Tcp<'a>(&'a [u8; Tcp::LEN]);

/// The flags of a segment.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, Default)]
pub struct Flags(pub u8);

/// The options of a header, up to its end or the first that is damaged.
#[derive(Clone, Debug)]
pub struct Options<'a>(&'a [u8]);

/// One option.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum TcpOption<'a> {
    /// The largest segment the sender takes.
    MaxSegment(u16),
    /// By how many bits windows are to be shifted ([RFC 7323](https://www.rfc-editor.org/rfc/rfc7323)), as sent: a
    /// receiver uses at most 14.
    WindowScale(u8),
    /// Selective acknowledgements are understood ([RFC 2018](https://www.rfc-editor.org/rfc/rfc2018)).
    SackPermitted,
    /// The blocks received out of order, 8 bytes each.
    Sack(&'a [u8]),
    /// The sender's clock, and the one it heard last.
    Timestamps {
        /// Clock of the sender.
        value: u32,
        /// What it heard; of no meaning without an ACK.
        echo: u32,
    },
    /// Any other.
    Other {
        /// Its number.
        kind: u8,
        /// What it carries.
        value: &'a [u8],
    },
}

impl<'a> Tcp<'a> {
    /// Bytes of a header without options.
    pub const LEN: usize = 20;

    /// A view of the header that `bytes` begin with.
    #[inline]
    pub fn parse(bytes: &'a [u8]) -> Option<Self> {
        bytes.first_chunk().map(Self)
    }

    /// Port of the sender.
    #[inline]
    pub fn source(self) -> u16 {
        u16_at::<0, _>(self.0)
    }

    /// Port it goes to.
    #[inline]
    pub fn destination(self) -> u16 {
        u16_at::<2, _>(self.0)
    }

    /// Place of the payload's first byte, or of the SYN.
    #[inline]
    pub fn sequence(self) -> u32 {
        u32_at::<4, _>(self.0)
    }

    /// The byte expected next; of no meaning without [`Flags::ACK`].
    #[inline]
    pub fn acknowledgement(self) -> u32 {
        u32_at::<8, _>(self.0)
    }

    /// Bytes of the header with its options; less than 20 only in a malformed one.
    #[inline]
    pub fn header_len(self) -> usize {
        usize::from(u8_at::<12, _>(self.0) >> 4) * 4
    }

    /// The flags.
    #[inline]
    pub fn flags(self) -> Flags {
        Flags(u8_at::<13, _>(self.0))
    }

    /// Bytes the sender is ready to take, before scaling.
    #[inline]
    pub fn window(self) -> u16 {
        u16_at::<14, _>(self.0)
    }

    /// Checksum.
    #[inline]
    pub fn checksum(self) -> u16 {
        u16_at::<16, _>(self.0)
    }

    /// End of the urgent data.
    #[inline]
    pub fn urgent(self) -> u16 {
        u16_at::<18, _>(self.0)
    }
}

impl Flags {
    /// No more data.
    pub const FIN: Flags = Flags(0x01);
    /// Sequence numbers begin.
    pub const SYN: Flags = Flags(0x02);
    /// The connection is gone.
    pub const RST: Flags = Flags(0x04);
    /// To be handed on at once.
    pub const PSH: Flags = Flags(0x08);
    /// The acknowledgement is valid.
    pub const ACK: Flags = Flags(0x10);
    /// The urgent pointer is valid.
    pub const URG: Flags = Flags(0x20);
    /// Congestion was heard of.
    pub const ECE: Flags = Flags(0x40);
    /// The window was reduced.
    pub const CWR: Flags = Flags(0x80);

    /// Whether all of `flags` are set.
    #[inline]
    pub const fn has(self, flags: Flags) -> bool {
        self.0 & flags.0 == flags.0
    }

    /// Whether any of `flags` is set.
    #[inline]
    pub const fn has_any(self, flags: Flags) -> bool {
        self.0 & flags.0 != 0
    }
}

impl std::ops::BitOr for Flags {
    type Output = Flags;

    #[inline]
    fn bitor(self, other: Flags) -> Flags {
        Flags(self.0 | other.0)
    }
}

impl<'a> Options<'a> {
    /// The options of a whole header, as [`Layer::header_of`](crate::Layer::header_of) gives it.
    #[inline]
    pub fn of(header: &'a [u8]) -> Self {
        Self(header.get(Tcp::LEN..).unwrap_or_default())
    }
}

impl<'a> Iterator for Options<'a> {
    type Item = TcpOption<'a>;

    fn next(&mut self) -> Option<TcpOption<'a>> {
        loop {
            let (&kind, rest) = self.0.split_first()?;
            match kind {
                0 => return None,
                1 => self.0 = rest,
                _ => {
                    let (&len, rest) = rest.split_first()?;
                    let (value, rest) = rest.split_at_checked(usize::from(len).checked_sub(2)?)?;
                    self.0 = rest;
                    return Some(option(kind, value));
                }
            }
        }
    }
}

fn option(kind: u8, value: &[u8]) -> TcpOption<'_> {
    match (kind, value) {
        (2, &[a, b]) => TcpOption::MaxSegment(u16::from_be_bytes([a, b])),
        (3, &[shift]) => TcpOption::WindowScale(shift),
        (4, []) => TcpOption::SackPermitted,
        (5, blocks) => TcpOption::Sack(blocks),
        (8, &[v0, v1, v2, v3, e0, e1, e2, e3]) => TcpOption::Timestamps {
            value: u32::from_be_bytes([v0, v1, v2, v3]),
            echo: u32::from_be_bytes([e0, e1, e2, e3]),
        },
        _ => TcpOption::Other { kind, value },
    }
}

#[cfg(test)]
mod tests {
    use super::{Flags, Options, TcpOption};

    #[test]
    fn options_are_walked_to_the_end_mark() {
        let mut header = vec![0; 20];
        header.extend([2, 4, 5, 0xb4, 1, 3, 3, 7, 4, 2, 8, 10, 0, 0, 0, 1, 0, 0, 0, 2, 254, 3, 9, 0, 2, 4]);
        let options: Vec<_> = Options::of(&header).collect();
        let other = TcpOption::Other { kind: 254, value: &[9] };
        assert_eq!(
            options,
            [
                TcpOption::MaxSegment(1460),
                TcpOption::WindowScale(7),
                TcpOption::SackPermitted,
                TcpOption::Timestamps { value: 1, echo: 2 },
                other
            ]
        );
    }

    #[test]
    fn a_damaged_option_ends_them() {
        for damaged in [&[3u8, 0, 0][..], &[3, 1], &[3], &[2, 9, 0]] {
            let header = [&[0; 20], damaged].concat();
            assert_eq!(Options::of(&header).count(), 0, "{damaged:?}");
        }
        assert_eq!(Options::of(&[0; 7]).count(), 0);
    }

    #[test]
    fn flags_combine() {
        let flags = Flags(0x12);
        assert!(flags.has(Flags::SYN | Flags::ACK) && !flags.has(Flags::SYN | Flags::FIN));
        assert!(flags.has_any(Flags::SYN | Flags::FIN));
    }
}
