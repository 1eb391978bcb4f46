//! The namespaces that are shown.

use std::collections::{BTreeMap, BTreeSet};
use std::ffi::OsString;
use std::path::{Path, PathBuf};
use std::sync::Arc;

use skydive_graph::key::{self, node_type, relation};
use skydive_graph::{Cascade, Edge, Mutation, Node, Op};
use skydive_sys::NsId;
use skydive_value::{Id, Map, SmolStr, Timestamp, Value};

use crate::{NsNode, ProbeConfig};

/// What was found of a namespace.
pub(super) struct Finding<'a> {
    /// Names it has, in order.
    pub(super) names: Vec<&'a OsString>,
    /// Processes in it, oldest first.
    pub(super) pids: &'a [u32],
}

/// Nodes of namespaces.
pub(super) struct Known {
    config: ProbeConfig,
    shown: BTreeMap<NsId, Shown>,
    touched: BTreeSet<NsId>,
}

struct Shown {
    node: Id,
    /// The name it was shown by first and still has; `None` when processes hold it.
    name: Option<OsString>,
    metadata: Map,
}

impl Known {
    pub(super) fn new(config: ProbeConfig) -> Self {
        Self { config, shown: BTreeMap::new(), touched: BTreeSet::new() }
    }

    /// Notes that something about a namespace may have changed.
    pub(super) fn touch(&mut self, id: NsId) {
        self.touched.insert(id);
    }

    /// Notes that something may have changed about these and all that are shown.
    pub(super) fn touch_all(&mut self, found: impl Iterator<Item = NsId>) {
        self.touched.extend(found.chain(self.shown.keys().copied()));
    }

    pub(super) fn take_touched(&mut self) -> BTreeSet<NsId> {
        std::mem::take(&mut self.touched)
    }

    /// Makes what is shown of a namespace what was found of it. Gives how to look inside, unless it is gone.
    pub(super) fn update(
        &mut self,
        id: NsId,
        finding: &Finding<'_>,
        now: Timestamp,
    ) -> (Vec<Mutation>, Option<NsNode>) {
        let mut mutations = Vec::new();
        let known = self.shown.get(&id).map(|shown| shown.name.as_ref());
        // The first name stays the one that counts, as long as it is there.
        let name = match known {
            Some(Some(name)) if finding.names.contains(&name) => Some(name),
            _ => finding.names.first().copied(),
        }
        .cloned();
        let is_gone = name.is_none() && finding.pids.is_empty();
        if known.is_some_and(|known| is_gone || known != name.as_ref())
            && let Some(old) = self.shown.remove(&id)
        {
            mutations.push(Mutation::DeleteNode { id: old.node, cascade: Cascade::Owned });
        }
        if is_gone {
            return (mutations, None);
        }
        let path = match &name {
            Some(name) => self.config.netns_run_path.join(name),
            None => {
                PathBuf::from(format!("/proc/{}/ns/net", finding.pids.first().copied().unwrap_or_default()))
            }
        };
        let metadata = metadata(id, name.as_ref(), &path, finding.pids);
        let node = match self.shown.get_mut(&id) {
            Some(shown) => {
                let ops: Vec<Op> = metadata
                    .iter()
                    .filter(|(key, value)| shown.metadata.get(key) != Some(value))
                    .map(|(key, value)| Op::set(key, value.clone()))
                    .collect();
                if !ops.is_empty() {
                    shown.metadata = metadata;
                    mutations.push(Mutation::update_node(shown.node.clone(), ops));
                }
                shown.node.clone()
            }
            None => {
                let node = Id::random();
                let source = &self.config.source;
                let added = Node::new(node.clone(), Arc::clone(source), metadata.clone(), now);
                let host = self.config.host_node.clone();
                let owned =
                    Edge::link(host, node.clone(), relation::OWNERSHIP, Map::new(), Arc::clone(source), now);
                mutations.extend([Mutation::AddNode(added), Mutation::AddEdge(owned)]);
                self.shown.insert(id, Shown { node: node.clone(), name, metadata });
                node
            }
        };
        (mutations, Some(NsNode { node, path }))
    }

    /// Deletes all that is shown.
    pub(super) fn clear(&mut self) -> Vec<Mutation> {
        let shown = std::mem::take(&mut self.shown);
        for id in shown.keys() {
            self.config.namespaces.remove((id.dev, id.ino));
        }
        shown
            .into_values()
            .map(|shown| Mutation::DeleteNode { id: shown.node, cascade: Cascade::Owned })
            .collect()
    }
}

fn metadata(id: NsId, name: Option<&OsString>, path: &Path, pids: &[u32]) -> Map {
    let mut metadata: Map = [
        (key::TYPE, Value::from(node_type::NETNS)),
        (key::INODE, Value::from(id.ino)),
        (key::DEVICE, Value::from(id.dev)),
    ]
    .into_iter()
    .collect();
    match name {
        Some(name) => {
            metadata.insert(key::NAME, name.to_string_lossy().into_owned());
            metadata.insert(key::PATH, path.to_string_lossy().into_owned());
        }
        None => {
            let text = SmolStr::from(format!("net:[{}]", id.ino));
            let command = pids.first().and_then(|pid| skydive_sys::command(*pid));
            // It ended just now; the next look finds the next oldest.
            let command = command.filter(|c| !c.is_empty()).unwrap_or_else(|| text.clone());
            let mut pids = pids.to_vec();
            pids.sort_unstable();
            metadata.insert(key::NAME, command);
            metadata.insert(key::PATH, text);
            metadata.insert(key::PIDS, Value::list(pids));
        }
    }
    metadata
}
