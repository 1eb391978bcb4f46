//! How the server behaves, decided by the composing program.

use std::time::Duration;

use skydive_proto::Limits;

/// Settings of the server.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct ApiSettings {
    /// Sizes taken from outside.
    pub limits: Limits,
    /// WebSockets.
    pub ws: WebSocketSettings,
    /// Connections open at once; those above are refused.
    pub connections: usize,
    /// How long a client may take none of its answer, or send none of its body.
    pub progress: Duration,
    /// How long requests and connections may take to end after the stop signal.
    pub drain: Duration,
}

/// Settings of WebSockets.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct WebSocketSettings {
    /// Pause between pings (`http.ws.ping_delay`).
    pub ping_delay: Duration,
    /// How long a pong may be late (`http.ws.pong_timeout`).
    pub pong_timeout: Duration,
    /// Messages waiting for a slow client before it is closed (`http.ws.queue_size`).
    pub queue_size: usize,
    /// How long a client may take nothing of what is written to it.
    pub write_deadline: Duration,
}

impl Default for ApiSettings {
    fn default() -> Self {
        Self {
            limits: Limits::default(),
            ws: WebSocketSettings::default(),
            connections: 4096,
            progress: Duration::from_secs(30),
            drain: Duration::from_secs(5),
        }
    }
}

impl Default for WebSocketSettings {
    fn default() -> Self {
        Self {
            ping_delay: Duration::from_secs(2),
            pong_timeout: Duration::from_secs(5),
            queue_size: 10_000,
            write_deadline: Duration::from_secs(10),
        }
    }
}
