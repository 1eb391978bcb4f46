//! One WebSocket to a server.
//!
//! The owner drives it: messages queued through [`Outgoing`] are written, pings answered and messages read while it
//! awaits [`Connection::next`]. The queue is bounded in messages and bytes; who fills it waits. A connection on which no byte arrives for
//! longer than the server's ping interval allows is taken for dead; time in which nobody awaited `next` does not count.

use std::collections::VecDeque;
use std::future::poll_fn;
use std::io;
use std::pin::pin;
use std::sync::Arc;
use std::task::{Context, Poll, ready};
use std::time::Duration;

use bytes::Bytes;
use futures_util::{SinkExt, StreamExt};
use http::StatusCode;
use skydive_proto::{Envelope, EnvelopeError, Handshake, Protocol, header};
use skydive_value::SmolStr;
use thiserror::Error;
use tokio::sync::{OwnedSemaphorePermit, Semaphore, mpsc};
use tokio::time::{Instant, sleep_until, timeout};
use tokio_tungstenite::WebSocketStream;
use tokio_tungstenite::tungstenite::client::IntoClientRequest;
use tokio_tungstenite::tungstenite::error::CapacityError;
use tokio_tungstenite::tungstenite::handshake::client::Request;
use tokio_tungstenite::tungstenite::http::{HeaderName, HeaderValue};
use tokio_tungstenite::tungstenite::protocol::WebSocketConfig;
use tokio_tungstenite::tungstenite::{Error as WsError, Message};

use crate::Endpoint;
use crate::watched::Watched;

/// Limits and deadlines of a connection.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct ConnectionSettings {
    /// Largest message taken, bytes. A reply to `SyncRequest` is one message.
    pub message_max: usize,
    /// Messages waiting to be written before senders wait.
    pub queue: usize,
    /// Bytes of their payloads before senders wait; a larger message waits alone.
    pub queue_bytes: usize,
    /// How long nothing may arrive. Servers ping every two seconds unless told otherwise.
    pub silence: Duration,
    /// How long the server may take nothing of what is written to it.
    pub write_deadline: Duration,
}

/// Who answered.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct ServerIdentity {
    /// Its host id.
    pub host_id: SmolStr,
    /// `analyzer` or `agent`.
    pub service_type: SmolStr,
}

/// Queues messages for a [`Connection`]; clones share the queue.
#[derive(Clone, Debug)]
pub struct Outgoing {
    queue: mpsc::Sender<Queued>,
    /// As many permits as bytes may wait.
    room: Arc<Semaphore>,
    queue_bytes: u32,
}

/// A message that waits, and its room until it is taken.
#[derive(Debug)]
struct Queued {
    message: Envelope,
    _room: OwnedSemaphorePermit,
}

/// An open connection.
#[derive(Debug)]
pub struct Connection {
    socket: WebSocketStream<Watched>,
    protocol: Protocol,
    server: ServerIdentity,
    queue: mpsc::Receiver<Queued>,
    outgoing: Outgoing,
    /// Taken from the queue, not yet handed to the socket.
    pending: VecDeque<Message>,
    /// Whether the socket holds frames that are not written yet.
    unflushed: bool,
    settings: ConnectionSettings,
    /// Silence before this moment says nothing: nobody listened.
    listening_since: Instant,
    /// When somebody last listened.
    listened_until: Instant,
}

/// Somebody listens until this is dropped.
struct Listening<'a>(&'a mut Connection);

