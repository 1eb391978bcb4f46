//! The shapes that nodes and edges from outside must have, and what is said of those that have not.
//!
//! The original checks them with JSON schemas (draft 04) and its library's texts reach clients, one of which is
//! compared by a test of the original: a list of faults in the reverse of the order in which they were found, each
//! with the place it concerns. Three shapes are few enough to be checked by hand, which gives the same texts.

use std::fmt::{self, Display};

use serde_json::Value as Json;
use skydive_graph::{Edge, Node, key};
use skydive_value::{Map, Value};
use thiserror::Error;

/// Faults of an element, in the order in which clients are told of them.
#[derive(Clone, Debug, PartialEq, Eq, Error)]
#[error("invalid schema: {}", Lines(.faults))]
pub struct SchemaErrors {
    faults: Vec<String>,
}

/// A member as far as a shape speaks of it.
#[derive(Clone, Copy)]
enum Member<'a> {
    Absent,
    Text(&'a str),
    /// Something else; the name of its type.
    Other(&'static str),
}

/// What a node must have beside a name.
#[derive(Clone, Copy)]
enum Alternative {
    /// A type that is no other alternative's.
    Typed,
    /// No type or the one that is known by this field.
    KnownBy(&'static str),
}

/// Faults in the order in which they are found.
#[derive(Default)]
struct Faults(Vec<String>);

struct Lines<'a>(&'a [String]);

const ROOT: &str = "(root)";
const METADATA: &str = "Metadata";
const ALL_OF: &str = "Must validate all the schemas (allOf)";
const ANY_OF: &str = "Must validate at least one schema (anyOf)";

const NETNS: Alternative = Alternative::KnownBy(key::PATH);
const OVSPORT: Alternative = Alternative::KnownBy(key::UUID);

/// Whether the JSON of a node has the shape of one.
pub fn check_node(json: &Json) -> Result<(), SchemaErrors> {
    let mut faults = Faults::default();
    check_element(json, &mut faults);
    if let Some(Json::Object(metadata)) = json.get(METADATA) {
        check_node_members(&|name| Member::of_json(metadata.get(name)), &mut faults);
    }
    faults.into_result()
}

/// Whether the JSON of an edge has the shape of one.
pub fn check_edge(json: &Json) -> Result<(), SchemaErrors> {
    let mut faults = Faults::default();
    check_element(json, &mut faults);
    if !json.is_object() {
        return faults.into_result();
    }
    for end in ["Parent", "Child"] {
        faults.require(ROOT, end, Member::of_json(json.get(end)));
    }
    if let Some(Json::Object(metadata)) = json.get(METADATA) {
        check_edge_members(Member::of_json(metadata.get(key::RELATION_TYPE)), &mut faults);
    }
    for end in ["Parent", "Child"] {
        faults.check_text(end, Member::of_json(json.get(end)));
    }
    faults.into_result()
}

/// The same for the metadata of a node that was decoded: the rest of it has its shape by being one.
pub fn check_node_metadata(metadata: &Map) -> Result<(), SchemaErrors> {
    let mut faults = Faults::default();
    check_node_members(&|name| Member::of_value(metadata.get(name)), &mut faults);
    faults.into_result()
}

/// The same for the metadata of an edge that was decoded.
pub fn check_edge_metadata(metadata: &Map) -> Result<(), SchemaErrors> {
    let mut faults = Faults::default();
    check_edge_members(Member::of_value(metadata.get(key::RELATION_TYPE)), &mut faults);
    faults.into_result()
}

/// Whether a decoded node has the shape of one.
pub fn check_decoded_node(node: &Node) -> Result<(), SchemaErrors> {
    check_node_metadata(&node.metadata)
}

/// Whether a decoded edge has the shape of one.
pub fn check_decoded_edge(edge: &Edge) -> Result<(), SchemaErrors> {
    check_edge_metadata(&edge.metadata)
}

impl SchemaErrors {
    /// The faults, each `<place>: <what>`.
    pub fn faults(&self) -> &[String] {
        &self.faults
    }
}

impl Display for Lines<'_> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        for (i, line) in self.0.iter().enumerate() {
            if i > 0 {
                f.write_str("\n")?;
            }
            f.write_str(line)?;
        }
        Ok(())
    }
}

