//! `GET /api`: who serves.

use std::sync::Arc;

use skydive_proto::{Identity, Shape, media};

use crate::openapi::{Operation, SERVER};
use crate::permission::Guard;
use crate::respond;
use crate::route::Route;
use crate::router::Serving;

pub(crate) fn route(serving: &Arc<Serving>) -> Route {
    let serving = serving.clone();
    let operation = Operation::new(SERVER, "identify", "Who serves")
        .about("Host id, version, and whether it is an agent or an analyzer.")
        .answer(200, "Who serves", media::JSON, Shape::of::<Identity>());
    Route::new("/api", Guard::Open).get(operation, move || async move { respond::json(&serving.identity) })
}
