//! The Go client library of the original, and the programs made with it: its headers, its frames.
//!
//! A replay: the library itself is not run here.

use std::net::TcpStream;

use serde_json::{Value as Json, json};
use skydive_testnet::require_root;
use tokio_tungstenite::tungstenite::client::IntoClientRequest;
use tokio_tungstenite::tungstenite::http::HeaderValue;
use tokio_tungstenite::tungstenite::{Message, client};

use crate::http::{Answer, send};
use crate::packages::with_analyzer;
use crate::stage::{ANALYZER, SOON, text};
use crate::talk::{Talk, edge, gist, message, node};

/// Of every request; the cookie is there without a token too.
const HEADERS: [(&str, &str); 4] = [
    ("User-Agent", "Go-http-client/1.1"),
    ("Content-Type", "application/json"),
    ("Cookie", ""),
    ("Accept-Encoding", "gzip"),
];

/// A call as the library makes it.
fn call(method: &str, path: &str, body: Option<&Json>) -> Answer {
    let body = body.map(|body| format!("{body}\n"));
    send(ANALYZER, method, path, &HEADERS, body.as_deref()).unzipped()
}

/// Of a node as the library writes it.
fn go_node(id: &str) -> Json {
    let mut made = node(id, "device");
    for (key, value) in
        [("Origin", json!("cli.h")), ("CreatedAt", json!(1)), ("UpdatedAt", json!(1)), ("Revision", json!(1))]
    {
        made[key] = value;
    }
    made
}

#[test]
fn calls_of_the_library_with_compression() {
    if !require_root() {
        return;
    }
    with_analyzer("go-rest", |_, _| {
        assert_eq!(call("GET", "/api/node", None).json(200), json!({}));
        for id in ["a", "b"] {
            let made = call("POST", "/api/node", Some(&go_node(id))).json(201);
            // The answer goes into the same variable: what was said must come back.
            for key in ["ID", "Host", "Origin", "CreatedAt", "UpdatedAt", "Revision", "Metadata"] {
                assert_eq!(made[key], go_node(id)[key], "{key}");
            }
        }
        assert_eq!(call("POST", "/api/edge", Some(&edge("a", "b", "layer2"))).json(201)["ID"], "a-b");
        assert_eq!(call("GET", "/api/edge/a-b", None).json(200)["Child"], "b");

        // A removal carries a value, which is null.
        let patch = json!([{"op": "add", "path": "/Metadata/Vendor", "value": "x"}]);
        assert_eq!(call("PATCH", "/api/node/a", Some(&patch)).json(200)["Metadata"]["Vendor"], "x");
        let same = call("PATCH", "/api/node/a", Some(&patch));
        assert_eq!((same.status, same.text()), (304, ""), "changed is what 200 says");
        assert_eq!(same.header("content-encoding"), None);
        let patch = json!([{"op": "remove", "path": "/Metadata/Vendor", "value": null}]);
        assert_eq!(call("PATCH", "/api/node/a", Some(&patch)).json(200)["Metadata"].get("Vendor"), None);

        let ask =
            |gremlin: &str| call("POST", "/api/topology", Some(&json!({"GremlinQuery": gremlin}))).json(200);
        for nodes in
            [ask("G.V().Sort('Name')"), ask("G.V('a').ShortestPathTo(Metadata('Name','b'))")[0].clone()]
        {
            assert_eq!((text(&nodes, "/0/ID"), text(&nodes, "/1/ID")), ("a", "b"));
        }
        let graph = ask("G");
        assert_eq!(graph[0]["Nodes"].as_array().unwrap().len(), 2);
        assert_eq!(graph[0]["Edges"].as_array().unwrap().len(), 1);
        let many = call("POST", "/api/topology", Some(&json!({"GremlinQuery": "G.V().Count()"})));
        assert_eq!(many.json(200), 2);

        let rule = json!({"UUID": "", "Name": "r", "Description": "", "Metadata": {"Name": "n", "Type": "t"},
            "Action": "create", "Query": ""});
        let made = call("POST", "/api/noderule", Some(&rule)).json(201);
        let path = format!("/api/noderule/{}", text(&made, "/UUID"));
        assert_eq!(call("GET", &path, None).json(200), made);
        for path in [path.as_str(), "/api/edge/a-b", "/api/node/a", "/api/node/b"] {
            let gone = call("DELETE", path, None);
            assert_eq!((gone.status, gone.text()), (200, ""), "{path}");
            // A stream that claims to be compressed and has nothing in it would be an error.
            assert!(gone.header("content-encoding").is_none(), "{gone:?}");
        }
        let gone = call("GET", "/api/node/a", None);
        assert_eq!((gone.status, gone.text()), (404, "Node 'a' not found\n"));
        assert_eq!(call("PATCH", "/api/node/a", Some(&json!([]))).text(), "");
    });
}

