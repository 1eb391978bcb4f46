//! What is in captures altogether.

use std::io;

use hashbrown::HashMap;
use serde::Serialize;
use skydive_flow::{Finish, FlowView};
use skydive_packet::End;
use skydive_proto::format_rfc3339;
use skydive_value::{SmolStr, Timestamp};

use super::table::Columns;
use super::table::Title::{Left, Right};
use super::text::{bytes, grouped};
use super::totals::Totals;
use crate::cli::RowFormat;
use crate::terminal;

/// Flows counted as they end. Texts and identifiers of them are never made.
#[derive(Default)]
pub(super) struct Summary {
    paths: HashMap<SmolStr, Sum>,
    /// Flows by how they ended, in the order of its numbers.
    finished: [u64; 4],
}

/// Of flows.
#[derive(Clone, Copy, Default, Serialize)]
#[serde(rename_all = "PascalCase")]
struct Sum {
    flows: u64,
    packets: u64,
    bytes: u64,
}

/// Everything as one object.
#[derive(Serialize)]
#[serde(rename_all = "PascalCase")]
struct Json<'a> {
    packets: u64,
    bytes: u64,
    captured_bytes: u64,
    filtered: u64,
    dropped: u64,
    start: Option<i64>,
    last: Option<i64>,
    flows: u64,
    evicted: u64,
    unaccounted: u64,
    unkept: u64,
    folded_paths: u64,
    finish_type: Pairs<'a, u64>,
    decoding_ended: Pairs<'a, u64>,
    layers_path: Pairs<'a, Sum>,
    damage: Vec<DamageJson>,
}

/// An object whose members keep their order.
struct Pairs<'a, T>(Vec<(&'a str, T)>);

#[derive(Serialize)]
#[serde(rename_all = "PascalCase")]
struct DamageJson {
    file: String,
    offset: Option<u64>,
    why: String,
}

const FINISHES: [Finish; 4] = [Finish::Not, Finish::Timeout, Finish::Fin, Finish::Rst];

impl Summary {
    /// Counts a flow that has ended.
    #[inline]
    pub(super) fn count(&mut self, flow: FlowView<'_>) {
        let metric = flow.metric();
        let sum = self.paths.entry_ref(flow.layers_path().as_str()).or_default();
        sum.flows += 1;
        sum.packets += metric.ab_packets + metric.ba_packets;
        sum.bytes += metric.ab_bytes + metric.ba_bytes;
        if let Some(count) = self.finished.get_mut(flow.finish() as usize) {
            *count += 1;
        }
    }

    pub(super) fn print(&self, format: RowFormat, totals: &Totals) -> io::Result<()> {
        terminal::print(match format {
            RowFormat::Table => self.text(totals),
            RowFormat::Csv => self.csv(),
            RowFormat::Json => serde_json::to_string(&self.json(totals))? + "\n",
        })
    }

    /// Paths, those with most bytes first.
    fn paths(&self) -> Vec<(&str, Sum)> {
        let mut paths: Vec<_> = self.paths.iter().map(|(path, sum)| (path.as_str(), *sum)).collect();
        paths.sort_by(|(a, x), (b, y)| y.bytes.cmp(&x.bytes).then(a.cmp(b)));
        paths
    }

    fn flows(&self) -> u64 {
        self.paths.values().map(|sum| sum.flows).sum()
    }

