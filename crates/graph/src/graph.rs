//! The graph and its owner's operations.

use std::hint::black_box;
use std::sync::Arc;

use hashbrown::{HashMap, HashSet, HashTable};
use skydive_value::{Id, Map, Shapes, SmolStr, Timestamp, Value};

use crate::element::relation_of;
use crate::index::{node_entries, push_entries};
use crate::key;
use crate::stored::{StoredEdge, spread};
use crate::{
    Cascade, Change, Edge, GraphEvent, Mutation, MutationError, Node, Op, Outcome, Snapshot, Source, Stamp,
};

mod sharing;
mod sync;

use sharing::Sharing;

/// Nodes, edges and their indexes, with one owner who applies mutations.
#[derive(Debug, Default)]
pub struct Graph {
    now: Snapshot,
    /// The owner's way from an id to a place: one probe, where the shared index takes a search. With the hash beside
    /// the place the table grows without a look at the nodes.
    node_ids: HashTable<Spot>,
    /// Index entries of the nodes about to be added.
    entries: Vec<u32>,
    free_nodes: Vec<u32>,
    free_edges: Vec<u32>,
    shapes: Shapes,
    sharing: Sharing,
    /// How many edges each origin has made: tells whether those at its nodes are all.
    edges_by_origin: HashMap<SmolStr, usize>,
}

/// The hash of a node's id, and where the node is.
#[derive(Clone, Copy, Debug)]
struct Spot {
    hash: u32,
    place: u32,
}

/// What is known of a mutation before its turn, by which its memory was touched. Only guesses: those before it may
/// change everything.
#[derive(Clone, Copy, Debug, Default)]
struct Ahead {
    /// Where the node to be updated seems to be.
    place: Option<u32>,
    /// Which of its fields the first operation seems to concern.
    field: usize,
    /// Which of [`Graph::entries`] are those of the node to be added; this is no guess.
    entries: Option<(usize, usize)>,
}

/// Mutations whose memory is touched together: more than a processor can wait for at once, few enough to stay in
/// its first cache.
const TOUCH_AHEAD: usize = 32;

/// Bytes that the indexes take, for measurements.
#[derive(Clone, Copy, Debug)]
pub struct Memory {
    /// Index of nodes by id and by indexed keys.
    pub node_index: usize,
    /// Index of edges by id and by their ends.
    pub edge_index: usize,
}

impl Graph {
    /// An empty graph.
    pub fn new() -> Self {
        Self::default()
    }

    /// The graph as it is now, for readers.
    pub fn snapshot(&self) -> Snapshot {
        self.now.clone()
    }

    /// The graph as it is now, for its owner: a snapshot that nothing has to be copied for.
    pub fn view(&self) -> &Snapshot {
        &self.now
    }

    /// The node with an id.
    pub fn node(&self, id: &Id) -> Option<&Arc<Node>> {
        self.now.stored.node_at(self.place_of(id)?)
    }

    /// The edge with an id.
    pub fn edge(&self, id: &Id) -> Option<Edge> {
        let place = self.now.stored.edge_place(id)?;
        self.now.stored.to_edge(self.now.stored.edge_at(place)?)
    }

    /// Number of nodes.
    pub fn node_count(&self) -> usize {
        self.now.stored.node_count
    }

    /// Number of edges.
    pub fn edge_count(&self) -> usize {
        self.now.stored.edge_count
    }

    /// What the indexes take.
    pub fn memory(&self) -> Memory {
        Memory {
            node_index: self.now.stored.node_index.bytes() + self.node_ids.allocation_size(),
            edge_index: self.now.stored.edge_index.bytes()
                + self.now.stored.outgoing.bytes()
                + self.now.stored.incoming.bytes(),
        }
    }

    /// Applies a mutation at time `now` and appends what happened to `events`, in order. After an error the graph is
    /// as it was.
    pub fn apply(
        &mut self,
        mutation: Mutation,
        now: Timestamp,
        events: &mut Vec<GraphEvent>,
    ) -> Result<Outcome, MutationError> {
        self.apply_one(mutation, Ahead::default(), now, events)
    }

