//! What `/api/status` tells.

use std::collections::BTreeMap;

use serde::{Deserialize, Serialize};
use utoipa::ToSchema;

/// One connection.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize, ToSchema)]
#[serde(rename_all = "PascalCase")]
pub struct ConnStatus {
    /// Kind of the client (`agent`, `webui`, …).
    pub service_type: String,
    /// `json` or `protobuf`.
    pub client_protocol: String,
    /// Address of the other end.
    pub addr: String,
    /// Port of the other end.
    pub port: u16,
    /// Whether it is up.
    pub is_connected: bool,
    /// Since when, RFC 3339.
    pub connect_time: String,
    /// Host id of the other end.
    #[serde(default, skip_serializing_if = "String::is_empty")]
    pub remote_host: String,
    /// Service type of the other end.
    #[serde(default, skip_serializing_if = "String::is_empty")]
    pub remote_service_type: String,
    /// How a subscriber gets its part of the graph; absent for those who are no subscribers.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub filter_mode: Option<FilterMode>,
    /// The filter of a subscriber.
    #[serde(default, skip_serializing_if = "String::is_empty")]
    pub gremlin_filter: String,
}

/// How the part of the graph that a subscriber wants is kept true.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize, ToSchema)]
#[serde(rename_all = "lowercase")]
pub enum FilterMode {
    /// It gets everything.
    None,
    /// Each event is followed as it comes.
    Incremental,
    /// The filter is evaluated anew from time to time.
    Periodic,
}

/// An agent's connection to an analyzer.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize, ToSchema)]
pub struct AnalyzerLink {
    /// The connection.
    #[serde(flatten)]
    pub connection: ConnStatus,
    /// Whether the agent's graph goes to this one.
    #[serde(rename = "IsMaster")]
    pub is_master: bool,
    /// Why there is no connection; absent while there is one.
    #[serde(rename = "Disconnected", default, skip_serializing_if = "Option::is_none")]
    pub disconnected: Option<String>,
}

/// Whether this analyzer is the one that acts.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize, Deserialize, ToSchema)]
pub struct Election {
    /// Whether it is.
    #[serde(rename = "IsMaster")]
    pub is_master: bool,
}

/// Replication links of an analyzer.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize, ToSchema)]
#[serde(rename_all = "PascalCase")]
pub struct Peers {
    /// Those that connected here, by host id.
    pub incomers: BTreeMap<String, ConnStatus>,
    /// Those connected to, by host id.
    pub outgoers: BTreeMap<String, ConnStatus>,
}

/// One probe.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize, ToSchema)]
#[serde(rename_all = "PascalCase")]
pub struct ProbeStatus {
    /// `starting`, `running`, `stopping` or `stopped`.
    pub status: String,
    /// Why it shows less than it should.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub degraded: Option<String>,
}

/// What was refused or not delivered since start.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize, Deserialize, ToSchema)]
#[serde(rename_all = "PascalCase", default)]
pub struct Losses {
    /// Subscribers closed because they were too slow.
    pub slow_subscribers: u64,
    /// Messages these did not get.
    pub messages: u64,
    /// Messages refused for their size.
    pub oversized_messages: u64,
    /// Messages refused for their form.
    pub malformed_messages: u64,
    /// Messages of publishers that were dropped for their form, type or shape.
    pub dropped_messages: u64,
    /// REST bodies refused for their size.
    pub oversized_bodies: u64,
    /// REST bodies refused for their form.
    pub malformed_bodies: u64,
    /// Changes refused because they concern elements that somebody else made.
    pub foreign_changes: u64,
    /// How often the kernel dropped notifications of netlink; what they were about was read again.
    pub netlink_gaps: u64,
    /// Messages and attributes of netlink that could not be read.
    pub netlink_malformed: u64,
}

/// What all captures of an agent counted since it started. Once all have ended, `Received` = `Accounted` +
/// `DroppedByKernel` + `Dropped`; until then, `Waiting` is the rest.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize, ToSchema)]
#[serde(rename_all = "PascalCase", default)]
pub struct CaptureTotals {
    /// Captures that run.
    pub running: u64,
    /// Captures that were asked for and do not run, for a reason that their node tells.
    pub failed: u64,
    /// Packets that passed a filter.
    pub received: u64,
    /// Packets that were counted in a flow table.
    pub accounted: u64,
    /// Packets for which there was no room in a ring.
    pub dropped_by_kernel: u64,
    /// Packets that were not read before a capture ended.
    pub dropped: u64,
    /// Packets that wait in rings.
    pub waiting: u64,
    /// Flows in the tables.
    pub flows: u64,
    /// Flows begun.
    pub flows_begun: u64,
    /// Flows that had to go for others, as their table or all tables together were full; they were told of.
    pub flows_evicted: u64,
    /// Flows that nobody was told of, as they are taken too slowly.
    pub flows_lost: u64,
    /// Packets kept with flows that nobody was told of, for the same reason.
    pub raw_packets_lost: u64,
    /// Packets and messages that were not kept with flows for want of memory.
    pub unkept: u64,
    /// Streams of packets that were damaged or no capture file.
    pub damaged: u64,
    /// What answers with flows lack: packets that never reached the table of a capture that runs, and flows that had to go
    /// for others from it.
    pub missed: u64,
    /// What was given up in the last second, in the order in which it is given up: `raw packets`, `flows`, `packets`.
    pub shedding: Vec<String>,
}

