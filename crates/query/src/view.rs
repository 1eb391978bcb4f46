//! The graph that steps look at: a snapshot, or the part of one that `SubGraph` has chosen.
//!
//! Everything is read here, so that every loop over elements can be stopped and every read is counted.

use std::ops::ControlFlow;
use std::sync::{Arc, LazyLock};

use foldhash::{HashSet, HashSetExt};
use skydive_graph::{EdgeView, Found, Node, Snapshot, key};
use skydive_value::{Filter, Id, Path, Test};

use crate::QueryError;
use crate::check::{Check, weight};
use crate::run::Run;

/// A graph to look at. Cloning is cheap.
#[derive(Clone, Debug)]
pub struct View {
    base: Arc<Snapshot>,
    part: Option<Arc<Part>>,
}

/// Chosen elements of a snapshot.
#[derive(Debug)]
struct Part {
    nodes: Vec<Arc<Node>>,
    edges: Vec<Id>,
    node_ids: HashSet<Id>,
    edge_ids: HashSet<Id>,
}

/// Which edges of a node.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Way {
    /// To its children.
    Out,
    /// To its parents.
    In,
    /// All of them.
    Both,
}

/// Whether a reader wants the next element.
pub(crate) type Wanted = Result<ControlFlow<()>, QueryError>;

static EVERYTHING: Filter = Filter::all();

impl View {
    /// The whole of a snapshot.
    pub fn whole(base: Snapshot) -> Self {
        Self { base: Arc::new(base), part: None }
    }

    /// Whether it is a snapshot and not a part of one.
    pub(crate) fn is_whole(&self) -> bool {
        self.part.is_none()
    }

    /// A view of nothing. Made once: even an empty snapshot has its indexes.
    pub(crate) fn empty() -> Self {
        static EMPTY: LazyLock<View> = LazyLock::new(|| View::whole(Snapshot::default()));
        EMPTY.clone()
    }

    /// These nodes and edges of `of`, in this order; what comes twice counts once.
    pub(crate) fn part(of: &Self, nodes: Vec<Arc<Node>>, edges: Vec<Id>) -> Self {
        let mut part = Part {
            nodes: Vec::with_capacity(nodes.len()),
            edges: Vec::with_capacity(edges.len()),
            node_ids: HashSet::with_capacity(nodes.len()),
            edge_ids: HashSet::with_capacity(edges.len()),
        };
        for node in nodes {
            if part.node_ids.insert(node.id.clone()) {
                part.nodes.push(node);
            }
        }
        for edge in edges {
            if part.edge_ids.insert(edge.clone()) {
                part.edges.push(edge);
            }
        }
        Self { base: of.base.clone(), part: Some(Arc::new(part)) }
    }

    /// The nodes, in an order that is stable for this view.
    pub fn nodes(&self) -> impl Iterator<Item = &Arc<Node>> {
        let whole = self.part.is_none().then(|| self.base.nodes());
        let chosen = self.part.iter().flat_map(|part| &part.nodes);
        whole.into_iter().flatten().chain(chosen)
    }

