//! `/ws/subscriber`.

use std::sync::Arc;
use std::time::Duration;

use bytes::Bytes;
use skydive_api::{ApiSettings, WebSocketSettings};
use skydive_client::{ConnectError, Connection, ConnectionSettings, Ended};
use skydive_graph::{Mutation, Op};
use skydive_proto::{
    Envelope, GraphMessage, Handshake, Limits, Protocol, SyncRequest, UpdatePolicy, graph_type, header,
};
use skydive_value::{Id, Timestamp};
use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::net::TcpStream;

use crate::{eventually, handshake, node, soon, start};

fn sync_request(request: SyncRequest) -> Envelope {
    Envelope { uuid: "q1".to_owned(), ..GraphMessage::SyncRequest(request).to_envelope() }
}

async fn next(connection: &mut Connection) -> GraphMessage {
    let message = soon(connection.next()).await.unwrap();
    GraphMessage::decode(&message, Timestamp::EPOCH).unwrap()
}

async fn ended(connection: &mut Connection) -> Ended {
    soon(async {
        loop {
            if let Err(ended) = connection.next().await {
                return ended;
            }
        }
    })
    .await
}

#[tokio::test]
async fn the_graph_and_what_happens_to_it() {
    let server = start(ApiSettings::default()).await;
    server.fill().await;
    for protocol in [Protocol::Json, Protocol::Protobuf] {
        let name = protocol.as_str();
        let mut connection = server.subscribe(&handshake("webui", name, protocol)).await;
        assert_eq!(connection.server().host_id, "hub1");
        assert_eq!(connection.server().service_type, "analyzer");
        connection.send(&sync_request(SyncRequest::default())).await.unwrap();
        let reply = soon(connection.next()).await.unwrap();
        assert_eq!((reply.uuid.as_str(), reply.status), ("q1", 200));
        let GraphMessage::SyncReply(graph) = GraphMessage::decode(&reply, Timestamp::EPOCH).unwrap() else {
            panic!("{reply:?}");
        };
        assert_eq!((graph.nodes.len(), graph.edges.len()), (2, 1));

        let id = Id::from(name);
        let rename = Mutation::update_node(id.clone(), [Op::set("Name", "lan")]);
        server.live.apply(vec![node(name, "x", 9), rename, Mutation::delete_node(id)]).await.unwrap();
        assert!(matches!(next(&mut connection).await, GraphMessage::NodeAdded(n) if n.name() == "x"));
        assert!(
            matches!(next(&mut connection).await, GraphMessage::NodeUpdated(n) if n.name() == "lan" && n.revision == 2)
        );
        assert!(
            matches!(next(&mut connection).await, GraphMessage::NodeDeleted(n) if n.deleted_at.is_some())
        );
        connection.close().await;
    }
}

#[tokio::test]
async fn a_partial_subscriber_gets_the_changed_fields() {
    let server = start(ApiSettings::default()).await;
    server.fill().await;
    let wanted =
        Handshake { update_policy: UpdatePolicy::Partial, ..handshake("webui", "p", Protocol::Json) };
    let mut connection = server.subscribe(&wanted).await;
    connection.send(&sync_request(SyncRequest::default())).await.unwrap();
    assert!(matches!(next(&mut connection).await, GraphMessage::SyncReply(_)));
    server.live.apply(vec![Mutation::update_node("a".into(), [Op::set("MTU", 9000)])]).await.unwrap();
    let GraphMessage::NodePartiallyUpdated(update) = next(&mut connection).await else {
        panic!("not partial")
    };
    assert_eq!(update.ops, [Op::set("MTU", 9000)]);
}

