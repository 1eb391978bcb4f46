//! `Flows`: the flows that captures see. What follows and chooses among them is done where they are.

use std::collections::BTreeSet;

use skydive_flow::{FlowSearch, FlowsFound, Sort, Want, field};
use skydive_graph::key;
use skydive_value::{Filter, Path, SmolStr, Test};

use crate::flow_filter::flow_filter;
use crate::plan::{Window, Wish};
use crate::run::Run;
use crate::{Args, Kind, ParseError, Plan, QueryError, Rows, Slot, Step, StepDef, capture_kinds, condition};

pub(super) const DEF: StepDef = StepDef {
    name: "Flows",
    about: "the flows that captures see, of all nodes or of these",
    on: &[(Kind::Graph, Kind::Flows), (Kind::Nodes, Kind::Flows), (Kind::Paths, Kind::Flows)],
    args: &[Slot::Conditions],
    parse: |args| match args.given.len() {
        1 => Err(ParseError {
            message: "At least two parameters must be provided".to_owned(),
            offset: args.offset,
        }),
        n if !n.is_multiple_of(2) => Err(ParseError {
            message: format!("slice must be defined by pair k,v: {args}"),
            offset: args.offset,
        }),
        _ => Ok(Box::new(Flows(args))),
    },
};

#[derive(Debug)]
struct Flows(Args);

/// A search for flows. The steps right behind `Flows` that choose, sort, drop duplicates and limit belong to it, as
/// they always did, whatever order they are written in: it gives the flows that pass all conditions, sorted, the first
/// of each value, and of these those in the window. A second window, order or field of duplicates is a step of its own,
/// and what follows that too. `Count` right behind makes it a search for a number, where numbers of several hosts can be
/// added.
#[derive(Debug)]
pub(crate) struct Lookup {
    filter: Filter,
    dedup: Option<Path>,
    sort: Option<Sort>,
    window: Option<Window>,
    want: Want,
    place: Place,
}

/// Where flows are chosen.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Place {
    /// Where they are.
    There,
    /// Here, among all flows.
    Here,
}

impl Step for Flows {
    fn plan(&self, plan: &mut Plan) -> Result<(), QueryError> {
        let filter = condition::optional(&self.0.given, self.0.offset)?;
        let filter = filter.map_or_else(Filter::all, flow_filter);
        let place = if plan.pushes_down() { Place::There } else { Place::Here };
        plan.search(Lookup { filter, dedup: None, sort: None, window: None, want: Want::Flows, place });
        Ok(())
    }
}

impl Lookup {
    /// Takes over work of the next step; what cannot be taken is given back.
    pub(crate) fn take(&mut self, wish: Wish) -> Option<Wish> {
        match wish {
            Wish::Filter(filter, _) => {
                let own = std::mem::replace(&mut self.filter, Filter::all());
                self.filter = own.and(filter);
                None
            }
            Wish::Dedup(by) if self.dedup.is_none() => {
                self.dedup = Some(by);
                None
            }
            Wish::Sort(sort) if self.sort.is_none() => {
                self.sort = Some(sort);
                None
            }
            Wish::Window(window) if self.window.is_none() => {
                self.window = Some(window);
                None
            }
            Wish::Count if self.dedup.is_none() && self.place == Place::There => {
                self.want = Want::Count;
                None
            }
            wish => Some(wish),
        }
    }

    /// The packets kept with flows are wanted.
    pub(crate) fn want_packets(&mut self) {
        self.want = Want::WithPackets;
    }

    /// What is asked of the tables; `None` when none of the nodes can have flows.
    pub(crate) fn search(&self, rows: Rows, run: &Run<'_>) -> Result<Option<FlowSearch>, QueryError> {
        let search = match self.place {
            Place::There => FlowSearch {
                hosts: None,
                filter: self.filter.clone(),
                range: self.window.map(|window| window.from..window.to.max(window.from)),
                sort: self.sort.clone(),
                dedup: self.dedup.clone(),
                want: self.want,
            },
            Place::Here => FlowSearch { want: self.want, ..FlowSearch::default() },
        };
        let nodes = match rows {
            Rows::Graph(_) => return Ok(Some(search)),
            Rows::Nodes(nodes) => nodes,
            Rows::Paths(paths) => paths.into_iter().flatten().collect(),
            other => return Err(other.unplanned()),
        };
        let (mut tids, mut hosts) = (BTreeSet::new(), BTreeSet::new());
        for node in nodes {
            run.tick()?;
            let is_capturable = node.metadata.text(key::TYPE).is_some_and(|of| !capture_kinds(of).is_empty());
            if let (true, Some(tid)) = (is_capturable, node.metadata.text(key::TID)) {
                tids.insert(SmolStr::from(tid));
                hosts.insert(node.source.host.clone());
            }
        }
        if tids.is_empty() {
            return Ok(None);
        }
        let there = Filter::Field(Path::from(field::NODE_TID), Test::OneOf(tids.into_iter().collect()));
        let filter = there.and(search.filter);
        Ok(Some(FlowSearch { hosts: Some(hosts.into_iter().collect()), filter, ..search }))
    }

    /// What was found, as rows.
    pub(crate) fn rows(&self, found: FlowsFound, run: &Run<'_>) -> Result<Rows, QueryError> {
        if self.want == Want::Count {
            return Ok(Rows::Number(i64::try_from(found.count).unwrap_or(i64::MAX)));
        }
        let mut found = found.set;
        if self.place == Place::Here {
            found.filter(&self.filter);
            if let Some(sort) = &self.sort {
                found.sort(sort);
            }
            if let Some(by) = &self.dedup {
                found.dedup(by);
            }
            if let Some(window) = self.window {
                window.cut(&mut found.flows);
            }
        }
        run.check_room(found.flows.len())?;
        Ok(Rows::Flows(found.flows))
    }
}
