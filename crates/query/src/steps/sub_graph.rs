//! `SubGraph`: a graph of the chosen elements, for the steps behind it or as the answer.

use std::ops::ControlFlow;
use std::sync::Arc;

use foldhash::HashSet;
use skydive_graph::Node;
use skydive_value::{Filter, Id, Matcher};

use crate::operation::Operation;
use crate::run::Run;
use crate::standing::SetStep;
use crate::view::{View, Way};
use crate::{Args, Kind, Plan, QueryError, Rows, Slot, Step, StepDef, condition};

pub(super) const DEF: StepDef = StepDef {
    name: "SubGraph",
    about: "the graph of these elements, with the edges between them",
    on: &[(Kind::Nodes, Kind::Graph), (Kind::Edges, Kind::Graph), (Kind::Paths, Kind::Graph)],
    args: &[Slot::Conditions],
    parse: |args| Ok(Box::new(SubGraph(args))),
};

#[derive(Debug)]
struct SubGraph(Args);

/// The filter says which edges may be in it.
#[derive(Debug)]
struct Cut(Option<Filter>);

impl Step for SubGraph {
    fn plan(&self, plan: &mut Plan) -> Result<(), QueryError> {
        plan.push(Cut(condition::optional(&self.0.given, self.0.offset)?));
        Ok(())
    }
}

impl Operation for Cut {
    fn as_set(&self) -> Option<SetStep<'_>> {
        Some(SetStep::Cut(self.0.as_ref()))
    }

    fn apply(&self, rows: Rows, run: &mut Run<'_>) -> Result<Rows, QueryError> {
        let view = match rows {
            Rows::Nodes(nodes) => self.between(nodes, run)?,
            Rows::Paths(paths) => self.between(paths.into_iter().flatten().collect(), run)?,
            Rows::Edges(edges) => {
                let matcher = self.0.as_ref().map(Matcher::new);
                let mut nodes = Vec::new();
                let mut ids = Vec::new();
                for edge in edges.iter().filter(|e| matcher.as_ref().is_none_or(|m| m.matches(&***e))) {
                    run.tick()?;
                    let ends = [run.graph.node(&edge.parent), run.graph.node(&edge.child)];
                    if let [Some(parent), Some(child)] = ends {
                        nodes.extend([parent.clone(), child.clone()]);
                        ids.push(edge.id.clone());
                    }
                }
                View::part(&run.graph, nodes, ids)
            }
            other => return Err(other.unplanned()),
        };
        run.graph = view.clone();
        Ok(Rows::Graph(view))
    }
}

impl Cut {
    /// The nodes and every edge whose two ends are among them.
    fn between(&self, nodes: Vec<Arc<Node>>, run: &Run<'_>) -> Result<View, QueryError> {
        let matcher = self.0.as_ref().map(Matcher::new);
        let chosen: HashSet<&Id> = nodes.iter().map(|node| &node.id).collect();
        let mut edges = Vec::new();
        for id in &chosen {
            run.tick()?;
            run.graph.each_edge_at(id, Way::Out, run, |edge, child| {
                if chosen.contains(&child.id) && matcher.as_ref().is_none_or(|m| m.matches(&edge)) {
                    run.check_room(edges.len() + 1)?;
                    edges.push(edge.id().clone());
                }
                Ok(ControlFlow::Continue(()))
            })?;
        }
        drop(chosen);
        Ok(View::part(&run.graph, nodes, edges))
    }
}
