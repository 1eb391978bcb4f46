//! Flows in messages of agents: what reading one costs an analyzer, and writing one an agent and a subscriber.

#![allow(clippy::unwrap_used, clippy::disallowed_methods, reason = "a bench reads the clock")]

use std::hint::black_box;
use std::time::Instant;

use skydive_flow::Flow;
use skydive_proto::{FlowJson, FlowLimits, FlowMessage, FlowStamp, flow_of_json};

const FLOWS: usize = 512;
const ROUNDS: usize = 100;
const SAMPLES: usize = 7;
/// 125,000 flows a second on one core.
const BAR: f64 = 8000.0;

fn main() {
    let flows: Vec<Flow> = (0..FLOWS).map(flow).collect();
    let messages: Vec<Vec<u8>> = flows.iter().map(|flow| message(flow).encode()).collect();
    let limits = FlowLimits::default();
    let read = measure(|| {
        let read =
            messages.iter().map(|bytes| FlowMessage::decode(bytes, &limits, |_| ()).unwrap().flows.len());
        read.sum()
    });
    report("read a flow from a datagram", &read, Some(BAR));
    let written = measure(|| flows.iter().map(|flow| message(flow).encode().len()).sum());
    report("write a flow into a datagram", &written, Some(BAR));
    let json = measure(|| flows.iter().map(|flow| serde_json::to_vec(&FlowJson(flow)).unwrap().len()).sum());
    report("write a flow as JSON", &json, None);
}

fn message(flow: &Flow) -> FlowMessage {
    let stamp = Some(FlowStamp { host_id: "host".into(), count: 1, first: 0 });
    FlowMessage { flows: vec![flow.clone()], stats: None, stamp }
}

/// A flow as a capture has it that asks for nothing.
fn flow(number: usize) -> Flow {
    let (high, low) = (number / 256, number % 256);
    let json = format!(
        r#"{{"UUID":"1f{number:x}","LayersPath":"Ethernet/IPv4/TCP","Application":"TCP",
        "Link":{{"Protocol":"ETHERNET","A":"02:00:00:00:{high:02x}:{low:02x}","B":"02:00:00:00:00:02"}},
        "Network":{{"Protocol":"IPV4","A":"10.0.{high}.{low}","B":"10.1.0.2"}},
        "Transport":{{"Protocol":"TCP","A":{},"B":443}},
        "Metric":{{"ABPackets":{number},"ABBytes":1000,"BAPackets":9,"BABytes":9000,"Start":1,"Last":2,"RTT":5}},
        "LastUpdateMetric":{{"ABPackets":10,"ABBytes":1000,"BAPackets":9,"BABytes":9000,"Start":1,"Last":2}},
        "TrackingID":"aabbccddeeff{number:04x}","L3TrackingID":"aabbccddeef0{number:04x}",
        "Start":1700000000000,"Last":1700000060000,
        "NodeTID":"3f1c2d4e-0000-5000-8000-000000000000","CaptureID":"3f1c2d4e-0000-4000-8000-000000000000"}}"#,
        40_000 + number
    );
    flow_of_json(json.as_bytes(), &FlowLimits::default()).unwrap()
}

/// Nanoseconds a flow.
fn measure(work: impl Fn() -> usize) -> Vec<f64> {
    black_box(work());
    let sample = |_| {
        let start = Instant::now();
        for _ in 0..ROUNDS {
            black_box(work());
        }
        start.elapsed().as_nanos() as f64 / (ROUNDS * FLOWS) as f64
    };
    (0..SAMPLES).map(sample).collect()
}

fn report(name: &str, samples: &[f64], bar: Option<f64>) {
    let samples: Vec<String> = samples.iter().map(|sample| format!("{sample:.1}")).collect();
    let bar = bar.map_or("null".to_owned(), |bar| bar.to_string());
    println!(
        r#"perf: {{"name":"{name}","who":"ours","unit":"ns/flow","samples":[{}],"bar":{bar},"better":"lower"}}"#,
        samples.join(",")
    );
}
