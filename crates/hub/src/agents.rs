//! What agents bring: their messages become mutations, and their part goes when they do.

use std::sync::Arc;

use skydive_api::{Agent, AgentLink, AgentSession, Conflict, LiveGraph};
use skydive_graph::{BoxFuture, Mutation, Source};
use skydive_proto::{Envelope, GraphMessage, MessageError, graph_type, namespace, reason, sync_reply};
use skydive_value::{Clock, SmolStr};
use tokio::sync::mpsc;

/// The hub's end of all agent links.
pub(crate) struct Agents {
    pub(crate) live: LiveGraph,
    pub(crate) clock: Clock,
}

struct Session {
    live: LiveGraph,
    clock: Clock,
    origin: SmolStr,
    /// Whether the agent has brought anything: one for which this analyzer was never the master leaves nothing.
    has_spoken: bool,
    outgoing: mpsc::Sender<Envelope>,
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
    async fn give_graph(&self, request: Envelope) -> Result<(), String> {
        let snapshot = self.live.snapshot().await.map_err(|e| e.to_string())?;
        let reply = tokio::task::spawn_blocking(move || sync_reply(&request, snapshot)).await;
        let reply = reply.map_err(|e| e.to_string())?;
        // The queue is drained by the task that waits here: a full one must not be waited for.
        self.outgoing.try_send(reply).map_err(|_| "the agent does not read its answers".to_owned())
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
        Ok(Box::new(Session {
            live: self.live.clone(),
            clock: self.clock.clone(),
            origin,
            has_spoken: false,
            outgoing: agent.outgoing,
        }))
    }
}

impl AgentSession for Session {
    fn message(&mut self, message: Envelope) -> BoxFuture<'_, Result<(), String>> {
        Box::pin(async move {
            if message.namespace != namespace::GRAPH {
                tracing::debug!(origin = %self.origin, namespace = message.namespace, "message of an unknown kind");
                return Ok(());
            }
            if message.kind == graph_type::SYNC_REQUEST {
                return self.give_graph(message).await;
            }
            let decoded = match self.decode(message).await {
                Ok(decoded) => decoded,
                // Later agents may say more than this analyzer knows.
                Err(MessageError::Kind(kind)) => {
                    tracing::debug!(origin = %self.origin, kind, "message of an unknown kind");
                    return Ok(());
                }
                Err(error) => return Err(reason(&error)),
            };
            if let Some(mut mutation) = decoded.into_mutation(&self.origin) {
                self.claim(&mut mutation);
                self.has_spoken = true;
                self.live.apply(vec![mutation]).await.map_err(|e| e.to_string())?;
            }
            Ok(())
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
