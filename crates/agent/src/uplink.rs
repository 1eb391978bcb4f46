//! One analyzer's line: dial, answer what it asks, give it the graph while it is the master, dial again.

use std::convert::Infallible;
use std::future::ready;
use std::sync::Arc;
use std::time::Duration;

use skydive_api::{Backlog, Ended, LiveGraph, Subscription};
use skydive_graph::Snapshot;
use skydive_proto::{UpdatePolicy, event_envelope, sync_envelope};
use skydive_value::Clock;
use tokio::task::spawn_blocking;
use tokio_util::sync::CancellationToken;

use crate::link::{Link, LinkClosed, SharedDial};
use crate::master::Masters;
use crate::requests::{Answering, Requests};

/// Pause before dialing again, as agents always did.
const REDIAL: Duration = Duration::from_secs(1);

/// What an uplink needs.
pub(crate) struct Uplink {
    pub(crate) dial: SharedDial,
    pub(crate) live: LiveGraph,
    pub(crate) masters: Arc<Masters>,
    pub(crate) queue_size: usize,
    pub(crate) answering: Answering,
    pub(crate) clock: Clock,
}

/// Why changes are no longer sent.
enum Halt {
    Link(LinkClosed),
    Graph(Ended),
}

/// Changes sent before a look at what the analyzer says.
const CHANGES_PER_TURN: usize = 256;

impl Uplink {
    /// Keeps the line up until `stop`.
    pub(crate) async fn run(self, stop: CancellationToken) {
        let address = self.dial.address().to_owned();
        let mut failures = 0u64;
        loop {
            let dialed = tokio::select! {
                dialed = self.dial.dial() => dialed,
                () = stop.cancelled() => return,
            };
            match dialed {
                Err(error) => {
                    // Said once per outage, not once per second.
                    if failures == 0 {
                        tracing::warn!(analyzer = address, %error, "no link to the analyzer, trying again");
                    }
                    failures += 1;
                    self.masters.down(&address, error.to_string());
                }
                Ok(mut link) => {
                    failures = 0;
                    tracing::info!(analyzer = address, "linked");
                    self.masters.up(&address, link.server().cloned(), self.clock.now());
                    let served = tokio::select! {
                        served = self.serve(&address, &mut *link) => served,
                        () = stop.cancelled() => return,
                    };
                    match served {
                        Ok(()) => return,
                        Err(lost) => {
                            tracing::warn!(analyzer = address, why = lost.0, "link lost");
                            self.masters.down(&address, lost.to_string());
                        }
                    }
                }
            }
            tokio::select! {
                () = tokio::time::sleep(REDIAL) => {}
                () = stop.cancelled() => return,
            }
        }
    }

    /// Serves a line until it is lost; returns when the graph has ended.
    async fn serve(&self, address: &str, link: &mut dyn Link) -> Result<(), LinkClosed> {
        let mut masters = self.masters.watch();
        let mut requests = Requests::new(&self.answering);
        while !masters.borrow_and_update().is_master(address) {
            tokio::select! {
                _ = masters.changed() => {}
                message = link.receive() => requests.take(message?),
                answer = requests.next() => link.send(answer).await?,
            }
        }
        self.give_graph(link, &mut requests).await
    }

    /// Sends the graph and every change of it; where changes come faster than the line takes them, the last of each
    /// element. Changes are taken in while the graph is written and sent, so the queue holds only what comes while
    /// this task does not run. Should that be too much, the graph is sent once more, with twice the room: it arrives
    /// in any case.
    async fn give_graph(&self, link: &mut dyn Link, requests: &mut Requests) -> Result<(), LinkClosed> {
        let mut bound = self.queue_size;
        loop {
            let Ok((snapshot, mut events)) = self.live.snapshot_and_subscribe(bound).await else {
                return Ok(());
            };
            tracing::debug!(nodes = snapshot.node_count(), edges = snapshot.edge_count(), "sync");
            let mut has_caught_up = false;
            let Err(halt) = self.follow(link, requests, snapshot, &mut events, &mut has_caught_up).await;
            match halt {
                Halt::Link(lost) => return Err(lost),
                Halt::Graph(Ended::Stopped) => return Ok(()),
                Halt::Graph(Ended::Lost { messages }) => {
                    tracing::warn!(messages, "the analyzer does not keep up, sending the whole graph again");
                    bound = if has_caught_up { self.queue_size } else { bound.saturating_mul(2) };
                }
            }
        }
    }

    async fn follow(
        &self,
        link: &mut dyn Link,
        requests: &mut Requests,
        snapshot: Snapshot,
        events: &mut Subscription,
        has_caught_up: &mut bool,
    ) -> Result<Infallible, Halt> {
        let folded = self.live.counters().folded.clone();
        let mut backlog = Backlog::new(self.queue_size, folded);
        let written = spawn_blocking(move || sync_envelope(snapshot));
        let sync = match backlog.during(events, written).await? {
            Ok(sync) => sync,
            Err(panic) => std::panic::resume_unwind(panic.into_panic()),
        };
        backlog.during(events, link.send(sync)).await??;
        loop {
            for _ in 0..CHANGES_PER_TURN {
                let Some(event) = backlog.pop() else {
                    *has_caught_up = true;
                    break;
                };
                let message = event_envelope(&event, UpdatePolicy::Partial);
                backlog.during(events, link.send(message)).await??;
            }
            tokio::select! {
                batch = events.next() => backlog.add(&batch?),
                message = link.receive() => requests.take(message?),
                answer = requests.next() => backlog.during(events, link.send(answer)).await??,
                () = ready(()), if !backlog.is_empty() => {}
            }
        }
    }
}

