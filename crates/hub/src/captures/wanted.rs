//! Where captures are wanted and where they run, worked out on a snapshot.

use std::collections::BTreeMap;
use std::sync::Arc;

use skydive_api::FollowedQuery;
use skydive_graph::{Node, ReadCount, Snapshot, key};
use skydive_proto::Capture;
use skydive_query::{Cx, View, capture_kinds};
use skydive_value::{Filter, Id, Path, SmolStr, Value};

/// A capture and what gives its nodes.
#[derive(Debug)]
pub(super) struct Known {
    pub(super) capture: Capture,
    pub(super) query: FollowedQuery,
}

/// A capture on a node.
pub(super) type Place = (SmolStr, Id);

/// Where and why, of a capture on a node.
#[derive(Clone, Debug)]
pub(super) struct Spot {
    /// Host of the node.
    pub(super) host: SmolStr,
    /// Name of the node.
    pub(super) name: SmolStr,
    /// What the node says is wrong.
    pub(super) error: Option<SmolStr>,
}

/// What a look finds.
#[derive(Debug, Default)]
pub(super) struct Found {
    /// Where captures are wanted. What runs already is among it.
    pub(super) wanted: BTreeMap<Place, Spot>,
    /// Where nodes say that they run, or failed to.
    pub(super) there: BTreeMap<Place, Spot>,
    /// Captures whose query could not be answered, and why: nothing else is known of them.
    pub(super) unknown: BTreeMap<SmolStr, String>,
    /// Captures whose nodes can all not be captured on.
    pub(super) impossible: BTreeMap<SmolStr, String>,
}

/// Where all captures are wanted, and where they run.
pub(super) fn look(captures: &BTreeMap<SmolStr, Arc<Known>>, snapshot: Snapshot, cx: &Cx) -> Found {
    let mut found = Found::default();
    let captured = Filter::present(Path::from(key::CAPTURES));
    for node in snapshot.find_nodes(&captured, &ReadCount::default()) {
        found.there.extend(entries(node));
    }
    let view = View::whole(snapshot);
    for (id, known) in captures {
        match known.query.nodes(&view, cx) {
            Ok(nodes) => want(id, &known.capture.kind, &nodes, &mut found),
            Err(fault) => {
                tracing::debug!(capture = %id, %fault, "the query of a capture has no answer");
                found.unknown.insert(id.clone(), format!("the query has no answer: {fault}"));
            }
        }
    }
    found
}

/// Nodes of other types than those that a kind is for are not meant. Where there are no others, each is, and says why
/// it cannot be.
fn want(id: &SmolStr, kind: &str, nodes: &[Arc<Node>], found: &mut Found) {
    let kinds = |node: &Node| capture_kinds(node.node_type());
    let has_kind = |node: &Node| kind.is_empty() || kinds(node).contains(&kind);
    let can = nodes.iter().filter(|node| !node.source.host.is_empty() && !kinds(node).is_empty());
    let is_possible = can.clone().any(|node| has_kind(node));
    for node in can.clone().filter(|node| has_kind(node) || !is_possible) {
        found.wanted.insert((id.clone(), node.id.clone()), spot(node, None));
    }
    if can.count() == 0
        && let Some(first) = nodes.first()
    {
        let (name, node_type) = (first.name(), first.node_type());
        let why =
            format!("no node that the query gives can be captured on, as {name:?} of type {node_type:?}");
        found.impossible.insert(id.clone(), why);
    }
}

fn spot(node: &Node, error: Option<SmolStr>) -> Spot {
    Spot { host: node.source.host.clone(), name: node.name().into(), error }
}

/// What a node says of captures on it.
fn entries(node: &Node) -> impl Iterator<Item = (Place, Spot)> {
    let list = node.metadata.get(key::CAPTURES).and_then(Value::as_list).unwrap_or_default();
    list.iter().filter_map(Value::as_map).filter_map(|entry| {
        let has_failed = entry.text(key::STATE) == Some("error");
        let error = has_failed.then(|| entry.text("Error").unwrap_or_default().into());
        Some(((entry.text("ID")?.into(), node.id.clone()), spot(node, error)))
    })
}
