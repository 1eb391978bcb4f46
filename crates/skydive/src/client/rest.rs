//! The boundary to the REST client: the two calls the command line makes, and errors that say what to do.

use std::time::Duration;

use anyhow::{Context as _, anyhow, bail};
use reqwest::{Client, RequestBuilder, Response};

use crate::config::Address;
use crate::terminal::harmless;

/// How long to wait for a connection; answers may take as long as they need.
const CONNECT_TIMEOUT: Duration = Duration::from_secs(10);

/// Bytes of an error text that are shown.
const MAX_ERROR: usize = 64 << 10;

/// An analyzer to ask.
pub(crate) struct Rest {
    client: Client,
    base: String,
    credentials: Option<(String, String)>,
}

/// What it answered.
pub(crate) struct Answer {
    response: Response,
    base: String,
}

impl Rest {
    pub(crate) fn new(analyzer: &Address, credentials: Option<(String, String)>) -> Self {
        let client =
            Client::builder().connect_timeout(CONNECT_TIMEOUT).no_proxy().build().unwrap_or_default();
        Self { client, base: format!("http://{analyzer}"), credentials }
    }

    /// `POST /api/topology`.
    pub(crate) async fn topology(
        &self,
        gremlin: &str,
        accept: &str,
        headers: &[(&str, &str)],
    ) -> anyhow::Result<Answer> {
        let body = serde_json::json!({ "GremlinQuery": gremlin });
        let mut request =
            self.client.post(format!("{}/api/topology", self.base)).json(&body).header("Accept", accept);
        for (name, value) in headers {
            request = request.header(*name, *value);
        }
        self.send(request).await
    }

    /// `GET /api/status`.
    pub(crate) async fn status(&self) -> anyhow::Result<Answer> {
        self.send(self.client.get(format!("{}/api/status", self.base))).await
    }

    async fn send(&self, request: RequestBuilder) -> anyhow::Result<Answer> {
        let request = match &self.credentials {
            Some((name, password)) => request.basic_auth(name, Some(password)),
            None => request,
        };
        match request.send().await {
            Ok(response) => Ok(Answer { response, base: self.base.clone() }),
            Err(error) if error.is_connect() => Err(anyhow!(
                "no analyzer answers at {}: {}\nstart one there (`skydive allinone`), or name another with --analyzer \
                 or $SKYDIVE_ANALYZER",
                self.base,
                root_cause(&error)
            )),
            Err(error) => Err(anyhow!("the analyzer at {}: {}", self.base, root_cause(&error))),
        }
    }
}

impl Answer {
    pub(crate) fn status(&self) -> u16 {
        self.response.status().as_u16()
    }

    pub(crate) fn header(&self, name: &str) -> Option<&str> {
        self.response.headers().get(name)?.to_str().ok()
    }

    /// The next piece of the body.
    pub(crate) async fn chunk(
        &mut self,
    ) -> anyhow::Result<Option<impl AsRef<[u8]> + std::ops::Deref<Target = [u8]>>> {
        self.response.chunk().await.with_context(|| format!("the answer of {} broke off", self.base))
    }

    /// The body as text, as far as an error needs it.
    pub(crate) async fn text(&mut self) -> anyhow::Result<String> {
        let mut body = Vec::new();
        while body.len() < MAX_ERROR {
            let Some(chunk) = self.chunk().await? else { break };
            body.extend_from_slice(&chunk);
        }
        body.truncate(MAX_ERROR);
        Ok(String::from_utf8_lossy(&body).into_owned())
    }

    /// The answer itself when the status is 200, else an error with the server's words.
    pub(crate) async fn require_ok(mut self) -> anyhow::Result<Self> {
        let status = self.response.status();
        if status.as_u16() == 200 {
            return Ok(self);
        }
        let text = harmless(self.text().await?.trim());
        match status.as_u16() {
            401 => bail!("{}: wrong credentials; give --username and --password", self.base),
            405 => bail!("{}: not permitted: {text}", self.base),
            _ => bail!("{}: {status}: {text}", self.base),
        }
    }
}

fn root_cause(error: &dyn std::error::Error) -> String {
    let mut at = error;
    while let Some(cause) = at.source() {
        at = cause;
    }
    at.to_string()
}
