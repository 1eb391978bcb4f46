//! YAML text as dotted keys, each with the line it stands on.
//!
//! Keys are lower-cased and dots in them nest, as viper has it. A repeated key stays, for the caller to tell. Outside
//! bytes: the depth of the document and the events replayed by aliases are limited, the caller limits the size.

use std::fmt;

use serde::de::{Deserialize, Deserializer, MapAccess, SeqAccess, Visitor};
use serde_saphyr::Spanned;
use serde_saphyr::options::DuplicateKeyPolicy;

use super::raw::Raw;

/// One value of a document: its dotted key, the line of the key, the value.
#[derive(Debug, PartialEq)]
pub(crate) struct Leaf {
    pub(crate) key: String,
    pub(crate) line: u64,
    pub(crate) raw: Raw,
}

/// Why a document could not be read.
#[derive(Debug, PartialEq)]
pub(crate) struct Unreadable {
    /// Line of the defect, where the parser knows it.
    pub(crate) line: Option<u64>,
    pub(crate) why: String,
}

/// A node of the document before flattening.
enum Node {
    Leaf(Raw),
    Map(Vec<(Spanned<String>, Node)>),
}

/// Deeper nesting than any configuration has; bounds the recursion over hostile files.
const MAX_DEPTH: usize = 64;

/// Events replayed by aliases before the document counts as an alias bomb.
const MAX_REPLAYED: usize = 100_000;

/// Reads one document into its leaves, in document order. A key without a value and an empty section are leaves too.
pub(crate) fn leaves(text: &str) -> Result<Vec<Leaf>, Unreadable> {
    let options = serde_saphyr::options! {
        budget: serde_saphyr::budget! { max_depth: MAX_DEPTH },
        alias_limits: serde_saphyr::alias_limits! { max_total_replayed_events: MAX_REPLAYED },
        duplicate_keys: DuplicateKeyPolicy::LastWins,
        with_snippet: false,
    };
    let root: Option<Node> =
        serde_saphyr::from_str_with_options(text, options).map_err(|error| Unreadable {
            line: error.location().map(|location| location.line()).filter(|line| *line > 0),
            why: plain(&error.to_string()),
        })?;
    let mut leaves = Vec::new();
    match root {
        None | Some(Node::Leaf(Raw::Null)) => {}
        Some(Node::Leaf(raw)) => {
            return Err(Unreadable {
                line: Some(1),
                why: format!("the file holds {} instead of keys and values", raw.kind()),
            });
        }
        Some(Node::Map(entries)) => flatten("", entries, &mut leaves),
    }
    Ok(leaves)
}

/// The leaves of a value that was given as one piece, such as JSON in a variable.
pub(crate) fn leaves_of(prefix: &str, raw: Raw, line: u64) -> Vec<Leaf> {
    match raw {
        Raw::Map(entries) if !entries.is_empty() => {
            entries.into_iter().flat_map(|(name, raw)| leaves_of(&join(prefix, &name), raw, line)).collect()
        }
        raw => vec![Leaf { key: prefix.to_owned(), line, raw }],
    }
}

/// The parser's words without the position, which is told apart.
fn plain(message: &str) -> String {
    let end = message.rfind(" at line ").unwrap_or(message.len());
    message[..end].trim_end_matches(':').to_owned()
}

fn flatten(prefix: &str, entries: Vec<(Spanned<String>, Node)>, leaves: &mut Vec<Leaf>) {
    for (name, node) in entries {
        let key = join(prefix, &name.value.to_lowercase());
        match node {
            Node::Map(entries) if !entries.is_empty() => flatten(&key, entries, leaves),
            node => leaves.push(Leaf { key, line: name.referenced.line(), raw: node.into_raw() }),
        }
    }
}

fn join(prefix: &str, name: &str) -> String {
    if prefix.is_empty() { name.to_owned() } else { format!("{prefix}.{name}") }
}

impl Node {
    /// The node as a value, for those inside lists: their lines are not kept.
    fn into_raw(self) -> Raw {
        match self {
            Node::Leaf(raw) => raw,
            Node::Map(entries) => Raw::Map(
                entries
                    .into_iter()
                    .map(|(name, node)| (name.value.to_lowercase(), node.into_raw()))
                    .collect(),
            ),
        }
    }
}

impl<'de> Deserialize<'de> for Node {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        deserializer.deserialize_any(NodeVisitor)
    }
}

struct NodeVisitor;

impl<'de> Visitor<'de> for NodeVisitor {
    type Value = Node;

    fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("a value")
    }

    fn visit_unit<E>(self) -> Result<Node, E> {
        Ok(Node::Leaf(Raw::Null))
    }

    fn visit_none<E>(self) -> Result<Node, E> {
        Ok(Node::Leaf(Raw::Null))
    }

    fn visit_some<D: Deserializer<'de>>(self, deserializer: D) -> Result<Node, D::Error> {
        Node::deserialize(deserializer)
    }

    fn visit_bool<E>(self, value: bool) -> Result<Node, E> {
        Ok(Node::Leaf(Raw::Bool(value)))
    }

    fn visit_i64<E>(self, value: i64) -> Result<Node, E> {
        Ok(Node::Leaf(Raw::Int(value)))
    }

    fn visit_u64<E>(self, value: u64) -> Result<Node, E> {
        Ok(Node::Leaf(i64::try_from(value).map_or_else(|_| Raw::Text(value.to_string()), Raw::Int)))
    }

    fn visit_f64<E>(self, value: f64) -> Result<Node, E> {
        Ok(Node::Leaf(Raw::Float(value)))
    }

    fn visit_str<E>(self, value: &str) -> Result<Node, E> {
        Ok(Node::Leaf(Raw::Text(value.to_owned())))
    }

    fn visit_seq<A: SeqAccess<'de>>(self, mut items: A) -> Result<Node, A::Error> {
        let mut list = Vec::new();
        while let Some(item) = items.next_element::<Node>()? {
            list.push(item.into_raw());
        }
        Ok(Node::Leaf(Raw::List(list)))
    }

    fn visit_map<A: MapAccess<'de>>(self, mut map: A) -> Result<Node, A::Error> {
        let mut entries = Vec::new();
        while let Some(entry) = map.next_entry::<Spanned<String>, Node>()? {
            entries.push(entry);
        }
        Ok(Node::Map(entries))
    }
}
