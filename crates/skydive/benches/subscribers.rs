//! Many subscribers with filters, and a large import: what the server takes for them. The program as it is shipped.
//!
//! One argument picks the measurements whose name contains it.

#![allow(
    clippy::unwrap_used,
    clippy::disallowed_methods,
    reason = "a bench reads the clock and must fail loudly"
)]

use std::io::ErrorKind;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, AtomicU64, Ordering};
use std::time::{Duration, Instant};

use serde_json::{Value as Json, json};
use skydive_testnet::eventually;
use stage::{ANALYZER, Host, Sees, Service};
use talk::{Talk, edge, message, node};
use tokio_tungstenite::tungstenite::{Error, Message};

#[allow(dead_code, reason = "the tests need more of it")]
#[path = "../tests/spine/stage.rs"]
mod stage;
#[allow(dead_code, reason = "the tests need more of it")]
#[path = "../tests/spine/talk.rs"]
mod talk;

/// How long anything may take before the bench gives up.
const PATIENCE: Duration = Duration::from_mins(2);
/// Ticks a second in `/proc/PID/stat`, the same on all of Linux's machines that matter.
const TICKS: f64 = 100.0;
/// Hosts of the graph, and interfaces of each.
const HOSTS: usize = 100;
const INTERFACES: usize = 50;
/// Subscribers; those with a number below have filters that are followed event by event.
const SUBSCRIBERS: usize = 100;
const INCREMENTAL: usize = 80;
/// Events made in a second, so many at once.
const RATE: usize = 2000;
const BURST: usize = 20;

fn main() {
    let wanted = std::env::args().skip(1).find(|argument| !argument.starts_with('-')).unwrap_or_default();
    let measurements: [(&str, fn()); 2] = [("import", import), ("filters", filters)];
    for (name, measure) in measurements {
        if name.contains(&wanted) {
            eprintln!("subscribers: {name}");
            measure();
        }
    }
}

/// From the first message to the last node in an answer: a message per node, and one for all.
fn import() {
    const NODES: usize = 50_000;
    let nodes: Vec<Json> = (0..NODES).map(|n| imported(&format!("import-{n}"))).collect();
    let single: Vec<String> = nodes.iter().map(|node| message("NodeAdded", node)).collect();
    let whole = vec![message("Sync", &json!({"Nodes": nodes, "Edges": []}))];
    for (how, messages) in [("a message per node", &single), ("one message", &whole)] {
        let samples: Vec<f64> = (0..3)
            .map(|_| {
                let host = Host::new("import");
                let _service = program(&host);
                host.ask(ANALYZER, |desk| {
                    let mut talk = Talk::open(ANALYZER, "/ws/publisher?x-client-type=t", &[]);
                    let before = Instant::now();
                    for message in messages {
                        talk.socket.write(Message::text(message.clone())).unwrap();
                    }
                    talk.socket.flush().unwrap();
                    let all = || (desk.query("G.V().Count()").message() == NODES.to_string()).then_some(());
                    eventually("all nodes", PATIENCE, all).unwrap();
                    before.elapsed().as_secs_f64()
                })
            })
            .collect();
        report(&format!("import of 50,000 nodes through /ws/publisher, {how}"), "s", &samples, 3.0);
    }
}

/// A node with what an interface has.
fn imported(id: &str) -> Json {
    let mut node = node(id, "device");
    let more = json!({"MAC": "02:00:00:00:00:01", "MTU": 1500, "State": "UP", "Driver": "virtio_net",
        "IPV4": ["10.0.0.1/24"], "Speed": 10000, "EncapType": "ether", "LinkFlags": ["UP", "BROADCAST"]});
    node["Metadata"].as_object_mut().unwrap().extend(more.as_object().unwrap().clone());
    node
}

