//! One fuzz binary for every parser of outside bytes; `SKYDIVE_FUZZ_TARGET` names the one to feed.
//!
//! One binary links once instead of once per target. A target is one file and one line in [`TARGETS`]: a
//! function that takes any bytes and must not panic, hang or grow without bound; what else must hold of the
//! result it asserts. `scripts/fuzz.sh SECONDS [TARGET…]` builds and runs, `fuzz/seeds/TARGET/` holds what it
//! starts from.

#![no_main]

use std::sync::OnceLock;

use libfuzzer_sys::fuzz_target;

mod application;
mod capture_file;
mod filter;
mod flow;
mod flow_message;
mod message;
mod netlink;
mod query;
mod reassembly;
mod sockets;

/// A parser under test.
struct Target {
    name: &'static str,
    run: fn(&[u8]),
}

const TARGETS: &[Target] = &[
    Target { name: "application", run: application::run },
    Target { name: "capture_file", run: capture_file::run },
    Target { name: "filter", run: filter::run },
    Target { name: "flow", run: flow::run },
    Target { name: "flow_message", run: flow_message::run },
    Target { name: "message", run: message::run },
    Target { name: "netlink", run: netlink::run },
    Target { name: "query", run: query::run },
    Target { name: "reassembly", run: reassembly::run },
    Target { name: "sockets", run: sockets::run },
];

static CHOSEN: OnceLock<fn(&[u8])> = OnceLock::new();

/// Chooses the target, or prints the names of all when it is `list`.
fn choose() {
    let wanted = std::env::var("SKYDIVE_FUZZ_TARGET").unwrap_or_default();
    match TARGETS.iter().find(|target| target.name == wanted) {
        Some(target) => CHOSEN.set(target.run).unwrap_or(()),
        None => {
            TARGETS.iter().for_each(|target| println!("{}", target.name));
            std::process::exit(i32::from(wanted != "list"));
        }
    }
}

fuzz_target!(
    init: choose(),
    |bytes: &[u8]| {
        if let Some(run) = CHOSEN.get() {
            run(bytes);
        }
    }
);
