//! Many namespaces, many changes.

use std::time::Duration;

use anyhow::Result;
use skydive_testnet::{Netns, require_root};
use tokio::time::Instant;

use crate::world::{World, turn};

/// What a thousand namespaces may take from the start of the probes.
const THOUSAND: Duration = Duration::from_secs(5);

#[tokio::test(flavor = "multi_thread")]
async fn a_thousand_namespaces_are_shown_within_five_seconds() -> Result<()> {
    if !require_root() {
        return Ok(());
    }
    let _turn = turn().await;
    let all = Netns::many("k", 1000)?;
    let hub = Netns::new("hub")?;
    let lines: Vec<String> = all
        .iter()
        .enumerate()
        .map(|(i, ns)| format!("link add v{i} type veth peer name eth0 netns {}\n", ns.name()))
        .collect();
    hub.batch(&lines.concat())?;
    let names: Vec<&Netns> = all.iter().chain([&hub]).collect();
    let start = Instant::now();
    let mut world = World::of(&names)?;
    let all_there = world.wait("all pairs", |v| {
        (v.counts("netns") >= 1001 && v.counts("veth") >= 2000 && v.veth_edges() >= 1000).then_some(())
    });
    all_there.await?;
    let took = start.elapsed();
    println!("1,001 namespaces, 1,000 pairs: {took:?}");
    assert!(took < THOUSAND, "{took:?}");
    world.stop().await
}

#[tokio::test(flavor = "multi_thread")]
async fn a_storm_ends_in_the_graph_of_a_fresh_start() -> Result<()> {
    if !require_root() {
        return Ok(());
    }
    let _turn = turn().await;
    let a = Netns::with_loopback("storm")?;
    let mut world = World::of(&[&a])?;
    world.wait_link(&a, "lo", "the interface", |_| true).await?;
    a.ip(&["link", "add", "br0", "type", "bridge"])?;
    let mut lines = String::new();
    for i in 0..200 {
        lines.push_str(&format!("link add s{i} type veth peer name r{i}\n"));
    }
    // 10,000 changes: names, sizes, states, members, addresses, and pairs that go and come again.
    for round in 0..18 {
        for i in 0..100 {
            let mtu = 1300 + round * 10 + i % 7;
            lines.push_str(&format!("link set s{i} mtu {mtu}\n"));
            lines.push_str(&format!("link set s{i} {}\n", if (round + i) % 2 == 0 { "up" } else { "down" }));
            lines.push_str(&format!("link set r{i} {}\n", if round % 3 == 0 { "up" } else { "down" }));
            let master = if round % 2 == 0 { "master br0" } else { "nomaster" };
            lines.push_str(&format!("link set r{i} {master}\n"));
            lines.push_str(&format!("addr add 10.{round}.{i}.1/24 dev s{i}\n"));
            if round > 0 {
                lines.push_str(&format!("addr del 10.{}.{i}.1/24 dev s{i}\n", round - 1));
            }
        }
        for i in 100..200 {
            lines.push_str(&format!("link set s{i} alias round{round}\n"));
            // Deleting waits for the kernel's grace periods: a few rounds only.
            if round % 6 == 5 {
                lines.push_str(&format!("link del s{i}\nlink add s{i} type veth peer name r{i}\n"));
            }
        }
    }
    lines.push_str("link add last type veth peer name tsal\n");
    assert!(lines.lines().count() > 10_000);
    a.batch(&lines)?;
    world.wait_link(&a, "last", "the last", |_| true).await?;

    let mut fresh = World::of(&[&a])?;
    fresh.wait_link(&a, "last", "the fresh start", |_| true).await?;
    assert_agree(&mut world, &fresh, a.name()).await;
    assert!(fresh.view().contents(a.name()).len() > 400);
    fresh.stop().await?;
    world.stop().await
}

#[tokio::test(flavor = "multi_thread")]
async fn what_the_kernel_could_not_tell_is_read_again() -> Result<()> {
    if !require_root() {
        return Ok(());
    }
    let _turn = turn().await;
    let a = Netns::with_loopback("gap")?;
    a.ip(&["link", "add", "one", "type", "veth", "peer", "name", "two"])?;
    a.ip(&["link", "add", "three", "type", "veth", "peer", "name", "four"])?;
    let mut world = World::of(&[&a])?;
    world.wait_link(&a, "four", "all that is there", |_| true).await?;
    // Nobody takes what the probe has to say, so that it stops taking what the kernel has to say.
    let held = world.hold().await;
    let lines: Vec<String> = (0..2_000).map(|i| format!("link set one mtu {}\n", 1000 + i % 400)).collect();
    let lines = lines.concat();
    let mut batches = 0;
    while drops(&a)? == 0 {
        assert!(batches < 100, "the socket is never full");
        batches += 1;
        a.batch(&lines)?;
    }
    let lost = "link set one name uno\nlink set uno mtu 1234\nlink del three\nlink add five type veth peer name six\n\
                addr add 10.7.0.1/24 dev five\nlink set five up\nroute add 10.8.0.0/16 dev five\n";
    a.batch(lost)?;
    drop(held);
    let mut fresh = World::of(&[&a])?;
    fresh.wait_link(&a, "six", "the fresh start", |_| true).await?;
    assert_agree(&mut world, &fresh, a.name()).await;
    assert!(world.telemetry.netlink_gaps() > 0);
    assert!(world.view().link(a.name(), "uno").is_some_and(|link| link["MTU"] == 1234));
    fresh.stop().await?;
    world.stop().await
}

/// Messages that sockets of a namespace had no room for.
fn drops(netns: &Netns) -> Result<u64> {
    let sockets = netns.exec(&["cat", "/proc/net/netlink"])?;
    let drops =
        sockets.lines().skip(1).filter_map(|line| line.split_whitespace().nth(8)?.parse::<u64>().ok());
    Ok(drops.sum())
}

async fn assert_agree(world: &mut World, fresh: &World, netns: &str) {
    if world.agrees(fresh, netns).await.is_ok() {
        return;
    }
    let (known, expected) = (world.view().contents(netns), fresh.view().contents(netns));
    let only = |a: &[String], b: &[String]| -> Vec<String> {
        a.iter().filter(|line| !b.contains(line)).take(5).cloned().collect()
    };
    panic!("known: {:#?}\nfresh: {:#?}", only(&known, &expected), only(&expected, &known));
}
