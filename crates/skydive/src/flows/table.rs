//! Flows in columns, for reading.
//!
//! Rows are laid out in blocks, so that the first stand there long before the last are known and any number fits into
//! memory. Nothing is wrapped: the column that gets wide is the last.

use std::sync::Arc;

use skydive_flow::{Finish, Flow, Process};
use skydive_proto::format_rfc3339;

use Title::{Left, Right};

use crate::terminal::harmless;

use super::text::{duration, grouped, layers, round_trip, sides};

/// Rows that are laid out together.
const BLOCK: usize = 500;
const COLUMNS: usize = 11;
const TITLES: [Title; COLUMNS] = [
    Left("start"),
    Right("seconds"),
    Left("a"),
    Left("b"),
    Right("packets ab"),
    Right("bytes ab"),
    Right("packets ba"),
    Right("bytes ba"),
    Right("rtt ms"),
    Left("end"),
    Left("layers"),
];

/// The title of a column, and to which side its cells go.
#[derive(Clone, Copy)]
pub(super) enum Title {
    Left(&'static str),
    Right(&'static str),
}

/// Rows that are laid out in blocks, all under one head.
pub(super) struct Columns<const N: usize> {
    titles: [Title; N],
    rows: Vec<[String; N]>,
    widths: [usize; N],
    has_head: bool,
}

/// Flows in columns.
pub(super) struct Grid(Columns<COLUMNS>);

const LIVE_COLUMNS: usize = 12;
const LIVE_TITLES: [Title; LIVE_COLUMNS] = [
    Left("start"),
    Right("seconds"),
    Left("a"),
    Left("b"),
    Left("process a"),
    Left("process b"),
    Right("packets ab"),
    Right("bytes ab"),
    Right("packets ba"),
    Right("bytes ba"),
    Right("rtt ms"),
    Left("layers, end"),
];

/// Flows of now in columns, with the processes that speak.
pub(crate) fn draw_live(flows: &[Flow]) -> Vec<u8> {
    let (mut columns, mut out) = (Columns::new(LIVE_TITLES), Vec::new());
    for flow in flows {
        let (a, b) = sides(flow);
        let metric = &flow.metric;
        let process = |process: &Option<Arc<Process>>| {
            process.as_ref().map(|process| harmless(&process.name)).unwrap_or_default()
        };
        let end = match flow.finish {
            Finish::Not => String::new(),
            finish => format!("  {}", finish.name().to_lowercase()),
        };
        columns.add([
            format_rfc3339(flow.start),
            duration(flow.start, flow.last),
            a,
            b,
            process(&flow.process.a),
            process(&flow.process.b),
            grouped(metric.ab_packets),
            grouped(metric.ab_bytes),
            grouped(metric.ba_packets),
            grouped(metric.ba_bytes),
            round_trip(metric.rtt),
            format!("{}{end}", layers(flow)),
        ]);
    }
    columns.draw(&mut out);
    out
}

impl Grid {
    pub(super) fn new() -> Self {
        Self(Columns::new(TITLES))
    }

    /// Adds a row, and lays the block out when it is full.
    pub(super) fn add(&mut self, flow: &Flow, out: &mut Vec<u8>) {
        let (a, b) = sides(flow);
        let metric = &flow.metric;
        self.0.add([
            format_rfc3339(flow.start),
            duration(flow.start, flow.last),
            a,
            b,
            grouped(metric.ab_packets),
            grouped(metric.ab_bytes),
            grouped(metric.ba_packets),
            grouped(metric.ba_bytes),
            round_trip(metric.rtt),
            flow.finish.name().to_lowercase(),
            layers(flow),
        ]);
        if self.0.rows.len() == BLOCK {
            self.0.draw(out);
        }
    }

    /// Lays out what there is.
    pub(super) fn draw(&mut self, out: &mut Vec<u8>) {
        if !self.0.rows.is_empty() {
            self.0.draw(out);
        }
    }

    /// The same, with the head alone when there was no row.
    pub(super) fn end(&mut self, out: &mut Vec<u8>) {
        if !self.0.has_head || !self.0.rows.is_empty() {
            self.0.draw(out);
        }
    }
}

impl<const N: usize> Columns<N> {
    pub(super) fn new(titles: [Title; N]) -> Self {
        Self { titles, rows: Vec::new(), widths: [0; N], has_head: false }
    }

    pub(super) fn add(&mut self, row: [String; N]) {
        self.rows.push(row);
    }

    /// Lays out the rows added since, under a head if there is none yet. Columns only become wider.
    pub(super) fn draw(&mut self, out: &mut Vec<u8>) {
        let titles = self.titles.map(|(Left(title) | Right(title))| title.to_owned());
        for row in self.rows.iter().chain([&titles]) {
            for (width, cell) in self.widths.iter_mut().zip(row) {
                *width = cell.chars().count().max(*width);
            }
        }
        if !self.has_head {
            self.has_head = true;
            self.line(&titles, out);
            // A blank in front, two between.
            let width = self.widths.iter().sum::<usize>() + 2 * N - 1;
            out.extend("─".repeat(width).bytes());
            out.push(b'\n');
        }
        for row in std::mem::take(&mut self.rows) {
            self.line(&row, out);
        }
    }

    fn line(&self, cells: &[String; N], out: &mut Vec<u8>) {
        let mut line = String::new();
        for ((cell, width), title) in cells.iter().zip(self.widths).zip(self.titles) {
            line.push_str(if line.is_empty() { " " } else { "  " });
            line.push_str(&match title {
                Left(_) => format!("{cell:<width$}"),
                Right(_) => format!("{cell:>width$}"),
            });
        }
        out.extend_from_slice(line.trim_end().as_bytes());
        out.push(b'\n');
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn later_blocks_stand_under_the_same_head() {
        let mut columns = Columns::new([Right("n"), Left("what")]);
        let mut out = Vec::new();
        columns.add(["1".to_owned(), "one".to_owned()]);
        columns.draw(&mut out);
        columns.add(["1,000".to_owned(), "more".to_owned()]);
        columns.draw(&mut out);
        assert_eq!(String::from_utf8(out).unwrap(), " n  what\n────────\n 1  one\n 1,000  more\n");
    }
}
