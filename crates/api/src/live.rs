//! The live graph: one task owns it, everybody else holds a [`LiveGraph`].
//!
//! Mutations and requests for snapshots go through one bounded queue, so a snapshot contains everything its asker
//! applied before. Events go to subscribers in batches through queues of their own: a subscriber that does not keep
//! up loses its subscription and is told how much it missed; it never delays the owner.

use std::pin::pin;
use std::sync::Arc;

use prometheus_client::metrics::counter::Counter;
use prometheus_client::metrics::gauge::Gauge;
use prometheus_client::registry::Registry;
use skydive_graph::{
    BoxFuture, Graph, GraphEvent, GraphRead, Mutation, MutationError, ReadError, Snapshot, When,
};
use skydive_value::{Clock, Filter, SmolStr, Timestamp};
use thiserror::Error;
use tokio::sync::{mpsc, oneshot};
use tokio::time::Instant;
use tokio_util::sync::CancellationToken;

use crate::foreign;
use crate::telemetry::OncePerSecond;

mod decide;
mod fanout;
mod published;

use decide::{Decision, Leads};
pub use fanout::{Ended, Subscription};
pub(crate) use fanout::{Fanout, Mark};

/// Requests waiting for the owner. A batch of mutations counts as one; beyond that senders wait.
const REQUESTS: usize = 1024;
/// Requests taken from the queue before the events they gave go out.
const REQUESTS_PER_TURN: usize = 64;
/// Rounds of derived mutations after which a rule that never settles is cut off.
const DERIVE_ROUNDS: usize = 8;

/// Mutations that follow from what just happened (stable ids, rules). Called with the graph after the events; what
/// it returns is applied before anybody hears of either.
pub type Derive = Box<dyn FnMut(&Graph, &[GraphEvent]) -> Vec<Mutation> + Send>;

/// Access to a graph that one task owns. Clones share it.
#[derive(Clone, Debug)]
pub struct LiveGraph {
    requests: mpsc::Sender<Request>,
    counters: LiveCounters,
}

/// What the owner counts.
#[derive(Clone, Debug, Default)]
pub struct LiveCounters {
    /// Mutations handed in, refused ones included.
    pub mutations: Counter,
    /// Mutations that could not be applied (unknown element, missing end of an edge).
    pub refused: Counter,
    /// Mutations, and elements of a `Sync`, refused because they concern elements of another origin than the sender's.
    pub foreign: Counter,
    /// Events given out.
    pub events: Counter,
    /// Events that did not fit into the queues of subscriptions.
    pub lost: Counter,
    /// Changes that went into later ones of the same element, because whoever follows the graph was busy with the
    /// whole of it or is slower than it changes; see [`crate::Backlog`].
    pub folded: Counter,
    /// Nodes in the graph.
    pub nodes: Gauge,
    /// Edges in the graph.
    pub edges: Gauge,
}

/// The owner's end; [`LiveOwner::run`] is its task.
pub struct LiveOwner {
    requests: mpsc::Receiver<Request>,
    counters: LiveCounters,
    clock: Clock,
    derive: Derive,
    subscribers: Fanout,
    foreign_log: OncePerSecond,
    leads: Leads,
}

/// The owner has stopped.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Error)]
#[error("the graph is no longer served")]
pub struct Stopped;

#[derive(Debug)]
enum Request {
    Apply { mutations: Vec<Mutation>, by: By },
    Publish { publication: Publication, done: oneshot::Sender<()> },
    Decide(Decision),
    Snapshot(oneshot::Sender<Snapshot>),
    Subscribe { bound: usize, mark: Option<Mark>, reply: oneshot::Sender<(Snapshot, Subscription)> },
}

/// Whose mutations they are.
#[derive(Debug)]
enum By {
    /// Of the program itself.
    Us,
    /// The same, beside whoever made the elements.
    Decision,
    /// Of an origin that may touch only what it made.
    Origin(SmolStr),
    /// Of publishers of a service type.
    Publisher(SmolStr),
}

/// What a publisher says.
#[derive(Debug)]
pub(crate) struct Publication {
    /// Its service type.
    pub(crate) client_type: SmolStr,
    /// What is to be done.
    pub(crate) mutations: Vec<Mutation>,
    /// Who is not to hear of it.
    pub(crate) mark: Option<Mark>,
}

impl LiveGraph {
    /// An empty live graph and its owner. `derive` may be `Box::new(|_, _| Vec::new())`.
    pub fn new(clock: Clock, derive: Derive) -> (Self, LiveOwner) {
        let (sender, requests) = mpsc::channel(REQUESTS);
        let counters = LiveCounters::default();
        let owner = LiveOwner {
            requests,
            counters: counters.clone(),
            clock,
            derive,
            subscribers: Fanout::default(),
            foreign_log: OncePerSecond::default(),
            leads: Leads::default(),
        };
        (Self { requests: sender, counters }, owner)
    }

