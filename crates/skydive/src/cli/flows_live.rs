//! What `client flows` and `top` accept.

use clap::Args;
use skydive_flow::field;

use super::ShapeFlag;

#[derive(Args)]
pub(crate) struct LiveFlowsFlags {
    /// Only flows with this value in a field, such as Application=DNS or Transport.B=443; repeat it for several
    #[arg(long, short, value_name = "FIELD=VALUE", value_parser = parse_condition)]
    pub(crate) filter: Vec<(String, String)>,
    /// Only flows captured on the nodes of this query, such as G.V().Has('Name','eth0')
    #[arg(long, value_name = "QUERY")]
    pub(crate) gremlin: Option<String>,
    /// Order, largest first
    #[arg(long, value_name = "FIELD", default_value = field::LAST)]
    pub(crate) sort: String,
    /// Rows at most
    #[arg(long, value_name = "ROWS", default_value_t = 100, value_parser = clap::value_parser!(u32).range(1..=100_000))]
    pub(crate) limit: u32,
    /// Go on: a table that is kept up to date on a terminal, else each update of a flow on a line as it comes
    #[arg(long)]
    pub(crate) follow: bool,
    #[command(flatten)]
    pub(crate) shape: ShapeFlag,
}

#[derive(Args, Clone, Copy)]
pub(crate) struct TopFlags {
    /// Seconds between two looks
    #[arg(long, short, value_name = "SECONDS", default_value_t = 2, value_parser = clap::value_parser!(u64).range(1..=3600))]
    pub(crate) interval: u64,
    /// Flows that are looked at, those with the latest packets
    #[arg(long, value_name = "FLOWS", default_value_t = 2000, value_parser = clap::value_parser!(u32).range(1..=100_000))]
    pub(crate) flows: u32,
    /// Print the busiest once and end, as is done where there is no terminal
    #[arg(long)]
    pub(crate) once: bool,
    /// Rows that are printed once
    #[arg(long, value_name = "ROWS", default_value_t = 20)]
    pub(crate) rows: usize,
}

fn parse_condition(text: &str) -> Result<(String, String), String> {
    match text.split_once('=') {
        Some((field, value)) if !field.is_empty() => Ok((field.to_owned(), value.to_owned())),
        _ => Err("give a field and a value, such as Application=DNS".to_owned()),
    }
}
