//! Bytes to layers: what a packet is made of, capture files, and packet filters.
//!
//! Everything here is a function of bytes. Nothing reads a file or a clock, nothing is copied or allocated to decode
//! a packet: [`Layers`] says which headers lie where, the views of [`wire`] read their fields in place. Any bytes are
//! allowed; what cannot be decoded ends the layers with a reason and never panics.

#![deny(clippy::indexing_slicing)]
#![cfg_attr(test, allow(clippy::indexing_slicing, reason = "a test that indexes wrongly must fail"))]

pub mod application;
mod decode;
pub mod file;
pub mod filter;
mod layer;
pub mod wire;

pub use decode::Decoder;
pub use layer::{End, Layer, LayerKind, Layers, LinkType, Parts};