impl<'a> Member<'a> {
    fn of_json(json: Option<&'a Json>) -> Self {
        match json {
            None => Self::Absent,
            Some(Json::String(text)) => Self::Text(text),
            Some(other) => Self::Other(type_of(other)),
        }
    }

    fn of_value(value: Option<&'a Value>) -> Self {
        match value {
            None => Self::Absent,
            Some(Value::Str(text)) => Self::Text(text),
            Some(Value::Null) => Self::Other("null"),
            Some(Value::Bool(_)) => Self::Other("boolean"),
            Some(Value::Int(_)) => Self::Other("integer"),
            Some(Value::Float(_)) => Self::Other("number"),
            Some(Value::List(_)) => Self::Other("array"),
            Some(Value::Map(_)) => Self::Other("object"),
        }
    }
}

impl Faults {
    fn add(&mut self, place: &str, what: impl Display) {
        self.0.push(format!("{place}: {what}"));
    }

    fn require(&mut self, place: &str, name: &str, member: Member<'_>) {
        if let Member::Absent = member {
            self.add(place, format_args!("{name} is required"));
        }
    }

    /// A member, if it is there, is text and not empty.
    fn check_text(&mut self, place: &str, member: Member<'_>) {
        match member {
            Member::Text("") => self.add(place, "String length must be greater than or equal to 1"),
            other => self.check_type(place, other),
        }
    }

    /// A member, if it is there, is text.
    fn check_type(&mut self, place: &str, member: Member<'_>) {
        if let Member::Other(given) = member {
            self.add(place, format_args!("Invalid type. Expected: string, given: {given}"));
        }
    }

    fn into_result(self) -> Result<(), SchemaErrors> {
        let Self(mut faults) = self;
        if faults.is_empty() {
            return Ok(());
        }
        faults.push(format!("{ROOT}: {ALL_OF}"));
        faults.reverse();
        Err(SchemaErrors { faults })
    }
}

fn check_element(json: &Json, faults: &mut Faults) {
    let Json::Object(members) = json else {
        faults.add(ROOT, format_args!("Invalid type. Expected: object, given: {}", type_of(json)));
        return;
    };
    for name in ["ID", METADATA] {
        faults.require(ROOT, name, Member::of_json(members.get(name)));
    }
    faults.check_text("ID", Member::of_json(members.get("ID")));
    if let Some(other) = members.get(METADATA).filter(|metadata| !metadata.is_object()) {
        faults.add(METADATA, format_args!("Invalid type. Expected: object, given: {}", type_of(other)));
    }
    for (name, expected) in
        [("Host", "string"), ("Origin", "string"), ("CreatedAt", "integer"), ("UpdatedAt", "integer")]
    {
        let Some(member) = members.get(name) else { continue };
        let given = type_of(member);
        if given != expected && given != "null" {
            faults.add(name, format_args!("Invalid type. Expected: [{expected},null], given: {given}"));
        }
    }
}

fn check_node_members<'a>(member: &dyn Fn(&str) -> Member<'a>, faults: &mut Faults) {
    let found = closest(member).check(member);
    if !found.0.is_empty() {
        faults.add(ROOT, ANY_OF);
        faults.0.extend(found.0);
        faults.add(METADATA, ALL_OF);
    }
}

fn check_edge_members(relation: Member<'_>, faults: &mut Faults) {
    let before = faults.0.len();
    faults.require(METADATA, key::RELATION_TYPE, relation);
    faults.check_text("Metadata.RelationType", relation);
    if faults.0.len() > before {
        faults.add(METADATA, ALL_OF);
    }
}

