//! What only the kernel can tell or do, as plain facts and bytes.
//!
//! The one crate with `unsafe`, all of it in `ffi`, `packet_ring` and `trace`. It knows nothing of graphs or flows.
//! [`Namespaces`] is the thread that enters network namespaces to open sockets; [`Reader`] is the thread that reads
//! netlink for all of them; [`netlink`] turns the kernel's bytes into facts and is what the fuzz target feeds;
//! [`PacketRing`] gives the packets of an interface where they lie.

mod ethtool;
mod ffi;
mod host;
mod limits;
mod namespace;
pub mod netlink;
mod packet_ring;
mod pci;
mod process;
mod reader;
mod sockets;
mod tcp_trace;
mod text;
mod trace;
mod udp_trace;
mod watch;

pub use ethtool::{DeviceFacts, FeatureNames};
pub use host::{CpuFacts, HostFacts};
pub use limits::{Privileges, raise_nofile};
pub use namespace::{
    EnterError, Holder, Namespaces, NsId, NsRef, ProcessNamespaces, command, ended, process_namespaces,
    start_time,
};
pub use packet_ring::{
    Attachment, Block, Fanout, FilterInstruction, Frame, Frames, LinkLayer, PacketRing, RingConfig,
    RingError, RingStatistics,
};
pub use pci::{pci_relatives, pci_virtual_function};
pub use process::{ProcessFacts, SocketOwners, container_of, parse_cgroup, parse_socket_link, socket_owners};
pub use reader::{Command, Facts, NsKey, OpenError, Parts, Reader, ReaderCounters, Refused, Report};
pub use sockets::{SocketTable, SocketsError};
pub use tcp_trace::{StateFormat, TaskChange, TaskEvent, TcpChange, TcpTrace, Traced};
pub use trace::TraceError;
pub use udp_trace::{LookupFormat, UdpSent, UdpTrace};
pub use watch::{DirectoryEvent, DirectoryWatch};
