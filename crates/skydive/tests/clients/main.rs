//! Clients of the original against our server: the real ones where they can be had, else their recorded calls.
//!
//! One file for each client. `packages` installs the Python ones; `http` sends requests byte for byte. What these tests
//! assert is what the client's code depends on. Clients of alerts, injections and workflows come with those.

#![allow(clippy::unwrap_used, reason = "a test that cannot set up must fail")]

mod ansible;
mod classic_page;
mod go_client;
mod grafana;
mod http;
mod packages;
mod python_client;
mod python_shell;
mod python_walk;
#[allow(dead_code, reason = "other tests need more of it")]
#[path = "../live_flows/site.rs"]
mod site;
#[allow(dead_code, reason = "other tests need more of it")]
#[path = "../spine/stage.rs"]
mod stage;
#[allow(dead_code, reason = "other tests need more of it")]
#[path = "../spine/talk.rs"]
mod talk;
mod web_page;
