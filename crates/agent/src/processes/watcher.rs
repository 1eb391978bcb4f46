//! The thread that lists sockets.

use std::collections::{HashMap, HashSet};
use std::sync::Arc;
use std::sync::atomic::Ordering;
use std::time::Duration;

use skydive_sys::netlink::{SocketProtocol, SocketState};
use skydive_sys::{Namespaces, NsId, NsRef, SocketTable};
use skydive_value::Clock;
use tokio::time::Instant;

use super::index::{Ends, Listener, MOST, OPEN, Seen};
use super::owners::Owners;
use super::{Places, Shared};

/// See the module.
pub(super) struct Watcher {
    shared: Arc<Shared>,
    namespaces: Namespaces,
    places: Places,
    clock: Clock,
    owners: Owners,
    /// What was there at the last look, by namespace.
    last: HashMap<NsId, Look>,
    is_complaining: bool,
}

/// What was seen of a namespace.
#[derive(Default)]
struct Look {
    at: i64,
    connected: HashMap<Ends, u32>,
}

/// Time between two looks at all sockets, and the least time when flows begin whose sockets are not traced.
const PAUSE: (Duration, Duration) = (Duration::from_secs(1), Duration::from_millis(200));
/// Time between two looks at those of TCP when their changes are told.
const TCP_PAUSE: Duration = Duration::from_secs(10);
/// A look waits for so many times what the last one took.
const SHARE: u32 = 100;
/// Changes of the index between which others may read it.
const TOGETHER: usize = 256;

impl Watcher {
    pub(super) fn new(shared: Arc<Shared>, namespaces: Namespaces, places: Places, clock: Clock) -> Self {
        Self {
            shared,
            namespaces,
            places,
            clock,
            owners: Owners::new(),
            last: HashMap::new(),
            is_complaining: true,
        }
    }

    pub(super) fn run(mut self) {
        while !self.shared.is_ending() {
            if self.shared.has_captures() {
                self.follow();
                // What is there when captures begin again may have been there for any time.
                self.last.clear();
            } else {
                self.shared.watcher.wait(None);
            }
        }
    }

    /// Looks until there are no captures.
    fn follow(&mut self) {
        // What begins after the first look is to be traced.
        self.shared.await_ready(|ready| ready.trace);
        let (mut looked, mut looked_at_tcp) = (Instant::now(), Instant::now());
        let mut took = self.look(true);
        self.shared.set_ready(|ready| ready.look = true);
        while self.shared.has_captures() && !self.shared.is_ending() {
            let least = PAUSE.1.max(took * SHARE);
            // Where all is traced the sockets of new flows are known without a look.
            let has_all = || {
                self.shared.is_traced.load(Ordering::Acquire)
                    && self.shared.are_sends_traced.load(Ordering::Acquire)
            };
            let is_asked = || {
                self.shared.has_new_flows.load(Ordering::Acquire) && !has_all()
                    || self.shared.has_lost.load(Ordering::Acquire)
            };
            let pause = if is_asked() { least } else { PAUSE.0.max(least) };
            let left = pause.saturating_sub(looked.elapsed());
            if !left.is_zero() {
                self.shared.watcher.wait(Some(left));
                continue;
            }
            self.shared.has_new_flows.store(false, Ordering::Release);
            let with_tcp = self.shared.has_lost.swap(false, Ordering::AcqRel)
                || !self.shared.is_traced.load(Ordering::Acquire)
                || looked_at_tcp.elapsed() >= TCP_PAUSE;
            looked = Instant::now();
            if with_tcp {
                looked_at_tcp = looked;
            }
            took = self.look(with_tcp);
        }
        self.shared.set_ready(|ready| ready.look = false);
    }

