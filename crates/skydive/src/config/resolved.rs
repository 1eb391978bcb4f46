//! The configuration as the rest of the program reads it: typed, checked, nothing left to look up.

use std::net::IpAddr;
use std::ops::RangeInclusive;
use std::path::PathBuf;
use std::time::Duration;

use serde_json::{Map, Value as Json};
use skydive_flow::{KeyMode, TransportProtocol};

use super::address::Address;

/// The whole configuration.
#[derive(Clone, Debug, PartialEq)]
pub(crate) struct Resolved {
    /// Identity of this host in the graph.
    pub(crate) host_id: String,
    /// Where all state lives.
    pub(crate) data_dir: PathBuf,
    /// The analyzers in the order to try them, shuffled to spread the load. Empty: an agent stays on its own.
    pub(crate) analyzers: Vec<Address>,
    pub(crate) ws: WebSocket,
    pub(crate) limits: Limits,
    pub(crate) flow: Flow,
    pub(crate) agent: Agent,
    pub(crate) analyzer: Analyzer,
    pub(crate) logging: Logging,
}

/// Keep-alive and sizes of WebSocket links.
#[derive(Clone, Debug, PartialEq)]
pub(crate) struct WebSocket {
    pub(crate) ping_delay: Duration,
    pub(crate) pong_timeout: Duration,
    /// Messages waiting for one client.
    pub(crate) queue_size: usize,
    /// Bytes of one message from a client.
    pub(crate) max_message: usize,
    /// Bytes of one message from an agent.
    pub(crate) agent_max_message: usize,
}

/// Limits on what clients send.
#[derive(Clone, Debug, PartialEq)]
pub(crate) struct Limits {
    /// Bytes of a request's body.
    pub(crate) max_body: usize,
    /// Bytes of a capture file.
    pub(crate) max_capture_file: usize,
    /// Bytes of a query.
    pub(crate) max_query: usize,
    /// Steps of a query.
    pub(crate) max_steps: usize,
}

/// Flows, and their way to an analyzer.
#[derive(Clone, Debug, PartialEq)]
pub(crate) struct Flow {
    /// How long a flow may be idle.
    pub(crate) expire: Duration,
    /// Between two updates of a flow.
    pub(crate) update: Duration,
    /// Flows in a table.
    pub(crate) max_entries: usize,
    pub(crate) protocol: FlowProtocol,
}

/// How agents send flows.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum FlowProtocol {
    Udp,
    WebSocket,
}

/// What only an agent reads.
#[derive(Clone, Debug, PartialEq)]
pub(crate) struct Agent {
    pub(crate) listen: Address,
    /// Shown to the analyzers.
    pub(crate) credentials: Option<Credentials>,
    /// Probes beside those that always run.
    pub(crate) probes: ProbeChoice,
    /// Merged into the metadata of the host node; dots already nest.
    pub(crate) metadata: Map<String, Json>,
    pub(crate) metadata_files: Vec<MetadataFile>,
    pub(crate) captures: Captures,
    /// Between two samples of interface counters.
    pub(crate) metrics_update: Duration,
    /// Between two lists of sockets.
    pub(crate) sockets_update: Duration,
    /// Where named network namespaces are kept.
    pub(crate) netns_run_path: PathBuf,
}

/// How captures are made where they do not say it themselves.
#[derive(Clone, Debug, PartialEq)]
pub(crate) struct Captures {
    /// Which addresses tell flows apart.
    pub(crate) key_mode: KeyMode,
    /// Names of applications.
    pub(crate) application_ports: Vec<((TransportProtocol, u16), String)>,
    /// How long flows of applications may be idle.
    pub(crate) application_timeouts: Vec<(String, Duration)>,
    /// Where capture files are taken.
    pub(crate) socket_address: IpAddr,
    pub(crate) socket_ports: RangeInclusive<u16>,
    /// Between two samples of the counters that nodes show.
    pub(crate) stats_update: Duration,
    /// Bytes of a ring.
    pub(crate) ring: usize,
    /// Bytes that what packets say may take, in all captures together.
    pub(crate) memory: usize,
    /// Flows of all captures together.
    pub(crate) flows: usize,
    /// Threads that all captures share.
    pub(crate) threads: usize,
    /// How many of them each is spread over.
    pub(crate) fanout: usize,
}

/// The optional probes of an agent.
#[derive(Clone, Debug, PartialEq)]
pub(crate) enum ProbeChoice {
    /// Nobody chose anything but the default: those that work here.
    Automatic(Vec<String>),
    /// Asked for by name: one that cannot work here is fatal.
    Named(Vec<String>),
}

/// A value that the host node takes from a file.
#[derive(Clone, Debug, PartialEq)]
pub(crate) struct MetadataFile {
    pub(crate) path: PathBuf,
    /// One of `json toml ini yaml yml properties props prop`.
    pub(crate) format: String,
    /// Under which the value appears in `Config`.
    pub(crate) name: String,
    /// Dotted path inside the file.
    pub(crate) selector: String,
}

/// A user and a password. Not printed by `Debug`.
#[derive(Clone, PartialEq)]
pub(crate) struct Credentials {
    pub(crate) username: String,
    pub(crate) password: String,
}

/// What only an analyzer reads.
#[derive(Clone, Debug, PartialEq)]
pub(crate) struct Analyzer {
    pub(crate) listen: Address,
    /// Where the history of the graph goes.
    pub(crate) topology_backend: Backend,
    /// Where resources that clients make are kept.
    pub(crate) resources_dir: PathBuf,
    /// Where flows go.
    pub(crate) flow_backend: Backend,
    /// Flows that may wait.
    pub(crate) flow_buffer: usize,
    /// How long they may.
    pub(crate) flow_delay: Duration,
    /// Nodes and links described by hand, wrong ones included.
    pub(crate) fabric: Vec<String>,
    pub(crate) startup_capture: Option<StartupCapture>,
}

/// A storage.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Backend {
    /// Files in the data directory.
    Embedded,
    /// Nothing is kept.
    None,
}

/// Where logs go, one entry a backend.
#[derive(Clone, Debug, PartialEq)]
pub(crate) struct Logging {
    pub(crate) color: bool,
    pub(crate) backends: Vec<LogOutput>,
}

/// One destination of logs.
#[derive(Clone, Debug, PartialEq)]
pub(crate) struct LogOutput {
    pub(crate) backend: LogBackend,
    pub(crate) level: LogLevel,
    pub(crate) encoder: Encoder,
}

/// The kind of a destination.
#[derive(Clone, Debug, PartialEq)]
pub(crate) enum LogBackend {
    Stderr,
    Stdout,
    File(PathBuf),
}

/// The levels of the original. CRITICAL is logged as an error, NOTICE as information.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum LogLevel {
    Error,
    Warning,
    Info,
    Debug,
}

/// The form of a line.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Encoder {
    Console,
    Json,
}

impl std::fmt::Debug for Credentials {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("Credentials").field("username", &self.username).finish_non_exhaustive()
    }
}

/// A capture that is made at the start.
#[derive(Clone, Debug, PartialEq)]
pub(crate) struct StartupCapture {
    pub(crate) gremlin: String,
    pub(crate) bpf: String,
    pub(crate) kind: String,
}
