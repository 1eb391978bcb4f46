//! The formats of files, and how a value in one is found.
//!
//! Texts of errors name places and never quote the file: it may hold secrets, and everybody who may query the graph
//! sees why a probe is degraded.

use serde_saphyr::options::DuplicateKeyPolicy;
use skydive_value::{Map, SmolStr, Value};
use thiserror::Error;

/// How a file is written.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Format {
    /// JSON.
    Json,
    /// TOML, also of files that are called INI.
    Toml,
    /// YAML, one document.
    Yaml,
    /// Properties of Java.
    Properties,
}

/// A file that cannot be understood, or does not have the value.
#[derive(Debug, Error)]
pub(super) enum DocumentError {
    #[error("{0}")]
    Json(#[from] serde_json::Error),
    #[error("{why} at line {line}")]
    Toml { why: String, line: usize },
    #[error("{0}")]
    Yaml(String),
    #[error("\\u is not followed by the number of a character at line {0}")]
    Properties(usize),
    #[error("nothing is at `{0}`")]
    NoValue(SmolStr),
}

impl Format {
    /// The format that the configuration means by `name`.
    pub(super) fn named(name: &str) -> Option<Self> {
        match name.to_ascii_lowercase().as_str() {
            "json" => Some(Self::Json),
            "toml" | "ini" => Some(Self::Toml),
            "yaml" | "yml" => Some(Self::Yaml),
            "properties" | "props" | "prop" => Some(Self::Properties),
            _ => None,
        }
    }
}

/// The value at `selector` in `text`, as text: scalars as they are, lists and maps as JSON.
pub(super) fn select(format: Format, text: &str, selector: &str) -> Result<SmolStr, DocumentError> {
    let text = text.strip_prefix('\u{feff}').unwrap_or(text);
    let document = match format {
        Format::Json => serde_json::from_str(text)?,
        Format::Toml => toml(text)?,
        Format::Yaml => yaml(text)?,
        Format::Properties => Value::from(properties(text)?),
    };
    let names: Vec<&str> = selector.split('.').collect();
    let value = find(&document, &names).ok_or_else(|| DocumentError::NoValue(selector.into()))?;
    Ok(text_of(value))
}

/// Names match as they are written or, when none does, in any case. A name in the file may contain dots; the longest
/// that fits is tried first. A number picks from a list.
fn find<'a>(value: &'a Value, names: &[&str]) -> Option<&'a Value> {
    let Some((first, rest)) = names.split_first() else { return Some(value) };
    match value {
        Value::Map(map) => (1..=names.len()).rev().find_map(|n| {
            let (name, rest) = names.split_at(n);
            let name = name.join(".");
            let in_any_case = || map.iter().find(|(key, _)| key.eq_ignore_ascii_case(&name)).map(|(_, v)| v);
            find(map.get(&name).or_else(in_any_case)?, rest)
        }),
        Value::List(items) => find(items.get(first.parse::<usize>().ok()?)?, rest),
        _ => None,
    }
}

fn text_of(value: &Value) -> SmolStr {
    match value {
        Value::Null => SmolStr::default(),
        Value::Bool(b) => b.to_string().into(),
        Value::Int(n) => n.to_string().into(),
        Value::Float(f) => f.to_string().into(),
        Value::Str(text) => text.clone(),
        Value::List(_) | Value::Map(_) => {
            serde_json::to_string(value).expect("text, numbers, lists and maps can be written as JSON").into()
        }
    }
}

fn toml(text: &str) -> Result<Value, DocumentError> {
    let table: toml::Table = toml::from_str(text).map_err(|error| {
        let at = error.span().map_or(0, |span| span.start);
        DocumentError::Toml {
            why: error.message().to_owned(),
            line: text.get(..at).unwrap_or_default().matches('\n').count() + 1,
        }
    })?;
    Ok(value_of_table(table))
}

fn value_of_table(table: toml::Table) -> Value {
    Value::from(table.into_iter().map(|(key, value)| (key, value_of_toml(value))).collect::<Map>())
}

