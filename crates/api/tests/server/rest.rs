//! REST: answers, refusals, origins, compression, clients that take their time.

use std::collections::HashSet;
use std::sync::Arc;
use std::time::Duration;

use reqwest::{Client, Method, RequestBuilder, Response, StatusCode};
use skydive_api::{ApiSettings, Permission};
use skydive_client::Explained;
use skydive_proto::{AnalyzerStatus, Explain, Limits};

use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::net::TcpStream;

use crate::{Running, eventually, node, soon, start, start_with};

fn http() -> Client {
    Client::builder().no_proxy().no_gzip().redirect(reqwest::redirect::Policy::none()).build().unwrap()
}

fn header<'a>(answer: &'a Response, name: &str) -> &'a str {
    answer.headers().get(name).map_or("", |value| value.to_str().unwrap())
}

fn get(server: &Running, path: &str) -> RequestBuilder {
    http().get(server.url(path))
}

#[tokio::test]
async fn identity_status_and_metrics() {
    let server = start(ApiSettings::default()).await;
    let identity = server.rest().api().await.unwrap();
    assert_eq!((identity.host.as_str(), identity.service.as_str()), ("hub1", "analyzer"));
    let status: AnalyzerStatus = server.rest().status().await.unwrap();
    assert_eq!(status, AnalyzerStatus::default());
    let answer = get(&server, "/api").send().await.unwrap();
    assert_eq!(header(&answer, "content-type"), "application/json; charset=UTF-8");
    assert_eq!(header(&answer, "vary"), "Accept-Encoding");
    let metrics = server.rest().get("/metrics").await.unwrap().message();
    assert!(metrics.contains("skydive_http_requests_total{path=\"/api\",status=\"200\"} 2"), "{metrics}");
}

#[tokio::test]
async fn unknown_paths_wrong_verbs_and_slashes() {
    let server = start(ApiSettings::default()).await;
    let answer = get(&server, "/nope").send().await.unwrap();
    assert_eq!(answer.status(), StatusCode::NOT_FOUND);
    assert_eq!(header(&answer, "content-type"), "text/plain; charset=utf-8");
    assert_eq!(header(&answer, "x-content-type-options"), "nosniff");
    assert_eq!(answer.text().await.unwrap(), "404 page not found\n");

    let answer = http().delete(server.url("/api/topology")).send().await.unwrap();
    assert_eq!(answer.status(), StatusCode::METHOD_NOT_ALLOWED);
    assert_eq!(answer.text().await.unwrap(), "");

    let answer = get(&server, "/api/?x=1").send().await.unwrap();
    assert_eq!(answer.status(), StatusCode::MOVED_PERMANENTLY);
    assert_eq!(header(&answer, "location"), "/api?x=1");
}

