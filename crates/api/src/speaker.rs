//! One open WebSocket: pings, deadlines, limits, goodbyes. What is said is the business of the endpoints.

use std::net::SocketAddr;
use std::sync::Arc;
use std::time::Duration;

use bytes::Bytes;
use futures_util::{SinkExt, StreamExt};
use skydive_proto::{ConnStatus, Envelope, Handshake, Protocol, format_rfc3339};
use skydive_value::SmolStr;
use tokio::io::AsyncReadExt;
use tokio::sync::oneshot;
use tokio::time::{Instant, sleep_until, timeout};
use tokio_tungstenite::tungstenite::error::CapacityError;
use tokio_tungstenite::tungstenite::protocol::CloseFrame;
use tokio_tungstenite::tungstenite::{Error as WsError, Message, Utf8Bytes};

use crate::handshake::Socket;
use crate::roster::Seat;
use crate::router::Serving;

/// The server's end of one connection.
pub(crate) struct Speaker {
    socket: Socket,
    serving: Arc<Serving>,
    host_id: SmolStr,
    protocol: Protocol,
    message_max: usize,
    seat: Seat,
    /// Newcomers waiting for a sign of life.
    probing: Vec<oneshot::Sender<()>>,
    ping_at: Instant,
    pong_at: Instant,
}

/// Why a connection ends.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) enum Parting {
    /// The client has closed it.
    Closed,
    /// It broke.
    Lost(String),
    /// The client no longer answers pings.
    NoPong,
    /// The client does not read.
    Stuck,
    /// We close it, with a code and a reason.
    Close(u16, String),
    /// A message was too large; what is left of it has to be taken off the line.
    TooLarge(String),
}

/// Close codes of RFC 6455 and its registry.
pub(crate) mod code {
    pub(crate) const NORMAL: u16 = 1000;
    pub(crate) const GOING_AWAY: u16 = 1001;
    pub(crate) const MALFORMED: u16 = 1007;
    pub(crate) const TOO_LARGE: u16 = 1009;
    pub(crate) const TRY_AGAIN_LATER: u16 = 1013;
}

/// Longest reason that fits into a control frame, bytes.
const REASON_MAX: usize = 123;
/// How long a client may take to answer a goodbye.
const GOODBYE_DEADLINE: Duration = Duration::from_secs(2);
/// Most bytes of an oversized message taken off the line so that its sender sees the goodbye.
const LEFTOVER_MAX: usize = 64 << 20;

impl Speaker {
    pub(crate) fn new(
        socket: Socket,
        serving: Arc<Serving>,
        handshake: &Handshake,
        message_max: usize,
        seat: Seat,
    ) -> Self {
        let now = Instant::now();
        Self {
            socket,
            serving,
            host_id: handshake.host_id.clone(),
            protocol: handshake.protocol,
            message_max,
            seat,
            probing: Vec::new(),
            // Some clients act only on the first ping.
            ping_at: now,
            pong_at: now,
        }
    }

    pub(crate) fn protocol(&self) -> Protocol {
        self.protocol
    }

    /// The next message, or why there will be none. Keeps the connection alive meanwhile. Safe to drop while waiting.
    pub(crate) async fn next(&mut self) -> Result<Envelope, Parting> {
        let (ping_delay, late) = {
            let ws = &self.serving.settings.ws;
            (ws.ping_delay, ws.ping_delay + ws.pong_timeout)
        };
        loop {
            if self.ping_at <= Instant::now() {
                self.ping_at = Instant::now() + ping_delay;
                self.ping().await;
            }
            let (stop, evicted) = (&self.serving.stop, &self.seat.evicted);
            tokio::select! {
                biased;
                () = evicted.cancelled() => return Err(Parting::NoPong),
                () = stop.cancelled() => return Err(Parting::Close(code::GOING_AWAY, "stopping".to_owned())),
                read = self.socket.next() => {
                    if let Some(message) = self.judge(read)? {
                        return Ok(message);
                    }
                }
                Some(proven) = self.seat.probes.recv() => {
                    self.probing.push(proven);
                    self.ping().await;
                }
                () = sleep_until(self.ping_at) => {}
                () = sleep_until(self.pong_at + late) => return Err(Parting::NoPong),
            }
        }
    }

    /// Writes frames, within the write deadline.
    pub(crate) async fn send(&mut self, frames: impl IntoIterator<Item = Message>) -> Result<(), Parting> {
        let (socket, evicted) = (&mut self.socket, &self.seat.evicted);
        let written = async {
            for frame in frames {
                socket.feed(frame).await?;
            }
            socket.flush().await
        };
        tokio::select! {
            () = evicted.cancelled() => Err(Parting::NoPong),
            written = timeout(self.serving.settings.ws.write_deadline, written) => match written {
                Ok(Ok(())) => Ok(()),
                Ok(Err(error)) => Err(Parting::Lost(error.to_string())),
                Err(_) => Err(Parting::Stuck),
            },
        }
    }

