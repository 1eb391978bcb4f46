//! `Group` and `MoreThan`: flows that have a field in common.

use std::collections::HashMap;

use skydive_flow::{Flow, field};
use skydive_value::{Path, SmolStr, Value};

use crate::operation::Operation;
use crate::run::Run;
use crate::{Arg, Args, Kind, ParseError, Plan, QueryError, Rows, Slot, Step, StepDef};

pub(super) const GROUP: StepDef = StepDef {
    name: "Group",
    about: "flows by the value of a field, TrackingID if none is given",
    on: &[(Kind::Flows, Kind::Groups)],
    args: &[Slot::Key],
    parse: |args| Ok(Box::new(Group(by(&args)?))),
};

pub(super) const MORE_THAN: StepDef = StepDef {
    name: "MoreThan",
    about: "groups with more flows than a number, 1 if none is given",
    on: &[(Kind::Groups, Kind::Groups)],
    args: &[Slot::Number],
    parse: |args| Ok(Box::new(MoreThan(least(&args)?))),
};

#[derive(Clone, Debug)]
struct Group(Path);

#[derive(Clone, Copy, Debug)]
struct MoreThan(usize);

fn by(args: &Args) -> Result<Path, ParseError> {
    if args.given.is_empty() {
        return Ok(Path::from(field::TRACKING_ID));
    }
    let text = "Group parameter has to be a string key";
    args.one_text(text, text).map(|key| Path::parse(&key))
}

fn least(args: &Args) -> Result<usize, ParseError> {
    match args.given.as_slice() {
        [] => Ok(1),
        [given] => match &given.arg {
            Arg::Int(number) if *number >= 0 => Ok(usize::try_from(*number).unwrap_or(usize::MAX)),
            other => Err(ParseError {
                message: format!("MoreThan parameter has to be a positive number : {other}"),
                offset: given.offset,
            }),
        },
        _ => Err(args.refuse_number("MoreThan accepts one parameter")),
    }
}

impl Step for Group {
    fn plan(&self, plan: &mut Plan) -> Result<(), QueryError> {
        plan.push(self.clone());
        Ok(())
    }
}

impl Operation for Group {
    /// Groups stand in the order of their first flows; a flow without the field is in none.
    fn apply(&self, rows: Rows, run: &mut Run<'_>) -> Result<Rows, QueryError> {
        let mut groups: Vec<(SmolStr, Vec<Flow>)> = Vec::new();
        let mut known: HashMap<SmolStr, usize> = HashMap::new();
        for flow in rows.into_flows()? {
            run.tick()?;
            let Some(name) = flow.read(&self.0).map(named) else { continue };
            let at = *known.entry(name.clone()).or_insert(groups.len());
            if at == groups.len() {
                groups.push((name, Vec::new()));
            }
            groups[at].1.push(flow);
        }
        Ok(Rows::Groups(groups))
    }
}

impl Step for MoreThan {
    fn plan(&self, plan: &mut Plan) -> Result<(), QueryError> {
        plan.push(*self);
        Ok(())
    }
}

impl Operation for MoreThan {
    fn apply(&self, rows: Rows, _: &mut Run<'_>) -> Result<Rows, QueryError> {
        match rows {
            Rows::Groups(mut groups) => {
                groups.retain(|(_, flows)| flows.len() > self.0);
                Ok(Rows::Groups(groups))
            }
            other => Err(other.unplanned()),
        }
    }
}

/// A value as the name of a member.
fn named(value: Value) -> SmolStr {
    match value {
        Value::Str(text) => text,
        Value::Int(number) => number.to_string().into(),
        Value::Bool(is) => is.to_string().into(),
        Value::Float(number) => number.to_string().into(),
        other => format!("{other:?}").into(),
    }
}
