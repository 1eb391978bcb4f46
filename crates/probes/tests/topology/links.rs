//! What happens to interfaces.

use anyhow::{Context, Result};
use serde_json::{Value as Json, json};
use skydive_testnet::{Netns, bridge, require_root, veth_pair, vxlan};

use crate::world::{World, turn};

#[tokio::test(flavor = "multi_thread")]
async fn what_is_there_is_shown() -> Result<()> {
    if !require_root() {
        return Ok(());
    }
    let _turn = turn().await;
    let (a, b) = (Netns::with_loopback("a")?, Netns::new("b")?);
    veth_pair(&a, "va", &b, "vb")?;
    a.ip(&["addr", "add", "10.1.0.1/24", "dev", "va"])?;
    a.ip(&["addr", "add", "10.1.0.9/24", "dev", "va"])?;
    a.ip(&["route", "add", "10.9.0.0/16", "via", "10.1.0.2", "table", "77", "metric", "5"])?;
    vxlan(&a, "vx", 42, "10.1.0.1", "10.1.0.2")?;
    bridge(&a, "br0", &["vx"])?;
    let every = "00:00:00:00:00:00";
    a.exec(&["bridge", "fdb", "append", every, "dev", "vx", "dst", "10.1.0.3", "via", "va"])?;
    a.ip(&["neigh", "add", "proxy", "10.1.0.77", "dev", "va"])?;
    let mut world = World::of(&[&a, &b])?;
    let va = world.wait_link(&a, "va", "its address", |l| l["IPV4"][1] == "10.1.0.9/24").await?;
    assert_eq!(va["Type"], "veth");
    assert_eq!(va["Driver"], "veth");
    assert_eq!(va["BusInfo"], "");
    assert_eq!(va["EncapType"], "ether");
    assert_eq!(va["State"], "UP");
    assert_eq!(va["Speed"], 10000);
    assert_eq!(va["LinkFlags"], json!(["UP", "BROADCAST", "MULTICAST"]));
    assert_eq!(va["IPV4"][0], "10.1.0.1/24");
    assert_eq!(va["PeerIfIndex"], va["ParentIndex"]);
    assert_eq!(va["Features"]["tx-checksum-ip-generic"], true);
    assert_eq!(va["Features"]["rx-fcs"], false);
    let tables = va["RoutingTables"].as_array().context("tables")?;
    let table = tables.iter().find(|t| t["ID"] == 77).context("table 77")?;
    let expected = json!([{
        "Prefix": "10.9.0.0/16", "Protocol": 3,
        "NextHops": [{"IP": "10.1.0.2", "IfIndex": va["IfIndex"], "Priority": 5}],
    }]);
    assert_eq!(table["Routes"], expected);
    let lo = world.view().link(a.name(), "lo").context("lo")?;
    assert_eq!((&lo["Type"], &lo["EncapType"]), (&json!("device"), &json!("loopback")));
    assert_eq!(lo["LinkFlags"], json!(["UP", "LOOPBACK"]));
    assert_eq!(lo.get("MAC"), None);
    let vx = world.view().link(a.name(), "vx").context("vx")?;
    assert_eq!(vx["LinkDetails"]["ID"], 42);
    assert_eq!(vx["LinkDetails"]["Group"], "10.1.0.2");
    for remote in ["10.1.0.2", "10.1.0.3"] {
        let entry =
            vx["FDB"].as_array().context("fdb")?.iter().find(|e| e["IP"] == remote).context(remote)?;
        assert_eq!((&entry["MAC"], &entry["IfIndex"]), (&json!(every), &vx["IfIndex"]), "{entry}");
    }
    let neighbours = va["Neighbors"].as_array().context("neighbours")?;
    let proxy = neighbours.iter().find(|n| n["IP"] == "10.1.0.77").context("the proxy")?;
    assert_eq!((&proxy["Flags"], &proxy["IfIndex"]), (&json!(["NTF_PROXY"]), &va["IfIndex"]));
    let br = world.view().link(a.name(), "br0").context("br0")?;
    assert_eq!((&br["Driver"], &vx["MasterIndex"]), (&json!("bridge"), &br["IfIndex"]));
    assert!(world.view().has_edge(["br0", "vx", "layer2", ""]));
    world.wait("the pair", |v| (v.pairs(&["va", "vb"]) == 1).then_some(())).await?;
    let name = |l: &Json| l["LinkNetNsName"] == b.name();
    world.wait_link(&a, "va", "the other namespace", name).await?;
    world.stop().await
}

