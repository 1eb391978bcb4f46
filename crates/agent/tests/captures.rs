//! Captures on demand, asked for by an analyzer, on real interfaces with real traffic.

#![allow(clippy::unwrap_used, reason = "a test that cannot set up must fail")]

#[path = "captures/counts.rs"]
mod counts;
#[path = "captures/faults.rs"]
mod faults;
#[path = "captures/load.rs"]
mod load;
#[path = "captures/sockets.rs"]
mod sockets;
#[path = "captures/stage.rs"]
mod stage;
