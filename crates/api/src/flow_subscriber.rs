//! `/ws/subscriber/flow`: flows as they come, and how captures are going.
//!
//! Whoever has flows tells them to [`FlowNews`] once; what each subscriber wants of them is written once for all that
//! want the same, when the first of them is about to send it. Between both is one ring of batches: nobody waits for a
//! subscriber, and one that is further behind than the ring is long is closed with code 1013 and told how many messages
//! it missed.

use std::collections::HashMap;
use std::sync::{Arc, Mutex, PoisonError};

use axum::extract::Request;
use axum::response::Response;
use bytes::Bytes;
use http::StatusCode;
use skydive_flow::Flow;
use skydive_proto::{Envelope, FlowJson, FlowStats, Handshake, Protocol, flow_type, namespace};
use skydive_value::SmolStr;
use tokio::sync::broadcast;
use tokio::sync::broadcast::error::RecvError;
use tokio_tungstenite::tungstenite::Message;

use crate::handshake::Caller;
use crate::route::Route;
use crate::router::Serving;
use crate::speaker::{Parting, Speaker, close_at_once, code, conn_status, frame};
use crate::subscriber::stopping;
use crate::{Ended, Roster, respond};

/// Tells subscribers of flows. Clones tell the same ones.
#[derive(Clone, Debug)]
pub struct FlowNews(broadcast::Sender<Arc<News>>);

/// The subscriptions to flows.
#[derive(Clone, Debug)]
pub struct FlowSubscriptions {
    /// What they get.
    pub news: FlowNews,
    /// Who is connected.
    pub roster: Roster,
}

/// A batch of flows or of counters of captures, with what was written of it so far.
#[derive(Debug)]
struct News {
    what: What,
    frames: Mutex<Frames>,
}

/// By namespace and protocol; none where a namespace has no part in it.
type Frames = HashMap<(SmolStr, Protocol), Arc<[Message]>>;

#[derive(Debug)]
enum What {
    Flows(Vec<Flow>),
    Stats(Vec<FlowStats>),
}

/// Batches that wait for the slowest subscriber. With a hundred flows in each it is six seconds of 16,000 flows, and
/// some hundred megabytes at most.
const RING: usize = 1024;
/// Namespaces of one subscriber.
const NAMESPACES: usize = 256;
const PATH: &str = "/ws/subscriber/flow";

impl FlowNews {
    /// Nobody has subscribed yet.
    pub fn new() -> Self {
        Self(broadcast::Sender::new(RING))
    }

    /// Tells of flows. Packets kept with them are for nobody here.
    pub fn tell(&self, mut flows: Vec<Flow>) {
        if self.is_wanted() && !flows.is_empty() {
            for flow in &mut flows {
                flow.raw_packets = Vec::new();
            }
            self.send(What::Flows(flows));
        }
    }

    /// Tells how captures are going.
    pub fn tell_stats(&self, stats: Vec<FlowStats>) {
        if self.is_wanted() && !stats.is_empty() {
            self.send(What::Stats(stats));
        }
    }

    /// Whether anybody has subscribed.
    pub fn is_wanted(&self) -> bool {
        self.0.receiver_count() > 0
    }

    /// Whether a subscriber is behind, so that who can wait should.
    pub fn is_crowded(&self) -> bool {
        self.0.len() >= RING / 4
    }

    fn send(&self, what: What) {
        // It fails when the last subscriber has just gone.
        let _ = self.0.send(Arc::new(News { what, frames: Mutex::default() }));
    }
}

impl Default for FlowNews {
    fn default() -> Self {
        Self::new()
    }
}

impl News {
    /// The messages in a namespace; written by the first that asks.
    fn frames(&self, namespace: &SmolStr, protocol: Protocol) -> Arc<[Message]> {
        let mut frames = self.frames.lock().unwrap_or_else(PoisonError::into_inner);
        let make = || self.what.envelopes(namespace).iter().map(|told| frame(told, protocol)).collect();
        frames.entry((namespace.clone(), protocol)).or_insert_with(make).clone()
    }
}

