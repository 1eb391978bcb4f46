//! Bad input from outside: what is refused, with which words, and where it is counted.

use std::io::{Read, Write};
use std::net::TcpStream;

use serde_json::{Value as Json, json};
use skydive_client::{Ended, Explained};
use skydive_proto::graph_type;
use skydive_testnet::{eventually, require_root};
use tokio_tungstenite::tungstenite::client::IntoClientRequest;
use tokio_tungstenite::tungstenite::{Message, WebSocket, client};

use crate::stage::{ANALYZER, Desk, Host, SOON, stderr};

/// Query, text of the refusal, and the byte it points at. Without a byte the fault is not in the text.
#[rustfmt::skip]
const WRONG: &[(&str, &str, Option<usize>)] = &[
    ("X.V()", "found \"X\", expected `G`", Some(0)),
    ("G(", "found \"(\", expected `.`", Some(1)),
    ("G V()", "found \"V\", expected `.`", Some(2)),
    ("G.V().foo()", "Expected step function, got: foo", Some(6)),
    ("G.", "Expected left parenthesis, got: ", Some(2)),
    ("G.V", "Expected left parenthesis, got: ", Some(3)),
    ("G.V;", "Expected left parenthesis, got: ;", Some(3)),
    ("G.V(", "Expected right parenthesis", Some(4)),
    ("G.V().Has('é', %)", "Unexpected token while parsing parameters, got: %", Some(16)),
    ("G.V().Limit(1.2.3)", "Expected number token, got: 1.2.3", Some(12)),
    ("G.V().Has('a', Lt())", "One parameter expected with LT: []", Some(15)),
    ("G.V().Has('a', Ne(1, 2))", "One parameter expected with NE: [1 2]", Some(15)),
    ("G.V().Has('a', Between(1))", "Two parameters expected with BETWEEN: [1]", Some(15)),
    ("G.V().Has('a', Regex(1))", "REGEX predicate expects a string as parameter, got: Regex", Some(15)),
    ("G.V().Has('a', Regex('^a'))", "Regex are anchored by default, ^ and $ don't have to be provided", Some(15)),
    ("G.V().Has('a', Lt('x'))", "LT values should be of int64 type", Some(15)),
    ("G.V().Has('a', Inside('x', 1))", "Inside values should be of int64 type", Some(15)),
    ("G.V().Has('a', Ipv4Range(1))", "Ipv4Range value has to be a string", Some(15)),
    ("G.V().Has('a', Ipv4Range('nope'))", "invalid CIDR address: nope", Some(15)),
    ("G.V(1)", "V parameter must be a string : [1]", Some(4)),
    ("G.V('a', 'b')", "V accepts at most one parameter : [a b]", Some(2)),
    ("G.V().Count(1)", "Count accepts no parameter : [1]", Some(6)),
    ("G.V().Range(1)", "Range requires 2 parameters : [1]", Some(6)),
    ("G.V().Limit()", "Limit requires 1 parameter : []", Some(6)),
    ("G.V().Values()", "Values requires 1 parameter : []", Some(6)),
    ("G.V().Values(1)", "Values parameter has to be a string key : [1]", Some(13)),
    ("G.V().HasKey()", "HasKey accepts only one parameter of type string : []", Some(6)),
    ("G.V().ValueMap()", "ValueMap requires at least on parameter : []", Some(6)),
    ("G.V().Dedup(1)", "Dedup parameters have to be string keys : [1]", Some(12)),
    ("G.V().Sort('a', 'b')", "Use ASC or DESC predicate : a", Some(11)),
    ("G.V().Sort(ASC, 1)", "Second sort parameter has to be a string key : 1", Some(16)),
    ("G.V().Sort(1)", "Sort parameter has to be a string key : 1", Some(11)),
    ("G.V().Sort(ASC, 'a', 'b')", "Sort accepts 1 predicate and 1 string parameter : [ASC a b]", Some(6)),
    ("G.V().ShortestPathTo()", "ShortestPathTo predicate accepts only 1 or 2 parameters : []", Some(6)),
    ("G.V().As()", "As requires 1 parameter : []", Some(6)),
    ("G.V().Select()", "Select requires at least one key : []", Some(6)),
    ("G.V().NextHop('x')", "NextHop parameter have to be a valid IP address", Some(14)),
    ("G.V().Has()", "At least one parameter must be provided", Some(6)),
    ("G.V().Has('a', 1, 'b')", "params should be a list of key,value", Some(6)),
    ("G.V('nobody')", "Node 'nobody' does not exist", None),
    ("G.E('nobody')", "Edge 'nobody' does not exist", None),
    ("G.V().Select('x')", "Key x not registered. Need to be registered using 'As' step", None),
    ("G.V().Sum('Name')", "unable to cast \"n1\" of type string to int64", None),
    ("G.V().Sum('Name.x')", "Name is not a supported type(map[string]interface {})", None),
    ("G.V().Count().Out()", "Invalid step 'Out' on 'number'", Some(14)),
    ("G.At('-1m').V()", "Backend does not support history", None),
];

