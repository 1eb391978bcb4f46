//! JSON patches (RFC 6902).
//!
//! As clients of the original send them: what an operation does not need is not looked at, and an unknown operation is
//! a fault of applying, not of reading. A patch of a few bytes could make a document of any size or depth by copying it
//! into itself; both are limited.

use serde_json::Value as Json;
use thiserror::Error;

/// A patch as it was sent.
#[derive(Clone, Debug, PartialEq)]
pub struct JsonPatch(Vec<Json>);

/// A patch that cannot be applied. The document is not to be used.
#[derive(Clone, Debug, PartialEq, Eq, Error)]
pub enum PatchError {
    /// No operation of RFC 6902.
    #[error("unexpected kind: {0}")]
    Operation(String),
    /// A member of the operation is absent or no text.
    #[error("{operation} operation: {member} is missing")]
    Member {
        /// The operation.
        operation: &'static str,
        /// The member.
        member: &'static str,
    },
    /// Nothing is there.
    #[error("{operation} operation does not apply: doc is missing path: {path}")]
    Path {
        /// The operation.
        operation: &'static str,
        /// The path.
        path: String,
    },
    /// What is there is something else.
    #[error("testing value {0} failed")]
    Test(String),
    /// Something would be moved into itself.
    #[error("move operation does not apply: {0} is within itself")]
    Inside(String),
    /// The document would be nested deeper than any reader goes.
    #[error("the document would be nested deeper than {MAX_DEPTH} levels")]
    Deep,
    /// Copies would make too large a document.
    #[error("copies would make more than {MAX_COPIED} values")]
    Large,
}

/// A JSON pointer (RFC 6901), unescaped.
struct Pointer(Vec<String>);

/// Levels of nesting, those that a reader of JSON allows.
const MAX_DEPTH: usize = 127;
/// Values that all copies of one patch may make.
const MAX_COPIED: usize = 1 << 18;

impl JsonPatch {
    /// Reads a patch: a list of objects.
    pub fn decode(body: &[u8]) -> Result<Self, serde_json::Error> {
        let list: Vec<serde_json::Map<String, Json>> = serde_json::from_slice(body)?;
        Ok(Self(list.into_iter().map(Json::Object).collect()))
    }

    /// Does all of it, in order.
    pub fn apply(&self, document: &mut Json) -> Result<(), PatchError> {
        let mut copied = 0;
        for operation in &self.0 {
            apply(operation, document, &mut copied)?;
        }
        Ok(())
    }
}

fn apply(operation: &Json, document: &mut Json, copied: &mut usize) -> Result<(), PatchError> {
    let name = operation.get("op").and_then(Json::as_str).unwrap_or("unknown");
    let name = match name {
        "add" => "add",
        "remove" => "remove",
        "replace" => "replace",
        "move" => "move",
        "copy" => "copy",
        "test" => "test",
        other => return Err(PatchError::Operation(other.chars().take(64).collect())),
    };
    let pointer = |member| pointer(operation, name, member);
    let missing = |path: &Pointer| PatchError::Path { operation: name, path: path.to_text() };
    let path = pointer("path")?;
    match name {
        "add" | "replace" => {
            let value = value(operation, name)?.clone();
            check_depth(&path, &value)?;
            let done = if name == "add" { path.add(document, value) } else { path.replace(document, value) };
            done.ok_or_else(|| missing(&path))
        }
        "remove" => path.remove(document).map(drop).ok_or_else(|| missing(&path)),
        "copy" => {
            let from = pointer("from")?;
            let value = from.find(document).ok_or_else(|| missing(&from))?;
            *copied += count(value);
            if *copied > MAX_COPIED {
                return Err(PatchError::Large);
            }
            let value = value.clone();
            check_depth(&path, &value)?;
            path.add(document, value).ok_or_else(|| missing(&path))
        }
        "move" => {
            let from = pointer("from")?;
            if path.0.len() > from.0.len() && path.0.starts_with(&from.0) {
                return Err(PatchError::Inside(from.to_text()));
            }
            let value = from.remove(document).ok_or_else(|| missing(&from))?;
            check_depth(&path, &value)?;
            path.add(document, value).ok_or_else(|| missing(&path))
        }
        _ => {
            let expected = value(operation, name)?;
            match path.find(document) {
                Some(found) if is_equal(found, expected) => Ok(()),
                // What is absent is the same as null to clients of the original.
                None if expected.is_null() => Ok(()),
                _ => Err(PatchError::Test(path.to_text())),
            }
        }
    }
}

