//! Identifiers of nodes and edges: any text, most often a UUID.

use std::fmt;
use std::sync::Arc;

use serde::{Deserialize, Deserializer, Serialize, Serializer, de};
use uuid::Uuid;

/// An identifier. Text that is a UUID in its canonical form (lower case, hyphens) takes 16 bytes and no heap; any
/// other text is kept as it is. Two identifiers are equal when their texts are.
#[derive(Clone, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub struct Id(Repr);

#[derive(Clone, PartialEq, Eq, Hash, PartialOrd, Ord)]
enum Repr {
    Uuid([u8; 16]),
    Text(Arc<str>),
}

/// Longest text of a UUID, for callers that render ids without allocating.
const UUID_LEN: usize = 36;

impl Id {
    /// A random identifier (UUID v4).
    pub fn random() -> Self {
        Self(Repr::Uuid(*Uuid::new_v4().as_bytes()))
    }

    /// The identifier that follows from `parts` alone: UUID v5 in the OID namespace over the parts joined by `/`.
    pub fn from_parts(parts: &[&str]) -> Self {
        Self::from_name(&parts.join("/"))
    }

    /// The identifier that follows from one text: UUID v5 in the OID namespace over it.
    pub fn from_name(name: &str) -> Self {
        Self(Repr::Uuid(*Uuid::new_v5(&Uuid::NAMESPACE_OID, name.as_bytes()).as_bytes()))
    }

    /// Whether the text is empty; such an identifier names nothing.
    pub fn is_empty(&self) -> bool {
        matches!(&self.0, Repr::Text(text) if text.is_empty())
    }

    /// Calls `f` with the text.
    pub fn with_str<T>(&self, f: impl FnOnce(&str) -> T) -> T {
        match &self.0 {
            Repr::Uuid(bytes) => {
                let mut text = [0u8; UUID_LEN];
                f(Uuid::from_bytes(*bytes).hyphenated().encode_lower(&mut text))
            }
            Repr::Text(text) => f(text),
        }
    }
}

impl From<&str> for Id {
    fn from(text: &str) -> Self {
        if text.len() == UUID_LEN
            && let Ok(uuid) = Uuid::try_parse_ascii(text.as_bytes())
            && text == uuid.hyphenated().encode_lower(&mut [0u8; UUID_LEN])
        {
            return Self(Repr::Uuid(*uuid.as_bytes()));
        }
        Self(Repr::Text(text.into()))
    }
}

impl From<String> for Id {
    fn from(text: String) -> Self {
        Self::from(text.as_str())
    }
}

impl PartialEq<str> for Id {
    fn eq(&self, other: &str) -> bool {
        self.with_str(|text| text == other)
    }
}

impl fmt::Display for Id {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        self.with_str(|text| f.pad(text))
    }
}

impl fmt::Debug for Id {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        self.with_str(|text| f.write_str(text))
    }
}

impl Serialize for Id {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        self.with_str(|text| serializer.serialize_str(text))
    }
}

impl<'de> Deserialize<'de> for Id {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        struct Text;
        impl de::Visitor<'_> for Text {
            type Value = Id;

            fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
                f.write_str("a text identifier")
            }

            fn visit_str<E: de::Error>(self, text: &str) -> Result<Id, E> {
                Ok(Id::from(text))
            }
        }
        deserializer.deserialize_str(Text)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn only_the_canonical_uuid_text_is_packed() {
        for text in ["d720e32d-4765-5177-b65b-42dd7f6e6445", "D720e32d-4765-5177-b65b-42dd7f6e6445", "n1", ""]
        {
            assert_eq!(Id::from(text).to_string(), text);
        }
        assert_ne!(
            Id::from("d720e32d-4765-5177-b65b-42dd7f6e6445"),
            Id::from("D720E32D-4765-5177-B65B-42DD7F6E6445")
        );
        assert!(size_of::<Id>() <= 24);
    }
}
