//! From given values to the typed configuration, with the checks that look at more than one key.

use std::path::PathBuf;
use std::time::Duration;

use serde_json::{Map, Value as Json};
use skydive_probes::{Fabric, PROBES};

use super::address::Address;
use super::keys::{self, KEYS};
use super::problem::{Origin, Problem};
use super::raw::Raw;
use super::resolved::{
    Agent, Analyzer, Backend, Credentials, Encoder, Flow, FlowProtocol, Limits, LogBackend, LogLevel,
    LogOutput, Logging, MetadataFile, ProbeChoice, Resolved, StartupCapture, WebSocket,
};
use super::settings::{Settings, suggestion};
use super::source::Surroundings;
use super::typed::{Typed, check};

mod captures;

/// Formats of the files that feed the host node.
const METADATA_FORMATS: &[&str] = &["json", "toml", "ini", "yaml", "yml", "properties", "props", "prop"];

/// Keys that would switch encryption on.
const TLS_KEYS: &[&str] = &["tls.client_cert", "tls.client_key", "tls.server_cert", "tls.server_key"];

/// Pairs of keys that are the ends of a range.
const RANGES: &[(&str, &str)] = &[
    ("agent.flow.sflow.port_min", "agent.flow.sflow.port_max"),
    ("agent.flow.netflow.port_min", "agent.flow.netflow.port_max"),
    ("agent.flow.pcapsocket.min_port", "agent.flow.pcapsocket.max_port"),
];

/// Resolves the settings. A value that does not fit counts as its default; its problem was reported when it was read.
pub(crate) fn resolve(settings: &Settings, around: &Surroundings) -> (Resolved, Vec<Problem>) {
    let mut resolver = Resolver { settings, around, problems: Vec::new() };
    let resolved = resolver.resolve();
    (resolved, resolver.problems)
}

struct Resolver<'a> {
    settings: &'a Settings,
    around: &'a Surroundings,
    problems: Vec<Problem>,
}

