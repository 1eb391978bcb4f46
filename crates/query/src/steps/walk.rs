//! Steps from nodes to nodes, from nodes to edges and from edges to nodes, one element per edge or end.
//!
//! `InV` is the parent and `OutV` the child. Other dialects have it the other way round; queries depend on this one.

use std::ops::ControlFlow;
use std::sync::Arc;

use foldhash::HashMap;
use skydive_graph::{Edge, EdgeView};
use skydive_value::Id;

use crate::operation::{Operation, Output};
use crate::plan::{Early, Selection, Wish};
use crate::run::Run;
use crate::standing::SetStep;
use crate::steps::flow_nodes::plan_sides;
use crate::view::Way;
use crate::{Args, Kind, Plan, QueryError, Rows, Slot, Step, StepDef, condition};

/// Those of flows too, to the nodes of their sides.
const ADJACENT_OR_SIDES: &[(Kind, Kind)] = &[(Kind::Nodes, Kind::Nodes), (Kind::Flows, Kind::Nodes)];
const INCIDENT: &[(Kind, Kind)] = &[(Kind::Nodes, Kind::Edges)];
const ENDS: &[(Kind, Kind)] = &[(Kind::Edges, Kind::Nodes)];
const ARGS: &[Slot] = &[Slot::Conditions];

pub(super) const OUT: StepDef = StepDef {
    name: "Out",
    about: "the children",
    on: ADJACENT_OR_SIDES,
    args: ARGS,
    parse: |args| Ok(Box::new(Walk { to: To::Adjacent(Way::Out), args })),
};

pub(super) const IN: StepDef = StepDef {
    name: "In",
    about: "the parents",
    on: ADJACENT_OR_SIDES,
    args: ARGS,
    parse: |args| Ok(Box::new(Walk { to: To::Adjacent(Way::In), args })),
};

pub(super) const BOTH: StepDef = StepDef {
    name: "Both",
    about: "the children and the parents",
    on: ADJACENT_OR_SIDES,
    args: ARGS,
    parse: |args| Ok(Box::new(Walk { to: To::Adjacent(Way::Both), args })),
};

pub(super) const OUT_E: StepDef = StepDef {
    name: "OutE",
    about: "the edges to children",
    on: INCIDENT,
    args: ARGS,
    parse: |args| Ok(Box::new(Walk { to: To::Incident(Way::Out), args })),
};

pub(super) const IN_E: StepDef = StepDef {
    name: "InE",
    about: "the edges to parents",
    on: INCIDENT,
    args: ARGS,
    parse: |args| Ok(Box::new(Walk { to: To::Incident(Way::In), args })),
};

pub(super) const BOTH_E: StepDef = StepDef {
    name: "BothE",
    about: "the edges to children and to parents",
    on: INCIDENT,
    args: ARGS,
    parse: |args| Ok(Box::new(Walk { to: To::Incident(Way::Both), args })),
};

pub(super) const OUT_V: StepDef = StepDef {
    name: "OutV",
    about: "the node at the child end",
    on: ENDS,
    args: ARGS,
    parse: |args| Ok(Box::new(Walk { to: To::End(End::Child), args })),
};

pub(super) const IN_V: StepDef = StepDef {
    name: "InV",
    about: "the node at the parent end",
    on: ENDS,
    args: ARGS,
    parse: |args| Ok(Box::new(Walk { to: To::End(End::Parent), args })),
};

pub(super) const BOTH_V: StepDef = StepDef {
    name: "BothV",
    about: "the nodes at both ends, parent first",
    on: ENDS,
    args: ARGS,
    parse: |args| Ok(Box::new(Walk { to: To::End(End::Both), args })),
};

/// Where a step leads.
#[derive(Clone, Copy, Debug)]
enum To {
    /// From a node to those at the other end of its edges.
    Adjacent(Way),
    /// From a node to its edges.
    Incident(Way),
    /// From an edge to its nodes.
    End(End),
}

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum End {
    Parent,
    Child,
    Both,
}

#[derive(Debug)]
struct Walk {
    to: To,
    args: Args,
}

#[derive(Debug)]
struct FilteredWalk {
    to: To,
    selection: Selection,
}

/// Edges copied out of the graph. Where they are many the same ones come again and again: those are copied once, so that
/// what a query holds is bounded by its rows and the graph.
#[derive(Default)]
struct Copies {
    made: usize,
    shared: HashMap<Id, Arc<Edge>>,
}

/// Copies made before they are shared: for fewer, a look-up costs more than it saves.
const UNSHARED: usize = 1 << 16;

impl Copies {
    fn of(&mut self, edge: EdgeView<'_>) -> Arc<Edge> {
        if self.made < UNSHARED {
            self.made += 1;
            return Arc::new(edge.to_edge());
        }
        let copy = || Arc::new(edge.to_edge());
        self.shared.entry(edge.id().clone()).or_insert_with(copy).clone()
    }
}

impl Step for Walk {
    fn plan(&self, plan: &mut Plan) -> Result<(), QueryError> {
        if let (Kind::Flows, To::Adjacent(way)) = (plan.kind(), self.to) {
            return plan_sides(way, &self.args, plan);
        }
        let filter = condition::optional(&self.args.given, self.args.offset)?;
        plan.push(FilteredWalk { to: self.to, selection: Selection::new(filter, Early::Has) });
        Ok(())
    }
}

impl Operation for FilteredWalk {
    fn take(&mut self, wish: Wish) -> Option<Wish> {
        self.selection.take(wish)
    }

    fn as_set(&self) -> Option<SetStep<'_>> {
        match self.to {
            To::Adjacent(way) if self.selection.only_filters() => {
                Some(SetStep::Walk(way, self.selection.filter()))
            }
            _ => None,
        }
    }

    fn apply(&self, rows: Rows, run: &mut Run<'_>) -> Result<Rows, QueryError> {
        let run = &*run;
        let graph = &run.graph;
        let selection = &self.selection;
        Ok(match self.to {
            To::Adjacent(way) => Output::around(selection, run, rows.into_nodes()?, |node, output| {
                graph.each_edge_at(&node.id, way, run, |_, far| output.offer(&**far, || far.clone()))
            })?
            .finish(Rows::Nodes),
            To::Incident(way) => {
                let mut copies = Copies::default();
                Output::around(selection, run, rows.into_nodes()?, |node, output| {
                    graph.each_edge_at(&node.id, way, run, |edge, _| output.offer(&edge, || copies.of(edge)))
                })?
                .finish(Rows::Edges)
            }
            To::End(end) => Output::around(selection, run, rows.into_edges()?, |edge, output| {
                let parent = (end != End::Child).then_some(&edge.parent);
                let child = (end != End::Parent).then_some(&edge.child);
                for node in parent.into_iter().chain(child).filter_map(|id| graph.node(id)) {
                    if output.offer(&**node, || node.clone())? == ControlFlow::Break(()) {
                        break;
                    }
                }
                Ok(())
            })?
            .finish(Rows::Nodes),
        })
    }
}