/// A connection that did not come about.
#[derive(Debug, Error)]
pub enum ConnectError {
    /// The server cannot be reached.
    #[error("cannot reach {url} (is the service running and the address right?)")]
    Unreachable {
        /// Where to.
        url: String,
        /// The cause.
        source: io::Error,
    },
    /// The server has a live connection with the same host id.
    #[error("{url}: host id {host_id:?} is connected already; give every host its own `host_id`")]
    HostIdTaken {
        /// Where to.
        url: String,
        /// Which id.
        host_id: SmolStr,
    },
    /// The server refuses.
    #[error("{url}: refused with status {status}")]
    Refused {
        /// Where to.
        url: String,
        /// HTTP status.
        status: StatusCode,
    },
    /// The answer names neither host nor service.
    #[error("{url}: the answer has no {header}; is this a Skydive service?")]
    Unidentified {
        /// Where to.
        url: String,
        /// What is missing.
        header: &'static str,
    },
    /// The handshake has parameters that HTTP cannot carry.
    #[error("{url}: {name} has a value that does not fit into a header")]
    Parameter {
        /// Where to.
        url: String,
        /// Which parameter.
        name: &'static str,
    },
    /// The handshake went wrong.
    #[error("{url}: {reason}")]
    Handshake {
        /// Where to.
        url: String,
        /// How.
        reason: String,
    },
}

/// Why a connection has ended.
#[derive(Debug, Error)]
pub enum Ended {
    /// The server closed it.
    #[error("closed by the server with code {code}: {reason}")]
    Closed {
        /// Close code; 1005 when there was none.
        code: u16,
        /// Its reason; may be empty.
        reason: String,
    },
    /// It broke.
    #[error("connection lost: {0}")]
    Lost(String),
    /// Nothing arrived, not even a ping.
    #[error("nothing heard for {0:?}")]
    Silent(Duration),
    /// A write made no progress for too long.
    #[error("the server does not read")]
    Stuck,
    /// A message was too large.
    #[error("message of {size} bytes exceeds the limit of {max}")]
    TooLarge {
        /// Its size.
        size: usize,
        /// The limit.
        max: usize,
    },
    /// A message could not be read.
    #[error(transparent)]
    Malformed(#[from] EnvelopeError),
}

/// The queue's other end is gone: the connection was dropped.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Error)]
#[error("the connection is closed")]
pub struct Gone;

/// Close code that stands for none.
const NO_CODE: u16 = 1005;
/// Read buffer, bytes; grows for larger messages.
const READ_BUFFER: usize = 16 << 10;

impl Default for ConnectionSettings {
    fn default() -> Self {
        Self {
            message_max: 512 << 20,
            queue: 10_000,
            queue_bytes: 64 << 20,
            silence: Duration::from_secs(30),
            write_deadline: Duration::from_secs(10),
        }
    }
}

impl Outgoing {
    /// Queues a message; waits while the queue is full.
    pub async fn send(&self, message: Envelope) -> Result<(), Gone> {
        let room = self.room.clone().acquire_many_owned(self.bytes(&message)).await.map_err(|_| Gone)?;
        self.queue.send(Queued { message, _room: room }).await.map_err(|_| Gone)
    }

    /// Queues a message unless the queue is full, which gives it back.
    pub fn try_send(&self, message: Envelope) -> Result<(), Envelope> {
        let Ok(room) = self.room.clone().try_acquire_many_owned(self.bytes(&message)) else {
            return Err(message);
        };
        self.queue.try_send(Queued { message, _room: room }).map_err(|full| full.into_inner().message)
    }

