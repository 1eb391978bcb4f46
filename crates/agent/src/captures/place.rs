//! Where a node is: its interface, and the network namespace of it.

use std::collections::BTreeMap;

use skydive_graph::{Node, ReadCount, Snapshot, key};
use skydive_probes::{NsKey, NsNode};
use skydive_sys::NsRef;
use skydive_value::{Id, SmolStr};

use super::fault::Fault;

/// Where a capture is to be.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) struct Place {
    /// Stable id of the node, which its flows carry.
    pub(super) tid: SmolStr,
    /// The namespace of the interface, and its number in it.
    pub(super) interface: Option<(NsRef, u32)>,
}

/// The namespaces that can be entered.
pub(super) type Namespaces = BTreeMap<NsKey, NsNode>;

/// Nodes between an interface and its namespace at most.
const DEPTH: usize = 16;

impl Place {
    /// The place of a node. `host` is the node of the agent's own namespace. An interface is looked for if it is needed.
    pub(super) fn of(
        node: &Node,
        graph: &Snapshot,
        host: &Id,
        namespaces: &Namespaces,
        needs_interface: bool,
    ) -> Result<Self, Fault> {
        let tid = node.metadata.text(key::TID).filter(|tid| !tid.is_empty());
        let tid = tid.ok_or(Fault::Missing(key::TID))?.into();
        if !needs_interface {
            return Ok(Self { tid, interface: None });
        }
        let number = node.metadata.get(key::IF_INDEX).and_then(skydive_value::Value::as_int);
        let number = number.and_then(|number| u32::try_from(number).ok()).filter(|number| *number > 0);
        let number = number.ok_or(Fault::Missing(key::IF_INDEX))?;
        let namespace = namespace(&node.id, graph, host, namespaces).ok_or(Fault::Namespace)?;
        Ok(Self { tid, interface: Some((namespace, number)) })
    }
}

/// The namespace that a node is in: that of the first of its owners that stands for one.
fn namespace(node: &Id, graph: &Snapshot, host: &Id, namespaces: &Namespaces) -> Option<NsRef> {
    let reads = ReadCount::default();
    let mut at = node.clone();
    for _ in 0..DEPTH {
        if at == *host {
            return Some(NsRef::Here);
        }
        if let Some(found) = namespaces.values().find(|namespace| namespace.node == at) {
            return Some(NsRef::Path(found.path.clone()));
        }
        let owner = graph.in_edges(&at, &reads).find(|edge| edge.relation() == key::relation::OWNERSHIP)?;
        at = owner.parent().id.clone();
    }
    None
}
