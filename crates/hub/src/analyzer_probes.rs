//! Probes that run beside the hub: they add to the merged graph, and are shown it as it changes.
//!
//! The hub knows only what they say, mutations and how they are. Who made them, and of what, is the business of who
//! hands them in ([`crate::Hub::with_probe`]).

use std::any::Any;
use std::collections::BTreeMap;
use std::sync::Arc;
use std::time::Duration;

use skydive_api::{Ended, LiveGraph, Stopped};
use skydive_graph::{BoxFuture, Mutation, Snapshot};
use skydive_proto::ProbeStatus;
use skydive_value::SmolStr;
use tokio::sync::{mpsc, watch};
use tokio::task::JoinSet;
use tokio::time::{Instant, sleep, sleep_until};
use tokio_util::sync::CancellationToken;

/// A probe that a hub runs.
pub struct AnalyzerProbe {
    /// Its name in the status.
    pub name: &'static str,
    /// Starts it. It runs until `stop` of its line; when it ends before, it is started again, with growing pauses, and
    /// its reason is told in the status.
    pub start: Box<dyn Fn(ProbeLine) -> BoxFuture<'static, Result<(), String>> + Send + Sync>,
}

/// What a probe and the hub have to do with each other.
#[derive(Debug)]
pub struct ProbeLine {
    /// Bounded: a probe waits while the graph cannot follow.
    pub says: mpsc::Sender<Said>,
    /// The graph of now, and a newer one soon after it changed. What the probe has said may not be in it yet. A probe
    /// that does not need it drops it.
    pub graph: watch::Receiver<Snapshot>,
    /// When to end.
    pub stop: CancellationToken,
}

/// What a probe says.
#[derive(Debug)]
pub enum Said {
    /// Changes that belong together, in order.
    Mutations(Vec<Mutation>),
    /// That something is missing, for a human.
    Degraded(SmolStr),
    /// That nothing is.
    Running,
}

/// What the status tells of each probe.
pub(crate) type ProbeStates = watch::Receiver<BTreeMap<&'static str, ProbeStatus>>;

/// The probes of a hub.
pub(crate) struct AnalyzerProbes {
    live: LiveGraph,
    probes: Vec<Arc<AnalyzerProbe>>,
    states: States,
}

/// Where the probes' states are written.
type States = Arc<watch::Sender<BTreeMap<&'static str, ProbeStatus>>>;

/// What is said and waits for the graph; beyond that probes wait.
const SAID: usize = 64;
/// Events that may wait while a snapshot is made. More are not needed: that there were some is enough.
const EVENTS: usize = 16 * 1024;
/// Shortest time between two snapshots: each makes the graph's owner copy what it changes next.
const PAUSE: Duration = Duration::from_millis(200);
/// First and longest pause before a probe that ended is started again.
const RESTART: (Duration, Duration) = (Duration::from_secs(1), Duration::from_mins(1));

const RUNNING: &str = "running";
const STOPPED: &str = "stopped";

impl AnalyzerProbes {
    pub(crate) fn new(live: LiveGraph, probes: Vec<AnalyzerProbe>) -> Self {
        let running = probes.iter().map(|probe| (probe.name, status(RUNNING, None))).collect();
        let states = Arc::new(watch::Sender::new(running));
        Self { live, probes: probes.into_iter().map(Arc::new).collect(), states }
    }

    pub(crate) fn states(&self) -> ProbeStates {
        self.states.subscribe()
    }

    /// Runs until `stop`, or until the graph has ended. Panics when a probe does, after telling all to stop.
    pub(crate) async fn run(self, stop: CancellationToken) {
        if self.probes.is_empty() {
            return;
        }
        let Ok(first) = self.live.snapshot().await else { return };
        let shown = Arc::new(watch::Sender::new(first));
        let mut running = JoinSet::new();
        for probe in self.probes {
            let (live, shown, states) = (self.live.clone(), shown.clone(), self.states.clone());
            running.spawn(keep_running(probe, live, shown, states, stop.clone()));
        }
        let defect = tokio::select! {
            _ = show(&self.live, &shown) => None,
            () = stop.cancelled() => None,
            defect = first_defect(&mut running) => Some(defect),
        };
        if let Some(defect) = defect {
            // Without it the graph would show half the truth: the hub ends, whoever watches it starts it anew.
            stop.cancel();
            std::panic::resume_unwind(defect);
        }
        while running.join_next().await.is_some() {}
    }
}

/// Waits for a probe that panics.
async fn first_defect(running: &mut JoinSet<()>) -> Box<dyn Any + Send> {
    loop {
        match running.join_next().await {
            Some(Err(ended)) if ended.is_panic() => return ended.into_panic(),
            Some(_) => {}
            None => std::future::pending().await,
        }
    }
}

/// Shows the graph to whoever looks, again after every change.
async fn show(live: &LiveGraph, shown: &watch::Sender<Snapshot>) -> Result<(), Stopped> {
    let (snapshot, mut events) = live.snapshot_and_subscribe(EVENTS).await?;
    shown.send_replace(snapshot);
    let mut not_before = Instant::now();
    loop {
        match events.next().await {
            Ok(_) => {}
            // Too much happened to be followed: all of it is in the next snapshot.
            Err(Ended::Lost { .. }) => events = live.subscribe(EVENTS).await?,
            Err(Ended::Stopped) => return Err(Stopped),
        }
        // What happens while it waits is taken from the queue, not waited for again.
        let pause = sleep_until(not_before);
        tokio::pin!(pause);
        loop {
            tokio::select! {
                biased;
                () = &mut pause => break,
                more = events.next() => match more {
                    Ok(_) => {}
                    Err(Ended::Lost { .. }) => events = live.subscribe(EVENTS).await?,
                    Err(Ended::Stopped) => return Err(Stopped),
                }
            }
        }
        if shown.receiver_count() > 0 {
            shown.send_replace(live.snapshot().await?);
        }
        not_before = Instant::now() + PAUSE;
    }
}

