//! What is taken in, what is refused, and what is counted of both.

use std::net::SocketAddr;

use skydive_proto::{FlowStamp, FlowStats, flow_of_json};
use tokio::net::UdpSocket;

use super::*;

fn intake(buffer: usize, delay: Duration) -> (FlowIntake, FlowTelemetry) {
    let telemetry = FlowTelemetry::default();
    (FlowIntake::new(buffer, delay, FlowNews::new(), telemetry.clone()), telemetry)
}

fn message(flows: usize) -> FlowMessage {
    let flow = flow_of_json(br#"{"UUID":"1","CaptureID":"c"}"#, &FlowLimits::default()).unwrap();
    FlowMessage { flows: vec![flow; flows], ..FlowMessage::default() }
}

/// The batches that a subscriber is told of what was taken in, until nothing more comes by itself.
fn batches(intake: &FlowIntake) -> Vec<usize> {
    let mut batches = Vec::new();
    loop {
        let taken = intake.0.queue.take(1, BATCH);
        if taken.flows.is_empty() {
            return batches;
        }
        batches.push(taken.flows.len());
    }
}

#[tokio::test]
async fn what_does_not_fit_is_counted() {
    let (intake, telemetry) = intake(0, Duration::from_secs(5));
    for _ in 0..25 {
        intake.take(&message(10).encode());
    }
    let status = telemetry.status();
    assert_eq!((status.received, status.overflowed), (250, 50), "there is room for 200 at least");
    assert_eq!(batches(&intake), [100, 100]);
    intake.take(&message(10).encode());
    assert_eq!(telemetry.status().overflowed, 50, "there is room again");
}

#[tokio::test]
async fn nonsense_is_counted_and_ends_nothing() {
    let (intake, telemetry) = intake(1000, Duration::from_secs(5));
    let mut random = 1u64;
    for len in 0..2000 {
        let noise: Vec<u8> = (0..len)
            .map(|_| {
                random = random.wrapping_mul(6_364_136_223_846_793_005).wrapping_add(1);
                (random >> 56) as u8
            })
            .collect();
        intake.take(&noise);
    }
    // A flow that cannot be read beside one that can, too many flows, a cut message.
    intake.take(&[message(1).encode().as_slice(), b"\x0a\x03\x0a\x01?"].concat());
    intake.take(&[0x0a, 0].repeat(2000));
    let whole = message(2).encode();
    intake.take(&whole[..whole.len() - 1]);
    let status = telemetry.status();
    assert!(status.malformed_messages > 1500, "{status:?}");
    assert!(status.refused >= 1, "{status:?}");
    let before = status.received;
    intake.take(&message(3).encode());
    assert_eq!(telemetry.status().received, before + 3);
}

#[tokio::test]
async fn flows_that_could_not_be_read_are_not_lost_on_the_way() {
    let (intake, telemetry) = intake(1000, Duration::from_secs(5));
    let stamped = |first, flows| FlowMessage {
        stamp: Some(FlowStamp { host_id: "h".into(), count: 1, first }),
        ..message(flows)
    };
    intake.take(&[stamped(0, 2).encode().as_slice(), b"\x0a\x03\x0a\x01?"].concat());
    intake.take(&stamped(3, 1).encode());
    assert_eq!(telemetry.status().lost, [].into());
    intake.take(&stamped(6, 1).encode());
    assert_eq!(telemetry.status().lost, [("h".to_owned(), 2)].into());
}

#[tokio::test]
async fn datagrams_are_told_in_batches_and_in_time() {
    let telemetry = FlowTelemetry::default();
    let intake = FlowIntake::new(1000, Duration::from_millis(50), FlowNews::new(), telemetry.clone());
    let any: SocketAddr = ([127, 0, 0, 1], 0).into();
    let datagrams = Datagrams::bind(any).await.unwrap();
    let address = datagrams.local_addr().unwrap();
    let stop = CancellationToken::new();
    let receiving = tokio::spawn(datagrams.receive(intake.clone(), stop.clone()));
    let sender = UdpSocket::bind(any).await.unwrap();
    for bytes in [vec![], vec![0xff; 60_000], b"nonsense".to_vec(), message(2).encode()] {
        sender.send_to(&bytes, address).await.unwrap();
    }
    let stats = FlowMessage { stats: Some(FlowStats::default()), ..FlowMessage::default() };
    sender.send_to(&stats.encode(), address).await.unwrap();
    let deadline = Instant::now() + Duration::from_secs(10);
    while telemetry.status().received < 2 || telemetry.status().malformed_messages < 3 {
        assert!(Instant::now() < deadline, "{:?}", telemetry.status());
        tokio::task::yield_now().await;
    }
    let delivering = {
        let (intake, stop) = (intake.clone(), stop.clone());
        tokio::spawn(async move { intake.deliver(stop).await })
    };
    while intake.0.queue.take(usize::MAX, 0).left > 0 {
        assert!(Instant::now() < deadline, "told when the time is over");
        tokio::task::yield_now().await;
    }
    stop.cancel();
    receiving.await.unwrap();
    delivering.await.unwrap();
}
