//! Requests and their answers.

use std::io;
use std::pin::pin;
use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};
use std::time::Duration;

use bytes::{Bytes, BytesMut};
use futures_util::StreamExt;
use futures_util::stream::unfold;
use http::{HeaderMap, StatusCode};
use reqwest::{Client, Method, RequestBuilder};
use serde::Serialize;
use serde::de::DeserializeOwned;
use serde_json::Value as Json;
use skydive_proto::{Explain, Identity, Language, encode_query, header, media};
use thiserror::Error;
use tokio::io::{AsyncRead, AsyncReadExt};
use tokio::time::timeout;

use crate::Endpoint;

/// Asks one server.
#[derive(Clone, Debug)]
pub struct Rest {
    endpoint: Endpoint,
    client: Client,
    patience: Duration,
}

/// Whether the server shall tell what a query read.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub enum Explained {
    /// No.
    #[default]
    No,
    /// Yes, see [`Response::explain`].
    Yes,
}

/// What can be made, read and deleted under one name. Any status is an answer to what is asked of it: the caller judges.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Collection {
    /// Nodes of the graph.
    Nodes,
    /// Edges of the graph.
    Edges,
    /// Rules that make nodes or set their metadata.
    NodeRules,
    /// Rules that link nodes.
    EdgeRules,
    /// Captures.
    Captures,
}

/// One operation of a JSON patch (RFC 6902).
#[derive(Clone, Debug, PartialEq, Serialize)]
#[serde(tag = "op", rename_all = "lowercase")]
pub enum PatchOp {
    /// Sets the value at a path.
    Add {
        /// A JSON pointer (RFC 6901).
        path: String,
        /// The value.
        value: Json,
    },
    /// Removes what is at a path.
    Remove {
        /// A JSON pointer (RFC 6901).
        path: String,
    },
}

/// What came back.
#[derive(Clone, Debug)]
pub struct Response {
    /// HTTP status.
    pub status: StatusCode,
    /// Headers.
    pub headers: HeaderMap,
    /// Body, decompressed.
    pub body: Bytes,
}

/// A request without usable answer.
#[derive(Debug, Error)]
pub enum RestError {
    /// The HTTP client cannot be set up.
    #[error("no HTTP client can be made")]
    Client(#[source] reqwest::Error),
    /// The server cannot be reached.
    #[error("cannot reach {url} (is the service running and the address right?): {reason}")]
    Unreachable {
        /// What was asked.
        url: String,
        /// The cause.
        reason: String,
    },
    /// The server took the request, and says nothing.
    #[error("{url}: nothing heard for {patience:?}")]
    Silent {
        /// What was asked.
        url: String,
        /// How long that was waited for.
        patience: Duration,
    },
    /// The answer broke off.
    #[error("{url}: the answer broke off: {reason}")]
    Broken {
        /// What was asked.
        url: String,
        /// The cause.
        reason: String,
    },
    /// The answer is larger than a client takes.
    #[error("{url}: the answer is larger than {max} bytes; narrow the query")]
    TooLarge {
        /// What was asked.
        url: String,
        /// The limit.
        max: usize,
    },
    /// The server refuses.
    #[error("{url}: status {status}: {message}")]
    Status {
        /// What was asked.
        url: String,
        /// HTTP status.
        status: StatusCode,
        /// The body of the answer.
        message: String,
    },
    /// The answer is not what the resource should be.
    #[error("{url}: unexpected answer (is this a Skydive service?)")]
    Unexpected {
        /// What was asked.
        url: String,
        /// What is wrong with it.
        source: serde_json::Error,
    },
}

/// How long a server may say nothing, unless told otherwise. A query may run for a minute.
pub const PATIENCE: Duration = Duration::from_secs(75);
/// Bytes of a file read at a time.
const PIECE: usize = 256 << 10;
/// Largest answer taken, bytes.
const ANSWER_MAX: usize = 2 << 30;

impl Rest {
    /// A client of `endpoint`.
    pub fn new(endpoint: Endpoint) -> Result<Self, RestError> {
        let client = endpoint.http_client().map_err(RestError::Client)?;
        Ok(Self { endpoint, client, patience: PATIENCE })
    }

    /// The same with another time for which the server may say nothing, before its answer and within it.
    pub fn with_patience(self, patience: Duration) -> Self {
        Self { patience, ..self }
    }

    /// The server asked.
    pub fn endpoint(&self) -> &Endpoint {
        &self.endpoint
    }

    /// Asks a query. Any status is an answer here: the caller judges it.
    pub async fn topology(
        &self,
        query: &str,
        accept: &str,
        explained: Explained,
    ) -> Result<Response, RestError> {
        let url = self.endpoint.http_url("/api/topology");
        let mut request = self
            .client
            .post(&url)
            .header("content-type", "application/json")
            .header("accept", accept)
            .body(encode_query(query));
        if explained == Explained::Yes {
            request = request.header(header::EXPLAIN, "1");
        }
        self.send(url, request).await
    }

