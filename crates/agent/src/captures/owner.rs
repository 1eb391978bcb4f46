//! The task that owns all captures of the agent.
//!
//! Everything that happens comes to it in turn: requests, changes of the graph, ends of what runs elsewhere, and a look
//! at all captures once a second. After each it makes the nodes show how their captures are.

use std::collections::{BTreeMap, BTreeSet, HashMap};
use std::sync::Arc;
use std::time::Duration;

use skydive_api::{Ended, LiveGraph};
use skydive_capture::{Capture as Running, CaptureConfig, CaptureStatus};
use skydive_graph::{GraphEvent, Mutation, Op, Snapshot, key};
use skydive_proto::{CaptureTotals, FlowStats, NodeCapture};
use skydive_value::{Id, Value};
use tokio::sync::{Semaphore, mpsc, watch};
use tokio::task::{Id as JobId, JoinError, JoinSet, spawn_blocking};
use tokio::time::{Instant, MissedTickBehavior, interval, timeout};
use tokio_util::sync::CancellationToken;

use super::fault::{Fault, Refusal};
use super::flows::Engine;
use super::memory::Memory;
use super::own_traffic::{Addresses, excluded};
use super::place::{Namespaces, Place};
use super::plan::{kind, needs_interface, plan};
use super::task::{Reply, Task, TaskState, Told};
use super::totals;
use crate::CaptureSettings;

/// Owns what it names; see the module.
pub(crate) struct CaptureOwner {
    pub(super) live: LiveGraph,
    pub(super) engine: Engine,
    pub(super) settings: CaptureSettings,
    pub(super) analyzers: Arc<Addresses>,
    pub(super) host: Id,
    pub(super) namespaces: watch::Receiver<Arc<Namespaces>>,
    pub(super) requests: mpsc::Receiver<Request>,
    pub(super) stats: mpsc::Sender<FlowStats>,
    pub(super) totals: watch::Sender<CaptureTotals>,
    pub(super) work: Work,
}

/// What is known of captures.
pub(super) struct Work {
    nodes: BTreeMap<Id, OnNode>,
    /// Nodes whose captures may be others than they show.
    touched: BTreeSet<Id>,
    jobs: JoinSet<Done>,
    begins: Arc<Semaphore>,
    memory: Memory,
    /// Captures that are ending, and what they had counted when they were told to.
    ending: HashMap<JobId, CaptureStatus>,
    /// What captures counted that have ended.
    ended: CaptureStatus,
    next: u64,
    next_stats: Instant,
}

/// Captures on a node, in the order in which they came.
#[derive(Default)]
struct OnNode {
    tasks: Vec<Task>,
    /// What the node was told to show.
    shown: Option<Value>,
}

/// What is asked.
#[derive(Debug)]
pub(crate) struct Request {
    pub(crate) wish: Wish,
    pub(crate) work: NodeCapture,
    pub(crate) reply: Reply,
}

/// What is to become of a capture.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Wish {
    Start,
    Stop,
}

/// A run of a capture that is to end.
struct Ending {
    id: String,
    told: Told,
    running: Running,
    memory: usize,
}

/// What was done beside the task.
enum Done {
    Begun { node: Id, number: u64, memory: usize, result: Result<Running, Fault> },
    Ended { id: String, told: Told, status: CaptureStatus, memory: usize },
}

/// How often captures are looked at.
const LOOK: Duration = Duration::from_secs(1);
/// Captures begun at the same time: the kernel lets them wait together.
const BEGINS: usize = 64;
/// Captures that are known, whether they run or not.
const KNOWN: usize = 16_384;
/// Messages of the graph that wait.
const EVENTS: usize = 10_000;
/// Requests that are taken together.
const TOGETHER: usize = 256;
/// First and longest pause before a capture that failed is begun anew.
const PAUSE: (Duration, Duration) = (Duration::from_secs(1), Duration::from_mins(1));
/// How long whoever asked for the end of a capture waits for its last flow to be told of.
const LAST_FLOW: Duration = Duration::from_secs(2);
/// How long the agent waits for the ends of all when it stops.
const LAST_FLOWS: Duration = Duration::from_secs(5);

