//! Names of fields in dot notation.

use std::fmt;
use std::sync::Arc;

use smol_str::SmolStr;

/// A dotted path: `Name`, `Metric.RxBytes`, `@Host`. The prefix `Metadata.` means the same as nothing.
#[derive(Clone, Debug, PartialEq, Eq, Hash)]
pub struct Path {
    segments: Arc<[SmolStr]>,
    is_attribute: bool,
}

/// Most names in a path. What is nested deeper than any reader goes is refused where it would be made: everything
/// that walks nested values may recurse.
pub(crate) const MAX_SEGMENTS: usize = 64;

impl Path {
    /// Whether the path is short enough to be written to; see [`Map::set_path`](crate::Map::set_path).
    pub fn is_writable(&self) -> bool {
        self.segments.len() <= MAX_SEGMENTS
    }

    /// Splits at the dots. Every text is a path; an empty one names the field with the empty name.
    pub fn parse(text: &str) -> Self {
        let text = text.strip_prefix("Metadata.").unwrap_or(text);
        Self { segments: text.split('.').map(SmolStr::from).collect(), is_attribute: text.starts_with('@') }
    }

    /// The names from the outside in; at least one.
    #[inline]
    pub fn segments(&self) -> &[SmolStr] {
        &self.segments
    }

    /// The outermost name.
    #[inline]
    pub fn first(&self) -> &str {
        self.segments.first().map_or("", SmolStr::as_str)
    }

    /// Whether it names an attribute of the element itself (`@ID`, `@Host`, …) and not of its metadata.
    #[inline]
    pub fn is_attribute(&self) -> bool {
        self.is_attribute
    }
}

impl fmt::Display for Path {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        for (i, segment) in self.segments.iter().enumerate() {
            if i > 0 {
                f.write_str(".")?;
            }
            f.write_str(segment)?;
        }
        Ok(())
    }
}

impl From<&str> for Path {
    fn from(text: &str) -> Self {
        Self::parse(text)
    }
}
