//! A hub from start to stop.

use std::pin::pin;
use std::sync::Arc;

use prometheus_client::registry::Registry;
use skydive_api::{
    AgentEndpoint, ApiTelemetry, Areas, BindError, CaptureFaults, ConfigKeys, Elements, FlowEndpoint,
    FlowNews, FlowSubscriptions, Listener, LiveGraph, LiveOwner, NoAuth, Notices, Page, PubSub, Publications,
    Queries, Roster, Server, Subscriptions,
};
use skydive_proto::{Identity, ResourceStore, role};
use thiserror::Error;
use tokio::task::{JoinError, JoinSet};
use tokio_util::sync::CancellationToken;

use crate::agents::{Agents, SharedLink};
use crate::analyzer_probes::{AnalyzerProbe, AnalyzerProbes};
use crate::captures::Captures;
use crate::flow_intake::{Datagrams, FlowIntake, FlowTelemetry};
use crate::flows::{DEADLINE, LiveFlows};
use crate::hosts::Hosts;
use crate::imported::Imported;
use crate::rules::Rules;
use crate::status::Report;
use crate::{FlowSettings, HubConfig};

/// A hub that cannot start.
#[derive(Debug, Error)]
pub enum HubError {
    /// The address cannot be listened on.
    #[error(transparent)]
    Listen(#[from] BindError),
    /// Datagrams of flows cannot be received there.
    #[error("cannot receive datagrams of flows on {address} (`flow.protocol: websocket` needs none)")]
    Datagrams {
        /// The address.
        address: std::net::SocketAddr,
        /// Why not.
        source: std::io::Error,
    },
    /// The owner of the graph ended by itself.
    #[error("defect: {0}")]
    Defect(String),
}

/// How often another port is tried when any is good.
const ATTEMPTS: usize = 10;

/// A hub that listens and does not answer yet.
pub struct Hub {
    config: HubConfig,
    listener: Listener,
    datagrams: Option<Datagrams>,
    live: LiveGraph,
    owner: LiveOwner,
    resources: Option<Arc<dyn ResourceStore>>,
    keys: Option<Arc<ConfigKeys>>,
    probes: Vec<AnalyzerProbe>,
}

impl Hub {
    /// Takes the address; from here on connections wait until [`Hub::run`] answers them.
    pub async fn bind(config: HubConfig, listen: &str) -> Result<Self, HubError> {
        let (listener, datagrams) = bind(listen, config.flows.datagrams).await?;
        let (live, owner) = LiveGraph::new(config.clock.clone(), Box::new(|_, _| Vec::new()));
        Ok(Self { config, listener, datagrams, live, owner, resources: None, keys: None, probes: Vec::new() })
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
        let Self { config, listener, datagrams, live, owner, resources, keys, probes } = self;
        let probes = AnalyzerProbes::new(live.clone(), probes);
        let stopping = stop.clone();
        let telemetry = ApiTelemetry::default();
        let mut registry = Registry::default();
        telemetry.register(&mut registry);
        live.register(&mut registry);
        let (agents, subscribers) = (Roster::new(), Roster::new());
        let (publishers, pub_subs) = (Roster::new(), Roster::new());
        let (news, flow_subscribers, flow_telemetry) =
            (FlowNews::new(), Roster::new(), FlowTelemetry::default());
        flow_telemetry.register(&mut registry);
        let FlowSettings { buffer, delay, table, .. } = config.flows;
        let intake = FlowIntake::new(buffer, delay, news.clone(), flow_telemetry.clone());
        let imported = Imported::new(table, news.clone(), config.clock.clone(), flow_telemetry.clone());
        let (hosts, notices, capture_faults) = (Hosts::default(), Notices::new(), CaptureFaults::default());
        let link: SharedLink =
            Arc::new(Agents { live: live.clone(), clock: config.clock.clone(), hosts: hosts.clone() });
        let flows =
            LiveFlows { hosts: hosts.clone(), others: vec![Arc::new(imported.clone())], deadline: DEADLINE };
        let areas = Areas {
            identity: Identity {
                host: config.host_id.to_string(),
                version: config.version.to_string(),
                service: role::ANALYZER.to_owned(),
            },
            topology: Some(Arc::new(Queries::new(
                Arc::new(live.clone()),
                Some(Arc::new(flows)),
                &config.api.limits,
                config.clock.clone(),
            ))),
            elements: Some(Elements { live: live.clone(), origin: format!("api.{}", config.host_id).into() }),
            resources: resources.clone(),
            capture_faults: capture_faults.clone(),
            config: keys,
            status: Some(Arc::new(Report {
                agents: agents.clone(),
                subscribers: subscribers.clone(),
                publishers: publishers.clone(),
                pub_subs: pub_subs.clone(),
                flow_subscribers: flow_subscribers.clone(),
                flows: flow_telemetry,
                telemetry: telemetry.clone(),
                live: live.clone(),
                probes: probes.states(),
            })),
            publications: Some(Publications { live: live.clone(), roster: publishers }),
            pubsub: Some(PubSub { live: live.clone(), roster: pub_subs }),
            subscriptions: Some(Subscriptions {
                live: live.clone(),
                roster: subscribers,
                notices: notices.clone(),
            }),
            agents: Some(AgentEndpoint { link, roster: agents }),
            flows: Some(FlowEndpoint { link: Arc::new(intake.clone()), roster: Roster::new() }),
            flow_subscriptions: Some(FlowSubscriptions { news, roster: flow_subscribers }),
            pcap: Some(Arc::new(imported.clone())),
            metrics: Some(Arc::new(registry)),
            page: Some(Page::embedded()),
        };
        let limits = skydive_query::Limits {
            max_query_bytes: config.api.limits.query_bytes,
            max_steps: config.api.limits.query_steps,
        };
        let captures = resources.clone().map(|store| Captures {
            live: live.clone(),
            store,
            hosts,
            notices,
            faults: capture_faults,
            limits,
            clock: config.clock.clone(),
            startup: config.startup_capture.clone(),
        });
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
        let captures = tokio::spawn(run_captures(captures, stopping.clone()));
        let probes = tokio::spawn(probes.run(stopping.clone()));
        let flows = tokio::spawn(run_flows(intake, datagrams, imported, stopping.clone()));
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
            defect(captures.await)?;
            defect(probes.await)?;
            defect(flows.await.flatten())?;
            return Err(HubError::Defect(
                ended.err().map_or("the graph has ended".to_owned(), |e| e.to_string()),
            ));
        }
        defect(rules.await)?;
        defect(captures.await)?;
        defect(probes.await)?;
        defect(flows.await.flatten())?;
        graph_stop.cancel();
        defect(owner.await)
    }
}

