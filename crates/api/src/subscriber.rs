//! `/ws/subscriber`: the graph and everything that happens to it.
//!
//! A connection gets events from the moment it is open; a `SyncRequest` is answered with the graph, and the events
//! that follow continue exactly that graph. What happens while the graph is written and sent is kept for after it, the
//! last change of each element if it is much: a large graph that changes fast would else never be had. A client that
//! does not keep up is closed with code 1013 and told how many messages it missed.

use std::sync::Arc;

use axum::extract::Request;
use axum::response::Response;
use axum::routing::get;
use futures_util::FutureExt;
use http::StatusCode;
use skydive_graph::{GraphEvent, GraphRead, ReadError, Snapshot, When};
use skydive_proto::{
    Envelope, GraphMessage, Handshake, graph_type, namespace, reason, refused_sync, sync_reply,
};
use skydive_value::Filter;
use tokio::sync::OwnedSemaphorePermit;
use tokio::task::spawn_blocking;
use tokio_tungstenite::tungstenite::Message;

use crate::encoded::EncodedBatches;
use crate::handshake::{Caller, Socket};
use crate::permission::Guard;
use crate::roster::Seat;
use crate::router::{Route, Serving};
use crate::speaker::{Parting, Speaker, close_at_once, code, conn_status, frame};
use crate::{Backlog, Ended, LiveGraph, Roster, Subscription, respond};

/// The subscriptions to a live graph.
#[derive(Clone, Debug)]
pub struct Subscriptions {
    /// The graph.
    pub live: LiveGraph,
    /// Who is connected.
    pub roster: Roster,
}

struct Area {
    live: LiveGraph,
    roster: Roster,
    encoded: EncodedBatches,
    serving: Arc<Serving>,
}

/// A subscriber and what it is owed.
struct Session {
    area: Arc<Area>,
    speaker: Speaker,
    handshake: Handshake,
    events: Subscription,
    /// What happened while a graph was written and sent; goes before `events`.
    behind: Backlog,
    /// Frames handed to the socket and not known to be written.
    owed: u64,
}

const PATH: &str = "/ws/subscriber";
/// Frames handed to the socket between two looks at what else is to do.
const FRAMES_PER_TURN: usize = 256;
/// Graphs and batches of events larger than this are written off the threads that serve everybody.
const LARGE: usize = 1000;
const NO_FILTERS: &str = "Gremlin filters of subscriptions are not supported yet";

pub(crate) fn route(subscriptions: Subscriptions, serving: &Arc<Serving>) -> Route {
    let Subscriptions { live, roster } = subscriptions;
    let area = Arc::new(Area { live, roster, encoded: EncodedBatches::default(), serving: serving.clone() });
    let action = get(move |request: Request| async move { connect(area, request).await });
    Route { path: PATH, guard: Guard::WebSocket, action }
}

async fn connect(area: Arc<Area>, request: Request) -> Response {
    let caller = match Caller::of(request) {
        Ok(caller) => caller,
        Err(refusal) => return refusal,
    };
    let serving = area.serving.clone();
    let max = serving.settings.limits.ws_message;
    let handshake = match &caller.handshake {
        Ok(handshake) if handshake.filter.is_empty() => handshake.clone(),
        _ => {
            let deadline = serving.settings.ws.write_deadline;
            return caller.accept(&serving, max, move |socket| close_at_once(socket, deadline));
        }
    };
    let status = conn_status(&serving, &handshake, caller.addr);
    match area.roster.claim(&handshake.host_id, &status).await {
        Err(_) => respond::closing(StatusCode::CONFLICT),
        Ok(seat) => caller.accept(&serving, max, move |socket| run(area, socket, handshake, seat)),
    }
}

async fn run(area: Arc<Area>, socket: Socket, handshake: Handshake, seat: Seat) {
    let serving = area.serving.clone();
    let _connected = serving.telemetry.connected(PATH);
    let speaker = Speaker::new(socket, serving.clone(), &handshake, serving.settings.limits.ws_message, seat);
    let Ok(events) = area.live.subscribe(serving.settings.ws.queue_size).await else {
        return speaker.part(stopping()).await;
    };
    let behind = Backlog::new(serving.settings.ws.queue_size, area.live.counters().folded.clone());
    let mut session = Session { area, speaker, handshake, events, behind, owed: 0 };
    let parting = session.talk().await;
    session.speaker.part(parting).await;
}