#[tokio::test]
async fn what_a_sync_request_is_refused_for() {
    let server = start(ApiSettings::default()).await;
    let mut connection = server.subscribe(&handshake("webui", "h", Protocol::Json)).await;
    let past = SyncRequest { at: Some(Timestamp::from_millis(5)), filter: None };
    connection.send(&sync_request(past)).await.unwrap();
    let reply = soon(connection.next()).await.unwrap();
    assert_eq!((reply.kind.as_str(), reply.status, &*reply.obj), (graph_type::SYNC_REPLY, 400, &b""[..]));

    for (filter, why) in [
        ("G.V(", "Invalid Gremlin filter 'G.V(' for client h"),
        ("G.V()", "Gremlin query 'G.V()' did not return a graph"),
        ("G.V('nobody').SubGraph()", "Node 'nobody' does not exist"),
        ("G.V().Has('a', Lt('x')).SubGraph()", "LT values should be of int64 type"),
    ] {
        let filtered = SyncRequest { at: None, filter: Some(filter.to_owned()) };
        connection.send(&sync_request(filtered)).await.unwrap();
        let reply = soon(connection.next()).await.unwrap();
        let told: String = serde_json::from_slice(&reply.obj).unwrap();
        assert_eq!((reply.status, told.as_str()), (400, why));
    }

    let wrong = Envelope::json("Graph", graph_type::SYNC_REQUEST, Bytes::from_static(br#"{"Time":"x"}"#));
    connection.send(&wrong).await.unwrap();
    assert_eq!(soon(connection.next()).await.unwrap().status, 400);
    assert_eq!(server.telemetry.losses().malformed_messages, 1);

    let cleared = SyncRequest { at: None, filter: Some(String::new()) };
    connection.send(&sync_request(cleared)).await.unwrap();
    assert_eq!(soon(connection.next()).await.unwrap().status, 200);
}

#[tokio::test]
async fn a_namespace_that_was_not_asked_for_is_silent_in_replies_too() {
    let server = start(ApiSettings::default()).await;
    server.fill().await;
    let other =
        Handshake { namespaces: vec!["Alert".into()], ..handshake("webui", "alerts", Protocol::Json) };
    let mut alerts = server.subscribe(&other).await;
    alerts.send(&sync_request(SyncRequest::default())).await.unwrap();
    // What it asks is judged all the same.
    let wrong = Envelope::json("Graph", graph_type::SYNC_REQUEST, Bytes::from_static(br#"{"Time":"x"}"#));
    alerts.send(&wrong).await.unwrap();
    let counted = async {
        tokio::select! {
            message = alerts.next() => panic!("{message:?}"),
            () = eventually("both are heard", || server.telemetry.losses().malformed_messages == 1) => {}
        }
    };
    soon(counted).await;
    server.stop.cancel();
    assert!(matches!(soon(alerts.next()).await, Err(Ended::Closed { code: 1001, .. })));
}

#[tokio::test]
async fn notices_reach_who_wants_them_and_are_missed_by_nobody_else() {
    let server = start(ApiSettings::default()).await;
    let of = |name: &str, namespaces: &[&str]| Handshake {
        namespaces: namespaces.iter().map(|name| (*name).into()).collect(),
        ..handshake("webui", name, Protocol::Json)
    };
    let namespace = "OnDemandCaptureNotification";
    let mut all = server.subscribe(&of("all", &[])).await;
    let mut star = server.subscribe(&of("star", &["*"])).await;
    let mut some = server.subscribe(&of("some", &[namespace])).await;
    let mut none = server.subscribe(&of("none", &["Graph"])).await;
    eventually("all are there", || server.subscribers.statuses().len() == 4).await;
    let notice = || Envelope::json(namespace, "Added", Bytes::from_static(br#"{"UUID":"c"}"#));
    server.notices.tell(notice());
    for connection in [&mut all, &mut star, &mut some] {
        let heard = soon(connection.next()).await.unwrap();
        assert_eq!((heard.namespace.as_str(), heard.kind.as_str()), (namespace, "Added"));
        assert_eq!(heard.obj, notice().obj);
    }
    // More than wait for anybody.
    for _ in 0..5000 {
        server.notices.tell(notice());
    }
    for connection in [&mut all, &mut star, &mut some] {
        let Ended::Closed { code, reason } = ended(connection).await else { panic!("not closed") };
        assert_eq!((code, reason), (1013, format!("lost {} messages", 5000 - 1024)));
    }
    assert_eq!(server.telemetry.losses().slow_subscribers, 3);
    server.fill().await;
    assert!(matches!(next(&mut none).await, GraphMessage::NodeAdded(_)));
}

#[tokio::test]
async fn a_slow_subscriber_is_closed_and_told_what_it_missed() {
    let ws = WebSocketSettings { queue_size: 50, ..WebSocketSettings::default() };
    let server = start(ApiSettings { ws, ..ApiSettings::default() }).await;
    let mut slow = server.subscribe(&handshake("webui", "slow", Protocol::Json)).await;
    let mut quick = server.subscribe(&handshake("webui", "quick", Protocol::Json)).await;
    let reading = tokio::spawn(async move {
        let mut seen = 0_u64;
        while quick.next().await.is_ok() {
            seen += 1;
        }
        seen
    });
    // Events until the slow one's sockets and queue are full. They are large, so that this does not take many.
    let text = "x".repeat(100_000);
    let mut sent = 0_u64;
    soon(async {
        while server.telemetry.losses().slow_subscribers == 0 {
            let mut mutation = node(&format!("n{sent}"), "x", 1);
            if let Mutation::AddNode(node) = &mut mutation {
                node.metadata.insert("Text", text.as_str());
            }
            server.live.apply(vec![mutation]).await.unwrap();
            sent += 1;
            server.live.snapshot().await.unwrap();
            if sent > 200 {
                // It has to read on to be told.
                let _ = tokio::time::timeout(Duration::from_millis(1), slow.next()).await;
            }
        }
    })
    .await;
    let Ended::Closed { code, reason } = ended(&mut slow).await else { panic!("not closed") };
    let messages = server.telemetry.losses().messages;
    assert_eq!((code, reason), (1013, format!("lost {messages} messages")));
    assert!(messages > 50 && messages < sent);
    // Nobody else noticed.
    assert!(server.subscribers.statuses().contains_key("quick"));
    reading.abort();
}

#[tokio::test]
async fn a_subscriber_that_never_reads_is_dropped_and_counted() {
    let ws = WebSocketSettings {
        queue_size: 50,
        write_deadline: Duration::from_millis(100),
        ..WebSocketSettings::default()
    };
    let server = start(ApiSettings { ws, ..ApiSettings::default() }).await;
    let _stuck = server.subscribe(&handshake("webui", "stuck", Protocol::Json)).await;
    let text = "x".repeat(1_000_000);
    soon(async {
        for n in 0.. {
            if server.telemetry.losses().slow_subscribers > 0 {
                break;
            }
            let mut mutation = node(&format!("n{n}"), "x", 1);
            if let Mutation::AddNode(node) = &mut mutation {
                node.metadata.insert("Text", text.as_str());
            }
            server.live.apply(vec![mutation]).await.unwrap();
            server.live.snapshot().await.unwrap();
        }
    })
    .await;
    assert!(server.telemetry.losses().messages > 0);
    eventually("the seat is free", || server.subscribers.is_empty()).await;
}

#[tokio::test]
async fn messages_that_are_refused() {
    let limits = Limits { ws_message: 1000, ..Limits::default() };
    let server = start(ApiSettings { limits, ..ApiSettings::default() }).await;

    let mut large = server.subscribe(&handshake("webui", "large", Protocol::Json)).await;
    let obj = serde_json::to_vec(&"x".repeat(3_000_000)).unwrap();
    large.send(&Envelope::json("Graph", "SyncRequest", obj.into())).await.unwrap();
    let Ended::Closed { code, reason } = ended(&mut large).await else { panic!("not closed") };
    assert_eq!(code, 1009);
    assert!(reason.ends_with("exceeds the limit of 1000"), "{reason}");
    assert_eq!(server.telemetry.losses().oversized_messages, 1);

    // JSON where protobuf was agreed on.
    let mut wrong = server.subscribe(&handshake("webui", "wrong", Protocol::Json)).await;
    let garbage = Envelope::json("Graph", "SyncRequest", Bytes::from_static(b"{nonsense"));
    wrong.send(&garbage).await.unwrap();
    let Ended::Closed { code, reason } = ended(&mut wrong).await else { panic!("not closed") };
    assert_eq!(code, 1007);
    assert!(reason.starts_with("malformed JSON message"), "{reason}");
    assert_eq!(server.telemetry.losses().malformed_messages, 1);
}

#[tokio::test]
async fn a_live_holder_keeps_its_host_id_and_a_gone_one_frees_it() {
    let server = start(ApiSettings::default()).await;
    let mut holder = server.subscribe(&handshake("webui", "same", Protocol::Json)).await;
    let holding = tokio::spawn(async move {
        let stopped = holder.next().await;
        (holder, stopped)
    });
    let (endpoint, same) = (server.endpoint(), handshake("webui", "same", Protocol::Json));
    let refused = Connection::open(&endpoint, "/ws/subscriber", &same, ConnectionSettings::default()).await;
    assert!(matches!(refused, Err(ConnectError::HostIdTaken { .. })));
    holding.abort();
    eventually("the seat is free", || server.subscribers.is_empty()).await;
    server.subscribe(&handshake("webui", "same", Protocol::Json)).await;
}

#[tokio::test]
async fn a_dead_holder_gives_way_to_a_newcomer() {
    let server = start(ApiSettings::default()).await;
    // It is connected, but nobody reads: pings are not answered.
    let _dead = server.subscribe(&handshake("webui", "same", Protocol::Json)).await;
    let mut newcomer = server.subscribe(&handshake("webui", "same", Protocol::Json)).await;
    newcomer.send(&sync_request(SyncRequest::default())).await.unwrap();
    assert!(matches!(next(&mut newcomer).await, GraphMessage::SyncReply(_)));
    assert_eq!(server.subscribers.len(), 1);
}

#[tokio::test]
async fn a_client_without_pongs_is_dropped() {
    let ws = WebSocketSettings {
        ping_delay: Duration::from_millis(50),
        pong_timeout: Duration::from_millis(50),
        ..WebSocketSettings::default()
    };
    let server = start(ApiSettings { ws, ..ApiSettings::default() }).await;
    let _silent = server.subscribe(&handshake("webui", "silent", Protocol::Json)).await;
    eventually("the silent client is gone", || server.subscribers.is_empty()).await;
}

#[tokio::test]
async fn handshakes_that_make_no_sense() {
    let server = start(ApiSettings::default()).await;
    let no_websocket = server.rest().get("/ws/subscriber").await.unwrap();
    assert_eq!(no_websocket.status.as_u16(), 426);
    assert_eq!(no_websocket.header("connection"), Some("close"));

    // No client type, and a filter: opened, then closed with 1000 at once.
    let filter = Handshake { filter: "G.V()".to_owned(), ..handshake("webui", "f", Protocol::Json) };
    for wrong in [handshake("", "x", Protocol::Json), filter] {
        let mut connection = server.subscribe(&wrong).await;
        let Ended::Closed { code, reason } = ended(&mut connection).await else { panic!("not closed") };
        assert_eq!((code, reason.as_str()), (1000, ""));
    }
}

#[tokio::test]
async fn a_browser_connects_with_query_parameters_and_gets_a_ping_first() {
    let server = start(ApiSettings::default()).await;
    let mut socket = TcpStream::connect(server.address).await.unwrap();
    let request = "GET /ws/subscriber?x-client-type=webui&x-update-policy=partial HTTP/1.1\r\nHost: h\r\n\
        Connection: keep-alive, Upgrade\r\nUpgrade: websocket\r\nSec-WebSocket-Version: 13\r\n\
        Sec-WebSocket-Key: dGhlIHNhbXBsZSBub25jZQ==\r\n\r\n";
    socket.write_all(request.as_bytes()).await.unwrap();
    let mut heard = Vec::new();
    soon(async {
        while !heard.ends_with(&[0x89, 0]) {
            let mut room = [0; 1024];
            let n = socket.read(&mut room).await.unwrap();
            assert!(n > 0);
            heard.extend_from_slice(&room[..n]);
        }
    })
    .await;
    let head = String::from_utf8_lossy(&heard).to_lowercase();
    assert!(head.starts_with("http/1.1 101"), "{head}");
    assert!(head.contains("sec-websocket-accept: s3pplmbitxaq9kygzzhzrbk+xoo="), "{head}");
    assert!(head.contains(&format!("{}: hub1", header::HOST_ID)));
    let local = socket.local_addr().unwrap().to_string();
    let status = server.subscribers.statuses();
    let status = status.get(&local).unwrap();
    assert_eq!((status.service_type.as_str(), status.client_protocol.as_str()), ("webui", "json"));
    assert_eq!(status.connect_time, "2023-11-14T22:13:20Z");
}

#[tokio::test]
async fn the_server_says_goodbye_when_it_stops() {
    let server = start(ApiSettings::default()).await;
    let mut connection = server.subscribe(&handshake("webui", "h", Protocol::Json)).await;
    server.stop.cancel();
    let Ended::Closed { code, .. } = ended(&mut connection).await else { panic!("not closed") };
    assert_eq!(code, 1001);
}

#[tokio::test]
async fn a_graph_that_is_taken_slowly_is_delivered() {
    let ws = WebSocketSettings {
        ping_delay: Duration::from_millis(100),
        pong_timeout: Duration::from_millis(400),
        write_deadline: Duration::from_millis(400),
        ..WebSocketSettings::default()
    };
    let server = start(ApiSettings { ws, ..ApiSettings::default() }).await;
    let text = "x".repeat(1 << 20);
    for n in 0..60 {
        let mut mutation = node(&format!("n{n}"), "x", 1);
        if let Mutation::AddNode(node) = &mut mutation {
            node.metadata.insert("Text", text.as_str());
        }
        server.live.apply(vec![mutation]).await.unwrap();
    }
    let mut socket = TcpStream::connect(server.address).await.unwrap();
    let request = "GET /ws/subscriber?x-client-type=webui HTTP/1.1\r\nHost: h\r\n\
        Connection: Upgrade\r\nUpgrade: websocket\r\nSec-WebSocket-Version: 13\r\n\
        Sec-WebSocket-Key: dGhlIHNhbXBsZSBub25jZQ==\r\n\r\n";
    socket.write_all(request.as_bytes()).await.unwrap();
    let body = br#"{"Namespace":"Graph","Type":"SyncRequest"}"#;
    let mut frame = vec![0x81, 0x80 | body.len() as u8, 0, 0, 0, 0];
    frame.extend(body);
    socket.write_all(&frame).await.unwrap();
    let (begin, mut room, mut taken) = (tokio::time::Instant::now(), vec![0; 1 << 20], 0);
    soon(async {
        while taken < 60 << 20 {
            let n = socket.read(&mut room).await.unwrap();
            assert!(n > 0, "ended after {taken} bytes and {:?}", begin.elapsed());
            taken += n;
            tokio::time::sleep(Duration::from_millis(20)).await;
        }
    })
    .await;
    assert!(begin.elapsed() > Duration::from_millis(800));
    assert_eq!(server.telemetry.losses().slow_subscribers, 0);
}

#[tokio::test]
async fn a_graph_that_changes_faster_than_it_is_sent_is_had() {
    let ws = WebSocketSettings { queue_size: 50, ..WebSocketSettings::default() };
    let server = start(ApiSettings { ws, ..ApiSettings::default() }).await;
    let text = "x".repeat(1 << 20);
    for n in 0..60 {
        let mut mutation = node(&format!("n{n}"), "x", 1);
        if let Mutation::AddNode(node) = &mut mutation {
            node.metadata.insert("Text", text.as_str());
        }
        server.live.apply(vec![mutation]).await.unwrap();
    }
    server.live.apply((0..1000).map(|n| node(&format!("m{n}"), "x", 1)).collect()).await.unwrap();
    let held = server.live.snapshot().await.unwrap().node(&"m999".into()).unwrap().clone();
    let alone = Arc::strong_count(&held);
    let mut connection = server.subscribe(&handshake("webui", "h", Protocol::Json)).await;
    connection.send(&sync_request(SyncRequest::default())).await.unwrap();
    eventually("the reply is being written", || Arc::strong_count(&held) > alone).await;
    // It does not fit into what lies between.
    let folded = || server.live.counters().folded.get();
    let mut mtu = 0;
    soon(async {
        while folded() == 0 {
            mtu += 1;
            for n in 0..40 {
                let change = Mutation::update_node(Id::from(format!("m{n}").as_str()), [Op::set("MTU", mtu)]);
                server.live.apply(vec![change]).await.unwrap();
            }
            server.live.snapshot().await.unwrap();
        }
    })
    .await;
    let mut heard = Vec::new();
    while heard.len() < 40 {
        match next(&mut connection).await {
            GraphMessage::SyncReply(graph) => assert_eq!(graph.nodes.len(), 1060),
            GraphMessage::NodeUpdated(node) => {
                heard.retain(|(id, _)| *id != node.id);
                if node.metadata.get("MTU") == Some(&mtu.into()) {
                    heard.push((node.id, node.revision));
                }
            }
            other => panic!("{other:?}"),
        }
    }
    assert_eq!(server.telemetry.losses().slow_subscribers, 0);
}
