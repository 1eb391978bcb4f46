//! What happens to namespaces.

use std::path::Path;

use anyhow::{Context, Result};
use serde_json::json;
use skydive_probes::Health;
use skydive_testnet::{Netns, ScratchDir, Unnamed, require_root, veth_pair};

use crate::world::{World, turn};

#[tokio::test(flavor = "multi_thread")]
async fn names_come_and_go() -> Result<()> {
    if !require_root() {
        return Ok(());
    }
    let _turn = turn().await;
    let mut world = World::start(Path::new("/run/netns"))?;
    let a = Netns::new("named")?;
    let shown = world.wait("a name", |v| v.netns(a.name())).await?;
    assert_eq!(shown["Path"], format!("/run/netns/{}", a.name()));
    assert_eq!(shown["Inode"], a.inode()?);
    assert!(shown["Device"].is_number());
    assert_eq!(shown.get("Pids"), None);
    world.wait_link(&a, "lo", "what is inside", |_| true).await?;
    let b = Netns::new("other")?;
    veth_pair(&a, "va", &b, "vb")?;
    world.wait("the pair", |v| (v.pairs(&["va", "vb"]) == 1).then_some(())).await?;
    let (name, other) = (a.name().to_owned(), b.name().to_owned());
    a.delete()?;
    world.wait("no name", |v| v.netns(&name).is_none().then_some(())).await?;
    // Our sockets are closed, nothing keeps the namespace, and the other end goes with it.
    world.wait("no other end", |v| v.link(&other, "vb").is_none().then_some(())).await?;
    world.wait("nothing left", |v| (v.pairs(&["va", "vb"]) == 0).then_some(())).await?;
    world.stop().await
}

#[tokio::test(flavor = "multi_thread")]
async fn one_namespace_with_two_names_is_one_node() -> Result<()> {
    if !require_root() {
        return Ok(());
    }
    let _turn = turn().await;
    let a = Netns::new("two")?;
    let scratch = ScratchDir::new("names")?;
    // The directory itself comes later than the probe.
    let names = scratch.path().join("later/names");
    let mut world = World::start(&names)?;
    std::fs::create_dir_all(&names)?;
    std::os::unix::fs::symlink(a.path(), names.join("first"))?;
    world.wait("the first name", |v| v.link("first", "lo")).await?;
    std::os::unix::fs::symlink(a.path(), names.join("second"))?;
    std::os::unix::fs::symlink("/proc/self/ns/net", names.join("host"))?;
    std::fs::write(names.join("not-a-namespace"), "")?;
    std::fs::remove_file(names.join("first"))?;
    world.wait("the second name", |v| v.link("second", "lo")).await?;
    let view = world.view();
    assert_eq!((view.netns("first"), view.netns("host")), (None, None));
    std::fs::remove_file(names.join("second"))?;
    world.wait("no name", |v| v.netns("second").is_none().then_some(())).await?;
    world.stop().await
}

#[tokio::test(flavor = "multi_thread")]
async fn processes_hold_namespaces() -> Result<()> {
    if !require_root() {
        return Ok(());
    }
    let _turn = turn().await;
    let scratch = ScratchDir::new("empty")?;
    let a = Netns::new("peer")?;
    std::os::unix::fs::symlink(a.path(), scratch.path().join(a.name()))?;
    let mut world = World::start(scratch.path())?;
    world.wait("the named one", |v| v.link(a.name(), "lo")).await?;
    let mut held = Unnamed::new()?;
    let path = format!("net:[{}]", held.inode()?);
    let node = world.wait("the process", |v| v.netns_by_path(&path).filter(|n| n["Name"] == "sleep")).await?;
    assert_eq!(node["Type"], "netns");
    assert_eq!(node["Pids"], json!([held.pid()]));
    world.wait("what is inside", |v| (v.owned(&path).len() == 1).then_some(())).await?;

    // A link that leads there, and a process that joins and outlives the first.
    a.ip(&["link", "add", "va", "type", "veth", "peer", "name", "vb", "netns", &held.pid().to_string()])?;
    world.wait("the pair", |v| (v.pairs(&["va", "vb"]) == 1).then_some(())).await?;
    world.wait_link(&a, "va", "the name of the other side", |l| l["LinkNetNsName"] == path.as_str()).await?;
    let second = held.join(&["tail", "-f", "/dev/null"])?;
    held.kill_first();
    let is_second = |n: &serde_json::Value| n["Pids"] == json!([second]) && n["Name"] == "tail";
    world.wait("the heir", |v| v.netns_by_path(&path).filter(is_second)).await?;

    // It gets a name and is another node then; without the name it is again what it was.
    let name = scratch.path().join("given");
    std::os::unix::fs::symlink(held.path(), &name)?;
    world.wait("a name", |v| v.link("given", "vb")).await?;
    assert_eq!(world.view().netns_by_path(&path), None);
    std::fs::remove_file(&name)?;
    world
        .wait("no name", |v| v.link(&path, "vb").or_else(|| v.owned(&path).first().map(|_| json!(0))))
        .await?;
    drop(held);
    world.wait("the end", |v| v.netns_by_path(&path).is_none().then_some(())).await?;
    world.wait("no pair", |v| v.link(a.name(), "va").is_none().then_some(())).await?;
    world.stop().await
}

/// The kernel cuts the name of a command at 15 bytes, in the middle of a character too.
#[tokio::test(flavor = "multi_thread")]
async fn a_process_whose_name_is_cut_inside_a_character_holds_a_namespace() -> Result<()> {
    if !require_root() {
        return Ok(());
    }
    let _turn = turn().await;
    let scratch = ScratchDir::new("cut")?;
    let program = scratch.path().join("xüberwachungsää");
    std::fs::copy("/bin/sleep", &program)?;
    let a = Netns::new("peer")?;
    let mut world = World::of(&[&a])?;
    let held = Unnamed::held_by(&[program.to_str().context("a name")?, "600"])?;
    let path = format!("net:[{}]", held.inode()?);
    a.ip(&["link", "add", "va", "type", "veth", "peer", "name", "vb", "netns", &held.pid().to_string()])?;
    // The namespace may be found while the process is still the program that made it.
    let is_cut = |n: &serde_json::Value| n["Name"] == "xüberwachungs\u{fffd}";
    world.wait("the process", |v| v.netns_by_path(&path).filter(is_cut)).await?;
    world.wait("what is inside", |v| v.link(&path, "vb")).await?;
    world.wait("the pair", |v| (v.pairs(&["va", "vb"]) == 1).then_some(())).await?;
    world.stop().await
}

#[tokio::test(flavor = "multi_thread")]
async fn health_is_told() -> Result<()> {
    if !require_root() {
        return Ok(());
    }
    let _turn = turn().await;
    let a = Netns::new("health")?;
    let mut world = World::of(&[&a])?;
    world.wait_link(&a, "lo", "the interface", |_| true).await?;
    let told = world.health.lock().expect("no panic").clone();
    assert_eq!(told.get("netlink"), Some(&Health::Running));
    assert_eq!(told.get("netns"), Some(&Health::Running));
    let path = world.path_of(&a).context("path")?;
    assert_eq!(world.view().netns(a.name()).context("netns")?["Path"], path.display().to_string());
    world.unname(a.name())?;
    world.wait("no name", |v| v.netns(a.name()).is_none().then_some(())).await?;
    world.stop().await
}
