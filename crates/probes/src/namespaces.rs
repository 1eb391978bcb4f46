//! The network namespaces known on this host.
//!
//! Who finds a namespace (by a name below a directory, by the processes in it, by a container daemon) puts it here;
//! who looks inside (netlink) watches. One table, so that a namespace with several names is looked at once.

use std::collections::BTreeMap;
use std::path::PathBuf;
use std::sync::Arc;

use skydive_value::Id;
use tokio::sync::{Notify, watch};

/// A namespace that has a node.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct NsNode {
    /// The node that owns what is inside: a netns node, or the host's own.
    pub node: Id,
    /// A path to enter it by: below a directory of names, or `/proc/<pid>/ns/net`.
    pub path: PathBuf,
}

/// Device and inode of the namespace's file: what the kernel tells it apart by.
pub type NsKey = (u64, u64);

/// The table. Clones share it.
#[derive(Clone, Debug)]
pub struct Namespaces {
    table: Arc<watch::Sender<Arc<BTreeMap<NsKey, NsNode>>>>,
    wanted: Arc<Notify>,
}

impl Default for Namespaces {
    fn default() -> Self {
        Self { table: Arc::new(watch::Sender::new(Arc::default())), wanted: Arc::default() }
    }
}

impl Namespaces {
    /// Puts a namespace in, or gives it another node or path.
    pub fn insert(&self, key: NsKey, ns: NsNode) {
        self.table.send_if_modified(|table| {
            let changed = table.get(&key) != Some(&ns);
            if changed {
                Arc::make_mut(table).insert(key, ns);
            }
            changed
        });
    }

    /// Takes a namespace out.
    pub fn remove(&self, key: NsKey) {
        self.table.send_if_modified(|table| Arc::make_mut(table).remove(&key).is_some());
    }

    /// Tells those who find namespaces that there is one nobody has found: something leads into it.
    pub fn look_again(&self) {
        self.wanted.notify_one();
    }

    /// Waits until somebody asks for another look.
    pub async fn asked_to_look(&self) {
        self.wanted.notified().await;
    }

    /// The table of now, and how to wait for the next.
    pub fn watch(&self) -> watch::Receiver<Arc<BTreeMap<NsKey, NsNode>>> {
        self.table.subscribe()
    }
}
