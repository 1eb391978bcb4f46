//! What a probe is.

use std::path::PathBuf;
use std::sync::Arc;
use std::time::Duration;

use skydive_graph::Source;
use skydive_value::{Id, SmolStr};
use thiserror::Error;

pub use skydive_graph::BoxFuture;

use crate::{Namespaces, ProbeScope, ProbeTelemetry};

/// One line of [`crate::PROBES`].
pub struct ProbeDef {
    /// Name in the configuration and in reports.
    pub name: &'static str,
    /// What it shows, in under 72 characters.
    pub about: &'static str,
    /// What it must find to show everything it can.
    pub needs: &'static [Need],
    /// Whether it runs without being asked for.
    pub always: bool,
    /// Makes one.
    pub build: fn(&ProbeConfig) -> Result<Box<dyn Probe>, BuildError>,
}

/// Something a probe must find.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Need {
    /// A Linux capability, by its name (`CAP_NET_ADMIN`).
    Capability(&'static str),
    /// A file or socket.
    File(&'static str),
}

/// What probes are built from.
#[derive(Clone, Debug)]
pub struct ProbeConfig {
    /// The node of this host, made by the agent before probes start.
    pub host_node: Id,
    /// Who the probes' elements are made by.
    pub source: Arc<Source>,
    /// Host id.
    pub host_id: SmolStr,
    /// Time between two samples of interface counters.
    pub metrics_update: Duration,
    /// Time between two lists of sockets.
    pub sockets_update: Duration,
    /// Directory of named network namespaces.
    pub netns_run_path: PathBuf,
    /// Files from which metadata of the host node is read.
    pub metadata_files: Vec<MetadataFile>,
    /// The network namespaces known on this host, shared between the probes that find and those that look inside.
    pub namespaces: Namespaces,
    /// What all probes count.
    pub telemetry: ProbeTelemetry,
}

/// A value in a file that belongs on the host node, as `Config.<name>`.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct MetadataFile {
    /// The file; it is watched.
    pub path: PathBuf,
    /// `json`, `toml`, `yaml`, `yml`, `ini` (read as TOML), `properties`, `props` or `prop`.
    pub format: String,
    /// Name of the metadata; dots nest.
    pub name: String,
    /// Dotted path of the value in the file.
    pub selector: String,
}

/// Watches one part of the system and keeps its part of the graph true.
pub trait Probe: Send {
    /// Says why this probe cannot work here. Called before [`Probe::run`]; a probe that was asked for by name and
    /// cannot work is an error, any other is left out and reported.
    fn check(&self) -> Result<(), Unavailable> {
        Ok(())
    }

    /// Sends mutations until `scope.stopped()`; returns early only for reasons worth telling a human. After an error
    /// it is built anew and started again, with growing pauses.
    fn run(self: Box<Self>, scope: ProbeScope) -> BoxFuture<'static, Result<(), ProbeError>>;
}

/// A probe that cannot work here.
#[derive(Clone, Debug, PartialEq, Eq, Error)]
#[error("{0}")]
pub struct Unavailable(pub String);

/// A probe that cannot be made from its configuration.
#[derive(Clone, Debug, PartialEq, Eq, Error)]
#[error("{0}")]
pub struct BuildError(pub String);

/// Why a probe ended.
#[derive(Debug, Error)]
pub enum ProbeError {
    /// The kernel or a daemon does not answer as it should.
    #[error("{what}")]
    Source {
        /// What was tried.
        what: String,
        /// What came of it.
        #[source]
        source: std::io::Error,
    },
    /// Anything else worth telling.
    #[error("{0}")]
    Other(String),
}
