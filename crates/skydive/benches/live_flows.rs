//! Questions about flows that are counted now: 100,000 of them in the table of an agent, asked of the analyzer; and how
//! long 200 captures take to begin. The program as it is shipped; the times are those of a client, from its request to
//! the last byte of the answer, and until the graph says that all captures run.

#![allow(
    clippy::unwrap_used,
    clippy::disallowed_methods,
    reason = "a bench reads the clock and must fail loudly"
)]

use std::io::Write;
use std::net::TcpStream;
use std::time::{Duration, Instant};

use serde_json::{Value as Json, json};
use skydive_testnet::eventually;
use stage::{ANALYZER, Desk, Host, Sees};

#[allow(dead_code, reason = "the tests need more of it")]
#[path = "../tests/spine/stage.rs"]
mod stage;

/// How long anything may take before the bench gives up.
const PATIENCE: Duration = Duration::from_mins(2);
const FLOWS: u32 = 100_000;
const SAMPLES: usize = 11;
/// Pairs of interfaces that are captured on at once, how often, and the seconds it may take.
const PAIRS: usize = 100;
const BEGINS: usize = 3;
const BEGIN: f64 = 2.0;

/// What is asked, how many flows are the answer, and how many milliseconds it may take.
const ASKED: [(&str, usize, Option<f64>); 7] = [
    ("G.Flows().Count()", 100_000, None),
    ("G.Flows().Has('Transport.A', 1234).Count()", 4, None),
    ("G.Flows().Sort(DESC, 'Metric.ABBytes').Limit(100)", 100, Some(100.0)),
    ("G.Flows().Sort(ASC, 'Start').Limit(100)", 100, Some(100.0)),
    ("G.Flows().Has('Transport.A', 1234).Sort().Limit(100)", 4, Some(100.0)),
    ("G.Flows().Dedup().Sort().Limit(100)", 100, None),
    ("G.Flows().Sort().Limit(10000)", 10_000, None),
];

fn main() {
    let host = Host::new("live-flows");
    let binary = stage::binary();
    let line = [binary.to_str().unwrap(), "allinone"];
    let _service = host.start_line(&line, &[("SKYDIVE_FLOW_EXPIRE", "3600")], Sees::All);
    host.ask(ANALYZER, |desk| {
        let line =
            ["client", "capture", "create", "--gremlin", "G.V().Has('Name','lo')", "--type", "pcapsocket"];
        assert!(host.run(&line).status.success());
        let socket = eventually("the socket of the capture", PATIENCE, || {
            let graph = desk.graph()?;
            let node = &graph.nodes[graph.named("lo")?];
            node.pointer("/Metadata/Captures/0/PCAPSocket")?.as_str().map(str::to_owned)
        });
        TcpStream::connect(socket.unwrap()).unwrap().write_all(&packets()).unwrap();
        let all = || (desk.query("G.Flows().Count()").message() == FLOWS.to_string()).then_some(());
        eventually("the flows", PATIENCE, all).unwrap();
        for (query, count, bar) in ASKED {
            let mut took = Vec::new();
            for _ in 0..SAMPLES {
                took.push(ask(desk, query, count));
            }
            report(&format!("a query of {FLOWS} live flows, {query}"), "ms", &took, bar);
        }
        let took: Vec<f64> = (0..BEGINS).map(|_| begin(&host, desk)).collect();
        report(&format!("{} captures begun at once", 2 * PAIRS), "s", &took, Some(BEGIN));
    });
}

/// The interfaces of the bench: others that tests make at the same time are none of it.
const PAIR: &str = "G.V().Has('Name',Regex('v[ab][0-9]+'))";

/// Seconds until captures on many interfaces run.
fn begin(host: &Host, desk: &Desk) -> f64 {
    let count = |query: &str, expected: usize| {
        let is_so = || (desk.query(query).message() == expected.to_string()).then_some(());
        eventually(query, PATIENCE, is_so).unwrap();
    };
    for pair in 0..PAIRS {
        host.ip(&format!("link add va{pair} type veth peer name vb{pair}"));
    }
    count(&format!("{PAIR}.Count()"), 2 * PAIRS);
    let began = Instant::now();
    let line = ["client", "capture", "create", "--gremlin", PAIR];
    let made = host.run(&line);
    let made: Json = serde_json::from_slice(&made.stdout).unwrap();
    let id = made["UUID"].as_str().unwrap();
    count(&format!("G.V().Has('Captures.ID','{id}','Captures.State','active').Count()"), 2 * PAIRS);
    let took = began.elapsed().as_secs_f64();
    assert!(host.run(&["client", "capture", "delete", id]).status.success());
    for pair in 0..PAIRS {
        host.ip(&format!("link del va{pair}"));
    }
    count(&format!("{PAIR}.Count()"), 0);
    took
}

/// Milliseconds that an answer takes.
fn ask(desk: &Desk, query: &str, count: usize) -> f64 {
    let began = Instant::now();
    let answer = desk.query(query);
    let took = began.elapsed().as_secs_f64() * 1e3;
    let found: Json = serde_json::from_slice(&answer.body).unwrap();
    let number = found.as_array().map(Vec::len).or_else(|| Some(found.as_u64()? as usize));
    assert_eq!(number, Some(count), "{query}: {}", answer.message());
    took
}

/// A capture file with one UDP datagram of every flow, all at one time.
fn packets() -> Vec<u8> {
    let mut file = Vec::new();
    for word in [0xa1b2_c3d4, 0x0004_0002, 0, 0, 65_535, 1] {
        file.extend(u32::to_le_bytes(word));
    }
    for flow in 0..FLOWS {
        // Ports repeat with other addresses, and sizes do.
        let (port, host, payload) =
            ((flow % 25_000) as u16, (flow / 25_000) as u8, (flow * 7919 % 1000) as u16);
        let mut packet = vec![2, 0, 0, 0, 0, 2, 2, 0, 0, 0, 0, 1, 8, 0, 0x45, 0];
        packet.extend((28 + payload).to_be_bytes());
        packet.extend([0, 0, 0, 0, 64, 17, 0, 0, 10, 0, 1, host, 10, 0, 0, 2]);
        for word in [port, 8080, 8 + payload, 0] {
            packet.extend(word.to_be_bytes());
        }
        let size = packet.len() as u32;
        for word in [1_700_000_000, 0, size, size + u32::from(payload)] {
            file.extend(word.to_le_bytes());
        }
        file.extend(packet);
    }
    file
}

fn report(name: &str, unit: &str, samples: &[f64], bar: Option<f64>) {
    let samples: Vec<String> = samples.iter().map(|sample| format!("{sample:.2}")).collect();
    let (name, samples, bar) = (json!(name), samples.join(","), json!(bar));
    println!(
        r#"perf: {{"name":{name},"who":"ours","unit":"{unit}","samples":[{samples}],"bar":{bar},"better":"lower"}}"#
    );
}
