//! The sub-commands of `client`: one question to an analyzer, the answer on standard output.

mod columns;
mod complaint;
mod indent;
mod query;

use anyhow::{Context as _, anyhow, bail};
use skydive_client::{Credentials, Endpoint, Response, Rest, RestError};
use skydive_proto::reason;

use crate::cli::{ClientCommand, ConfigFlags, ServerFlags};
use crate::config::{self, Address, Source, Surroundings};
use crate::{config_command, terminal};
use indent::Indenter;
pub(crate) use query::Told;

/// Asked when nobody says otherwise.
const DEFAULT_ANALYZER: &str = "127.0.0.1:8082";

/// Bytes of an answer that are indented and written at a time.
const PIECE: usize = 256 << 10;

/// Runs one sub-command.
pub(crate) async fn run(
    command: ClientCommand,
    server: &ServerFlags,
    flags: &ConfigFlags,
) -> anyhow::Result<()> {
    let rest = connect(server, flags)?;
    match command {
        ClientCommand::Query { gremlin, format, explain, delete: _ } => {
            query::run(&rest, &gremlin, format, explain).await
        }
        ClientCommand::Status => {
            let answer = require_ok(rest.get("/api/status").await.map_err(advise)?, &rest)?;
            print_json(&answer.body, "  ")
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
            .map_err(|why| anyhow!("--analyzer or $SKYDIVE_ANALYZER: {why}"))?,
        None => {
            let loaded = config::load(&Source::read_all(&flags.conf), &[], &around);
            if !flags.conf.is_empty() && loaded.has_errors() {
                config_command::tell(&loaded.problems, config::Severity::Error);
                bail!("the configuration is not usable");
            }
            match loaded.resolved.analyzers.first() {
                Some(address) => address.clone(),
                None => Address::parse(DEFAULT_ANALYZER, &|_| None).map_err(anyhow::Error::msg)?,
            }
        }
    };
    let mut endpoint = Endpoint::new(analyzer.host, analyzer.port);
    if let Some(user) = server.username.clone().filter(|name| !name.is_empty()) {
        let password = server.password.clone().unwrap_or_default();
        endpoint = endpoint.with_credentials(Credentials { user, password });
    }
    Ok(Rest::new(endpoint)?)
}

/// The answer when its status is 200, else an error with the server's words and what to do.
fn require_ok(answer: Response, rest: &Rest) -> anyhow::Result<Response> {
    let server = rest.endpoint();
    let message = || terminal::harmless(&answer.message());
    match answer.status.as_u16() {
        200 => Ok(answer),
        401 => bail!("{server}: wrong credentials; give --username and --password"),
        405 => bail!("{server}: not permitted: {}", message()),
        _ => bail!("{server}: {}: {}", answer.status, message()),
    }
}

/// What to do about a request without an answer.
fn advise(error: RestError) -> anyhow::Error {
    let is_unreachable = matches!(error, RestError::Unreachable { .. });
    let error = anyhow::Error::new(error);
    if !is_unreachable {
        return error;
    }
    anyhow!(
        "{}\nstart an analyzer there (`skydive allinone`), or name another one with --analyzer or \
         $SKYDIVE_ANALYZER",
        reason(error.as_ref())
    )
}

/// Prints a JSON body, indented.
fn print_json(body: &[u8], unit: &'static str) -> anyhow::Result<()> {
    let mut indenter = Indenter::new(unit);
    let mut text = Vec::new();
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

fn print(bytes: &[u8]) -> anyhow::Result<()> {
    terminal::print(bytes).context("standard output")
}
