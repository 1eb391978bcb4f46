//! What is wrong with a configuration, said so that a human finds the place.

use std::fmt::{self, Display, Formatter};
use std::path::PathBuf;

/// How much a problem matters.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub(crate) enum Severity {
    /// Worth knowing; nothing is wrong.
    Note,
    /// The program runs, though perhaps not as meant.
    Warning,
    /// The program refuses to start.
    Error,
}

/// Where a value came from.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) enum Origin {
    /// Nobody gave it.
    Default,
    /// A file, and the line of the key when known. `-` is standard input.
    File { path: PathBuf, line: Option<u64> },
    /// The environment variable of this name.
    Variable(String),
    /// The command line flag of this name.
    Flag(&'static str),
}

/// One finding.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct Problem {
    pub(crate) severity: Severity,
    pub(crate) origin: Origin,
    /// The dotted key; empty when the whole source is meant.
    pub(crate) key: String,
    pub(crate) text: String,
}

impl Problem {
    pub(crate) fn error(origin: &Origin, key: &str, text: impl Into<String>) -> Self {
        Self::new(Severity::Error, origin, key, text)
    }

    pub(crate) fn warning(origin: &Origin, key: &str, text: impl Into<String>) -> Self {
        Self::new(Severity::Warning, origin, key, text)
    }

    pub(crate) fn note(origin: &Origin, key: &str, text: impl Into<String>) -> Self {
        Self::new(Severity::Note, origin, key, text)
    }

    fn new(severity: Severity, origin: &Origin, key: &str, text: impl Into<String>) -> Self {
        Self { severity, origin: origin.clone(), key: key.to_owned(), text: text.into() }
    }
}

impl Display for Severity {
    fn fmt(&self, f: &mut Formatter<'_>) -> fmt::Result {
        f.write_str(match self {
            Severity::Note => "note",
            Severity::Warning => "warning",
            Severity::Error => "error",
        })
    }
}

impl Display for Origin {
    fn fmt(&self, f: &mut Formatter<'_>) -> fmt::Result {
        match self {
            Origin::Default => f.write_str("default"),
            Origin::File { path, line: Some(line) } => write!(f, "{}:{line}", path.display()),
            Origin::File { path, line: None } => write!(f, "{}", path.display()),
            Origin::Variable(name) => write!(f, "${name}"),
            Origin::Flag(name) => f.write_str(name),
        }
    }
}

/// `skydive.yml:3: error: http.ws.queue_size: …`, the form that editors jump to.
impl Display for Problem {
    fn fmt(&self, f: &mut Formatter<'_>) -> fmt::Result {
        write!(f, "{}: {}: ", self.origin, self.severity)?;
        if !self.key.is_empty() {
            write!(f, "{}: ", self.key)?;
        }
        f.write_str(&self.text)
    }
}
