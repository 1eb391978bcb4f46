//! `V`: nodes of the graph.

use std::ops::ControlFlow;

use skydive_graph::key::attribute;
use skydive_value::{Filter, SmolStr};

use crate::operation::{Operation, Output};
use crate::plan::{Early, Selection, Wish};
use crate::run::Run;
use crate::{Args, Kind, ParseError, Plan, QueryError, Rows, Slot, Step, StepDef};

pub(super) const DEF: StepDef = StepDef {
    name: "V",
    about: "the nodes, or the one with an id",
    on: &[(Kind::Graph, Kind::Nodes)],
    args: &[Slot::Id],
    parse: |args| Ok(Box::new(V { id: element_id(&args, "V")? })),
};

#[derive(Debug)]
struct V {
    id: Option<SmolStr>,
}

#[derive(Debug)]
struct ReadNodes {
    id: Option<SmolStr>,
    selection: Selection,
}

/// The id that `V` and `E` may have.
pub(super) fn element_id(args: &Args, step: &str) -> Result<Option<SmolStr>, ParseError> {
    if args.given.is_empty() {
        return Ok(None);
    }
    let number = format!("{step} accepts at most one parameter");
    let kind = format!("{step} parameter must be a string");
    args.one_text(&number, &kind).map(Some)
}

impl Step for V {
    fn plan(&self, plan: &mut Plan) -> Result<(), QueryError> {
        let early = if self.id.is_none() { Early::Pairs } else { Early::Never };
        plan.push(ReadNodes { id: self.id.clone(), selection: Selection::new(None, early) });
        Ok(())
    }
}

impl Operation for ReadNodes {
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
            view.each_node(&Filter::text(attribute::ID, text.clone()), run, |node| {
                found = true;
                if filter.matches(&**node) {
                    output.push(|| node.clone())
                } else {
                    Ok(ControlFlow::Continue(()))
                }
            })?;
            if !found {
                return Err(QueryError::NoNode(text.clone()));
            }
        } else if self.selection.counts()
            && self.selection.filter().is_none()
            && self.selection.window().is_none()
        {
            return Ok(Rows::Number(view.node_count() as i64));
        } else if !output.is_full() {
            view.each_node(filter, run, |node| output.push(|| node.clone()))?;
        }
        Ok(output.finish(Rows::Nodes))
    }
}
