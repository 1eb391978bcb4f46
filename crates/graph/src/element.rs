//! Nodes and edges as everybody outside the storage sees them.

use std::sync::Arc;

use skydive_value::{FieldRef, Fields, Hint, Id, Map, Path, SmolStr, Timestamp, Value};

use crate::key::{self, attribute, relation};

/// Who made an element. Shared by all elements of one maker.
#[derive(Clone, Debug, Default, PartialEq, Eq, Hash)]
pub struct Source {
    /// Host id of the producing agent; may be empty for elements made on an analyzer.
    pub host: SmolStr,
    /// `<service type>.<host id>`.
    pub origin: SmolStr,
}

/// A node: one thing at one revision.
#[derive(Clone, Debug, PartialEq)]
pub struct Node {
    /// Identifier, unique among nodes.
    pub id: Id,
    /// Who made it.
    pub source: Arc<Source>,
    /// When it was made.
    pub created_at: Timestamp,
    /// When its metadata changed last: the start of this revision.
    pub updated_at: Timestamp,
    /// When it was deleted; `None` while it is alive.
    pub deleted_at: Option<Timestamp>,
    /// Counts committed changes from 1; 0 when the maker does not count.
    pub revision: i64,
    /// Everything known about it.
    pub metadata: Map,
}

/// An edge from a parent to a child node, at one revision.
#[derive(Clone, Debug, PartialEq)]
pub struct Edge {
    /// Identifier, unique among edges.
    pub id: Id,
    /// Node at the parent end.
    pub parent: Id,
    /// Node at the child end.
    pub child: Id,
    /// Who made it.
    pub source: Arc<Source>,
    /// When it was made.
    pub created_at: Timestamp,
    /// When its metadata changed last.
    pub updated_at: Timestamp,
    /// When it was deleted; `None` while it is alive.
    pub deleted_at: Option<Timestamp>,
    /// Counts committed changes from 1.
    pub revision: i64,
    /// Everything known about it; shared by edges that say the same.
    pub metadata: Arc<Map>,
}

impl Source {
    /// The source of what service `kind` on `host` makes.
    pub fn of(kind: &str, host: &str) -> Arc<Self> {
        Arc::new(Self { host: host.into(), origin: SmolStr::from(format!("{kind}.{host}")) })
    }
}

impl Node {
    /// A new node at its first revision.
    pub fn new(id: Id, source: Arc<Source>, metadata: Map, now: Timestamp) -> Self {
        Self { id, source, created_at: now, updated_at: now, deleted_at: None, revision: 1, metadata }
    }

    /// Its name, or empty text.
    pub fn name(&self) -> &str {
        self.metadata.text(key::NAME).unwrap_or_default()
    }

    /// Its type, or empty text.
    pub fn node_type(&self) -> &str {
        self.metadata.text(key::TYPE).unwrap_or_default()
    }
}

impl Edge {
    /// A new edge at its first revision.
    pub fn new(id: Id, parent: Id, child: Id, source: Arc<Source>, metadata: Map, now: Timestamp) -> Self {
        Self {
            id,
            parent,
            child,
            source,
            created_at: now,
            updated_at: now,
            deleted_at: None,
            revision: 1,
            metadata: Arc::new(metadata),
        }
    }

    /// A new edge whose id follows from its ends and its relation, so that there is one per triple. `extra` is
    /// metadata beside `RelationType`.
    pub fn link(
        parent: Id,
        child: Id,
        relation: &str,
        extra: Map,
        source: Arc<Source>,
        now: Timestamp,
    ) -> Self {
        let id = Self::link_id(&parent, &child, relation);
        let mut metadata = extra;
        metadata.insert(key::RELATION_TYPE, relation);
        Self::new(id, parent, child, source, metadata, now)
    }

    /// The id that [`Edge::link`] gives: UUID v5 over parent, child and relation without separators.
    pub fn link_id(parent: &Id, child: &Id, relation: &str) -> Id {
        Id::from_name(&format!("{parent}{child}{relation}"))
    }

    /// What it means, or empty text.
    pub fn relation(&self) -> &str {
        relation_of(&self.metadata)
    }

    /// Whether it says that the child is part of the parent.
    pub fn is_ownership(&self) -> bool {
        self.relation() == relation::OWNERSHIP
    }
}

pub(crate) fn relation_of(metadata: &Map) -> &str {
    metadata.text(key::RELATION_TYPE).unwrap_or_default()
}

impl Fields for Node {
    #[inline]
    fn field<'a>(&'a self, path: &'a Path, hint: &Hint) -> Option<FieldRef<'a>> {
        if !path.is_attribute() {
            return FieldRef::in_map(&self.metadata, path, hint);
        }
        match path.first() {
            attribute::HOST => Some(FieldRef::Str(&self.source.host)),
            attribute::ORIGIN => Some(FieldRef::Str(&self.source.origin)),
            attribute::CREATED_AT => Some(FieldRef::Int(self.created_at.as_millis())),
            attribute::UPDATED_AT => Some(FieldRef::Int(self.updated_at.as_millis())),
            attribute::DELETED_AT => self.deleted_at.map(|at| FieldRef::Int(at.as_millis())),
            attribute::REVISION => Some(FieldRef::Int(self.revision)),
            attribute::ID => Some(FieldRef::Id(&self.id)),
            _ => None,
        }
    }
}

impl Fields for Edge {
    #[inline]
    fn field<'a>(&'a self, path: &'a Path, hint: &Hint) -> Option<FieldRef<'a>> {
        match path.first() {
            attribute::PARENT => Some(FieldRef::Id(&self.parent)),
            attribute::CHILD => Some(FieldRef::Id(&self.child)),
            _ if !path.is_attribute() => FieldRef::in_map(&self.metadata, path, hint),
            attribute::ID => Some(FieldRef::Id(&self.id)),
            attribute::HOST => Some(FieldRef::Str(&self.source.host)),
            attribute::ORIGIN => Some(FieldRef::Str(&self.source.origin)),
            attribute::CREATED_AT => Some(FieldRef::Int(self.created_at.as_millis())),
            attribute::UPDATED_AT => Some(FieldRef::Int(self.updated_at.as_millis())),
            attribute::DELETED_AT => self.deleted_at.map(|at| FieldRef::Int(at.as_millis())),
            attribute::REVISION => Some(FieldRef::Int(self.revision)),
            _ => None,
        }
    }
}

/// The value of a field for reading (`Values`, `Sort`, …); `None` when it is missing.
pub(crate) fn read_field(subject: &impl Fields, path: &Path) -> Option<Value> {
    subject.field(path, &Hint::default()).map(FieldRef::to_value)
}

impl Node {
    /// The value at a path, attribute or metadata; `None` when it is missing.
    pub fn read(&self, path: &Path) -> Option<Value> {
        read_field(self, path)
    }
}

impl Edge {
    /// The value at a path, attribute, end or metadata; `None` when it is missing.
    pub fn read(&self, path: &Path) -> Option<Value> {
        read_field(self, path)
    }
}
