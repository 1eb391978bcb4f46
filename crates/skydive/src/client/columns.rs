//! Answers as tables for reading. The shape of the answer decides the columns.

use comfy_table::{ContentArrangement, Table, presets};
use serde_json::{Map, Value as Json};

use crate::terminal::harmless;

/// Columns of nodes: title, and the path inside the element.
const NODE: &[(&str, &[&str])] = &[
    ("Name", &["Metadata", "Name"]),
    ("Type", &["Metadata", "Type"]),
    ("Host", &["Host"]),
    ("State", &["Metadata", "State"]),
    ("IPV4", &["Metadata", "IPV4"]),
    ("IPV6", &["Metadata", "IPV6"]),
    ("MAC", &["Metadata", "MAC"]),
    ("ID", &["ID"]),
];

/// Columns of edges.
const EDGE: &[(&str, &[&str])] = &[
    ("RelationType", &["Metadata", "RelationType"]),
    ("Type", &["Metadata", "Type"]),
    ("Host", &["Host"]),
    ("Parent", &["Parent"]),
    ("Child", &["Child"]),
    ("ID", &["ID"]),
];

/// The answer as one or several tables.
pub(crate) fn render(answer: &Json) -> String {
    match answer {
        Json::Array(items) => list(items),
        scalar => format!("{}\n", cell(scalar)),
    }
}

fn list(items: &[Json]) -> String {
    let Some(first) = items.first() else { return "nothing found\n".to_owned() };
    match first {
        // Paths: one table each.
        Json::Array(_) => items.iter().map(render).collect::<Vec<_>>().join("\n"),
        Json::Object(fields) if fields.contains_key("Nodes") => {
            let parts = ["Nodes", "Edges"]
                .iter()
                .flat_map(|part| items.iter().filter_map(move |graph| graph.get(part)));
            let tables =
                parts.filter(|part| part.as_array().is_some_and(|part| !part.is_empty())).map(render);
            let text = tables.collect::<Vec<_>>().join("\n");
            if text.is_empty() { list(&[]) } else { text }
        }
        Json::Object(fields) if fields.contains_key("Parent") && fields.contains_key("Child") => {
            columns(items, EDGE)
        }
        Json::Object(fields) if fields.contains_key("ID") && fields.contains_key("Metadata") => {
            columns(items, NODE)
        }
        Json::Object(_) => objects(items),
        _ => items.iter().map(|item| cell(item) + "\n").collect(),
    }
}

/// Only the columns that any element fills.
fn columns(items: &[Json], all: &[(&str, &[&str])]) -> String {
    let value = |item: &Json, path: &[&str]| {
        path.iter().try_fold(item, |at, name| at.get(name)).map_or_else(String::new, cell)
    };
    let used: Vec<_> =
        all.iter().filter(|(_, path)| items.iter().any(|item| !value(item, path).is_empty())).collect();
    let rows = items.iter().map(|item| used.iter().map(|(_, path)| value(item, path)).collect());
    table(used.iter().map(|(title, _)| (*title).to_owned()).collect(), rows)
}

/// A column for every field that occurs.
fn objects(items: &[Json]) -> String {
    let mut titles: Map<String, Json> = Map::new();
    for name in items.iter().filter_map(Json::as_object).flat_map(Map::keys) {
        titles.entry(name).or_insert(Json::Null);
    }
    let rows = items.iter().map(|item| {
        titles.keys().map(|name| item.get(name).map_or_else(String::new, cell)).collect::<Vec<_>>()
    });
    table(titles.keys().map(|name| harmless(name)).collect(), rows)
}

fn table(titles: Vec<String>, rows: impl Iterator<Item = Vec<String>>) -> String {
    let mut table = Table::new();
    table.load_preset(presets::UTF8_HORIZONTAL_ONLY).set_content_arrangement(ContentArrangement::Dynamic);
    table.set_header(titles).add_rows(rows);
    format!("{table}\n")
}

/// One value; names come from the network, so nothing in them may steer the terminal.
fn cell(value: &Json) -> String {
    match value {
        Json::Null => String::new(),
        Json::String(text) => harmless(text),
        Json::Array(items) if items.iter().all(|item| !item.is_array() && !item.is_object()) => {
            items.iter().map(cell).collect::<Vec<_>>().join("\n")
        }
        other => harmless(&other.to_string()),
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use serde_json::json;

    #[test]
    fn every_shape_has_a_table() {
        let node =
            |name: &str| json!({"ID": "n1", "Host": "h", "Metadata": {"Name": name, "IPV4": ["a", "b"]}});
        let edge = json!({"ID": "e", "Parent": "p", "Child": "c", "Metadata": {"RelationType": "layer2"}});
        let text = render(&json!([node("eth0\u{1b}[2J")]));
        assert!(text.contains("Name") && text.contains("eth0\u{fffd}[2J") && !text.contains("MAC"), "{text}");
        let graph = render(&json!([{"Nodes": [node("x")], "Edges": [edge]}]));
        assert!(graph.contains("IPV4") && graph.contains("layer2"), "{graph}");
        assert_eq!(render(&json!([])), "nothing found\n");
        assert_eq!(render(&json!([{"Nodes": null, "Edges": []}])), "nothing found\n");
        assert_eq!(render(&json!(7)), "7\n");
        assert_eq!(render(&json!(["a", "b"])), "a\nb\n");
        assert!(render(&json!([{"k": 1}, {"j": 2}])).contains('j'));
        assert!(render(&json!([[node("x")], [node("y")]])).contains('y'));
    }
}
