//! What can be wrong with a query, before and while it runs.

use skydive_flow::FlowReadError;
use skydive_graph::ReadError;
use skydive_value::SmolStr;
use thiserror::Error;

use crate::Kind;

/// Text that is no query. The messages are those that clients of the original know.
#[derive(Clone, Debug, PartialEq, Eq, Error)]
#[error("{message}")]
pub struct ParseError {
    /// What is wrong.
    pub message: String,
    /// Where: offset of the first byte at fault; the length of the text when something is missing at its end.
    pub offset: usize,
}

/// A query that parses but has no answer.
#[derive(Clone, Debug, Error)]
pub enum QueryError {
    /// The step cannot follow what the steps before it give.
    #[error("{}", misplaced(.step, *.on))]
    Misplaced {
        /// Name of the step.
        step: &'static str,
        /// What it stands on.
        on: Kind,
        /// Offset of the step in the text.
        offset: usize,
    },
    /// Arguments make no sense for their step or predicate.
    #[error("{message}")]
    Argument {
        /// What is wrong.
        message: String,
        /// Offset of the argument, or of its step.
        offset: usize,
    },
    /// No node has the id that the query names.
    #[error("Node '{0}' does not exist")]
    NoNode(SmolStr),
    /// No edge has the id that the query names.
    #[error("Edge '{0}' does not exist")]
    NoEdge(SmolStr),
    /// `Select` names something that `As` did not.
    #[error("Key {0} not registered. Need to be registered using 'As' step")]
    NoMark(SmolStr),
    /// A field cannot be summed up.
    #[error("{0}")]
    Sum(String),
    /// A step gives more than one query may hold, see [`Cx::max_rows`](crate::Cx::max_rows).
    #[error("a step gives more than {0} elements")]
    TooMany(usize),
    /// The deadline has passed.
    #[error("the query took too long")]
    Expired,
    /// Nobody waits for the answer.
    #[error("the query was cancelled")]
    Cancelled,
    /// The graph cannot be read.
    #[error(transparent)]
    Read(#[from] ReadError),
    /// Flows cannot be searched.
    #[error(transparent)]
    Flows(#[from] FlowReadError),
    /// A flow has not the field that is asked for.
    #[error("Field not found")]
    NoField,
}

/// Steps whose refusal names them; the others give the general text.
const NAMED: [&str; 16] = [
    "As", "Both", "Count", "Dedup", "G", "Has", "In", "Keys", "Limit", "Out", "Range", "Select", "Sort",
    "Sum", "ValueMap", "Values",
];

impl QueryError {
    /// Where in the text the fault is, when it is in the text.
    pub fn offset(&self) -> Option<usize> {
        match self {
            Self::Misplaced { offset, .. } | Self::Argument { offset, .. } => Some(*offset),
            _ => None,
        }
    }

    pub(crate) fn argument(message: impl Into<String>, offset: usize) -> Self {
        Self::Argument { message: message.into(), offset }
    }
}

fn misplaced(step: &str, on: Kind) -> String {
    if NAMED.contains(&step) {
        return format!("Invalid step '{step}' on '{on}'");
    }
    "Error while executing the query".to_owned()
}
