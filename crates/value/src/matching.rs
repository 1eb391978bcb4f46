//! Evaluation of a [`Filter`] in memory.
//!
//! A [`Matcher`] remembers, per predicate, where the last map had the field. Maps of one kind share their
//! [`Shape`](crate::Shape), so a scan over a million elements compares a pointer and reads one value each.

use std::cell::{Cell, RefCell};

use smol_str::SmolStr;

use crate::scalar::int_of_text;
use crate::{Filter, Id, Map, Path, Shape, ShortText, Test, Value};

/// Something with named fields that a filter can be asked of.
pub trait Fields {
    /// The field at `path`; `None` when it is missing. `hint` is the caller's memory for this path: hand it to
    /// [`FieldRef::in_map`] when the field lives in a [`Map`], ignore it otherwise.
    fn field<'a>(&'a self, path: &'a Path, hint: &Hint) -> Option<FieldRef<'a>>;
}

/// A field as found, without copying it.
#[derive(Clone, Copy, Debug)]
pub enum FieldRef<'a> {
    /// Text that is not stored as a [`Value`].
    Str(&'a str),
    /// Text that is not stored at all but made when it is asked for.
    Text(ShortText),
    /// Texts that are not stored as [`Value`]s; they count as a list.
    Texts(&'a [SmolStr]),
    /// A number that is not stored as a [`Value`].
    Int(i64),
    /// A truth value that is not stored as a [`Value`].
    Bool(bool),
    /// An identifier; it counts as text.
    Id(&'a Id),
    /// A stored value.
    Value(&'a Value),
    /// A list was met with part of the path left: the field is what its elements have there.
    Each(&'a [Value], &'a [SmolStr]),
}

/// Where a path's field was found last. It holds on to that map's shape, so the shape can neither change nor be
/// mistaken for a later one at the same address.
#[derive(Debug, Default)]
pub struct Hint {
    shape: RefCell<Option<Shape>>,
    position: Cell<usize>,
    place: Cell<Place>,
}

/// Where a path's field is in a fixed list of fields.
#[derive(Clone, Copy, Debug, Default)]
enum Place {
    /// Nobody looked yet.
    #[default]
    Unknown,
    Known(Option<u32>),
}

/// A filter ready to be asked many times by one thread.
#[derive(Debug)]
pub struct Matcher<'f> {
    filter: &'f Filter,
    /// Of the first predicate, so that a filter of one costs no memory.
    first: Hint,
    others: Vec<Hint>,
}

/// The hints of predicates to come.
type Hints<'h> = std::iter::Chain<std::iter::Once<&'h Hint>, std::slice::Iter<'h, Hint>>;

/// Says that the field is not in the map of the remembered shape.
const ABSENT: usize = usize::MAX;

impl Hint {
    /// The place of the path's field in a list of fields that never changes. `find` looks for it, once.
    #[inline]
    pub fn place(&self, find: impl FnOnce() -> Option<u32>) -> Option<u32> {
        match self.place.get() {
            Place::Known(place) => place,
            Place::Unknown => {
                let place = find();
                self.place.set(Place::Known(place));
                place
            }
        }
    }
}

impl<'a> FieldRef<'a> {
    /// Finds `path` in a map; `None` when it is missing or runs through a scalar.
    #[inline]
    pub fn in_map(map: &'a Map, path: &'a Path, hint: &Hint) -> Option<Self> {
        let (first, rest) = path.segments().split_first()?;
        let known = hint.shape.borrow().as_ref().is_some_and(|shape| shape.is_same(map.shape()));
        if !known {
            hint.shape.replace(Some(map.shape().clone()));
            hint.position.set(map.shape().position(first).unwrap_or(ABSENT));
        }
        Self::descend(map.values.get(hint.position.get())?, rest)
    }

    #[inline]
    fn descend(mut value: &'a Value, mut rest: &'a [SmolStr]) -> Option<Self> {
        while let Some((next, after)) = rest.split_first() {
            match value {
                Value::Map(map) => value = map.get(next)?,
                Value::List(items) => return Some(Self::Each(items, rest)),
                _ => return None,
            }
            rest = after;
        }
        Some(Self::Value(value))
    }

    /// The field as a value of its own.
    pub fn to_value(self) -> Value {
        match self {
            Self::Str(text) => Value::from(text),
            Self::Text(text) => Value::from(text.as_str()),
            Self::Texts(texts) => {
                Value::from(texts.iter().map(|text| Value::Str(text.clone())).collect::<Vec<_>>())
            }
            Self::Int(n) => Value::Int(n),
            Self::Bool(b) => Value::Bool(b),
            Self::Id(id) => Value::from(id.to_string()),
            Self::Value(value) => value.clone(),
            Self::Each(items, rest) => Value::from(
                items.iter().filter_map(|v| Self::descend(v, rest)).map(Self::to_value).collect::<Vec<_>>(),
            ),
        }
    }

    /// Whether `test` holds for the field or, in a list, for any element. A list met on the way is searched at any
    /// depth; a list at the end of the path only at its first level.
    #[inline]
    fn any(self, test: &mut impl FnMut(Self) -> bool) -> bool {
        match self {
            Self::Value(Value::List(items)) => items.iter().any(|v| test(Self::Value(v))),
            Self::Each(items, rest) => {
                items.iter().filter_map(|v| Self::descend(v, rest)).any(|found| found.any(test))
            }
            Self::Texts(texts) => texts.iter().any(|text| test(Self::Str(text))),
            scalar => test(scalar),
        }
    }

    /// Calls `see` with the field's scalar values: the elements of a list (as [`FieldRef::any`] sees them), or the
    /// field itself. What an index must hold so that it agrees with a filter.
    pub fn each_scalar(self, see: &mut impl FnMut(FieldRef<'a>)) {
        self.any(&mut |scalar| {
            see(scalar);
            false
        });
    }

    /// Calls `f` with the text, when it is one.
    #[inline]
    pub fn with_str<T>(self, f: impl FnOnce(&str) -> T) -> Option<T> {
        match self {
            Self::Str(text) => Some(f(text)),
            Self::Text(text) => Some(f(text.as_str())),
            Self::Value(Value::Str(text)) => Some(f(text)),
            Self::Id(id) => Some(id.with_str(f)),
            _ => None,
        }
    }

    #[inline]
    fn is_text(self, f: impl FnOnce(&str) -> bool) -> bool {
        self.with_str(f).unwrap_or(false)
    }

    #[inline]
    fn to_int(self) -> Option<i64> {
        match self {
            Self::Int(n) => Some(n),
            Self::Str(text) => int_of_text(text),
            Self::Text(text) => int_of_text(text.as_str()),
            Self::Value(value) => value.to_int(),
            Self::Id(id) => id.with_str(int_of_text),
            Self::Bool(_) | Self::Texts(_) | Self::Each(..) => None,
        }
    }
}

impl<'f> Matcher<'f> {
    /// Prepares `filter`.
    pub fn new(filter: &'f Filter) -> Self {
        let mut others = Vec::new();
        others.resize_with(count_fields(filter).saturating_sub(1), Hint::default);
        Self { filter, first: Hint::default(), others }
    }

    /// The value that the first predicate will look at, if the map is like the last one: a scan over memory that is
    /// not in the cache asks for it ahead. What it is means nothing.
    #[inline]
    pub fn likely<'m>(&self, map: &'m Map) -> Option<&'m Value> {
        map.values.get(self.first.position.get())
    }

    /// Whether `subject` passes.
    #[inline]
    pub fn matches(&self, subject: &impl Fields) -> bool {
        let mut hints = std::iter::once(&self.first).chain(&self.others);
        eval(self.filter, subject, &mut hints)
    }
}

impl Filter {
    /// Whether `subject` passes. For many subjects a [`Matcher`] is faster.
    #[inline]
    pub fn matches(&self, subject: &impl Fields) -> bool {
        Matcher::new(self).matches(subject)
    }
}

fn count_fields(filter: &Filter) -> usize {
    match filter {
        Filter::And(of) | Filter::Or(of) | Filter::Not(of) => of.iter().map(count_fields).sum(),
        Filter::Field(..) => 1,
    }
}

/// Hints stand in the order of the predicates, so a branch that is not taken must skip its own.
#[inline]
fn eval(filter: &Filter, subject: &impl Fields, hints: &mut Hints<'_>) -> bool {
    match filter {
        Filter::And(of) => first_with(of, false, true, subject, hints),
        Filter::Or(of) => of.is_empty() || first_with(of, true, false, subject, hints),
        Filter::Not(of) => of.is_empty() || !first_with(of, false, true, subject, hints),
        Filter::Field(path, test) => {
            let Some(hint) = hints.next() else { return false };
            test.holds(subject.field(path, hint))
        }
    }
}

/// `wanted` as soon as one of `of` gives it, else `otherwise`.
fn first_with(
    of: &[Filter],
    wanted: bool,
    otherwise: bool,
    subject: &impl Fields,
    hints: &mut Hints<'_>,
) -> bool {
    for (i, one) in of.iter().enumerate() {
        if eval(one, subject, hints) == wanted {
            let skipped: usize = of[i + 1..].iter().map(count_fields).sum();
            if skipped > 0 {
                hints.nth(skipped - 1);
            }
            return wanted;
        }
    }
    otherwise
}

impl Test {
    /// Whether the test holds for a field as found, `None` being missing.
    #[inline]
    pub fn holds(&self, field: Option<FieldRef<'_>>) -> bool {
        let Some(field) = field else { return matches!(self, Self::Missing) };
        match self {
            Self::Missing => false,
            Self::Text(text) => field.any(&mut |f| f.is_text(|s| s == text.as_str())),
            Self::OneOf(texts) => {
                field.any(&mut |f| f.is_text(|s| texts.binary_search_by(|t| t.as_str().cmp(s)).is_ok()))
            }
            Self::Bool(b) => field
                .any(&mut |f| matches!(f, FieldRef::Value(&Value::Bool(v)) | FieldRef::Bool(v) if v == *b)),
            Self::Int(n) => field.any(&mut |f| f.to_int() == Some(*n)),
            Self::Gt(n) => field.any(&mut |f| f.to_int().is_some_and(|v| v > *n)),
            Self::Gte(n) => field.any(&mut |f| f.to_int().is_some_and(|v| v >= *n)),
            Self::Lt(n) => field.any(&mut |f| f.to_int().is_some_and(|v| v < *n)),
            Self::Lte(n) => field.any(&mut |f| f.to_int().is_some_and(|v| v <= *n)),
            Self::Regex(pattern) => field.any(&mut |f| f.is_text(|s| pattern.is_match(s))),
            Self::Ipv4Range(net) => field.any(&mut |f| f.is_text(|s| net.contains_text(s))),
        }
    }
}
