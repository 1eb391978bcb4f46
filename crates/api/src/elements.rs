//! `/api/node` and `/api/edge`: elements of the live graph as resources.
//!
//! They live in the graph, not in the store, and stay when whoever made them goes. A patch is worked out beside the
//! graph's owner on the element as it was, and done by the owner if the element still is what it was; else it is worked
//! out anew, so that neither change is lost.

use std::sync::Arc;

use bytes::Bytes;
use serde_json::Value as Json;
use skydive_graph::{BoxFuture, Change, Edge, Mutation, Node, Op, ReadCount, Snapshot, Source, key};
use skydive_proto::{
    EdgeJson, ElementError, Example, NodeJson, SchemaErrors, Shape, check_decoded_edge, check_decoded_node,
    decode_edge, decode_node, pieces_of_edges, pieces_of_nodes,
};
use skydive_value::{Clock, Id, Map, SmolStr, Timestamp, Value};
use tokio::task::spawn_blocking;

use crate::LiveGraph;
use crate::live::Stopped;
use crate::resources::{
    Collection, Endpoint, Life, Listed, Patched, Refusal, Subject, Submission, apply_patch, cannot_read,
    cannot_update, endpoint, not_valid, routes,
};
use crate::route::Route;
use crate::router::Serving;

/// The nodes and edges of a live graph.
#[derive(Clone, Debug)]
pub struct Elements {
    /// The graph.
    pub live: LiveGraph,
    /// Origin of what is made without one.
    pub origin: SmolStr,
}

/// All elements of one kind.
struct OfKind {
    kind: Kind,
    live: LiveGraph,
    origin: SmolStr,
    clock: Clock,
    serving: Arc<Serving>,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Kind {
    Node,
    Edge,
}

/// A node or an edge.
#[derive(Clone, Debug, PartialEq)]
enum Element {
    Node(Node),
    Edge(Edge),
}

const NODES: Endpoint = endpoint!("node", "Node");
const EDGES: Endpoint = endpoint!("edge", "Edge");
/// Metadata of nodes that no patch changes.
const PROTECTED: [&str; 3] = [key::TID, key::NAME, key::TYPE];
/// How often a patch is worked out anew because its element changed meanwhile. One that loses as often as this
/// competes with somebody who does nothing else.
const ATTEMPTS: usize = 100;
const CIRCLE: &str = "Ownership must not form a circle";

pub(crate) fn routes_of_graph(elements: &Elements, serving: &Arc<Serving>) -> Vec<Route> {
    let route = |kind, endpoint| {
        let Elements { live, origin } = elements.clone();
        let clock = serving.clock.clone();
        let elements = Arc::new(OfKind { kind, live, origin, clock, serving: serving.clone() });
        routes(endpoint, &kind.subject(), elements, serving)
    };
    [(Kind::Node, NODES), (Kind::Edge, EDGES)].into_iter().flat_map(|(kind, at)| route(kind, at)).collect()
}

impl OfKind {
    async fn make(&self, submission: Submission) -> Result<Bytes, Refusal> {
        let decoded = self.kind.decode(&submission.json, self.clock.now());
        let mut element = decoded.map_err(|fault| Refusal::Malformed(fault.to_string()))?;
        element.check().map_err(|fault| Refusal::Wrong(fault.to_string()))?;
        // What is in the graph has no time to live; a wrong one is refused all the same.
        submission.expiry(self.clock.now())?;
        element.claim(&self.origin);
        let json = element.json()?;
        let decision = self.live.decide(move |graph| match element.conflict(graph) {
            Some(text) => (Vec::new(), Err(Refusal::Wrong(text.to_owned()))),
            None => (vec![element.into_addition()], Ok(())),
        });
        let (made, _) = decision.await?;
        made.map(|()| json)
    }