impl Resolver<'_> {
    fn resolve(&mut self) -> Resolved {
        self.check_ranges();
        self.check_tls();
        self.check_peers();
        self.check_storages();
        for key in ["analyzer.auth.api.backend", "analyzer.auth.cluster.backend", "agent.auth.api.backend"] {
            self.check_auth(key);
        }
        Resolved {
            host_id: self.host_id(),
            data_dir: self.data_dir(),
            analyzers: shuffled(self.addresses("analyzers"), self.around.seed),
            ws: WebSocket {
                ping_delay: self.time("http.ws.ping_delay"),
                pong_timeout: self.time("http.ws.pong_timeout"),
                queue_size: self.whole("http.ws.queue_size") as usize,
                max_message: self.bytes("http.ws.max_message"),
                agent_max_message: self.bytes("http.ws.agent_max_message"),
            },
            limits: Limits {
                max_body: self.bytes("http.rest.max_body"),
                max_capture_file: self.bytes("http.rest.max_capture_file"),
                max_query: self.bytes("gremlin.max_query"),
                max_steps: self.whole("gremlin.max_steps") as usize,
            },
            flow: self.flow(),
            agent: self.agent(),
            analyzer: Analyzer {
                listen: self.address("analyzer.listen"),
                topology_backend: self.backend("analyzer.topology.backend"),
                resources_dir: self.resources_dir(),
                flow_backend: self.backend("analyzer.flow.backend"),
                flow_buffer: self.whole("analyzer.flow.max_buffer_size") as usize,
                flow_delay: self.flow_delay(),
                fabric: self.fabric(),
                startup_capture: self.startup_capture(),
            },
            logging: self.logging(),
        }
    }

    fn host_id(&mut self) -> String {
        let given = self.text("host_id");
        let id = if given.is_empty() { self.around.host_name.clone() } else { given };
        if id.is_empty() || id.chars().any(|c| c.is_whitespace() || c.is_control()) {
            self.error("host_id", format!("`{id}` cannot be an identity: a name without spaces is needed"));
        }
        id
    }

    fn data_dir(&self) -> PathBuf {
        let given = self.text("data_dir");
        match &self.around.state_home {
            _ if !given.is_empty() => PathBuf::from(given),
            Some(home) => home.join("skydive"),
            None => PathBuf::from("/var/lib/skydive"),
        }
    }

    fn resources_dir(&self) -> PathBuf {
        let given = self.text("etcd.data_dir");
        if given.is_empty() { self.data_dir().join("etcd") } else { PathBuf::from(given) }
    }

    fn flow(&self) -> Flow {
        Flow {
            expire: self.time("flow.expire"),
            update: self.time("flow.update"),
            max_entries: self.whole("flow.max_entries") as usize,
            protocol: match self.text("flow.protocol").as_str() {
                "websocket" => FlowProtocol::WebSocket,
                _ => FlowProtocol::Udp,
            },
        }
    }

    /// That of the storage of flows, which is `memory` when none is chosen.
    fn flow_delay(&self) -> Duration {
        let name = self.text("analyzer.flow.backend").to_lowercase();
        let name = if name.is_empty() { "memory" } else { &name };
        self.time(&format!("storage.{name}.bulk_maxdelay"))
    }

    fn agent(&mut self) -> Agent {
        let names = self.probes();
        let username = self.text("agent.auth.cluster.username");
        let password = self.text("agent.auth.cluster.password");
        Agent {
            listen: self.address("agent.listen"),
            credentials: (!username.is_empty()).then_some(Credentials { username, password }),
            // The sample file of the original names the default, which asks for nothing.
            probes: if self.is_default("agent.topology.probes") {
                ProbeChoice::Automatic(names)
            } else {
                ProbeChoice::Named(names)
            },
            metadata: self.metadata(),
            metadata_files: self.metadata_files(),
            captures: self.captures(),
            metrics_update: self.time("agent.topology.netlink.metrics_update"),
            sockets_update: self.time("agent.topology.socketinfo.host_update"),
            netns_run_path: PathBuf::from(self.text("agent.topology.netns.run_path")),
        }
    }

    /// The probes asked for that this build has.
    fn probes(&mut self) -> Vec<String> {
        const KEY: &str = "agent.topology.probes";
        let (here, missing): (Vec<String>, Vec<String>) =
            self.words(KEY).into_iter().partition(|name| PROBES.iter().any(|probe| probe.name == name));
        for name in missing.iter().filter(|name| keys::AGENT_PROBES.contains(&name.as_str())) {
            if !self.is_default(KEY) {
                self.warn(KEY, format!("`{name}` is not available in this version"));
            }
        }
        here
    }

    fn metadata(&self) -> Map<String, Json> {
        let mut root = Map::new();
        let Some(def) = KEYS.iter().find(|def| def.name == "agent.metadata.**") else { return root };
        for (key, setting) in self.settings.covered_by(def) {
            let path: Vec<&str> = key.split('.').skip(2).collect();
            nest(&mut root, &path, setting.raw.to_json());
        }
        root
    }

    fn metadata_files(&mut self) -> Vec<MetadataFile> {
        const KEY: &str = "agent.metadata_config.files";
        const FIELDS: [&str; 4] = ["path", "type", "name", "selector"];
        let Typed::Raw(Raw::List(items)) = self.value(KEY) else { return Vec::new() };
        let mut files = Vec::new();
        for (at, item) in items.iter().enumerate() {
            let Raw::Map(entries) = item else { continue };
            let at = at + 1;
            let [path, format, name, selector] = FIELDS.map(|name| {
                let text = entries.get(name).and_then(Raw::as_text).unwrap_or_default();
                if text.is_empty() {
                    self.error(KEY, format!("entry {at} has no {name}"));
                }
                text
            });
            for unknown in entries.keys().filter(|name| !FIELDS.contains(&name.as_str())) {
                let what = format!("entry {at}: unknown field `{unknown}`");
                self.warn(KEY, suggestion(&what, unknown, FIELDS.into_iter()));
            }
            if !format.is_empty() && !METADATA_FORMATS.contains(&format.as_str()) {
                let known = METADATA_FORMATS.join(", ");
                self.error(KEY, format!("entry {at}: type `{format}` is not one of {known}"));
            }
            files.push(MetadataFile { path: PathBuf::from(path), format, name, selector });
        }
        files
    }

    /// A wrong entry is left out by the probe; the rest works.
    /// Of which query, filter and kind; `None` without a query.
    fn startup_capture(&self) -> Option<StartupCapture> {
        let text = |key: &str| self.text(&format!("analyzer.startup.capture_{key}"));
        let capture = StartupCapture { gremlin: text("gremlin"), bpf: text("bpf"), kind: text("type") };
        (!capture.gremlin.trim().is_empty()).then_some(capture)
    }

    fn fabric(&mut self) -> Vec<String> {
        const KEY: &str = "analyzer.topology.fabric";
        let entries = self.words(KEY);
        for fault in Fabric::read(&entries).faults() {
            self.warn(KEY, format!("left out: {fault}"));
        }
        entries
    }

    fn logging(&mut self) -> Logging {
        let mut backends = Vec::new();
        for name in self.words("logging.backends") {
            let backend = match name.as_str() {
                "stderr" => LogBackend::Stderr,
                "stdout" => LogBackend::Stdout,
                "file" => LogBackend::File(PathBuf::from(self.text("logging.file.path"))),
                "syslog" => {
                    self.warn(
                        "logging.backends",
                        "syslog is not supported yet; systemd takes standard error".to_owned(),
                    );
                    continue;
                }
                // Reported as unknown when it was read.
                _ => continue,
            };
            // `--verbose` beats what the file says about one backend.
            let is_forced = matches!(self.settings.origin("logging.level"), Origin::Flag(_));
            let own = |field: &str| {
                let key = format!("logging.{name}.{field}");
                self.settings.given(&key).and_then(|setting| match &setting.typed {
                    Some(Typed::Text(text)) if !text.is_empty() => Some(text.clone()),
                    _ => None,
                })
            };
            let level = own("level").filter(|_| !is_forced).unwrap_or_else(|| self.text("logging.level"));
            let encoder = own("encoder").unwrap_or_else(|| self.text("logging.encoder"));
            backends.push(LogOutput {
                backend,
                level: match level.as_str() {
                    "CRITICAL" | "ERROR" => LogLevel::Error,
                    "WARNING" => LogLevel::Warning,
                    "DEBUG" => LogLevel::Debug,
                    _ => LogLevel::Info,
                },
                encoder: if encoder == "json" { Encoder::Json } else { Encoder::Console },
            });
        }
        Logging { color: self.switch("logging.color"), backends }
    }

    /// A storage by the name of its section.
    fn backend(&mut self, key: &str) -> Backend {
        let name = self.text(key).to_lowercase();
        if name.is_empty() {
            return Backend::Embedded;
        }
        let driver = match self.settings.given(&format!("storage.{name}.driver")) {
            Some(setting) => match &setting.typed {
                Some(Typed::Text(driver)) => driver.clone(),
                _ => return Backend::Embedded,
            },
            None => name.clone(),
        };
        match driver.as_str() {
            "memory" => Backend::None,
            "elasticsearch" | "orientdb" => {
                self.warn(
                    key,
                    format!(
                        "storage `{name}` ({driver}) is not supported: NOTHING IS WRITTEN THERE, nor anywhere else: \
                         this version keeps neither history nor flows yet"
                    ),
                );
                Backend::Embedded
            }
            _ => {
                self.error(key, format!("there is no storage `{name}`: storage.{name}.driver is not given"));
                Backend::Embedded
            }
        }
    }

    fn check_storages(&mut self) {
        for name in self.settings.names_under("storage") {
            let key = format!("storage.{name}.driver");
            let is_predefined = ["memory", "elasticsearch", "orientdb"].contains(&name);
            if !is_predefined && self.settings.given(&key).is_none() {
                let first = format!("storage.{name}");
                self.problems.push(Problem::warning(
                    &self.origin_under(&first),
                    &key,
                    "not given: the storage is ignored",
                ));
            }
        }
    }

    /// Only `noauth` exists so far. Serving without the asked-for check would be worse than not starting.
    fn check_auth(&mut self, key: &str) {
        let name = self.text(key).to_lowercase();
        let kind = match self.settings.given(&format!("auth.{name}.type")) {
            Some(setting) => match &setting.typed {
                Some(Typed::Text(kind)) => kind.clone(),
                _ => return,
            },
            None => name.clone(),
        };
        match kind.as_str() {
            "noauth" => {}
            "basic" | "keystone" => self.error(
                key,
                format!(
                    "authentication by `{kind}` is not available in this version; it will not run without it"
                ),
            ),
            _ => {
                self.error(
                    key,
                    format!("there is no authentication `{name}`: auth.{name}.type is not given"),
                );
            }
        }
    }

    /// Refused rather than spoken in clear.
    fn check_tls(&mut self) {
        for key in TLS_KEYS {
            if !self.text(key).is_empty() {
                self.error(key, "TLS is not available in this version; it will not run in clear".to_owned());
            }
        }
    }

    fn check_peers(&mut self) {
        let has_peers = !self.settings.names_under("analyzer.peers").is_empty();
        if has_peers && self.text("analyzer.cluster").is_empty() {
            let origin = self.origin_under("analyzer.peers");
            self.problems.push(Problem::error(
                &origin,
                "analyzer.peers",
                "analyzer.cluster must be given too",
            ));
        }
    }

    fn check_ranges(&mut self) {
        for (first, last) in RANGES {
            if self.whole(first) > self.whole(last) {
                let key = if self.settings.given(first).is_some() { first } else { last };
                self.error(key, format!("{first} is above {last}"));
            }
        }
    }

    /// The origin of the first key under a section.
    fn origin_under(&self, section: &str) -> Origin {
        let below = format!("{section}.");
        KEYS.iter()
            .flat_map(|def| self.settings.covered_by(def))
            .find(|(key, _)| key.starts_with(&below))
            .map_or(Origin::Default, |(_, setting)| setting.origin.clone())
    }

    fn error(&mut self, key: &str, text: String) {
        self.problems.push(Problem::error(&self.settings.origin(key), key, text));
    }

    fn warn(&mut self, key: &str, text: String) {
        self.problems.push(Problem::warning(&self.settings.origin(key), key, text));
    }

    /// Whether a key has the value of its declaration, given or not.
    fn is_default(&self, key: &str) -> bool {
        self.default(key).is_some_and(|default| default == self.value(key))
    }

    fn default(&self, key: &str) -> Option<Typed> {
        let def = keys::find(key)?;
        check(def.kind, &Raw::Text(def.default.to_owned()), &|name| self.around.service(name)).0
    }

    /// The value of a declared key: as given if it fits, else its default.
    fn value(&self, key: &str) -> Typed {
        if let Some(typed) = self.settings.given(key).and_then(|setting| setting.typed.clone()) {
            return typed;
        }
        self.default(key).expect(
            "the table declares every key that is resolved with a default of its kind; a test resolves all",
        )
    }

    fn text(&self, key: &str) -> String {
        match self.value(key) {
            Typed::Text(text) => text,
            other => wrong_kind(key, &other),
        }
    }

    fn words(&self, key: &str) -> Vec<String> {
        match self.value(key) {
            Typed::Words(words) => words,
            other => wrong_kind(key, &other),
        }
    }

    fn whole(&self, key: &str) -> i64 {
        match self.value(key) {
            Typed::Whole(number) => number,
            other => wrong_kind(key, &other),
        }
    }

    fn bytes(&self, key: &str) -> usize {
        match self.value(key) {
            Typed::Bytes(bytes) => bytes as usize,
            other => wrong_kind(key, &other),
        }
    }

    fn time(&self, key: &str) -> Duration {
        match self.value(key) {
            Typed::Time(time) => time,
            other => wrong_kind(key, &other),
        }
    }

    fn switch(&self, key: &str) -> bool {
        match self.value(key) {
            Typed::Switch(switch) => switch,
            other => wrong_kind(key, &other),
        }
    }

    fn address(&self, key: &str) -> Address {
        match self.value(key) {
            Typed::Address(address) => address,
            other => wrong_kind(key, &other),
        }
    }

    fn addresses(&self, key: &str) -> Vec<Address> {
        match self.value(key) {
            Typed::Addresses(addresses) => addresses,
            other => wrong_kind(key, &other),
        }
    }
}

