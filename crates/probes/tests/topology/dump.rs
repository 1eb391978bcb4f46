//! The example program that prints the graph, as others run it.

use std::path::PathBuf;
use std::process::Command;

use anyhow::{Context, Result};
use serde_json::Value as Json;
use skydive_testnet::{Netns, require_root, run};

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

#[tokio::test]
async fn without_rights_it_shows_what_it_may_see() -> Result<()> {
    if !require_root() {
        return Ok(());
    }
    let _turn = turn().await;
    let a = Netns::new("rights")?;
    // Where anybody may run it from.
    let copy = std::env::temp_dir().join(format!("probe-dump-{}", std::process::id()));
    std::fs::copy(program()?, &copy)?;
    let mut command = Command::new("setpriv");
    command.args([
        "--reuid=65534",
        "--regid=65534",
        "--clear-groups",
        "--inh-caps=-all",
        "--bounding-set=-all",
    ]);
    let output = command.arg(&copy).arg("1").output();
    std::fs::remove_file(&copy)?;
    let output = output?;
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
