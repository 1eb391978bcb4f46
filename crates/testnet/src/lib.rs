//! testnet.
