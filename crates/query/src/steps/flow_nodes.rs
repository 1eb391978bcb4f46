//! `Nodes`, `CaptureNode`, `Node` and `Hops`, and `In`, `Out`, `Both` on flows: from flows to the nodes that they touch.
//!
//! The node of a capture is found by its TID, those of both sides by their link addresses, as the graph of the query has
//! them.

use std::collections::HashMap;
use std::sync::Arc;

use skydive_flow::{Flow, Mac};
use skydive_graph::{Node, key};
use skydive_value::{Filter, SmolStr};

use crate::operation::{Operation, Output};
use crate::plan::{Early, Selection, Wish};
use crate::run::Run;
use crate::view::Way;
use crate::{Args, Kind, Plan, QueryError, Rows, Slot, Step, StepDef, condition};

const ON: &[(Kind, Kind)] = &[(Kind::Flows, Kind::Nodes)];
const ARGS: &[Slot] = &[Slot::Conditions];

pub(super) const NODES: StepDef = StepDef {
    name: "Nodes",
    about: "the nodes where flows were captured, and those of both sides",
    on: ON,
    args: ARGS,
    parse: |args| Ok(Box::new(Touched { of: Of::All, args })),
};

pub(super) const CAPTURE_NODE: StepDef = StepDef {
    name: "CaptureNode",
    about: "the nodes where flows were captured",
    on: ON,
    args: ARGS,
    parse: |args| Ok(Box::new(Touched { of: Of::Capture, args })),
};

pub(super) const NODE: StepDef = StepDef { name: "Node", ..CAPTURE_NODE };
pub(super) const HOPS: StepDef =
    StepDef { name: "Hops", about: "the nodes that flows were seen at", ..CAPTURE_NODE };

/// Which nodes of a flow.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Of {
    Capture,
    Side(Way),
    All,
}

#[derive(Debug)]
struct Touched {
    of: Of,
    args: Args,
}

#[derive(Debug)]
struct Find {
    of: Of,
    selection: Selection,
}

/// Nodes by what flows know of them.
struct Places {
    by_tid: HashMap<SmolStr, Arc<Node>>,
    /// The first that has the address itself.
    by_mac: HashMap<SmolStr, Arc<Node>>,
    /// The first that has it, or whose peer has.
    by_any_mac: HashMap<SmolStr, Arc<Node>>,
}

/// `In`, `Out` and `Both` of flows.
pub(super) fn plan_sides(way: Way, args: &Args, plan: &mut Plan) -> Result<(), QueryError> {
    let filter = condition::optional(&args.given, args.offset)?;
    plan.push(Find { of: Of::Side(way), selection: Selection::new(filter, Early::Has) });
    Ok(())
}

impl Step for Touched {
    fn plan(&self, plan: &mut Plan) -> Result<(), QueryError> {
        let filter = condition::optional(&self.args.given, self.args.offset)?;
        plan.push(Find { of: self.of, selection: Selection::new(filter, Early::Has) });
        Ok(())
    }
}

impl Operation for Find {
    fn take(&mut self, wish: Wish) -> Option<Wish> {
        self.selection.take(wish)
    }

    fn apply(&self, rows: Rows, run: &mut Run<'_>) -> Result<Rows, QueryError> {
        let run = &*run;
        let flows = rows.into_flows()?;
        let places = Places::new(&flows, run)?;
        let offer = |node: Option<&Arc<Node>>, output: &mut Output<'_, Arc<Node>>| match node {
            Some(node) => output.offer(&**node, || node.clone()).map(|_| ()),
            None => Ok(()),
        };
        let output = Output::around(&self.selection, run, flows, |flow, output| {
            let (a, b) = sides(flow);
            let side = |mac: &Option<SmolStr>| mac.as_ref().and_then(|mac| places.by_any_mac.get(mac));
            let own = |mac: &Option<SmolStr>| mac.as_ref().and_then(|mac| places.by_mac.get(mac));
            match self.of {
                Of::Capture => offer(places.by_tid.get(&flow.node_tid), output),
                Of::Side(way) => {
                    if way != Way::Out {
                        offer(side(&a), output)?;
                    }
                    if way != Way::In {
                        offer(side(&b), output)?;
                    }
                    Ok(())
                }
                Of::All => {
                    offer(places.by_tid.get(&flow.node_tid), output)?;
                    offer(own(&a), output)?;
                    offer(own(&b), output)
                }
            }
        })?;
        Ok(output.finish(Rows::Nodes))
    }
}

impl Places {
    /// Of what these flows name, found in one walk.
    fn new(flows: &[Flow], run: &Run<'_>) -> Result<Self, QueryError> {
        let mut places = Self { by_tid: HashMap::new(), by_mac: HashMap::new(), by_any_mac: HashMap::new() };
        if flows.is_empty() {
            return Ok(places);
        }
        run.graph.each_node(&Filter::all(), run, |node| {
            let text = |key: &str| node.metadata.text(key).filter(|text| !text.is_empty()).map(SmolStr::from);
            if let Some(tid) = text(key::TID) {
                places.by_tid.entry(tid).or_insert_with(|| node.clone());
            }
            if let Some(mac) = text(key::MAC) {
                places.by_any_mac.entry(mac.clone()).or_insert_with(|| node.clone());
                places.by_mac.entry(mac).or_insert_with(|| node.clone());
            }
            if let Some(mac) = text(key::PEER_INTF_MAC) {
                places.by_any_mac.entry(mac).or_insert_with(|| node.clone());
            }
            Ok(std::ops::ControlFlow::Continue(()))
        })?;
        Ok(places)
    }
}

/// The link addresses of both sides, as nodes spell them.
fn sides(flow: &Flow) -> (Option<SmolStr>, Option<SmolStr>) {
    let text = |mac| SmolStr::from(Mac(mac).to_string());
    flow.link.map_or((None, None), |link| (Some(text(link.a)), Some(text(link.b))))
}
