//! One connection seen by three agents: the same at every hop, over a bridge and over a router, down to the packet.

use std::collections::BTreeSet;

use serde_json::Value as Json;
use skydive_testnet::{Running, bridge, require_root, veth_pair};

use crate::site::{begun, json_of, number, until};
use crate::stage::{Desk, Host, Service};

const HUB: &str = "10.77.0.1:8082";
const NAMES: [&str; 3] = ["left", "middle", "right"];
/// Links of the path: `data0` of the outer two, `to-left` and `to-right` of the middle.
const HOPS: [&str; 4] = ["data0", "data0", "to-left", "to-right"];

/// Three hosts with an agent each in a row, and an analyzer that reaches all of them another way.
struct Row {
    hub: Host,
    hosts: Vec<Host>,
    _services: Vec<Service>,
}

/// What joins the outer two.
#[derive(Clone, Copy, PartialEq, Eq)]
enum Middle {
    Bridge,
    Router,
}

impl Row {
    fn new(middle: Middle) -> Self {
        let hub = Host::new("hub");
        let hosts: Vec<Host> = NAMES.iter().map(|name| Host::new(name)).collect();
        for (host, name) in hosts.iter().zip(NAMES) {
            veth_pair(&hub.netns, &format!("to-{name}"), &host.netns, "mgmt0").unwrap();
        }
        let ports = NAMES.map(|name| format!("to-{name}"));
        bridge(&hub.netns, "br0", &ports.each_ref().map(String::as_str)).unwrap();
        hub.ip("addr add 10.77.0.1/24 dev br0");
        for (host, number) in hosts.iter().zip(2..) {
            host.ip(&format!("addr add 10.77.0.{number}/24 dev mgmt0"));
        }
        let [left, center, right] = &hosts[..] else { unreachable!() };
        for (host, name) in [(left, "to-left"), (right, "to-right")] {
            veth_pair(&host.netns, "data0", &center.netns, name).unwrap();
            for (netns, link) in [(&host.netns, "data0"), (&center.netns, name)] {
                // What is counted is what is on a wire: no packet of many, none without its checksum.
                let off = ["tso", "gso", "gro", "tx", "rx"].map(|feature| [feature, "off"]).concat();
                netns.exec(&[&["ethtool", "-K", link], &off[..]].concat()).unwrap();
            }
        }
        match middle {
            Middle::Bridge => {
                bridge(&center.netns, "br-data", &["to-left", "to-right"]).unwrap();
                left.ip("addr add 10.1.0.1/16 dev data0");
                right.ip("addr add 10.1.1.1/16 dev data0");
            }
            Middle::Router => {
                center.netns.exec(&["sysctl", "-q", "-w", "net.ipv4.ip_forward=1"]).unwrap();
                left.ip("addr add 10.1.0.1/24 dev data0");
                center.ip("addr add 10.1.0.254/24 dev to-left");
                center.ip("addr add 10.1.1.254/24 dev to-right");
                right.ip("addr add 10.1.1.1/24 dev data0");
                left.ip("route add 10.1.1.0/24 via 10.1.0.254");
                right.ip("route add 10.1.0.0/24 via 10.1.1.254");
            }
        }
        let mut services =
            vec![hub.start(&["analyzer"], &[("SKYDIVE_HOST_ID", "hub"), ("SKYDIVE_ANALYZER_LISTEN", HUB)])];
        for (host, name) in hosts.iter().zip(NAMES) {
            services.push(host.start(&["agent"], &[("SKYDIVE_HOST_ID", name), ("SKYDIVE_ANALYZERS", HUB)]));
        }
        Self { hub, hosts, _services: services }
    }

    /// Captures on every hop of the path.
    fn capture(&self, desk: &Desk, more: &[&str]) {
        let query = "G.V().Has('Name', Within('data0', 'to-left', 'to-right'), '@Host', NE('hub'))";
        until(desk, query, |nodes| (nodes.as_array()?.len() == HOPS.len()).then_some(()));
        let client = ["client", "--analyzer", HUB, "capture", "create", "--gremlin", query];
        let made = json_of(&self.hub.run(&[&client, more].concat()));
        begun(desk, made["UUID"].as_str().unwrap(), HOPS.len() as i64);
    }

    fn run(&self, at: usize, line: &[&str]) -> String {
        self.hosts[at].netns.exec(line).unwrap()
    }

    fn serve(&self, at: usize, line: &[&str]) -> Running {
        self.hosts[at].netns.spawn(line).unwrap()
    }
}

/// Waits until a query finds a flow at every hop with as many packets from A to B, and gives them.
fn at_every_hop(desk: &Desk, query: &str, packets: i64) -> Vec<Json> {
    until(desk, query, |flows| {
        let flows = flows.as_array()?;
        let is_whole = |flow: &&Json| number(flow, "/Metric/ABPackets") == packets;
        (flows.len() == HOPS.len() && flows.iter().filter(is_whole).count() == HOPS.len())
            .then(|| flows.clone())
    })
}

