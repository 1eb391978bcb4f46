//! What a WebSocket client says of itself when it connects.

use skydive_value::SmolStr;
use thiserror::Error;

/// Names of HTTP headers, lower case as HTTP libraries keep them. Clients that cannot set headers use them as names
/// of query parameters.
pub mod header {
    /// Identity of the sender of the handshake or of its reply.
    pub const HOST_ID: &str = "x-host-id";
    /// Service type of the client; required.
    pub const CLIENT_TYPE: &str = "x-client-type";
    /// `json` or `protobuf`.
    pub const CLIENT_PROTOCOL: &str = "x-client-protocol";
    /// A namespace to receive; repeatable.
    pub const NAMESPACE: &str = "x-websocket-namespace";
    /// Sub-graph filter of a subscription.
    pub const GREMLIN_FILTER: &str = "x-gremlin-filter";
    /// `full` or `partial`.
    pub const UPDATE_POLICY: &str = "x-update-policy";
    /// What becomes of a publisher's elements when it goes.
    pub const PERSISTENCE_POLICY: &str = "x-persistence-policy";
    /// Service type of the server, in its reply.
    pub const SERVICE_TYPE: &str = "x-service-type";
    /// Asks for, and carries, the numbers of elements read.
    pub const EXPLAIN: &str = "x-skydive-explain";
    /// How much of the truth an answer holds.
    pub const COVERAGE: &str = "x-skydive-coverage";
    /// Byte offset of the fault in a query.
    pub const ERROR_POSITION: &str = "x-skydive-error-position";
    /// Time to live of a resource.
    pub const RESOURCE_TTL: &str = "x-resource-ttl";
    /// A token instead of a password.
    pub const AUTH_TOKEN: &str = "x-auth-token";
}

/// Encoding of the envelope.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Hash)]
pub enum Protocol {
    /// One JSON object per frame.
    #[default]
    Json,
    /// One protobuf message per frame.
    Protobuf,
}

/// How updates are told.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Hash)]
pub enum UpdatePolicy {
    /// The whole element.
    #[default]
    Full,
    /// The changed fields.
    Partial,
}

/// What becomes of a publisher's elements when its connection ends.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub enum Persistence {
    /// They stay.
    #[default]
    Persistent,
    /// They are deleted.
    DeleteOnDisconnect,
}

/// The parameters of a connection.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Handshake {
    /// Identity of the client; empty when it gives none.
    pub host_id: SmolStr,
    /// Its service type.
    pub client_type: SmolStr,
    /// Encoding of messages.
    pub protocol: Protocol,
    /// Namespaces it wants; empty means all.
    pub namespaces: Vec<SmolStr>,
    /// Sub-graph filter; empty means none.
    pub filter: String,
    /// How it wants updates.
    pub update_policy: UpdatePolicy,
    /// What becomes of what it published.
    pub persistence: Persistence,
}

/// Parameters with which no connection can be served.
#[derive(Clone, Debug, PartialEq, Eq, Error)]
pub enum HandshakeError {
    /// There is no client type.
    #[error("{} is required", header::CLIENT_TYPE)]
    NoClientType,
    /// A parameter has a value that is not known.
    #[error("{name}: unknown value {value:?}")]
    Unknown {
        /// The parameter.
        name: &'static str,
        /// Its value.
        value: String,
    },
}

impl Protocol {
    /// The name in the handshake and in statuses.
    pub fn as_str(self) -> &'static str {
        match self {
            Self::Json => "json",
            Self::Protobuf => "protobuf",
        }
    }
}

impl UpdatePolicy {
    /// The name in the handshake.
    pub fn as_str(self) -> &'static str {
        match self {
            Self::Full => "full",
            Self::Partial => "partial",
        }
    }
}

impl Persistence {
    /// The name in the handshake.
    pub fn as_str(self) -> &'static str {
        match self {
            Self::Persistent => "Persistent",
            Self::DeleteOnDisconnect => "DeleteOnDisconnect",
        }
    }
}

