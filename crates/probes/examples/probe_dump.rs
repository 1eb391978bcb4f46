//! Runs the netlink and netns probes for some seconds and prints the graph, one JSON object a line.
//!
//! `probe_dump [SECONDS] [DIRECTORY OF NAMES]`: for looking at a machine without an agent, and for the tests that
//! run in a virtual machine.

use std::sync::Arc;
use std::time::{Duration, SystemTime, UNIX_EPOCH};

use skydive_graph::{Graph, MutationError, Node, Source, key};
use skydive_probes::{Namespaces, PROBES, ProbeConfig, ProbeScope, ProbeTelemetry, Report};
use skydive_value::{Clock, Id, Map, Timestamp};
use tokio::sync::mpsc;
use tokio_util::sync::CancellationToken;

#[expect(clippy::disallowed_methods, reason = "a program has a clock")]
fn clock() -> Clock {
    Clock::new(|| {
        let since = SystemTime::now().duration_since(UNIX_EPOCH).unwrap_or_default();
        Timestamp::EPOCH.plus(since)
    })
}

#[tokio::main]
async fn main() -> anyhow::Result<()> {
    let mut args = std::env::args().skip(1);
    let seconds = args.next().map_or(Ok(2.0), |s| s.parse())?;
    let clock = clock();
    let source = Source::of("agent", "dump");
    let config = ProbeConfig {
        host_node: Id::random(),
        source: Arc::clone(&source),
        host_id: "dump".into(),
        metrics_update: Duration::from_secs(5),
        sockets_update: Duration::from_secs(5),
        netns_run_path: args.next().unwrap_or_else(|| "/var/run/netns".into()).into(),
        metadata_files: Vec::new(),
        namespaces: Namespaces::default(),
        telemetry: ProbeTelemetry::default(),
    };
    let host: Map = [(key::NAME, "dump"), (key::TYPE, key::node_type::HOST)].into_iter().collect();
    let mut graph = Graph::new();
    let mut events = Vec::new();
    let node = Node::new(config.host_node.clone(), source, host, clock.now());
    graph.apply(skydive_graph::Mutation::AddNode(node), clock.now(), &mut events)?;

    let (reports, mut inbox) = mpsc::channel(64);
    let stop = CancellationToken::new();
    let mut probes = tokio::task::JoinSet::new();
    for def in PROBES.iter().filter(|def| matches!(def.name, "netlink" | "netns")) {
        let probe = (def.build)(&config)?;
        probes.spawn(probe.run(ProbeScope::new(def.name, reports.clone(), clock.clone(), stop.clone())));
    }
    drop(reports);
    let deadline = tokio::time::sleep(Duration::from_secs_f64(seconds));
    tokio::pin!(deadline);
    loop {
        let report = tokio::select! {
            report = inbox.recv() => report,
            () = &mut deadline => break,
        };
        match report {
            Some(Report::Mutations { mutations, .. }) => {
                for mutation in mutations {
                    events.clear();
                    let applied = graph.apply(mutation, clock.now(), &mut events);
                    if let Err(error) = applied
                        && !matches!(error, MutationError::NoNode(_))
                    {
                        eprintln!("refused: {error}");
                    }
                }
            }
            Some(Report::Health { probe, health }) => eprintln!("{probe}: {health:?}"),
            Some(Report::Abandoned { probe }) => eprintln!("{probe}: ended by a defect"),
            None => break,
        }
    }
    stop.cancel();
    let snapshot = graph.snapshot();
    for node in snapshot.nodes() {
        let line = serde_json::json!({"ID": node.id, "Metadata": node.metadata});
        println!("{line}");
    }
    for edge in snapshot.edges() {
        let (parent, child) = (&edge.parent().id, &edge.child().id);
        let line = serde_json::json!({"Parent": parent, "Child": child, "Metadata": edge.metadata()});
        println!("{line}");
    }
    Ok(())
}