    /// Applies mutations in order, as [`Graph::apply`] does one; `refused` hears of those that cannot be applied. For
    /// many at once this is faster: the memory that a stretch of them will need is touched ahead, so that the
    /// processor waits for all of it together instead of for one place after the other.
    pub fn apply_all(
        &mut self,
        mutations: Vec<Mutation>,
        now: Timestamp,
        events: &mut Vec<GraphEvent>,
        mut refused: impl FnMut(MutationError),
    ) {
        let mut left = mutations.into_iter();
        while !left.as_slice().is_empty() {
            let ahead = self.touch(&left.as_slice()[..TOUCH_AHEAD.min(left.len())]);
            for (mutation, ahead) in left.by_ref().take(TOUCH_AHEAD).zip(ahead) {
                if let Err(error) = self.apply_one(mutation, ahead, now, events) {
                    refused(error);
                }
            }
        }
    }

    fn apply_one(
        &mut self,
        mutation: Mutation,
        ahead: Ahead,
        now: Timestamp,
        events: &mut Vec<GraphEvent>,
    ) -> Result<Outcome, MutationError> {
        let before = events.len();
        match mutation {
            Mutation::AddNode(node) => self.add_node(node, ahead, events)?,
            Mutation::UpdateNode { id, change, stamp } => {
                self.update_node(&id, change, stamp, ahead, now, events)?;
            }
            Mutation::DeleteNode { id, cascade } => {
                if let Some(place) = self.place_of(&id) {
                    self.delete_node(place, cascade, now, events);
                }
            }
            Mutation::AddEdge(edge) => self.add_edge(edge, now, events)?,
            Mutation::UpdateEdge { id, change, stamp } => {
                self.update_edge(&id, change, stamp, now, events)?;
            }
            Mutation::DeleteEdge { id } => {
                if let Some(place) = self.now.stored.edge_place(&id) {
                    self.delete_edge(place, now, events);
                }
            }
            Mutation::DeleteOrigin { origin } => self.delete_origin(&origin, now, events),
            Mutation::Sync { origin, nodes, edges } => self.sync(&origin, nodes, edges, now, events)?,
        }
        Ok(if events.len() > before { Outcome::Applied } else { Outcome::Unchanged })
    }

    /// See [`Graph::apply_all`]. Each pass reads one link of the chain from an id to what is to be changed, for all
    /// mutations; what is read does not matter.
    fn touch(&mut self, mutations: &[Mutation]) -> [Ahead; TOUCH_AHEAD] {
        let stored = &self.now.stored;
        let mut ahead = [Ahead::default(); TOUCH_AHEAD];
        let mut keys = [None; TOUCH_AHEAD];
        let mut near = stored.near;
        self.entries.clear();
        for ((mutation, ahead), key) in mutations.iter().zip(&mut ahead).zip(&mut keys) {
            match mutation {
                Mutation::UpdateNode { id, change, .. } => {
                    let hash = stored.hash_id(id);
                    ahead.place = self.node_ids.find(wide(hash), |spot| spot.hash == hash).map(|s| s.place);
                    if let Change::Ops(ops) = change {
                        *key = ops.first().map(|op| op.path().first());
                    }
                }
                Mutation::AddNode(node) => {
                    let from = self.entries.len();
                    push_entries(stored, node, &mut near, &mut self.entries);
                    ahead.entries = Some((from, self.entries.len()));
                    let hash = stored.hash_id(&node.id);
                    black_box(self.node_ids.find(wide(hash), |spot| spot.hash == hash).is_some());
                }
                _ => {}
            }
        }
        let nodes = ahead.map(|ahead| stored.node_at(ahead.place?));
        black_box(
            nodes
                .iter()
                .flatten()
                .map(|node| Arc::strong_count(node) + node.metadata.len() + node.revision as usize)
                .fold(0, usize::wrapping_add),
        );
        let mut field = 0;
        for ((node, key), ahead) in nodes.iter().zip(keys).zip(&mut ahead) {
            let (Some(node), Some(key)) = (node, key) else { continue };
            field = node.metadata.position(key, field).unwrap_or(field);
            ahead.field = field;
            black_box(node.metadata.at(field).is_some_and(|value| matches!(value, Value::Null)));
        }
        stored.node_index.prefetch(&self.entries);
        self.now.stored.near = near;
        ahead
    }

    fn place_of(&self, id: &Id) -> Option<u32> {
        let hash = self.now.stored.hash_id(id);
        self.node_ids
            .find(wide(hash), |spot| spot.hash == hash && self.is_at(id, spot.place))
            .map(|spot| spot.place)
    }

