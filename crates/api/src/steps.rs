//! `/api/query/steps`: the query language, for those who complete queries.

use skydive_proto::{Language, Shape, media};

use crate::openapi::{GRAPH, Operation};
use crate::permission::Guard;
use crate::route::Route;
use crate::{language, respond};

pub(crate) fn route() -> Route {
    let operation = Operation::new(GRAPH, "query_language", "The query language")
        .about("Every step, predicate and word, with what may follow what: for completion.")
        .answer(200, "The language", media::JSON, Shape::of::<Language>());
    Route::new("/api/query/steps", Guard::Read("topology"))
        .get(operation, async || respond::json(&language()))
}
