//! What a hub is made from.

use std::time::Duration;

use skydive_api::ApiSettings;
use skydive_flow::TableConfig;
use skydive_proto::Capture;
use skydive_value::{Clock, SmolStr};

/// Resolved configuration of an analyzer.
#[derive(Clone, Debug)]
pub struct HubConfig {
    /// Identity of this analyzer.
    pub host_id: SmolStr,
    /// Version shown to clients.
    pub version: SmolStr,
    /// How the API behaves.
    pub api: ApiSettings,
    /// How flows come in.
    pub flows: FlowSettings,
    /// A capture that is made at the start, if there is none like it.
    pub startup_capture: Option<Capture>,
    /// The time.
    pub clock: Clock,
}

/// How flows come in.
#[derive(Clone, Debug)]
pub struct FlowSettings {
    /// Whether agents may send them as datagrams, to the address of the API.
    pub datagrams: bool,
    /// Flows that may wait to be told to subscribers; there is room for 200 at least.
    pub buffer: usize,
    /// How long they may wait for others, to be told together.
    pub delay: Duration,
    /// How the packets of imported files are counted. Their flows are kept for [`TableConfig::expire`].
    pub table: TableConfig,
}

impl Default for FlowSettings {
    /// As an analyzer has it that is not configured.
    fn default() -> Self {
        Self {
            datagrams: true,
            buffer: 100_000,
            delay: Duration::from_secs(5),
            table: TableConfig::default(),
        }
    }
}