    fn is_at(&self, id: &Id, place: u32) -> bool {
        self.now.stored.node_at(place).is_some_and(|node| node.id == *id)
    }

    fn add_node(
        &mut self,
        mut node: Node,
        ahead: Ahead,
        events: &mut Vec<GraphEvent>,
    ) -> Result<(), MutationError> {
        if self.place_of(&node.id).is_some() {
            return Ok(());
        }
        let place = next_place(&mut self.free_nodes, self.now.stored.nodes.len())?;
        self.shapes.share(&mut node.metadata);
        node.source = self.sharing.source(&node.source);
        node.deleted_at = None;
        let node = Arc::new(node);
        let hash = self.now.stored.hash_id(&node.id);
        let before = self.entries.len();
        let (from, to) = ahead.entries.unwrap_or_else(|| {
            let mut near = self.now.stored.near;
            push_entries(&self.now.stored, &node, &mut near, &mut self.entries);
            self.now.stored.near = near;
            (before, self.entries.len())
        });
        for entry in self.entries.get(from..to).unwrap_or_default() {
            self.now.stored.node_index.insert(*entry, place);
        }
        self.entries.truncate(before);
        *self.now.stored.nodes.at_mut(place as usize) = Some(node.clone());
        self.node_ids.insert_unique(wide(hash), Spot { hash, place }, |spot| wide(spot.hash));
        self.now.stored.node_count += 1;
        events.push(GraphEvent::NodeAdded(node));
        Ok(())
    }

    fn update_node(
        &mut self,
        id: &Id,
        change: Change,
        stamp: Option<Stamp>,
        ahead: Ahead,
        now: Timestamp,
        events: &mut Vec<GraphEvent>,
    ) -> Result<(), MutationError> {
        let place = ahead.place.filter(|place| self.is_at(id, *place)).or_else(|| self.place_of(id));
        let place = place.ok_or_else(|| MutationError::NoNode(id.clone()))?;
        let Some(old) = self.now.stored.node_at(place) else { return Ok(()) };
        let Some(stamp) = effective(stamp, &change, old.revision, &old.metadata, ahead.field, now) else {
            return Ok(());
        };
        let before = concerns_index(&change).then(|| node_entries(&self.now.stored, old));
        let Some(slot) = self.now.stored.nodes.at_mut(place as usize) else { return Ok(()) };
        let node = Arc::make_mut(slot);
        node.revision = stamp.revision;
        node.updated_at = stamp.updated_at;
        let ops = if let Some((field, value)) = change.one_value(&node.metadata, ahead.field) {
            node.metadata.set_at(field, value.clone());
            change.into_ops()
        } else {
            let shape = node.metadata.shape().clone();
            let ops = change.apply(&mut node.metadata);
            if !shape.is_same(node.metadata.shape()) {
                self.shapes.share(&mut node.metadata);
            }
            ops
        };
        let node = slot.clone();
        if let Some(before) = before {
            self.reindex(place, &before, &node);
        }
        events.push(GraphEvent::NodeUpdated { node, ops });
        Ok(())
    }

    fn delete_node(&mut self, place: u32, cascade: Cascade, now: Timestamp, events: &mut Vec<GraphEvent>) {
        // An explicit stack: ownership can be nested as deep as who publishes it likes.
        let mut doomed = vec![place];
        let mut known: HashSet<u32> = [place].into_iter().collect();
        let mut next = 0;
        if cascade == Cascade::Owned {
            while let Some(parent) = doomed.get(next).copied() {
                next += 1;
                for edge in self.now.stored.outgoing(parent) {
                    if let Some(edge) = self.now.stored.edge_at(edge)
                        && is_ownership(edge)
                        && known.insert(edge.child)
                    {
                        doomed.push(edge.child);
                    }
                }
            }
        }
        for place in doomed.into_iter().rev() {
            self.delete_one_node(place, now, events);
        }
    }

