//! The one table of known keys.
//!
//! Everything about a key is declared here once: its name, type, default, meaning, and whether this version acts on it.
//! Reading, checking, `config show`, the reference page and the suggestions for misspelt keys all come from it. In a
//! name `<word>` stands for one segment chosen by the user and `**`, at the end, for one or more; defaults are written as in
//! an environment variable.

use Kind::*;
use Use::*;

use super::problem::Severity;

/// A known key.
#[derive(Clone, Copy, Debug)]
pub(crate) struct KeyDef {
    pub(crate) name: &'static str,
    pub(crate) kind: Kind,
    /// As it would stand in an environment variable; empty when there is none.
    pub(crate) default: &'static str,
    pub(crate) effect: Use,
    pub(crate) about: &'static str,
}

/// The type of a value.
#[derive(Clone, Copy, Debug, PartialEq)]
pub(crate) enum Kind {
    /// Any text.
    Text,
    /// Text that is never shown.
    Secret,
    /// `true` or `false`.
    Switch,
    /// A whole number within the bounds, both included.
    Whole(i64, i64),
    /// A number not below zero.
    Real,
    /// Seconds, or a number with a unit (`500ms`, `2m`); the least value is given in milliseconds.
    Seconds(u64),
    /// Bytes, or a number with a unit (`64KiB`, `16MiB`), at least this many.
    Bytes(u64),
    /// One of the names, in any case.
    One(&'static [&'static str]),
    /// A list of texts.
    Words,
    /// A list of links, as the fabric has them. White space in one text separates links that are complete.
    Links,
    /// A list of names; how bad an unknown one is.
    Names(&'static [&'static str], Severity),
    /// The address of a listener.
    Listen,
    /// A list of `host:port`.
    Hosts,
    /// A section whose keys the user chooses.
    Section,
    /// The same, never shown.
    SecretSection,
    /// A list of sections.
    Records,
}

/// Whether this version acts on a key.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Use {
    /// Yes.
    Now,
    /// Not yet; accepted so that files of the original load.
    Later,
    /// Never: nothing here needs it. Accepted so that files of the original load.
    Never,
}

impl Use {
    /// What to tell who gives a key that is not acted on.
    pub(crate) fn note(self) -> Option<&'static str> {
        match self {
            Now => None,
            Later => Some("has no effect in this version yet"),
            Never => Some("accepted, but not needed any more"),
        }
    }
}

/// Topology probes of an agent. The first three always run.
pub(crate) const AGENT_PROBES: &[&str] = &[
    "netlink",
    "netns",
    "hardware",
    "blockdev",
    "ovsdb",
    "docker",
    "neutron",
    "opencontrail",
    "socketinfo",
    "lxd",
    "lldp",
    "libvirt",
    "runc",
    "vpp",
    "bess",
];

/// Topology probes of an analyzer. The first two always run.
pub(crate) const ANALYZER_PROBES: &[&str] = &["fabric", "peering", "k8s", "istio", "ovn", "ovnk8s"];

const FLOW_PROBES: &[&str] =
    &["gopacket", "pcapsocket", "ovssflow", "ovsmirror", "ovsnetflow", "dpdk", "ebpf", "sflow"];
const K8S_PROBES: &[&str] = &[
    "cluster",
    "configmap",
    "container",
    "cronjob",
    "daemonset",
    "deployment",
    "endpoints",
    "ingress",
    "job",
    "namespace",
    "networkpolicy",
    "node",
    "persistentvolume",
    "persistentvolumeclaim",
    "pod",
    "replicaset",
    "replicationcontroller",
    "secret",
    "service",
    "statefulset",
    "storageclass",
];
const ISTIO_PROBES: &[&str] =
    &["destinationrule", "gateway", "quotaspec", "quotaspecbinding", "serviceentry", "virtualservice"];
