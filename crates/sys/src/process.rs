//! What `/proc` tells of a process, and which process has a socket.
//!
//! A process may end at any moment, write anything into its name, and have any file open: nothing here follows a link
//! that a process made, nothing is read beyond a few KiB, and what has gone is passed over.

use std::collections::{HashMap, HashSet};
use std::fs::File;
use std::hash::BuildHasher;
use std::io::{self, Read};

use rustix::fs::{CWD, Dir, Mode, OFlags, openat, readlinkat};
use smol_str::SmolStr;

/// A process. What may not be seen of it is empty.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct ProcessFacts {
    /// Its number.
    pub pid: u32,
    /// Its command, at most 15 bytes of it.
    pub name: SmolStr,
    /// What it runs.
    pub path: SmolStr,
    /// Its control group.
    pub cgroup: SmolStr,
    /// The container that the group is of.
    pub container_id: SmolStr,
}

/// Processes that have sockets.
#[derive(Debug, Default)]
pub struct SocketOwners {
    /// The process of each socket that was looked for and found, by the socket's inode.
    pub pids: HashMap<u32, u32>,
    /// Processes whose files may not be seen.
    pub hidden: usize,
    /// Whether there were more files than are looked at.
    pub is_cut: bool,
}

/// Bytes of a file in `/proc/<pid>` that are read: a page of the smallest size, which is what the kernel gives at once.
const MOST_BYTES: usize = 4096;
/// Files of processes that are looked at in one search.
const MOST_FILES: usize = 1_000_000;

impl ProcessFacts {
    /// Those of a process; `None` when it has ended.
    pub fn read(pid: u32) -> Option<Self> {
        // First what is gone first when it ends.
        let path = readlinkat(CWD, format!("/proc/{pid}/exe"), Vec::new()).unwrap_or_default();
        let name = read_some(&format!("/proc/{pid}/comm")).ok()?;
        Some(Self::of(pid, name.trim_ascii_end().into(), &path.to_string_lossy()))
    }

    /// Those of a process that has this name, as far as they can be seen: nothing but the name when it has ended.
    pub fn read_named(pid: u32, name: SmolStr) -> Self {
        match readlinkat(CWD, format!("/proc/{pid}/exe"), Vec::new()) {
            Ok(path) => Self::of(pid, name, &path.to_string_lossy()),
            Err(rustix::io::Errno::ACCESS | rustix::io::Errno::PERM) => Self::of(pid, name, ""),
            Err(_) => Self { pid, name, ..Self::default() },
        }
    }

    fn of(pid: u32, name: SmolStr, path: &str) -> Self {
        let cgroup = read_some(&format!("/proc/{pid}/cgroup")).unwrap_or_default();
        // What exits runs nothing any more and has been taken to the root: where it was is not known.
        let is_exiting = path.is_empty() && parse_cgroup(&cgroup) == "/";
        let cgroup = if is_exiting { "" } else { parse_cgroup(&cgroup) };
        Self {
            pid,
            name,
            path: path.strip_suffix(" (deleted)").unwrap_or(path).into(),
            container_id: container_of(cgroup).unwrap_or_default().into(),
            cgroup: cgroup.into(),
        }
    }
}

/// A file of a process, which gives all that there is, or all that is asked for, at once.
fn read_some(path: &str) -> io::Result<String> {
    let mut bytes = [0; MOST_BYTES];
    let len = File::open(path)?.read(&mut bytes)?;
    Ok(String::from_utf8_lossy(&bytes[..len]).into_owned())
}

/// The control group in the text of `/proc/<pid>/cgroup`: that of version 2, or, if that is the root, the first of
/// version 1 that is not. See `cgroups(7)`.
pub fn parse_cgroup(text: &str) -> &str {
    let mut first = "";
    for line in text.lines() {
        let mut parts = line.splitn(3, ':');
        let (Some(number), Some(_), Some(path)) = (parts.next(), parts.next(), parts.next()) else {
            continue;
        };
        match path {
            "/" => first = if first.is_empty() { path } else { first },
            _ if number == "0" => return path,
            _ if first.is_empty() || first == "/" => first = path,
            _ => {}
        }
    }
    first
}

/// The container in the path of a control group: the last name in it that has 64 hexadecimal digits, as Docker,
/// containerd, CRI-O and Podman write them, with or without their own name around.
pub fn container_of(cgroup: &str) -> Option<&str> {
    const DIGITS: usize = 64;
    cgroup.rsplit('/').find_map(|name| {
        let name = name.strip_suffix(".scope").unwrap_or(name);
        let id = name.rsplit(['-', ':']).next()?;
        (id.len() == DIGITS && id.bytes().all(|byte| byte.is_ascii_hexdigit())).then_some(id)
    })
}

/// The inode in the name of a file that is a socket (`socket:[4711]`).
pub fn parse_socket_link(name: &[u8]) -> Option<u32> {
    let number = name.strip_prefix(b"socket:[")?.strip_suffix(b"]")?;
    std::str::from_utf8(number).ok()?.parse().ok()
}

