//! Network namespaces: which one a file stands for, and the one thread that enters them.
//!
//! A thread belongs to one namespace and so does every socket it opens, for good. [`Namespaces`] owns a thread that
//! steps into a namespace, opens what it is told to, and steps back; nobody else ever changes namespace.

use std::collections::HashMap;
use std::fs::File;
use std::io;
use std::os::fd::{AsFd, OwnedFd};
use std::os::unix::fs::MetadataExt;
use std::path::{Path, PathBuf};
use std::sync::Arc;
use std::sync::mpsc::{self, SyncSender};
use std::thread::{Builder, JoinHandle};

use rustix::fs::{CWD, Mode, OFlags, openat};
use rustix::thread::{LinkNameSpaceType, move_into_link_name_space};
use smol_str::SmolStr;
use thiserror::Error;

use crate::text::read_text;
use crate::{ffi, limits};

/// What a namespace is known by: device and inode of its file.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub struct NsId {
    /// Device of the file system of namespaces.
    pub dev: u64,
    /// Number in it; unique while the namespace lives, then used again.
    pub ino: u64,
}

/// Where sockets are to be opened.
#[derive(Clone, Debug, PartialEq, Eq, Hash)]
pub enum NsRef {
    /// The namespace this process was started in.
    Here,
    /// The namespace a file stands for.
    Path(PathBuf),
}

/// Why a namespace cannot be entered.
#[derive(Debug, Error)]
pub enum EnterError {
    /// The file is not there, or not ours to open.
    #[error("namespace file {0}")]
    Open(PathBuf, #[source] io::Error),
    /// The file is none of a network namespace, or not yet.
    #[error("{0} is not a network namespace")]
    NotANamespace(PathBuf),
    /// The kernel refused; without CAP_SYS_ADMIN it always does.
    #[error("entering namespace {0}")]
    Refused(PathBuf, #[source] io::Error),
    /// The thread ended: it could not step back out of a namespace.
    #[error("namespace thread has ended")]
    Ended,
}

impl NsId {
    /// The namespace a file stands for, told without opening it. The file of a name that is just being made is an
    /// ordinary file at first.
    pub fn of_path(path: &Path) -> Result<Self, EnterError> {
        let fault = |e| EnterError::Open(path.to_owned(), e);
        let meta = std::fs::metadata(path).map_err(fault)?;
        // The kernel has one file system for the files of all namespaces.
        if meta.dev() != Self::here().map_err(fault)?.dev {
            return Err(EnterError::NotANamespace(path.to_owned()));
        }
        Ok(Self { dev: meta.dev(), ino: meta.ino() })
    }

    /// The namespace of this process.
    pub fn here() -> io::Result<Self> {
        let meta = std::fs::metadata(HERE)?;
        Ok(Self { dev: meta.dev(), ino: meta.ino() })
    }
}

const HERE: &str = "/proc/thread-self/ns/net";

fn open(path: &Path) -> Result<(File, NsId), EnterError> {
    /// File system of namespaces.
    const NSFS_MAGIC: i64 = 0x6e73_6673;
    let fault = |e: io::Error| EnterError::Open(path.to_owned(), e);
    // Without NONBLOCK the open would wait when the name is a pipe.
    let flags = OFlags::RDONLY | OFlags::CLOEXEC | OFlags::NONBLOCK | OFlags::NOCTTY;
    let file = File::from(openat(CWD, path, flags, Mode::empty()).map_err(|e| fault(e.into()))?);
    let fs = rustix::fs::fstatfs(&file).map_err(|e| fault(e.into()))?;
    if fs.f_type as i64 != NSFS_MAGIC {
        return Err(EnterError::NotANamespace(path.to_owned()));
    }
    let meta = file.metadata().map_err(fault)?;
    Ok((file, NsId { dev: meta.dev(), ino: meta.ino() }))
}

/// The thread that enters namespaces. Clones share it; it ends with the last of them.
#[derive(Clone, Debug)]
pub struct Namespaces(Arc<Entering>);

#[derive(Debug)]
struct Entering {
    jobs: Option<SyncSender<Job>>,
    thread: Option<JoinHandle<()>>,
}

struct Job {
    target: Option<OwnedFd>,
    work: Box<dyn FnOnce(Result<(), io::Error>) + Send>,
}

/// Callers wait for their answer, so no more jobs wait than there are callers.
const JOBS: usize = 16;

impl Namespaces {
    /// Starts the thread.
    pub fn start() -> io::Result<Self> {
        let (jobs, queue) = mpsc::sync_channel::<Job>(JOBS);
        let thread = Builder::new().name("sky-netns".into()).stack_size(256 << 10).spawn(move || {
            let Ok(home) = File::open(HERE) else { return };
            for Job { target, work } in queue {
                let Some(target) = target else {
                    work(Ok(()));
                    continue;
                };
                let entered = enter(&target);
                let inside = entered.is_ok();
                work(entered);
                // A thread that cannot go home must never open anything again.
                if inside && enter(&home).is_err() {
                    return;
                }
            }
        })?;
        Ok(Self(Arc::new(Entering { jobs: Some(jobs), thread: Some(thread) })))
    }

    /// Runs `work` inside a namespace and waits for it. Only for opening things: `work` must not wait for anything.
    pub fn enter<T: Send + 'static>(
        &self,
        place: &NsRef,
        work: impl FnOnce() -> T + Send + 'static,
    ) -> Result<(NsId, T), EnterError> {
        let (target, id, path) = match place {
            NsRef::Here => {
                let id = NsId::here().map_err(|e| EnterError::Open(HERE.into(), e))?;
                (None, id, PathBuf::new())
            }
            NsRef::Path(path) => {
                let (file, id) = open(path)?;
                (Some(OwnedFd::from(file)), id, path.clone())
            }
        };
        let (reply, answer) = mpsc::sync_channel(1);
        let job = Job {
            target,
            work: Box::new(move |entered| {
                let _ = reply.send(entered.map(|()| work()));
            }),
        };
        let jobs = self.0.jobs.as_ref().ok_or(EnterError::Ended)?;
        jobs.send(job).map_err(|_| EnterError::Ended)?;
        let done = answer.recv().map_err(|_| EnterError::Ended)?;
        done.map(|value| (id, value)).map_err(|e| match e.raw_os_error() {
            Some(libc::EINVAL) => EnterError::NotANamespace(path),
            _ => EnterError::Refused(path, e),
        })
    }
}

fn enter(target: &impl AsFd) -> io::Result<()> {
    Ok(move_into_link_name_space(target.as_fd(), Some(LinkNameSpaceType::Network))?)
}

impl Drop for Entering {
    fn drop(&mut self) {
        self.jobs = None;
        if let Some(thread) = self.thread.take() {
            let _ = thread.join();
        }
    }
}

/// A process that keeps a namespace alive.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub struct Holder {
    /// When it started, in clock ticks since boot. First, so that holders sort by age.
    pub started: u64,
    /// Its number.
    pub pid: u32,
}

