//! Facts → metadata.
//!
//! Each function answers for some keys and gives a value, or `None` for a key that is not to be there, for every one
//! of them: what it leaves out stays as it was.

use std::collections::{BTreeMap, HashMap};
use std::net::IpAddr;

use skydive_graph::key::{self, node_type};
use skydive_sys::netlink::{
    AddrFacts, Destination, Detail, DetailValue, HwAddr, LinkFacts, NeighFacts, RouteFacts, RouteHop,
    VfFacts, detail, encap_name, encap_type_name,
};
use skydive_value::{Map, SmolStr, Value};

use super::model::Interface;

/// A key and what it is to hold.
pub(super) type Field = (&'static str, Option<Value>);

/// Type of the node of an interface.
pub(super) fn type_of(facts: &LinkFacts, driver: &str) -> SmolStr {
    match facts.kind.as_deref() {
        _ if driver == node_type::VETH => SmolStr::new_static(node_type::VETH),
        Some("tun") => SmolStr::new_static(node_type::TUNTAP),
        Some(kind) if !kind.is_empty() => kind.into(),
        _ => SmolStr::new_static(node_type::DEVICE),
    }
}

/// What the interface itself and its driver tell. `peer` is the name of the namespace of its other end.
pub(super) fn link(
    interface: &Interface,
    features: &HashMap<Vec<u32>, Value>,
    peer: Option<&SmolStr>,
) -> Vec<Field> {
    let facts = &interface.facts;
    let device = interface.device.clone().unwrap_or_default();
    let text = |text: &str| (!text.is_empty()).then(|| Value::from(text));
    let number = |n: Option<u32>| n.map(Value::from);
    let mac = |mac: Option<HwAddr>| mac.map(|mac| Value::from(mac.to_text()));
    let is_veth = device.driver == node_type::VETH || facts.kind.as_deref() == Some(node_type::VETH);
    let driver = match (device.driver.as_str(), facts.kind.as_deref()) {
        ("", Some(node_type::BRIDGE)) => SmolStr::new_static(node_type::BRIDGE),
        _ => device.driver.clone(),
    };
    let bus = match (device.bus.as_str(), &facts.parent_dev) {
        ("", Some(parent)) => parent.clone(),
        _ => device.bus.clone(),
    };
    let function = interface.virtual_function();
    vec![
        (key::NAME, Some(facts.name.clone().into())),
        (key::TYPE, Some(type_of(facts, &device.driver).into())),
        (key::ENCAP_TYPE, Some(encap_name(facts.hardware).into())),
        (key::IF_INDEX, Some(facts.index.into())),
        (key::DRIVER, Some(driver.into())),
        (key::MTU, Some(facts.mtu.into())),
        (key::MAC, mac(facts.mac)),
        (key::PERM_MAC, mac(facts.perm_mac.filter(|perm| Some(*perm) != facts.mac))),
        (key::SPEED, number(device.speed)),
        (key::DUPLEX, device.full_duplex.map(|full| if full { "full" } else { "half" }.into())),
        (key::STATE, Some(facts.oper_state.as_str().into())),
        (key::LINK_FLAGS, Some(flags(facts.flags))),
        (key::MASTER_INDEX, number(facts.master)),
        (key::PARENT_INDEX, number(facts.link)),
        (key::PEER_IF_INDEX, number(facts.link.filter(|_| is_veth))),
        (
            key::VLAN,
            detail(&facts.details, "ID").filter(|_| facts.kind.as_deref() == Some("vlan")).map(value),
        ),
        (
            key::BOND_MODE,
            detail(&facts.details, "Mode").filter(|_| facts.kind.as_deref() == Some("bond")).map(value),
        ),
        (key::BOND_SLAVE, member(facts, "bond")),
        (key::BRIDGE_PORT, member(facts, "bridge")),
        (key::LINK_DETAILS, (!facts.details.is_empty()).then(|| details(&facts.details).into())),
        (key::LINK_NETNS_ID, facts.link_netnsid.map(Value::from)),
        (key::LINK_NETNS_NAME, facts.link_netnsid.map(|_| peer.cloned().unwrap_or_default().into())),
        (key::BUS_INFO, Some(bus.into())),
        (key::VFS, (!facts.vfs.is_empty()).then(|| Value::list(facts.vfs.iter().map(virtual_function)))),
        (key::VF_ID, function.map(|(_, id)| id.into())),
        (key::ALIAS, facts.alias.as_deref().and_then(text)),
        (key::ALT_NAMES, (!facts.alt_names.is_empty()).then(|| Value::list(facts.alt_names.iter().cloned()))),
        (key::PORT_NAME, facts.port_name.as_deref().and_then(text)),
        (key::QDISC, facts.qdisc.as_deref().and_then(text)),
        (key::TX_QUEUES, number(facts.tx_queues)),
        (key::RX_QUEUES, number(facts.rx_queues)),
        (key::PROMISCUITY, number(Some(facts.promiscuity).filter(|n| *n > 0))),
        (key::FEATURES, features.get(&device.features).cloned()),
    ]
}

/// Names of the flags that are set.
fn flags(bits: u32) -> Value {
    const NAMES: [(u32, &str); 5] =
        [(0x1, "UP"), (0x2, "BROADCAST"), (0x8, "LOOPBACK"), (0x10, "POINTTOPOINT"), (0x1000, "MULTICAST")];
    let set: Vec<Value> =
        NAMES.iter().filter(|(bit, _)| bits & bit != 0).map(|(_, name)| Value::from(*name)).collect();
    if set.is_empty() { Value::Null } else { set.into() }
}

fn value(detail: &DetailValue) -> Value {
    match detail {
        DetailValue::Bool(b) => (*b).into(),
        DetailValue::Int(n) => (*n).into(),
        DetailValue::Text(text) => text.clone().into(),
        DetailValue::Ip(ip) => ip_text(*ip),
    }
}

fn details(details: &[Detail]) -> Map {
    details.iter().map(|d| (d.name, value(&d.value))).collect()
}

/// What a master of this kind tells of the interface.
fn member(facts: &LinkFacts, kind: &'static str) -> Option<Value> {
    if facts.slave_kind.as_deref() != Some(kind) || facts.slave_details.is_empty() {
        return None;
    }
    let mut map = details(&facts.slave_details);
    if kind == "bond" {
        map.insert(key::TYPE, kind);
    }
    Some(map.into())
}

fn virtual_function(vf: &VfFacts) -> Value {
    let mac = vf.mac.map_or_else(|| SmolStr::new_static("00:00:00:00:00:00"), HwAddr::to_text);
    let fields: [(&str, Value); 7] = [
        ("ID", vf.id.into()),
        ("LinkState", vf.link_state.into()),
        (key::MAC, mac.into()),
        ("Qos", vf.qos.into()),
        ("Spoofchk", vf.spoof_check.into()),
        ("TxRate", vf.tx_rate.into()),
        (key::VLAN, vf.vlan.into()),
    ];
    fields.into_iter().collect::<Map>().into()
}

/// Addresses, in the kernel's order.
pub(super) fn addrs(addrs: &[AddrFacts]) -> Vec<Field> {
    let list = |v4: bool| {
        let of_family: Vec<Value> =
            addrs.iter().filter(|addr| addr.ip.is_ipv4() == v4).map(address).collect();
        (!of_family.is_empty()).then(|| Value::from(of_family))
    };
    vec![(key::IPV4, list(true)), (key::IPV6, list(false))]
}

fn address(addr: &AddrFacts) -> Value {
    // The prefix of a point-to-point address is that of the other end.
    let prefix = match (addr.peer, addr.ip) {
        (None, _) => addr.prefix,
        (Some(_), IpAddr::V4(_)) => 32,
        (Some(_), IpAddr::V6(_)) => 128,
    };
    Value::from(format!("{}/{prefix}", addr.ip))
}

/// Neighbours (`FDB` for forwarding entries), in an order of their own.
pub(super) fn neighs(key: &'static str, neighs: &[NeighFacts]) -> Vec<Field> {
    let mut sorted: Vec<&NeighFacts> = neighs.iter().collect();
    sorted.sort_by_key(|n| (n.ip, n.mac, n.vlan, n.vni, n.master, n.via, n.flags));
    let list: Vec<Value> = sorted.into_iter().map(neigh).collect();
    vec![(key, (!list.is_empty()).then(|| list.into()))]
}

fn neigh(neigh: &NeighFacts) -> Value {
    let names = |set: Vec<&'static str>| (!set.is_empty()).then(|| Value::list(set));
    let flags = NeighFacts::FLAG_NAMES.iter().filter(|(bit, _)| neigh.flags & bit != 0);
    let states = NeighFacts::STATE_NAMES.iter().filter(|(bit, _)| neigh.state & bit != 0);
    let fields = [
        ("Flags", names(flags.map(|(_, name)| *name).collect())),
        (key::STATE, names(states.map(|(_, name)| *name).collect())),
        (key::MAC, neigh.mac.map(|mac| mac.to_text().into())),
        ("IP", neigh.ip.map(ip_text)),
        (key::VLAN, neigh.vlan.map(Value::from)),
        ("VNI", neigh.vni.map(Value::from)),
        (key::IF_INDEX, Some(neigh.index.into())),
    ];
    map_of(fields).into()
}

fn map_of<const N: usize>(fields: [(&'static str, Option<Value>); N]) -> Map {
    fields.into_iter().filter_map(|(key, value)| Some((key, value?))).collect()
}

fn ip_text(ip: IpAddr) -> Value {
    Value::from(ip.to_string())
}

/// Routes that leave by interface `index`, by table; those of MPLS apart.
pub(super) fn routes<'a>(index: u32, routes: impl Iterator<Item = &'a RouteFacts>) -> Vec<Field> {
    let mut tables: BTreeMap<u32, Vec<&RouteFacts>> = BTreeMap::new();
    let mut labels: Vec<&RouteFacts> = Vec::new();
    for route in routes {
        match route.destination {
            Destination::Ip(..) => tables.entry(route.table).or_default().push(route),
            Destination::Mpls(_) => labels.push(route),
        }
    }
    labels.sort_by_key(|route| route.destination);
    let tables: Vec<Value> = tables.into_iter().map(|(id, routes)| table(index, id, routes)).collect();
    let labels: Vec<Value> = labels
        .into_iter()
        .map(|route| {
            let Destination::Mpls(label) = route.destination else { return Value::Null };
            let fields = [
                ("Label", Some(label.into())),
                ("Protocol", Some(route.protocol.into())),
                ("NextHops", Some(hops(index, &[route]))),
            ];
            map_of(fields).into()
        })
        .collect();
    vec![
        (key::ROUTING_TABLES, (!tables.is_empty()).then(|| tables.into())),
        (key::MPLS_ROUTES, (!labels.is_empty()).then(|| labels.into())),
    ]
}

/// One table. Routes to the same destination by the same protocol are one entry with several next hops.
fn table(index: u32, id: u32, routes: Vec<&RouteFacts>) -> Value {
    let source = routes.iter().filter_map(|route| route.source).min();
    let mut entries: BTreeMap<(Destination, u8), Vec<&RouteFacts>> = BTreeMap::new();
    for route in routes {
        entries.entry((route.destination, route.protocol)).or_default().push(route);
    }
    let entries = entries.into_iter().map(|((destination, protocol), mut routes)| {
        routes.sort_by(|a, b| order(a).cmp(&order(b)));
        let prefix = match destination {
            Destination::Ip(ip, len) => format!("{ip}/{len}"),
            Destination::Mpls(label) => label.to_string(),
        };
        let fields = [
            ("Protocol", Some(protocol.into())),
            ("Prefix", Some(prefix.into())),
            ("NextHops", Some(hops(index, &routes))),
        ];
        Value::from(map_of(fields))
    });
    let entries: Vec<Value> = entries.collect();
    let source = source.map_or_else(|| Value::from(""), ip_text);
    let fields = [("ID", Some(id.into())), ("Src", Some(source)), ("Routes", Some(entries.into()))];
    map_of(fields).into()
}

type Order<'a> = (u32, u8, u8, Vec<(Option<IpAddr>, Option<u32>, &'a [u32])>);

