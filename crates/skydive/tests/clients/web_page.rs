//! The web page of the original's second kind (skydive-ui): served from elsewhere, so every call is of another origin.

use std::time::SystemTime;

use serde_json::{Value as Json, json};
use skydive_testnet::require_root;
use tokio_tungstenite::tungstenite::Message;

use crate::http::{Answer, send};
use crate::packages::with_analyzer;
use crate::stage::{ANALYZER, text};
use crate::talk::{Talk, edge, gist, node};

const ORIGIN: (&str, &str) = ("Origin", "http://localhost:8080");
const ACCEPT: (&str, &str) = ("Accept", "application/json, text/plain, */*");
/// The token that `/login` gave: empty without users.
const TOKEN: (&str, &str) = ("X-Auth-Token", "");
const JSON: (&str, &str) = ("Content-Type", "application/json");
const FORM: (&str, &str) = ("Content-Type", "application/x-www-form-urlencoded");

/// What a browser asks before it lets a page of another origin make a call.
fn preflight(path: &str, method: &str, headers: &str) -> Answer {
    let asked =
        [ORIGIN, ("Access-Control-Request-Method", method), ("Access-Control-Request-Headers", headers)];
    send(ANALYZER, "OPTIONS", path, &asked, None)
}

/// Whether a browser would let the page make the call.
fn may(path: &str, method: &str, headers: &str) {
    let answer = preflight(path, method, headers);
    assert_eq!(
        (answer.status, answer.header("access-control-allow-origin")),
        (200, Some("*")),
        "{method} {path}"
    );
    let allowed = answer.header("access-control-allow-headers").unwrap_or_default().to_lowercase();
    let allowed: Vec<&str> = allowed.split(',').map(str::trim).collect();
    for header in headers.split(',') {
        assert!(allowed.contains(&header), "{method} {path}: {header} in {allowed:?}");
    }
    let methods = answer.header("access-control-allow-methods").unwrap_or_default();
    assert!(["GET", "POST"].contains(&method) || methods.contains(method), "{method} {path}: {methods}");
}

fn call(method: &str, path: &str, body: Option<&Json>) -> Answer {
    let body = body.map(Json::to_string);
    let answer = send(ANALYZER, method, path, &[ORIGIN, ACCEPT, TOKEN, JSON], body.as_deref());
    assert_eq!(answer.header("access-control-allow-origin"), Some("*"), "{method} {path}: {answer:?}");
    answer
}

fn query(gremlin: &str) -> Json {
    call("POST", "/api/topology", Some(&json!({"GremlinQuery": gremlin}))).json(200)
}

#[allow(clippy::disallowed_methods, reason = "a client asks with its own clock")]
fn now_ms() -> u128 {
    SystemTime::now().duration_since(SystemTime::UNIX_EPOCH).unwrap().as_millis()
}

#[test]
fn the_page_logs_in_and_polls() {
    if !require_root() {
        return;
    }
    with_analyzer("web-login", |_, _| {
        let form = Some("username=admin&password=secret");
        let login = send(ANALYZER, "POST", "/login", &[ORIGIN, ACCEPT, FORM], form);
        assert_eq!(login.header("access-control-allow-origin"), Some(ORIGIN.1));
        assert_eq!(login.header("access-control-allow-credentials"), Some("true"));
        let login = login.json(200);
        assert_eq!(login["Token"], "");
        let rights = login["Permissions"].as_array().unwrap();
        for right in rights {
            assert!(right["Object"].is_string() && right["Action"].is_string(), "{right}");
            assert_eq!(right["Allowed"], true);
        }
        for (object, action) in [("topology", "read"), ("node", "write"), ("noderule", "write")] {
            assert!(
                rights.iter().any(|right| right["Object"] == object && right["Action"] == action),
                "{object}"
            );
        }

        may("/api/status", "GET", "x-auth-token");
        let status = call("GET", "/api/status", None).json(200);
        for map in ["Agents", "Publishers", "Subscribers"] {
            assert!(status[map].is_object(), "{status}");
        }

        // A redirect is followed only when it says that the page may.
        may("/api/", "GET", "x-auth-token");
        let moved = call("GET", "/api/", None);
        assert_eq!((moved.status, moved.header("location")), (301, Some("/api")));
        let identity = call("GET", "/api", None).json(200);
        assert!(identity["Version"].is_string());
        assert_eq!(identity["Service"], "analyzer");

        for (path, method) in [
            ("/api/topology", "POST"),
            ("/api/noderule", "POST"),
            ("/api/noderule/x", "DELETE"),
            ("/api/edgerule", "GET"),
            ("/api/config/analyzer.listen", "GET"),
            ("/api/node/x", "PATCH"),
        ] {
            may(path, method, "content-type,x-auth-token");
        }
        assert_eq!(preflight("/api/topology", "POST", "x-unheard-of").status, 403);
        let wrong = call("GET", "/api/noderule/nobody", None);
        assert_eq!((wrong.status, wrong.text()), (404, "Noderule 'nobody' not found\n"));
    });
}

