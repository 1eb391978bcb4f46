//! Named network namespaces that end with their guard.

use std::path::PathBuf;
use std::process::{Command, Stdio};
use std::sync::atomic::{AtomicU32, Ordering};

use anyhow::{Context, Result, bail};

use crate::run::{Running, run, run_with_input};

/// A fresh namespace `t<pid>-<n>-<hint>` under `/run/netns`, deleted on drop.
///
/// Deleting the name also deletes the links in it, unless a process still holds the namespace:
/// drop the [`Running`] guards first (a later `let` is dropped earlier).
#[derive(Debug)]
pub struct Netns {
    name: String,
}

impl Netns {
    /// Makes an empty namespace; `lo` is there and down, as the kernel leaves it.
    pub fn new(hint: &str) -> Result<Self> {
        let mut made = Self::many(hint, 1)?;
        made.pop().context("no namespace was made")
    }

    /// As [`Netns::new`], with `lo` up.
    pub fn with_loopback(hint: &str) -> Result<Self> {
        let netns = Self::new(hint)?;
        netns.ip(&["link", "set", "lo", "up"])?;
        Ok(netns)
    }

    /// Makes `count` namespaces with one `ip` process: about half a millisecond each.
    pub fn many(hint: &str, count: usize) -> Result<Vec<Self>> {
        let made: Vec<Self> = (0..count).map(|_| Self { name: fresh_name(hint) }).collect();
        let lines: Vec<_> = made.iter().map(|netns| format!("netns add {}", netns.name)).collect();
        // When the batch fails half-way, dropping `made` deletes what was made.
        run_with_input(Command::new("ip").args(["-batch", "-"]), &lines.join("\n"))?;
        Ok(made)
    }

    /// The name under `/run/netns`.
    pub fn name(&self) -> &str {
        &self.name
    }

    /// `/run/netns/NAME`.
    pub fn path(&self) -> PathBuf {
        PathBuf::from("/run/netns").join(&self.name)
    }

    /// The inode of the namespace, as in `net:[4026532008]`.
    pub fn inode(&self) -> Result<u64> {
        Ok(rustix::fs::stat(self.path()).with_context(|| self.name.clone())?.st_ino)
    }

    /// Runs `ip ARGS` in the namespace and returns what it printed.
    pub fn ip(&self, args: &[&str]) -> Result<String> {
        run(Command::new("ip").args(["-n", &self.name]).args(args))
    }

    /// Runs many `ip` command lines (without the word `ip`) in one process; stops at the first that
    /// fails. The way to make thousands of links.
    pub fn batch(&self, lines: &str) -> Result<()> {
        run_with_input(Command::new("ip").args(["-n", &self.name, "-batch", "-"]), lines).map(drop)
    }

    /// Runs a command in the namespace to its end and returns its output.
    pub fn exec(&self, command: &[&str]) -> Result<String> {
        run(&mut self.command(command)?)
    }

    /// Starts a command in the namespace; it is killed when the guard is dropped. The guard's process id
    /// is the command's own. Output goes to `/dev/null`; use [`Netns::command`] for other plans.
    pub fn spawn(&self, command: &[&str]) -> Result<Running> {
        let mut command = self.command(command)?;
        Running::start(command.stdin(Stdio::null()).stdout(Stdio::null()).stderr(Stdio::null()))
    }

    /// The command prepared to run in the namespace. `ip netns exec` gives it a `/sys` of its own that
    /// shows the namespace's interfaces.
    pub fn command(&self, command: &[&str]) -> Result<Command> {
        if command.is_empty() {
            bail!("empty command for {}", self.name);
        }
        let mut prepared = Command::new("ip");
        prepared.args(["netns", "exec", &self.name]).args(command);
        Ok(prepared)
    }

    /// Deletes the namespace now; an error if it is gone already.
    pub fn delete(self) -> Result<()> {
        run(Command::new("ip").args(["netns", "del", &self.name]))?;
        std::mem::forget(self);
        Ok(())
    }
}

impl Drop for Netns {
    fn drop(&mut self) {
        // The test may have deleted it; nothing else can be done about a failure here.
        let _ = run(Command::new("ip").args(["netns", "del", &self.name]));
    }
}

/// A name that no living test uses: process id, a counter, and the hint for the reader.
pub(crate) fn fresh_name(hint: &str) -> String {
    static COUNT: AtomicU32 = AtomicU32::new(0);
    let pid = std::process::id();
    loop {
        let name = format!("t{pid}-{}-{hint}", COUNT.fetch_add(1, Ordering::Relaxed));
        // Taken by a killed process that had our id.
        if !PathBuf::from("/run/netns").join(&name).exists() {
            return name;
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::require_root;

    #[test]
    fn namespace_lives_as_long_as_its_guard() {
        if !require_root() {
            return;
        }
        let netns = Netns::new("life").unwrap();
        let path = netns.path();
        assert!(path.exists());
        assert!(netns.name().ends_with("-life"));
        assert!(netns.ip(&["link", "show", "lo"]).unwrap().contains("state DOWN"));
        drop(netns);
        assert!(!path.exists());
    }

    #[test]
    fn loopback_is_up_when_asked_for() {
        if !require_root() {
            return;
        }
        let netns = Netns::with_loopback("lo").unwrap();
        assert!(netns.ip(&["link", "show", "lo"]).unwrap().contains("LOOPBACK,UP"));
    }

    #[test]
    fn batch_makes_many_links_and_names_the_line_that_fails() {
        if !require_root() {
            return;
        }
        let netns = Netns::new("batch").unwrap();
        let lines: Vec<_> = (0..100).map(|i| format!("link add v{i} type veth peer name w{i}")).collect();
        netns
            .batch(&lines.join(
                "
",
            ))
            .unwrap();
        assert_eq!(netns.ip(&["-o", "link"]).unwrap().lines().count(), 201);
        let error = netns.batch("link set nosuch up\n").unwrap_err();
        assert!(error.to_string().contains("nosuch"), "{error}");
    }

    #[test]
    fn many_namespaces_are_distinct_and_all_deleted() {
        if !require_root() {
            return;
        }
        let made = Netns::many("many", 20).unwrap();
        let mut inodes: Vec<_> = made.iter().map(|netns| netns.inode().unwrap()).collect();
        inodes.sort_unstable();
        inodes.dedup();
        assert_eq!(inodes.len(), 20);
        let paths: Vec<_> = made.iter().map(Netns::path).collect();
        drop(made);
        assert!(paths.iter().all(|path| !path.exists()));
    }

    #[test]
    fn commands_run_inside_and_die_with_their_guard() {
        if !require_root() {
            return;
        }
        let netns = Netns::new("exec").unwrap();
        let inside = netns.exec(&["readlink", "/proc/self/ns/net"]).unwrap();
        assert_eq!(inside.trim(), format!("net:[{}]", netns.inode().unwrap()));
        let sleep = netns.spawn(&["sleep", "600"]).unwrap();
        let proc = PathBuf::from(format!("/proc/{}", sleep.pid()));
        assert!(proc.exists());
        drop(sleep);
        assert!(!proc.exists());
    }
}
