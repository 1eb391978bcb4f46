//! HTTP and WebSocket server of agents and analyzers, and the task that owns the live graph.
//!
//! A [`Server`] is made of [`Areas`]: each area is a small trait or a handle in a file of its own, and only the routes
//! of areas that are given exist. Every request passes one permission check ([`Permission`]), every connection comes
//! through one [`Listener`], every limit that refuses something counts it ([`ApiTelemetry`]). The server knows neither
//! agent nor hub: they hand in what they have.

mod agent_link;
mod backlog;
mod capture_faults;
mod compression;
mod config_key;
mod cors;
mod docs;
mod elements;
mod encoded;
mod filtered;
mod flow_link;
mod flow_subscriber;
mod followed;
mod foreign;
mod handshake;
mod identity;
mod language;
mod live;
mod login;
mod metrics;
mod notices;
mod openapi;
mod paced;
mod page;
mod pcap;
mod permission;
mod publisher;
mod pubsub;
mod pulse;
mod queries;
mod resources;
mod respond;
mod roster;
mod route;
mod router;
mod server;
mod settings;
mod speaker;
mod status;
mod steps;
mod subscriber;
mod telemetry;
mod topology;
mod traffic;
mod weight;

pub use agent_link::{Agent, AgentEndpoint, AgentLink, AgentSession, Conflict};
pub use backlog::Backlog;
pub use capture_faults::CaptureFaults;
pub use config_key::ConfigKeys;
pub use elements::{Elements, owns};
pub use flow_link::{FLOW_MESSAGE_MAX, FlowEndpoint, FlowLink};
pub use flow_subscriber::{FlowNews, FlowSubscriptions};
pub use followed::{FollowError, FollowedQuery};
pub use language::language;
pub use live::{Derive, Ended, LiveCounters, LiveGraph, LiveOwner, Stopped, Subscription};
pub use notices::Notices;
pub use page::{Page, PageFile};
pub use pcap::{ImportFault, PcapImport, Piece};
pub use permission::{NoAuth, Permission};
pub use publisher::Publications;
pub use pubsub::PubSub;
pub use queries::Queries;
pub use roster::Roster;
pub use router::Areas;
pub use server::{BindError, Listener, Server};
pub use settings::{ApiSettings, WebSocketSettings};
pub use status::{Status, StatusReport};
pub use subscriber::Subscriptions;
pub use telemetry::{ApiTelemetry, OncePerSecond};
pub use topology::{Found, QueryFault, Topology};