#[test]
fn the_page_follows_the_topology() {
    if !require_root() {
        return;
    }
    with_analyzer("web-follow", |_, _| {
        assert_eq!(call("POST", "/api/node", Some(&node("old", "host"))).status, 201);

        // A browser names no host id, and no UUID in what it says.
        let path = "/ws/subscriber?x-client-type=webui&x-auth-token=";
        let mut page = Talk::open(ANALYZER, path, &[ORIGIN]);
        let ask = json!({"Namespace": "Graph", "Type": "SyncRequest", "Obj": {}});
        page.socket.send(Message::text(ask.to_string())).unwrap();
        let reply = page.hear();
        assert_eq!((reply["Type"].as_str(), reply["Status"].as_i64()), (Some("SyncReply"), Some(200)));
        assert_eq!(reply["Obj"]["Nodes"][0]["ID"], "old");
        assert_eq!(reply["Obj"]["Edges"].as_array().unwrap().len(), 0);
        // A past time is refused until there is history, with a reply all the same.
        let ask = json!({"Namespace": "Graph", "Type": "SyncRequest", "Obj": {"Time": 1_000_000}});
        page.socket.send(Message::text(ask.to_string())).unwrap();
        let reply = page.hear();
        assert_eq!((reply["Type"].as_str(), reply["Status"].as_i64()), (Some("SyncReply"), Some(400)));

        assert_eq!(call("POST", "/api/node", Some(&node("new", "device"))).status, 201);
        assert_eq!(call("POST", "/api/edge", Some(&edge("old", "new", "ownership"))).status, 201);
        for (path, key) in [("/api/node/new", "Vendor"), ("/api/edge/old-new", "Speed")] {
            let patch = json!([{"op": "add", "path": format!("/Metadata/{key}"), "value": "x"}]);
            assert_eq!(call("PATCH", path, Some(&patch)).status, 200);
        }
        assert_eq!(call("DELETE", "/api/node/new", None).status, 200);
        for (kind, id) in [
            ("NodeAdded", "new"),
            ("EdgeAdded", "old-new"),
            ("NodeUpdated", "new"),
            ("EdgeUpdated", "old-new"),
            ("EdgeDeleted", "old-new"),
            ("NodeDeleted", "new"),
        ] {
            let message = page.hear();
            assert_eq!(gist(&message), (kind.to_owned(), id.to_owned()), "{message}");
            // Every update is the whole element.
            assert!(message["Obj"]["Metadata"].is_object() && message["Obj"]["CreatedAt"].is_u64());
            assert_eq!(message["Obj"]["DeletedAt"].is_u64(), kind.ends_with("Deleted"));
            if kind.starts_with("Edge") {
                assert_eq!((text(&message, "/Obj/Parent"), text(&message, "/Obj/Child")), ("old", "new"));
            }
        }
        page.leave();
    });
}

#[test]
fn the_page_asks_for_names_and_a_table() {
    if !require_root() {
        return;
    }
    with_analyzer("web-query", |_, _| {
        assert_eq!(query(r#"G.V().Has("Type", "host").Values("Name")"#), json!([]));
        for (id, kind) in [("h1", "host"), ("h2", "host"), ("eth0", "veth")] {
            assert_eq!(call("POST", "/api/node", Some(&node(id, kind))).status, 201);
        }
        let mut names = query(r#"G.V().Has("Type", "host").Values("Name")"#);
        names.as_array_mut().unwrap().sort_by_key(Json::to_string);
        assert_eq!(names, json!(["h1", "h2"]));
        assert_eq!(query(r#"G.V().Has("Type", "namespace").Values("Name")"#), json!([]));

        let table = |filter: &str| {
            let at = now_ms();
            query(&format!(
                "G.At({at}, 300).V().HasNot('@DeleteAt'){filter}.Dedup().Valuemap('Name','Type','@CreatedAt')"
            ))
        };
        assert_eq!(table("").as_array().unwrap().len(), 3);
        let rows = table(".Has('Type','veth')");
        assert_eq!((rows[0]["Name"].as_str(), rows[0]["Type"].as_str()), (Some("eth0"), Some("veth")));
        assert!(rows[0]["@CreatedAt"].is_u64(), "{rows}");

        let none = call("POST", "/api/topology", Some(&json!({"GremlinQuery": ""})));
        assert_eq!((none.status, none.text()), (204, ""));
        let wrong = call("POST", "/api/topology", Some(&json!({"GremlinQuery": "G.V("})));
        assert_eq!(wrong.status, 400);
        assert_eq!(wrong.header("content-type"), Some("text/plain; charset=utf-8"));
    });
}
