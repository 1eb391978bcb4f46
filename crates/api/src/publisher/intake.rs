//! Messages of a publisher on their way into the graph.

use std::pin::pin;
use std::sync::Arc;

use futures_util::FutureExt;
use skydive_graph::{Mutation, Source};
use skydive_proto::{
    Envelope, GraphMessage, Handshake, MessageError, Persistence, SchemaErrors, check_decoded_edge,
    check_decoded_node, graph_type, namespace, reason,
};
use skydive_value::{Clock, SmolStr};
use tokio::task::spawn_blocking;

use crate::live::{Mark, Publication};
use crate::router::Serving;
use crate::speaker::{Parting, Speaker};
use crate::subscriber::stopping;
use crate::telemetry::Dropped;
use crate::{ApiTelemetry, LiveGraph};

/// Takes what one publisher says.
pub(crate) struct Intake {
    live: LiveGraph,
    clock: Clock,
    telemetry: ApiTelemetry,
    host_id: SmolStr,
    client_type: SmolStr,
    origin: SmolStr,
    persistence: Persistence,
    mark: Option<Mark>,
    /// Of the last element, which the next one has too most often.
    source: Arc<Source>,
    /// Whether it has said anything about the graph.
    has_spoken: bool,
    waiting: Vec<Mutation>,
    /// Bytes of the messages that they are made of.
    bytes: usize,
}

/// What was heard beside changes of the graph.
pub(crate) struct Heard {
    /// A `SyncRequest`; what was said before it is applied.
    pub(crate) request: Option<Envelope>,
    /// There will be no more.
    pub(crate) parting: Option<Parting>,
}

/// Messages applied at once.
const MESSAGES: usize = 512;
/// Bytes of messages after which they are applied.
const BYTES: usize = 1 << 20;
/// Messages larger than this are read where blocking is allowed, bytes.
const LARGE: usize = 1 << 20;

impl Intake {
    pub(crate) fn new(live: LiveGraph, serving: &Serving, handshake: &Handshake) -> Self {
        let origin = SmolStr::from(format!("{}.{}", handshake.client_type, handshake.host_id));
        Self {
            live,
            clock: serving.clock.clone(),
            telemetry: serving.telemetry.clone(),
            host_id: handshake.host_id.clone(),
            client_type: handshake.client_type.clone(),
            source: Arc::new(Source { host: SmolStr::default(), origin: origin.clone() }),
            origin,
            persistence: handshake.persistence,
            mark: None,
            has_spoken: false,
            waiting: Vec::new(),
            bytes: 0,
        }
    }

    /// The publisher listens too, and is not to hear of what it says.
    pub(crate) fn without_echo(mut self) -> Self {
        self.mark = Some(Mark::default());
        self
    }

    /// What marks the changes that it causes.
    pub(crate) fn mark(&self) -> Option<Mark> {
        self.mark.clone()
    }

    /// Takes a message and those that have come behind it, and applies them.
    pub(crate) async fn hear(&mut self, speaker: &mut Speaker, message: Envelope) -> Heard {
        let mut heard = Heard { request: None, parting: None };
        let mut next = Some(message);
        while let Some(message) = next.take() {
            if message.namespace == namespace::GRAPH && message.kind == graph_type::SYNC_REQUEST {
                heard.request = Some(message);
                break;
            }
            self.take(message).await;
            if self.waiting.len() >= MESSAGES || self.bytes >= BYTES {
                break;
            }
            match speaker.next().now_or_never() {
                Some(Ok(message)) => next = Some(message),
                Some(Err(parting)) => heard.parting = Some(parting),
                None => {}
            }
        }
        let parting = self.apply(speaker).await.err();
        heard.parting = heard.parting.or(parting);
        heard
    }

