//! Topology probes: each watches one part of the system and keeps its part of the graph true.
//!
//! A probe is one file (or folder) and one line in [`PROBES`]. It is built from [`ProbeConfig`], says whether it can
//! work here, and then sends mutations until it is told to stop. It reaches nothing but its [`ProbeScope`]. Probes of an
//! analyzer are the same; they stand in [`ANALYZER_PROBES`] and follow the merged graph.

mod analyzer_probe;
mod fabric;
mod hardware;
mod metadata_config;
mod namespaces;
mod netlink;
mod netns;
mod probe;
mod scope;
mod socketinfo;
mod telemetry;

pub use analyzer_probe::{AnalyzerProbeConfig, AnalyzerProbeDef};
pub use fabric::{Fabric, Fault, split_links};
pub use namespaces::{Namespaces, NsKey, NsNode};
pub use probe::{
    BoxFuture, BuildError, MetadataFile, Need, Probe, ProbeConfig, ProbeDef, ProbeError, Unavailable,
};
pub use scope::{Health, ProbeScope, Report, Stopped};
pub use telemetry::ProbeTelemetry;

/// Every topology probe, in the order in which they start.
pub const PROBES: &[ProbeDef] =
    &[hardware::DEF, metadata_config::DEF, netlink::DEF, netns::DEF, socketinfo::DEF];

/// Every topology probe of an analyzer.
pub const ANALYZER_PROBES: &[AnalyzerProbeDef] = &[fabric::DEF];
