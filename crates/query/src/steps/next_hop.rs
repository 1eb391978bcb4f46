//! `NextHop`: where a packet to an address goes, by the routes that each node has.
//!
//! Routes are tried in the order of the tables: the first with a gateway wins, else the first network that the
//! address is connected to, else the first default route of the address's family.

use std::net::IpAddr;

use skydive_graph::{Node, key};
use skydive_value::{Map, SmolStr, Value};

use crate::operation::Operation;
use crate::run::Run;
use crate::{Arg, Kind, NextHop, ParseError, Plan, QueryError, Rows, Slot, Step, StepDef};

pub(super) const DEF: StepDef = StepDef {
    name: "NextHop",
    about: "where packets to an address go next",
    on: &[(Kind::Nodes, Kind::NextHops)],
    args: &[Slot::Address],
    parse: |args| -> Result<Box<dyn Step>, ParseError> {
        let [given] = args.given.as_slice() else {
            return Err(args.refuse_number("NextHop accepts one parameter"));
        };
        let refuse = |text: &str| ParseError {
            message: format!("NextHop parameter have to be a {text}"),
            offset: given.offset,
        };
        let Arg::Text(text) = &given.arg else { return Err(refuse("string")) };
        let to = text.parse().map_err(|_| refuse("valid IP address"))?;
        Ok(Box::new(To(to)))
    },
};

#[derive(Clone, Debug)]
struct To(IpAddr);

/// What a route says of an address.
enum Fit<'r> {
    Gateway(&'r Map, SmolStr),
    Connected(&'r Map),
    Default(&'r Map, SmolStr),
}

impl Step for To {
    fn plan(&self, plan: &mut Plan) -> Result<(), QueryError> {
        plan.push(self.clone());
        Ok(())
    }
}

impl Operation for To {
    fn apply(&self, rows: Rows, run: &mut Run<'_>) -> Result<Rows, QueryError> {
        let mut hops = Vec::new();
        for node in rows.into_nodes()? {
            run.tick()?;
            if let Some(hop) = self.hop(&node) {
                hops.push((node.id.clone(), hop));
            }
        }
        Ok(Rows::NextHops(hops))
    }
}

impl To {
    fn hop(&self, node: &Node) -> Option<NextHop> {
        let mut connected = None;
        let mut default = None;
        let routes = maps(node.metadata.get(key::ROUTING_TABLES)).flat_map(|table| maps(table.get("Routes")));
        for route in routes {
            match self.fit(route) {
                Some(Fit::Gateway(hop, ip)) => return Some(next_hop(node, hop, ip)),
                Some(Fit::Connected(hop)) => connected = connected.or(Some((hop, self.0.to_string().into()))),
                Some(Fit::Default(hop, ip)) => default = default.or(Some((hop, ip))),
                None => {}
            }
        }
        connected.or(default).map(|(hop, ip)| next_hop(node, hop, ip))
    }

    fn fit<'r>(&self, route: &'r Map) -> Option<Fit<'r>> {
        let hop = maps(route.get("NextHops")).next()?;
        let gateway = hop.text("IP").filter(|ip| !ip.is_empty()).map(SmolStr::from);
        let (network, bits) = route.text("Prefix")?.split_once('/')?;
        let (network, bits): (IpAddr, u32) = (network.parse().ok()?, bits.parse().ok()?);
        let contains = match (network, self.0) {
            (IpAddr::V4(net), IpAddr::V4(to)) if bits <= 32 => {
                (net.to_bits() ^ to.to_bits()).checked_shr(32 - bits).unwrap_or(0) == 0
            }
            (IpAddr::V6(net), IpAddr::V6(to)) if bits <= 128 => {
                (net.to_bits() ^ to.to_bits()).checked_shr(128 - bits).unwrap_or(0) == 0
            }
            _ => false,
        };
        match (contains, bits, gateway) {
            (false, ..) => None,
            (true, 0, Some(ip)) => Some(Fit::Default(hop, ip)),
            (true, 0, None) => Some(Fit::Default(hop, self.0.to_string().into())),
            (true, _, Some(ip)) => Some(Fit::Gateway(hop, ip)),
            (true, _, None) => Some(Fit::Connected(hop)),
        }
    }
}

fn next_hop(node: &Node, hop: &Map, ip: SmolStr) -> NextHop {
    let number = |field: &str| hop.get(field).and_then(Value::to_int).unwrap_or(0);
    let mac = maps(node.metadata.get(key::NEIGHBORS))
        .find(|neighbor| neighbor.text("IP") == Some(&ip))
        .and_then(|neighbor| neighbor.text(key::MAC))
        .map(SmolStr::from);
    NextHop { priority: number("Priority"), mac, if_index: number(key::IF_INDEX), ip }
}

/// The objects in a list.
fn maps(value: Option<&Value>) -> impl Iterator<Item = &Map> {
    value.and_then(Value::as_list).unwrap_or_default().iter().filter_map(Value::as_map)
}
