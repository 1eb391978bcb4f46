//! Starting probes, and starting them again.

use std::sync::Arc;
use std::time::Duration;

use skydive_probes::{Health, PROBES, ProbeConfig, ProbeDef, ProbeScope, Report};
use skydive_proto::reason;
use skydive_value::Clock;
use tokio::sync::mpsc;
use tokio::task::JoinSet;
use tokio_util::sync::CancellationToken;

use crate::ProbeChoice;
use crate::run::AgentError;
use crate::status::ProbeStates;

/// First and longest pause before a probe that ended is started again.
const PAUSE: (Duration, Duration) = (Duration::from_secs(1), Duration::from_mins(1));

/// The probes to run: those that always do, and those asked for.
pub(crate) fn chosen(choice: &ProbeChoice) -> Result<Vec<&'static ProbeDef>, AgentError> {
    if let ProbeChoice::Named(names) = choice
        && let Some(unknown) = names.iter().find(|name| PROBES.iter().all(|def| def.name != **name))
    {
        return Err(AgentError::UnknownProbe(unknown.clone()));
    }
    let asked = |def: &&ProbeDef| {
        def.always || matches!(choice, ProbeChoice::Named(names) if names.iter().any(|n| n == def.name))
    };
    Ok(PROBES.iter().filter(asked).collect())
}

/// What running probes share.
#[derive(Clone)]
pub(crate) struct Surroundings {
    pub(crate) config: ProbeConfig,
    pub(crate) reports: mpsc::Sender<Report>,
    pub(crate) clock: Clock,
    pub(crate) states: Arc<ProbeStates>,
    pub(crate) stop: CancellationToken,
}

/// Runs probes until `stop`, each anew when it ends early.
pub(crate) async fn run(probes: Vec<&'static ProbeDef>, around: Surroundings) {
    let mut running = JoinSet::new();
    for def in probes {
        running.spawn(keep_running(def, around.clone()));
    }
    while running.join_next().await.is_some() {}
}

async fn keep_running(def: &'static ProbeDef, around: Surroundings) {
    let mut pause = PAUSE.0;
    loop {
        let started = tokio::time::Instant::now();
        let why = match run_once(def, &around).await {
            Ok(()) if around.stop.is_cancelled() => return,
            Ok(()) => "it ended".to_owned(),
            Err(why) => why,
        };
        // A probe that ran for long starts over with short pauses.
        if started.elapsed() > PAUSE.1 {
            pause = PAUSE.0;
        }
        // The reason is logged by who hears of it.
        tracing::debug!(probe = def.name, why, pause_s = pause.as_secs(), "probe is down");
        let health = Health::Degraded { since: around.clock.now(), why: why.into() };
        if around.reports.send(Report::Health { probe: def.name, health }).await.is_err() {
            return;
        }
        tokio::select! {
            () = tokio::time::sleep(pause) => {}
            () = around.stop.cancelled() => return,
        }
        pause = (pause * 2).min(PAUSE.1);
    }
}

async fn run_once(def: &'static ProbeDef, around: &Surroundings) -> Result<(), String> {
    let probe = (def.build)(&around.config).map_err(|e| reason(&e))?;
    probe.check().map_err(|e| reason(&e))?;
    around.states.running(def.name);
    let scope = ProbeScope::new(def.name, around.reports.clone(), around.clock.clone(), around.stop.clone());
    // A task of its own, so that a panic ends the probe and not the agent.
    match tokio::spawn(probe.run(scope)).await {
        Ok(Ok(())) => Ok(()),
        Ok(Err(error)) => Err(reason(&error)),
        Err(panic) => {
            // The graph has ended with its owner when this cannot be told.
            let _ = around.reports.send(Report::Abandoned { probe: def.name }).await;
            Err(format!("defect: {panic}"))
        }
    }
}
