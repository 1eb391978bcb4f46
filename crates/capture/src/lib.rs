//! Where packets come from, and the threads that make flows of them.
//!
//! A kind of capture is one file (or folder) and one line in [`CAPTURES`]. [`Captures`] owns the threads: each waits for
//! the sources of all captures it was given, counts their packets in a flow table per capture, lets time pass in the
//! tables, and answers searches between packets. A table has one owner, its thread; others send requests and get copies.
//!
//! What leaves is flows, in one bounded channel. Nobody there makes a packet wait: when the channel is full, updates come
//! later, then packets kept with flows are left out, then flows that had to go are lost, each of it counted.
//!
//! Nothing is allocated for a packet: its bytes are read where the kernel put them.

mod afpacket;
mod captures;
mod config;
mod definition;
mod enrich;
mod filters;
mod outbox;
mod pcap;
mod pcapsocket;
mod ring;
mod search;
mod source;
mod status;
mod worker;

pub use captures::{Capture, Captures};
pub use config::{CaptureConfig, Listen, StartError};
pub use definition::{CaptureDef, Options, definition};
pub use enrich::Enrich;
pub use filters::check_filter;
pub use outbox::{FLOW_BATCHES, FLOWS_PER_BATCH};
pub use search::{FlowSearch, Found, MOST_FLOWS, MOST_RAW_BYTES, SearchError};
pub use status::{CaptureCounters, CaptureError, CaptureKey, CaptureState, CaptureStatus};

/// Every kind of capture.
pub const CAPTURES: &[CaptureDef] = &[afpacket::DEF, pcap::DEF, pcapsocket::DEF];
