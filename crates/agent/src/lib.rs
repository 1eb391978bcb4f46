//! The agent: one per host.
//!
//! Probes send mutations, one task owns the local graph ([`skydive_api::LiveGraph`]), stable ids are derived as it
//! changes ([`tid`]), one uplink per analyzer carries the graph away, and a small API serves it locally. Everything
//! a link needs is a snapshot and the events after it; a link that cannot keep up gets the last state of each element.

mod captures;
mod config;
mod dial;
mod flow_line;
mod host;
mod link;
mod made;
mod master;
mod processes;
mod requests;
mod run;
mod status;
mod supervise;
mod tid;
mod uplink;

pub use captures::FlowFeed;
pub use config::{AgentConfig, CaptureSettings, Listen, MetadataFile, ProbeChoice, TableConfig};
pub use dial::WebSocketDial;
pub use flow_line::{FlowProtocol, FlowRoute};
pub use link::{Dial, DialError, Link, LinkClosed};
pub use run::{Agent, AgentError};