    /// The room a message takes; one that is larger than all of it takes all.
    fn bytes(&self, message: &Envelope) -> u32 {
        u32::try_from(message.obj.len()).unwrap_or(u32::MAX).min(self.queue_bytes)
    }
}

impl Connection {
    /// Connects to `path` and shakes hands.
    pub async fn open(
        endpoint: &Endpoint,
        path: &str,
        handshake: &Handshake,
        settings: ConnectionSettings,
    ) -> Result<Self, ConnectError> {
        let url = endpoint.ws_url(path);
        let request = request(endpoint, &url, handshake)?;
        let stream =
            endpoint.dial().await.map_err(|source| ConnectError::Unreachable { url: url.clone(), source })?;
        let config = WebSocketConfig::default()
            .max_message_size(Some(settings.message_max))
            .max_frame_size(Some(settings.message_max))
            .read_buffer_size(READ_BUFFER);
        let shaken = tokio_tungstenite::client_async_with_config(request, Watched::new(stream), Some(config));
        let (socket, answer) = match timeout(settings.write_deadline, shaken).await {
            Ok(Ok(open)) => open,
            Ok(Err(WsError::Http(answer))) if answer.status() == StatusCode::CONFLICT => {
                return Err(ConnectError::HostIdTaken { url, host_id: handshake.host_id.clone() });
            }
            Ok(Err(WsError::Http(answer))) => {
                return Err(ConnectError::Refused { url, status: answer.status() });
            }
            Ok(Err(error)) => return Err(ConnectError::Handshake { url, reason: error.to_string() }),
            Err(_) => return Err(ConnectError::Handshake { url, reason: "no answer in time".to_owned() }),
        };
        let named = |name: &'static str| {
            let value = answer.headers().get(name).and_then(|value| str::from_utf8(value.as_bytes()).ok());
            value
                .filter(|value| !value.is_empty())
                .map(SmolStr::from)
                .ok_or_else(|| ConnectError::Unidentified { url: url.clone(), header: name })
        };
        let server =
            ServerIdentity { host_id: named(header::HOST_ID)?, service_type: named(header::SERVICE_TYPE)? };
        let (sender, queue) = mpsc::channel(settings.queue.max(1));
        let queue_bytes = u32::try_from(settings.queue_bytes).unwrap_or(u32::MAX);
        let room = Arc::new(Semaphore::new(queue_bytes as usize));
        let outgoing = Outgoing { queue: sender, room, queue_bytes };
        let now = Instant::now();
        Ok(Self {
            socket,
            protocol: handshake.protocol,
            server,
            queue,
            outgoing,
            pending: VecDeque::new(),
            unflushed: false,
            settings,
            listening_since: now,
            listened_until: now,
        })
    }

    /// Who answered.
    pub fn server(&self) -> &ServerIdentity {
        &self.server
    }

    /// The address of this end.
    pub fn local_addr(&self) -> io::Result<std::net::SocketAddr> {
        self.socket.get_ref().tcp.local_addr()
    }

    /// A way to queue messages from elsewhere.
    pub fn outgoing(&self) -> Outgoing {
        self.outgoing.clone()
    }

    /// Writes a message now, before those that are queued.
    pub async fn send(&mut self, message: &Envelope) -> Result<(), Ended> {
        self.pending.push_back(frame(message, self.protocol));
        self.write_pending().await
    }

    /// The same for a message without an envelope.
    pub async fn send_bytes(&mut self, message: Bytes) -> Result<(), Ended> {
        self.pending.push_back(Message::Binary(message));
        self.write_pending().await
    }

    /// The next message, or why there will be none. Queued messages are written meanwhile. Safe to drop while
    /// waiting; a message is either given out or still to come, and one taken from the queue is written by the next
    /// call at the latest.
    pub async fn next(&mut self) -> Result<Envelope, Ended> {
        loop {
            // A server that talks without pause must not keep what is queued from going out.
            if self.pending.is_empty()
                && let Ok(message) = self.queue.try_recv()
            {
                self.take_queued(message);
            }
            self.write_pending().await?;
            let listening = Listening::start(self);
            let connection = &mut *listening.0;
            let silent_at = connection.silent_at();
            tokio::select! {
                biased;
                read = connection.socket.next() => if let Some(message) = connection.judge(read)? {
                    return Ok(message);
                },
                Some(message) = connection.queue.recv() => connection.take_queued(message),
                // Part of a message may have come.
                () = sleep_until(silent_at) => if connection.silent_at() <= silent_at {
                    return Err(Ended::Silent(connection.settings.silence));
                },
            }
        }
    }

    /// Writes what is queued and says goodbye.
    pub async fn close(mut self) {
        self.queue.close();
        while let Ok(message) = self.queue.try_recv() {
            self.take_queued(message);
            if self.write_pending().await.is_err() {
                return;
            }
        }
        // The connection ends in any case; a server that does not answer is not waited for.
        let _ = timeout(self.settings.write_deadline, self.socket.close(None)).await;
    }

