//! `Sum`: the numbers in a field, added up.

use skydive_graph::{Edge, Node, key};
use skydive_value::{Map, Path, SmolStr, Value};

use crate::metric::{COUNTERS, Metric, sum_of};
use crate::operation::Operation;
use crate::run::Run;
use crate::{Args, Kind, Plan, QueryError, Rows, Slot, Step, StepDef};

pub(super) const DEF: StepDef = StepDef {
    name: "Sum",
    about: "the sum of a field; of metrics, of all fields when none is given",
    on: &[
        (Kind::Nodes, Kind::Number),
        (Kind::Edges, Kind::Number),
        (Kind::Metrics, Kind::Value),
        (Kind::Flows, Kind::Number),
    ],
    args: &[Slot::Key],
    parse: |args| Ok(Box::new(Sum(args))),
};

/// What can be added up of flows: members of these.
const COUNTED: [&str; 2] = [key::METRIC, key::LAST_UPDATE_METRIC];

#[derive(Debug)]
struct Sum(Args);

#[derive(Debug)]
struct AddUp(Path);

/// Of flows: one of their counters.
#[derive(Debug)]
struct AddFlows(Path);

/// Of metrics: all fields, or one.
#[derive(Debug)]
struct AddMetrics(Option<SmolStr>);

impl Step for Sum {
    fn plan(&self, plan: &mut Plan) -> Result<(), QueryError> {
        if plan.kind() == Kind::Metrics && self.0.given.is_empty() {
            plan.push(AddMetrics(None));
            return Ok(());
        }
        let [key] = self.0.given.as_slice() else {
            return Err(QueryError::argument("Sum requires 1 parameter", self.0.offset));
        };
        let Some(name) = key.arg.as_text() else {
            return Err(QueryError::argument("Sum parameter has to be a string key", key.offset));
        };
        match plan.kind() {
            Kind::Metrics => plan.push(AddMetrics(Some(name.clone()))),
            Kind::Flows => {
                let path = Path::parse(name);
                if !COUNTED.contains(&path.first()) || path.segments().len() != 2 {
                    return Err(QueryError::argument(
                        "Sum accepts only sub fields of Metric and LastUpadteMetric",
                        key.offset,
                    ));
                }
                plan.push(AddFlows(path));
            }
            _ => plan.push(AddUp(Path::parse(name))),
        }
        Ok(())
    }
}

impl Operation for AddFlows {
    /// Only what flows count can be added up; before its first update a flow has counted nothing since.
    fn apply(&self, rows: Rows, run: &mut Run<'_>) -> Result<Rows, QueryError> {
        let is_update = self.0.first() == key::LAST_UPDATE_METRIC;
        let mut sum = 0i64;
        for flow in rows.into_flows()? {
            run.tick()?;
            match flow.read(&self.0).as_ref().and_then(Value::to_int) {
                Some(number) => sum = sum.saturating_add(number),
                None if is_update => {}
                None => return Err(QueryError::NoField),
            }
        }
        Ok(Rows::Number(sum))
    }
}

impl Operation for AddUp {
    fn apply(&self, rows: Rows, run: &mut Run<'_>) -> Result<Rows, QueryError> {
        let mut sum = 0i64;
        let mut add = |value: Option<Value>, metadata: &Map| {
            run.tick()?;
            let value = match value {
                Some(value) => value,
                // Missing, unless the path runs through a value without fields, which is worth an error.
                None if self.0.is_attribute() => return Ok(()),
                None => match metadata.lookup(&self.0) {
                    Ok(_) => return Ok(()),
                    Err(error) => return Err(QueryError::Sum(error.to_string())),
                },
            };
            let Some(n) = value.to_int() else {
                return Err(QueryError::Sum(match &value {
                    Value::Str(text) => {
                        format!("unable to cast {:?} of type string to int64", text.as_str())
                    }
                    _ => format!("{} is not a number", self.0),
                }));
            };
            sum = sum.saturating_add(n);
            Ok(())
        };
        match &rows {
            Rows::Nodes(nodes) => nodes.iter().try_for_each(|n| add(Node::read(n, &self.0), &n.metadata))?,
            Rows::Edges(edges) => edges.iter().try_for_each(|e| add(Edge::read(e, &self.0), &e.metadata))?,
            other => return Err(other.unplanned()),
        }
        Ok(Rows::Number(sum))
    }
}

impl Operation for AddMetrics {
    fn apply(&self, rows: Rows, run: &mut Run<'_>) -> Result<Rows, QueryError> {
        let records = rows.into_metrics()?;
        let Some(field) = &self.0 else {
            let mut sum: Option<Metric> = None;
            for map in records.maps() {
                run.tick()?;
                let metric = Metric::of(map);
                match &mut sum {
                    Some(sum) => sum.add(&metric),
                    None => sum = Some(metric),
                }
            }
            return Ok(Rows::Value(sum.map_or(Value::Null, |sum| Value::from(sum.into_map()))));
        };
        match sum_of(records.maps(), field) {
            Some(sum) => Ok(Rows::Value(sum)),
            // A counter that is zero is left out of a metric.
            None if records.0.is_empty() || COUNTERS.contains(&field.as_str()) => {
                Ok(Rows::Value(Value::Int(0)))
            }
            None => Err(QueryError::Sum("Field not found".to_owned())),
        }
    }
}
