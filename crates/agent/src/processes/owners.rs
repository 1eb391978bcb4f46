//! Processes as they are found: by pid, and by the inode of a socket.

use std::collections::{HashMap, HashSet};
use std::path::Path;
use std::sync::Arc;

use skydive_flow::Process;
use skydive_sys::{NsId, ProcessFacts, socket_owners};

/// Processes by their number.
#[derive(Debug, Default)]
pub(super) struct Pids(HashMap<u32, Known>);

/// Processes of sockets.
#[derive(Debug, Default)]
pub(super) struct Owners {
    pids: Pids,
    by_inode: HashMap<u32, Arc<Process>>,
    /// Sockets that no process was found for: they are looked for once.
    nobodys: HashSet<u32>,
    /// Processes whose files may not be seen.
    pub(super) hidden: usize,
}

/// A process, and when it was looked at.
#[derive(Debug)]
struct Known {
    process: Arc<Process>,
    namespace: Option<NsId>,
    at: i64,
}

/// How long a pid stands for the same process without another look; milliseconds. Numbers come again much later.
const FRESH: i64 = 1000;
/// Processes that are kept, with those that ended.
const MOST: usize = 8192;

impl Known {
    fn is_fresh(&self, now: i64) -> bool {
        (self.at..self.at.saturating_add(FRESH)).contains(&now)
    }
}

impl Pids {
    /// The process of that number, and its network namespace; `None` when it has ended.
    pub(super) fn process(&mut self, pid: u32, now: i64) -> Option<(Arc<Process>, Option<NsId>)> {
        if let Some(known) = self.0.get(&pid).filter(|known| known.is_fresh(now)) {
            return Some((Arc::clone(&known.process), known.namespace));
        }
        let ProcessFacts { pid, name, path, cgroup, container_id } = ProcessFacts::read(pid)?;
        let mut process = Arc::new(Process { pid, name, path, cgroup, container_id });
        let namespace = NsId::of_path(Path::new(&format!("/proc/{pid}/ns/net"))).ok();
        if let Some(known) = self.0.get(&pid).filter(|known| known.process == process) {
            process = Arc::clone(&known.process);
        }
        if self.0.len() >= MOST {
            self.0.retain(|_, known| known.is_fresh(now));
        }
        if self.0.len() < MOST {
            self.0.insert(pid, Known { process: Arc::clone(&process), namespace, at: now });
        }
        Some((process, namespace))
    }
}

impl Owners {
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
