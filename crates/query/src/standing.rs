//! A query that stands: its graph is kept true from event to event, at the cost of the event and not of the graph.
//!
//! Possible for queries that choose sets: `V` or `E`, conditions, `In`/`Out`/`Both` as often as they are written, and
//! `SubGraph` at the end. Each step keeps the nodes that it gives and, where it walks, by how many edges it reaches a
//! node, so that one edge more or less changes a number. What an event changes at one step is all that the next one
//! looks at. Windows, sorting, steps of any depth and whatever counts occurrences are not sets: such a query is
//! evaluated anew.

use std::sync::Arc;

use foldhash::{HashMap, HashSet};
use skydive_graph::{Edge, EdgeView, GraphEvent, Node, ReadCount, Snapshot, key::attribute};
use skydive_value::{Fields, Filter, Id, Matcher, SmolStr, Timestamp};

use crate::plan::Op;
use crate::view::Way;
use crate::when::Moment;
use crate::{Plan, Query, QueryError};

#[cfg(test)]
mod tests;

/// What an operation means where neither order nor number matters.
#[derive(Debug)]
pub(crate) enum SetStep<'o> {
    /// The nodes that pass, or the one with an id.
    Nodes(Option<&'o SmolStr>, Option<&'o Filter>),
    /// The edges that pass, or the one with an id.
    Edges(Option<&'o SmolStr>, Option<&'o Filter>),
    /// The nodes at the other end that pass.
    Walk(Way, Option<&'o Filter>),
    /// Those that pass.
    Keep(&'o Filter),
    /// The graph of them, with the edges that pass.
    Cut(Option<&'o Filter>),
    /// All of them.
    Same,
}

/// A query whose answer, a graph, is kept.
#[derive(Debug)]
pub struct Standing {
    /// The element that the query names; it has to exist when the query starts.
    named: Option<SmolStr>,
    chosen: Chosen,
}

#[derive(Debug)]
enum Chosen {
    Everything,
    Nodes(NodeSets),
    Edges(EdgeSet),
}

/// Nodes, step by step, and the edges between the last ones.
#[derive(Debug)]
struct NodeSets {
    steps: Vec<NodeStep>,
    /// Which edges may be in the graph.
    between: Option<Filter>,
    edges: HashSet<Id>,
}

/// The nodes that a step gives.
#[derive(Debug)]
struct NodeStep {
    filter: Option<Filter>,
    /// How it comes here from the step before; `None` for the first one.
    way: Option<Way>,
    /// By how many edges each node is reached, whether it passes or not.
    reached: HashMap<Id, u32>,
    members: HashSet<Id>,
}

/// Edges, and their ends.
#[derive(Debug)]
struct EdgeSet {
    filter: Option<Filter>,
    edges: HashSet<Id>,
    /// By how many of the edges each node is touched.
    ends: HashMap<Id, u32>,
}

/// A node that came or went.
type Turn = (Id, bool);

/// What an event means to sets.
struct News<'e> {
    /// The node that is new, different or gone.
    node: Option<&'e Id>,
    /// The edge that is new or gone, and which of the two.
    edge: Option<(&'e Edge, bool)>,
}

/// The difference that an event makes, in the order in which it is told.
#[derive(Default)]
struct Difference {
    nodes_added: Vec<GraphEvent>,
    nodes_deleted: Vec<GraphEvent>,
    edges_added: Vec<GraphEvent>,
    edges_deleted: Vec<GraphEvent>,
}

impl Standing {
    /// The standing form of a query, with nothing in it yet; `None` when it has to be evaluated anew each time. Arguments
    /// without sense are refused as in a run of the query.
    pub fn of(query: &Query, now: Timestamp) -> Result<Option<Self>, QueryError> {
        let plan = Plan::new(query, now)?;
        let Some((Op::Open(Moment::Live(_)), ops)) = plan.ops().split_first() else { return Ok(None) };
        // What is live now will be past in a moment.
        if query.calls().iter().any(|call| ["Context", "At"].contains(&call.def.name)) {
            return Ok(None);
        }
        let steps = ops.iter().map(|op| match op {
            Op::Apply(operation) => operation.as_set(),
            Op::Open(_) | Op::Restart | Op::Search(_) => None,
        });
        Ok(steps.collect::<Option<Vec<_>>>().and_then(|steps| Self::of_steps(&steps)))
    }

    fn of_steps(steps: &[SetStep<'_>]) -> Option<Self> {
        let Some((first, rest)) = steps.split_first() else {
            return Some(Self { named: None, chosen: Chosen::Everything });
        };
        let Some((SetStep::Cut(cut), between)) = rest.split_last() else { return None };
        let (named, chosen) = match first {
            SetStep::Nodes(id, filter) => {
                let mut nodes = vec![NodeStep::new(None, with_id(*id, *filter))];
                for step in between {
                    match step {
                        SetStep::Walk(way, filter) => {
                            nodes.push(NodeStep::new(Some(*way), filter.cloned()));
                        }
                        SetStep::Keep(filter) => {
                            let last = nodes.last_mut()?;
                            last.filter = both(last.filter.take(), Some(filter));
                        }
                        SetStep::Same => {}
                        SetStep::Nodes(..) | SetStep::Edges(..) | SetStep::Cut(_) => return None,
                    }
                }
                let sets = NodeSets { steps: nodes, between: cut.cloned(), edges: HashSet::default() };
                (id, Chosen::Nodes(sets))
            }
            SetStep::Edges(id, filter) => {
                let mut filter = both(with_id(*id, *filter), *cut);
                for step in between {
                    match step {
                        SetStep::Keep(more) => filter = both(filter, Some(more)),
                        SetStep::Same => {}
                        _ => return None,
                    }
                }
                let set = EdgeSet { filter, edges: HashSet::default(), ends: HashMap::default() };
                (id, Chosen::Edges(set))
            }
            _ => return None,
        };
        Some(Self { named: named.cloned(), chosen })
    }

    /// Starts with a graph. An element that the query names has to be there, as in a run of the query; when it goes
    /// later, the answer is empty until it is back.
    pub fn start(&mut self, graph: &Snapshot) -> Result<(), QueryError> {
        let reads = ReadCount::default();
        match &mut self.chosen {
            Chosen::Everything => {}
            Chosen::Nodes(sets) => {
                if let Some(id) = &self.named
                    && graph.node(&Id::from(id.as_str())).is_none()
                {
                    return Err(QueryError::NoNode(id.clone()));
                }
                sets.start(graph, &reads);
            }
            Chosen::Edges(set) => {
                if let Some(id) = &self.named
                    && graph.edge(&Id::from(id.as_str())).is_none()
                {
                    return Err(QueryError::NoEdge(id.clone()));
                }
                let everything = Filter::all();
                for edge in graph.find_edges(set.filter.as_ref().unwrap_or(&everything), &reads) {
                    set.edges.insert(edge.id().clone());
                    for end in ends_of(&edge.parent().id, &edge.child().id) {
                        count(&mut set.ends, end, true);
                    }
                }
            }
        }
        Ok(())
    }

    /// Takes in an event; `graph` is the one after it. Appends what a copy of the answer has to be told: nodes that
    /// came, nodes that went, edges that came, edges that went, and the event itself if it updates an element that was
    /// there and stays.
    pub fn hear(&mut self, event: &GraphEvent, graph: &Snapshot, told: &mut Vec<GraphEvent>) {
        match &mut self.chosen {
            Chosen::Everything => told.push(event.clone()),
            Chosen::Nodes(sets) => sets.hear(event, graph, told),
            Chosen::Edges(set) => set.hear(event, graph, told),
        }
    }

    /// The answer; `graph` is the one after the last event heard.
    pub fn elements(&self, graph: &Snapshot) -> (Vec<Arc<Node>>, Vec<Arc<Edge>>) {
        let nodes =
            |ids: &mut dyn Iterator<Item = &Id>| ids.filter_map(|id| graph.node(id)).cloned().collect();
        let edges = |ids: &HashSet<Id>| ids.iter().filter_map(|id| shared(graph.edge(id))).collect();
        match &self.chosen {
            Chosen::Everything => (
                graph.nodes().cloned().collect(),
                graph.edges().map(|edge| Arc::new(edge.to_edge())).collect(),
            ),
            Chosen::Nodes(sets) => {
                let last = sets.steps.last().map(|step| &step.members);
                (nodes(&mut last.into_iter().flatten()), edges(&sets.edges))
            }
            Chosen::Edges(set) => (nodes(&mut set.ends.keys()), edges(&set.edges)),
        }
    }
}

impl NodeStep {
    fn new(way: Option<Way>, filter: Option<Filter>) -> Self {
        Self { filter, way, reached: HashMap::default(), members: HashSet::default() }
    }

    /// Decides about nodes anew; those of which it is another decision than before.
    fn decide(&mut self, ids: Vec<Id>, graph: &Snapshot) -> Vec<Turn> {
        if ids.is_empty() {
            return Vec::new();
        }
        let matcher = self.filter.as_ref().map(Matcher::new);
        let mut turns = Vec::new();
        for id in ids {
            let is_reached = self.way.is_none() || self.reached.contains_key(&id);
            let is_in = is_reached && graph.node(&id).is_some_and(|node| passes(matcher.as_ref(), &**node));
            let has_turned = if is_in { self.members.insert(id.clone()) } else { self.members.remove(&id) };
            if has_turned {
                turns.push((id, is_in));
            }
        }
        turns
    }
}

impl NodeSets {
    fn start(&mut self, graph: &Snapshot, reads: &ReadCount) {
        let everything = Filter::all();
        let Some(first) = self.steps.first() else { return };
        let filter = first.filter.clone().unwrap_or(everything);
        let found = graph.find_nodes(&filter, reads).map(|node| node.id.clone()).collect();
        let turns = self.turn(found, &News { node: None, edge: None }, graph, reads);
        let mut edges = std::mem::take(&mut self.edges);
        let matcher = self.between.as_ref().map(Matcher::new);
        for (id, _) in &turns {
            let between = graph.out_edges(id, reads).filter(|edge| self.is_between(edge, matcher.as_ref()));
            edges.extend(between.map(|edge| edge.id().clone()));
        }
        self.edges = edges;
    }

    /// Carries news through all steps, beginning with what may be different at the first one; what came and went at
    /// the last one.
    fn turn(
        &mut self,
        mut first: Vec<Id>,
        news: &News<'_>,
        graph: &Snapshot,
        reads: &ReadCount,
    ) -> Vec<Turn> {
        first.extend(news.node.cloned());
        let mut open = first;
        let mut turns: Vec<Turn> = Vec::new();
        let mut before: Option<&NodeStep> = None;
        for step in &mut self.steps {
            if let (Some(way), Some(before)) = (step.way, before) {
                open = news.node.cloned().into_iter().collect();
                for (id, is_in) in &turns {
                    each_far(graph, id, way, reads, |far| {
                        count(&mut step.reached, far, *is_in);
                        open.push(far.clone());
                    });
                }
                // Who was there before the event met the edges of before, which differ by this one.
                if let Some((edge, is_added)) = news.edge {
                    for (near, far) in crossings(edge, way) {
                        let has_turned = turns.iter().any(|(id, _)| id == near);
                        if before.members.contains(near) != has_turned {
                            count(&mut step.reached, far, is_added);
                            open.push(far.clone());
                        }
                    }
                }
            }
            turns = step.decide(std::mem::take(&mut open), graph);
            before = Some(step);
        }
        turns
    }

    fn hear(&mut self, event: &GraphEvent, graph: &Snapshot, told: &mut Vec<GraphEvent>) {
        let reads = ReadCount::default();
        let news = News::of(event);
        let turns = if news.is_empty() { Vec::new() } else { self.turn(Vec::new(), &news, graph, &reads) };
        let mut difference = Difference::default();
        for (id, is_in) in &turns {
            difference.node(id, *is_in, event, graph);
        }

        let mut edges = std::mem::take(&mut self.edges);
        let matcher = self.between.as_ref().map(Matcher::new);
        let mut judge = |id: &Id| {
            let is_in = graph.edge(id).is_some_and(|edge| self.is_between(&edge, matcher.as_ref()));
            let has_turned = if is_in { edges.insert(id.clone()) } else { edges.remove(id) };
            if has_turned {
                difference.edge(id, is_in, event, graph);
            }
            is_in && !has_turned
        };
        for (id, _) in &turns {
            for edge in graph.out_edges(id, &reads).chain(graph.in_edges(id, &reads)) {
                judge(edge.id());
            }
        }
        let stays = match event {
            GraphEvent::NodeUpdated { node, .. } => {
                let is_in = self.steps.last().is_some_and(|last| last.members.contains(&node.id));
                is_in && turns.iter().all(|(id, _)| *id != node.id)
            }
            GraphEvent::EdgeAdded(edge) | GraphEvent::EdgeDeleted(edge) => {
                judge(&edge.id);
                false
            }
            GraphEvent::EdgeUpdated { edge, .. } => judge(&edge.id),
            GraphEvent::NodeAdded(_) | GraphEvent::NodeDeleted(_) => false,
        };
        self.edges = edges;
        difference.tell(told);
        if stays {
            told.push(event.clone());
        }
    }

    fn is_between(&self, edge: &EdgeView<'_>, matcher: Option<&Matcher<'_>>) -> bool {
        let Some(last) = self.steps.last() else { return false };
        last.members.contains(&edge.parent().id)
            && last.members.contains(&edge.child().id)
            && passes(matcher, edge)
    }
}

impl EdgeSet {
    fn hear(&mut self, event: &GraphEvent, graph: &Snapshot, told: &mut Vec<GraphEvent>) {
        let edge = match event {
            GraphEvent::NodeUpdated { node, .. } => {
                if self.ends.contains_key(&node.id) {
                    told.push(event.clone());
                }
                return;
            }
            GraphEvent::NodeAdded(_) | GraphEvent::NodeDeleted(_) => return,
            GraphEvent::EdgeAdded(edge)
            | GraphEvent::EdgeUpdated { edge, .. }
            | GraphEvent::EdgeDeleted(edge) => edge,
        };
        let is_in = !matches!(event, GraphEvent::EdgeDeleted(_))
            && self.filter.as_ref().is_none_or(|filter| Matcher::new(filter).matches(&**edge));
        let has_turned = if is_in { self.edges.insert(edge.id.clone()) } else { self.edges.remove(&edge.id) };
        if !has_turned {
            if is_in && matches!(event, GraphEvent::EdgeUpdated { .. }) {
                told.push(event.clone());
            }
            return;
        }
        let mut difference = Difference::default();
        for end in ends_of(&edge.parent, &edge.child) {
            if count(&mut self.ends, end, is_in) {
                difference.node(end, is_in, event, graph);
            }
        }
        difference.edge(&edge.id, is_in, event, graph);
        difference.tell(told);
    }
}

impl<'e> News<'e> {
    fn of(event: &'e GraphEvent) -> Self {
        let (mut node, mut edge) = (None, None);
        match event {
            GraphEvent::NodeAdded(n)
            | GraphEvent::NodeUpdated { node: n, .. }
            | GraphEvent::NodeDeleted(n) => {
                node = Some(&n.id);
            }
            GraphEvent::EdgeAdded(e) => edge = Some((&**e, true)),
            GraphEvent::EdgeDeleted(e) => edge = Some((&**e, false)),
            GraphEvent::EdgeUpdated { .. } => {}
        }
        Self { node, edge }
    }

    fn is_empty(&self) -> bool {
        self.node.is_none() && self.edge.is_none()
    }
}

impl Difference {
    fn node(&mut self, id: &Id, is_in: bool, event: &GraphEvent, graph: &Snapshot) {
        let of_event = match event {
            GraphEvent::NodeAdded(node)
            | GraphEvent::NodeUpdated { node, .. }
            | GraphEvent::NodeDeleted(node)
                if node.id == *id =>
            {
                Some(node)
            }
            _ => None,
        };
        let Some(node) = of_event.or_else(|| graph.node(id)).cloned() else { return };
        if is_in {
            self.nodes_added.push(GraphEvent::NodeAdded(node));
        } else {
            self.nodes_deleted.push(GraphEvent::NodeDeleted(node));
        }
    }

    fn edge(&mut self, id: &Id, is_in: bool, event: &GraphEvent, graph: &Snapshot) {
        let of_event = match event {
            GraphEvent::EdgeAdded(edge)
            | GraphEvent::EdgeUpdated { edge, .. }
            | GraphEvent::EdgeDeleted(edge)
                if edge.id == *id =>
            {
                Some(edge.clone())
            }
            _ => None,
        };
        let Some(edge) = of_event.or_else(|| shared(graph.edge(id))) else { return };
        if is_in {
            self.edges_added.push(GraphEvent::EdgeAdded(edge));
        } else {
            self.edges_deleted.push(GraphEvent::EdgeDeleted(edge));
        }
    }

    fn tell(self, told: &mut Vec<GraphEvent>) {
        told.extend(self.nodes_added);
        told.extend(self.nodes_deleted);
        told.extend(self.edges_added);
        told.extend(self.edges_deleted);
    }
}

fn with_id(id: Option<&SmolStr>, filter: Option<&Filter>) -> Option<Filter> {
    both(id.map(|id| Filter::text(attribute::ID, id.clone())), filter)
}

fn both(one: Option<Filter>, other: Option<&Filter>) -> Option<Filter> {
    match (one, other) {
        (Some(one), Some(other)) => Some(one.and(other.clone())),
        (one, other) => one.or_else(|| other.cloned()),
    }
}

fn passes(matcher: Option<&Matcher<'_>>, element: &impl Fields) -> bool {
    matcher.is_none_or(|matcher| matcher.matches(element))
}

fn shared(edge: Option<EdgeView<'_>>) -> Option<Arc<Edge>> {
    edge.map(|edge| Arc::new(edge.to_edge()))
}

/// One more or one less; whether it is the first or was the last.
fn count(counts: &mut HashMap<Id, u32>, id: &Id, is_more: bool) -> bool {
    if is_more {
        let n = counts.entry(id.clone()).or_default();
        *n += 1;
        return *n == 1;
    }
    let Some(n) = counts.get_mut(id) else { return false };
    *n -= 1;
    let is_last = *n == 0;
    if is_last {
        counts.remove(id);
    }
    is_last
}

/// Both ends, once when they are the same.
fn ends_of<'e>(parent: &'e Id, child: &'e Id) -> impl Iterator<Item = &'e Id> {
    std::iter::once(parent).chain((parent != child).then_some(child))
}

/// From which end to which an edge leads on a way.
fn crossings(edge: &Edge, way: Way) -> impl Iterator<Item = (&Id, &Id)> {
    let (parent, child) = (&edge.parent, &edge.child);
    let back = way == Way::In || (way == Way::Both && parent != child);
    (way != Way::In).then_some((parent, child)).into_iter().chain(back.then_some((child, parent)))
}

/// The node at the other end of each edge of a node.
fn each_far(graph: &Snapshot, id: &Id, way: Way, reads: &ReadCount, mut see: impl FnMut(&Id)) {
    if way != Way::In {
        graph.out_edges(id, reads).for_each(|edge| see(&edge.child().id));
    }
    if way != Way::Out {
        let back =
            graph.in_edges(id, reads).filter(|edge| way == Way::In || edge.parent().id != edge.child().id);
        back.for_each(|edge| see(&edge.parent().id));
    }
}
