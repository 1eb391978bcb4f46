//! `POST /api/pcap`: packets of a capture file, given to who makes flows of them.
//!
//! The body is handed on piece by piece as it comes, so that its size is bounded by
//! [`skydive_proto::Limits::capture_file`] and not by memory.

use std::sync::Arc;

use axum::body::Bytes;
use axum::extract::Request;
use axum::response::{IntoResponse, Response};
use http::header::CONTENT_TYPE;
use http::{HeaderValue, StatusCode};
use http_body_util::BodyExt;
use serde_json::json;
use skydive_graph::BoxFuture;
use skydive_proto::{Shape, media};
use thiserror::Error;
use tokio::sync::mpsc;
use tokio::time::timeout;

use crate::openapi::{FLOWS, Operation};
use crate::permission::Guard;
use crate::respond;
use crate::route::Route;
use crate::router::Serving;

/// Makes flows of capture files.
pub trait PcapImport: Send + Sync {
    /// Reads a file as it comes. Nothing of it is kept when it is not read to its [`Piece::End`].
    fn import(&self, pieces: mpsc::Receiver<Piece>) -> BoxFuture<'_, Result<(), ImportFault>>;
}

/// A part of a file.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Piece {
    /// Bytes that follow those before.
    Bytes(Bytes),
    /// There are no more. Pieces that end without it are not the whole file.
    End,
}

/// A file that is not imported.
#[derive(Clone, Debug, PartialEq, Eq, Error)]
pub enum ImportFault {
    /// It is no capture file, or a damaged one.
    #[error("{0}")]
    Damaged(String),
    /// Nobody imports files any more.
    #[error("capture files are no longer imported")]
    Stopped,
}

const PATH: &str = "/api/pcap";
/// Pieces on their way to who reads them.
const PIECES: usize = 4;
/// Most bytes of a file taken off the line after it was refused, so that its sender sees why.
const LEFTOVER_MAX: usize = 64 << 20;

pub(crate) fn route(import: Arc<dyn PcapImport>, serving: &Arc<Serving>) -> Route {
    let serving = serving.clone();
    let binary = Shape::inline(json!({ "type": "string", "format": "binary" }));
    let operation = Operation::new(FLOWS, "pcap_import", "Make flows of a capture file")
        .about(
            "A file of pcap or pcapng, whatever its content type. Its packets are counted at the times that they carry. \
             The flows are told to subscribers of flows, and queries find them until `flow.expire` is over.",
        )
        .body(media::BYTES, binary)
        .empty(202, "The flows are there")
        .refusal(400, "It is no capture file, or a damaged one; nothing of it is kept")
        .refusal(503, "The program is about to end");
    let action = move |request: Request| async move { take(&*import, &serving, request).await };
    Route::new(PATH, Guard::Resource("pcap")).post(operation, action)
}

async fn take(import: &dyn PcapImport, serving: &Serving, request: Request) -> Response {
    let (pieces, incoming) = mpsc::channel(PIECES);
    let (fed, imported) = tokio::join!(feed(request, serving, pieces), import.import(incoming));
    match (fed, imported) {
        (Err(refusal), _) => refusal,
        (Ok(()), Ok(())) => {
            let json = HeaderValue::from_static(media::JSON);
            (StatusCode::ACCEPTED, [(CONTENT_TYPE, json)]).into_response()
        }
        (Ok(()), Err(fault @ ImportFault::Damaged(_))) => respond::malformed(serving, &fault.to_string()),
        (Ok(()), Err(fault @ ImportFault::Stopped)) => {
            respond::error(StatusCode::SERVICE_UNAVAILABLE, fault.to_string())
        }
    }
}

/// Hands the body on. A refusal when it is too large, breaks off or does not come; whoever reads it hears no end then.
async fn feed(request: Request, serving: &Serving, pieces: mpsc::Sender<Piece>) -> Result<(), Response> {
    let max = serving.settings.limits.capture_file;
    respond::admit_length(&request, max, serving)?;
    let (mut body, mut taken, mut left_over) = (request.into_body(), 0, 0);
    loop {
        let Ok(frame) = timeout(serving.settings.progress, body.frame()).await else {
            return Err(respond::not_coming());
        };
        let bytes = match frame {
            None => break,
            // Trailers say nothing here.
            Some(Ok(frame)) => frame.into_data().unwrap_or_default(),
            Some(Err(fault)) => {
                return Err(respond::malformed(serving, &format!("request body breaks off: {fault}")));
            }
        };
        taken += bytes.len();
        if taken > max {
            return Err(respond::too_large(max, serving));
        }
        let size = bytes.len();
        if pieces.is_closed() || pieces.send(Piece::Bytes(bytes)).await.is_err() {
            left_over += size;
            if left_over > LEFTOVER_MAX {
                return Ok(());
            }
        }
    }
    // Who has gone has said why.
    let _ = pieces.send(Piece::End).await;
    Ok(())
}
