//! Answers of queries in the shapes clients index into, as JSON or Graphviz.

use std::collections::HashMap;
use std::fmt;
use std::sync::Arc;

use skydive_flow::{Flow, LinkType, RawPacket};
use skydive_graph::{Edge, Node, Snapshot};
use skydive_value::{Coverage, Id, Map, SmolStr, Value};
use thiserror::Error;

use crate::pieces::{Part, Pieces, list, lists};
use crate::rest::media;

/// Edges given one by one, made when they are asked for.
pub type Edges = Box<dyn Iterator<Item = Arc<Edge>> + Send>;

/// What a query found, by the kind of its last step.
pub enum Answer {
    /// A graph: `[{"Nodes":[…],"Edges":[…]}]`.
    Graph {
        /// Its nodes.
        nodes: Vec<Arc<Node>>,
        /// Its edges.
        edges: Edges,
    },
    /// `[node, …]`
    Nodes(Vec<Arc<Node>>),
    /// `[edge, …]`
    Edges(Edges),
    /// `[[node, …], …]`
    Paths(Vec<Vec<Arc<Node>>>),
    /// `[value, …]`
    Values(Vec<Value>),
    /// One value, a number most often.
    Value(Value),
    /// `[{"<what they belong to>":[object, …], …}]`, or `[]`.
    Records(Vec<(SmolStr, Vec<Map>)>),
    /// `[flow, …]`
    Flows(Vec<Flow>),
    /// `[{"<what they have in common>":[flow, …], …}]`, or `[]`.
    Groups(Vec<(SmolStr, Vec<Flow>)>),
    /// `[{"<flow>":[packet, …], …}]`, or `[]`; as a capture file when that is asked for.
    Packets(Vec<(SmolStr, Vec<RawPacket>)>),
}

/// The form a client wants.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Output {
    /// JSON, unless something else is asked for.
    Json,
    /// Graphviz.
    Dot,
    /// Packets.
    Pcap,
}

/// An answer that the form has no place for.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Error)]
pub enum AnswerError {
    /// Not a graph.
    #[error("Only graph can be outputted as dot")]
    NotAGraph,
    /// No packets.
    #[error("Only RawPackets step result can be outputted as pcap")]
    NoPackets,
}

impl Output {
    /// The form that an `Accept` header asks for; the whole value counts.
    pub fn of_accept(accept: &str) -> Self {
        match accept {
            media::DOT => Self::Dot,
            media::PCAP => Self::Pcap,
            _ => Self::Json,
        }
    }
}

impl Answer {
    /// A whole snapshot as a graph, oldest elements first.
    pub fn of_snapshot(snapshot: Snapshot) -> Self {
        let (nodes, edges) = by_age(snapshot);
        Self::Graph { nodes, edges }
    }
}

impl fmt::Debug for Answer {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match self {
            Self::Graph { .. } => "Graph",
            Self::Nodes(_) => "Nodes",
            Self::Edges(_) => "Edges",
            Self::Paths(_) => "Paths",
            Self::Values(_) => "Values",
            Self::Value(_) => "Value",
            Self::Records(_) => "Records",
            Self::Flows(_) => "Flows",
            Self::Groups(_) => "Groups",
            Self::Packets(_) => "Packets",
        })
    }
}