    /// Ends the connection: says why, if there is something to say, and gives the client a moment to hear it.
    pub(crate) async fn part(mut self, parting: Parting) {
        tracing::debug!(host_id = %self.host_id, ?parting, "WebSocket ends");
        let (code, reason) = match &parting {
            Parting::Close(code, reason) => (*code, reason.as_str()),
            Parting::TooLarge(reason) => (code::TOO_LARGE, reason.as_str()),
            Parting::Closed => {
                // The answer to the client's goodbye is in the buffer.
                let _ = timeout(GOODBYE_DEADLINE, self.socket.flush()).await;
                return;
            }
            Parting::Lost(_) | Parting::NoPong | Parting::Stuck => return,
        };
        let deadline = self.serving.settings.ws.write_deadline;
        goodbye(self.socket, code, reason, deadline, matches!(parting, Parting::TooLarge(_))).await;
    }

    async fn ping(&mut self) {
        // A connection that cannot be written to may still hold messages to be read: its end is seen there, or by
        // the missing pong.
        let _ =
            timeout(self.serving.settings.ws.write_deadline, self.socket.send(Message::Ping(Bytes::new())))
                .await;
    }

    fn judge(&mut self, read: Option<Result<Message, WsError>>) -> Result<Option<Envelope>, Parting> {
        let frame = match read {
            None => return Err(Parting::Closed),
            Some(Ok(Message::Text(text))) => text.into(),
            Some(Ok(Message::Binary(bytes))) => bytes,
            Some(Ok(Message::Pong(_))) => {
                self.pong_at = Instant::now();
                for proven in self.probing.drain(..) {
                    // A newcomer that no longer waits needs no proof.
                    let _ = proven.send(());
                }
                return Ok(None);
            }
            Some(Ok(Message::Ping(_) | Message::Frame(_))) => return Ok(None),
            Some(Ok(Message::Close(_))) => return Err(Parting::Closed),
            Some(Err(WsError::Capacity(CapacityError::MessageTooLong { size, max_size }))) => {
                self.serving.telemetry.oversized_message(&self.host_id, size, max_size);
                return Err(Parting::TooLarge(format!(
                    "message of {size} bytes exceeds the limit of {max_size}"
                )));
            }
            Some(Err(WsError::Utf8(_))) => return Err(self.malformed("text frame is not UTF-8")),
            Some(Err(error)) => return Err(Parting::Lost(error.to_string())),
        };
        match Envelope::decode(self.protocol, frame, self.message_max) {
            Ok(message) => Ok(Some(message)),
            Err(fault) => Err(self.malformed(&fault.to_string())),
        }
    }

    /// Counts a message that makes no sense; the connection ends with the reason.
    pub(crate) fn malformed(&self, reason: &str) -> Parting {
        self.serving.telemetry.malformed_message(&self.host_id, reason);
        Parting::Close(code::MALFORMED, reason.to_owned())
    }
}

/// Closes a connection that never became one: parameters of the handshake make no sense.
pub(crate) async fn close_at_once(socket: Socket, deadline: Duration) {
    goodbye(socket, code::NORMAL, "", deadline, false).await;
}

/// A message as a frame of the protocol.
pub(crate) fn frame(message: &Envelope, protocol: Protocol) -> Message {
    let bytes = message.encode(protocol);
    match protocol {
        Protocol::Protobuf => Message::Binary(bytes),
        // JSON is made of text; a payload that claims to be JSON and is not even text is left out.
        Protocol::Json => Message::Text(Utf8Bytes::try_from(bytes).unwrap_or_else(|_| {
            let empty = Envelope { obj: Bytes::new(), ..message.clone() };
            String::from_utf8_lossy(&empty.encode(protocol)).into_owned().into()
        })),
    }
}

/// What statuses tell of a connection.
pub(crate) fn conn_status(serving: &Serving, handshake: &Handshake, addr: SocketAddr) -> ConnStatus {
    ConnStatus {
        service_type: handshake.client_type.to_string(),
        client_protocol: handshake.protocol.as_str().to_owned(),
        addr: addr.ip().to_string(),
        port: addr.port(),
        is_connected: true,
        connect_time: format_rfc3339(serving.clock.now()),
        remote_host: handshake.host_id.to_string(),
        remote_service_type: handshake.client_type.to_string(),
    }
}

async fn goodbye(mut socket: Socket, code: u16, reason: &str, deadline: Duration, has_leftover: bool) {
    let frame = CloseFrame { code: code.into(), reason: shortened(reason).into() };
    if !matches!(timeout(deadline, socket.close(Some(frame))).await, Ok(Ok(()))) {
        return;
    }
    // A socket closed with unread bytes resets the connection, and the client might not see why.
    let heard = async {
        if has_leftover {
            let (mut room, mut taken) = (vec![0; 64 << 10], 0);
            while let Ok(n @ 1..) = socket.get_mut().read(&mut room).await {
                taken += n;
                if taken > LEFTOVER_MAX {
                    break;
                }
            }
        } else {
            while let Some(Ok(_)) = socket.next().await {}
        }
    };
    let _ = timeout(GOODBYE_DEADLINE, heard).await;
}

fn shortened(reason: &str) -> &str {
    let mut end = reason.len().min(REASON_MAX);
    while !reason.is_char_boundary(end) {
        end -= 1;
    }
    &reason[..end]
}
