//! How members of flows are spelled in JSON where it is not as `serde` does it by itself.

use std::fmt;
use std::marker::PhantomData;

use serde::Deserialize;
use serde::de::{Deserializer, Error, IgnoredAny, SeqAccess, Visitor};

/// Most entries of a list within a flow: twice what a DNS message within our own limits has.
pub(super) const LIST_MAX: usize = 1024;

pub(super) fn is_zero<T: Default + PartialEq>(value: &T) -> bool {
    *value == T::default()
}

/// A list of at most [`LIST_MAX`] entries; `null` is an empty one.
pub(super) fn list<'de, T: Deserialize<'de>, D: Deserializer<'de>>(from: D) -> Result<Vec<T>, D::Error> {
    struct Entries<T>(PhantomData<T>);

    impl<'de, T: Deserialize<'de>> Visitor<'de> for Entries<T> {
        type Value = Vec<T>;

        fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
            f.write_str("a list")
        }

        fn visit_unit<E>(self) -> Result<Vec<T>, E> {
            Ok(Vec::new())
        }

        fn visit_seq<A: SeqAccess<'de>>(self, mut entries: A) -> Result<Vec<T>, A::Error> {
            let mut list = Vec::new();
            while list.len() < LIST_MAX {
                match entries.next_element()? {
                    Some(entry) => list.push(entry),
                    None => return Ok(list),
                }
            }
            match entries.next_element::<IgnoredAny>()? {
                Some(_) => Err(A::Error::custom(format_args!("a list of more than {LIST_MAX} entries"))),
                None => Ok(list),
            }
        }
    }

    from.deserialize_any(Entries(PhantomData))
}

/// Declares how the number of an enumeration is spelled: as its name.
macro_rules! by_name {
    ($module:ident, $type:ty, $what:literal) => {
        pub(super) mod $module {
            use std::fmt;

            use serde::de::{Deserializer, Error, Visitor};
            use serde::{Serialize, Serializer};

            pub(in super::super) fn serialize<S: Serializer>(number: &i32, to: S) -> Result<S::Ok, S::Error> {
                <$type>::from_number(*number).map_or("", <$type>::name).serialize(to)
            }

            pub(in super::super) fn deserialize<'de, D: Deserializer<'de>>(from: D) -> Result<i32, D::Error> {
                struct Name;

                impl Visitor<'_> for Name {
                    type Value = i32;

                    fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
                        f.write_str(concat!("the name of ", $what))
                    }

                    fn visit_str<E: Error>(self, name: &str) -> Result<i32, E> {
                        let known = <$type>::from_name(name).map(<$type>::number);
                        known.ok_or_else(|| E::invalid_value(serde::de::Unexpected::Str(name), &self))
                    }
                }

                from.deserialize_str(Name)
            }
        }
    };
}

by_name!(protocol, skydive_flow::Protocol, "a protocol");
by_name!(icmp_kind, skydive_flow::IcmpKind, "a class of ICMP messages");

/// Bytes in base64.
pub(super) mod base64 {
    use ::base64::Engine;
    use ::base64::engine::general_purpose::STANDARD;
    use serde::de::{Deserializer, Error};
    use serde::{Deserialize, Serialize, Serializer};

    pub(in super::super) fn serialize<S: Serializer>(bytes: &[u8], to: S) -> Result<S::Ok, S::Error> {
        STANDARD.encode(bytes).serialize(to)
    }

    pub(in super::super) fn deserialize<'de, D: Deserializer<'de>>(from: D) -> Result<Vec<u8>, D::Error> {
        let text = Option::<String>::deserialize(from)?.unwrap_or_default();
        STANDARD.decode(text).map_err(D::Error::custom)
    }
}
