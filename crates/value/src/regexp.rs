//! Regular expressions with a bound on what they may cost.
//!
//! The syntax is RE2's, where `\w`, `\d`, `\s` and `\b` speak of ASCII alone (<https://github.com/google/re2/wiki/Syntax>);
//! the engine's own are of all of Unicode, and each costs a thousand times the memory.

use regex::{Regex, RegexBuilder};
use thiserror::Error;

/// A compiled regular expression (RE2-like syntax: linear time, no look-around, no back references).
#[derive(Clone, Debug)]
pub struct Pattern {
    regex: Regex,
    /// As it was given.
    text: Box<str>,
}

/// A pattern that cannot be used.
#[derive(Clone, Debug, Error)]
#[error("error parsing regexp: {0}")]
pub struct PatternError(String);

/// Compiled size allowed, in bytes; `a{1000}{1000}` and the like are refused.
const SIZE_LIMIT: usize = 1 << 20;

impl Pattern {
    /// Compiles a pattern as it is written.
    pub fn new(text: &str) -> Result<Self, PatternError> {
        let regex = RegexBuilder::new(&of_ascii(text))
            .size_limit(SIZE_LIMIT)
            .dfa_size_limit(SIZE_LIMIT)
            .build()
            .map_err(PatternError::from)?;
        Ok(Self { regex, text: text.into() })
    }

    /// Compiles a pattern that must match the whole text.
    pub fn anchored(text: &str) -> Result<Self, PatternError> {
        Self::new(text)?;
        Self::new(&format!("^(?:{text})$"))
    }

    /// Whether it matches somewhere in `text`.
    pub fn is_match(&self, text: &str) -> bool {
        self.regex.is_match(text)
    }

    /// The pattern, with its anchors if it has to match the whole text.
    pub fn as_str(&self) -> &str {
        &self.text
    }
}

/// The pattern with the classes of RE2 written out.
fn of_ascii(text: &str) -> String {
    let mut written = String::with_capacity(text.len());
    let mut rest = text.chars();
    // How deep in brackets; `\b` is something else there.
    let mut depth = 0_usize;
    while let Some(c) = rest.next() {
        match c {
            '[' => depth += 1,
            ']' => depth = depth.saturating_sub(1),
            _ => {}
        }
        if c != '\\' {
            written.push(c);
            continue;
        }
        match rest.next() {
            Some('d') => written.push_str("[0-9]"),
            Some('D') => written.push_str("[^0-9]"),
            Some('w') => written.push_str("[0-9A-Za-z_]"),
            Some('W') => written.push_str("[^0-9A-Za-z_]"),
            Some('s') => written.push_str(r"[\t\n\f\r ]"),
            Some('S') => written.push_str(r"[^\t\n\f\r ]"),
            Some('b') if depth == 0 => written.push_str(r"(?-u:\b)"),
            other => {
                written.push(c);
                written.extend(other);
            }
        }
    }
    written
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

    #[test]
    fn classes_are_of_ascii() {
        for (pattern, matching, other) in [
            (r"^\w+$", "veth_0", "vêth"),
            (r"^\d+$", "42", "٤٢"),
            (r"^[\w.-]+$", "eth0.10-a", "é"),
            (r"^\W\D\S$", "é,x", "e,x"),
            (r"^\\d$", r"\d", "1"),
            (r"^[^\s]+$", "a\u{a0}b", "a b"),
            (r"\bup\b", "is up now", "setups"),
            (r"^\w{25}$", "abcdefghijklmnopqrstuvwxy", "abc"),
        ] {
            let pattern = Pattern::new(pattern).unwrap();
            assert!(pattern.is_match(matching) && !pattern.is_match(other), "{pattern:?}");
        }
        assert_eq!(Pattern::anchored(r"\w").unwrap().as_str(), r"^(?:\w)$");
    }
}
