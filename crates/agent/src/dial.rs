//! Lines to analyzers over the network.

use skydive_client::{ConnectError, Connection, ConnectionSettings, Endpoint, ServerIdentity};
use skydive_graph::BoxFuture;
use skydive_proto::{Envelope, Handshake, Persistence, Protocol, namespace, reason, role};
use skydive_value::SmolStr;

use crate::FlowRoute;
use crate::link::{Dial, DialError, Link, LinkClosed};

/// Where agents connect to.
const PATH: &str = "/ws/agent/topology";

/// Dials one analyzer by WebSocket, protobuf inside.
pub struct WebSocketDial {
    endpoint: Endpoint,
    address: String,
    handshake: Handshake,
    settings: ConnectionSettings,
}

struct WebSocketLink(Connection);

impl WebSocketDial {
    /// A dialer for the agent `host_id`.
    pub fn new(endpoint: Endpoint, host_id: SmolStr, settings: ConnectionSettings) -> Self {
        let handshake = Handshake {
            host_id,
            client_type: role::AGENT.into(),
            protocol: Protocol::Protobuf,
            namespaces: vec![namespace::ALL.into()],
            persistence: Persistence::DeleteOnDisconnect,
            ..Handshake::default()
        };
        Self { address: endpoint.authority(), endpoint, handshake, settings }
    }
}

impl Dial for WebSocketDial {
    fn address(&self) -> &str {
        &self.address
    }

    fn flow_route(&self) -> Option<FlowRoute> {
        Some(FlowRoute { endpoint: self.endpoint.clone(), settings: self.settings })
    }

    fn dial(&self) -> BoxFuture<'_, Result<Box<dyn Link>, DialError>> {
        Box::pin(async move {
            match Connection::open(&self.endpoint, PATH, &self.handshake, self.settings).await {
                Ok(connection) => Ok(Box::new(WebSocketLink(connection)) as Box<dyn Link>),
                Err(ConnectError::HostIdTaken { .. }) => Err(DialError::Conflict),
                Err(error) => Err(DialError::Unreachable(reason(&error))),
            }
        })
    }
}

impl Link for WebSocketLink {
    fn send(&mut self, message: Envelope) -> BoxFuture<'_, Result<(), LinkClosed>> {
        Box::pin(async move { self.0.send(&message).await.map_err(|ended| LinkClosed(reason(&ended))) })
    }

    fn receive(&mut self) -> BoxFuture<'_, Result<Envelope, LinkClosed>> {
        Box::pin(async move { self.0.next().await.map_err(|ended| LinkClosed(reason(&ended))) })
    }

    fn server(&self) -> Option<&ServerIdentity> {
        Some(self.0.server())
    }
}
