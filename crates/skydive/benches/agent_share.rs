//! What an agent that captures takes of a processor: 400 flows begin in a second on loopback, where it sees the processes
//! of both sides. The program as it is shipped, the analyzer beside it; the agent's processor time is that of all its
//! threads. What it found is asked for afterwards: how many of the flows have their process is told.

#![allow(
    clippy::unwrap_used,
    clippy::disallowed_methods,
    reason = "a bench reads the clock and must fail loudly"
)]

use std::io::Read;
use std::net::{Ipv4Addr, TcpListener, TcpStream, UdpSocket};
use std::process::Command;
use std::sync::atomic::{AtomicU32, Ordering};
use std::thread;
use std::time::{Duration, Instant};

use skydive_testnet::eventually;
use stage::{ANALYZER, Desk, Host, Sees, Service};

#[allow(dead_code, reason = "the tests need more of it")]
#[path = "../tests/spine/stage.rs"]
mod stage;

/// How long anything may take before the bench gives up.
const PATIENCE: Duration = Duration::from_mins(1);
/// Flows that begin in a second, how long and how often that is measured, and the part of a core it may take.
const RATE: u32 = 400;
const MEASURED: Duration = Duration::from_secs(10);
const SAMPLES: u32 = 5;
const BAR: f64 = 2.0;
/// What this program is called with to be a process that connects and ends.
const CONNECT: &str = "--connect";

/// A way to begin a flow to a port of loopback.
type Begin = fn(u16);

fn main() {
    let arguments: Vec<String> = std::env::args().collect();
    if let [_, option, port] = &arguments[..]
        && option == CONNECT
    {
        return connect(port.parse().unwrap());
    }
    let wanted = arguments.iter().skip(1).find(|argument| !argument.starts_with('-'));
    let kinds: [(&str, Begin); 3] = [
        ("one datagram each, of one process", say),
        ("TCP connections of one process", connect),
        ("TCP connections, each of a process of its own", run),
    ];
    for (name, begin) in kinds {
        if wanted.is_none_or(|wanted| name.contains(wanted)) {
            measure(name, begin);
        }
    }
}

fn measure(name: &str, begin: Begin) {
    let host = Host::new("share");
    let (port, connections) = host.enter(|| {
        let listener = TcpListener::bind(("127.0.0.1", 0)).unwrap();
        let port = listener.local_addr().unwrap().port();
        // Nobody reads the datagrams; without a socket they would be answered.
        (port, (listener, UdpSocket::bind(("127.0.0.1", port)).unwrap()))
    });
    let program = stage::binary();
    let program = program.to_str().unwrap();
    let _analyzer = host.start_line(&[program, "analyzer"], &[], Sees::All);
    let agent = host.start_line(&[program, "agent"], &[("SKYDIVE_ANALYZERS", ANALYZER)], Sees::All);
    thread::spawn(move || {
        let (listener, _datagrams) = connections;
        for connection in listener.incoming() {
            // The one who connected ends it.
            let _ = connection.unwrap().read(&mut [0]);
        }
    });
    host.ask(ANALYZER, |desk| {
        let query = "G.V().Has('Name','lo')";
        let made =
            || host.run(&["client", "capture", "create", "--gremlin", query]).status.success().then_some(());
        eventually("the capture", PATIENCE, made).unwrap();
        eventually("the capture to run", PATIENCE, || {
            (count(desk, "G.V().Has('Captures.State','active').Count()")? > 0).then_some(())
        })
        .unwrap();
        // What the start has left to do, and the first flows, are not what is measured.
        begin_flows(RATE * 2, port, begin);
        let shares: Vec<f64> = (0..SAMPLES).map(|_| share(&agent, port, begin)).collect();
        let flows = format!("G.Flows().Has('Transport.B', {port}");
        // What ended more than 15 seconds ago is no longer there.
        let there = count(desk, &format!("{flows}).Count()")).unwrap();
        assert!(there >= u64::from(10 * RATE), "only {there} flows are there");
        let named = count(desk, &format!("{flows}, 'Process.A.Pid', GT(0)).Count()")).unwrap();
        println!("{name}: of {there} flows {named} have the process that began them");
        report(&format!("agent, {RATE} flows/s, {name}: share of a core"), "%", &shares);
    });
}

/// What of a core an agent takes while flows begin, in percent.
fn share(agent: &Service, port: u16, begin: Begin) -> f64 {
    let (before, at) = (agent.processor_time(), Instant::now());
    begin_flows(RATE * MEASURED.as_secs() as u32, port, begin);
    agent.processor_time().saturating_sub(before).div_duration_f64(at.elapsed()) * 100.0
}

/// Begins flows, each when it is time for it.
fn begin_flows(count: u32, port: u16, begin: Begin) {
    let at = Instant::now();
    for n in 1..=count {
        begin(port);
        thread::sleep((Duration::from_secs(1) * n / RATE).saturating_sub(at.elapsed()));
    }
}

fn say(port: u16) {
    /// An address for each, since a port that was used before may be used again, and is not another flow then.
    static SAID: AtomicU32 = AtomicU32::new(0);
    let address = Ipv4Addr::from_bits(0x7f01_0000 + SAID.fetch_add(1, Ordering::Relaxed));
    UdpSocket::bind((address, 0)).unwrap().send_to(&[0; 40], ("127.0.0.1", port)).unwrap();
}

fn connect(port: u16) {
    drop(TcpStream::connect(("127.0.0.1", port)).unwrap());
}

fn run(port: u16) {
    let this = std::env::current_exe().unwrap();
    assert!(Command::new(this).args([CONNECT, &port.to_string()]).status().unwrap().success());
}

fn count(desk: &Desk, query: &str) -> Option<u64> {
    desk.query(query).message().parse().ok()
}

fn report(name: &str, unit: &str, samples: &[f64]) {
    let samples: Vec<String> = samples.iter().map(|sample| format!("{sample:.2}")).collect();
    let samples = samples.join(",");
    println!(
        r#"perf: {{"name":"{name}","who":"ours","unit":"{unit}","samples":[{samples}],"bar":{BAR},"better":"lower"}}"#
    );
}
