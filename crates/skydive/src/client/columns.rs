//! Answers as tables for reading. The shape of the answer decides the columns.

mod fields;
mod series;

use std::collections::BTreeSet;

use serde_json::{Map, Value as Json};
use skydive_graph::key::{self, attribute};

use crate::table;
use crate::terminal::harmless;
pub(crate) use fields::{fields, sections};

/// A column: title, and the path inside the element.
type Column = (&'static str, &'static [&'static str]);

/// Columns of nodes.
const NODE: &[Column] = &[
    (key::NAME, &["Metadata", key::NAME]),
    (key::TYPE, &["Metadata", key::TYPE]),
    ("Host", &["Host"]),
    (key::STATE, &["Metadata", key::STATE]),
    (key::IPV4, &["Metadata", key::IPV4]),
    (key::IPV6, &["Metadata", key::IPV6]),
    (key::MAC, &["Metadata", key::MAC]),
    ("ID", &["ID"]),
];

/// Columns of edges.
const EDGE: &[Column] = &[
    (key::RELATION_TYPE, &["Metadata", key::RELATION_TYPE]),
    (key::TYPE, &["Metadata", key::TYPE]),
    ("Host", &["Host"]),
    (attribute::PARENT, &[attribute::PARENT]),
    (attribute::CHILD, &[attribute::CHILD]),
    ("ID", &["ID"]),
];

/// The column of the id.
const ID: &str = "ID";

/// Columns of identifiers, which a narrow terminal shows by their beginning.
const IDENTIFIERS: &[&str] = &["ID", attribute::PARENT, attribute::CHILD];

/// Characters of a shortened identifier: as many as Graphviz output shows.
const SHORT: usize = 8;

/// Columns that a narrow terminal does without, in this order.
const DISPENSABLE: &[&str] = &["ID", key::IPV6, key::MAC, "Host", key::STATE];

/// The same of resources: what concerns other kinds of capture than most.
const DISPENSABLE_OF_RESOURCES: &[&str] = &["PollingInterval", "SamplingRate"];

/// The same of records by name.
const DISPENSABLE_OF_RECORDS: &[&str] =
    &["RemoteServiceType", "RemoteHost", "ClientProtocol", "ConnectTime", "Port"];

/// What stands for an answer without anything in it.
const NOTHING: &str = "nothing found\n";

/// What the id of an element is for who reads.
#[derive(Clone, Copy, PartialEq, Eq)]
enum Ids {
    /// A column among others.
    Seen,
    /// What the next command is given: first, and whole.
    Used,
}

impl Ids {
    fn draw<Title: ToString>(
        self,
        titles: impl IntoIterator<Item = Title>,
        rows: impl IntoIterator<Item = Vec<String>>,
        width: Option<u16>,
    ) -> String {
        match self {
            Self::Seen => table::draw(titles, rows, width),
            Self::Used => table::draw_whole_first(titles, rows, width),
        }
    }
}

/// The answer as one or several tables for a terminal of this width, if it is one.
pub(crate) fn render(answer: &Json, width: Option<u16>) -> String {
    match answer {
        Json::Array(items) => list(items, width),
        Json::Object(_) => fields(answer, width),
        scalar => format!("{}\n", cell(scalar)),
    }
}

/// Resources by id, as a table of them.
pub(crate) fn listing(answer: &Json, width: Option<u16>) -> String {
    match answer {
        Json::Object(all) => list_by(&all.values().cloned().collect::<Vec<_>>(), Ids::Used, width),
        other => render(other, width),
    }
}

fn list(items: &[Json], width: Option<u16>) -> String {
    list_by(items, Ids::Seen, width)
}

fn list_by(items: &[Json], ids: Ids, width: Option<u16>) -> String {
    let Some(first) = items.first() else { return NOTHING.to_owned() };
    match first {
        // Paths: one table each.
        Json::Array(_) => items.iter().map(|item| render(item, width)).collect::<Vec<_>>().join("\n"),
        Json::Object(fields) if fields.contains_key("Nodes") => {
            let parts = ["Nodes", "Edges"]
                .iter()
                .flat_map(|part| items.iter().filter_map(move |graph| graph.get(part)));
            let filled = parts.filter(|part| part.as_array().is_some_and(|part| !part.is_empty()));
            let tables = filled.map(|part| render(part, width));
            let text = tables.collect::<Vec<_>>().join("\n");
            if text.is_empty() { list(&[], width) } else { text }
        }
        Json::Object(fields)
            if fields.contains_key(attribute::PARENT) && fields.contains_key(attribute::CHILD) =>
        {
            columns(items, EDGE, ids, width)
        }
        Json::Object(fields) if fields.contains_key("ID") && fields.contains_key("Metadata") => {
            columns(items, NODE, ids, width)
        }
        Json::Object(fields) if series::is_series(fields) => series::series(items, width),
        Json::Object(_) => objects(items, ids, width),
        _ => items.iter().map(|item| cell(item) + "\n").collect(),
    }
}

/// Only the columns that any element fills. What does not fit the terminal is shortened first, then left out and named.
fn columns(items: &[Json], all: &[Column], ids: Ids, width: Option<u16>) -> String {
    let value = |item: &Json, path: &[&str]| {
        path.iter().try_fold(item, |at, name| at.get(name)).map_or_else(String::new, cell)
    };
    let is_used = |(_, path): &&Column| items.iter().any(|item| !value(item, path).is_empty());
    let mut shown: Vec<Column> = all.iter().filter(is_used).copied().collect();
    let is_kept = |title: &str| ids == Ids::Used && title == ID;
    shown.sort_by_key(|(title, _)| !is_kept(title));
    let mut rows: Vec<Vec<String>> =
        items.iter().map(|item| shown.iter().map(|(_, path)| value(item, path)).collect()).collect();
    let mut widths: Vec<usize> =
        (0..shown.len()).map(|at| table::width_of(shown[at].0, rows.iter().map(|row| &row[at]))).collect();
    let fits = |widths: &[usize]| {
        width.is_none_or(|width| table::width_of_row(widths.iter().copied()) <= usize::from(width))
    };

    if !fits(&widths) {
        for at in (0..shown.len()).filter(|at| IDENTIFIERS.contains(&shown[*at].0) && !is_kept(shown[*at].0))
        {
            for row in &mut rows {
                row[at] = row[at].chars().take(SHORT).collect();
            }
            widths[at] = table::width_of(shown[at].0, rows.iter().map(|row| &row[at]));
        }
    }
    let mut left_out = Vec::new();
    for title in DISPENSABLE.iter().filter(|title| !is_kept(title)) {
        if fits(&widths) {
            break;
        }
        let Some(at) = shown.iter().position(|(shown, _)| shown == title) else { continue };
        left_out.push(shown.remove(at).0);
        widths.remove(at);
        for row in &mut rows {
            row.remove(at);
        }
    }
    let mut text = ids.draw(shown.iter().map(|(title, _)| *title), rows, width);
    if !left_out.is_empty() {
        text.push_str(&not_shown(&left_out));
    }
    text
}

/// A column for every field that occurs; of resources only those that say something.
fn objects(items: &[Json], ids: Ids, width: Option<u16>) -> String {
    let mut titles = titles_of(items.iter());
    let says = |name: &str| {
        items.iter().any(|item| item.get(name).is_some_and(|v| *v != false && !cell(v).is_empty()))
    };
    titles.retain(|name| ids == Ids::Seen || says(name));
    let left_out =
        shed(&mut titles, DISPENSABLE_OF_RESOURCES, width, |titles| width_of(items.iter(), titles));
    let rows = items.iter().map(|item| row_of(item, &titles));
    ids.draw(titles.iter().map(|name| harmless(name)), rows, width) + &left_out
}

/// The same of objects by name: the first column, under `title`.
fn objects_by(title: &str, records: &Map<String, Json>, width: Option<u16>) -> String {
    let mut titles = titles_of(records.values());
    let names: Vec<String> = records.keys().map(|name| harmless(name)).collect();
    let first = table::width_of(title, names.iter());
    let left_out =
        shed(&mut titles, DISPENSABLE_OF_RECORDS, width, |titles| first + width_of(records.values(), titles));
    let rows = names
        .iter()
        .zip(records.values())
        .map(|(name, record)| [name.clone()].into_iter().chain(row_of(record, &titles)).collect::<Vec<_>>());
    let head = [title.to_owned()].into_iter().chain(titles.iter().map(|name| harmless(name)));
    table::draw(head, rows, width) + &left_out
}

/// Leaves out columns until a row fits; a line that names them.
fn shed(
    titles: &mut Vec<&String>,
    dispensable: &[&str],
    width: Option<u16>,
    needed: impl Fn(&[&String]) -> usize,
) -> String {
    let mut left_out = Vec::new();
    for name in dispensable {
        if width.is_none_or(|width| needed(titles) <= usize::from(width)) {
            break;
        }
        let before = titles.len();
        titles.retain(|title| title != name);
        if titles.len() < before {
            left_out.push(*name);
        }
    }
    if left_out.is_empty() { String::new() } else { not_shown(&left_out) }
}

fn not_shown(titles: &[&str]) -> String {
    format!("not shown for lack of width: {}\n", titles.join(", "))
}

/// The width of a row with these fields of objects.
fn width_of<'j>(items: impl Iterator<Item = &'j Json> + Clone, titles: &[&String]) -> usize {
    table::width_of_row(titles.iter().map(|name| {
        let cells: Vec<String> =
            items.clone().map(|item| item.get(name.as_str()).map_or_else(String::new, cell)).collect();
        table::width_of(name, cells.iter())
    }))
}

fn titles_of<'j>(items: impl Iterator<Item = &'j Json>) -> Vec<&'j String> {
    let mut seen = BTreeSet::new();
    items.filter_map(Json::as_object).flat_map(Map::keys).filter(|name| seen.insert(*name)).collect()
}