/// The analyzer's graph: two linked nodes, brought by an agent that is none.
fn small_graph() -> Json {
    let node = |id: &str| {
        json!({"ID": id, "Host": "fake", "Origin": "agent.fake", "CreatedAt": 1, "UpdatedAt": 1, "Revision": 1,
            "Metadata": {"Name": id, "Type": "device"}})
    };
    let edge = json!({"ID": "e1", "Host": "fake", "Origin": "agent.fake", "CreatedAt": 1, "UpdatedAt": 1,
        "Revision": 1, "Parent": "n1", "Child": "n2", "Metadata": {"RelationType": "layer2"}});
    json!({"Nodes": [node("n1"), node("n2")], "Edges": [edge]})
}

/// Sends bytes as they are; status and the rest of the answer.
fn raw(request: &[u8]) -> (u16, String) {
    let mut stream = TcpStream::connect(ANALYZER).unwrap();
    stream.set_read_timeout(Some(SOON)).unwrap();
    // A server that refuses need not read all of it.
    let _ = stream.write_all(request);
    let mut answer = Vec::new();
    let _ = stream.read_to_end(&mut answer);
    let answer = String::from_utf8_lossy(&answer).into_owned();
    (answer.get(9..12).and_then(|code| code.parse().ok()).unwrap_or(0), answer)
}

fn post(body: &str) -> (u16, String) {
    let length = body.len();
    raw(format!(
        "POST /api/topology HTTP/1.1\r\nHost: h\r\nConnection: close\r\nContent-Length: {length}\r\n\r\n{body}"
    )
    .as_bytes())
}

#[test]
fn wrong_queries_get_the_words_and_the_place() {
    if !require_root() {
        return;
    }
    let host = Host::new("wrong");
    let _service = host.start(&["analyzer"], &[]);
    host.ask(ANALYZER, |desk| {
        let agent = desk.fake_agent("fake");
        agent.say(desk, "Sync", &small_graph());
        eventually("the graph", SOON, || (desk.graph()?.nodes.len() == 2).then_some(())).unwrap();

        let mut surprises = Vec::new();
        for (query, text, position) in WRONG {
            let answer = desk.query(query);
            let body = String::from_utf8_lossy(&answer.body).into_owned();
            let got = (answer.status.as_u16(), body.as_str(), answer.error_position());
            if got != (400, format!("{text}\n").as_str(), *position) {
                surprises.push(format!("{query}\n  {got:?}\n  instead of {text:?} at {position:?}"));
            }
        }
        assert!(surprises.is_empty(), "{}", surprises.join("\n"));

        // A right one, so that not everything is refused.
        assert_eq!(desk.query("G.V().Count()").message(), "2");
        let dot = desk.block(desk.rest().topology("G.V()", "text/vnd.graphviz", Explained::No)).unwrap();
        assert_eq!(dot.status.as_u16(), 406);
        assert_eq!(dot.message(), "Error while encoding response: Only graph can be outputted as dot");
    });
}