/// The namespaces that processes are in.
#[derive(Debug, Default)]
pub struct ProcessNamespaces {
    /// Holders of each namespace but the own one, oldest first.
    pub held: HashMap<NsId, Vec<Holder>>,
    /// Processes, but for the first, whose namespace may not be seen.
    pub hidden: usize,
}

/// Looks at every process. Threads that left the namespace of their process are not looked for. An error leaves
/// nothing: what was found until then may lack any of the holders.
pub fn process_namespaces() -> io::Result<ProcessNamespaces> {
    use std::io::Write;
    let own = NsId::here()?;
    let proc = File::open("/proc")?;
    let mut out = ProcessNamespaces::default();
    let mut path = Vec::with_capacity(32);
    for entry in std::fs::read_dir("/proc")? {
        let Some(pid) = entry?.file_name().to_str().and_then(|n| n.parse::<u32>().ok()) else { continue };
        path.clear();
        let _ = write!(path, "{pid}/ns/net");
        match rustix::fs::statat(&proc, path.as_slice(), rustix::fs::AtFlags::empty()) {
            Ok(stat) => {
                let id = NsId { dev: stat.st_dev, ino: stat.st_ino };
                if id != own
                    && let Some(started) = start_time(pid)?
                {
                    out.held.entry(id).or_default().push(Holder { started, pid });
                }
            }
            // The namespace of the first process is where all came from; some sandboxes close it to everybody.
            Err(rustix::io::Errno::ACCESS | rustix::io::Errno::PERM) if pid == 1 => {}
            Err(rustix::io::Errno::ACCESS | rustix::io::Errno::PERM) => out.hidden += 1,
            Err(_) => {} // ended, or a zombie
        }
    }
    for holders in out.held.values_mut() {
        holders.sort_unstable();
    }
    Ok(out)
}

/// When a process started, in clock ticks since boot; `None` when it ended.
pub fn start_time(pid: u32) -> io::Result<Option<u64>> {
    const FIELDS_AFTER_COMMAND: usize = 19;
    let stat = match read_text(format!("/proc/{pid}/stat")) {
        Ok(stat) => stat,
        Err(e) if e.kind() == io::ErrorKind::NotFound || e.raw_os_error() == Some(libc::ESRCH) => {
            return Ok(None);
        }
        Err(e) => return Err(e),
    };
    // The command stands in parentheses and may hold any character, parentheses too.
    let started = stat
        .rsplit_once(')')
        .and_then(|(_, fields)| fields.split_ascii_whitespace().nth(FIELDS_AFTER_COMMAND)?.parse().ok());
    Ok(started)
}

/// The command a process runs, at most 15 bytes of it.
pub fn command(pid: u32) -> Option<SmolStr> {
    Some(SmolStr::from(read_text(format!("/proc/{pid}/comm")).ok()?.trim_ascii_end()))
}

/// Waits until a process has ended. An error means that it cannot be told, for want of a descriptor perhaps.
pub async fn ended(pid: u32) -> io::Result<()> {
    use rustix::process::{Pid, PidfdFlags, pidfd_open};
    let pid = i32::try_from(pid).ok().and_then(Pid::from_raw).ok_or(io::ErrorKind::InvalidInput)?;
    let fd = match pidfd_open(pid, PidfdFlags::NONBLOCK) {
        Err(rustix::io::Errno::SRCH) => return Ok(()),
        other => other?,
    };
    limits::keep_reserve(&fd)?;
    ffi::readable(fd)?.readable().await?.retain_ready();
    Ok(())
}
