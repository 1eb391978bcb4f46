//! Large texts in pieces, so that an answer never lies whole in memory.

use std::io::Write;
use std::sync::Arc;

use bytes::Bytes;
use skydive_flow::{Flow, LinkType, RawPacket};
use skydive_graph::{Edge, Node};
use skydive_value::Value;

use crate::dot;
use crate::element::{EdgeJson, NodeJson};
use crate::flow::{FlowJson, RawPacketJson, pcap_head, pcap_packet};

/// Size at which a piece is given out; one element more may be in it.
pub const PIECE_SIZE: usize = 64 << 10;

/// One part of a text.
#[derive(Clone, Debug)]
pub enum Part {
    /// Itself.
    Text(&'static str),
    /// JSON of a node.
    Node(Arc<Node>),
    /// JSON of an edge.
    Edge(Arc<Edge>),
    /// JSON of a value.
    Value(Value),
    /// JSON of a flow.
    Flow(Box<Flow>),
    /// JSON of a packet kept with a flow.
    Packet(RawPacket),
    /// Begin of a capture file with one kind of link.
    PcapHead(LinkType),
    /// A packet in it.
    PcapPacket(RawPacket),
    /// Line of a node in a Graphviz document.
    DotNode(Arc<Node>),
    /// Line of an edge in a Graphviz document.
    DotEdge {
        /// The edge.
        edge: Arc<Edge>,
        /// Its parent end.
        parent: Arc<Node>,
        /// Its child end.
        child: Arc<Node>,
    },
}

/// A text as an iterator over pieces of about [`PIECE_SIZE`]; parts are written when a piece is asked for.
pub struct Pieces {
    parts: Box<dyn Iterator<Item = Part> + Send>,
    room: Vec<u8>,
}

impl Pieces {
    /// The text made of `parts`.
    pub fn new(parts: impl Iterator<Item = Part> + Send + 'static) -> Self {
        Self { parts: Box::new(parts), room: Vec::new() }
    }

    /// All of it at once, for tests and small texts.
    pub fn into_bytes(self) -> Bytes {
        let mut all = Vec::new();
        for piece in self {
            all.extend_from_slice(&piece);
        }
        all.into()
    }
}

impl Iterator for Pieces {
    type Item = Bytes;

    fn next(&mut self) -> Option<Bytes> {
        let mut room = std::mem::take(&mut self.room);
        for part in self.parts.by_ref() {
            part.write(&mut room);
            if room.len() >= PIECE_SIZE {
                self.room.reserve(PIECE_SIZE + PIECE_SIZE / 4);
                break;
            }
        }
        (!room.is_empty()).then(|| Bytes::from(room))
    }
}

impl Part {
    fn write(&self, out: &mut Vec<u8>) {
        let written = match self {
            Self::Text(text) => out.write_all(text.as_bytes()).map_err(serde_json::Error::io),
            Self::Node(node) => serde_json::to_writer(out, &NodeJson(node)),
            Self::Edge(edge) => serde_json::to_writer(out, &EdgeJson(edge)),
            Self::Value(value) => serde_json::to_writer(out, value),
            Self::Flow(flow) => serde_json::to_writer(out, &FlowJson(flow)),
            Self::Packet(packet) => serde_json::to_writer(out, &RawPacketJson(packet)),
            Self::PcapHead(link) => {
                pcap_head(*link, out);
                Ok(())
            }
            Self::PcapPacket(packet) => {
                pcap_packet(packet, out);
                Ok(())
            }
            Self::DotNode(node) => {
                dot::write_node(out, node);
                Ok(())
            }
            Self::DotEdge { edge, parent, child } => {
                dot::write_edge(out, edge, parent, child);
                Ok(())
            }
        };
        written.expect("writing to memory does not fail and all keys are text");
    }
}

/// A JSON list of `items`.
pub fn list(items: impl Iterator<Item = Part>) -> impl Iterator<Item = Part> {
    lists(items.map(std::iter::once))
}

/// A JSON list whose items are made of several parts each.
pub(crate) fn lists(items: impl Iterator<Item = impl Iterator<Item = Part>>) -> impl Iterator<Item = Part> {
    let separated = items.enumerate().flat_map(|(at, item)| {
        let separator = (at > 0).then_some(Part::Text(","));
        separator.into_iter().chain(item)
    });
    std::iter::once(Part::Text("[")).chain(separated).chain(std::iter::once(Part::Text("]")))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn pieces_are_about_the_same_size_and_make_the_whole() {
        let numbers = || (0..100_000).map(|n| Part::Value(Value::Int(n)));
        let pieces: Vec<Bytes> = Pieces::new(list(numbers())).collect();
        assert!(pieces.len() > 5);
        assert!(pieces.iter().all(|p| p.len() < PIECE_SIZE + 32));
        let whole = Pieces::new(list(numbers())).into_bytes();
        let parsed: Vec<i64> = serde_json::from_slice(&whole).unwrap();
        assert_eq!(parsed.len(), 100_000);
        assert_eq!(&*Pieces::new(list(std::iter::empty())).into_bytes(), b"[]");
        assert_eq!(Pieces::new(std::iter::empty()).count(), 0);
    }
}