/// Takes the address for connections, and for datagrams if there are to be any.
async fn bind(listen: &str, datagrams: bool) -> Result<(Listener, Option<Datagrams>), HubError> {
    let mut attempts = ATTEMPTS;
    loop {
        let listener = Listener::bind(listen).await?;
        if !datagrams {
            return Ok((listener, None));
        }
        let address = listener.address();
        attempts -= 1;
        match Datagrams::bind(address).await {
            Ok(datagrams) => return Ok((listener, Some(datagrams))),
            // Any port was asked for, and that one is free for connections only.
            Err(_) if listen.ends_with(":0") && attempts > 0 => {}
            Err(source) => return Err(HubError::Datagrams { address, source }),
        }
    }
}

/// Takes flows in and tells of them. Decoding them may keep a processor busy, so that it is a task of its own.
async fn run_flows(
    intake: FlowIntake,
    datagrams: Option<Datagrams>,
    imported: Imported,
    stop: CancellationToken,
) -> Result<(), JoinError> {
    let mut tasks = JoinSet::new();
    if let Some(datagrams) = datagrams {
        tasks.spawn(datagrams.receive(intake.clone(), stop.clone()));
    }
    tasks.spawn({
        let stop = stop.clone();
        async move { intake.deliver(stop).await }
    });
    tasks.spawn(async move { imported.expire(stop).await });
    while let Some(ended) = tasks.join_next().await {
        ended?;
    }
    Ok(())
}

async fn run_captures(captures: Option<Captures>, stop: CancellationToken) {
    if let Some(captures) = captures {
        captures.run(stop).await;
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