    fn delete_one_node(&mut self, place: u32, now: Timestamp, events: &mut Vec<GraphEvent>) {
        let edges: Vec<u32> =
            self.now.stored.outgoing(place).chain(self.now.stored.incoming(place)).collect();
        for edge in edges {
            self.delete_edge(edge, now, events);
        }
        let Some(node) = self.now.stored.nodes.at_mut(place as usize).take() else { return };
        for entry in node_entries(&self.now.stored, &node) {
            self.now.stored.node_index.remove(entry, place);
        }
        let hash = self.now.stored.hash_id(&node.id);
        if let Ok(entry) = self.node_ids.find_entry(wide(hash), |spot| spot.place == place) {
            entry.remove();
        }
        self.free_nodes.push(place);
        self.now.stored.node_count -= 1;
        let mut node = Arc::unwrap_or_clone(node);
        node.deleted_at = Some(now);
        events.push(GraphEvent::NodeDeleted(Arc::new(node)));
    }

    fn add_edge(
        &mut self,
        edge: Edge,
        now: Timestamp,
        events: &mut Vec<GraphEvent>,
    ) -> Result<(), MutationError> {
        if self.now.stored.edge_place(&edge.id).is_some() {
            return Ok(());
        }
        let end = |id: &Id| {
            self.place_of(id).ok_or_else(|| MutationError::NoEnd { edge: edge.id.clone(), end: id.clone() })
        };
        let (parent, child) = (end(&edge.parent)?, end(&edge.child)?);
        let place = next_place(&mut self.free_edges, self.now.stored.edges.len())?;
        if edge.is_ownership() {
            self.end_other_ownership(child, place, now, events);
        }
        let mut edge = edge;
        edge.deleted_at = None;
        edge.source = self.sharing.source(&edge.source);
        edge.metadata = self.sharing.metadata(edge.metadata, &mut self.shapes);
        let hash = self.now.stored.hash_id(&edge.id);
        self.now.stored.edge_index.insert(hash, place);
        self.now.stored.outgoing.insert(spread(parent), place);
        self.now.stored.incoming.insert(spread(child), place);
        *self.now.stored.edges.at_mut(place as usize) = Some(StoredEdge {
            id: edge.id.clone(),
            source: edge.source.clone(),
            metadata: edge.metadata.clone(),
            created_at: edge.created_at,
            updated_at: edge.updated_at,
            revision: edge.revision,
            parent,
            child,
        });
        self.now.stored.edge_count += 1;
        *self.edges_by_origin.entry(edge.source.origin.clone()).or_default() += 1;
        events.push(GraphEvent::EdgeAdded(Arc::new(edge)));
        Ok(())
    }

    fn update_edge(
        &mut self,
        id: &Id,
        change: Change,
        stamp: Option<Stamp>,
        now: Timestamp,
        events: &mut Vec<GraphEvent>,
    ) -> Result<(), MutationError> {
        let place = self.now.stored.edge_place(id).ok_or_else(|| MutationError::NoEdge(id.clone()))?;
        let Some(old) = self.now.stored.edge_at(place) else { return Ok(()) };
        let Some(stamp) = effective(stamp, &change, old.revision, &old.metadata, 0, now) else {
            return Ok(());
        };
        let mut metadata = (*old.metadata).clone();
        let ops = change.apply(&mut metadata);
        let metadata = self.sharing.metadata(Arc::new(metadata), &mut self.shapes);
        let Some(edge) = self.now.stored.edges.at_mut(place as usize) else { return Ok(()) };
        edge.metadata = metadata;
        edge.revision = stamp.revision;
        edge.updated_at = stamp.updated_at;
        let (child, owns) = (edge.child, is_ownership(edge));
        if owns {
            self.end_other_ownership(child, place, now, events);
        }
        if let Some(edge) = self.now.stored.edge_at(place).and_then(|e| self.now.stored.to_edge(e)) {
            events.push(GraphEvent::EdgeUpdated { edge: Arc::new(edge), ops });
        }
        Ok(())
    }

    fn delete_edge(&mut self, place: u32, now: Timestamp, events: &mut Vec<GraphEvent>) {
        let Some(stored) = self.now.stored.edge_at(place) else { return };
        let (parent, child, hash) = (stored.parent, stored.child, self.now.stored.hash_id(&stored.id));
        let whole = self.now.stored.to_edge(stored);
        self.now.stored.edge_index.remove(hash, place);
        self.now.stored.outgoing.remove(spread(parent), place);
        self.now.stored.incoming.remove(spread(child), place);
        *self.now.stored.edges.at_mut(place as usize) = None;
        self.free_edges.push(place);
        self.now.stored.edge_count -= 1;
        if let Some(mut edge) = whole {
            if let Some(count) = self.edges_by_origin.get_mut(&edge.source.origin) {
                *count -= 1;
                if *count == 0 {
                    self.edges_by_origin.remove(&edge.source.origin);
                }
            }
            edge.deleted_at = Some(now);
            events.push(GraphEvent::EdgeDeleted(Arc::new(edge)));
        }
    }

