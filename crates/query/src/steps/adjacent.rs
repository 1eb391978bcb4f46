//! `Out`, `In`, `Both`: the nodes at the other end of a node's edges, one per edge.

use std::ops::ControlFlow;

use skydive_value::Matcher;

use crate::operation::{Operation, Output};
use crate::plan::{Early, Selection, Wish};
use crate::run::Run;
use crate::view::Way;
use crate::{Args, Kind, Plan, QueryError, Rows, Slot, Step, StepDef, condition};

const ON: &[(Kind, Kind)] = &[(Kind::Nodes, Kind::Nodes)];
const ARGS: &[Slot] = &[Slot::Conditions];

pub(super) const OUT: StepDef = StepDef {
    name: "Out",
    about: "the children",
    on: ON,
    args: ARGS,
    parse: |args| Ok(Box::new(Adjacent { way: Way::Out, args })),
};

pub(super) const IN: StepDef = StepDef {
    name: "In",
    about: "the parents",
    on: ON,
    args: ARGS,
    parse: |args| Ok(Box::new(Adjacent { way: Way::In, args })),
};

pub(super) const BOTH: StepDef = StepDef {
    name: "Both",
    about: "the children and the parents",
    on: ON,
    args: ARGS,
    parse: |args| Ok(Box::new(Adjacent { way: Way::Both, args })),
};

#[derive(Debug)]
struct Adjacent {
    way: Way,
    args: Args,
}

#[derive(Debug)]
struct Walk {
    way: Way,
    selection: Selection,
}

impl Step for Adjacent {
    fn plan(&self, plan: &mut Plan) -> Result<(), QueryError> {
        let filter = condition::optional(&self.args.given, self.args.offset)?;
        plan.push(Walk { way: self.way, selection: Selection::new(filter, Early::Has) });
        Ok(())
    }
}

impl Operation for Walk {
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
            run.graph.each_edge_at(&node.id, self.way, run, |_, far| {
                if matcher.as_ref().is_none_or(|m| m.matches(&**far)) {
                    return output.push(|| far.clone());
                }
                Ok(ControlFlow::Continue(()))
            })?;
        }
        Ok(output.finish(Rows::Nodes))
    }
}
