//! Finding elements in a snapshot: by the best index that the filter allows, else by looking at all.

use std::hint::black_box;
use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};

use skydive_value::{Filter, Id, Matcher, Path, Test};

use crate::index::indexed;
use crate::key::attribute;
use crate::{EdgeView, Node, Snapshot};

/// What an answer cost: elements read and index lookups made. Reads of one lookup are added when it ends.
#[derive(Debug, Default)]
pub struct ReadCount {
    nodes: AtomicU64,
    edges: AtomicU64,
    index: AtomicU64,
}

/// Places found by an index, or all of them.
enum Candidates<'s> {
    Some(Vec<u32>),
    Run(Box<dyn Iterator<Item = u32> + Send + 's>),
    All,
}

/// Counts locally and reports once.
struct Tally<'r> {
    to: &'r AtomicU64,
    n: u64,
}

/// Elements found; reads as they are asked for, so that who stops early reads less.
pub type Found<'a, T> = Box<dyn Iterator<Item = T> + 'a>;

impl ReadCount {
    /// Nodes read.
    pub fn nodes(&self) -> u64 {
        self.nodes.load(Ordering::Relaxed)
    }

    /// Edges read.
    pub fn edges(&self) -> u64 {
        self.edges.load(Ordering::Relaxed)
    }

    /// Index lookups made.
    pub fn index(&self) -> u64 {
        self.index.load(Ordering::Relaxed)
    }

    fn count_index(&self, n: usize) {
        self.index.fetch_add(n as u64, Ordering::Relaxed);
    }
}

impl Tally<'_> {
    fn add(&mut self) {
        self.n += 1;
    }
}

impl Drop for Tally<'_> {
    fn drop(&mut self) {
        self.to.fetch_add(self.n, Ordering::Relaxed);
    }
}

