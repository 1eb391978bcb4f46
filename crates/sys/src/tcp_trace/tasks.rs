//! Records of processes that begin, run something else and end.

use smol_str::SmolStr;

use crate::trace::at;

/// A process that changed. Threads are not told of.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct TaskChange {
    /// When, nanoseconds of the clock that connections have.
    pub at: u64,
    /// The process, as this process sees it.
    pub pid: u32,
    /// What it did.
    pub event: TaskEvent,
}

/// What a process did.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum TaskEvent {
    /// It began as a copy of this one.
    Began(u32),
    /// It runs something else, and has this name, at most 15 bytes of it.
    Executed(SmolStr),
    /// It gave itself another name.
    Renamed,
    /// It ended.
    Ended,
}

/// `PERF_RECORD_COMM`.
const COMM: u32 = 3;
/// `PERF_RECORD_EXIT`.
const EXIT: u32 = 4;
/// `PERF_RECORD_FORK`.
const FORK: u32 = 7;
/// `PERF_RECORD_MISC_COMM_EXEC`.
const EXECUTED: u16 = 1 << 13;

impl TaskChange {
    /// Reads a record of `perf_event_open(2)`; `None` for anything else. What tells the time at the end of a record of a
    /// name is the pid, the tid and the time of samples.
    pub fn read(record: &[u8]) -> Option<Self> {
        let number = |from| at(record, from).map(u32::from_ne_bytes);
        let time = |from| at(record, from).map(u64::from_ne_bytes);
        let (kind, pid) = (number(0)?, number(8)?);
        let (at, event) = match kind {
            FORK if number(12)? != pid => (time(24)?, TaskEvent::Began(number(12)?)),
            EXIT if number(16)? == pid => (time(24)?, TaskEvent::Ended),
            COMM if number(12)? == pid => {
                let end = record.len().checked_sub(16)?;
                let name = record.get(16..end)?.split(|byte| *byte == 0).next()?;
                let is_executed = u16::from_ne_bytes(at(record, 4)?) & EXECUTED != 0;
                let name = || SmolStr::from(String::from_utf8_lossy(&name[..name.len().min(15)]));
                (time(end + 8)?, if is_executed { TaskEvent::Executed(name()) } else { TaskEvent::Renamed })
            }
            _ => return None,
        };
        Some(Self { at, pid, event })
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn record(kind: u32, misc: u16, body: &[u32]) -> Vec<u8> {
        let mut record = kind.to_ne_bytes().to_vec();
        record.extend(misc.to_ne_bytes());
        record.extend((8 + 4 * body.len() as u16).to_ne_bytes());
        record.extend(body.iter().flat_map(|number| number.to_ne_bytes()));
        record
    }

    /// Two halves of a time.
    fn halves(time: u64) -> [u32; 2] {
        let bytes = time.to_ne_bytes();
        [0, 4].map(|from| u32::from_ne_bytes(at(&bytes, from).unwrap()))
    }

    #[test]
    fn processes_are_told_and_threads_are_not() {
        let [low, high] = halves(99);
        let began = record(FORK, 0, &[8, 7, 8, 7, low, high, 0, 0, 0, 0]);
        assert_eq!(TaskChange::read(&began), Some(TaskChange { at: 99, pid: 8, event: TaskEvent::Began(7) }));
        assert_eq!(TaskChange::read(&record(FORK, 0, &[7, 7, 9, 7, low, high])), None, "a thread");
        let ended = record(EXIT, 0, &[8, 7, 8, 8, low, high, 0, 0, 0, 0]);
        assert_eq!(TaskChange::read(&ended), Some(TaskChange { at: 99, pid: 8, event: TaskEvent::Ended }));
        assert_eq!(TaskChange::read(&record(EXIT, 0, &[8, 7, 9, 7, low, high])), None, "a thread");
        for len in 0..32 {
            assert_eq!(TaskChange::read(&began[..len]), None);
        }
    }

    #[test]
    fn names_are_read() {
        let [low, high] = halves(99);
        let name = [*b"curl", [0; 4]].map(u32::from_ne_bytes);
        let body = [8, 8, name[0], name[1], 8, 8, low, high];
        let of = |event| Some(TaskChange { at: 99, pid: 8, event });
        let executed = record(COMM, EXECUTED, &body);
        assert_eq!(TaskChange::read(&executed), of(TaskEvent::Executed("curl".into())));
        assert_eq!(TaskChange::read(&record(COMM, 0, &body)), of(TaskEvent::Renamed));
        assert_eq!(
            TaskChange::read(&record(COMM, 0, &[8, 9, name[0], 0, 8, 9, low, high])),
            None,
            "a thread"
        );
        for len in 0..executed.len() {
            let _ = TaskChange::read(&executed[..len]);
        }
    }
}
