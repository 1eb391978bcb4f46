//! How much of everything is taken from outside.

/// Sizes above which requests and messages are refused with a reason.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Limits {
    /// Body of a REST request, bytes.
    pub rest_body: usize,
    /// Capture file that is imported, bytes.
    pub capture_file: usize,
    /// Text of a query, bytes.
    pub query_bytes: usize,
    /// Steps of a query.
    pub query_steps: usize,
    /// WebSocket message, bytes.
    pub ws_message: usize,
    /// Message of an agent or a publisher, bytes: a whole graph must fit.
    pub agent_message: usize,
}

impl Default for Limits {
    fn default() -> Self {
        Self {
            rest_body: 16 << 20,
            capture_file: 1 << 30,
            query_bytes: 64 << 10,
            query_steps: 256,
            ws_message: 16 << 20,
            agent_message: 512 << 20,
        }
    }
}