fn row_of(item: &Json, titles: &[&String]) -> Vec<String> {
    titles.iter().map(|name| item.get(name.as_str()).map_or_else(String::new, cell)).collect()
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

    fn plain(answer: &Json) -> String {
        render(answer, None)
    }

    #[test]
    fn every_shape_has_a_table() {
        let node =
            |name: &str| json!({"ID": "n1", "Host": "h", "Metadata": {"Name": name, "IPV4": ["a", "b"]}});
        let edge = json!({"ID": "e", "Parent": "p", "Child": "c", "Metadata": {"RelationType": "layer2"}});
        let text = plain(&json!([node("eth0\u{1b}[2J")]));
        assert!(text.contains("Name") && text.contains("eth0\u{fffd}[2J") && !text.contains("MAC"), "{text}");
        let graph = plain(&json!([{"Nodes": [node("x")], "Edges": [edge]}]));
        assert!(graph.contains("IPV4") && graph.contains("layer2"), "{graph}");
        assert_eq!(plain(&json!([])), "nothing found\n");
        assert_eq!(plain(&json!([{"Nodes": null, "Edges": []}])), "nothing found\n");
        assert_eq!(plain(&json!(7)), "7\n");
        assert_eq!(plain(&json!(["a", "b"])), "a\nb\n");
        assert!(plain(&json!([{"k": 1}, {"j": 2}])).contains('j'));
        assert!(plain(&json!([[node("x")], [node("y")]])).contains('y'));
    }

    /// Two interfaces as hosts have them, and the edge between them.
    fn graph() -> Json {
        let id = |n: u8| format!("{n:08x}-1111-4222-8333-444444444444");
        let node = |n: u8| {
            json!({"ID": id(n), "Host": "compute-12", "Metadata": {
                "Name": format!("tap{n}"), "Type": "veth", "State": "UP", "MAC": "02:00:00:00:00:01",
                "IPV4": ["10.99.100.101/24"], "IPV6": ["fe80::ff:fe00:1111/64"],
            }})
        };
        let edge = json!({"ID": id(9), "Host": "compute-12", "Parent": id(1), "Child": id(2),
            "Metadata": {"RelationType": "layer2", "Type": "veth"}});
        json!([{"Nodes": [node(1), node(2)], "Edges": [edge]}])
    }

    #[test]
    fn a_row_is_one_line_however_narrow_the_terminal() {
        for width in [80, 100, 132, 200] {
            let text = render(&graph(), Some(width));
            assert!(text.lines().all(|line| line.chars().count() <= usize::from(width)), "{width}:\n{text}");
            // Two heads, two lines below them, three rows, one line between, and what was left out.
            let left_out = text.matches("not shown for lack of width").count();
            assert_eq!(text.lines().count(), 8 + left_out, "{width}:\n{text}");
            assert!(text.contains("00000001") && text.contains("tap2") && text.contains("10.99.100.101/24"));
        }
    }

    #[test]
    fn a_listing_has_whole_ids_first_however_narrow() {
        let nodes = graph()[0]["Nodes"].as_array().unwrap().clone();
        let by_id: Map<String, Json> =
            nodes.into_iter().map(|node| (node["ID"].as_str().unwrap().to_owned(), node)).collect();
        let text = listing(&Json::Object(by_id), Some(80));
        let rows: Vec<&str> = text.lines().skip(2).take(2).collect();
        assert!(rows[0].starts_with(" 00000001-1111-4222-8333-444444444444  tap1 "), "{text}");
        assert!(text.lines().all(|line| line.chars().count() <= 80), "{text}");
        let rule = json!({"UUID": "00000001-1111-4222-8333-444444444444", "Name": "", "Metadata": {"a": "b".repeat(80)}});
        let text = listing(&json!({"x": rule}), Some(80));
        assert!(
            !text.contains("Name") && text.contains(" 00000001-1111-4222-8333-444444444444  {"),
            "{text}"
        );
    }

    #[test]
    fn a_wide_terminal_and_a_pipe_get_all_of_it() {
        let whole = "00000009-1111-4222-8333-444444444444";
        assert!(render(&graph(), Some(200)).contains(whole));
        assert!(render(&graph(), None).contains(whole));
        assert!(!render(&graph(), Some(80)).contains(whole));
    }
}
