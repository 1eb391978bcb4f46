//! Processes of sockets, by the inode of a socket.

use std::collections::{HashMap, HashSet};
use std::sync::Arc;

use skydive_flow::Process;
use skydive_sys::socket_owners;

use super::pids::Pids;

/// Processes of sockets.
#[derive(Debug)]
pub(super) struct Owners {
    pids: Pids,
    by_inode: HashMap<u32, Arc<Process>>,
    /// Sockets that no process was found for: they are looked for once.
    nobodys: HashSet<u32>,
    /// Processes whose files may not be seen.
    pub(super) hidden: usize,
}

/// How long a process is what it was; milliseconds. Its number comes again much later.
const FRESH: i64 = 1000;

impl Owners {
    pub(super) fn new() -> Self {
        let (by_inode, nobodys) = (HashMap::new(), HashSet::new());
        Self { pids: Pids::new(FRESH), by_inode, nobodys, hidden: 0 }
    }

    /// The process of a socket, if it was found.
    pub(super) fn of(&self, inode: u32) -> Option<&Arc<Process>> {
        self.by_inode.get(&inode)
    }

    /// Looks for the processes of sockets that are new. `there` are all that are: others are forgotten.
    pub(super) fn look(&mut self, there: &HashSet<u32>, now: i64) {
        self.by_inode.retain(|inode, _| there.contains(inode));
        self.nobodys.retain(|inode| there.contains(inode));
        let is_new = |inode: &&u32| !self.by_inode.contains_key(*inode) && !self.nobodys.contains(*inode);
        let wanted: HashSet<u32> = there.iter().filter(is_new).copied().collect();
        if wanted.is_empty() {
            return;
        }
        let Ok(found) = socket_owners(&wanted) else { return };
        self.hidden = found.hidden;
        for inode in wanted {
            let process = found.pids.get(&inode).and_then(|pid| self.pids.process(*pid, now));
            match process {
                Some((process, _)) => drop(self.by_inode.insert(inode, process)),
                None => drop(self.nobodys.insert(inode)),
            }
        }
    }
}
