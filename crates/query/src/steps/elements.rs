//! `V` and `E`: nodes and edges of the graph.

use std::sync::Arc;

use skydive_graph::key::attribute;
use skydive_value::{Filter, SmolStr};

use crate::operation::{Operation, Output};
use crate::plan::{Early, Selection, Wish};
use crate::run::Run;
use crate::standing::SetStep;
use crate::{Args, Kind, ParseError, Plan, QueryError, Rows, Slot, Step, StepDef};

pub(super) const V: StepDef = StepDef {
    name: "V",
    about: "the nodes, or the one with an id",
    on: &[(Kind::Graph, Kind::Nodes)],
    args: &[Slot::Id],
    parse: |args| parse(&args, "V", Of::Nodes),
};

pub(super) const E: StepDef = StepDef {
    name: "E",
    about: "the edges, or the one with an id",
    on: &[(Kind::Graph, Kind::Edges)],
    args: &[Slot::Id],
    parse: |args| parse(&args, "E", Of::Edges),
};

#[derive(Clone, Copy, Debug)]
enum Of {
    Nodes,
    Edges,
}

#[derive(Debug)]
struct Elements {
    of: Of,
    id: Option<SmolStr>,
}

#[derive(Debug)]
struct ReadElements {
    of: Of,
    id: Option<SmolStr>,
    selection: Selection,
}

fn parse(args: &Args, step: &str, of: Of) -> Result<Box<dyn Step>, ParseError> {
    let number = format!("{step} accepts at most one parameter");
    let kind = format!("{step} parameter must be a string");
    let is_all = args.given.is_empty();
    let id = if is_all { None } else { Some(args.one_text(&number, &kind)?) };
    Ok(Box::new(Elements { of, id }))
}

impl Step for Elements {
    fn plan(&self, plan: &mut Plan) -> Result<(), QueryError> {
        let early = if self.id.is_none() { Early::Pairs } else { Early::Never };
        let (of, id) = (self.of, self.id.clone());
        plan.push(ReadElements { of, id, selection: Selection::new(None, early) });
        Ok(())
    }
}

impl Operation for ReadElements {
    fn take(&mut self, wish: Wish) -> Option<Wish> {
        self.selection.take(wish)
    }

    fn as_set(&self) -> Option<SetStep<'_>> {
        let filter = self.selection.filter();
        let step = match self.of {
            Of::Nodes => SetStep::Nodes(self.id.as_ref(), filter),
            Of::Edges => SetStep::Edges(self.id.as_ref(), filter),
        };
        self.selection.only_filters().then_some(step)
    }

    fn apply(&self, rows: Rows, run: &mut Run<'_>) -> Result<Rows, QueryError> {
        run.graph = rows.into_graph()?;
        let run = &*run;
        let graph = &run.graph;
        match self.of {
            Of::Nodes => {
                self.read(run, graph.node_count(), QueryError::NoNode, Rows::Nodes, |filter, output| {
                    graph.each_node(filter, run, |node| output.offer(&**node, || node.clone()))
                })
            }
            Of::Edges => {
                self.read(run, graph.edge_count(), QueryError::NoEdge, Rows::Edges, |filter, output| {
                    graph.each_edge(filter, run, |edge| output.offer(&edge, || Arc::new(edge.to_edge())))
                })
            }
        }
    }
}

impl ReadElements {
    /// Reads what `each` shows of what passes a filter; `count` is how many there are in all.
    fn read<'r, T>(
        &'r self,
        run: &'r Run<'_>,
        count: usize,
        missing: fn(SmolStr) -> QueryError,
        wrap: fn(Vec<T>) -> Rows,
        each: impl FnOnce(&Filter, &mut Output<'r, T>) -> Result<(), QueryError>,
    ) -> Result<Rows, QueryError> {
        let selection = &self.selection;
        if let Some(id) = &self.id {
            let mut output = Output::new(selection, run);
            each(&Filter::text(attribute::ID, id.clone()), &mut output)?;
            return if output.has_met() { Ok(output.finish(wrap)) } else { Err(missing(id.clone())) };
        }
        if selection.counts() && selection.filter().is_none() && selection.window().is_none() {
            return Ok(Rows::Number(count as i64));
        }
        let mut output = Output::tested(selection, run);
        if !output.is_full() {
            each(selection.filter().unwrap_or(&Filter::all()), &mut output)?;
        }
        Ok(output.finish(wrap))
    }
}