/// The alternative that the metadata comes closest to: that of its type, else the one whose field it has.
fn closest<'a>(member: &dyn Fn(&str) -> Member<'a>) -> Alternative {
    let is_absent = |name| matches!(member(name), Member::Absent);
    match member(key::TYPE) {
        Member::Text(key::node_type::NETNS) => NETNS,
        Member::Text(key::node_type::OVSPORT) => OVSPORT,
        Member::Text(_) => Alternative::Typed,
        Member::Absent | Member::Other(_) if is_absent(key::PATH) && !is_absent(key::UUID) => OVSPORT,
        Member::Absent | Member::Other(_) => NETNS,
    }
}

impl Alternative {
    fn check<'a>(self, member: &dyn Fn(&str) -> Member<'a>) -> Faults {
        let mut faults = Faults::default();
        match self {
            Self::Typed => faults.check_text("Metadata.Type", member(key::TYPE)),
            Self::KnownBy(field) => {
                faults.check_type("Metadata.Type", member(key::TYPE));
                faults.require(METADATA, field, member(field));
                faults.check_type(&format!("{METADATA}.{field}"), member(field));
            }
        }
        faults.require(METADATA, key::NAME, member(key::NAME));
        faults.check_text("Metadata.Name", member(key::NAME));
        faults
    }
}

fn type_of(json: &Json) -> &'static str {
    match json {
        Json::Null => "null",
        Json::Bool(_) => "boolean",
        Json::Number(number) if number.is_f64() && number.as_f64().is_none_or(|n| n.fract() != 0.0) => {
            "number"
        }
        Json::Number(_) => "integer",
        Json::String(_) => "string",
        Json::Array(_) => "array",
        Json::Object(_) => "object",
    }
}

#[cfg(test)]
#[expect(clippy::indexing_slicing, reason = "the cases are ours")]
mod tests {
    use serde_json::json;

    use super::*;
    use crate::{decode_edge, decode_node};
    use skydive_value::Timestamp;

    fn check(kind: &str, json: &Json) -> Result<(), SchemaErrors> {
        if kind == "node" { check_node(json) } else { check_edge(json) }
    }

    /// The texts that the original's library gave.
    #[test]
    fn faults_are_those_of_the_original() {
        let cases: Vec<Json> = serde_json::from_str(include_str!("../tests/data/schemas.json")).unwrap();
        assert_eq!(cases.len(), 24);
        for case in cases {
            let found = check(case["kind"].as_str().unwrap(), &case["json"]).map_err(|e| e.to_string());
            let expected = match case["text"].as_str() {
                Some(text) => Err(text.to_owned()),
                None => Ok(()),
            };
            assert_eq!(found, expected, "{}", case["id"]);
            assert_eq!(found.is_ok(), case["valid"].as_bool().unwrap(), "{}", case["id"]);
        }
    }

    /// What was decoded is judged like the JSON it came from.
    #[test]
    fn decoded_elements_are_judged_alike() {
        let cases: Vec<Json> = serde_json::from_str(include_str!("../tests/data/schemas.json")).unwrap();
        let mut compared = 0;
        for case in cases {
            let (json, bytes) = (&case["json"], case["json"].to_string());
            if json.get(METADATA).is_none() {
                continue;
            }
            let decoded = if case["kind"] == "node" {
                decode_node(bytes.as_bytes(), Timestamp::EPOCH).ok().map(|node| check_decoded_node(&node))
            } else {
                decode_edge(bytes.as_bytes(), Timestamp::EPOCH).ok().map(|edge| check_decoded_edge(&edge))
            };
            if let Some(decoded) = decoded {
                assert_eq!(decoded, check(case["kind"].as_str().unwrap(), json), "{}", case["id"]);
                compared += 1;
            }
        }
        assert!(compared > 15, "{compared}");
    }

    #[test]
    fn what_is_no_object_is_said_so() {
        let text = |json: Json| check_node(&json).unwrap_err().to_string();
        assert!(text(json!([])).ends_with("\n(root): Invalid type. Expected: object, given: array"));
        assert!(
            text(json!({"ID": "a", "Metadata": 1}))
                .ends_with("\nMetadata: Invalid type. Expected: object, given: integer")
        );
    }
}