#[test]
fn the_command_line_points_at_the_fault() {
    if !require_root() {
        return;
    }
    let host = Host::new("caret");
    let _service = host.start(&["analyzer"], &[]);
    host.ask(ANALYZER, |_| {
        let output = host.run(&["client", "query", "G.V().Has('Type', 'veth').foo()"]);
        assert_eq!(output.status.code(), Some(1));
        assert_eq!(String::from_utf8_lossy(&output.stdout), "");
        let caret = format!("{}^", " ".repeat(2 + 26));
        let drawn =
            format!("error: Expected step function, got: foo\n  G.V().Has('Type', 'veth').foo()\n{caret}\n");
        assert_eq!(stderr(&output), drawn);
        let output = host.run(&["client", "query", ""]);
        assert_eq!(
            (output.status.code(), stderr(&output).as_str()),
            (Some(1), "error: the query is empty\n")
        );
    });
    let output = host.run(&["client", "query", "--analyzer", "127.0.0.1:9", "G"]);
    assert_eq!(output.status.code(), Some(1));
    assert!(stderr(&output).contains("127.0.0.1:9"), "{}", stderr(&output));
}

#[test]
fn bodies_that_are_no_query() {
    if !require_root() {
        return;
    }
    let host = Host::new("bodies");
    let _service = host.start(&["analyzer"], &[]);
    host.ask(ANALYZER, |_| {
        for body in ["", "{}", r#"{"GremlinQuery": ""}"#] {
            let (status, answer) = post(body);
            assert_eq!(status, 204, "{body:?}: {answer}");
            assert!(answer.ends_with("\r\n\r\n"), "{answer}");
        }
        for body in ["{", "nonsense", r#"{"GremlinQuery": 1}"#, r#"["G"]"#, "\u{0}"] {
            let (status, answer) = post(body);
            assert_eq!(status, 400, "{body:?}: {answer}");
            assert!(answer.contains("text/plain") && answer.ends_with('\n'), "{answer}");
        }
        assert_eq!(raw(b"PUT /api/topology HTTP/1.1\r\nHost: h\r\nConnection: close\r\n\r\n").0, 405);
    });
}

#[test]
fn limits_of_queries() {
    if !require_root() {
        return;
    }
    let host = Host::new("limits");
    let _service = host.start(&["analyzer"], &[]);
    host.ask(ANALYZER, |desk| {
        let refused = |query: &str| {
            let answer = desk.query(query);
            assert_eq!(answer.status.as_u16(), 400);
            (answer.message(), answer.error_position())
        };
        let long = format!("G.V('{}')", "x".repeat(64 << 10));
        assert_eq!(refused(&long), ("the query is longer than 65536 bytes".to_owned(), Some(65536)));
        let at_most = format!("G.V().Has('Name', '{}')", "x".repeat((64 << 10) - 21));
        assert_eq!(at_most.len(), 64 << 10);
        assert_eq!(desk.query(&at_most).message(), "[]");

        let steps = format!("G{}", ".Dedup()".repeat(256).replacen("Dedup", "V", 1));
        assert_eq!(desk.query(&steps).message(), "[]");
        let dot = steps.len();
        let refusal = refused(&format!("{steps}.Dedup()"));
        assert_eq!(refusal, ("the query has more than 256 steps".to_owned(), Some(dot)));
    });
}

