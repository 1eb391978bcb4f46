//! Gremlin: any text gives a query or an error with a position in it.

use skydive_query::{Limits, parse};

pub(crate) fn run(bytes: &[u8]) {
    let Ok(text) = std::str::from_utf8(bytes) else { return };
    let limits = Limits { max_query_bytes: 64 << 10, max_steps: 256 };
    match parse(text, &limits) {
        Ok(query) => drop(format!("{query:?}")),
        Err(error) => {
            assert!(error.offset <= text.len(), "{error} at {} of {}", error.offset, text.len());
            assert!(text.is_char_boundary(error.offset), "{error} within a character");
            assert!(!error.message.is_empty());
        }
    }
}