impl Work {
    pub(super) fn new(memory: usize) -> Self {
        Self {
            nodes: BTreeMap::new(),
            touched: BTreeSet::new(),
            jobs: JoinSet::new(),
            begins: Arc::new(Semaphore::new(BEGINS)),
            memory: Memory::new(memory),
            ending: HashMap::new(),
            ended: CaptureStatus::default(),
            next: 0,
            next_stats: Instant::now(),
        }
    }

    fn tasks(&self) -> impl Iterator<Item = &Task> {
        self.nodes.values().flat_map(|on_node| &on_node.tasks)
    }

    fn task(&mut self, node: &Id, number: u64) -> Option<&mut Task> {
        self.nodes.get_mut(node)?.tasks.iter_mut().find(|task| task.number == number)
    }

    /// Ends what runs. Those who ask hear of it when its last flow was told of, or a little later.
    fn end(&mut self, Ending { id, told, mut running, memory }: Ending, reply: Option<Reply>) {
        running.stop();
        let counted = running.status();
        let job = self.jobs.spawn(async move {
            let mut reply = reply;
            let status = match timeout(LAST_FLOW, running.ended()).await {
                Ok(status) => status,
                Err(_) => {
                    if let Some(reply) = reply.take() {
                        let _ = reply.send(Ok(()));
                    }
                    running.ended().await
                }
            };
            if let Some(reply) = reply {
                let _ = reply.send(Ok(()));
            }
            Done::Ended { id, told, status, memory }
        });
        self.ending.insert(job.id(), counted);
    }

    /// A capture that was ending has ended.
    fn has_ended(&mut self, job: JobId, status: &CaptureStatus) {
        self.ending.remove(&job);
        self.ended.add(status);
    }

    /// Ends a task that is on no node any more.
    fn leave(&mut self, mut task: Task, reply: Option<Reply>) {
        task.answer(&Err(Refusal::from(&Fault::Stopped)));
        match task.state {
            TaskState::Running { running, memory } => {
                let id = std::mem::take(&mut task.capture.uuid);
                self.end(Ending { id, told: task.told, running, memory }, reply);
            }
            _ => {
                if let Some(reply) = reply {
                    let _ = reply.send(Ok(()));
                }
            }
        }
    }

    /// A node is gone, and its captures with it.
    fn forget(&mut self, node: &Id) {
        self.touched.remove(node);
        for task in self.nodes.remove(node).map(|gone| gone.tasks).unwrap_or_default() {
            self.leave(task, None);
        }
    }

    /// What the nodes are to show that they do not.
    fn news(&mut self) -> Vec<Mutation> {
        let mut news = Vec::new();
        for node in std::mem::take(&mut self.touched) {
            let Some(on_node) = self.nodes.get_mut(&node) else { continue };
            let entries: Vec<_> = on_node.tasks.iter().filter_map(Task::entry).collect();
            let list = (!entries.is_empty()).then(|| Value::list(entries));
            if on_node.shown != list {
                let op = list.clone().map_or(Op::remove(key::CAPTURES), |list| Op::set(key::CAPTURES, list));
                news.push(Mutation::update_node(node.clone(), [op]));
                on_node.shown = list;
            }
            if on_node.tasks.is_empty() {
                self.nodes.remove(&node);
            }
        }
        news
    }
}

