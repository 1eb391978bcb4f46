//! The sockets of the host and of all its namespaces, with their processes; on the host's node.
//!
//! The list is read anew each time, processes only for sockets that are new: they are found by their open files, which
//! is much to look at. Flows get their processes elsewhere, for a list every ten seconds misses most connections.

use std::collections::{HashMap, HashSet};
use std::sync::Arc;
use std::time::Duration;

use skydive_graph::{Mutation, Op, key};
use skydive_sys::netlink::{SocketFacts, SocketProtocol};
use skydive_sys::{NsRef, ProcessFacts, SocketTable, socket_owners};
use skydive_value::{Id, Map, Value};
use tokio::task::spawn_blocking;

use crate::{
    BoxFuture, BuildError, Namespaces, Need, Probe, ProbeConfig, ProbeDef, ProbeError, ProbeScope, Stopped,
};

/// See [`crate::PROBES`].
pub(crate) const DEF: ProbeDef = ProbeDef {
    name: "socketinfo",
    about: "TCP and UDP sockets of all namespaces with their processes",
    needs: &[Need::Capability("CAP_SYS_ADMIN"), Need::Capability("CAP_SYS_PTRACE")],
    always: false,
    build,
};

struct SocketList {
    host_node: Id,
    every: Duration,
    namespaces: Namespaces,
}

/// What reads the sockets, and what it remembers.
struct Reader {
    entering: skydive_sys::Namespaces,
    /// Processes by the inode of their socket; none for those that nobody has, or nobody we may see.
    processes: HashMap<u32, Option<Arc<ProcessFacts>>>,
}

/// What was read.
struct Sockets {
    list: Value,
    /// What is missing, for a human.
    missing: Option<String>,
}

/// Sockets on the node: everybody who asks for the host gets all of them.
const MOST: usize = 10_000;

#[expect(clippy::unnecessary_wraps, reason = "the shape of every probe's build")]
fn build(config: &ProbeConfig) -> Result<Box<dyn Probe>, BuildError> {
    Ok(Box::new(SocketList {
        host_node: config.host_node.clone(),
        every: config.sockets_update,
        namespaces: config.namespaces.clone(),
    }))
}

impl Probe for SocketList {
    fn run(self: Box<Self>, scope: ProbeScope) -> BoxFuture<'static, Result<(), ProbeError>> {
        Box::pin(async move {
            let namespaces = self.namespaces.watch();
            let entering = skydive_sys::Namespaces::start()
                .map_err(|source| ProbeError::Source { what: "starting a thread".to_owned(), source })?;
            let mut reader = Reader { entering, processes: HashMap::new() };
            let (mut shown, mut told) = (None, Some(None));
            loop {
                let places: Vec<_> = std::iter::once(NsRef::Here)
                    .chain(namespaces.borrow().values().map(|known| NsRef::Path(known.path.clone())))
                    .collect();
                let read = spawn_blocking(move || {
                    let sockets = reader.read(&places);
                    (reader, sockets)
                });
                let sockets;
                (reader, sockets) = read.await.map_err(|defect| ProbeError::Other(defect.to_string()))?;
                let Sockets { list, missing } = sockets;
                let mut sent = Ok(());
                if told != Some(missing.clone()) || shown.is_none() {
                    sent = tell(&scope, missing.clone()).await;
                    told = Some(missing);
                }
                if shown.as_ref() != Some(&list) {
                    let op = Op::set(key::SOCKETS, list.clone());
                    sent =
                        sent.and(scope.send(vec![Mutation::update_node(self.host_node.clone(), [op])]).await);
                    shown = Some(list);
                }
                if sent.is_err() {
                    return Ok(());
                }
                tokio::select! {
                    () = scope.stopped() => return Ok(()),
                    () = tokio::time::sleep(self.every) => {}
                }
            }
        })
    }
}

async fn tell(scope: &ProbeScope, missing: Option<String>) -> Result<(), Stopped> {
    match missing {
        Some(why) => scope.degraded(why).await,
        None => scope.running().await,
    }
}

impl Reader {
    fn read(&mut self, places: &[NsRef]) -> Sockets {
        let (mut sockets, mut seen, mut missing) = (Vec::new(), HashSet::new(), Vec::new());
        for place in places {
            let left = MOST.saturating_sub(sockets.len());
            match SocketTable::read(&self.entering, place, &SocketProtocol::ALL, left) {
                Ok(table) if seen.insert(table.namespace) => {
                    missing.extend(table.refused.first().map(|(what, error)| format!("{what}: {error}")));
                    if table.cut > 0 {
                        missing.push(format!("{} sockets beyond the first {MOST}", table.cut));
                    }
                    sockets.extend(table.sockets);
                }
                Ok(_) => {}
                // One that has gone has none; that of a process that ended just now is gone as well.
                Err(skydive_sys::SocketsError::Enter(skydive_sys::EnterError::Open(..))) => {}
                Err(error) => missing.push(error.to_string()),
            }
        }
        let hidden = self.find(&sockets);
        if hidden > 0 {
            missing.push(format!("the files of {hidden} processes may not be seen"));
        }
        sockets.sort_unstable_by_key(|socket| {
            (socket.protocol.name(), socket.local, socket.remote, socket.state.name(), socket.inode)
        });
        let list = Value::list(sockets.iter().map(|socket| self.entry(socket)));
        Sockets { list, missing: missing.into_iter().next() }
    }

    /// Finds the processes of sockets that are new, and forgets those of sockets that have gone. Says of how many
    /// processes it could not tell.
    fn find(&mut self, sockets: &[SocketFacts]) -> usize {
        let there: HashSet<u32> =
            sockets.iter().map(|socket| socket.inode).filter(|inode| *inode != 0).collect();
        self.processes.retain(|inode, _| there.contains(inode));
        let wanted: HashSet<u32> =
            there.into_iter().filter(|inode| !self.processes.contains_key(inode)).collect();
        let Ok(found) = socket_owners(&wanted) else { return 0 };
        let mut by_pid = HashMap::new();
        for inode in wanted {
            let process = found.pids.get(&inode).and_then(|pid| {
                let read = || ProcessFacts::read(*pid).map(Arc::new);
                by_pid.entry(*pid).or_insert_with(read).clone()
            });
            self.processes.insert(inode, process);
        }
        found.hidden
    }

    fn entry(&self, socket: &SocketFacts) -> Map {
        let process = self.processes.get(&socket.inode).and_then(Option::as_deref);
        let process = process.cloned().unwrap_or_default();
        [
            ("Process", Value::from(process.path)),
            ("Pid", Value::from(i64::from(process.pid))),
            (key::NAME, Value::from(process.name)),
            ("LocalAddress", Value::from(socket.local.ip().to_string())),
            ("LocalPort", Value::from(i64::from(socket.local.port()))),
            ("RemoteAddress", Value::from(socket.remote.ip().to_string())),
            ("RemotePort", Value::from(i64::from(socket.remote.port()))),
            ("Protocol", Value::from(socket.protocol.name())),
            (key::STATE, Value::from(socket.state.name())),
        ]
        .into_iter()
        .collect()
    }
}
