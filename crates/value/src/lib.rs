//! Typed values and the questions one can ask of them.
//!
//! The bottom layer: what metadata is made of ([`Value`], [`Map`]), how a part of it is named ([`Path`]), the one
//! filter that queries, subscriptions, captures and stores all speak ([`Filter`]), identifiers ([`Id`]) and times
//! ([`Timestamp`], [`Span`]). Nothing here does I/O, reads a clock or knows an encoding; `serde` is implemented
//! because a value is self-describing, the spelling of messages is the business of `proto`.

use std::future::Future;
use std::pin::Pin;

mod cidr;
mod coverage;
mod definition;
mod filter;
mod id;
mod map;
mod matching;
mod path;
mod regexp;
mod scalar;
mod self_describing;
mod shape;
mod short_text;
mod time;

pub use cidr::{CidrError, Ipv4Net};
pub use coverage::Coverage;
pub use definition::{DefinitionError, parse_definition};
pub use filter::{Filter, Test};
pub use id::Id;
pub use map::{Map, PathError};
pub use matching::{FieldRef, Fields, Hint, Matcher};
pub use path::Path;
pub use regexp::{Pattern, PatternError};
pub use scalar::Value;
pub use shape::{Shape, Shapes};
pub use short_text::ShortText;
pub use smol_str::SmolStr;
pub use time::{Clock, Span, Timestamp};

/// The one alias for futures of `dyn` traits.
pub type BoxFuture<'a, T> = Pin<Box<dyn Future<Output = T> + Send + 'a>>;
