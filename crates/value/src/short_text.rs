//! Text on the stack.

use std::fmt;

/// Text of at most [`ShortText::MAX`] bytes, made for an instant: addresses and identifiers that are stored as numbers
/// and looked at as text.
#[derive(Clone, Copy)]
pub struct ShortText {
    len: u8,
    bytes: [u8; Self::MAX],
}

impl ShortText {
    /// Most bytes; the longest text of an IPv6 address has 45.
    pub const MAX: usize = 46;

    /// How `thing` displays itself, as far as there is room.
    pub fn of(thing: impl fmt::Display) -> Self {
        let mut text = Self { len: 0, bytes: [0; Self::MAX] };
        // What has no room is left out.
        let _ = fmt::Write::write_fmt(&mut text, format_args!("{thing}"));
        text
    }

    /// The text.
    pub fn as_str(&self) -> &str {
        let bytes = self.bytes.get(..usize::from(self.len)).unwrap_or_default();
        std::str::from_utf8(bytes).unwrap_or_default()
    }
}

impl fmt::Write for ShortText {
    fn write_str(&mut self, text: &str) -> fmt::Result {
        let used = usize::from(self.len);
        let fits = text.floor_char_boundary(Self::MAX - used);
        self.bytes[used..used + fits].copy_from_slice(&text.as_bytes()[..fits]);
        self.len += fits as u8;
        if fits == text.len() { Ok(()) } else { Err(fmt::Error) }
    }
}

impl fmt::Debug for ShortText {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        self.as_str().fmt(f)
    }
}

#[cfg(test)]
mod tests {
    use std::net::Ipv6Addr;

    use super::*;
    use crate::FieldRef;

    #[test]
    fn text_that_has_no_room_ends_between_characters() {
        assert_eq!(ShortText::of("").as_str(), "");
        let longest = Ipv6Addr::from([0xff; 16]);
        assert_eq!(ShortText::of(longest).as_str(), longest.to_string());
        let umlauts = "ä".repeat(40);
        assert_eq!(ShortText::of(format_args!("x{umlauts}")).as_str(), format!("x{}", "ä".repeat(22)));
    }

    #[test]
    fn a_field_is_no_larger_for_it() {
        assert!(size_of::<FieldRef<'_>>() <= 48);
    }
}