    async fn change(&self, id: &str, body: Bytes) -> Result<Patched, Refusal> {
        let id = Id::from(id);
        for _ in 0..ATTEMPTS {
            let known = self.kind.find(&self.live.snapshot().await?, &id).ok_or(Refusal::Absent)?;
            let (seen, body) = (known.clone(), body.clone());
            // Patches and elements may be large.
            let patched = spawn_blocking(move || seen.patched(&body)).await;
            let patched = patched.map_err(|fault| Refusal::Unavailable(fault.to_string()))??;
            let Some(change) = change(known.metadata(), patched.metadata()) else {
                return Ok(Patched::Same);
            };
            let (kind, asked) = (self.kind, id.clone());
            let decision = self.live.decide(move |graph| {
                if kind.find(graph, &asked).as_ref() != Some(&known) {
                    return (Vec::new(), Ok(false));
                }
                if patched.closes_circle(graph) {
                    return (Vec::new(), Err(cannot_update(CIRCLE)));
                }
                (vec![kind.update(asked, change)], Ok(true))
            });
            let (is_done, after) = decision.await?;
            if is_done? {
                let element = self.kind.find(&after, &id).ok_or(Refusal::Absent)?;
                return Ok(Patched::Changed(element.json()?));
            }
        }
        Err(cannot_update("the element changes all the time"))
    }

    async fn all(&self) -> Result<Listed, Refusal> {
        let unavailable = |text: String| Refusal::Unavailable(text);
        let permit = self.serving.whole_graphs.clone().acquire_owned().await;
        let permit = permit.map_err(|fault| unavailable(fault.to_string()))?;
        let (snapshot, kind) = (self.live.snapshot().await?, self.kind);
        let sorted = spawn_blocking(move || {
            let _permit = permit;
            match kind {
                Kind::Node => pieces_of_nodes(snapshot),
                Kind::Edge => pieces_of_edges(snapshot),
            }
        });
        Ok(Listed::Pieces(sorted.await.map_err(|fault| unavailable(fault.to_string()))?))
    }

    async fn delete(&self, id: Id) -> Result<(), Refusal> {
        let kind = self.kind;
        let decision = self.live.decide(move |graph| match kind.find(graph, &id) {
            Some(_) => (vec![kind.deletion(id)], true),
            None => (Vec::new(), false),
        });
        let (was_there, _) = decision.await?;
        if was_there { Ok(()) } else { Err(Refusal::Absent) }
    }
}

impl Collection for OfKind {
    fn list(&self) -> BoxFuture<'_, Result<Listed, Refusal>> {
        Box::pin(self.all())
    }

    fn find<'a>(&'a self, id: &'a str) -> BoxFuture<'a, Result<Option<Bytes>, Refusal>> {
        Box::pin(async move {
            let snapshot = self.live.snapshot().await?;
            self.kind.find(&snapshot, &Id::from(id)).map(|element| element.json()).transpose()
        })
    }

    fn create(&self, submission: Submission) -> BoxFuture<'_, Result<Bytes, Refusal>> {
        Box::pin(self.make(submission))
    }

    fn patch<'a>(&'a self, id: &'a str, body: Bytes) -> BoxFuture<'a, Result<Patched, Refusal>> {
        Box::pin(self.change(id, body))
    }

    fn remove<'a>(&'a self, id: &'a str) -> BoxFuture<'a, Result<(), Refusal>> {
        Box::pin(self.delete(Id::from(id)))
    }
}

impl Kind {
    fn subject(self) -> Subject {
        match self {
            Self::Node => Subject {
                one: "node",
                many: "nodes",
                about: "A node of the graph. One that is deleted takes its edges with it.",
                told: Shape::node(),
                wanted: Shape::new_node(),
                examples: Example::nodes(),
                life: Life::InGraph(Example::patch()),
            },
            Self::Edge => Subject {
                one: "edge",
                many: "edges",
                about: "An edge between two nodes of the graph.",
                told: Shape::edge(),
                wanted: Shape::new_edge(),
                examples: vec![Example::edge()],
                life: Life::InGraph(Example::patch()),
            },
        }
    }

