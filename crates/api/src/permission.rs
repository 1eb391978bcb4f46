//! The one permission check that every call passes, REST and WebSocket alike.

use std::sync::Arc;

use axum::extract::{MatchedPath, Request, State};
use axum::middleware::Next;
use axum::response::{IntoResponse, Response};
use http::{Method, StatusCode};

use crate::respond;
use crate::router::Rules;

/// Says who may do what.
pub trait Permission: Send + Sync {
    /// Whether `subject` may do `action` (`read`, `write`, or the path of a WebSocket) to `object`.
    fn allows(&self, subject: &str, object: &str, action: &str) -> bool;
}

/// Everybody may do everything: the backend `noauth`.
#[derive(Clone, Copy, Debug, Default)]
pub struct NoAuth;

/// What a route demands of its callers.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Guard {
    /// Nothing.
    Open,
    /// Reading the object, whatever the verb.
    Read(&'static str),
    /// Reading the object to read it, writing it to do anything else.
    Resource(&'static str),
    /// Use of the WebSocket at the route's path.
    WebSocket,
}

/// Name of a caller that has not said who it is.
const ANONYMOUS: &str = "anonymous";
/// Object of WebSockets.
const WEBSOCKET: &str = "websocket";

impl Permission for NoAuth {
    fn allows(&self, _: &str, _: &str, _: &str) -> bool {
        true
    }
}

/// Lets a request through or refuses it: 405 without body, as clients of the original expect, 403 for WebSockets.
pub(crate) async fn check(State(rules): State<Arc<Rules>>, request: Request, next: Next) -> Response {
    // Preflights carry no credentials; what they ask for is checked when it comes.
    if request.method() == Method::OPTIONS {
        return next.run(request).await;
    }
    let path = place(&request);
    let refusal = match rules.guard(path) {
        None | Some(Guard::Open) => None,
        Some(Guard::Read(object)) => (!rules.permission.allows(ANONYMOUS, object, "read"))
            .then(|| StatusCode::METHOD_NOT_ALLOWED.into_response()),
        Some(Guard::Resource(object)) => refuse_resource(&rules, object, path, request.method()),
        Some(Guard::WebSocket) => (!rules.permission.allows(ANONYMOUS, WEBSOCKET, path))
            .then(|| respond::closing(StatusCode::FORBIDDEN)),
    };
    match refusal {
        Some(refusal) => refusal,
        None => next.run(request).await,
    }
}

/// The path of the route that serves a request, with its parameters as they are declared.
pub(crate) fn place(request: &Request) -> &str {
    match request.extensions().get::<MatchedPath>() {
        Some(path) => path.as_str(),
        None => request.uri().path(),
    }
}

/// The words are those that clients of the original show; lists and patches are refused without.
fn refuse_resource(rules: &Rules, object: &str, path: &str, method: &Method) -> Option<Response> {
    let reads = [Method::GET, Method::HEAD].contains(method);
    let action = if reads { "read" } else { "write" };
    if rules.permission.allows(ANONYMOUS, object, action) {
        return None;
    }
    let is_list = reads && !path.ends_with('}');
    Some(if is_list || *method == Method::PATCH {
        StatusCode::METHOD_NOT_ALLOWED.into_response()
    } else {
        let text = format!("'{ANONYMOUS}' has no '{action}' permission on '{object}'");
        respond::error(StatusCode::METHOD_NOT_ALLOWED, text)
    })
}
