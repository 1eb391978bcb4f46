//! What this process may do, and how much.

use std::io;
use std::os::fd::{AsFd, AsRawFd};

use rustix::process::{Resource, Rlimit, getrlimit, setrlimit};

use crate::text::read_text;

/// Capabilities in effect.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
#[expect(clippy::struct_excessive_bools, reason = "one flag per capability")]
pub struct Privileges {
    /// May change the network (`CAP_NET_ADMIN`).
    pub net_admin: bool,
    /// May open raw sockets (`CAP_NET_RAW`).
    pub net_raw: bool,
    /// May enter namespaces (`CAP_SYS_ADMIN`).
    pub sys_admin: bool,
    /// May look at any process (`CAP_SYS_PTRACE`).
    pub sys_ptrace: bool,
}

impl Privileges {
    /// Those of this process.
    pub fn read() -> io::Result<Self> {
        Ok(Self::parse(&read_text("/proc/self/status")?))
    }

    /// Names of those that are missing.
    pub fn missing(&self) -> Vec<&'static str> {
        [
            (self.net_admin, "CAP_NET_ADMIN"),
            (self.net_raw, "CAP_NET_RAW"),
            (self.sys_admin, "CAP_SYS_ADMIN"),
            (self.sys_ptrace, "CAP_SYS_PTRACE"),
        ]
        .into_iter()
        .filter_map(|(has, name)| (!has).then_some(name))
        .collect()
    }

    fn parse(status: &str) -> Self {
        let bits = status
            .lines()
            .find_map(|l| l.strip_prefix("CapEff:"))
            .and_then(|hex| u64::from_str_radix(hex.trim(), 16).ok())
            .unwrap_or_default();
        let has = |number: u32| bits >> number & 1 == 1;
        Self { net_admin: has(12), net_raw: has(13), sys_admin: has(21), sys_ptrace: has(19) }
    }
}

/// Raises the number of files this process may open as far as it is allowed to, and says how far: three sockets and
/// a file stay open for every namespace.
pub fn raise_nofile() -> io::Result<u64> {
    let limit = getrlimit(Resource::Nofile);
    if limit.current != limit.maximum {
        setrlimit(Resource::Nofile, Rlimit { current: limit.maximum, maximum: limit.maximum })?;
    }
    Ok(limit.maximum.unwrap_or(u64::MAX))
}

/// Refuses (`EMFILE`) a descriptor that was opened into the reserve: the last quarter of what this process may open,
/// at most 256, stays for files that are read and connections that are accepted while it runs. The kernel gives the
/// lowest number that is free.
pub(crate) fn keep_reserve(fd: &impl AsFd) -> io::Result<()> {
    const MOST: u64 = 256;
    let limit = getrlimit(Resource::Nofile).current.unwrap_or(u64::MAX);
    let is_kept = u64::from(fd.as_fd().as_raw_fd().unsigned_abs()) < limit - (limit / 4).min(MOST);
    if is_kept { Ok(()) } else { Err(io::Error::from_raw_os_error(libc::EMFILE)) }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn capabilities() {
        let all = Privileges::parse("Name:\tx\nCapEff:\t000001ffffffffff\n");
        assert!(all.missing().is_empty());
        let none = Privileges::parse("CapEff:\t0000000000001000\n");
        assert_eq!(none.missing(), ["CAP_NET_RAW", "CAP_SYS_ADMIN", "CAP_SYS_PTRACE"]);
        assert_eq!(Privileges::parse(""), Privileges::default());
    }
}
