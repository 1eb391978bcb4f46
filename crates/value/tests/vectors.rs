//! The facts of the original about filters, paths, ranges and ids, as recorded vectors.

#![allow(clippy::unwrap_used, reason = "a test that cannot set up must fail")]

use serde_json::Value as Json;
use skydive_value::{
    FieldRef, Fields, Filter, Hint, Id, Ipv4Net, Map, Path, Pattern, Test, Value, parse_definition,
};

fn cases(text: &str) -> Vec<Json> {
    serde_json::from_str(text).unwrap()
}

fn value(json: &Json) -> Value {
    serde_json::from_value(json.clone()).unwrap()
}

fn map(json: &Json) -> Map {
    serde_json::from_value(json.clone()).unwrap()
}

/// An element in its JSON form; attributes are the members beside `Metadata`.
struct Element {
    json: Json,
    metadata: Map,
}

impl Fields for Element {
    fn field<'a>(&'a self, path: &'a Path, hint: &Hint) -> Option<FieldRef<'a>> {
        let name = match path.first() {
            name @ ("Parent" | "Child") => name,
            name if path.is_attribute() => &name[1..],
            _ => return FieldRef::in_map(&self.metadata, path, hint),
        };
        match &self.json[name] {
            Json::String(text) => Some(FieldRef::Str(text)),
            Json::Number(n) => Some(FieldRef::Int(n.as_i64()?)),
            _ => None,
        }
    }
}

fn filter(json: &Json) -> Filter {
    let of = || json["of"].as_array().unwrap().iter().map(filter).collect();
    let test = match json["op"].as_str().unwrap() {
        "and" => return Filter::And(of()),
        "or" => return Filter::Or(of()),
        "not" => return Filter::Not(of()),
        "string" => Test::Text(json["value"].as_str().unwrap().into()),
        "int" => Test::Int(json["value"].as_i64().unwrap()),
        "bool" => Test::Bool(json["value"].as_bool().unwrap()),
        "gt" => Test::Gt(json["value"].as_i64().unwrap()),
        "gte" => Test::Gte(json["value"].as_i64().unwrap()),
        "lt" => Test::Lt(json["value"].as_i64().unwrap()),
        "lte" => Test::Lte(json["value"].as_i64().unwrap()),
        "regex" => Test::Regex(Pattern::new(json["value"].as_str().unwrap()).unwrap()),
        "ipv4range" => Test::Ipv4Range(Ipv4Net::parse(json["value"].as_str().unwrap()).unwrap()),
        "null" => Test::Missing,
        other => panic!("unknown operator {other}"),
    };
    Filter::Field(Path::parse(json["key"].as_str().unwrap()), test)
}

#[test]
fn filters() {
    // Where the original's answer is an accident that the query reference says to improve.
    const IMPROVED: &[(&str, &str)] = &[
        ("f37", "@DeletedAt is absent while the element is alive"),
        ("fe02", "Parent is a field like any other"),
        ("fe04", "lists in edge metadata match by element, as in nodes"),
        ("fe05", "the same for numbers"),
    ];
    let all = cases(include_str!("data/filters.json"));
    let element =
        |kind: &str| Element { metadata: map(&all[0][kind]["Metadata"]), json: all[0][kind].clone() };
    let (node, edge) = (element("node"), element("edge"));
    assert!(all.len() > 70);
    for case in &all[1..] {
        let id = case["id"].as_str().unwrap();
        let subject = if case["element"] == "node" { &node } else { &edge };
        let expected = case["match"].as_bool().unwrap() != IMPROVED.iter().any(|(i, _)| *i == id);
        assert_eq!(filter(&case["filter"]).matches(subject), expected, "{case}");
    }
}

#[test]
fn metadata() {
    for case in cases(include_str!("data/metadata.json")) {
        let path = || Path::parse(case["key"].as_str().unwrap());
        match case["op"].as_str().unwrap() {
            "get" => match (map(&case["doc"]).lookup(&path()), case.get("error")) {
                (Err(error), Some(expected)) => assert_eq!(error.to_string(), expected.as_str().unwrap()),
                (Ok(found), None) => {
                    let found = serde_json::to_value(found.unwrap_or_default()).unwrap();
                    let nothing = found == serde_json::json!([]) && case["value"].is_null();
                    assert!(nothing || found == case["value"], "{case}: {found}");
                }
                (other, _) => panic!("{case}: {other:?}"),
            },
            "set" => {
                let mut doc = map(&case["doc"]);
                assert_eq!(
                    doc.set_path(&path(), value(&case["value"])),
                    case["ok"].as_bool().unwrap(),
                    "{case}"
                );
                assert_eq!(doc, map(&case["after"]), "{case}");
            }
            "del" => {
                let mut doc = map(&case["doc"]);
                assert_eq!(doc.remove_path(&path()), case["ok"].as_bool().unwrap(), "{case}");
                assert_eq!(doc, map(&case["after"]), "{case}");
            }
            "normalize" => assert_eq!(map(&case["doc"]).normalized(), map(&case["after"]), "{case}"),
            "parse-definition" => match (parse_definition(case["text"].as_str().unwrap()), case.get("error"))
            {
                (Err(error), Some(expected)) => assert_eq!(error.to_string(), expected.as_str().unwrap()),
                (Ok(parsed), None) => assert_eq!(parsed, map(&case["after"]), "{case}"),
                (other, _) => panic!("{case}: {other:?}"),
            },
            other => panic!("unknown operation {other}"),
        }
    }
}

#[test]
fn cidr() {
    for case in cases(include_str!("data/cidr.json")) {
        match (Ipv4Net::parse(case["cidr"].as_str().unwrap()), case.get("error")) {
            (Err(error), Some(expected)) => assert_eq!(error.to_string(), expected.as_str().unwrap()),
            (Ok(net), None) => {
                let text = case["value"].as_str().unwrap();
                assert_eq!(net.contains_text(text), case["match"].as_bool().unwrap(), "{case}");
            }
            (other, _) => panic!("{case}: {other:?}"),
        }
    }
}

#[test]
fn ids() {
    for case in cases(include_str!("data/ids.json")) {
        let parts: Vec<&str> =
            case["parts"].as_array().unwrap().iter().map(|p| p.as_str().unwrap()).collect();
        assert_eq!(Id::from_parts(&parts).to_string(), case["uuid"].as_str().unwrap(), "{case}");
    }
}
