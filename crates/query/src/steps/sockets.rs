//! `Sockets`: the connections of processes that nodes know.

use std::collections::HashMap;
use std::ops::ControlFlow;

use skydive_flow::{Flow, TransportProtocol};
use skydive_graph::key;
use skydive_value::{Filter, Map, Path, SmolStr, Value};

use crate::operation::Operation;
use crate::rows::Records;
use crate::run::Run;
use crate::{Kind, Plan, QueryError, Rows, Step, StepDef};

pub(super) const DEF: StepDef = StepDef {
    // It is called like what it reads.
    name: key::SOCKETS,
    about: "the connections of processes on nodes, or those that flows are of",
    on: &[(Kind::Nodes, Kind::Sockets), (Kind::Flows, Kind::Sockets)],
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
        if let Rows::Flows(flows) = rows {
            return of_flows(&flows, run);
        }
        Ok(Rows::Sockets(Records::of(&rows.into_nodes()?, run, |node| {
            let sockets = node.metadata.get(key::SOCKETS).and_then(Value::as_list).unwrap_or_default();
            sockets.iter().filter_map(Value::as_map).cloned().collect()
        })?))
    }
}

/// Protocol, and both ends of a connection as a socket knows them.
type Ends = (SmolStr, (SmolStr, i64), (SmolStr, i64));

/// The sockets of all nodes that are an end of these flows, by the UUID of the flow.
fn of_flows(flows: &[Flow], run: &Run<'_>) -> Result<Rows, QueryError> {
    let mut sockets: HashMap<Ends, Vec<Map>> = HashMap::new();
    if flows.iter().any(|flow| flow.transport.is_some()) {
        run.graph.each_node(&Filter::present(Path::from(key::SOCKETS)), run, |node| {
            let list = node.metadata.get(key::SOCKETS).and_then(Value::as_list).unwrap_or_default();
            for socket in list.iter().filter_map(Value::as_map) {
                if let Some(ends) = ends_of(socket) {
                    sockets.entry(ends).or_default().push(socket.clone());
                }
            }
            Ok(ControlFlow::Continue(()))
        })?;
    }
    let (mut records, mut len) = (Vec::new(), 0);
    for flow in flows {
        run.tick()?;
        let (Some(network), Some(transport)) = (flow.network, flow.transport) else { continue };
        let protocol = match transport.protocol {
            TransportProtocol::Tcp => "TCP",
            TransportProtocol::Udp => "UDP",
            TransportProtocol::Sctp => continue,
        };
        let a = (SmolStr::from(network.a.to_string()), i64::from(transport.a));
        let b = (SmolStr::from(network.b.to_string()), i64::from(transport.b));
        let ways = [(protocol.into(), a.clone(), b.clone()), (protocol.into(), b, a)];
        let found: Vec<Map> = ways.iter().filter_map(|ends| sockets.get(ends)).flatten().cloned().collect();
        if !found.is_empty() {
            len += found.len();
            run.check_room(len)?;
            records.push((flow.uuid.to_string().into(), found));
        }
    }
    Ok(Rows::Sockets(Records(records)))
}

fn ends_of(socket: &Map) -> Option<Ends> {
    let text = |field: &str| socket.text(field).map(SmolStr::from);
    let port = |field: &str| socket.get(field).and_then(Value::to_int);
    let local = (text("LocalAddress")?, port("LocalPort")?);
    let remote = (text("RemoteAddress")?, port("RemotePort")?);
    Some((text("Protocol")?, local, remote))
}
