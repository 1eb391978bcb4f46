//! The sub-commands of `client`: one question to an analyzer, the answer on standard output.

mod columns;
pub(crate) mod complaint;
mod indent;
mod query;

use std::io::{self, IsTerminal};
use std::pin::pin;
use std::time::Duration;

use anyhow::{Context as _, anyhow, bail};
use skydive_client::{Credentials, Endpoint, Response, Rest, RestError};
use skydive_proto::reason;
use tokio::time::timeout;

use crate::cli::{ClientCommand, ConfigFlags, ServerFlags};
use crate::config::{self, Address, Source, Surroundings};
use crate::{config_command, terminal};
use indent::Indenter;
pub(crate) use query::Told;

/// Asked when nobody says otherwise.
const DEFAULT_ANALYZER: &str = "127.0.0.1:8082";

/// How long an answer is waited for in silence.
const LATE: Duration = Duration::from_secs(3);

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
            let answer = require_ok(heard(&rest, rest.get("/api/status")).await?, &rest)?;
            print_json(&answer.body, "  ")
        }
    }
}

/// The answer to a request. Who sits before a terminal is told when it is long in coming.
async fn heard(
    rest: &Rest,
    answer: impl Future<Output = Result<Response, RestError>>,
) -> anyhow::Result<Response> {
    let tell = || {
        if io::stderr().is_terminal() {
            eprintln!("waiting for {}", rest.endpoint());
        }
    };
    told_if_late(answer, LATE, tell).await.map_err(advise)
}

/// Calls `tell` when a future is not ready after some time, and goes on to wait for it.
async fn told_if_late<T>(future: impl Future<Output = T>, late: Duration, tell: impl FnOnce()) -> T {
    let mut future = pin!(future);
    match timeout(late, future.as_mut()).await {
        Ok(ready) => ready,
        Err(_) => {
            tell();
            future.await
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
    Ok(Rest::new(endpoint)?.with_patience(Duration::from_secs(server.timeout)))
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
    let advice = match error {
        RestError::Unreachable { .. } => {
            "start an analyzer there (`skydive allinone`), or name another one with --analyzer or $SKYDIVE_ANALYZER"
        }
        RestError::Silent { .. } => "wait longer with --timeout or $SKYDIVE_TIMEOUT",
        error => return error.into(),
    };
    anyhow!("{}\n{advice}", reason(&error))
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

#[cfg(test)]
mod tests {
    use std::future::pending;

    use tokio::sync::oneshot;

    use super::*;

    #[tokio::test]
    async fn who_waits_is_told_once_it_is_late() {
        let (say, said) = oneshot::channel();
        let tell = || say.send("late").unwrap();
        assert_eq!(told_if_late(said, Duration::from_millis(1), tell).await, Ok("late"));
        let at_once = told_if_late(async { 1 }, Duration::ZERO, || panic!("nothing is late"));
        assert_eq!(at_once.await, 1);
        let never = told_if_late(pending::<()>(), Duration::ZERO, || {});
        assert!(timeout(Duration::from_millis(10), never).await.is_err());
    }
}
