//! The vocabulary that users type in queries, declared once.
//!
//! Names of attributes of elements, of metadata keys that more than one crate speaks of, of node types and of
//! relations. A key that only one probe writes and nobody reads is declared here too: what can be asked for must be
//! found in one place.

/// Declares string constants, each with its meaning.
macro_rules! names {
    ($($(#[$doc:meta])+ $name:ident = $text:literal;)*) => {
        $($(#[$doc])+ pub const $name: &str = $text;)*
    };
}

/// Attributes of nodes and edges themselves.
pub mod attribute {
    names! {
        /// Identifier.
        ID = "@ID";
        /// Host id of the agent that made the element.
        HOST = "@Host";
        /// Who made it: `<service type>.<host id>`.
        ORIGIN = "@Origin";
        /// Time of creation, ms.
        CREATED_AT = "@CreatedAt";
        /// Time of the last metadata change, ms.
        UPDATED_AT = "@UpdatedAt";
        /// Time of deletion, ms; absent while alive.
        DELETED_AT = "@DeletedAt";
        /// Counts changes from 1.
        REVISION = "@Revision";
        /// Edge: the node at its parent end.
        PARENT = "Parent";
        /// Edge: the node at its child end.
        CHILD = "Child";
    }

    /// The attributes every element has, as `Keys()` lists them.
    pub const ALL: [&str; 7] = [ID, HOST, ORIGIN, CREATED_AT, UPDATED_AT, DELETED_AT, REVISION];
}

names! {
    /// Name shown to users.
    NAME = "Name";
    /// Kind of node.
    TYPE = "Type";
    /// Stable topology identifier; survives restarts of the agent.
    TID = "TID";
    /// Hardware address, lower case with colons.
    MAC = "MAC";
    /// IPv4 addresses with prefix length.
    IPV4 = "IPV4";
    /// IPv6 addresses with prefix length.
    IPV6 = "IPV6";
    /// Who manages the thing (docker, k8s, …).
    MANAGER = "Manager";
    /// Edge: what the relation means.
    RELATION_TYPE = "RelationType";
    /// Probe that made the node, where it is not the agent's host probes.
    PROBE = "Probe";
    /// Path of a namespace; `net:[inode]` when only processes hold it.
    PATH = "Path";
    /// Stable identifier within a daemon (OVSDB row, …).
    UUID = "UUID";
    /// Operational state in upper case.
    STATE = "State";
    /// Interface index in its namespace.
    IF_INDEX = "IfIndex";
    /// Kind of link layer (`ether`, `loopback`, …).
    ENCAP_TYPE = "EncapType";
    /// Kernel driver.
    DRIVER = "Driver";
    /// Largest packet, bytes.
    MTU = "MTU";
    /// Link speed, Mb/s.
    SPEED = "Speed";
    /// Interface flags that are set.
    LINK_FLAGS = "LinkFlags";
    /// Index of the bridge, bond, VRF … this interface belongs to.
    MASTER_INDEX = "MasterIndex";
    /// Index of the lower device (vlan, macvlan, …) or of a veth's peer.
    PARENT_INDEX = "ParentIndex";
    /// 802.1Q identifier of a vlan device.
    VLAN = "Vlan";
    /// Index of a veth's other end in its own namespace.
    PEER_IF_INDEX = "PeerIfIndex";
    /// Mode of a bond.
    BOND_MODE = "BondMode";
    /// What a bond says of this member.
    BOND_SLAVE = "BondSlave";
    /// Identifier of the namespace at the other end, as this namespace numbers it.
    LINK_NETNS_ID = "LinkNetNsID";
    /// Name of that namespace.
    LINK_NETNS_NAME = "LinkNetNsName";
    /// What only links of its kind tell (identifiers, ends and ports of tunnels, modes, …).
    LINK_DETAILS = "LinkDetails";
    /// What a Linux bridge says of this member.
    BRIDGE_PORT = "BridgePort";
    /// Description set by somebody.
    ALIAS = "Alias";
    /// Further names of an interface.
    ALT_NAMES = "AltNames";
    /// Hardware address burnt in, where another is in use.
    PERM_MAC = "PermMAC";
    /// `full` or `half`.
    DUPLEX = "Duplex";
    /// Name of the port on its switch.
    PORT_NAME = "PortName";
    /// Queueing discipline at the root.
    QDISC = "Qdisc";
    /// Queues for sending.
    TX_QUEUES = "TxQueues";
    /// Queues for receiving.
    RX_QUEUES = "RxQueues";
    /// How many want the interface promiscuous.
    PROMISCUITY = "Promiscuity";
    /// Routes of MPLS labels.
    MPLS_ROUTES = "MPLSRoutes";
    /// Position on the bus.
    BUS_INFO = "BusInfo";
    /// Virtual functions of a physical one.
    VFS = "Vfs";
    /// Number of a virtual function.
    VF_ID = "VfID";
    /// Forwarding database entries.
    FDB = "FDB";
    /// ARP and NDP entries.
    NEIGHBORS = "Neighbors";
    /// Routes by table.
    ROUTING_TABLES = "RoutingTables";
    /// Offload features.
    FEATURES = "Features";
    /// Counters since the interface exists.
    METRIC = "Metric";
    /// Counters of the last sampling interval.
    LAST_UPDATE_METRIC = "LastUpdateMetric";
    /// Link address of the interface at the other end, where that is known.
    PEER_INTF_MAC = "PeerIntfMAC";
    /// Captures on the node.
    CAPTURES = "Captures";
    /// Connections of processes.
    SOCKETS = "Sockets";
    /// Within a metric: begin of its time, ms.
    METRIC_START = "Start";
    /// Within a metric: end of its time, ms.
    METRIC_LAST = "Last";
    /// Inode of a namespace.
    INODE = "Inode";
    /// Device of a namespace's inode.
    DEVICE = "Device";
    /// Processes that hold a namespace without a name.
    PIDS = "Pids";
    /// Name the operating system has for the host.
    HOSTNAME = "Hostname";
    /// Why a probe cannot show all it should, per probe.
    DEGRADED = "Degraded";
    /// Values picked from files, by the names the configuration gives them.
    CONFIG = "Config";
    /// The host's identifier in its cloud.
    INSTANCE_ID = "InstanceID";
    /// Processors taken out of general scheduling.
    ISOLATED_CPU = "IsolatedCPU";
    /// Processors.
    CPU = "CPU";
    /// Operating system.
    OS = "OS";
    /// Distribution.
    PLATFORM = "Platform";
    /// What the distribution descends from.
    PLATFORM_FAMILY = "PlatformFamily";
    /// Version of the distribution.
    PLATFORM_VERSION = "PlatformVersion";
    /// Release of the kernel.
    KERNEL_VERSION = "KernelVersion";
    /// Arguments of the kernel.
    KERNEL_CMD_LINE = "KernelCmdLine";
    /// What the host runs on, or runs.
    VIRTUALIZATION_SYSTEM = "VirtualizationSystem";
    /// Whether the host is a guest or a host.
    VIRTUALIZATION_ROLE = "VirtualizationRole";
}

/// Types of nodes.
pub mod node_type {
    names! {
        /// A machine with an agent.
        HOST = "host";
        /// A network namespace.
        NETNS = "netns";
        /// An interface without a kernel kind.
        DEVICE = "device";
        /// A virtual Ethernet pair's end.
        VETH = "veth";
        /// A Linux bridge.
        BRIDGE = "bridge";
        /// A TUN or TAP device.
        TUNTAP = "tuntap";
        /// An Open vSwitch bridge.
        OVSBRIDGE = "ovsbridge";
        /// An Open vSwitch port.
        OVSPORT = "ovsport";
    }
}

/// What edges mean.
pub mod relation {
    names! {
        /// Containment; a child has at most one such parent.
        OWNERSHIP = "ownership";
        /// Adjacency in the data link layer.
        LAYER2 = "layer2";
        /// A physical function and its virtual function.
        VF = "vf";
    }
}

/// Metadata of nodes that is indexed: equality on these reads only what it returns.
pub const INDEXED: &[&str] = &[NAME, TYPE, TID, MAC, IPV4, IPV6, MANAGER, UUID];
