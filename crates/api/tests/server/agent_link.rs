//! `/ws/agent/topology`.

use std::time::Duration;

use bytes::Bytes;
use skydive_api::{ApiSettings, WebSocketSettings};
use skydive_client::{ConnectError, Connection, ConnectionSettings, Ended};
use skydive_proto::{Envelope, Protocol};
use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::net::TcpStream;

use crate::{Heard, Running, eventually, handshake, soon, start};

async fn connect(server: &Running) -> Connection {
    let handshake = handshake("agent", "host1", Protocol::Protobuf);
    Connection::open(&server.endpoint(), "/ws/agent/topology", &handshake, ConnectionSettings::default())
        .await
        .unwrap()
}

#[tokio::test]
async fn messages_in_both_directions_and_the_end() {
    let mut server = start(ApiSettings::default()).await;
    let mut agent = connect(&server).await;
    assert_eq!(server.heard.recv().await, Some(Heard::Opened("host1".to_owned())));
    assert_eq!(server.agents.statuses()["host1"].client_protocol, "protobuf");

    let message = Envelope::json("Graph", "NodeAdded", Bytes::from_static(br#"{"ID":"a"}"#));
    agent.outgoing().send(message).await.unwrap();
    let outgoing = server.known_agents.lock().unwrap().remove(0);
    outgoing.send(Envelope::json("OnDemandCapture", "Start", Bytes::new())).await.unwrap();
    let heard = soon(agent.next()).await.unwrap();
    assert_eq!((heard.namespace.as_str(), heard.kind.as_str()), ("OnDemandCapture", "Start"));
    agent.close().await;
    assert_eq!(soon(server.heard.recv()).await, Some(Heard::Message("NodeAdded".to_owned())));
    assert_eq!(soon(server.heard.recv()).await, Some(Heard::Closed));
    eventually("the seat is free", || server.agents.is_empty()).await;
}

#[tokio::test]
async fn what_was_sent_before_the_end_is_heard() {
    let mut server = start(ApiSettings::default()).await;
    let mut agent = connect(&server).await;
    // The first ping goes before this message. A socket closed with unread bytes would reset the connection, and then
    // nobody can read what was sent.
    let outgoing = server.known_agents.lock().unwrap().remove(0);
    outgoing.send(Envelope::json("Flow", "TableQuery", Bytes::new())).await.unwrap();
    soon(agent.next()).await.unwrap();
    for n in 0..1000 {
        agent.send(&Envelope::json("Graph", &n.to_string(), Bytes::new())).await.unwrap();
    }
    drop(agent);
    assert_eq!(soon(server.heard.recv()).await, Some(Heard::Opened("host1".to_owned())));
    for n in 0..1000 {
        assert_eq!(soon(server.heard.recv()).await, Some(Heard::Message(n.to_string())));
    }
    assert_eq!(soon(server.heard.recv()).await, Some(Heard::Closed));
}

#[tokio::test]
async fn a_message_that_makes_no_sense_ends_the_link() {
    let mut server = start(ApiSettings::default()).await;
    let mut agent = connect(&server).await;
    agent.send(&Envelope::json("Graph", "Nonsense", Bytes::new())).await.unwrap();
    let Err(Ended::Closed { code, reason }) = soon(agent.next()).await else { panic!("not closed") };
    assert_eq!((code, reason.as_str()), (1007, "nonsense"));
    assert_eq!(server.telemetry.losses().malformed_messages, 1);
    server.heard.recv().await;
    server.heard.recv().await;
    assert_eq!(soon(server.heard.recv()).await, Some(Heard::Closed));
}

#[tokio::test]
async fn an_agent_without_sign_of_life_gives_way_and_is_ended_first() {
    let mut server = start(ApiSettings::default()).await;
    let _dead = connect(&server).await;
    let _newcomer = connect(&server).await;
    let opened = Heard::Opened("host1".to_owned());
    assert_eq!(soon(server.heard.recv()).await.as_ref(), Some(&opened));
    assert_eq!(soon(server.heard.recv()).await, Some(Heard::Closed));
    assert_eq!(soon(server.heard.recv()).await.as_ref(), Some(&opened));
}

/// Much shorter than what the tests make agents wait.
fn impatient() -> ApiSettings {
    let ws = WebSocketSettings {
        ping_delay: Duration::from_millis(100),
        pong_timeout: Duration::from_millis(200),
        ..WebSocketSettings::default()
    };
    ApiSettings { ws, ..ApiSettings::default() }
}

/// The server's answer to a handshake by hand, and the socket.
async fn raw(server: &Running, host_id: &[u8]) -> TcpStream {
    let mut tcp = TcpStream::connect(server.address).await.unwrap();
    let mut request =
        b"GET /ws/agent/topology HTTP/1.1\r\nHost: x\r\nConnection: Upgrade\r\nUpgrade: websocket\r\n\
        Sec-WebSocket-Version: 13\r\nSec-WebSocket-Key: dGhlIHNhbXBsZSBub25jZQ==\r\nX-Client-Type: agent\r\n\
        X-Host-ID: "
            .to_vec();
    request.extend(host_id);
    request.extend(b"\r\n\r\n");
    tcp.write_all(&request).await.unwrap();
    let mut head = Vec::new();
    while !head.ends_with(b"\r\n\r\n") {
        head.push(soon(tcp.read_u8()).await.unwrap());
    }
    tcp
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn work_on_a_message_does_not_end_the_link() {
    for kind in ["Slow", "Busy"] {
        let mut server = start(impatient()).await;
        let mut agent = connect(&server).await;
        let outgoing = agent.outgoing();
        let living = tokio::spawn(async move { agent.next().await.map(|_| ()) });
        assert!(matches!(soon(server.heard.recv()).await, Some(Heard::Opened(_))));
        for kind in [kind, kind, "After"] {
            outgoing.send(Envelope::json("Graph", kind, Bytes::new())).await.unwrap();
        }
        // Nobody takes its host id meanwhile.
        let (endpoint, same) = (server.endpoint(), handshake("agent", "host1", Protocol::Json));
        let newcomer =
            Connection::open(&endpoint, "/ws/agent/topology", &same, ConnectionSettings::default());
        assert!(matches!(newcomer.await, Err(ConnectError::HostIdTaken { .. })), "{kind}");
        for kind in [kind, kind, "After"] {
            assert_eq!(soon(server.heard.recv()).await, Some(Heard::Message(kind.to_owned())));
        }
        assert!(!living.is_finished());
        living.abort();
        assert_eq!(soon(server.heard.recv()).await, Some(Heard::Closed));
    }
}

#[tokio::test]
async fn a_message_that_arrives_slowly_shows_that_the_agent_lives() {
    let mut server = start(impatient()).await;
    let mut tcp = raw(&server, b"host1").await;
    let body = br#"{"Namespace":"Graph","Type":"Sync","Obj":[]}"#;
    let mut frame = vec![0x81, 0x80 | body.len() as u8, 0, 0, 0, 0];
    frame.extend(body);
    for byte in frame {
        tcp.write_all(&[byte]).await.unwrap();
        tokio::time::sleep(Duration::from_millis(20)).await;
    }
    assert!(matches!(soon(server.heard.recv()).await, Some(Heard::Opened(_))));
    assert_eq!(soon(server.heard.recv()).await, Some(Heard::Message("Sync".to_owned())));
    // From here on it sends nothing.
    assert_eq!(soon(server.heard.recv()).await, Some(Heard::Closed));
}

#[tokio::test]
async fn large_messages_arrive_in_order() {
    let mut server = start(ApiSettings::default()).await;
    let mut agent = connect(&server).await;
    let outgoing = agent.outgoing();
    for n in 0..6 {
        let large = serde_json::to_vec(&"x".repeat(if n % 2 == 0 { 3 << 20 } else { 1 })).unwrap();
        outgoing.send(Envelope::json("Graph", &n.to_string(), large.into())).await.unwrap();
    }
    let living = tokio::spawn(async move { agent.next().await.map(|_| ()) });
    assert!(matches!(soon(server.heard.recv()).await, Some(Heard::Opened(_))));
    for n in 0..6 {
        assert_eq!(soon(server.heard.recv()).await, Some(Heard::Message(n.to_string())));
    }
    living.abort();
}

#[tokio::test]
async fn host_ids_of_all_letters() {
    let mut server = start(ApiSettings::default()).await;
    let named = handshake("agent", "hôte-日本", Protocol::Protobuf);
    let _agent =
        Connection::open(&server.endpoint(), "/ws/agent/topology", &named, ConnectionSettings::default())
            .await
            .unwrap();
    assert_eq!(soon(server.heard.recv()).await, Some(Heard::Opened("hôte-日本".to_owned())));

    // What is no text is no identity: opened and closed at once.
    let mut tcp = raw(&server, b"h\xff").await;
    let mut rest = [0; 4];
    soon(tcp.read_exact(&mut rest)).await.unwrap();
    assert_eq!(rest, [0x88, 2, 0x03, 0xe8]);
    assert_eq!(server.agents.len(), 1);
}

#[tokio::test]
async fn the_seat_is_free_before_the_goodbye_is_answered() {
    let mut server = start(ApiSettings::default()).await;
    let mut tcp = raw(&server, b"host1").await;
    let begin = tokio::time::Instant::now();
    tcp.write_all(&[0x81, 0x81, 0, 0, 0, 0, b'x']).await.unwrap();
    assert!(matches!(soon(server.heard.recv()).await, Some(Heard::Opened(_))));
    assert_eq!(soon(server.heard.recv()).await, Some(Heard::Closed));
    eventually("the seat is free", || server.agents.is_empty()).await;
    assert!(begin.elapsed() < Duration::from_secs(1));
}

#[tokio::test]
async fn who_asks_and_does_not_read_is_not_heard_further() {
    let mut server = start(ApiSettings::default()).await;
    let mut agent = connect(&server).await;
    for _ in 0..20 {
        agent.send(&Envelope::json("Graph", "Ask", Bytes::new())).await.unwrap();
    }
    assert!(matches!(soon(server.heard.recv()).await, Some(Heard::Opened(_))));
    assert_eq!(soon(server.heard.recv()).await, Some(Heard::Message("Ask".to_owned())));
    // The first reply does not fit into what lies between: nothing more is heard until it is taken.
    let heard = tokio::time::timeout(Duration::from_millis(300), server.heard.recv()).await;
    assert!(heard.is_err(), "{heard:?}");
    for _ in 0..20 {
        assert_eq!(soon(agent.next()).await.unwrap().kind, "Reply");
    }
}
