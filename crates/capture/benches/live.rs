//! Captures of live traffic: what they cost, what they lose, how fast they begin and answer.
#![allow(clippy::unwrap_used, reason = "a bench that cannot set up must fail")]
#![allow(clippy::disallowed_methods, reason = "a bench measures time")]

use std::sync::atomic::{AtomicUsize, Ordering};
use std::time::{Duration, Instant};

use skydive_capture::{CaptureConfig, FlowSearch};
use skydive_flow::{Direction, Sort, field};

use rig::{Rig, counted, stop};

#[path = "../tests/captures/rig.rs"]
#[allow(dead_code, reason = "the tests use all of it")]
mod rig;

/// Packets a second of the bar, and for how long.
const RATE: f64 = 500_000.0;
const LENGTH: Duration = Duration::from_secs(30);
const CONVERSATIONS: &str = "1024";

fn main() {
    live();
    begin();
    search();
}

/// Half a million small packets a second of a thousand conversations.
fn live() {
    let rig = Rig::new(1);
    for ring_bytes in [CaptureConfig::RING, 32 << 20] {
        let mut config = rig.config("udp and dst host 10.99.0.2");
        config.ring_bytes = ring_bytes;
        let capture = rig.begin(&config);
        let before = thread_time();
        let sent = send(&rig);
        let length = LENGTH.as_secs_f64();
        let cpu = thread_time() - before;
        let counters = stop(capture).counters;
        let name = |what: &str| format!("live capture on a veth, ring of {} MiB: {what}", ring_bytes >> 20);
        figure(&name("packets sent"), "packets/s", sent as f64 / length, None, "higher");
        figure(&name("time of a core"), "%", 100.0 * cpu / length, Some(30.0), "lower");
        figure(&name("time per packet"), "ns", 1e9 * cpu / counters.accounted as f64, None, "lower");
        figure(
            &name("dropped by the kernel"),
            "packets",
            counters.dropped_by_kernel as f64,
            Some(0.0),
            "lower",
        );
        let elsewhere = sent - (counters.accounted + counters.dropped_by_kernel);
        figure(&name("neither accounted nor dropped"), "packets", elsewhere as f64, Some(0.0), "lower");
    }
}

/// Two hundred captures of one interface.
fn begin() {
    let rig = Rig::new(1);
    let (started, next) = (Instant::now(), AtomicUsize::new(0));
    let captures: Vec<_> = std::thread::scope(|scope| {
        let begin = || {
            let mut captures = Vec::new();
            while next.fetch_add(1, Ordering::Relaxed) < 200 {
                captures.push(rig.begin(&rig.config("icmp")));
            }
            captures
        };
        let threads: Vec<_> = (0..32).map(|_| scope.spawn(begin)).collect();
        threads.into_iter().flat_map(|thread| thread.join().unwrap()).collect()
    });
    figure("200 captures begin, 4 MiB each", "s", started.elapsed().as_secs_f64(), Some(2.0), "lower");
    drop(captures);
}

/// The first hundred of a hundred thousand flows.
fn search() {
    const FLOWS: u64 = 100_000;
    let rig = Rig::new(1);
    let mut config = rig.config("udp and dst host 10.99.0.2");
    config.ring_bytes = 128 << 20;
    let capture = rig.begin(&config);
    // From two sources, as ports are not enough.
    rig.flood(64 * 50_000, 50_000, 18);
    rig.a.ip(&["addr", "add", "10.99.0.3/24", "dev", "va"]).unwrap();
    rig.a.ip(&["route", "replace", "10.99.0.0/24", "dev", "va", "src", "10.99.0.3"]).unwrap();
    rig.flood_from("10.99.0.3:0", 64 * 50_000, 50_000, 18);
    counted(&capture, 64 * FLOWS);
    let sort = Sort { by: field::METRIC_AB_BYTES.into(), direction: Direction::Descending };
    let search = FlowSearch { sort: Some(sort), limit: 100, ..FlowSearch::all() };
    for _ in 0..3 {
        let started = Instant::now();
        let found = rig.search(&search);
        assert_eq!((found.looked_at, found.set.flows.len()), (FLOWS, 100));
        let took = started.elapsed().as_secs_f64() * 1e3;
        figure("live search of 100k flows, first 100 by a key", "ms", took, Some(100.0), "lower");
    }
    stop(capture);
}

/// Sends at the rate of the bar, and says how many packets.
fn send(rig: &Rig) -> u64 {
    let script = concat!(env!("CARGO_MANIFEST_DIR"), "/benches/send.py");
    let (rate, length) = ((RATE / 2.0).to_string(), LENGTH.as_secs().to_string());
    let one = || {
        let sent = rig.a.exec(&["python3", script, "va", &rate, &length, CONVERSATIONS]).unwrap();
        sent.trim().parse::<u64>().unwrap()
    };
    // One core that does other work, too, may not send so much.
    std::thread::scope(|scope| {
        [scope.spawn(one), scope.spawn(one)].map(|one| one.join().unwrap()).iter().sum()
    })
}

/// Processor time of the thread of captures, in seconds.
fn thread_time() -> f64 {
    let mut nanos = 0.0;
    for task in std::fs::read_dir("/proc/self/task").unwrap().flatten() {
        let read = |file| std::fs::read_to_string(task.path().join(file)).unwrap_or_default();
        if read("comm").starts_with("sky-capture-0") {
            nanos += read("schedstat").split(' ').next().and_then(|n| n.parse().ok()).unwrap_or(0.0);
        }
    }
    nanos / 1e9
}

fn figure(name: &str, unit: &str, sample: f64, bar: Option<f64>, better: &str) {
    let bar = bar.map_or("null".to_owned(), |bar| bar.to_string());
    println!(
        "perf: {{\"name\":\"{name}\",\"who\":\"ours\",\"unit\":\"{unit}\",\"samples\":[{sample}],\"bar\":{bar},\"better\":\"{better}\"}}"
    );
}
