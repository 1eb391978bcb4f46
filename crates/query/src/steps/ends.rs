//! `InV`, `OutV`, `BothV`: the nodes at the ends of an edge.
//!
//! `InV` is the parent and `OutV` the child. Other dialects have it the other way round; queries depend on this one.

use skydive_value::Matcher;

use crate::operation::{Operation, Output};
use crate::plan::{Early, Selection, Wish};
use crate::run::Run;
use crate::{Args, Kind, Plan, QueryError, Rows, Slot, Step, StepDef, condition};

const ON: &[(Kind, Kind)] = &[(Kind::Edges, Kind::Nodes)];
const ARGS: &[Slot] = &[Slot::Conditions];

pub(super) const OUT_V: StepDef = StepDef {
    name: "OutV",
    about: "the node at the child end",
    on: ON,
    args: ARGS,
    parse: |args| Ok(Box::new(Ends { end: End::Child, args })),
};

pub(super) const IN_V: StepDef = StepDef {
    name: "InV",
    about: "the node at the parent end",
    on: ON,
    args: ARGS,
    parse: |args| Ok(Box::new(Ends { end: End::Parent, args })),
};

pub(super) const BOTH_V: StepDef = StepDef {
    name: "BothV",
    about: "the nodes at both ends, parent first",
    on: ON,
    args: ARGS,
    parse: |args| Ok(Box::new(Ends { end: End::Both, args })),
};

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum End {
    Parent,
    Child,
    Both,
}

#[derive(Debug)]
struct Ends {
    end: End,
    args: Args,
}

#[derive(Debug)]
struct ReadEnds {
    end: End,
    selection: Selection,
}

impl Step for Ends {
    fn plan(&self, plan: &mut Plan) -> Result<(), QueryError> {
        let filter = condition::optional(&self.args.given, self.args.offset)?;
        plan.push(ReadEnds { end: self.end, selection: Selection::new(filter, Early::Has) });
        Ok(())
    }
}

impl Operation for ReadEnds {
    fn take(&mut self, wish: Wish) -> Option<Wish> {
        self.selection.take(wish)
    }

    fn apply(&self, rows: Rows, run: &mut Run<'_>) -> Result<Rows, QueryError> {
        let run = &*run;
        let matcher = self.selection.filter().map(Matcher::new);
        let mut output = Output::new(&self.selection, run);
        for edge in rows.into_edges()? {
            run.tick()?;
            if output.is_full() {
                break;
            }
            let parent = (self.end != End::Child).then_some(&edge.parent);
            let child = (self.end != End::Parent).then_some(&edge.child);
            for id in parent.into_iter().chain(child) {
                let Some(node) = run.graph.node(id) else { continue };
                if matcher.as_ref().is_none_or(|m| m.matches(&**node))
                    && output.push(|| node.clone())?.is_break()
                {
                    break;
                }
            }
        }
        Ok(output.finish(Rows::Nodes))
    }
}