impl What {
    fn envelopes(&self, namespace: &str) -> Vec<Envelope> {
        match self {
            Self::Stats(stats) if namespace == namespace::STATS => {
                stats.iter().map(|stats| Envelope::json(namespace, flow_type::STATS, json(stats))).collect()
            }
            Self::Stats(_) => Vec::new(),
            Self::Flows(flows) => {
                let wanted: Vec<_> = match namespace.strip_prefix(namespace::FLOWS) {
                    Some("") => flows.iter().map(FlowJson).collect(),
                    Some(rest) => {
                        let capture = rest.strip_prefix('/');
                        let is_wanted = |flow: &&Flow| capture == Some(flow.capture_id.as_str());
                        flows.iter().filter(is_wanted).map(FlowJson).collect()
                    }
                    None => Vec::new(),
                };
                let message = || Envelope::json(namespace, flow_type::STORE, json(&wanted));
                if wanted.is_empty() { Vec::new() } else { vec![message()] }
            }
        }
    }
}

fn json(what: &impl serde::Serialize) -> Bytes {
    serde_json::to_vec(what)
        .expect("flows and counters have names for members and no numbers that are none")
        .into()
}

pub(crate) fn route(subscriptions: FlowSubscriptions, serving: &Arc<Serving>) -> Route {
    let serving = serving.clone();
    let action = move |request: Request| async move { connect(subscriptions, serving, request).await };
    Route::socket(PATH, action)
}

async fn connect(area: FlowSubscriptions, serving: Arc<Serving>, request: Request) -> Response {
    let caller = match Caller::of(request) {
        Ok(caller) => caller,
        Err(refusal) => return refusal,
    };
    let max = serving.settings.limits.ws_message;
    let sense = caller.handshake.as_ref().ok().and_then(|handshake| {
        let namespaces = wanted(handshake);
        (namespaces.len() <= NAMESPACES).then(|| (handshake.clone(), namespaces))
    });
    let Some((handshake, namespaces)) = sense else {
        let deadline = serving.settings.ws.write_deadline;
        return caller.accept(&serving, max, move |socket| close_at_once(socket, deadline));
    };
    let status = conn_status(&serving, &handshake, caller.addr);
    let Ok(seat) = area.roster.claim(&handshake.host_id, &status).await else {
        return respond::closing(StatusCode::CONFLICT);
    };
    // From here on, so that nothing is missed that comes once the client is told that it is connected.
    let news = area.news.0.subscribe();
    let kept = serving.clone();
    caller.accept(&serving, max, move |socket| async move {
        let _connected = kept.telemetry.connected(PATH);
        let mut speaker = Speaker::new(socket, kept.clone(), &handshake, max, seat);
        let parting = talk(&mut speaker, news, &namespaces, &kept, &handshake.host_id).await;
        speaker.part(parting).await;
    })
}

/// The namespaces of flows that a client wants, each once.
fn wanted(handshake: &Handshake) -> Vec<SmolStr> {
    let both = [SmolStr::new_static(namespace::FLOWS), SmolStr::new_static(namespace::STATS)];
    let mut wanted = handshake.namespaces.clone();
    if wanted.is_empty() || wanted.iter().any(|name| name == namespace::ALL) {
        wanted.extend(both);
    }
    wanted.sort_unstable();
    wanted.dedup();
    wanted
}

async fn talk(
    speaker: &mut Speaker,
    mut news: broadcast::Receiver<Arc<News>>,
    namespaces: &[SmolStr],
    serving: &Serving,
    host_id: &str,
) -> Parting {
    let lost = |messages: u64| {
        serving.telemetry.slow_subscriber(host_id, messages);
        Parting::Close(code::TRY_AGAIN_LATER, Ended::Lost { messages }.to_string())
    };
    loop {
        let told = tokio::select! {
            biased;
            heard = speaker.next() => match heard {
                // Subscribers have nothing to say.
                Ok(_) => continue,
                Err(parting) => return parting,
            },
            told = news.recv() => told,
        };
        let told = match told {
            Ok(told) => told,
            Err(RecvError::Lagged(messages)) => return lost(messages),
            Err(RecvError::Closed) => return stopping(),
        };
        let protocol = speaker.protocol();
        for frames in namespaces.iter().map(|name| told.frames(name, protocol)) {
            match speaker.send(frames.iter().cloned()).await {
                Ok(()) => {}
                Err(Parting::Stuck) => return lost(1 + news.len() as u64),
                Err(parting) => return parting,
            }
        }
    }
}

