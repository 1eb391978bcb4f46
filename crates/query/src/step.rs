//! What a step of the language is.

use std::fmt::Debug;

use crate::steps::restart;
use crate::{Args, Kind, ParseError, Plan, QueryError};

/// A kind of step. Adding one is one definition and one line in [`STEPS`](crate::STEPS).
pub struct StepDef {
    /// Name as users write it; case does not matter.
    pub name: &'static str,
    /// What it does, in one line.
    pub about: &'static str,
    /// What it may follow, and what it gives there. Drives the check of queries and completion.
    pub on: &'static [(Kind, Kind)],
    /// What its arguments are; drives completion.
    pub args: &'static [Slot],
    /// Checks number and type of the arguments.
    pub parse: fn(Args) -> Result<Box<dyn Step>, ParseError>,
}

impl StepDef {
    /// Whether it is written with parentheses.
    pub fn is_called(&self) -> bool {
        self.name != restart::DEF.name
    }
}

/// What may stand at a place among the arguments of a step.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Slot {
    /// Identifier of a node or an edge.
    Id,
    /// Name of a field.
    Key,
    /// Any number of names of fields.
    Keys,
    /// Any number of pairs: a name of a field, then a value or a predicate.
    Conditions,
    /// A whole number.
    Number,
    /// A number of levels.
    Depth,
    /// `ASC` or `DESC`.
    Order,
    /// A name for rows.
    Name,
    /// Any number of names of rows.
    Names,
    /// A point in time.
    Time,
    /// A length of time.
    Duration,
    /// An IP address.
    Address,
    /// `Metadata(…)`.
    Metadata,
    /// Name of a metric.
    Metric,
    /// A filter in tcpdump's language.
    PacketFilter,
}

impl Slot {
    /// The word for it in descriptions of the language for machines.
    pub fn name(self) -> &'static str {
        match self {
            Self::Id => "id",
            Self::Key => "key",
            Self::Keys => "keys",
            Self::Conditions => "conditions",
            Self::Number => "number",
            Self::Depth => "depth",
            Self::Order => "order",
            Self::Name => "name",
            Self::Names => "names",
            Self::Time => "time",
            Self::Duration => "duration",
            Self::Address => "address",
            Self::Metadata => "metadata",
            Self::Metric => "metric",
            Self::PacketFilter => "packet-filter",
        }
    }
}

/// A step with its arguments, as parsed. What it does is decided for every run, in [`Step::plan`].
pub trait Step: Debug + Send + Sync {
    /// Adds the step to `plan`: as an operation of its own, or as work for the operation before it.
    fn plan(&self, plan: &mut Plan) -> Result<(), QueryError>;
}

impl Debug for StepDef {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.write_str(self.name)
    }
}
