//! A subscriber that does not read: closed, told how much it missed, counted; nobody else waits for it.

use std::io::Read;
use std::net::TcpStream;

use serde_json::{Value as Json, json};
use skydive_testnet::{eventually, require_root};
use tokio_tungstenite::tungstenite::client::IntoClientRequest;
use tokio_tungstenite::tungstenite::{Message, client};

use crate::stage::{ANALYZER, Graph, Host, SOON};

/// Far more than the kernel keeps for a client that does not read.
const MOST: i64 = 2000;
const TEXT: usize = 32 << 10;

/// Revision `number` of the only node: large enough to fill what lies between server and client soon.
fn node(number: i64) -> Json {
    json!({"ID": "n1", "Host": "fake", "Origin": "agent.fake", "CreatedAt": 1, "UpdatedAt": number,
        "Revision": number, "Metadata": {"Name": "n1", "Type": "device", "Text": "x".repeat(TEXT), "Number": number}})
}

fn number(graph: &Graph) -> Option<i64> {
    graph.nodes.get("n1")?["Metadata"]["Number"].as_i64()
}

#[test]
fn a_slow_subscriber_is_closed_and_told_what_it_missed() {
    if !require_root() {
        return;
    }
    let host = Host::new("slow");
    let _service = host.start(&["analyzer"], &[("SKYDIVE_HTTP_WS_QUEUE_SIZE", "50")]);
    host.ask(ANALYZER, |desk| {
        let request = format!("ws://{ANALYZER}/ws/subscriber?x-client-type=t&x-host-id=slow");
        let stream = TcpStream::connect(ANALYZER).unwrap();
        stream.set_read_timeout(Some(SOON)).unwrap();
        let (mut slow, _) = client(request.into_client_request().unwrap(), stream).unwrap();
        let is_known = || desk.status().pointer("/Subscribers/slow").is_some();
        eventually("the subscriber to be known", SOON, || is_known().then_some(())).unwrap();
        let mut quick = desk.subscribe();

        // Events come until the queue of the slow one is full. One that reads is not held up: it has every event
        // before the next one is made.
        let agent = desk.fake_agent("fake");
        let overflowed = || {
            let metrics = desk.get("/metrics").message();
            !metrics.lines().any(|line| line == "skydive_graph_lost_messages_total 0")
        };
        agent.say(desk, "NodeAdded", &node(1));
        let mut made = 1;
        while !overflowed() {
            made += 1;
            assert!(made < MOST, "nothing is lost");
            agent.say(desk, "NodeUpdated", &node(made));
            quick.until("the update", |_, graph| number(graph) == Some(made)).unwrap();
        }
        let closed = || desk.loss("SlowSubscribers", "skydive_ws_slow_subscribers");
        eventually("the slow one to be given up", SOON, || (closed() == 1).then_some(())).unwrap();
        let missed = desk.loss("Messages", "skydive_ws_lost_messages");

        // Now it reads: what was on its way, in order, and then the goodbye.
        let mut last = 0;
        let (code, reason) = loop {
            match slow.read() {
                Ok(Message::Text(text)) => {
                    let message: Json = serde_json::from_str(&text).unwrap();
                    let number = message["Obj"]["Metadata"]["Number"].as_i64().unwrap();
                    assert_eq!(number, last + 1, "in order, none left out");
                    last = number;
                }
                Ok(Message::Close(Some(frame))) => break (u16::from(frame.code), frame.reason.to_string()),
                Ok(_) => {}
                Err(error) => panic!("no goodbye after {last} of {made}: {error}"),
            }
        };
        assert_eq!((code, reason), (1013, format!("lost {missed} messages")));
        // The message that was being written when the server gave up counts as lost, and may still arrive.
        let counted = last + missed.cast_signed();
        assert!((made..=made + 1).contains(&counted), "{last} received and {missed} lost of {made}");
        let mut rest = Vec::new();
        let _ = slow.get_mut().read_to_end(&mut rest);
        eventually("the slow one to be gone", SOON, || (!is_known()).then_some(())).unwrap();
        assert_eq!(closed(), 1, "the one that reads is still there");
        quick.until("nothing", |_, _| true).unwrap();
    });
}
