//! Link addresses as text.

use std::fmt;
use std::str::FromStr;

/// A link address of 48 bits, as text two hexadecimal digits a byte with colons between.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub struct Mac(pub [u8; 6]);

/// Text that is no link address of 48 bits.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
#[error("not six bytes with colons between")]
pub struct MacError;

impl fmt::Display for Mac {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        self.0.iter().enumerate().try_for_each(|(at, byte)| {
            let colon = if at == 0 { "" } else { ":" };
            write!(f, "{colon}{byte:02x}")
        })
    }
}

impl FromStr for Mac {
    type Err = MacError;

    /// Upper case is taken too.
    fn from_str(text: &str) -> Result<Self, MacError> {
        let mut bytes = text.split(':').map(|byte| {
            let is_byte = byte.len() == 2 && byte.bytes().all(|digit| digit.is_ascii_hexdigit());
            u8::from_str_radix(byte, 16).ok().filter(|_| is_byte).ok_or(MacError)
        });
        let mut mac = [0; 6];
        for byte in &mut mac {
            *byte = bytes.next().ok_or(MacError)??;
        }
        if bytes.next().is_some() { Err(MacError) } else { Ok(Self(mac)) }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn text_and_back() {
        let mac = Mac([0, 0x1b, 0x21, 0x3c, 0xab, 0xff]);
        assert_eq!(mac.to_string(), "00:1b:21:3c:ab:ff");
        assert_eq!("00:1B:21:3c:AB:ff".parse(), Ok(mac));
        for text in
            ["", "00:1b:21:3c:ab", "00:1b:21:3c:ab:ff:00", "0:1b:21:3c:ab:ff", "+0:1b:21:3c:ab:ff", "::"]
        {
            assert_eq!(text.parse::<Mac>(), Err(MacError), "{text}");
        }
    }
}
