//! `Descendants`, `Ascendants`, `Neighbors`: the nodes within some levels of edges, the start included, each once.

use std::ops::ControlFlow;

use foldhash::HashSet;
use skydive_graph::key::{RELATION_TYPE, relation};
use skydive_value::{Filter, Id};

use crate::check::Check;
use crate::operation::Operation;
use crate::run::Run;
use crate::view::Way;
use crate::{Args, Kind, ParseError, Plan, QueryError, Rows, Slot, Step, StepDef, condition};

const ON: &[(Kind, Kind)] = &[(Kind::Nodes, Kind::Nodes)];
const ARGS: &[Slot] = &[Slot::Conditions, Slot::Depth];

pub(super) const DESCENDANTS: StepDef = StepDef {
    name: "Descendants",
    about: "the nodes and what they own, down to a depth",
    on: ON,
    args: ARGS,
    parse: |args| Ok(Box::new(parse(&args, "Descendants", Way::Out)?)),
};

pub(super) const ASCENDANTS: StepDef = StepDef {
    name: "Ascendants",
    about: "the nodes and their owners, up to a depth",
    on: ON,
    args: ARGS,
    parse: |args| Ok(Box::new(parse(&args, "Ascendants", Way::In)?)),
};

pub(super) const NEIGHBORS: StepDef = StepDef {
    name: "Neighbors",
    about: "the nodes and those around them, up to a depth",
    on: ON,
    args: ARGS,
    parse: |args| Ok(Box::new(parse(&args, "Neighbors", Way::Both)?)),
};

#[derive(Clone, Debug)]
struct Spread {
    way: Way,
    edges: Filter,
    /// `None`: as far as it goes.
    levels: Option<u64>,
}

/// Filters are built when parsing, so that what stores a query refuses it. Pairs are alternatives.
fn parse(args: &Args, step: &str, way: Way) -> Result<Spread, ParseError> {
    let given = args.given.as_slice();
    let (conditions, depth) = if given.len().is_multiple_of(2) {
        (given, 1)
    } else {
        let (last, conditions) = given.split_last().map_or((None, given), |(last, rest)| (Some(last), rest));
        let depth = last.and_then(|last| u64::try_from(last.arg.as_int()?).ok());
        let Some(depth) = depth else {
            return Err(ParseError {
                message: format!("{step} last argument must be the maximum depth specified as an integer"),
                offset: last.map_or(args.offset, |last| last.offset),
            });
        };
        (conditions, depth)
    };
    let edges = if conditions.is_empty() {
        Filter::text(RELATION_TYPE, relation::OWNERSHIP)
    } else {
        condition::any_of(conditions, args.offset).map_err(|cause| ParseError {
            message: format!(
                "{step} accepts an optional number of key/value tuples and an optional depth: {cause}"
            ),
            offset: cause.offset().unwrap_or(args.offset),
        })?
    };
    // Around a node, depth 0 is the node itself.
    let levels = if depth == 0 && way != Way::Both { None } else { Some(depth) };
    Ok(Spread { way, edges, levels })
}

impl Step for Spread {
    fn plan(&self, plan: &mut Plan) -> Result<(), QueryError> {
        plan.push(self.clone());
        Ok(())
    }
}

impl Operation for Spread {
    fn apply(&self, rows: Rows, run: &mut Run<'_>) -> Result<Rows, QueryError> {
        let run = &*run;
        let check = Check::new(&self.edges);
        let mut known: HashSet<Id> = HashSet::default();
        let mut nodes = rows.into_nodes()?;
        nodes.retain(|node| known.insert(node.id.clone()));
        let mut level = 0;
        let mut from = 0;
        while from < nodes.len() && self.levels.is_none_or(|levels| level < levels) {
            let to = nodes.len();
            for at in from..to {
                run.tick()?;
                let id = nodes[at].id.clone();
                run.graph.each_edge_at(&id, self.way, run, |edge, far| {
                    if check.passes(&edge, run)? && known.insert(far.id.clone()) {
                        run.check_room(nodes.len() + 1)?;
                        nodes.push(far.clone());
                    }
                    Ok(ControlFlow::Continue(()))
                })?;
            }
            from = to;
            level += 1;
        }
        Ok(Rows::Nodes(nodes))
    }
}