#[cfg(test)]
mod tests {
    use skydive_proto::flow_of_json;

    use super::*;

    fn flow(capture: &str) -> Flow {
        let text = format!(r#"{{"UUID":"1","CaptureID":"{capture}"}}"#);
        flow_of_json(text.as_bytes(), &skydive_proto::FlowLimits::default()).unwrap()
    }

    fn news(what: What) -> News {
        News { what, frames: Mutex::default() }
    }

    #[test]
    fn each_namespace_has_its_part() {
        let flows = news(What::Flows(vec![flow("a"), flow("b"), flow("a")]));
        let stats = news(What::Stats(vec![FlowStats::default(); 2]));
        let parts = |news: &News, name: &str| {
            let message = news.frames(&name.into(), Protocol::Json).first()?.clone().into_data();
            let envelope = Envelope::decode(Protocol::Json, message, 1 << 20).unwrap();
            assert_eq!(envelope.namespace, name);
            let obj: serde_json::Value = serde_json::from_slice(&envelope.obj).unwrap();
            Some((envelope.kind, obj.as_array().map(Vec::len)))
        };
        let store = |count| Some(("store".to_owned(), Some(count)));
        assert_eq!(parts(&flows, "flow"), store(3));
        assert_eq!(parts(&flows, "flow/a"), store(2));
        assert_eq!(parts(&flows, "flow/b"), store(1));
        for none in ["flow/c", "flow/", "flows", "stats", "Graph", "", "*"] {
            assert_eq!(parts(&flows, none), None, "{none}");
        }
        assert_eq!(parts(&stats, "stats"), Some(("stats".to_owned(), None)));
        assert_eq!(stats.frames(&"stats".into(), Protocol::Json).len(), 2);
        assert_eq!(parts(&stats, "flow"), None);
    }

    #[test]
    fn a_frame_is_written_once_for_all_that_want_it() {
        let flows = news(What::Flows(vec![flow("a")]));
        let frames = |protocol| flows.frames(&"flow".into(), protocol);
        assert!(Arc::ptr_eq(&frames(Protocol::Json), &frames(Protocol::Json)));
        let other = frames(Protocol::Protobuf)[0].clone().into_data();
        let envelope = Envelope::decode(Protocol::Protobuf, other, 1 << 20).unwrap();
        assert!(envelope.obj.starts_with(b"[{"));
    }

    #[test]
    fn who_does_not_choose_gets_flows_and_stats() {
        let of = |names: &[&str]| {
            let namespaces = names.iter().copied().map(SmolStr::from).collect();
            wanted(&Handshake { namespaces, ..Handshake::default() })
        };
        assert_eq!(of(&[]), ["flow", "stats"]);
        assert_eq!(of(&["*", "stats"]), ["*", "flow", "stats"]);
        assert_eq!(of(&["flow/x", "flow/x"]), ["flow/x"]);
    }

    #[test]
    fn packets_are_kept_for_nobody() {
        let (news, mut raw) = (FlowNews::new(), flow("a"));
        raw.raw_packets.push(skydive_flow::RawPacket {
            at: raw.start,
            index: 1,
            bytes: Box::new([1]),
            link: skydive_flow::LinkType(1),
        });
        news.tell(vec![raw.clone()]);
        let mut subscriber = news.0.subscribe();
        news.tell(vec![raw]);
        let told = subscriber.try_recv().unwrap();
        assert!(matches!(&told.what, What::Flows(flows) if flows[0].raw_packets.is_empty()));
        assert!(subscriber.try_recv().is_err(), "what was told before is not for who comes later");
    }
}
