//! Reading of JSON objects the way the original's clients expect: member names in any case, unknown ones skipped,
//! `null` the same as absent.

use std::fmt;

use serde::Deserialize;
use serde::de::{DeserializeSeed, Deserializer, Error, Visitor};
use skydive_value::Timestamp;

/// The member name of an object: the one of `self.0` it equals when case is ignored.
pub(crate) struct MemberName(pub(crate) &'static [&'static str]);

impl<'de> DeserializeSeed<'de> for MemberName {
    type Value = Option<&'static str>;

    fn deserialize<D: Deserializer<'de>>(self, deserializer: D) -> Result<Self::Value, D::Error> {
        deserializer.deserialize_str(self)
    }
}

impl Visitor<'_> for MemberName {
    type Value = Option<&'static str>;

    fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("a member name")
    }

    fn visit_str<E>(self, name: &str) -> Result<Self::Value, E> {
        Ok(self.0.iter().copied().find(|known| known.eq_ignore_ascii_case(name)))
    }
}

/// Declares an object whose members are all optional, and reads it. `null` and absent members are `None`.
macro_rules! object {
    (struct $name:ident <$life:lifetime> $what:literal { $($field:ident : $type:ty = $text:literal,)+ }) => {
        #[derive(Default)]
        struct $name<$life> {
            $($field: Option<$type>,)+
        }
        $crate::json::object!(@read $name, $what, [$life], [<$life>], $($field: $type = $text,)+);
    };
    (struct $name:ident $what:literal { $($field:ident : $type:ty = $text:literal,)+ }) => {
        #[derive(Default)]
        struct $name {
            $($field: Option<$type>,)+
        }
        $crate::json::object!(@read $name, $what, ['de], [], $($field: $type = $text,)+);
    };
    (@read $name:ident, $what:literal, [$life:lifetime], [$($params:tt)*], $($field:ident : $type:ty = $text:literal,)+) => {
        impl<$life> serde::Deserialize<$life> for $name $($params)* {
            fn deserialize<D: serde::Deserializer<$life>>(deserializer: D) -> Result<Self, D::Error> {
                struct MembersVisitor;
                impl<$life> serde::de::Visitor<$life> for MembersVisitor {
                    type Value = $name $($params)*;

                    fn expecting(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
                        f.write_str($what)
                    }

                    fn visit_map<A: serde::de::MapAccess<$life>>(self, mut map: A) -> Result<Self::Value, A::Error> {
                        let mut object = $name::default();
                        while let Some(member) = map.next_key_seed($crate::json::MemberName(&[$($text),+]))? {
                            match member {
                                $(Some($text) => if let Some(value) = map.next_value::<Option<$type>>()? {
                                    object.$field = Some(value);
                                },)+
                                _ => {
                                    map.next_value::<serde::de::IgnoredAny>()?;
                                }
                            }
                        }
                        Ok(object)
                    }
                }
                deserializer.deserialize_map(MembersVisitor)
            }
        }
    };
}
pub(crate) use object;

/// A time that must be a whole number of milliseconds: neither text nor a fraction.
pub(crate) struct Millis(pub(crate) Timestamp);

impl<'de> Deserialize<'de> for Millis {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        struct Whole;
        impl Visitor<'_> for Whole {
            type Value = Millis;

            fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
                f.write_str("a whole number of milliseconds")
            }

            fn visit_i64<E: Error>(self, ms: i64) -> Result<Millis, E> {
                Ok(Millis(Timestamp::from_millis(ms)))
            }

            fn visit_u64<E: Error>(self, ms: u64) -> Result<Millis, E> {
                i64::try_from(ms)
                    .map(|ms| Millis(Timestamp::from_millis(ms)))
                    .map_err(|_| E::custom("time out of range"))
            }
        }
        deserializer.deserialize_i64(Whole)
    }
}
