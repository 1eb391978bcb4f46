//! How far it is, on the terminal of who waits.

use std::cell::Cell;
use std::io::{self, IsTerminal, Write};
use std::rc::Rc;
use std::time::{Duration, Instant};

use super::text::{bytes, grouped};

/// Shorter waits need no words.
const SOON: Duration = Duration::from_millis(500);
const BETWEEN: Duration = Duration::from_millis(100);
const WIDTH: usize = 24;
/// Back to the beginning of the line, and nothing in it.
const CLEAR: &str = "\r\x1b[K";

/// A line that is drawn over and over; nothing where standard error is no terminal.
pub(super) struct Progress {
    line: Option<Line>,
    drawn: Drawn,
}

/// Whether the line stands on the terminal: rows that come there have to take it away.
#[derive(Clone, Default)]
pub(super) struct Drawn(Rc<Cell<bool>>);

struct Line {
    /// Bytes of all files, if they are known.
    all: Option<u64>,
    done: u64,
    began: Instant,
    next: Instant,
}

impl Progress {
    pub(super) fn new(all: Option<u64>, drawn: Drawn) -> Self {
        let line = io::stderr().is_terminal().then(|| {
            let began = now();
            Line { all, done: 0, began, next: began + SOON }
        });
        Self { line, drawn }
    }

    /// More bytes were read. `seen` gives packets so far and flows alive.
    pub(super) fn step(&mut self, more: usize, seen: impl FnOnce() -> (u64, usize)) {
        let Some(line) = &mut self.line else { return };
        line.done += more as u64;
        let now = now();
        if now < line.next {
            return;
        }
        line.next = now + BETWEEN;
        let (packets, flows) = seen();
        let text = line.text(now - line.began, packets, flows as u64);
        // A terminal that has gone is not worth an error.
        let _ = write!(io::stderr(), "{CLEAR}{text}");
        self.drawn.0.set(true);
    }
}

impl Drawn {
    /// Takes the line away, if it is there. It comes again with the next step.
    pub(super) fn clear(&self) {
        if self.0.take() {
            let _ = write!(io::stderr(), "{CLEAR}");
        }
    }
}

impl Line {
    fn text(&self, took: Duration, packets: u64, flows: u64) -> String {
        let counts = format!("{} packets, {} flows", grouped(packets), grouped(flows));
        let Some(all) = self.all.filter(|all| *all > 0) else {
            return format!("{} read, {counts}", bytes(self.done));
        };
        // A file may grow while it is read.
        let share = (self.done as f64 / all as f64).min(1.0);
        let filled = (share * WIDTH as f64) as usize;
        let left = took.as_secs_f64() / share * (1.0 - share);
        format!(
            "{:3.0} % {}{} {counts}, {left:.0} s left",
            share * 100.0,
            "█".repeat(filled),
            "░".repeat(WIDTH - filled)
        )
    }
}

#[expect(clippy::disallowed_methods, reason = "how long somebody waits is told by the clock on the wall")]
pub(super) fn now() -> Instant {
    Instant::now()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_line_fits_a_terminal() {
        let began = now();
        let line = |all, done| Line { all, done, began, next: began };
        let took = Duration::from_secs(10);
        let text = line(Some(400), 100).text(took, 1_234_567, 89);
        assert_eq!(text, " 25 % ██████░░░░░░░░░░░░░░░░░░ 1,234,567 packets, 89 flows, 30 s left");
        assert!(line(Some(1), 100).text(took, 123_456_789, 12_345_678).chars().count() < 80);
        assert_eq!(line(None, 3_500_000).text(took, 1, 2), "3.5 MB read, 1 packets, 2 flows");
    }
}
