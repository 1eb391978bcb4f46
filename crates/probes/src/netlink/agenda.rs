//! What to do later: one list of tasks by time.

use std::collections::{BTreeMap, HashSet};
use std::time::Duration;

use skydive_sys::{NsKey, Parts};
use tokio::time::Instant;

use super::model::IfRef;

/// Something to do later.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub(super) enum Task {
    /// Read a part of a namespace again.
    Read(NsKey, Parts),
    /// Show fields of an interface that were held back because they are long.
    Show(IfRef),
    /// Ask a half of a pair that is alone again.
    Ask(IfRef),
    /// Sample the counters of the namespaces in this slice of the interval.
    Sample(u32),
    /// Log how often notifications were lost.
    TellGaps,
    /// Tell what is missing, which was held back.
    TellHealth,
    /// Try again to open a namespace.
    Open(NsKey),
}

/// Tasks by time; each is in it once.
#[derive(Debug, Default)]
pub(super) struct Agenda {
    due: BTreeMap<Instant, Vec<Task>>,
    planned: HashSet<Task>,
}

/// Nothing is due for longer than this without a look.
const IDLE: Duration = Duration::from_hours(1);

impl Agenda {
    /// Plans a task, unless it is planned already.
    pub(super) fn plan(&mut self, at: Instant, task: Task) {
        if self.planned.insert(task) {
            self.due.entry(at).or_default().push(task);
        }
    }

    /// When the next task is due.
    pub(super) fn next(&self, now: Instant) -> Instant {
        self.due.keys().next().copied().unwrap_or(now + IDLE)
    }

    /// Takes the tasks that are due, with the times they were due at.
    pub(super) fn take(&mut self, now: Instant) -> Vec<(Instant, Task)> {
        let mut out = Vec::new();
        while let Some(entry) = self.due.first_entry()
            && *entry.key() <= now
        {
            let (at, tasks) = entry.remove_entry();
            for task in tasks {
                self.planned.remove(&task);
                out.push((at, task));
            }
        }
        out
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn tasks_come_in_order_and_once() {
        let start = Instant::now();
        let after = |ms| start + Duration::from_millis(ms);
        let mut agenda = Agenda::default();
        agenda.plan(after(20), Task::Sample(2));
        agenda.plan(after(10), Task::Sample(1));
        agenda.plan(after(5), Task::Sample(2));
        assert_eq!(agenda.next(start), after(10));
        assert_eq!(agenda.take(after(10)), [(after(10), Task::Sample(1))]);
        assert_eq!(agenda.take(after(30)), [(after(20), Task::Sample(2))]);
        assert_eq!(agenda.next(start), start + IDLE);
    }
}
