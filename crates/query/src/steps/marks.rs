//! `As` and `Select`: nodes remembered under a name.

use skydive_value::SmolStr;

use crate::operation::Operation;
use crate::run::Run;
use crate::{Kind, ParseError, Plan, QueryError, Rows, Slot, Step, StepDef};

const ON: &[(Kind, Kind)] = &[(Kind::Nodes, Kind::Nodes)];

pub(super) const AS: StepDef = StepDef {
    name: "As",
    about: "remembers the nodes under a name",
    on: ON,
    args: &[Slot::Name],
    parse: |args| {
        let name = args.one_text("As requires 1 parameter", "As parameter has to be a string key")?;
        Ok(Box::new(As(name)))
    },
};

pub(super) const SELECT: StepDef = StepDef {
    name: "Select",
    about: "the nodes remembered under these names",
    on: ON,
    args: &[Slot::Names],
    parse: |args| -> Result<Box<dyn Step>, ParseError> {
        if args.given.is_empty() {
            return Err(args.refuse_number("Select requires at least one key"));
        }
        let names = args.texts("Select parameters have to be string keys")?;
        Ok(Box::new(Select(names)))
    },
};

#[derive(Clone, Debug)]
struct As(SmolStr);

#[derive(Clone, Debug)]
struct Select(Vec<SmolStr>);

impl Step for As {
    fn plan(&self, plan: &mut Plan) -> Result<(), QueryError> {
        plan.push(self.clone());
        Ok(())
    }
}

impl Operation for As {
    fn apply(&self, rows: Rows, run: &mut Run<'_>) -> Result<Rows, QueryError> {
        let nodes = rows.into_nodes()?;
        run.marks.retain(|(name, _)| *name != self.0);
        run.marks.push((self.0.clone(), nodes.clone()));
        Ok(Rows::Nodes(nodes))
    }
}

impl Step for Select {
    fn plan(&self, plan: &mut Plan) -> Result<(), QueryError> {
        plan.push(self.clone());
        Ok(())
    }
}

impl Operation for Select {
    fn apply(&self, _: Rows, run: &mut Run<'_>) -> Result<Rows, QueryError> {
        let mut all = Vec::new();
        for name in &self.0 {
            let Some((_, nodes)) = run.marks.iter().find(|(known, _)| known == name) else {
                return Err(QueryError::NoMark(name.clone()));
            };
            run.check_room(all.len() + nodes.len())?;
            all.extend(nodes.iter().cloned());
        }
        Ok(Rows::Nodes(all))
    }
}