impl Handshake {
    /// Reads the parameters. `values` gives the values of a header and, except for the persistence policy, of the
    /// query parameter of the same name.
    pub fn parse(values: impl Fn(&'static str) -> Vec<String>) -> Result<Self, HandshakeError> {
        let first = |name| values(name).into_iter().next().unwrap_or_default();
        let client_type = first(header::CLIENT_TYPE);
        if client_type.is_empty() {
            return Err(HandshakeError::NoClientType);
        }
        let unknown = |name, value| HandshakeError::Unknown { name, value };
        let protocol = match first(header::CLIENT_PROTOCOL) {
            text if text.is_empty() || text.eq_ignore_ascii_case("json") => Protocol::Json,
            text if text.eq_ignore_ascii_case("protobuf") => Protocol::Protobuf,
            text => return Err(unknown(header::CLIENT_PROTOCOL, text)),
        };
        let update_policy = match first(header::UPDATE_POLICY) {
            text if text.is_empty() || text.eq_ignore_ascii_case("full") => UpdatePolicy::Full,
            text if text.eq_ignore_ascii_case("partial") => UpdatePolicy::Partial,
            text => return Err(unknown(header::UPDATE_POLICY, text)),
        };
        let persistence = match first(header::PERSISTENCE_POLICY).as_str() {
            "DeleteOnDisconnect" => Persistence::DeleteOnDisconnect,
            _ => Persistence::Persistent,
        };
        Ok(Self {
            host_id: first(header::HOST_ID).into(),
            client_type: client_type.into(),
            protocol,
            namespaces: values(header::NAMESPACE)
                .into_iter()
                .filter(|name| !name.is_empty())
                .map(SmolStr::from)
                .collect(),
            filter: first(header::GREMLIN_FILTER),
            update_policy,
            persistence,
        })
    }

    /// The headers that say the same.
    pub fn headers(&self) -> Vec<(&'static str, String)> {
        let mut headers = vec![
            (header::HOST_ID, self.host_id.to_string()),
            (header::CLIENT_TYPE, self.client_type.to_string()),
            (header::CLIENT_PROTOCOL, self.protocol.as_str().to_owned()),
            (header::UPDATE_POLICY, self.update_policy.as_str().to_owned()),
            (header::PERSISTENCE_POLICY, self.persistence.as_str().to_owned()),
        ];
        headers.extend(self.namespaces.iter().map(|name| (header::NAMESPACE, name.to_string())));
        if !self.filter.is_empty() {
            headers.push((header::GREMLIN_FILTER, self.filter.clone()));
        }
        headers
    }

    /// Whether the client wants messages of `namespace`.
    pub fn wants(&self, namespace: &str) -> bool {
        self.namespaces.is_empty()
            || self.namespaces.iter().any(|name| name == namespace || name == crate::namespace::ALL)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn parse(pairs: &[(&str, &str)]) -> Result<Handshake, HandshakeError> {
        Handshake::parse(|name| {
            pairs.iter().filter(|(n, _)| *n == name).map(|(_, v)| (*v).to_owned()).collect()
        })
    }

    #[test]
    fn what_is_written_is_read() {
        let wanted = Handshake {
            host_id: "h1".into(),
            client_type: "agent".into(),
            protocol: Protocol::Protobuf,
            namespaces: vec!["Graph".into(), "Alert".into()],
            filter: "G.V().SubGraph()".into(),
            update_policy: UpdatePolicy::Partial,
            persistence: Persistence::DeleteOnDisconnect,
        };
        let headers = wanted.headers();
        let pairs: Vec<(&str, &str)> = headers.iter().map(|(n, v)| (*n, v.as_str())).collect();
        assert_eq!(parse(&pairs).unwrap(), wanted);
        assert!(wanted.wants("Alert") && !wanted.wants("Flow"));
    }

    #[test]
    fn an_empty_protocol_is_json_and_a_wrong_one_is_refused() {
        let empty = [(header::CLIENT_TYPE, "webui"), (header::CLIENT_PROTOCOL, "")];
        assert_eq!(parse(&empty).unwrap().protocol, Protocol::Json);
        assert_eq!(parse(&[]), Err(HandshakeError::NoClientType));
        let wrong = [(header::CLIENT_TYPE, "webui"), (header::UPDATE_POLICY, "some")];
        assert!(matches!(parse(&wrong), Err(HandshakeError::Unknown { .. })));
        let upper = [(header::CLIENT_TYPE, "webui"), (header::UPDATE_POLICY, "PARTIAL")];
        assert_eq!(parse(&upper).unwrap().update_policy, UpdatePolicy::Partial);
    }
}
