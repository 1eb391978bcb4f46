//! The listener and the loop that serves its connections.

use std::convert::Infallible;
use std::io;
use std::net::SocketAddr;
use std::pin::pin;
use std::sync::Arc;
use std::time::Duration;

use axum::Router;
use axum::extract::Request;
use hyper::body::Incoming;
use hyper::server::conn::http1;
use hyper_util::rt::{TokioIo, TokioTimer};
use thiserror::Error;
use tokio::net::{TcpListener, TcpStream};
use tokio::sync::Semaphore;
use tokio_util::sync::CancellationToken;
use tokio_util::task::TaskTracker;
use tower::ServiceExt;

use crate::paced::Paced;
use crate::router::{Areas, Serving, router};
use crate::{ApiSettings, ApiTelemetry, Permission};

/// The one place where connections come in, and where TLS will be.
#[derive(Debug)]
pub struct Listener {
    tcp: TcpListener,
    address: SocketAddr,
}

/// An address that cannot be listened on.
#[derive(Debug, Error)]
#[error("cannot listen on {address}")]
pub struct BindError {
    /// The address.
    pub address: String,
    /// Why not.
    pub source: io::Error,
}

/// The HTTP and WebSocket server of an agent or an analyzer.
pub struct Server {
    router: Router,
    stop: CancellationToken,
    tasks: TaskTracker,
    settings: ApiSettings,
    telemetry: ApiTelemetry,
    places: Arc<Semaphore>,
}

/// Address of the client of a request.
#[derive(Clone, Copy, Debug)]
pub(crate) struct PeerAddr(pub(crate) SocketAddr);

/// How long a client may take to send the head of a request, and how long an idle connection stays.
const HEAD_DEADLINE: Duration = Duration::from_mins(1);
/// Whole graphs written at once; others wait.
const WHOLE_GRAPHS: usize = 4;
/// What a client is told when too many are connected.
const FULL: &[u8] =
    b"HTTP/1.1 503 Service Unavailable\r\nConnection: close\r\nRetry-After: 1\r\nContent-Length: 0\r\n\r\n";
/// Pause after an accept that failed for lack of file descriptors or memory.
const ACCEPT_PAUSE: Duration = Duration::from_millis(100);

impl Listener {
    /// Listens on `address`, `host:port`.
    pub async fn bind(address: &str) -> Result<Self, BindError> {
        let failed = |source| BindError { address: address.to_owned(), source };
        let tcp = TcpListener::bind(address).await.map_err(failed)?;
        let address = tcp.local_addr().map_err(failed)?;
        Ok(Self { tcp, address })
    }

    /// The address listened on; tells the port when any was asked for.
    pub fn address(&self) -> SocketAddr {
        self.address
    }

    async fn accept(&self) -> io::Result<(TcpStream, SocketAddr)> {
        let (stream, peer) = self.tcp.accept().await?;
        if let Err(error) = stream.set_nodelay(true) {
            tracing::debug!(%error, %peer, "connection already gone");
        }
        Ok((stream, peer))
    }
}

impl Server {
    /// A server of `areas` that ends on `stop`.
    pub fn new(
        areas: Areas,
        settings: ApiSettings,
        telemetry: ApiTelemetry,
        permission: Box<dyn Permission>,
        clock: skydive_value::Clock,
        stop: CancellationToken,
    ) -> Self {
        let tasks = TaskTracker::new();
        let serving = Serving {
            identity: areas.identity.clone(),
            settings,
            telemetry: telemetry.clone(),
            clock,
            stop: stop.clone(),
            tasks: tasks.clone(),
            whole_graphs: Arc::new(Semaphore::new(WHOLE_GRAPHS)),
        };
        let places = Arc::new(Semaphore::new(settings.connections));
        Self { router: router(areas, serving, permission), stop, tasks, settings, telemetry, places }
    }

    /// Serves until the stop signal, then lets running requests end and says goodbye on WebSockets.
    pub async fn run(self, listener: Listener) {
        loop {
            let accepted = tokio::select! {
                () = self.stop.cancelled() => break,
                accepted = listener.accept() => accepted,
            };
            match accepted {
                Ok((stream, peer)) => self.admit(stream, peer),
                Err(error) if lacks_resources(&error) => {
                    tracing::warn!(%error, address = %listener.address, "connection not accepted");
                    tokio::time::sleep(ACCEPT_PAUSE).await;
                }
                // It was gone before it was taken.
                Err(error) => tracing::debug!(%error, "connection not accepted"),
            }
        }
        drop(listener);
        self.tasks.close();
        if tokio::time::timeout(self.settings.drain, self.tasks.wait()).await.is_err() {
            tracing::warn!(connections = self.tasks.len(), "connections cut off");
        }
    }

    fn admit(&self, stream: TcpStream, peer: SocketAddr) {
        let Ok(place) = self.places.clone().try_acquire_owned() else {
            self.telemetry.refused_connection(self.settings.connections);
            // The buffer of a new connection takes this at once; if not, the client sees only the end.
            let _ = stream.try_write(FULL);
            return;
        };
        let stream = Paced::new(stream, self.settings.progress, place);
        let connection = serve(self.router.clone(), stream, peer, self.stop.clone(), self.settings.drain);
        self.tasks.spawn(connection);
    }
}

/// Whether an accept fails until somebody gives something back: it would fail again at once, and the connection
/// still waits.
fn lacks_resources(error: &io::Error) -> bool {
    matches!(error.raw_os_error(), Some(libc::EMFILE | libc::ENFILE | libc::ENOMEM | libc::ENOBUFS))
}

async fn serve(
    router: Router,
    stream: Paced<TcpStream>,
    peer: SocketAddr,
    stop: CancellationToken,
    drain: Duration,
) {
    let service = hyper::service::service_fn(move |mut request: Request<Incoming>| {
        request.extensions_mut().insert(PeerAddr(peer));
        let answer = router.clone().oneshot(request);
        async move { Ok::<_, Infallible>(answer.await.unwrap_or_else(|never| match never {})) }
    });
    let connection = http1::Builder::new()
        .timer(TokioTimer::new())
        .header_read_timeout(HEAD_DEADLINE)
        .serve_connection(TokioIo::new(stream), service)
        .with_upgrades();
    let mut connection = pin!(connection);
    let ended = tokio::select! {
        ended = connection.as_mut() => ended,
        () = stop.cancelled() => {
            connection.as_mut().graceful_shutdown();
            match tokio::time::timeout(drain, connection).await {
                Ok(ended) => ended,
                Err(_) => return,
            }
        }
    };
    if let Err(error) = ended {
        tracing::debug!(%error, %peer, "connection broke");
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[tokio::test]
    async fn why_an_address_is_refused_is_the_cause_and_not_the_text() {
        let holder = Listener::bind("127.0.0.1:0").await.unwrap();
        let taken = holder.address().to_string();
        let refused = Listener::bind(&taken).await.unwrap_err();
        assert_eq!(refused.to_string(), format!("cannot listen on {taken}"));
        let why = io::Error::from_raw_os_error(libc::EADDRINUSE);
        assert_eq!(skydive_proto::reason(&refused), format!("cannot listen on {taken}: {why}"));
    }

    #[test]
    fn only_a_lack_of_resources_pauses_the_listener() {
        for (error, pauses) in [(libc::EMFILE, true), (libc::ENOBUFS, true), (libc::ECONNABORTED, false)] {
            assert_eq!(lacks_resources(&io::Error::from_raw_os_error(error)), pauses);
        }
    }
}
