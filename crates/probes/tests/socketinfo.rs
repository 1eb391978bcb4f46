//! Sockets of a namespace on the host's node.
#![allow(clippy::unwrap_used, reason = "a test that cannot set up must fail")]

use std::net::{TcpListener, TcpStream};
use std::time::Duration;

use skydive_graph::{Change, Mutation, Op, Source, key};
use skydive_probes::{Namespaces, NsNode, PROBES, ProbeConfig, ProbeScope, ProbeTelemetry, Report};
use skydive_sys::NsRef;
use skydive_testnet::{Netns, require_root};
use skydive_value::{Clock, Id, Timestamp, Value};
use tokio::sync::mpsc;
use tokio::time::timeout;
use tokio_util::sync::CancellationToken;

const SOON: Duration = Duration::from_secs(20);

/// The list of sockets in what a probe sends, if it is in there.
fn sockets(report: &Report) -> Option<Vec<Value>> {
    let Report::Mutations { mutations, .. } = report else { return None };
    mutations.iter().find_map(|mutation| match mutation {
        Mutation::UpdateNode { change: Change::Ops(ops), .. } => ops.iter().find_map(|op| match op {
            Op::Set(path, Value::List(list)) if path.to_string() == key::SOCKETS => Some(list.to_vec()),
            _ => None,
        }),
        _ => None,
    })
}

fn text(socket: &Value, name: &str) -> String {
    let Value::Map(fields) = socket else { panic!("{socket:?}") };
    match fields.get(name) {
        Some(Value::Int(number)) => number.to_string(),
        Some(field) => field.as_str().unwrap_or_default().to_owned(),
        None => String::new(),
    }
}

#[tokio::test]
async fn sockets_of_a_namespace_with_their_process() {
    if !require_root() {
        return;
    }
    let netns = Netns::with_loopback("info").unwrap();
    let entering = skydive_sys::Namespaces::start().unwrap();
    let (_listener, client) = entering
        .enter(&NsRef::Path(netns.path()), || {
            let listener = TcpListener::bind("127.0.0.1:0").unwrap();
            let client = TcpStream::connect(listener.local_addr().unwrap()).unwrap();
            (listener, client)
        })
        .unwrap()
        .1;
    let namespaces = Namespaces::default();
    let node = NsNode { node: Id::random(), path: netns.path() };
    namespaces.insert((0, netns.inode().unwrap()), node);
    let config = ProbeConfig {
        host_node: Id::random(),
        source: Source::of("agent", "here"),
        host_id: "here".into(),
        metrics_update: SOON,
        sockets_update: Duration::from_millis(50),
        netns_run_path: "/nonexistent".into(),
        metadata_files: Vec::new(),
        namespaces,
        telemetry: ProbeTelemetry::default(),
    };
    let def = PROBES.iter().find(|def| def.name == "socketinfo").unwrap();
    let (reports, mut inbox) = mpsc::channel(64);
    let stop = CancellationToken::new();
    let clock = Clock::new(|| Timestamp::from_millis(1));
    let probe = (def.build)(&config).unwrap();
    let running = tokio::spawn(probe.run(ProbeScope::new(def.name, reports, clock, stop.clone())));

    let port = client.local_addr().unwrap().port().to_string();
    let is_client = |socket: &&Value| text(socket, "LocalPort") == port;
    let entry = loop {
        let report = timeout(SOON, inbox.recv()).await.unwrap().unwrap();
        if let Some(found) = sockets(&report).and_then(|list| list.iter().find(is_client).cloned()) {
            break found;
        }
    };
    assert_eq!(text(&entry, "Protocol"), "TCP");
    assert_eq!(text(&entry, "State"), "ESTABLISHED");
    assert_eq!(text(&entry, "LocalAddress"), "127.0.0.1");
    assert_eq!(text(&entry, "RemotePort"), client.peer_addr().unwrap().port().to_string());
    assert_eq!(text(&entry, "Pid"), std::process::id().to_string());
    assert_eq!(text(&entry, "Process"), std::env::current_exe().unwrap().to_str().unwrap());

    // What has gone leaves the list.
    drop(client);
    loop {
        let report = timeout(SOON, inbox.recv()).await.unwrap().unwrap();
        let is_there =
            |list: Vec<Value>| list.iter().any(|socket| is_client(&socket) && text(socket, "Pid") != "0");
        if sockets(&report).is_some_and(|list| !is_there(list)) {
            break;
        }
    }
    stop.cancel();
    drop(inbox);
    timeout(SOON, running).await.unwrap().unwrap().unwrap();
}