/// A reader above and the table of keys disagree, which no input can cause.
fn wrong_kind(key: &str, typed: &Typed) -> ! {
    unreachable!("{key} is declared with another kind: {typed:?}")
}

fn nest(map: &mut Map<String, Json>, path: &[&str], value: Json) {
    match path {
        [] => {}
        [last] => {
            map.insert((*last).to_owned(), value);
        }
        [first, rest @ ..] => {
            let entry = map.entry((*first).to_owned()).or_insert_with(|| Json::Object(Map::new()));
            if let Json::Object(inner) = entry {
                nest(inner, rest, value);
            }
        }
    }
}

/// The list in an order that the seed decides.
fn shuffled<T>(mut list: Vec<T>, seed: u64) -> Vec<T> {
    let mut state = seed;
    for last in (1..list.len()).rev() {
        // SplitMix64: enough to spread load, and the same everywhere for a seed.
        state = state.wrapping_add(0x9e37_79b9_7f4a_7c15);
        let mut word = state;
        word = (word ^ (word >> 30)).wrapping_mul(0xbf58_476d_1ce4_e5b9);
        word = (word ^ (word >> 27)).wrapping_mul(0x94d0_49bb_1331_11eb);
        list.swap(last, ((word ^ (word >> 31)) % (last as u64 + 1)) as usize);
    }
    list
}
