//! Who changed what, for those who are not to be told of their own changes.

use std::collections::HashMap;
use std::sync::Arc;

use skydive_graph::GraphEvent;
use skydive_value::Id;

use crate::live::Mark;

/// Elements that were changed, each with the mark of who did it; none when that was somebody without a mark, or several.
#[derive(Debug, Default)]
pub(crate) struct Authors(HashMap<Id, Option<Mark>>);

impl Authors {
    /// Of one batch. What nobody with a mark caused needs no entry.
    pub(crate) fn of(batch: &[GraphEvent], by: Option<&Mark>) -> Self {
        let mut authors = Self::default();
        if by.is_some() {
            authors.note(batch, by);
        }
        authors
    }

    /// Adds a batch of changes, all by the same one.
    pub(crate) fn note(&mut self, batch: &[GraphEvent], by: Option<&Mark>) {
        for event in batch {
            self.add(id_of(event), by);
        }
    }

    /// Adds a batch whose authors are known.
    pub(crate) fn follow(&mut self, batch: &[GraphEvent], authors: &Self) {
        for event in batch {
            let id = id_of(event);
            self.add(id, authors.0.get(id).and_then(Option::as_ref));
        }
    }

    /// Adds what was noted elsewhere.
    pub(crate) fn merge(&mut self, others: Self) {
        for (id, by) in others.0 {
            self.add(&id, by.as_ref());
        }
    }

    fn add(&mut self, id: &Id, by: Option<&Mark>) {
        match self.0.get_mut(id) {
            Some(author) if author.as_ref() != by => *author = None,
            Some(_) => {}
            None => drop(self.0.insert(id.clone(), by.cloned())),
        }
    }

    /// The events of `batch` that tell `listener` something: those about elements that it did not change itself, or not
    /// alone.
    pub(crate) fn news_for(&self, listener: &Mark, batch: &Arc<[GraphEvent]>) -> Arc<[GraphEvent]> {
        let is_own =
            |event: &GraphEvent| self.0.get(id_of(event)).is_some_and(|by| by.as_ref() == Some(listener));
        if batch.iter().any(is_own) {
            batch.iter().filter(|event| !is_own(event)).cloned().collect()
        } else {
            batch.clone()
        }
    }
}

fn id_of(event: &GraphEvent) -> &Id {
    match event {
        GraphEvent::NodeAdded(node)
        | GraphEvent::NodeUpdated { node, .. }
        | GraphEvent::NodeDeleted(node) => &node.id,
        GraphEvent::EdgeAdded(edge)
        | GraphEvent::EdgeUpdated { edge, .. }
        | GraphEvent::EdgeDeleted(edge) => &edge.id,
    }
}
