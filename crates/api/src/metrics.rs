//! `GET /metrics`: the program's own measurements in the text format of Prometheus.

use std::sync::Arc;

use http::{HeaderValue, StatusCode};
use prometheus_client::encoding::text::encode;
use prometheus_client::registry::Registry;
use skydive_proto::Shape;

use crate::openapi::{Operation, SERVER};
use crate::permission::Guard;
use crate::respond;
use crate::route::Route;

const OPEN_METRICS: &str = "application/openmetrics-text; version=1.0.0; charset=utf-8";

pub(crate) fn route(registry: Arc<Registry>) -> Route {
    let scrape = move || async move {
        let mut text = String::new();
        match encode(&mut text, &registry) {
            Ok(()) => respond::typed(HeaderValue::from_static(OPEN_METRICS), text),
            Err(fault) => respond::error(StatusCode::INTERNAL_SERVER_ERROR, fault.to_string()),
        }
    };
    let operation = Operation::new(SERVER, "metrics", "Measurements of the program itself")
        .about("For Prometheus and what reads like it.")
        .answer(200, "Measurements", OPEN_METRICS, Shape::text());
    Route::new("/metrics", Guard::Read("metrics")).get(operation, scrape)
}
