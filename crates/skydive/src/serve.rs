//! `agent`, `analyzer` and `allinone`: load the configuration, start, run until told to stop.

use std::future::Future;
use std::process;

use anyhow::{Context as _, bail};
use tokio::runtime;
use tokio::signal::unix::{SignalKind, signal};
use tokio_util::sync::CancellationToken;
use tracing::{debug, info, warn};

use crate::cli::ConfigFlags;
use crate::config::{self, FlagValue, Loaded, Severity, Source, Surroundings};
use crate::memory::{self, Pages};
use crate::{config_command, exit, logging, version, wiring};

/// What this process is.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Role {
    Agent,
    Analyzer,
    Allinone,
}

/// The flags that set keys: those given, and `--verbose`.
pub(crate) fn flags(
    config: &ConfigFlags,
    given: &[(&'static str, &'static str, Option<String>)],
) -> Vec<FlagValue> {
    let verbose = config.verbose.then(|| "DEBUG".to_owned());
    given
        .iter()
        .cloned()
        .chain([("logging.level", "--verbose", verbose)])
        .filter_map(|(key, flag, value)| Some(FlagValue { key, flag, value: value? }))
        .collect()
}

/// Runs until a signal or a failure.
pub(crate) fn run(role: Role, config: &ConfigFlags, flags: &[FlagValue]) -> anyhow::Result<u8> {
    let loaded = config::load(&Source::read_all(&config.conf), flags, &Surroundings::of_process());
    if loaded.has_errors() {
        config_command::tell(&loaded.problems, Severity::Warning);
        bail!("the configuration is not usable");
    }
    logging::start(&loaded)?;
    log_problems(&loaded);
    wiring::raise_limits();
    if role != Role::Agent {
        memory::choose(Pages::Large);
    }
    let runtime =
        runtime::Builder::new_multi_thread().enable_all().thread_name("skydive").build().context("tokio")?;
    info!(?role, version = version::VERSION, host = loaded.resolved.host_id, "starting");
    runtime.block_on(async {
        let stop = CancellationToken::new();
        watch_signals(stop.clone())?;
        Box::pin(serve(role, &loaded, stop)).await
    })?;
    info!("stopped");
    Ok(exit::OK)
}

async fn serve(role: Role, loaded: &Loaded, stop: CancellationToken) -> anyhow::Result<()> {
    let Loaded { resolved, settings, .. } = loaded;
    match role {
        Role::Agent => Ok(wiring::agent(resolved, settings).await?.run(stop).await?),
        Role::Analyzer => Ok(wiring::analyzer(resolved, settings).await?.run(stop).await?),
        Role::Allinone => {
            // Both addresses are taken before either half runs: the agent finds the analyzer at its first try.
            let analyzer = wiring::analyzer(resolved, settings).await.context("analyzer")?;
            let mut beside = resolved.clone();
            beside.analyzers = vec![config::Address {
                port: analyzer.address().port(),
                ..resolved.analyzer.listen.reachable()
            }];
            let agent = wiring::agent(&beside, settings).await.context("agent")?;
            let analyzer = async { Ok(analyzer.run(stop.clone()).await?) };
            let agent = async { Ok(agent.run(stop.clone()).await?) };
            Box::pin(both(analyzer, agent, &stop)).await
        }
    }
}

/// Runs the two halves of an allinone; the end of one stops the other.
async fn both(
    analyzer: impl Future<Output = anyhow::Result<()>>,
    agent: impl Future<Output = anyhow::Result<()>>,
    stop: &CancellationToken,
) -> anyhow::Result<()> {
    let analyzer = async {
        let result = analyzer.await.context("analyzer");
        stop.cancel();
        result
    };
    let agent = async {
        let result = agent.await.context("agent");
        stop.cancel();
        result
    };
    let (analyzer, agent) = tokio::join!(analyzer, agent);
    analyzer.and(agent)
}

/// The first SIGINT or SIGTERM stops in order, the second ends the process at once.
fn watch_signals(stop: CancellationToken) -> anyhow::Result<()> {
    let mut interrupt = signal(SignalKind::interrupt()).context("SIGINT")?;
    let mut terminate = signal(SignalKind::terminate()).context("SIGTERM")?;
    tokio::spawn(async move {
        let mut seen = 0;
        loop {
            tokio::select! {
                _ = interrupt.recv() => {}
                _ = terminate.recv() => {}
            }
            seen += 1;
            if seen > 1 {
                warn!("stopped by a second signal");
                process::exit(i32::from(exit::INTERRUPTED));
            }
            info!("stopping");
            stop.cancel();
        }
    });
    Ok(())
}

fn log_problems(loaded: &Loaded) {
    for problem in &loaded.problems {
        let (origin, key) = (&problem.origin, &problem.key);
        match problem.severity {
            Severity::Note => debug!(%origin, key, "{}", problem.text),
            _ => warn!(%origin, key, "{}", problem.text),
        }
    }
    let notes = loaded.problems.iter().filter(|problem| problem.severity == Severity::Note).count();
    if notes > 0 {
        info!(keys = notes, "some keys have no effect in this version: `skydive config check` names them");
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[tokio::test]
    async fn the_end_of_one_half_stops_the_other_and_is_reported() {
        let stop = CancellationToken::new();
        let waits = stop.clone();
        let agent = async move {
            waits.cancelled().await;
            Ok(())
        };
        let error = both(async { bail!("port taken") }, agent, &stop).await.unwrap_err();
        assert_eq!(format!("{error:#}"), "analyzer: port taken");
    }
}