    /// The connection has ended.
    pub(crate) async fn close(self) {
        if self.has_spoken && self.persistence == Persistence::DeleteOnDisconnect {
            // The graph has stopped with the program when this fails: there is nothing left to delete from.
            let _ = self.live.apply(vec![Mutation::DeleteOrigin { origin: self.origin }]).await;
        }
    }

    /// Applies what waits. It is applied when this returns, even if the client has gone meanwhile.
    async fn apply(&mut self, speaker: &mut Speaker) -> Result<(), Parting> {
        if self.waiting.is_empty() {
            return Ok(());
        }
        self.bytes = 0;
        let publication = Publication {
            client_type: self.client_type.clone(),
            mutations: std::mem::take(&mut self.waiting),
            mark: self.mark.clone(),
        };
        let mut applying = pin!(self.live.publish(publication));
        match speaker.during(&mut applying).await {
            Ok(applied) => applied.map_err(|_| stopping()),
            Err(parting) => {
                // Whether the graph still runs does not matter to who has gone.
                let _ = applying.await;
                Err(parting)
            }
        }
    }

    /// Makes a mutation of a message, or drops it.
    async fn take(&mut self, message: Envelope) {
        if message.namespace != namespace::GRAPH {
            return self.drop(Dropped::Namespace, &format!("unknown namespace {:?}", message.namespace));
        }
        self.has_spoken = true;
        let (now, bytes) = (self.clock.now(), message.obj.len());
        let decoded = if bytes < LARGE {
            GraphMessage::decode(&message, now)
        } else {
            match spawn_blocking(move || GraphMessage::decode(&message, now)).await {
                Ok(decoded) => decoded,
                Err(broken) => return self.drop(Dropped::Malformed, &broken.to_string()),
            }
        };
        let decoded = match decoded {
            Ok(decoded) => decoded,
            Err(fault) => {
                let why =
                    if matches!(fault, MessageError::Kind(_)) { Dropped::Type } else { Dropped::Malformed };
                return self.drop(why, &reason(&fault));
            }
        };
        if let Err(fault) = shape(&decoded) {
            return self.drop(Dropped::Schema, &fault.to_string());
        }
        match decoded.into_mutation(&self.origin) {
            Some(mut mutation) => {
                self.claim(&mut mutation);
                self.waiting.push(mutation);
                self.bytes += bytes;
            }
            None => self.drop(Dropped::Type, "a reply to nothing"),
        }
    }

    /// What it adds is its own, whatever the message says. Elements of a `Sync` have the origin that they say, if any.
    fn claim(&mut self, mutation: &mut Mutation) {
        match mutation {
            Mutation::AddNode(node) => node.source = self.own(&node.source),
            Mutation::AddEdge(edge) => edge.source = self.own(&edge.source),
            Mutation::Sync { nodes, edges, .. } => {
                for node in nodes.iter_mut().filter(|node| node.source.origin.is_empty()) {
                    node.source = self.own(&node.source);
                }
                for edge in edges.iter_mut().filter(|edge| edge.source.origin.is_empty()) {
                    edge.source = self.own(&edge.source);
                }
            }
            _ => {}
        }
    }

    fn own(&mut self, source: &Source) -> Arc<Source> {
        if self.source.host != source.host {
            self.source = Arc::new(Source { host: source.host.clone(), origin: self.origin.clone() });
        }
        self.source.clone()
    }

    fn drop(&self, why: Dropped, reason: &str) {
        self.telemetry.dropped_message(&self.host_id, why, reason);
    }
}

/// Whether an element has the shape of one. Neither a `Sync` nor partial updates are looked at, nor what is deleted.
fn shape(message: &GraphMessage) -> Result<(), SchemaErrors> {
    match message {
        GraphMessage::NodeAdded(node) | GraphMessage::NodeUpdated(node) => check_decoded_node(node),
        GraphMessage::EdgeAdded(edge) | GraphMessage::EdgeUpdated(edge) => check_decoded_edge(edge),
        _ => Ok(()),
    }
}