fn distinct<'f>(flows: &'f [Json], field: &str) -> BTreeSet<&'f str> {
    flows.iter().map(|flow| flow[field].as_str().unwrap()).collect()
}

fn names_of_hops(desk: &Desk, query: &str) {
    until(desk, &format!("{query}.Hops().Values('Name')"), |names| {
        let mut names: Vec<&str> = names.as_array()?.iter().filter_map(Json::as_str).collect();
        names.sort_unstable();
        (names == HOPS).then_some(())
    });
}

/// The number of flows of a connection is that of their list, whether agents count or their analyzer does.
fn counted_as_listed(desk: &Desk, query: &str) {
    for (choice, number) in [
        ("", HOPS.len()),
        (".Limit(3)", 3),
        (".Sort().Range(1, 3)", 2),
        (".Range(3, 9)", 1),
        (".Range(9, 12)", 0),
        (".Has('Metric.ABPackets', 0)", 0),
        (".Dedup()", 1),
        (".Limit(3).Limit(2)", 2),
    ] {
        let query = format!("{query}{choice}");
        let listed = until(desk, &query, |flows| flows.as_array().map(Vec::len));
        let counted = until(desk, &format!("{query}.Count()"), Json::as_u64);
        assert_eq!((listed, counted), (number, number as u64), "{query}");
    }
}

/// An echo and a stream of datagrams, counted by who sent them and at every hop.
fn count(row: &Row, desk: &Desk) -> [Vec<Json>; 2] {
    row.run(0, &["ping", "-q", "-c", "20", "-i", "0.01", "-W", "5", "10.1.1.1"]);
    let echo = at_every_hop(desk, "G.Flows().Has('ICMP.Type', 'ECHO')", 20);
    for flow in &echo {
        assert_eq!(number(flow, "/Metric/BAPackets"), 20, "{flow:#}");
        assert_eq!(number(flow, "/Metric/ABBytes"), 20 * 98, "{flow:#}");
    }

    let server = row.serve(2, &["iperf3", "-s", "-1", "-B", "10.1.1.1"]);
    let client = ["iperf3", "-c", "10.1.1.1", "-u", "-b", "4M", "-l", "1000", "-t", "1", "--json"];
    let told = skydive_testnet::eventually("iperf3 to be served", crate::site::SOON, || {
        // It ends well even when nobody answers.
        let output = row.hosts[0].netns.command(&client).unwrap().output().unwrap();
        let told: Json = serde_json::from_slice(&output.stdout).unwrap();
        told.get("error").is_none().then_some(told)
    });
    let told = told.unwrap();
    drop(server);
    let (packets, bytes) = (number(&told, "/end/sum/packets"), number(&told, "/end/sum/bytes"));
    // A datagram of four bytes says hello and is answered by one.
    let datagrams =
        at_every_hop(desk, "G.Flows().Has('Transport.Protocol', 'UDP', 'Transport.B', 5201)", packets + 1);
    let headers = 14 + 20 + 8;
    for flow in &datagrams {
        assert_eq!(number(flow, "/Metric/ABBytes") - (packets + 1) * headers, bytes + 4, "{flow:#}");
        assert_eq!(number(flow, "/Metric/BAPackets"), 1, "{flow:#}");
    }
    [echo, datagrams]
}

#[test]
fn over_a_bridge_a_connection_is_one_at_every_hop() {
    if !require_root() {
        return;
    }
    let row = Row::new(Middle::Bridge);
    row.hub.ask(HUB, |desk| {
        row.capture(desk, &[]);
        for flows in count(&row, desk) {
            assert_eq!(distinct(&flows, "TrackingID").len(), 1, "{flows:#?}");
            assert_eq!(distinct(&flows, "NodeTID").len(), HOPS.len(), "{flows:#?}");
            let tracking_id = flows[0]["TrackingID"].as_str().unwrap();
            names_of_hops(desk, &format!("G.Flows().Has('TrackingID', '{tracking_id}')"));
        }
        counted_as_listed(desk, "G.Flows().Has('Transport.Protocol', 'UDP', 'Transport.B', 5201)");
    });
}

#[test]
fn over_a_router_a_connection_has_one_identity_of_layer_three() {
    if !require_root() {
        return;
    }
    let row = Row::new(Middle::Router);
    row.hub.ask(HUB, |desk| {
        row.capture(desk, &["--layer-key-mode", "L3"]);
        for flows in count(&row, desk) {
            assert_eq!(distinct(&flows, "L3TrackingID").len(), 1, "{flows:#?}");
            assert_eq!(distinct(&flows, "NodeTID").len(), HOPS.len(), "{flows:#?}");
            let tracking_id = flows[0]["L3TrackingID"].as_str().unwrap();
            names_of_hops(desk, &format!("G.Flows().Has('L3TrackingID', '{tracking_id}')"));
        }
    });
}
