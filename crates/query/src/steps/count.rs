//! `Count`: how many. Where the step before reads, it only counts.

use crate::operation::Operation;
use crate::plan::Wish;
use crate::run::Run;
use crate::{Kind, Plan, QueryError, Rows, Step, StepDef};

pub(super) const DEF: StepDef = StepDef {
    name: "Count",
    about: "how many elements there are",
    on: &[
        (Kind::Nodes, Kind::Number),
        (Kind::Edges, Kind::Number),
        (Kind::Paths, Kind::Number),
        (Kind::List, Kind::Number),
        (Kind::NextHops, Kind::Number),
        (Kind::Metrics, Kind::Number),
        (Kind::Sockets, Kind::Number),
        (Kind::Flows, Kind::Number),
        (Kind::Groups, Kind::Number),
        (Kind::RawPackets, Kind::Number),
    ],
    args: &[],
    parse: |args| {
        if args.given.is_empty() {
            return Ok(Box::new(Count));
        }
        Err(args.refuse_number("Count accepts no parameter"))
    },
};

#[derive(Debug)]
struct Count;

impl Step for Count {
    fn plan(&self, plan: &mut Plan) -> Result<(), QueryError> {
        if plan.offer(Wish::Count).is_some() {
            plan.push(Count);
        }
        Ok(())
    }
}

impl Operation for Count {
    fn apply(&self, rows: Rows, _: &mut Run<'_>) -> Result<Rows, QueryError> {
        Ok(Rows::Number(rows.len() as i64))
    }
}
