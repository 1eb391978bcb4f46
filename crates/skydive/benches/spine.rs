//! From a host to an answer: how soon, how late, at what cost. The program as it is shipped, on hosts made for it.
//!
//! Namespaces, links and traffic are made by `ip` and `ping`; everything is measured from outside, as a user would.
//! One argument picks the measurements whose name contains it.

#![allow(
    clippy::unwrap_used,
    clippy::disallowed_methods,
    reason = "a bench reads the clock and must fail loudly"
)]

use std::io::Write;
use std::os::unix::fs::symlink;
use std::process::{Child, Command, Stdio};
use std::time::{Duration, Instant};

use skydive_testnet::{Netns, eventually};
use stage::{AGENT, ANALYZER, Desk, Host, Sees, Service};

#[allow(dead_code, reason = "the tests need more of it")]
#[path = "../tests/spine/stage.rs"]
mod stage;

/// How long anything may take before the bench gives up.
const PATIENCE: Duration = Duration::from_mins(2);

fn main() {
    let wanted = std::env::args().skip(1).find(|argument| !argument.starts_with('-')).unwrap_or_default();
    let measurements: [(&str, fn()); 4] =
        [("start", start), ("latency", latency), ("rest", rest), ("namespaces", namespaces)];
    for (name, measure) in measurements {
        if name.contains(&wanted) {
            eprintln!("spine: {name}");
            measure();
        }
    }
}

/// From `exec` to the first answer of `GET /api`.
fn start() {
    let host = Host::new("start");
    let samples: Vec<f64> = (0..10)
        .map(|_| {
            host.enter(|| {
                let desk = Desk::new(ANALYZER);
                let before = Instant::now();
                let _service = program(&host, "allinone", &[]);
                eventually("an answer", PATIENCE, || desk.is_up().then_some(())).unwrap();
                before.elapsed().as_secs_f64() * 1000.0
            })
        })
        .collect();
    report("allinone: start to the first answer", "ms", &samples, 1000.0);
}

/// What one line given to `ip` leads to at a subscriber.
enum Effect {
    Added(String),
    Mtu(String, i64),
    Deleted(String),
}

/// From the request to the kernel to the event at a subscriber of the analyzer, for links made, changed and deleted
/// one after the other. What else happens on the machine does not show.
fn latency() {
    const LINKS: usize = 250;
    let host = Host::new("late");
    let _service = host.start(&["allinone"], &[]);
    let mut took = Vec::new();
    host.ask(ANALYZER, |desk| {
        eventually("the agent", PATIENCE, || desk.graph()?.named("lo").map(drop)).unwrap();
        let mut subscriber = desk.subscribe();
        let mut ip = Batch::new(&host.netns);
        for n in 0..LINKS {
            let name = format!("d{n}");
            let steps = [
                (format!("link add {name} type veth peer name p{n}"), Effect::Added(name.clone())),
                (format!("link set {name} mtu 1400"), Effect::Mtu(name.clone(), 1400)),
                (format!("link del {name}"), Effect::Deleted(name.clone())),
            ];
            for (line, effect) in steps {
                let before = Instant::now();
                ip.say(&line);
                let seen = |graph: &stage::Graph| match &effect {
                    Effect::Added(name) => graph.named(name).is_some(),
                    Effect::Mtu(name, mtu) => {
                        graph.named(name).is_some_and(|id| graph.nodes[id]["Metadata"]["MTU"] == *mtu)
                    }
                    Effect::Deleted(name) => graph.named(name).is_none(),
                };
                subscriber.until(&line, |_, graph| seen(graph)).unwrap();
                took.push(before.elapsed().as_secs_f64() * 1000.0);
            }
        }
    });
    took.sort_by(f64::total_cmp);
    let at = |share: f64| took[((took.len() - 1) as f64 * share).round() as usize];
    println!(
        "{} events: median {:.2} ms, p90 {:.2} ms, worst {:.2} ms",
        took.len(),
        at(0.5),
        at(0.9),
        at(1.0)
    );
    report("kernel event to subscriber, p99 of single changes", "ms", &[at(0.99)], 50.0);
}

