//! Arguments of steps and predicates as they were written.

use std::fmt;

use skydive_value::SmolStr;

use crate::{ParseError, Predicate};

/// One argument.
#[derive(Clone, Debug)]
pub enum Arg {
    /// A whole number.
    Int(i64),
    /// Any other number, and whole ones beyond 64 bits.
    Float(f64),
    /// Text.
    Text(SmolStr),
    /// `true` or `false`.
    Bool(bool),
    /// The word `ASC`.
    Asc,
    /// The word `DESC`.
    Desc,
    /// The word `NOW`.
    Now,
    /// The word `FOREVER`.
    Forever,
    /// A predicate with its own arguments.
    Predicate(Predicate),
}

/// Words that are arguments without quotes; case does not matter.
pub const WORDS: &[(&str, Arg)] = &[
    ("true", Arg::Bool(true)),
    ("false", Arg::Bool(false)),
    ("ASC", Arg::Asc),
    ("DESC", Arg::Desc),
    ("NOW", Arg::Now),
    ("FOREVER", Arg::Forever),
];

/// An argument and the byte it starts at.
#[derive(Clone, Debug)]
pub struct Given {
    /// What was written.
    pub arg: Arg,
    /// Where.
    pub offset: usize,
}

/// All arguments of one step.
#[derive(Clone, Debug)]
pub struct Args {
    /// In the order they were written.
    pub given: Vec<Given>,
    /// Where the step starts.
    pub offset: usize,
}

impl Arg {
    /// The text, when it is one.
    pub fn as_text(&self) -> Option<&SmolStr> {
        match self {
            Self::Text(text) => Some(text),
            _ => None,
        }
    }

    /// The whole number, when it is one.
    pub fn as_int(&self) -> Option<i64> {
        match self {
            Self::Int(n) => Some(*n),
            _ => None,
        }
    }
}

impl Args {
    /// Refuses them all: `text : [arguments]`, at the first one that is not text, else at the step.
    pub(crate) fn refuse(&self, text: &str) -> ParseError {
        let wrong = self.given.iter().find(|g| g.arg.as_text().is_none());
        ParseError {
            message: format!("{text} : {self}"),
            offset: wrong.map_or(self.offset, |given| given.offset),
        }
    }

    /// Refuses their number: `text : [arguments]`, at the step.
    pub(crate) fn refuse_number(&self, text: &str) -> ParseError {
        ParseError { message: format!("{text} : {self}"), offset: self.offset }
    }

    /// The arguments, which must all be text.
    pub(crate) fn texts(&self, otherwise: &str) -> Result<Vec<SmolStr>, ParseError> {
        let texts = self.given.iter().map(|g| g.arg.as_text().cloned()).collect::<Option<Vec<_>>>();
        texts.ok_or_else(|| self.refuse(otherwise))
    }

    /// The only argument, which must be text.
    pub(crate) fn one_text(&self, number: &str, kind: &str) -> Result<SmolStr, ParseError> {
        match self.given.as_slice() {
            [Given { arg: Arg::Text(text), .. }] => Ok(text.clone()),
            [_] => Err(self.refuse(kind)),
            _ => Err(self.refuse_number(number)),
        }
    }
}

impl fmt::Display for Arg {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Int(n) => n.fmt(f),
            Self::Float(n) => n.fmt(f),
            Self::Text(text) => text.fmt(f),
            Self::Bool(b) => b.fmt(f),
            Self::Asc => f.write_str("ASC"),
            Self::Desc => f.write_str("DESC"),
            Self::Now => f.write_str("NOW"),
            Self::Forever => f.write_str("FOREVER"),
            Self::Predicate(predicate) => predicate.fmt(f),
        }
    }
}

impl fmt::Display for Args {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write_list(f, &self.given)
    }
}

/// `[a b c]`, the way messages have always shown arguments.
pub(crate) fn write_list(f: &mut fmt::Formatter<'_>, given: &[Given]) -> fmt::Result {
    f.write_str("[")?;
    for (i, Given { arg, .. }) in given.iter().enumerate() {
        if i > 0 {
            f.write_str(" ")?;
        }
        fmt::Display::fmt(arg, f)?;
    }
    f.write_str("]")
}