impl Snapshot {
    /// The nodes that pass `filter`. Equality on `@ID` or one of [`crate::key::INDEXED`], if the filter demands it,
    /// reads only the candidates of the smallest such index; anything else reads all nodes.
    pub fn find_nodes<'a>(&'a self, filter: &'a Filter, reads: &'a ReadCount) -> Found<'a, &'a Arc<Node>> {
        let matcher = Matcher::new(filter);
        let mut tally = Tally { to: &reads.nodes, n: 0 };
        let mut pass = move |node: &&'a Arc<Node>| {
            tally.add();
            matcher.matches(&***node)
        };
        match self.candidates(filter, reads) {
            Candidates::Some(places) => {
                Box::new(places.into_iter().filter_map(|p| self.stored.node_at(p)).filter(move |n| pass(n)))
            }
            Candidates::Run(places) => {
                Box::new(places.filter_map(|p| self.stored.node_at(p)).filter(move |n| pass(n)))
            }
            Candidates::All => Box::new(self.scan(filter, reads)),
        }
    }

    /// All nodes that pass. The memory of a chunk's nodes is touched before any of them is looked at: these reads
    /// overlap in the processor, those of one look after the other do not, and nodes that were updated lie anywhere.
    fn scan<'a>(
        &'a self,
        filter: &'a Filter,
        reads: &'a ReadCount,
    ) -> impl Iterator<Item = &'a Arc<Node>> + 'a {
        let matcher = Matcher::new(filter);
        let mut tally = Tally { to: &reads.nodes, n: 0 };
        self.stored.nodes.chunks().flat_map(move |nodes| {
            black_box(nodes.iter().filter_map(|n| Some(n.as_ref()?.metadata.len())).sum::<usize>());
            black_box(
                nodes.iter().filter(|n| n.as_ref().is_some_and(|n| matcher.touch(&n.metadata))).count(),
            );
            let mut passed = 0u64;
            for (i, node) in nodes.iter().enumerate() {
                if let Some(node) = node {
                    tally.add();
                    passed |= u64::from(matcher.matches(&**node)) << i;
                }
            }
            std::iter::from_fn(move || {
                let i = passed.trailing_zeros();
                passed &= passed.wrapping_sub(1);
                nodes.get(i as usize).and_then(|node| node.as_ref())
            })
        })
    }

    /// The edges that pass `filter`. Equality on `@ID`, `Parent` or `Child` uses an index.
    pub fn find_edges<'a>(&'a self, filter: &'a Filter, reads: &'a ReadCount) -> Found<'a, EdgeView<'a>> {
        let matcher = Matcher::new(filter);
        let mut tally = Tally { to: &reads.edges, n: 0 };
        let pass = move |edge: &EdgeView<'a>| {
            tally.add();
            matcher.matches(edge)
        };
        let Some((key, id)) = demanded(filter).find_map(|(path, text)| {
            let [only] = path.segments() else { return None };
            [attribute::ID, attribute::PARENT, attribute::CHILD]
                .iter()
                .find(|k| *k == only)
                .map(|k| (*k, Id::from(text)))
        }) else {
            return Box::new(self.edges().filter(pass));
        };
        reads.count_index(1);
        match key {
            attribute::ID => Box::new(self.edge(&id).into_iter().filter(pass)),
            attribute::PARENT => Box::new(self.edges_at(self.outgoing_places(&id)).filter(pass)),
            _ => Box::new(self.edges_at(self.incoming_places(&id)).filter(pass)),
        }
    }

    /// The edges whose parent is the node.
    pub fn out_edges<'a>(
        &'a self,
        node: &Id,
        reads: &'a ReadCount,
    ) -> impl Iterator<Item = EdgeView<'a>> + 'a {
        reads.count_index(1);
        let mut tally = Tally { to: &reads.edges, n: 0 };
        self.edges_at(self.outgoing_places(node)).inspect(move |_| tally.add())
    }

    /// The edges whose child is the node.
    pub fn in_edges<'a>(
        &'a self,
        node: &Id,
        reads: &'a ReadCount,
    ) -> impl Iterator<Item = EdgeView<'a>> + 'a {
        reads.count_index(1);
        let mut tally = Tally { to: &reads.edges, n: 0 };
        self.edges_at(self.incoming_places(node)).inspect(move |_| tally.add())
    }

    fn outgoing_places(&self, node: &Id) -> impl Iterator<Item = u32> + '_ {
        self.stored.node_place(node).into_iter().flat_map(|place| self.stored.outgoing(place))
    }

    fn incoming_places(&self, node: &Id) -> impl Iterator<Item = u32> + '_ {
        self.stored.node_place(node).into_iter().flat_map(|place| self.stored.incoming(place))
    }

    fn edges_at<'a>(
        &'a self,
        places: impl Iterator<Item = u32> + 'a,
    ) -> impl Iterator<Item = EdgeView<'a>> + 'a {
        places.filter_map(|place| self.edge_view(place))
    }

    fn candidates<'a>(&'a self, filter: &'a Filter, reads: &ReadCount) -> Candidates<'a> {
        let stored = &self.stored;
        let hash_of = |(path, text): (&Path, &str)| match indexed(path) {
            Some(key) => Some(stored.hash_text(key, text)),
            None if path.first() == attribute::ID => Some(stored.hash_id(&Id::from(text))),
            None => None,
        };
        let mut hashes = demanded(filter).filter_map(hash_of);
        if let Some(first) = hashes.next() {
            reads.count_index(1);
            // How long a run is takes as long to say as to begin reading it: ask only when there is a choice.
            let smallest = match hashes.next() {
                None => first,
                Some(second) => {
                    let estimate = |hash: &u32| {
                        reads.count_index(1);
                        stored.node_index.estimate(*hash)
                    };
                    [first, second].into_iter().chain(hashes).min_by_key(estimate).unwrap_or(first)
                }
            };
            return Candidates::Run(Box::new(stored.node_index.places(smallest)));
        }
        let Some((path, texts)) = demanded_one_of(filter) else { return Candidates::All };
        let hash = |text: &str| match indexed(path) {
            Some(key) => stored.hash_text(key, text),
            None => stored.hash_id(&Id::from(text)),
        };
        reads.count_index(texts.len());
        let mut places: Vec<u32> =
            texts.iter().flat_map(|text| stored.node_index.places(hash(text))).collect();
        places.sort_unstable();
        places.dedup();
        Candidates::Some(places)
    }
}

/// The equalities that every element passing `filter` must fulfil.
fn demanded(filter: &Filter) -> Box<dyn Iterator<Item = (&Path, &str)> + '_> {
    match filter {
        Filter::And(of) => Box::new(of.iter().flat_map(demanded)),
        Filter::Or(of) if of.len() == 1 => demanded(&of[0]),
        Filter::Field(path, Test::Text(text)) => Box::new(std::iter::once((path, text.as_str()))),
        _ => Box::new(std::iter::empty()),
    }
}

/// Texts one of which an indexed field must have.
fn demanded_one_of(filter: &Filter) -> Option<(&Path, Vec<&str>)> {
    match filter {
        Filter::And(of) => of.iter().find_map(demanded_one_of),
        Filter::Field(path, Test::OneOf(texts))
            if indexed(path).is_some() || path.first() == attribute::ID =>
        {
            Some((path, texts.iter().map(|t| t.as_str()).collect()))
        }
        Filter::Or(of) => {
            let mut one: Option<(&Path, Vec<&str>)> = None;
            for alternative in of {
                let Filter::Field(path, Test::Text(text)) = alternative else { return None };
                if indexed(path).is_none() && path.first() != attribute::ID {
                    return None;
                }
                match &mut one {
                    Some((first, texts)) if *first == path => texts.push(text),
                    Some(_) => return None,
                    None => one = Some((path, vec![text])),
                }
            }
            one
        }
        _ => None,
    }
}
