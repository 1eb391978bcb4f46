//! `GET /api/status`: connections, probes, losses.

use std::sync::Arc;

use axum::routing::get;
use serde::Serialize;
use skydive_graph::BoxFuture;
use skydive_proto::{AgentStatus, AnalyzerStatus};

use crate::permission::Guard;
use crate::respond;
use crate::router::Route;

/// A status.
#[derive(Clone, Debug, PartialEq, Eq, Serialize)]
#[serde(untagged)]
pub enum Status {
    /// Of an agent.
    Agent(AgentStatus),
    /// Of an analyzer.
    Analyzer(AnalyzerStatus),
}

/// Knows the status of the program.
pub trait StatusReport: Send + Sync {
    /// The status of now.
    fn status(&self) -> BoxFuture<'_, Status>;
}

pub(crate) fn route(report: Arc<dyn StatusReport>) -> Route {
    Route {
        path: "/api/status",
        guard: Guard::Read("status"),
        action: get(move || async move { respond::json(&report.status().await) }),
    }
}