/// The first half of a pair is announced before the two are joined: each pair must become an edge all the same.
#[tokio::test(flavor = "multi_thread")]
async fn every_pair_is_joined() -> Result<()> {
    const PAIRS: usize = 300;
    if !require_root() {
        return Ok(());
    }
    let _turn = turn().await;
    let a = Netns::with_loopback("pairs")?;
    let mut world = World::of(&[&a])?;
    world.wait("the namespace", |v| v.link(a.name(), "lo")).await?;
    let before = world.view().veth_edges();
    let pairs: Vec<String> =
        (0..PAIRS).map(|i| format!("link add p{i} type veth peer name q{i}\n")).collect();
    a.batch(&pairs.concat())?;
    world.wait("all pairs", |v| (v.veth_edges() == before + PAIRS).then_some(())).await?;
    world.stop().await
}

#[tokio::test(flavor = "multi_thread")]
async fn an_interface_lives() -> Result<()> {
    if !require_root() {
        return Ok(());
    }
    let _turn = turn().await;
    let a = Netns::with_loopback("life")?;
    let mut world = World::of(&[&a])?;
    world.wait("the namespace", |v| v.link(a.name(), "lo")).await?;

    a.ip(&["link", "add", "one", "type", "veth", "peer", "name", "two"])?;
    world.wait_link(&a, "one", "creation", |l| l["State"] == "DOWN" && l["Driver"] == "veth").await?;
    let id = world.view().link_id(a.name(), "one");
    world.wait("the pair", |v| v.has_edge(["one", "two", "layer2", "veth"]).then_some(())).await?;

    a.ip(&["link", "set", "one", "name", "uno"])?;
    world.wait_link(&a, "uno", "rename", |_| true).await?;
    assert_eq!(world.view().link_id(a.name(), "uno"), id, "the same node");
    assert_eq!(world.view().link(a.name(), "one"), None);

    a.ip(&["link", "set", "uno", "up"])?;
    a.ip(&["link", "set", "two", "up"])?;
    world.wait_link(&a, "uno", "up", |l| l["State"] == "UP" && l["LinkFlags"][0] == "UP").await?;

    a.ip(&["link", "set", "uno", "alias", "first"])?;
    world.wait_link(&a, "uno", "an alias", |l| l["Alias"] == "first").await?;

    a.ip(&["addr", "add", "10.3.0.1/24", "dev", "uno"])?;
    a.ip(&["addr", "add", "10.3.0.2/24", "dev", "uno"])?;
    a.ip(&["addr", "add", "fd01::1/64", "dev", "uno", "nodad"])?;
    let both = |l: &Json| {
        l["IPV4"] == json!(["10.3.0.1/24", "10.3.0.2/24"]) && l["IPV6"].to_string().contains("fd01::1/64")
    };
    world.wait_link(&a, "uno", "addresses", both).await?;
    a.ip(&["addr", "del", "10.3.0.2/24", "dev", "uno"])?;
    world.wait_link(&a, "uno", "one address less", |l| l["IPV4"] == json!(["10.3.0.1/24"])).await?;

    let prefix = |l: &Json, p: &str| l["RoutingTables"].to_string().contains(p);
    a.ip(&["route", "add", "10.4.0.0/16", "via", "10.3.0.9"])?;
    world.wait_link(&a, "uno", "a route", |l| prefix(l, "10.4.0.0/16")).await?;
    a.ip(&["route", "replace", "10.4.0.0/16", "via", "10.3.0.8"])?;
    let eight = |l: &Json| prefix(l, "10.3.0.8") && !prefix(l, "10.3.0.9");
    world.wait_link(&a, "uno", "another route", eight).await?;
    a.ip(&["-6", "route", "add", "fd02::/64", "nexthop", "via", "fd01::2", "nexthop", "via", "fd01::3"])?;
    world.wait_link(&a, "uno", "both hops", |l| prefix(l, "fd01::2") && prefix(l, "fd01::3")).await?;
    a.ip(&["-6", "route", "del", "fd02::/64", "via", "fd01::2"])?;
    let one = |l: &Json| !prefix(l, "fd01::2") && prefix(l, "fd01::3");
    world.wait_link(&a, "uno", "one hop", one).await?;
    a.ip(&["route", "del", "10.4.0.0/16"])?;
    world.wait_link(&a, "uno", "no route", |l| !prefix(l, "10.4.0.0/16")).await?;

    a.ip(&["neigh", "add", "10.3.0.7", "lladdr", "02:00:00:00:00:07", "dev", "uno", "nud", "permanent"])?;
    let known = |l: &Json| l["Neighbors"].to_string().contains("02:00:00:00:00:07");
    let uno = world.wait_link(&a, "uno", "a neighbour", known).await?;
    let entries = uno["Neighbors"].as_array().context("neighbours")?;
    let entry = entries.iter().find(|n| n["IP"] == "10.3.0.7").context("the neighbour")?;
    assert_eq!(entry["State"], json!(["NUD_PERMANENT"]));
    a.ip(&["neigh", "del", "10.3.0.7", "dev", "uno"])?;
    world.wait_link(&a, "uno", "no neighbour", |l| !known(l)).await?;

    bridge(&a, "br0", &["two"])?;
    world.wait("membership", |v| v.has_edge(["br0", "two", "layer2", ""]).then_some(())).await?;
    let port = |l: &Json| l["BridgePort"]["State"] == "forwarding";
    world.wait_link(&a, "two", "what the bridge says", port).await?;
    a.exec(&["bridge", "fdb", "add", "02:00:00:00:00:55", "dev", "two", "master", "static"])?;
    let entry = |l: &Json| l["FDB"].to_string().contains("02:00:00:00:00:55");
    world.wait_link(&a, "two", "an entry", entry).await?;
    a.exec(&["bridge", "fdb", "del", "02:00:00:00:00:55", "dev", "two", "master"])?;
    world.wait_link(&a, "two", "no entry", |l| !entry(l)).await?;
    a.ip(&["link", "set", "two", "nomaster"])?;
    world.wait("no membership", |v| (!v.has_edge(["br0", "two", "layer2", ""])).then_some(())).await?;

    // IPv4 routes leave without a word when the interface goes down.
    a.ip(&["route", "add", "10.5.0.0/16", "via", "10.3.0.9"])?;
    world.wait_link(&a, "uno", "a route", |l| prefix(l, "10.5.0.0/16")).await?;
    a.ip(&["link", "set", "uno", "down"])?;
    let down = |l: &Json| l["State"] == "DOWN" && !prefix(l, "10.5.0.0/16");
    world.wait_link(&a, "uno", "down", down).await?;

    a.exec(&["ethtool", "-K", "uno", "gro", "on"])?;
    world.wait_link(&a, "uno", "a feature", |l| l["Features"]["rx-gro"] == true).await?;

    a.ip(&["link", "del", "uno"])?;
    world.wait("deletion", |v| v.link(a.name(), "uno").is_none().then_some(())).await?;
    world.wait("the other end too", |v| v.link(a.name(), "two").is_none().then_some(())).await?;
    world.stop().await
}

