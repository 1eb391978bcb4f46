//! What is captured, and how it is asked for.

use std::process::Output;
use std::time::Duration;

use serde_json::Value as Json;
use skydive_testnet::{Netns, Running, eventually, veth_pair};

use crate::stage::{ANALYZER, Desk, Host};

/// How long a capture may take to begin on a busy machine, and a flow to be there.
pub(crate) const SOON: Duration = Duration::from_secs(30);

/// A host with `veth0`, at whose other end is another one that serves HTTP.
pub(crate) struct Street {
    pub(crate) host: Host,
    pub(crate) far: Netns,
    _server: Running,
}

pub(crate) const NEAR: &str = "192.0.2.1";
pub(crate) const FAR: &str = "192.0.2.2";
/// Where HTTP is served.
pub(crate) const PORT: u16 = 80;

impl Street {
    pub(crate) fn new(hint: &str) -> Self {
        let host = Host::new(hint);
        let far = Netns::with_loopback(&format!("{hint}-far")).unwrap();
        veth_pair(&host.netns, "veth0", &far, "veth1").unwrap();
        host.ip(&format!("addr add {NEAR}/24 dev veth0"));
        far.ip(&["addr", "add", &format!("{FAR}/24"), "dev", "veth1"]).unwrap();
        let page = host.directory().join("page");
        std::fs::create_dir(&page).unwrap();
        std::fs::write(page.join("index.html"), "hello\n").unwrap();
        let port = PORT.to_string();
        let server = far.spawn(&[
            "python3",
            "-m",
            "http.server",
            &port,
            "--bind",
            FAR,
            "--directory",
            page.to_str().unwrap(),
        ]);
        let street = Self { host, far, _server: server.unwrap() };
        let served = || street.curl().status.success().then_some(());
        eventually("HTTP to be served", SOON, served).unwrap();
        street
    }

    pub(crate) fn curl(&self) -> Output {
        let url = format!("http://{FAR}:{PORT}/");
        self.host.netns.command(&["curl", "-s", "--max-time", "5", &url]).unwrap().output().unwrap()
    }

    /// Echo requests, and as many answers.
    pub(crate) fn ping(&self, count: u32) {
        let count = count.to_string();
        self.host.netns.exec(&["ping", "-q", "-c", &count, "-i", "0.01", "-W", "5", FAR]).unwrap();
    }

    /// Runs a client command on the host.
    pub(crate) fn client(&self, arguments: &[&str]) -> Json {
        json_of(&self.host.run(&[&["client"], arguments].concat()))
    }

    /// Begins a capture on nodes that `query` gives, and waits until it runs on as many.
    pub(crate) fn capture(&self, desk: &Desk, query: &str, more: &[&str], nodes: i64) -> String {
        let made = self.client(&[&["capture", "create", "--gremlin", query], more].concat());
        let id = made["UUID"].as_str().unwrap().to_owned();
        begun(desk, &id, nodes);
        id
    }

    pub(crate) fn ask<T: Send>(&self, f: impl FnOnce(&Desk) -> T + Send) -> T {
        self.host.ask(ANALYZER, f)
    }
}

/// What a command printed, which must have succeeded.
pub(crate) fn json_of(output: &Output) -> Json {
    let text = String::from_utf8_lossy(&output.stdout);
    assert!(output.status.success(), "{text}{}", String::from_utf8_lossy(&output.stderr));
    serde_json::from_str(&text).unwrap_or_else(|error| panic!("{error}: {text}"))
}

/// Waits until a capture runs on as many nodes, or more: what sees all processes sees the namespaces of other tests, too.
pub(crate) fn begun(desk: &Desk, id: &str, nodes: i64) {
    let mut last = Json::Null;
    let running = eventually("the capture to run", SOON, || {
        last = json(desk, &format!("G.V().Has('Captures.ID', '{id}', 'Captures.State', 'active').Count()"));
        (last.as_i64()? >= nodes).then_some(())
    });
    assert!(running.is_ok(), "{last}: {}", desk.get(&format!("/api/capture/{id}")).message());
}

/// The answer to a query, which must be one.
pub(crate) fn json(desk: &Desk, query: &str) -> Json {
    let answer = desk.query(query);
    assert_eq!(answer.status.as_u16(), 200, "{query}: {}", answer.message());
    serde_json::from_slice(&answer.body).unwrap_or_else(|error| panic!("{query}: {error}"))
}

/// Waits until the answer to a query is as wanted, and gives what was made of it.
pub(crate) fn until<T>(desk: &Desk, query: &str, mut wanted: impl FnMut(&Json) -> Option<T>) -> T {
    let mut last = Json::Null;
    let found = eventually(query, SOON, || {
        last = json(desk, query);
        wanted(&last)
    });
    found.unwrap_or_else(|_| panic!("{query}: {last:#}"))
}

/// A number in an answer.
pub(crate) fn number(json: &Json, pointer: &str) -> i64 {
    json.pointer(pointer).and_then(Json::as_i64).unwrap_or_else(|| panic!("no {pointer} in {json:#}"))
}
