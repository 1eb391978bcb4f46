//! Gremlin: text to steps, steps to a plan, a plan to an answer.
//!
//! [`parse`] turns text into a [`Query`] and says at which byte it is wrong. A query is planned for every run: each
//! step of [`STEPS`] either adds an operation or hands its work (a filter, a window, a count) to the operation before
//! it, so that a lookup reads what it returns and a limit stops the reading. [`execute`] awaits the graph it is given
//! ([`GraphRead`](skydive_graph::GraphRead)) and computes everything else on the thread that polls it, without
//! yielding: a server runs it where blocking is allowed and raises [`Stop`] when the deadline has passed or the client
//! is gone; loops look at it every few thousand elements. [`execute_on`] is the same over a [`View`] at hand.
//!
//! No I/O, no clock, no encoding: time is in [`Cx`], and what an answer looks like on a wire is the business of
//! `proto`, which finds it in [`Rows`] piece by piece.

mod arg;
mod capture;
mod check;
mod condition;
mod error;
mod flow_filter;
mod lex;
mod metric;
mod operation;
mod parse;
mod plan;
mod predicate;
mod rows;
mod run;
mod standing;
mod step;
mod steps;
mod view;
mod when;

pub use arg::{Arg, Args, Given, WORDS};
pub use capture::{capture_kinds, check_packet_filter};
pub use error::{ParseError, QueryError};
pub use parse::{Limits, Query, parse};
pub use plan::Plan;
pub use predicate::{PREDICATES, Predicate, PredicateDef, Takes};
pub use rows::{Kind, NextHop, Records, Rows};
pub use run::{Answer, Cx, Reads, Sources, Stop, execute, execute_on};
pub use standing::Standing;
pub use step::{Slot, Step, StepDef};
pub use steps::STEPS;
pub use view::View;
