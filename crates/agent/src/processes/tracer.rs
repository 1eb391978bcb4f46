//! The thread that hears of TCP connections as processes make and close them, and of datagrams as they begin to send.
//!
//! A thread that does nothing else: a process may end a millisecond after it connected, and is to be looked at before.
//! Where many connect it wakes for several at once.

use std::collections::HashMap;
use std::os::fd::AsFd;
use std::sync::Arc;
use std::sync::atomic::Ordering;
use std::time::Duration;

use skydive_flow::Process;
use skydive_sys::netlink::{SocketProtocol, SocketState};
use skydive_sys::{NsId, TcpChange, TcpTrace, TraceError, Traced, UdpSent, UdpTrace};
use skydive_value::Clock;
use tokio::time::Instant;

use super::Shared;
use super::index::{Ends, OPEN, Seen};
use super::pids::Pids;

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
/// Least time between two looks at what happened, unless somebody asks: so many processes that run something new may
/// connect in it that only one of them wakes this thread.
const REST: Duration = Duration::from_millis(10);
/// How long a process is what it was as long as nothing else is told; milliseconds. Its control group may change.
const FRESH: i64 = 10_000;

impl Tracer {
    pub(super) fn new(shared: Arc<Shared>, clock: Clock) -> Self {
        let (connecting, pids) = (HashMap::new(), Pids::new(FRESH));
        Self { shared, clock, connecting, pids, is_complaining: true }
    }

    pub(super) fn run(mut self) {
        while !self.shared.is_ending() {
            if self.shared.has_captures() {
                self.follow();
                self.connecting.clear();
                self.pids.clear();
            } else {
                self.shared.tracer.wait(None);
            }
        }
    }

    /// Follows connections until there are no captures.
    fn follow(&mut self) {
        let mut trace = self.open(TcpTrace::start(), "connections");
        let mut sends = self.open(UdpTrace::start(), "datagrams");
        self.shared.is_traced.store(trace.is_some(), Ordering::Release);
        self.shared.are_sends_traced.store(sends.is_some(), Ordering::Release);
        self.shared.set_ready(|ready| ready.trace = true);
        let began = Instant::now();
        let mut looked = began;
        while self.shared.has_captures() && !self.shared.is_ending() {
            if !self.shared.tracer.has_woken(REST.saturating_sub(looked.elapsed()), &[]) {
                let within = sends.as_ref().map_or(PAUSE, |sends| Duration::from_millis(sends.within()));
                let traces = [trace.as_ref().map(TcpTrace::as_fd), sends.as_ref().map(UdpTrace::as_fd)];
                self.shared.tracer.has_woken(within, &traces);
            }
            looked = Instant::now();
            let now = self.clock.now().as_millis();
            self.pids.forget_ended();
            let lost = trace.as_mut().map(|trace| {
                trace.read(&mut |told| match told {
                    Traced::Tcp(change) => self.change(change, now),
                    Traced::Task(change) => self.pids.tell(change, now),
                })
            });
            if lost.is_some_and(|lost| lost > 0) {
                self.pids.clear();
                self.shared.has_lost.store(true, Ordering::Release);
                self.shared.watcher.wake();
            }
            if let Some(sends) = &mut sends {
                let before = sends.pauses();
                sends.read(looked.duration_since(began).as_millis() as u64, &mut |sent| self.sent(sent, now));
                self.shared.are_sends_traced.store(!sends.is_limited(), Ordering::Release);
                if sends.pauses() > before {
                    let pauses = sends.pauses();
                    tracing::debug!(
                        pauses,
                        "short datagrams have no process for some seconds: there are too many packets"
                    );
                }
            }
        }
        self.shared.set_ready(|ready| ready.trace = false);
    }

    /// Says once what cannot be traced.
    fn open<T>(&mut self, trace: Result<T, TraceError>, what: &str) -> Option<T> {
        if let Err(error) = &trace
            && std::mem::take(&mut self.is_complaining)
        {
            let error = error as &dyn std::error::Error;
            tracing::warn!(what, error, "what is short has no process: it cannot be traced");
        }
        trace.ok()
    }

    /// A process sends, or connects to somebody. How long its socket is there is not told.
    fn sent(&mut self, sent: &UdpSent, now: i64) {
        let ends = Ends::new(SocketProtocol::Udp, sent.local, sent.remote);
        if self.shared.index().was_just_there(&ends, sent.pid, now) {
            return;
        }
        if let Some((process, namespace)) = self.pids.process(sent.pid, now) {
            self.shared.index().see(ends, Seen { namespace, process, since: now, until: now });
        }
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
