//! Packets to flows: conversations of two sides, what is counted of them, and the table that keeps them.
//!
//! No I/O, no clock and no thread: [`FlowTable`] is given packets and times by its owner and gives [`Flow`]s back.

mod asked;
mod budget;
mod defragment;
mod enumeration;
pub mod field;
mod flow;
mod index;
mod key;
mod mac;
mod metric;
mod names;
mod process;
mod quota;
mod read;
mod reassemble;
mod record;
mod replay;
mod set;
mod slab;
mod table;
mod tcp;
#[cfg(test)]
mod testing;
mod tracking;

pub use defragment::{BadFragment, DefragmentCounters, DefragmentLimits, Defragmenter, Fragment};
pub use enumeration::Protocol;
pub use flow::{
    Dhcp4, Extra, Finish, Flow, FlowId, FlowIdError, Http, Icmp, IcmpKind, IpMetric, Link, Network,
    RawPacket, StreamMetric, TcpMetric, TcpSide, Tls, Transport, TransportProtocol, Vrrp,
};
pub use key::KeyMode;
pub use mac::{Mac, MacError};
pub use metric::Metric;
pub use process::{Process, Processes};
pub use quota::Quota;
pub use read::{FlowRead, FlowReadError, FlowSearch, FlowsFound, Want};
pub use reassemble::Stream;
pub use record::FlowView;
pub use replay::Replay;
pub use set::{Direction, FlowSet, Merge, Sort};
// Whoever reads a flow meets these.
pub use skydive_packet::LinkType;
pub use skydive_packet::application::dns;
pub use table::{ExtraLayers, FlowTable, TableConfig, TableCounters, Told};
pub use tcp::{Side, TcpState};
