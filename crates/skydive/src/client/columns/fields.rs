//! One object as a table: its fields by dotted path, and lists of records in it as tables of their own.

use serde_json::{Map, Value as Json};

use super::{NOTHING, cell, objects_by};
use crate::table;
use crate::terminal::harmless;

/// What stands for an object or a list without anything in it.
const NONE: &str = "none";

/// A line for each field.
pub(crate) fn fields(object: &Json, width: Option<u16>) -> String {
    let mut rows = Vec::new();
    flatten("", object, &mut rows);
    if rows.is_empty() {
        return NOTHING.to_owned();
    }
    table::draw(["Field", "Value"], rows, width)
}

/// The same, but objects of records, as a status has them by host, become tables below it, each after its name.
pub(crate) fn sections(object: &Json, width: Option<u16>) -> String {
    let Json::Object(members) = object else { return super::render(object, width) };
    let (mut rows, mut tables) = (Vec::new(), Vec::new());
    divide("", members, &mut rows, &mut tables);
    let first = if rows.is_empty() { None } else { Some(table::draw(["Field", "Value"], rows, width)) };
    let rest = tables.into_iter().map(|(title, records)| objects_by(&title, records, width));
    first.into_iter().chain(rest).collect::<Vec<_>>().join("\n")
}

fn divide<'j>(
    prefix: &str,
    members: &'j Map<String, Json>,
    rows: &mut Vec<[String; 2]>,
    tables: &mut Vec<(String, &'j Map<String, Json>)>,
) {
    for (name, value) in members {
        let path = join(prefix, name);
        match value {
            Json::Object(inner) if are_records(inner) => tables.push((path, inner)),
            Json::Object(inner) if !inner.is_empty() && inner.values().all(Json::is_object) => {
                divide(&path, inner, rows, tables);
            }
            other => flatten(&path, other, rows),
        }
    }
}

/// Whether an object is one of objects that have values themselves.
fn are_records(members: &Map<String, Json>) -> bool {
    let is_record =
        |value: &Json| value.as_object().is_some_and(|value| value.values().any(|field| !field.is_object()));
    !members.is_empty() && members.values().all(is_record)
}

fn flatten(path: &str, value: &Json, rows: &mut Vec<[String; 2]>) {
    match value {
        Json::Object(members) if !members.is_empty() => {
            members.iter().for_each(|(name, value)| flatten(&join(path, name), value, rows));
        }
        Json::Object(_) if path.is_empty() => {}
        Json::Object(_) => rows.push([path.to_owned(), NONE.to_owned()]),
        Json::Array(items) if items.is_empty() => rows.push([path.to_owned(), NONE.to_owned()]),
        other => rows.push([path.to_owned(), cell(other)]),
    }
}

fn join(prefix: &str, name: &str) -> String {
    let name = harmless(name);
    if prefix.is_empty() { name } else { format!("{prefix}.{name}") }
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;

    #[test]
    fn fields_have_their_paths() {
        let node = json!({"ID": "n", "Metadata": {"Name": "eth0\u{1b}", "A": {"B": [1, 2]}, "C": {}}, "DeletedAt": null});
        let text = fields(&node, None);
        let lines: Vec<Vec<&str>> = text.lines().map(|line| line.split_whitespace().collect()).collect();
        assert_eq!(lines[0], ["Field", "Value"]);
        assert_eq!(
            lines[2..],
            [
                &["ID", "n"][..],
                &["Metadata.Name", "eth0\u{fffd}"],
                &["Metadata.A.B", "1"],
                &["2"],
                &["Metadata.C", "none"],
                &["DeletedAt"],
            ]
        );
    }

    #[test]
    fn a_status_has_a_table_for_each_kind_of_connection() {
        let link = json!({"Addr": "10.0.0.1", "Port": 1});
        let status = json!({
            "Agents": {"h1": link, "h2": link},
            "Peers": {"Incomers": {}, "Outgoers": {"a2": link}},
            "Alerts": {"IsMaster": true},
            "Losses": {"Messages": 3},
        });
        let text = sections(&status, None);
        for part in ["Peers.Incomers", "none", "Alerts.IsMaster", "true", "Losses.Messages"] {
            assert!(text.contains(part), "{part}: {text}");
        }
        let agents = text.lines().position(|line| line.trim_start().starts_with("Agents ")).unwrap();
        assert!(text.lines().nth(agents + 2).unwrap().trim_start().starts_with("h1 "), "{text}");
        assert!(text.contains("Peers.Outgoers  Addr"), "{text}");
    }
}
