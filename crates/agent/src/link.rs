//! The line between an agent and an analyzer, as both ends see it: messages both ways, in order, bounded.
//!
//! Over the network it is a WebSocket (crate `client`); in tests a pair of channels.

use std::sync::Arc;

use skydive_client::ServerIdentity;
use skydive_graph::BoxFuture;
use skydive_proto::Envelope;
use thiserror::Error;

use crate::FlowRoute;

/// One end of a line.
pub trait Link: Send {
    /// Sends a message; waits while the line is full.
    fn send(&mut self, message: Envelope) -> BoxFuture<'_, Result<(), LinkClosed>>;

    /// The next message. Safe to drop while waiting.
    fn receive(&mut self) -> BoxFuture<'_, Result<Envelope, LinkClosed>>;

    /// Who is at the other end, where that was said.
    fn server(&self) -> Option<&ServerIdentity> {
        None
    }
}

/// Opens lines to one analyzer.
pub trait Dial: Send + Sync {
    /// Where it leads, for logs and the status.
    fn address(&self) -> &str;

    /// Where flows for the analyzer go; nowhere when it takes none.
    fn flow_route(&self) -> Option<FlowRoute> {
        None
    }

    /// Opens a line.
    fn dial(&self) -> BoxFuture<'_, Result<Box<dyn Link>, DialError>>;
}

/// The line has ended, and why.
#[derive(Clone, Debug, PartialEq, Eq, Error)]
#[error("link lost: {0}")]
pub struct LinkClosed(pub String);

/// A line that could not be opened.
#[derive(Clone, Debug, PartialEq, Eq, Error)]
pub enum DialError {
    /// Nobody answers, or not as an analyzer does.
    #[error("{0}")]
    Unreachable(String),
    /// The analyzer already has an agent with this host id.
    #[error("the analyzer already has an agent with this host id; set another `host_id`")]
    Conflict,
}

/// Dialers are shared by the task that redials and the status.
pub(crate) type SharedDial = Arc<dyn Dial>;

/// A line inside one process, for tests.
#[cfg(test)]
pub(crate) mod channel {
    use tokio::sync::mpsc;

    use super::*;

    /// One end of a line of channels.
    pub(crate) struct ChannelEnd {
        to: mpsc::Sender<Envelope>,
        from: mpsc::Receiver<Envelope>,
    }

    /// Two ends of a line that holds `bound` messages each way.
    pub(crate) fn line(bound: usize) -> (ChannelEnd, ChannelEnd) {
        let (to_left, from_right) = mpsc::channel(bound);
        let (to_right, from_left) = mpsc::channel(bound);
        (ChannelEnd { to: to_right, from: from_right }, ChannelEnd { to: to_left, from: from_left })
    }

    impl Link for ChannelEnd {
        fn send(&mut self, message: Envelope) -> BoxFuture<'_, Result<(), LinkClosed>> {
            Box::pin(async move { self.to.send(message).await.map_err(|_| gone()) })
        }

        fn receive(&mut self) -> BoxFuture<'_, Result<Envelope, LinkClosed>> {
            Box::pin(async move { self.from.recv().await.ok_or_else(gone) })
        }
    }

    fn gone() -> LinkClosed {
        LinkClosed("the other end is gone".to_owned())
    }
}
