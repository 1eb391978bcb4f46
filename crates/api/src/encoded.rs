//! Batches of events as frames, written once for all subscribers that want them in the same form.

use std::collections::VecDeque;
use std::sync::{Arc, Mutex, OnceLock, PoisonError, Weak};

use skydive_graph::GraphEvent;
use skydive_proto::{Protocol, UpdatePolicy, event_envelope};
use tokio_tungstenite::tungstenite::Message;

use crate::speaker::frame;

/// Frames of the batches that subscribers are busy with.
#[derive(Default)]
pub(crate) struct EncodedBatches {
    recent: Mutex<VecDeque<Arc<EncodedBatch>>>,
}

struct EncodedBatch {
    batch: Weak<[GraphEvent]>,
    forms: [OnceLock<Arc<[Message]>>; FORMS],
}

/// Two protocols, two policies.
const FORMS: usize = 4;
/// Batches kept. A subscriber further behind than that encodes for itself.
const RECENT: usize = 32;

impl EncodedBatches {
    /// The frames of a batch; made by the first that asks.
    pub(crate) fn frames(
        &self,
        batch: &Arc<[GraphEvent]>,
        protocol: Protocol,
        policy: UpdatePolicy,
    ) -> Arc<[Message]> {
        let form = protocol as usize * 2 + policy as usize;
        let encoded = self.entry(batch);
        let make = || batch.iter().map(|event| frame(&event_envelope(event, policy), protocol)).collect();
        encoded.forms.get(form).map_or_else(make, |cell| cell.get_or_init(make).clone())
    }

    fn entry(&self, batch: &Arc<[GraphEvent]>) -> Arc<EncodedBatch> {
        let key = Arc::downgrade(batch);
        let mut recent = self.recent.lock().unwrap_or_else(PoisonError::into_inner);
        if let Some(known) = recent.iter().find(|known| known.batch.ptr_eq(&key)) {
            return known.clone();
        }
        // A batch that nobody holds any more is sent to everybody.
        recent.retain(|known| known.batch.strong_count() > 0);
        if recent.len() == RECENT {
            recent.pop_front();
        }
        let fresh = Arc::new(EncodedBatch { batch: key, forms: Default::default() });
        recent.push_back(fresh.clone());
        fresh
    }
}

#[cfg(test)]
mod tests {
    use skydive_graph::{Node, Source};
    use skydive_value::{Id, Map, Timestamp};

    use super::*;

    fn batch(name: &str) -> Arc<[GraphEvent]> {
        let node = Node::new(Id::from(name), Source::of("agent", "h"), Map::new(), Timestamp::EPOCH);
        Arc::from(vec![GraphEvent::NodeAdded(Arc::new(node))])
    }

    #[test]
    fn a_form_is_written_once_and_forgotten_with_its_batch() {
        let encoded = EncodedBatches::default();
        let first = batch("a");
        let frames = encoded.frames(&first, Protocol::Json, UpdatePolicy::Full);
        let again = encoded.frames(&first, Protocol::Json, UpdatePolicy::Full);
        assert!(Arc::ptr_eq(&frames, &again));
        let binary = encoded.frames(&first, Protocol::Protobuf, UpdatePolicy::Full);
        assert!(matches!((&frames[0], &binary[0]), (Message::Text(_), Message::Binary(_))));
        drop(first);
        for n in 0..100 {
            let next = batch(&n.to_string());
            encoded.frames(&next, Protocol::Json, UpdatePolicy::Partial);
        }
        assert!(encoded.recent.lock().unwrap().len() <= 1 + 1);
    }
}
