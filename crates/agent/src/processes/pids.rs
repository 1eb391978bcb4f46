//! Processes by their number: as they were looked at, or as is known without a look.
//!
//! A look at a process costs more than all else that is done for a connection, and comes too late for one that has
//! ended. Who is told of processes that begin, run something else and end need not look at each: one that began and runs
//! nothing else is what the process was that it is a copy of.

use std::collections::HashMap;
use std::sync::Arc;

use skydive_flow::Process;
use skydive_sys::{NsId, ProcessFacts, TaskChange, TaskEvent};
use skydive_value::SmolStr;

/// See the module.
#[derive(Debug)]
pub(super) struct Pids {
    known: HashMap<u32, Known>,
    /// Those that ended since the last change but one was told, and when.
    ended: Vec<(u32, u64)>,
    /// How long a process is what it was; milliseconds.
    fresh: i64,
}

/// What is known of a process, since the time of a change.
#[derive(Debug)]
struct Known {
    what: What,
    since: u64,
}

#[derive(Debug)]
enum What {
    /// This is what it was, at a time.
    Seen(Arc<Process>, Option<NsId>, i64),
    /// It is what this one was when it began.
    CopyOf(u32),
    /// It runs something new.
    Runs(SmolStr),
}

/// Processes that are known at most.
const MOST: usize = 16_384;

impl Pids {
    /// `fresh` says how long a process that nothing is told of is what it was; milliseconds.
    pub(super) fn new(fresh: i64) -> Self {
        Self { known: HashMap::new(), ended: Vec::new(), fresh }
    }

    /// The process of that number, and its network namespace; `None` when it has ended and nothing is known of it.
    pub(super) fn process(&mut self, pid: u32, now: i64) -> Option<(Arc<Process>, Option<NsId>)> {
        let known = self.known.get(&pid);
        let since = known.map_or(0, |known| known.since);
        let (facts, namespace) = match known.map(|known| &known.what) {
            Some(What::Seen(process, namespace, at)) if self.is_fresh(*at, now) => {
                return Some((Arc::clone(process), *namespace));
            }
            Some(What::Seen(..)) | None => (ProcessFacts::read(pid)?, namespace(pid)),
            Some(What::Runs(name)) => (ProcessFacts::read_named(pid, name.clone()), namespace(pid)),
            Some(What::CopyOf(original)) => {
                let original = *original;
                let looked = self.look_at_copy(pid, original, since)?;
                self.learn(original, &looked, since, now);
                looked
            }
        };
        let mut process = Arc::new(process_of(pid, facts));
        if let Some(What::Seen(before, ..)) = self.known.get(&pid).map(|known| &known.what)
            && *before == process
        {
            process = Arc::clone(before);
        }
        self.insert(pid, What::Seen(Arc::clone(&process), namespace, now), since);
        Some((process, namespace))
    }

    /// Takes over that a process changed.
    pub(super) fn tell(&mut self, change: &TaskChange, now: i64) {
        let TaskChange { at, pid, event } = change;
        if *pid == 0 || self.known.get(pid).is_some_and(|known| known.since > *at) {
            return;
        }
        match event {
            TaskEvent::Began(original) => {
                let what = match self.known.get(original).map(|known| &known.what) {
                    Some(What::Seen(process, namespace, seen)) if self.is_fresh(*seen, now) => {
                        What::Seen(Arc::new(Process { pid: *pid, ..(**process).clone() }), *namespace, *seen)
                    }
                    _ => What::CopyOf(*original),
                };
                self.insert(*pid, what, *at);
            }
            TaskEvent::Executed(name) => self.insert(*pid, What::Runs(name.clone()), *at),
            TaskEvent::Renamed => drop(self.known.remove(pid)),
            TaskEvent::Ended => self.ended.push((*pid, *at)),
        }
    }

    /// Forgets those that ended. What they did on another processor may be told of a little later than that they ended:
    /// this is asked for before the next changes.
    pub(super) fn forget_ended(&mut self) {
        for (pid, at) in self.ended.drain(..) {
            if self.known.get(&pid).is_some_and(|known| known.since <= at) {
                self.known.remove(&pid);
            }
        }
    }

    /// Changes were not told: nothing is known any more.
    pub(super) fn clear(&mut self) {
        self.known.clear();
        self.ended.clear();
    }

    /// Looks at one that is still what `original` was when it began, or at that one when it has ended.
    fn look_at_copy(&self, pid: u32, original: u32, since: u64) -> Option<(ProcessFacts, Option<NsId>)> {
        let copy = ProcessFacts::read(pid);
        if copy.as_ref().is_none_or(|copy| copy.path.is_empty())
            && self.is_unchanged(original, since)
            && let Some(facts) = ProcessFacts::read(original)
        {
            return Some((facts, namespace(original)));
        }
        Some((copy?, namespace(pid)))
    }

    /// One that is still what `original` was has been looked at: so that one is known, if it is what it was.
    fn learn(&mut self, original: u32, copy: &(ProcessFacts, Option<NsId>), since: u64, now: i64) {
        let known = self.known.get(&original);
        let is_known =
            matches!(known, Some(Known { what: What::Seen(_, _, at), .. }) if self.is_fresh(*at, now));
        if !is_known && self.is_unchanged(original, since) {
            let process = Arc::new(process_of(original, copy.0.clone()));
            let since = known.map_or(0, |known| known.since);
            self.insert(original, What::Seen(process, copy.1, now), since);
        }
    }

