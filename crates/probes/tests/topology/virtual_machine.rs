//! Kinds of links that the kernel of the machine at hand may lack, in a virtual machine with another kernel.

use std::time::Duration;

use anyhow::{Context, Result};
use serde_json::json;
use skydive_testnet::require_root;
use skydive_testnet::vm::{self, Vm};

use crate::dump::{Dump, program};

/// The machine is emulated: what takes a second elsewhere takes a minute here, more when others compute too.
const BOOT_AND_RUN: Duration = Duration::from_mins(10);

const SCRIPT: &str = "
set -ex
ip link set lo up
ip link add low type dummy
ip link set low up
ip addr add 10.1.0.1/24 dev low
ip link add v10 link low type vlan id 10
ip link add q20 link low type vlan proto 802.1ad id 20
ip link add bo type bond mode active-backup miimon 100
ip link add s1 type dummy
ip link set s1 master bo
ip link set bo up
ip link add lacp type bond mode 802.3ad miimon 100
ip link add s2 type dummy
ip link set s2 master lacp
ip link set lacp up
ip link add gre7 type gre local 10.1.0.1 remote 10.1.0.2 key 7
ip link add gt type gretap local 10.1.0.1 remote 10.1.0.3
ip link add gn type geneve id 42 remote 10.1.0.2
ip link add iv link low type ipvlan mode l3
ip link add red type vrf table 100
ip link set red up
ip link add rs type dummy
ip link set rs master red
ip link set rs up
ip addr add 10.7.0.1/24 dev rs
ip link add rs2 type dummy
ip link set rs2 master red
ip link set rs2 up
ip addr add 10.7.1.1/24 dev rs2
ip link add wg type wireguard
ip link add tip type ipip local 10.1.0.1 remote 10.1.0.2
ip link add six type sit local 10.1.0.1 remote 10.1.0.2
ip link add vt type vti local 10.1.0.1 remote 10.1.0.2 key 9
ip link add xf type xfrm dev low if_id 5
ip netns add there
ip link add under type dummy
ip link add mv link under netns there type macvlan mode bridge
ip link add vlan7 link low netns there type vlan id 7
modprobe mpls_router
modprobe mpls_iptunnel
echo 1000 > /proc/sys/net/mpls/platform_labels
echo 1 > /proc/sys/net/mpls/conf/low/input
ip route add 10.8.0.0/16 encap mpls 100/200 via 10.1.0.2
ip -f mpls route add 300 as 400 via inet 10.1.0.2
modprobe openvswitch
ovs-dpctl add-dp dp0
ip link add p0 type dummy
ovs-dpctl add-if dp0 p0
ip link add p1 type dummy
ovs-dpctl add-if dp0 p1
ip link add sw type bridge
ip link set gn master sw
ip link set gn up
ip link set sw up
bridge fdb add 02:00:00:00:00:01 dev gn master static
ip link add v11 link low type vlan id 11
ip link set v11 up
ip addr add 10.11.0.1/24 dev v11
ip addr add 10.11.0.2/24 dev v11
ip neigh add 10.11.0.7 lladdr 02:00:00:00:00:07 dev v11 nud permanent
ip route add 10.12.0.0/16 via 10.11.0.9
ip -f mpls route add 301 as 401 via inet 10.1.0.2
ip link add dmove type dummy
ip link add vmove link low type vlan id 12
ip link add wmove type wireguard
ip link add old_vlan link low type vlan id 13
ip link add old_bond type bond
ip link add old_dummy type dummy
ip link add old_geneve type geneve id 43 remote 10.1.0.4
ip link add old_ipvlan link low type ipvlan mode l3
ip link add old_vrf type vrf table 101
ip link add old_wg type wireguard
/probe_dump 25 /run/netns > /out/graph &
dump=$!
# While it runs: what comes, changes and goes is followed in this kernel too.
sleep 8
ip link add late link low type vlan id 99
for gone in gre7 old_vlan old_bond old_dummy old_geneve old_ipvlan old_vrf old_wg; do ip link del $gone; done
for name in q20 gt iv wg; do ip link set $name name new_$name; done
for moving in dmove vmove wmove; do ip link set $moving netns there; done
ip link set v10 up
ip link set new_wg up
ip link set rs down
ip link set bo down
ip addr add 10.20.0.1/24 dev v10
ip addr del 10.11.0.2/24 dev v11
ip neigh add 10.20.0.7 lladdr 02:00:00:00:00:08 dev v10 nud permanent
ip neigh del 10.11.0.7 dev v11
ip route add 10.21.0.0/16 via 10.20.0.9
ip route del 10.12.0.0/16
ip -f mpls route replace 300 as 500 via inet 10.1.0.2
ip -f mpls route del 301
bridge fdb add 02:00:00:00:00:02 dev gn master static
bridge fdb del 02:00:00:00:00:01 dev gn master
ovs-dpctl del-if dp0 p1
wait $dump
";