fn order(route: &RouteFacts) -> Order<'_> {
    let hops = route.hops.iter().map(|hop| (hop.gateway, hop.index, hop.labels.as_slice())).collect();
    (route.priority, route.tos, route.kind, hops)
}

fn hops(index: u32, routes: &[&RouteFacts]) -> Value {
    let here = routes.iter().flat_map(|route| {
        let hops = route.hops.iter().filter(|hop| hop.index == Some(index));
        hops.map(|hop| next_hop(index, route.priority, hop))
    });
    Value::from(here.collect::<Vec<_>>())
}

fn next_hop(index: u32, priority: u32, hop: &RouteHop) -> Value {
    let fields = [
        ("Priority", Some(priority.into())),
        ("IP", hop.gateway.map(ip_text)),
        (key::IF_INDEX, Some(index.into())),
        ("Weight", (hop.weight > 1).then(|| hop.weight.into())),
        ("Encap", encap_type_name(hop.encap_type).map(Value::from)),
        ("Labels", (!hop.labels.is_empty()).then(|| Value::list(hop.labels.iter().copied()))),
    ];
    map_of(fields).into()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn flags_have_the_names_of_their_bits() {
        assert_eq!(flags(0x10049), Value::list(["UP", "LOOPBACK"]));
        assert_eq!(flags(0x1043), Value::list(["UP", "BROADCAST", "MULTICAST"]));
        assert_eq!(flags(0), Value::Null);
    }

    #[test]
    fn types() {
        let kind = |kind: Option<&str>| LinkFacts { kind: kind.map(Into::into), ..LinkFacts::default() };
        assert_eq!(type_of(&kind(None), ""), "device");
        assert_eq!(type_of(&kind(Some("tun")), "tun"), "tuntap");
        assert_eq!(type_of(&kind(Some("vxlan")), "vxlan"), "vxlan");
        assert_eq!(type_of(&kind(None), "veth"), "veth");
    }

    #[test]
    fn a_forwarding_entry_for_every_other_address_is_told_whole() {
        let entry = NeighFacts {
            is_fdb: true,
            index: 7,
            mac: HwAddr::with_zero(&[0; 6]),
            ip: "10.0.0.2".parse().ok(),
            state: 0x80,
            flags: 2,
            vlan: None,
            vni: Some(5),
            master: None,
            via: Some(3),
        };
        let told = neigh(&entry);
        let told = told.as_map().unwrap();
        assert_eq!(told.text("MAC"), Some("00:00:00:00:00:00"));
        assert_eq!(told.get("IfIndex"), Some(&Value::Int(7)), "that of the entry, not of where it leads");
    }

    #[test]
    fn a_table_groups_next_hops() {
        let hop = |gateway: &str, index| RouteHop {
            gateway: gateway.parse().ok(),
            index: Some(index),
            weight: 1,
            ..RouteHop::default()
        };
        let route = RouteFacts {
            family: 2,
            table: 254,
            destination: Destination::Ip("0.0.0.0".parse().unwrap(), 0),
            protocol: 16,
            scope: 0,
            kind: 1,
            tos: 0,
            source: Some("10.0.0.2".parse().unwrap()),
            priority: 100,
            nexthop_id: None,
            hops: vec![hop("10.0.0.1", 3), hop("10.1.0.1", 4)],
            replaces: false,
        };
        let fields = routes(3, std::iter::once(&route));
        let (name, Some(tables)) = &fields[0] else { panic!("no tables") };
        assert_eq!(*name, "RoutingTables");
        let table = tables.as_list().unwrap()[0].as_map().unwrap();
        assert_eq!(table.get("ID"), Some(&Value::Int(254)));
        assert_eq!(table.text("Src"), Some("10.0.0.2"));
        let entry = table.get("Routes").unwrap().as_list().unwrap()[0].as_map().unwrap().clone();
        assert_eq!(entry.text("Prefix"), Some("0.0.0.0/0"));
        assert_eq!(entry.get("Protocol"), Some(&Value::Int(16)));
        let hops = entry.get("NextHops").unwrap().as_list().unwrap();
        assert_eq!(hops.len(), 1, "the other leaves by another interface");
        let hop = hops[0].as_map().unwrap();
        assert_eq!((hop.text("IP"), hop.get("Priority")), (Some("10.0.0.1"), Some(&Value::Int(100))));
        assert_eq!(fields[1], ("MPLSRoutes", None));
    }

    #[test]
    fn the_other_end_of_a_point_to_point_address_has_the_prefix() {
        let addr = AddrFacts {
            index: 1,
            ip: "10.0.0.1".parse().unwrap(),
            peer: "10.0.0.2".parse().ok(),
            prefix: 24,
            scope: 0,
            flags: 0,
        };
        assert_eq!(address(&addr), Value::from("10.0.0.1/32"));
    }
}
