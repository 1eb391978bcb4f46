//! From bytes to layers.

/// Decodes packets.
#[derive(Clone, Debug, Default)]
pub struct Decoder {}