fn value_of_toml(value: toml::Value) -> Value {
    match value {
        toml::Value::String(text) => Value::from(text),
        toml::Value::Integer(n) => Value::from(n),
        toml::Value::Float(f) => Value::from(f),
        toml::Value::Boolean(b) => Value::from(b),
        toml::Value::Datetime(time) => Value::from(time.to_string()),
        toml::Value::Array(items) => Value::list(items.into_iter().map(value_of_toml)),
        toml::Value::Table(table) => value_of_table(table),
    }
}

fn yaml(text: &str) -> Result<Value, DocumentError> {
    /// Deeper nesting than any configuration has; bounds the recursion over hostile files.
    const MAX_DEPTH: usize = 64;
    /// Events replayed by aliases before the document counts as an alias bomb.
    const MAX_REPLAYED: usize = 100_000;
    let options = serde_saphyr::options! {
        budget: serde_saphyr::budget! { max_depth: MAX_DEPTH },
        alias_limits: serde_saphyr::alias_limits! { max_total_replayed_events: MAX_REPLAYED },
        duplicate_keys: DuplicateKeyPolicy::LastWins,
        with_snippet: false,
    };
    serde_saphyr::from_str_with_options(text, options).map_err(|error| {
        // The first line has the reason and the place.
        DocumentError::Yaml(error.to_string().lines().next().unwrap_or_default().to_owned())
    })
}

/// Keys are not nested: what has dots in the file is found by its whole name.
fn properties(text: &str) -> Result<Map, DocumentError> {
    let mut lines = text.lines().enumerate();
    let mut fields: Vec<(SmolStr, SmolStr)> = Vec::new();
    while let Some((at, line)) = lines.next() {
        let line = line.trim_start();
        if line.is_empty() || line.starts_with(['#', '!']) {
            continue;
        }
        let mut logical = line.to_owned();
        while logical.bytes().rev().take_while(|byte| *byte == b'\\').count() % 2 == 1 {
            logical.pop();
            match lines.next() {
                Some((_, more)) => logical.push_str(more.trim_start()),
                None => break,
            }
        }
        let (key, value) = key_and_value(&logical);
        let plain = |text| unescaped(text).ok_or(DocumentError::Properties(at + 1));
        fields.push((plain(key)?, plain(value)?));
    }
    Ok(fields.into_iter().collect())
}

/// The key ends at the first blank, `=` or `:` that is not escaped.
fn key_and_value(line: &str) -> (&str, &str) {
    const BLANK: [char; 3] = [' ', '\t', '\u{c}'];
    let mut escaped = false;
    let end = line.find(|c| {
        let ends = !escaped && (BLANK.contains(&c) || c == '=' || c == ':');
        escaped = c == '\\' && !escaped;
        ends
    });
    let (key, rest) = line.split_at(end.unwrap_or(line.len()));
    let rest = rest.trim_start_matches(BLANK);
    (key, rest.strip_prefix(['=', ':']).unwrap_or(rest).trim_start_matches(BLANK))
}

fn unescaped(text: &str) -> Option<SmolStr> {
    let mut out = String::with_capacity(text.len());
    let mut chars = text.chars();
    while let Some(c) = chars.next() {
        if c != '\\' {
            out.push(c);
            continue;
        }
        match chars.next() {
            Some('u') => {
                let (digits, rest) = chars.as_str().split_at_checked(4)?;
                let is_hex = digits.bytes().all(|byte| byte.is_ascii_hexdigit());
                out.push(char::from_u32(u32::from_str_radix(digits, 16).ok().filter(|_| is_hex)?)?);
                chars = rest.chars();
            }
            Some('n') => out.push('\n'),
            Some('t') => out.push('\t'),
            Some('r') => out.push('\r'),
            Some('f') => out.push('\u{c}'),
            Some(other) => out.push(other),
            None => {}
        }
    }
    Some(out.into())
}

#[cfg(test)]
mod tests {
    use super::*;

    fn selected(format: &str, text: &str, selector: &str) -> Result<String, String> {
        let format = Format::named(format).unwrap();
        select(format, text, selector).map(|v| v.to_string()).map_err(|e| e.to_string())
    }

