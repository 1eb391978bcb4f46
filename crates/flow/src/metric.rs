//! What is counted of a flow, and how counts are added, subtracted and split.

use skydive_value::Timestamp;

/// Packets and bytes of both directions over a time.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Metric {
    /// Packets from A to B.
    pub ab_packets: u64,
    /// Bytes from A to B.
    pub ab_bytes: u64,
    /// Packets from B to A.
    pub ba_packets: u64,
    /// Bytes from B to A.
    pub ba_bytes: u64,
    /// Begin of the time.
    pub start: Timestamp,
    /// End of the time.
    pub last: Timestamp,
    /// Round-trip time, nanoseconds; 0 when not known.
    pub rtt: u64,
}
