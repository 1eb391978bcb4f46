//! A large graph as JSON: how long it takes, and the memory that the server takes for it. The program as it is shipped.
//!
//! Answers are read as fast as they come and thrown away, so that the figures are those of the server and not of a
//! client that understands them. One argument picks the measurements whose name contains it.

#![allow(
    clippy::unwrap_used,
    clippy::disallowed_methods,
    reason = "a bench reads the clock and must fail loudly"
)]

use std::io::{Read, Write};
use std::net::TcpStream;
use std::time::{Duration, Instant};

use serde_json::{Value as Json, json};
use skydive_testnet::eventually;
use stage::{ANALYZER, Desk, Host, Sees, Service};
use talk::{Talk, edge, message, node};
use tokio_tungstenite::tungstenite::Message;

#[allow(dead_code, reason = "the tests need more of it")]
#[path = "../tests/spine/stage.rs"]
mod stage;
#[allow(dead_code, reason = "the tests need more of it")]
#[path = "../tests/spine/talk.rs"]
mod talk;

/// How long anything may take before the bench gives up.
const PATIENCE: Duration = Duration::from_mins(2);
/// Hosts of the graph and interfaces of each: 100,000 nodes in all.
const HOSTS: usize = 1000;
const INTERFACES: usize = 99;
const NODES: usize = HOSTS * (1 + INTERFACES);
const EDGES: usize = HOSTS * INTERFACES;
/// Clients that ask at the same time.
const MANY: usize = 16;
const SAMPLES: usize = 5;
/// Bytes of a megabyte.
const MB: f64 = 1e6;

/// A way to ask for the whole graph.
struct Asked {
    name: &'static str,
    line: &'static str,
    headers: &'static str,
    body: &'static str,
    /// Time that an answer may take, in seconds.
    bar: Option<f64>,
}

const ASKED: [Asked; 3] = [
    Asked { name: "GET", line: "GET /api/topology", headers: "", body: "", bar: Some(1.0) },
    Asked {
        name: "query G",
        line: "POST /api/topology",
        headers: "",
        body: r#"{"GremlinQuery":"G"}"#,
        bar: Some(1.0),
    },
    Asked {
        name: "GET, compressed",
        line: "GET /api/topology",
        headers: "Accept-Encoding: gzip\r\n",
        body: "",
        bar: None,
    },
];

fn main() {
    let wanted = std::env::args().skip(1).find(|argument| !argument.starts_with('-')).unwrap_or_default();
    let host = Host::new("answers");
    let service = program(&host);
    host.ask(ANALYZER, |desk| {
        fill(desk);
        for asked in ASKED.iter().filter(|asked| asked.name.contains(&wanted)) {
            eprintln!("answers: {}", asked.name);
            measure(&service, asked);
        }
    });
}

/// Makes the graph: hosts and what they own, with the fields that interfaces have.
fn fill(desk: &Desk) {
    let mut publisher = Talk::open(ANALYZER, "/ws/publisher?x-client-type=t&x-host-id=p", &[]);
    let mut say = |kind: &str, obj: &Json| {
        publisher.socket.write(Message::text(message(kind, obj))).unwrap();
    };
    for n in 0..HOSTS {
        let name = format!("host-{n}");
        say("NodeAdded", &node(&name, "host"));
        for i in 0..INTERFACES {
            let interface = format!("{name}-{i}");
            say("NodeAdded", &imported(&interface));
            say("EdgeAdded", &edge(&name, &interface, "ownership"));
        }
    }
    publisher.socket.flush().unwrap();
    let all = || (desk.query("G.E().Count()").message() == EDGES.to_string()).then_some(());
    eventually("the graph", PATIENCE, all).unwrap();
    let graph = desk.graph().unwrap();
    assert_eq!((graph.nodes.len(), graph.edges.len()), (NODES, EDGES));
}

