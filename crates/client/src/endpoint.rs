//! The one place that makes client connections.

use std::fmt;
use std::io;
use std::str::FromStr;
use std::time::Duration;

use base64::Engine;
use base64::prelude::BASE64_STANDARD;
use thiserror::Error;
use tokio::net::TcpStream;

/// How to speak to a server.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub enum Scheme {
    /// In the clear.
    #[default]
    Plain,
    /// Through TLS; not supported yet.
    Tls,
}

/// Who asks.
#[derive(Clone, PartialEq, Eq)]
pub struct Credentials {
    /// Name of the user.
    pub user: String,
    /// Password.
    pub password: String,
}

/// A server: its address and how to speak to it.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Endpoint {
    /// Plain or TLS.
    pub scheme: Scheme,
    /// Name or address; IPv6 without brackets.
    pub host: String,
    /// Port.
    pub port: u16,
    /// Who asks, when the server wants to know.
    pub credentials: Option<Credentials>,
}

/// An address that names no server.
#[derive(Clone, Debug, PartialEq, Eq, Error)]
pub enum EndpointError {
    /// Neither `host:port`, `:port` nor `port`.
    #[error("{0:?} is not an address: write host:port, :port or [ipv6]:port")]
    Malformed(String),
    /// TLS is asked for.
    #[error("{0} asks for TLS, which is not supported yet: use http://")]
    Tls(String),
}

/// How long connecting may take.
pub(crate) const CONNECT_DEADLINE: Duration = Duration::from_secs(5);

impl Endpoint {
    /// A plain endpoint without credentials.
    pub fn new(host: impl Into<String>, port: u16) -> Self {
        Self { scheme: Scheme::Plain, host: host.into(), port, credentials: None }
    }

    /// The same with credentials.
    #[must_use]
    pub fn with_credentials(mut self, credentials: Credentials) -> Self {
        self.credentials = Some(credentials);
        self
    }

    /// `host:port`, with brackets around an IPv6 address.
    pub fn authority(&self) -> String {
        if self.host.contains(':') {
            format!("[{}]:{}", self.host, self.port)
        } else {
            format!("{}:{}", self.host, self.port)
        }
    }

    /// The address of `path` for REST.
    pub fn http_url(&self, path: &str) -> String {
        let scheme = match self.scheme {
            Scheme::Plain => "http",
            Scheme::Tls => "https",
        };
        format!("{scheme}://{}{path}", self.authority())
    }

    /// The address of `path` for a WebSocket.
    pub fn ws_url(&self, path: &str) -> String {
        let scheme = match self.scheme {
            Scheme::Plain => "ws",
            Scheme::Tls => "wss",
        };
        format!("{scheme}://{}{path}", self.authority())
    }

    /// The header that carries the credentials, name and value.
    pub(crate) fn authorization(&self) -> Option<(&'static str, String)> {
        let Credentials { user, password } = self.credentials.as_ref()?;
        Some(("authorization", format!("Basic {}", BASE64_STANDARD.encode(format!("{user}:{password}")))))
    }

    /// The HTTP client for REST. Proxies of the environment are not used: they see management traffic by mistake.
    pub(crate) fn http_client(&self) -> reqwest::Result<reqwest::Client> {
        reqwest::Client::builder()
            .no_proxy()
            .https_only(self.scheme == Scheme::Tls)
            .connect_timeout(CONNECT_DEADLINE)
            .build()
    }

    /// A connection for a WebSocket.
    pub(crate) async fn dial(&self) -> io::Result<TcpStream> {
        if self.scheme == Scheme::Tls {
            return Err(io::Error::new(io::ErrorKind::Unsupported, "TLS is not supported yet"));
        }
        let dialled =
            tokio::time::timeout(CONNECT_DEADLINE, TcpStream::connect((self.host.as_str(), self.port)));
        let stream = dialled.await.map_err(|_| io::Error::from(io::ErrorKind::TimedOut))??;
        stream.set_nodelay(true)?;
        Ok(stream)
    }
}

/// Reads `host:port`, `:port`, `port`, `[ipv6]:port`, each also after `http://`. A missing host is `localhost`.
impl FromStr for Endpoint {
    type Err = EndpointError;

    fn from_str(text: &str) -> Result<Self, EndpointError> {
        let malformed = || EndpointError::Malformed(text.to_owned());
        let rest = match text.split_once("://") {
            Some(("http" | "ws", rest)) => rest,
            Some(("https" | "wss", _)) => return Err(EndpointError::Tls(text.to_owned())),
            Some(_) => return Err(malformed()),
            None => text,
        };
        let rest = rest.strip_suffix('/').unwrap_or(rest);
        let (host, port) = match rest.rsplit_once(':') {
            None => ("", rest),
            Some((host, port)) => (host, port),
        };
        let host = match host.strip_prefix('[') {
            Some(inner) => inner.strip_suffix(']').ok_or_else(malformed)?,
            None if host.contains(':') => return Err(malformed()),
            None => host,
        };
        if host.contains(['/', '@', '?', '#', ' ']) {
            return Err(malformed());
        }
        let port = port.parse().map_err(|_| malformed())?;
        Ok(Self::new(if host.is_empty() { "localhost" } else { host }, port))
    }
}

impl fmt::Display for Endpoint {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.http_url(""))
    }
}

/// Without the password.
impl fmt::Debug for Credentials {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "Credentials({})", self.user)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn addresses() {
        for (text, url) in [
            ("127.0.0.1:8082", "http://127.0.0.1:8082/api"),
            (":8082", "http://localhost:8082/api"),
            ("8082", "http://localhost:8082/api"),
            ("[::1]:8082", "http://[::1]:8082/api"),
            ("http://host:80/", "http://host:80/api"),
        ] {
            assert_eq!(text.parse::<Endpoint>().unwrap().http_url("/api"), url);
        }
        for text in ["", "host", "::1:8082", "host:99999", "ftp://host:1", "a/b:1", "[::1:1"] {
            assert!(matches!(text.parse::<Endpoint>(), Err(EndpointError::Malformed(_))), "{text}");
        }
        assert!(matches!("https://h:1".parse::<Endpoint>(), Err(EndpointError::Tls(_))));
    }

    #[test]
    fn credentials_are_sent_but_not_shown() {
        let credentials = Credentials { user: "u".into(), password: "secret".into() };
        let endpoint = Endpoint::new("::1", 1).with_credentials(credentials);
        assert_eq!(endpoint.authorization().unwrap().1, "Basic dTpzZWNyZXQ=");
        assert!(!format!("{endpoint:?}").contains("secret"));
        assert_eq!(endpoint.ws_url("/ws"), "ws://[::1]:1/ws");
    }
}
