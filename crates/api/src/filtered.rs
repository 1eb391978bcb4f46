//! Filters of subscribers: parts of the live graph, kept true.
//!
//! One task follows the live graph and evaluates every filter, so that neither the graph's owner nor a subscriber
//! without filter waits for one. Filters that choose sets are kept by [`Standing`](skydive_query::Standing) queries at
//! the cost of each event; the others are evaluated anew on a snapshot, where blocking is allowed, at most every
//! 200 ms and with pauses that leave most of a processor to others. Subscribers get differences through bounded queues,
//! as they get the events of the whole graph. What comes while the task is busy is kept, folded when it is much; if that
//! does not help, it goes on with the graph of now and tells the difference.

mod authors;
mod engine;
mod told;

#[cfg(test)]
mod tests;

use std::future::pending;
use std::pin::Pin;
use std::sync::{Arc, Mutex, PoisonError};
use std::time::Duration;

use futures_util::FutureExt;
use skydive_graph::{Edge, GraphEvent, Node, Snapshot};
use skydive_query::{Cx, Kind, Plan, Query, QueryError, parse};
use skydive_value::Clock;
use thiserror::Error;
use tokio::sync::{mpsc, oneshot};
use tokio::task::spawn_blocking;
use tokio::time::{Instant, sleep_until, timeout};
use tokio_util::sync::CancellationToken;
use tokio_util::task::TaskTracker;

use crate::encoded::EncodedBatches;
use crate::live::{Mark, Stopped};
use crate::{Backlog, Ended, LiveGraph, Subscription};
use authors::Authors;
use engine::{Done, Engine, Task};
use told::Told;

/// The filters of one live graph.
pub(crate) struct Filters {
    live: LiveGraph,
    clock: Clock,
    limits: skydive_query::Limits,
    queue_size: usize,
    stop: CancellationToken,
    tasks: TaskTracker,
    /// The way to the task; there is none before somebody has a filter.
    requests: Mutex<Option<mpsc::Sender<Join>>>,
}

/// Somebody wants what a filter gives.
pub(crate) struct Join {
    query: Query,
    bound: usize,
    mark: Option<Mark>,
    reply: oneshot::Sender<Result<Joined, FilterError>>,
}

/// What a filter gives.
pub(crate) struct Joined {
    /// Now, oldest first.
    pub(crate) elements: Elements,
    /// From now on.
    pub(crate) events: Subscription,
    /// Shared by all who have the filter.
    pub(crate) encoded: Arc<EncodedBatches>,
    /// Whether each event is told as it comes.
    pub(crate) is_incremental: bool,
}

/// Nodes and edges.
pub(crate) type Elements = (Vec<Arc<Node>>, Vec<Arc<Edge>>);

/// A filter that cannot be had.
#[derive(Clone, Debug, PartialEq, Eq, Error)]
pub(crate) enum FilterError {
    /// Its text is no query.
    #[error("Invalid Gremlin filter '{0}'")]
    Invalid(String),
    /// It gives something else.
    #[error("Gremlin query '{0}' did not return a graph")]
    NoGraph(String),
    /// It fails.
    #[error("{0}")]
    Failed(String),
    /// The graph has ended.
    #[error(transparent)]
    Stopped(#[from] Stopped),
}

/// The task.
struct Evaluator {
    live: LiveGraph,
    clock: Clock,
    queue_size: usize,
    requests: mpsc::Receiver<Join>,
    running: Option<Running>,
    /// Until when filters that are evaluated anew have to wait.
    rest: Instant,
}

/// The live graph as the task follows it.
struct Following {
    events: Subscription,
    backlog: Backlog,
    /// Who caused what is in the backlog.
    authors: Authors,
    engine: Engine,
}

/// An evaluation somewhere else.
struct Running {
    filter: String,
    began: Instant,
    done: Pin<Box<dyn Future<Output = Option<Done>> + Send>>,
}

/// Subscribers that may wait to be let in.
const JOINS: usize = 64;
/// Events times filters above which they are worked on where blocking is allowed.
const HEAVY: usize = 20_000;
/// How long one evaluation may take.
const DEADLINE: Duration = Duration::from_secs(10);
/// Of the time that evaluations took, how often they rest: a quarter of a processor is theirs.
const REST: u32 = 3;

impl Filters {
    pub(crate) fn new(live: LiveGraph, serving: &crate::router::Serving) -> Self {
        let limits = &serving.settings.limits;
        let limits =
            skydive_query::Limits { max_query_bytes: limits.query_bytes, max_steps: limits.query_steps };
        Self {
            live,
            clock: serving.clock.clone(),
            limits,
            queue_size: serving.settings.ws.queue_size,
            stop: serving.stop.clone(),
            tasks: serving.tasks.clone(),
            requests: Mutex::default(),
        }
    }

