//! Deprecated names of keys, still honoured whenever the new name was not given.
//!
//! The original let its own defaults shadow several of them; files and compose projects in the wild still use them.

/// New name, old name. One old name may stand for several new ones.
pub(crate) const ALIASES: &[(&str, &str)] = &[
    ("agent.auth.api.backend", "auth.type"),
    ("analyzer.auth.api.backend", "auth.type"),
    ("analyzer.auth.cluster.backend", "auth.type"),
    ("agent.auth.cluster.username", "auth.analyzer_username"),
    ("agent.auth.cluster.password", "auth.analyzer_password"),
    ("analyzer.auth.cluster.username", "auth.analyzer_username"),
    ("analyzer.auth.cluster.password", "auth.analyzer_password"),
    ("agent.capture.stats_update", "agent.flow.stats_update"),
    ("agent.flow.sflow.bind_address", "sflow.bind_address"),
    ("agent.flow.sflow.port_min", "sflow.port_min"),
    ("agent.flow.sflow.port_max", "sflow.port_max"),
    ("agent.flow.pcapsocket.min_port", "agent.flow.pcapsocket.port_min"),
    ("agent.flow.pcapsocket.max_port", "agent.flow.pcapsocket.port_max"),
    ("agent.topology.docker.url", "docker.url"),
    ("agent.topology.docker.netns.run_path", "docker.netns.run_path"),
    ("agent.topology.netns.run_path", "netns.run_path"),
    ("analyzer.flow.backend", "analyzer.storage.backend"),
    ("analyzer.flow.max_buffer_size", "analyzer.storage.max_flow_buffer_size"),
    ("analyzer.topology.backend", "graph.backend"),
    ("analyzer.topology.k8s.config_file", "k8s.config_file"),
    ("analyzer.topology.k8s.probes", "k8s.probes"),
    ("storage.elasticsearch.hosts", "storage.elasticsearch.host"),
];

/// The new names an old one stands for.
pub(crate) fn replacements(old: &str) -> impl Iterator<Item = &'static str> {
    ALIASES.iter().filter(move |(_, alias)| *alias == old).map(|(new, _)| *new)
}

/// Every old name once.
pub(crate) fn old_names() -> Vec<&'static str> {
    let mut names: Vec<_> = ALIASES.iter().map(|(_, old)| *old).collect();
    names.sort_unstable();
    names.dedup();
    names
}