async fn keep_running(
    probe: Arc<AnalyzerProbe>,
    live: LiveGraph,
    shown: Arc<watch::Sender<Snapshot>>,
    states: States,
    stop: CancellationToken,
) {
    let mut pause = RESTART.0;
    loop {
        let started = Instant::now();
        let (says, said) = mpsc::channel(SAID);
        let line = ProbeLine { says, graph: shown.subscribe(), stop: stop.clone() };
        let (ended, heard) = tokio::join!((probe.start)(line), hear(probe.name, said, &live, &states));
        if stop.is_cancelled() || heard.is_err() {
            return;
        }
        let why = ended.err().unwrap_or_else(|| "it ended".to_owned());
        tracing::warn!(probe = probe.name, why, pause_s = pause.as_secs(), "probe is down");
        set(&states, probe.name, status(STOPPED, Some(why)));
        // A probe that ran for long starts over with short pauses.
        if started.elapsed() > RESTART.1 {
            pause = RESTART.0;
        }
        tokio::select! {
            () = sleep(pause) => {}
            () = stop.cancelled() => return,
        }
        pause = (pause * 2).min(RESTART.1);
        // Nobody looked meanwhile, perhaps.
        let Ok(snapshot) = live.snapshot().await else { return };
        shown.send_replace(snapshot);
        set(&states, probe.name, status(RUNNING, None));
    }
}

/// Does what a probe says until it has nothing more to say.
async fn hear(
    name: &'static str,
    mut said: mpsc::Receiver<Said>,
    live: &LiveGraph,
    states: &States,
) -> Result<(), Stopped> {
    while let Some(said) = said.recv().await {
        match said {
            Said::Mutations(mutations) => live.apply(mutations).await?,
            Said::Degraded(why) => {
                tracing::warn!(probe = name, %why, "probe is degraded");
                set(states, name, status(RUNNING, Some(why.to_string())));
            }
            Said::Running => set(states, name, status(RUNNING, None)),
        }
    }
    Ok(())
}

fn set(states: &States, name: &'static str, state: ProbeStatus) {
    states.send_modify(|states| drop(states.insert(name, state)));
}

fn status(status: &str, degraded: Option<String>) -> ProbeStatus {
    ProbeStatus { status: status.to_owned(), degraded }
}

#[cfg(test)]
mod tests {
    use std::sync::atomic::{AtomicUsize, Ordering};

    use skydive_graph::{Node, Source};
    use skydive_value::{Clock, Map, Timestamp};

    use super::*;

    fn add(name: &str) -> Mutation {
        let metadata: Map = [("Name", name)].into_iter().collect();
        Mutation::AddNode(Node::new(name.into(), Source::of("t", "h"), metadata, Timestamp::EPOCH))
    }

    /// Adds the node `next` as soon as it sees a node `first`; fails at its first start.
    fn follower(starts: &'static AtomicUsize) -> AnalyzerProbe {
        let start = move |mut line: ProbeLine| -> BoxFuture<'static, Result<(), String>> {
            Box::pin(async move {
                if starts.fetch_add(1, Ordering::Relaxed) == 0 {
                    return Err("not yet".to_owned());
                }
                line.says.send(Said::Degraded("half of it".into())).await.unwrap();
                loop {
                    if line.graph.borrow_and_update().node(&"first".into()).is_some() {
                        line.says.send(Said::Mutations(vec![add("next")])).await.unwrap();
                    }
                    tokio::select! {
                        changed = line.graph.changed() => changed.unwrap(),
                        () = line.stop.cancelled() => return Ok(()),
                    }
                }
            })
        };
        AnalyzerProbe { name: "follower", start: Box::new(start) }
    }

    #[tokio::test]
    async fn a_probe_is_started_again_shown_the_graph_and_heard() {
        static STARTS: AtomicUsize = AtomicUsize::new(0);
        let (live, owner) = LiveGraph::new(Clock::new(|| Timestamp::EPOCH), Box::new(|_, _| Vec::new()));
        let stop = CancellationToken::new();
        let owner = tokio::spawn(owner.run(stop.clone()));
        let probes = AnalyzerProbes::new(live.clone(), vec![follower(&STARTS)]);
        let mut states = probes.states();
        assert_eq!(states.borrow()["follower"], status("running", None));
        let running = tokio::spawn(probes.run(stop.clone()));
        for expected in
            [status("stopped", Some("not yet".to_owned())), status("running", Some("half of it".to_owned()))]
        {
            states.wait_for(|states| states["follower"] == expected).await.unwrap();
        }
        let mut events = live.subscribe(100).await.unwrap();
        live.apply(vec![add("first")]).await.unwrap();
        events.next().await.unwrap();
        events.next().await.unwrap();
        assert!(live.snapshot().await.unwrap().node(&"next".into()).is_some());
        stop.cancel();
        running.await.unwrap();
        owner.await.unwrap();
    }
}
