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
    Dim,
}

impl Paint {
    /// Ends every colour.
    pub(crate) const END: &str = "\x1b[0m";

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
        format!("{}{text}{}", color.start(), Self::END)
    }
}

impl Color {
    /// What a terminal is sent before the text; [`Paint::END`] comes behind it.
    pub(crate) fn start(self) -> &'static str {
        match self {
            Self::Red => "\x1b[1;31m",
            Self::Yellow => "\x1b[1;33m",
            Self::Blue => "\x1b[1;34m",
            Self::Bold => "\x1b[1m",
            Self::Dim => "\x1b[2m",
        }
    }
}

/// Writes to standard output. A reader that has gone away, as `head` does, is not an error.
pub(crate) fn print(text: impl AsRef<[u8]>) -> io::Result<()> {
    go_on(text).map(|_| ())
}

/// The same, for who writes on and on: whether the reader is still there.
pub(crate) fn go_on(text: impl AsRef<[u8]>) -> io::Result<bool> {
    let mut out = io::stdout().lock();
    match out.write_all(text.as_ref()).and_then(|()| out.flush()) {
        Ok(()) => Ok(true),
        Err(error) if error.kind() == ErrorKind::BrokenPipe => Ok(false),
        Err(error) => Err(error),
    }
}

/// The text without what would steer a terminal.
pub(crate) fn harmless(text: &str) -> String {
    text.chars().map(|c| if c.is_control() { '\u{fffd}' } else { c }).collect()
}
