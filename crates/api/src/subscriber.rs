//! `/ws/subscriber`: the graph, or a part of it, and everything that happens to it.
//!
//! A connection gets events from the moment it is open; a `SyncRequest` is answered with the graph, and the events
//! that follow continue exactly that graph. With a filter both are of the part that it gives; see [`Filters`]. What
//! happens while the graph is written and sent is kept for after it, the last change of each element if it is much: a
//! large graph that changes fast would else never be had. A client that does not keep up is closed with code 1013 and
//! told how many messages it missed. `/ws/pubsub` is the same for clients that publish too, who are not told of what
//! they caused themselves.

use std::pin::pin;
use std::sync::Arc;

use axum::extract::Request;
use axum::response::Response;
use futures_util::FutureExt;
use http::StatusCode;
use skydive_graph::{GraphEvent, GraphRead, ReadError, Snapshot, When};
use skydive_proto::{
    Envelope, FilterMode, GraphMessage, Handshake, SyncRequest, graph_type, namespace, reason, refused_sync,
    sync_reply, sync_reply_of,
};
use skydive_query::{Cx, Query};
use skydive_value::Filter;
use tokio::sync::broadcast::error::RecvError;
use tokio::sync::{OwnedSemaphorePermit, broadcast};
use tokio::task::spawn_blocking;
use tokio_tungstenite::tungstenite::Message;

use crate::encoded::EncodedBatches;
use crate::filtered::{FilterError, Filters};
use crate::handshake::{Caller, Socket};
use crate::publisher::{Heard, Intake};
use crate::roster::Seat;
use crate::route::Route;
use crate::router::Serving;
use crate::speaker::{Parting, Speaker, close_at_once, code, conn_status, frame};
use crate::{Backlog, Ended, LiveGraph, Notices, Roster, Subscription, respond};

/// The subscriptions to a live graph.
#[derive(Clone, Debug)]
pub struct Subscriptions {
    /// The graph.
    pub live: LiveGraph,
    /// Who is connected.
    pub roster: Roster,
    /// What is told beside the graph.
    pub notices: Notices,
}

/// What an endpoint needs.
pub(crate) struct Area {
    pub(crate) path: &'static str,
    pub(crate) live: LiveGraph,
    pub(crate) roster: Roster,
    pub(crate) filters: Arc<Filters>,
    pub(crate) serving: Arc<Serving>,
    /// Of the whole graph.
    pub(crate) encoded: Arc<EncodedBatches>,
    /// What is told beside the graph.
    pub(crate) notices: Notices,
    /// Whether its clients publish too.
    pub(crate) publishes: bool,
}

/// A subscriber and what it is owed.
struct Session {
    area: Arc<Area>,
    speaker: Speaker,
    handshake: Handshake,
    /// Which part of the graph it gets; `None` is all of it.
    filter: Option<Query>,
    events: Subscription,
    encoded: Arc<EncodedBatches>,
    notices: broadcast::Receiver<Arc<Envelope>>,
    /// What happened while a graph was written and sent; goes before `events`.
    behind: Backlog,
    /// Frames handed to the socket and not known to be written.
    owed: u64,
    /// Takes what it publishes.
    intake: Option<Intake>,
}

pub(crate) const PATH: &str = "/ws/subscriber";
/// Frames handed to the socket between two looks at what else is to do.
const FRAMES_PER_TURN: usize = 256;
/// Graphs and batches of events larger than this are written off the threads that serve everybody.
const LARGE: usize = 1000;

pub(crate) fn route(subscriptions: Subscriptions, filters: &Arc<Filters>, serving: &Arc<Serving>) -> Route {
    let Subscriptions { live, roster, notices } = subscriptions;
    route_of(Area {
        path: PATH,
        live,
        roster,
        filters: filters.clone(),
        serving: serving.clone(),
        encoded: Arc::default(),
        notices,
        publishes: false,
    })
}

/// The route of an endpoint with subscribers.
pub(crate) fn route_of(area: Area) -> Route {
    let (path, area) = (area.path, Arc::new(area));
    Route::socket(path, move |request: Request| async move { connect(area, request).await })
}

async fn connect(area: Arc<Area>, request: Request) -> Response {
    let caller = match Caller::of(request) {
        Ok(caller) => caller,
        Err(refusal) => return refusal,
    };
    let serving = area.serving.clone();
    let limits = &serving.settings.limits;
    // A whole graph comes from who publishes.
    let max = if area.publishes { limits.agent_message } else { limits.ws_message };
    let sense = caller.handshake.as_ref().ok().and_then(|handshake| {
        let text = handshake.filter.as_str();
        let filter = (!text.is_empty()).then(|| area.filters.parse(text)).transpose().ok()?;
        Some((handshake.clone(), filter))
    });
    let Some((handshake, filter)) = sense else {
        let deadline = serving.settings.ws.write_deadline;
        return caller.accept(&serving, max, move |socket| close_at_once(socket, deadline));
    };
    let mut status = conn_status(&serving, &handshake, caller.addr);
    status.filter_mode = Some(FilterMode::None);
    match area.roster.claim(&handshake.host_id, &status).await {
        Err(_) => respond::closing(StatusCode::CONFLICT),
        Ok(seat) => {
            caller.accept(&serving, max, move |socket| run(area, socket, handshake, filter, seat, max))
        }
    }
}

