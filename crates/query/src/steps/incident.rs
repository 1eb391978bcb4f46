//! `OutE`, `InE`, `BothE`: the edges of a node.

use std::ops::ControlFlow;
use std::sync::Arc;

use skydive_value::Matcher;

use crate::operation::{Operation, Output};
use crate::plan::{Early, Selection, Wish};
use crate::run::Run;
use crate::view::Way;
use crate::{Args, Kind, Plan, QueryError, Rows, Slot, Step, StepDef, condition};

const ON: &[(Kind, Kind)] = &[(Kind::Nodes, Kind::Edges)];
const ARGS: &[Slot] = &[Slot::Conditions];

pub(super) const OUT_E: StepDef = StepDef {
    name: "OutE",
    about: "the edges to children",
    on: ON,
    args: ARGS,
    parse: |args| Ok(Box::new(Incident { way: Way::Out, args })),
};

pub(super) const IN_E: StepDef = StepDef {
    name: "InE",
    about: "the edges to parents",
    on: ON,
    args: ARGS,
    parse: |args| Ok(Box::new(Incident { way: Way::In, args })),
};

pub(super) const BOTH_E: StepDef = StepDef {
    name: "BothE",
    about: "the edges to children and to parents",
    on: ON,
    args: ARGS,
    parse: |args| Ok(Box::new(Incident { way: Way::Both, args })),
};

#[derive(Debug)]
struct Incident {
    way: Way,
    args: Args,
}

#[derive(Debug)]
struct ReadIncident {
    way: Way,
    selection: Selection,
}

impl Step for Incident {
    fn plan(&self, plan: &mut Plan) -> Result<(), QueryError> {
        let filter = condition::optional(&self.args.given, self.args.offset)?;
        plan.push(ReadIncident { way: self.way, selection: Selection::new(filter, Early::Has) });
        Ok(())
    }
}

impl Operation for ReadIncident {
    fn take(&mut self, wish: Wish) -> Option<Wish> {
        self.selection.take(wish)
    }

    fn apply(&self, rows: Rows, run: &mut Run<'_>) -> Result<Rows, QueryError> {
        let run = &*run;
        let matcher = self.selection.filter().map(Matcher::new);
        let mut output = Output::new(&self.selection, run);
        for node in rows.into_nodes()? {
            run.tick()?;
            if output.is_full() {
                break;
            }
            run.graph.each_edge_at(&node.id, self.way, run, |edge, _| {
                if matcher.as_ref().is_none_or(|m| m.matches(&edge)) {
                    return output.push(|| Arc::new(edge.to_edge()));
                }
                Ok(ControlFlow::Continue(()))
            })?;
        }
        Ok(output.finish(Rows::Edges))
    }
}
