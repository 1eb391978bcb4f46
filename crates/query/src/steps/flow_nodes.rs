//! `Nodes`, `CaptureNode`, `Node` and `Hops`, and `In`, `Out`, `Both` on flows: from flows to the nodes that they touch.
//!
//! The node of a capture is found by its TID, those of both sides by their link addresses, as the graph of the query has
//! them.

use std::collections::{BTreeSet, HashMap};
use std::ops::ControlFlow;
use std::sync::Arc;

use skydive_flow::{Flow, Mac};
use skydive_graph::{Node, key};
use skydive_value::{Filter, Path, SmolStr, Test};

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
    /// The first that has the address; where a side is asked for and none has it, the first whose peer does.
    by_mac: HashMap<SmolStr, Arc<Node>>,
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
        let places = Places::new(self.of, &flows, run)?;
        let offer = |node: Option<&Arc<Node>>, output: &mut Output<'_, Arc<Node>>| match node {
            Some(node) => output.offer(&**node, || node.clone()).map(|_| ()),
            None => Ok(()),
        };
        let output = Output::around(&self.selection, run, flows, |flow, output| {
            let (a, b) = sides(flow);
            let side = |mac: &Option<SmolStr>| mac.as_ref().and_then(|mac| places.by_mac.get(mac));
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
                    offer(side(&a), output)?;
                    offer(side(&b), output)
                }
            }
        })?;
        Ok(output.finish(Rows::Nodes))
    }
}

impl Places {
    /// Of what these flows name: those that are asked for, by the indexes of the graph.
    fn new(of: Of, flows: &[Flow], run: &Run<'_>) -> Result<Self, QueryError> {
        let (mut tids, mut macs) = (BTreeSet::new(), BTreeSet::new());
        for flow in flows {
            run.tick()?;
            let (a, b) = sides(flow);
            match of {
                Of::Capture => {}
                Of::Side(Way::In) => macs.extend(a),
                Of::Side(Way::Out) => macs.extend(b),
                Of::Side(Way::Both) | Of::All => macs.extend(a.into_iter().chain(b)),
            }
            if !matches!(of, Of::Side(_)) && !flow.node_tid.is_empty() {
                tids.insert(flow.node_tid.clone());
            }
        }
        let by_tid = firsts(key::TID, tids, run)?;
        let mut by_mac = firsts(key::MAC, macs.clone(), run)?;
        if matches!(of, Of::Side(_)) {
            macs.retain(|mac| !by_mac.contains_key(mac));
            by_mac.extend(firsts(key::PEER_INTF_MAC, macs, run)?);
        }
        Ok(Self { by_tid, by_mac })
    }
}

/// The first node for each of these values of a field.
fn firsts(
    field: &'static str,
    values: BTreeSet<SmolStr>,
    run: &Run<'_>,
) -> Result<HashMap<SmolStr, Arc<Node>>, QueryError> {
    let mut found: HashMap<SmolStr, Arc<Node>> = HashMap::new();
    if values.is_empty() {
        return Ok(found);
    }
    let filter = Filter::Field(Path::from(field), Test::OneOf(values.into_iter().collect()));
    run.graph.each_node(&filter, run, |node| {
        if let Some(value) = node.metadata.text(field) {
            found.entry(value.into()).or_insert_with(|| node.clone());
        }
        Ok(ControlFlow::Continue(()))
    })?;
    Ok(found)
}

/// The link addresses of both sides, as nodes spell them.
fn sides(flow: &Flow) -> (Option<SmolStr>, Option<SmolStr>) {
    let text = |mac| SmolStr::from(Mac(mac).to_string());
    flow.link.map_or((None, None), |link| (Some(text(link.a)), Some(text(link.b))))
}
