//! Captures on demand: which nodes are captured on follows from the captures that users make and from the graph.
//!
//! One task follows both. After a change, at most once a second, it works out on a snapshot on which nodes each capture
//! is wanted ([`wanted`]) and where captures run, which nodes say themselves (`Captures`), and asks the agents to begin
//! and to end the difference. An agent that does not, or cannot, is asked again after a pause that doubles. Nothing of
//! it is stored: after a restart the graph says what runs.
//!
//! A node that a capture's query no longer gives is given up after a while: a query that looks at what captures do
//! themselves turns slowly.

mod engine;
mod wanted;

use std::sync::Arc;
use std::time::Duration;

use skydive_api::{CaptureFaults, FollowedQuery, LiveGraph, Notices};
use skydive_graph::{GraphEvent, key};
use skydive_proto::{
    Capture, Draft, Envelope, Listing, Put, Resource, ResourceChange, ResourceStore, namespace,
};
use skydive_query::{Limits, check_packet_filter};
use skydive_value::{Clock, Id, SmolStr};
use tokio::time::Instant;
use tokio_util::sync::CancellationToken;

use crate::follow::{self, Following, Heard, Over, Pace, Pauses, concerns};
use crate::hosts::Hosts;
use engine::Engine;

/// Kind of captures in the store.
pub(crate) const KIND: &str = "capture";

/// Has captures begun and ended.
pub(crate) struct Captures {
    pub(crate) live: LiveGraph,
    pub(crate) store: Arc<dyn ResourceStore>,
    pub(crate) hosts: Hosts,
    pub(crate) notices: Notices,
    pub(crate) faults: CaptureFaults,
    pub(crate) limits: Limits,
    pub(crate) clock: Clock,
    /// Made at the start, if there is none like it.
    pub(crate) startup: Option<Capture>,
}

/// Who makes or deletes a capture waits for it; what goes on changing in the graph is looked at once a second.
const PAUSES: Pauses = Pauses {
    soon: Duration::from_millis(50),
    least: Duration::from_millis(100),
    longest: Duration::from_secs(1),
};

impl Captures {
    /// Runs until `stop`, or until the graph or the store have ended.
    pub(crate) async fn run(self, stop: CancellationToken) {
        follow::run(self.follow(), &stop, "captures are no longer begun and ended").await;
    }

    async fn follow(&self) -> Result<(), Over> {
        self.make_startup().await?;
        let mut engine = Engine::new(self.hosts.clone(), self.notices.clone(), self.faults.clone());
        let mut following = Following::new(self.live.clone(), self.store.clone(), &[KIND]);
        let mut pace = Pace::new(PAUSES);
        loop {
            let due = engine.due();
            tokio::select! {
                heard = following.next() => {
                    let heard = heard?;
                    let somebody_waits = !matches!(heard, Heard::Graph(_));
                    if self.take(heard, &mut engine) {
                        if somebody_waits { pace.begins_anew() } else { pace.wants_look() }
                    }
                }
                () = engine.answered() => {}
                () = pace.wait(due) => {
                    let begin = Instant::now();
                    let snapshot = self.live.snapshot().await?;
                    engine.look(snapshot, self.clock.now()).await;
                    pace.looked(begin, Instant::now(), true);
                }
            }
        }
    }

    /// The capture of the configuration is one like any other; it is there once, however often the analyzer starts.
    async fn make_startup(&self) -> Result<(), Over> {
        let Some(capture) = &self.startup else { return Ok(()) };
        if let Err(fault) = self.check(capture) {
            tracing::error!(%fault, "`analyzer.startup`: the capture is not made");
            return Ok(());
        }
        let Listing { resources, .. } = self.store.list(KIND).await?;
        let known = resources.iter().filter_map(|resource| Capture::decode(resource.json.as_bytes()).ok());
        if known.into_iter().any(|known| known.is_like(capture)) {
            return Ok(());
        }
        let id = SmolStr::from(Id::random().to_string());
        let capture = Capture { uuid: id.to_string(), ..capture.clone() };
        let json = capture.to_json().into();
        self.store.put(KIND, Draft { id, json, expires_at: None }, Put::New).await?;
        Ok(())
    }

    /// Whether a capture that nobody has checked has a query, and a filter if any.
    fn check(&self, capture: &Capture) -> Result<(), String> {
        self.query(capture)?;
        if !capture.bpf_filter.is_empty() {
            check_packet_filter(&capture.bpf_filter).map_err(|fault| fault.to_string())?;
        }
        Ok(())
    }

    fn query(&self, capture: &Capture) -> Result<FollowedQuery, String> {
        let query = FollowedQuery::read(&capture.gremlin_query, &self.limits, self.clock.now());
        query.map_err(|fault| fault.to_string())
    }

    /// Takes over what happened; whether captures may have to begin or end.
    fn take(&self, heard: Heard, engine: &mut Engine) -> bool {
        match heard {
            Heard::All(_, resources) => {
                engine.retain(resources.iter().map(|resource| &resource.id).collect());
                for resource in &resources {
                    self.add(resource, engine);
                }
            }
            Heard::Changed(_, changes) => {
                for change in changes {
                    match change {
                        ResourceChange::Stored(resource) => self.add(&resource, engine),
                        ResourceChange::Removed(resource) => engine.remove(&resource.id),
                    }
                }
            }
            Heard::Graph(events) => {
                let matters = if engine.is_idle() { is_left_over } else { concerns };
                return events.is_none_or(|events| events.iter().any(matters));
            }
        }
        true
    }

    fn add(&self, resource: &Resource, engine: &mut Engine) {
        let capture = Capture::decode(resource.json.as_bytes()).map_err(|fault| fault.to_string());
        let read = capture.and_then(|capture| {
            let query = self.query(&capture)?;
            Ok((capture, query))
        });
        match read {
            Ok((capture, query)) => engine.add(resource.id.clone(), capture, query),
            // It was checked when it was made, by an earlier version perhaps.
            Err(why) => tracing::warn!(id = %resource.id, why, "capture cannot be begun"),
        }
    }
}

/// Whether a node says that a capture runs on it: without captures, all of them are left over.
fn is_left_over(event: &GraphEvent) -> bool {
    match event {
        GraphEvent::NodeAdded(node) | GraphEvent::NodeUpdated { node, .. } => {
            node.metadata.get(key::CAPTURES).is_some()
        }
        _ => false,
    }
}

/// Tells subscribers what became of a capture.
fn tell(notices: &Notices, kind: &str, capture: &Capture) {
    let json = capture.to_json().into();
    notices.tell(Envelope::json(namespace::ON_DEMAND_CAPTURE_NOTIFICATION, kind, json));
}

#[cfg(test)]
mod tests;
