//! Real kernel objects for tests: namespaces, links, processes, a virtual machine.
//!
//! Everything is a guard: it makes the object when it is built and removes it when it is
//! dropped, also when the test panics. Names carry the process id and a counter, so that
//! tests run in parallel, in one process and in many. The objects are made by running
//! `ip`, not by our own netlink code: what is under test never prepares its own evidence.
//!
//! Only for `[dev-dependencies]`. Blocking on purpose: a test of an async crate calls it
//! before and between its awaits, a command takes a few milliseconds.
//!
//! ```no_run
//! # fn main() -> anyhow::Result<()> {
//! let a = skydive_testnet::Netns::new("a")?;
//! let b = skydive_testnet::Netns::new("b")?;
//! skydive_testnet::veth_pair(&a, "va", &b, "vb")?;
//! a.ip(&["addr", "add", "10.99.0.1/24", "dev", "va"])?;
//! # Ok(()) }
//! ```

mod archive;
mod eventually;
mod link;
mod netns;
mod run;
mod scratch;
mod skip;
mod traffic;
mod unnamed;
pub mod vm;

pub use eventually::eventually;
pub use link::{HostVeth, bridge, has_link_kind, veth_pair, vxlan};
pub use netns::Netns;
pub use run::{Running, run, run_with_input};
pub use scratch::ScratchDir;
pub use skip::{require_root, skip, workspace_root};
pub use traffic::{Traffic, TrafficKind, Tunnel, Written};
pub use unnamed::Unnamed;