#[tokio::test]
async fn queries() {
    let server = start(ApiSettings::default()).await;
    server.fill().await;
    let rest = server.rest();

    let found = rest.topology("G.V().Has('Name','eth0')", "application/json", Explained::Yes).await.unwrap();
    assert_eq!(found.status, StatusCode::OK);
    assert_eq!(found.header("content-type"), Some("application/json; charset=UTF-8"));
    assert_eq!(found.explain(), Some(Explain { nodes: 1, index: 1, ..Explain::default() }));
    assert!(found.message().starts_with(r#"[{"ID":"a","Metadata":{"Name":"eth0","Type":"veth"},"Host":"h""#));

    let count = rest.topology("g.v().count()", "", Explained::No).await.unwrap();
    assert_eq!((count.message().as_str(), count.explain()), ("2", None));

    let dot = rest.topology("G", "text/vnd.graphviz", Explained::No).await.unwrap();
    assert_eq!(dot.header("content-type"), Some("text/vnd.graphviz; charset=UTF-8"));
    assert!(dot.message().starts_with("digraph g {\n\"br0-b\" [label=\"br0-b\\nType = veth\"]\n"));
    assert!(dot.message().contains("\"br0-b\" -> \"eth0-a\" [label=layer2,dir=both]\n"));

    let graph = rest.graph("application/json").await.unwrap().message();
    assert!(graph.starts_with(r#"{"Nodes":[{"ID":"b","#), "{graph}");
}

#[tokio::test]
async fn queries_that_are_refused() {
    let server = start(ApiSettings::default()).await;
    server.fill().await;
    let ask = |body: &'static str, accept: &'static str| {
        http().post(server.url("/api/topology")).header("accept", accept).body(body).send()
    };
    for empty in ["", "{}", r#"{"GremlinQuery":""}"#] {
        let answer = ask(empty, "*/*").await.unwrap();
        assert_eq!(answer.status(), StatusCode::NO_CONTENT);
        assert_eq!(answer.text().await.unwrap(), "");
    }
    assert_eq!(ask("G.V()", "*/*").await.unwrap().status(), StatusCode::BAD_REQUEST);

    let answer = ask(r#"{"GremlinQuery":"G.foo()"}"#, "*/*").await.unwrap();
    assert_eq!(answer.status(), StatusCode::BAD_REQUEST);
    assert_eq!(header(&answer, "x-skydive-error-position"), "2");
    assert_eq!(header(&answer, "content-type"), "text/plain; charset=utf-8");
    assert_eq!(answer.text().await.unwrap(), "Expected step function, got: foo\n");

    let answer = ask(r#"{"GremlinQuery":"G.At('-1h').V()"}"#, "*/*").await.unwrap();
    assert_eq!(answer.text().await.unwrap(), "Backend does not support history\n");

    let answer = ask(r#"{"GremlinQuery":"G.V()"}"#, "text/vnd.graphviz").await.unwrap();
    assert_eq!(answer.status(), StatusCode::NOT_ACCEPTABLE);
    let text = answer.text().await.unwrap();
    assert_eq!(text, "Error while encoding response: Only graph can be outputted as dot\n");
}

#[tokio::test]
async fn malformed_bodies_are_refused_and_counted() {
    let server = start(ApiSettings::default()).await;
    let topology = server.url("/api/topology");
    for (n, body) in ["G.V()", "[", r#"{"GremlinQuery":1}"#].into_iter().enumerate() {
        let answer = http().post(&topology).body(body).send().await.unwrap();
        assert_eq!(answer.status(), StatusCode::BAD_REQUEST, "{body}");
        assert!(answer.text().await.unwrap().starts_with("malformed request: "), "{body}");
        assert_eq!(server.telemetry.losses().malformed_bodies, n as u64 + 1, "{body}");
    }
    // A query that is wrong is no malformed body.
    let wrong = http().post(&topology).body(r#"{"GremlinQuery":"G.foo()"}"#).send().await.unwrap();
    assert_eq!(wrong.status(), StatusCode::BAD_REQUEST);
    let broken = "POST /api/topology HTTP/1.1\r\nHost: x\r\nTransfer-Encoding: chunked\r\n\r\nnonsense\r\n";
    let answer = all(send(&server, broken).await).await;
    assert!(answer.starts_with("HTTP/1.1 400"), "{answer}");
    let status: AnalyzerStatus = server.rest().status().await.unwrap();
    assert_eq!(status.losses.malformed_bodies, 4);
    let metrics = server.rest().get("/metrics").await.unwrap().message();
    assert!(metrics.contains("skydive_http_malformed_bodies_total 4\n"), "{metrics}");
}

#[tokio::test]
async fn every_metric_says_what_it_alone_counts() {
    let server = start(ApiSettings::default()).await;
    let metrics = server.rest().get("/metrics").await.unwrap().message();
    let helps: Vec<_> = metrics
        .lines()
        .filter_map(|line| line.strip_prefix("# HELP ")?.split_once(' ').map(|(_, help)| help))
        .collect();
    assert!(helps.len() > 10, "{metrics}");
    let different: HashSet<_> = helps.iter().collect();
    assert_eq!(different.len(), helps.len(), "{metrics}");
}

#[tokio::test]
async fn the_whole_graph_is_explained_too() {
    let server = start(ApiSettings::default()).await;
    server.fill().await;
    for accept in ["application/json", "text/vnd.graphviz"] {
        let ask = get(&server, "/api/topology").header("accept", accept);
        let plain = ask.try_clone().unwrap().send().await.unwrap();
        assert_eq!(header(&plain, "x-skydive-explain"), "");
        let explained = ask.header("x-skydive-explain", "1").send().await.unwrap();
        assert_eq!(header(&explained, "x-skydive-explain"), "nodes=2;edges=1;index=0;flows=0");
        assert_eq!(explained.bytes().await.unwrap(), plain.bytes().await.unwrap());
    }
}

#[tokio::test]
async fn bodies_above_the_limit_are_refused_and_counted() {
    let limits = Limits { rest_body: 1000, query_bytes: 100, ..Limits::default() };
    let server = start(ApiSettings { limits, ..ApiSettings::default() }).await;
    let answer = http().post(server.url("/api/topology")).body("x".repeat(1001)).send().await.unwrap();
    assert_eq!(answer.status(), StatusCode::PAYLOAD_TOO_LARGE);
    assert_eq!(answer.text().await.unwrap(), "request body exceeds the limit of 1000 bytes\n");
    assert_eq!(server.telemetry.losses().oversized_bodies, 1);

    let long = format!("G.V('{}')", "x".repeat(100));
    let answer = server.rest().topology(&long, "", Explained::No).await.unwrap();
    assert_eq!(answer.status, StatusCode::BAD_REQUEST);
    assert!(answer.message().contains("100"), "{}", answer.message());
}

#[tokio::test]
async fn other_origins() {
    let server = start(ApiSettings::default()).await;
    let answer = get(&server, "/api").header("origin", "http://ui").send().await.unwrap();
    assert_eq!(header(&answer, "access-control-allow-origin"), "*");

    let preflight = |method: &'static str, headers: &'static str| {
        http()
            .request(Method::OPTIONS, server.url("/api/topology"))
            .header("origin", "http://ui")
            .header("access-control-request-method", method)
            .header("access-control-request-headers", headers)
            .send()
    };
    let answer = preflight("DELETE", "Content-Type, X-Auth-Token").await.unwrap();
    assert_eq!(answer.status(), StatusCode::OK);
    assert_eq!(header(&answer, "access-control-allow-headers"), "Content-Type,X-Auth-Token");
    assert_eq!(header(&answer, "access-control-allow-methods"), "DELETE");
    assert_eq!(preflight("BREW", "").await.unwrap().status(), StatusCode::METHOD_NOT_ALLOWED);
    assert_eq!(preflight("GET", "X-Other").await.unwrap().status(), StatusCode::FORBIDDEN);
    let no_method = http().request(Method::OPTIONS, server.url("/api")).header("origin", "http://ui").send();
    assert_eq!(no_method.await.unwrap().status(), StatusCode::BAD_REQUEST);
}

#[tokio::test]
async fn compression() {
    let server = start(ApiSettings::default()).await;
    let nodes = (0..5000).map(|n| node(&format!("n{n}"), "eth0", n)).collect();
    server.live.apply(nodes).await.unwrap();
    let ask = |body: &'static str, encoding: &'static str| {
        http().post(server.url("/api/topology")).header("accept-encoding", encoding).body(body).send()
    };
    let all = r#"{"GremlinQuery":"G.V()"}"#;
    let plain = ask(all, "identity").await.unwrap();
    assert_eq!(header(&plain, "content-encoding"), "");
    let plain = plain.bytes().await.unwrap();
    assert_eq!(serde_json::from_slice::<Vec<serde_json::Value>>(&plain).unwrap().len(), 5000);

    let packed = ask(all, "gzip").await.unwrap();
    assert_eq!((header(&packed, "content-encoding"), header(&packed, "vary")), ("gzip", "Accept-Encoding"));
    let packed = packed.bytes().await.unwrap();
    assert!(packed.starts_with(&[0x1f, 0x8b]) && packed.len() * 5 < plain.len());
    assert_eq!(header(&ask(all, "deflate, gzip").await.unwrap(), "content-encoding"), "deflate");

    // Clients of the original open a decompressor on that header alone.
    let empty = ask("{}", "gzip").await.unwrap();
    assert_eq!((empty.status(), header(&empty, "content-encoding")), (StatusCode::NO_CONTENT, ""));
    // The client of this project unpacks by itself.
    let unpacked = server.rest().topology("G.V()", "", Explained::No).await.unwrap();
    assert_eq!(unpacked.body, plain);
}

#[tokio::test]
async fn the_page() {
    let server = start(ApiSettings::default()).await;
    for (path, media) in [("/", "text/html"), ("/app.js", "text/javascript"), ("/style.css", "text/css")] {
        let answer = get(&server, path).send().await.unwrap();
        assert_eq!(answer.status(), StatusCode::OK);
        assert!(header(&answer, "content-type").starts_with(media));
        assert!(header(&answer, "content-security-policy").contains("default-src 'none'"));
        let text = answer.text().await.unwrap();
        assert!(
            !text.contains("http://") && !text.contains("https://"),
            "{path} needs nothing from elsewhere"
        );
    }
}

struct Nobody;

impl Permission for Nobody {
    fn allows(&self, _: &str, _: &str, _: &str) -> bool {
        false
    }
}

#[tokio::test]
async fn every_call_passes_the_permission_check() {
    let server = start_with(ApiSettings::default(), Box::new(Nobody)).await;
    for path in ["/api/topology", "/api/status", "/metrics"] {
        let answer = get(&server, path).send().await.unwrap();
        assert_eq!(answer.status(), StatusCode::METHOD_NOT_ALLOWED, "{path}");
        assert_eq!(answer.text().await.unwrap(), "");
    }
    for path in ["/ws/subscriber", "/ws/agent/topology"] {
        let answer = get(&server, path).send().await.unwrap();
        assert_eq!(answer.status(), StatusCode::FORBIDDEN, "{path}");
        assert_eq!(header(&answer, "connection"), "close");
    }
    assert_eq!(get(&server, "/api").send().await.unwrap().status(), StatusCode::OK);
}

async fn send(server: &Running, bytes: &str) -> TcpStream {
    let mut tcp = TcpStream::connect(server.address).await.unwrap();
    tcp.write_all(bytes.as_bytes()).await.unwrap();
    tcp
}

async fn all(mut tcp: TcpStream) -> String {
    let mut text = String::new();
    soon(tcp.read_to_string(&mut text)).await.unwrap();
    text
}

#[tokio::test]
async fn a_client_that_does_not_take_its_answer_lets_go_of_the_graph() {
    let settings = ApiSettings { progress: Duration::from_millis(300), ..ApiSettings::default() };
    let server = start(settings).await;
    for k in 0..100 {
        let nodes = (0..1000).map(|i| node(&format!("{k}-{i}"), &"n".repeat(200), 1)).collect();
        server.live.apply(nodes).await.unwrap();
    }
    let held = server.live.snapshot().await.unwrap().node(&"99-999".into()).unwrap().clone();
    let alone = Arc::strong_count(&held);
    let _stalled = send(&server, "GET /api/topology HTTP/1.1\r\nHost: x\r\n\r\n").await;
    eventually("the answer has begun", || Arc::strong_count(&held) > alone).await;
    eventually("the graph is let go", || Arc::strong_count(&held) == alone).await;
}

#[tokio::test]
async fn a_body_that_does_not_come_is_not_waited_for() {
    let settings = ApiSettings { progress: Duration::from_millis(100), ..ApiSettings::default() };
    let server = start(settings).await;
    let head = "POST /api/topology HTTP/1.1\r\nHost: x\r\nContent-Length: 100\r\n\r\n{";
    let answer = all(send(&server, head).await).await;
    assert!(answer.starts_with("HTTP/1.1 408"), "{answer}");
}

#[tokio::test]
async fn connections_above_the_limit_are_refused_and_counted() {
    let server = start(ApiSettings { connections: 1, ..ApiSettings::default() }).await;
    let mut first = send(&server, "GET /api HTTP/1.1\r\nHost: x\r\n\r\n").await;
    assert_eq!(soon(first.read_u8()).await.unwrap(), b'H');
    let second = TcpStream::connect(server.address).await.unwrap();
    assert!(all(second).await.starts_with("HTTP/1.1 503"));
    drop(first);
    soon(async {
        let request = "GET /metrics HTTP/1.1\r\nHost: x\r\nConnection: close\r\n\r\n";
        loop {
            let mut tcp = send(&server, request).await;
            let mut text = String::new();
            // A refused one may be reset: what it asked for was not read.
            if tcp.read_to_string(&mut text).await.is_ok() && text.starts_with("HTTP/1.1 200") {
                assert!(!text.contains("skydive_http_refused_connections_total 0"), "{text}");
                break;
            }
        }
    })
    .await;
}
