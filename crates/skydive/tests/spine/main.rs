//! The binary from outside, on hosts of its own: processes in network namespaces, asked over their sockets.
//!
//! Every test makes the namespaces it needs and runs the real program in them. A namespace has its own loopback, so
//! the default ports are always free and tests run side by side. `stage` has what all of them use.

#![allow(clippy::unwrap_used, reason = "a test that cannot set up must fail")]

mod allinone;
mod cluster;
mod crash_loops;
mod fabric;
mod filters;
mod identity;
mod lifecycle;
mod lost_notifications;
mod publishers;
mod refusals;
mod rest;
mod slow;
mod slow_strict;
mod stage;
mod talk;
mod unprivileged;
