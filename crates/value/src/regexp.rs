//! Regular expressions with a bound on what they may cost.

use regex::{Regex, RegexBuilder};
use thiserror::Error;

/// A compiled regular expression (RE2-like syntax: linear time, no look-around, no back references).
#[derive(Clone, Debug)]
pub struct Pattern(Regex);

/// A pattern that cannot be used.
#[derive(Clone, Debug, Error)]
#[error("error parsing regexp: {0}")]
pub struct PatternError(String);

/// Compiled size allowed, in bytes; `a{1000}{1000}` and the like are refused.
const SIZE_LIMIT: usize = 1 << 20;

impl Pattern {
    /// Compiles a pattern as it is written.
    pub fn new(text: &str) -> Result<Self, PatternError> {
        RegexBuilder::new(text)
            .size_limit(SIZE_LIMIT)
            .dfa_size_limit(SIZE_LIMIT)
            .build()
            .map(Self)
            .map_err(PatternError::from)
    }

    /// Compiles a pattern that must match the whole text.
    pub fn anchored(text: &str) -> Result<Self, PatternError> {
        Self::new(text)?;
        Self::new(&format!("^(?:{text})$"))
    }

    /// Whether it matches somewhere in `text`.
    pub fn is_match(&self, text: &str) -> bool {
        self.0.is_match(text)
    }

    /// The pattern as it was compiled.
    pub fn as_str(&self) -> &str {
        self.0.as_str()
    }
}

impl From<regex::Error> for PatternError {
    fn from(error: regex::Error) -> Self {
        if let regex::Error::CompiledTooBig(limit) = error {
            return Self(format!("compiled size exceeds {limit} bytes"));
        }
        // Above its last line the crate draws the pattern; that line is marked as the error.
        let text = error.to_string();
        let line = text.lines().last().unwrap_or_default();
        Self(line.strip_prefix("error: ").unwrap_or(line).to_owned())
    }
}

impl PartialEq for Pattern {
    fn eq(&self, other: &Self) -> bool {
        self.as_str() == other.as_str()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_refusal_names_the_fault_once() {
        for (pattern, expected) in [
            ("((", "error parsing regexp: unclosed group"),
            ("a\n[", "error parsing regexp: unclosed character class"),
            ("a{1000}{1000}", "error parsing regexp: compiled size exceeds 1048576 bytes"),
        ] {
            assert_eq!(Pattern::new(pattern).unwrap_err().to_string(), expected);
            assert_eq!(Pattern::anchored(pattern).unwrap_err().to_string(), expected);
        }
    }
}
