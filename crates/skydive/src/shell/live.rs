//! Keys and values that are in the graph now.
//!
//! They are asked for while somebody waits for a completion: what takes long is given up, and of many values some do.

use std::cell::RefCell;
use std::collections::BTreeMap;
use std::time::Duration;

use serde_json::Value as Json;
use skydive_client::{Explained, Rest};
use skydive_graph::key::attribute;
use tokio::runtime::Handle;
use tokio::time::timeout;

/// Asks one analyzer, and remembers its answers until the next line.
pub(super) struct Live {
    rest: Rest,
    handle: Handle,
    answers: RefCell<BTreeMap<String, Vec<Json>>>,
}

/// Elements of one kind.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Elements {
    Nodes,
    Edges,
}

/// How long somebody waits for a completion.
const PATIENCE: Duration = Duration::from_millis(1500);
/// Values of one key that are offered.
const VALUES: usize = 200;
/// Elements whose keys are asked for where those of all take too long.
const SAMPLE: usize = 1000;

impl Live {
    pub(super) fn new(rest: Rest, handle: Handle) -> Self {
        Self { rest, handle, answers: RefCell::default() }
    }

    /// The graph may have changed.
    pub(super) fn forget(&self) {
        self.answers.borrow_mut().clear();
    }

    /// Names of fields, sorted.
    pub(super) fn keys(&self, elements: Elements) -> Vec<String> {
        let all = elements.query();
        let found = self.ask(&format!("{all}.Keys()"));
        let found = found.or_else(|| self.ask(&format!("{all}.Limit({SAMPLE}).Keys()"))).unwrap_or_default();
        let mut keys: Vec<String> =
            found.iter().filter_map(Json::as_str).filter(|key| is_plain(key)).map(str::to_owned).collect();
        keys.extend(attribute::ALL.map(str::to_owned));
        if elements == Elements::Edges {
            keys.extend([attribute::PARENT, attribute::CHILD].map(str::to_owned));
        }
        keys.sort_unstable();
        keys.dedup();
        keys
    }

    /// Values of a field, texts first; only texts that begin with `begin`, in any case, if that is given: there may be
    /// many others.
    pub(super) fn values(&self, elements: Elements, key: &str, begin: Option<&str>) -> Vec<Json> {
        let key = quoted(key, None);
        let chosen = match begin {
            Some(begin) => format!("Has({key},Regex({}))", quoted(&pattern(begin), None)),
            None => format!("HasKey({key})"),
        };
        let query = format!("{}.{chosen}.Dedup({key}).Limit({VALUES}).Values({key})", elements.query());
        let mut values = Vec::new();
        for value in self.ask(&query).unwrap_or_default() {
            match value {
                Json::Array(items) => values.extend(items),
                other => values.push(other),
            }
        }
        values.retain(|value| match value {
            Json::String(text) => is_plain(text),
            other => other.is_number() || other.is_boolean(),
        });
        values.sort_by_cached_key(|value| (!value.is_string(), value.as_i64(), value.to_string()));
        values.dedup();
        values.truncate(VALUES);
        values
    }

    /// `None` when it takes too long or is refused.
    fn ask(&self, query: &str) -> Option<Vec<Json>> {
        if let Some(answer) = self.answers.borrow().get(query) {
            return Some(answer.clone());
        }
        let asked = self.rest.topology(query, "application/json", Explained::No);
        let answer = self.handle.block_on(async { timeout(PATIENCE, asked).await }).ok()?.ok()?;
        let list: Vec<Json> =
            if answer.status == 200 { serde_json::from_slice(&answer.body).ok()? } else { return None };
        self.answers.borrow_mut().insert(query.to_owned(), list.clone());
        Some(list)
    }
}

impl Elements {
    fn query(self) -> &'static str {
        match self {
            Self::Nodes => "G.V()",
            Self::Edges => "G.E()",
        }
    }
}

/// Whether a text may stand on a terminal and in a line.
fn is_plain(text: &str) -> bool {
    /// Longer ones are no help.
    const LONGEST: usize = 100;
    text.len() <= LONGEST && !text.chars().any(char::is_control)
}

/// A regular expression for texts that begin with this one, in any case.
fn pattern(begin: &str) -> String {
    let escaped = begin.chars().flat_map(|c| {
        let escape = (!c.is_alphanumeric() && c.is_ascii()).then_some('\\');
        escape.into_iter().chain([c])
    });
    format!("(?i){}.*", escaped.collect::<String>())
}

/// A text as queries have it. Where the first quote is written already it is the one given, and left out.
pub(super) fn quoted(text: &str, open: Option<char>) -> String {
    let quote = open.unwrap_or(if text.contains('\'') && !text.contains('"') { '"' } else { '\'' });
    let mut written: String = open.map_or_else(|| quote.to_string(), |_| String::new());
    for c in text.chars() {
        if c == quote || c == '\\' {
            written.push('\\');
        }
        written.push(c);
    }
    written.push(quote);
    written
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn texts_are_quoted_so_that_they_are_read_as_meant() {
        assert_eq!(quoted("eth0", None), "'eth0'");
        assert_eq!(quoted("it's", None), "\"it's\"");
        assert_eq!(quoted("a'b\"c\\", None), "'a\\'b\"c\\\\'");
        assert_eq!(quoted("it's", Some('\'')), "it\\'s'");
        assert_eq!(quoted("eth0", Some('"')), "eth0\"");
        assert_eq!(pattern("a.b c"), "(?i)a\\.b\\ c.*");
        assert!(is_plain("é'\"") && !is_plain("\u{1b}[2J") && !is_plain(&"x".repeat(101)));
    }
}