    /// The whole live graph.
    pub async fn graph(&self, accept: &str) -> Result<Response, RestError> {
        let url = self.endpoint.http_url("/api/topology");
        let request = self.client.get(&url).header("accept", accept);
        self.send(url, request).await
    }

    /// Who the server is.
    pub async fn api(&self) -> Result<Identity, RestError> {
        self.resource("/api").await
    }

    /// The server's status: `skydive_proto::AnalyzerStatus`, `AgentStatus`, or `serde_json::Value` for either.
    pub async fn status<T: DeserializeOwned>(&self) -> Result<T, RestError> {
        self.resource("/api/status").await
    }

    /// Any `GET` of a path. Any status is an answer here.
    pub async fn get(&self, path: &str) -> Result<Response, RestError> {
        let url = self.endpoint.http_url(path);
        let request = self.client.get(&url);
        self.send(url, request).await
    }

    /// The steps, predicates and words of the query language.
    pub async fn language(&self) -> Result<Language, RestError> {
        self.resource("/api/query/steps").await
    }

    /// All of a collection: an object of id to resource.
    pub async fn list(&self, collection: Collection) -> Result<Response, RestError> {
        self.get(&collection.path()).await
    }

    /// One of a collection.
    pub async fn find(&self, collection: Collection, id: &str) -> Result<Response, RestError> {
        self.get(&collection.path_of(id)).await
    }

    /// Makes one of a resource's JSON; 201 with the resource as it is kept.
    pub async fn create(
        &self,
        collection: Collection,
        json: impl Into<reqwest::Body>,
    ) -> Result<Response, RestError> {
        self.submit(Method::POST, &collection.path(), json.into()).await
    }

    /// The same of one that goes by itself after some time.
    pub async fn create_for(
        &self,
        collection: Collection,
        json: impl Into<reqwest::Body>,
        ttl: Option<Duration>,
    ) -> Result<Response, RestError> {
        let url = self.endpoint.http_url(&collection.path());
        let mut request = self.client.post(&url).header("content-type", "application/json").body(json);
        if let Some(ttl) = ttl {
            request = request.header(header::RESOURCE_TTL, format!("{}ms", ttl.as_millis()));
        }
        self.send(url, request).await
    }

    /// Gives a capture file to the server; 202 when it has all flows of it. `progress` hears how many bytes were sent.
    pub async fn import_pcap(
        &self,
        file: impl AsyncRead + Send + 'static,
        mut progress: impl FnMut(u64) + Send + 'static,
    ) -> Result<Response, RestError> {
        let url = self.endpoint.http_url("/api/pcap");
        let sent = Arc::new(AtomicU64::new(0));
        let told = sent.clone();
        let pieces = unfold(Some(Box::pin(file)), async |file| {
            let mut file = file?;
            let mut piece = BytesMut::with_capacity(PIECE);
            match file.read_buf(&mut piece).await {
                Ok(0) => None,
                Ok(_) => Some((Ok(piece.freeze()), Some(file))),
                Err(error) => Some((Err(error), None)),
            }
        });
        let pieces = pieces.inspect(move |piece: &Result<Bytes, io::Error>| {
            let more = piece.as_ref().map_or(0, |piece| piece.len() as u64);
            progress(told.fetch_add(more, Ordering::Relaxed) + more);
        });
        let body = reqwest::Body::wrap_stream(pieces);
        let request = self.client.post(&url).header("content-type", media::PCAP).body(body);
        // A large file may take longer than a server may be silent; as long as it is taken, the server is there.
        let patient = Self { patience: Duration::MAX, ..self.clone() };
        let mut answer = pin!(patient.send(url.clone(), request));
        let mut before = 0;
        loop {
            if let Ok(answer) = timeout(self.patience, &mut answer).await {
                return answer;
            }
            let now = sent.load(Ordering::Relaxed);
            if now == before {
                return Err(RestError::Silent { url, patience: self.patience });
            }
            before = now;
        }
    }

    /// Changes one; 200 with the resource after it, 304 when that changes nothing.
    pub async fn patch(
        &self,
        collection: Collection,
        id: &str,
        patch: &[PatchOp],
    ) -> Result<Response, RestError> {
        let json = serde_json::to_vec(patch).expect("texts and JSON are always JSON");
        self.submit(Method::PATCH, &collection.path_of(id), json.into()).await
    }

    /// Deletes one.
    pub async fn delete(&self, collection: Collection, id: &str) -> Result<Response, RestError> {
        let url = self.endpoint.http_url(&collection.path_of(id));
        let request = self.client.delete(&url);
        self.send(url, request).await
    }

