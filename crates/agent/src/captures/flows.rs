//! Flows of now, from the tables of the captures that run.

use std::sync::{Arc, Mutex, PoisonError};
use std::time::Duration;

use skydive_capture::{Captures, SearchError};
use skydive_flow::{FlowRead, FlowReadError, FlowSearch, FlowsFound, Want};
use skydive_proto::CaptureTotals;
use skydive_value::{BoxFuture, Coverage, SmolStr};
use tokio::sync::{Semaphore, watch};

/// The threads that captures are on, until the agent stops. Clones share it.
#[derive(Clone, Debug)]
pub(crate) struct Engine(Arc<Mutex<Option<Captures>>>);

/// Searches the tables of this agent. Clones share the bound of searches.
#[derive(Clone, Debug)]
pub(crate) struct AgentFlows {
    engine: Engine,
    totals: watch::Receiver<CaptureTotals>,
    host: SmolStr,
    turns: Arc<Semaphore>,
}

/// Searches at a time, each of which may hold [`skydive_capture::MOST_FLOWS`].
const TURNS: usize = 4;
/// How long a search may take, waiting for its turn included.
const DEADLINE: Duration = Duration::from_secs(8);

impl Engine {
    pub(super) fn new(captures: Captures) -> Self {
        Self(Arc::new(Mutex::new(Some(captures))))
    }

    pub(super) fn captures(&self) -> Option<Captures> {
        self.0.lock().unwrap_or_else(PoisonError::into_inner).clone()
    }

    pub(super) fn take(&self) -> Option<Captures> {
        self.0.lock().unwrap_or_else(PoisonError::into_inner).take()
    }
}

impl AgentFlows {
    pub(super) fn new(engine: Engine, totals: watch::Receiver<CaptureTotals>, host: SmolStr) -> Self {
        Self { engine, totals, host, turns: Arc::new(Semaphore::new(TURNS)) }
    }

    /// Searches; the hosts that are asked for are not looked at, all flows here are of one.
    pub(crate) async fn find(&self, search: &FlowSearch) -> Result<FlowsFound, SearchError> {
        let within = tokio::time::timeout(DEADLINE, self.find_in_turn(search));
        within.await.unwrap_or(Err(SearchError::Busy))
    }

    async fn find_in_turn(&self, search: &FlowSearch) -> Result<FlowsFound, SearchError> {
        let _turn = self.turns.acquire().await.map_err(|_| SearchError::Ended)?;
        let captures = self.engine.captures().ok_or(SearchError::Ended)?;
        let place = |at: u64| usize::try_from(at).unwrap_or(usize::MAX);
        let limit = match &search.range {
            // Duplicates are among them.
            Some(range) if search.dedup.is_none() || search.want == Want::Count => place(range.end),
            _ => usize::MAX,
        };
        let found = captures
            .search(skydive_capture::FlowSearch {
                captures: None,
                filter: search.filter.clone(),
                sort: search.sort.clone(),
                limit,
                want: search.want,
            })
            .await?;
        let mut set = found.set;
        if let Some(by) = &search.dedup {
            set.dedup(by);
        }
        if let Some(range) = &search.range {
            set.slice(place(range.start)..place(range.end));
        }
        let lost = self.totals.borrow().missed;
        let coverage = Coverage { truncated: found.is_truncated, lost, ..Coverage::complete() };
        let count = if search.want == Want::Count { search.count_of(found.matched) } else { 0 };
        Ok(FlowsFound { set, count, coverage })
    }
}

impl FlowRead for AgentFlows {
    fn search<'a>(&'a self, search: &'a FlowSearch) -> BoxFuture<'a, Result<FlowsFound, FlowReadError>> {
        Box::pin(async move {
            match self.find(search).await {
                Ok(found) => Ok(found),
                Err(SearchError::Ended) => Err(FlowReadError::Stopped),
                Err(SearchError::Busy) => {
                    let mut found = FlowsFound::default();
                    found.coverage.miss(self.host.clone());
                    Ok(found)
                }
            }
        })
    }
}
