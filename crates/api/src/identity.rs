//! `GET /api`: who serves.

use std::sync::Arc;

use axum::routing::get;

use crate::permission::Guard;
use crate::respond;
use crate::router::{Route, Serving};

pub(crate) fn route(serving: &Arc<Serving>) -> Route {
    let serving = serving.clone();
    Route {
        path: "/api",
        guard: Guard::Open,
        action: get(move || async move { respond::json(&serving.identity) }),
    }
}
