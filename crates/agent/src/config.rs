//! What an agent is made from.

use std::path::PathBuf;
use std::time::Duration;

use skydive_api::ApiSettings;
use skydive_capture::CaptureConfig;
pub use skydive_capture::Listen;
pub use skydive_flow::TableConfig;
pub use skydive_probes::MetadataFile;
use skydive_value::{Clock, Map, SmolStr};

use crate::FlowProtocol;

/// Resolved configuration of an agent.
#[derive(Clone, Debug)]
pub struct AgentConfig {
    /// Identity of this agent, unique among all.
    pub host_id: SmolStr,
    /// Name the operating system has for the host.
    pub hostname: SmolStr,
    /// Version shown to clients.
    pub version: SmolStr,
    /// Metadata of the host node given by the user.
    pub metadata: Map,
    /// Files from which metadata of the host node is read.
    pub metadata_files: Vec<MetadataFile>,
    /// Probes asked for.
    pub probes: ProbeChoice,
    /// Time between two samples of interface counters.
    pub metrics_update: Duration,
    /// Time between two lists of sockets, of the probe `socketinfo`.
    pub sockets_update: Duration,
    /// Directory of named network namespaces.
    pub netns_run_path: PathBuf,
    /// How captures are made.
    pub captures: CaptureSettings,
    /// How flows are sent.
    pub flow_protocol: FlowProtocol,
    /// How the API behaves; its queue size also bounds what may wait for an analyzer.
    pub api: ApiSettings,
    /// The time.
    pub clock: Clock,
}

/// Which probes run beside those that always do.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum ProbeChoice {
    /// Those of the default configuration that work here.
    Automatic,
    /// These; one that cannot work is an error.
    Named(Vec<String>),
}

/// How captures are made, where they do not say it themselves.
#[derive(Clone, Debug)]
pub struct CaptureSettings {
    /// How flows are counted. [`TableConfig::max_extra_bytes`] and [`TableConfig::quota`] are what all captures together
    /// may take.
    pub table: TableConfig,
    /// Where capture files are taken.
    pub listen: Listen,
    /// Bytes of each ring.
    pub ring_bytes: usize,
    /// Threads that all captures share, at least one.
    pub threads: usize,
    /// How many of them each capture is spread over.
    pub fanout: usize,
    /// Captures that run at a time at most.
    pub most: usize,
    /// Time between two samples of the counters that nodes show; no less than a second has effect.
    pub stats_update: Duration,
}

impl Default for CaptureSettings {
    fn default() -> Self {
        Self {
            table: TableConfig::default(),
            listen: Listen::default(),
            ring_bytes: CaptureConfig::RING,
            threads: 1,
            fanout: 1,
            most: 4096,
            stats_update: Duration::from_secs(1),
        }
    }
}
