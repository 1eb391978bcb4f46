//! Ctrl-C while a pipe is read: it ends the capture, not the reading.
//!
//! A terminal sends it to all programs of a pipeline. Who writes, as tcpdump does, then ends with what it still holds.
//! So the pipe is read on to its end, unless that is long in coming, and what was read is shown. The second one ends the
//! program at once.

use std::fs::File;
use std::io::{self, PipeReader};
use std::process;
use std::thread;
use std::time::{Duration, Instant};

use rustix::event::{PollFd, PollFlags, Timespec, poll};
use rustix::io::Errno;
use tokio::runtime::Builder;
use tokio::signal::unix::{SignalKind, signal};

use super::progress::now;
use crate::exit;

/// How long the end of a pipe is waited for.
const PATIENCE: Duration = Duration::from_secs(1);

pub(super) struct Interrupt {
    /// Is closed by the first one.
    seen: PipeReader,
    until: Option<Instant>,
}

impl Interrupt {
    /// From now on the first one only tells.
    pub(super) fn watch() -> io::Result<Self> {
        let (seen, tell) = io::pipe()?;
        let runtime = Builder::new_current_thread().enable_io().build()?;
        let entered = runtime.enter();
        let mut interrupts = signal(SignalKind::interrupt())?;
        drop(entered);
        let watch = async move {
            interrupts.recv().await;
            drop(tell);
            interrupts.recv().await;
            process::exit(i32::from(exit::INTERRUPTED));
        };
        thread::Builder::new().name("interrupt".to_owned()).spawn(move || runtime.block_on(watch))?;
        Ok(Self { seen, until: None })
    }

    /// Waits for something to read, or the end of it; false when there is nothing more to wait for.
    pub(super) fn wait(&mut self, file: &File) -> io::Result<bool> {
        if self.until.is_none() {
            let mut either = [PollFd::new(file, PollFlags::IN), PollFd::new(&self.seen, PollFlags::IN)];
            while poll(&mut either, None) == Err(Errno::INTR) {}
            let [file, seen] = either.map(|one| !one.revents().is_empty());
            if seen {
                self.until = Some(now() + PATIENCE);
            }
            if file {
                return Ok(true);
            }
        }
        let left = self.until.map_or(Duration::ZERO, |until| until.saturating_duration_since(now()));
        if left.is_zero() {
            return Ok(false);
        }
        let left = Timespec::try_from(left).map_err(io::Error::other)?;
        Ok(poll(&mut [PollFd::new(file, PollFlags::IN)], Some(&left))? > 0)
    }
}
