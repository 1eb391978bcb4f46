//! Finding elements in a snapshot: by the best index that the filter allows, else by looking at all.

use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};

use skydive_prefetch::prefetch;
use skydive_value::{Filter, Id, Matcher, Path, Test};

use crate::index::{Once, indexed};
use crate::key::attribute;
use crate::postings::Places;
use crate::{EdgeView, Node, Snapshot};

/// What an answer cost: elements read and index lookups made. Reads of one lookup are added when it ends.
#[derive(Debug, Default)]
pub struct ReadCount {
    nodes: AtomicU64,
    edges: AtomicU64,
    index: AtomicU64,
}

/// The nodes that pass a filter; reads as it is asked, so that who stops early reads less.
pub struct NodesFound<'a> {
    snapshot: &'a Snapshot,
    matcher: Matcher<'a>,
    tally: Tally<'a>,
    candidates: Candidates<'a>,
}

/// Places found by an index, or all of them.
enum Candidates<'s> {
    Some(std::vec::IntoIter<u32>),
    Run(Places<'s>),
    All(Box<dyn Iterator<Item = &'s Arc<Node>> + 's>),
}

/// Counts locally and reports once.
struct Tally<'r> {
    to: &'r AtomicU64,
    n: u64,
}

/// Elements found; reads as it is asked, so that who stops early reads less.
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
    #[inline]
    pub fn find_nodes<'a>(&'a self, filter: &'a Filter, reads: &'a ReadCount) -> NodesFound<'a> {
        NodesFound {
            snapshot: self,
            matcher: Matcher::new(filter),
            tally: Tally { to: &reads.nodes, n: 0 },
            candidates: self.candidates(filter, reads),
        }
    }

    /// All nodes that pass. The memory of the nodes two chunks ahead, and of their values one chunk ahead, is asked
    /// for: nodes that were updated lie anywhere, and these waits overlap.
    fn scan<'a>(
        &'a self,
        filter: &'a Filter,
        reads: &'a ReadCount,
    ) -> impl Iterator<Item = &'a Arc<Node>> + 'a {
        let matcher = Matcher::new(filter);
        let mut tally = Tally { to: &reads.nodes, n: 0 };
        let mut chunks = self.stored.nodes.chunks();
        let (mut far, mut near) = (chunks.next(), None);
        std::iter::from_fn(move || {
            loop {
                let next = chunks.next();
                for node in next.iter().flatten().filter_map(|place| place.as_ref()) {
                    prefetch(&node.metadata);
                }
                for node in far.iter().flatten().filter_map(|place| place.as_ref()) {
                    if let Some(value) = matcher.likely(&node.metadata) {
                        prefetch(value);
                    }
                }
                let now = std::mem::replace(&mut near, std::mem::replace(&mut far, next));
                let Some(nodes) = now else {
                    if near.is_none() && far.is_none() {
                        return None;
                    }
                    continue;
                };
                let mut passed = 0u64;
                for (i, node) in nodes.iter().enumerate() {
                    if let Some(node) = node {
                        tally.add();
                        passed |= u64::from(matcher.matches(&**node)) << i;
                    }
                }
                if passed != 0 {
                    return Some((nodes, passed));
                }
            }
        })
        .flat_map(|(nodes, mut passed)| {
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
        let mut found = None;
        demanded(filter, &mut |path, text| {
            let [only] = path.segments() else { return };
            let keys = [attribute::ID, attribute::PARENT, attribute::CHILD];
            if let Some(key) = keys.iter().find(|key| *key == only) {
                found.get_or_insert((*key, text));
            }
        });
        let Some((key, text)) = found else { return Box::new(self.edges().filter(pass)) };
        let id = Id::from(text);
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

    #[inline]
    fn candidates<'a>(&'a self, filter: &'a Filter, reads: &'a ReadCount) -> Candidates<'a> {
        let stored = &self.stored;
        // The first run found, and how long it is: that takes as long to say as to begin reading it, so it is asked
        // only when there is a choice.
        let mut best: Option<(u32, Option<usize>)> = None;
        demanded(filter, &mut |path, text| {
            let Some(hash) = stored.entry_of(path, text) else { return };
            reads.count_index(1);
            best = Some(match best {
                None => (hash, None),
                Some((first, known)) => {
                    let length = stored.node_index.estimate(hash);
                    let known = known.unwrap_or_else(|| stored.node_index.estimate(first));
                    if length < known { (hash, Some(length)) } else { (first, Some(known)) }
                }
            });
        });
        if let Some((hash, _)) = best {
            return Candidates::Run(stored.node_index.places(hash));
        }
        let Some((path, texts)) = demanded_one_of(filter) else {
            return Candidates::All(Box::new(self.scan(filter, reads)));
        };
        reads.count_index(texts.len());
        let hashes = texts.iter().filter_map(|text| stored.entry_of(path, text));
        let mut places: Vec<u32> = hashes.flat_map(|hash| stored.node_index.places(hash)).collect();
        places.sort_unstable();
        places.dedup();
        Candidates::Some(places.into_iter())
    }
}

impl<'a> NodesFound<'a> {
    #[inline]
    fn passes(&mut self, place: u32) -> Option<&'a Arc<Node>> {
        let node = self.snapshot.stored.node_at(place)?;
        // Most often there is one candidate: then nothing is worth remembering for the next.
        let passes = if self.tally.n == 0 {
            self.matcher.matches(&Once { node, near: &self.snapshot.stored.near })
        } else {
            self.matcher.matches(&**node)
        };
        self.tally.add();
        passes.then_some(node)
    }
}

impl<'a> Iterator for NodesFound<'a> {
    type Item = &'a Arc<Node>;

    #[inline]
    fn next(&mut self) -> Option<Self::Item> {
        loop {
            let place = match &mut self.candidates {
                Candidates::All(nodes) => return nodes.next(),
                Candidates::Run(places) => places.next()?,
                Candidates::Some(places) => places.next()?,
            };
            if let Some(node) = self.passes(place) {
                return Some(node);
            }
        }
    }
}

/// Tells `see` of the equalities that every element passing `filter` must fulfil.
fn demanded<'f>(filter: &'f Filter, see: &mut impl FnMut(&'f Path, &'f str)) {
    match filter {
        Filter::And(of) => of.iter().for_each(|one| demanded(one, see)),
        Filter::Or(of) if of.len() == 1 => demanded(&of[0], see),
        Filter::Field(path, Test::Text(text)) => see(path, text.as_str()),
        _ => {}
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
