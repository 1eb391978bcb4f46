//! Where captures are wanted and where they run, worked out on a snapshot.

use std::collections::{BTreeMap, BTreeSet};
use std::sync::Arc;

use skydive_api::FollowedQuery;
use skydive_graph::{Node, ReadCount, Snapshot, key};
use skydive_proto::Capture;
use skydive_query::{CAPTURABLE, Cx, View};
use skydive_value::{Filter, Id, Path, SmolStr, Value};

/// A capture and what gives its nodes.
#[derive(Debug)]
pub(super) struct Known {
    pub(super) capture: Capture,
    pub(super) query: FollowedQuery,
}

/// A capture on a node.
pub(super) type Place = (SmolStr, Id);

/// What a look finds.
#[derive(Debug, Default)]
pub(super) struct Found {
    /// Where captures are wanted, with the host of the node. What runs already is among it.
    pub(super) wanted: BTreeMap<Place, SmolStr>,
    /// Where nodes say that they run, or failed to, with the host of the node.
    pub(super) there: BTreeMap<Place, SmolStr>,
    /// Captures whose query could not be answered: nothing is known of them.
    pub(super) unknown: BTreeSet<SmolStr>,
}

/// Kinds of captures of which a node has one at most. The others may be there several times.
const SEVERAL: [&str; 2] = ["afpacket", "pcap"];
const OVS_BRIDGE: [&str; 3] = ["ovssflow", "pcapsocket", "ovsnetflow"];
const OVS_PORT: [&str; 1] = ["ovsmirror"];
const DPDK_PORT: [&str; 1] = ["dpdk"];
const INTERFACE: [&str; 5] = ["afpacket", "pcap", "pcapsocket", "sflow", "ebpf"];

/// Kinds of captures that a node of a type allows, its default first.
fn kinds_of(node_type: &str) -> &'static [&'static str] {
    match node_type {
        "ovsbridge" => &OVS_BRIDGE,
        "ovsport" => &OVS_PORT,
        "dpdkport" => &DPDK_PORT,
        other if CAPTURABLE.contains(&other) => &INTERFACE,
        _ => &[],
    }
}

/// Where all captures are wanted, and where they run.
pub(super) fn look(captures: &BTreeMap<SmolStr, Arc<Known>>, snapshot: Snapshot, cx: &Cx) -> Found {
    let mut found = Found::default();
    // The kind that each capture of a node is of, in the order of the nodes' lists.
    let mut kinds: BTreeMap<Id, Vec<(SmolStr, SmolStr)>> = BTreeMap::new();
    let captured = Filter::present(Path::from(key::CAPTURES));
    let reads = ReadCount::default();
    for node in snapshot.find_nodes(&captured, &reads) {
        for entry in entries(node) {
            found.there.insert((entry.id.clone(), node.id.clone()), node.source.host.clone());
            kinds.entry(node.id.clone()).or_default().push((entry.id, entry.kind));
        }
    }
    let view = View::whole(snapshot);
    for (id, known) in captures {
        let nodes = match known.query.nodes(&view, cx) {
            Ok(nodes) => nodes,
            Err(fault) => {
                tracing::debug!(capture = %id, %fault, "the query of a capture has no answer");
                found.unknown.insert(id.clone());
                continue;
            }
        };
        for node in nodes {
            let node_type = node.metadata.text(key::TYPE).unwrap_or_default();
            let allowed = kinds_of(node_type);
            let Some(default) = allowed.first() else { continue };
            let kind = match known.capture.kind.as_str() {
                "" => default,
                kind if allowed.contains(&kind) => kind,
                _ => continue,
            };
            if node.source.host.is_empty() {
                continue;
            }
            let others = kinds.entry(node.id.clone()).or_default();
            let is_there = others.iter().any(|(other, _)| other == id);
            let is_taken =
                !SEVERAL.contains(&kind) && others.iter().any(|(other, of)| other != id && of == kind);
            if is_taken && !is_there {
                continue;
            }
            if !is_there {
                others.push((id.clone(), kind.into()));
            }
            found.wanted.insert((id.clone(), node.id.clone()), node.source.host.clone());
        }
    }
    found
}

/// What a node says of a capture on it.
struct Entry {
    id: SmolStr,
    kind: SmolStr,
}

fn entries(node: &Node) -> Vec<Entry> {
    let list = node.metadata.get(key::CAPTURES).and_then(Value::as_list).unwrap_or_default();
    let entry = |value: &Value| {
        let map = value.as_map()?;
        let text = |name: &str| map.text(name).map(SmolStr::from);
        let node_type = node.metadata.text(key::TYPE).unwrap_or_default();
        let default = || kinds_of(node_type).first().map(|kind| SmolStr::from(*kind));
        let kind = text(key::TYPE).filter(|kind| !kind.is_empty()).or_else(default).unwrap_or_default();
        Some(Entry { id: text("ID")?, kind })
    };
    list.iter().filter_map(entry).collect()
}