    fn decode(self, json: &[u8], now: Timestamp) -> Result<Element, ElementError> {
        let mut element = match self {
            Self::Node => Element::Node(decode_node(json, now)?),
            Self::Edge => Element::Edge(decode_edge(json, now)?),
        };
        // What is in the graph is alive.
        match &mut element {
            Element::Node(node) => node.deleted_at = None,
            Element::Edge(edge) => edge.deleted_at = None,
        }
        Ok(element)
    }

    fn find(self, graph: &Snapshot, id: &Id) -> Option<Element> {
        match self {
            Self::Node => graph.node(id).map(|node| Element::Node((**node).clone())),
            Self::Edge => graph.edge(id).map(|edge| Element::Edge(edge.to_edge())),
        }
    }

    fn update(self, id: Id, change: Change) -> Mutation {
        match self {
            Self::Node => Mutation::UpdateNode { id, change, stamp: None },
            Self::Edge => Mutation::UpdateEdge { id, change, stamp: None },
        }
    }

    fn deletion(self, id: Id) -> Mutation {
        match self {
            Self::Node => Mutation::delete_node(id),
            Self::Edge => Mutation::DeleteEdge { id },
        }
    }
}

impl Element {
    fn kind(&self) -> Kind {
        match self {
            Self::Node(_) => Kind::Node,
            Self::Edge(_) => Kind::Edge,
        }
    }

    fn metadata(&self) -> &Map {
        match self {
            Self::Node(node) => &node.metadata,
            Self::Edge(edge) => &edge.metadata,
        }
    }

    fn json(&self) -> Result<Bytes, Refusal> {
        let json = match self {
            Self::Node(node) => serde_json::to_vec(&NodeJson(node)),
            Self::Edge(edge) => serde_json::to_vec(&EdgeJson(edge)),
        };
        json.map(Bytes::from).map_err(|fault| Refusal::Wrong(fault.to_string()))
    }

    fn check(&self) -> Result<(), SchemaErrors> {
        match self {
            Self::Node(node) => check_decoded_node(node),
            Self::Edge(edge) => check_decoded_edge(edge),
        }
    }

    /// Without an origin it is ours.
    fn claim(&mut self, origin: &SmolStr) {
        let (Self::Node(Node { source, .. }) | Self::Edge(Edge { source, .. })) = self;
        if source.origin.is_empty() {
            *source = Arc::new(Source { host: source.host.clone(), origin: origin.clone() });
        }
    }

    /// Why it cannot be added.
    fn conflict(&self, graph: &Snapshot) -> Option<&'static str> {
        match self {
            Self::Node(node) => graph.node(&node.id).map(|_| "Node ID conflict"),
            Self::Edge(edge) if graph.edge(&edge.id).is_some() => Some("Edge ID conflict"),
            Self::Edge(edge) if graph.node(&edge.parent).is_none() => Some("Parent node not found"),
            Self::Edge(edge) if graph.node(&edge.child).is_none() => Some("Child node not found"),
            Self::Edge(_) => self.closes_circle(graph).then_some(CIRCLE),
        }
    }

    /// Whether it would make a node a part of itself.
    fn closes_circle(&self, graph: &Snapshot) -> bool {
        match self {
            Self::Edge(edge) if edge.is_ownership() => owns(graph, &edge.child, &edge.parent),
            _ => false,
        }
    }

    fn into_addition(self) -> Mutation {
        match self {
            Self::Node(node) => Mutation::AddNode(node),
            Self::Edge(edge) => Mutation::AddEdge(edge),
        }
    }

    /// What a patch makes of it: other metadata, but for what is protected.
    fn patched(&self, body: &[u8]) -> Result<Self, Refusal> {
        let document: Json = serde_json::from_slice(&self.json()?).map_err(cannot_read)?;
        let document = apply_patch(document, body)?;
        let (Self::Node(Node { updated_at: then, .. }) | Self::Edge(Edge { updated_at: then, .. })) = self;
        let patched = self.kind().decode(document.to_string().as_bytes(), *then).map_err(cannot_read)?;
        patched.check().map_err(not_valid)?;
        let mut metadata = patched.metadata().clone();
        let mut element = self.clone();
        match &mut element {
            Self::Node(node) => {
                for key in PROTECTED {
                    match node.metadata.get(key) {
                        Some(kept) => drop(metadata.insert(key, kept.clone())),
                        None => drop(metadata.remove(key)),
                    }
                }
                node.metadata = metadata;
            }
            Self::Edge(edge) => edge.metadata = Arc::new(metadata),
        }
        Ok(element)
    }
}

