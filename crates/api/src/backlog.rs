//! Changes that wait for somebody slower than they come.
//!
//! Up to a bound they wait as they are. Beyond it, those of one element are folded into what leaves the same element:
//! what waits is bounded by the number of elements, however often they change, and who takes it all has the true
//! graph. So a graph that changes faster than a line carries it still arrives, with fewer of its states.

use std::collections::{HashMap, VecDeque};
use std::pin::pin;
use std::sync::Arc;

use prometheus_client::metrics::counter::Counter;
use skydive_graph::GraphEvent;
use skydive_value::Id;

use crate::live::Mark;
use crate::{Ended, Subscription};

/// Changes in order, folded when they become too many.
#[derive(Debug)]
pub struct Backlog {
    waiting: VecDeque<GraphEvent>,
    bound: usize,
    /// How many may wait before they are folded again: twice what was left of them, so that each costs little.
    fold_at: usize,
    folded: Counter,
}

impl Backlog {
    /// Without changes. More than `bound` of them are folded; `folded` counts those that go into others.
    pub fn new(bound: usize, folded: Counter) -> Self {
        Self { waiting: VecDeque::new(), bound, fold_at: bound, folded }
    }

    /// Takes in what comes until `work` is done, so that its length does not matter to the subscription. When that
    /// ends, `work` is left undone.
    pub async fn during<T>(
        &mut self,
        events: &mut Subscription,
        work: impl Future<Output = T>,
    ) -> Result<T, Ended> {
        self.during_noting(events, work, |_, _| {}).await
    }

    /// The same; `note` is told of each batch and who caused it.
    pub(crate) async fn during_noting<T>(
        &mut self,
        events: &mut Subscription,
        work: impl Future<Output = T>,
        mut note: impl FnMut(&[GraphEvent], Option<&Mark>),
    ) -> Result<T, Ended> {
        let mut work = pin!(work);
        loop {
            tokio::select! {
                biased;
                done = &mut work => return Ok(done),
                batch = events.next_with_mark() => {
                    let (batch, by) = batch?;
                    note(&batch, by.as_ref());
                    self.add(&batch);
                }
            }
        }
    }

    /// Appends changes; they follow those that wait.
    pub fn add(&mut self, batch: &[GraphEvent]) {
        for event in batch {
            self.waiting.push_back(event.clone());
            if self.waiting.len() > self.fold_at {
                self.fold();
            }
        }
    }

    /// The first change.
    pub fn pop(&mut self) -> Option<GraphEvent> {
        let first = self.waiting.pop_front();
        if self.waiting.is_empty() {
            self.fold_at = self.bound;
        }
        first
    }

    /// All changes; none is left.
    pub fn take(&mut self) -> Arc<[GraphEvent]> {
        self.fold_at = self.bound;
        self.waiting.drain(..).collect()
    }

    /// How many wait.
    pub fn len(&self) -> usize {
        self.waiting.len()
    }

    /// Whether none waits.
    pub fn is_empty(&self) -> bool {
        self.waiting.is_empty()
    }

    fn fold(&mut self) {
        let before = self.waiting.len();
        let mut kept: Vec<Option<GraphEvent>> = Vec::with_capacity(before);
        // Where the last change of an element stands.
        let mut last: HashMap<(Kind, Id), usize> = HashMap::new();
        for event in self.waiting.drain(..) {
            let element = element_of(&event);
            let place = last.get(&element).copied();
            let former = place.and_then(|place| kept.get_mut(place)?.take());
            let (first, second) = match former {
                None => (None, Some(event)),
                Some(former) => fold_two(former, event),
            };
            match &second {
                Some(_) => last.insert(element, kept.len()),
                None if first.is_none() => last.remove(&element),
                None => None,
            };
            if let Some(slot) = place.and_then(|place| kept.get_mut(place)) {
                *slot = first;
            }
            kept.extend(second.map(Some));
        }
        self.waiting.extend(kept.into_iter().flatten());
        self.folded.inc_by((before - self.waiting.len()) as u64);
        self.fold_at = self.bound.max(2 * self.waiting.len());
    }
}

#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
enum Kind {
    Node,
    Edge,
}

fn element_of(event: &GraphEvent) -> (Kind, Id) {
    match event {
        GraphEvent::NodeAdded(node)
        | GraphEvent::NodeUpdated { node, .. }
        | GraphEvent::NodeDeleted(node) => (Kind::Node, node.id.clone()),
        GraphEvent::EdgeAdded(edge)
        | GraphEvent::EdgeUpdated { edge, .. }
        | GraphEvent::EdgeDeleted(edge) => (Kind::Edge, edge.id.clone()),
    }
}

