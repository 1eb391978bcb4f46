//! Requests with exactly the headers a client sends, and their answers as they come.

use std::io::{Read, Write};
use std::net::TcpStream;
use std::process::Command;

use serde_json::Value as Json;
use skydive_testnet::{Running, ScratchDir};

use crate::stage::SOON;

/// What came back.
#[derive(Debug)]
pub(crate) struct Answer {
    pub(crate) status: u16,
    headers: Vec<(String, String)>,
    pub(crate) body: Vec<u8>,
}

/// Sends a request: `method`, `path`, the headers but `Host` and `Content-Length`, the body.
pub(crate) fn send(
    address: &str,
    method: &str,
    path: &str,
    headers: &[(&str, &str)],
    body: Option<&str>,
) -> Answer {
    let mut request = format!("{method} {path} HTTP/1.1\r\nHost: {address}\r\nConnection: close\r\n");
    for (name, value) in headers {
        request.push_str(&format!("{name}: {value}\r\n"));
    }
    if let Some(body) = body {
        request.push_str(&format!("Content-Length: {}\r\n", body.len()));
    }
    request.push_str("\r\n");
    request.push_str(body.unwrap_or_default());
    let mut stream = TcpStream::connect(address).unwrap();
    stream.set_read_timeout(Some(SOON)).unwrap();
    stream.write_all(request.as_bytes()).unwrap();
    let mut bytes = Vec::new();
    stream.read_to_end(&mut bytes).unwrap();
    Answer::of(&bytes)
}

impl Answer {
    fn of(bytes: &[u8]) -> Self {
        let end = bytes.windows(4).position(|four| four == b"\r\n\r\n").unwrap();
        let head = std::str::from_utf8(&bytes[..end]).unwrap();
        let mut lines = head.split("\r\n");
        let status = lines.next().unwrap().split(' ').nth(1).unwrap().parse().unwrap();
        let header = |line: &str| {
            let (name, value) = line.split_once(':').unwrap();
            (name.to_ascii_lowercase(), value.trim().to_owned())
        };
        let mut answer =
            Self { status, headers: lines.map(header).collect(), body: bytes[end + 4..].to_vec() };
        if answer.header("transfer-encoding") == Some("chunked") {
            answer.body = joined(&answer.body);
        }
        answer
    }

    /// The first header of a name in lower case.
    pub(crate) fn header(&self, name: &str) -> Option<&str> {
        self.headers.iter().find(|(known, _)| known == name).map(|(_, value)| value.as_str())
    }

    /// All headers of a name in lower case.
    pub(crate) fn headers_of<'a>(&'a self, name: &'a str) -> impl Iterator<Item = &'a str> {
        self.headers.iter().filter(move |(known, _)| known == name).map(|(_, value)| value.as_str())
    }

    pub(crate) fn text(&self) -> &str {
        std::str::from_utf8(&self.body).unwrap()
    }

    /// The JSON of an answer with this status.
    pub(crate) fn json(&self, status: u16) -> Json {
        let media = self.header("content-type").unwrap_or_default();
        assert_eq!((self.status, media), (status, "application/json; charset=UTF-8"), "{self:?}");
        serde_json::from_slice(&self.body).unwrap()
    }

    /// The same answer as a client reads it that trusts the header `Content-Encoding` wherever there is a body. What is
    /// compressed must be whole.
    pub(crate) fn unzipped(mut self) -> Self {
        match self.header("content-encoding") {
            Some("gzip") if self.header("content-length") != Some("0") => {}
            Some("gzip") | None => return self,
            Some(other) => panic!("{other}: {self:?}"),
        }
        let scratch = ScratchDir::new("unzip").unwrap();
        let (packed, plain) = (scratch.path().join("body.gz"), scratch.path().join("body"));
        std::fs::write(&packed, &self.body).unwrap();
        let mut unzip = Command::new("gzip");
        unzip.args(["--decompress", "--keep"]).arg(&packed);
        assert!(Running::start(&mut unzip).unwrap().child().wait().unwrap().success());
        self.body = std::fs::read(plain).unwrap();
        self
    }
}

/// The pieces of a chunked body.
fn joined(mut rest: &[u8]) -> Vec<u8> {
    let mut body = Vec::new();
    loop {
        let end = rest.windows(2).position(|two| two == b"\r\n").unwrap();
        let length = usize::from_str_radix(std::str::from_utf8(&rest[..end]).unwrap(), 16).unwrap();
        if length == 0 {
            return body;
        }
        let piece = &rest[end + 2..];
        body.extend_from_slice(&piece[..length]);
        rest = &piece[length + 2..];
    }
}