/// What lies on a bridge is as fast as the bridge, which is as fast as its ports that are up; nobody tells.
#[tokio::test(flavor = "multi_thread")]
async fn speed_follows_the_interface_below() -> Result<()> {
    if !require_root() {
        return Ok(());
    }
    let _turn = turn().await;
    let a = Netns::new("speed")?;
    a.ip(&["link", "add", "port", "type", "veth", "peer", "name", "end"])?;
    bridge(&a, "br0", &["port"])?;
    a.ip(&["link", "set", "end", "up"])?;
    a.ip(&["link", "add", "mv", "link", "br0", "type", "macvlan", "mode", "bridge"])?;
    a.ip(&[
        "link", "add", "vx", "type", "vxlan", "id", "7", "remote", "10.0.0.2", "dstport", "4789", "dev",
        "br0",
    ])?;
    a.ip(&["link", "set", "mv", "up"])?;
    a.ip(&["link", "set", "vx", "up"])?;
    let mut world = World::of(&[&a])?;
    for name in ["br0", "mv", "vx"] {
        world.wait_link(&a, name, "the speed of the port", |l| l["Speed"] == 10000).await?;
    }
    a.ip(&["link", "set", "port", "nomaster"])?;
    for name in ["br0", "mv", "vx"] {
        world.wait_link(&a, name, "no speed", |l| l["Speed"].is_null()).await?;
    }
    a.ip(&["link", "set", "port", "master", "br0"])?;
    for name in ["br0", "mv", "vx"] {
        world.wait_link(&a, name, "the speed of the port again", |l| l["Speed"] == 10000).await?;
    }
    a.ip(&["link", "set", "port", "down"])?;
    for name in ["br0", "mv", "vx"] {
        world.wait_link(&a, name, "no speed", |l| l["Speed"].is_null()).await?;
    }
    world.stop().await
}

