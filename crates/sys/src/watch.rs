//! Names coming and going in a directory (`inotify(7)`), which itself may come and go.

use std::ffi::OsString;
use std::io;
use std::mem::MaybeUninit;
use std::os::fd::OwnedFd;
use std::os::unix::ffi::OsStrExt;
use std::path::{Path, PathBuf};

use rustix::fs::inotify::{self, ReadFlags, WatchFlags};
use tokio::io::unix::AsyncFd;

use crate::ffi;

/// What happened in the directory.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum DirectoryEvent {
    /// A name is there.
    Appeared(OsString),
    /// A name left.
    Vanished(OsString),
    /// Names may have come and gone unseen: the directory appeared, vanished, or too much happened. Read it again.
    Changed,
}

/// A watched directory. While it does not exist, the closest ancestor that does is watched instead.
#[derive(Debug)]
pub struct DirectoryWatch {
    path: PathBuf,
    /// What is to be told of the names inside.
    inside: WatchFlags,
    fd: AsyncFd<OwnedFd>,
    /// Watch descriptor, and whether it is of the directory itself.
    watch: Option<(i32, bool)>,
    pending: Vec<DirectoryEvent>,
}

/// Names coming and going.
const NAMES: WatchFlags =
    WatchFlags::CREATE.union(WatchFlags::DELETE).union(WatchFlags::MOVED_TO).union(WatchFlags::MOVED_FROM);

/// What is behind a name is another than before.
const CONTENTS: WatchFlags = WatchFlags::CLOSE_WRITE.union(WatchFlags::ATTRIB);

/// Room for about a hundred events; the rest waits in the kernel.
const BUFFER: usize = 8192;

impl DirectoryWatch {
    /// Starts watching. What is in the directory already is not told: read it after this call.
    pub fn new(path: &Path) -> io::Result<Self> {
        Self::with(path, NAMES)
    }

    /// As [`DirectoryWatch::new`]; a file also appears when a writer closes it and when its rights change.
    pub fn of_contents(path: &Path) -> io::Result<Self> {
        Self::with(path, NAMES | CONTENTS)
    }

    fn with(path: &Path, inside: WatchFlags) -> io::Result<Self> {
        let fd = inotify::init(inotify::CreateFlags::NONBLOCK | inotify::CreateFlags::CLOEXEC)?;
        let fd = ffi::readable(fd)?;
        let mut watch = Self { path: path.to_owned(), inside, fd, watch: None, pending: Vec::new() };
        watch.arm()?;
        Ok(watch)
    }

    /// Waits for the next event. May be dropped while waiting; nothing is lost.
    pub async fn next(&mut self) -> io::Result<DirectoryEvent> {
        loop {
            if let Some(event) = self.pending.pop() {
                return Ok(event);
            }
            let mut ready = self.fd.readable().await?;
            ready.clear_ready();
            self.read()?;
        }
    }

    /// Watches the directory, or the closest ancestor there is.
    fn arm(&mut self) -> io::Result<()> {
        if let Some((old, _)) = self.watch.take() {
            let _ = inotify::remove_watch(self.fd.get_ref(), old);
        }
        const SELF_GONE: WatchFlags = WatchFlags::DELETE_SELF.union(WatchFlags::MOVE_SELF);
        loop {
            for place in self.path.ancestors() {
                let inside = if place == self.path { self.inside } else { NAMES };
                match inotify::add_watch(self.fd.get_ref(), place, SELF_GONE | inside | WatchFlags::ONLYDIR) {
                    Ok(watch) => {
                        self.watch = Some((watch, place == self.path));
                        break;
                    }
                    Err(rustix::io::Errno::NOENT | rustix::io::Errno::NOTDIR) => {}
                    Err(e) => return Err(e.into()),
                }
            }
            // A directory made between the two looks would be missed: look again.
            match self.watch {
                Some((watch, false)) if self.path.is_dir() => {
                    let _ = inotify::remove_watch(self.fd.get_ref(), watch);
                }
                _ => return Ok(()),
            }
        }
    }

    fn read(&mut self) -> io::Result<()> {
        let mut buffer = [MaybeUninit::uninit(); BUFFER];
        let mut again = false;
        let mut events = Vec::new();
        let mut reader = inotify::Reader::new(self.fd.get_ref(), &mut buffer);
        loop {
            let event = match reader.next() {
                Ok(event) => event,
                Err(rustix::io::Errno::AGAIN) => break,
                Err(rustix::io::Errno::INTR) => continue,
                Err(e) => return Err(e.into()),
            };
            let flags = event.events();
            if flags.contains(ReadFlags::QUEUE_OVERFLOW) {
                events.push(DirectoryEvent::Changed);
                continue;
            }
            let Some((watch, is_target)) = self.watch.filter(|(watch, _)| *watch == event.wd()) else {
                continue; // of an earlier watch
            };
            let gone = ReadFlags::DELETE_SELF | ReadFlags::MOVE_SELF | ReadFlags::IGNORED;
            if !is_target || flags.intersects(gone) {
                again |= watch == event.wd();
                continue;
            }
            let Some(name) = event.file_name().map(|n| std::ffi::OsStr::from_bytes(n.to_bytes()).to_owned())
            else {
                continue;
            };
            const THERE: ReadFlags = ReadFlags::CREATE
                .union(ReadFlags::MOVED_TO)
                .union(ReadFlags::CLOSE_WRITE)
                .union(ReadFlags::ATTRIB);
            if flags.intersects(THERE) {
                events.push(DirectoryEvent::Appeared(name));
            } else if flags.intersects(ReadFlags::DELETE | ReadFlags::MOVED_FROM) {
                events.push(DirectoryEvent::Vanished(name));
            }
        }
        if again {
            let had = matches!(self.watch, Some((_, true)));
            self.arm()?;
            if had || matches!(self.watch, Some((_, true))) {
                events.push(DirectoryEvent::Changed);
            }
        }
        events.reverse();
        self.pending = events;
        Ok(())
    }
}
