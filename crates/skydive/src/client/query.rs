//! `client query`: a Gremlin query, its answer in the form asked for, a refusal drawn with a caret.

use std::io::{self, IsTerminal};

use anyhow::{Context as _, bail};
use serde_json::Value as Json;
use skydive_client::{Explained, Rest};

use super::complaint::draw;
use super::{columns, heard, print, print_json, require_ok};
use crate::cli::Format;
use crate::table;
use crate::terminal::{Paint, harmless};

/// Carries what the query read.
const EXPLAIN: &str = "X-Skydive-Explain";

/// An error already said in full on standard error.
#[derive(Debug, thiserror::Error)]
#[error("the query was refused")]
pub(crate) struct Told;

/// Sends the query and prints the answer.
pub(crate) async fn run(rest: &Rest, gremlin: &str, format: Format, explain: bool) -> anyhow::Result<()> {
    if format == Format::Pcap && io::stdout().is_terminal() {
        bail!("packets are not for a terminal: redirect the output to a file");
    }
    let accept = match format {
        Format::Json | Format::Table => "application/json",
        Format::Dot => "text/vnd.graphviz",
        Format::Pcap => "application/vnd.tcpdump.pcap",
    };
    let explained = if explain { Explained::Yes } else { Explained::No };
    let answer = heard(rest, rest.topology(gremlin, accept, explained)).await?;
    if explain {
        match answer.header(EXPLAIN) {
            Some(read) => eprintln!("{EXPLAIN}: {}", harmless(read)),
            None => eprintln!("the analyzer does not tell what the query read"),
        }
    }
    match answer.status.as_u16() {
        400 | 406 => {
            let paint = Paint::of(&io::stderr());
            eprintln!("{}", draw(gremlin, &answer.message(), answer.error_position(), paint));
            return Err(Told.into());
        }
        204 => bail!("the query is empty"),
        _ => {}
    }
    let body = require_ok(answer, rest)?.body;
    match format {
        Format::Json => print_json(&body, "\t"),
        Format::Table => {
            let json: Json = serde_json::from_slice(&body).context("the answer is not JSON")?;
            print(columns::render(&json, table::terminal_width()).as_bytes())
        }
        Format::Dot | Format::Pcap => print(&body),
    }
}