fn pointer(operation: &Json, name: &'static str, member: &'static str) -> Result<Pointer, PatchError> {
    let missing = PatchError::Member { operation: name, member };
    match operation.get(member).and_then(Json::as_str) {
        Some(text) => Pointer::parse(text).ok_or(missing),
        None => Err(missing),
    }
}

fn value<'o>(operation: &'o Json, name: &'static str) -> Result<&'o Json, PatchError> {
    operation.get("value").ok_or(PatchError::Member { operation: name, member: "value" })
}

fn check_depth(path: &Pointer, value: &Json) -> Result<(), PatchError> {
    if path.0.len() + depth(value) > MAX_DEPTH { Err(PatchError::Deep) } else { Ok(()) }
}

/// Levels of nesting. No value here is nested deeper than [`MAX_DEPTH`], so it may recurse.
fn depth(value: &Json) -> usize {
    match value {
        Json::Array(items) => 1 + items.iter().map(depth).max().unwrap_or(0),
        Json::Object(members) => 1 + members.values().map(depth).max().unwrap_or(0),
        _ => 0,
    }
}

/// Values in a value, itself included; long texts count for more than one.
fn count(value: &Json) -> usize {
    match value {
        Json::Array(items) => 1 + items.iter().map(count).sum::<usize>(),
        Json::Object(members) => {
            1 + members.iter().map(|(key, v)| 1 + key.len() / 64 + count(v)).sum::<usize>()
        }
        Json::String(text) => 1 + text.len() / 64,
        _ => 1,
    }
}

/// Equality by value: `1` is `1.0`.
fn is_equal(a: &Json, b: &Json) -> bool {
    match (a, b) {
        (Json::Number(a), Json::Number(b)) => a == b || a.as_f64() == b.as_f64(),
        (Json::Array(a), Json::Array(b)) => {
            a.len() == b.len() && a.iter().zip(b).all(|(a, b)| is_equal(a, b))
        }
        (Json::Object(a), Json::Object(b)) => {
            a.len() == b.len() && a.iter().all(|(key, a)| b.get(key).is_some_and(|b| is_equal(a, b)))
        }
        _ => a == b,
    }
}

impl Pointer {
    fn parse(text: &str) -> Option<Self> {
        if text.is_empty() {
            return Some(Self(Vec::new()));
        }
        let names = text.strip_prefix('/')?.split('/');
        Some(Self(names.map(|name| name.replace("~1", "/").replace("~0", "~")).collect()))
    }

    fn to_text(&self) -> String {
        self.0.iter().flat_map(|name| std::iter::once('/').chain(name.chars())).take(256).collect()
    }