    #[test]
    fn values_of_every_format() {
        let json = r#"{"server": {"port": 80, "ratio": 0.5, "on": true, "none": null, "list": [1, {"a": "x"}]},
                       "a.b": {"c": "dotted"}, "Name": "upper", "big": 18446744073709551615}"#;
        let toml = "title = 'x'\n[server]\nport = 80\nwhen = 1979-05-27T07:32:00Z\n[[many]]\nn = 1\n[[many]]\nn = 2\n";
        let yaml = "server:\n  port: 80\n  names: [a, b]\n  tilde: ~\nbase: &b {k: v}\nalias: *b\n";
        let properties = "# c\n! c\nserver.port = 80\nempty\nlong : a,\\\n    b\nsp\\ ace=\\u0041\\tB\\\\\nurl=http://h/?a=b\n";
        for (format, text, selector, expected) in [
            ("json", json, "server.port", "80"),
            ("json", json, "server.ratio", "0.5"),
            ("json", json, "server.on", "true"),
            ("json", json, "server.none", ""),
            ("json", json, "server.list", r#"[1,{"a":"x"}]"#),
            ("json", json, "server.list.1.a", "x"),
            ("json", json, "a.b.c", "dotted"),
            ("json", json, "name", "upper"),
            ("json", json, "SERVER.Port", "80"),
            ("json", json, "big", "18446744073709552000"),
            ("toml", toml, "title", "x"),
            ("ini", toml, "server.port", "80"),
            ("toml", toml, "server.when", "1979-05-27T07:32:00Z"),
            ("toml", toml, "many.1.n", "2"),
            ("yaml", yaml, "server.port", "80"),
            ("yml", yaml, "server.names.0", "a"),
            ("yaml", yaml, "server.tilde", ""),
            ("yaml", yaml, "alias.k", "v"),
            ("json", "\u{feff}{\"a\": 1}", "a", "1"),
            ("properties", properties, "server.port", "80"),
            ("props", properties, "empty", ""),
            ("prop", properties, "long", "a,b"),
            ("prop", properties, "sp ace", "A\tB\\"),
            ("prop", properties, "url", "http://h/?a=b"),
        ] {
            assert_eq!(selected(format, text, selector).as_deref(), Ok(expected), "{format} {selector}");
        }
    }

    #[test]
    fn what_is_broken_is_told_with_its_place_and_without_its_text() {
        for (format, text, expected) in [
            ("json", "{\n\"secret\": xyz}", "expected value at line 2 column 11"),
            ("toml", "a = 1\nsecret = xyz", "at line 2"),
            ("ini", "[s]\nk = plain words", "at line 2"),
            ("yaml", "a: [secret", "line 1"),
            ("prop", "a=1\nb=\\u00g0", "\\u is not followed by the number of a character at line 2"),
            ("prop", "b=\\u+123", "line 1"),
            ("prop", "b=\\u1é", "line 1"),
            ("json", "{}", "nothing is at `a.b`"),
            ("json", "{\"a\": 1}", "nothing is at `a.b`"),
            ("yaml", "", "nothing is at `a.b`"),
            ("json", "[]", "nothing is at `a.b`"),
        ] {
            let error = selected(format, text, "a.b").unwrap_err();
            assert!(error.contains(expected), "{format}: {error}");
            assert!(!error.contains("secret") && !error.contains('\n'), "{format}: {error}");
        }
    }

    #[test]
    fn hostile_files_end_in_an_error() {
        let deep = 100_000;
        let bomb: Vec<String> =
            (1..30).map(|n| format!("a{n}: &a{n} [*a{0}, *a{0}, *a{0}]", n - 1)).collect();
        for (format, text) in [
            ("json", "[".repeat(deep)),
            ("toml", format!("a = {}", "[".repeat(deep))),
            ("yaml", "[".repeat(deep)),
            ("yaml", format!("a0: &a0 x\n{}", bomb.join("\n"))),
        ] {
            let error = selected(format, &text, "a").unwrap_err();
            assert!(!error.starts_with("nothing is at"), "{format}: {error}");
        }
    }
}
