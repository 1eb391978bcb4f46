//! The netlink and netns probes against the kernel, into a graph.

mod dump;
mod links;
mod namespaces;
mod scale;
mod virtual_machine;
mod world;
