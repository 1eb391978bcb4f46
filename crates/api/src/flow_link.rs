//! `/ws/agent/flow`: where agents bring flows that do not come as datagrams.
//!
//! Each message is a flow message without an envelope. A message that makes no sense is the business of who takes it:
//! the connection stays.

use std::sync::Arc;

use axum::extract::Request;
use axum::response::Response;
use http::StatusCode;

use crate::handshake::Caller;
use crate::route::Route;
use crate::router::Serving;
use crate::speaker::{Speaker, close_at_once, conn_status};
use crate::{Roster, respond};

/// Takes flow messages.
pub trait FlowLink: Send + Sync {
    /// A message from an agent. Never waits.
    fn message(&self, message: &[u8]);
}

/// The endpoint for flows of agents.
#[derive(Clone)]
pub struct FlowEndpoint {
    /// Takes what comes.
    pub link: Arc<dyn FlowLink>,
    /// Who is connected.
    pub roster: Roster,
}

/// Largest message taken, bytes: ten flows with their packets are less than half of that.
pub const FLOW_MESSAGE_MAX: usize = 1 << 20;

const PATH: &str = "/ws/agent/flow";

pub(crate) fn route(endpoint: FlowEndpoint, serving: &Arc<Serving>) -> Route {
    let serving = serving.clone();
    let action = move |request: Request| async move { connect(endpoint, serving, request).await };
    Route::socket(PATH, action)
}

async fn connect(endpoint: FlowEndpoint, serving: Arc<Serving>, request: Request) -> Response {
    let caller = match Caller::of(request) {
        Ok(caller) => caller,
        Err(refusal) => return refusal,
    };
    let Ok(handshake) = caller.handshake.clone() else {
        let deadline = serving.settings.ws.write_deadline;
        return caller.accept(&serving, FLOW_MESSAGE_MAX, move |socket| close_at_once(socket, deadline));
    };
    let status = conn_status(&serving, &handshake, caller.addr);
    let Ok(seat) = endpoint.roster.claim(&handshake.host_id, &status).await else {
        return respond::closing(StatusCode::CONFLICT);
    };
    let kept = serving.clone();
    caller.accept(&serving, FLOW_MESSAGE_MAX, move |socket| async move {
        let _connected = kept.telemetry.connected(PATH);
        let mut speaker = Speaker::new(socket, kept, &handshake, FLOW_MESSAGE_MAX, seat);
        // An agent that ends has said what it said.
        speaker.hear_out();
        let parting = loop {
            match speaker.next_frame().await {
                Ok(message) => endpoint.link.message(&message),
                Err(parting) => break parting,
            }
        };
        speaker.part(parting).await;
    })
}