    /// Reads a filter.
    pub(crate) fn parse(&self, text: &str) -> Result<Query, FilterError> {
        let query = parse(text, &self.limits).map_err(|_| FilterError::Invalid(text.to_owned()))?;
        let plan = Plan::new(&query, self.clock.now());
        let plan = plan.map_err(|fault| FilterError::Failed(fault.to_string()))?;
        match plan.kind() {
            // Flows change without an event of the graph.
            Kind::Graph if !plan.asks_flows() => Ok(query),
            _ => Err(FilterError::NoGraph(text.to_owned())),
        }
    }

    /// What a filter gives now and from now on, but what is marked with `mark`. Contains what was applied to the graph
    /// before the call. `bound` is how many messages may wait.
    pub(crate) async fn join(
        &self,
        query: Query,
        bound: usize,
        mark: Option<Mark>,
    ) -> Result<Joined, FilterError> {
        let (reply, answer) = oneshot::channel();
        let join = Join { query, bound, mark, reply };
        self.way().send(join).await.map_err(|_| Stopped)?;
        answer.await.map_err(|_| Stopped)?
    }

    /// What a filter gives for a graph at hand. Blocks.
    pub(crate) fn evaluate(query: &Query, graph: &Snapshot, cx: &Cx) -> Result<Elements, FilterError> {
        let told =
            Told::evaluate(query, graph, cx).map_err(|fault| FilterError::Failed(fault.to_string()))?;
        Ok(told.elements())
    }

    /// The way to the task, which begins with the first one who has a filter.
    fn way(&self) -> mpsc::Sender<Join> {
        let mut requests = self.requests.lock().unwrap_or_else(PoisonError::into_inner);
        if let Some(way) = requests.as_ref().filter(|way| !way.is_closed()) {
            return way.clone();
        }
        let (sender, receiver) = mpsc::channel(JOINS);
        let evaluator = Evaluator {
            live: self.live.clone(),
            clock: self.clock.clone(),
            queue_size: self.queue_size,
            requests: receiver,
            running: None,
            rest: Instant::now(),
        };
        let stop = self.stop.clone();
        self.tasks.spawn(async move {
            tokio::select! {
                () = stop.cancelled() => {}
                () = evaluator.run() => {}
            }
        });
        requests.insert(sender).clone()
    }
}

impl Join {
    fn admit(self, joined: Joined) {
        // Who asked may have gone.
        let _ = self.reply.send(Ok(joined));
    }

    fn refuse(self, fault: &QueryError) {
        let _ = self.reply.send(Err(FilterError::Failed(fault.to_string())));
    }
}

impl Evaluator {
    /// Runs until nobody can ask any more, or the graph has ended.
    async fn run(mut self) {
        while let Some(first) = self.requests.recv().await {
            // While nobody has a filter, nothing is followed.
            let Ok(mut following) = self.follow().await else { return };
            if self.serve(first, &mut following).await.is_err() {
                return;
            }
            self.running = None;
        }
    }

    async fn follow(&mut self) -> Result<Following, Ended> {
        let live = self.live.snapshot_and_subscribe(self.queue_size).await;
        let (snapshot, mut events) = live.map_err(|Stopped| Ended::Stopped)?;
        let mut backlog = Backlog::new(self.queue_size, self.live.counters().folded.clone());
        let copying = spawn_blocking(move || Engine::new(&snapshot));
        let mut engine = backlog.during(&mut events, copying).await?.map_err(|_| Ended::Stopped)?;
        // What happened meanwhile goes before what happens now. Nobody listens yet.
        engine.hear(&backlog.take(), &Authors::default());
        Ok(Following { events, backlog, authors: Authors::default(), engine })
    }

    /// Serves filters as long as there are any.
    async fn serve(&mut self, first: Join, following: &mut Following) -> Result<(), Ended> {
        self.join(first, following).await?;
        loop {
            following.engine.forget_unused(self.running.as_ref().map(|running| running.filter.as_str()));
            if following.engine.is_idle() {
                return Ok(());
            }
            let due = if self.running.is_some() { None } else { following.engine.due(self.rest) };
            tokio::select! {
                biased;
                join = self.requests.recv() => match join {
                    Some(join) => self.join(join, following).await?,
                    // Nobody can ask any more, but some may still listen.
                    None => return Err(Ended::Stopped),
                },
                done = evaluated(&mut self.running) => self.conclude(done, following),
                batch = following.events.next_with_mark() => match batch {
                    Ok((batch, by)) => self.hear(batch, by, following).await?,
                    Err(ended) => self.resume(ended, following).await?,
                },
                () = at(due) => self.evaluate(following),
            }
        }
    }