const LOG_BACKENDS: &[&str] = &["stderr", "stdout", "file", "syslog"];
const LOG_LEVELS: &[&str] = &["CRITICAL", "ERROR", "WARNING", "NOTICE", "INFO", "DEBUG"];
const ENCODERS: &[&str] = &["", "console", "json"];
const FLOW_PROTOCOLS: &[&str] = &["udp", "websocket"];
const AUTH_TYPES: &[&str] = &["basic", "keystone", "noauth"];
const DRIVERS: &[&str] = &["memory", "elasticsearch", "orientdb"];
const LAYER_KEY_MODES: &[&str] = &["L2", "L3"];
const PORT: Kind = Whole(0, 65535);
const COUNT: Kind = Whole(0, i64::MAX);
const SOME: Kind = Whole(1, i64::MAX);
const SECOND: Kind = Seconds(1000);

/// Every known key, in the order of the reference page.
#[rustfmt::skip]
pub(crate) const KEYS: &[KeyDef] = &[
    // The process.
    key("host_id", Text, "", Now, "identity of the host in the graph; the host name when not given"),
    key("data_dir", Text, "", Now, "where all state lives; /var/lib/skydive, or without root skydive in the user's state directory"),
    key("analyzers", Hosts, "", Now, "analyzers that agents, clients and the other analyzers connect to; none leaves an agent on its own"),

    // TLS.
    key("tls.client_cert", Text, "", Later, "certificate shown to servers, PEM"),
    key("tls.client_key", Text, "", Later, "key of the client certificate, PEM"),
    key("tls.server_cert", Text, "", Later, "certificate of the listeners, PEM"),
    key("tls.server_key", Text, "", Later, "key of the server certificate, PEM"),
    key("tls.ca_cert", Text, "", Later, "authority that signs both, PEM"),
    key("tls.require_client_cert", Switch, "false", Later, "refuse clients that show no certificate"),

    // HTTP and WebSocket.
    key("http.cookie.**", SecretSection, "", Later, "cookies added to outgoing connections of the cluster, by name"),
    key("http.rest.debug", Switch, "false", Never, "log requests; logging.level DEBUG does it"),
    key("http.rest.max_body", Bytes(1024), "16MiB", Now, "largest body of a request"),
    key("http.rest.max_capture_file", Bytes(1024), "1GiB", Now, "largest capture file that is imported"),
    key("http.ws.ping_delay", SECOND, "2", Now, "time between two pings to a client"),
    key("http.ws.pong_timeout", SECOND, "5", Now, "how late a pong may come before the link is given up"),
    key("http.ws.queue_size", Whole(1, 10_000_000), "10000", Now, "messages waiting for a slow client before it is closed"),
    key("http.ws.max_message", Bytes(1024), "16MiB", Now, "largest WebSocket message of a client"),
    key("http.ws.agent_max_message", Bytes(1024), "512MiB", Now, "largest WebSocket message of an agent or a publisher"),
    key("http.ws.enable_write_compression", Switch, "true", Never, "had no effect on the wire"),
    key("http.ws.bulk_maxmsgs", COUNT, "100", Never, "messages were bundled in old versions"),
    key("http.ws.bulk_maxdelay", Seconds(0), "2", Never, "messages were bundled in old versions"),

    // Queries.
    key("gremlin.max_query", Bytes(64), "64KiB", Now, "longest text of a query"),
    key("gremlin.max_steps", Whole(1, 100_000), "256", Now, "most steps of a query"),

    // The cluster and its analyzers.
    key("analyzer.listen", Listen, "127.0.0.1:8082", Now, "address of the analyzer's API"),
    key("analyzer.auth.api.backend", Text, "noauth", Now, "section of `auth` that checks users of the API"),
    key("analyzer.auth.cluster.backend", Text, "noauth", Now, "section of `auth` that checks agents and analyzers"),
    key("analyzer.auth.cluster.username", Text, "", Later, "user shown to other analyzers"),
    key("analyzer.auth.cluster.password", Secret, "", Later, "password shown to other analyzers"),
    key("analyzer.startup.capture_gremlin", Text, "", Now, "query of a capture created at start"),
    key("analyzer.startup.capture_bpf", Text, "", Now, "filter of that capture"),
    key("analyzer.startup.capture_type", Text, "", Now, "type of that capture"),
    key("analyzer.flow.backend", Text, "", Later, "storage of flows; a built-in one when not given, `memory` for none"),
    key("analyzer.flow.max_buffer_size", SOME, "100000", Now, "flows that wait to be told to subscribers and stored; at least 200"),
    key("analyzer.topology.backend", Text, "", Later, "storage of the graph's history; a built-in one when not given, `memory` for none"),
    key("analyzer.topology.probes", Names(ANALYZER_PROBES, Severity::Warning), "", Later, "additional topology probes of the analyzer"),
    key("analyzer.topology.fabric", Links, "", Now, "nodes and links described by hand, see the page of the probe fabric"),
    key("analyzer.topology.k8s.config_file", Text, "/etc/skydive/kubeconfig", Later, "credentials for Kubernetes; then $KUBECONFIG, ~/.kube/config, in-cluster"),
    key("analyzer.topology.k8s.probes", Names(K8S_PROBES, Severity::Warning), "", Later, "kinds of resources to show; all when empty"),
    key("analyzer.topology.k8s.cluster_name", Text, "", Later, "name of the Kubernetes cluster"),
    key("analyzer.topology.istio.config_file", Text, "/etc/skydive/kubeconfig", Later, "credentials for Istio"),
    key("analyzer.topology.istio.probes", Names(ISTIO_PROBES, Severity::Warning), "destinationrule gateway quotaspec quotaspecbinding serviceentry virtualservice", Later, "kinds of resources to show"),
    key("analyzer.topology.ovn.address", Text, "unix:///var/run/ovn/ovnnb_db.sock", Later, "northbound database: unix:, tcp: or ssl:"),
    key("analyzer.topology.ovn.cert", Text, "", Later, "certificate shown to OVN"),
    key("analyzer.topology.ovn.key", Text, "", Later, "key of that certificate"),
    key("analyzer.topology.ovn.cacert", Text, "", Later, "authority of OVN"),
    key("analyzer.replication.debug", Switch, "false", Never, "had no effect"),
    key("analyzer.cluster", Text, "", Later, "name of this cluster, needed to peer with others"),
    key("analyzer.peers.<cluster>.endpoints", Hosts, "", Later, "analyzers of another cluster"),
    key("analyzer.peers.<cluster>.publish_filter", Text, "", Later, "what to send there: `*` or metadata `k=v,…`"),
    key("analyzer.peers.<cluster>.subscribe_filter", Text, "", Later, "what to take from there: `*` or a query"),
    key("analyzer.peers.<cluster>.username", Text, "", Later, "user shown there"),
    key("analyzer.peers.<cluster>.password", Secret, "", Later, "password shown there"),
    key("analyzer.ssh_enabled", Switch, "false", Later, "offer terminals in the page"),

    // Agents.
    key("agent.listen", Listen, "127.0.0.1:8081", Now, "address of the agent's API"),
    key("agent.auth.api.backend", Text, "noauth", Now, "section of `auth` that checks users of the API"),
    key("agent.auth.cluster.username", Text, "", Now, "user shown to the analyzers"),
    key("agent.auth.cluster.password", Secret, "", Now, "password shown to the analyzers"),
    key("agent.topology.probes", Names(AGENT_PROBES, Severity::Error), "ovsdb", Now, "additional topology probes; netlink, netns and hardware always run"),
    key("agent.topology.blockdev.lsblk_path", Text, "/usr/bin/lsblk", Never, "block devices are read from the kernel"),
    key("agent.topology.blockdev.iostat_path", Text, "", Never, "block devices are read from the kernel"),
    key("agent.topology.blockdev.iostat_update", Seconds(0), "", Later, "time between two samples of block devices"),
    key("agent.topology.docker.url", Text, "unix:///var/run/docker.sock", Later, "Docker's API"),
    key("agent.topology.docker.netns.run_path", Text, "/var/run/docker/netns", Later, "where Docker keeps its network namespaces"),
    key("agent.topology.netlink.metrics_update", SECOND, "30", Now, "time between two samples of interface counters"),
    key("agent.topology.netns.run_path", Text, "/var/run/netns", Now, "where named network namespaces are kept"),
    key("agent.topology.neutron.auth_url", Text, "", Later, "Keystone for Neutron"),
    key("agent.topology.neutron.username", Text, "neutron", Later, "user"),
    key("agent.topology.neutron.password", Secret, "", Later, "password"),
    key("agent.topology.neutron.tenant_name", Text, "service", Later, "project"),
    key("agent.topology.neutron.region_name", Text, "RegionOne", Later, "region"),
    key("agent.topology.neutron.domain_name", Text, "Default", Later, "domain"),
    key("agent.topology.neutron.endpoint_type", Text, "public", Later, "kind of endpoint"),
    key("agent.topology.neutron.ssl_insecure", Switch, "false", Later, "accept any certificate"),
    key("agent.topology.lldp.interfaces", Words, "", Later, "interfaces to listen on; all when empty"),
    key("agent.topology.libvirt.url", Text, "", Later, "libvirt's address, such as qemu:///system"),
    key("agent.topology.runc.run_path", Words, "/run/containerd/runc /run/runc /run/runc-ctrs", Later, "where runc keeps its state"),
    key("agent.topology.socketinfo.host_update", SECOND, "10", Now, "time between two samples of sockets"),
    key("agent.topology.vpp.connect", Text, "", Later, "socket of VPP"),
    key("agent.topology.bess.host", Text, "127.0.0.1", Later, "host of BESS"),
    key("agent.topology.bess.port", PORT, "10514", Later, "port of BESS"),
    key("agent.flow.probes", Names(FLOW_PROBES, Severity::Warning), "gopacket pcapsocket", Never, "every kind of capture is always offered"),
    key("agent.flow.sflow.bind_address", Text, "127.0.0.1", Later, "where sFlow collectors listen"),
    key("agent.flow.sflow.port_min", PORT, "6345", Later, "first of their ports"),
    key("agent.flow.sflow.port_max", PORT, "6355", Later, "last of their ports"),
    key("agent.flow.netflow.bind_address", Text, "127.0.0.1", Later, "where NetFlow collectors listen"),
    key("agent.flow.netflow.port_min", PORT, "6365", Later, "first of their ports"),
    key("agent.flow.netflow.port_max", PORT, "6375", Later, "last of their ports"),
    key("agent.flow.pcapsocket.bind_address", Text, "127.0.0.1", Now, "where capture files are taken, an address of the host"),
    key("agent.flow.pcapsocket.min_port", PORT, "8100", Now, "first of their ports"),
    key("agent.flow.pcapsocket.max_port", PORT, "8132", Now, "last of their ports"),
    key("agent.flow.ebpf.polling_rate", SOME, "16000", Later, "flows read from the kernel a second"),
    key("agent.capture.stats_update", SECOND, "1", Now, "time between two samples of capture counters"),
    key("agent.capture.ring_size", Bytes(32 * 1024), "4MiB", Now, "memory that the kernel puts packets into, for each thread of each capture; 1GiB at most"),
    key("agent.capture.memory", Bytes(1024 * 1024), "256MiB", Now, "memory for what packets choose the size of (packets and messages kept with flows), of all captures together"),
    key("agent.capture.flows", SOME, "2000000", Now, "flows in the tables of all captures together"),
    key("agent.capture.threads", Whole(1, 256), "2", Now, "threads that all captures share"),
    key("agent.capture.fanout", Whole(1, 256), "1", Now, "how many of them each capture is spread over"),
    key("agent.metadata.**", Section, "", Now, "merged into the metadata of the host node"),
    key("agent.metadata_config.files", Records, "", Now, "values picked from files into `Config.<name>` of the host node: list of path, type, name, selector"),

    // Data planes.
    key("dpdk.ports", Words, "", Later, "ports of DPDK"),
    key("dpdk.workers", COUNT, "4", Later, "threads of DPDK"),
    key("dpdk.debug", COUNT, "0", Later, "seconds between two lines of figures"),
    key("ovs.ovsdb", Text, "unix:///var/run/openvswitch/db.sock", Later, "Open vSwitch's database: unix:, tcp: or host:port"),
    key("ovs.enable_stats", Switch, "false", Later, "read the counters of Open vSwitch"),
    key("ovs.oflow.enable", Switch, "false", Later, "show OpenFlow rules"),
    key("ovs.oflow.native", Switch, "false", Later, "speak OpenFlow instead of running ovs-ofctl"),
    key("ovs.oflow.openflow_versions", Words, "OpenFlow10 OpenFlow11 OpenFlow12 OpenFlow13 OpenFlow14", Later, "versions to offer"),
    key("ovs.oflow.key", Text, "", Later, "key shown to bridges"),
    key("ovs.oflow.cert", Text, "", Later, "certificate shown to bridges"),
    key("ovs.oflow.ca", Text, "", Later, "authority of bridges"),
    key("ovs.oflow.address.<bridge>", Text, "", Later, "where the bridge listens"),
    key("opencontrail.host", Text, "localhost", Later, "host of the vRouter agent"),
    key("opencontrail.port", PORT, "8085", Later, "its port"),
    key("opencontrail.mpls_udp_port", PORT, "51234", Later, "port of MPLS over UDP"),

    // Storage.
    key("storage.<name>.driver", One(DRIVERS), "", Now, "kind of this storage; `elasticsearch`, `orientdb` and `memory` are predefined under their own names"),
    key("storage.<name>.hosts", Words, "http://127.0.0.1:9200", Never, "Elasticsearch: servers"),
    key("storage.<name>.auth.username", Text, "", Never, "Elasticsearch: user"),
    key("storage.<name>.auth.password", Secret, "", Never, "Elasticsearch: password"),
    key("storage.<name>.ssl_insecure", Switch, "false", Never, "Elasticsearch: accept any certificate"),
    key("storage.<name>.bulk_maxdelay", Seconds(0), "5", Now, "longest time that flows wait for others before they are told to subscribers and stored together"),
    key("storage.<name>.index_entries_limit", COUNT, "0", Never, "Elasticsearch: documents in an index"),
    key("storage.<name>.index_age_limit", COUNT, "0", Never, "Elasticsearch: minutes an index is written to"),
    key("storage.<name>.indices_to_keep", COUNT, "0", Never, "Elasticsearch: old indices kept"),
    key("storage.<name>.index_prefix", Text, "skydive_", Never, "Elasticsearch: prefix of indices"),
    key("storage.<name>.total_fields_limit", COUNT, "1000", Never, "Elasticsearch: fields in an index"),
    key("storage.<name>.use_flattened", Switch, "true", Never, "Elasticsearch: use flattened fields"),
    key("storage.<name>.flattened_ignore_above", COUNT, "32768", Never, "Elasticsearch: longest flattened value"),
    key("storage.<name>.exclude_from_mapping", Words, "", Never, "Elasticsearch: metadata without index"),
    key("storage.<name>.disable_sniffing", Switch, "false", Never, "Elasticsearch: use only the given servers"),
    key("storage.<name>.disable_healthcheck", Switch, "false", Never, "Elasticsearch: do not check servers"),
    key("storage.<name>.debug", Switch, "false", Never, "Elasticsearch: log requests"),
    key("storage.<name>.addr", Text, "http://localhost:2480", Never, "OrientDB: server"),
    key("storage.<name>.database", Text, "Skydive", Never, "OrientDB: database"),
    key("storage.<name>.username", Text, "root", Never, "OrientDB: user"),
    key("storage.<name>.password", Secret, "root", Never, "OrientDB: password"),

    // Logs.
    key("logging.level", One(LOG_LEVELS), "INFO", Now, "least severity that is logged"),
    key("logging.backends", Names(LOG_BACKENDS, Severity::Error), "stderr", Now, "where logs go"),
    key("logging.color", Switch, "true", Now, "colour on a terminal"),
    key("logging.encoder", One(ENCODERS), "", Now, "`json` for one JSON object a line"),
    key("logging.<backend>.level", One(LOG_LEVELS), "", Now, "overrides logging.level"),
    key("logging.<backend>.encoder", One(ENCODERS), "", Now, "overrides logging.encoder"),
    key("logging.file.path", Text, "/var/log/skydive.log", Now, "file of the backend `file`"),
    key("logging.syslog.address", Text, "/dev/log", Later, "address of syslog"),
    key("logging.syslog.protocol", Text, "unixgram", Later, "protocol of syslog"),
    key("logging.syslog.tag", Text, "skydive", Later, "tag of the messages"),

    // Users and permissions.
    key("auth.<name>.type", One(AUTH_TYPES), "", Now, "how users are checked; `auth.basic`, `auth.keystone` and `auth.noauth` are predefined"),
    key("auth.<name>.file", Text, "", Later, "basic: file of htpasswd"),
    key("auth.<name>.users.**", SecretSection, "", Later, "basic: passwords by user"),
    key("auth.<name>.auth_url", Text, "", Later, "keystone: address"),
    key("auth.<name>.tenant_name", Text, "admin", Later, "keystone: project"),
    key("auth.<name>.domain_name", Text, "Default", Later, "keystone: domain; empty for version 2"),
    key("auth.<name>.role", Text, "admin", Later, "role of a user that has none"),
    key("rbac.model.request_definition", Text, "sub, obj, act", Later, "model of the permissions: request"),
    key("rbac.model.policy_definition", Text, "sub, obj, act, eft", Later, "model: policy"),
    key("rbac.model.role_definition", Text, "_, _", Later, "model: roles"),
    key("rbac.model.policy_effect", Text, "some(where (p_eft == allow)) && !some(where (p_eft == deny))", Later, "model: effect"),
    key("rbac.model.matchers", Text, "g(r.sub, p.sub) && r.obj == p.obj && r.act == p.act", Later, "model: matchers"),
    key("rbac.policy", Words, "", Later, "additional lines of policy"),

    // Resources shared by analyzers.
    key("etcd.embedded", Switch, "true", Later, "keep resources here instead of in a cluster of etcd"),
    key("etcd.listen", Listen, "127.0.0.1:12379", Later, "address of the embedded store"),
    key("etcd.data_dir", Text, "", Now, "directory of the resources that clients make; `etcd` in `data_dir` when not given"),
    key("etcd.max_wal_files", COUNT, "5", Later, "logs kept; 0 for all"),
    key("etcd.max_snap_files", COUNT, "5", Later, "snapshots kept; 0 for all"),
    key("etcd.servers", Words, "", Later, "servers; one of `analyzers` when empty"),
    key("etcd.name", Text, "", Later, "name in the cluster; the host name when not given"),
    key("etcd.peers.**", Section, "", Later, "members of the cluster: URLs by name"),
    key("etcd.client_timeout", SECOND, "5", Later, "how long to wait for an answer"),
    key("etcd.debug", Switch, "false", Later, "log requests"),

    // Flows.
    key("flow.expire", SECOND, "600", Now, "a flow ends after this time without a packet; imported ones are kept as long"),
    key("flow.update", SECOND, "60", Now, "time between two updates of a flow"),
    key("flow.protocol", One(FLOW_PROTOCOLS), "udp", Now, "how agents send flows; an analyzer takes datagrams only with `udp`"),
    key("flow.max_entries", SOME, "500000", Now, "flows in a table"),
    key("flow.default_layer_key_mode", One(LAYER_KEY_MODES), "L2", Now, "layer from which flows are told apart"),
    key("flow.application_ports.tcp.<port>", Text, "", Now, "application on a TCP port, kept in capitals"),
    key("flow.application_ports.udp.<port>", Text, "", Now, "application on a UDP port, kept in capitals"),
    key("flow.application_timeout.<app>", SECOND, "", Now, "expiry of the flows of an application; arp and dns have 10"),
    key("cache.expire", COUNT, "300", Never, "a cache of old versions"),
    key("cache.cleanup", COUNT, "30", Never, "a cache of old versions"),
    key("plugin.plugins_dir", Text, "", Never, "plug-ins in Go cannot be loaded"),
    key("plugin.topology.probes", Words, "", Never, "plug-ins in Go cannot be loaded"),

    // The page.
    key("ui.extra_assets", Text, "", Later, "folder served beside the page"),
    key("ui.theme", Text, "dark", Later, "theme"),
    key("ui.topology.favorites.**", Section, "", Later, "queries offered, by name"),
    key("ui.topology.default_filter", Text, "", Later, "favourite that filters at first"),
    key("ui.topology.default_highlight", Text, "", Later, "favourite that is highlighted at first"),
    key("ui.bandwidth_update_rate", SECOND, "5", Later, "time between two updates of bandwidths"),
    key("ui.bandwidth_threshold", One(&["absolute", "relative"]), "absolute", Later, "which thresholds colour links"),
    key("ui.bandwidth_absolute_active", Real, "1", Later, "Kbit/s from which a link is active"),
    key("ui.bandwidth_absolute_warning", Real, "10", Later, "Kbit/s from which it is coloured as busy"),
    key("ui.bandwidth_absolute_alert", Real, "100", Later, "Kbit/s from which it is coloured as full"),
    key("ui.bandwidth_relative_active", Real, "0.1", Later, "share of the speed from which a link is active"),
    key("ui.bandwidth_relative_warning", Real, "0.4", Later, "share from which it is coloured as busy"),
    key("ui.bandwidth_relative_alert", Real, "0.8", Later, "share from which it is coloured as full"),
    key("ui.ssh_enabled", Switch, "false", Later, "offer terminals in the page"),
    key("ui.k8s_enabled", Switch, "false", Later, "show the view of Kubernetes"),
    key("ui.bpf.favorites.**", Section, "", Later, "packet filters offered, by name"),
];

