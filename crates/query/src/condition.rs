//! Lists of keys and values as one filter: the arguments of `Has` and of every step that filters.

use skydive_graph::key;
use skydive_value::{Filter, Path};

use crate::{Given, QueryError, predicate};

/// All of the pairs hold; one key alone: the field is there. `offset` is where to point when the list as a whole is
/// wrong.
pub(crate) fn all_of(given: &[Given], offset: usize) -> Result<Filter, QueryError> {
    Ok(pairs(given, offset)?.into_iter().fold(Filter::all(), Filter::and))
}

/// One of the pairs holds; one key alone: the field is there.
pub(crate) fn any_of(given: &[Given], offset: usize) -> Result<Filter, QueryError> {
    let mut any = pairs(given, offset)?;
    Ok(if any.len() == 1 { any.remove(0) } else { Filter::Or(any) })
}

/// As [`all_of`], `None` without arguments.
pub(crate) fn optional(given: &[Given], offset: usize) -> Result<Option<Filter>, QueryError> {
    if given.is_empty() { Ok(None) } else { all_of(given, offset).map(Some) }
}

fn pairs(given: &[Given], offset: usize) -> Result<Vec<Filter>, QueryError> {
    if let [only] = given {
        let Some(key) = only.arg.as_text() else {
            return Err(QueryError::argument("Key must be a string", only.offset));
        };
        return Ok(vec![Filter::present(path(key))]);
    }
    if !given.len().is_multiple_of(2) {
        return Err(QueryError::argument("params should be a list of key,value", offset));
    }
    given
        .chunks_exact(2)
        .map(|pair| {
            let [key, value] = pair else { return Ok(Filter::all()) };
            let Some(path) = key.arg.as_text() else {
                return Err(QueryError::argument("keys should be of string type", key.offset));
            };
            predicate::filter(&self::path(path), value)
        })
        .collect()
}

/// The path that a key names. What is captured on a node was said in two ways (`Captures.Name`, `Capture.Name`).
pub(crate) fn path(key: &str) -> Path {
    match key.strip_prefix("Capture.") {
        Some(member) => Path::parse(&format!("{}.{member}", key::CAPTURES)),
        None => Path::parse(key),
    }
}
