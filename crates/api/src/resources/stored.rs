//! Resources that the store keeps.

use std::sync::Arc;

use bytes::Bytes;
use skydive_graph::BoxFuture;
use skydive_proto::{Draft, Limits, Put, ResourceStore, StoreError, json_of_resources};
use skydive_value::{Clock, Id, SmolStr};
use tokio::sync::Mutex;

use super::kind::ResourceKind;
use crate::{CaptureFaults, Topology};

use super::{
    Collection, Listed, Patched, Refusal, Submission, apply_patch, cannot_read, cannot_update, not_valid,
};

/// The resources of one kind.
pub(super) struct Stored {
    pub(super) kind: &'static ResourceKind,
    pub(super) store: Arc<dyn ResourceStore>,
    /// What resources are told with.
    pub(super) graph: Option<Arc<dyn Topology>>,
    pub(super) faults: CaptureFaults,
    pub(super) limits: Limits,
    pub(super) clock: Clock,
    /// One is made at a time, so that of two that are alike one is refused.
    pub(super) making: Mutex<()>,
}

impl Stored {
    fn name(&self) -> &'static str {
        self.kind.endpoint.name
    }

    /// How one is told with the graph of now; `None` when it is told as it is kept.
    async fn live(&self) -> Option<impl Fn(&str) -> Option<String>> {
        let (live, graph) = (self.kind.live?, self.graph.as_ref()?);
        let graph = graph.graph().await.ok()?;
        Some(move |json: &str| live(json, &graph, &self.faults))
    }

    async fn make(&self, submission: Submission) -> Result<Bytes, Refusal> {
        let mut submitted = (self.kind.read)(&submission.json).map_err(Refusal::Malformed)?;
        submitted.check(&self.limits, self.clock.now()).map_err(Refusal::Wrong)?;
        let expires_at = submission.expiry(self.clock.now())?;
        let id = SmolStr::from(Id::random().to_string());
        let json = submitted.named(&id).map_err(|fault| Refusal::Wrong(fault.to_string()))?;
        let draft = Draft { id, json: json.into(), expires_at };
        let _making = self.making.lock().await;
        let kept = self.store.list(self.name()).await?.resources;
        if kept.iter().any(|kept| submitted.is_like(kept.json.as_bytes())) {
            return Err(Refusal::Duplicate);
        }
        let kept = self.store.put(self.name(), draft, Put::New).await?;
        Ok(Bytes::copy_from_slice(kept.json.as_bytes()))
    }

    /// Every stage says what is wrong in its turn; the last one refuses, since no kind that is stored now can be
    /// updated.
    async fn change(&self, id: &str, body: &[u8]) -> Result<Patched, Refusal> {
        let known = self.store.find(self.name(), id).await?.ok_or(Refusal::Absent)?;
        let document = serde_json::from_str(&known.json).map_err(cannot_read)?;
        let patched = apply_patch(document, body)?;
        let patched = (self.kind.read)(patched.to_string().as_bytes()).map_err(cannot_read)?;
        patched.check(&self.limits, self.clock.now()).map_err(not_valid)?;
        Err(cannot_update("resource not updatable"))
    }
}

impl Collection for Stored {
    fn list(&self) -> BoxFuture<'_, Result<Listed, Refusal>> {
        Box::pin(async move {
            let mut listing = self.store.list(self.name()).await?;
            if let Some(live) = self.live().await {
                for resource in &mut listing.resources {
                    if let Some(json) = live(&resource.json) {
                        resource.json = json.into();
                    }
                }
            }
            Ok(Listed::Whole(json_of_resources(&listing.resources)))
        })
    }

    fn find<'a>(&'a self, id: &'a str) -> BoxFuture<'a, Result<Option<Bytes>, Refusal>> {
        Box::pin(async move {
            let found = self.store.find(self.name(), id).await?;
            let Some(resource) = found else { return Ok(None) };
            let told = self.live().await.and_then(|live| live(&resource.json));
            Ok(Some(told.map_or_else(|| Bytes::copy_from_slice(resource.json.as_bytes()), Bytes::from)))
        })
    }

    fn create(&self, submission: Submission) -> BoxFuture<'_, Result<Bytes, Refusal>> {
        Box::pin(self.make(submission))
    }

    fn patch<'a>(&'a self, id: &'a str, body: Bytes) -> BoxFuture<'a, Result<Patched, Refusal>> {
        Box::pin(async move { self.change(id, &body).await })
    }

    fn remove<'a>(&'a self, id: &'a str) -> BoxFuture<'a, Result<(), Refusal>> {
        Box::pin(async move {
            self.store.remove(self.name(), id).await?;
            Ok(())
        })
    }
}

impl From<StoreError> for Refusal {
    fn from(fault: StoreError) -> Self {
        match fault {
            StoreError::Missing => Self::Absent,
            StoreError::Exists | StoreError::Changed => Self::Wrong(fault.to_string()),
            StoreError::Disk(_) | StoreError::Stopped => Self::Unavailable(fault.to_string()),
        }
    }
}