    /// Hands mutations to the owner, which applies them in order. Waits while its queue is full.
    pub async fn apply(&self, mutations: Vec<Mutation>) -> Result<(), Stopped> {
        self.requests.send(Request::Apply { mutations, by: By::Us }).await.map_err(|_| Stopped)
    }

    /// The same for an origin that may touch only what it made: what else it would change stays as it is, which is
    /// counted. An edge may lead to an element of another origin, but not own it.
    pub async fn apply_by(&self, origin: SmolStr, mutations: Vec<Mutation>) -> Result<(), Stopped> {
        self.requests.send(Request::Apply { mutations, by: By::Origin(origin) }).await.map_err(|_| Stopped)
    }

    /// Has done what a publisher says when it returns.
    pub(crate) async fn publish(&self, publication: Publication) -> Result<(), Stopped> {
        let (done, answer) = oneshot::channel();
        self.requests.send(Request::Publish { publication, done }).await.map_err(|_| Stopped)?;
        answer.await.map_err(|_| Stopped)
    }

    /// The graph with everything that was applied before the call.
    pub async fn snapshot(&self) -> Result<Snapshot, Stopped> {
        let (reply, answer) = oneshot::channel();
        self.requests.send(Request::Snapshot(reply)).await.map_err(|_| Stopped)?;
        answer.await.map_err(|_| Stopped)
    }

    /// The graph of now and every event after it, nothing missing between the two. `bound` is how many messages may
    /// wait before the subscription is ended; so is one in which 64 MiB wait behind the first batch.
    pub async fn snapshot_and_subscribe(&self, bound: usize) -> Result<(Snapshot, Subscription), Stopped> {
        self.snapshot_and_subscribe_but(bound, None).await
    }

    /// The same without what is marked with `mark`.
    pub(crate) async fn snapshot_and_subscribe_but(
        &self,
        bound: usize,
        mark: Option<Mark>,
    ) -> Result<(Snapshot, Subscription), Stopped> {
        let (reply, answer) = oneshot::channel();
        self.requests.send(Request::Subscribe { bound, mark, reply }).await.map_err(|_| Stopped)?;
        answer.await.map_err(|_| Stopped)
    }

    /// Every event from now on.
    pub async fn subscribe(&self, bound: usize) -> Result<Subscription, Stopped> {
        Ok(self.snapshot_and_subscribe(bound).await?.1)
    }

    /// Shows the counters among a program's metrics.
    pub fn register(&self, registry: &mut Registry) {
        let LiveCounters { mutations, refused, foreign, events, lost, folded, nodes, edges } =
            self.counters.clone();
        registry.register("skydive_graph_mutations", "Mutations handed to the graph", mutations);
        registry.register("skydive_graph_refused_mutations", "Mutations that could not be applied", refused);
        registry.register(
            "skydive_graph_foreign_changes",
            "Changes refused because they concern elements that somebody else made",
            foreign,
        );
        registry.register("skydive_graph_events", "Changes of the graph", events);
        registry.register(
            "skydive_graph_lost_messages",
            "Events that did not fit into the queue of a follower of the graph: a WebSocket subscriber or, on an \
             agent, the link to an analyzer",
            lost,
        );
        registry.register(
            "skydive_graph_folded_changes",
            "Changes told as one with a later change of the same element, to a follower slower than they come",
            folded,
        );
        registry.register("skydive_graph_nodes", "Nodes in the graph", nodes);
        registry.register("skydive_graph_edges", "Edges in the graph", edges);
    }

    /// What the owner has counted so far.
    pub fn counters(&self) -> &LiveCounters {
        &self.counters
    }
}

impl GraphRead for LiveGraph {
    fn graph_at<'a>(&'a self, when: When, _: &'a Filter) -> BoxFuture<'a, Result<Snapshot, ReadError>> {
        Box::pin(async move {
            match when {
                When::Live => self.snapshot().await.map_err(|Stopped| ReadError::Stopped),
                When::At(_) => Err(ReadError::NoHistory),
            }
        })
    }
}

