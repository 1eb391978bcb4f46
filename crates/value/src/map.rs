//! Fields by name: what metadata is.

use std::sync::Arc;

use smol_str::SmolStr;
use thiserror::Error;

use crate::{Path, Shape, Value};

/// Fields sorted by key. The keys are shared between maps ([`Shape`]), the values are this map's own.
#[derive(Clone, Debug, Default, PartialEq)]
pub struct Map {
    pub(crate) shape: Shape,
    pub(crate) values: Vec<Value>,
}

/// A dotted path ran into a value that has no fields.
#[derive(Clone, Debug, PartialEq, Eq, Error)]
#[error("{0} is not a supported type(map[string]interface {{}})")]
pub struct PathError(pub SmolStr);

impl Map {
    /// A map without fields.
    pub fn new() -> Self {
        Self::default()
    }

    /// Number of fields.
    #[inline]
    pub fn len(&self) -> usize {
        self.values.len()
    }

    /// Whether there is no field.
    pub fn is_empty(&self) -> bool {
        self.values.is_empty()
    }

    /// The keys, shared with every map that has the same.
    #[inline]
    pub fn shape(&self) -> &Shape {
        &self.shape
    }

    /// The value of a top-level field.
    #[inline]
    pub fn get(&self, key: &str) -> Option<&Value> {
        self.values.get(self.shape.position(key)?)
    }

    /// The position of a top-level field, for [`Map::at`] and [`Map::set_at`]; looked for at `near` first, which is
    /// right most often when maps of one shape come one after the other.
    #[inline]
    pub fn position(&self, key: &str, near: usize) -> Option<usize> {
        match self.shape.keys().get(near) {
            Some(known) if *known == key => Some(near),
            _ => self.shape.position(key),
        }
    }

    /// The value at a position.
    #[inline]
    pub fn at(&self, position: usize) -> Option<&Value> {
        self.values.get(position)
    }

    /// Replaces the value at a position; nothing happens beyond the last one.
    #[inline]
    pub fn set_at(&mut self, position: usize, value: Value) {
        if let Some(known) = self.values.get_mut(position) {
            *known = value;
        }
    }

    /// The text of a top-level field, when it is text.
    pub fn text(&self, key: &str) -> Option<&str> {
        self.get(key)?.as_str()
    }

    /// The fields in order of their keys.
    pub fn iter(&self) -> impl ExactSizeIterator<Item = (&SmolStr, &Value)> {
        self.shape.keys().iter().zip(&self.values)
    }

    /// Sets a top-level field and gives back what it was.
    pub fn insert(&mut self, key: impl Into<SmolStr>, value: impl Into<Value>) -> Option<Value> {
        let (key, value) = (key.into(), value.into());
        match self.shape.0.binary_search(&key) {
            Ok(at) => Some(std::mem::replace(&mut self.values[at], value)),
            Err(at) => {
                Arc::make_mut(&mut self.shape.0).insert(at, key);
                self.values.insert(at, value);
                None
            }
        }
    }

    /// Sets a top-level field, unless it is equal already; says whether it changed.
    #[inline]
    pub fn replace(&mut self, key: &SmolStr, value: &Value) -> bool {
        match self.shape.position(key) {
            Some(at) if self.values[at] == *value => false,
            Some(at) => {
                self.values[at] = value.clone();
                true
            }
            None => {
                self.insert(key.clone(), value.clone());
                true
            }
        }
    }

    /// Removes a top-level field and gives it back.
    pub fn remove(&mut self, key: &str) -> Option<Value> {
        let at = self.shape.position(key)?;
        Arc::make_mut(&mut self.shape.0).remove(at);
        Some(self.values.remove(at))
    }

    /// The value at a dotted path. A list on the way collects the sub-field of every element that has it; that
    /// list of findings is not flattened. A scalar on the way is an error that names it.
    pub fn lookup(&self, path: &Path) -> Result<Option<Value>, PathError> {
        let Some((first, rest)) = path.segments().split_first() else { return Ok(None) };
        match self.get(first) {
            None => Ok(None),
            Some(value) => lookup_in(first, value, rest),
        }
    }

    /// Sets the value at a dotted path, making the maps on the way. False, and nothing changed, when the path runs
    /// through something that is not a map, or is so long (64 names) or the value so deep (another 32 levels) that
    /// readers could not follow.
    pub fn set_path(&mut self, path: &Path, value: impl Into<Value>) -> bool {
        let value = value.into();
        path.is_writable()
            && (value.is_shallow() || value.is_within(MAX_DEPTH))
            && set_in(self, path.segments(), value)
    }