/// The processor's time that a server takes for subscribers of parts of a graph, while all of it changes.
fn filters() {
    const MEASURED: Duration = Duration::from_secs(20);
    let host = Host::new("filters");
    let service = program(&host);
    host.ask(ANALYZER, |desk| {
        let mut publisher = Talk::open(ANALYZER, "/ws/publisher?x-client-type=t&x-host-id=p", &[]);
        for n in 0..HOSTS {
            let name = format!("host-{n}");
            publisher.say("NodeAdded", &node(&name, "host"));
            for i in 0..INTERFACES {
                let interface = format!("{name}-{i}");
                publisher.say("NodeAdded", &imported(&interface));
                publisher.say("EdgeAdded", &edge(&name, &interface, "ownership"));
            }
        }
        let edges =
            || (desk.query("G.E().Count()").message() == (HOSTS * INTERFACES).to_string()).then_some(());
        eventually("the graph", PATIENCE, edges).unwrap();

        let (stop, heard) = (Arc::new(AtomicBool::new(false)), Arc::new(AtomicU64::new(0)));
        std::thread::scope(|scope| {
            for n in 0..SUBSCRIBERS {
                let mut talk = subscriber(n);
                let (stop, heard) = (stop.clone(), heard.clone());
                scope.spawn(move || listen(&mut talk, &stop, &heard));
            }
            let modes = desk.status();
            let of = |mode: &str| {
                modes["Subscribers"].as_object().unwrap().values().filter(|s| s["FilterMode"] == mode).count()
            };
            assert_eq!((of("incremental"), of("periodic")), (INCREMENTAL, SUBSCRIBERS - INCREMENTAL));

            let (mut samples, mut made, mut number) = (Vec::new(), 0_usize, 1_i64);
            let began = Instant::now();
            let (mut before, mut at) = (cpu_seconds(&service), Instant::now());
            while began.elapsed() < MEASURED {
                for _ in 0..BURST {
                    // Every interface in turn, in no order that hosts have.
                    let (n, i) = (made * 37 % HOSTS, made * 37 / HOSTS % INTERFACES);
                    number += i64::from(made.is_multiple_of(HOSTS * INTERFACES));
                    let ops = json!([{"Type": 1, "Key": "Metric.RxBytes", "Value": number}]);
                    let update = json!({"ID": format!("host-{n}-{i}"), "Ops": ops});
                    publisher.socket.write(Message::text(message("NodePartiallyUpdated", &update))).unwrap();
                    made += 1;
                }
                publisher.socket.flush().unwrap();
                let next = began + Duration::from_secs_f64(made as f64 / RATE as f64);
                std::thread::sleep(next.saturating_duration_since(Instant::now()));
                if at.elapsed() >= Duration::from_secs(5) {
                    let (now, then) = (cpu_seconds(&service), Instant::now());
                    samples.push((now - before) / (then - at).as_secs_f64());
                    (before, at) = (now, then);
                }
            }
            println!(
                "{made} events in {:?}, {} messages heard",
                began.elapsed(),
                heard.load(Ordering::Relaxed)
            );
            // Those that have stopped go.
            let (status, lost) = (desk.status(), desk.get("/metrics").message());
            stop.store(true, Ordering::Relaxed);
            assert_eq!(status["Losses"]["SlowSubscribers"], 0, "{}", status["Losses"]);
            assert_eq!(status["Subscribers"].as_object().unwrap().len(), SUBSCRIBERS);
            assert!(lost.lines().any(|line| line == "skydive_graph_lost_messages_total 0"), "{lost}");
            let name =
                "100 filtered subscribers (80 incremental, 20 not) under 2,000 events/s: processor cores";
            report(name, "cores", &samples, 1.0);
        });
    });
}

/// A subscriber with a filter of its own.
fn subscriber(n: usize) -> Talk {
    let filter = if n < INCREMENTAL {
        format!("G.V().Has('Type', 'host', 'Name', 'host-{n}').Out('Type', 'device').SubGraph()")
    } else {
        format!("G.V().Has('Type', 'host', 'Name', 'host-{n}').Descendants(2).SubGraph()")
    };
    let path = format!("/ws/subscriber?x-client-type=t&x-host-id=s{n}");
    let mut talk = Talk::open(ANALYZER, &path, &[("x-gremlin-filter", &filter)]);
    let reply = talk.sync(&json!({}));
    assert!(reply["Obj"]["Nodes"].as_array().unwrap().len() >= INTERFACES, "{filter}");
    talk
}

fn listen(talk: &mut Talk, stop: &AtomicBool, heard: &AtomicU64) {
    talk.socket.get_ref().set_read_timeout(Some(Duration::from_millis(500))).unwrap();
    while !stop.load(Ordering::Relaxed) {
        match talk.socket.read() {
            Ok(Message::Text(_)) => drop(heard.fetch_add(1, Ordering::Relaxed)),
            Ok(_) => {}
            Err(Error::Io(late)) if matches!(late.kind(), ErrorKind::WouldBlock | ErrorKind::TimedOut) => {}
            Err(broken) => panic!("{broken}"),
        }
    }
}

/// The program as it runs on a host without tests: it sees every process.
fn program(host: &Host) -> Service {
    let binary = stage::binary();
    host.start_line(&[binary.to_str().unwrap(), "analyzer"], &[], Sees::All)
}

/// Processor time used so far, of all threads.
fn cpu_seconds(service: &Service) -> f64 {
    let stat = std::fs::read_to_string(format!("/proc/{}/stat", service.pid())).unwrap();
    // The name may hold spaces; what follows its bracket does not.
    let fields: Vec<&str> = stat.rsplit_once(')').unwrap().1.split_whitespace().collect();
    let ticks: f64 = fields[11].parse::<f64>().unwrap() + fields[12].parse::<f64>().unwrap();
    ticks / TICKS
}

fn report(name: &str, unit: &str, samples: &[f64], bar: f64) {
    let samples: Vec<String> = samples.iter().map(|sample| format!("{sample:.4}")).collect();
    let samples = samples.join(",");
    println!(
        r#"perf: {{"name":"{name}","who":"ours","unit":"{unit}","samples":[{samples}],"bar":{bar},"better":"lower"}}"#
    );
}
