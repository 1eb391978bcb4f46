//! `client query`: a Gremlin query, its answer in the form asked for, a refusal drawn with a caret.

use std::io::{self, IsTerminal};

use anyhow::bail;
use skydive_client::{Explained, Response, Rest};

use super::complaint::draw;
use super::flows;
use super::incomplete::lacks;
use super::show::{Look, print, show, usual};
use super::{Told, heard, require_ok};
use crate::cli::{Format, FormatFlag, QueryFlags, Shape};
use crate::terminal::{Paint, harmless};

/// Carries what the query read.
const EXPLAIN: &str = "X-Skydive-Explain";

/// Sends the query and prints the answer.
pub(super) async fn run(rest: &Rest, flags: &QueryFlags) -> anyhow::Result<()> {
    let explained = if flags.explain { Explained::Yes } else { Explained::No };
    ask(rest, &flags.gremlin, flags.format.or_usual(), explained).await
}

/// The same for any query.
pub(super) async fn ask(
    rest: &Rest,
    gremlin: &str,
    format: Format,
    explained: Explained,
) -> anyhow::Result<()> {
    if format == Format::Pcap && io::stdout().is_terminal() {
        bail!("packets are not for a terminal: redirect the output to a file");
    }
    let accept = match format {
        Format::Json | Format::Table => "application/json",
        Format::Dot => "text/vnd.graphviz",
        Format::Pcap => "application/vnd.tcpdump.pcap",
    };
    let answer = heard(rest, rest.topology(gremlin, accept, explained)).await?;
    if explained == Explained::Yes {
        match answer.header(EXPLAIN) {
            Some(read) => eprintln!("{EXPLAIN}: {}", harmless(read)),
            None => eprintln!("the analyzer does not tell what the query read"),
        }
    }
    let answer = accepted(answer, gremlin, rest)?;
    if let Some(lacks) = lacks(&answer) {
        eprintln!("{lacks}");
    }
    let body = answer.body;
    match format {
        Format::Json => show(&body, Some(Shape::Json), Look::Answer),
        Format::Table => table(&body),
        Format::Dot | Format::Pcap => print(&body),
    }
}

fn table(body: &[u8]) -> anyhow::Result<()> {
    if let Some(flows) = flows::of_answer(body) {
        return print(flows::painted(&flows));
    }
    let Some(groups) = flows::groups_of_answer(body) else {
        return show(body, Some(Shape::Table), Look::Answer);
    };
    for (at, (id, flows)) in groups.iter().enumerate() {
        let between = if at == 0 { "" } else { "\n" };
        print(format!("{between}{}\n", harmless(id)))?;
        print(flows::painted(flows))?;
    }
    Ok(())
}

/// The answer of a query that was not refused; a refusal is drawn on standard error.
pub(super) fn accepted(answer: Response, gremlin: &str, rest: &Rest) -> anyhow::Result<Response> {
    match refuse(&answer, gremlin) {
        Some(refusal) => {
            eprintln!("{refusal}");
            Err(Told.into())
        }
        None if answer.status == 204 => bail!("the query is empty"),
        None => require_ok(answer, rest),
    }
}

/// What is to be said of a query that was refused.
pub(crate) fn refuse(answer: &Response, gremlin: &str) -> Option<String> {
    let paint = Paint::of(&io::stderr());
    let is_refused = matches!(answer.status.as_u16(), 400 | 406);
    is_refused.then(|| draw(gremlin, &answer.message(), answer.error_position(), paint))
}

impl FormatFlag {
    /// The form asked for, else the one for who reads.
    pub(super) fn or_usual(&self) -> Format {
        self.format.unwrap_or(match usual() {
            Shape::Json => Format::Json,
            Shape::Table => Format::Table,
        })
    }
}