/// What an agent sent of its flows since it started.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize, ToSchema)]
#[serde(rename_all = "PascalCase", default)]
pub struct FlowsSent {
    /// Flows sent to analyzers.
    pub sent: u64,
    /// Those of them that went without some of the packets kept with them, as a datagram has no room for these.
    pub cut: u64,
    /// Flows that were not sent: no analyzer was connected, or none took them.
    pub unsent: u64,
}

/// What became of flows on their way to an analyzer, since it started.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize, ToSchema)]
#[serde(rename_all = "PascalCase", default)]
pub struct FlowsStatus {
    /// Flows received from agents.
    pub received: u64,
    /// Flows that could not be read.
    pub refused: u64,
    /// Datagrams and messages that carry no flows.
    pub malformed_messages: u64,
    /// Flows dropped as too many waited to be told.
    pub overflowed: u64,
    /// Flows of imported capture files.
    pub imported: u64,
    /// Those of them that queries no longer find, as there are too many.
    pub imported_dropped: u64,
    /// Packets of imported files that are in no flow: of kinds of link not known, or without a header that could be read.
    pub imported_unaccounted: u64,
    /// Flows that agents sent and that did not arrive, by host id. Agents of the original do not number theirs.
    pub lost: BTreeMap<String, u64>,
}

/// Status of an analyzer.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize, ToSchema)]
#[serde(rename_all = "PascalCase")]
pub struct AnalyzerStatus {
    /// Agents by host id.
    pub agents: BTreeMap<String, ConnStatus>,
    /// Replication links.
    pub peers: Peers,
    /// Publishers by host id.
    pub publishers: BTreeMap<String, ConnStatus>,
    /// Subscribers by host id.
    pub subscribers: BTreeMap<String, ConnStatus>,
    /// Clients that publish and subscribe on one connection, by host id.
    #[serde(default, skip_serializing_if = "BTreeMap::is_empty")]
    pub pub_subs: BTreeMap<String, ConnStatus>,
    /// Subscribers of flows by host id.
    #[serde(default, skip_serializing_if = "BTreeMap::is_empty")]
    pub flow_subscribers: BTreeMap<String, ConnStatus>,
    /// What became of flows.
    #[serde(default)]
    pub flows: FlowsStatus,
    /// Evaluation of alerts.
    pub alerts: Election,
    /// Captures on demand.
    pub captures: Election,
    /// Probes by name.
    pub probes: BTreeMap<String, ProbeStatus>,
    /// What agents miss: by host id and probe, why it shows less than it should.
    #[serde(default, skip_serializing_if = "BTreeMap::is_empty")]
    pub degraded: BTreeMap<String, BTreeMap<String, String>>,
    /// What was lost.
    #[serde(default)]
    pub losses: Losses,
}

/// Status of an agent.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize, ToSchema)]
#[serde(rename_all = "PascalCase")]
pub struct AgentStatus {
    /// Subscribers by host id.
    pub clients: BTreeMap<String, ConnStatus>,
    /// Publishers by host id.
    #[serde(default)]
    pub publishers: BTreeMap<String, ConnStatus>,
    /// Clients that publish and subscribe on one connection, by host id.
    #[serde(default, skip_serializing_if = "BTreeMap::is_empty")]
    pub pub_subs: BTreeMap<String, ConnStatus>,
    /// Analyzers by host id.
    pub analyzers: BTreeMap<String, AnalyzerLink>,
    /// Topology probes by name.
    pub topology_probes: BTreeMap<String, ProbeStatus>,
    /// Kinds of capture.
    pub flow_probes: Vec<String>,
    /// What its captures counted.
    #[serde(default)]
    pub captures: CaptureTotals,
    /// What it sent of its flows.
    #[serde(default)]
    pub flows: FlowsSent,
    /// What was lost.
    #[serde(default)]
    pub losses: Losses,
}
