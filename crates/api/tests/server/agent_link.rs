//! `/ws/agent/topology`.

use bytes::Bytes;
use skydive_api::ApiSettings;
use skydive_client::{Connection, ConnectionSettings, Ended};
use skydive_proto::{Envelope, Protocol};

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
