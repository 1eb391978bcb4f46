//! `Has` and its kin: keep what passes a filter. Where the step before reads, it does the filtering.

use std::sync::Arc;

use skydive_value::{FieldRef, Fields, Filter, Hint, Map, Path, SmolStr, Test, Value};

use crate::check::Check;
use crate::flow_filter::flow_filter;
use crate::operation::Operation;
use crate::plan::{Form, Wish};
use crate::rows::Records;
use crate::run::Run;
use crate::standing::SetStep;
use crate::{Args, Kind, ParseError, Plan, QueryError, Rows, Slot, Step, StepDef, condition};

const ELEMENTS: &[(Kind, Kind)] =
    &[(Kind::Nodes, Kind::Nodes), (Kind::Edges, Kind::Edges), (Kind::Flows, Kind::Flows)];
const FILTERED: &[(Kind, Kind)] = &[
    (Kind::Nodes, Kind::Nodes),
    (Kind::Edges, Kind::Edges),
    (Kind::List, Kind::List),
    (Kind::Sockets, Kind::Sockets),
    (Kind::Flows, Kind::Flows),
];

pub(super) const HAS: StepDef = StepDef {
    name: "Has",
    about: "keeps what has a field, or all of these fields",
    on: FILTERED,
    args: &[Slot::Conditions],
    parse: |args| Ok(Box::new(Has { args, any: false })),
};

pub(super) const HAS_EITHER: StepDef = StepDef {
    name: "HasEither",
    about: "keeps what has one of these fields",
    on: FILTERED,
    args: &[Slot::Conditions],
    parse: |args| Ok(Box::new(Has { args, any: true })),
};

pub(super) const HAS_KEY: StepDef = StepDef {
    name: "HasKey",
    about: "keeps what has a field",
    on: ELEMENTS,
    args: &[Slot::Key],
    parse: |args| Ok(Box::new(Presence(Filter::present(key(&args, "HasKey")?)))),
};

pub(super) const HAS_NOT: StepDef = StepDef {
    name: "HasNot",
    about: "keeps what does not have a field",
    on: ELEMENTS,
    args: &[Slot::Key],
    parse: |args| Ok(Box::new(Presence(Filter::Field(key(&args, "HasNot")?, Test::Missing)))),
};

#[derive(Debug)]
struct Has {
    args: Args,
    any: bool,
}

#[derive(Debug)]
struct Presence(Filter);

/// A filter over rows that are there.
#[derive(Debug)]
struct Keep(Filter);

/// An object in a list of values. A name with dots is first looked for as it stands: `ValueMap` makes such names.
pub(super) struct Record<'a>(pub &'a Map);

fn key(args: &Args, step: &str) -> Result<Path, ParseError> {
    let text = format!("{step} accepts only one parameter of type string");
    args.one_text(&text, &text).map(|key| condition::path(&key))
}

fn push(plan: &mut Plan, filter: Filter, form: Form) {
    let filter = if plan.kind() == Kind::Flows { flow_filter(filter) } else { filter };
    if let Some(Wish::Filter(filter, _)) = plan.offer(Wish::Filter(filter, form)) {
        plan.push(Keep(filter));
    }
}

impl Step for Has {
    fn plan(&self, plan: &mut Plan) -> Result<(), QueryError> {
        let (given, offset) = (&self.args.given, self.args.offset);
        if given.is_empty() {
            return Err(QueryError::argument("At least one parameter must be provided", offset));
        }
        if plan.kind() == Kind::Flows && given.len() == 1 {
            return Err(QueryError::argument("At least two parameters must be provided", offset));
        }
        let (filter, form) = match (self.any, given.len()) {
            (true, _) => (condition::any_of(given, offset)?, Form::Other),
            (false, 1) => (condition::all_of(given, offset)?, Form::Key),
            (false, _) => (condition::all_of(given, offset)?, Form::Pairs),
        };
        push(plan, filter, form);
        Ok(())
    }
}

impl Step for Presence {
    fn plan(&self, plan: &mut Plan) -> Result<(), QueryError> {
        push(plan, self.0.clone(), Form::Other);
        Ok(())
    }
}

impl Operation for Keep {
    fn as_set(&self) -> Option<SetStep<'_>> {
        Some(SetStep::Keep(&self.0))
    }

    fn apply(&self, rows: Rows, run: &mut Run<'_>) -> Result<Rows, QueryError> {
        let check = Check::new(&self.0);
        Ok(match rows {
            Rows::Nodes(nodes) => Rows::Nodes(keep(nodes, &check, run)?),
            Rows::Edges(edges) => Rows::Edges(keep(edges, &check, run)?),
            Rows::List(values) => {
                let mut kept = Vec::new();
                for value in values {
                    if let Some(map) = value.as_map()
                        && check.passes(&Record(map), run)?
                    {
                        kept.push(value);
                    }
                }
                Rows::List(kept)
            }
            Rows::Sockets(Records(of)) => {
                let mut left = Vec::new();
                for (node, sockets) in of {
                    let mut kept = Vec::new();
                    for socket in sockets {
                        if check.passes(&Record(&socket), run)? {
                            kept.push(socket);
                        }
                    }
                    if !kept.is_empty() {
                        left.push((node, kept));
                    }
                }
                Rows::Sockets(Records(left))
            }
            Rows::Flows(flows) => {
                let mut kept = Vec::new();
                for flow in flows {
                    if check.passes(&flow, run)? {
                        kept.push(flow);
                    }
                }
                Rows::Flows(kept)
            }
            other => return Err(other.unplanned()),
        })
    }
}

fn keep<T: Fields>(
    elements: Vec<Arc<T>>,
    check: &Check<'_>,
    run: &Run<'_>,
) -> Result<Vec<Arc<T>>, QueryError> {
    let mut kept = Vec::new();
    for element in elements {
        if check.passes(&*element, run)? {
            kept.push(element);
        }
    }
    Ok(kept)
}

impl Fields for Record<'_> {
    fn field<'a>(&'a self, path: &'a Path, hint: &Hint) -> Option<FieldRef<'a>> {
        let flat = || -> Option<&'a Value> {
            if path.segments().len() == 1 {
                return None;
            }
            self.0.get(&SmolStr::from(path.to_string()))
        };
        flat().map(FieldRef::Value).or_else(|| FieldRef::in_map(self.0, path, hint))
    }
}
