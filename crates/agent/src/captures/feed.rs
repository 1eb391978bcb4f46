//! What captures tell on their own: flows, and how each is going. Whoever carries it to an analyzer takes this.

use skydive_flow::Flow;
use skydive_proto::FlowStats;
use tokio::sync::mpsc;

/// Two bounded channels. When they are not emptied, updates of flows come later, then flows are lost and counted; what
/// could not be told of a capture is in its next statistics. Both end when the agent stops, after the last flow.
#[derive(Debug)]
pub struct FlowFeed {
    /// Flows that changed or ended, at most [`skydive_capture::FLOWS_PER_BATCH`] in a batch.
    pub flows: mpsc::Receiver<Vec<Flow>>,
    /// What a capture counted since it told last.
    pub stats: mpsc::Receiver<FlowStats>,
}