#[test]
fn every_kind_of_link_is_shown() -> Result<()> {
    if !require_root() {
        return Ok(());
    }
    let files = vm::program(&program()?, "/probe_dump")?;
    let output = Vm::run(&files, SCRIPT, BOOT_AND_RUN)?.success()?;
    let dump = Dump::parse(output.text("graph")?).with_context(|| output.console.clone())?;

    let low = dump.node("low", "dummy")?;
    assert_eq!(low["IPV4"], json!(["10.1.0.1/24"]));
    let v10 = dump.node("v10", "vlan")?;
    assert_eq!((&v10["Vlan"], &v10["ParentIndex"]), (&json!(10), &low["IfIndex"]));
    assert_eq!(v10["LinkFlags"][0], "UP");
    assert_eq!(dump.node("new_q20", "vlan")?["LinkDetails"]["Protocol"], "802.1ad");
    assert_eq!(dump.node("late", "vlan")?["Vlan"], 99);
    for name in ["v10", "new_q20", "late", "vlan7", "v11", "vmove"] {
        assert_eq!(dump.edge("low", name)?, &json!({"RelationType": "layer2", "Type": "vlan"}), "{name}");
    }
    let bond = dump.node("bo", "bond")?;
    assert_eq!(bond["BondMode"], "active-backup");
    let member = dump.node("s1", "dummy")?;
    assert_eq!(member["MasterIndex"], bond["IfIndex"]);
    assert_eq!(member["BondSlave"]["Type"], "bond");
    assert_eq!(member["BondSlave"]["State"], "ACTIVE");
    assert!(member["BondSlave"]["PermMAC"].is_string());
    let member = dump.node("s2", "dummy")?["BondSlave"].as_object().context("of 802.3ad")?;
    let keys: Vec<&str> = member.keys().map(String::as_str).collect();
    let all = [
        "AdActorOperPortState",
        "AdPartnerOperPortState",
        "AggregatorId",
        "LinkFailureCount",
        "MiiStatus",
        "PermMAC",
        "QueueId",
        "State",
        "Type",
    ];
    assert_eq!(keys, all);
    assert_eq!(dump.edge("bo", "s1")?["RelationType"], "layer2");
    assert_eq!(dump.node("new_gt", "gretap")?["LinkDetails"]["Remote"], "10.1.0.3");
    let geneve = dump.node("gn", "geneve")?;
    assert_eq!((&geneve["LinkDetails"]["ID"], &geneve["LinkDetails"]["Port"]), (&json!(42), &json!(6081)));
    assert_eq!(dump.node("new_iv", "ipvlan")?["LinkDetails"]["Mode"], "l3");
    assert_eq!(dump.edge("low", "new_iv")?["Type"], "ipvlan");
    let vrf = dump.node("red", "vrf")?;
    assert_eq!(vrf["LinkDetails"]["Table"], 100);
    assert_eq!(dump.edge("red", "rs")?["RelationType"], "layer2");
    let inside = dump.node("rs2", "dummy")?["RoutingTables"].to_string();
    assert!(inside.contains("10.7.1.0/24") && inside.contains("\"ID\":100"), "{inside}");
    assert_eq!(dump.node("new_wg", "wireguard")?["EncapType"], "none");
    let ipip = dump.node("tip", "ipip")?;
    assert_eq!((&ipip["EncapType"], &ipip["MAC"]), (&json!("ipip"), &json!("0a:01:00:01")));
    assert_eq!(dump.node("six", "sit")?["LinkDetails"]["Local"], "10.1.0.1");
    assert_eq!(dump.node("vt", "vti")?["LinkDetails"]["IKey"], 9);
    assert_eq!(dump.node("xf", "xfrm")?["LinkDetails"]["IfID"], 5);
    assert_eq!(dump.node("mv", "macvlan")?["LinkDetails"]["Mode"], "bridge");
    assert_eq!(dump.edge("under", "mv")?["Type"], "macvlan");

    let tables = low["RoutingTables"].as_array().context("routing tables")?;
    let routes = tables.iter().find(|t| t["ID"] == 254).context("main table")?["Routes"].as_array();
    let encap = routes.context("routes")?.iter().find(|r| r["Prefix"] == "10.8.0.0/16").context("a route")?;
    assert_eq!(encap["NextHops"][0]["Encap"], "mpls");
    assert_eq!(encap["NextHops"][0]["Labels"], json!([100, 200]));
    assert_eq!(low["MPLSRoutes"].as_array().map(Vec::len), Some(1), "one is deleted: {}", low["MPLSRoutes"]);
    let swap = &low["MPLSRoutes"][0];
    assert_eq!((&swap["Label"], &swap["NextHops"][0]["Labels"]), (&json!(300), &json!([500])), "replaced");
    assert_eq!(swap["NextHops"][0]["IP"], "10.1.0.2");

    assert_eq!(dump.node("dp0", "openvswitch")?["Driver"], "openvswitch");
    let port = dump.node("p0", "dummy")?;
    let system = dump.node("ovs-system", "openvswitch");
    // The port's master is the datapath's own device.
    assert!(port["MasterIndex"].is_number(), "{port}");
    if let Ok(system) = system {
        assert_eq!(port["MasterIndex"], system["IfIndex"]);
    }
    assert_eq!(dump.node("p1", "dummy")?.get("MasterIndex"), None, "no port any more");
    what_changed_is_followed(&dump)
}

