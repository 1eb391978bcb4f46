//! Probes of an analyzer: they add to the merged graph what no agent sees, and follow what agents say.

use std::sync::Arc;

use skydive_graph::{Snapshot, Source};
use tokio::sync::watch;

use crate::{BuildError, Probe};

/// One line of [`crate::ANALYZER_PROBES`]. Every one runs; what it does is in the configuration.
pub struct AnalyzerProbeDef {
    /// Name in the configuration and in the status.
    pub name: &'static str,
    /// What it shows, in under 72 characters.
    pub about: &'static str,
    /// Makes one.
    pub build: fn(&AnalyzerProbeConfig) -> Result<Box<dyn Probe>, BuildError>,
}

/// What probes of an analyzer are built from.
#[derive(Clone, Debug)]
pub struct AnalyzerProbeConfig {
    /// Who the probes' elements are made by.
    pub source: Arc<Source>,
    /// The merged graph: that of now, and a newer one soon after it changed. What a probe itself has sent may not be
    /// in it yet. A probe that does not need it drops it.
    pub graph: watch::Receiver<Snapshot>,
    /// The entries of `analyzer.topology.fabric`.
    pub fabric: Vec<String>,
}
