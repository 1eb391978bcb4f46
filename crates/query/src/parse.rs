//! Grammar: tokens to steps.
//!
//! ```text
//! query = "G" { "." step }
//! step  = "G" | name "(" { argument } ")"          commas between arguments are optional
//! ```
//! The order of the checks and their texts are those of the original, so that a client sees what it always saw.

use std::sync::Arc;

use skydive_value::SmolStr;

use crate::lex::{Lexer, Quotes, Token, TokenKind};
use crate::predicate::PredicateDef;
use crate::steps::{STEPS, restart};
use crate::{Arg, Args, Given, Kind, ParseError, Predicate, Step, StepDef, Takes, WORDS};

/// What a query may be at most.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Limits {
    /// Bytes of its text.
    pub max_query_bytes: usize,
    /// Steps behind the first `G`.
    pub max_steps: usize,
}

/// A query that parses. Cloning is cheap.
#[derive(Clone, Debug)]
pub struct Query {
    text: Arc<str>,
    calls: Arc<[Call]>,
}

/// A step and where it starts.
#[derive(Debug)]
pub(crate) struct Call {
    pub def: &'static StepDef,
    pub step: Box<dyn Step>,
    pub offset: usize,
}

struct Parser<'t> {
    lexer: Lexer<'t>,
    max_steps: usize,
    regexes: usize,
}

/// Regular expressions in one query: each is compiled, and may take a megabyte.
const MAX_REGEXES: usize = 32;

impl Default for Limits {
    fn default() -> Self {
        Self { max_query_bytes: 64 << 10, max_steps: 256 }
    }
}

impl Query {
    /// The text it came from.
    pub fn text(&self) -> &str {
        &self.text
    }

    /// The steps behind the first `G`.
    pub fn steps(&self) -> impl ExactSizeIterator<Item = &'static StepDef> + '_ {
        self.calls.iter().map(|call| call.def)
    }

    /// What it gives; `None` when a step cannot follow the one before it.
    pub fn kind(&self) -> Option<Kind> {
        self.calls.iter().try_fold(Kind::Graph, |on, call| {
            call.def.on.iter().find(|(from, _)| *from == on).map(|(_, gives)| *gives)
        })
    }

    pub(crate) fn calls(&self) -> &[Call] {
        &self.calls
    }
}

/// Reads a query. In the original a text ends at the next quote of either kind; a query that makes sense so keeps that
/// meaning. Otherwise a text ends at the quote it began with, and a fault is reported as seen by this rule.
pub fn parse(text: &str, limits: &Limits) -> Result<Query, ParseError> {
    if text.len() > limits.max_query_bytes {
        let message = format!("the query is longer than {} bytes", limits.max_query_bytes);
        return Err(ParseError { message, offset: text.floor_char_boundary(limits.max_query_bytes) });
    }
    let read =
        |quotes| Parser { lexer: Lexer::new(text, quotes), max_steps: limits.max_steps, regexes: 0 }.query();
    let calls = read(Quotes::Any).or_else(|_| read(Quotes::Matching))?;
    Ok(Query { text: text.into(), calls: calls.into() })
}