    fn text(&self, totals: &Totals) -> String {
        let mut text = format!("packets   {}", grouped(totals.packets));
        let filtered = totals.filtered();
        if filtered > 0 {
            text += &format!(" of {}; the filter passed over {}", grouped(totals.read), grouped(filtered));
        }
        text += &format!(
            "\nbytes     {} ({}), {} of them captured\n",
            grouped(totals.wire_bytes),
            bytes(totals.wire_bytes),
            grouped(totals.captured_bytes)
        );
        if let Some((first, last)) = totals.times {
            let seconds = last.saturating_sub(first) as f64 / 1e9;
            let (first, last) = (format_rfc3339(timestamp(first)), format_rfc3339(timestamp(last)));
            text += &format!("time      {first} to {last}, {seconds:.3} s\n");
        }
        text += &format!("flows     {}", grouped(self.flows()));
        let finished = FINISHES.iter().zip(self.finished).filter(|(_, count)| *count > 0);
        let finished: Vec<_> = finished
            .map(|(how, count)| format!("{} {}", grouped(count), how.name().to_lowercase()))
            .collect();
        if !finished.is_empty() {
            text += &format!(" ({})", finished.join(", "));
        }
        text.push('\n');
        text += &losses(totals);
        if !self.paths.is_empty() {
            let mut columns =
                Columns::new([Right("flows"), Right("packets"), Right("bytes"), Left("layers")]);
            for (path, sum) in self.paths() {
                columns.add([
                    grouped(sum.flows),
                    grouped(sum.packets),
                    grouped(sum.bytes),
                    terminal::harmless(path),
                ]);
            }
            let mut table = Vec::new();
            columns.draw(&mut table);
            text.push('\n');
            text += &String::from_utf8_lossy(&table);
        }
        text
    }

    fn csv(&self) -> String {
        let rows = self.paths().into_iter();
        let lines =
            rows.map(|(path, Sum { flows, packets, bytes })| format!("{path},{flows},{packets},{bytes}\r\n"));
        "LayersPath,Flows,Packets,Bytes\r\n".to_owned() + &lines.collect::<String>()
    }

    fn json(&self, totals: &Totals) -> Json<'_> {
        let millis = |nanos| timestamp(nanos).as_millis();
        Json {
            packets: totals.packets,
            bytes: totals.wire_bytes,
            captured_bytes: totals.captured_bytes,
            filtered: totals.filtered(),
            dropped: totals.dropped,
            start: totals.times.map(|(first, _)| millis(first)),
            last: totals.times.map(|(_, last)| millis(last)),
            flows: self.flows(),
            evicted: totals.table.evicted,
            unaccounted: totals.table.unaccounted,
            unkept: totals.table.unkept,
            folded_paths: totals.table.folded_paths,
            finish_type: Pairs(FINISHES.iter().map(|finish| finish.name()).zip(self.finished).collect()),
            decoding_ended: Pairs(ends(totals)),
            layers_path: Pairs(self.paths()),
            damage: totals
                .damage
                .iter()
                .map(|damage| DamageJson {
                    file: damage.path.to_string_lossy().into_owned(),
                    offset: damage.offset,
                    why: damage.why.clone(),
                })
                .collect(),
        }
    }
}

impl<T: Serialize> Serialize for Pairs<'_, T> {
    fn serialize<S: serde::Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        serializer.collect_map(self.0.iter().map(|(name, value)| (name, value)))
    }
}

/// Lines about what was not counted; none when all was.
fn losses(totals: &Totals) -> String {
    let mut lines = Vec::new();
    // Those of whom nothing was missing are left out: what follows a payload is nobody's header.
    let ends: Vec<_> = ends(totals)
        .into_iter()
        .filter(|(name, count)| *count > 0 && !matches!(*name, "payload" | "nothing" | "fragment"))
        .map(|(name, count)| format!("{} {name}", grouped(count)))
        .collect();
    if !ends.is_empty() {
        lines.push(format!("undecoded {}", ends.join(", ")));
    }
    let mut tell = |count: u64, what: &str| {
        if count > 0 {
            lines.push(format!("{:<9} {what}", grouped(count)));
        }
    };
    tell(totals.table.unaccounted, "packets belong to no flow");
    tell(totals.table.evicted, "flows ended early by --max-entries");
    tell(totals.table.unkept, "packets, messages or waiting segments had no room");
    tell(totals.table.folded_paths, "flows have a shortened layers path: too many different ones");
    tell(totals.dropped, "packets were dropped while capturing, as the file says");
    lines.extend(
        totals.damage.iter().map(|damage| format!("damaged   {}", terminal::harmless(&damage.to_string()))),
    );
    lines.into_iter().map(|line| line + "\n").collect()
}

fn ends(totals: &Totals) -> Vec<(&'static str, u64)> {
    End::NAMES.into_iter().zip(totals.table.ends).collect()
}

fn timestamp(nanos: i64) -> Timestamp {
    Timestamp::from_millis(nanos.div_euclid(1_000_000))
}
