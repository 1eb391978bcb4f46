//! Flows of now: all agents are asked at once, and what they answer is put together.

use std::ops::Range;
use std::sync::Arc;
use std::time::Duration;

use skydive_flow::{FlowRead, FlowReadError, FlowSearch, FlowsFound, Merge};
use skydive_graph::BoxFuture;
use skydive_proto::{
    Envelope, FLOW_SEARCH_MAX, FlowError, FlowLimits, FlowReply, Format, encode_flow_search, flow_type,
    namespace,
};
use skydive_value::{Coverage, SmolStr};
use tokio::task::{JoinSet, spawn_blocking};

use crate::hosts::Hosts;

/// Searches the tables of all agents, and what else has flows.
pub(crate) struct LiveFlows {
    pub(crate) hosts: Hosts,
    /// Flows that are kept here.
    pub(crate) others: Vec<Arc<dyn FlowRead>>,
}

/// How long an agent may take.
const DEADLINE: Duration = Duration::from_secs(10);
/// Flows of an answer that are put together at most.
const MOST: usize = 500_000;
/// Answers larger than this are read on a thread where blocking is allowed, bytes.
const LARGE: usize = 256 << 10;
const OK: i32 = 200;

impl FlowRead for LiveFlows {
    fn search<'a>(&'a self, search: &'a FlowSearch) -> BoxFuture<'a, Result<FlowsFound, FlowReadError>> {
        Box::pin(self.ask(search))
    }
}

impl LiveFlows {
    async fn ask(&self, search: &FlowSearch) -> Result<FlowsFound, FlowReadError> {
        let hosts = match &search.hosts {
            None => self.hosts.names(),
            Some(hosts) => {
                let mut hosts = hosts.clone();
                hosts.sort_unstable();
                hosts.dedup();
                hosts
            }
        };
        // Which of all are wanted is known when all are here: each gives as many as could be among them.
        let range = search.range.as_ref().map(|range| 0..range.end);
        let each = FlowSearch { hosts: None, range, ..search.clone() };
        let question = encode_flow_search(&each);
        if question.len() > FLOW_SEARCH_MAX {
            return Err(FlowReadError::TooLarge);
        }
        let question = Envelope {
            format: Format::Protobuf,
            ..Envelope::json(namespace::FLOW, flow_type::TABLE_QUERY, question.into())
        };
        let mut answers = JoinSet::new();
        for host in hosts {
            let (line, question) = (self.hosts.clone(), question.clone());
            answers.spawn(async move {
                let answer = answer_of(&line, &host, question).await;
                (host, answer)
            });
        }
        let merge = Merge { sort: search.sort.clone(), dedup: search.dedup.clone() };
        let mut all = FlowsFound::default();
        for other in &self.others {
            add(&mut all, other.search(&each).await?, &merge);
        }
        // Who is dropped meanwhile takes the questions with it.
        while let Some(answered) = answers.join_next().await {
            let Ok((host, answer)) = answered else { return Err(FlowReadError::Stopped) };
            match answer {
                Ok(found) => add(&mut all, found, &merge),
                Err(why) => {
                    tracing::debug!(%host, why, "flows of an agent are missing in an answer");
                    all.coverage.miss(host);
                }
            }
        }
        if let Some(range) = &search.range {
            all.set.slice(places(range));
        }
        Ok(all)
    }
}

/// Puts an answer to the others.
fn add(all: &mut FlowsFound, found: FlowsFound, merge: &Merge) {
    all.coverage.add(found.coverage);
    all.set.merge(found.set, merge);
    if all.set.flows.len() > MOST {
        all.set.slice(0..MOST);
        all.coverage.truncated = true;
    }
}

fn places(range: &Range<u64>) -> Range<usize> {
    let place = |at: u64| usize::try_from(at).unwrap_or(usize::MAX);
    place(range.start)..place(range.end)
}

async fn answer_of(hosts: &Hosts, host: &SmolStr, question: Envelope) -> Result<FlowsFound, String> {
    let answer = hosts.ask(host, question, DEADLINE).await.map_err(|error| error.to_string())?;
    let reply = if answer.obj.len() < LARGE {
        decode(&answer)
    } else {
        let decoding = spawn_blocking(move || decode(&answer));
        decoding.await.map_err(|error| error.to_string())?
    };
    let (reply, refused) = reply.map_err(|error| error.to_string())?;
    if reply.status != OK {
        return Err(format!("status {}: {}", reply.status, reply.error));
    }
    let mut found = FlowsFound {
        coverage: Coverage {
            truncated: reply.truncated,
            lost: reply.lost.saturating_add(refused),
            ..Coverage::complete()
        },
        ..FlowsFound::default()
    };
    // One set of an agent of ours: the tables are put together there.
    let mut sets = reply.sets.into_iter();
    found.set = sets.next().unwrap_or_default();
    for set in sets {
        found.set.merge(set, &Merge::default());
    }
    Ok(found)
}

/// The answer, and how many of its flows cannot be read.
fn decode(answer: &Envelope) -> Result<(FlowReply, u64), FlowError> {
    let mut refused = 0;
    let reply = FlowReply::decode(&answer.obj, &FlowLimits::default(), |_| refused += 1)?;
    Ok((reply, refused))
}
