//! One analyzer's line: dial, give it the graph while it is the master, dial again.

use std::sync::Arc;
use std::time::Duration;

use skydive_api::{Ended, LiveGraph, Subscription};
use skydive_proto::{Envelope, UpdatePolicy, event_envelope, sync_envelope};
use skydive_value::Clock;
use tokio_util::sync::CancellationToken;

use crate::link::{Link, LinkClosed, SharedDial};
use crate::master::Masters;

/// Pause before dialing again, as agents always did.
const REDIAL: Duration = Duration::from_secs(1);

/// What an uplink needs.
pub(crate) struct Uplink {
    pub(crate) dial: SharedDial,
    pub(crate) live: LiveGraph,
    pub(crate) masters: Arc<Masters>,
    pub(crate) queue_size: usize,
    pub(crate) clock: Clock,
}

/// Why a line was left.
enum Left {
    Closed,
    Stopped,
}

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
                    self.masters.up(&address, self.clock.now());
                    match self.serve(&address, &mut *link, &stop).await {
                        Left::Stopped => return,
                        Left::Closed => {
                            tracing::warn!(analyzer = address, "link lost");
                            self.masters.down(&address, "link lost".to_owned());
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

    async fn serve(&self, address: &str, link: &mut dyn Link, stop: &CancellationToken) -> Left {
        let mut masters = self.masters.watch();
        loop {
            let is_master = masters.borrow_and_update().is_master(address);
            if is_master {
                return match self.give_graph(link, stop).await {
                    Ok(()) => Left::Stopped,
                    Err(LinkClosed) => Left::Closed,
                };
            }
            tokio::select! {
                _ = masters.changed() => {}
                message = link.receive() => match message {
                    Some(message) => ignore(&message),
                    None => return Left::Closed,
                },
                () = stop.cancelled() => return Left::Stopped,
            }
        }
    }

    /// Sends the graph and every change of it. A line so slow that the queue overflows starts over with a new
    /// snapshot: the analyzer ends with the true graph in any case.
    async fn give_graph(&self, link: &mut dyn Link, stop: &CancellationToken) -> Result<(), LinkClosed> {
        loop {
            let Ok((snapshot, mut events)) = self.live.snapshot_and_subscribe(self.queue_size).await else {
                return Ok(());
            };
            tracing::debug!(nodes = snapshot.node_count(), edges = snapshot.edge_count(), "sync");
            let sent = tokio::select! {
                sent = link.send(sync_envelope(snapshot)) => sent,
                () = stop.cancelled() => return Ok(()),
            };
            sent?;
            match forward(link, &mut events, stop).await? {
                Some(Ended::Lost { messages }) => {
                    tracing::warn!(messages, "the analyzer does not keep up, sending the whole graph again");
                }
                Some(Ended::Stopped) | None => return Ok(()),
            }
        }
    }
}

/// Returns why events ended; `None` on stop.
async fn forward(
    link: &mut dyn Link,
    events: &mut Subscription,
    stop: &CancellationToken,
) -> Result<Option<Ended>, LinkClosed> {
    loop {
        tokio::select! {
            batch = events.next() => match batch {
                Ok(batch) => {
                    for event in batch.iter() {
                        let sent = tokio::select! {
                            sent = link.send(event_envelope(event, UpdatePolicy::Partial)) => sent,
                            () = stop.cancelled() => return Ok(None),
                        };
                        sent?;
                    }
                }
                Err(ended) => return Ok(Some(ended)),
            },
            message = link.receive() => match message {
                Some(message) => ignore(&message),
                None => return Err(LinkClosed),
            },
            () = stop.cancelled() => return Ok(None),
        }
    }
}

/// The analyzer asks for nothing yet that this agent could do.
fn ignore(message: &Envelope) {
    tracing::debug!(namespace = message.namespace, kind = message.kind, "message of an unknown kind");
}

#[cfg(test)]
mod tests {
    use skydive_graph::{Graph, Mutation, Node, Op, Source};
    use skydive_proto::GraphMessage;
    use skydive_value::{Id, Map, SmolStr, Timestamp};
    use tokio::sync::mpsc;

    use super::*;
    use crate::link::channel::{ChannelEnd, line};
    use crate::{Dial, DialError};

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
            let masters = Arc::new(Masters::new(addresses.iter().map(|a| (*a).to_owned())));
            let (spawn, mut uplinks) = mpsc::unbounded_channel::<Uplink>();
            let stopped = stop.clone();
            tokio::spawn(async move {
                while let Some(uplink) = uplinks.recv().await {
                    tokio::spawn(uplink.run(stopped.clone()));
                }
            });
            Self { live, masters, stop, spawn }
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
        while analyzer.receive().await.is_some() {}
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
    async fn the_second_analyzer_gets_the_graph_when_the_first_is_lost() {
        let setup = Setup::new(&["a", "b"]);
        setup.live.apply(vec![node("n1")]).await.unwrap();
        let mut first = setup.uplink("a", 10, 100);
        follow(&mut first, &mut Graph::new(), |g| g.node_count() == 1).await;
        let mut second = setup.uplink("b", 10, 100);
        drop(first);
        follow(&mut second, &mut Graph::new(), |g| g.node_count() == 1).await;
    }
}
