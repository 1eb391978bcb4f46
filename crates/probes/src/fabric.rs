//! The network between hosts, as the configuration describes it by hand: `analyzer.topology.fabric`.
//!
//! After every change of the merged graph it works out, on a snapshot, what the entries want of it and what of that is
//! missing or too much. So it does not matter what came first, an agent, its interface or this analyzer, nor how often
//! any of them comes back. Lookups are by name, and a graph that is as wanted costs one for each node and pattern.

mod language;
mod plan;

use std::collections::{HashMap, HashSet};
use std::sync::Arc;

use skydive_graph::{Edge, Mutation, Node, ReadCount, Snapshot, Source, key};
use skydive_value::{Id, Map, Matcher, Timestamp};
use tokio::sync::watch;
use tokio::time::{Instant, sleep};

use crate::{
    AnalyzerProbeConfig, AnalyzerProbeDef, BoxFuture, BuildError, Probe, ProbeError, ProbeScope, Stopped,
};

pub use language::split_links;
pub use plan::{Fabric, Fault};

use plan::Pattern;

/// See [`crate::ANALYZER_PROBES`].
pub(crate) const DEF: AnalyzerProbeDef = AnalyzerProbeDef {
    name: "fabric",
    about: "switches and links between hosts, described in the configuration",
    build,
};

struct FabricProbe {
    graph: watch::Receiver<Snapshot>,
    entries: usize,
    weaver: Weaver,
}

/// Keeps a graph as the fabric describes it.
struct Weaver {
    fabric: Fabric,
    source: Arc<Source>,
    /// Links that exist because of patterns.
    made: HashSet<Id>,
}

/// A look takes at most this part of the time.
const SHARE: u32 = 5;

#[expect(clippy::unnecessary_wraps, reason = "the shape of every probe's build")]
fn build(config: &AnalyzerProbeConfig) -> Result<Box<dyn Probe>, BuildError> {
    Ok(Box::new(FabricProbe {
        graph: config.graph.clone(),
        entries: config.fabric.len(),
        weaver: Weaver::new(Fabric::read(&config.fabric), config.source.clone()),
    }))
}

impl Probe for FabricProbe {
    fn run(self: Box<Self>, scope: ProbeScope) -> BoxFuture<'static, Result<(), ProbeError>> {
        Box::pin(async move {
            // That nobody listens any more is the end, not a fault.
            let _ = self.keep(&scope).await;
            Ok(())
        })
    }
}

impl FabricProbe {
    async fn keep(self, scope: &ProbeScope) -> Result<(), Stopped> {
        let Self { mut graph, entries, mut weaver } = self;
        match complaint(weaver.fabric.faults(), entries) {
            Some(why) => scope.degraded(why).await?,
            None => scope.running().await?,
        }
        if weaver.fabric.is_empty() {
            // Nobody makes snapshots for it.
            drop(graph);
            scope.stopped().await;
            return Ok(());
        }
        loop {
            let begin = Instant::now();
            let snapshot = graph.borrow_and_update().clone();
            let mutations = weaver.missing(&snapshot, scope.now());
            drop(snapshot);
            let pause = begin.elapsed() * (SHARE - 1);
            scope.send(mutations).await?;
            let next = async {
                sleep(pause).await;
                graph.changed().await
            };
            tokio::select! {
                changed = next => changed.map_err(|_| Stopped)?,
                () = scope.stopped() => return Ok(()),
            }
        }
    }
}

fn complaint(faults: &[Fault], entries: usize) -> Option<String> {
    let told: Vec<String> = faults.iter().map(ToString::to_string).collect();
    (!told.is_empty()).then(|| format!("{} of {entries} entries refused: {}", told.len(), told.join("; ")))
}

impl Weaver {
    fn new(fabric: Fabric, source: Arc<Source>) -> Self {
        Self { fabric, source, made: HashSet::new() }
    }

    /// What makes `graph` as it is described.
    fn missing(&mut self, graph: &Snapshot, now: Timestamp) -> Vec<Mutation> {
        let mut mutations = Vec::new();
        for (id, metadata) in self.fabric.nodes.iter().filter(|(id, _)| graph.node(id).is_none()) {
            let node = Node::new(id.clone(), self.source.clone(), metadata.clone(), now);
            mutations.push(Mutation::AddNode(node));
        }
        for link in self.fabric.links.iter().filter(|link| graph.edge(&link.id).is_none()) {
            // Who was given another owner, by a user perhaps, keeps it: two that insist would never end.
            if link.relation == key::relation::OWNERSHIP && is_owned(graph, &link.child) {
                continue;
            }
            let (parent, child, extra) = (link.parent.clone(), link.child.clone(), link.extra.clone());
            let edge = Edge::link(parent, child, link.relation, extra, self.source.clone(), now);
            mutations.push(Mutation::AddEdge(edge));
        }
        let wanted = self.matches(graph);
        self.made.retain(|id| {
            let stays = wanted.contains_key(id);
            if !stays {
                mutations.push(Mutation::DeleteEdge { id: id.clone() });
            }
            stays
        });
        for (id, (from, child, extra)) in wanted.into_iter().filter(|(id, _)| graph.edge(id).is_none()) {
            let relation = key::relation::LAYER2;
            let edge = Edge::link(from, child, relation, extra, self.source.clone(), now);
            mutations.push(Mutation::AddEdge(edge));
            self.made.insert(id);
        }
        mutations
    }

    /// The links that patterns want: id to node of the fabric, what was found, and metadata. The first pattern counts.
    fn matches(&self, graph: &Snapshot) -> HashMap<Id, (Id, Id, Map)> {
        let (mut wanted, reads) = (HashMap::new(), ReadCount::default());
        for Pattern { from, extra, parent, child } in &self.fabric.patterns {
            let parent = Matcher::new(parent);
            for found in graph.find_nodes(child, &reads).filter(|found| found.id != *from) {
                let is_foreign = |id: &Id| !self.made.contains(id);
                // What patterns made is no reason for more of it.
                let has_parent = graph
                    .in_edges(&found.id, &reads)
                    .any(|edge| is_foreign(edge.id()) && parent.matches(&**edge.parent()));
                let is_linked = || {
                    let above = graph.in_edges(&found.id, &reads).map(|edge| (edge, edge.parent()));
                    let below = graph.out_edges(&found.id, &reads).map(|edge| (edge, edge.child()));
                    above.chain(below).any(|(edge, end)| {
                        end.id == *from && edge.relation() == key::relation::LAYER2 && is_foreign(edge.id())
                    })
                };
                if has_parent && !is_linked() {
                    let id = Edge::link_id(from, &found.id, key::relation::LAYER2);
                    let link = (from.clone(), found.id.clone(), extra.clone());
                    wanted.entry(id).or_insert(link);
                }
            }
        }
        wanted
    }
}

fn is_owned(graph: &Snapshot, node: &Id) -> bool {
    let reads = ReadCount::default();
    graph.in_edges(node, &reads).any(|edge| edge.relation() == key::relation::OWNERSHIP)
}

#[cfg(test)]
mod tests;