/// Whether `owner` is `owned`, or owns it through others: an edge from `owned` to `owner` would close a circle. An owned node has one owner, so the way up is one way, if a
/// circle that others made does not close it.
pub fn owns(graph: &Snapshot, owner: &Id, owned: &Id) -> bool {
    let (mut at, reads) = (owned.clone(), ReadCount::default());
    for _ in 0..=graph.node_count() {
        if at == *owner {
            return true;
        }
        let parent = graph
            .in_edges(&at, &reads)
            .find(|edge| edge.relation() == key::relation::OWNERSHIP)
            .map(|edge| edge.parent().id.clone());
        match parent {
            Some(parent) => at = parent,
            None => return false,
        }
    }
    false
}

/// What makes `new` of `old`, field by field where fields can be named; `None` when they are the same.
fn change(old: &Map, new: &Map) -> Option<Change> {
    if old == new {
        return None;
    }
    let gone = old.iter().filter(|(key, _)| new.get(key).is_none()).map(|(key, _)| (key, None));
    let set = new.iter().filter(|(key, value)| old.get(key) != Some(value));
    let changed: Vec<_> = gone.chain(set.map(|(key, value)| (key, Some(value)))).collect();
    // A dot in a name would make another field of it.
    if changed.iter().any(|(key, _)| key.contains('.')) {
        return Some(Change::Metadata(new.clone()));
    }
    let op = |(key, value): (&SmolStr, Option<&Value>)| match value {
        Some(value) => Op::set(key, value.clone()),
        None => Op::remove(key),
    };
    Some(Change::Ops(changed.into_iter().map(op).collect()))
}

impl From<Stopped> for Refusal {
    fn from(fault: Stopped) -> Self {
        Self::Unavailable(fault.to_string())
    }
}

#[cfg(test)]
mod tests {
    use skydive_graph::Graph;

    use super::*;

    fn map(json: &str) -> Map {
        serde_json::from_str(json).unwrap()
    }

    #[test]
    fn a_change_names_the_fields_it_concerns() {
        let old = map(r#"{"A":1,"B":{"C":2},"D":3}"#);
        assert_eq!(change(&old, &old), None);
        let new = map(r#"{"A":1,"B":{"C":4},"E":null}"#);
        let Some(Change::Ops(ops)) = change(&old, &new) else { panic!("as a whole") };
        assert_eq!(ops.iter().map(|op| op.path().to_string()).collect::<Vec<_>>(), ["D", "B", "E"]);
        let dotted = map(r#"{"A":1,"B":{"C":2},"D":3,"x.y":1}"#);
        assert_eq!(change(&old, &dotted), Some(Change::Metadata(dotted.clone())));
    }

    #[test]
    fn ownership_does_not_go_round() {
        let mut graph = Graph::new();
        let now = Timestamp::EPOCH;
        let source = Source::of("api", "h");
        let mut apply = |mutation| graph.apply(mutation, now, &mut Vec::new()).unwrap();
        for id in ["a", "b", "c"] {
            apply(Mutation::AddNode(Node::new(id.into(), source.clone(), Map::new(), now)));
        }
        let edge = |parent: &str, child: &str| {
            let relation = key::relation::OWNERSHIP;
            Edge::link(parent.into(), child.into(), relation, Map::new(), source.clone(), now)
        };
        apply(Mutation::AddEdge(edge("a", "b")));
        apply(Mutation::AddEdge(edge("b", "c")));
        let circle = |parent, child| Element::Edge(edge(parent, child)).closes_circle(graph.view());
        assert!(circle("c", "a") && circle("a", "a") && circle("b", "a"));
        assert!(!circle("a", "c"));
    }
}
