//! `/api/topology`: the graph, and queries.

use std::sync::Arc;

use axum::extract::Request;
use axum::response::{IntoResponse, Response};
use http::header::ACCEPT;
use http::{HeaderMap, HeaderValue, StatusCode};
use skydive_graph::{BoxFuture, ReadError, Snapshot};
use skydive_proto::{
    Answer, Example, Explain, Output, Shape, coverage_to_text, header, media, pieces_of_answer,
    pieces_of_graph, query_of_body, reason,
};
use skydive_value::Coverage;

use crate::openapi::{GRAPH, Operation};
use crate::permission::Guard;
use crate::respond;
use crate::route::Route;
use crate::router::Serving;

/// Answers queries and gives the graph.
pub trait Topology: Send + Sync {
    /// The answer to a query.
    fn ask(&self, query: String) -> BoxFuture<'_, Result<Found, QueryFault>>;

    /// The live graph.
    fn graph(&self) -> BoxFuture<'_, Result<Snapshot, ReadError>>;
}

/// The answer to a query, and what there is to say of it.
#[derive(Debug)]
pub struct Found {
    /// What was asked for.
    pub answer: Answer,
    /// What it cost to find.
    pub explain: Explain,
    /// How much of the truth it holds.
    pub coverage: Coverage,
}

/// A query without answer.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct QueryFault {
    /// What is wrong, as clients of the original know it.
    pub text: String,
    /// Byte offset of the fault, when it is in the text of the query.
    pub position: Option<usize>,
}

/// The header that asks for its cost.
const EXPLAIN: &str = "`1` asks for what the answer cost to find.";
const EXPLAINED: &str = "Nodes and edges read, lookups made and flows received, for who asks.";
const JSON: HeaderValue = HeaderValue::from_static(media::JSON);

pub(crate) fn route(area: Arc<dyn Topology>, serving: &Arc<Serving>) -> Route {
    let (whole, kept, serving) = (area.clone(), serving.clone(), serving.clone());
    let give = move |headers: HeaderMap| async move { give_graph(&*whole, &kept, &headers).await };
    let ask = move |request: Request| async move { answer(&*area, &serving, request).await };
    Route::new("/api/topology", Guard::Read("topology")).get(of_graph(), give).post(of_query(), ask)
}

fn of_graph() -> Operation {
    Operation::new(GRAPH, "graph", "The live graph")
        .header(header::EXPLAIN, EXPLAIN, "1")
        .answer(200, "The graph", media::JSON, Shape::graph())
        .answer(200, "The graph", media::DOT, Shape::text())
        .answer_header(200, header::EXPLAIN, EXPLAINED)
        .refusal(500, "It cannot be written")
        .refusal(503, "It is not served now")
}

fn of_query() -> Operation {
    let answer = Shape::any(
        "A list of nodes, edges, flows or values, a number, or a list with one object, as the last step of the query says.",
    );
    Operation::new(GRAPH, "query", "Ask a query")
        .about(
            "The whole `Accept` header decides the form: Graphviz for graphs, pcap for packets, else JSON.",
        )
        .header(header::EXPLAIN, EXPLAIN, "1")
        .body(media::JSON, Shape::query())
        .examples(media::JSON, Example::queries())
        .or_nothing()
        .answer(200, "The answer", media::JSON, answer)
        .answer(200, "The answer", media::DOT, Shape::text())
        .answer(200, "The answer", media::PCAP, Shape::text())
        .answer_header(200, header::EXPLAIN, EXPLAINED)
        .answer_header(200, header::COVERAGE, "How much of the truth the answer holds.")
        .empty(204, "No query")
        .refusal(400, "Why the query has no answer")
        .answer_header(
            400,
            header::ERROR_POSITION,
            "Byte of the query at which the fault is, if it is in its text.",
        )
        .refusal(406, "The answer has no such form")
}

