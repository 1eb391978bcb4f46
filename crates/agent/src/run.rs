//! An agent from start to stop.

use std::collections::HashSet;
use std::sync::Arc;

use prometheus_client::registry::Registry;
use skydive_api::{
    ApiTelemetry, Areas, BindError, Listener, LiveGraph, LiveOwner, NoAuth, Notices, Page, PubSub,
    Publications, Queries, Roster, Server, Subscriptions,
};
use skydive_graph::{Mutation, Source};
use skydive_probes::{Namespaces, ProbeConfig, ProbeTelemetry, Report};
use skydive_proto::{Identity, role};
use skydive_value::Id;
use thiserror::Error;
use tokio::sync::mpsc;
use tokio::task::JoinSet;
use tokio_util::sync::CancellationToken;

use crate::captures::{self, CaptureEnds, CaptureMetrics};
use crate::flow_line::{self, FlowLine, FlowLineTelemetry};
use crate::link::SharedDial;
use crate::made::Made;
use crate::master::Masters;
use crate::requests::Answering;
use crate::status::{AgentReport, Complaints, ProbeStates};
use crate::supervise::{self, Surroundings};
use crate::uplink::Uplink;
use crate::{AgentConfig, Dial, host, tid};

/// Reports of probes waiting for the graph; beyond that probes wait.
const REPORTS: usize = 256;