async fn run(
    area: Arc<Area>,
    socket: Socket,
    handshake: Handshake,
    filter: Option<Query>,
    seat: Seat,
    max: usize,
) {
    let serving = area.serving.clone();
    let _connected = serving.telemetry.connected(area.path);
    let mut speaker = Speaker::new(socket, serving.clone(), &handshake, max, seat);
    let mut intake = None;
    if area.publishes {
        speaker.hear_out();
        intake = Some(Intake::new(area.live.clone(), &serving, &handshake).without_echo());
    }
    let bound = serving.settings.ws.queue_size;
    let mark = intake.as_ref().and_then(Intake::mark);
    let Ok((_, events)) = area.live.snapshot_and_subscribe_but(bound, mark).await else {
        return speaker.part(stopping()).await;
    };
    let behind = Backlog::new(bound, area.live.counters().folded.clone());
    let encoded = area.encoded.clone();
    let notices = area.notices.listen();
    let mut session =
        Session { area, speaker, handshake, filter: None, events, encoded, notices, behind, owed: 0, intake };
    let parting = match filter {
        None => session.talk().await,
        Some(filter) => match session.choose(filter).await {
            Ok(Ok(_)) => session.talk().await,
            Ok(Err(FilterError::Stopped(_))) => stopping(),
            // As for any parameter with which nothing can be done.
            Ok(Err(_)) => Parting::Close(code::NORMAL, String::new()),
            Err(parting) => parting,
        },
    };
    if let Some(intake) = session.intake.take() {
        intake.close().await;
    }
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
                notice = self.notices.recv() => match notice {
                    Ok(notice) if self.handshake.wants(&notice.namespace) => {
                        let frame = frame(&notice, self.speaker.protocol());
                        self.speaker.send([frame]).await
                    }
                    // Who wants none of it has missed nothing.
                    Err(RecvError::Lagged(messages)) if self.handshake.wants(namespace::ON_DEMAND_CAPTURE_NOTIFICATION) => {
                        Err(self.lost(messages))
                    }
                    Ok(_) | Err(RecvError::Lagged(_)) => Ok(()),
                    Err(RecvError::Closed) => Err(stopping()),
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
        let encoded = self.encoded.clone();
        async move {
            if batch.len() < LARGE {
                return Ok(encoded.frames(&batch, protocol, policy));
            }
            let encoding = spawn_blocking(move || encoded.frames(&batch, protocol, policy));
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
    /// clients of the original expect; who publishes has said something with them.
    async fn hear(&mut self, message: Envelope) -> Result<(), Parting> {
        let is_request = |message: &Envelope| {
            message.namespace == namespace::GRAPH && message.kind == graph_type::SYNC_REQUEST
        };
        if is_request(&message) {
            return self.answer(message).await;
        }
        let Some(intake) = &mut self.intake else { return Ok(()) };
        // What happens while it waits for the graph's owner is kept.
        let heard = {
            let mut hearing = pin!(intake.hear(&mut self.speaker, message));
            let heard = self.behind.during(&mut self.events, &mut hearing).await;
            if heard.is_err() {
                // It ends because it does not listen; what it said is done all the same.
                hearing.await;
            }
            heard
        };
        let Heard { request, parting } = self.settle(heard.map(Ok))?;
        self.catch_up().await?;
        if let Some(request) = request {
            self.answer(request).await?;
        }
        parting.map_or(Ok(()), Err)
    }

    /// Answers a `SyncRequest`.
    async fn answer(&mut self, message: Envelope) -> Result<(), Parting> {
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
            Ok(GraphMessage::SyncRequest(request)) => self.sync(message, request).await?,
            Ok(_) => return Ok(()),
            Err(fault) => self.frame(&refused_sync(&message, Some(&reason(&fault)))),
        };
        self.owed = 1;
        let sent = self.behind.during(&mut self.events, self.speaker.send([reply])).await;
        self.settle(sent)?;
        self.owed = 0;
        self.catch_up().await
    }

    /// The graph that is asked for, or why not.
    async fn sync(&mut self, message: Envelope, request: SyncRequest) -> Result<Message, Parting> {
        let wanted = match request.filter.as_deref() {
            None => Ok(self.filter.clone()),
            Some("") => Ok(None),
            Some(text) => self.area.filters.parse(text).map(Some),
        };
        let wanted = match wanted {
            Ok(wanted) => wanted,
            Err(fault) => return Ok(self.refuse(&message, &fault)),
        };
        match (request.at, wanted) {
            (Some(at), wanted) => self.sync_at(When::At(at), wanted, message).await,
            (None, None) => self.sync_whole(message).await,
            (None, Some(filter)) => self.sync_part(filter, message).await,
        }
    }

    fn refuse(&self, request: &Envelope, fault: &FilterError) -> Message {
        let text = match fault {
            FilterError::Invalid(_) => format!("{fault} for client {}", self.handshake.host_id),
            _ => fault.to_string(),
        };
        self.frame(&refused_sync(request, Some(&text)))
    }

    fn frame(&self, reply: &Envelope) -> Message {
        frame(reply, self.speaker.protocol())
    }

    /// The graph of now; events that wait are part of it, those after it follow.
    async fn sync_whole(&mut self, request: Envelope) -> Result<Message, Parting> {
        let permit = self.permit().await?;
        let bound = self.area.serving.settings.ws.queue_size;
        let live = self.area.live.clone();
        let subscribed = self.speaker.during(live.snapshot_and_subscribe_but(bound, self.mark())).await?;
        let (snapshot, events) = subscribed.map_err(|_| stopping())?;
        self.behind.take();
        self.events = events;
        self.encoded = self.area.encoded.clone();
        self.filter = None;
        self.speaker.seat().describe(|status| {
            status.filter_mode = Some(FilterMode::None);
            status.gremlin_filter.clear();
        });
        let size = snapshot.node_count() + snapshot.edge_count();
        self.written(size, permit, move || sync_reply(&request, snapshot)).await
    }

    /// The same for the part that a filter gives.
    async fn sync_part(&mut self, filter: Query, request: Envelope) -> Result<Message, Parting> {
        let permit = self.permit().await?;
        match self.choose(filter).await? {
            Ok((nodes, edges)) => {
                let size = nodes.len() + edges.len();
                self.written(size, permit, move || sync_reply_of(&request, nodes, edges)).await
            }
            Err(FilterError::Stopped(_)) => Err(stopping()),
            Err(fault) => Ok(self.refuse(&request, &fault)),
        }
    }

    /// Goes on with a filter; when that is not possible, as before. What it gives now.
    async fn choose(
        &mut self,
        filter: Query,
    ) -> Result<Result<crate::filtered::Elements, FilterError>, Parting> {
        let bound = self.area.serving.settings.ws.queue_size;
        let (area, mark) = (self.area.clone(), self.mark());
        let joining = area.filters.join(filter.clone(), bound, mark);
        let joined = self.behind.during(&mut self.events, self.speaker.during(joining)).await;
        let joined = match self.settle(joined)? {
            Ok(joined) => joined,
            Err(fault) => return Ok(Err(fault)),
        };
        // All that is part of what it gives.
        self.behind.take();
        self.events = joined.events;
        self.encoded = joined.encoded;
        let mode = if joined.is_incremental { FilterMode::Incremental } else { FilterMode::Periodic };
        self.speaker.seat().describe(|status| {
            status.filter_mode = Some(mode);
            filter.text().clone_into(&mut status.gremlin_filter);
        });
        self.filter = Some(filter);
        Ok(Ok(joined.elements))
    }

    fn mark(&self) -> Option<crate::live::Mark> {
        self.intake.as_ref().and_then(Intake::mark)
    }

    async fn sync_at(
        &mut self,
        when: When,
        filter: Option<Query>,
        request: Envelope,
    ) -> Result<Message, Parting> {
        let permit = self.permit().await?;
        let (area, all) = (self.area.clone(), Filter::all());
        match self.speaker.during(area.live.graph_at(when, &all)).await? {
            Ok(snapshot) => {
                let (size, now) = (snapshot.node_count() + snapshot.edge_count(), area.serving.clock.now());
                self.written(size, permit, move || {
                    part_at(&request, snapshot, filter.as_ref(), &Cx::new(now))
                })
                .await
            }
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
        size: usize,
        permit: OwnedSemaphorePermit,
        write: impl FnOnce() -> Envelope + Send + 'static,
    ) -> Result<Message, Parting> {
        if size < LARGE {
            return Ok(self.frame(&write()));
        }
        let protocol = self.speaker.protocol();
        let writing = spawn_blocking(move || {
            let _permit = permit;
            frame(&write(), protocol)
        });
        let written = self.behind.during(&mut self.events, self.speaker.during(writing)).await;
        self.settle(written)?.map_err(|fault| Parting::Lost(fault.to_string()))
    }
}

/// The reply with what a filter gives for a graph of the past.
fn part_at(request: &Envelope, graph: Snapshot, filter: Option<&Query>, cx: &Cx) -> Envelope {
    match filter.map(|filter| Filters::evaluate(filter, &graph, cx)) {
        None => sync_reply(request, graph),
        Some(Ok((nodes, edges))) => sync_reply_of(request, nodes, edges),
        Some(Err(fault)) => refused_sync(request, Some(&fault.to_string())),
    }
}

pub(crate) fn stopping() -> Parting {
    Parting::Close(code::GOING_AWAY, "stopping".to_owned())
}