#[tokio::test(flavor = "multi_thread")]
async fn an_interface_moves() -> Result<()> {
    if !require_root() {
        return Ok(());
    }
    let _turn = turn().await;
    let (a, b) = (Netns::new("a")?, Netns::new("b")?);
    let mut world = World::of(&[&a, &b])?;
    a.ip(&["link", "add", "one", "type", "veth", "peer", "name", "two"])?;
    world.wait("the pair", |v| v.has_edge(["one", "two", "layer2", "veth"]).then_some(())).await?;
    a.ip(&["link", "set", "two", "netns", b.name()])?;
    world.wait_link(&b, "two", "arrival", |_| true).await?;
    world.wait("departure", |v| v.link(a.name(), "two").is_none().then_some(())).await?;
    world.wait("the pair again", |v| (v.pairs(&["one", "two"]) == 1).then_some(())).await?;
    a.ip(&["link", "set", "one", "netns", b.name()])?;
    world.wait_link(&b, "one", "arrival", |l| l.get("LinkNetNsID").is_none()).await?;
    world
        .wait("together again", |v| {
            (v.pairs(&["one", "two"]) == 1 && v.owned(a.name()).len() == 1).then_some(())
        })
        .await?;
    world.stop().await
}

#[tokio::test(flavor = "multi_thread")]
async fn pairs_with_equal_numbers_find_each_other() -> Result<()> {
    if !require_root() {
        return Ok(());
    }
    let _turn = turn().await;
    // Fresh namespaces number alike: every end has the number 2, of two pairs.
    let all: Vec<Netns> = Netns::many("eq", 4)?;
    let [a, b, c, d] = &all[..] else { unreachable!("four were asked for") };
    let mut world = World::of(&[a, b])?;
    veth_pair(a, "va", b, "vb")?;
    world.wait("the first pair", |v| (v.pairs(&["va", "vb"]) == 1).then_some(())).await?;
    veth_pair(c, "vc", d, "vd")?;
    world.name(c)?;
    world.name(d)?;
    world.wait("the second pair", |v| (v.pairs(&["vc", "vd"]) == 1).then_some(())).await?;
    let numbers: Vec<Json> = [(a, "va"), (b, "vb"), (c, "vc"), (d, "vd")]
        .iter()
        .filter_map(|(ns, name)| Some(world.view().link(ns.name(), name)?["IfIndex"].clone()))
        .collect();
    assert_eq!(numbers, [2, 2, 2, 2]);
    let all = ["va", "vb", "vc", "vd"];
    assert_eq!(world.view().pairs(&all), 2, "none across");
    world.stop().await
}

#[tokio::test(flavor = "multi_thread")]
async fn a_macvlan_in_a_container_lies_on_the_hosts_interface() -> Result<()> {
    if !require_root() {
        return Ok(());
    }
    let _turn = turn().await;
    let (host, container) = (Netns::new("host")?, Netns::new("ctr")?);
    let mut world = World::of(&[&host, &container])?;
    host.ip(&["link", "add", "low", "type", "veth", "peer", "name", "other"])?;
    host.ip(&[
        "link",
        "add",
        "mv",
        "link",
        "low",
        "netns",
        container.name(),
        "type",
        "macvlan",
        "mode",
        "bridge",
    ])?;
    let mv = world.wait_link(&container, "mv", "its mode", |l| l["LinkDetails"]["Mode"] == "bridge").await?;
    assert_eq!(mv["Type"], "macvlan");
    world.wait("below", |v| v.has_edge(["low", "mv", "layer2", "macvlan"]).then_some(())).await?;
    world.stop().await
}

#[tokio::test(flavor = "multi_thread")]
async fn counters_are_sampled() -> Result<()> {
    if !require_root() {
        return Ok(());
    }
    let _turn = turn().await;
    let a = Netns::with_loopback("count")?;
    let mut world = World::of(&[&a])?;
    let lo = world.wait_link(&a, "lo", "the interface", |_| true).await?;
    assert_eq!(lo.get("Metric"), None, "nothing was counted yet");
    a.exec(&["ping", "-c", "3", "-i", "0.01", "127.0.0.1"])?;
    let counted = |l: &Json| l["Metric"]["RxPackets"] == 6 && l["LastUpdateMetric"]["RxPackets"].is_number();
    let lo = world.wait_link(&a, "lo", "counters", counted).await?;
    let (total, last) = (&lo["Metric"], &lo["LastUpdateMetric"]);
    assert_eq!(total["Start"], Json::Null);
    assert_eq!(total["Last"], last["Last"]);
    assert!(last["Start"].as_i64().context("start")? < last["Last"].as_i64().context("last")?);
    assert_eq!(total["RxBytes"], total["TxBytes"]);
    world.stop().await
}
