//! What the host knows of a flow and its packets do not say: who speaks.

use std::fmt::Debug;
use std::sync::Arc;

use skydive_flow::Flow;
use skydive_sys::NsRef;
use skydive_value::{Filter, Path};

/// Knows who speaks. Called on the threads of captures, so it must not wait for anybody.
///
/// Tables keep nothing of what it says: it is asked each time a flow is copied out of one, and has to remember sockets
/// for as long as their flows are told of.
pub trait Enrich: Send + Sync + Debug {
    /// Fills in what it knows of a flow, [`Flow::process`]. `place` is the namespace of the capture, which may be another
    /// than those of the processes.
    fn enrich(&self, place: &NsRef, flow: &mut Flow);

    /// Flows began that nobody was asked about yet: a good time to look for their sockets.
    fn flows_began(&self) {}

    /// So many captures run from now on. May wait: called by who begins or ends one.
    fn captures(&self, running: usize) {
        let _ = running;
    }
}

/// How the flows of a capture are enriched.
#[derive(Clone, Debug)]
pub(crate) struct Enriching {
    pub(crate) hook: Option<Arc<dyn Enrich>>,
    pub(crate) place: NsRef,
}

impl Enriching {
    pub(crate) fn apply(&self, flow: &mut Flow) {
        if let Some(hook) = &self.hook {
            hook.enrich(&self.place, flow);
        }
    }

    pub(crate) fn flows_began(&self) {
        if let Some(hook) = &self.hook {
            hook.flows_began();
        }
    }
}

/// Whether a filter asks for what is filled in.
pub(crate) fn filter_asks(filter: &Filter) -> bool {
    match filter {
        Filter::And(of) | Filter::Or(of) | Filter::Not(of) => of.iter().any(filter_asks),
        Filter::Field(path, _) => path_asks(path),
    }
}

/// Whether a field is one that is filled in.
pub(crate) fn path_asks(path: &Path) -> bool {
    path.first() == "Process"
}