    fn take_queued(&mut self, first: Queued) {
        let mut bytes = 0;
        let mut next = Some(first);
        while let Some(Queued { message, .. }) = next {
            bytes += message.obj.len();
            self.pending.push_back(frame(&message, self.protocol));
            let is_enough = self.pending.len() >= FRAMES_PER_WRITE || bytes >= BYTES_PER_WRITE;
            next = if is_enough { None } else { self.queue.try_recv().ok() };
        }
    }

    async fn write_pending(&mut self) -> Result<(), Ended> {
        if self.pending.is_empty() && !self.unflushed {
            return Ok(());
        }
        let (socket, pending, unflushed) = (&mut self.socket, &mut self.pending, &mut self.unflushed);
        let deadline = self.settings.write_deadline;
        let mut taken = socket.get_ref().written;
        let mut stuck = pin!(sleep_until(Instant::now() + deadline));
        poll_fn(|cx| {
            if let Poll::Ready(written) = poll_write(socket, pending, unflushed, cx) {
                return Poll::Ready(written.map_err(|error| Ended::Lost(error.to_string())));
            }
            let now_taken = socket.get_ref().written;
            if now_taken != taken {
                taken = now_taken;
                stuck.as_mut().reset(Instant::now() + deadline);
            }
            stuck.as_mut().poll(cx).map(|()| Err(Ended::Stuck))
        })
        .await
    }

    fn silent_at(&self) -> Instant {
        self.socket.get_ref().heard_at.max(self.listening_since) + self.settings.silence
    }

    fn judge(&self, read: Option<Result<Message, WsError>>) -> Result<Option<Envelope>, Ended> {
        let bytes = match read {
            None => return Err(Ended::Lost("end of stream".to_owned())),
            Some(Err(WsError::Capacity(CapacityError::MessageTooLong { size, max_size }))) => {
                return Err(Ended::TooLarge { size, max: max_size });
            }
            Some(Err(error)) => return Err(Ended::Lost(error.to_string())),
            Some(Ok(Message::Close(frame))) => {
                let (code, reason) = frame
                    .map_or((NO_CODE, String::new()), |frame| (frame.code.into(), frame.reason.to_string()));
                return Err(Ended::Closed { code, reason });
            }
            Some(Ok(Message::Text(text))) => text.into(),
            Some(Ok(Message::Binary(bytes))) => bytes,
            Some(Ok(Message::Ping(_) | Message::Pong(_) | Message::Frame(_))) => return Ok(None),
        };
        Ok(Some(Envelope::decode(self.protocol, bytes, self.settings.message_max)?))
    }
}

impl<'a> Listening<'a> {
    fn start(connection: &'a mut Connection) -> Self {
        let now = Instant::now();
        // What nobody listened to is cut out of the silence.
        let heard_at = connection.socket.get_ref().heard_at.max(connection.listening_since);
        connection.listening_since = heard_at + (now - connection.listened_until.max(heard_at));
        Self(connection)
    }
}

impl Drop for Listening<'_> {
    fn drop(&mut self) {
        self.0.listened_until = Instant::now();
    }
}

fn poll_write(
    socket: &mut WebSocketStream<Watched>,
    pending: &mut VecDeque<Message>,
    unflushed: &mut bool,
    cx: &mut Context<'_>,
) -> Poll<Result<(), WsError>> {
    while !pending.is_empty() {
        ready!(socket.poll_ready_unpin(cx))?;
        if let Some(frame) = pending.pop_front() {
            *unflushed = true;
            socket.start_send_unpin(frame)?;
        }
    }
    ready!(socket.poll_flush_unpin(cx))?;
    *unflushed = false;
    Poll::Ready(Ok(()))
}

/// Queued messages that go out before the socket is looked at again.
const FRAMES_PER_WRITE: usize = 256;
/// Bytes of payload after which no more of them are taken.
const BYTES_PER_WRITE: usize = 1 << 20;

