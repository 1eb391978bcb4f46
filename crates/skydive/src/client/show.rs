//! Answers on standard output: tables for people at a terminal, JSON for pipes.

use std::io::{self, IsTerminal};

use anyhow::{Context as _, bail};
use serde_json::Value as Json;

use super::columns;
use super::indent::Indenter;
use crate::cli::Shape;
use crate::table;
use crate::terminal::{self, Paint};

/// What an answer is, which decides how it looks as a table.
#[derive(Clone, Copy, PartialEq, Eq)]
pub(crate) enum Look {
    /// What a query found.
    Answer,
    /// Resources by id.
    Listing,
    /// One resource.
    Resource,
    /// A status.
    Status,
}

/// Bytes of an answer that are indented and written at a time.
const PIECE: usize = 256 << 10;

/// Prints the JSON of an answer in the form asked for, else in the one for whoever reads.
pub(super) fn show(body: &[u8], asked: Option<Shape>, looks: Look) -> anyhow::Result<()> {
    match asked.unwrap_or_else(usual) {
        Shape::Json => print_json(body, looks),
        Shape::Table => {
            let json: Json = serde_json::from_slice(body).context("the answer is not JSON")?;
            print(look(&json, looks))
        }
    }
}

/// The form for who reads: a terminal or a pipe.
pub(crate) fn usual() -> Shape {
    if io::stdout().is_terminal() { Shape::Table } else { Shape::Json }
}

/// The answer as tables for the terminal that standard output is.
pub(crate) fn look(answer: &Json, looks: Look) -> String {
    let width = table::terminal_width();
    let text = match looks {
        Look::Answer => columns::render(answer, width),
        Look::Listing => columns::listing(answer, width),
        Look::Resource => columns::fields(answer, width),
        Look::Status => columns::sections(answer, width),
    };
    table::painted(&text, Paint::of(&io::stdout()))
}

/// The answer indented, whole.
pub(crate) fn json(body: &[u8], looks: Look) -> Vec<u8> {
    let (mut indenter, mut text) = (indenter(looks), Vec::new());
    indenter.push(body, &mut text);
    indenter.finish(&mut text);
    text
}

/// Queries of the original have tabs, everything else two blanks.
fn indenter(looks: Look) -> Indenter {
    let unit = if looks == Look::Answer { "\t" } else { "  " };
    Indenter::new(unit, Paint::of(&io::stdout()))
}

/// Prints piece by piece: an answer may be large.
fn print_json(body: &[u8], looks: Look) -> anyhow::Result<()> {
    let (mut indenter, mut text) = (indenter(looks), Vec::new());
    for piece in body.chunks(PIECE) {
        indenter.push(piece, &mut text);
        print(&text)?;
        text.clear();
    }
    let is_whole = indenter.finish(&mut text);
    print(&text)?;
    if !is_whole {
        bail!("the answer was cut off");
    }
    Ok(())
}

pub(crate) fn print(text: impl AsRef<[u8]>) -> anyhow::Result<()> {
    terminal::print(text).context("standard output")
}
