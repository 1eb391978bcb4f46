//! `/ws/agent/topology`: where agents bring their part of the graph.
//!
//! The hub decides what messages mean ([`AgentLink`], [`AgentSession`]); here are the connection, its host id and its
//! end. A session is told of its end before its host id is free again, so that what follows from the end cannot hit
//! what the agent brings when it comes back.

use std::net::SocketAddr;
use std::sync::Arc;

use axum::extract::Request;
use axum::response::Response;
use http::StatusCode;
use skydive_graph::BoxFuture;
use skydive_proto::{Envelope, Handshake};
use tokio::sync::mpsc;

use crate::handshake::Caller;
use crate::route::Route;
use crate::router::Serving;
use crate::speaker::{Parting, Speaker, close_at_once, conn_status, frame};
use crate::{Roster, respond};

/// The hub's end of all agent links.
pub trait AgentLink: Send + Sync {
    /// An agent has come; its host id is not in use by a live connection.
    fn accept(&self, agent: Agent) -> Result<Box<dyn AgentSession>, Conflict>;
}

/// The hub's end of one agent link. One whose connection never opened is dropped without a word.
pub trait AgentSession: Send {
    /// A message, in order of arrival; the reply to it, if any, is sent before the next one is read, so that replies
    /// do not pile up. `Err` says why it makes no sense, which ends the connection. Dropped unfinished when the agent
    /// is found dead meanwhile.
    fn message(&mut self, message: Envelope) -> BoxFuture<'_, Result<Option<Envelope>, String>>;

    /// The connection has ended. The host id is free again when this is done.
    fn closed(self: Box<Self>) -> BoxFuture<'static, ()>;
}

/// An agent that has connected.
#[derive(Debug)]
pub struct Agent {
    /// What it says of itself.
    pub handshake: Handshake,
    /// Where it calls from.
    pub addr: SocketAddr,
    /// Takes messages for it; waits while the agent does not read.
    pub outgoing: mpsc::Sender<Envelope>,
}

/// The hub does not want the agent: answered with 409.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Conflict;

/// The endpoint for agents.
#[derive(Clone)]
pub struct AgentEndpoint {
    /// The hub's end.
    pub link: Arc<dyn AgentLink>,
    /// Who is connected.
    pub roster: Roster,
}

const PATH: &str = "/ws/agent/topology";

pub(crate) fn route(endpoint: AgentEndpoint, serving: &Arc<Serving>) -> Route {
    let serving = serving.clone();
    let action = move |request: Request| async move { connect(endpoint, serving, request).await };
    Route::socket(PATH, action)
}

async fn connect(endpoint: AgentEndpoint, serving: Arc<Serving>, request: Request) -> Response {
    let caller = match Caller::of(request) {
        Ok(caller) => caller,
        Err(refusal) => return refusal,
    };
    let max = serving.settings.limits.agent_message;
    let Ok(handshake) = caller.handshake.clone() else {
        let deadline = serving.settings.ws.write_deadline;
        return caller.accept(&serving, max, move |socket| close_at_once(socket, deadline));
    };
    let status = conn_status(&serving, &handshake, caller.addr);
    let Ok(seat) = endpoint.roster.claim(&handshake.host_id, &status).await else {
        return respond::closing(StatusCode::CONFLICT);
    };
    let (outgoing, queue) = mpsc::channel(serving.settings.ws.queue_size.max(1));
    let agent = Agent { handshake: handshake.clone(), addr: caller.addr, outgoing };
    let Ok(session) = endpoint.link.accept(agent) else {
        return respond::closing(StatusCode::CONFLICT);
    };
    let kept = serving.clone();
    caller.accept(&serving, max, move |socket| async move {
        let _connected = kept.telemetry.connected(PATH);
        run(Speaker::new(socket, kept, &handshake, max, seat), session, queue).await;
    })
}

async fn run(mut speaker: Speaker, mut session: Box<dyn AgentSession>, mut queue: mpsc::Receiver<Envelope>) {
    let parting = talk(&mut speaker, &mut *session, &mut queue).await;
    session.closed().await;
    speaker.part(parting).await;
}

async fn talk(
    speaker: &mut Speaker,
    session: &mut dyn AgentSession,
    queue: &mut mpsc::Receiver<Envelope>,
) -> Parting {
    loop {
        let turn = tokio::select! {
            biased;
            message = speaker.next() => match message {
                Ok(message) => match speaker.during(session.message(message)).await {
                    Ok(Ok(None)) => Ok(()),
                    Ok(Ok(Some(reply))) => {
                        let frame = frame(&reply, speaker.protocol());
                        speaker.send([frame]).await
                    }
                    Ok(Err(reason)) => Err(speaker.malformed(&reason)),
                    Err(parting) => Err(parting),
                },
                Err(parting) => Err(parting),
            },
            Some(message) = queue.recv() => {
                let frame = frame(&message, speaker.protocol());
                speaker.send([frame]).await
            }
        };
        if let Err(parting) = turn {
            return parting;
        }
    }
}