/// Connects as the library does. The answer must name the server.
fn dial(path: &str, headers: &[(&'static str, &'static str)]) -> Talk {
    let mut request = format!("ws://{ANALYZER}{path}").into_client_request().unwrap();
    for &(name, value) in headers {
        request.headers_mut().insert(name, HeaderValue::from_static(value));
    }
    let stream = TcpStream::connect(ANALYZER).unwrap();
    stream.set_read_timeout(Some(SOON)).unwrap();
    let (socket, answer) = client(request, stream).unwrap();
    let header = |name: &str| answer.headers().get(name).unwrap().to_str().unwrap();
    assert_eq!((header("X-Host-ID"), header("X-Service-Type")), ("hub1", "analyzer"));
    assert_eq!(answer.headers().get("Sec-WebSocket-Extensions"), None);
    Talk { socket }
}

#[test]
fn an_import_in_binary_frames_that_a_subscriber_sees() {
    if !require_root() {
        return;
    }
    with_analyzer("go-ws", |_, _| {
        let mut subscriber = dial(
            "/ws/subscriber",
            &[
                ("user-agent", "Go-http-client/1.1"),
                ("x-host-id", "watcher"),
                ("x-client-type", "cli"),
                ("x-client-protocol", "json"),
                ("x-websocket-namespace", "*"),
            ],
        );
        // Some act only on the first ping, which comes at once.
        assert!(matches!(subscriber.socket.read().unwrap(), Message::Ping(_)));
        let request = json!({"TimeSlice": null, "TimePoint": false, "GremlinFilter": null});
        let reply = subscriber.sync(&request);
        assert_eq!((&reply["Status"], text(&reply, "/UUID")), (&json!(200), "u"));
        assert_eq!(reply["Obj"], json!({"Nodes": [], "Edges": []}));

        // `client topology import`: no protocol is named, and the JSON is in binary frames.
        let mut importer = dial(
            "/ws/publisher",
            &[
                ("x-host-id", "importer"),
                ("x-client-type", "CLI"),
                ("x-client-protocol", ""),
                ("x-persistence-policy", "Persistent"),
                ("x-websocket-namespace", "*"),
            ],
        );
        for (kind, obj) in [
            ("NodeAdded", go_node("a")),
            ("NodeAdded", go_node("b")),
            ("EdgeAdded", edge("a", "b", "layer2")),
        ] {
            let frame = Message::binary(message(kind, &obj).into_bytes());
            importer.socket.send(frame).unwrap();
            let heard = subscriber.hear();
            assert_eq!(gist(&heard), (kind.to_owned(), text(&obj, "/ID").to_owned()));
            assert_eq!(text(&heard, "/Obj/Origin"), "CLI.importer");
        }
        // The answer to a binary question without a protocol is text.
        importer.socket.send(Message::binary(message("SyncRequest", &request).into_bytes())).unwrap();
        let reply = importer.hear();
        assert_eq!(reply["Type"], "SyncReply");
        assert_eq!(reply["Obj"]["Nodes"].as_array().unwrap().len(), 2);
        importer.leave();

        // The name is free at once, and what was imported stays.
        dial("/ws/publisher", &[("x-host-id", "importer"), ("x-client-type", "CLI")]).leave();
        assert_eq!(subscriber.sync(&request)["Obj"]["Nodes"].as_array().unwrap().len(), 2);
    });
}