fn frame(message: &Envelope, protocol: Protocol) -> Message {
    let bytes = message.encode(protocol);
    match protocol {
        Protocol::Protobuf => Message::Binary(bytes),
        Protocol::Json => match bytes.try_into() {
            Ok(text) => Message::Text(text),
            Err(_) => Message::Text("null".into()),
        },
    }
}

fn request(endpoint: &Endpoint, url: &str, handshake: &Handshake) -> Result<Request, ConnectError> {
    let mut request = url
        .into_client_request()
        .map_err(|error| ConnectError::Handshake { url: url.to_owned(), reason: error.to_string() })?;
    for (name, value) in handshake.headers().into_iter().chain(endpoint.authorization()) {
        let value = HeaderValue::try_from(value)
            .map_err(|_| ConnectError::Parameter { url: url.to_owned(), name })?;
        request.headers_mut().append(HeaderName::from_static(name), value);
    }
    Ok(request)
}

#[cfg(test)]
mod tests {
    use tokio::io::{AsyncReadExt, AsyncWriteExt};
    use tokio::net::{TcpListener, TcpStream};
    use tokio::time::sleep;
    use tokio_tungstenite::tungstenite::handshake::derive_accept_key;

    use super::*;

    const MS: Duration = Duration::from_millis(1);

    /// A connection and the server's end of its socket.
    async fn connected(settings: ConnectionSettings) -> (Connection, TcpStream) {
        let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
        let endpoint = Endpoint::new("127.0.0.1", listener.local_addr().unwrap().port());
        let accepted = async {
            let mut stream = listener.accept().await.unwrap().0;
            let mut head = Vec::new();
            while !head.ends_with(b"\r\n\r\n") {
                head.push(stream.read_u8().await.unwrap());
            }
            let head = String::from_utf8(head).unwrap();
            let key = head.lines().find_map(|line| line.strip_prefix("Sec-WebSocket-Key: ")).unwrap();
            assert!(head.to_lowercase().contains("x-host-id: h\u{f4}te-2\r\n"), "{head}");
            let answer = format!(
                "HTTP/1.1 101 Switching Protocols\r\nConnection: Upgrade\r\nUpgrade: websocket\r\n\
                 Sec-WebSocket-Accept: {}\r\nX-Host-ID: h\u{f4}te\r\nX-Service-Type: analyzer\r\n\r\n",
                derive_accept_key(key.as_bytes())
            );
            stream.write_all(answer.as_bytes()).await.unwrap();
            stream
        };
        let handshake =
            Handshake { host_id: "h\u{f4}te-2".into(), client_type: "agent".into(), ..Handshake::default() };
        let opened = Connection::open(&endpoint, "/", &handshake, settings);
        let (connection, socket) = tokio::join!(opened, accepted);
        (connection.unwrap(), socket)
    }

    fn text_frame(text: &str) -> Vec<u8> {
        let mut frame = vec![0x81, 126];
        frame.extend((text.len() as u16).to_be_bytes());
        frame.extend(text.as_bytes());
        frame
    }

    #[tokio::test]
    async fn a_server_that_takes_something_is_not_stuck() {
        let settings = ConnectionSettings { write_deadline: 300 * MS, ..ConnectionSettings::default() };
        let (mut connection, mut socket) = connected(settings).await;
        assert_eq!(connection.server().host_id, "hôte");
        let slow = tokio::spawn(async move {
            let mut room = vec![0; 1 << 20];
            let mut taken = 0;
            while taken < 40 << 20 {
                taken += socket.read(&mut room).await.unwrap();
                sleep(20 * MS).await;
            }
            socket
        });
        let begin = Instant::now();
        let large = Envelope::json("Graph", "Sync", vec![b'0'; 60 << 20].into());
        let sent = timeout(60_000 * MS, connection.send(&large)).await.unwrap();
        // It took some for much longer than the deadline, and then nothing more.
        assert!(matches!(sent, Err(Ended::Stuck)), "{sent:?}");
        assert!(begin.elapsed() > 2 * settings.write_deadline);
        let _socket = timeout(10_000 * MS, slow).await.unwrap().unwrap();
    }

