//! `Dedup`: each element once, or once per combination of values.

use std::sync::Arc;

use foldhash::HashSet;
use skydive_flow::{FlowSet, field};
use skydive_graph::{Edge, Node};
use skydive_value::{FieldRef, Fields, Hint, Id, Path, SmolStr, Value};

use crate::operation::Operation;
use crate::plan::Wish;
use crate::run::Run;
use crate::standing::SetStep;
use crate::{Kind, Plan, QueryError, Rows, Slot, Step, StepDef, condition};

pub(super) const DEF: StepDef = StepDef {
    name: "Dedup",
    about: "each element once, or once per value of the fields",
    on: &[
        (Kind::Nodes, Kind::Nodes),
        (Kind::Edges, Kind::Edges),
        (Kind::Paths, Kind::Nodes),
        (Kind::List, Kind::List),
        (Kind::Flows, Kind::Flows),
    ],
    args: &[Slot::Keys],
    parse: |args| {
        let keys = args.texts("Dedup parameters have to be string keys")?;
        Ok(Box::new(Dedup { keys }))
    },
};

#[derive(Clone, Debug)]
struct Dedup {
    keys: Vec<SmolStr>,
}

/// Of flows, by one field.
#[derive(Debug)]
struct DedupFlows(Path);

impl Step for Dedup {
    fn plan(&self, plan: &mut Plan) -> Result<(), QueryError> {
        if plan.kind() == Kind::Flows {
            // Only the first key counts, as ever.
            let by = self.keys.first().map_or_else(|| Path::from(field::TRACKING_ID), |key| Path::parse(key));
            if let Some(Wish::Dedup(by)) = plan.offer(Wish::Dedup(by)) {
                plan.push(DedupFlows(by));
            }
            return Ok(());
        }
        plan.push(self.clone());
        Ok(())
    }
}

impl Operation for DedupFlows {
    fn apply(&self, rows: Rows, _: &mut Run<'_>) -> Result<Rows, QueryError> {
        let mut set = FlowSet { flows: rows.into_flows()?, ..FlowSet::default() };
        set.dedup(&self.0);
        Ok(Rows::Flows(set.flows))
    }
}

impl Operation for Dedup {
    fn as_set(&self) -> Option<SetStep<'_>> {
        self.keys.is_empty().then_some(SetStep::Same)
    }

    fn apply(&self, rows: Rows, run: &mut Run<'_>) -> Result<Rows, QueryError> {
        let run = &*run;
        Ok(match rows {
            Rows::Nodes(nodes) => Rows::Nodes(self.unique(nodes, |n: &Node| n.id.clone(), run)?),
            Rows::Edges(edges) => Rows::Edges(self.unique(edges, |e: &Edge| e.id.clone(), run)?),
            Rows::Paths(paths) => {
                let nodes = paths.into_iter().flatten().collect();
                Rows::Nodes(self.unique(nodes, |n: &Node| n.id.clone(), run)?)
            }
            Rows::List(mut values) => {
                let mut known: HashSet<Vec<u8>> = HashSet::default();
                values.retain(|value| {
                    let mut print = Vec::new();
                    imprint(value, &mut print);
                    known.insert(print)
                });
                Rows::List(values)
            }
            other => return Err(other.unplanned()),
        })
    }
}

impl Dedup {
    fn unique<T: Fields>(
        &self,
        elements: Vec<Arc<T>>,
        id: fn(&T) -> Id,
        run: &Run<'_>,
    ) -> Result<Vec<Arc<T>>, QueryError> {
        let mut kept = Vec::new();
        if self.keys.is_empty() {
            let mut known = HashSet::default();
            for element in elements {
                run.tick()?;
                if known.insert(id(&element)) {
                    kept.push(element);
                }
            }
            return Ok(kept);
        }
        let keys: Vec<(Path, Hint)> =
            self.keys.iter().map(|k| (condition::path(k), Hint::default())).collect();
        let mut known: HashSet<Vec<u8>> = HashSet::default();
        let mut print = Vec::new();
        for element in elements {
            run.tick()?;
            print.clear();
            for (path, hint) in &keys {
                if let Some(field) = element.field(path, hint) {
                    imprint(&FieldRef::to_value(field), &mut print);
                }
            }
            // Nothing to compare: kept.
            if print.is_empty() {
                kept.push(element);
            } else if !known.contains(print.as_slice()) {
                known.insert(print.clone());
                kept.push(element);
            }
        }
        Ok(kept)
    }
}

/// Bytes that are equal when the values are, and only then.
fn imprint(value: &Value, to: &mut Vec<u8>) {
    match value {
        Value::Null => to.push(b'0'),
        Value::Bool(b) => to.extend([b'b', u8::from(*b)]),
        Value::Int(n) => {
            to.push(b'i');
            to.extend(n.to_le_bytes());
        }
        Value::Float(n) => {
            to.push(b'f');
            to.extend(n.to_bits().to_le_bytes());
        }
        Value::Str(text) => text_imprint(text, to),
        Value::List(items) => {
            to.push(b'[');
            to.extend((items.len() as u64).to_le_bytes());
            items.iter().for_each(|item| imprint(item, to));
        }
        Value::Map(map) => {
            to.push(b'{');
            to.extend((map.len() as u64).to_le_bytes());
            for (key, value) in map.iter() {
                text_imprint(key, to);
                imprint(value, to);
            }
        }
    }
}

fn text_imprint(text: &str, to: &mut Vec<u8>) {
    to.push(b's');
    to.extend((text.len() as u64).to_le_bytes());
    to.extend(text.as_bytes());
}
