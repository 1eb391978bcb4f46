//! What analyzers ask of an agent, and its answers: captures on demand, and searches for flows.
//!
//! Requests are done beside the line that they came by; their number is bounded, and what is beyond is told that the
//! agent is busy. Every line is answered, whether its analyzer has the graph or not.

use bytes::Bytes;
use skydive_proto::{
    Capture, Envelope, FlowReply, Format, NodeCapture, decode_flow_search, flow_type, namespace,
    on_demand_type,
};
use skydive_value::{BoxFuture, Id};
use tokio::task::{JoinSet, spawn_blocking};

use crate::captures::{AgentFlows, CaptureDesk, Wish};

/// Who does what is asked.
#[derive(Clone)]
pub(crate) struct Answering {
    pub(crate) captures: CaptureDesk,
    pub(crate) flows: AgentFlows,
}

/// The requests of one line that are being done.
pub(crate) struct Requests {
    answering: Answering,
    running: JoinSet<Envelope>,
}

/// Requests of a line done at a time.
const MOST: usize = 1024;
/// And those that are only told that there are too many. More than that are not answered.
const MOST_REFUSED: usize = 1024;
/// Bytes of flows in an answer: below what analyzers take.
const MOST_BYTES: usize = 60 << 20;
/// Status of HTTP.
const OK: i32 = 200;
const BAD_REQUEST: i64 = 400;
const DEFECT: i64 = 500;
const BUSY: i64 = 503;

const TOO_MANY: &str = "the agent has too many requests to answer, ask again later";

impl Requests {
    pub(crate) fn new(answering: &Answering) -> Self {
        Self { answering: answering.clone(), running: JoinSet::new() }
    }

    /// Begins to do what a message asks for.
    pub(crate) fn take(&mut self, message: Envelope) {
        let Some(request) = Asked::of(&message) else {
            tracing::debug!(namespace = message.namespace, kind = message.kind, "message of an unknown kind");
            return;
        };
        let waiting = self.running.len();
        if waiting >= MOST + MOST_REFUSED {
            tracing::debug!(kind = message.kind, "request not answered, too many are");
        } else if waiting >= MOST {
            self.running.spawn(async move { request.refused(&message, BUSY, TOO_MANY) });
        } else {
            self.running.spawn(self.answering.answer(request, message));
        }
    }

    /// The next answer; waits while there is none. Safe to drop while waiting.
    pub(crate) async fn next(&mut self) -> Envelope {
        loop {
            match self.running.join_next().await {
                Some(Ok(answer)) => return answer,
                Some(Err(defect)) => tracing::error!(%defect, "request without an answer"),
                None => std::future::pending().await,
            }
        }
    }
}

/// Kinds of requests.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Asked {
    Capture(Wish),
    Flows,
}

impl Asked {
    fn of(message: &Envelope) -> Option<Self> {
        match (message.namespace.as_str(), message.kind.as_str()) {
            (namespace::ON_DEMAND_CAPTURE, on_demand_type::START) => Some(Self::Capture(Wish::Start)),
            (namespace::ON_DEMAND_CAPTURE, on_demand_type::STOP) => Some(Self::Capture(Wish::Stop)),
            (namespace::FLOW, flow_type::TABLE_QUERY) => Some(Self::Flows),
            _ => None,
        }
    }

    fn reply_kind(self) -> &'static str {
        match self {
            Self::Capture(Wish::Start) => on_demand_type::START_REPLY,
            Self::Capture(Wish::Stop) => on_demand_type::STOP_REPLY,
            Self::Flows => flow_type::TABLE_RESULT,
        }
    }

    fn refused(self, message: &Envelope, status: i64, why: &str) -> Envelope {
        match self {
            Self::Capture(_) => {
                let nothing = |_| NodeCapture { node: Id::from(""), capture: Capture::default() };
                let work = NodeCapture::decode(&message.obj).unwrap_or_else(nothing);
                work.to_reply(message, self.reply_kind(), Some((status, why)))
            }
            Self::Flows => {
                let reply =
                    FlowReply { status: status as i32, error: why.to_owned(), ..FlowReply::default() };
                flow_reply(message, status, reply.encode().into())
            }
        }
    }
}

impl Answering {
    /// Begins with a request at once, so that one comes after the other, and answers when it is done.
    fn answer(&self, asked: Asked, message: Envelope) -> BoxFuture<'static, Envelope> {
        match asked {
            Asked::Capture(wish) => match NodeCapture::decode(&message.obj) {
                Ok(work) => {
                    let done = self.captures.ask(wish, work.clone());
                    Box::pin(async move {
                        let done = done.await;
                        let fault = done.as_ref().err().map(|refusal| (refusal.status, refusal.why.as_str()));
                        work.to_reply(&message, asked.reply_kind(), fault)
                    })
                }
                Err(error) => {
                    Box::pin(async move { asked.refused(&message, BAD_REQUEST, &error.to_string()) })
                }
            },
            Asked::Flows => {
                let flows = self.flows.clone();
                Box::pin(async move {
                    let (status, obj) = match found(&flows, &message).await {
                        Ok(obj) => (OK, obj),
                        Err((status, why)) => return asked.refused(&message, status, &why),
                    };
                    flow_reply(&message, status.into(), obj)
                })
            }
        }
    }
}

/// The answer to a search, or a status and what is wrong.
async fn found(flows: &AgentFlows, message: &Envelope) -> Result<Bytes, (i64, String)> {
    let search = decode_flow_search(&message.obj).map_err(|error| (BAD_REQUEST, error.to_string()))?;
    let found = flows.find(&search).await.map_err(|error| (BUSY, error.to_string()))?;
    let reply = FlowReply {
        status: OK,
        truncated: found.coverage.truncated,
        lost: found.coverage.lost,
        count: found.count,
        sets: vec![found.set],
        error: String::new(),
    };
    spawn_blocking(move || encoded(reply)).await.map_err(|defect| (DEFECT, defect.to_string()))
}

fn flow_reply(message: &Envelope, status: i64, obj: Bytes) -> Envelope {
    let reply =
        Envelope { format: Format::Protobuf, status, ..Envelope::json("", flow_type::TABLE_RESULT, obj) };
    reply.answering(message)
}

/// The answer, with as many flows as fit.
fn encoded(mut reply: FlowReply) -> Bytes {
    loop {
        let bytes = reply.encode();
        if bytes.len() <= MOST_BYTES {
            return bytes.into();
        }
        reply.truncated = true;
        for set in &mut reply.sets {
            let fitting = (set.flows.len() as u128 * MOST_BYTES as u128 / bytes.len() as u128) as usize;
            set.flows.truncate(fitting - fitting / 16);
        }
    }
}