/// Looks for the processes of sockets, the newest first, until all are found.
pub fn socket_owners<S: BuildHasher>(wanted: &HashSet<u32, S>) -> io::Result<SocketOwners> {
    let mut owners = SocketOwners::default();
    if wanted.is_empty() {
        return Ok(owners);
    }
    let mut pids: Vec<u32> = std::fs::read_dir("/proc")?
        .filter_map(|entry| entry.ok()?.file_name().to_str()?.parse().ok())
        .collect();
    pids.sort_unstable_by(|a, b| b.cmp(a));
    let (mut left, mut name) = (MOST_FILES, Vec::new());
    for pid in pids {
        let flags = OFlags::RDONLY | OFlags::DIRECTORY | OFlags::CLOEXEC;
        let files = openat(CWD, format!("/proc/{pid}/fd"), flags, Mode::empty());
        let directory = match files {
            Ok(directory) => directory,
            Err(rustix::io::Errno::ACCESS | rustix::io::Errno::PERM) => {
                owners.hidden += 1;
                continue;
            }
            Err(_) => continue, // ended
        };
        let Ok(entries) = Dir::read_from(&directory) else { continue };
        for entry in entries.flatten() {
            if left == 0 {
                owners.is_cut = true;
                return Ok(owners);
            }
            left -= 1;
            let Ok(link) = readlinkat(&directory, entry.file_name(), name) else {
                name = Vec::new();
                continue;
            };
            if let Some(inode) = parse_socket_link(link.to_bytes()).filter(|inode| wanted.contains(inode)) {
                owners.pids.entry(inode).or_insert(pid);
            }
            name = link.into_bytes();
            name.clear();
        }
        if owners.pids.len() == wanted.len() {
            break;
        }
    }
    Ok(owners)
}

#[cfg(test)]
mod tests {
    use std::net::TcpListener;

    use super::*;

    #[test]
    fn control_groups() {
        assert_eq!(parse_cgroup("0::/system.slice/ssh.service\n"), "/system.slice/ssh.service");
        assert_eq!(parse_cgroup("9:name=systemd:/\n4:memory:/jobs/7\n3:cpu:/other\n0::/\n"), "/jobs/7");
        assert_eq!(parse_cgroup("0::/a:b\n"), "/a:b");
        assert_eq!(parse_cgroup("0::/\n"), "/");
        assert_eq!(parse_cgroup("nonsense\n::\n"), "");
    }

    #[test]
    fn containers() {
        let id = "0123456789abcdef".repeat(4);
        for path in [
            format!("/docker/{id}"),
            format!("/system.slice/docker-{id}.scope"),
            format!("/kubepods.slice/kubepods-pod1.slice/cri-containerd-{id}.scope"),
            format!("/kubepods.slice/pod1:cri-containerd:{id}"),
            format!("/machine.slice/libpod-{id}.scope/container"),
        ] {
            assert_eq!(container_of(&path), Some(id.as_str()), "{path}");
        }
        for path in ["/", "", "/docker/0123", &format!("/docker/{}", "g".repeat(64))] {
            assert_eq!(container_of(path), None, "{path}");
        }
    }

    #[test]
    fn names_of_sockets() {
        assert_eq!(parse_socket_link(b"socket:[4711]"), Some(4711));
        for name in
            [&b"socket:[]"[..], b"socket:[4711", b"pipe:[4711]", b"socket:[99999999999]", b"/socket:[1]"]
        {
            assert_eq!(parse_socket_link(name), None);
        }
    }

    #[test]
    fn this_process_has_its_socket_and_is_known() {
        use std::os::fd::AsRawFd;
        let listener = TcpListener::bind("127.0.0.1:0").unwrap();
        let link = std::fs::read_link(format!("/proc/self/fd/{}", listener.as_raw_fd())).unwrap();
        let inode = parse_socket_link(link.as_os_str().as_encoded_bytes()).unwrap();
        let owners = socket_owners(&HashSet::from([inode])).unwrap();
        assert_eq!(owners.pids.get(&inode), Some(&std::process::id()));
        let own = ProcessFacts::read(std::process::id()).unwrap();
        assert_eq!(own.path, std::env::current_exe().unwrap().to_str().unwrap());
        assert!(!own.name.is_empty());
        assert_eq!(ProcessFacts::read(u32::MAX), None);
    }

    #[test]
    fn of_a_process_that_exits_the_name_is_known_and_no_group_is_made_up() {
        use rustix::process::{Pid, WaitId, WaitIdOptions, waitid};
        let mut child = std::process::Command::new("true").spawn().unwrap();
        let pid = Pid::from_child(&child);
        waitid(WaitId::Pid(pid), WaitIdOptions::EXITED | WaitIdOptions::NOWAIT).unwrap();
        let facts = ProcessFacts::read(child.id()).unwrap();
        assert_eq!((facts.name.as_str(), facts.path.as_str(), facts.cgroup.as_str()), ("true", "", ""));
        child.wait().unwrap();
    }
}
