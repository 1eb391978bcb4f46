//! `/ws/publisher`: changes of the graph from clients.
//!
//! Messages are applied in the order in which they come, many at once: the reader waits for the graph's owner, so what
//! is not applied stays in the client's socket. A message that makes no sense is dropped and counted, and the
//! connection stays. When it ends, however abruptly, all that was received before is applied.

mod intake;

use std::sync::Arc;

use axum::extract::Request;
use axum::response::Response;
use http::StatusCode;
use skydive_proto::{Envelope, GraphMessage, reason, refused_sync, sync_reply};
use tokio::task::spawn_blocking;

use crate::handshake::Caller;
use crate::route::Route;
use crate::router::Serving;
use crate::speaker::{Parting, Speaker, close_at_once, conn_status, frame};
use crate::subscriber::stopping;
use crate::{LiveGraph, Roster, respond};
pub(crate) use intake::{Heard, Intake};

/// The publishers of a live graph.
#[derive(Clone, Debug)]
pub struct Publications {
    /// The graph.
    pub live: LiveGraph,
    /// Who is connected.
    pub roster: Roster,
}

/// A publisher.
struct Session {
    live: LiveGraph,
    serving: Arc<Serving>,
    speaker: Speaker,
    intake: Intake,
}

const PATH: &str = "/ws/publisher";

pub(crate) fn route(publications: Publications, serving: &Arc<Serving>) -> Route {
    let serving = serving.clone();
    let action = move |request: Request| async move { connect(publications, serving, request).await };
    Route::socket(PATH, action)
}

async fn connect(publications: Publications, serving: Arc<Serving>, request: Request) -> Response {
    let caller = match Caller::of(request) {
        Ok(caller) => caller,
        Err(refusal) => return refusal,
    };
    // A whole graph is one message.
    let max = serving.settings.limits.agent_message;
    let Ok(handshake) = caller.handshake.clone() else {
        let deadline = serving.settings.ws.write_deadline;
        return caller.accept(&serving, max, move |socket| close_at_once(socket, deadline));
    };
    let status = conn_status(&serving, &handshake, caller.addr);
    let Ok(seat) = publications.roster.claim(&handshake.host_id, &status).await else {
        return respond::closing(StatusCode::CONFLICT);
    };
    let kept = serving.clone();
    caller.accept(&serving, max, move |socket| async move {
        let _connected = kept.telemetry.connected(PATH);
        let mut speaker = Speaker::new(socket, kept.clone(), &handshake, max, seat);
        speaker.hear_out();
        let intake = Intake::new(publications.live.clone(), &kept, &handshake);
        let mut session = Session { live: publications.live, serving: kept, speaker, intake };
        let parting = session.talk().await;
        // What follows from the end is done before the host id is free again.
        session.intake.close().await;
        session.speaker.part(parting).await;
    })
}

impl Session {
    async fn talk(&mut self) -> Parting {
        loop {
            let message = match self.speaker.next().await {
                Ok(message) => message,
                Err(parting) => return parting,
            };
            let Heard { request, parting } = self.intake.hear(&mut self.speaker, message).await;
            if let Some(request) = request
                && let Err(parting) = self.answer(request).await
            {
                return parting;
            }
            if let Some(parting) = parting {
                return parting;
            }
        }
    }

    /// Answers a `SyncRequest` with the whole graph.
    async fn answer(&mut self, request: Envelope) -> Result<(), Parting> {
        let asked = GraphMessage::decode(&request, self.serving.clock.now());
        let reply = match asked {
            Ok(GraphMessage::SyncRequest(asked)) if asked.at.is_none() => self.whole_graph(request).await?,
            // There is no past.
            Ok(_) => refused_sync(&request, None),
            Err(fault) => refused_sync(&request, Some(&reason(&fault))),
        };
        let frame = frame(&reply, self.speaker.protocol());
        self.speaker.send([frame]).await
    }

    async fn whole_graph(&mut self, request: Envelope) -> Result<Envelope, Parting> {
        let permit = self.serving.whole_graphs.clone().acquire_owned();
        let permit = self.speaker.during(permit).await?.map_err(|_| stopping())?;
        let snapshot = self.speaker.during(self.live.snapshot()).await?.map_err(|_| stopping())?;
        let writing = spawn_blocking(move || {
            let _permit = permit;
            sync_reply(&request, snapshot)
        });
        self.speaker.during(writing).await?.map_err(|fault| Parting::Lost(fault.to_string()))
    }
}
