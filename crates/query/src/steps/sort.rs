//! `Sort`: by a field, by the time of creation when none is given.
//!
//! Numbers are compared when every value that is there is one, texts otherwise: an order that two neighbours decide
//! between themselves, as the original has it, is none. What is missing counts as 0 or as the empty text.

use std::cmp::Ordering;
use std::sync::Arc;

use skydive_flow::{FlowSet, field};
use skydive_graph::key::attribute;
use skydive_value::{FieldRef, Fields, Hint, Path, SmolStr, Value};

use crate::operation::Operation;
use crate::plan::Wish;
use crate::run::Run;
use crate::{Arg, Args, Kind, ParseError, Plan, QueryError, Rows, Slot, Step, StepDef, condition};

pub(super) const DEF: StepDef = StepDef {
    name: "Sort",
    about: "in the order of a field",
    on: &[(Kind::Nodes, Kind::Nodes), (Kind::Edges, Kind::Edges), (Kind::Flows, Kind::Flows)],
    args: &[Slot::Order, Slot::Key],
    parse: |args| Ok(Box::new(parse(&args)?)),
};

#[derive(Clone, Debug)]
struct Sort {
    /// By the time of creation, or of the last packet, when none is given.
    path: Option<Path>,
    direction: Direction,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Direction {
    Ascending,
    Descending,
}

fn parse(args: &Args) -> Result<Sort, ParseError> {
    let refuse = |text: &str, at: usize| {
        let given = &args.given[at];
        Err(ParseError { message: format!("{text} : {}", given.arg), offset: given.offset })
    };
    let given: Vec<&Arg> = args.given.iter().map(|g| &g.arg).collect();
    let (direction, key) = match given.as_slice() {
        [] => return Ok(Sort { path: None, direction: Direction::Ascending }),
        [Arg::Text(key)] => (Direction::Ascending, key.as_str()),
        [_] => return refuse("Sort parameter has to be a string key", 0),
        [Arg::Asc, Arg::Text(key)] => (Direction::Ascending, key.as_str()),
        [Arg::Desc, Arg::Text(key)] => (Direction::Descending, key.as_str()),
        [Arg::Asc | Arg::Desc, _] => return refuse("Second sort parameter has to be a string key", 1),
        [_, _] => return refuse("Use ASC or DESC predicate", 0),
        _ => return Err(args.refuse_number("Sort accepts 1 predicate and 1 string parameter")),
    };
    Ok(Sort { path: Some(condition::path(key)), direction })
}

/// Of flows.
#[derive(Debug)]
struct SortFlows(skydive_flow::Sort);

impl Step for Sort {
    fn plan(&self, plan: &mut Plan) -> Result<(), QueryError> {
        if plan.kind() == Kind::Flows {
            let sort = skydive_flow::Sort {
                by: self.path.clone().unwrap_or_else(|| Path::from(field::LAST)),
                direction: match self.direction {
                    Direction::Ascending => skydive_flow::Direction::Ascending,
                    Direction::Descending => skydive_flow::Direction::Descending,
                },
            };
            if let Some(Wish::Sort(sort)) = plan.offer(Wish::Sort(sort)) {
                plan.push(SortFlows(sort));
            }
            return Ok(());
        }
        plan.push(self.clone());
        Ok(())
    }
}

impl Operation for SortFlows {
    fn apply(&self, rows: Rows, _: &mut Run<'_>) -> Result<Rows, QueryError> {
        let mut set = FlowSet { flows: rows.into_flows()?, ..FlowSet::default() };
        set.sort(&self.0);
        Ok(Rows::Flows(set.flows))
    }
}

impl Operation for Sort {
    fn apply(&self, rows: Rows, run: &mut Run<'_>) -> Result<Rows, QueryError> {
        Ok(match rows {
            Rows::Nodes(nodes) => Rows::Nodes(self.sorted(nodes, run)?),
            Rows::Edges(edges) => Rows::Edges(self.sorted(edges, run)?),
            other => return Err(other.unplanned()),
        })
    }
}

impl Sort {
    fn sorted<T: Fields>(&self, elements: Vec<Arc<T>>, run: &Run<'_>) -> Result<Vec<Arc<T>>, QueryError> {
        let (hint, path) =
            (Hint::default(), self.path.clone().unwrap_or_else(|| Path::from(attribute::CREATED_AT)));
        let mut keyed = Vec::with_capacity(elements.len());
        for element in elements {
            run.tick()?;
            let value = element.field(&path, &hint).map(FieldRef::to_value);
            keyed.push((value, element));
        }
        let is_numeric = keyed.iter().all(|(value, _)| value.as_ref().is_none_or(|v| v.to_int().is_some()));
        let in_direction = |order: Ordering| match self.direction {
            Direction::Ascending => order,
            Direction::Descending => order.reverse(),
        };
        if is_numeric {
            let number = |value: &Option<Value>| value.as_ref().and_then(Value::to_int).unwrap_or(0);
            keyed.sort_by(|(a, _), (b, _)| in_direction(number(a).cmp(&number(b))));
        } else {
            let mut texts: Vec<(SmolStr, Arc<T>)> =
                keyed.into_iter().map(|(value, element)| (text(value), element)).collect();
            texts.sort_by(|(a, _), (b, _)| in_direction(a.cmp(b)));
            return Ok(texts.into_iter().map(|(_, element)| element).collect());
        }
        Ok(keyed.into_iter().map(|(_, element)| element).collect())
    }
}

fn text(value: Option<Value>) -> SmolStr {
    match value {
        Some(Value::Str(text)) => text,
        Some(Value::Int(n)) => n.to_string().into(),
        Some(Value::Float(n)) => n.to_string().into(),
        Some(Value::Bool(b)) => b.to_string().into(),
        _ => SmolStr::default(),
    }
}