    /// The edges, in an order that is stable for this view.
    pub fn edges(&self) -> impl Iterator<Item = EdgeView<'_>> {
        let whole = self.part.is_none().then(|| self.base.edges());
        let chosen = self.part.iter().flat_map(|part| &part.edges).filter_map(|id| self.base.edge(id));
        whole.into_iter().flatten().chain(chosen)
    }

    /// Number of nodes.
    pub fn node_count(&self) -> usize {
        self.part.as_ref().map_or_else(|| self.base.node_count(), |part| part.nodes.len())
    }

    /// Number of edges.
    pub fn edge_count(&self) -> usize {
        self.part.as_ref().map_or_else(|| self.base.edge_count(), |part| part.edges.len())
    }

    /// The node with an id.
    pub fn node(&self, id: &Id) -> Option<&Arc<Node>> {
        let is_outside = self.part.as_ref().is_some_and(|part| !part.node_ids.contains(id));
        if is_outside { None } else { self.base.node(id) }
    }

    /// The edge with an id.
    pub fn edge(&self, id: &Id) -> Option<EdgeView<'_>> {
        if self.has_edge(id) { self.base.edge(id) } else { None }
    }

    fn has_edge(&self, id: &Id) -> bool {
        self.part.as_ref().is_none_or(|part| part.edge_ids.contains(id))
    }

    /// Shows the nodes that pass `filter` until `see` has enough. Where an index serves, or the filter costs little,
    /// the snapshot does the testing; a heavy one is applied here, since a scan inside the snapshot cannot be stopped.
    pub(crate) fn each_node(
        &self,
        filter: &Filter,
        run: &Run<'_>,
        mut see: impl FnMut(&Arc<Node>) -> Wanted,
    ) -> Result<(), QueryError> {
        let check = Check::new(filter);
        if let Some(part) = &self.part {
            for node in &part.nodes {
                if check.passes(&**node, run)? && see(node)?.is_break() {
                    break;
                }
            }
            return Ok(());
        }
        let is_indexed = |key: &str| key == key::attribute::ID || key::INDEXED.contains(&key);
        let is_tested = weight(filter) <= LIGHT || serves(filter, is_indexed);
        let asked = if is_tested { filter } else { &EVERYTHING };
        for node in self.base.find_nodes(asked, run.reads()) {
            run.tick()?;
            if (is_tested || check.passes(&**node, run)?) && see(node)?.is_break() {
                break;
            }
        }
        Ok(())
    }

    /// Shows the edges that pass `filter` until `see` has enough; see [`View::each_node`].
    pub(crate) fn each_edge(
        &self,
        filter: &Filter,
        run: &Run<'_>,
        mut see: impl FnMut(EdgeView<'_>) -> Wanted,
    ) -> Result<(), QueryError> {
        let check = Check::new(filter);
        let is_indexed =
            |key: &str| [key::attribute::ID, key::attribute::PARENT, key::attribute::CHILD].contains(&key);
        let serves = serves(filter, is_indexed);
        let is_tested = serves || (self.part.is_none() && weight(filter) <= LIGHT);
        let asked = if is_tested { filter } else { &EVERYTHING };
        let found: Found<'_, EdgeView<'_>> = if self.part.is_some() && !serves {
            Box::new(self.edges())
        } else {
            self.base.find_edges(asked, run.reads())
        };
        for edge in found {
            run.tick()?;
            let is_in = self.has_edge(edge.id()) && (is_tested || check.passes(&edge, run)?);
            if is_in && see(edge)?.is_break() {
                break;
            }
        }
        Ok(())
    }

    /// Shows the edges of `node` with the node at their other end, until `see` has enough. An edge from a node to
    /// itself is shown once.
    pub(crate) fn each_edge_at<'v>(
        &'v self,
        node: &Id,
        way: Way,
        run: &'v Run<'_>,
        mut see: impl FnMut(EdgeView<'v>, &'v Arc<Node>) -> Wanted,
    ) -> Result<(), QueryError> {
        if way != Way::In {
            for edge in self.base.out_edges(node, run.reads()) {
                run.tick()?;
                if self.has_edge(edge.id()) && see(edge, edge.child())?.is_break() {
                    return Ok(());
                }
            }
        }
        if way != Way::Out {
            for edge in self.base.in_edges(node, run.reads()) {
                run.tick()?;
                let is_shown = way == Way::Both && edge.parent().id == edge.child().id;
                if !is_shown && self.has_edge(edge.id()) && see(edge, edge.parent())?.is_break() {
                    return Ok(());
                }
            }
        }
        Ok(())
    }
}

/// Filters up to this weight scan a million nodes in a fraction of a second. Those with a regular expression weigh
/// more.
const LIGHT: u32 = 16;

/// Whether everything that passes `filter` has one of few texts in a field that `is_indexed`. Mirrors what
/// [`Snapshot::find_nodes`] looks for; where the two differ the answer is the same, found the slower way.
fn serves(filter: &Filter, is_indexed: impl Fn(&str) -> bool + Copy) -> bool {
    let is_key = |path: &Path| path.segments().len() == 1 && is_indexed(path.first());
    match filter {
        Filter::And(of) => of.iter().any(|f| serves(f, is_indexed)),
        Filter::Or(of) if of.len() == 1 => serves(&of[0], is_indexed),
        Filter::Or(of) => {
            let mut paths = of.iter().map(|f| match f {
                Filter::Field(path, Test::Text(_)) if is_key(path) => Some(path),
                _ => None,
            });
            matches!(paths.next(), Some(Some(first)) if paths.all(|path| path == Some(first)))
        }
        Filter::Field(path, Test::Text(_) | Test::OneOf(_)) => is_key(path),
        Filter::Not(_) | Filter::Field(..) => false,
    }
}
