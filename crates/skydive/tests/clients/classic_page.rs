//! The page that the original's analyzer serves itself: cookies, partial updates, filters, rules.

use base64::Engine;
use base64::engine::general_purpose::STANDARD;
use serde_json::{Value as Json, json};
use skydive_testnet::require_root;
use tokio_tungstenite::tungstenite::Message;

use crate::http::{Answer, send};
use crate::packages::with_analyzer;
use crate::stage::{ANALYZER, text};
use crate::talk::{Talk, gist, node};

const JQUERY: [(&str, &str); 3] =
    [("Accept", "application/json"), ("X-Requested-With", "XMLHttpRequest"), ("Cookie", "permissions=W10=")];
const JSON: (&str, &str) = ("Content-Type", "application/json; charset=utf-8");

fn call(method: &str, path: &str, body: Option<&Json>) -> Answer {
    let body = body.map(Json::to_string);
    send(ANALYZER, method, path, &[&JQUERY[..], &[JSON]].concat(), body.as_deref())
}

#[test]
fn the_page_logs_in_and_edits_rules() {
    if !require_root() {
        return;
    }
    with_analyzer("classic-rules", |_, _| {
        assert_eq!(call("GET", "/api", None).json(200)["Service"], "analyzer");
        let form = [("Content-Type", "application/x-www-form-urlencoded; charset=UTF-8")];
        let login = send(ANALYZER, "POST", "/login", &form, Some("username=admin&password="));
        login.json(200);
        let cookies: Vec<&str> = login.headers_of("set-cookie").collect();
        let permissions = cookies.iter().find_map(|cookie| cookie.strip_prefix("permissions=")).unwrap();
        let permissions = STANDARD.decode(permissions.split(';').next().unwrap()).unwrap();
        let permissions: Json = serde_json::from_slice(&permissions).unwrap();
        assert_eq!(permissions, login.json(200)["Permissions"]);

        // Whether there is history: only an answer of 200 says so.
        let query = json!({"GremlinQuery": "G.At('-1m').V().Limit(1)"});
        let past = call("POST", "/api/topology", Some(&query));
        assert_eq!((past.status, past.text()), (400, "Backend does not support history\n"));

        let rules = [
            (
                "noderule",
                json!({"Name": "n", "Action": "create", "Metadata": {"Name": "tor", "Type": "fabric"}}),
            ),
            (
                "edgerule",
                json!({"Name": "e", "Src": "G.V('a')", "Dst": "G.V('b')",
                "Metadata": {"RelationType": "layer2"}}),
            ),
        ];
        for (kind, rule) in rules {
            let list = format!("/api/{kind}");
            assert_eq!(call("GET", &list, None).json(200), json!({}), "an object also when there is none");
            let made = call("POST", &list, Some(&rule)).json(201);
            let id = text(&made, "/UUID").to_owned();
            assert_eq!(
                (made["Name"] == rule["Name"], made["Metadata"] == rule["Metadata"]),
                (true, true),
                "{made}"
            );
            assert_eq!(call("GET", &list, None).json(200), json!({&id: made}));
            let one = format!("{list}/{id}");
            assert_eq!(call("GET", &one, None).json(200), made);
            let gone = call("DELETE", &one, None);
            assert_eq!((gone.status, gone.text()), (200, ""));
            assert_eq!(call("DELETE", &one, None).status, 404);
        }
    });
}

#[test]
fn the_page_takes_partial_updates_within_a_filter() {
    if !require_root() {
        return;
    }
    with_analyzer("classic-follow", |_, _| {
        let mut device = node("a", "device");
        device["Metadata"]["Old"] = 1.into();
        for made in [&device, &node("b", "other")] {
            assert_eq!(call("POST", "/api/node", Some(made)).status, 201);
        }
        let path = "/ws/subscriber?x-client-type=webui&x-update-policy=partial";
        let mut page = Talk::open(ANALYZER, path, &[("Cookie", "authtoken=; permissions=W10=")]);
        let ask = |page: &mut Talk, obj: Json| {
            let ask = json!({"Namespace": "Graph", "Type": "SyncRequest", "Obj": obj});
            page.socket.send(Message::text(ask.to_string())).unwrap();
            let reply = page.hear();
            assert_eq!((reply["Type"].as_str(), reply["Status"].as_i64()), (Some("SyncReply"), Some(200)));
            reply["Obj"]["Nodes"].as_array().unwrap().len()
        };
        assert_eq!(ask(&mut page, json!({})), 2);
        assert_eq!(ask(&mut page, json!({"GremlinFilter": "G.V().Has('Type', 'device').SubGraph()"})), 1);

        let patch = |id: &str| {
            let patch = json!([
                {"op": "add", "path": "/Metadata/New", "value": {"Deep": true}},
                {"op": "remove", "path": "/Metadata/Old"},
            ]);
            call("PATCH", &format!("/api/node/{id}"), Some(&patch)).status
        };
        assert_eq!((patch("b"), patch("a")), (400, 200), "b has nothing to remove");
        let update = page.hear();
        assert_eq!(gist(&update), ("NodePartiallyUpdated".to_owned(), "a".to_owned()), "{update}");
        assert!(update["Obj"]["Revision"].as_i64().unwrap() > 0 && update["Obj"]["UpdatedAt"].is_u64());
        let mut after = device["Metadata"].clone();
        for op in update["Obj"]["Ops"].as_array().unwrap() {
            let mut keys = text(op, "/Key").split('.').peekable();
            let mut at = after.as_object_mut().unwrap();
            while let Some(key) = keys.next() {
                if keys.peek().is_some() {
                    at = at.entry(key).or_insert_with(|| json!({})).as_object_mut().unwrap();
                } else if op["Type"] == 1 {
                    at.insert(key.to_owned(), op["Value"].clone());
                } else {
                    assert_eq!(op["Type"], 2);
                    at.remove(key);
                }
            }
        }
        assert_eq!(after, json!({"Name": "a", "Type": "device", "New": {"Deep": true}}));

        assert_eq!(call("DELETE", "/api/node/b", None).status, 200);
        assert_eq!(call("DELETE", "/api/node/a", None).status, 200);
        assert_eq!(
            gist(&page.hear()),
            ("NodeDeleted".to_owned(), "a".to_owned()),
            "b is not within the filter"
        );
        page.leave();
    });
}
