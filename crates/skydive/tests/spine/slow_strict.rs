//! A subscriber that does not read, while events keep coming: closed at once, and told of everything until then.

use std::net::TcpStream;
use std::time::{Duration, Instant};

use serde_json::json;
use skydive_testnet::{eventually, require_root};
use tokio_tungstenite::tungstenite::client;
use tokio_tungstenite::tungstenite::client::IntoClientRequest;

use crate::stage::{ANALYZER, Host, SOON};

const TEXT: usize = 32 << 10;
/// Well below the ten seconds that one write may take.
const AT_ONCE: Duration = Duration::from_secs(3);

#[test]
#[allow(clippy::disallowed_methods, reason = "the delay is what is tested")]
fn a_full_queue_closes_at_once_and_everything_until_then_is_counted() {
    if !require_root() {
        return;
    }
    let host = Host::new("strict");
    let _service = host.start(&["analyzer"], &[("SKYDIVE_HTTP_WS_QUEUE_SIZE", "50")]);
    host.ask(ANALYZER, |desk| {
        let request = format!("ws://{ANALYZER}/ws/subscriber?x-client-type=t&x-host-id=slow");
        let stream = TcpStream::connect(ANALYZER).unwrap();
        let (_slow, _) = client(request.into_client_request().unwrap(), stream).unwrap();
        let is_known = || desk.status().pointer("/Subscribers/slow").is_some();
        eventually("the subscriber to be known", SOON, || is_known().then_some(())).unwrap();

        let agent = desk.fake_agent("fake");
        let metrics = || desk.get("/metrics").message();
        let has = |metrics: &str, wanted: &str| metrics.lines().any(|line| line == wanted);
        let (mut made, mut full_at) = (0, None);
        // Events that were in the graph while the subscriber was not given up yet.
        let mut before = 0;
        loop {
            made += 1;
            let node = json!({"ID": "n1", "Host": "fake", "Origin": "agent.fake", "CreatedAt": 1, "UpdatedAt": made,
                "Revision": made, "Metadata": {"Name": "n1", "Type": "device", "Text": "x".repeat(TEXT)}});
            agent.say(desk, if made == 1 { "NodeAdded" } else { "NodeUpdated" }, &node);
            let now = metrics();
            if has(&now, "skydive_ws_slow_subscribers_total 1") {
                break;
            }
            let events = now.lines().find_map(|line| line.strip_prefix("skydive_graph_events_total "));
            before = events.unwrap().parse::<u64>().unwrap();
            if !has(&now, "skydive_graph_lost_messages_total 0") {
                full_at.get_or_insert_with(Instant::now);
            }
        }
        let missed = desk.loss("Messages", "skydive_ws_lost_messages");
        let late = full_at.map(|at| at.elapsed()).unwrap_or_default();
        assert!(late < AT_ONCE, "closed {late:?} after the queue was full; {missed} counted of {before} events");
    });
}
