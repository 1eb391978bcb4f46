//! A graph of three hosts, and the flows that captures on them saw: real traffic, read from files.

use std::future::Future;
use std::pin::pin;
use std::sync::{Mutex, PoisonError};
use std::task::{Context, Poll, Waker};

use serde_json::json;
use skydive_flow::{
    ExtraLayers, FlowRead, FlowReadError, FlowSearch, FlowSet, FlowsFound, Replay, TableConfig,
};
use skydive_graph::{Edge, Graph, GraphRead, Mutation, Node, ReadError, Snapshot, Source, When};
use skydive_packet::file::{Reader, Step};
use skydive_query::{Answer, Cx, Limits, QueryError, Sources, execute, parse};
use skydive_value::{BoxFuture, Filter, Id, Map, Timestamp};

use crate::tables;

pub(crate) const NOW: Timestamp = Timestamp::from_millis(1_700_000_000_000);

/// DNS and HTTP of one machine, seen at two places; TLS on an odd port; packets without a link layer.
const GOOGLE: &[u8] = include_bytes!("../../../packet/tests/data/pcaps/eth-ip4-arp-dns-req-http-google.pcap");
const TLS: &[u8] = include_bytes!("../../../packet/tests/data/application/tls.pcap");
const RAW: &[u8] = include_bytes!("../../../flow/tests/data/tunnels/raw.pcap");

/// Answers as the flow tables of hosts together do.
pub(crate) struct Tables {
    tables: Vec<(&'static str, FlowSet)>,
    /// Hosts that do not answer.
    pub(crate) silent: Vec<&'static str>,
    /// What was asked.
    asked: Mutex<Vec<FlowSearch>>,
}

/// A graph that has always been the same.
pub(crate) struct Always(Snapshot);

impl Tables {
    pub(crate) fn new() -> Self {
        let tables = [("host-1", "t1", GOOGLE), ("host-2", "t2", GOOGLE), ("host-2", "t3", TLS)];
        let tables = tables.into_iter().chain([("host-3", "t4", RAW)]);
        Self {
            tables: tables.map(|(host, tid, file)| (host, captured(tid, file))).collect(),
            silent: Vec::new(),
            asked: Mutex::default(),
        }
    }

    /// What was asked since the last call.
    pub(crate) fn asked(&self) -> Vec<FlowSearch> {
        std::mem::take(&mut self.asked.lock().unwrap_or_else(PoisonError::into_inner))
    }

