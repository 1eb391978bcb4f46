//! `GET /api/status`: connections, probes, losses.

use std::sync::Arc;

use serde::Serialize;
use skydive_graph::BoxFuture;
use skydive_proto::{AgentStatus, AnalyzerStatus, Shape, media};
use utoipa::ToSchema;

use crate::openapi::{Operation, SERVER};
use crate::permission::Guard;
use crate::respond;
use crate::route::Route;

/// A status.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, ToSchema)]
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
    let operation = Operation::new(SERVER, "status", "Connections, probes, losses")
        .about("Who is connected, what the probes do and miss, and what was refused or lost since the start.")
        .answer(200, "The status of now", media::JSON, Shape::of::<Status>());
    let action = move || async move { respond::json(&report.status().await) };
    Route::new("/api/status", Guard::Read("status")).get(operation, action)
}
