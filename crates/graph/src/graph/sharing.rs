//! What elements have in common, kept once.

use std::collections::HashMap;
use std::sync::Arc;

use skydive_value::{Map, Shapes, SmolStr, Value};

use crate::Source;

/// Sources, and metadata of edges: a million edges say `{"RelationType": "ownership"}`.
#[derive(Debug, Default)]
pub(super) struct Sharing {
    sources: HashMap<Source, Arc<Source>>,
    metadata: HashMap<Vec<(SmolStr, Scalar)>, Arc<Map>>,
    sweep_at: usize,
}

/// A value that can be compared and hashed exactly.
#[derive(Debug, PartialEq, Eq, Hash)]
enum Scalar {
    Bool(bool),
    Int(i64),
    Str(SmolStr),
}

/// Below this many entries sweeping is not worth a look.
const SWEEP_MIN: usize = 1024;

impl Sharing {
    pub(super) fn source(&mut self, source: &Arc<Source>) -> Arc<Source> {
        if let Some(known) = self.sources.get(&**source) {
            return known.clone();
        }
        self.sources.insert((**source).clone(), source.clone());
        self.sweep();
        source.clone()
    }

    /// The shared twin of `metadata`, if all its values are scalars; else itself.
    pub(super) fn metadata(&mut self, mut metadata: Arc<Map>, shapes: &mut Shapes) -> Arc<Map> {
        let Some(exact) = exact(&metadata) else {
            shapes.share(Arc::make_mut(&mut metadata));
            return metadata;
        };
        if let Some(known) = self.metadata.get(&exact) {
            return known.clone();
        }
        shapes.share(Arc::make_mut(&mut metadata));
        self.metadata.insert(exact, metadata.clone());
        self.sweep();
        metadata
    }

    /// Drops what nobody else holds, when the tables have doubled since the last time.
    fn sweep(&mut self) {
        if self.sources.len() + self.metadata.len() <= self.sweep_at.max(SWEEP_MIN) {
            return;
        }
        self.sources.retain(|_, source| Arc::strong_count(source) > 1);
        self.metadata.retain(|_, map| Arc::strong_count(map) > 1);
        self.sweep_at = 2 * (self.sources.len() + self.metadata.len());
    }
}

fn exact(map: &Map) -> Option<Vec<(SmolStr, Scalar)>> {
    map.iter()
        .map(|(key, value)| {
            let scalar = match value {
                Value::Bool(b) => Scalar::Bool(*b),
                Value::Int(n) => Scalar::Int(*n),
                Value::Str(text) => Scalar::Str(text.clone()),
                _ => return None,
            };
            Some((key.clone(), scalar))
        })
        .collect()
}