    /// Whether no change of it is known since then.
    fn is_unchanged(&self, pid: u32, since: u64) -> bool {
        self.known.get(&pid).is_none_or(|known| known.since <= since)
    }

    fn insert(&mut self, pid: u32, what: What, since: u64) {
        if self.known.len() >= MOST {
            // All of them: some without the others may tell of what has changed.
            self.known.clear();
        }
        self.known.insert(pid, Known { what, since });
    }

    fn is_fresh(&self, at: i64, now: i64) -> bool {
        (at..at.saturating_add(self.fresh)).contains(&now)
    }
}

fn process_of(pid: u32, facts: ProcessFacts) -> Process {
    let ProcessFacts { name, path, cgroup, container_id, .. } = facts;
    Process { pid, name, path, cgroup, container_id }
}

/// The network namespace of a process.
fn namespace(pid: u32) -> Option<NsId> {
    use std::os::unix::fs::MetadataExt;
    let of = std::fs::metadata(format!("/proc/{pid}/ns/net")).ok()?;
    Some(NsId { dev: of.dev(), ino: of.ino() })
}

#[cfg(test)]
mod tests {
    use std::process::{Child, Command, Stdio};

    use super::*;

    const FRESH: i64 = 1000;

    /// A process that waits until it is dropped.
    struct Waits(Child);

    impl Waits {
        fn begin() -> Self {
            Self(Command::new("sleep").arg("600").stdin(Stdio::null()).spawn().unwrap())
        }

        fn pid(&self) -> u32 {
            self.0.id()
        }
    }

    impl Drop for Waits {
        fn drop(&mut self) {
            let _ = self.0.kill();
            let _ = self.0.wait();
        }
    }

    /// A number that no process has.
    const NOBODY: u32 = u32::MAX;

    fn change(at: u64, pid: u32, event: TaskEvent) -> TaskChange {
        TaskChange { at, pid, event }
    }

    #[test]
    fn a_copy_is_known_without_a_look() {
        let mut pids = Pids::new(FRESH);
        let own = std::process::id();
        let (process, here) = pids.process(own, 0).unwrap();
        assert!(here.is_some());
        pids.tell(&change(5, NOBODY, TaskEvent::Began(own)), 10);
        let (copy, there) = pids.process(NOBODY, 10).unwrap();
        assert_eq!((copy.pid, there), (NOBODY, here));
        assert_eq!((&copy.name, &copy.path, &copy.cgroup), (&process.name, &process.path, &process.cgroup));
        // What is told late is of before.
        pids.tell(&change(4, NOBODY, TaskEvent::Executed("old".into())), 10);
        assert_eq!(pids.process(NOBODY, 10).unwrap().0, copy);
        // It has another name only until it ends.
        pids.tell(&change(6, NOBODY, TaskEvent::Executed("curl".into())), 10);
        assert_eq!(pids.process(NOBODY, 10).unwrap().0.name, "curl");
        pids.tell(&change(7, NOBODY, TaskEvent::Ended), 10);
        assert_eq!(pids.process(NOBODY, 10).unwrap().0.name, "curl");
        pids.forget_ended();
        assert!(pids.process(NOBODY, 10).is_none());
    }

    #[test]
    fn a_copy_that_was_looked_at_tells_of_its_original() {
        let mut pids = Pids::new(FRESH);
        let (copy, other) = (Waits::begin(), NOBODY - 1);
        pids.tell(&change(5, copy.pid(), TaskEvent::Began(NOBODY)), 0);
        let path = pids.process(copy.pid(), 0).unwrap().0.path.clone();
        assert!(!path.is_empty());
        pids.tell(&change(6, other, TaskEvent::Began(NOBODY)), 0);
        assert_eq!(pids.process(other, 0).unwrap().0.path, path);
        // One that has ended was what its original still is.
        let original = Waits::begin();
        pids.tell(&change(7, other, TaskEvent::Began(original.pid())), 0);
        let ended = pids.process(other, 0).unwrap();
        assert_eq!((ended.0.pid, &ended.0.path), (other, &path));
        assert!(ended.1.is_some());
        // Unless the original runs something else by then.
        let mut pids = Pids::new(FRESH);
        pids.tell(&change(5, copy.pid(), TaskEvent::Began(NOBODY)), 0);
        pids.tell(&change(6, NOBODY, TaskEvent::Executed("other".into())), 0);
        pids.process(copy.pid(), 0).unwrap();
        assert_eq!(pids.process(NOBODY, 0).unwrap().0.name, "other");
    }

    #[test]
    fn what_is_old_is_looked_at_again() {
        let mut pids = Pids::new(FRESH);
        let one = Waits::begin();
        let pid = one.pid();
        let (process, _) = pids.process(pid, 0).unwrap();
        assert!(Arc::ptr_eq(&process, &pids.process(pid, FRESH - 1).unwrap().0));
        drop(one);
        assert!(pids.process(pid, FRESH - 1).is_some());
        assert!(pids.process(pid, FRESH).is_none());
        pids.tell(&change(5, NOBODY, TaskEvent::Began(pid)), FRESH);
        assert!(pids.process(NOBODY, FRESH).is_none(), "a copy of what is not known");
    }

    #[test]
    fn there_is_room_for_so_many() {
        let mut pids = Pids::new(FRESH);
        for pid in 1..=2 * MOST as u32 {
            pids.tell(&change(pid.into(), pid, TaskEvent::Executed("x".into())), 0);
            assert!(pids.known.len() <= MOST);
        }
    }
}
