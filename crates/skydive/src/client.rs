//! The sub-commands of `client`: one question to an analyzer, the answer on standard output.

mod columns;
mod complaint;
mod indent;
mod query;
mod rest;

use anyhow::{Context as _, bail};

use crate::cli::{ClientCommand, ConfigFlags, ServerFlags};
use crate::config::{self, Address, Source, Surroundings};
use crate::terminal;
use indent::Indenter;
pub(crate) use query::Told;
use rest::{Answer, Rest};

/// Asked when nobody says otherwise.
const DEFAULT_ANALYZER: &str = "127.0.0.1:8082";

/// Runs one sub-command.
pub(crate) async fn run(
    command: ClientCommand,
    server: &ServerFlags,
    flags: &ConfigFlags,
) -> anyhow::Result<()> {
    let rest = connect(server, flags)?;
    match command {
        ClientCommand::Query { gremlin, format, explain } => {
            query::run(&rest, &gremlin, format, explain).await
        }
        ClientCommand::Status => {
            let answer = rest.status().await?.require_ok().await?;
            print_json(answer, "  ").await
        }
    }
}

/// The analyzer that the flags, the environment or the configuration name, in this order.
fn connect(server: &ServerFlags, flags: &ConfigFlags) -> anyhow::Result<Rest> {
    if server.cert.is_some() || server.key.is_some() || server.cacert.is_some() || server.insecure {
        bail!("TLS is not available in this version: --cert, --key, --cacert and --insecure cannot be used");
    }
    let around = Surroundings::of_process();
    let analyzer = match server.analyzer.as_deref().filter(|address| !address.is_empty()) {
        Some(text) => Address::parse(text, &|name| around.service(name))
            .map_err(|why| anyhow::anyhow!("--analyzer or $SKYDIVE_ANALYZER: {why}"))?,
        None => {
            let loaded = config::load(&Source::read_all(&flags.conf), &[], &around);
            if !flags.conf.is_empty()
                && let Some(problem) = loaded.problems.iter().find(|p| p.severity == config::Severity::Error)
            {
                bail!("{problem}");
            }
            match loaded.resolved.analyzers.first() {
                Some(address) => address.clone(),
                None => Address::parse(DEFAULT_ANALYZER, &|_| None).map_err(anyhow::Error::msg)?,
            }
        }
    };
    let credentials = server
        .username
        .clone()
        .filter(|name| !name.is_empty())
        .map(|name| (name, server.password.clone().unwrap_or_default()));
    Ok(Rest::new(&analyzer, credentials))
}

/// Streams a JSON body to standard output, indented.
async fn print_json(mut answer: Answer, unit: &'static str) -> anyhow::Result<()> {
    let mut indenter = Indenter::new(unit);
    let mut text = Vec::new();
    while let Some(chunk) = answer.chunk().await? {
        indenter.push(&chunk, &mut text);
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

fn print(bytes: &[u8]) -> anyhow::Result<()> {
    terminal::print(bytes).context("standard output")
}
