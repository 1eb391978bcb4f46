//! What applications say, read from captures of real programs, beside Wireshark, and from hostile bytes.

#![allow(clippy::unwrap_used, clippy::indexing_slicing, reason = "a test that cannot set up must fail")]

mod damage;
mod dhcp4;
mod dns;
mod http1;
mod payloads;
mod tls;
mod tshark;
mod vrrp;