impl From<LinkClosed> for Halt {
    fn from(lost: LinkClosed) -> Self {
        Self::Link(lost)
    }
}

impl From<Ended> for Halt {
    fn from(ended: Ended) -> Self {
        Self::Graph(ended)
    }
}

#[cfg(test)]
mod tests {
    use skydive_graph::{Graph, Mutation, Node, Op, Source};
    use skydive_probes::Namespaces;
    use skydive_proto::{
        Capture, Envelope, GraphMessage, NodeCapture, graph_type, namespace, on_demand_type,
    };
    use skydive_value::{Id, Map, SmolStr, Timestamp};
    use tokio::sync::mpsc;

    use super::*;
    use crate::captures;
    use crate::link::channel::{ChannelEnd, line};
    use crate::{CaptureSettings, Dial, DialError};

    /// Gives out prepared ends, one per dial.
    struct Prepared {
        name: &'static str,
        ends: std::sync::Mutex<Vec<ChannelEnd>>,
    }

    impl Dial for Prepared {
        fn address(&self) -> &str {
            self.name
        }

        fn dial(&self) -> skydive_graph::BoxFuture<'_, Result<Box<dyn Link>, DialError>> {
            let end = self.ends.lock().unwrap().pop();
            Box::pin(async move {
                end.map(|end| Box::new(end) as Box<dyn Link>)
                    .ok_or(DialError::Unreachable("none left".to_owned()))
            })
        }
    }

    fn origin() -> SmolStr {
        "agent.h".into()
    }

    fn node(name: &str) -> Mutation {
        let metadata: Map = [("Name", name), ("Type", "device")].into_iter().collect();
        Mutation::AddNode(Node::new(Id::from(name), Source::of("agent", "h"), metadata, Timestamp::EPOCH))
    }

    /// An analyzer of a few lines: applies what comes until `enough`.
    async fn follow(end: &mut ChannelEnd, graph: &mut Graph, enough: impl Fn(&Graph) -> bool) {
        while !enough(graph) {
            let message = end.receive().await.expect("the line is open");
            let message = GraphMessage::decode(&message, Timestamp::EPOCH).unwrap();
            let mutation = message.into_mutation(&origin()).unwrap();
            graph.apply(mutation, Timestamp::EPOCH, &mut Vec::new()).unwrap();
        }
    }

    struct Setup {
        answering: Answering,
        live: LiveGraph,
        masters: Arc<Masters>,
        stop: CancellationToken,
        spawn: mpsc::UnboundedSender<Uplink>,
    }

    impl Setup {
        fn new(addresses: &[&str]) -> Self {
            let clock = Clock::new(|| Timestamp::EPOCH);
            let (live, owner) = LiveGraph::new(clock, Box::new(|_, _| Vec::new()));
            let stop = CancellationToken::new();
            tokio::spawn(owner.run(stop.clone()));
            let (captures, ends) = captures::captures(captures::Surroundings {
                live: live.clone(),
                settings: CaptureSettings::default(),
                analyzers: Vec::new(),
                host_node: "host".into(),
                host_id: "h".into(),
                namespaces: Namespaces::default(),
                clock: Clock::new(|| Timestamp::EPOCH),
            })
            .unwrap();
            tokio::spawn(captures.run(stop.clone()));
            let answering = Answering { captures: ends.desk, flows: ends.flows };
            let masters = Arc::new(Masters::new(addresses.iter().map(|a| (*a).to_owned())));
            let (spawn, mut uplinks) = mpsc::unbounded_channel::<Uplink>();
            let stopped = stop.clone();
            tokio::spawn(async move {
                while let Some(uplink) = uplinks.recv().await {
                    tokio::spawn(uplink.run(stopped.clone()));
                }
            });
            Self { answering, live, masters, stop, spawn }
        }

        /// Starts an uplink whose first dial gives a line with `bound` places; returns the other end.
        fn uplink(&self, name: &'static str, bound: usize, queue_size: usize) -> ChannelEnd {
            let (ours, theirs) = line(bound);
            let dial = Arc::new(Prepared { name, ends: std::sync::Mutex::new(vec![ours]) });
            let uplink = Uplink {
                dial,
                live: self.live.clone(),
                masters: self.masters.clone(),
                queue_size,
                answering: self.answering.clone(),
                clock: Clock::new(|| Timestamp::EPOCH),
            };
            assert!(self.spawn.send(uplink).is_ok());
            theirs
        }
    }

    #[tokio::test]
    async fn the_graph_comes_whole_and_then_change_by_change() {
        let setup = Setup::new(&["a"]);
        setup.live.apply(vec![node("n1"), node("n2")]).await.unwrap();
        let mut analyzer = setup.uplink("a", 10, 100);
        let mut copy = Graph::new();
        follow(&mut analyzer, &mut copy, |g| g.node_count() == 2).await;
        let ops = [Op::set("State", "UP")];
        setup.live.apply(vec![Mutation::update_node(Id::from("n1"), ops), node("n3")]).await.unwrap();
        follow(&mut analyzer, &mut copy, |g| g.node_count() == 3).await;
        assert_eq!(copy.node(&Id::from("n1")), setup.live.snapshot().await.unwrap().node(&Id::from("n1")));
        setup.stop.cancel();
        while analyzer.receive().await.is_ok() {}
    }

    #[tokio::test]
    async fn an_analyzer_that_was_too_slow_ends_with_the_true_graph() {
        let setup = Setup::new(&["a"]);
        let mut analyzer = setup.uplink("a", 1, 5);
        let mut copy = Graph::new();
        for i in 0..500 {
            setup.live.apply(vec![node(&format!("n{i}"))]).await.unwrap();
        }
        follow(&mut analyzer, &mut copy, |g| g.node_count() == 500).await;
        assert_eq!(copy.view().node_count(), setup.live.snapshot().await.unwrap().node_count());
    }

    #[tokio::test]
    async fn a_graph_that_changes_faster_than_the_line_takes_it_arrives() {
        let setup = Setup::new(&["a"]);
        let names: Vec<String> = (0..20).map(|i| format!("n{i}")).collect();
        setup.live.apply(names.iter().map(|name| node(name)).collect()).await.unwrap();
        let mut analyzer = setup.uplink("a", 1, 4);
        let (mut copy, mut syncs, mut mtu) = (Graph::new(), 0, 0);
        // Twenty changes for each message that is taken.
        for _ in 0..500 {
            let message = analyzer.receive().await.unwrap();
            syncs += usize::from(message.kind == graph_type::SYNC);
            let message = GraphMessage::decode(&message, Timestamp::EPOCH).unwrap();
            let mutation = message.into_mutation(&origin()).unwrap();
            copy.apply(mutation, Timestamp::EPOCH, &mut Vec::new()).unwrap();
            mtu += 1;
            let change =
                |name: &String| Mutation::update_node(Id::from(name.as_str()), [Op::set("MTU", mtu)]);
            setup.live.apply(names.iter().map(change).collect()).await.unwrap();
            setup.live.snapshot().await.unwrap();
        }
        assert_eq!(syncs, 1, "the graph is sent once");
        assert!(setup.live.counters().folded.get() > 0);
        let goal = setup.live.snapshot().await.unwrap();
        let is_there = |g: &Graph| {
            names.iter().all(|n| g.node(&Id::from(n.as_str())) == goal.node(&Id::from(n.as_str())))
        };
        assert!(!is_there(&copy));
        follow(&mut analyzer, &mut copy, is_there).await;
    }

    #[tokio::test]
    async fn the_second_analyzer_gets_the_graph_when_the_first_is_lost() {
        let setup = Setup::new(&["a", "b"]);
        setup.live.apply(vec![node("n1")]).await.unwrap();
        let mut first = setup.uplink("a", 10, 100);
        follow(&mut first, &mut Graph::new(), |g| g.node_count() == 1).await;
        let mut second = setup.uplink("b", 10, 100);
        drop(first);
        follow(&mut second, &mut Graph::new(), |g| g.node_count() == 1).await;
    }

    #[tokio::test]
    async fn every_line_is_answered_beside_the_graph() {
        let setup = Setup::new(&["a", "b"]);
        setup.live.apply(vec![node("n1")]).await.unwrap();
        let mut first = setup.uplink("a", 10, 100);
        follow(&mut first, &mut Graph::new(), |g| g.node_count() == 1).await;
        let mut second = setup.uplink("b", 10, 100);
        for (line, name) in [(&mut second, "n1"), (&mut first, "n2")] {
            let capture = Capture { uuid: "c".to_owned(), ..Capture::default() };
            let wanted = NodeCapture { node: Id::from(name), capture };
            let request = Envelope { uuid: "u".to_owned(), ..wanted.to_envelope(on_demand_type::START) };
            line.send(request).await.unwrap();
            let mut answer = line.receive().await.unwrap();
            while answer.namespace == namespace::GRAPH {
                answer = line.receive().await.unwrap();
            }
            assert_eq!((answer.kind.as_str(), answer.uuid.as_str()), ("StartReply", "u"));
            assert_eq!(NodeCapture::decode(&answer.obj).unwrap(), wanted);
            let why = NodeCapture::error_of(&answer.obj).unwrap();
            let (status, text) = match name {
                "n1" => (500, "the node has no TID"),
                _ => (404, "no node n2 is on this host"),
            };
            assert!(answer.status == status && why.contains(text), "{answer:?} {why}");
        }
    }
}
