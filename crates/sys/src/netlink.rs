//! Netlink: the messages of the kernel's network side, as plain facts.
//!
//! An own walker of attributes rather than a general packet crate: it reads where the bytes lie, allocates nothing
//! per attribute, and takes what an older or newer kernel sends. An attribute that is shorter than its meaning, or a
//! message that runs over its buffer, is counted in [`Tally`] and passed over; nothing here can panic on bytes.
//! The interface is described in `rtnetlink(7)` and the kernel's `Documentation/netlink/`.

mod addr;
mod attr;
mod kinds;
mod link;
mod message;
mod neigh;
mod request;
mod route;
mod sock_diag;
mod socket;
mod stats;

pub use addr::AddrFacts;
pub use attr::{Attr, Attrs, Tally};
pub use kinds::{Detail, DetailValue, detail};
pub use link::{HwAddr, LinkFacts, LinkGone, OperState, VfFacts, encap_name};
pub use message::{Event, Message, parse_messages};
pub use neigh::NeighFacts;
pub use route::{Destination, RouteFacts, RouteHop, encap_type_name};
pub use sock_diag::{SocketFacts, SocketProtocol, SocketState, parse_socket};
pub use socket::{NetlinkError, RequestSocket};
pub use stats::LinkStats;

pub(crate) use request::{NLA_F_NESTED, numbers};
pub(crate) use sock_diag::{SOCK_DIAG_BY_FAMILY, States, question};
pub(crate) use socket::{GENERIC, Received, Scratch, open_events, open_requests, receive};
