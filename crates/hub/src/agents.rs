//! What agents bring: their messages become mutations, and their part goes when they do.

use std::sync::Arc;

use skydive_api::{Agent, AgentLink, AgentSession, Conflict, LiveGraph};
use skydive_graph::{BoxFuture, Mutation, Source};
use skydive_proto::{Envelope, GraphMessage, MessageError, graph_type, namespace, reason, sync_reply};
use skydive_value::{Clock, SmolStr};

use crate::hosts::{Hosts, Seat};

/// The hub's end of all agent links.
pub(crate) struct Agents {
    pub(crate) live: LiveGraph,
    pub(crate) clock: Clock,
    /// Those that are connected, for questions.
    pub(crate) hosts: Hosts,
}

struct Session {
    live: LiveGraph,
    clock: Clock,
    origin: SmolStr,
    seat: Seat,
    /// Whether the agent has brought anything: one for which this analyzer was never the master leaves nothing.
    has_spoken: bool,
}

/// Messages larger than this are read on a thread where blocking is allowed, bytes.
const LARGE: usize = 1 << 20;

impl Session {
    /// Reads a message; a large one where it delays nobody.
    async fn decode(&self, message: Envelope) -> Result<GraphMessage, MessageError> {
        let now = self.clock.now();
        if message.obj.len() < LARGE {
            return GraphMessage::decode(&message, now);
        }
        match tokio::task::spawn_blocking(move || GraphMessage::decode(&message, now)).await {
            Ok(decoded) => decoded,
            Err(panic) => std::panic::resume_unwind(panic.into_panic()),
        }
    }

    /// Answers with the whole merged graph.
    async fn whole_graph(&self, request: Envelope) -> Result<Envelope, String> {
        let snapshot = self.live.snapshot().await.map_err(|e| e.to_string())?;
        let reply = tokio::task::spawn_blocking(move || sync_reply(&request, snapshot)).await;
        reply.map_err(|e| e.to_string())
    }

    /// What an agent adds is the agent's, whatever the message says: it must go when the agent does.
    fn claim(&self, mutation: &mut Mutation) {
        let own = |source: &mut Arc<Source>| {
            if source.origin != self.origin {
                *source = Arc::new(Source { host: source.host.clone(), origin: self.origin.clone() });
            }
        };
        match mutation {
            Mutation::AddNode(node) => own(&mut node.source),
            Mutation::AddEdge(edge) => own(&mut edge.source),
            Mutation::Sync { nodes, edges, .. } => {
                for node in nodes {
                    own(&mut node.source);
                }
                for edge in edges {
                    own(&mut edge.source);
                }
            }
            _ => {}
        }
    }
}

impl AgentLink for Agents {
    fn accept(&self, agent: Agent) -> Result<Box<dyn AgentSession>, Conflict> {
        let handshake = &agent.handshake;
        let origin = SmolStr::from(format!("{}.{}", handshake.client_type, handshake.host_id));
        tracing::info!(%origin, addr = %agent.addr, "agent linked");
        let seat = self.hosts.join(handshake.host_id.clone(), agent.outgoing.clone());
        Ok(Box::new(Session {
            live: self.live.clone(),
            clock: self.clock.clone(),
            origin,
            seat,
            has_spoken: false,
        }))
    }
}

impl AgentSession for Session {
    fn message(&mut self, message: Envelope) -> BoxFuture<'_, Result<Option<Envelope>, String>> {
        Box::pin(async move {
            if message.namespace != namespace::GRAPH {
                let Some(message) = self.seat.answer(message) else { return Ok(None) };
                tracing::debug!(origin = %self.origin, namespace = message.namespace, "message of an unknown kind");
                return Ok(None);
            }
            if message.kind == graph_type::SYNC_REQUEST {
                return self.whole_graph(message).await.map(Some);
            }
            let decoded = match self.decode(message).await {
                Ok(decoded) => decoded,
                // Later agents may say more than this analyzer knows.
                Err(MessageError::Kind(kind)) => {
                    tracing::debug!(origin = %self.origin, kind, "message of an unknown kind");
                    return Ok(None);
                }
                Err(error) => return Err(reason(&error)),
            };
            if let Some(mut mutation) = decoded.into_mutation(&self.origin) {
                self.claim(&mut mutation);
                self.has_spoken = true;
                let applied = self.live.apply_by(self.origin.clone(), vec![mutation]).await;
                applied.map_err(|e| e.to_string())?;
            }
            Ok(None)
        })
    }

    fn closed(self: Box<Self>) -> BoxFuture<'static, ()> {
        Box::pin(async move {
            tracing::info!(origin = %self.origin, "agent gone");
            if self.has_spoken {
                // The graph has stopped with the hub when this fails: there is nothing left to delete from.
                let _ = self.live.apply(vec![Mutation::DeleteOrigin { origin: self.origin }]).await;
            }
        })
    }
}

/// Agent links are shared by all connections.
pub(crate) type SharedLink = Arc<dyn AgentLink>;

#[cfg(test)]
mod tests {
    use skydive_graph::{Edge, Node, Op, Snapshot};
    use skydive_proto::{Elements, Handshake, PartialUpdate};
    use skydive_value::{Id, Map, Timestamp};
    use tokio::sync::mpsc;
    use tokio_util::sync::CancellationToken;