    /// Removes the value at a dotted path, and maps that are empty for it. False when there was none.
    pub fn remove_path(&mut self, path: &Path) -> bool {
        remove_in(self, path.segments())
    }

    /// Dots in keys turned into nesting and `Null` into empty text, at every depth. Where two keys want the same
    /// place the later in key order wins.
    #[must_use]
    pub fn normalized(&self) -> Self {
        let mut out = Self::new();
        for (key, value) in self.iter() {
            let value = value.normalized();
            let path = Path::parse(key);
            if !out.set_path(&path, value.clone()) {
                out.insert(key.clone(), value);
            }
        }
        out
    }

    /// Every path to a field, maps and the fields inside them, in dot notation; lists are not entered.
    pub fn paths(&self, visit: &mut impl FnMut(&str)) {
        let mut prefix = String::new();
        paths_in(self, &mut prefix, visit);
    }
}

/// Levels of nesting that a value written to a path may have: with the longest path it stays under the 128 that
/// parsers of JSON follow.
const MAX_DEPTH: usize = 32;

fn lookup_in(name: &SmolStr, value: &Value, rest: &[SmolStr]) -> Result<Option<Value>, PathError> {
    let Some((next, after)) = rest.split_first() else { return Ok(Some(value.clone())) };
    match value {
        Value::Map(map) => match map.get(next) {
            None => Ok(None),
            Some(inner) => lookup_in(next, inner, after),
        },
        Value::List(items) => {
            let mut found = Vec::new();
            for item in items.iter() {
                if let Ok(Some(v)) = lookup_in(name, item, rest) {
                    found.push(v);
                }
            }
            Ok(Some(Value::from(found)))
        }
        _ => Err(PathError(name.clone())),
    }
}

fn set_in(map: &mut Map, segments: &[SmolStr], value: Value) -> bool {
    let Some((first, rest)) = segments.split_first() else { return false };
    if rest.is_empty() {
        map.insert(first.clone(), value);
        return true;
    }
    let Some(at) = map.shape.position(first) else {
        let mut nested = Map::new();
        if !set_in(&mut nested, rest, value) {
            return false;
        }
        map.insert(first.clone(), nested);
        return true;
    };
    match &mut map.values[at] {
        Value::Map(nested) => set_in(Arc::make_mut(nested), rest, value),
        _ => false,
    }
}

fn remove_in(map: &mut Map, segments: &[SmolStr]) -> bool {
    let Some((first, rest)) = segments.split_first() else { return false };
    if rest.is_empty() {
        return map.remove(first).is_some();
    }
    let Some(at) = map.shape.position(first) else { return false };
    let Value::Map(nested) = &mut map.values[at] else { return false };
    let nested = Arc::make_mut(nested);
    if !remove_in(nested, rest) {
        return false;
    }
    if nested.is_empty() {
        map.remove(first);
    }
    true
}

fn paths_in(map: &Map, prefix: &mut String, visit: &mut impl FnMut(&str)) {
    for (key, value) in map.iter() {
        let len = prefix.len();
        if len > 0 {
            prefix.push('.');
        }
        prefix.push_str(key);
        visit(prefix);
        if let Value::Map(nested) = value {
            paths_in(nested, prefix, visit);
        }
        prefix.truncate(len);
    }
}

/// Collects fields; of two with the same key the later wins.
impl<K: Into<SmolStr>, V: Into<Value>> FromIterator<(K, V)> for Map {
    fn from_iter<I: IntoIterator<Item = (K, V)>>(fields: I) -> Self {
        let mut fields: Vec<(SmolStr, Value)> =
            fields.into_iter().map(|(k, v)| (k.into(), v.into())).collect();
        fields.sort_by(|a, b| a.0.cmp(&b.0));
        let mut keys: Vec<SmolStr> = Vec::with_capacity(fields.len());
        let mut values: Vec<Value> = Vec::with_capacity(fields.len());
        for (key, value) in fields {
            if keys.last() == Some(&key) {
                values.pop();
                values.push(value);
            } else {
                keys.push(key);
                values.push(value);
            }
        }
        Self { shape: Shape(Arc::new(keys)), values }
    }
}
