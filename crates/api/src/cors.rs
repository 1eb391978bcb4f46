//! Requests of pages from another origin.
//!
//! As the original answers them; better in that `PATCH` and the headers our own API takes are allowed.

use axum::extract::Request;
use axum::middleware::Next;
use axum::response::{IntoResponse, Response};
use http::header::{
    ACCESS_CONTROL_ALLOW_HEADERS, ACCESS_CONTROL_ALLOW_METHODS, ACCESS_CONTROL_ALLOW_ORIGIN,
    ACCESS_CONTROL_EXPOSE_HEADERS, ACCESS_CONTROL_REQUEST_HEADERS, ACCESS_CONTROL_REQUEST_METHOD, ORIGIN,
};
use http::{HeaderMap, HeaderName, HeaderValue, Method, StatusCode};

const METHODS: [&str; 7] = ["GET", "HEAD", "POST", "PUT", "DELETE", "OPTIONS", "PATCH"];
/// Methods a browser need not be told about.
const SIMPLE: [&str; 3] = ["GET", "HEAD", "POST"];
const HEADERS: [&str; 10] = [
    "accept",
    "accept-language",
    "content-language",
    "origin",
    "x-requested-with",
    "content-type",
    "authorization",
    "x-auth-token",
    "x-resource-ttl",
    "x-skydive-explain",
];
const ANY: HeaderValue = HeaderValue::from_static("*");
const EXPOSED: HeaderValue =
    HeaderValue::from_static("X-Skydive-Explain, X-Skydive-Error-Position, X-Skydive-Coverage");

/// Answers preflights and lets any origin read the other answers.
pub(crate) async fn allow_any_origin(request: Request, next: Next) -> Response {
    if !request.headers().contains_key(ORIGIN) {
        return next.run(request).await;
    }
    if request.method() == Method::OPTIONS {
        return preflight(request.headers());
    }
    let mut response = next.run(request).await;
    // `/login` names the origin itself.
    response.headers_mut().entry(ACCESS_CONTROL_ALLOW_ORIGIN).or_insert(ANY);
    response.headers_mut().insert(ACCESS_CONTROL_EXPOSE_HEADERS, EXPOSED);
    response
}

fn preflight(headers: &HeaderMap) -> Response {
    let Some(method) = text(headers, &ACCESS_CONTROL_REQUEST_METHOD) else {
        return StatusCode::BAD_REQUEST.into_response();
    };
    if !METHODS.contains(&method) {
        return StatusCode::METHOD_NOT_ALLOWED.into_response();
    }
    let asked = text(headers, &ACCESS_CONTROL_REQUEST_HEADERS).unwrap_or_default();
    let mut allowed = Vec::new();
    for name in asked.split(',').map(str::trim).filter(|name| !name.is_empty()) {
        if !HEADERS.iter().any(|known| known.eq_ignore_ascii_case(name)) {
            return StatusCode::FORBIDDEN.into_response();
        }
        allowed.push(name);
    }
    let mut response = StatusCode::OK.into_response();
    let out = response.headers_mut();
    out.insert(ACCESS_CONTROL_ALLOW_ORIGIN, ANY);
    if let (false, Ok(value)) = (allowed.is_empty(), HeaderValue::from_str(&allowed.join(","))) {
        out.insert(ACCESS_CONTROL_ALLOW_HEADERS, value);
    }
    if let (false, Ok(value)) = (SIMPLE.contains(&method), HeaderValue::from_str(method)) {
        out.insert(ACCESS_CONTROL_ALLOW_METHODS, value);
    }
    response
}

fn text<'a>(headers: &'a HeaderMap, name: &HeaderName) -> Option<&'a str> {
    headers.get(name)?.to_str().ok()
}