/// A node with what an interface has.
fn imported(id: &str) -> Json {
    let mut node = node(id, "device");
    let more = json!({"MAC": "02:00:00:00:00:01", "MTU": 1500, "State": "UP", "Driver": "virtio_net",
        "IPV4": ["10.0.0.1/24"], "Speed": 10000, "EncapType": "ether", "LinkFlags": ["UP", "BROADCAST"]});
    node["Metadata"].as_object_mut().unwrap().extend(more.as_object().unwrap().clone());
    node
}

/// Time of one answer, and how much the server grows over what it had, for one client and for many.
fn measure(service: &Service, asked: &Asked) {
    let (mut took, mut grew) = (Vec::new(), Vec::new());
    let size = asked.take();
    for _ in 0..SAMPLES {
        let before = watched(service);
        let began = Instant::now();
        assert_eq!(asked.take(), size, "the same graph has the same size");
        took.push(began.elapsed().as_secs_f64());
        grew.push(peak(service) - before);
    }
    println!("{}: {:.1} MB of JSON, {:.1} MB resident", asked.name, size as f64 / MB, peak(service));
    let name = format!("JSON of a graph of 100,000 nodes and 99,000 edges, {}", asked.name);
    report(&name, "s", &took, asked.bar);
    report(&format!("{name}: memory while it is written"), "MB", &grew, Some(16.0));
    if asked.bar.is_none() {
        return;
    }
    let before = watched(service);
    std::thread::scope(|scope| {
        let takers: Vec<_> = (0..MANY).map(|_| scope.spawn(|| asked.take())).collect();
        assert!(takers.into_iter().all(|taker| taker.join().unwrap() == size));
    });
    let many = [peak(service) - before];
    report(&format!("{name}: memory while it is written for {MANY} clients"), "MB", &many, Some(256.0));
}

impl Asked {
    /// Bytes of an answer that is thrown away.
    fn take(&self) -> usize {
        let Self { line, headers, body, .. } = self;
        let mut stream = TcpStream::connect(ANALYZER).unwrap();
        let length = body.len();
        let head = format!(
            "{line} HTTP/1.0\r\nHost: h\r\nConnection: close\r\n{headers}Content-Length: {length}\r\n\r\n{body}"
        );
        stream.write_all(head.as_bytes()).unwrap();
        let (mut room, mut size) = (vec![0; 256 << 10], 0);
        loop {
            match stream.read(&mut room).unwrap() {
                0 => return size,
                read if size == 0 => {
                    let start = room[..read].windows(4).position(|four| four == b"\r\n\r\n").unwrap();
                    assert!(room[..read].starts_with(b"HTTP/1.0 200"));
                    size += read - start - 4;
                }
                read => size += read,
            }
        }
    }
}

/// The program as it runs on a host without tests: it sees every process.
fn program(host: &Host) -> Service {
    let binary = stage::binary();
    host.start_line(&[binary.to_str().unwrap(), "analyzer"], &[], Sees::All)
}

/// Begins to watch the peak; megabytes resident now.
fn watched(service: &Service) -> f64 {
    std::fs::write(format!("/proc/{}/clear_refs", service.pid()), "5").unwrap();
    megabytes(service, "VmRSS:")
}

/// Most megabytes resident since it is watched.
fn peak(service: &Service) -> f64 {
    megabytes(service, "VmHWM:")
}

fn megabytes(service: &Service, field: &str) -> f64 {
    let status = std::fs::read_to_string(format!("/proc/{}/status", service.pid())).unwrap();
    let line = status.lines().find_map(|line| line.strip_prefix(field)).unwrap();
    line.split_whitespace().next().unwrap().parse::<f64>().unwrap() * 1024.0 / MB
}

fn report(name: &str, unit: &str, samples: &[f64], bar: Option<f64>) {
    let samples: Vec<String> = samples.iter().map(|sample| format!("{sample:.4}")).collect();
    let (samples, bar) = (samples.join(","), json!(bar));
    println!(
        r#"perf: {{"name":"{name}","who":"ours","unit":"{unit}","samples":[{samples}],"bar":{bar},"better":"lower"}}"#
    );
}
