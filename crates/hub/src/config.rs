//! What a hub is made from.

use skydive_api::ApiSettings;
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
    /// The time.
    pub clock: Clock,
}
