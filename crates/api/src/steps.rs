//! `/api/query/steps`: the query language, for those who complete queries.

use axum::routing::get;

use crate::permission::Guard;
use crate::router::Route;
use crate::{language, respond};

pub(crate) fn route() -> Route {
    Route {
        path: "/api/query/steps",
        guard: Guard::Read("topology"),
        action: get(async || respond::json(&language())),
    }
}
