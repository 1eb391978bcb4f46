//! Layouts of links that tests use again and again.

use std::process::Command;

use anyhow::Result;

use crate::netns::{Netns, fresh_name};
use crate::run::run;

/// Connects two namespaces (or one with itself) by a veth pair, both ends up.
pub fn veth_pair(a: &Netns, end_a: &str, b: &Netns, end_b: &str) -> Result<()> {
    // Made in place: the ends never exist in the initial namespace, where names could clash.
    a.ip(&["link", "add", end_a, "type", "veth", "peer", "name", end_b, "netns", b.name()])?;
    a.ip(&["link", "set", end_a, "up"])?;
    b.ip(&["link", "set", end_b, "up"])?;
    Ok(())
}

/// A bridge with the given ports, everything up.
pub fn bridge(netns: &Netns, name: &str, ports: &[&str]) -> Result<()> {
    netns.ip(&["link", "add", name, "type", "bridge"])?;
    netns.ip(&["link", "set", name, "up"])?;
    for port in ports {
        netns.ip(&["link", "set", port, "master", name, "up"])?;
    }
    Ok(())
}

/// A VXLAN device to `remote` on the standard port 4789, up. `local` is an address of the namespace.
pub fn vxlan(netns: &Netns, name: &str, vni: u32, local: &str, remote: &str) -> Result<()> {
    let vni = vni.to_string();
    let fixed = ["link", "add", name, "type", "vxlan", "dstport", "4789"];
    netns.ip(&[&fixed[..], &["id", &vni, "local", local, "remote", remote]].concat())?;
    netns.ip(&["link", "set", name, "up"]).map(drop)
}

/// True if this kernel can make links of `kind` that need no further arguments (`dummy`, `vrf`, …).
/// For a kind it lacks, use [`crate::vm`].
pub fn has_link_kind(kind: &str) -> Result<bool> {
    let netns = Netns::new("kind")?;
    // The device goes away with its namespace.
    Ok(netns.ip(&["link", "add", "probe0", "type", kind]).is_ok())
}

/// A veth pair in the initial namespace: for tests of what an agent sees of its own host.
///
/// Names are at most 15 bytes; the guard deletes the pair. Both ends stay down.
#[derive(Debug)]
pub struct HostVeth {
    name: String,
    peer: String,
}

impl HostVeth {
    /// Makes the pair with unique names.
    pub fn new() -> Result<Self> {
        let name = fresh_name("").trim_end_matches('-').to_owned();
        let peer = format!("{name}p");
        run(Command::new("ip").args(["link", "add", &name, "type", "veth", "peer", "name", &peer]))?;
        Ok(Self { name, peer })
    }

    /// The first end.
    pub fn name(&self) -> &str {
        &self.name
    }

    /// The second end.
    pub fn peer(&self) -> &str {
        &self.peer
    }
}

impl Drop for HostVeth {
    fn drop(&mut self) {
        // The test may have deleted it.
        let _ = run(Command::new("ip").args(["link", "del", &self.name]));
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::require_root;

    #[test]
    fn veth_pair_connects_two_namespaces() {
        if !require_root() {
            return;
        }
        let (a, b) = (Netns::new("a").unwrap(), Netns::new("b").unwrap());
        veth_pair(&a, "va", &b, "vb").unwrap();
        a.ip(&["addr", "add", "10.99.0.1/24", "dev", "va"]).unwrap();
        b.ip(&["addr", "add", "10.99.0.2/24", "dev", "vb"]).unwrap();
        a.exec(&["ping", "-c", "1", "-W", "5", "10.99.0.2"]).unwrap();
    }

    #[test]
    fn bridge_holds_its_ports() {
        if !require_root() {
            return;
        }
        let (a, b) = (Netns::new("br").unwrap(), Netns::new("host").unwrap());
        veth_pair(&a, "p1", &b, "e1").unwrap();
        veth_pair(&a, "p2", &b, "e2").unwrap();
        bridge(&a, "br0", &["p1", "p2"]).unwrap();
        let ports = a.ip(&["-o", "link", "show", "master", "br0"]).unwrap();
        assert_eq!(ports.lines().count(), 2, "{ports}");
    }

    #[test]
    fn vxlan_knows_its_ends() {
        if !require_root() {
            return;
        }
        let netns = Netns::with_loopback("vxlan").unwrap();
        vxlan(&netns, "vx0", 42, "127.0.0.1", "127.0.0.2").unwrap();
        let shown = netns.ip(&["-d", "link", "show", "vx0"]).unwrap();
        assert!(shown.contains("vxlan id 42 remote 127.0.0.2"), "{shown}");
    }

    #[test]
    fn unknown_link_kind_is_told_apart() {
        if !require_root() {
            return;
        }
        assert!(has_link_kind("bridge").unwrap());
        assert!(!has_link_kind("nosuchkind").unwrap());
    }

    #[test]
    fn host_veth_lives_as_long_as_its_guard() {
        if !require_root() {
            return;
        }
        let pair = HostVeth::new().unwrap();
        let name = pair.name().to_owned();
        assert!(run(Command::new("ip").args(["link", "show", &name])).is_ok());
        assert!(name.len() <= 14, "{name} and its peer fit the kernel's 15 bytes");
        drop(pair);
        assert!(run(Command::new("ip").args(["link", "show", &name])).is_err());
    }
}
