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
/probe_dump 20 /run/netns > /out/graph &
dump=$!
# While it runs: what comes and goes is followed in this kernel too.
sleep 8
ip link add late link low type vlan id 99
ip link del gre7
ip link set v10 up
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
    assert_eq!(dump.node("q20", "vlan")?["LinkDetails"]["Protocol"], "802.1ad");
    assert_eq!(dump.node("late", "vlan")?["Vlan"], 99);
    for name in ["v10", "q20", "late", "vlan7"] {
        assert_eq!(dump.edge("low", name)?, &json!({"RelationType": "layer2", "Type": "vlan"}), "{name}");
    }
    let bond = dump.node("bo", "bond")?;
    assert_eq!(bond["BondMode"], "active-backup");
    let member = dump.node("s1", "dummy")?;
    assert_eq!(member["MasterIndex"], bond["IfIndex"]);
    assert_eq!(member["BondSlave"]["Type"], "bond");
    assert_eq!(member["BondSlave"]["State"], "ACTIVE");
    assert!(member["BondSlave"]["PermMAC"].is_string());
    assert_eq!(dump.edge("bo", "s1")?["RelationType"], "layer2");
    assert!(dump.node("gre7", "gre").is_err(), "deleted meanwhile");
    assert_eq!(dump.node("gt", "gretap")?["LinkDetails"]["Remote"], "10.1.0.3");
    let geneve = dump.node("gn", "geneve")?;
    assert_eq!((&geneve["LinkDetails"]["ID"], &geneve["LinkDetails"]["Port"]), (&json!(42), &json!(6081)));
    assert_eq!(dump.node("iv", "ipvlan")?["LinkDetails"]["Mode"], "l3");
    assert_eq!(dump.edge("low", "iv")?["Type"], "ipvlan");
    let vrf = dump.node("red", "vrf")?;
    assert_eq!(vrf["LinkDetails"]["Table"], 100);
    assert_eq!(dump.edge("red", "rs")?["RelationType"], "layer2");
    let inside = dump.node("rs", "dummy")?["RoutingTables"].to_string();
    assert!(inside.contains("10.7.0.0/24") && inside.contains("\"ID\":100"), "{inside}");
    assert_eq!(dump.node("wg", "wireguard")?["EncapType"], "none");
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
    let swap = &low["MPLSRoutes"][0];
    assert_eq!((&swap["Label"], &swap["NextHops"][0]["Labels"]), (&json!(300), &json!([400])));
    assert_eq!(swap["NextHops"][0]["IP"], "10.1.0.2");

    assert_eq!(dump.node("dp0", "openvswitch")?["Driver"], "openvswitch");
    let port = dump.node("p0", "dummy")?;
    let system = dump.node("ovs-system", "openvswitch");
    // The port's master is the datapath's own device.
    assert!(port["MasterIndex"].is_number(), "{port}");
    if let Ok(system) = system {
        assert_eq!(port["MasterIndex"], system["IfIndex"]);
    }
    Ok(())
}