impl Session {
    async fn talk(&mut self) -> Parting {
        loop {
            let turn = tokio::select! {
                biased;
                message = self.speaker.next() => match message {
                    Ok(message) => self.hear(message).await,
                    Err(parting) => Err(parting),
                },
                batch = self.events.next() => match batch {
                    Ok(batch) => self.tell(&batch).await,
                    Err(Ended::Lost { messages }) => Err(self.lost(messages)),
                    Err(Ended::Stopped) => Err(stopping()),
                },
            };
            match turn {
                Ok(()) => {}
                Err(Parting::Stuck) => {
                    let messages = self.owed + self.abandoned();
                    return self.lost(messages);
                }
                Err(parting) => return parting,
            }
        }
    }

    /// Sends a batch of events.
    async fn tell(&mut self, batch: &Arc<[GraphEvent]>) -> Result<(), Parting> {
        if batch.is_empty() || !self.handshake.wants(namespace::GRAPH) {
            return Ok(());
        }
        let encoding = self.encode(batch.clone());
        let frames = self.speaker.during(encoding).await??;
        let mut left = frames.iter().cloned();
        while left.len() > 0 {
            let sent = tokio::select! {
                biased;
                sent = self.speaker.send(left.by_ref().take(FRAMES_PER_TURN)) => sent,
                () = self.events.overflowed() => Err(Parting::Stuck),
            };
            // Frames handed to the socket are on their way; only the others are lost when the client is given up.
            self.owed = left.len() as u64;
            sent?;
        }
        self.owed = 0;
        Ok(())
    }

    /// Sends what happened while a graph was on its way, and what happens meanwhile. A client may take its time, but
    /// has to come nearer: one that does not will never be there.
    async fn catch_up(&mut self) -> Result<(), Parting> {
        let bound = self.area.serving.settings.ws.queue_size;
        let mut before = usize::MAX;
        loop {
            let round = self.behind.take();
            if round.len() <= bound {
                return self.tell(&round).await;
            }
            if round.len() >= before {
                return Err(self.lost(round.len() as u64));
            }
            before = round.len();
            let encoding = self.encode(round);
            let encoded = self.behind.during(&mut self.events, self.speaker.during(encoding)).await;
            let frames = self.settle(encoded)??;
            let mut left = frames.iter().cloned();
            while left.len() > 0 {
                let sending = self.speaker.send(left.by_ref().take(FRAMES_PER_TURN));
                let sent = self.behind.during(&mut self.events, sending).await;
                self.owed = left.len() as u64;
                self.settle(sent)?;
            }
            self.owed = 0;
        }
    }

    /// The frames of a batch; of a large one off the threads that serve everybody.
    fn encode(
        &self,
        batch: Arc<[GraphEvent]>,
    ) -> impl Future<Output = Result<Arc<[Message]>, Parting>> + use<> {
        let (protocol, policy) = (self.speaker.protocol(), self.handshake.update_policy);
        let area = self.area.clone();
        async move {
            if batch.len() < LARGE {
                return Ok(area.encoded.frames(&batch, protocol, policy));
            }
            let encoding = spawn_blocking(move || area.encoded.frames(&batch, protocol, policy));
            encoding.await.map_err(|fault| Parting::Lost(fault.to_string()))
        }
    }

    /// What became of work during which events were kept.
    fn settle<T>(&self, outcome: Result<Result<T, Parting>, Ended>) -> Result<T, Parting> {
        match outcome {
            Ok(done) => done,
            Err(Ended::Lost { messages }) => Err(self.lost(self.owed + self.behind.len() as u64 + messages)),
            Err(Ended::Stopped) => Err(stopping()),
        }
    }

    /// Counts what is in the queue of a client that reads no more.
    fn abandoned(&mut self) -> u64 {
        let mut missed = self.behind.len() as u64;
        while let Some(batch) = self.events.next().now_or_never() {
            match batch {
                Ok(batch) => missed += batch.len() as u64,
                Err(Ended::Lost { messages }) => return missed + messages,
                Err(Ended::Stopped) => break,
            }
        }
        missed
    }

