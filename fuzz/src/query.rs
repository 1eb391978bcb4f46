//! Gremlin: any text gives a query or an error with a position in it, and a query over a small graph with flows of real
//! traffic gives what it says it gives, or an error.

use std::future::Future;
use std::pin::pin;
use std::sync::LazyLock;
use std::task::{Context, Poll, Waker};

use skydive_flow::{
    ExtraLayers, FlowRead, FlowReadError, FlowSearch, FlowSet, FlowsFound, Replay, TableConfig,
};
use skydive_graph::{Graph, GraphRead, Mutation, Node, ReadError, Snapshot, Source, When, key};
use skydive_packet::file::{Packet, Reader};
use skydive_query::{Answer, Cx, Limits, Query, QueryError, Sources, execute, parse};
use skydive_value::{BoxFuture, Coverage, Filter, Map, Timestamp, Value};

const NOW: Timestamp = Timestamp::from_millis(1_700_000_000_000);
/// DNS and HTTP.
const FILE: &[u8] =
    include_bytes!("../../crates/packet/tests/data/pcaps/eth-ip4-arp-dns-req-http-google.pcap");
/// Queries may multiply rows: enough to be an answer, too few to take long.
const MOST_ROWS: usize = 1000;

static TABLE: LazyLock<FlowSet> = LazyLock::new(|| {
    let mut replay = Replay::new(TableConfig {
        node_tid: "t".into(),
        extra_layers: ExtraLayers::ALL,
        raw_packets: 3,
        ..TableConfig::default()
    });
    let mut packets = [Packet::default(); 64];
    if let Ok(filled) = Reader::new().fill(FILE, &mut packets) {
        replay.packets(packets.get(..filled.packets).unwrap_or_default(), |_, _| ());
    }
    FlowSet::new(replay.table().flows().map(|flow| flow.to_flow()).collect())
});

static GRAPH: LazyLock<Snapshot> = LazyLock::new(|| {
    let mut graph = Graph::new();
    for (id, kind) in [("host", "host"), ("eth0", "device"), ("ns", "netns")] {
        let texts = [(key::NAME, id), (key::TYPE, kind), (key::TID, "t"), (key::MAC, "fa:16:3e:29:e0:82")];
        let mut metadata: Map = texts.into_iter().collect();
        let socket: Map = [("Protocol", "TCP"), ("LocalAddress", "192.168.0.5")].into_iter().collect();
        metadata.insert(key::SOCKETS, Value::from(vec![Value::from(socket)]));
        let node = Node::new(id.into(), Source::of("agent", "h"), metadata, NOW);
        let _ = graph.apply(Mutation::AddNode(node), NOW, &mut Vec::new());
    }
    graph.snapshot()
});

struct Small;

impl GraphRead for Small {
    fn graph_at<'a>(&'a self, _: When, _: &'a Filter) -> BoxFuture<'a, Result<Snapshot, ReadError>> {
        Box::pin(async { Ok(GRAPH.clone()) })
    }
}

impl FlowRead for Small {
    fn search<'a>(&'a self, search: &'a FlowSearch) -> BoxFuture<'a, Result<FlowsFound, FlowReadError>> {
        let mut set = TABLE.clone();
        set.filter(&search.filter);
        if let Some(sort) = &search.sort {
            set.sort(sort);
        }
        if let Some(by) = &search.dedup {
            set.dedup(by);
        }
        if let Some(range) = &search.range {
            set.slice(range.start as usize..range.end as usize);
        }
        Box::pin(async { Ok(FlowsFound { count: set.flows.len() as u64, set, coverage: Coverage::complete() }) })
    }
}

pub(crate) fn run(bytes: &[u8]) {
    let Ok(text) = std::str::from_utf8(bytes) else { return };
    let limits = Limits { max_query_bytes: 64 << 10, max_steps: 256 };
    match parse(text, &limits) {
        Ok(query) => match answer(&query) {
            Ok(answer) => assert_eq!(Some(answer.rows.kind()), query.kind(), "{text}"),
            Err(error) => assert!(error.offset().is_none_or(|at| at <= text.len()), "{error}"),
        },
        Err(error) => {
            assert!(error.offset <= text.len(), "{error} at {} of {}", error.offset, text.len());
            assert!(text.is_char_boundary(error.offset), "{error} within a character");
            assert!(!error.message.is_empty());
        }
    }
}

fn answer(query: &Query) -> Result<Answer, QueryError> {
    let cx = Cx { max_rows: MOST_ROWS, ..Cx::new(NOW) };
    let sources = Sources { graph: &Small, flows: Some(&Small) };
    let mut answer = pin!(execute(query, &sources, &cx));
    match answer.as_mut().poll(&mut Context::from_waker(Waker::noop())) {
        Poll::Ready(answer) => answer,
        Poll::Pending => panic!("nothing here takes time"),
    }
}