/// An agent that has nothing to do but to read counters.
fn rest() {
    const NAMESPACES: usize = 100;
    const MEASURED: Duration = Duration::from_mins(1);
    let host = Host::new("rest");
    let namespaces = named_namespaces(&host, NAMESPACES);
    for netns in &namespaces {
        let made = ["a", "b"].map(|pair| {
            format!(
                "link add {pair}0 type veth peer name {pair}1\nlink set {pair}0 up\nlink set {pair}1 up\n"
            )
        });
        netns.batch(&format!("link set lo up\n{}", made.concat())).unwrap();
    }
    let _analyzer = program(&host, "analyzer", &[]);
    let environment =
        [("SKYDIVE_ANALYZERS", ANALYZER), ("SKYDIVE_AGENT_TOPOLOGY_NETLINK_METRICS_UPDATE", "5")];
    let agent = program(&host, "agent", &environment);
    // One ping a second in every tenth namespace: loopback counters move.
    let _traffic: Vec<_> = namespaces
        .iter()
        .step_by(10)
        .map(|netns| netns.spawn(&["ping", "-q", "127.0.0.1"]).unwrap())
        .collect();
    host.ask(ANALYZER, |desk| {
        let interfaces = NAMESPACES * 5;
        let shown = || (desk.graph()?.nodes.len() > NAMESPACES + interfaces).then_some(());
        eventually("all interfaces", PATIENCE, shown).unwrap();
        // Until the first counters have come, work of the start is going on.
        let counted = || {
            let of = "G.V().Has('Name', 'lo').HasKey('LastUpdateMetric').Count()";
            (desk.query(of).message().parse::<usize>().ok()? > 0).then_some(())
        };
        eventually("the first counters", PATIENCE, counted).unwrap();
        let graph = desk.graph().unwrap();
        println!("{} nodes, {} edges", graph.nodes.len(), graph.edges.len());
    });
    let mut samples = Vec::new();
    let began = Instant::now();
    let (mut before, mut at) = (agent.processor_time(), Instant::now());
    while began.elapsed() < MEASURED {
        wait(Duration::from_secs(15));
        let (now, then) = (agent.processor_time(), Instant::now());
        samples.push(now.saturating_sub(before).div_duration_f64(then - at) * 100.0);
        (before, at) = (now, then);
    }
    let whole = samples.iter().sum::<f64>() / samples.len() as f64;
    println!("{whole:.3} % of a core over all");
    report("agent at rest, 100 namespaces, counters every 5 s: share of a core", "%", &samples, 0.5);
    let resident = resident_megabytes(&agent);
    report("agent at rest, 100 namespaces: resident memory", "MB", &[resident], 40.0);
}

/// A host that was busy before the agent came.
fn namespaces() {
    const NAMESPACES: usize = 1000;
    let host = Host::new("many");
    let namespaces = named_namespaces(&host, NAMESPACES);
    for netns in &namespaces {
        netns.batch("link add v0 type veth peer name v1\n").unwrap();
    }
    let samples: Vec<f64> = (0..3)
        .map(|_| {
            let _analyzer = host.start(&["analyzer"], &[]);
            host.ask(ANALYZER, |desk| {
                let before = Instant::now();
                let _agent = host.start(&["agent"], &[("SKYDIVE_ANALYZERS", ANALYZER)]);
                // Both ends of the pairs, with the stable ids that come with the ownership.
                let of = "G.V().Has('Name', Within('v0', 'v1'), 'Type', 'veth').HasKey('TID').Count()";
                let shown = || (desk.query(of).message() == (2 * NAMESPACES).to_string()).then_some(());
                eventually("all interfaces", PATIENCE, shown).unwrap();
                before.elapsed().as_secs_f64()
            })
        })
        .collect();
    report(
        "1,000 namespaces with a veth pair each: start of the agent to all in the graph",
        "s",
        &samples,
        5.0,
    );
    // What they cost in memory is told, not judged.
    let agent = host.start(&["agent"], &[]);
    host.ask(AGENT, |desk| {
        let of = "G.V().Has('Type', 'veth').Count()";
        let shown = || (desk.query(of).message().parse::<usize>().ok()? >= 2 * NAMESPACES).then_some(());
        eventually("all interfaces", PATIENCE, shown).unwrap();
    });
    println!("{:.1} MB resident with 1,000 namespaces", resident_megabytes(&agent));
}

/// Namespaces that have names on this host, and on no other host that a test makes.
fn named_namespaces(host: &Host, count: usize) -> Vec<Netns> {
    let namespaces = Netns::many("n", count).unwrap();
    for netns in &namespaces {
        symlink(netns.path(), host.directory().join("netns").join(netns.name())).unwrap();
    }
    namespaces
}

/// An `ip -batch -` that stays and acts on each line as it comes.
struct Batch {
    child: Child,
}

impl Batch {
    fn new(netns: &Netns) -> Self {
        // It reads through a library buffer: a terminal or a pipe that gives one line at a time is acted on at once.
        let mut ip = Command::new("ip");
        ip.args(["-n", netns.name(), "-batch", "-"]).stdin(Stdio::piped()).stdout(Stdio::null());
        Self { child: ip.spawn().unwrap() }
    }

    fn say(&mut self, line: &str) {
        let stdin = self.child.stdin.as_mut().unwrap();
        stdin.write_all(format!("{line}\n").as_bytes()).unwrap();
    }
}

impl Drop for Batch {
    fn drop(&mut self) {
        // It ends with its input.
        drop(self.child.stdin.take());
        let _ = self.child.wait();
    }
}

/// The program as it runs on a host without tests: it sees every process.
fn program(host: &Host, role: &str, environment: &[(&str, &str)]) -> Service {
    let binary = stage::binary();
    host.start_line(&[binary.to_str().unwrap(), role], environment, Sees::All)
}

fn resident_megabytes(service: &Service) -> f64 {
    let status = std::fs::read_to_string(format!("/proc/{}/status", service.pid())).unwrap();
    let line = status.lines().find_map(|line| line.strip_prefix("VmRSS:")).unwrap();
    line.split_whitespace().next().unwrap().parse::<f64>().unwrap() / 1024.0
}

/// Time that passes is what is measured here.
fn wait(time: Duration) {
    std::thread::sleep(time);
}

fn report(name: &str, unit: &str, samples: &[f64], bar: f64) {
    let samples: Vec<String> = samples.iter().map(|sample| format!("{sample:.4}")).collect();
    let samples = samples.join(",");
    println!(
        r#"perf: {{"name":"{name}","who":"ours","unit":"{unit}","samples":[{samples}],"bar":{bar},"better":"lower"}}"#
    );
}
