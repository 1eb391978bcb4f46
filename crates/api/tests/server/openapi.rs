//! The document that describes the REST API, held against the server that gives it.

use std::collections::BTreeSet;

use http::header;
use reqwest::{Client, Method};
use serde_json::Value as Json;
use skydive_api::ApiSettings;

use crate::{Running, start};

/// A method that nothing has: what is refused says what there is.
const UNKNOWN: &str = "BREW";

fn client() -> Client {
    Client::builder().no_proxy().no_gzip().redirect(reqwest::redirect::Policy::none()).build().unwrap()
}

async fn document(server: &Running) -> Json {
    let answer = client().get(server.url("/api/openapi.json")).send().await.unwrap();
    assert_eq!(answer.status(), 200);
    assert_eq!(answer.headers()[header::CONTENT_TYPE], "application/json; charset=UTF-8");
    answer.json().await.unwrap()
}

fn members(json: &Json) -> impl Iterator<Item = (&String, &Json)> {
    json.as_object().into_iter().flatten()
}

#[tokio::test]
async fn what_is_described_is_served_and_nothing_else() {
    let server = start(ApiSettings::default()).await;
    let document = document(&server).await;
    let paths: Vec<&str> = members(&document["paths"]).map(|(path, _)| path.as_str()).collect();
    assert_eq!(
        paths,
        [
            "/api",
            "/api/capture",
            "/api/capture/{id}",
            "/api/config/{key}",
            "/api/edge",
            "/api/edge/{id}",
            "/api/edgerule",
            "/api/edgerule/{id}",
            "/api/node",
            "/api/node/{id}",
            "/api/noderule",
            "/api/noderule/{id}",
            "/api/openapi.json",
            "/api/query/steps",
            "/api/status",
            "/api/topology",
            "/login",
            "/metrics",
        ]
    );
    for (path, operations) in members(&document["paths"]) {
        let described: BTreeSet<String> =
            members(operations).map(|(method, _)| method.to_uppercase()).collect();
        let url = server.url(&path.replace("{id}", "a/b").replace("{key}", "a"));
        let refused =
            client().request(Method::from_bytes(UNKNOWN.as_bytes()).unwrap(), url).send().await.unwrap();
        if path == "/login" {
            // Whatever is asked leads to the page.
            assert_eq!((refused.status().as_u16(), described.len()), (302, 2));
            continue;
        }
        assert_eq!(refused.status(), 405, "{path}");
        let allowed = refused.headers()[header::ALLOW].to_str().unwrap().split(',').map(str::to_owned);
        let allowed: BTreeSet<String> = allowed.filter(|method| method != "HEAD").collect();
        assert_eq!(allowed, described, "{path}");
    }
}

#[tokio::test]
async fn every_operation_is_described_in_full() {
    let server = start(ApiSettings::default()).await;
    let document = document(&server).await;
    let mut ids = BTreeSet::new();
    for (path, operations) in members(&document["paths"]) {
        for (method, operation) in members(operations) {
            let place = format!("{method} {path}");
            assert!(ids.insert(operation["operationId"].as_str().unwrap()), "{place}: the id of another");
            assert!(!operation["summary"].as_str().unwrap().is_empty(), "{place}");
            for (status, answer) in members(&operation["responses"]) {
                assert!(!answer["description"].as_str().unwrap().is_empty(), "{place}: {status}");
            }
            let named = operation["parameters"].as_array().into_iter().flatten();
            let in_path = named.filter(|parameter| parameter["in"] == "path").count();
            assert_eq!(in_path, path.matches('{').count(), "{place}");
        }
    }
    let text = document.to_string();
    for reference in text.split("\"#/").skip(1) {
        let pointer = format!("/{}", reference.split('"').next().unwrap());
        assert!(document.pointer(&pointer).is_some(), "{pointer}");
    }
}

#[tokio::test]
async fn the_page_comes_from_here_packed_or_not() {
    let server = start(ApiSettings::default()).await;
    let page = client().get(server.url("/api/docs")).send().await.unwrap();
    let policy = page.headers()[header::CONTENT_SECURITY_POLICY].to_str().unwrap().to_owned();
    assert!(policy.starts_with("default-src 'none'; script-src 'self'; "), "{policy}");
    let html = page.text().await.unwrap();
    let mut found = 0;
    for attribute in ["src=\"", "href=\"docs"] {
        for rest in html.split(attribute).skip(1) {
            let name = rest.split('"').next().unwrap().trim_start_matches("docs").trim_start_matches('/');
            let url = server.url(&format!("/api/docs/{name}"));
            let packed = client().get(&url).header("accept-encoding", "gzip").send().await.unwrap();
            assert_eq!(packed.headers()[header::CONTENT_ENCODING], "gzip", "{name}");
            let plain = client().get(&url).send().await.unwrap();
            assert_eq!((plain.status().as_u16(), plain.headers().get(header::CONTENT_ENCODING)), (200, None));
            let (packed, plain) = (packed.bytes().await.unwrap(), plain.bytes().await.unwrap());
            assert!(!packed.is_empty() && packed != plain, "{name}");
            found += 1;
        }
    }
    assert_eq!(found, 3);
    let moved = client().get(server.url("/api/docs/")).send().await.unwrap();
    assert_eq!(moved.headers()[header::LOCATION], "/api/docs");
}

#[tokio::test]
async fn the_document_is_compressed_and_for_every_origin() {
    let server = start(ApiSettings::default()).await;
    let asked = client().get(server.url("/api/openapi.json"));
    let answer = asked.header("accept-encoding", "gzip").header("origin", "http://x").send().await.unwrap();
    assert_eq!(answer.headers()[header::CONTENT_ENCODING], "gzip");
    assert_eq!(answer.headers()[header::ACCESS_CONTROL_ALLOW_ORIGIN], "*");
}
