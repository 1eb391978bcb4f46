//! The example program that prints the graph, as others run it.

use std::io::{BufRead, BufReader};
use std::path::PathBuf;
use std::process::{Command, Stdio};
use std::sync::atomic::{AtomicU32, Ordering};

use anyhow::{Context, Result};
use serde_json::Value as Json;
use skydive_testnet::{Netns, Running, ScratchDir, require_root, run};

use crate::world::turn;

/// Builds the program the way this test was built, which is quick when it is there already.
pub(crate) fn program() -> Result<PathBuf> {
    // TARGET/PROFILE/deps/topology-HASH
    let test = std::env::current_exe()?;
    let profile = test.ancestors().nth(2).context("directory of the profile")?;
    let name = profile.file_name().context("its name")?.to_string_lossy().into_owned();
    let target = profile.parent().context("target directory")?;
    let name = if name == "debug" { "dev" } else { &name };
    let mut cargo = Command::new(env!("CARGO"));
    cargo.current_dir(env!("CARGO_MANIFEST_DIR"));
    cargo.args(["build", "--quiet", "--locked", "--example", "probe_dump", "--profile", name]);
    run(cargo.arg("--target-dir").arg(target))?;
    Ok(profile.join("examples/probe_dump"))
}

/// The graph that the program printed.
pub(crate) struct Dump {
    nodes: Vec<Json>,
    edges: Vec<Json>,
}

impl Dump {
    pub(crate) fn parse(text: &str) -> Result<Self> {
        let lines: Vec<Json> = text.lines().map(serde_json::from_str).collect::<Result<_, _>>()?;
        let (nodes, edges) = lines.into_iter().partition(|line| line.get("ID").is_some());
        Ok(Self { nodes, edges })
    }

    /// Metadata of the only node that has this name and this type.
    pub(crate) fn node(&self, name: &str, kind: &str) -> Result<&Json> {
        let is_it = |n: &&Json| n["Metadata"]["Name"] == name && n["Metadata"]["Type"] == kind;
        let found: Vec<&Json> = self.nodes.iter().filter(is_it).collect();
        match found[..] {
            [node] => Ok(&node["Metadata"]),
            _ => anyhow::bail!("{} nodes {name} of type {kind}: {:#?}", found.len(), self.names()),
        }
    }

    fn names(&self) -> Vec<String> {
        self.nodes.iter().map(|n| format!("{} {}", n["Metadata"]["Name"], n["Metadata"]["Type"])).collect()
    }

    /// Name of the node that owns the only one of this name.
    pub(crate) fn owner(&self, name: &str) -> Result<&str> {
        let id = |name: &str| self.nodes.iter().find(|n| n["Metadata"]["Name"] == name).map(|n| &n["ID"]);
        let child = id(name).context("the node")?;
        let owns = |e: &&Json| e["Child"] == *child && e["Metadata"]["RelationType"] == "ownership";
        let parent = &self.edges.iter().find(owns).context("an owner")?["Parent"];
        let owner = self.nodes.iter().find(|n| n["ID"] == *parent).context("the owner")?;
        owner["Metadata"]["Name"].as_str().context("its name")
    }

    /// How many namespaces netlink looked into, and how many it could not.
    pub(crate) fn open_and_closed(&self) -> (usize, usize) {
        let all = self.nodes.iter().filter(|n| n["Metadata"]["Type"] == "netns");
        let (closed, open): (Vec<&Json>, Vec<&Json>) =
            all.partition(|n| n["Metadata"]["Degraded"]["netlink"]["Why"].is_string());
        (open.len(), closed.len())
    }

    /// Metadata of the edge between nodes of these names that is no ownership.
    pub(crate) fn edge(&self, parent: &str, child: &str) -> Result<&Json> {
        let name = |id: &Json| {
            let node = self.nodes.iter().find(|n| n["ID"] == *id);
            node.and_then(|n| n["Metadata"]["Name"].as_str()).unwrap_or_default()
        };
        let edge = self.edges.iter().find(|e| {
            name(&e["Parent"]) == parent
                && name(&e["Child"]) == child
                && e["Metadata"]["RelationType"] != "ownership"
        });
        let ends = || {
            self.nodes.iter().filter(|n| [parent, child].iter().any(|name| n["Metadata"]["Name"] == **name))
        };
        let missing = || format!("no edge {parent} -> {child}: {:#?}", ends().collect::<Vec<_>>());
        Ok(&edge.with_context(missing)?["Metadata"])
    }
}

