//! Batches, numbers and stand-ins for analyzers.

use std::time::Duration;

use skydive_graph::BoxFuture;
use skydive_proto::{FlowLimits, flow_of_json};
use skydive_value::Timestamp;
use tokio::net::UdpSocket;
use tokio::sync::mpsc;
use tokio::time::timeout;

use super::*;
use crate::link::{Dial, DialError, Link};
use crate::master::Masters;

/// An analyzer that takes flows at a port and nothing else.
struct Port {
    address: String,
    endpoint: Endpoint,
}

impl Dial for Port {
    fn address(&self) -> &str {
        &self.address
    }

    fn flow_route(&self) -> Option<FlowRoute> {
        Some(FlowRoute { endpoint: self.endpoint.clone(), settings: ConnectionSettings::default() })
    }

    fn dial(&self) -> BoxFuture<'_, Result<Box<dyn Link>, DialError>> {
        Box::pin(async { Err(DialError::Conflict) })
    }
}

struct Setup {
    masters: Masters,
    sockets: Vec<UdpSocket>,
    addresses: Vec<String>,
    telemetry: FlowLineTelemetry,
    line: FlowLine,
}

async fn setup(analyzers: usize) -> Setup {
    let (mut sockets, mut dials) = (Vec::new(), Vec::<SharedDial>::new());
    for _ in 0..analyzers {
        let socket = UdpSocket::bind("127.0.0.1:0").await.unwrap();
        let address = socket.local_addr().unwrap();
        let endpoint = Endpoint::new("127.0.0.1", address.port());
        dials.push(std::sync::Arc::new(Port { address: address.to_string(), endpoint }));
        sockets.push(socket);
    }
    let addresses: Vec<String> = dials.iter().map(|dial| dial.address().to_owned()).collect();
    let masters = Masters::new(addresses.clone());
    let telemetry = FlowLineTelemetry::default();
    let around = Surroundings {
        protocol: FlowProtocol::Udp,
        dials,
        connections: masters.watch(),
        host_id: "h".into(),
        clock: Clock::new(|| Timestamp::from_millis(7)),
        telemetry: telemetry.clone(),
    };
    let line = FlowLine::new(around, &CancellationToken::new());
    Setup { masters, sockets, addresses, telemetry, line }
}

fn flows(count: usize) -> Vec<Flow> {
    vec![flow_of_json(br#"{"UUID":"1","CaptureID":"c"}"#, &FlowLimits::default()).unwrap(); count]
}

async fn heard(socket: &UdpSocket) -> FlowMessage {
    let mut room = vec![0; 65_536];
    let len = timeout(Duration::from_secs(10), socket.recv(&mut room)).await.unwrap().unwrap();
    FlowMessage::decode(&room[..len], &FlowLimits::default(), |fault| panic!("{fault}")).unwrap()
}

#[tokio::test]
async fn each_analyzer_gets_batches_and_numbers_of_its_own() {
    let Setup { masters, sockets, addresses, telemetry, mut line } = setup(3).await;
    // The third is never connected.
    masters.up(&addresses[0], None, Timestamp::EPOCH);
    masters.up(&addresses[1], None, Timestamp::EPOCH);
    let mut next = [0; 2];
    for _ in 0..40 {
        line.send(flows(3)).await;
        let sent: Vec<u64> = line.lines.iter().map(|line| line.next).collect();
        assert_eq!(sent[2], 0);
        for (socket, (next, sent)) in sockets.iter().zip(next.iter_mut().zip(sent)) {
            while *next < sent {
                let message = heard(socket).await;
                let stamp = message.stamp.unwrap();
                assert_eq!((stamp.host_id.as_str(), stamp.count, stamp.first), ("h", 7, *next));
                *next += message.flows.len() as u64;
            }
        }
    }
    assert_eq!(next[0] + next[1], 120);
    assert!(next[0] > 0 && next[1] > 0, "one of two for forty times: {next:?}");
    assert_eq!(telemetry.status().sent, 120);
}

#[tokio::test]
async fn without_an_analyzer_flows_are_counted_and_nobody_waits() {
    let Setup { line, telemetry, masters, addresses, sockets, .. } = setup(1).await;
    let (send, flows_in) = mpsc::channel(1);
    let (send_stats, stats_in) = mpsc::channel(1);
    let running = tokio::spawn(line.run(FlowFeed { flows: flows_in, stats: stats_in }));
    for _ in 0..10 {
        send.send(flows(5)).await.unwrap();
    }
    send_stats.send(FlowStats::default()).await.unwrap();
    // As soon as there is one, it gets them.
    while telemetry.status().unsent < 50 {
        tokio::task::yield_now().await;
    }
    masters.up(&addresses[0], None, Timestamp::EPOCH);
    send.send(flows(1)).await.unwrap();
    assert_eq!(heard(&sockets[0]).await.stamp.unwrap().first, 0, "those that were not sent are not lost");
    send_stats.send(FlowStats { flow_count: 3, ..FlowStats::default() }).await.unwrap();
    assert_eq!(heard(&sockets[0]).await.stats.unwrap().flow_count, 3);
    drop((send, send_stats));
    running.await.unwrap();
    assert_eq!((telemetry.status().sent, telemetry.status().unsent), (1, 50));
}
