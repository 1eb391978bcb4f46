//! `At`, also called `Context`: the graph of another time.

use crate::{Args, Kind, Plan, QueryError, Slot, Step, StepDef};

const ON: &[(Kind, Kind)] = &[(Kind::Graph, Kind::Graph)];
const ARGS: &[Slot] = &[Slot::Time, Slot::Duration];

pub(super) const CONTEXT: StepDef = StepDef {
    name: "Context",
    about: "the graph at a point in time, or all it was in a span",
    on: ON,
    args: ARGS,
    parse: |args| Ok(Box::new(At(args))),
};

pub(super) const AT: StepDef = StepDef { name: "At", about: "the same as Context", ..CONTEXT };

/// Arguments are looked at when planning: stored queries may hold wrong ones.
#[derive(Debug)]
struct At(Args);

impl Step for At {
    fn plan(&self, plan: &mut Plan) -> Result<(), QueryError> {
        plan.open(&self.0)
    }
}
