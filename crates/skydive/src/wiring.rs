//! Where the crates meet: from the resolved configuration to running agents and analyzers.

use std::path::Path;
use std::sync::Arc;
use std::time::{SystemTime, UNIX_EPOCH};

use anyhow::Context as _;
use skydive_agent::{
    Agent, AgentConfig, AgentError, CaptureSettings, Dial, Listen, MetadataFile, TableConfig, WebSocketDial,
};
use skydive_api::{ApiSettings, WebSocketSettings};
use skydive_client::{ConnectionSettings, Credentials, Endpoint};
use skydive_flow::Quota;
use skydive_hub::{FlowSettings, Hub, HubConfig};
use skydive_proto::{Capture, Limits, reason};
use skydive_store::{OpenError, Resources};
use skydive_value::{Clock, Map, SmolStr, Timestamp};
use tracing::{debug, info, warn};

use crate::analyzer_probes::analyzer_probes;
use crate::config::{self, Address, FlowProtocol, ProbeChoice, Resolved, Settings};
use crate::version::VERSION;

/// Builds an agent; it listens and does not run yet. `settings` know where the values come from.
pub(crate) async fn agent(config: &Resolved, settings: &Settings) -> anyhow::Result<Agent> {
    let listen = authority(&config.agent.listen);
    let agent = Agent::bind(agent_config(config)?, &listen, dials(config)).await.map_err(|error| {
        let key = match &error {
            AgentError::UnknownProbe(_) => "agent.topology.probes",
            AgentError::Listen(_) => "agent.listen",
            AgentError::Captures(_) | AgentError::Defect(_) => return error.into(),
        };
        anyhow::Error::new(error).context(settings.locate(key))
    })?;
    info!(address = %agent.address(), "agent listens");
    Ok(agent)
}

/// Builds an analyzer; it listens and does not answer yet.
pub(crate) async fn analyzer(config: &Resolved, settings: &Settings) -> anyhow::Result<Hub> {
    let hub_config = HubConfig {
        host_id: config.host_id.as_str().into(),
        version: VERSION.into(),
        api: api_settings(config),
        flows: FlowSettings {
            datagrams: config.flow.protocol == FlowProtocol::Udp,
            buffer: config.analyzer.flow_buffer,
            delay: config.analyzer.flow_delay,
            // Files are counted as captures count that do not say otherwise.
            table: capture_settings(config).table,
        },
        startup_capture: config.analyzer.startup_capture.as_ref().map(|capture| Capture {
            gremlin_query: capture.gremlin.clone(),
            bpf_filter: capture.bpf.clone(),
            kind: capture.kind.clone(),
            ..Capture::default()
        }),
        clock: system_clock(),
    };
    let hub = Hub::bind(hub_config, &authority(&config.analyzer.listen))
        .await
        .with_context(|| settings.locate("analyzer.listen"))?
        .with_resources(Arc::new(resources(config, settings)?))
        .with_config_keys(config::exposed(config, settings));
    let hub = analyzer_probes(config).fold(hub, Hub::with_probe);
    info!(address = %hub.address(), "analyzer listens");
    Ok(hub)
}

/// The resources in the data directory; in memory when that cannot be made and nobody chose it, as without root and
/// home.
fn resources(config: &Resolved, settings: &Settings) -> anyhow::Result<Resources> {
    let directory = &config.analyzer.resources_dir;
    let is_chosen = ["etcd.data_dir", "data_dir"].iter().any(|key| settings.given(key).is_some());
    match Resources::open(directory, system_clock()) {
        Err(fault @ OpenError::Directory { .. }) if !is_chosen => {
            let fault = reason(&fault);
            warn!(
                fault,
                "RULES AND OTHER RESOURCES WILL BE LOST at the end: `data_dir` can name a directory"
            );
            Ok(Resources::in_memory(system_clock())?)
        }
        opened => opened.with_context(|| settings.locate("etcd.data_dir")),
    }
}

/// Allows as many open files as the system permits: every namespace and every client holds some.
pub(crate) fn raise_limits() {
    match skydive_sys::raise_nofile() {
        Ok(files) => debug!(files, "open files allowed"),
        Err(error) => warn!(%error, "the number of open files cannot be raised"),
    }
}

