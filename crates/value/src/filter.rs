//! The one filter type: predicates over dotted paths.
//!
//! What Gremlin's `Has`, subscriptions, capture targets, sinks, alerts and stores speak. It is plain data: evaluated
//! in memory by a [`Matcher`](crate::Matcher), sent to agents, or turned into SQL by a store.

use smol_str::SmolStr;

use crate::{Ipv4Net, Path, Pattern};

/// A condition on an element.
#[derive(Clone, Debug, PartialEq)]
pub enum Filter {
    /// All hold; none given, it holds.
    And(Vec<Filter>),
    /// One holds; none given, it holds.
    Or(Vec<Filter>),
    /// One does not hold; none given, it holds.
    Not(Vec<Filter>),
    /// The field at the path passes the test.
    Field(Path, Test),
}

/// A test of one field. A list passes when any of its elements does; a missing field passes only [`Test::Missing`].
#[derive(Clone, Debug, PartialEq)]
pub enum Test {
    /// Text equal to this.
    Text(SmolStr),
    /// A number, or text that is one, equal to this; see [`Value::to_int`](crate::Value::to_int).
    Int(i64),
    /// A truth value equal to this.
    Bool(bool),
    /// A number greater than this.
    Gt(i64),
    /// A number greater than or equal to this.
    Gte(i64),
    /// A number less than this.
    Lt(i64),
    /// A number less than or equal to this.
    Lte(i64),
    /// Text that the pattern matches.
    Regex(Pattern),
    /// Text that is an IPv4 address in the range, with or without `/n`.
    Ipv4Range(Ipv4Net),
    /// Text equal to one of these, sorted; many alternatives cost as much as one.
    OneOf(Vec<SmolStr>),
    /// The field is not there.
    Missing,
}

impl Filter {
    /// The filter that everything passes.
    pub const fn all() -> Self {
        Self::And(Vec::new())
    }

    /// Whether it is the filter that everything passes.
    pub fn is_all(&self) -> bool {
        matches!(self, Self::And(of) | Self::Or(of) | Self::Not(of) if of.is_empty())
    }

    /// The field is text equal to `text`.
    pub fn text(path: impl Into<Path>, text: impl Into<SmolStr>) -> Self {
        Self::Field(path.into(), Test::Text(text.into()))
    }

    /// The field is a number equal to `n`.
    pub fn int(path: impl Into<Path>, n: i64) -> Self {
        Self::Field(path.into(), Test::Int(n))
    }

    /// The field is there.
    pub fn present(path: impl Into<Path>) -> Self {
        Self::not(Self::Field(path.into(), Test::Missing))
    }

    /// The negation.
    #[expect(clippy::should_implement_trait, reason = "a constructor beside and/or, not an operator")]
    pub fn not(filter: Self) -> Self {
        Self::Not(vec![filter])
    }

    /// Both; conditions that always hold and nesting are dropped.
    #[must_use]
    pub fn and(self, other: Self) -> Self {
        let mut all = match self {
            Self::And(of) => of,
            one => vec![one],
        };
        match other {
            Self::And(of) => all.extend(of),
            one => all.push(one),
        }
        if all.len() == 1 { all.remove(0) } else { Self::And(all) }
    }
}
