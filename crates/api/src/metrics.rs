//! `GET /metrics`: the program's own measurements in the text format of Prometheus.

use std::sync::Arc;

use axum::routing::get;
use http::{HeaderValue, StatusCode};
use prometheus_client::encoding::text::encode;
use prometheus_client::registry::Registry;

use crate::permission::Guard;
use crate::respond;
use crate::router::Route;

const OPEN_METRICS: HeaderValue =
    HeaderValue::from_static("application/openmetrics-text; version=1.0.0; charset=utf-8");

pub(crate) fn route(registry: Arc<Registry>) -> Route {
    let scrape = move || async move {
        let mut text = String::new();
        match encode(&mut text, &registry) {
            Ok(()) => respond::typed(OPEN_METRICS, text),
            Err(fault) => respond::error(StatusCode::INTERNAL_SERVER_ERROR, fault.to_string()),
        }
    };
    Route { path: "/metrics", guard: Guard::Read("metrics"), action: get(scrape) }
}
