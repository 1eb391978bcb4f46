//! Packets to flows: conversations of two sides, what is counted of them, and the table that keeps them.
//!
//! No I/O, no clock and no thread: [`FlowTable`] is given packets and times by its owner and gives [`Flow`]s back.

mod defragment;
mod flow;
mod index;
mod key;
mod metric;
mod names;
mod reassemble;
mod record;
mod table;
mod tcp;
mod tracking;

pub use defragment::{BadFragment, DefragmentCounters, DefragmentLimits, Defragmenter, Fragment};
pub use flow::{
    Dhcp4, Extra, Finish, Flow, FlowId, Http, Icmp, IcmpKind, IpMetric, Link, Network, RawPacket,
    StreamMetric, TcpMetric, TcpSide, Tls, Transport, TransportProtocol, Vrrp,
};
pub use key::KeyMode;
pub use metric::Metric;
pub use reassemble::Stream;
pub use record::FlowView;
pub use table::{ExtraLayers, FlowTable, TableConfig, TableCounters, Told};
pub use tcp::{Side, TcpState};
