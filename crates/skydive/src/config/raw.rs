//! Values as a source gives them, before anybody knows what they should be.

use std::collections::BTreeMap;
use std::fmt::{self, Display, Formatter};

use serde_json::Value as Json;

/// A value of a file or of the environment. Maps are sorted by their lower-cased keys.
#[derive(Clone, Debug, PartialEq)]
pub(crate) enum Raw {
    /// `null`, `~` or nothing after the colon: as if the key were absent, except where users choose the keys.
    Null,
    /// `true`, `yes`, `on` and their opposites.
    Bool(bool),
    /// A whole number.
    Int(i64),
    /// Any other number.
    Float(f64),
    /// Anything else.
    Text(String),
    /// A sequence.
    List(Vec<Raw>),
    /// A mapping inside a sequence, or an empty one; mappings elsewhere are flattened into dotted keys.
    Map(BTreeMap<String, Raw>),
}

impl Raw {
    /// The text of a scalar; `None` for lists, maps and null.
    pub(crate) fn as_text(&self) -> Option<String> {
        match self {
            Raw::Bool(value) => Some(value.to_string()),
            Raw::Int(value) => Some(value.to_string()),
            Raw::Float(value) => Some(value.to_string()),
            Raw::Text(value) => Some(value.clone()),
            Raw::Null | Raw::List(_) | Raw::Map(_) => None,
        }
    }

    /// What it is, for messages.
    pub(crate) fn kind(&self) -> &'static str {
        match self {
            Raw::Null => "nothing",
            Raw::Bool(_) => "a switch",
            Raw::Int(_) | Raw::Float(_) => "a number",
            Raw::Text(_) => "text",
            Raw::List(_) => "a list",
            Raw::Map(_) => "a section",
        }
    }

    /// The value as JSON.
    pub(crate) fn to_json(&self) -> Json {
        match self {
            Raw::Null => Json::Null,
            Raw::Bool(value) => Json::Bool(*value),
            Raw::Int(value) => Json::from(*value),
            Raw::Float(value) => Json::from(*value),
            Raw::Text(value) => Json::from(value.as_str()),
            Raw::List(items) => Json::Array(items.iter().map(Raw::to_json).collect()),
            Raw::Map(entries) => {
                Json::Object(entries.iter().map(|(name, value)| (name.clone(), value.to_json())).collect())
            }
        }
    }
}

impl From<Json> for Raw {
    fn from(json: Json) -> Self {
        match json {
            Json::Null => Raw::Null,
            Json::Bool(value) => Raw::Bool(value),
            Json::Number(value) => match (value.as_i64(), value.as_f64()) {
                (Some(whole), _) => Raw::Int(whole),
                (None, Some(real)) => Raw::Float(real),
                (None, None) => Raw::Text(value.to_string()),
            },
            Json::String(value) => Raw::Text(value),
            Json::Array(items) => Raw::List(items.into_iter().map(Raw::from).collect()),
            Json::Object(entries) => Raw::Map(
                entries.into_iter().map(|(name, value)| (name.to_lowercase(), Raw::from(value))).collect(),
            ),
        }
    }
}

/// The value on one line, as YAML would take it.
impl Display for Raw {
    fn fmt(&self, f: &mut Formatter<'_>) -> fmt::Result {
        match self {
            Raw::Text(value) if is_plain(value) => f.write_str(value),
            other => write!(f, "{}", other.to_json()),
        }
    }
}

/// Whether YAML reads the text as this very text without quotes.
fn is_plain(text: &str) -> bool {
    let safe = |c: char| c.is_ascii_alphanumeric() || "_-./".contains(c);
    text.starts_with(|c: char| c.is_ascii_alphabetic() || c == '/')
        && text.chars().all(safe)
        && !matches!(
            text.to_lowercase().as_str(),
            "y" | "n" | "yes" | "no" | "on" | "off" | "true" | "false" | "null"
        )
}