/// What the script did while the probe ran.
fn what_changed_is_followed(dump: &Dump) -> Result<()> {
    let gone = [
        ("gre7", "gre"),
        ("old_vlan", "vlan"),
        ("old_bond", "bond"),
        ("old_dummy", "dummy"),
        ("old_geneve", "geneve"),
        ("old_ipvlan", "ipvlan"),
        ("old_vrf", "vrf"),
        ("old_wg", "wireguard"),
    ];
    let renamed = [("q20", "vlan"), ("gt", "gretap"), ("iv", "ipvlan"), ("wg", "wireguard")];
    for (name, kind) in gone.into_iter().chain(renamed) {
        assert!(dump.node(name, kind).is_err(), "{name} is still there");
    }
    for (name, kind) in [("dmove", "dummy"), ("vmove", "vlan"), ("wmove", "wireguard")] {
        dump.node(name, kind)?;
        assert_eq!(dump.owner(name)?, "there", "{name}");
    }
    assert_eq!(dump.node("new_wg", "wireguard")?["LinkFlags"], json!(["UP", "POINTTOPOINT"]));
    for (name, kind) in [("rs", "dummy"), ("bo", "bond")] {
        let down = dump.node(name, kind)?;
        assert_eq!(down["State"], "DOWN", "{name}");
        assert!(!down["LinkFlags"].to_string().contains("\"UP\""), "{name}: {}", down["LinkFlags"]);
    }
    let (v10, v11, gn) = (dump.node("v10", "vlan")?, dump.node("v11", "vlan")?, dump.node("gn", "geneve")?);
    assert_eq!(v10["IPV4"], json!(["10.20.0.1/24"]));
    assert_eq!(v11["IPV4"], json!(["10.11.0.1/24"]));
    for (node, key, there, gone) in [
        (v10, "Neighbors", "02:00:00:00:00:08", "02:00:00:00:00:07"),
        (v11, "IfIndex", "", "02:00:00:00:00:07"),
        (v10, "RoutingTables", "10.21.0.0/16", "10.12.0.0/16"),
        (v11, "RoutingTables", "10.11.0.0/24", "10.12.0.0/16"),
        (gn, "FDB", "02:00:00:00:00:02", "02:00:00:00:00:01"),
    ] {
        assert!(node[key].to_string().contains(there), "{key} without {there}: {node}");
        assert!(!node.to_string().contains(gone), "{gone} is still there: {node}");
    }
    Ok(())
}
