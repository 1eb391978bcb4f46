//! What rules have done so far: what has to be undone when they go.

use std::collections::{BTreeMap, BTreeSet, HashMap};

use skydive_value::{Id, SmolStr, Value};

use super::Name;

/// What rules have done.
#[derive(Debug, Default)]
pub(super) struct Made {
    /// Nodes that exist because rules wanted them.
    pub(super) nodes: BTreeSet<Id>,
    /// The edge that exists because of a rule.
    pub(super) edges: BTreeMap<Name, Id>,
    /// Fields of nodes, by node and key.
    pub(super) fields: HashMap<Id, BTreeMap<SmolStr, Field>>,
}

/// A field that a rule has set.
#[derive(Clone, Debug, PartialEq)]
pub(super) struct Field {
    /// By which rule.
    pub(super) rule: Name,
    /// To what.
    pub(super) value: Value,
}

impl Made {
    pub(super) fn is_empty(&self) -> bool {
        self.nodes.is_empty() && self.edges.is_empty() && self.fields.is_empty()
    }
}
