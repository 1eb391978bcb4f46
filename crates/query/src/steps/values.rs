//! `Values` and `ValueMap`: fields of elements, as they are stored.

use skydive_flow::Flow;
use skydive_value::{FieldRef, Fields, Hint, Map, Path, SmolStr, Value};

use crate::operation::Operation;
use crate::run::Run;
use crate::steps::has::Record;
use crate::{Kind, ParseError, Plan, QueryError, Rows, Slot, Step, StepDef, condition};

const ON: &[(Kind, Kind)] = &[
    (Kind::Nodes, Kind::List),
    (Kind::Edges, Kind::List),
    (Kind::Sockets, Kind::List),
    (Kind::Flows, Kind::List),
];

pub(super) const VALUES: StepDef = StepDef {
    name: "Values",
    about: "the values of a field",
    on: ON,
    args: &[Slot::Key],
    parse: |args| {
        let key = args.one_text("Values requires 1 parameter", "Values parameter has to be a string key")?;
        Ok(Box::new(Read { keys: vec![key], shape: Shape::Plain }))
    },
};

pub(super) const VALUE_MAP: StepDef = StepDef {
    name: "ValueMap",
    about: "an object with these fields per element",
    on: ON,
    args: &[Slot::Keys],
    parse: |args| -> Result<Box<dyn Step>, ParseError> {
        if args.given.is_empty() {
            return Err(args.refuse_number("ValueMap requires at least on parameter"));
        }
        let keys = args.texts("ValueMap parameters have to be string keys")?;
        Ok(Box::new(Read { keys, shape: Shape::Object }))
    },
};

#[derive(Clone, Debug)]
struct Read {
    keys: Vec<SmolStr>,
    shape: Shape,
}

#[derive(Clone, Copy, Debug)]
enum Shape {
    Plain,
    Object,
}

impl Step for Read {
    fn plan(&self, plan: &mut Plan) -> Result<(), QueryError> {
        plan.push(self.clone());
        Ok(())
    }
}

impl Operation for Read {
    fn apply(&self, rows: Rows, run: &mut Run<'_>) -> Result<Rows, QueryError> {
        match rows {
            Rows::Nodes(nodes) => self.read(nodes.iter().map(|node| &**node), run),
            Rows::Edges(edges) => self.read(edges.iter().map(|edge| &**edge), run),
            Rows::Sockets(records) => self.read(records.maps().map(Record).collect::<Vec<_>>().iter(), run),
            Rows::Flows(flows) => self.read_flows(&flows, run),
            other => Err(other.unplanned()),
        }
    }
}

impl Read {
    /// A field that one of the flows has not is an error of `Values`, as ever; `ValueMap` leaves it out.
    fn read_flows(&self, flows: &[Flow], run: &Run<'_>) -> Result<Rows, QueryError> {
        let keys: Vec<(&SmolStr, Path)> = self.keys.iter().map(|key| (key, Path::parse(key))).collect();
        let mut values = Vec::with_capacity(flows.len());
        for flow in flows {
            run.tick()?;
            match self.shape {
                Shape::Plain => {
                    for (_, path) in &keys {
                        values.push(flow.read(path).ok_or(QueryError::NoField)?);
                    }
                }
                Shape::Object => {
                    let mut object = Map::new();
                    for (key, path) in &keys {
                        if let Some(value) = flow.read(path) {
                            object.insert((*key).clone(), value);
                        }
                    }
                    if !object.is_empty() {
                        values.push(Value::from(object));
                    }
                }
            }
        }
        Ok(Rows::List(values))
    }

    /// Empty lists and maps are left out of `Values`, elements without any of the fields out of both.
    fn read<'a, T: Fields + 'a>(
        &self,
        elements: impl Iterator<Item = &'a T>,
        run: &Run<'_>,
    ) -> Result<Rows, QueryError> {
        let keys: Vec<(&SmolStr, Path, Hint)> =
            self.keys.iter().map(|k| (k, condition::path(k), Hint::default())).collect();
        let mut values = Vec::new();
        for element in elements {
            run.tick()?;
            let mut fields = keys.iter().filter_map(|(key, path, hint)| {
                Some((*key, element.field(path, hint).map(FieldRef::to_value)?))
            });
            match self.shape {
                Shape::Plain => {
                    values
                        .extend(fields.map(|(_, value)| value).filter(|value| !value.is_empty_collection()));
                }
                Shape::Object => {
                    let Some((key, value)) = fields.next() else { continue };
                    let mut object = Map::new();
                    object.insert(key.clone(), value);
                    fields.for_each(|(key, value)| {
                        object.insert(key.clone(), value);
                    });
                    values.push(Value::from(object));
                }
            }
        }
        Ok(Rows::List(values))
    }
}
