//! `Keys`: the names of fields that elements have.

use std::collections::BTreeSet;

use foldhash::HashSet;
use skydive_flow::field::FIELDS;
use skydive_graph::key::{self, attribute};
use skydive_value::{Map, SmolStr, Value};

use crate::metric::COUNTERS;
use crate::operation::Operation;
use crate::run::Run;
use crate::{Kind, Plan, QueryError, Rows, Step, StepDef};

pub(super) const DEF: StepDef = StepDef {
    name: "Keys",
    about: "the names of the fields that elements have",
    on: &[
        (Kind::Nodes, Kind::List),
        (Kind::Edges, Kind::List),
        (Kind::Metrics, Kind::List),
        (Kind::Flows, Kind::List),
    ],
    args: &[],
    parse: |_| Ok(Box::new(Keys)),
};

#[derive(Debug)]
struct Keys;

/// Fields that the entries of well-known lists may have. Lists are not entered otherwise: what is in them follows no
/// rule.
const ENTRIES: &[(&str, &[&str])] = &[
    (key::FDB, NEIGHBOR),
    (key::NEIGHBORS, NEIGHBOR),
    (key::ROUTING_TABLES, &["ID", "Routes", "Src"]),
    (key::VFS, &["ID", "LinkState", key::MAC, "Qos", "Spoofchk", "TxRate", key::VLAN]),
];
const NEIGHBOR: &[&str] = &["Flags", "IP", key::IF_INDEX, key::MAC, key::STATE, "VNI", key::VLAN];

impl Step for Keys {
    fn plan(&self, plan: &mut Plan) -> Result<(), QueryError> {
        plan.push(Keys);
        Ok(())
    }
}

impl Operation for Keys {
    fn apply(&self, rows: Rows, run: &mut Run<'_>) -> Result<Rows, QueryError> {
        let mut names: BTreeSet<SmolStr> = BTreeSet::new();
        if let Rows::Flows(flows) = &rows {
            // All that flows may have, if there is one.
            let names = FIELDS.iter().filter(|_| !flows.is_empty()).map(|field| Value::from(field.name));
            return Ok(Rows::List(names.collect()));
        }
        if !rows.is_empty() && rows.kind() != Kind::Metrics {
            names.extend(attribute::ALL.map(SmolStr::new_static));
        }
        match &rows {
            Rows::Nodes(nodes) => {
                collect(nodes.iter().map(|node| &node.metadata), &mut names, run)?;
            }
            Rows::Edges(edges) => {
                if !edges.is_empty() {
                    names.extend([attribute::PARENT, attribute::CHILD].map(SmolStr::new_static));
                }
                collect(edges.iter().map(|edge| &*edge.metadata), &mut names, run)?;
            }
            // Counters that are zero are left out; they are fields of the metric all the same.
            Rows::Metrics(records) => {
                collect(records.maps(), &mut names, run)?;
                if COUNTERS.iter().any(|counter| names.contains(*counter)) {
                    names.extend(COUNTERS.map(SmolStr::new_static));
                }
            }
            other => return Err(other.unplanned()),
        }
        Ok(Rows::List(names.into_iter().map(Value::Str).collect()))
    }
}

/// Maps without nesting that share their keys are looked at once.
fn collect<'a>(
    maps: impl Iterator<Item = &'a Map>,
    names: &mut BTreeSet<SmolStr>,
    run: &Run<'_>,
) -> Result<(), QueryError> {
    let mut known: HashSet<*const SmolStr> = HashSet::default();
    for map in maps {
        run.tick()?;
        let is_known = !known.insert(map.shape().keys().as_ptr());
        if is_known && !map.iter().any(|(_, value)| matches!(value, Value::Map(_) | Value::List(_))) {
            continue;
        }
        map.paths(&mut |path| {
            if !names.contains(path) {
                names.insert(path.into());
            }
        });
        for (list, fields) in ENTRIES {
            let is_there = map.get(list).and_then(Value::as_list).is_some_and(|entries| !entries.is_empty());
            if is_there {
                names.extend(fields.iter().map(|field| SmolStr::from(format!("{list}.{field}"))));
            }
        }
    }
    Ok(())
}