/// The text of an answer. What the form has no place for is left out, and `coverage` says so.
pub fn pieces_of_answer(
    answer: Answer,
    output: Output,
    coverage: &mut Coverage,
) -> Result<Pieces, AnswerError> {
    match (output, answer) {
        (Output::Pcap, Answer::Packets(packets)) => Ok(capture_file(packets, coverage)),
        (Output::Pcap, _) => Err(AnswerError::NoPackets),
        (Output::Dot, Answer::Graph { nodes, edges }) => Ok(dot(nodes, edges)),
        (Output::Dot, _) => Err(AnswerError::NotAGraph),
        (Output::Json, Answer::Graph { nodes, edges }) => {
            let graph = graph(nodes, edges);
            Ok(Pieces::new(lists(std::iter::once(graph))))
        }
        (Output::Json, Answer::Nodes(nodes)) => Ok(Pieces::new(list(nodes.into_iter().map(Part::Node)))),
        (Output::Json, Answer::Edges(edges)) => Ok(Pieces::new(list(edges.map(Part::Edge)))),
        (Output::Json, Answer::Paths(paths)) => {
            Ok(Pieces::new(lists(paths.into_iter().map(|path| list(path.into_iter().map(Part::Node))))))
        }
        (Output::Json, Answer::Values(values)) => Ok(Pieces::new(list(values.into_iter().map(Part::Value)))),
        (Output::Json, Answer::Value(value)) => Ok(Pieces::new(std::iter::once(Part::Value(value)))),
        (Output::Json, Answer::Records(records)) => {
            Ok(Pieces::new(by_owner(records, |map| Part::Value(Value::from(map)))))
        }
        (Output::Json, Answer::Flows(flows)) => {
            Ok(Pieces::new(list(flows.into_iter().map(|flow| Part::Flow(Box::new(flow))))))
        }
        (Output::Json, Answer::Groups(groups)) => {
            Ok(Pieces::new(by_owner(groups, |flow| Part::Flow(Box::new(flow)))))
        }
        (Output::Json, Answer::Packets(packets)) => Ok(Pieces::new(by_owner(packets, Part::Packet))),
    }
}

/// A whole snapshot as `{"Nodes":[…],"Edges":[…]}`, oldest elements first.
pub fn pieces_of_graph(snapshot: Snapshot) -> Pieces {
    let (nodes, edges) = by_age(snapshot);
    Pieces::new(graph(nodes, edges))
}

/// Elements as `{"Nodes":[…],"Edges":[…]}`, in their order.
pub fn pieces_of_elements(nodes: Vec<Arc<Node>>, edges: Vec<Arc<Edge>>) -> Pieces {
    Pieces::new(graph(nodes, Box::new(edges.into_iter())))
}

fn by_age(snapshot: Snapshot) -> (Vec<Arc<Node>>, Edges) {
    let mut nodes: Vec<Arc<Node>> = snapshot.nodes().cloned().collect();
    nodes.sort_by_key(|node| node.created_at);
    let mut edges: Vec<(i64, Id)> =
        snapshot.edges().map(|edge| (edge.created_at().as_millis(), edge.id().clone())).collect();
    edges.sort_by_key(|(at, _)| *at);
    let edges = edges.into_iter().filter_map(move |(_, id)| Some(Arc::new(snapshot.edge(&id)?.to_edge())));
    (nodes, Box::new(edges))
}

fn graph(nodes: Vec<Arc<Node>>, edges: Edges) -> impl Iterator<Item = Part> {
    std::iter::once(Part::Text("{\"Nodes\":"))
        .chain(list(nodes.into_iter().map(Part::Node)))
        .chain(std::iter::once(Part::Text(",\"Edges\":")))
        .chain(list(edges.map(Part::Edge)))
        .chain(std::iter::once(Part::Text("}")))
}

/// An object of lists in a list; the list is empty when the object would be.
fn by_owner<T: Send + 'static>(
    records: Vec<(SmolStr, Vec<T>)>,
    part: impl Fn(T) -> Part + Copy + Send + 'static,
) -> impl Iterator<Item = Part> + Send + 'static {
    let (open, close) = if records.is_empty() { ("[", "]") } else { ("[{", "}]") };
    let members = records.into_iter().enumerate().flat_map(move |(at, (owner, owned))| {
        let comma = (at > 0).then_some(Part::Text(","));
        let name = [Part::Value(Value::Str(owner)), Part::Text(":")];
        comma.into_iter().chain(name).chain(list(owned.into_iter().map(part)))
    });
    std::iter::once(Part::Text(open)).chain(members).chain(std::iter::once(Part::Text(close)))
}