impl CaptureOwner {
    /// Serves until `stop`, then ends all captures and tells of their flows.
    pub(crate) async fn run(mut self, stop: CancellationToken) {
        let mut look = interval(LOOK);
        look.set_missed_tick_behavior(MissedTickBehavior::Delay);
        'graph: loop {
            let Ok((snapshot, mut events)) = self.live.snapshot_and_subscribe(EVENTS).await else { break };
            self.compare(&snapshot);
            drop(snapshot);
            loop {
                let mut requests = Vec::new();
                tokio::select! {
                    () = stop.cancelled() => break 'graph,
                    batch = events.next() => match batch {
                        Ok(batch) => self.hear(&batch),
                        Err(Ended::Lost { .. }) => break,
                        Err(Ended::Stopped) => break 'graph,
                    },
                    taken = self.requests.recv_many(&mut requests, TOGETHER) => match taken {
                        0 => break 'graph,
                        _ => if self.serve(requests).await.is_err() { break 'graph },
                    },
                    Some(done) = self.work.jobs.join_next_with_id() => self.finish(done),
                    _ = look.tick() => if self.look().await.is_err() { break 'graph },
                }
                let news = self.work.news();
                if !news.is_empty() && self.live.apply(news).await.is_err() {
                    break 'graph;
                }
            }
        }
        self.end().await;
    }

    /// Forgets nodes that went while nobody listened.
    fn compare(&mut self, graph: &Snapshot) {
        let gone: Vec<Id> = self.work.nodes.keys().filter(|id| graph.node(id).is_none()).cloned().collect();
        for node in gone {
            self.work.forget(&node);
        }
    }

    fn hear(&mut self, events: &[GraphEvent]) {
        for event in events {
            if let GraphEvent::NodeDeleted(node) = event {
                self.work.forget(&node.id);
            }
        }
    }

    async fn serve(&mut self, requests: Vec<Request>) -> Result<(), skydive_api::Stopped> {
        let graph = self.live.snapshot().await?;
        for Request { wish, work, reply } in requests {
            match wish {
                Wish::Start => self.start(work, reply, &graph),
                Wish::Stop => self.stop(&work, reply),
            }
        }
        Ok(())
    }

    fn start(&mut self, NodeCapture { node, capture }: NodeCapture, reply: Reply, graph: &Snapshot) {
        let Some(found) = graph.node(&node) else {
            let _ = reply.send(Err((&Fault::NoNode(node)).into()));
            return;
        };
        if capture.uuid.is_empty() {
            let _ = reply.send(Err((&Fault::Unnamed).into()));
            return;
        }
        let kind = kind(&capture, found.node_type()).ok();
        let is_full = self.work.tasks().count() >= KNOWN;
        let on_node = self.work.nodes.entry(node.clone()).or_default();
        let known = on_node.tasks.iter_mut().find(|task| task.capture.uuid == capture.uuid);
        let number = match known {
            Some(task) => match &mut task.state {
                TaskState::Running { .. } => {
                    let _ = reply.send(Ok(()));
                    return;
                }
                TaskState::Starting { .. } => {
                    task.waiting.push(reply);
                    return;
                }
                TaskState::Failed { .. } => {
                    (task.capture, task.kind) = (capture, kind);
                    task.waiting.push(reply);
                    task.number
                }
            },
            None if is_full => {
                self.work.touched.insert(node);
                let _ = reply.send(Err((&Fault::TooMany(KNOWN)).into()));
                return;
            }
            None => {
                self.work.next += 1;
                let mut task = Task::new(self.work.next, capture, kind);
                task.waiting.push(reply);
                on_node.tasks.push(task);
                self.work.next
            }
        };
        self.begin(&node, number, PAUSE.0, graph);
    }

    fn stop(&mut self, NodeCapture { node, capture }: &NodeCapture, reply: Reply) {
        let found = self.work.nodes.get_mut(node).and_then(|on_node| {
            let at = on_node.tasks.iter().position(|task| task.capture.uuid == capture.uuid)?;
            Some(on_node.tasks.remove(at))
        });
        match found {
            Some(task) => {
                self.work.touched.insert(node.clone());
                self.work.leave(task, Some(reply));
            }
            None => {
                let _ = reply.send(Err((&Fault::NoCapture(capture.uuid.clone())).into()));
            }
        }
    }

    /// Begins a task, for the first time or anew.
    fn begin(&mut self, node: &Id, number: u64, pause: Duration, graph: &Snapshot) {
        match self.planned(node, number, graph) {
            Ok((config, captures)) => {
                let memory = config.table.max_extra_bytes * config.threads;
                if let Some(task) = self.work.task(node, number) {
                    let since = match &task.state {
                        TaskState::Failed { why, .. } => Some(why.clone()),
                        _ => None,
                    };
                    task.state = TaskState::Starting { since, pause };
                }
                let (node, analyzers) = (node.clone(), self.analyzers.clone());
                let begins = self.work.begins.clone();
                self.work.jobs.spawn(async move {
                    let _turn = begins.acquire_owned().await;
                    let result = begun(config, captures, &analyzers).await;
                    Done::Begun { node, number, memory, result }
                });
            }
            Err(fault) => self.failed(node, number, &fault, pause),
        }
    }

    fn planned(
        &mut self,
        node: &Id,
        number: u64,
        graph: &Snapshot,
    ) -> Result<(CaptureConfig, skydive_capture::Captures), Fault> {
        let captures = self.engine.captures().ok_or(Fault::Ending)?;
        let found = graph.node(node).ok_or_else(|| Fault::NoNode(node.clone()))?;
        let on_node = self.work.nodes.get(node).ok_or(Fault::Stopped)?;
        let task = on_node.tasks.iter().find(|task| task.number == number).ok_or(Fault::Stopped)?;
        let kind = kind(&task.capture, found.node_type())?;
        let others = on_node.tasks.iter().filter(|other| other.number != number && !other.has_failed());
        if !kind.options.several_per_node
            && others.filter_map(|other| other.kind).any(|other| other.name == kind.name)
        {
            return Err(Fault::OnlyOne(kind.name));
        }
        let place = {
            let namespaces = self.namespaces.borrow();
            Place::of(found, graph, &self.host, &namespaces, needs_interface(kind))?
        };
        let others = self.work.tasks().filter(|other| other.number != number && !other.has_failed());
        if others.count() >= self.settings.most {
            return Err(Fault::TooMany(self.settings.most));
        }
        let memory = self.work.memory.take();
        let planned = plan(&task.capture, kind, place, &self.settings, memory);
        let config = planned.inspect_err(|_| {
            self.work.memory.give(memory, self.settings.table.max_extra_bytes);
        })?;
        Ok((config, captures))
    }

    fn failed(&mut self, node: &Id, number: u64, fault: &Fault, pause: Duration) {
        let refusal = Refusal::from(fault);
        let Some(task) = self.work.task(node, number) else { return };
        let uuid = &task.capture.uuid;
        let is_news =
            !matches!(&task.state, TaskState::Starting { since: Some(why), .. } if *why == refusal.why);
        if is_news {
            tracing::warn!(capture = %uuid, node = %node, why = %refusal.why, "capture does not run");
        }
        // Whether another one has gone from the node costs nothing to find out.
        let pause = if matches!(fault, Fault::OnlyOne(_)) { PAUSE.0 } else { pause };
        let retry = fault.may_pass().then(|| (Instant::now() + pause, pause));
        task.state = TaskState::Failed { why: refusal.why.clone(), retry };
        task.answer(&Err(refusal));
        self.work.touched.insert(node.clone());
    }

    fn finish(&mut self, done: Result<(JobId, Done), JoinError>) {
        match done {
            Ok((_, Done::Begun { node, number, memory, result })) => {
                self.has_begun(&node, number, memory, result);
            }
            Ok((job, Done::Ended { id, told, status, memory })) => {
                if let Some((news, _)) = told.news(&id, &status) {
                    // Who does not take what captures tell misses the rest.
                    let _ = self.stats.try_send(news);
                }
                self.work.has_ended(job, &status);
                self.work.memory.give(memory, self.settings.table.max_extra_bytes);
                self.publish();
            }
            // What ran is dropped with it, which ends it.
            Err(defect) => {
                if let Some(counted) = self.work.ending.get(&defect.id()).cloned() {
                    self.work.has_ended(defect.id(), &counted);
                }
                tracing::error!(%defect, "a capture was lost");
            }
        }
    }

    fn has_begun(&mut self, node: &Id, number: u64, memory: usize, result: Result<Running, Fault>) {
        let pause = match self.work.task(node, number).map(|task| &task.state) {
            Some(TaskState::Starting { pause, .. }) => *pause,
            _ => PAUSE.0,
        };
        match (self.work.task(node, number), result) {
            (Some(task), Ok(running)) => {
                task.state = TaskState::Running { running, memory };
                task.answer(&Ok(()));
                self.work.touched.insert(node.clone());
            }
            // It was stopped meanwhile, and nobody is to hear of it.
            (None, Ok(running)) => {
                let (id, told) = (String::new(), Told::default());
                self.work.end(Ending { id, told, running, memory }, None);
            }
            (_, Err(fault)) => {
                self.work.memory.give(memory, self.settings.table.max_extra_bytes);
                self.failed(node, number, &fault, pause);
            }
        }
    }

    /// Looks at all captures: what they counted, which of them have ended, and which are to be tried again.
    async fn look(&mut self) -> Result<(), skydive_api::Stopped> {
        let now = Instant::now();
        let has_stats = now >= self.work.next_stats;
        if has_stats {
            // Looks come a little early or late; the next is the one nearest to the time.
            self.work.next_stats = now + self.settings.stats_update.saturating_sub(LOOK / 2);
        }
        let (mut fallen, mut due) = (Vec::new(), Vec::new());
        for (node, on_node) in &mut self.work.nodes {
            for task in &mut on_node.tasks {
                match &task.state {
                    TaskState::Running { running, .. } => {
                        let status = running.status();
                        if status.state.has_ended() {
                            fallen.push((node.clone(), task.number, status));
                        } else if has_stats {
                            task.count(&status.counters);
                            if let Some((news, now)) = task.told.news(&task.capture.uuid, &status)
                                && self.stats.try_send(news).is_ok()
                            {
                                task.told = now;
                            }
                        }
                    }
                    TaskState::Failed { retry: Some((at, pause)), .. } if *at <= now => {
                        due.push((node.clone(), task.number, (*pause * 2).min(PAUSE.1)));
                    }
                    _ => {}
                }
            }
        }
        self.work.touched.extend(self.work.nodes.keys().cloned());
        for (node, number, status) in fallen {
            self.has_fallen(&node, number, status);
        }
        if !due.is_empty() {
            let graph = self.live.snapshot().await?;
            for (node, number, pause) in due {
                self.begin(&node, number, pause, &graph);
            }
        }
        self.publish();
        Ok(())
    }

    /// A capture has ended by itself.
    fn has_fallen(&mut self, node: &Id, number: u64, status: CaptureStatus) {
        let Some(task) = self.work.task(node, number) else { return };
        let (id, told) = (task.capture.uuid.clone(), task.told.clone());
        task.close_count(&status.counters);
        let starting = TaskState::Starting { since: None, pause: PAUSE.0 };
        if let TaskState::Running { running, memory } = std::mem::replace(&mut task.state, starting) {
            self.work.end(Ending { id, told, running, memory }, None);
        }
        self.failed(node, number, &Fault::of_state(status.state), PAUSE.0);
    }

    /// Says what all captures counted.
    fn publish(&self) {
        let (mut others, mut running, mut failed) = (CaptureStatus::default(), 0, 0);
        for task in self.work.tasks() {
            match &task.state {
                TaskState::Running { running: capture, .. } => {
                    running += 1;
                    others.add(&capture.status());
                }
                _ if task.has_failed() => failed += 1,
                _ => {}
            }
        }
        for counted in self.work.ending.values() {
            running += 1;
            others.add(counted);
        }
        let mut all = CaptureTotals { running, failed, ..totals::of(&self.work.ended, &others) };
        self.totals.send_if_modified(|told| {
            all.shedding = totals::shed_since(told, &all);
            let is_news = *told != all;
            *told = all;
            is_news
        });
    }

    /// Ends all captures. What they have to tell is told as long as somebody takes it.
    async fn end(mut self) {
        self.requests.close();
        for node in self.work.nodes.keys().cloned().collect::<Vec<_>>() {
            self.work.forget(&node);
        }
        let engine = self.engine.take();
        let ends = async {
            while let Some(done) = self.work.jobs.join_next_with_id().await {
                match done {
                    Ok((job, Done::Ended { id, told, status, .. })) => {
                        if let Some((news, _)) = told.news(&id, &status) {
                            let _ = self.stats.try_send(news);
                        }
                        self.work.has_ended(job, &status);
                    }
                    Ok((_, Done::Begun { result: Ok(mut running), .. })) => {
                        running.stop();
                        running.ended().await;
                    }
                    _ => {}
                }
            }
        };
        if timeout(LAST_FLOWS, ends).await.is_err() {
            tracing::warn!("captures do not end in time, flows are lost");
        }
        self.publish();
        self.work.jobs.shutdown().await;
        // The threads end, and the stream of flows with them.
        let _ = spawn_blocking(move || drop(engine)).await;
    }
}

/// Begins a capture where waiting is allowed.
async fn begun(
    mut config: CaptureConfig,
    captures: skydive_capture::Captures,
    analyzers: &Addresses,
) -> Result<Running, Fault> {
    if config.kind != "pcapsocket" {
        config.filter = excluded(&config.filter, analyzers).await;
    }
    let begun = spawn_blocking(move || captures.begin(&config)).await;
    Ok(begun.map_err(|defect| Fault::Defect(defect.to_string()))??)
}
