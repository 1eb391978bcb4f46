//! `Limit` and `Range`: some of the elements. Where the step before reads, it stops reading.

use crate::operation::Operation;
use crate::plan::{Window, Wish};
use crate::run::Run;
use crate::{Args, Kind, ParseError, Plan, QueryError, Rows, Slot, Step, StepDef};

const ON: &[(Kind, Kind)] = &[
    (Kind::Nodes, Kind::Nodes),
    (Kind::Edges, Kind::Edges),
    (Kind::Paths, Kind::Paths),
    (Kind::List, Kind::List),
    (Kind::Flows, Kind::Flows),
];

pub(super) const LIMIT: StepDef = StepDef {
    name: "Limit",
    about: "the first elements",
    on: ON,
    args: &[Slot::Number],
    parse: |args| window(args, 1, "Limit requires 1 parameter"),
};

pub(super) const RANGE: StepDef = StepDef {
    name: "Range",
    about: "the elements from one position up to but not including another",
    on: ON,
    args: &[Slot::Number, Slot::Number],
    parse: |args| window(args, 2, "Range requires 2 parameters"),
};

/// Numbers are looked at when planning, as they always were.
#[derive(Debug)]
struct Cut(Args);

fn window(args: Args, number: usize, text: &str) -> Result<Box<dyn Step>, ParseError> {
    if args.given.len() != number {
        return Err(args.refuse_number(text));
    }
    Ok(Box::new(Cut(args)))
}

impl Step for Cut {
    fn plan(&self, plan: &mut Plan) -> Result<(), QueryError> {
        let window = Window::of(&self.0)?;
        if plan.offer(Wish::Window(window)).is_some() {
            plan.push(window);
        }
        Ok(())
    }
}

impl Operation for Window {
    fn apply(&self, mut rows: Rows, _: &mut Run<'_>) -> Result<Rows, QueryError> {
        match &mut rows {
            Rows::Nodes(nodes) => self.cut(nodes),
            Rows::Edges(edges) => self.cut(edges),
            Rows::Paths(paths) => self.cut(paths),
            Rows::List(values) => self.cut(values),
            Rows::Flows(flows) => self.cut(flows),
            other => return Err(other.unplanned()),
        }
        Ok(rows)
    }
}