/// Packets as a capture file of the original's format (classic pcap) in the order of their times. That has one kind of
/// link. Where there are Ethernet frames the file is of them, and packets without a frame, those of flows inside tunnels
/// and of tun devices, are left out, as the original does; where there are none it is of IP packets. Without packets it
/// is empty, as the original's.
fn capture_file(flows: Vec<(SmolStr, Vec<RawPacket>)>, coverage: &mut Coverage) -> Pieces {
    let mut packets: Vec<RawPacket> = flows.into_iter().flat_map(|(_, packets)| packets).collect();
    packets.sort_by_key(|packet| packet.at);
    let has_frames = packets.iter().any(|packet| packet.link == LinkType::ETHERNET);
    let file_link = |packet: &RawPacket| match packet.link {
        // An IP packet tells its version itself.
        LinkType::IPV4 | LinkType::IPV6 => LinkType::RAW,
        other => other,
    };
    let link = if has_frames { Some(LinkType::ETHERNET) } else { packets.first().map(file_link) };
    let all = packets.len();
    packets.retain(|packet| Some(file_link(packet)) == link);
    coverage.truncated |= packets.len() < all;
    Pieces::new(link.into_iter().map(Part::PcapHead).chain(packets.into_iter().map(Part::PcapPacket)))
}

fn dot(nodes: Vec<Arc<Node>>, edges: Edges) -> Pieces {
    let by_id: HashMap<Id, Arc<Node>> = nodes.iter().map(|node| (node.id.clone(), node.clone())).collect();
    let edges = edges.filter_map(move |edge| {
        let (parent, child) = (by_id.get(&edge.parent)?.clone(), by_id.get(&edge.child)?.clone());
        Some(Part::DotEdge { edge, parent, child })
    });
    Pieces::new(
        std::iter::once(Part::Text("digraph g {\n"))
            .chain(nodes.into_iter().map(Part::DotNode))
            .chain(edges)
            .chain(std::iter::once(Part::Text("}"))),
    )
}

#[cfg(test)]
mod tests {
    use skydive_graph::{Graph, Mutation, Source, key};
    use skydive_value::Timestamp;

    use super::*;

    fn sample() -> Snapshot {
        let source = Source::of("agent", "h");
        let mut graph = Graph::new();
        let mut events = Vec::new();
        let node = |id: &str, name: &str, at| {
            let mut metadata: Map = [(key::NAME, name), (key::TYPE, "veth")].into_iter().collect();
            metadata.insert(key::IPV4, Value::list(["10.0.0.1/24", "10.0.0.2/24"]));
            Node::new(Id::from(id), source.clone(), metadata, Timestamp::from_millis(at))
        };
        let edge = |id: &str, metadata: Map| {
            Edge::new(
                id.into(),
                "nnnnnnnn-2".into(),
                "n1".into(),
                source.clone(),
                metadata,
                Timestamp::from_millis(3),
            )
        };
        let layer2: Map = [(key::RELATION_TYPE, "layer2")].into_iter().collect();
        for mutation in [
            Mutation::AddNode(node("nnnnnnnn-2", "b\"x", 2)),
            Mutation::AddNode(node("n1", "a", 1)),
            Mutation::AddEdge(edge("e1", layer2)),
            Mutation::AddEdge(edge("e2", Map::new())),
        ] {
            graph.apply(mutation, Timestamp::from_millis(9), &mut events).unwrap();
        }
        graph.snapshot()
    }

    fn text(pieces: Pieces) -> String {
        String::from_utf8(pieces.into_bytes().to_vec()).unwrap()
    }