async fn give_graph(area: &dyn Topology, serving: &Serving, headers: &HeaderMap) -> Response {
    let Ok(permit) = serving.whole_graphs.clone().acquire_owned().await else {
        return respond::error(StatusCode::SERVICE_UNAVAILABLE, "the graph is no longer served");
    };
    let snapshot = match area.graph().await {
        Ok(snapshot) => snapshot,
        Err(fault) => return respond::error(StatusCode::SERVICE_UNAVAILABLE, fault.to_string()),
    };
    // A whole graph is all of its elements, found without a lookup.
    let (nodes, edges) = (snapshot.node_count() as u64, snapshot.edge_count() as u64);
    let explain = Explain { nodes, edges, ..Explain::default() };
    let as_dot = Output::of_accept(accept(headers)) == Output::Dot;
    let sorted = tokio::task::spawn_blocking(move || {
        let _permit = permit;
        if as_dot {
            pieces_of_answer(Answer::of_snapshot(snapshot), Output::Dot, &mut Coverage::default()).ok()
        } else {
            Some(pieces_of_graph(snapshot))
        }
    });
    match sorted.await {
        Ok(Some(pieces)) => {
            let media = if as_dot { content_type(headers) } else { JSON };
            explained(respond::pieces(media, pieces), headers, explain)
        }
        Ok(None) | Err(_) => {
            respond::error(StatusCode::INTERNAL_SERVER_ERROR, "the graph could not be written")
        }
    }
}

async fn answer(area: &dyn Topology, serving: &Serving, request: Request) -> Response {
    let headers = request.headers().clone();
    let max = serving.settings.limits.rest_body;
    let body = match respond::read_body(request, max, serving).await {
        Ok(body) => body,
        Err(refusal) => return refusal,
    };
    let query = match query_of_body(&body) {
        Ok(Some(query)) => query,
        Ok(None) => return StatusCode::NO_CONTENT.into_response(),
        Err(fault) => return respond::malformed(serving, &reason(&fault)),
    };
    let mut found = match area.ask(query).await {
        Ok(found) => found,
        Err(fault) => return refuse(&fault),
    };
    match pieces_of_answer(found.answer, Output::of_accept(accept(&headers)), &mut found.coverage) {
        Err(fault) => {
            respond::error(StatusCode::NOT_ACCEPTABLE, format!("Error while encoding response: {fault}"))
        }
        Ok(pieces) => {
            let answer = covered(respond::pieces(content_type(&headers), pieces), &found.coverage);
            explained(answer, &headers, found.explain)
        }
    }
}

/// The answer with how much of the truth it holds.
fn covered(mut answer: Response, coverage: &Coverage) -> Response {
    if let Ok(value) = HeaderValue::from_str(&coverage_to_text(coverage)) {
        answer.headers_mut().insert(header::COVERAGE, value);
    }
    answer
}

/// The answer with what it cost to find, for those who asked.
fn explained(mut answer: Response, asked: &HeaderMap, explain: Explain) -> Response {
    let wanted = asked.get(header::EXPLAIN).is_some_and(|value| value == "1");
    if let (true, Ok(value)) = (wanted, HeaderValue::from_str(&explain.to_string())) {
        answer.headers_mut().insert(header::EXPLAIN, value);
    }
    answer
}

fn refuse(fault: &QueryFault) -> Response {
    let mut response = respond::error(StatusCode::BAD_REQUEST, &fault.text);
    if let Some(position) = fault.position {
        response.headers_mut().insert(header::ERROR_POSITION, HeaderValue::from(position));
    }
    response
}

fn accept(headers: &HeaderMap) -> &str {
    headers.get(ACCEPT).and_then(|value| value.to_str().ok()).unwrap_or_default()
}

/// The `Accept` value itself, as the original answers; JSON where it names no single type, or one that a browser
/// would run.
fn content_type(headers: &HeaderMap) -> HeaderValue {
    let wanted = accept(headers);
    let is_one = wanted.split_once('/').is_some_and(|(kind, subtype)| {
        let is_plain = |b: u8| b.is_ascii_alphanumeric() || b"-+._".contains(&b);
        !kind.is_empty() && !subtype.is_empty() && kind.bytes().all(is_plain) && subtype.bytes().all(is_plain)
    });
    let is_active = ["html", "xml", "svg", "script"].iter().any(|word| wanted.contains(word));
    if !is_one || is_active {
        return JSON;
    }
    HeaderValue::from_str(&format!("{wanted}; charset=UTF-8")).unwrap_or(JSON)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_content_type_repeats_what_was_asked_for() {
        for (accept, expected) in [
            ("application/json", "application/json; charset=UTF-8"),
            ("text/vnd.graphviz", "text/vnd.graphviz; charset=UTF-8"),
            ("*/*", media::JSON),
            ("", media::JSON),
            ("application/json, text/plain, */*", media::JSON),
            ("text/html", media::JSON),
            ("image/svg+xml", media::JSON),
        ] {
            let mut headers = HeaderMap::new();
            headers.insert(ACCEPT, HeaderValue::from_static(accept));
            assert_eq!(content_type(&headers), expected, "{accept}");
        }
    }
}
