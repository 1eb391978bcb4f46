//! Captures, flows and questions about them, from outside: the real program, real packets between network namespaces.
//!
//! `site` has the hosts, the traffic and the questions that all tests use.

#![allow(clippy::unwrap_used, reason = "a test that cannot set up must fail")]

mod first_capture;
mod options;
mod paths;
mod site;
#[path = "../spine/stage.rs"]
#[allow(dead_code, reason = "each test program uses a part of it")]
mod stage;