/// Of a user's own rights inside a user namespace nothing can be told from outside, and they do not reach outside.
#[tokio::test]
async fn rights_that_do_not_reach_the_processes_of_others_are_told() -> Result<()> {
    if !require_root() {
        return Ok(());
    }
    let _turn = turn().await;
    let copy = ForAnybody::new()?;
    let mut command = Command::new("setpriv");
    command.args([
        "--reuid=65534",
        "--regid=65534",
        "--clear-groups",
        "unshare",
        "--user",
        "--map-root-user",
    ]);
    let output = command.arg("--net").arg(&copy.0).arg("1").output()?;
    let told = String::from_utf8(output.stderr)?;
    assert!(output.status.success(), "{told}");
    assert!(!told.contains("CAP_SYS_PTRACE"), "{told}");
    assert!(told.contains("netns: Degraded") && told.contains("processes may not be looked at"), "{told}");
    Ok(())
}

/// With as many descriptors as fit a few namespaces, all are found, those that fit are looked into, the others say why
/// not, and are looked into when there is room.
#[tokio::test]
async fn without_descriptors_it_shows_what_fits() -> Result<()> {
    if !require_root() {
        return Ok(());
    }
    let _turn = turn().await;
    let mut all = Netns::many("few", 40)?;
    let names = ScratchDir::new("few")?;
    for netns in &all {
        std::os::unix::fs::symlink(netns.path(), names.path().join(netns.name()))?;
    }
    let limited = |seconds: &str| -> Result<Command> {
        let mut command = Command::new("prlimit");
        command.arg("--nofile=80:80").arg(program()?).arg(seconds).arg(names.path());
        Ok(command)
    };
    let output = limited("3")?.output()?;
    let told = String::from_utf8(output.stderr)?;
    assert!(output.status.success(), "{told}");
    assert!(told.contains("netlink: Degraded") && told.contains("Too many open files"), "{told}");
    assert!(told.contains("netns: Running") && !told.contains("netns: Degraded"), "{told}");
    let dump = Dump::parse(std::str::from_utf8(&output.stdout)?)?;
    for netns in &all {
        dump.node(netns.name(), "netns")?;
    }
    // Namespaces that others on this machine hold count too.
    let (open, closed) = dump.open_and_closed();
    assert!(open >= 5 && closed >= 20, "{open} are looked into, {closed} are not: {told}");

    let mut running = Running::start(limited("60")?.stdout(Stdio::null()).stderr(Stdio::piped()))?;
    let told = running.child().stderr.take().context("what it tells")?;
    let mut lines = BufReader::new(told).lines();
    let mut next =
        |what: &str| lines.by_ref().flatten().find(|line| line.contains(what)).context(what.to_owned());
    next("netlink: Degraded")?;
    for netns in all.drain(3..) {
        std::fs::remove_file(names.path().join(netns.name()))?;
    }
    next("netlink: Running")?;
    Ok(())
}

/// The program where anybody may run it from.
struct ForAnybody(PathBuf);

impl ForAnybody {
    fn new() -> Result<Self> {
        static COPIES: AtomicU32 = AtomicU32::new(0);
        let number = COPIES.fetch_add(1, Ordering::Relaxed);
        let copy = std::env::temp_dir().join(format!("probe-dump-{}-{number}", std::process::id()));
        std::fs::copy(program()?, &copy)?;
        Ok(Self(copy))
    }
}

impl Drop for ForAnybody {
    fn drop(&mut self) {
        let _ = std::fs::remove_file(&self.0);
    }
}

#[tokio::test]
async fn without_rights_it_shows_what_it_may_see() -> Result<()> {
    if !require_root() {
        return Ok(());
    }
    let _turn = turn().await;
    let a = Netns::new("rights")?;
    let copy = ForAnybody::new()?;
    let mut command = Command::new("setpriv");
    command.args([
        "--reuid=65534",
        "--regid=65534",
        "--clear-groups",
        "--inh-caps=-all",
        "--bounding-set=-all",
    ]);
    let output = command.arg(&copy.0).arg("1").output()?;
    let (graph, told) = (String::from_utf8(output.stdout)?, String::from_utf8(output.stderr)?);
    assert!(output.status.success(), "{told}");
    let dump = Dump::parse(&graph)?;
    assert_eq!(dump.node("lo", "device")?["EncapType"], "loopback", "the own namespace is open to all");
    let namespace = dump.node(a.name(), "netns")?;
    let degraded = &namespace["Degraded"]["netlink"];
    assert!(degraded["Since"].is_u64(), "{degraded}");
    let why = degraded["Why"].as_str().context("the reason on the node")?;
    assert!(why.contains("not permitted"), "{why}");
    assert!(told.contains("CAP_SYS_ADMIN is missing"), "{told}");
    assert!(told.contains("CAP_SYS_PTRACE is missing"), "{told}");
    Ok(())
}
