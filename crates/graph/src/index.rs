//! Which index entries a node has.
//!
//! An entry is the hash of a key and of one text found under it. The texts are exactly those that an equality
//! filter would compare (elements of lists included), so that a lookup and a scan agree.

use skydive_value::{FieldRef, Fields, Hint, Path};

use crate::stored::Stored;
use crate::{Node, key};

/// Number under which `@Origin` is indexed.
pub(crate) const ORIGIN: usize = usize::MAX;

/// Number of an indexed key, if `path` is one.
pub(crate) fn indexed(path: &Path) -> Option<usize> {
    let [only] = path.segments() else { return None };
    if only == key::attribute::ORIGIN {
        return Some(ORIGIN);
    }
    key::INDEXED.iter().position(|key| key == only)
}

/// Where the indexed keys were in the last node: nodes of one kind come one after the other.
pub(crate) type Near = [usize; key::INDEXED.len()];

/// Appends the hashes of the entries that a node has in the index: its id, its origin and its indexed texts.
pub(crate) fn push_entries(stored: &Stored, node: &Node, near: &mut Near, hashes: &mut Vec<u32>) {
    hashes.push(stored.hash_id(&node.id));
    hashes.push(stored.hash_text(ORIGIN, &node.source.origin));
    for (number, (key, near)) in key::INDEXED.iter().zip(near).enumerate() {
        let Some(position) = node.metadata.position(key, *near) else { continue };
        *near = position;
        let Some(value) = node.metadata.at(position) else { continue };
        FieldRef::Value(value).each_scalar(&mut |scalar| {
            scalar.with_str(|text| hashes.push(stored.hash_text(number, text)));
        });
    }
}

/// The entries of one node.
pub(crate) fn node_entries(stored: &Stored, node: &Node) -> Vec<u32> {
    let (mut near, mut hashes) = (stored.near, Vec::with_capacity(key::INDEXED.len() + 4));
    push_entries(stored, node, &mut near, &mut hashes);
    hashes
}

/// A node whose indexed keys are looked for where the node added last has them, which costs less than to remember its
/// shape when it is the only one that is asked.
pub(crate) struct Once<'a> {
    pub(crate) node: &'a Node,
    pub(crate) near: &'a Near,
}

impl Fields for Once<'_> {
    #[inline]
    fn field<'a>(&'a self, path: &'a Path, hint: &Hint) -> Option<FieldRef<'a>> {
        let Some(near) = indexed(path).and_then(|number| self.near.get(number)) else {
            return self.node.field(path, hint);
        };
        let metadata = &self.node.metadata;
        metadata.at(metadata.position(path.first(), *near)?).map(FieldRef::Value)
    }
}