/// An agent that cannot start.
#[derive(Debug, Error)]
pub enum AgentError {
    /// A probe was asked for that does not exist.
    #[error("no probe is named {0}")]
    UnknownProbe(String),
    /// The address cannot be listened on.
    #[error(transparent)]
    Listen(#[from] BindError),
    /// The threads of captures cannot be started.
    #[error("threads of captures")]
    Captures(#[source] std::io::Error),
    /// A part of the agent ended by itself.
    #[error("defect: {0}")]
    Defect(String),
}

/// An agent that listens and does not run yet.
pub struct Agent {
    config: AgentConfig,
    listener: Listener,
    live: LiveGraph,
    owner: LiveOwner,
    probes: Vec<&'static skydive_probes::ProbeDef>,
    dials: Vec<SharedDial>,
    masters: Arc<Masters>,
    states: Arc<ProbeStates>,
    probe_telemetry: ProbeTelemetry,
    flow_telemetry: FlowLineTelemetry,
}

impl Agent {
    /// Takes the address. The agent will give its graph to the first analyzer that one of `dials` reaches.
    pub async fn bind(
        config: AgentConfig,
        listen: &str,
        dials: Vec<Box<dyn Dial>>,
    ) -> Result<Self, AgentError> {
        let probes = supervise::chosen(&config.probes)?;
        let mut seen = HashSet::new();
        let dials: Vec<_> = dials.into_iter().filter(|dial| seen.insert(dial.address().to_owned())).collect();
        let listener = Listener::bind(listen).await?;
        let (live, owner) = LiveGraph::new(config.clock.clone(), Box::new(tid::derive));
        let masters = Arc::new(Masters::new(dials.iter().map(|dial| dial.address().to_owned())));
        let dials = dials.into_iter().map(SharedDial::from).collect();
        Ok(Self {
            config,
            listener,
            live,
            owner,
            probes,
            dials,
            masters,
            states: Arc::default(),
            probe_telemetry: ProbeTelemetry::default(),
            flow_telemetry: FlowLineTelemetry::default(),
        })
    }

    /// The agent's graph, for whoever serves it.
    pub fn live(&self) -> &LiveGraph {
        &self.live
    }

    /// Where it listens.
    pub fn address(&self) -> std::net::SocketAddr {
        self.listener.address()
    }

    fn server(&self, captures: &CaptureEnds, stop: CancellationToken) -> Server {
        let telemetry = ApiTelemetry::default();
        let mut registry = Registry::default();
        telemetry.register(&mut registry);
        self.live.register(&mut registry);
        self.probe_telemetry.register(&mut registry);
        self.flow_telemetry.register(&mut registry);
        registry.register_collector(Box::new(CaptureMetrics(captures.totals.clone())));
        let roster = Roster::new();
        let (publishers, pub_subs) = (Roster::new(), Roster::new());
        let (config, clock) = (&self.config, self.config.clock.clone());
        let areas = Areas {
            topology: Some(Arc::new(Queries::new(
                Arc::new(self.live.clone()),
                Some(Arc::new(captures.flows.clone())),
                &config.api.limits,
                clock.clone(),
            ))),
            status: Some(Arc::new(AgentReport {
                subscribers: roster.clone(),
                publishers: publishers.clone(),
                pub_subs: pub_subs.clone(),
                states: self.states.clone(),
                masters: self.masters.watch(),
                telemetry: telemetry.clone(),
                probes: self.probe_telemetry.clone(),
                captures: captures.totals.clone(),
                flows: self.flow_telemetry.clone(),
            })),
            subscriptions: Some(Subscriptions { live: self.live.clone(), roster, notices: Notices::new() }),
            publications: Some(Publications { live: self.live.clone(), roster: publishers }),
            pubsub: Some(PubSub { live: self.live.clone(), roster: pub_subs }),
            metrics: Some(Arc::new(registry)),
            page: Some(Page::embedded()),
            ..Areas::new(Identity {
                host: config.host_id.to_string(),
                version: config.version.to_string(),
                service: role::AGENT.to_owned(),
            })
        };
        Server::new(areas, config.api, telemetry, Box::new(NoAuth), clock, stop)
    }

    /// Runs until `stop`; everything it started has ended when it returns.
    pub async fn run(self, stop: CancellationToken) -> Result<(), AgentError> {
        let stopping = stop.clone();
        let source = Source::of(role::AGENT, &self.config.host_id);
        let (host_node, add_host) = host::add_host(&self.config, &source);
        let (reports, incoming) = mpsc::channel(REPORTS);
        let namespaces = Namespaces::default();
        let (capture_owner, captures) = captures::captures(captures::Surroundings {
            live: self.live.clone(),
            settings: self.config.captures.clone(),
            analyzers: self.dials.iter().map(|dial| dial.address().to_owned()).collect(),
            host_node: host_node.clone(),
            host_id: self.config.host_id.clone(),
            namespaces: namespaces.clone(),
            clock: self.config.clock.clone(),
        })
        .map_err(AgentError::Captures)?;
        let mut tasks = JoinSet::new();
        let line = FlowLine::new(
            flow_line::Surroundings {
                protocol: self.config.flow_protocol,
                dials: self.dials.clone(),
                connections: self.masters.watch(),
                host_id: self.config.host_id.clone(),
                clock: self.config.clock.clone(),
                telemetry: self.flow_telemetry.clone(),
            },
            &stop,
        );
        tasks.spawn(self.server(&captures, stop.clone()).run(self.listener));
        tasks.spawn(capture_owner.run(stop.clone()));
        let CaptureEnds { desk, flows, feed, .. } = captures;
        tasks.spawn(line.run(feed));
        let answering = Answering { captures: desk, flows };
        tasks.spawn(self.owner.run(stop.clone()));
        tasks.spawn(apply_reports(
            incoming,
            self.live.clone(),
            host_node.clone(),
            add_host,
            self.states.clone(),
        ));
        for dial in self.dials {
            let uplink = Uplink {
                dial,
                live: self.live.clone(),
                masters: self.masters.clone(),
                queue_size: self.config.api.ws.queue_size,
                answering: answering.clone(),
                clock: self.config.clock.clone(),
            };
            tasks.spawn(uplink.run(stop.clone()));
        }
        let around = Surroundings {
            config: ProbeConfig {
                host_node,
                source,
                host_id: self.config.host_id.clone(),
                metrics_update: self.config.metrics_update,
                sockets_update: self.config.sockets_update,
                netns_run_path: self.config.netns_run_path.clone(),
                metadata_files: self.config.metadata_files.clone(),
                namespaces,
                telemetry: self.probe_telemetry,
            },
            reports,
            clock: self.config.clock.clone(),
            states: self.states,
            stop,
        };
        tasks.spawn(supervise::run(self.probes, around));
        let mut defect = Ok(());
        while let Some(ended) = tasks.join_next().await {
            if let Err(error) = ended {
                // Half an agent would show half the truth: it ends, whoever watches it starts it anew.
                stopping.cancel();
                defect = Err(AgentError::Defect(error.to_string()));
            }
        }
        defect
    }
}

/// Puts what probes report into the graph: mutations as they are, the state of a degraded probe on the host's node.
async fn apply_reports(
    mut reports: mpsc::Receiver<Report>,
    live: LiveGraph,
    host_node: Id,
    add_host: Mutation,
    states: Arc<ProbeStates>,
) {
    if live.apply(vec![add_host]).await.is_err() {
        return;
    }
    let (mut made, mut complaints) = (Made::default(), Complaints::default());
    while let Some(report) = reports.recv().await {
        let mutations = match report {
            Report::Mutations { probe, mutations } => {
                made.note(probe, &mutations);
                if made.is_due() {
                    let Ok(graph) = live.snapshot().await else { return };
                    made.forget_gone(&graph);
                }
                mutations
            }
            Report::Abandoned { probe } => made.take(probe).into_iter().map(Mutation::delete_node).collect(),
            Report::Health { probe, health } => {
                complaints.hear(probe, &health);
                states.set(probe, health.clone());
                vec![Mutation::update_node(host_node.clone(), [health.op(probe)])]
            }
        };
        if live.apply(mutations).await.is_err() {
            return;
        }
    }
}