    fn find<'d>(&self, document: &'d Json) -> Option<&'d Json> {
        self.0.iter().try_fold(document, |at, name| match at {
            Json::Object(members) => members.get(name),
            Json::Array(items) => items.get(index(name)?),
            _ => None,
        })
    }

    /// What holds the value that is pointed to, and its name there.
    fn holder<'d, 's>(&'s self, document: &'d mut Json) -> Option<(&'d mut Json, &'s str)> {
        let (last, way) = self.0.split_last()?;
        let holder = way.iter().try_fold(document, |at, name| match at {
            Json::Object(members) => members.get_mut(name),
            Json::Array(items) => items.get_mut(index(name)?),
            _ => None,
        })?;
        Some((holder, last))
    }

    fn add(&self, document: &mut Json, value: Json) -> Option<()> {
        if self.0.is_empty() {
            *document = value;
            return Some(());
        }
        match self.holder(document)? {
            (Json::Object(members), name) => {
                members.insert(name.to_owned(), value);
            }
            (Json::Array(items), "-") => items.push(value),
            (Json::Array(items), name) => {
                let at = index(name).filter(|at| *at <= items.len())?;
                items.insert(at, value);
            }
            _ => return None,
        }
        Some(())
    }

    fn replace(&self, document: &mut Json, value: Json) -> Option<()> {
        if self.0.is_empty() {
            *document = value;
            return Some(());
        }
        let slot = match self.holder(document)? {
            (Json::Object(members), name) => members.get_mut(name),
            (Json::Array(items), name) => items.get_mut(index(name)?),
            _ => None,
        };
        *slot? = value;
        Some(())
    }

    fn remove(&self, document: &mut Json) -> Option<Json> {
        match self.holder(document)? {
            // The order of the others is what a reader knows.
            (Json::Object(members), name) => members.shift_remove(name),
            (Json::Array(items), name) => {
                let at = index(name).filter(|at| *at < items.len())?;
                Some(items.remove(at))
            }
            _ => None,
        }
    }
}