    #[tokio::test]
    async fn silence_counts_only_while_somebody_listens() {
        let settings = ConnectionSettings { silence: 200 * MS, ..ConnectionSettings::default() };
        let (mut connection, mut socket) = connected(settings).await;
        assert_eq!(connection.server().host_id, "hôte");
        for n in 0..4 {
            socket.write_all(&text_frame(r#"{"Namespace":"Graph","Type":"x"}"#)).await.unwrap();
            sleep(300 * MS).await;
            assert!(connection.next().await.is_ok(), "{n}");
        }
        sleep(300 * MS).await;
        let late = tokio::spawn(async move {
            sleep(100 * MS).await;
            socket.write_all(&text_frame(r#"{"Namespace":"Graph","Type":"x"}"#)).await.unwrap();
            socket
        });
        assert!(connection.next().await.is_ok());
        let _socket = late.await.unwrap();
        let begin = Instant::now();
        // Who looks away again and again still hears the silence.
        let ended = loop {
            if let Ok(ended) = timeout(50 * MS, connection.next()).await {
                break ended;
            }
        };
        assert!(matches!(ended, Err(Ended::Silent(_))), "{ended:?}");
        assert!(begin.elapsed() < 2000 * MS);
    }

    #[tokio::test]
    async fn why_a_server_is_not_reached_is_the_cause_and_not_the_text() {
        let port = TcpListener::bind("127.0.0.1:0").await.unwrap().local_addr().unwrap().port();
        let (endpoint, handshake) = (Endpoint::new("127.0.0.1", port), Handshake::default());
        let opened = Connection::open(&endpoint, "/", &handshake, ConnectionSettings::default());
        let error = opened.await.unwrap_err();
        assert!(!error.to_string().contains("os error"), "{error}");
        assert!(skydive_proto::reason(&error).contains("os error"));
    }

    #[tokio::test]
    async fn the_queue_is_bounded_in_messages_and_in_bytes() {
        let settings = ConnectionSettings { queue: 3, queue_bytes: 1000, ..ConnectionSettings::default() };
        let (mut connection, mut socket) = connected(settings).await;
        let outgoing = connection.outgoing();
        let message = |bytes| Envelope::json("Graph", "x", vec![b'0'; bytes].into());
        outgoing.try_send(message(600)).unwrap();
        assert!(outgoing.try_send(message(600)).is_err(), "no room for its bytes");
        outgoing.try_send(message(300)).unwrap();
        outgoing.try_send(message(1)).unwrap();
        assert!(outgoing.try_send(message(1)).is_err(), "no room for a message");
        // What is larger than all room waits until it is alone, and goes.
        let large = tokio::spawn(async move { outgoing.send(message(5000)).await });
        let read = tokio::spawn(async move {
            let mut taken = vec![0; 600 + 300 + 1 + 5000];
            socket.read_exact(&mut taken).await.unwrap();
            socket
        });
        tokio::select! {
            ended = connection.next() => panic!("{ended:?}"),
            taken = timeout(10_000 * MS, read) => { taken.unwrap().unwrap(); }
        }
        large.await.unwrap().unwrap();
    }

    #[tokio::test]
    async fn parts_of_a_message_are_signs_of_life() {
        let settings = ConnectionSettings { silence: 200 * MS, ..ConnectionSettings::default() };
        let (mut connection, mut socket) = connected(settings).await;
        let slow = tokio::spawn(async move {
            for byte in text_frame(r#"{"Type":"x"}"#) {
                socket.write_all(&[byte]).await.unwrap();
                sleep(50 * MS).await;
            }
        });
        assert_eq!(connection.next().await.unwrap().kind, "x");
        slow.await.unwrap();
    }
}
