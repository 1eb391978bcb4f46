//! Graphviz documents.
//!
//! Better than the original: quotes in names do not end the text, and every edge ends its line.

use std::fmt::Write;

use skydive_graph::{Edge, Node, key};
use skydive_value::{Id, Value};

/// Metadata shown in a node's label.
const SHOWN: [&str; 6] = [key::TYPE, key::IF_INDEX, key::STATE, key::TID, key::IPV4, key::IPV6];

/// Characters of the id that make a title unique.
const ID_CHARS: usize = 8;

pub(crate) fn write_node(out: &mut Vec<u8>, node: &Node) {
    let title = title(node);
    let mut label = title.clone();
    for key in SHOWN {
        if let Some(value) = node.metadata.get(key) {
            label.push_str("\\n");
            label.push_str(key);
            label.push_str(" = ");
            label.push_str(&escaped(&plain(value)));
        }
    }
    out.extend_from_slice(format!("\"{title}\" [label=\"{label}\"]\n").as_bytes());
}

pub(crate) fn write_edge(out: &mut Vec<u8>, edge: &Edge, parent: &Node, child: &Node) {
    let mut line = format!("\"{}\" -> \"{}\"", title(parent), title(child));
    let relation = edge.relation();
    if !relation.is_empty() {
        let dir = if relation == key::relation::LAYER2 { "both" } else { "forward" };
        if relation.bytes().all(|b| b.is_ascii_alphanumeric() || b == b'_') {
            line.push_str(&format!(" [label={relation},dir={dir}]"));
        } else {
            line.push_str(&format!(" [label=\"{}\",dir={dir}]", escaped(relation)));
        }
    }
    line.push('\n');
    out.extend_from_slice(line.as_bytes());
}

fn title(node: &Node) -> String {
    format!("{}-{}", escaped(node.name()), escaped(&short(&node.id)))
}

fn short(id: &Id) -> String {
    id.with_str(|text| text.chars().take(ID_CHARS).collect())
}

fn escaped(text: &str) -> String {
    text.replace('\\', "\\\\").replace('"', "\\\"").replace('\n', "\\n")
}

/// The value as the original prints it: lists `[a b]`, maps `map[k:v]`.
fn plain(value: &Value) -> String {
    match value {
        Value::Null => "<nil>".to_owned(),
        Value::Bool(b) => b.to_string(),
        Value::Int(n) => n.to_string(),
        Value::Float(f) => f.to_string(),
        Value::Str(text) => text.to_string(),
        Value::List(items) => format!("[{}]", items.iter().map(plain).collect::<Vec<_>>().join(" ")),
        Value::Map(map) => {
            let mut text = "map[".to_owned();
            for (at, (key, value)) in map.iter().enumerate() {
                let space = if at > 0 { " " } else { "" };
                write!(text, "{space}{key}:{}", plain(value)).expect("writing to text does not fail");
            }
            text.push(']');
            text
        }
    }
}
