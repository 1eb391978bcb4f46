//! The agents that are connected, by host, and questions to them.
//!
//! A question goes out with a UUID of its own and is answered by a message with the same one. Questions without an
//! answer are bounded in number; they end when their deadline has passed, when nobody waits any more, or when the agent
//! goes.

use std::collections::HashMap;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::time::Duration;

use skydive_proto::Envelope;
use skydive_value::{Id, SmolStr};
use thiserror::Error;
use tokio::sync::{mpsc, oneshot};
use tokio::time::timeout;

/// The agents that are connected. Clones share them.
#[derive(Clone, Debug, Default)]
pub(crate) struct Hosts(Arc<Mutex<HashMap<SmolStr, Line>>>);

/// The way to one agent.
#[derive(Clone, Debug)]
struct Line {
    outgoing: mpsc::Sender<Envelope>,
    waiting: Waiting,
}

/// Who waits for which answer.
type Waiting = Arc<Mutex<HashMap<String, oneshot::Sender<Envelope>>>>;

/// An agent's place among them. It is free, and questions are without answer, when this is dropped.
#[derive(Debug)]
pub(crate) struct Seat {
    host: SmolStr,
    waiting: Waiting,
    hosts: Hosts,
}

/// Why there is no answer.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Error)]
pub(crate) enum AskError {
    /// No agent of that host is connected.
    #[error("no agent of the host is connected")]
    Absent,
    /// It was asked too much already.
    #[error("the agent has too many questions to answer")]
    Busy,
    /// The deadline has passed.
    #[error("the agent did not answer in time")]
    Late,
    /// It left.
    #[error("the agent left before it answered")]
    Gone,
}

/// Questions to one agent that wait for their answer.
const QUESTIONS: usize = 1024;

impl Hosts {
    /// An agent comes.
    pub(crate) fn join(&self, host: SmolStr, outgoing: mpsc::Sender<Envelope>) -> Seat {
        let waiting = Waiting::default();
        let line = Line { outgoing, waiting: Arc::clone(&waiting) };
        locked(&self.0).insert(host.clone(), line);
        Seat { host, waiting, hosts: self.clone() }
    }

    /// Who is connected, in the order of names.
    pub(crate) fn names(&self) -> Vec<SmolStr> {
        let mut names: Vec<SmolStr> = locked(&self.0).keys().cloned().collect();
        names.sort_unstable();
        names
    }

    /// Whether an agent of the host is connected.
    pub(crate) fn has(&self, host: &str) -> bool {
        locked(&self.0).contains_key(host)
    }

    /// Asks the agent of a host.
    pub(crate) async fn ask(
        &self,
        host: &str,
        mut question: Envelope,
        deadline: Duration,
    ) -> Result<Envelope, AskError> {
        let line = locked(&self.0).get(host).cloned().ok_or(AskError::Absent)?;
        let uuid = Id::random().to_string();
        question.uuid.clone_from(&uuid);
        let (sender, answer) = oneshot::channel();
        {
            let mut waiting = locked(&line.waiting);
            if waiting.len() >= QUESTIONS {
                return Err(AskError::Busy);
            }
            waiting.insert(uuid.clone(), sender);
        }
        // Taken back however this ends, also when nobody awaits it any more.
        let _asked = Asked { waiting: &line.waiting, uuid: &uuid };
        let answered = async {
            line.outgoing.send(question).await.map_err(|_| AskError::Gone)?;
            answer.await.map_err(|_| AskError::Gone)
        };
        timeout(deadline, answered).await.unwrap_or(Err(AskError::Late))
    }
}

impl Seat {
    /// Hands a message to who waits for it; gives it back when nobody does.
    pub(crate) fn answer(&self, message: Envelope) -> Option<Envelope> {
        let waiting = locked(&self.waiting).remove(&message.uuid);
        match waiting {
            // Who asked may have gone.
            Some(waiting) => {
                let _ = waiting.send(message);
                None
            }
            None => Some(message),
        }
    }
}

impl Drop for Seat {
    fn drop(&mut self) {
        let mut hosts = locked(&self.hosts.0);
        // Somebody else may sit here by now.
        if hosts.get(&self.host).is_some_and(|line| Arc::ptr_eq(&line.waiting, &self.waiting)) {
            hosts.remove(&self.host);
        }
        drop(hosts);
        locked(&self.waiting).clear();
    }
}

struct Asked<'a> {
    waiting: &'a Waiting,
    uuid: &'a str,
}

impl Drop for Asked<'_> {
    fn drop(&mut self) {
        locked(self.waiting).remove(self.uuid);
    }
}

/// What is behind the lock is whole at every moment.
fn locked<T>(lock: &Mutex<T>) -> MutexGuard<'_, T> {
    lock.lock().unwrap_or_else(PoisonError::into_inner)
}

#[cfg(test)]
mod tests {
    use super::*;

    const SOON: Duration = Duration::from_secs(5);

    fn question() -> Envelope {
        Envelope::json("Flow", "TableQuery", "{}".into())
    }

    #[tokio::test]
    async fn an_answer_reaches_who_asked() {
        let hosts = Hosts::default();
        assert_eq!(hosts.ask("h", question(), SOON).await, Err(AskError::Absent));
        let (outgoing, mut asked) = mpsc::channel(1);
        let seat = hosts.join("h".into(), outgoing);
        assert!(hosts.has("h"));
        let answering = async {
            let question = asked.recv().await.unwrap();
            assert!(seat.answer(Envelope { uuid: "another".to_owned(), ..question.clone() }).is_some());
            let answer = Envelope::json("", "TableResult", "1".into()).answering(&question);
            assert!(seat.answer(answer).is_none());
        };
        let (answer, ()) = tokio::join!(hosts.ask("h", question(), SOON), answering);
        assert_eq!(answer.unwrap().kind, "TableResult");
        let late = hosts.ask("h", question(), Duration::from_millis(1)).await;
        assert_eq!(late, Err(AskError::Late));
        assert!(locked(&seat.waiting).is_empty(), "what came to nothing is forgotten");
    }

    #[tokio::test]
    async fn who_leaves_answers_nobody() {
        let hosts = Hosts::default();
        let (outgoing, mut asked) = mpsc::channel(1);
        let seat = hosts.join("h".into(), outgoing.clone());
        let leaving = async {
            asked.recv().await.unwrap();
            drop(seat);
        };
        let (answer, ()) = tokio::join!(hosts.ask("h", question(), SOON), leaving);
        assert_eq!(answer, Err(AskError::Gone));
        assert_eq!(hosts.names(), Vec::<SmolStr>::new());
        // Who comes back before the old line was noticed to be dead keeps the place.
        let old = hosts.join("h".into(), outgoing.clone());
        let _new = hosts.join("h".into(), outgoing);
        drop(old);
        assert!(hosts.has("h"));
    }
}
