//! `E`: edges of the graph.

use std::ops::ControlFlow;
use std::sync::Arc;

use skydive_graph::key::attribute;
use skydive_value::{Filter, SmolStr};

use crate::operation::{Operation, Output};
use crate::plan::{Early, Selection, Wish};
use crate::run::Run;
use crate::{Kind, Plan, QueryError, Rows, Slot, Step, StepDef};

pub(super) const DEF: StepDef = StepDef {
    name: "E",
    about: "the edges, or the one with an id",
    on: &[(Kind::Graph, Kind::Edges)],
    args: &[Slot::Id],
    parse: |args| Ok(Box::new(E { id: super::nodes::element_id(&args, "E")? })),
};

#[derive(Debug)]
struct E {
    id: Option<SmolStr>,
}

#[derive(Debug)]
struct ReadEdges {
    id: Option<SmolStr>,
    selection: Selection,
}

impl Step for E {
    fn plan(&self, plan: &mut Plan) -> Result<(), QueryError> {
        let early = if self.id.is_none() { Early::Pairs } else { Early::Never };
        plan.push(ReadEdges { id: self.id.clone(), selection: Selection::new(None, early) });
        Ok(())
    }
}

impl Operation for ReadEdges {
    fn take(&mut self, wish: Wish) -> Option<Wish> {
        self.selection.take(wish)
    }

    fn apply(&self, rows: Rows, run: &mut Run<'_>) -> Result<Rows, QueryError> {
        let view = rows.into_graph()?;
        run.graph = view.clone();
        let run = &*run;
        let all = Filter::all();
        let filter = self.selection.filter().unwrap_or(&all);
        let mut output = Output::new(&self.selection, run);
        if let Some(text) = &self.id {
            let mut found = false;
            view.each_edge(&Filter::text(attribute::ID, text.clone()), run, |edge| {
                found = true;
                if filter.matches(&edge) {
                    output.push(|| Arc::new(edge.to_edge()))
                } else {
                    Ok(ControlFlow::Continue(()))
                }
            })?;
            if !found {
                return Err(QueryError::NoEdge(text.clone()));
            }
        } else if self.selection.counts()
            && self.selection.filter().is_none()
            && self.selection.window().is_none()
        {
            return Ok(Rows::Number(view.edge_count() as i64));
        } else if !output.is_full() {
            view.each_edge(filter, run, |edge| output.push(|| Arc::new(edge.to_edge())))?;
        }
        Ok(output.finish(Rows::Edges))
    }
}
