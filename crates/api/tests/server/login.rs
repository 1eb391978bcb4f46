//! Logging in where there are no users, and what pages of other origins need for it.

use base64::Engine;
use base64::engine::general_purpose::STANDARD;
use reqwest::{Client, Method, Response};
use serde_json::{Value as Json, json};
use skydive_api::{ApiSettings, Permission};

use crate::{Running, start, start_with};

const FORM: &str = "application/x-www-form-urlencoded";

async fn login(server: &Running, method: Method, origin: Option<&str>, form: &'static str) -> Response {
    let redirect = reqwest::redirect::Policy::none();
    let client = Client::builder().no_proxy().redirect(redirect).build().unwrap();
    let mut request = client.request(method, server.url("/login")).header("content-type", FORM).body(form);
    if let Some(origin) = origin {
        request = request.header("origin", origin);
    }
    request.send().await.unwrap()
}

fn header<'a>(answer: &'a Response, name: &str) -> &'a str {
    answer.headers().get(name).map_or("", |value| value.to_str().unwrap())
}

/// May everything but write rules of nodes.
struct NoNodeRules;

impl Permission for NoNodeRules {
    fn allows(&self, subject: &str, object: &str, action: &str) -> bool {
        assert!(["admin", "anonymous"].contains(&subject), "{subject}");
        (object, action) != ("noderule", "write")
    }
}

#[tokio::test]
async fn everybody_is_welcome_and_told_what_is_allowed() {
    let server = start_with(ApiSettings::default(), Box::new(NoNodeRules)).await;
    let answer = login(&server, Method::POST, None, "username=jane&password=secret").await;
    assert_eq!(answer.status(), 200);
    assert_eq!(header(&answer, "content-type"), "application/json; charset=UTF-8");
    assert_eq!(answer.headers().get("access-control-allow-origin"), None);
    let cookies: Vec<_> = answer.headers().get_all("set-cookie").iter().cloned().collect();
    assert_eq!(cookies.len(), 1, "an empty token has no cookie: {cookies:?}");
    let cookie = cookies[0].to_str().unwrap();
    let encoded = cookie.strip_prefix("permissions=").unwrap().strip_suffix("; Path=/").unwrap();
    let kept: Json = serde_json::from_slice(&STANDARD.decode(encoded).unwrap()).unwrap();

    let answer: Json = answer.json().await.unwrap();
    assert_eq!(answer["Token"], "");
    assert_eq!(answer["Permissions"], kept);
    let rights = kept.as_array().unwrap();
    for (object, action, allowed) in [
        ("topology", "read", true),
        ("noderule", "read", true),
        ("noderule", "write", false),
        ("capture", "rawpackets", true),
        ("websocket", "/ws/subscriber", true),
    ] {
        let expected = json!({"Object": object, "Action": action, "Allowed": allowed});
        assert!(rights.contains(&expected), "{expected} in {rights:?}");
    }
}

#[tokio::test]
async fn a_login_without_both_fields_is_refused() {
    let server = start(ApiSettings::default()).await;
    for form in ["", "username=jane", "password=secret"] {
        let answer = login(&server, Method::POST, None, form).await;
        assert_eq!(answer.status(), 401, "{form}");
        assert_eq!(header(&answer, "content-type"), "text/plain; charset=utf-8");
        assert_eq!(header(&answer, "x-content-type-options"), "");
        assert_eq!(header(&answer, "set-cookie"), "");
        assert_eq!(answer.text().await.unwrap(), "No credentials provided");
    }
    for method in [Method::GET, Method::PUT, Method::DELETE, Method::PATCH, Method::OPTIONS] {
        let answer = login(&server, method.clone(), None, "").await;
        assert_eq!((answer.status().as_u16(), header(&answer, "location")), (302, "/"), "{method}");
    }
}

#[tokio::test]
async fn a_page_of_another_origin_may_log_in() {
    let server = start(ApiSettings::default()).await;
    let origin = "http://localhost:8080";
    for (form, status) in [("username=&password=", 200), ("username=", 401)] {
        let answer = login(&server, Method::POST, Some(origin), form).await;
        assert_eq!(answer.status(), status);
        assert_eq!(header(&answer, "access-control-allow-origin"), origin);
        assert_eq!(header(&answer, "access-control-allow-credentials"), "true");
    }
    let client = Client::builder().no_proxy().build().unwrap();
    let preflight = client
        .request(Method::OPTIONS, server.url("/login"))
        .header("origin", origin)
        .header("access-control-request-method", "POST")
        .header("access-control-request-headers", "content-type")
        .send()
        .await
        .unwrap();
    assert_eq!(preflight.status(), 200);
    assert_eq!(header(&preflight, "access-control-allow-headers"), "content-type");
}