    async fn submit(&self, method: Method, path: &str, json: reqwest::Body) -> Result<Response, RestError> {
        let url = self.endpoint.http_url(path);
        let request = self.client.request(method, &url).header("content-type", "application/json").body(json);
        self.send(url, request).await
    }

    async fn resource<T: DeserializeOwned>(&self, path: &str) -> Result<T, RestError> {
        let url = self.endpoint.http_url(path);
        let answer = self.get(path).await?;
        if answer.status != StatusCode::OK {
            return Err(RestError::Status { url, status: answer.status, message: answer.message() });
        }
        serde_json::from_slice(&answer.body).map_err(|source| RestError::Unexpected { url, source })
    }

    async fn send(&self, url: String, mut request: RequestBuilder) -> Result<Response, RestError> {
        if let Some((name, value)) = self.endpoint.authorization() {
            request = request.header(name, value);
        }
        let mut answer = match timeout(self.patience, request.send()).await {
            Ok(Ok(answer)) => answer,
            Ok(Err(error)) => return Err(RestError::Unreachable { url, reason: root_cause(&error) }),
            Err(_) => return Err(RestError::Silent { url, patience: self.patience }),
        };
        let (status, headers) = (answer.status(), std::mem::take(answer.headers_mut()));
        let mut body = BytesMut::new();
        loop {
            let Ok(chunk) = timeout(self.patience, answer.chunk()).await else {
                return Err(RestError::Silent { url, patience: self.patience });
            };
            match chunk {
                Ok(Some(chunk)) if body.len() + chunk.len() > ANSWER_MAX => {
                    return Err(RestError::TooLarge { url, max: ANSWER_MAX });
                }
                Ok(Some(chunk)) => body.extend_from_slice(&chunk),
                Ok(None) => break,
                Err(error) => return Err(RestError::Broken { url, reason: root_cause(&error) }),
            }
        }
        Ok(Response { status, headers, body: body.freeze() })
    }
}

impl Collection {
    /// The name in paths.
    pub fn name(self) -> &'static str {
        match self {
            Self::Nodes => "node",
            Self::Edges => "edge",
            Self::NodeRules => "noderule",
            Self::Captures => "capture",
            Self::EdgeRules => "edgerule",
        }
    }

    fn path(self) -> String {
        format!("/api/{}", self.name())
    }

    /// An id may be any text; what means something in a URL is escaped, but for slashes, which belong to the id.
    fn path_of(self, id: &str) -> String {
        let mut path = self.path() + "/";
        for byte in id.bytes() {
            match byte {
                b'a'..=b'z' | b'A'..=b'Z' | b'0'..=b'9' | b'-' | b'.' | b'_' | b'~' | b'/' => {
                    path.push(char::from(byte));
                }
                _ => path.push_str(&format!("%{byte:02X}")),
            }
        }
        path
    }
}

impl PatchOp {
    /// A JSON pointer to what these names lead to, one after the other.
    pub fn pointer<'n>(names: impl IntoIterator<Item = &'n str>) -> String {
        names
            .into_iter()
            .fold(String::new(), |path, name| path + "/" + &name.replace('~', "~0").replace('/', "~1"))
    }
}

impl Response {
    /// The value of a header, when it is there and text.
    pub fn header(&self, name: &str) -> Option<&str> {
        self.headers.get(name)?.to_str().ok()
    }

    /// What a query read, when that was asked for.
    pub fn explain(&self) -> Option<Explain> {
        self.header(header::EXPLAIN)?.parse().ok()
    }

    /// Byte offset of the fault in a refused query.
    pub fn error_position(&self) -> Option<usize> {
        self.header(header::ERROR_POSITION)?.parse().ok()
    }

    /// The body as a message for people.
    pub fn message(&self) -> String {
        String::from_utf8_lossy(&self.body).trim_end().to_owned()
    }
}

/// The innermost cause says what happened; the layers above it only repeat the address.
fn root_cause(error: &reqwest::Error) -> String {
    let mut cause: &dyn std::error::Error = error;
    while let Some(inner) = cause.source() {
        cause = inner;
    }
    if error.is_timeout() { "no answer in time".to_owned() } else { cause.to_string() }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn paths_and_patches_are_written_so_that_they_are_read_as_meant() {
        assert_eq!(Collection::NodeRules.path(), "/api/noderule");
        assert_eq!(Collection::Edges.path_of("a/b c?é#%"), "/api/edge/a/b%20c%3F%C3%A9%23%25");
        assert_eq!(PatchOp::pointer(["Metadata", "a/b", "~c"]), "/Metadata/a~1b/~0c");
        let patch =
            [PatchOp::Add { path: "/a".into(), value: Json::from(1) }, PatchOp::Remove { path: "/b".into() }];
        let text = serde_json::to_string(&patch).unwrap();
        assert_eq!(text, r#"[{"op":"add","path":"/a","value":1},{"op":"remove","path":"/b"}]"#);
    }
}