fn agent_config(config: &Resolved) -> anyhow::Result<AgentConfig> {
    let hostname = std::fs::read_to_string(Path::new("/proc/sys/kernel/hostname")).unwrap_or_default();
    let metadata: Map = serde_json::from_value(serde_json::Value::Object(config.agent.metadata.clone()))
        .context("`agent.metadata`")?;
    Ok(AgentConfig {
        host_id: config.host_id.as_str().into(),
        hostname: SmolStr::from(hostname.trim()),
        version: VERSION.into(),
        metadata,
        metadata_files: config
            .agent
            .metadata_files
            .iter()
            .map(|file| MetadataFile {
                path: file.path.clone(),
                format: file.format.clone(),
                name: file.name.clone(),
                selector: file.selector.clone(),
            })
            .collect(),
        probes: match &config.agent.probes {
            ProbeChoice::Automatic(_) => skydive_agent::ProbeChoice::Automatic,
            ProbeChoice::Named(names) => skydive_agent::ProbeChoice::Named(names.clone()),
        },
        metrics_update: config.agent.metrics_update,
        sockets_update: config.agent.sockets_update,
        netns_run_path: config.agent.netns_run_path.clone(),
        captures: capture_settings(config),
        flow_protocol: match config.flow.protocol {
            FlowProtocol::Udp => skydive_agent::FlowProtocol::Udp,
            FlowProtocol::WebSocket => skydive_agent::FlowProtocol::WebSocket,
        },
        api: api_settings(config),
        clock: system_clock(),
    })
}

/// How flows are made of packets where a capture does not say it itself.
pub(crate) fn flow_table(config: &Resolved) -> TableConfig {
    let captures = &config.agent.captures;
    TableConfig {
        update: config.flow.update,
        expire: config.flow.expire,
        max_entries: Some(config.flow.max_entries),
        key_mode: captures.key_mode,
        application_ports: captures
            .application_ports
            .iter()
            .map(|(port, name)| (*port, name.as_str().into()))
            .collect(),
        application_timeout: captures
            .application_timeouts
            .iter()
            .map(|(name, time)| (name.as_str().into(), *time))
            .collect(),
        ..TableConfig::default()
    }
}

fn capture_settings(config: &Resolved) -> CaptureSettings {
    let captures = &config.agent.captures;
    CaptureSettings {
        table: TableConfig {
            quota: Some(Quota::new(captures.flows)),
            max_extra_bytes: captures.memory,
            ..flow_table(config)
        },
        listen: Listen { address: captures.socket_address, ports: captures.socket_ports.clone() },
        ring_bytes: captures.ring,
        threads: captures.threads,
        fanout: captures.fanout,
        stats_update: captures.stats_update,
        ..CaptureSettings::default()
    }
}

fn api_settings(config: &Resolved) -> ApiSettings {
    ApiSettings {
        limits: Limits {
            rest_body: config.limits.max_body,
            capture_file: config.limits.max_capture_file,
            query_bytes: config.limits.max_query,
            query_steps: config.limits.max_steps,
            ws_message: config.ws.max_message,
            agent_message: config.ws.agent_max_message,
        },
        ws: WebSocketSettings {
            ping_delay: config.ws.ping_delay,
            pong_timeout: config.ws.pong_timeout,
            queue_size: config.ws.queue_size,
            ..WebSocketSettings::default()
        },
        ..ApiSettings::default()
    }
}

fn dials(config: &Resolved) -> Vec<Box<dyn Dial>> {
    let settings = ConnectionSettings {
        queue: config.ws.queue_size,
        silence: config.ws.ping_delay + config.ws.pong_timeout,
        ..ConnectionSettings::default()
    };
    let dial = |address: &Address| {
        let mut endpoint = Endpoint::new(address.host.clone(), address.port);
        if let Some(credentials) = &config.agent.credentials {
            endpoint = endpoint.with_credentials(Credentials {
                user: credentials.username.clone(),
                password: credentials.password.clone(),
            });
        }
        Box::new(WebSocketDial::new(endpoint, config.host_id.as_str().into(), settings)) as Box<dyn Dial>
    };
    config.analyzers.iter().map(dial).collect()
}

fn authority(address: &Address) -> String {
    address.to_string()
}

/// The one place that reads the system's clock for the graph.
pub(crate) fn system_clock() -> Clock {
    #[expect(clippy::disallowed_methods, reason = "the binary owns the clock")]
    Clock::new(|| {
        let since = SystemTime::now().duration_since(UNIX_EPOCH).unwrap_or_default();
        Timestamp::from_millis(i64::try_from(since.as_millis()).unwrap_or(i64::MAX))
    })
}
