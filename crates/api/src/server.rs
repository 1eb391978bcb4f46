//! The listener and the loop that serves its connections.

use std::convert::Infallible;
use std::io;
use std::net::SocketAddr;
use std::pin::pin;
use std::time::Duration;

use axum::Router;
use axum::extract::Request;
use hyper::body::Incoming;
use hyper::server::conn::http1;
use hyper_util::rt::{TokioIo, TokioTimer};
use thiserror::Error;
use tokio::net::{TcpListener, TcpStream};
use tokio_util::sync::CancellationToken;
use tokio_util::task::TaskTracker;
use tower::ServiceExt;

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
#[error("cannot listen on {address}: {source}")]
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
    drain: Duration,
}

/// Address of the client of a request.
#[derive(Clone, Copy, Debug)]
pub(crate) struct PeerAddr(pub(crate) SocketAddr);

/// How long a client may take to send the head of a request, and how long an idle connection stays.
const HEAD_DEADLINE: Duration = Duration::from_mins(1);
/// Pause after a failed accept, most likely for lack of file descriptors.
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
        stream.set_nodelay(true)?;
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
            telemetry,
            clock,
            stop: stop.clone(),
            tasks: tasks.clone(),
        };
        Self { router: router(areas, serving, permission), stop, tasks, drain: settings.drain }
    }

    /// Serves until the stop signal, then lets running requests end and says goodbye on WebSockets.
    pub async fn run(self, listener: Listener) {
        loop {
            let accepted = tokio::select! {
                () = self.stop.cancelled() => break,
                accepted = listener.accept() => accepted,
            };
            match accepted {
                Ok((stream, peer)) => {
                    let connection = serve(self.router.clone(), stream, peer, self.stop.clone(), self.drain);
                    self.tasks.spawn(connection);
                }
                Err(error) => {
                    tracing::warn!(%error, address = %listener.address, "connection not accepted");
                    tokio::time::sleep(ACCEPT_PAUSE).await;
                }
            }
        }
        drop(listener);
        self.tasks.close();
        if tokio::time::timeout(self.drain, self.tasks.wait()).await.is_err() {
            tracing::warn!(connections = self.tasks.len(), "connections cut off");
        }
    }
}

async fn serve(
    router: Router,
    stream: TcpStream,
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
