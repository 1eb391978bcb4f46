//! Flows as messages through a WebSocket to one analyzer.

use std::iter::Peekable;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::time::Duration;

use bytes::Bytes;
use skydive_client::{Connection, ConnectionSettings, Ended, Endpoint};
use skydive_flow::Flow;
use skydive_proto::{Handshake, Protocol, reason, role};
use skydive_value::SmolStr;
use tokio::sync::mpsc;
use tokio::time::{sleep, timeout};
use tokio_util::sync::CancellationToken;

use super::telemetry::{FlowLineTelemetry, Unsent};

/// The way of messages to an analyzer.
pub(super) struct Messages {
    queue: mpsc::Sender<Bytes>,
    is_open: Arc<AtomicBool>,
}

/// Keeps the WebSocket open.
pub(super) struct Keep {
    endpoint: Endpoint,
    handshake: Handshake,
    settings: ConnectionSettings,
    queue: mpsc::Receiver<Bytes>,
    is_open: Arc<AtomicBool>,
}

const PATH: &str = "/ws/agent/flow";
/// Messages that wait to be written: a tenth of a second of 16,000 flows.
const QUEUE: usize = 160;
/// How long a message may wait for room there. Meanwhile captures keep their flows.
const PATIENCE: Duration = Duration::from_secs(1);
/// Flows in a message, as analyzers of the original expect.
const TOGETHER: usize = 10;
/// Bytes of packets in a message from which no further flow joins it.
const PACKET_BYTES: usize = 128 << 10;
/// Pause before dialing again.
const REDIAL: Duration = Duration::from_secs(1);

/// A way, and what keeps it open.
pub(super) fn messages(
    endpoint: Endpoint,
    host_id: &SmolStr,
    settings: ConnectionSettings,
) -> (Messages, Keep) {
    let handshake = Handshake {
        host_id: host_id.clone(),
        client_type: role::AGENT.into(),
        protocol: Protocol::Protobuf,
        ..Handshake::default()
    };
    let (sender, queue) = mpsc::channel(QUEUE);
    let is_open = Arc::new(AtomicBool::new(false));
    let keep = Keep { endpoint, handshake, settings, queue, is_open: is_open.clone() };
    (Messages { queue: sender, is_open }, keep)
}

/// The flows that go in the next message.
pub(super) fn together(flows: &mut Peekable<impl Iterator<Item = Flow>>) -> Vec<Flow> {
    let (mut taken, mut bytes) = (Vec::with_capacity(TOGETHER), 0);
    while taken.len() < TOGETHER && bytes < PACKET_BYTES {
        let Some(flow) = flows.next() else { break };
        bytes += flow.raw_packets.iter().map(|packet| packet.bytes.len()).sum::<usize>();
        taken.push(flow);
    }
    taken
}

impl Messages {
    pub(super) fn is_ready(&self) -> bool {
        self.is_open.load(Ordering::Relaxed)
    }

    /// Sends a message of so many flows. Says how many went.
    pub(super) async fn send_flows(
        &mut self,
        message: Bytes,
        flows: u64,
        telemetry: &FlowLineTelemetry,
    ) -> u64 {
        if self.send(message).await {
            telemetry.sent.inc_by(flows);
            flows
        } else {
            telemetry.unsent(Unsent::Failed, flows);
            0
        }
    }

    pub(super) async fn send(&mut self, message: Bytes) -> bool {
        matches!(timeout(PATIENCE, self.queue.send(message)).await, Ok(Ok(())))
    }
}

impl Keep {
    /// Until nothing more can come, or `stop` while there is no connection.
    pub(super) async fn run(mut self, stop: CancellationToken) {
        let mut failures = 0u64;
        loop {
            let opening = Connection::open(&self.endpoint, PATH, &self.handshake, self.settings);
            let opened = tokio::select! {
                opened = opening => opened,
                () = stop.cancelled() => return,
            };
            match opened {
                Err(error) => {
                    // Said once per outage; the link says the same.
                    if failures == 0 {
                        tracing::warn!(
                            error = reason(&error),
                            "no way for flows to the analyzer, trying again"
                        );
                    }
                    failures += 1;
                }
                Ok(mut connection) => {
                    failures = 0;
                    self.is_open.store(true, Ordering::Relaxed);
                    let carried = self.carry(&mut connection).await;
                    self.is_open.store(false, Ordering::Relaxed);
                    match carried {
                        Ok(()) => return connection.close().await,
                        Err(ended) => {
                            tracing::warn!(why = reason(&ended), "way for flows to the analyzer lost");
                        }
                    }
                }
            }
            tokio::select! {
                () = sleep(REDIAL) => {}
                () = stop.cancelled() => return,
            }
        }
    }

    async fn carry(&mut self, connection: &mut Connection) -> Result<(), Ended> {
        loop {
            tokio::select! {
                message = self.queue.recv() => match message {
                    Some(message) => connection.send_bytes(message).await?,
                    None => return Ok(()),
                },
                // Analyzers have nothing to say here.
                heard = connection.next() => drop(heard?),
            }
        }
    }
}
