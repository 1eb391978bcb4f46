//! From an HTTP request to a WebSocket.
//!
//! Done here and not by axum, because the answers are those of the original: 426 for anything that is no handshake,
//! 409 for a host id that is taken, and a connection that is opened and closed at once for parameters that make no
//! sense.

use std::cell::Cell;
use std::future::Future;
use std::net::SocketAddr;
use std::sync::Arc;

use axum::body::Body;
use axum::extract::{Query, Request};
use axum::response::Response;
use http::header::{CONNECTION, SEC_WEBSOCKET_ACCEPT, SEC_WEBSOCKET_KEY, SEC_WEBSOCKET_VERSION, UPGRADE};
use http::{HeaderMap, HeaderName, HeaderValue, StatusCode};
use hyper::upgrade::{OnUpgrade, Upgraded};
use hyper_util::rt::TokioIo;
use skydive_proto::{Handshake, HandshakeError, header};
use skydive_value::SmolStr;
use tokio_tungstenite::WebSocketStream;
use tokio_tungstenite::tungstenite::handshake::derive_accept_key;
use tokio_tungstenite::tungstenite::protocol::{Role, WebSocketConfig};

use crate::respond;
use crate::router::Serving;
use crate::server::PeerAddr;
use crate::traffic::Counted;

/// The server's end of a WebSocket.
pub(crate) type Socket = WebSocketStream<Counted<TokioIo<Upgraded>>>;

/// A request that is a WebSocket handshake.
pub(crate) struct Caller {
    /// What it says of itself; the host id is never empty.
    pub(crate) handshake: Result<Handshake, HandshakeError>,
    /// Where it calls from.
    pub(crate) addr: SocketAddr,
    accept: HeaderValue,
    upgrade: OnUpgrade,
}

/// Read buffer of a connection, bytes; grows for larger messages.
const READ_BUFFER: usize = 4 << 10;
/// Bytes collected before a write.
const WRITE_BUFFER: usize = 32 << 10;

impl Caller {
    /// Reads the request, or refuses it.
    #[expect(clippy::result_large_err, reason = "the refusal is the answer, made once per request")]
    pub(crate) fn of(mut request: Request) -> Result<Self, Response> {
        let no_handshake = || respond::closing(StatusCode::UPGRADE_REQUIRED);
        let headers = request.headers();
        let is_upgrade = lists(headers, &CONNECTION, "upgrade")
            && lists(headers, &UPGRADE, "websocket")
            && headers.get(SEC_WEBSOCKET_VERSION).is_some_and(|version| version == "13");
        let key = headers.get(SEC_WEBSOCKET_KEY).filter(|_| is_upgrade).ok_or_else(no_handshake)?;
        let accept = HeaderValue::from_str(&derive_accept_key(key.as_bytes())).map_err(|_| no_handshake())?;
        let addr = request.extensions().get::<PeerAddr>().ok_or_else(no_handshake)?.0;
        let mut handshake = parameters(&request);
        if let Ok(handshake) = &mut handshake
            && handshake.host_id.is_empty()
        {
            handshake.host_id = SmolStr::from(addr.to_string());
        }
        let upgrade = request.extensions_mut().remove::<OnUpgrade>().ok_or_else(no_handshake)?;
        Ok(Self { handshake, addr, accept, upgrade })
    }

    /// Accepts: the answer for the caller; `session` runs once the connection is open, in a task of its own.
    pub(crate) fn accept<F>(
        self,
        serving: &Arc<Serving>,
        message_max: usize,
        session: impl FnOnce(Socket) -> F + Send + 'static,
    ) -> Response
    where
        F: Future<Output = ()> + Send,
    {
        let upgrade = self.upgrade;
        serving.tasks.spawn(async move {
            let io = match upgrade.await {
                Ok(io) => Counted::new(TokioIo::new(io)),
                Err(error) => {
                    tracing::debug!(%error, "WebSocket not opened");
                    return;
                }
            };
            let config = WebSocketConfig::default()
                .read_buffer_size(READ_BUFFER)
                .write_buffer_size(WRITE_BUFFER)
                .max_message_size(Some(message_max))
                .max_frame_size(Some(message_max));
            session(WebSocketStream::from_raw_socket(io, Role::Server, Some(config)).await).await;
        });
        let mut response = Response::new(Body::empty());
        *response.status_mut() = StatusCode::SWITCHING_PROTOCOLS;
        let headers = response.headers_mut();
        headers.insert(CONNECTION, HeaderValue::from_static("Upgrade"));
        headers.insert(UPGRADE, HeaderValue::from_static("websocket"));
        headers.insert(SEC_WEBSOCKET_ACCEPT, self.accept);
        for (name, value) in
            [(header::HOST_ID, &serving.identity.host), (header::SERVICE_TYPE, &serving.identity.service)]
        {
            if let Ok(value) = HeaderValue::from_bytes(value.as_bytes()) {
                headers.insert(name, value);
            }
        }
        response
    }
}

/// The parameters of the handshake: headers first, then the query of the address.
fn parameters(request: &Request) -> Result<Handshake, HandshakeError> {
    let query = Query::<Vec<(String, String)>>::try_from_uri(request.uri());
    let query = query.map(|Query(pairs)| pairs).unwrap_or_default();
    let unreadable = Cell::new(None);
    let handshake = Handshake::parse(|name| {
        let mut values = Vec::new();
        for value in request.headers().get_all(name) {
            match str::from_utf8(value.as_bytes()) {
                Ok(value) => values.push(value.to_owned()),
                Err(_) => {
                    let value = String::from_utf8_lossy(value.as_bytes()).into_owned();
                    unreadable.set(Some(HandshakeError::Unknown { name, value }));
                }
            }
        }
        if !values.is_empty() || name == header::PERSISTENCE_POLICY {
            return values;
        }
        query.iter().filter(|(key, _)| key == name).map(|(_, value)| value.clone()).collect()
    });
    unreadable.take().map_or(handshake, Err)
}

fn lists(headers: &HeaderMap, name: &HeaderName, token: &str) -> bool {
    headers
        .get_all(name)
        .into_iter()
        .filter_map(|value| value.to_str().ok())
        .flat_map(|value| value.split(','))
        .any(|listed| listed.trim().eq_ignore_ascii_case(token))
}
