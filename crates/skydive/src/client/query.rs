//! `client query`: a Gremlin query, its answer in the form asked for, a refusal drawn with a caret.

use std::io::{self, IsTerminal};

use anyhow::{Context as _, bail};
use serde_json::Value as Json;

use super::complaint::draw;
use super::rest::Rest;
use super::{columns, print, print_json};
use crate::cli::Format;
use crate::terminal::Paint;

/// Carries the byte offset of the defect in a refused query.
const ERROR_POSITION: &str = "X-Skydive-Error-Position";

/// Asks for and carries what the query read.
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
    let headers: &[(&str, &str)] = if explain { &[(EXPLAIN, "1")] } else { &[] };
    let mut answer = rest.topology(gremlin, accept, headers).await?;
    if let Some(read) = answer.header(EXPLAIN).filter(|_| explain) {
        eprintln!("{EXPLAIN}: {read}");
    }
    if answer.status() == 400 || answer.status() == 406 {
        let position = answer.header(ERROR_POSITION).and_then(|text| text.trim().parse().ok());
        let message = answer.text().await?;
        eprintln!("{}", draw(gremlin, &message, position, Paint::of(&io::stderr())));
        return Err(Told.into());
    }
    if answer.status() == 204 {
        bail!("the query is empty");
    }
    let mut answer = answer.require_ok().await?;
    match format {
        Format::Json => print_json(answer, "\t").await,
        Format::Table => {
            let mut body = Vec::new();
            while let Some(chunk) = answer.chunk().await? {
                body.extend_from_slice(&chunk);
            }
            let json: Json = serde_json::from_slice(&body).context("the answer is not JSON")?;
            print(columns::render(&json).as_bytes())
        }
        Format::Dot | Format::Pcap => {
            while let Some(chunk) = answer.chunk().await? {
                print(&chunk)?;
            }
            Ok(())
        }
    }
}
