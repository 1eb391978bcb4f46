//! Trying again until it works.

use std::time::Duration;

use skydive_proto::Handshake;
use tokio_util::sync::CancellationToken;

use crate::{ConnectError, Connection, ConnectionSettings, Endpoint};

/// Pause between attempts: what clients of the original use.
pub const RECONNECT_DELAY: Duration = Duration::from_secs(1);

/// Connects, trying again every [`RECONNECT_DELAY`]; `None` when `stop` comes first. `failed` hears of every failed
/// attempt, so that it can be told once and not every second.
pub async fn connect_until(
    endpoint: &Endpoint,
    path: &str,
    handshake: &Handshake,
    settings: ConnectionSettings,
    stop: &CancellationToken,
    mut failed: impl FnMut(&ConnectError),
) -> Option<Connection> {
    let attempts = async {
        loop {
            match Connection::open(endpoint, path, handshake, settings).await {
                Ok(connection) => return connection,
                Err(error) => failed(&error),
            }
            tokio::time::sleep(RECONNECT_DELAY).await;
        }
    };
    tokio::select! {
        () = stop.cancelled() => None,
        connection = attempts => Some(connection),
    }
}
