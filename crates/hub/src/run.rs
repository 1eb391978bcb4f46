//! A hub from start to stop.

use std::pin::pin;
use std::sync::Arc;

use prometheus_client::registry::Registry;
use skydive_api::{
    AgentEndpoint, ApiTelemetry, Areas, BindError, Listener, LiveGraph, LiveOwner, NoAuth, Page, PubSub,
    Publications, Queries, Roster, Server, Subscriptions,
};
use skydive_proto::{Identity, role};
use thiserror::Error;
use tokio_util::sync::CancellationToken;

use crate::HubConfig;
use crate::agents::{Agents, SharedLink};
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
}

impl Hub {
    /// Takes the address; from here on connections wait until [`Hub::run`] answers them.
    pub async fn bind(config: HubConfig, listen: &str) -> Result<Self, HubError> {
        let listener = Listener::bind(listen).await?;
        let (live, owner) = LiveGraph::new(config.clock.clone(), Box::new(|_, _| Vec::new()));
        Ok(Self { config, listener, live, owner })
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
        let Self { config, listener, live, owner } = self;
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
            status: Some(Arc::new(Report {
                agents: agents.clone(),
                subscribers: subscribers.clone(),
                publishers: publishers.clone(),
                pub_subs: pub_subs.clone(),
                telemetry: telemetry.clone(),
                live: live.clone(),
            })),
            publications: Some(Publications { live: live.clone(), roster: publishers }),
            pubsub: Some(PubSub { live: live.clone(), roster: pub_subs }),
            subscriptions: Some(Subscriptions { live, roster: subscribers }),
            agents: Some(AgentEndpoint { link, roster: agents }),
            metrics: Some(Arc::new(registry)),
            page: Some(Page::embedded()),
        };
        // The graph outlives the connections, so that what they still do when they end is done.
        let graph_stop = CancellationToken::new();
        let server = Server::new(areas, config.api, telemetry, Box::new(NoAuth), config.clock, stop);
        let mut owner = tokio::spawn(owner.run(graph_stop.clone()));
        let mut serving = pin!(server.run(listener));
        let ended = tokio::select! {
            () = &mut serving => None,
            ended = &mut owner => Some(ended),
        };
        // Without its owner the graph answers nobody: the program ends and says so, whoever watches it starts it anew.
        if let Some(ended) = ended {
            stopping.cancel();
            serving.await;
            return Err(HubError::Defect(
                ended.err().map_or("the graph has ended".to_owned(), |e| e.to_string()),
            ));
        }
        graph_stop.cancel();
        owner.await.map_err(|error| HubError::Defect(error.to_string()))
    }
}