#[test]
fn oversized_bodies_are_refused_and_counted() {
    if !require_root() {
        return;
    }
    let host = Host::new("large");
    let _service = host.start(&["analyzer"], &[]);
    host.ask(ANALYZER, |desk| {
        let counted = || desk.loss("OversizedBodies", "skydive_http_oversized_bodies");
        assert_eq!(counted(), 0);
        let reason = "request body exceeds the limit of 16777216 bytes";
        // One that says so beforehand, and one that just goes on.
        let announced = "POST /api/topology HTTP/1.1\r\nHost: h\r\nContent-Length: 16777217\r\n\r\n";
        let (status, answer) = raw(announced.as_bytes());
        assert_eq!(status, 413, "{answer}");
        assert!(answer.contains(reason), "{answer}");
        assert_eq!(counted(), 1);

        let mut chunked =
            b"POST /api/topology HTTP/1.1\r\nHost: h\r\nTransfer-Encoding: chunked\r\n\r\n".to_vec();
        let chunk = format!("100000\r\n{}\r\n", " ".repeat(1 << 20));
        for _ in 0..17 {
            chunked.extend_from_slice(chunk.as_bytes());
        }
        let (status, _) = raw(&chunked);
        // A client that writes on may be cut off before it reads why.
        assert!(matches!(status, 413 | 0), "{status}");
        eventually("the second to be counted", SOON, || (counted() == 2).then_some(())).unwrap();
        assert!(desk.is_up());
    });
}

fn web_socket(query: &str) -> WebSocket<TcpStream> {
    let request = format!("ws://{ANALYZER}{query}").into_client_request().unwrap();
    let stream = TcpStream::connect(ANALYZER).unwrap();
    stream.set_read_timeout(Some(SOON)).unwrap();
    client(request, stream).unwrap().0
}

/// Reads up to the end; code and reason of the goodbye.
fn goodbye(mut socket: WebSocket<TcpStream>) -> (u16, String) {
    loop {
        match socket.read() {
            Ok(Message::Close(Some(frame))) => return (frame.code.into(), frame.reason.to_string()),
            Ok(Message::Close(None)) => return (1005, String::new()),
            Ok(_) => {}
            Err(error) => panic!("no goodbye: {error}"),
        }
    }
}

#[test]
fn web_socket_messages_are_judged_by_size_and_form() {
    if !require_root() {
        return;
    }
    let host = Host::new("frames");
    let limit = [("SKYDIVE_HTTP_WS_MAX_MESSAGE", "64KiB"), ("SKYDIVE_HTTP_WS_AGENT_MAX_MESSAGE", "128KiB")];
    let _service = host.start(&["analyzer"], &limit);
    host.ask(ANALYZER, |desk| {
        let oversized = || desk.loss("OversizedMessages", "skydive_ws_oversized_messages");
        let malformed = || desk.loss("MalformedMessages", "skydive_ws_malformed_messages");

        for (path, max) in [("/ws/subscriber", 64 << 10), ("/ws/agent/topology", 128 << 10)] {
            let before = oversized();
            let mut socket = web_socket(&format!("{path}?x-client-type=test&x-host-id=large"));
            socket.send(Message::text("x".repeat(max + 1))).unwrap();
            let (code, reason) = goodbye(socket);
            assert_eq!(code, 1009, "{path}: {reason}");
            assert!(reason.contains(&format!("limit of {max}")), "{path}: {reason}");
            assert_eq!(oversized(), before + 1, "{path}");
        }

        for path in ["/ws/subscriber", "/ws/agent/topology"] {
            for message in ["", "{", "[]", r#"{"Namespace": 1}"#, "null"] {
                let before = malformed();
                let mut socket = web_socket(&format!("{path}?x-client-type=test&x-host-id=odd"));
                socket.send(Message::text(message)).unwrap();
                let (code, reason) = goodbye(socket);
                assert_eq!(code, 1007, "{path} {message:?}: {reason}");
                assert!(!reason.is_empty(), "{path} {message:?}");
                assert_eq!(malformed(), before + 1, "{path} {message:?}");
            }
        }

        // Nonsense inside a message of an agent, and what it had brought goes with it.
        let agent = desk.fake_agent("fake");
        agent.say(desk, "Sync", &small_graph());
        eventually("the graph", SOON, || (desk.graph()?.nodes.len() == 2).then_some(())).unwrap();
        let before = malformed();
        agent.say(desk, "NodeAdded", &json!({"ID": 1}));
        eventually("the end of the agent's part", SOON, || desk.graph()?.is_empty().then_some(())).unwrap();
        assert_eq!(malformed(), before + 1);

        // A subscriber that asks wrongly hears so and stays.
        let mut socket = web_socket("/ws/subscriber?x-client-type=test");
        let wrong = r#"{"Namespace":"Graph","Type":"SyncRequest","UUID":"u","Obj":{"Time":"noon"}}"#;
        socket.send(Message::text(wrong)).unwrap();
        let reply = loop {
            if let Message::Text(text) = socket.read().unwrap() {
                break serde_json::from_str::<Json>(&text).unwrap();
            }
        };
        assert_eq!(
            (&reply["Type"], &reply["Status"], &reply["UUID"]),
            (&json!("SyncReply"), &json!(400), &json!("u"))
        );
        assert!(reply["Obj"].as_str().is_some_and(|reason| !reason.is_empty()), "{reply}");
        assert_eq!(malformed(), before + 2);
    });
}

