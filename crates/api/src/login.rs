//! `POST /login`: who the caller is, and what it may do.
//!
//! There are no users yet: whatever name and password are given, the caller is the administrator, without a token. Pages
//! of another origin log in here, so the answer names that origin and allows what it sets to be kept.

use std::sync::Arc;

use axum::extract::{Query, Request};
use axum::response::{IntoResponse, Response};
use base64::Engine;
use base64::engine::general_purpose::STANDARD;
use http::header::{
    ACCESS_CONTROL_ALLOW_CREDENTIALS, ACCESS_CONTROL_ALLOW_ORIGIN, LOCATION, ORIGIN, SET_COOKIE,
};
use http::{HeaderValue, Method, StatusCode, Uri};
use serde::Serialize;
use serde_json::json;
use skydive_proto::{Shape, media};
use utoipa::ToSchema;

use crate::openapi::{Operation, SERVER};
use crate::permission::Guard;
use crate::route::Route;
use crate::router::Serving;
use crate::{Permission, respond};

/// What is answered.
#[derive(Serialize, ToSchema)]
#[serde(rename_all = "PascalCase")]
struct Login {
    token: &'static str,
    permissions: Vec<Allowance>,
}

/// Whether an action is allowed.
#[derive(Serialize, ToSchema)]
#[serde(rename_all = "PascalCase")]
struct Allowance {
    object: &'static str,
    action: &'static str,
    allowed: bool,
}

/// Everybody without users.
const ADMIN: &str = "admin";
/// Bytes of a form with a name and a password.
const FORM_MAX: usize = 64 << 10;
const READ: &[&str] = &["read"];
const WRITE: &[&str] = &["write"];
const BOTH: &[&str] = &["read", "write"];
/// Objects with their actions, as the policy of the original has them.
const OBJECTS: [(&str, &[&str]); 14] = [
    ("alert", BOTH),
    ("capture", &["read", "write", "rawpackets"]),
    ("config", READ),
    ("edge", BOTH),
    ("edgerule", BOTH),
    ("injectpacket", BOTH),
    ("node", BOTH),
    ("noderule", BOTH),
    ("pcap", WRITE),
    ("status", READ),
    ("topology", READ),
    ("websocket", SOCKETS),
    ("workflow", BOTH),
    ("workflow.call", WRITE),
];
const SOCKETS: &[&str] = &[
    "/ws/agent/flow",
    "/ws/agent/topology",
    "/ws/publisher",
    "/ws/pubsub",
    "/ws/replication",
    "/ws/subscriber",
    "/ws/subscriber/flow",
];

pub(crate) fn route(permission: &dyn Permission, serving: &Arc<Serving>) -> Route {
    let login = Arc::new(Login { token: "", permissions: allowances(permission) });
    let serving = serving.clone();
    let action = move |request: Request| {
        let (login, serving) = (login.clone(), serving.clone());
        async move { answer(request, &login, &serving).await }
    };
    let field = json!({ "type": "string" });
    let form = Shape::inline(json!({
        "type": "object",
        "required": ["username", "password"],
        "properties": { "username": field, "password": field },
    }));
    let post = Operation::new(SERVER, "login", "Log in")
        .about("The answer also sets the cookie `permissions`: the same list in base64.")
        .body("application/x-www-form-urlencoded", form)
        .answer(
            200,
            "What the caller may do, and a token to send as `X-Auth-Token`",
            media::JSON,
            Shape::of::<Login>(),
        )
        .refusal(401, "No name or no password");
    let moved = Operation::new(SERVER, "login_page", "To the page").empty(302, "The page is at `/`");
    // Whatever else is asked leads to the page too.
    Route::new("/login", Guard::Open).post(post, action.clone()).get(moved, action.clone()).otherwise(action)
}

async fn answer(request: Request, login: &Login, serving: &Serving) -> Response {
    if request.method() != Method::POST {
        return (StatusCode::FOUND, [(LOCATION, HeaderValue::from_static("/"))]).into_response();
    }
    let origin = request.headers().get(ORIGIN).cloned();
    let mut response = match respond::read_body(request, FORM_MAX, serving).await {
        Err(refusal) => refusal,
        Ok(form) if has_credentials(&form) => welcome(login),
        // Without a newline, as the original.
        Ok(_) => (StatusCode::UNAUTHORIZED, "No credentials provided").into_response(),
    };
    if let Some(origin) = origin {
        let headers = response.headers_mut();
        headers.insert(ACCESS_CONTROL_ALLOW_ORIGIN, origin);
        headers.insert(ACCESS_CONTROL_ALLOW_CREDENTIALS, HeaderValue::from_static("true"));
    }
    response
}

fn welcome(login: &Login) -> Response {
    let mut response = respond::json(login);
    // A token that is empty has no cookie.
    let cookie = serde_json::to_vec(&login.permissions)
        .map(|json| format!("permissions={}; Path=/", STANDARD.encode(json)))
        .map(HeaderValue::try_from);
    if let Ok(Ok(cookie)) = cookie {
        response.headers_mut().append(SET_COOKIE, cookie);
    }
    response
}

/// Whether a form has both fields, empty or not.
fn has_credentials(form: &[u8]) -> bool {
    // A form is written like the query of an address.
    let address = Uri::try_from([b"/?", form].concat());
    let fields = address.ok().and_then(|uri| Query::<Vec<(String, String)>>::try_from_uri(&uri).ok());
    let fields = fields.map(|Query(fields)| fields).unwrap_or_default();
    ["username", "password"].iter().all(|field| fields.iter().any(|(name, _)| name == field))
}

fn allowances(permission: &dyn Permission) -> Vec<Allowance> {
    let each = |(object, actions): (&'static str, &'static [&'static str])| {
        let allowance =
            move |&action| Allowance { object, action, allowed: permission.allows(ADMIN, object, action) };
        actions.iter().map(allowance)
    };
    OBJECTS.into_iter().flat_map(each).collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn both_fields_must_be_there() {
        for form in ["username=a&password=b", "password=&x=1&username=", "username=%C3%A9&password=a%26b+c"] {
            assert!(has_credentials(form.as_bytes()), "{form}");
        }
        for form in
            ["", "username=a", "password=b", r#"{"username":"a","password":"b"}"#, "username password"]
        {
            assert!(!has_credentials(form.as_bytes()), "{form}");
        }
        assert!(!has_credentials(b"username=\xff&password=\xff"));
    }
}
