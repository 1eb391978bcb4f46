//! `client topology`: the whole graph out and in again.

use std::io;

use skydive_client::{Explained, Rest};

use super::{import, query};
use crate::cli::{Format, ServerFlags, TopologyCommand};
use crate::terminal::{Color, Paint};

/// The query for the whole graph.
const GRAPH: &str = "G";

pub(super) async fn run(rest: &Rest, server: &ServerFlags, command: TopologyCommand) -> anyhow::Result<()> {
    match command {
        TopologyCommand::Query { gremlin, format } => {
            let warning = Paint::of(&io::stderr()).color(Color::Yellow, "warning");
            eprintln!("{warning}: `client topology query` is an old name of `client query`");
            query::ask(rest, &gremlin, format.or_usual(), Explained::No).await
        }
        TopologyCommand::Export => query::ask(rest, GRAPH, Format::Json, Explained::No).await,
        TopologyCommand::Import { file, endpoint } => {
            import::run(rest, &file, &endpoint, server.patience()).await
        }
    }
}
