//! What applications say to each other, as far as flows tell of it: DNS, DHCP, VRRP, TLS and HTTP.
//!
//! Functions from the bytes of one payload to facts. Each protocol has a test of the first bytes that costs a few
//! nanoseconds, for use before anything else is asked, and a reader that believes nothing: the work is bounded by the
//! bytes there are and by limits stated with each reader. All readers borrow and allocate nothing, except
//! [`dns::Message`], which owns what it tells because it outlives its packet. A payload may end early, because of the
//! snap length or because the message goes on in the next segment: what came before is told, and that it was cut.
//!
//! What peers sent as text comes as bytes, since nothing says that it is text; [`Text`] shows it.

mod cursor;
pub mod dhcp4;
pub mod dns;
pub mod http1;
pub mod tls;
pub mod vrrp;

use std::fmt::{self, Write as _};

/// Bytes that should be text, for people: UTF-8 as it is, control characters and other bytes as `\DDD`, three decimal
/// digits each, as DNS writes them ([RFC 1035 section 5.1](https://www.rfc-editor.org/rfc/rfc1035#section-5.1)). A
/// backslash stays one, so this cannot be read back.
#[derive(Clone, Copy, Debug)]
pub struct Text<'a>(pub &'a [u8]);

impl fmt::Display for Text<'_> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        for chunk in self.0.utf8_chunks() {
            for character in chunk.valid().chars() {
                if character.is_control() {
                    let mut bytes = [0; 4];
                    escape(f, character.encode_utf8(&mut bytes).as_bytes())?;
                } else {
                    f.write_char(character)?;
                }
            }
            escape(f, chunk.invalid())?;
        }
        Ok(())
    }
}

fn escape(f: &mut fmt::Formatter<'_>, bytes: &[u8]) -> fmt::Result {
    bytes.iter().try_for_each(|byte| write!(f, "\\{byte:03}"))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn text_shows_what_is_text_and_numbers_of_the_rest() {
        assert_eq!(Text(b"plain \\ text").to_string(), "plain \\ text");
        assert_eq!(Text("Zürich\u{85}".as_bytes()).to_string(), "Zürich\\194\\133");
        assert_eq!(Text(b"a\0\n\xff\xc3").to_string(), "a\\000\\010\\255\\195");
    }
}
