//! `SubGraph`: a graph of the chosen elements, for the steps behind it or as the answer.

use std::ops::ControlFlow;
use std::sync::Arc;

use foldhash::HashSet;
use skydive_graph::Node;
use skydive_value::{Filter, Id};

use crate::check::Check;
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
                let check = self.check();
                let mut nodes = Vec::new();
                let mut ids = Vec::new();
                for edge in &edges {
                    if !check.passes(&**edge, run)? {
                        continue;
                    }
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
    fn check(&self) -> Check<'_> {
        static ALL: Filter = Filter::all();
        Check::new(self.0.as_ref().unwrap_or(&ALL))
    }

    /// The nodes and every edge whose two ends are among them.
    fn between(&self, mut nodes: Vec<Arc<Node>>, run: &Run<'_>) -> Result<View, QueryError> {
        let check = self.check();
        let mut chosen: HashSet<Id> = HashSet::default();
        nodes.retain(|node| chosen.insert(node.id.clone()));
        let mut edges = Vec::new();
        for node in &nodes {
            run.tick()?;
            run.graph.each_edge_at(&node.id, Way::Out, run, |edge, child| {
                if chosen.contains(&child.id) && check.passes(&edge, run)? {
                    run.check_room(edges.len() + 1)?;
                    edges.push(edge.id().clone());
                }
                Ok(ControlFlow::Continue(()))
            })?;
        }
        Ok(View::part(&run.graph, nodes, edges))
    }
}
