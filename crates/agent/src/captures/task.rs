//! A capture on a node, and what the node says of it.

use std::time::Duration;

use skydive_capture::{Capture as Running, CaptureCounters, CaptureDef, CaptureState, CaptureStatus};
use skydive_graph::key;
use skydive_proto::{Capture, FlowStats};
use skydive_value::{Map, SmolStr, Value};
use tokio::sync::oneshot;
use tokio::time::Instant;

use super::fault::Refusal;

/// Hears what became of a request.
pub(crate) type Reply = oneshot::Sender<Result<(), Refusal>>;

/// A capture that was asked for on a node.
#[derive(Debug)]
pub(super) struct Task {
    /// Never used twice: what is done for a task that is gone does not reach the next.
    pub(super) number: u64,
    pub(super) capture: Capture,
    /// `None` when the node has not the kind that was asked for.
    pub(super) kind: Option<&'static CaptureDef>,
    pub(super) state: TaskState,
    /// Those who wait for it to begin.
    pub(super) waiting: Vec<Reply>,
    /// Packets of it that the node shows.
    pub(super) shown: Counted,
    /// Packets that were counted before it was begun anew.
    past: Counted,
    /// What was told of it.
    pub(super) told: Told,
}

/// What was told last of a run of a capture.
#[derive(Clone, Debug, Default)]
pub(super) struct Told(FlowStats);

/// How a capture on a node is doing.
#[derive(Debug)]
pub(super) enum TaskState {
    /// It is being begun for the first time, or anew; in that case the node says why it failed.
    Starting { since: Option<SmolStr>, pause: Duration },
    /// It runs.
    Running {
        running: Running,
        /// Bytes to be given back.
        memory: usize,
    },
    /// It does not.
    Failed {
        why: SmolStr,
        /// When it is tried again, and how long the pause was before; `None` when that is of no use.
        retry: Option<(Instant, Duration)>,
    },
}

/// Packets, as a node shows them.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub(super) struct Counted {
    pub(super) received: u64,
    pub(super) dropped: u64,
}

impl From<&CaptureCounters> for Counted {
    fn from(counters: &CaptureCounters) -> Self {
        Self { received: counters.received, dropped: counters.dropped_by_kernel + counters.dropped }
    }
}

impl Counted {
    fn and(self, other: Self) -> Self {
        Self { received: self.received + other.received, dropped: self.dropped + other.dropped }
    }
}

impl Told {
    /// What was counted since; `None` when there is nothing new. It is told once it is given back.
    pub(super) fn news(&self, capture: &str, status: &CaptureStatus) -> Option<(FlowStats, Self)> {
        let Counted { received, dropped } = (&status.counters).into();
        let now = FlowStats {
            capture_id: capture.to_owned(),
            flow_count: status.flows as i64,
            flow_dropped: (status.table.evicted + status.counters.flows_lost) as i64,
            kernel_flow_dropped: 0,
            packets_dropped: dropped as i64,
            packets_received: received as i64,
        };
        let news = FlowStats {
            flow_dropped: now.flow_dropped - self.0.flow_dropped,
            packets_dropped: now.packets_dropped - self.0.packets_dropped,
            packets_received: now.packets_received - self.0.packets_received,
            ..now.clone()
        };
        (now != self.0).then_some((news, Self(now)))
    }
}

impl Task {
    pub(super) fn new(number: u64, capture: Capture, kind: Option<&'static CaptureDef>) -> Self {
        let state = TaskState::Starting { since: None, pause: Duration::ZERO };
        let (shown, past) = (Counted::default(), Counted::default());
        Self { number, capture, kind, state, waiting: Vec::new(), shown, past, told: Told::default() }
    }

    /// Whether it does not run, and is not being begun for the first time.
    pub(super) fn has_failed(&self) -> bool {
        matches!(self.state, TaskState::Failed { .. } | TaskState::Starting { since: Some(_), .. })
    }

    /// Tells all who wait.
    pub(super) fn answer(&mut self, result: &Result<(), Refusal>) {
        for reply in self.waiting.drain(..) {
            // Who asked may have gone.
            let _ = reply.send(result.clone());
        }
    }

    /// Takes over what was counted.
    pub(super) fn count(&mut self, counters: &CaptureCounters) {
        self.shown = self.past.and(counters.into());
    }

    /// What is counted from now on comes on top.
    pub(super) fn close_count(&mut self, counters: &CaptureCounters) {
        self.count(counters);
        self.past = self.shown;
        self.told = Told::default();
    }

    /// What the node shows; `None` while it has not begun.
    pub(super) fn entry(&self) -> Option<Map> {
        let (state, error, socket) = match &self.state {
            TaskState::Starting { since: None, .. } => return None,
            TaskState::Starting { since: Some(why), .. } | TaskState::Failed { why, .. } => {
                ("error", Some(why.clone()), None)
            }
            TaskState::Running { running, .. } => {
                let is_down = matches!(running.status().state, CaptureState::Down);
                let why = is_down.then(|| SmolStr::new_static("the interface is down"));
                ("active", why, running.listens_at())
            }
        };
        let Capture { uuid, name, description, bpf_filter, kind, .. } = &self.capture;
        let mut entry = Map::new();
        let mut text = |name: &str, text: &str| {
            if !text.is_empty() {
                entry.insert(name, text);
            }
        };
        text("ID", uuid);
        text(key::NAME, name);
        text("Description", description);
        text("BPFFilter", bpf_filter);
        text(key::TYPE, kind);
        text(key::STATE, state);
        text("Error", error.as_deref().unwrap_or_default());
        text("PCAPSocket", &socket.map(|at| at.to_string()).unwrap_or_default());
        entry.insert("PacketsReceived", Value::from(self.shown.received));
        entry.insert("PacketsDropped", Value::from(self.shown.dropped));
        // Packets that the driver drops are with the interface's own counters.
        entry.insert("PacketsIfDropped", Value::from(0u64));
        Some(entry)
    }
}
