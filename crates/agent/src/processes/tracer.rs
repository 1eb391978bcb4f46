//! The thread that hears of TCP connections as processes make and close them.
//!
//! A thread that does nothing else: a process may end a millisecond after it connected, and is to be looked at before.

use std::collections::HashMap;
use std::sync::Arc;
use std::sync::atomic::Ordering;
use std::time::Duration;

use rustix::event::{PollFd, PollFlags, poll};
use skydive_flow::Process;
use skydive_sys::netlink::{SocketProtocol, SocketState};
use skydive_sys::{NsId, TcpChange, TcpTrace};
use skydive_value::Clock;

use super::index::{Ends, OPEN, Seen};
use super::owners::Pids;
use super::{Shared, Wake};

/// See the module.
pub(super) struct Tracer {
    shared: Arc<Shared>,
    clock: Clock,
    /// Sockets that connect, with who does: their own ports are not known yet.
    connecting: HashMap<u64, (Arc<Process>, Option<NsId>)>,
    pids: Pids,
    is_complaining: bool,
}

/// Sockets that connect at the same time.
const MOST_CONNECTING: usize = 16_384;
/// How long what is not urgent may wait.
const PAUSE: Duration = Duration::from_secs(1);

impl Tracer {
    pub(super) fn new(shared: Arc<Shared>, clock: Clock) -> Self {
        let (connecting, pids) = (HashMap::new(), Pids::default());
        Self { shared, clock, connecting, pids, is_complaining: true }
    }

    pub(super) fn run(mut self) {
        while !self.shared.is_ending() {
            if self.shared.has_captures() {
                self.follow();
                self.connecting.clear();
            } else {
                self.shared.tracer.wait(None);
            }
        }
    }

    /// Follows connections until there are no captures.
    fn follow(&mut self) {
        let mut trace = match TcpTrace::start() {
            Ok(trace) => Some(trace),
            Err(error) => {
                if std::mem::take(&mut self.is_complaining) {
                    let error = &error as &dyn std::error::Error;
                    tracing::warn!(error, "short connections have no process: TCP cannot be traced");
                }
                None
            }
        };
        self.shared.is_traced.store(trace.is_some(), Ordering::Release);
        self.shared.set_ready(|ready| ready.trace = true);
        while self.shared.has_captures() && !self.shared.is_ending() {
            let Some(trace) = &mut trace else {
                self.shared.tracer.wait(None);
                continue;
            };
            let timeout = Wake::timeout(PAUSE);
            let mut fds = [PollFd::new(trace, PollFlags::IN), self.shared.tracer.poll_fd()];
            // Interrupted is as good as woken.
            let _ = poll(&mut fds, Some(&timeout));
            self.shared.tracer.settle();
            let now = self.clock.now().as_millis();
            if trace.read(&mut |change| self.change(change, now)) > 0 {
                self.shared.has_lost.store(true, Ordering::Release);
                self.shared.watcher.wake();
            }
        }
        self.shared.set_ready(|ready| ready.trace = false);
    }

    fn change(&mut self, change: &TcpChange, now: i64) {
        let ends = Ends::new(SocketProtocol::Tcp, change.local, change.remote);
        match (change.old, change.new) {
            (_, SocketState::SynSent) => {
                if self.connecting.len() < MOST_CONNECTING
                    && let Some(who) = self.pids.process(change.pid, now)
                {
                    self.connecting.insert(change.socket, who);
                }
            }
            (SocketState::SynSent, new) => {
                let Some((process, namespace)) = self.connecting.remove(&change.socket) else { return };
                let until = if new == SocketState::Established { OPEN } else { now };
                self.shared.index().see(ends, Seen { namespace, process, since: now, until });
            }
            (_, SocketState::FinWait1 | SocketState::LastAck) => {
                // Who accepted it closes it, or who connected before that was traced.
                if !self.shared.index().is_open(&ends)
                    && let Some((process, namespace)) = self.pids.process(change.pid, now)
                    && !process.path.is_empty()
                {
                    self.shared.index().see(ends, Seen { namespace, process, since: i64::MIN, until: OPEN });
                }
            }
            (_, SocketState::Close) => self.shared.index().close(ends, None, now),
            _ => {}
        }
    }
}
