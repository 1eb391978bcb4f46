//! The value of one metadata field.

use std::sync::Arc;

use smol_str::SmolStr;

use crate::Map;

/// A typed metadata value. 24 bytes; cloning never copies text, lists or maps beyond a few bytes.
///
/// A float that is a whole number inside the range of `i64` is an `Int`: use [`Value::from`] and the two can never
/// stand for the same number twice.
#[derive(Clone, Debug, Default, PartialEq)]
pub enum Value {
    /// Present, without a value (JSON `null`).
    #[default]
    Null,
    /// True or false.
    Bool(bool),
    /// A whole number.
    Int(i64),
    /// Any other number.
    Float(f64),
    /// Text.
    Str(SmolStr),
    /// An ordered list.
    List(Arc<[Value]>),
    /// Nested fields.
    Map(Arc<Map>),
}

impl Value {
    /// A list of what `items` yields.
    pub fn list<V: Into<Value>>(items: impl IntoIterator<Item = V>) -> Self {
        Self::List(items.into_iter().map(Into::into).collect())
    }

    /// The text, when it is one.
    #[inline]
    pub fn as_str(&self) -> Option<&str> {
        match self {
            Self::Str(text) => Some(text),
            _ => None,
        }
    }

    /// The whole number, when it is one.
    #[inline]
    pub fn as_int(&self) -> Option<i64> {
        match self {
            Self::Int(n) => Some(*n),
            _ => None,
        }
    }

    /// The truth value, when it is one.
    pub fn as_bool(&self) -> Option<bool> {
        match self {
            Self::Bool(b) => Some(*b),
            _ => None,
        }
    }

    /// The list, when it is one.
    pub fn as_list(&self) -> Option<&[Value]> {
        match self {
            Self::List(items) => Some(items),
            _ => None,
        }
    }

    /// The nested fields, when it has some.
    pub fn as_map(&self) -> Option<&Map> {
        match self {
            Self::Map(map) => Some(map),
            _ => None,
        }
    }

    /// The value as a whole number, the way numeric filters see it: floats are cut, truth is 1 or 0, `Null` is 0,
    /// text counts when it is a number (`0x`, `0o`, `0b` and a leading `0` give the base, a zero decimal part is
    /// dropped). `None` for lists, maps and any other text.
    #[inline]
    pub fn to_int(&self) -> Option<i64> {
        match self {
            Self::Null => Some(0),
            Self::Bool(b) => Some(i64::from(*b)),
            Self::Int(n) => Some(*n),
            Self::Float(f) => Some(*f as i64),
            Self::Str(text) => int_of_text(text),
            Self::List(_) | Self::Map(_) => None,
        }
    }

    /// The value with dots in map keys turned into nesting and `Null` into empty text, at every depth.
    #[must_use]
    pub fn normalized(&self) -> Self {
        match self {
            Self::Null => Self::Str(SmolStr::default()),
            Self::List(items) => Self::List(items.iter().map(Self::normalized).collect()),
            Self::Map(map) => Self::Map(Arc::new(map.normalized())),
            other => other.clone(),
        }
    }

    /// Whether it is no list and no map.
    pub(crate) fn is_shallow(&self) -> bool {
        !matches!(self, Self::List(_) | Self::Map(_))
    }

    /// Whether lists and maps are nested in it at most `levels` deep.
    pub(crate) fn is_within(&self, levels: usize) -> bool {
        match self {
            Self::List(items) => levels > 0 && items.iter().all(|item| item.is_within(levels - 1)),
            Self::Map(map) => levels > 0 && map.iter().all(|(_, value)| value.is_within(levels - 1)),
            _ => true,
        }
    }

    /// True for `[]` and `{}`; any other value is never empty.
    pub fn is_empty_collection(&self) -> bool {
        match self {
            Self::List(items) => items.is_empty(),
            Self::Map(map) => map.is_empty(),
            _ => false,
        }
    }
}

pub(crate) fn int_of_text(text: &str) -> Option<i64> {
    let (whole, fraction) = text.split_once('.').unwrap_or((text, ""));
    if !fraction.bytes().all(|b| b == b'0') || whole.is_empty() {
        return None;
    }
    let (negative, digits) = match whole.as_bytes()[0] {
        b'-' => (true, &whole[1..]),
        b'+' => (false, &whole[1..]),
        _ => (false, whole),
    };
    let lower = digits.as_bytes();
    let (base, digits) = match lower {
        [b'0', b'x' | b'X', ..] => (16, &digits[2..]),
        [b'0', b'o' | b'O', ..] => (8, &digits[2..]),
        [b'0', b'b' | b'B', ..] => (2, &digits[2..]),
        [b'0', _, ..] => (8, &digits[1..]),
        _ => (10, digits),
    };
    if digits.starts_with(['+', '-']) {
        return None;
    }
    let magnitude = i128::from_str_radix(digits, base).ok()?;
    i64::try_from(if negative { -magnitude } else { magnitude }).ok()
}

impl From<bool> for Value {
    fn from(b: bool) -> Self {
        Self::Bool(b)
    }
}

impl From<f64> for Value {
    fn from(f: f64) -> Self {
        const LIMIT: f64 = 9_223_372_036_854_775_808.0;
        if f.fract() == 0.0 && (-LIMIT..LIMIT).contains(&f) { Self::Int(f as i64) } else { Self::Float(f) }
    }
}

macro_rules! from_int {
    ($($t:ty)*) => {$(
        impl From<$t> for Value {
            fn from(n: $t) -> Self {
                Self::Int(i64::from(n))
            }
        }
    )*};
}
from_int!(i64 i32 i16 u32 u16 u8);

impl From<u64> for Value {
    /// Counters beyond the range of `i64` stay at its end.
    fn from(n: u64) -> Self {
        Self::Int(i64::try_from(n).unwrap_or(i64::MAX))
    }
}

impl From<&str> for Value {
    fn from(text: &str) -> Self {
        Self::Str(text.into())
    }
}

impl From<String> for Value {
    fn from(text: String) -> Self {
        Self::Str(text.into())
    }
}

impl From<SmolStr> for Value {
    fn from(text: SmolStr) -> Self {
        Self::Str(text)
    }
}

impl From<Map> for Value {
    fn from(map: Map) -> Self {
        Self::Map(Arc::new(map))
    }
}

impl From<Vec<Value>> for Value {
    fn from(items: Vec<Value>) -> Self {
        Self::List(items.into())
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_value_is_small() {
        assert_eq!(size_of::<Value>(), 24);
    }

    #[test]
    fn numbers_in_text() {
        for (text, number) in [
            ("10", Some(10)),
            ("-3", Some(-3)),
            ("0x10", Some(16)),
            ("010", Some(8)),
            ("3.0", Some(3)),
            ("3.5", None),
            ("", None),
            ("+-1", None),
            ("0", Some(0)),
            ("x", None),
            ("99999999999999999999", None),
            ("é", None),
        ] {
            assert_eq!(Value::from(text).to_int(), number, "{text}");
        }
    }

    #[test]
    fn whole_floats_are_integers() {
        assert_eq!(Value::from(3.0), Value::Int(3));
        assert_eq!(Value::from(2.5), Value::Float(2.5));
        assert_eq!(Value::from(1e300), Value::Float(1e300));
    }
}
