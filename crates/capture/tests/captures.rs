//! Captures of real traffic between real namespaces.
#![allow(clippy::unwrap_used, reason = "a test that cannot set up must fail")]

#[path = "captures/rig.rs"]
mod rig;

#[path = "captures/counts.rs"]
mod counts;
#[path = "captures/ends.rs"]
mod ends;
#[path = "captures/many.rs"]
mod many;
#[path = "captures/overload.rs"]
mod overload;
#[path = "captures/pcapsocket.rs"]
mod pcapsocket;
#[path = "captures/search.rs"]
mod search;