/// Names that exist under a section without being declared in any file.
const PREDEFINED: &[(&str, &[&str])] =
    &[("auth", AUTH_TYPES), ("storage", DRIVERS), ("logging", LOG_BACKENDS)];

const fn key(
    name: &'static str,
    kind: Kind,
    default: &'static str,
    effect: Use,
    about: &'static str,
) -> KeyDef {
    KeyDef { name, kind, default, effect, about }
}

impl KeyDef {
    /// Whether the pattern of this key covers the dotted `key`.
    pub(crate) fn covers(&self, key: &str) -> bool {
        let mut segments = key.split('.');
        let (name, is_section) = match self.name.strip_suffix(".**") {
            Some(name) => (name, true),
            None => (self.name, false),
        };
        name.split('.').all(|pattern| {
            segments.next().is_some_and(|segment| pattern.starts_with('<') || pattern == segment)
        }) && segments.next().is_some() == is_section
    }

    /// Whether users choose a part of the name.
    pub(crate) fn is_pattern(&self) -> bool {
        self.name.contains('<') || self.name.ends_with(".**")
    }

    /// Whether the value must not be shown.
    pub(crate) fn is_secret(&self) -> bool {
        matches!(self.kind, Secret | SecretSection)
    }

    /// The names this key has when `<word>` is replaced by the predefined names and those of `given` keys. A section
    /// gives its own name.
    pub(crate) fn instances<'a>(&self, given: impl Iterator<Item = &'a str>) -> Vec<String> {
        let name = self.name.strip_suffix(".**").unwrap_or(self.name);
        let Some((before, rest)) = name.split_once(".<") else {
            return vec![name.to_owned()];
        };
        let after = rest.split_once('>').map_or("", |(_, after)| after);
        let prefix = format!("{before}.");
        let predefined =
            PREDEFINED.iter().filter(|(section, _)| *section == before).flat_map(|(_, names)| *names);
        let mut names: Vec<&str> = predefined
            .copied()
            .chain(given.filter_map(|key| key.strip_prefix(&prefix)?.split('.').next()))
            .collect();
        names.sort_unstable();
        names.dedup();
        names.into_iter().map(|name| format!("{prefix}{name}{after}")).collect()
    }
}

/// The declaration of a dotted key: an exact name before a pattern.
pub(crate) fn find(key: &str) -> Option<&'static KeyDef> {
    KEYS.iter()
        .find(|def| def.name == key)
        .or_else(|| KEYS.iter().find(|def| def.is_pattern() && def.covers(key)))
}

/// Whether `key` is the name of a section, as `http.ws` is.
pub(crate) fn is_section(key: &str) -> bool {
    let depth = key.split('.').count();
    KEYS.iter().any(|def| {
        let segments: Vec<&str> = def.name.split('.').collect();
        segments.len() > depth
            && key
                .split('.')
                .zip(&segments)
                .all(|(given, pattern)| pattern.starts_with('<') || *pattern == given)
    })
}
