//! The hub: what makes an analyzer.
//!
//! Agents bring their parts of the graph ([`agents`]), one task merges them ([`skydive_api::LiveGraph`]), and the API
//! answers queries, streams events to subscribers and serves the page. The hub knows only mutations: what made them,
//! a probe on a host or a program elsewhere, is the business of who sends them.

mod agents;
mod analyzer_probes;
mod captures;
mod config;
mod flow_intake;
mod flows;
mod follow;
mod hosts;
mod imported;
mod rules;
mod run;
mod status;

pub use analyzer_probes::{AnalyzerProbe, ProbeLine, Said};
pub use config::{FlowSettings, HubConfig};
pub use run::{Hub, HubError};