    fn find(&self, search: &FlowSearch) -> FlowsFound {
        self.asked.lock().unwrap_or_else(PoisonError::into_inner).push(search.clone());
        let wanted = |host: &&str| search.hosts.as_ref().is_none_or(|hosts| hosts.iter().any(|h| h == host));
        let asked = self.tables.iter().filter(|(host, _)| wanted(host));
        let (silent, answering): (Vec<_>, Vec<_>) = asked.partition(|(host, _)| self.silent.contains(host));
        let mut found = tables::find(answering.into_iter().map(|(_, table)| table), search);
        for (host, _) in silent {
            found.coverage.miss((*host).into());
        }
        found
    }
}

impl FlowRead for Tables {
    fn search<'a>(&'a self, search: &'a FlowSearch) -> BoxFuture<'a, Result<FlowsFound, FlowReadError>> {
        Box::pin(async { Ok(self.find(search)) })
    }
}

impl Always {
    pub(crate) fn new() -> Self {
        let mut graph = Graph::new();
        for mutation in hosts() {
            graph.apply(mutation, NOW, &mut Vec::new()).unwrap();
        }
        Self(graph.snapshot())
    }
}

impl GraphRead for Always {
    fn graph_at<'a>(&'a self, _: When, _: &'a Filter) -> BoxFuture<'a, Result<Snapshot, ReadError>> {
        Box::pin(async { Ok(self.0.clone()) })
    }
}

/// What a capture on a node made of a file.
fn captured(tid: &str, file: &[u8]) -> FlowSet {
    let mut replay = Replay::new(TableConfig {
        node_tid: tid.into(),
        extra_layers: ExtraLayers::ALL,
        raw_packets: 4,
        ..TableConfig::default()
    });
    let (mut reader, mut left) = (Reader::new(), file);
    loop {
        let consumed = match reader.next(left).unwrap() {
            Step::Packet { packet, consumed } => {
                replay.packets(&[packet], |_, _| ());
                consumed
            }
            Step::Passed { consumed } => consumed,
            Step::More { .. } => break,
        };
        left = &left[consumed..];
    }
    assert!(left.is_empty(), "the whole file was read");
    FlowSet::new(replay.table().flows().map(|flow| flow.to_flow()).collect())
}

/// The nodes and edges of the hosts.
fn hosts() -> Vec<Mutation> {
    let socket = |name: &str, local: (&str, u16), remote: (&str, u16), protocol: &str| {
        json!({
            "Name": name, "Protocol": protocol, "State": "ESTABLISHED",
            "LocalAddress": local.0, "LocalPort": local.1, "RemoteAddress": remote.0, "RemotePort": remote.1,
        })
    };
    let (here, there) = (("192.168.0.5", 47838), ("173.194.40.147", 80));
    let client = json!([
        socket("curl", here, there, "TCP"),
        socket("other", here, there, "UDP"),
        socket("idle", ("192.168.0.5", 22), ("0.0.0.0", 0), "TCP"),
    ]);
    let server = json!([socket("nginx", there, here, "TCP")]);
    let dockers =
        json!([{"ID": "c1", "Name": "my-dockers-cap", "State": "active"}, {"ID": "c2", "Name": "second"}]);
    let nodes = [
        ("host-1", "host-1", "host", json!({"Sockets": client})),
        ("host-2", "host-2", "host", json!({"Sockets": server})),
        ("host-1", "eth0", "device", json!({"TID": "t1"})),
        ("host-2", "eth1", "tuntap", json!({"TID": "t2"})),
        ("host-2", "lo", "device", json!({"TID": "t3", "Captures": dockers})),
        ("host-3", "tun0", "tun", json!({"TID": "t4"})),
        ("host-1", "ns", "netns", json!({"TID": "t5"})),
        ("host-1", "vm", "veth", json!({"MAC": "fa:16:3e:29:e0:82", "TID": "t6"})),
        // Its peer is in a namespace that is not watched.
        ("host-1", "gate", "veth", json!({"MAC": "02:00:00:00:00:01", "PeerIntfMAC": "fa:16:3e:96:06:e8"})),
        ("host-1", "twin", "veth", json!({"MAC": "02:00:00:00:00:02", "PeerIntfMAC": "fa:16:3e:29:e0:82"})),
    ];
    let nodes = nodes.map(|(host, name, kind, more)| {
        let mut metadata: Map = serde_json::from_value::<Map>(more).unwrap();
        metadata.insert("Name", name);
        metadata.insert("Type", kind);
        Mutation::AddNode(Node::new(name.into(), Source::of("agent", host), metadata, NOW))
    });
    let edges = [("host-1", "eth0"), ("eth0", "eth1"), ("host-2", "eth1"), ("host-2", "lo")];
    let edges = edges.map(|(parent, child)| {
        let id = Id::from(format!("{parent}-{child}").as_str());
        let metadata = [("RelationType", "layer2")].into_iter().collect();
        Mutation::AddEdge(Edge::new(id, parent.into(), child.into(), Source::of("agent", "h"), metadata, NOW))
    });
    nodes.into_iter().chain(edges).collect()
}

/// The answer of sources that need no time.
pub(crate) fn ask_of(text: &str, sources: &Sources<'_>) -> Result<Answer, QueryError> {
    let query = parse(text, &Limits::default()).unwrap_or_else(|error| panic!("{text}: {error}"));
    let cx = Cx::new(NOW);
    let mut answer = pin!(execute(&query, sources, &cx));
    match answer.as_mut().poll(&mut Context::from_waker(Waker::noop())) {
        Poll::Ready(answer) => {
            let kind = answer.as_ref().ok().map(|answer| answer.rows.kind());
            assert!(kind.is_none() || kind == query.kind(), "{text}: the kind is known before");
            answer
        }
        Poll::Pending => panic!("{text}: nothing here takes time"),
    }
}
