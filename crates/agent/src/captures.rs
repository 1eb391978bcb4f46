//! Captures that analyzers ask for.

mod feed;

pub use feed::FlowFeed;
