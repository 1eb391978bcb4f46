//! `ShortestPathTo`: from each node the way to the nearest node that matches.
//!
//! One breadth-first search from all targets at once gives the way for every start, so a query with a million
//! starts costs as much as one with a single start. It ends when all starts have been met.

use std::collections::VecDeque;
use std::ops::ControlFlow;
use std::sync::Arc;

use foldhash::{HashMap, HashSet};
use skydive_graph::Node;
use skydive_value::{Filter, Id};

use crate::check::Check;
use crate::operation::Operation;
use crate::run::Run;
use crate::view::Way;
use crate::{Arg, Args, Given, Kind, Plan, QueryError, Rows, Slot, Step, StepDef, Takes, condition};

pub(super) const DEF: StepDef = StepDef {
    name: "ShortestPathTo",
    about: "the path to the nearest node that matches",
    on: &[(Kind::Nodes, Kind::Paths)],
    args: &[Slot::Metadata, Slot::Metadata],
    parse: |args| match args.given.len() {
        1 | 2 => Ok(Box::new(ShortestPathTo(args))),
        _ => Err(args.refuse_number("ShortestPathTo predicate accepts only 1 or 2 parameters")),
    },
};

#[derive(Debug)]
struct ShortestPathTo(Args);

#[derive(Debug)]
struct FindPaths {
    target: Filter,
    through: Option<Filter>,
}

impl Step for ShortestPathTo {
    fn plan(&self, plan: &mut Plan) -> Result<(), QueryError> {
        let filter = |given: &Given| match &given.arg {
            Arg::Predicate(predicate) if predicate.def.takes == Takes::Pairs => {
                condition::all_of(&predicate.given, given.offset)
            }
            _ => Err(QueryError::argument("Error while executing the query", given.offset)),
        };
        let mut filters = self.0.given.iter().map(filter);
        let target = filters.next().transpose()?.unwrap_or_else(Filter::all);
        plan.push(FindPaths { target, through: filters.next().transpose()? });
        Ok(())
    }
}

impl Operation for FindPaths {
    fn apply(&self, rows: Rows, run: &mut Run<'_>) -> Result<Rows, QueryError> {
        let run = &*run;
        let starts = rows.into_nodes()?;
        let toward = self.toward_targets(&starts, run)?;
        let mut paths = Vec::new();
        let mut len = 0;
        for start in starts {
            let Some(mut next) = toward.get(&start.id) else { continue };
            let mut path = vec![start];
            while let Some(node) = next {
                run.tick()?;
                path.push(node.clone());
                next = toward.get(&node.id).unwrap_or(&None);
            }
            len += path.len();
            run.check_room(len)?;
            paths.push(path);
        }
        Ok(Rows::Paths(paths))
    }
}

impl FindPaths {
    /// For every node met, the next one on the way to its nearest target; `None` for a target.
    fn toward_targets(
        &self,
        starts: &[Arc<Node>],
        run: &Run<'_>,
    ) -> Result<HashMap<Id, Option<Arc<Node>>>, QueryError> {
        let mut toward: HashMap<Id, Option<Arc<Node>>> = HashMap::default();
        let mut missing: HashSet<&Id> = starts.iter().map(|start| &start.id).collect();
        let mut queue = VecDeque::new();
        if missing.is_empty() {
            return Ok(toward);
        }
        run.graph.each_node(&self.target, run, |node| {
            missing.remove(&node.id);
            toward.insert(node.id.clone(), None);
            queue.push_back(node.clone());
            Ok(if missing.is_empty() { ControlFlow::Break(()) } else { ControlFlow::Continue(()) })
        })?;
        let through = self.through.as_ref().map(Check::new);
        while let Some(node) = queue.pop_front() {
            if missing.is_empty() {
                break;
            }
            run.graph.each_edge_at(&node.id, Way::Both, run, |edge, far| {
                let is_open = match &through {
                    Some(check) => check.passes(&edge, run)?,
                    None => true,
                };
                if is_open && !toward.contains_key(&far.id) {
                    missing.remove(&far.id);
                    toward.insert(far.id.clone(), Some(node.clone()));
                    queue.push_back(far.clone());
                }
                Ok(ControlFlow::Continue(()))
            })?;
        }
        Ok(toward)
    }
}
