//! Why a capture is not, as an analyzer and the node are told.

use skydive_capture::{CaptureError, CaptureState, StartError};
use skydive_proto::reason;
use skydive_sys::RingError;
use skydive_value::{Id, SmolStr};
use thiserror::Error;

/// Why a capture cannot begin, or has ended by itself.
#[derive(Debug, Error)]
pub(crate) enum Fault {
    /// There is no such node.
    #[error("no node {0} is on this host")]
    NoNode(Id),
    /// There is nothing to stop.
    #[error("no capture {0} is on the node")]
    NoCapture(String),
    /// It cannot be told from others.
    #[error("the capture has no UUID")]
    Unnamed,
    /// It was stopped before it had begun.
    #[error("it was stopped before it had begun")]
    Stopped,
    /// Nothing of the kind can be captured.
    #[error("nothing can be captured on a node of type {0:?}")]
    NodeType(SmolStr),
    /// The node has other kinds.
    #[error("a node of type {node:?} has no captures of type {kind:?}, possible are {possible}")]
    Kind {
        /// Asked for.
        kind: String,
        /// Type of the node.
        node: SmolStr,
        /// What there is instead.
        possible: String,
    },
    /// What comes in a later version.
    #[error("{what} {which:?} is not supported yet")]
    Later {
        /// Which member of the capture.
        what: &'static str,
        /// Its value.
        which: String,
    },
    /// A number out of its range.
    #[error("{what} is {value}, possible is {possible}")]
    Range {
        /// Which member of the capture.
        what: &'static str,
        /// Its value.
        value: i64,
        /// The range.
        possible: &'static str,
    },
    /// A word that is none of those possible.
    #[error("LayerKeyMode is {0:?}, possible are \"L2\" and \"L3\"")]
    LayerKeyMode(String),
    /// Only one of the kind can be on a node.
    #[error("the node has another capture of type {0:?}")]
    OnlyOne(&'static str),
    /// The agent has as many as it takes.
    #[error("the agent has {0} captures, which is as many as it takes: another one has to end first")]
    TooMany(usize),
    /// The probes have not yet said, or cannot say, what is needed.
    #[error("the node has no {0}")]
    Missing(&'static str),
    /// The interface is in a namespace that is not known.
    #[error("the network namespace of the node is not known")]
    Namespace,
    /// The kernel refuses the memory of its ring.
    #[error("a smaller `agent.capture.ring_size`, or fewer captures, would take less memory")]
    Memory(#[source] StartError),
    /// The capture cannot begin.
    #[error(transparent)]
    Start(StartError),
    /// It has begun and ended.
    #[error(transparent)]
    Ended(#[from] CaptureError),
    /// It has begun and ended without a reason.
    #[error("it has ended")]
    Gone,
    /// The agent has too much to do.
    #[error("the agent has too many requests to answer, ask again later")]
    Busy,
    /// The agent ends.
    #[error("the agent is stopping")]
    Ending,
    /// A defect of the program.
    #[error("defect: {0}")]
    Defect(String),
}

/// A fault as it is told: to an analyzer with a status of HTTP, to others as text.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct Refusal {
    pub(crate) status: i64,
    pub(crate) why: SmolStr,
}

impl Fault {
    /// Why a capture of this state does not run.
    pub(super) fn of_state(state: CaptureState) -> Self {
        match state {
            CaptureState::Failed(error) => error.into(),
            _ => Self::Gone,
        }
    }

    /// 400 when it was asked for wrongly, 404 when there is nothing to do it to, 503 when it may be asked again, 500
    /// otherwise.
    fn status(&self) -> i64 {
        match self {
            Self::NoNode(_) | Self::NoCapture(_) | Self::Stopped => 404,
            Self::Unnamed
            | Self::NodeType(_)
            | Self::Kind { .. }
            | Self::Later { .. }
            | Self::Range { .. }
            | Self::LayerKeyMode(_)
            | Self::OnlyOne(_)
            | Self::Start(
                StartError::Kind(_)
                | StartError::SnapLen(_)
                | StartError::Filter(_)
                | StartError::FilterLength(_),
            ) => 400,
            Self::Busy | Self::Ending => 503,
            _ => 500,
        }
    }

    /// Whether it may go by itself, so that another try is worth it.
    pub(super) fn may_pass(&self) -> bool {
        match self {
            Self::OnlyOne(_) => true,
            Self::Start(StartError::RingBytes(_)) => false,
            _ => self.status() >= 500,
        }
    }
}

impl From<StartError> for Fault {
    fn from(error: StartError) -> Self {
        match error {
            StartError::Ring(RingError::NoMemory { .. }) => Self::Memory(error),
            _ => Self::Start(error),
        }
    }
}

impl From<&Fault> for Refusal {
    fn from(fault: &Fault) -> Self {
        Self { status: fault.status(), why: reason(fault).into() }
    }
}
