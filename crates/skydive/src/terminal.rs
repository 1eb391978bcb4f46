//! Writing to people and pipes: colours where they help, and no panic when the reader has gone.

use std::env;
use std::io::{self, ErrorKind, IsTerminal, Write};

/// Whether to colour what goes to a stream.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Paint {
    Plain,
    Colored,
}

/// A colour of the terminal.
#[derive(Clone, Copy)]
pub(crate) enum Color {
    Red,
    Yellow,
    Blue,
    Bold,
}

impl Paint {
    /// Colours on a terminal, unless `NO_COLOR` is set.
    pub(crate) fn of(stream: &impl IsTerminal) -> Self {
        let is_unwanted = env::var_os("NO_COLOR").is_some_and(|value| !value.is_empty());
        if stream.is_terminal() && !is_unwanted { Paint::Colored } else { Paint::Plain }
    }

    /// The text in a colour.
    pub(crate) fn color(self, color: Color, text: &str) -> String {
        if self == Paint::Plain {
            return text.to_owned();
        }
        let code = match color {
            Color::Red => "1;31",
            Color::Yellow => "1;33",
            Color::Blue => "1;34",
            Color::Bold => "1",
        };
        format!("\x1b[{code}m{text}\x1b[0m")
    }
}

/// Writes to standard output. A reader that has gone away, as `head` does, is not an error.
pub(crate) fn print(text: impl AsRef<[u8]>) -> io::Result<()> {
    let mut out = io::stdout().lock();
    out.write_all(text.as_ref()).and_then(|()| out.flush()).or_else(|error| match error.kind() {
        ErrorKind::BrokenPipe => Ok(()),
        _ => Err(error),
    })
}

/// The text without what would steer a terminal.
pub(crate) fn harmless(text: &str) -> String {
    text.chars().map(|c| if c.is_control() { '\u{fffd}' } else { c }).collect()
}
