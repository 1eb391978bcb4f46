//! What was read, and what of it was not counted.

use std::fmt;
use std::path::{Path, PathBuf};

use skydive_flow::TableCounters;
use skydive_packet::file::{FileError, Packet, Problem};
use skydive_proto::reason;

use super::{Stopped, input};
use crate::terminal::{Color, Paint};

/// Of all files together. Times in nanoseconds since the epoch.
#[derive(Debug, Default)]
pub(super) struct Totals {
    /// Packets in the files.
    pub(super) read: u64,
    /// Packets that the filter has no meaning for.
    pub(super) misfits: u64,
    /// Packets that passed the filter.
    pub(super) packets: u64,
    /// Their bytes on the wire.
    pub(super) wire_bytes: u64,
    /// Their bytes in the files.
    pub(super) captured_bytes: u64,
    /// When the earliest and the latest was.
    pub(super) times: Option<(i64, i64)>,
    /// Packets that whoever captured could not keep up with, as the files say.
    pub(super) dropped: u64,
    /// What the table counted.
    pub(super) table: TableCounters,
    /// Files that were not read to their end.
    pub(super) damage: Vec<Damage>,
}

/// A file that was not read to its end, and why.
#[derive(Debug)]
pub(super) struct Damage {
    pub(super) path: PathBuf,
    /// Where, if it could be read at all.
    pub(super) offset: Option<u64>,
    pub(super) why: String,
    advice: Option<String>,
}

impl Totals {
    /// Packets that the filter passed over.
    pub(super) fn filtered(&self) -> u64 {
        self.read.saturating_sub(self.packets + self.misfits)
    }

    #[inline]
    pub(super) fn count(&mut self, packets: &[Packet<'_>]) {
        let Some(first) = packets.first() else { return };
        self.packets += packets.len() as u64;
        let (mut earliest, mut latest) = self.times.unwrap_or((first.at, first.at));
        for packet in packets {
            self.wire_bytes += u64::from(packet.wire_len);
            self.captured_bytes += packet.bytes.len() as u64;
            earliest = earliest.min(packet.at);
            latest = latest.max(packet.at);
        }
        self.times = Some((earliest, latest));
    }

    /// Says on standard error what rows do not show.
    pub(super) fn tell_losses(&self, paint: Paint) {
        let note = paint.color(Color::Yellow, "note");
        if self.table.unaccounted > 0 {
            eprintln!("{note}: packets that belong to no flow: {}; see --summary", self.table.unaccounted);
        }
        if self.table.evicted > 0 {
            eprintln!("{note}: flows that ended early by --max-entries: {}", self.table.evicted);
        }
        if self.table.unkept > 0 {
            eprintln!("{note}: packets, messages or waiting segments without room: {}", self.table.unkept);
        }
        if self.table.folded_paths > 0 {
            eprintln!("{note}: flows whose layers path is shortened: {}", self.table.folded_paths);
        }
    }
}

impl Damage {
    pub(super) fn new(path: &Path, stopped: &Stopped) -> Self {
        let path = path.to_owned();
        match stopped {
            Stopped::Damaged(FileError { offset, problem }) => {
                let advice = match problem {
                    Problem::Compressed(_) => Some(decompress(&path, problem)),
                    _ => None,
                };
                Self { path, offset: Some(*offset), why: problem.to_string(), advice }
            }
            other => Self { path, offset: None, why: reason(other), advice: None },
        }
    }
}

impl fmt::Display for Damage {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let path =
            if input::is_stdin(&self.path) { "standard input".into() } else { self.path.to_string_lossy() };
        match (&self.advice, self.offset) {
            (Some(advice), _) => write!(f, "{path}: {advice}"),
            (None, Some(offset)) => write!(f, "{path}: byte {offset}: {}", self.why),
            (None, None) => write!(f, "{path}: {}", self.why),
        }
    }
}

/// What to do about a compressed file.
fn decompress(path: &Path, problem: &Problem) -> String {
    let Problem::Compressed(compression) = problem else { return problem.to_string() };
    let compression = compression.to_string();
    if input::is_stdin(path) {
        return format!("compressed with {compression}: put `{compression} -dc` between");
    }
    let program = if compression == "gzip" { "zcat".to_owned() } else { format!("{compression} -dc") };
    format!("compressed with {compression}: `{program} {} | skydive flows read -`", quoted(path))
}

/// As a shell takes it.
fn quoted(path: &Path) -> String {
    let text = path.to_string_lossy();
    let is_plain = |c: char| c.is_alphanumeric() || "/._-+,:@%=".contains(c);
    if text.chars().all(is_plain) && !text.starts_with('-') {
        return text.into_owned();
    }
    let text = text.replace('\'', r"'\''");
    if text.starts_with('-') { format!("'./{text}'") } else { format!("'{text}'") }
}

#[cfg(test)]
mod tests {
    use skydive_packet::file::Compression;

    use super::*;

    #[test]
    fn damage_says_where_and_what_to_do() {
        let damage = |path: &str, problem| {
            let stopped = Stopped::Damaged(FileError { offset: 24, problem });
            Damage::new(Path::new(path), &stopped).to_string()
        };
        assert_eq!(damage("a.pcap", Problem::Empty), "a.pcap: byte 24: the file is empty");
        let compressed = |path, by| damage(path, Problem::Compressed(by));
        assert_eq!(
            compressed("my dump's.gz", Compression::Gzip),
            r"my dump's.gz: compressed with gzip: `zcat 'my dump'\''s.gz' | skydive flows read -`"
        );
        assert_eq!(
            compressed("-x.zst", Compression::Zstd),
            "-x.zst: compressed with zstd: `zstd -dc './-x.zst' | skydive flows read -`"
        );
        assert_eq!(
            compressed("-", Compression::Xz),
            "standard input: compressed with xz: put `xz -dc` between"
        );
    }

    #[test]
    fn packets_may_come_in_any_order() {
        let packet = |at| Packet { at, wire_len: 60, bytes: &[0; 8], ..Packet::default() };
        let mut totals = Totals::default();
        totals.count(&[]);
        assert_eq!(totals.times, None);
        totals.count(&[packet(5), packet(-3)]);
        totals.count(&[packet(4)]);
        assert_eq!((totals.packets, totals.wire_bytes, totals.captured_bytes), (3, 180, 24));
        assert_eq!(totals.times, Some((-3, 5)));
    }
}
