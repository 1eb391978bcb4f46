//! Captures that analyzers ask for: begun on nodes of the local graph, shown there, ended with them.
//!
//! One task owns them ([`CaptureOwner`]); packets are counted on threads of their own, so that no flood of them keeps
//! the topology waiting. They go on when analyzers are lost, and end with the agent.

mod fault;
mod feed;
mod flows;
mod memory;
mod own_traffic;
mod owner;
mod place;
mod plan;
mod task;
mod totals;

use std::io;
use std::sync::Arc;

use skydive_api::LiveGraph;
use skydive_capture::Captures;
use skydive_probes::Namespaces;
use skydive_proto::{CaptureTotals, NodeCapture};
use skydive_value::{Clock, Id, SmolStr};
use tokio::sync::{mpsc, oneshot, watch};

pub use feed::FlowFeed;

use self::fault::Fault;
pub(crate) use self::fault::Refusal;
pub(crate) use self::flows::AgentFlows;
use self::flows::Engine;
pub(crate) use self::owner::{CaptureOwner, Wish};
use self::owner::{Request, Work};
pub(crate) use self::totals::CaptureMetrics;
use crate::CaptureSettings;
use crate::processes::Processes;

/// What captures need of the agent.
pub(crate) struct Surroundings {
    pub(crate) live: LiveGraph,
    pub(crate) settings: CaptureSettings,
    /// Addresses of analyzers, `host:port`.
    pub(crate) analyzers: Vec<String>,
    /// The node of the agent's own namespace.
    pub(crate) host_node: Id,
    pub(crate) host_id: SmolStr,
    /// The namespaces that probes know.
    pub(crate) namespaces: Namespaces,
    pub(crate) clock: Clock,
}

/// Asks for captures. Clones ask the same.
#[derive(Clone, Debug)]
pub(crate) struct CaptureDesk(mpsc::Sender<Request>);

/// What the agent has of captures, beside the task that owns them.
pub(crate) struct CaptureEnds {
    pub(crate) desk: CaptureDesk,
    pub(crate) flows: AgentFlows,
    pub(crate) totals: watch::Receiver<CaptureTotals>,
    pub(crate) feed: FlowFeed,
}

/// Requests that wait for the owner.
const REQUESTS: usize = 1024;
/// Statistics that wait for whoever tells them.
const STATS: usize = 4096;

/// Starts the threads, and makes the owner, which is to be run.
pub(crate) fn captures(around: Surroundings) -> io::Result<(CaptureOwner, CaptureEnds)> {
    let Surroundings { live, settings, analyzers, host_node, host_id, namespaces, clock } = around;
    let entering = skydive_sys::Namespaces::start()?;
    let processes = Processes::start(entering.clone(), namespaces.watch(), clock.clone())?;
    let (engine, flows) =
        Captures::start(settings.threads.max(1), entering, clock, Some(Arc::new(processes)))?;
    let engine = Engine::new(engine);
    let (desk, requests) = mpsc::channel(REQUESTS);
    let (tell, stats) = mpsc::channel(STATS);
    let (totals, watched) = watch::channel(CaptureTotals::default());
    let ends = CaptureEnds {
        desk: CaptureDesk(desk),
        flows: AgentFlows::new(engine.clone(), watched.clone(), host_id),
        totals: watched,
        feed: FlowFeed { flows, stats },
    };
    let analyzers = analyzers.iter().filter_map(|address| own_traffic::address(address)).collect();
    let owner = CaptureOwner {
        live,
        engine,
        analyzers: Arc::new(analyzers),
        host: host_node,
        namespaces: namespaces.watch(),
        requests,
        stats: tell,
        totals,
        work: Work::new(settings.table.max_extra_bytes),
        settings,
    };
    Ok((owner, ends))
}

impl CaptureDesk {
    /// Asks for a capture to begin or end. What is asked first is done first; the answer comes when it is done.
    pub(crate) fn ask(
        &self,
        wish: Wish,
        work: NodeCapture,
    ) -> impl Future<Output = Result<(), Refusal>> + Send + use<> {
        let (reply, done) = oneshot::channel();
        let sent = self.0.try_send(Request { wish, work, reply }).map_err(|error| {
            Refusal::from(&match error {
                mpsc::error::TrySendError::Full(_) => Fault::Busy,
                mpsc::error::TrySendError::Closed(_) => Fault::Ending,
            })
        });
        async move {
            sent?;
            done.await.unwrap_or_else(|_| Err((&Fault::Ending).into()))
        }
    }
}
