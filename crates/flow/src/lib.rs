//! Packets to flows: conversations of two sides, what is counted of them, and the table that keeps them.
//!
//! No I/O, no clock and no thread: [`FlowTable`] is given packets and times by its owner and gives [`Flow`]s back.

mod flow;
mod metric;
mod tcp;

pub use flow::{
    Dhcp4, Extra, Finish, Flow, FlowId, Http, Icmp, IcmpKind, IpMetric, Link, Network, RawPacket,
    StreamMetric, TcpMetric, TcpSide, Tls, Transport, TransportProtocol, Vrrp,
};
pub use metric::Metric;
pub use tcp::{Side, TcpState};
