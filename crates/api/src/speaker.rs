//! One open WebSocket: pings, deadlines, limits, goodbyes. What is said is the business of the endpoints.
//!
//! The connection is kept alive while its endpoint waits for a message, works on one ([`Speaker::during`]) or sends
//! ([`Speaker::send`]): pings go out, and one message is read ahead, behind which a pong may be. Nothing more is read
//! before that message is taken, so a client cannot fill the memory.

use std::future::poll_fn;
use std::net::SocketAddr;
use std::pin::{Pin, pin};
use std::sync::Arc;
use std::task::{Context, Poll, ready};
use std::time::Duration;

use bytes::Bytes;
use futures_util::{FutureExt, SinkExt, StreamExt};
use skydive_proto::{ConnStatus, Envelope, EnvelopeError, Handshake, Protocol, format_rfc3339, reason};
use skydive_value::SmolStr;
use tokio::io::AsyncReadExt;
use tokio::task::{JoinHandle, spawn_blocking};
use tokio::time::{Instant, Sleep, sleep_until, timeout};
use tokio_tungstenite::tungstenite::error::CapacityError;
use tokio_tungstenite::tungstenite::protocol::CloseFrame;
use tokio_tungstenite::tungstenite::{Error as WsError, Message, Utf8Bytes};

use crate::handshake::Socket;
use crate::pulse::Pulse;
use crate::roster::Seat;
use crate::router::Serving;
use crate::telemetry::Dropped;

/// The server's end of one connection.
pub(crate) struct Speaker {
    socket: Socket,
    serving: Arc<Serving>,
    host_id: SmolStr,
    protocol: Protocol,
    message_max: usize,
    seat: Seat,
    pulse: Pulse,
    /// Wakes for what `pulse` has to do next.
    alarm: Pin<Box<Sleep>>,
    /// What was read while something else was done; nothing more is read before it is taken.
    ahead: Option<Ahead>,
    /// A large message that is being decoded.
    decoding: Option<JoinHandle<Result<Envelope, EnvelopeError>>>,
    /// Bytes of the socket at the last look.
    seen: Seen,
    /// Whether the socket holds frames that are not written yet.
    unflushed: bool,
    /// What becomes of a message that makes no sense.
    nonsense: Nonsense,
}

/// What becomes of a message that makes no sense.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Nonsense {
    /// The connection ends with the reason.
    Ends,
    /// It is dropped and counted.
    Dropped,
}

#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
struct Seen {
    read: u64,
    written: u64,
}

/// What comes next.
enum Ahead {
    Frame(Bytes),
    End(Parting),
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
/// Messages larger than this, in bytes, are decoded off the threads that serve everybody.
const LARGE: usize = 1 << 20;

impl Speaker {
    pub(crate) fn new(
        socket: Socket,
        serving: Arc<Serving>,
        handshake: &Handshake,
        message_max: usize,
        seat: Seat,
    ) -> Self {
        let now = Instant::now();
        let ws = serving.settings.ws;
        Self {
            socket,
            host_id: handshake.host_id.clone(),
            protocol: handshake.protocol,
            message_max,
            seat,
            pulse: Pulse::new(ws.ping_delay, ws.pong_timeout, now),
            alarm: Box::pin(sleep_until(now)),
            ahead: None,
            decoding: None,
            seen: Seen::default(),
            unflushed: false,
            nonsense: Nonsense::Ends,
            serving,
        }
    }

    /// For clients that say much and listen little: messages that make no sense are dropped and counted, and all that
    /// was received before the end is heard, even when nothing can be written any more.
    pub(crate) fn hear_out(&mut self) {
        self.nonsense = Nonsense::Dropped;
        self.socket.get_mut().read_to_the_end();
    }

    /// Where statuses tell of this connection.
    pub(crate) fn seat(&self) -> &Seat {
        &self.seat
    }

    pub(crate) fn protocol(&self) -> Protocol {
        self.protocol
    }

    /// The next message, or why there will be none. Keeps the connection alive meanwhile. Safe to drop while waiting.
    pub(crate) async fn next(&mut self) -> Result<Envelope, Parting> {
        self.hear(Self::poll_heard).await
    }

    /// The same as it came, for endpoints whose messages have no envelope.
    pub(crate) async fn next_frame(&mut self) -> Result<Bytes, Parting> {
        self.hear(|speaker, _| match speaker.ahead.take() {
            None => Poll::Pending,
            Some(Ahead::End(parting)) => Poll::Ready(Err(parting)),
            Some(Ahead::Frame(frame)) => Poll::Ready(Ok(frame)),
        })
        .await
    }

