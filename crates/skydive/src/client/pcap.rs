//! `client pcap`: a capture file, whose flows the analyzer then has.

use std::io::{self, IsTerminal};
use std::path::Path;

use anyhow::Context as _;
use skydive_client::Rest;
use tokio::fs::File;

use super::{advise, require_ok};
use crate::terminal::harmless;

/// Back to the beginning of the line, and nothing in it.
const CLEAR: &str = "\r\x1b[K";

/// Sends the file and returns when all its flows are there.
pub(super) async fn run(rest: &Rest, path: &Path) -> anyhow::Result<()> {
    let name = harmless(&path.display().to_string());
    let file = File::open(path).await.with_context(|| name.clone())?;
    let length = file.metadata().await.with_context(|| name.clone())?.len();
    let is_watched = io::stderr().is_terminal();
    let mut shown = None;
    let progress = move |sent: u64| {
        let percent = sent.saturating_mul(100) / length.max(1);
        // Of a pipe nobody knows how long it is.
        if is_watched && length > 0 && shown != Some(percent) {
            shown = Some(percent);
            eprint!("{CLEAR}{:3} % sent", percent.min(100));
        }
    };
    let answer = rest.import_pcap(file, progress).await;
    if is_watched {
        eprint!("{CLEAR}");
    }
    let answer = answer.map_err(advise)?;
    if answer.status != 202 {
        require_ok(answer, rest)?;
        anyhow::bail!("{}: the file was not taken", rest.endpoint());
    }
    println!("{name} was successfully imported");
    Ok(())
}
