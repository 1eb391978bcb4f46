//! Namespaces without a name, held by a process alone.

use std::path::PathBuf;
use std::process::{Command, Stdio};
use std::time::Duration;

use anyhow::{Context, Result, bail};

use crate::eventually;
use crate::run::{Running, run};

/// How long a holder may take to start; a fork and two execs take milliseconds on an idle machine.
const START: Duration = Duration::from_secs(20);

/// A fresh namespace that exists because a process holds it; it has no entry in `/run/netns`.
#[derive(Debug)]
pub struct Unnamed {
    holders: Vec<Running>,
}

impl Unnamed {
    /// A namespace held by `sleep infinity`.
    pub fn new() -> Result<Self> {
        Self::held_by(&["sleep", "infinity"])
    }

    /// A namespace held by `command`, which should not end by itself.
    pub fn held_by(command: &[&str]) -> Result<Self> {
        let mut unshare = Command::new("unshare");
        let holder = start(unshare.arg("--net").args(command), command)?;
        Ok(Self { holders: vec![holder] })
    }

    /// Starts one more process in the namespace and returns its process id.
    pub fn join(&mut self, command: &[&str]) -> Result<u32> {
        let mut nsenter = Command::new("nsenter");
        let holder = start(nsenter.arg(self.net_option()).args(command), command)?;
        let pid = holder.pid();
        self.holders.push(holder);
        Ok(pid)
    }

    /// Kills the process that made the namespace; the namespace lives on if others joined.
    pub fn kill_first(&mut self) {
        if !self.holders.is_empty() {
            self.holders.remove(0).kill();
        }
    }

    /// The oldest process in the namespace.
    ///
    /// # Panics
    /// When all holders were killed.
    pub fn pid(&self) -> u32 {
        self.holders.first().expect("a namespace without a process is gone").pid()
    }

    /// `/proc/PID/ns/net` of the oldest process.
    pub fn path(&self) -> PathBuf {
        PathBuf::from(format!("/proc/{}/ns/net", self.pid()))
    }

    /// The inode of the namespace, as in `net:[4026532008]`.
    pub fn inode(&self) -> Result<u64> {
        Ok(rustix::fs::stat(self.path()).context("stat of the holder's namespace")?.st_ino)
    }

    /// Runs `ip ARGS` in the namespace.
    pub fn ip(&self, args: &[&str]) -> Result<String> {
        run(Command::new("nsenter").arg(self.net_option()).arg("ip").args(args))
    }

    fn net_option(&self) -> String {
        format!("--net={}", self.path().display())
    }
}

/// Starts the holder and waits until it is `command` itself: before, its namespace may still be ours.
fn start(launcher: &mut Command, command: &[&str]) -> Result<Running> {
    let Some(program) = command.first() else { bail!("empty command for a namespace") };
    let mut running =
        Running::start(launcher.stdin(Stdio::null()).stdout(Stdio::null()).stderr(Stdio::null()))?;
    let name = program.rsplit('/').next().unwrap_or(program);
    // The kernel keeps 15 bytes of a command's name.
    let expected = &name.as_bytes()[..name.len().min(15)];
    let comm = format!("/proc/{}/comm", running.pid());
    eventually(&format!("{command:?}"), START, || {
        let ended = running.child().try_wait().ok().flatten();
        let comm = std::fs::read(&comm).unwrap_or_default();
        (ended.is_some() || comm.trim_ascii_end() == expected).then_some(())
    })?;
    if let Some(status) = running.child().try_wait()? {
        bail!("{command:?} ended at once: {status}");
    }
    Ok(running)
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::{Netns, require_root, veth_pair};

    #[test]
    fn namespace_has_an_inode_of_its_own_and_takes_links() {
        if !require_root() {
            return;
        }
        let mut unnamed = Unnamed::new().unwrap();
        let ours = rustix::fs::stat("/proc/self/ns/net").unwrap().st_ino;
        let inode = unnamed.inode().unwrap();
        assert_ne!(inode, ours);
        unnamed.ip(&["link", "add", "va", "type", "veth", "peer", "name", "vb"]).unwrap();
        assert!(unnamed.ip(&["-o", "link"]).unwrap().contains("va@vb"));

        let second = unnamed.join(&["sleep", "601"]).unwrap();
        unnamed.kill_first();
        assert_eq!(unnamed.pid(), second);
        assert_eq!(unnamed.inode().unwrap(), inode);
    }

    #[test]
    fn links_move_from_a_named_namespace_by_pid() {
        if !require_root() {
            return;
        }
        let (named, other) = (Netns::new("from").unwrap(), Netns::new("peer").unwrap());
        veth_pair(&named, "va", &other, "vb").unwrap();
        let unnamed = Unnamed::new().unwrap();
        named.ip(&["link", "set", "va", "netns", &unnamed.pid().to_string()]).unwrap();
        assert!(unnamed.ip(&["-o", "link"]).unwrap().contains("va@"));
    }

    #[test]
    fn command_that_cannot_be_run_is_an_error() {
        if !require_root() {
            return;
        }
        assert!(Unnamed::held_by(&["/no/such/command"]).is_err());
    }
}