    fn lost(&self, messages: u64) -> Parting {
        self.area.serving.telemetry.slow_subscriber(&self.handshake.host_id, messages);
        Parting::Close(code::TRY_AGAIN_LATER, Ended::Lost { messages }.to_string())
    }

    /// Answers a message. Other namespaces and types are none of a subscriber's business and passed over, as
    /// clients of the original expect.
    async fn hear(&mut self, message: Envelope) -> Result<(), Parting> {
        if message.namespace != namespace::GRAPH || message.kind != graph_type::SYNC_REQUEST {
            return Ok(());
        }
        let decoded = GraphMessage::decode(&message, self.area.serving.clock.now());
        if let Err(fault) = &decoded {
            let telemetry = &self.area.serving.telemetry;
            telemetry.malformed_message(&self.handshake.host_id, &reason(fault));
        }
        // Replies are messages of a namespace too.
        if !self.handshake.wants(namespace::GRAPH) {
            return Ok(());
        }
        let reply = match decoded {
            Ok(GraphMessage::SyncRequest(request)) => {
                let filter = request.filter.unwrap_or_default();
                match request.at {
                    _ if !filter.is_empty() => self.frame(&refused_sync(&message, Some(NO_FILTERS))),
                    None => self.sync(message).await?,
                    Some(at) => self.sync_at(When::At(at), message).await?,
                }
            }
            Ok(_) => return Ok(()),
            Err(fault) => self.frame(&refused_sync(&message, Some(&reason(&fault)))),
        };
        self.owed = 1;
        let sent = self.behind.during(&mut self.events, self.speaker.send([reply])).await;
        self.settle(sent)?;
        self.owed = 0;
        self.catch_up().await
    }

    fn frame(&self, reply: &Envelope) -> Message {
        frame(reply, self.speaker.protocol())
    }

    /// The graph of now; events that wait are part of it, those after it follow.
    async fn sync(&mut self, request: Envelope) -> Result<Message, Parting> {
        let permit = self.permit().await?;
        let bound = self.area.serving.settings.ws.queue_size;
        let subscribed = self.speaker.during(self.area.live.snapshot_and_subscribe(bound)).await?;
        let (snapshot, events) = subscribed.map_err(|_| stopping())?;
        self.events = events;
        self.written(request, snapshot, permit).await
    }

    async fn sync_at(&mut self, when: When, request: Envelope) -> Result<Message, Parting> {
        let permit = self.permit().await?;
        let all = Filter::all();
        match self.speaker.during(self.area.live.graph_at(when, &all)).await? {
            Ok(snapshot) => self.written(request, snapshot, permit).await,
            Err(ReadError::NoHistory) => Ok(self.frame(&refused_sync(&request, None))),
            Err(fault) => Ok(self.frame(&refused_sync(&request, Some(&fault.to_string())))),
        }
    }

    /// Permission to write a whole graph. Asked for before its snapshot is taken, so that who waits holds none.
    async fn permit(&mut self) -> Result<OwnedSemaphorePermit, Parting> {
        let permit = self.area.serving.whole_graphs.clone().acquire_owned();
        self.speaker.during(permit).await?.map_err(|_| stopping())
    }

    async fn written(
        &mut self,
        request: Envelope,
        snapshot: Snapshot,
        permit: OwnedSemaphorePermit,
    ) -> Result<Message, Parting> {
        if snapshot.node_count() + snapshot.edge_count() < LARGE {
            return Ok(self.frame(&sync_reply(&request, snapshot)));
        }
        let protocol = self.speaker.protocol();
        let writing = spawn_blocking(move || {
            let _permit = permit;
            frame(&sync_reply(&request, snapshot), protocol)
        });
        let written = self.behind.during(&mut self.events, self.speaker.during(writing)).await;
        self.settle(written)?.map_err(|fault| Parting::Lost(fault.to_string()))
    }
}

fn stopping() -> Parting {
    Parting::Close(code::GOING_AWAY, "stopping".to_owned())
}