impl LiveOwner {
    /// Serves until `stop`, or until every [`LiveGraph`] is dropped.
    pub async fn run(mut self, stop: CancellationToken) {
        let mut graph = Graph::new();
        let mut requests = Vec::with_capacity(REQUESTS_PER_TURN);
        let mut events = Vec::new();
        loop {
            let taken = {
                let next = pin!(self.requests.recv_many(&mut requests, REQUESTS_PER_TURN));
                tokio::select! {
                    taken = next => taken,
                    () = stop.cancelled() => 0,
                }
            };
            if taken == 0 {
                break;
            }
            for request in requests.drain(..) {
                match request {
                    Request::Apply { mutations, by } => {
                        self.apply(&mut graph, mutations, &by, &mut events);
                    }
                    Request::Publish { publication, done } => {
                        self.heed(&mut graph, publication, &mut events);
                        let _ = done.send(());
                    }
                    Request::Decide(decision) => {
                        let (mutations, told) = decision.of(&graph);
                        self.apply(&mut graph, mutations, &By::Decision, &mut events);
                        told(graph.snapshot());
                    }
                    Request::Snapshot(reply) => {
                        // Who asked may have gone: nothing is lost with the answer.
                        let _ = reply.send(graph.snapshot());
                    }
                    Request::Subscribe { bound, mark, reply } => {
                        self.publish(&mut events, None);
                        let subscription = self.subscribers.subscribe(bound, mark);
                        let _ = reply.send((graph.snapshot(), subscription));
                    }
                }
            }
            self.publish(&mut events, None);
            self.counters.nodes.set(graph.node_count() as i64);
            self.counters.edges.set(graph.edge_count() as i64);
        }
    }

    /// Does what a publisher says. What follows from it goes out apart from what others cause when the publisher is not
    /// to hear of it.
    fn heed(&mut self, graph: &mut Graph, publication: Publication, events: &mut Vec<GraphEvent>) {
        let Publication { client_type, mutations, mark } = publication;
        if mark.is_some() {
            self.publish(events, None);
        }
        self.apply(graph, mutations, &By::Publisher(client_type), events);
        if mark.is_some() {
            self.publish(events, mark.as_ref());
        }
    }

    fn apply(&mut self, graph: &mut Graph, mutations: Vec<Mutation>, by: &By, events: &mut Vec<GraphEvent>) {
        let now = self.clock.now();
        let mut settled = events.len();
        match by {
            By::Us | By::Decision => self.apply_all(graph, mutations, now, events),
            // Whose an element is may depend on the mutation before.
            By::Origin(origin) => {
                for mutation in mutations {
                    let mut allowed = self.allowed(graph, origin, mutation);
                    if let Some(mutation) = &mut allowed {
                        self.leads.carry(mutation);
                    }
                    self.apply_all(graph, allowed.into_iter().collect(), now, events);
                }
            }
            By::Publisher(client_type) => {
                for mutation in mutations {
                    let (meant, before) = (published::meant(graph, client_type, mutation), events.len());
                    let is_counted_here = meant.iter().all(published::has_no_revision);
                    self.apply_all(graph, meant, now, events);
                    if is_counted_here {
                        self.leads.count(&events[before..]);
                    }
                }
            }
        }
        if let By::Decision = by {
            self.leads.count(&events[settled..]);
        }
        let begin = settled;
        for round in 0..DERIVE_ROUNDS {
            if settled == events.len() {
                break;
            }
            let derived = (self.derive)(graph, &events[settled..]);
            settled = events.len();
            if round + 1 == DERIVE_ROUNDS && !derived.is_empty() {
                tracing::warn!(mutations = derived.len(), "derived mutations do not settle");
                break;
            }
            self.apply_all(graph, derived, now, events);
        }
        self.leads.forget(&events[begin..]);
    }

    fn apply_all(
        &self,
        graph: &mut Graph,
        mutations: Vec<Mutation>,
        now: Timestamp,
        events: &mut Vec<GraphEvent>,
    ) {
        self.counters.mutations.inc_by(mutations.len() as u64);
        graph.apply_all(mutations, now, events, |error| self.refuse(&error));
    }

    /// What `origin` may do of a mutation.
    fn allowed(&self, graph: &Graph, origin: &SmolStr, mut mutation: Mutation) -> Option<Mutation> {
        let (refused, allowed) = match &mut mutation {
            Mutation::Sync { origin: whose, nodes, edges } if whose == origin => {
                let before = nodes.len() + edges.len();
                nodes.retain(|node| !foreign::is_node_of_other(graph, origin, &node.id));
                edges.retain(|edge| !foreign::claims(graph, origin, edge));
                (before - nodes.len() - edges.len(), Some(mutation))
            }
            other if foreign::touches(graph, origin, other) => (1, None),
            _ => (0, Some(mutation)),
        };
        if refused > 0 {
            let refused_before = self.counters.foreign.inc_by(refused as u64);
            if self.foreign_log.is_due(Instant::now()) {
                tracing::warn!(%origin, refused, refused_before, "change of somebody else's elements refused");
            }
        }
        allowed
    }

    fn refuse(&self, error: &MutationError) {
        let so_far = self.counters.refused.inc();
        match error {
            // Of one among very many; powers of two say enough.
            MutationError::Full if so_far.is_power_of_two() || so_far == 0 => {
                tracing::warn!(%error, refused = so_far + 1, "mutation refused");
            }
            // Two probes see a thing go, each in its time: what the second still says of it is no fault.
            _ => tracing::debug!(%error, "mutation refused"),
        }
    }