    async fn join(&mut self, join: Join, following: &mut Following) -> Result<(), Ended> {
        // What was applied before is among the events when this returns.
        self.live.snapshot_and_subscribe(1).await.map_err(|Stopped| Ended::Stopped)?;
        while let Some(batch) = following.events.next_with_mark().now_or_never() {
            match batch {
                Ok((batch, by)) => self.hear(batch, by, following).await?,
                Err(ended) => self.resume(ended, following).await?,
            }
        }
        let now = self.clock.now();
        let joined = following.work(move |engine| engine.join(join, now)).await;
        self.settle(joined, following).await
    }

    async fn hear(
        &mut self,
        batch: Arc<[GraphEvent]>,
        by: Option<Mark>,
        following: &mut Following,
    ) -> Result<(), Ended> {
        let authors = Authors::of(&batch, by.as_ref());
        if batch.len().saturating_mul(following.engine.len()) < HEAVY {
            following.engine.hear(&batch, &authors);
            return Ok(());
        }
        let heard = following.work(move |engine| engine.hear(&batch, &authors)).await;
        self.settle(heard, following).await
    }

    /// What became of work during which events were kept.
    async fn settle(&mut self, worked: Result<(), Ended>, following: &mut Following) -> Result<(), Ended> {
        let mut worked = worked;
        loop {
            match worked {
                Ok(()) if following.backlog.is_empty() => return Ok(()),
                Ok(()) => {
                    let (behind, authors) = following.take();
                    worked = following.work(move |engine| engine.hear(&behind, &authors)).await;
                }
                Err(ended) => return self.resume(ended, following).await,
            }
        }
    }

    /// Goes on after a gap.
    async fn resume(&mut self, ended: Ended, following: &mut Following) -> Result<(), Ended> {
        let mut ended = ended;
        loop {
            let Ended::Lost { messages } = ended else { return Err(ended) };
            tracing::warn!(messages, "filters do not keep up, going on with the graph of now");
            let live = self.live.snapshot_and_subscribe(self.queue_size).await;
            let (snapshot, events) = live.map_err(|Stopped| Ended::Stopped)?;
            following.events = events;
            following.take();
            let now = self.clock.now();
            match following.work(move |engine| engine.jump(&snapshot, now)).await {
                Ok(()) => {
                    let (behind, authors) = following.take();
                    following.engine.hear(&behind, &authors);
                    return Ok(());
                }
                Err(again) => ended = again,
            }
        }
    }

    /// Begins the evaluation that is due.
    fn evaluate(&mut self, following: &mut Following) {
        let now = Instant::now();
        let Some(task) = following.engine.next_task(now, self.rest) else { return };
        let filter = task.query.text().to_owned();
        let done = Box::pin(run(task, Cx::new(self.clock.now())));
        self.running = Some(Running { filter, began: now, done });
    }

    fn conclude(&mut self, done: Option<Done>, following: &mut Following) {
        let Some(running) = self.running.take() else { return };
        let now = Instant::now();
        self.rest = now + REST * (now - running.began);
        if let Some(done) = done {
            following.engine.conclude(done);
        }
    }
}

impl Following {
    /// What was kept, and who caused it; nothing is left.
    fn take(&mut self) -> (Arc<[GraphEvent]>, Authors) {
        (self.backlog.take(), std::mem::take(&mut self.authors))
    }

    /// Does work where blocking is allowed; what happens meanwhile is kept.
    async fn work(&mut self, work: impl FnOnce(&mut Engine) + Send + 'static) -> Result<(), Ended> {
        let mut engine = std::mem::take(&mut self.engine);
        let working = spawn_blocking(move || {
            work(&mut engine);
            engine
        });
        let mut working = std::pin::pin!(working);
        let authors = &mut self.authors;
        let noting = |batch: &[GraphEvent], by: Option<&Mark>| authors.note(batch, by);
        let worked = self.backlog.during_noting(&mut self.events, &mut working, noting).await;
        let (engine, outcome) = match worked {
            Ok(engine) => (engine, Ok(())),
            // The filters outlive the gap.
            Err(ended) => (working.await, Err(ended)),
        };
        self.engine = engine.map_err(|_| Ended::Stopped)?;
        outcome
    }
}

async fn evaluated(running: &mut Option<Running>) -> Option<Done> {
    match running {
        Some(running) => running.done.as_mut().await,
        None => pending().await,
    }
}

async fn at(due: Option<Instant>) {
    match due {
        Some(due) => sleep_until(due).await,
        None => pending().await,
    }
}

/// Evaluates where blocking is allowed, and not for ever. `None` when it broke.
async fn run(task: Task, cx: Cx) -> Option<Done> {
    let stop = cx.stop.clone();
    let mut working = spawn_blocking(move || task.run(&cx));
    match timeout(DEADLINE, &mut working).await {
        Ok(done) => done.ok(),
        Err(_) => {
            stop.expire();
            working.await.ok()
        }
    }
}
