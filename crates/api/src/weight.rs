//! What events keep in memory, roughly.

use skydive_graph::GraphEvent;
use skydive_value::{Map, Value};

/// Bytes kept alive by an event that nothing else holds: its element's metadata, and the smaller rest.
pub(crate) fn of_event(event: &GraphEvent) -> usize {
    let metadata = match event {
        GraphEvent::NodeAdded(node)
        | GraphEvent::NodeUpdated { node, .. }
        | GraphEvent::NodeDeleted(node) => &node.metadata,
        GraphEvent::EdgeAdded(edge)
        | GraphEvent::EdgeUpdated { edge, .. }
        | GraphEvent::EdgeDeleted(edge) => &*edge.metadata,
    };
    ELEMENT + of_map(metadata)
}

/// An element without its metadata.
const ELEMENT: usize = 256;

fn of_map(map: &Map) -> usize {
    map.iter().map(|(_, value)| of_value(value)).sum()
}

fn of_value(value: &Value) -> usize {
    size_of::<Value>()
        + match value {
            Value::Str(text) => text.len(),
            Value::List(list) => list.iter().map(of_value).sum(),
            Value::Map(map) => of_map(map),
            Value::Null | Value::Bool(_) | Value::Int(_) | Value::Float(_) => 0,
        }
}