#[test]
fn handshakes_that_make_no_sense() {
    if !require_root() {
        return;
    }
    let host = Host::new("shake");
    let _service = host.start(&["analyzer"], &[]);
    host.ask(ANALYZER, |desk| {
        for wrong in ["", "?x-client-type=t&x-client-protocol=xml", "?x-client-type=t&x-update-policy=some"] {
            let socket = web_socket(&format!("/ws/subscriber{wrong}"));
            assert_eq!(goodbye(socket), (1000, String::new()), "{wrong:?}");
        }
        let plain = raw(b"GET /ws/subscriber HTTP/1.1\r\nHost: h\r\nConnection: close\r\n\r\n");
        assert_eq!(plain.0, 426, "{}", plain.1);

        let first = web_socket("/ws/subscriber?x-client-type=t&x-host-id=same");
        let answer = std::thread::scope(|scope| {
            // The holder proves that it is alive by answering the ping.
            let holder = scope.spawn(move || {
                let mut first = first;
                while first.read().is_ok_and(|message| !message.is_close()) {}
            });
            let again = "GET /ws/subscriber?x-client-type=t&x-host-id=same HTTP/1.1\r\nHost: h\r\n\
                Connection: Upgrade\r\nUpgrade: websocket\r\nSec-WebSocket-Version: 13\r\n\
                Sec-WebSocket-Key: dGhlIHNhbXBsZSBub25jZQ==\r\n\r\n";
            let answer = raw(again.as_bytes());
            drop(_service);
            holder.join().unwrap();
            answer
        });
        assert_eq!(answer.0, 409, "{}", answer.1);
        let _ = desk;
    });
}

#[test]
fn a_closed_subscriber_leaves_its_id_at_once() {
    if !require_root() {
        return;
    }
    let host = Host::new("again");
    let _service = host.start(&["analyzer"], &[]);
    host.ask(ANALYZER, |desk: &Desk| {
        for _ in 0..20 {
            let mut socket = web_socket("/ws/subscriber?x-client-type=t&x-host-id=same");
            socket.close(None).unwrap();
            let _ = goodbye(socket);
        }
        eventually("nobody to be connected", SOON, || {
            let status = desk.status();
            status["Subscribers"].as_object().is_some_and(|all| all.is_empty()).then_some(())
        })
        .unwrap();
        let mut subscriber = desk.subscribe();
        assert!(!matches!(subscriber.until("nothing", |_, _| true), Err(Ended::Closed { .. })));
    });
}

#[test]
fn a_change_of_what_is_not_there_is_counted_and_no_warning() {
    if !require_root() {
        return;
    }
    let host = Host::new("late");
    let service = host.start(&["analyzer"], &[]);
    host.ask(ANALYZER, |desk| {
        let agent = desk.fake_agent("fake");
        agent.say(desk, graph_type::NODE_UPDATED, &small_graph()["Nodes"][0]);
        let counted = || {
            let metrics = desk.get("/metrics").message();
            metrics.contains("skydive_graph_refused_mutations_total 1").then_some(())
        };
        eventually("the change to be counted", SOON, counted).unwrap();
    });
    assert!(!service.log().contains("refused"), "{}", service.log());
}
