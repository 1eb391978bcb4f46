//! The sub-commands of `client`: questions to an analyzer, the answers on standard output.

mod capture;
pub(crate) mod columns;
pub(crate) mod complaint;
mod deletion;
mod element;
mod flows;
mod import;
mod incomplete;
mod indent;
mod pcap;
mod query;
mod rule;
mod show;
mod topology;

use std::io::{self, IsTerminal};
use std::pin::pin;
use std::time::Duration;

use anyhow::{anyhow, bail};
use skydive_client::{Collection, Credentials, Endpoint, Response, Rest, RestError};
use skydive_proto::reason;
use tokio::time::timeout;

use crate::cli::{
    ClientCommand, ConfigFlags, EdgeRuleCommand, NodeRuleCommand, ReadCommand, ServerFlags, ShapeFlag,
    TopFlags,
};
use crate::config::{self, Address, Source, Surroundings};
use crate::{config_command, shell, terminal, top};
pub(crate) use incomplete::{lacks, reasons};
pub(crate) use query::refuse;
pub(crate) use show::{Look, json, look, print, usual};

/// Asked when nobody says otherwise.
const DEFAULT_ANALYZER: &str = "127.0.0.1:8082";

/// How long an answer is waited for in silence.
pub(crate) const LATE: Duration = Duration::from_secs(3);

/// An error already said in full on standard error.
#[derive(Debug, thiserror::Error)]
#[error("already told")]
pub(crate) struct Told;

/// Runs one sub-command of the binary that was called by `name`.
pub(crate) async fn run(
    command: ClientCommand,
    server: &ServerFlags,
    flags: &ConfigFlags,
    name: &str,
) -> anyhow::Result<()> {
    let rest = connect(server, flags)?;
    match command {
        ClientCommand::Query(flags) => query::run(&rest, &flags).await,
        ClientCommand::Shell(flags) => shell::run(rest, flags, name).await,
        ClientCommand::Capture(command) => capture::run(&rest, command).await,
        ClientCommand::Pcap { trace } => pcap::run(&rest, &trace).await,
        ClientCommand::Flows(flags) => flows::run(&rest, &flags).await,
        ClientCommand::Node(command) => element::run_node(&rest, command).await,
        ClientCommand::Edge(command) => element::run_edge(&rest, command).await,
        ClientCommand::NodeRule(NodeRuleCommand::Create(draft)) => rule::create_node_rule(&rest, draft).await,
        ClientCommand::NodeRule(NodeRuleCommand::Other(command)) => {
            rule::run(&rest, Collection::NodeRules, command).await
        }
        ClientCommand::EdgeRule(EdgeRuleCommand::Create(draft)) => rule::create_edge_rule(&rest, draft).await,
        ClientCommand::EdgeRule(EdgeRuleCommand::Other(command)) => {
            rule::run(&rest, Collection::EdgeRules, command).await
        }
        ClientCommand::Topology(command) => topology::run(&rest, server, command).await,
        ClientCommand::Status { shape } => {
            let answer = require_ok(heard(&rest, rest.get("/api/status")).await?, &rest)?;
            show::show(&answer.body, shape.format, Look::Status)
        }
    }
}

/// Shows what is busiest.
pub(crate) async fn top(server: &ServerFlags, flags: &ConfigFlags, wanted: &TopFlags) -> anyhow::Result<()> {
    top::run(&connect(server, flags)?, wanted).await
}

/// Prints what is there.
async fn read(rest: &Rest, collection: Collection, command: ReadCommand) -> anyhow::Result<()> {
    let (answer, shape, look) = match command {
        ReadCommand::List { shape } => (heard(rest, rest.list(collection)).await?, shape, Look::Listing),
        ReadCommand::Get { id, shape } => {
            (heard(rest, rest.find(collection, &id)).await?, shape, Look::Resource)
        }
    };
    show::show(&require_ok(answer, rest)?.body, shape.format, look)
}

/// Makes a resource and prints it as it is kept.
async fn create(rest: &Rest, collection: Collection, json: Vec<u8>, shape: &ShapeFlag) -> anyhow::Result<()> {
    let answer = require_ok(heard(rest, rest.create(collection, json)).await?, rest)?;
    show::show(&answer.body, shape.format, Look::Resource)
}

/// The answer to a request. Who sits before a terminal is told when it is long in coming.
pub(crate) async fn heard(
    rest: &Rest,
    answer: impl Future<Output = Result<Response, RestError>>,
) -> anyhow::Result<Response> {
    awaited(rest, answer).await.map_err(advise)
}

/// Whatever is asked of an analyzer, with the same word to who waits for it.
pub(crate) async fn awaited<T>(rest: &Rest, asked: impl Future<Output = T>) -> T {
    let tell = || {
        if io::stderr().is_terminal() {
            eprintln!("{}", waiting(rest));
        }
    };
    told_if_late(asked, LATE, tell).await
}

/// What is said while an answer is long in coming.
pub(crate) fn waiting(rest: &Rest) -> String {
    format!("waiting for {}", rest.endpoint())
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
    Ok(Rest::new(endpoint)?.with_patience(server.patience()))
}

/// The answer when its status is a success, else an error with the server's words and what to do.
pub(crate) fn require_ok(answer: Response, rest: &Rest) -> anyhow::Result<Response> {
    let server = rest.endpoint();
    let message = || answer.message().lines().map(terminal::harmless).collect::<Vec<_>>().join("\n");
    match answer.status.as_u16() {
        200 | 201 | 304 => Ok(answer),
        401 => bail!("{server}: wrong credentials; give --username and --password"),
        405 if message().is_empty() => bail!("{server}: not permitted, or not known there"),
        405 => bail!("{server}: not permitted: {}", message()),
        // What an analyzer refuses it explains.
        400 | 404 if !message().is_empty() => bail!("{}", message()),
        _ => bail!("{server}: {}: {}", answer.status, message()),
    }
}

/// What to do about a request without an answer.
pub(crate) fn advise(error: RestError) -> anyhow::Error {
    let advice = match error {
        RestError::Unreachable { .. } => {
            "start an analyzer there (`skydive allinone`), or name another one with --analyzer or $SKYDIVE_ANALYZER"
        }
        RestError::Silent { .. } => "wait longer with --timeout or $SKYDIVE_TIMEOUT",
        error => return error.into(),
    };
    anyhow!("{}\n{advice}", reason(&error))
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