    /// What `poll_heard` makes of what is read; pending when it passes over it.
    async fn hear<T>(
        &mut self,
        mut poll_heard: impl FnMut(&mut Self, &mut Context<'_>) -> Poll<Result<T, Parting>>,
    ) -> Result<T, Parting> {
        self.pulse.was_away(Instant::now());
        let stop = self.serving.stop.clone();
        let mut stopped = pin!(stop.cancelled());
        poll_fn(|cx| {
            self.account();
            if stopped.as_mut().poll(cx).is_ready() {
                return Poll::Ready(Err(Parting::Close(code::GOING_AWAY, "stopping".to_owned())));
            }
            loop {
                if let Poll::Ready(heard) = poll_heard(self, cx) {
                    return Poll::Ready(heard);
                }
                if let Poll::Ready(parting) = self.poll_alive(cx, false) {
                    return Poll::Ready(Err(parting));
                }
                if self.decoding.is_some() || self.ahead.is_none() {
                    return Poll::Pending;
                }
            }
        })
        .await
    }

    /// Keeps the connection alive until `work` is done.
    pub(crate) async fn during<T>(&mut self, work: impl Future<Output = T>) -> Result<T, Parting> {
        let mut work = pin!(work);
        self.pulse.was_away(Instant::now());
        poll_fn(|cx| {
            self.account();
            let done = work.as_mut().poll(cx);
            // Work that computes hears nothing.
            self.pulse.was_away(Instant::now());
            match done {
                Poll::Ready(done) => Poll::Ready(Ok(done)),
                Poll::Pending => self.poll_alive(cx, false).map(Err),
            }
        })
        .await
    }

    /// Writes frames. The client may take as long as it likes for all of them, but within the write deadline it has
    /// to take something.
    pub(crate) async fn send(&mut self, frames: impl IntoIterator<Item = Message>) -> Result<(), Parting> {
        let deadline = self.serving.settings.ws.write_deadline;
        let mut frames = frames.into_iter();
        let mut taken = self.socket.get_ref().written();
        let mut stuck = pin!(sleep_until(Instant::now() + deadline));
        self.pulse.was_away(Instant::now());
        let sent = poll_fn(|cx| {
            self.account();
            if let Poll::Ready(written) = self.poll_write(cx, &mut frames) {
                return Poll::Ready(written.map_err(|error| Parting::Lost(error.to_string())));
            }
            let now_taken = self.socket.get_ref().written();
            if now_taken != taken {
                taken = now_taken;
                stuck.as_mut().reset(Instant::now() + deadline);
            }
            if stuck.as_mut().poll(cx).is_ready() {
                return Poll::Ready(Err(Parting::Stuck));
            }
            self.poll_alive(cx, true).map(Err)
        })
        .await;
        match (sent, &self.ahead) {
            // The client has said why before it stopped reading.
            (Err(Parting::Lost(_)), Some(Ahead::End(parting))) => Err(parting.clone()),
            (sent, _) => sent,
        }
    }

    /// Ends the connection: says why, if there is something to say, and gives the client a moment to hear it.
    pub(crate) async fn part(self, parting: Parting) {
        let Self { mut socket, serving, seat, host_id, .. } = self;
        // A goodbye may take long; who comes back meanwhile need not wait for it.
        drop(seat);
        tracing::debug!(%host_id, ?parting, "WebSocket ends");
        let (code, reason) = match &parting {
            Parting::Close(code, reason) => (*code, reason.as_str()),
            Parting::TooLarge(reason) => (code::TOO_LARGE, reason.as_str()),
            Parting::Closed => {
                // The answer to the client's goodbye is in the buffer.
                let _ = timeout(GOODBYE_DEADLINE, socket.flush()).await;
                return;
            }
            Parting::Lost(_) | Parting::NoPong | Parting::Stuck => return,
        };
        let deadline = serving.settings.ws.write_deadline;
        goodbye(socket, code, reason, deadline, matches!(parting, Parting::TooLarge(_))).await;
    }

    /// Whether the time since the last look was spent listening.
    fn account(&mut self) {
        let now = Instant::now();
        if self.ahead.is_none() { self.pulse.listened(now) } else { self.pulse.was_away(now) }
    }

    /// The next message out of what was read.
    fn poll_heard(&mut self, cx: &mut Context<'_>) -> Poll<Result<Envelope, Parting>> {
        if self.decoding.is_none() {
            match self.ahead.take() {
                None => return Poll::Pending,
                Some(Ahead::End(parting)) => return Poll::Ready(Err(parting)),
                Some(Ahead::Frame(frame)) => {
                    let (protocol, max) = (self.protocol, self.message_max);
                    if frame.len() <= LARGE {
                        return self.decoded(Envelope::decode(protocol, frame, max));
                    }
                    self.decoding = Some(spawn_blocking(move || Envelope::decode(protocol, frame, max)));
                }
            }
        }
        let Some(decoding) = &mut self.decoding else { return Poll::Pending };
        let decoded = ready!(decoding.poll_unpin(cx));
        self.decoding = None;
        match decoded {
            Ok(decoded) => self.decoded(decoded),
            Err(broken) => Poll::Ready(Err(Parting::Lost(broken.to_string()))),
        }
    }

    /// What a message means; pending when it is passed over.
    fn decoded(&self, decoded: Result<Envelope, EnvelopeError>) -> Poll<Result<Envelope, Parting>> {
        match (decoded, self.nonsense) {
            (Ok(message), _) => Poll::Ready(Ok(message)),
            (Err(fault), Nonsense::Ends) => Poll::Ready(Err(self.malformed(&reason(&fault)))),
            (Err(fault), Nonsense::Dropped) => {
                self.serving.telemetry.dropped_message(&self.host_id, Dropped::Malformed, &reason(&fault));
                Poll::Pending
            }
        }
    }

    /// Reads ahead, pings, answers newcomers. Ready when the connection has to end.
    fn poll_alive(&mut self, cx: &mut Context<'_>, is_writing: bool) -> Poll<Parting> {
        while let Poll::Ready(Some(proven)) = self.seat.probes.poll_recv(cx) {
            self.pulse.probe(proven);
        }
        let was_blocked = self.unflushed;
        while self.ahead.is_none()
            && let Poll::Ready(read) = self.socket.poll_next_unpin(cx)
        {
            self.ahead = self.judge(read);
        }
        self.poll_ping(cx);
        let stream = self.socket.get_ref();
        let seen = Seen { read: stream.read(), written: stream.written() };
        // What the system takes after it took no more was taken by the other end.
        if seen.read != self.seen.read || was_blocked && seen.written != self.seen.written {
            self.pulse.heard();
        }
        self.seen = seen;
        if self.pulse.is_silent(is_writing) {
            return Poll::Ready(Parting::NoPong);
        }
        let look_at = self.pulse.look_at(is_writing);
        if self.alarm.deadline() != look_at {
            self.alarm.as_mut().reset(look_at);
        }
        if self.alarm.as_mut().poll(cx).is_ready() {
            cx.waker().wake_by_ref();
        }
        Poll::Pending
    }

    /// Sends a ping when one is due, behind what is being written. A connection that cannot be written to may still
    /// hold messages to be read: its end is seen there, or by the missing pong.
    fn poll_ping(&mut self, cx: &mut Context<'_>) {
        if self.pulse.ping_is_due() {
            self.pulse.pinged();
            if let Poll::Ready(Ok(())) = self.socket.poll_ready_unpin(cx) {
                let _ = self.socket.start_send_unpin(Message::Ping(Bytes::new()));
                self.unflushed = true;
            }
        }
        if self.unflushed && self.socket.poll_flush_unpin(cx).is_ready() {
            self.unflushed = false;
        }
    }

    fn poll_write(
        &mut self,
        cx: &mut Context<'_>,
        frames: &mut impl Iterator<Item = Message>,
    ) -> Poll<Result<(), WsError>> {
        loop {
            ready!(self.socket.poll_ready_unpin(cx))?;
            let Some(frame) = frames.next() else { break };
            self.unflushed = true;
            self.socket.start_send_unpin(frame)?;
        }
        ready!(self.socket.poll_flush_unpin(cx))?;
        self.unflushed = false;
        Poll::Ready(Ok(()))
    }

    /// What a read means; `None` for what only shows that the client lives.
    fn judge(&mut self, read: Option<Result<Message, WsError>>) -> Option<Ahead> {
        let parting = match read {
            Some(Ok(Message::Text(text))) => return Some(Ahead::Frame(text.into())),
            Some(Ok(Message::Binary(bytes))) => return Some(Ahead::Frame(bytes)),
            Some(Ok(Message::Ping(_) | Message::Pong(_) | Message::Frame(_))) => return None,
            None | Some(Ok(Message::Close(_))) => Parting::Closed,
            Some(Err(WsError::Capacity(CapacityError::MessageTooLong { size, max_size }))) => {
                self.serving.telemetry.oversized_message(&self.host_id, size, max_size);
                Parting::TooLarge(format!("message of {size} bytes exceeds the limit of {max_size}"))
            }
            Some(Err(WsError::Utf8(_))) => self.malformed("text frame is not UTF-8"),
            Some(Err(error)) => Parting::Lost(error.to_string()),
        };
        Some(Ahead::End(parting))
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
        ..ConnStatus::default()
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
