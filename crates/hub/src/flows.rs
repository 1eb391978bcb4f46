//! Flows of now: all agents are asked at once, and what they answer is put together.

use std::sync::Arc;
use std::time::Duration;

use skydive_flow::{FlowRead, FlowReadError, FlowSearch, FlowSet, FlowsFound, Merge, Want};
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
    /// How long an agent may take.
    pub(crate) deadline: Duration,
}

/// How long an agent may take, as a rule.
pub(crate) const DEADLINE: Duration = Duration::from_secs(10);
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
            let (line, question, deadline) = (self.hosts.clone(), question.clone(), self.deadline);
            answers.spawn(async move {
                let answer = answer_of(&line, &host, question, deadline).await;
                (host, answer)
            });
        }
        let merge = Merge { sort: search.sort.clone(), dedup: search.dedup.clone() };
        let mut pile = Pile::new(merge, search.range.as_ref().map(|range| place(range.end)));
        let (mut counted, mut coverage) = (0u64, Coverage::default());
        for other in &self.others {
            let found = other.search(&each).await?;
            coverage.add(found.coverage);
            counted = counted.saturating_add(found.count);
            pile.put(found.set);
        }
        // Who is dropped meanwhile takes the questions with it.
        while let Some(answered) = answers.join_next().await {
            let Ok((host, answer)) = answered else { return Err(FlowReadError::Stopped) };
            match answer {
                Ok((reply, covered)) => {
                    coverage.add(covered);
                    counted = counted.saturating_add(reply.count);
                    for set in reply.sets {
                        pile.put(set);
                    }
                }
                Err(why) => {
                    tracing::debug!(%host, why, "flows of an agent are missing in an answer");
                    coverage.miss(host);
                }
            }
        }
        coverage.truncated |= pile.is_cut;
        let mut set = pile.into_set();
        if search.want == Want::Count {
            // Who does not know the question has given the flows.
            let count = search.count_of(counted.saturating_add(set.flows.len() as u64));
            return Ok(FlowsFound { count, coverage, ..FlowsFound::default() });
        }
        if let Some(range) = &search.range {
            set.slice(place(range.start)..place(range.end));
        }
        Ok(FlowsFound { set, coverage, ..FlowsFound::default() })
    }
}

/// Sets that are being put together. Each is larger than the one above it, so that of many sets no flow is moved often.
struct Pile {
    sets: Vec<FlowSet>,
    merge: Merge,
    /// How many of the first are wanted.
    wanted: Option<usize>,
    /// Whether some were left out that may have been wanted.
    is_cut: bool,
}

impl Pile {
    fn new(merge: Merge, wanted: Option<usize>) -> Self {
        Self { sets: Vec::new(), merge, wanted, is_cut: false }
    }

    fn put(&mut self, set: FlowSet) {
        self.sets.push(set);
        while let [.., lower, upper] = &self.sets[..]
            && lower.flows.len() <= upper.flows.len()
        {
            self.join();
        }
        while self.sets.iter().map(|set| set.flows.len()).sum::<usize>() > MOST {
            if self.sets.len() > 1 {
                self.join();
            } else if let Some(set) = self.sets.last_mut() {
                set.slice(0..MOST);
                self.is_cut = true;
            }
        }
    }

    /// Makes one set of the two on top.
    fn join(&mut self) {
        let Some(upper) = self.sets.pop() else { return };
        let Some(lower) = self.sets.last_mut() else { return self.sets.push(upper) };
        lower.merge(upper, &self.merge);
        if let Some(wanted) = self.wanted {
            lower.slice(0..wanted);
        }
    }

    fn into_set(mut self) -> FlowSet {
        while self.sets.len() > 1 {
            self.join();
        }
        self.sets.pop().unwrap_or_default()
    }
}

fn place(at: u64) -> usize {
    usize::try_from(at).unwrap_or(usize::MAX)
}

/// What an agent answers, and how much of the truth that is.
async fn answer_of(
    hosts: &Hosts,
    host: &SmolStr,
    question: Envelope,
    deadline: Duration,
) -> Result<(FlowReply, Coverage), String> {
    let answer = hosts.ask(host, question, deadline).await.map_err(|error| error.to_string())?;
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
    let coverage = Coverage {
        truncated: reply.truncated,
        lost: reply.lost.saturating_add(refused),
        ..Coverage::complete()
    };
    Ok((reply, coverage))
}

/// The answer, and how many of its flows cannot be read.
fn decode(answer: &Envelope) -> Result<(FlowReply, u64), FlowError> {
    let mut refused = 0;
    let reply = FlowReply::decode(&answer.obj, &FlowLimits::default(), |_| refused += 1)?;
    Ok((reply, refused))
}

#[cfg(test)]
mod tests;