/// What is left of two changes of one element: in the place of the former, and in that of the later. An addition
/// stays where its edges find it, a deletion where its edges are gone.
fn fold_two(former: GraphEvent, later: GraphEvent) -> (Option<GraphEvent>, Option<GraphEvent>) {
    use GraphEvent as E;
    match (former, later) {
        (E::NodeAdded(_), E::NodeUpdated { node, .. }) => (Some(E::NodeAdded(node)), None),
        (E::EdgeAdded(_), E::EdgeUpdated { edge, .. }) => (Some(E::EdgeAdded(edge)), None),
        (E::NodeUpdated { .. }, E::NodeUpdated { node, .. }) => {
            (Some(E::NodeUpdated { node, ops: None }), None)
        }
        (E::EdgeUpdated { .. }, E::EdgeUpdated { edge, .. }) => {
            (Some(E::EdgeUpdated { edge, ops: None }), None)
        }
        (E::NodeAdded(_), E::NodeDeleted(_)) | (E::EdgeAdded(_), E::EdgeDeleted(_)) => (None, None),
        (E::NodeUpdated { .. }, gone @ E::NodeDeleted(_))
        | (E::EdgeUpdated { .. }, gone @ E::EdgeDeleted(_)) => (None, Some(gone)),
        // Gone and there again, perhaps with other ends: both are told.
        (former, later) => (Some(former), Some(later)),
    }
}

#[cfg(test)]
mod tests {
    use skydive_graph::{Cascade, Edge, Graph, Mutation, Node, Op, Source};
    use skydive_value::{Map, Timestamp};

    use super::*;

    const NAMES: u64 = 6;

    /// A number below `bound`; the same ones in every run.
    fn draw(seed: &mut u64, bound: u64) -> u64 {
        *seed = seed.wrapping_mul(6_364_136_223_846_793_005).wrapping_add(1_442_695_040_888_963_407);
        (*seed >> 33) % bound
    }

    fn mutation(seed: &mut u64) -> Mutation {
        let source = Source::of("agent", "h");
        let mut name = || Id::from(format!("n{}", draw(seed, NAMES)).as_str());
        let (one, other) = (name(), name());
        let id = Id::from(format!("{one}-{other}").as_str());
        let relation = if draw(seed, 2) == 0 { "ownership" } else { "layer2" };
        let ops = [Op::set("MTU", i64::try_from(draw(seed, 1000)).unwrap())];
        match draw(seed, 6) {
            0 => Mutation::AddNode(Node::new(one, source, Map::new(), Timestamp::EPOCH)),
            1 => Mutation::update_node(one, ops),
            2 => Mutation::DeleteNode { id: one, cascade: Cascade::Owned },
            3 => {
                let metadata: Map = [("RelationType", relation)].into_iter().collect();
                Mutation::AddEdge(Edge::new(id, one, other, source, metadata, Timestamp::EPOCH))
            }
            4 => Mutation::UpdateEdge { id, change: skydive_graph::Change::Ops(ops.into()), stamp: None },
            _ => Mutation::DeleteEdge { id },
        }
    }

    fn told(graph: &Graph) -> (Vec<Node>, Vec<Edge>) {
        let mut nodes: Vec<Node> = graph.view().nodes().map(|node| (**node).clone()).collect();
        let mut edges: Vec<Edge> = graph.view().edges().map(|edge| edge.to_edge()).collect();
        nodes.sort_by(|a, b| a.id.cmp(&b.id));
        edges.sort_by(|a, b| a.id.cmp(&b.id));
        (nodes, edges)
    }

    #[test]
    fn who_takes_everything_has_the_same_graph_and_what_waits_is_bounded() {
        let (folded, mut made) = (Counter::default(), 0);
        for mut seed in 0..200 {
            let (mut graph, mut copy) = (Graph::new(), Graph::new());
            let mut backlog = Backlog::new(4, folded.clone());
            for _ in 0..300 {
                let mut events = Vec::new();
                let _ = graph.apply(mutation(&mut seed), Timestamp::EPOCH, &mut events);
                made += events.len();
                backlog.add(&events);
                if draw(&mut seed, 3) == 0
                    && let Some(event) = backlog.pop()
                {
                    copy.apply(Mutation::from(&event), Timestamp::EPOCH, &mut Vec::new()).unwrap();
                }
                // Each element may be gone and there again; and twice that between two foldings.
                assert!(backlog.len() as u64 <= 4 * (NAMES + NAMES * NAMES));
            }
            for event in backlog.take().iter() {
                copy.apply(Mutation::from(event), Timestamp::EPOCH, &mut Vec::new()).unwrap();
            }
            assert_eq!(told(&copy), told(&graph));
            assert!(backlog.is_empty());
        }
        assert!((made / 10..made).contains(&(folded.get() as usize)), "{folded:?} of {made}");
    }

    #[test]
    fn what_fits_is_left_as_it_is() {
        let mut graph = Graph::new();
        let mut backlog = Backlog::new(3, Counter::default());
        let node = Node::new("a".into(), Source::of("agent", "h"), Map::new(), Timestamp::EPOCH);
        let mut events = Vec::new();
        graph.apply(Mutation::AddNode(node), Timestamp::EPOCH, &mut events).unwrap();
        for mtu in 1..3 {
            let update = Mutation::update_node("a".into(), [Op::set("MTU", mtu)]);
            graph.apply(update, Timestamp::EPOCH, &mut events).unwrap();
        }
        backlog.add(&events);
        assert_eq!(*backlog.take(), *events);
        assert_eq!(backlog.folded.get(), 0);
    }
}
