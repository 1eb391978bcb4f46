//! api.

mod live;

pub use live::{Derive, Ended, LiveCounters, LiveGraph, LiveOwner, Stopped, Subscription};