    /// Lists sockets in all namespaces, those of TCP too if told. Says how long it took.
    fn look(&mut self, with_tcp: bool) -> Duration {
        let begun = Instant::now();
        let protocols: &[SocketProtocol] =
            if with_tcp { &SocketProtocol::ALL } else { &[SocketProtocol::Udp] };
        let known = self.places.borrow_and_update().clone();
        let places =
            std::iter::once(NsRef::Here).chain(known.values().map(|known| NsRef::Path(known.path.clone())));
        let (mut tables, mut ids, mut left) = (Vec::new(), HashSet::new(), MOST);
        for place in places {
            // A namespace that has just gone has no sockets.
            let Ok(table) = SocketTable::read_owned(&self.namespaces, &place, protocols, left) else {
                continue;
            };
            if ids.insert(table.namespace) {
                left -= table.sockets.len();
                tables.push((place, table));
            }
        }
        self.complain(&tables);
        let of_tcp = self.last.values().flat_map(|look| &look.connected);
        let kept = of_tcp.filter(|(ends, _)| !with_tcp && ends.is_tcp()).map(|(_, inode)| *inode);
        let listed = tables.iter().flat_map(|(_, table)| &table.sockets).map(|socket| socket.inode);
        let there: HashSet<u32> = kept.chain(listed).filter(|inode| *inode != 0).collect();
        let now = self.clock.now().as_millis();
        self.owners.look(&there, now);
        for (place, table) in tables {
            self.settle(&place, table, with_tcp, now);
        }
        let alive: Vec<NsId> = ids.into_iter().collect();
        let ended: Vec<NsId> = self.last.keys().filter(|id| !alive.contains(id)).copied().collect();
        for namespace in ended {
            let look = self.last.remove(&namespace).unwrap_or_default();
            self.close(look.connected.into_keys(), namespace, now);
        }
        self.shared.index().forget(&alive, now);
        begun.elapsed()
    }

    /// Takes over what is in a namespace.
    fn settle(&mut self, place: &NsRef, table: SocketTable, with_tcp: bool, now: i64) {
        let SocketTable { namespace, sockets, addresses, cut, .. } = table;
        let last = self.last.remove(&namespace);
        // What was not there at the last look came after it.
        let since = last.as_ref().map_or(i64::MIN, |look| look.at);
        let mut last = last.unwrap_or_default().connected;
        let (mut connected, mut listeners, mut new) = (HashMap::new(), Vec::new(), Vec::new());
        if !with_tcp {
            connected = last.extract_if(|ends, _| ends.is_tcp()).collect();
        }
        for socket in sockets {
            let Some(process) = self.owners.of(socket.inode).cloned() else { continue };
            let seen = Seen { namespace: Some(namespace), process, since, until: OPEN };
            if socket.remote.port() == 0 {
                let is_listening =
                    socket.protocol == SocketProtocol::Udp || socket.state == SocketState::Listen;
                if is_listening && socket.local.port() != 0 {
                    let listener = Listener { at: socket.local, is_dual: socket.is_dual, seen };
                    listeners.push((socket.protocol, listener));
                }
                continue;
            }
            let ends = Ends::new(socket.protocol, socket.local, socket.remote);
            if last.remove(&ends) != Some(socket.inode) {
                new.push((ends, seen));
            }
            connected.insert(ends, socket.inode);
        }
        self.close(last.into_keys(), namespace, now);
        while !new.is_empty() {
            let mut index = self.shared.index();
            new.drain(new.len().saturating_sub(TOGETHER)..).for_each(|(ends, seen)| index.see(ends, seen));
        }
        let tcp = with_tcp.then_some(SocketProtocol::Tcp);
        let listed: Vec<_> = tcp.into_iter().chain([SocketProtocol::Udp]).collect();
        let mut index = self.shared.index();
        index.cut += cut as u64;
        index.settle(place, namespace, &listed, listeners, &addresses, now);
        drop(index);
        self.last.insert(namespace, Look { at: now, connected });
    }

    /// Notes that sockets have gone.
    fn close(&self, ends: impl Iterator<Item = Ends>, namespace: NsId, now: i64) {
        let ends: Vec<_> = ends.collect();
        for some in ends.chunks(TOGETHER) {
            let mut index = self.shared.index();
            for ends in some {
                index.close(*ends, Some(namespace), now);
            }
        }
    }

    /// Says once what cannot be seen.
    fn complain(&mut self, tables: &[(NsRef, SocketTable)]) {
        let refused = tables.iter().flat_map(|(_, table)| &table.refused).next();
        if let Some((what, error)) = refused
            && std::mem::take(&mut self.is_complaining)
        {
            let error = error as &dyn std::error::Error;
            tracing::warn!(what, error, "processes of flows are incomplete: sockets cannot be listed");
        }
        if self.owners.hidden > 0 && std::mem::take(&mut self.is_complaining) {
            let hidden = self.owners.hidden;
            tracing::warn!(hidden, "processes of flows are incomplete: files of others may not be seen");
        }
    }
}