    use super::*;

    fn agents() -> Agents {
        let clock = Clock::new(|| Timestamp::EPOCH);
        let (live, owner) = LiveGraph::new(clock.clone(), Box::new(|_, _| Vec::new()));
        tokio::spawn(owner.run(CancellationToken::new()));
        Agents { live, clock, hosts: Hosts::default() }
    }

    fn link(agents: &Agents, host_id: &str) -> Box<dyn AgentSession> {
        let handshake =
            Handshake { host_id: host_id.into(), client_type: "agent".into(), ..Handshake::default() };
        let (outgoing, _) = mpsc::channel(1);
        let addr = ([127, 0, 0, 1], 1).into();
        agents.accept(Agent { handshake, addr, outgoing }).ok().unwrap()
    }

    fn node(id: &str) -> Node {
        let metadata: Map = [("Name", id), ("Type", "device")].into_iter().collect();
        Node::new(Id::from(id), Source::of("agent", "whoever"), metadata, Timestamp::EPOCH)
    }

    fn edge(parent: &str, child: &str, relation: &str) -> Edge {
        let metadata: Map = [("RelationType", relation)].into_iter().collect();
        let id = Edge::link_id(&parent.into(), &child.into(), relation);
        let source = Source::of("agent", "whoever");
        Edge::new(id, parent.into(), child.into(), source, metadata, Timestamp::EPOCH)
    }

    fn rename(id: Id) -> PartialUpdate {
        PartialUpdate { id, updated_at: Timestamp::EPOCH, revision: 9, ops: vec![Op::set("Name", "mine")] }
    }

    async fn say(session: &mut Box<dyn AgentSession>, message: GraphMessage) {
        session.message(message.to_envelope()).await.unwrap();
    }

    /// The elements of an origin.
    fn part_of(graph: &Snapshot, origin: &str) -> (Vec<Node>, Vec<Edge>) {
        let nodes = graph.nodes().filter(|node| node.source.origin == origin).map(|node| (**node).clone());
        let edges = graph.edges().filter(|edge| edge.source().origin == origin).map(|edge| edge.to_edge());
        (nodes.collect(), edges.collect())
    }

    #[tokio::test]
    async fn an_agent_touches_only_what_it_made() {
        let agents = agents();
        let (mut owner, mut other) = (link(&agents, "one"), link(&agents, "two"));
        let owned = edge("a", "b", "ownership");
        let nodes = vec![node("a"), node("b"), node("c")];
        say(&mut owner, GraphMessage::Sync(Elements { nodes, edges: vec![owned.clone()] })).await;
        say(&mut other, GraphMessage::NodeAdded(node("x"))).await;
        let before = part_of(&agents.live.snapshot().await.unwrap(), "agent.one");
        assert_eq!((before.0.len(), before.1.len()), (3, 1));

        let mut newer = node("a");
        (newer.revision, newer.metadata) = (9, Map::new());
        let mut newer_edge = owned.clone();
        (newer_edge.revision, newer_edge.metadata) = (9, Map::new().into());
        let foreign = [
            GraphMessage::NodeAdded(newer.clone()),
            GraphMessage::NodeUpdated(newer.clone()),
            GraphMessage::NodePartiallyUpdated(rename("a".into())),
            GraphMessage::NodeDeleted(node("a")),
            GraphMessage::EdgeAdded(newer_edge.clone()),
            GraphMessage::EdgeUpdated(newer_edge),
            GraphMessage::EdgePartiallyUpdated(rename(owned.id.clone())),
            GraphMessage::EdgeDeleted(owned),
            // Would end the edge that owns it.
            GraphMessage::EdgeAdded(edge("x", "b", "ownership")),
            GraphMessage::EdgeAdded(edge("a", "c", "layer2")),
            GraphMessage::Sync(Elements { nodes: vec![node("x")], edges: vec![edge("c", "b", "ownership")] }),
            GraphMessage::Sync(Elements { nodes: vec![node("x"), newer], edges: Vec::new() }),
        ];
        let refused = foreign.len() as u64;
        for (n, message) in foreign.into_iter().enumerate() {
            say(&mut other, message.clone()).await;
            let graph = agents.live.snapshot().await.unwrap();
            assert_eq!(part_of(&graph, "agent.one"), before, "{message:?}");
            assert!(part_of(&graph, "agent.two").1.is_empty(), "{message:?}");
            assert_eq!(agents.live.counters().foreign.get(), n as u64 + 1, "{message:?}");
        }

        // Its own it may change, and tie to what others made.
        say(&mut other, GraphMessage::EdgeAdded(edge("x", "b", "layer2"))).await;
        say(&mut other, GraphMessage::NodePartiallyUpdated(rename("x".into()))).await;
        let (nodes, edges) = part_of(&agents.live.snapshot().await.unwrap(), "agent.two");
        assert_eq!((nodes[0].name(), edges.len()), ("mine", 1));
        assert_eq!(agents.live.counters().foreign.get(), refused);
        // And they go with it.
        other.closed().await;
        let graph = agents.live.snapshot().await.unwrap();
        assert_eq!(part_of(&graph, "agent.one"), before);
        assert_eq!((graph.node_count(), graph.edge_count()), (3, 1));
    }
}
