//! Where the crates meet: from the resolved configuration to running agents and analyzers.

use tokio_util::sync::CancellationToken;
use tracing::{debug, warn};

use crate::config::Resolved;

/// Runs an agent until `stop`.
#[expect(clippy::unused_async, reason = "its place until the agent is there")]
pub(crate) async fn agent(config: &Resolved, stop: CancellationToken) -> anyhow::Result<()> {
    let _ = (config, stop);
    anyhow::bail!("the agent is not part of this build")
}

/// Runs an analyzer until `stop`.
#[expect(clippy::unused_async, reason = "its place until the hub is there")]
pub(crate) async fn analyzer(config: &Resolved, stop: CancellationToken) -> anyhow::Result<()> {
    let _ = (config, stop);
    anyhow::bail!("the analyzer is not part of this build")
}

/// Allows as many open files as the system permits: every namespace and every client holds some.
pub(crate) fn raise_limits() {
    match skydive_sys::raise_nofile() {
        Ok(files) => debug!(files, "open files allowed"),
        Err(error) => warn!(%error, "the number of open files cannot be raised"),
    }
}
