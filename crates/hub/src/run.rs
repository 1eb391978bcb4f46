//! A hub from start to stop.

use std::pin::pin;
use std::sync::Arc;

use prometheus_client::registry::Registry;
use skydive_api::{
    AgentEndpoint, ApiTelemetry, Areas, BindError, ConfigKeys, Elements, Listener, LiveGraph, LiveOwner,
    NoAuth, Page, PubSub, Publications, Queries, Roster, Server, Subscriptions,
};
use skydive_proto::{Identity, ResourceStore, role};
use thiserror::Error;
use tokio::task::JoinError;
use tokio_util::sync::CancellationToken;

use crate::HubConfig;
use crate::agents::{Agents, SharedLink};
use crate::analyzer_probes::{AnalyzerProbe, AnalyzerProbes};
use crate::rules::Rules;
use crate::status::Report;

/// A hub that cannot start.
#[derive(Debug, Error)]
pub enum HubError {
    /// The address cannot be listened on.
    #[error(transparent)]
    Listen(#[from] BindError),
    /// The owner of the graph ended by itself.
    #[error("defect: {0}")]
    Defect(String),
}

/// A hub that listens and does not answer yet.
pub struct Hub {
    config: HubConfig,
    listener: Listener,
    live: LiveGraph,
    owner: LiveOwner,
    resources: Option<Arc<dyn ResourceStore>>,
    keys: Option<Arc<ConfigKeys>>,
    probes: Vec<AnalyzerProbe>,
}

impl Hub {
    /// Takes the address; from here on connections wait until [`Hub::run`] answers them.
    pub async fn bind(config: HubConfig, listen: &str) -> Result<Self, HubError> {
        let listener = Listener::bind(listen).await?;
        let (live, owner) = LiveGraph::new(config.clock.clone(), Box::new(|_, _| Vec::new()));
        Ok(Self { config, listener, live, owner, resources: None, keys: None, probes: Vec::new() })
    }

    /// With the resources of `store`, which it serves and applies.
    pub fn with_resources(mut self, store: Arc<dyn ResourceStore>) -> Self {
        self.resources = Some(store);
        self
    }

    /// With the configuration that it tells clients.
    pub fn with_config_keys(mut self, keys: ConfigKeys) -> Self {
        self.keys = Some(Arc::new(keys));
        self
    }

    /// With a probe that adds to the merged graph.
    pub fn with_probe(mut self, probe: AnalyzerProbe) -> Self {
        self.probes.push(probe);
        self
    }

    /// Where it listens.
    pub fn address(&self) -> std::net::SocketAddr {
        self.listener.address()
    }

    /// The merged graph.
    pub fn live(&self) -> &LiveGraph {
        &self.live
    }

    /// Runs until `stop`; everything it started has ended when it returns.
    pub async fn run(self, stop: CancellationToken) -> Result<(), HubError> {
        let Self { config, listener, live, owner, resources, keys, probes } = self;
        let probes = AnalyzerProbes::new(live.clone(), probes);
        let stopping = stop.clone();
        let telemetry = ApiTelemetry::default();
        let mut registry = Registry::default();
        telemetry.register(&mut registry);
        live.register(&mut registry);
        let (agents, subscribers) = (Roster::new(), Roster::new());
        let (publishers, pub_subs) = (Roster::new(), Roster::new());
        let link: SharedLink = Arc::new(Agents { live: live.clone(), clock: config.clock.clone() });
        let areas = Areas {
            identity: Identity {
                host: config.host_id.to_string(),
                version: config.version.to_string(),
                service: role::ANALYZER.to_owned(),
            },
            topology: Some(Arc::new(Queries::new(
                Arc::new(live.clone()),
                &config.api.limits,
                config.clock.clone(),
            ))),
            elements: Some(Elements { live: live.clone(), origin: format!("api.{}", config.host_id).into() }),
            resources: resources.clone(),
            config: keys,
            status: Some(Arc::new(Report {
                agents: agents.clone(),
                subscribers: subscribers.clone(),
                publishers: publishers.clone(),
                pub_subs: pub_subs.clone(),
                telemetry: telemetry.clone(),
                live: live.clone(),
                probes: probes.states(),
            })),
            publications: Some(Publications { live: live.clone(), roster: publishers }),
            pubsub: Some(PubSub { live: live.clone(), roster: pub_subs }),
            subscriptions: Some(Subscriptions { live: live.clone(), roster: subscribers }),
            agents: Some(AgentEndpoint { link, roster: agents }),
            metrics: Some(Arc::new(registry)),
            page: Some(Page::embedded()),
        };
        let limits = skydive_query::Limits {
            max_query_bytes: config.api.limits.query_bytes,
            max_steps: config.api.limits.query_steps,
        };
        let rules = resources.map(|store| Rules {
            live: live.clone(),
            store,
            origin: format!("{}.{}", role::ANALYZER, config.host_id).into(),
            limits,
            clock: config.clock.clone(),
        });
        // The graph outlives the connections, so that what they still do when they end is done.
        let graph_stop = CancellationToken::new();
        let server = Server::new(areas, config.api, telemetry, Box::new(NoAuth), config.clock, stop);
        let mut owner = tokio::spawn(owner.run(graph_stop.clone()));
        let rules = tokio::spawn(run_rules(rules, stopping.clone()));
        let probes = tokio::spawn(probes.run(stopping.clone()));
        let mut serving = pin!(server.run(listener));
        let ended = tokio::select! {
            () = &mut serving => None,
            ended = &mut owner => Some(ended),
        };
        // Without its owner the graph answers nobody: the program ends and says so, whoever watches it starts it anew.
        if let Some(ended) = ended {
            stopping.cancel();
            serving.await;
            defect(rules.await)?;
            defect(probes.await)?;
            return Err(HubError::Defect(
                ended.err().map_or("the graph has ended".to_owned(), |e| e.to_string()),
            ));
        }
        defect(rules.await)?;
        defect(probes.await)?;
        graph_stop.cancel();
        defect(owner.await)
    }
}

async fn run_rules(rules: Option<Rules>, stop: CancellationToken) {
    if let Some(rules) = rules {
        rules.run(stop).await;
    }
}

fn defect(ended: Result<(), JoinError>) -> Result<(), HubError> {
    ended.map_err(|error| HubError::Defect(error.to_string()))
}
