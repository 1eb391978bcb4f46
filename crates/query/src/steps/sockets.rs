//! `Sockets`: the connections of processes that nodes know.

use skydive_graph::key;
use skydive_value::Value;

use crate::operation::Operation;
use crate::rows::Records;
use crate::run::Run;
use crate::{Kind, Plan, QueryError, Rows, Step, StepDef};

pub(super) const DEF: StepDef = StepDef {
    // It is called like what it reads.
    name: key::SOCKETS,
    about: "the connections of processes on nodes",
    on: &[(Kind::Nodes, Kind::Sockets)],
    args: &[],
    parse: |_| Ok(Box::new(Sockets)),
};

#[derive(Debug)]
struct Sockets;

impl Step for Sockets {
    fn plan(&self, plan: &mut Plan) -> Result<(), QueryError> {
        plan.push(Sockets);
        Ok(())
    }
}

impl Operation for Sockets {
    fn apply(&self, rows: Rows, run: &mut Run<'_>) -> Result<Rows, QueryError> {
        Ok(Rows::Sockets(Records::of(&rows.into_nodes()?, run, |node| {
            let sockets = node.metadata.get(key::SOCKETS).and_then(Value::as_list).unwrap_or_default();
            sockets.iter().filter_map(Value::as_map).cloned().collect()
        })?))
    }
}