    #[test]
    fn graphviz() {
        let dot = text(
            pieces_of_answer(Answer::of_snapshot(sample()), Output::Dot, &mut Coverage::complete()).unwrap(),
        );
        assert_eq!(
            dot,
            "digraph g {\n\
             \"a-n1\" [label=\"a-n1\\nType = veth\\nIPV4 = [10.0.0.1/24 10.0.0.2/24]\"]\n\
             \"b\\\"x-nnnnnnnn\" [label=\"b\\\"x-nnnnnnnn\\nType = veth\\nIPV4 = [10.0.0.1/24 10.0.0.2/24]\"]\n\
             \"b\\\"x-nnnnnnnn\" -> \"a-n1\" [label=layer2,dir=both]\n\
             \"b\\\"x-nnnnnnnn\" -> \"a-n1\"\n}"
        );
        assert_eq!(
            pieces_of_answer(Answer::Nodes(Vec::new()), Output::Dot, &mut Coverage::complete()).err(),
            Some(AnswerError::NotAGraph)
        );
        assert_eq!(
            pieces_of_answer(Answer::Value(Value::Int(1)), Output::Pcap, &mut Coverage::complete()).err(),
            Some(AnswerError::NoPackets)
        );
    }

    #[test]
    fn packets_of_one_kind_of_link_are_a_file() {
        let packet = |link, at| RawPacket {
            at: Timestamp::from_millis(at),
            index: at.unsigned_abs(),
            bytes: b"abc".as_slice().into(),
            link: LinkType(link),
        };
        let file = |packets: Vec<RawPacket>| {
            let one_each = packets.into_iter().map(|packet| ("f".into(), vec![packet])).collect();
            let mut coverage = Coverage::complete();
            let pieces = pieces_of_answer(Answer::Packets(one_each), Output::Pcap, &mut coverage);
            (pieces.unwrap().into_bytes(), coverage.truncated)
        };
        assert_eq!(file(Vec::new()).0.len(), 0);
        let (two, is_truncated) = file(vec![packet(228, 2_000), packet(229, 1_000)]);
        let at = |place: usize| two.get(place).copied();
        assert_eq!((two.len(), at(20), at(24)), (24 + 2 * 19, Some(101), Some(1)), "in the order of time");
        assert!(!is_truncated);
        let (mixed, is_truncated) = file(vec![packet(228, 1), packet(1, 2), packet(1, 3)]);
        assert_eq!((mixed.len(), mixed.get(20).copied(), is_truncated), (24 + 2 * 19, Some(1), true));
    }

    #[test]
    fn shapes() {
        let json = |answer| text(pieces_of_answer(answer, Output::Json, &mut Coverage::complete()).unwrap());
        let graph = json(Answer::of_snapshot(sample()));
        assert!(graph.starts_with(r#"[{"Nodes":[{"ID":"n1","Metadata":{"IPV4":["#), "{graph}");
        assert!(graph.contains(r#"],"Edges":[{"ID":"e1","Metadata":{"RelationType":"layer2"},"Host":"h","Origin":"agent.h","CreatedAt":3,"UpdatedAt":3,"DeletedAt":null,"Revision":1,"Parent":"nnnnnnnn-2","Child":"n1"}"#), "{graph}");
        assert!(graph.ends_with("}]}]"));
        assert_eq!(text(pieces_of_graph(Snapshot::default())), r#"{"Nodes":[],"Edges":[]}"#);
        assert_eq!(json(Answer::of_snapshot(Snapshot::default())), r#"[{"Nodes":[],"Edges":[]}]"#);
        assert_eq!(json(Answer::Nodes(Vec::new())), "[]");
        assert_eq!(json(Answer::Paths(vec![Vec::new(), Vec::new()])), "[[],[]]");
        assert_eq!(json(Answer::Value(Value::Int(3))), "3");
        assert_eq!(json(Answer::Value(Value::Null)), "null");
        assert_eq!(json(Answer::Records(Vec::new())), "[]");
        let metric: Map = [("RxBytes", 1)].into_iter().collect();
        let records = vec![("a\"".into(), vec![metric.clone(), metric]), ("b".into(), Vec::new())];
        assert_eq!(json(Answer::Records(records)), r#"[{"a\"":[{"RxBytes":1},{"RxBytes":1}],"b":[]}]"#);
        assert_eq!(json(Answer::Values(vec![Value::from("a"), Value::Int(1)])), r#"["a",1]"#);
    }
}