    /// A child has one owner: ends every ownership of it but the edge at `kept`.
    fn end_other_ownership(&mut self, child: u32, kept: u32, now: Timestamp, events: &mut Vec<GraphEvent>) {
        let stored = &self.now.stored;
        let former: Vec<u32> = stored
            .incoming(child)
            .filter(|place| *place != kept && stored.edge_at(*place).is_some_and(is_ownership))
            .collect();
        for place in former {
            self.delete_edge(place, now, events);
        }
    }

    /// Two texts of one node may have the same hash, so entries are compared as sets before and after.
    fn reindex(&mut self, place: u32, before: &[u32], node: &Node) {
        let after = node_entries(&self.now.stored, node);
        for gone in before.iter().filter(|entry| !after.contains(entry)) {
            self.now.stored.node_index.remove(*gone, place);
        }
        for new in after.iter().filter(|entry| !before.contains(entry)) {
            self.now.stored.node_index.insert(*new, place);
        }
    }
}

impl Change {
    /// Does it; gives the operations back for the event.
    fn apply(self, metadata: &mut Map) -> Option<Arc<[Op]>> {
        match self {
            Self::Ops(ops) => {
                for op in ops.iter() {
                    op.apply(metadata);
                }
                Some(ops)
            }
            Self::Metadata(new) => {
                *metadata = new;
                None
            }
        }
    }

    /// What the most frequent of all updates needs: the field, found near `near`, and its new value, if the change is
    /// that of one top-level field which is there already.
    fn one_value(&self, metadata: &Map, near: usize) -> Option<(usize, &Value)> {
        let Self::Ops(ops) = self else { return None };
        let [Op::Set(path, value)] = &**ops else { return None };
        let [key] = path.segments() else { return None };
        Some((metadata.position(key, near)?, value))
    }

    fn into_ops(self) -> Option<Arc<[Op]>> {
        match self {
            Self::Ops(ops) => Some(ops),
            Self::Metadata(_) => None,
        }
    }

    fn has_effect(&self, metadata: &Map, near: usize) -> bool {
        if let Some((field, value)) = self.one_value(metadata, near) {
            return metadata.at(field) != Some(value);
        }
        match self {
            Self::Ops(ops) => ops.iter().any(|op| op.has_effect(metadata)),
            Self::Metadata(new) => new != metadata,
        }
    }
}

/// The stamp of an update that is to be done; `None` when it is out of date or would change nothing.
fn effective(
    stamp: Option<Stamp>,
    change: &Change,
    revision: i64,
    metadata: &Map,
    near: usize,
    now: Timestamp,
) -> Option<Stamp> {
    match stamp {
        Some(stamp) => (stamp.revision > revision).then_some(stamp),
        None => change
            .has_effect(metadata, near)
            .then(|| Stamp { revision: revision.saturating_add(1), updated_at: now }),
    }
}

/// Whether index entries may change with it.
fn concerns_index(change: &Change) -> bool {
    match change {
        Change::Ops(ops) => ops.iter().any(|op| key::INDEXED.contains(&op.path().first())),
        Change::Metadata(_) => true,
    }
}

fn next_place(free: &mut Vec<u32>, len: usize) -> Result<u32, MutationError> {
    if let Some(place) = free.pop() {
        return Ok(place);
    }
    u32::try_from(len).map_err(|_| MutationError::Full)
}

fn is_ownership(edge: &StoredEdge) -> bool {
    relation_of(&edge.metadata) == key::relation::OWNERSHIP
}

/// Sources are compared by what they say.
fn same_origin(source: &Source, origin: &SmolStr) -> bool {
    source.origin == *origin
}

/// The hash table wants its bits at both ends.
fn wide(hash: u32) -> u64 {
    u64::from(hash) << 32 | u64::from(hash)
}