    fn publish(&mut self, events: &mut Vec<GraphEvent>, by: Option<&Mark>) {
        if events.is_empty() {
            return;
        }
        self.counters.events.inc_by(events.len() as u64);
        if self.subscribers.is_empty() {
            events.clear();
            return;
        }
        let batch: Arc<[GraphEvent]> = events.drain(..).collect();
        self.counters.lost.inc_by(self.subscribers.publish(&batch, by));
    }
}

#[cfg(test)]
mod tests {
    use skydive_graph::{Node, Op, Source};
    use skydive_value::{Id, Map, Timestamp};

    use super::*;

    fn node(name: &str) -> Mutation {
        let metadata: Map = [("Name", name), ("Type", "device")].into_iter().collect();
        Mutation::AddNode(Node::new(Id::from(name), Source::of("agent", "h"), metadata, Timestamp::EPOCH))
    }

    fn live(derive: Derive) -> (LiveGraph, CancellationToken) {
        let (live, owner) = LiveGraph::new(Clock::new(|| Timestamp::from_millis(5)), derive);
        let stop = CancellationToken::new();
        tokio::spawn(owner.run(stop.clone()));
        (live, stop)
    }

    #[tokio::test]
    async fn a_writer_reads_what_it_wrote() {
        let (live, _) = live(Box::new(|_, _| Vec::new()));
        for i in 0..200 {
            live.apply(vec![node(&format!("n{i}"))]).await.unwrap();
            assert_eq!(live.snapshot().await.unwrap().node_count(), i + 1);
        }
    }

    #[tokio::test]
    async fn a_subscription_continues_its_snapshot() {
        let (live, stop) = live(Box::new(|_, _| Vec::new()));
        live.apply(vec![node("a")]).await.unwrap();
        let (snapshot, mut events) = live.snapshot_and_subscribe(100).await.unwrap();
        assert_eq!(snapshot.node_count(), 1);
        live.apply(vec![node("b")]).await.unwrap();
        let batch = events.next().await.unwrap();
        assert!(matches!(&batch[..], [GraphEvent::NodeAdded(n)] if n.name() == "b"));
        stop.cancel();
        assert_eq!(events.next().await, Err(Ended::Stopped));
        assert_eq!(live.apply(vec![node("c")]).await.err().or(live.snapshot().await.err()), Some(Stopped));
    }

    #[tokio::test]
    async fn a_slow_subscriber_is_told_and_delays_nobody() {
        let (live, _) = live(Box::new(|_, _| Vec::new()));
        let mut slow = live.subscribe(10).await.unwrap();
        let mut quick = live.subscribe(1000).await.unwrap();
        for i in 0..100 {
            live.apply(vec![node(&format!("n{i}"))]).await.unwrap();
        }
        assert_eq!(live.snapshot().await.unwrap().node_count(), 100);
        slow.overflowed().await;
        let Err(Ended::Lost { messages }) = slow.next().await else { panic!("nothing lost") };
        assert_eq!(messages, 100);
        assert_eq!(live.counters().lost.get(), messages);
        let mut seen = 0;
        while seen < 100 {
            seen += quick.next().await.unwrap().len();
        }
    }

    #[tokio::test]
    async fn large_events_end_a_subscription_long_before_many_do() {
        let (live, _) = live(Box::new(|_, _| Vec::new()));
        let slow = live.subscribe(10_000).await.unwrap();
        let text = "x".repeat(1 << 20);
        for i in 0..100 {
            assert_eq!(slow.ended().is_some(), i > 64, "{i}");
            let mut mutation = node(&format!("n{i}"));
            if let Mutation::AddNode(node) = &mut mutation {
                node.metadata.insert("Text", text.as_str());
            }
            live.apply(vec![mutation]).await.unwrap();
            live.snapshot().await.unwrap();
            // The events of a turn go out after its answers.
            live.snapshot().await.unwrap();
        }
    }

    #[tokio::test]
    async fn derived_mutations_arrive_with_their_cause() {
        let (live, _) = live(Box::new(|_, events| {
            events
                .iter()
                .filter_map(|event| match event {
                    GraphEvent::NodeAdded(n) => {
                        Some(Mutation::update_node(n.id.clone(), [Op::set("TID", "t")]))
                    }
                    _ => None,
                })
                .collect()
        }));
        let mut events = live.subscribe(100).await.unwrap();
        live.apply(vec![node("a")]).await.unwrap();
        assert_eq!(events.next().await.unwrap().len(), 2);
        assert_eq!(
            live.snapshot().await.unwrap().node(&Id::from("a")).unwrap().metadata.text("TID"),
            Some("t")
        );
    }
}