impl Parser<'_> {
    fn query(&mut self) -> Result<Vec<Call>, ParseError> {
        let first = self.lexer.next();
        if !is_g(&first) {
            return Err(expected(&first, 'G'));
        }
        let mut calls = Vec::new();
        loop {
            let dot = self.lexer.next();
            match dot.kind {
                TokenKind::End => return Ok(calls),
                TokenKind::Dot => {}
                _ => return Err(expected(&dot, '.')),
            }
            if calls.len() == self.max_steps {
                let message = format!("the query has more than {} steps", self.max_steps);
                return Err(ParseError { message, offset: dot.at });
            }
            calls.push(self.call()?);
        }
    }

    fn call(&mut self) -> Result<Call, ParseError> {
        let name = self.lexer.next();
        let offset = name.at;
        if is_g(&name) {
            let def = &restart::DEF;
            return Ok(Call { def, step: (def.parse)(Args { given: Vec::new(), offset })?, offset });
        }
        self.open()?;
        let given = self.arguments(Nesting::Any)?;
        let def = (name.kind == TokenKind::Ident)
            .then(|| STEPS.iter().find(|def| def.name.eq_ignore_ascii_case(&name.text)))
            .flatten();
        let Some(def) = def else {
            return Err(ParseError {
                message: format!("Expected step function, got: {}", name.text),
                offset,
            });
        };
        Ok(Call { def, step: (def.parse)(Args { given, offset })?, offset })
    }

    fn open(&mut self) -> Result<(), ParseError> {
        let token = self.lexer.next();
        if token.kind == TokenKind::Open {
            return Ok(());
        }
        Err(ParseError {
            message: format!("Expected left parenthesis, got: {}", token.text),
            offset: token.at,
        })
    }

    /// Arguments up to and including the closing parenthesis.
    fn arguments(&mut self, nesting: Nesting) -> Result<Vec<Given>, ParseError> {
        let mut given = Vec::new();
        loop {
            let token = self.lexer.next();
            let offset = token.at;
            let arg = match token.kind {
                TokenKind::Close => return Ok(given),
                TokenKind::Comma => continue,
                TokenKind::End => {
                    return Err(ParseError { message: "Expected right parenthesis".to_owned(), offset });
                }
                TokenKind::Number => number(&token)?,
                TokenKind::Text => Arg::Text(SmolStr::from(token.text.as_ref())),
                TokenKind::Ident => self.word(&token, nesting)?,
                _ => return Err(unexpected(&token)),
            };
            given.push(Given { arg, offset });
        }
    }

    fn word(&mut self, token: &Token<'_>, nesting: Nesting) -> Result<Arg, ParseError> {
        if let Some((_, arg)) = WORDS.iter().find(|(word, _)| word.eq_ignore_ascii_case(&token.text)) {
            return Ok(arg.clone());
        }
        let inner = match (PredicateDef::named(&token.text), nesting) {
            (Some(def), Nesting::Any) if def.nests() => Some((def, Nesting::Plain)),
            (Some(def), Nesting::Any | Nesting::Plain) if !def.nests() => Some((def, Nesting::None)),
            _ => None,
        };
        let Some((def, inner)) = inner else { return Err(unexpected(token)) };
        self.open()?;
        let given = self.arguments(inner)?;
        def.check(&token.text, &given, token.at)?;
        if def.takes == Takes::Text {
            self.regexes += 1;
            if self.regexes > MAX_REGEXES {
                let message = format!("the query has more than {MAX_REGEXES} regular expressions");
                return Err(ParseError { message, offset: token.at });
            }
        }
        Ok(Arg::Predicate(Predicate { def, given, offset: token.at }))
    }
}

/// Which predicates may stand among arguments. Bounds the recursion.
#[derive(Clone, Copy, PartialEq, Eq)]
enum Nesting {
    /// Of a step: all.
    Any,
    /// Of `Metadata`: those that compare.
    Plain,
    /// Of those: none.
    None,
}

fn is_g(token: &Token<'_>) -> bool {
    token.kind == TokenKind::Ident && token.text.eq_ignore_ascii_case("G")
}

/// Numbers beyond 64 bits are floats.
fn number(token: &Token<'_>) -> Result<Arg, ParseError> {
    if let Ok(n) = token.text.parse() {
        return Ok(Arg::Int(n));
    }
    match token.text.parse::<f64>() {
        Ok(n) if n.is_finite() => Ok(Arg::Float(n)),
        _ => Err(ParseError {
            message: format!("Expected number token, got: {}", token.text),
            offset: token.at,
        }),
    }
}

fn expected(token: &Token<'_>, what: char) -> ParseError {
    ParseError { message: format!("found {:?}, expected `{what}`", token.text), offset: token.at }
}

fn unexpected(token: &Token<'_>) -> ParseError {
    ParseError {
        message: format!("Unexpected token while parsing parameters, got: {}", token.text),
        offset: token.at,
    }
}
