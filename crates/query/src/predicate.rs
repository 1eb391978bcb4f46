//! Predicates: what a field is compared with.
//!
//! The slice [`PREDICATES`] is what the grammar accepts and what completion offers.

use std::fmt;

use skydive_value::{Filter, Ipv4Net, Path, Pattern, SmolStr, Test, Value};

use crate::arg::write_list;
use crate::{Arg, Given, ParseError, QueryError};

/// A kind of predicate.
pub struct PredicateDef {
    /// Name as users write it; case does not matter.
    pub name: &'static str,
    /// What it holds for, in one line.
    pub about: &'static str,
    /// Arguments, checked when parsing.
    pub takes: Takes,
    filter: fn(&Path, &[Given]) -> Result<Filter, String>,
}

/// Arguments of a predicate.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Takes {
    /// Exactly one.
    One,
    /// Exactly one, and it is text.
    Text,
    /// Exactly two.
    Two,
    /// As many as one likes.
    Any,
    /// Keys, each followed by a value; values may be predicates.
    Pairs,
}

impl Takes {
    /// The word for it in descriptions of the language for machines.
    pub fn name(self) -> &'static str {
        match self {
            Self::One => "value",
            Self::Text => "text",
            Self::Two => "two values",
            Self::Any => "values",
            Self::Pairs => "conditions",
        }
    }
}

/// A predicate with its arguments.
#[derive(Clone, Debug)]
pub struct Predicate {
    /// Which.
    pub def: &'static PredicateDef,
    /// Arguments, of the number that it takes.
    pub given: Vec<Given>,
    /// Where it starts.
    pub offset: usize,
}

/// Every predicate of the language.
pub const PREDICATES: &[PredicateDef] = &[
    PredicateDef { name: "Ne", about: "is there and is not this", takes: Takes::One, filter: ne },
    PredicateDef { name: "Nee", about: "is not this, or is not there", takes: Takes::One, filter: nee },
    PredicateDef { name: "Lt", about: "is less than this number", takes: Takes::One, filter: lt },
    PredicateDef { name: "Lte", about: "is this number or less", takes: Takes::One, filter: lte },
    PredicateDef { name: "Gt", about: "is greater than this number", takes: Takes::One, filter: gt },
    PredicateDef { name: "Gte", about: "is this number or greater", takes: Takes::One, filter: gte },
    PredicateDef { name: "Inside", about: "lies between the two numbers", takes: Takes::Two, filter: inside },
    PredicateDef {
        name: "Between",
        about: "is the first number or more, and less than the second",
        takes: Takes::Two,
        filter: between,
    },
    PredicateDef {
        name: "Outside",
        about: "is less than the first number or greater than the second",
        takes: Takes::Two,
        filter: outside,
    },
    PredicateDef { name: "Within", about: "is one of these", takes: Takes::Any, filter: within },
    PredicateDef { name: "Without", about: "is none of these", takes: Takes::Any, filter: without },
    PredicateDef {
        name: "Regex",
        about: "matches the regular expression as a whole",
        takes: Takes::Text,
        filter: regex,
    },
    PredicateDef {
        name: "Ipv4Range",
        about: "is an IPv4 address in the range",
        takes: Takes::One,
        filter: ipv4_range,
    },
    PredicateDef {
        name: "Metadata",
        about: "has all these fields; for ShortestPathTo",
        takes: Takes::Pairs,
        filter: misplaced,
    },
];

impl PredicateDef {
    pub(crate) fn named(word: &str) -> Option<&'static Self> {
        PREDICATES.iter().find(|def| def.name.eq_ignore_ascii_case(word))
    }

    /// Checks number and type of the arguments; `word` is the name as it was written.
    pub(crate) fn check(&self, word: &str, given: &[Given], offset: usize) -> Result<(), ParseError> {
        let list = Listed(given);
        let name = self.name.to_uppercase();
        let message = match (self.takes, given.len()) {
            (Takes::One | Takes::Text, n) if n != 1 => format!("One parameter expected with {name}: {list}"),
            (Takes::Two, n) if n != 2 => format!("Two parameters expected with {name}: {list}"),
            (Takes::Text, _) if given[0].arg.as_text().is_none() => {
                format!("{name} predicate expects a string as parameter, got: {word}")
            }
            (Takes::Pairs, n) if n % 2 != 0 => format!("slice must be defined by pair k,v: {list}"),
            _ => return Ok(()),
        };
        Err(ParseError { message, offset })
    }

    /// Whether arguments may be predicates themselves.
    pub(crate) fn nests(&self) -> bool {
        self.takes == Takes::Pairs
    }
}

impl fmt::Debug for PredicateDef {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(self.name)
    }
}

impl fmt::Display for Predicate {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(self.def.name)?;
        write_list(f, &self.given)
    }
}

/// Arguments as messages show them.
struct Listed<'a>(&'a [Given]);

impl fmt::Display for Listed<'_> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write_list(f, self.0)
    }
}

/// The filter that the field at `path` is what was given.
pub(crate) fn filter(path: &Path, given: &Given) -> Result<Filter, QueryError> {
    match &given.arg {
        Arg::Predicate(predicate) => (predicate.def.filter)(path, &predicate.given),
        plain => equals(path, plain),
    }
    .map_err(|message| QueryError::argument(message, given.offset))
}

