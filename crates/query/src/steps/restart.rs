//! `G` inside a query: back to the whole graph, with what `As` remembers.

use crate::{Kind, Plan, QueryError, Step, StepDef};

/// Written without parentheses.
pub(crate) const DEF: StepDef = StepDef {
    name: "G",
    about: "starts again at the whole graph",
    on: &[(Kind::Nodes, Kind::Graph), (Kind::Edges, Kind::Graph)],
    args: &[],
    parse: |_| Ok(Box::new(Restart)),
};

#[derive(Debug)]
struct Restart;

impl Step for Restart {
    fn plan(&self, plan: &mut Plan) -> Result<(), QueryError> {
        plan.restart();
        Ok(())
    }
}
