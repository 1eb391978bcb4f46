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

impl Title {
    fn text(self) -> &'static str {
        let (Left(text) | Right(text)) = self;
        text
    }
}

/// Rows that are laid out in blocks, all under one head.
pub(super) struct Columns<const N: usize> {
    titles: [Title; N],
    rows: Vec<[String; N]>,
    widths: [usize; N],
    is_shown: [bool; N],
    /// Characters of a line.
    most: usize,
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

/// What a narrow terminal does without, in this order.
const DISPENSABLE: &[&str] =
    &["start", "rtt ms", "seconds", "packets ba", "packets ab", "process b", "process a"];

/// Characters that the last column has before others are left out for it.
const LAST_AT_LEAST: usize = 30;

/// Flows of now in columns, with the processes that speak: a line each where the width of the terminal is given.
pub(crate) fn draw_live(flows: &[Flow], width: Option<u16>) -> Vec<u8> {
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
    let left_out = width.map(|width| columns.fit(usize::from(width))).unwrap_or_default();
    columns.draw(&mut out);
    if !left_out.is_empty() {
        out.extend(format!("not shown for lack of width: {}\n", left_out.join(", ")).bytes());
    }
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
        let is_shown = [true; N];
        Self { titles, rows: Vec::new(), widths: [0; N], is_shown, most: usize::MAX, has_head: false }
    }

    pub(super) fn add(&mut self, row: [String; N]) {
        self.rows.push(row);
    }

    /// Leaves out columns without anything in them, then others, until a line has `most` characters at most; what is left
    /// of it is the last column's. Gives the titles of those that would have had something.
    fn fit(&mut self, most: usize) -> Vec<&'static str> {
        self.most = most;
        self.measure();
        if self.width() > most {
            for at in 0..N {
                self.is_shown[at] = self.rows.iter().any(|row| !row[at].is_empty());
            }
        }
        let mut left_out = Vec::new();
        for wish in DISPENSABLE {
            let room = self.width() - self.widths[N - 1].saturating_sub(LAST_AT_LEAST);
            if room <= most {
                break;
            }
            let Some(at) = self.titles.iter().position(|title| title.text() == *wish) else { continue };
            if std::mem::replace(&mut self.is_shown[at], false) {
                left_out.push(*wish);
            }
        }
        left_out
    }

    fn measure(&mut self) {
        let titles = self.titles.map(|title| title.text().to_owned());
        for row in self.rows.iter().chain([&titles]) {
            for (width, cell) in self.widths.iter_mut().zip(row) {
                *width = cell.chars().count().max(*width);
            }
        }
    }

    /// Of a line: a blank in front, two between.
    fn width(&self) -> usize {
        let shown = self.widths.iter().zip(self.is_shown).filter(|(_, is_shown)| *is_shown);
        shown.map(|(width, _)| width + 2).sum::<usize>().saturating_sub(1)
    }

    /// Lays out the rows added since, under a head if there is none yet. Columns only become wider.
    pub(super) fn draw(&mut self, out: &mut Vec<u8>) {
        self.measure();
        if !self.has_head {
            self.has_head = true;
            self.line(&self.titles.map(|title| title.text().to_owned()), out);
            out.extend("─".repeat(self.width().min(self.most)).bytes());
            out.push(b'\n');
        }
        for row in std::mem::take(&mut self.rows) {
            self.line(&row, out);
        }
    }

    fn line(&self, cells: &[String; N], out: &mut Vec<u8>) {
        let mut line = String::new();
        let columns = cells.iter().zip(self.widths).zip(self.titles).zip(self.is_shown);
        for (((cell, width), title), _) in columns.filter(|(_, is_shown)| *is_shown) {
            line.push_str(if line.is_empty() { " " } else { "  " });
            line.push_str(&match title {
                Left(_) => format!("{cell:<width$}"),
                Right(_) => format!("{cell:>width$}"),
            });
        }
        let line = line.trim_end();
        match line.char_indices().nth(self.most.saturating_sub(1)) {
            Some((at, last)) if at + last.len_utf8() < line.len() => {
                out.extend_from_slice(&line.as_bytes()[..at]);
                out.extend("…\n".bytes());
            }
            _ => {
                out.extend_from_slice(line.as_bytes());
                out.push(b'\n');
            }
        }
    }
}

#[cfg(test)]
mod tests {
    use skydive_proto::{FlowLimits, flows_of_json};

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

    #[test]
    fn a_flow_is_a_line_however_narrow_the_terminal() {
        let json = br#"[{"UUID":"1","LayersPath":"Ethernet/IPv6/IPv6HopByHop/ICMPv6","Start":1,"Last":2,
            "Network":{"Protocol":"IPV6","A":"fe80::f05c:c8ff:fecb:1854","B":"ff02::16"},"Metric":{"ABPackets":1}}]"#;
        let flows = flows_of_json(json, &FlowLimits::default(), |refused| panic!("{refused}")).unwrap();
        let drawn = |width| String::from_utf8(draw_live(&flows, width)).unwrap();
        let whole = drawn(None);
        assert!(whole.contains("start") && whole.ends_with("/ICMPv6\n"), "{whole}");
        assert_eq!(drawn(Some(250)), whole);
        for width in [40, 60, 80, 100, 120] {
            let text = drawn(Some(width));
            assert!(text.lines().take(3).all(|line| line.chars().count() <= usize::from(width)), "{text}");
            assert!(text.lines().last().unwrap().starts_with("not shown for lack of width: start"), "{text}");
        }
        assert!(drawn(Some(40)).lines().nth(2).unwrap().ends_with('…'));
    }
}
