//! Probes of an analyzer joined to its hub, which knows nothing of them but what they say.

use std::sync::Arc;

use skydive_graph::Source;
use skydive_hub::{AnalyzerProbe, ProbeLine, Said};
use skydive_probes::{ANALYZER_PROBES, AnalyzerProbeConfig, AnalyzerProbeDef, Health, ProbeScope, Report};
use skydive_proto::{reason, role};
use tokio::sync::mpsc;

use crate::config::Resolved;
use crate::wiring::system_clock;

/// What is said and not yet heard; beyond that a probe waits.
const REPORTS: usize = 16;

/// All of them.
pub(crate) fn analyzer_probes(config: &Resolved) -> impl Iterator<Item = AnalyzerProbe> {
    let source = Source::of(role::ANALYZER, &config.host_id);
    let fabric = config.analyzer.fabric.clone();
    ANALYZER_PROBES.iter().map(move |def| {
        let (source, fabric) = (source.clone(), fabric.clone());
        let start = move |line| run(def, source.clone(), fabric.clone(), line);
        AnalyzerProbe { name: def.name, start: Box::new(move |line| Box::pin(start(line))) }
    })
}

/// Runs one until it ends.
async fn run(
    def: &'static AnalyzerProbeDef,
    source: Arc<Source>,
    fabric: Vec<String>,
    line: ProbeLine,
) -> Result<(), String> {
    let ProbeLine { says, graph, stop } = line;
    let probe = (def.build)(&AnalyzerProbeConfig { source, graph, fabric }).map_err(|e| reason(&e))?;
    probe.check().map_err(|e| reason(&e))?;
    let (reports, mut heard) = mpsc::channel(REPORTS);
    let scope = ProbeScope::new(def.name, reports, system_clock(), stop);
    let passing_on = async move {
        while let Some(report) = heard.recv().await {
            let said = match report {
                Report::Mutations { mutations, .. } => Said::Mutations(mutations),
                Report::Health { health: Health::Running, .. } => Said::Running,
                Report::Health { health: Health::Degraded { why, .. }, .. } => Said::Degraded(why),
                // Said by who supervises an agent's probes; here a defect ends the program.
                Report::Abandoned { .. } => continue,
            };
            if says.send(said).await.is_err() {
                return;
            }
        }
    };
    let (ended, ()) = tokio::join!(probe.run(scope), passing_on);
    ended.map_err(|e| reason(&e))
}