/// Equality; numbers are compared as integers.
fn equals(path: &Path, arg: &Arg) -> Result<Filter, String> {
    let test = match arg {
        Arg::Text(text) => Test::Text(text.clone()),
        Arg::Int(n) => Test::Int(*n),
        Arg::Float(n) => Test::Int(*n as i64),
        Arg::Bool(b) => Test::Bool(*b),
        other => return Err(format!("unable to compare with {other}")),
    };
    Ok(Filter::Field(path.clone(), test))
}

fn ne(path: &Path, given: &[Given]) -> Result<Filter, String> {
    Ok(Filter::present(path.clone()).and(nee(path, given)?))
}

fn nee(path: &Path, given: &[Given]) -> Result<Filter, String> {
    let [Given { arg, .. }] = given else { return Err("NE expects one value".to_owned()) };
    equals(path, arg).map(Filter::not)
}

fn lt(path: &Path, given: &[Given]) -> Result<Filter, String> {
    compare(path, given, Test::Lt, "LT")
}

fn lte(path: &Path, given: &[Given]) -> Result<Filter, String> {
    compare(path, given, Test::Lte, "LTE")
}

fn gt(path: &Path, given: &[Given]) -> Result<Filter, String> {
    compare(path, given, Test::Gt, "GT")
}

fn gte(path: &Path, given: &[Given]) -> Result<Filter, String> {
    compare(path, given, Test::Gte, "GTE")
}

fn inside(path: &Path, given: &[Given]) -> Result<Filter, String> {
    let [from, to] = bounds(given, "Inside")?;
    Ok(field(path, Test::Gt(from)).and(field(path, Test::Lt(to))))
}

fn between(path: &Path, given: &[Given]) -> Result<Filter, String> {
    let [from, to] = bounds(given, "Between")?;
    Ok(field(path, Test::Gte(from)).and(field(path, Test::Lt(to))))
}

fn outside(path: &Path, given: &[Given]) -> Result<Filter, String> {
    let [from, to] = bounds(given, "Outside")?;
    Ok(Filter::Or(vec![field(path, Test::Lt(from)), field(path, Test::Gt(to))]))
}

/// Texts become one test however many they are.
fn within(path: &Path, given: &[Given]) -> Result<Filter, String> {
    let mut texts: Vec<SmolStr> = given.iter().filter_map(|g| g.arg.as_text().cloned()).collect();
    texts.sort_unstable();
    texts.dedup();
    let mut any = given
        .iter()
        .filter(|g| g.arg.as_text().is_none())
        .map(|g| equals(path, &g.arg))
        .collect::<Result<Vec<_>, _>>()?;
    match texts.len() {
        0 => {}
        1 => any.extend(texts.pop().map(|text| field(path, Test::Text(text)))),
        _ => any.push(field(path, Test::OneOf(texts))),
    }
    Ok(match any.len() {
        0 => Filter::all(),
        1 => any.remove(0),
        _ => Filter::Or(any),
    })
}

fn without(path: &Path, given: &[Given]) -> Result<Filter, String> {
    let within = within(path, given)?;
    Ok(if given.is_empty() { within } else { Filter::not(within) })
}

fn regex(path: &Path, given: &[Given]) -> Result<Filter, String> {
    let text = given.first().and_then(|g| g.arg.as_text()).map_or("", SmolStr::as_str);
    if text.starts_with('^') || text.ends_with('$') {
        return Err("Regex are anchored by default, ^ and $ don't have to be provided".to_owned());
    }
    let pattern = Pattern::anchored(text).map_err(|e| e.to_string())?;
    Ok(field(path, Test::Regex(pattern)))
}

fn ipv4_range(path: &Path, given: &[Given]) -> Result<Filter, String> {
    let Some(text) = given.first().and_then(|g| g.arg.as_text()) else {
        return Err("Ipv4Range value has to be a string".to_owned());
    };
    let net = Ipv4Net::parse(text).map_err(|e| e.to_string())?;
    Ok(field(path, Test::Ipv4Range(net)))
}

fn misplaced(_: &Path, _: &[Given]) -> Result<Filter, String> {
    Err("Metadata is an argument of ShortestPathTo only".to_owned())
}

fn field(path: &Path, test: Test) -> Filter {
    Filter::Field(path.clone(), test)
}

fn compare(path: &Path, given: &[Given], test: fn(i64) -> Test, name: &str) -> Result<Filter, String> {
    let n = given.first().and_then(|g| to_int(&g.arg));
    n.map(|n| field(path, test(n))).ok_or_else(|| format!("{name} values should be of int64 type"))
}

fn bounds(given: &[Given], name: &str) -> Result<[i64; 2], String> {
    match given {
        [from, to] => to_int(&from.arg).zip(to_int(&to.arg)).map(|(from, to)| [from, to]),
        _ => None,
    }
    .ok_or_else(|| format!("{name} values should be of int64 type"))
}

/// The number a bound means, by the rules that numeric filters apply to fields.
fn to_int(arg: &Arg) -> Option<i64> {
    match arg {
        Arg::Int(n) => Some(*n),
        Arg::Float(n) => Some(*n as i64),
        Arg::Bool(b) => Some(i64::from(*b)),
        Arg::Text(text) => Value::Str(text.clone()).to_int(),
        _ => None,
    }
}