/// A place in a list: digits, without a zero before them.
fn index(name: &str) -> Option<usize> {
    let is_plain = !name.is_empty() && name.bytes().all(|b| b.is_ascii_digit());
    (is_plain && (name == "0" || !name.starts_with('0'))).then(|| name.parse().ok()).flatten()
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;

    fn patched(mut document: Json, patch: &Json) -> Result<Json, String> {
        let patch = JsonPatch::decode(patch.to_string().as_bytes()).map_err(|e| e.to_string())?;
        patch.apply(&mut document).map_err(|e| e.to_string())?;
        Ok(document)
    }

    /// Most are the examples of RFC 6902, appendix A.
    #[test]
    fn operations_do_what_the_rfc_says() {
        for (document, patch, expected) in [
            (
                json!({"foo": "bar"}),
                json!([{"op": "add", "path": "/baz", "value": "qux"}]),
                json!({"foo": "bar", "baz": "qux"}),
            ),
            (
                json!({"foo": ["bar", "baz"]}),
                json!([{"op": "add", "path": "/foo/1", "value": "qux"}]),
                json!({"foo": ["bar", "qux", "baz"]}),
            ),
            (
                json!({"baz": 1, "foo": 2}),
                json!([{"op": "remove", "path": "/baz", "value": ""}]),
                json!({"foo": 2}),
            ),
            (
                json!({"foo": ["bar", "qux", "baz"]}),
                json!([{"op": "remove", "path": "/foo/1"}]),
                json!({"foo": ["bar", "baz"]}),
            ),
            (
                json!({"baz": "qux"}),
                json!([{"op": "replace", "path": "/baz", "value": null}]),
                json!({"baz": null}),
            ),
            (
                json!({"foo": {"bar": 1}, "qux": {}}),
                json!([{"op": "move", "from": "/foo/bar", "path": "/qux/thud"}]),
                json!({"foo": {}, "qux": {"thud": 1}}),
            ),
            (
                json!({"foo": [1, 2, 3]}),
                json!([{"op": "move", "from": "/foo/0", "path": "/foo/2"}]),
                json!({"foo": [2, 3, 1]}),
            ),
            (
                json!({"a": {"b": 1}}),
                json!([{"op": "copy", "from": "/a", "path": "/c"}]),
                json!({"a": {"b": 1}, "c": {"b": 1}}),
            ),
            (
                json!({"baz": "qux", "foo": ["a", 2]}),
                json!([{"op": "test", "path": "/foo/1", "value": 2.0}]),
                json!({"baz": "qux", "foo": ["a", 2]}),
            ),
            (
                json!({"/": 9, "~1": 10}),
                json!([{"op": "test", "path": "/~01", "value": 10}, {"op": "remove", "path": "/~1"}]),
                json!({"~1": 10}),
            ),
            (
                json!({"foo": ["bar"]}),
                json!([{"op": "add", "path": "/foo/-", "value": ["abc"]}]),
                json!({"foo": ["bar", ["abc"]]}),
            ),
            (json!({"foo": "bar"}), json!([{"op": "add", "path": "", "value": []}]), json!([])),
            (json!({}), json!([]), json!({})),
        ] {
            assert_eq!(patched(document, &patch), Ok(expected), "{patch}");
        }
    }

    #[test]
    fn what_does_not_apply_is_said_so() {
        for (patch, fault) in [
            (json!([{"op": "foobar", "path": "/a"}]), "unexpected kind: foobar"),
            (json!([{"path": "/a"}]), "unexpected kind: unknown"),
            (json!([{"op": "add", "path": "/a"}]), "add operation: value is missing"),
            (json!([{"op": "add", "path": "a", "value": 1}]), "add operation: path is missing"),
            (
                json!([{"op": "remove", "path": "/x"}]),
                "remove operation does not apply: doc is missing path: /x",
            ),
            (json!([{"op": "remove", "path": ""}]), "remove operation does not apply: doc is missing path: "),
            (
                json!([{"op": "replace", "path": "/x", "value": 1}]),
                "replace operation does not apply: doc is missing path: /x",
            ),
            (
                json!([{"op": "add", "path": "/x/y", "value": 1}]),
                "add operation does not apply: doc is missing path: /x/y",
            ),
            (
                json!([{"op": "add", "path": "/l/01", "value": 1}]),
                "add operation does not apply: doc is missing path: /l/01",
            ),
            (
                json!([{"op": "add", "path": "/l/3", "value": 1}]),
                "add operation does not apply: doc is missing path: /l/3",
            ),
            (
                json!([{"op": "move", "from": "/a", "path": "/a/b"}]),
                "move operation does not apply: /a is within itself",
            ),
            (json!([{"op": "copy", "path": "/b"}]), "copy operation: from is missing"),
            (json!([{"op": "test", "path": "/a", "value": 2}]), "testing value /a failed"),
        ] {
            assert_eq!(
                patched(json!({"a": {"b": 1}, "l": [1, 2]}), &patch),
                Err(fault.to_owned()),
                "{patch}"
            );
        }
        for wrong in ["", "{}", "[1]", "null", "[{]"] {
            assert!(JsonPatch::decode(wrong.as_bytes()).is_err(), "{wrong}");
        }
    }

    #[test]
    fn copies_make_neither_endless_size_nor_endless_depth() {
        let wide: Vec<Json> =
            (0..64).map(|i| json!({"op": "copy", "from": "", "path": format!("/c{i}")})).collect();
        assert_eq!(patched(json!({"a": 1}), &Json::Array(wide)), Err(PatchError::Large.to_string()));
        let deep: Vec<Json> =
            (0..1000).map(|_| json!({"op": "copy", "from": "/a", "path": "/a/a"})).collect();
        assert_eq!(patched(json!({"a": {"a": {}}}), &Json::Array(deep)), Err(PatchError::Deep.to_string()));
        let path = "/a".repeat(126);
        let deep = json!([{"op": "copy", "from": "", "path": "/a"}]);
        let mut nested = json!({});
        for _ in 0..126 {
            nested = json!({"a": nested});
        }
        assert_eq!(patched(nested.clone(), &deep), Err(PatchError::Deep.to_string()));
        let add = json!([{"op": "add", "path": format!("{path}/a/a"), "value": {}}]);
        assert_eq!(patched(nested, &add), Err(PatchError::Deep.to_string()));
    }
}
