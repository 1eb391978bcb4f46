//! Tests of the whole layer: sources in, configuration and problems out.

use std::collections::BTreeSet;
use std::path::PathBuf;
use std::time::Duration;
use std::{env, fs};

use super::keys::{KEYS, Kind};
use super::resolved::{Backend, ProbeChoice};
use super::source::{Source, Surroundings};
use super::*;

fn around(variables: &[(&str, &str)]) -> Surroundings {
    Surroundings {
        variables: variables.iter().map(|(name, value)| ((*name).to_owned(), (*value).to_owned())).collect(),
        host_name: "host1".to_owned(),
        state_home: None,
        services: "skydive 8082/tcp\n".to_owned(),
        seed: 1,
    }
}

fn file(path: &str, text: &str) -> Source {
    Source { path: PathBuf::from(path), text: Ok(text.to_owned()) }
}

fn load_text(text: &str) -> Loaded {
    load(&[file("a.yml", text)], &[], &around(&[]))
}

fn load_env(variables: &[(&str, &str)]) -> Loaded {
    load(&[], &[], &around(variables))
}

/// Those of the names that this build has.
fn available(names: &[&str]) -> Vec<String> {
    let is_here = |name: &&str| skydive_probes::PROBES.iter().any(|probe| probe.name == *name);
    names.iter().copied().filter(|name| is_here(name)).map(str::to_owned).collect()
}

/// The problems from warnings on, as printed.
fn told(loaded: &Loaded) -> Vec<String> {
    loaded
        .problems
        .iter()
        .filter(|problem| problem.severity > Severity::Note)
        .map(ToString::to_string)
        .collect()
}

#[track_caller]
fn assert_told(text: &str, expected: &[&str]) {
    assert_eq!(told(&load_text(text)), expected, "{text}");
}

#[test]
fn nothing_given_is_the_defaults() {
    let loaded = load(&[], &[], &around(&[]));
    assert_eq!(told(&loaded), [""; 0]);
    let resolved = loaded.resolved;
    assert_eq!(resolved.host_id, "host1");
    assert_eq!(resolved.data_dir, PathBuf::from("/var/lib/skydive"));
    assert_eq!(resolved.analyzers, []);
    assert_eq!(resolved.analyzer.listen.to_string(), "127.0.0.1:8082");
    assert_eq!(resolved.agent.listen.to_string(), "127.0.0.1:8081");
    assert_eq!(resolved.ws.ping_delay, Duration::from_secs(2));
    assert_eq!(resolved.ws.pong_timeout, Duration::from_secs(5));
    assert_eq!(resolved.ws.queue_size, 10_000);
    assert_eq!((resolved.ws.max_message, resolved.ws.agent_max_message), (16 << 20, 512 << 20));
    assert_eq!(
        (resolved.limits.max_body, resolved.limits.max_query, resolved.limits.max_steps),
        (16 << 20, 64 << 10, 256)
    );
    assert_eq!(resolved.agent.probes, ProbeChoice::Automatic(available(&["ovsdb"])));
    assert_eq!(resolved.agent.metrics_update, Duration::from_secs(30));
    assert_eq!(resolved.agent.netns_run_path, PathBuf::from("/var/run/netns"));
    assert_eq!(resolved.analyzer.topology_backend, Backend::Embedded);
    assert_eq!(resolved.agent.credentials, None);
}

#[test]
fn a_user_without_privileges_keeps_state_at_home() {
    let mut around = around(&[]);
    around.state_home = Some(PathBuf::from("/home/u/.local/state"));
    assert_eq!(load(&[], &[], &around).resolved.data_dir, PathBuf::from("/home/u/.local/state/skydive"));
    around.variables.insert("SKYDIVE_DATA_DIR".to_owned(), "/srv".to_owned());
    assert_eq!(load(&[], &[], &around).resolved.data_dir, PathBuf::from("/srv"));
}

#[test]
fn flag_beats_environment_beats_last_file_beats_first() {
    let files = [
        file(
            "1.yml",
            "host_id: one\nhttp:\n  ws:\n    queue_size: 1\n    ping_delay: 9\nagent:\n  listen: 1:1",
        ),
        file("2.yml", "host_id: two\nHTTP.WS:\n  Queue_Size: 2\nagent:\n  listen: 2:2"),
    ];
    let variables =
        around(&[("SKYDIVE_HOST_ID", "env"), ("SKYDIVE_AGENT_LISTEN", "3:3"), ("SKYDIVE_DATA_DIR", "")]);
    let flags = [FlagValue { key: "host_id", flag: "--host-id", value: "flag".to_owned() }];
    let loaded = load(&files, &flags, &variables);
    assert_eq!(told(&loaded), [""; 0]);
    assert_eq!(loaded.resolved.host_id, "flag");
    assert_eq!(loaded.resolved.agent.listen.to_string(), "3:3");
    assert_eq!(loaded.resolved.ws.queue_size, 2);
    assert_eq!(loaded.resolved.ws.ping_delay, Duration::from_secs(9), "files are merged key by key");
    assert_eq!(loaded.settings.origin("host_id").to_string(), "--host-id");
    assert_eq!(loaded.settings.origin("agent.listen").to_string(), "$SKYDIVE_AGENT_LISTEN");
    assert_eq!(loaded.settings.origin("http.ws.queue_size").to_string(), "2.yml:3");
    assert_eq!(loaded.settings.origin("http.ws.ping_delay").to_string(), "1.yml:5");
    assert_eq!(
        loaded.settings.origin("data_dir").to_string(),
        "default",
        "an empty variable counts as absent"
    );
}

#[test]
fn lists_in_the_environment_are_separated_by_white_space() {
    let loaded = load_env(&[
        ("SKYDIVE_ANALYZERS", " a:1\tb:2  [::1]:3 "),
        ("SKYDIVE_AGENT_TOPOLOGY_PROBES", "docker lldp"),
        ("SKYDIVE_AGENT_METADATA", r#"{"Rack": {"Row": 3}, "tags": ["x"]}"#),
    ]);
    let missing = 2 - available(&["docker", "lldp"]).len();
    assert_eq!(told(&loaded).len(), missing, "{:?}", told(&loaded));
    let analyzers: BTreeSet<String> = loaded.resolved.analyzers.iter().map(ToString::to_string).collect();
    assert_eq!(analyzers, BTreeSet::from(["a:1", "b:2", "[::1]:3"].map(str::to_owned)));
    assert_eq!(loaded.resolved.agent.probes, ProbeChoice::Named(available(&["docker", "lldp"])));
    let metadata = serde_json::Value::Object(loaded.resolved.agent.metadata);
    assert_eq!(metadata, serde_json::json!({"rack": {"row": 3}, "tags": ["x"]}));
}

#[test]
fn analyzers_are_shuffled_by_the_seed() {
    let orders: BTreeSet<Vec<String>> = (0..50)
        .map(|seed| {
            let mut around = around(&[("SKYDIVE_ANALYZERS", "a:1 b:1 c:1")]);
            around.seed = seed;
            load(&[], &[], &around).resolved.analyzers.iter().map(ToString::to_string).collect()
        })
        .collect();
    assert_eq!(orders.len(), 6, "every order occurs");
}

#[test]
fn deprecated_names_count_unless_the_new_one_is_given() {
    let loaded = load_text("netns:\n  run_path: /old\n");
    assert_eq!(loaded.resolved.agent.netns_run_path, PathBuf::from("/old"));
    assert_eq!(
        told(&loaded),
        ["a.yml:2: warning: netns.run_path: deprecated, use agent.topology.netns.run_path"]
    );

    let loaded = load_text("netns:\n  run_path: /old\nagent.topology.netns.run_path: /new\n");
    assert_eq!(loaded.resolved.agent.netns_run_path, PathBuf::from("/new"));
    assert_eq!(
        told(&loaded),
        [
            "a.yml:2: warning: netns.run_path: deprecated and not used, because agent.topology.netns.run_path is given"
        ]
    );

    let loaded =
        load_env(&[("SKYDIVE_GRAPH_BACKEND", "memory"), ("SKYDIVE_ANALYZER_STORAGE_BACKEND", "memory")]);
    assert_eq!(loaded.resolved.analyzer.topology_backend, Backend::None);
    assert_eq!(loaded.resolved.analyzer.flow_backend, Backend::None);
    assert_eq!(told(&loaded).len(), 2);
}

#[test]
fn one_old_name_may_stand_for_several_new_ones() {
    let loaded = load_text("auth:\n  analyzer_username: u\n  analyzer_password: p\n");
    let credentials = loaded.resolved.agent.credentials.as_ref().expect("taken from the old names");
    assert_eq!((credentials.username.as_str(), credentials.password.as_str()), ("u", "p"));
    assert_eq!(
        told(&loaded)[0],
        "a.yml:3: warning: auth.analyzer_password: deprecated, use agent.auth.cluster.password, \
         analyzer.auth.cluster.password (has no effect in this version yet)"
    );
}

#[test]
fn unknown_keys_are_warnings_with_the_nearest_name() {
    assert_told(
        "http:\n  ws:\n    queue_szie: 5\nzzz: 1\nstorage:\n  mine:\n    driver: memory\n    hots: x\n",
        &[
            "a.yml:3: warning: http.ws.queue_szie: unknown key, did you mean http.ws.queue_size?",
            "a.yml:4: warning: zzz: unknown key",
            "a.yml:8: warning: storage.mine.hots: unknown key, did you mean storage.mine.hosts?",
        ],
    );
    let loaded = load_env(&[
        ("SKYDIVE_HTTP_WS_QUEUE_SZIE", "1"),
        ("SKYDIVE_ANALYZER", "host:1"),
        ("SKYDIVE_ANALYZER_PORT_8082_TCP_ADDR", "10.0.0.1"),
    ]);
    assert_eq!(
        told(&loaded),
        ["$SKYDIVE_HTTP_WS_QUEUE_SZIE: warning: unknown variable, did you mean SKYDIVE_HTTP_WS_QUEUE_SIZE?"]
    );
}

#[test]
fn words_of_the_user_fit_every_pattern() {
    for def in KEYS.iter().filter(|def| def.is_pattern()) {
        let words = |end: &str| {
            let shaped = def.name.split('.').map(|part| match part {
                "**" => end,
                part if part.starts_with('<') => "mine",
                part => part,
            });
            shaped.collect::<Vec<_>>().join(".")
        };
        for key in [words("bob"), words("a.b.c")] {
            assert_eq!(keys::find(&key).map(|found| found.name), Some(def.name), "{key}");
        }
        if let Some(section) = words("").strip_suffix('.') {
            assert!(keys::find(section).is_none() && keys::is_section(section), "{section}");
        }
    }
    assert_told("auth: {basic: {users: {Bob: pw}}, mine: {type: noauth, users: {a.b: pw}}}\n", &[]);
}

#[test]
fn hints_are_keys_that_can_be_written() {
    assert_told(
        "auth: {basic: {uesrs: {Bob: pw}}}\nagent:\n  metdata: {rack: {row: 3}}\nui: {bpf: {favourites: {a: b}}}\n",
        &[
            "a.yml:1: warning: auth.basic.uesrs.bob: unknown key, did you mean auth.basic.users.bob?",
            "a.yml:3: warning: agent.metdata.rack.row: unknown key, did you mean agent.metadata.rack.row?",
            "a.yml:4: warning: ui.bpf.favourites.a: unknown key, did you mean ui.bpf.favorites.a?",
        ],
    );
    for def in KEYS {
        // One letter too many in every segment of every name.
        for at in 0..def.name.split('.').count() {
            let slip = |(n, part): (usize, &str)| if n == at { format!("{part}x") } else { part.to_owned() };
            let key: Vec<String> = def.name.replace("**", "bob").split('.').enumerate().map(slip).collect();
            let key = key.join(".").replace(['<', '>'], "");
            let told = told(&load_text(&format!("{key}: 1\n"))).join("\n");
            assert!(!told.contains("**") && !told.contains('<'), "{key}: {told}");
        }
    }
}

#[test]
fn wrong_values_name_file_and_key() {
    assert_told(
        "http.ws.queue_size: many\nhttp.ws.ping_delay: 0\nagent.listen: nowhere\nlogging.level: LOUD\n",
        &[
            "a.yml:3: error: agent.listen: `nowhere` is not an address: host:port expected",
            "a.yml:2: error: http.ws.ping_delay: 0 is below 1 s",
            "a.yml:1: error: http.ws.queue_size: `many` is not a whole number",
            "a.yml:4: error: logging.level: `LOUD` is not one of CRITICAL, ERROR, WARNING, NOTICE, INFO, DEBUG",
        ],
    );
    assert_told(
        "agent:\n  topology:\n    probes: [hardware, lxdd]\n",
        &["a.yml:3: error: agent.topology.probes: `lxdd` is not known, did you mean `lxd`?"],
    );
    assert_told("flow:\n  expire: 0\n", &["a.yml:2: error: flow.expire: 0 is below 1 s"]);
    assert_told("etcd.max_wal_files: -1\n", &["a.yml:1: error: etcd.max_wal_files: -1 is below 0"]);
    assert_told(
        "http: 5\n",
        &["a.yml:1: error: http: is a section: keys are expected under it, not a value"],
    );
    assert_told(
        "http.ws.queue_size: [1]\n",
        &["a.yml:1: error: http.ws.queue_size: a list where one value is expected"],
    );
    assert_told(
        "agent.flow.sflow.port_min: 7000\n",
        &[
            "a.yml:1: error: agent.flow.sflow.port_min: agent.flow.sflow.port_min is above agent.flow.sflow.port_max",
        ],
    );
    let loaded = load_env(&[("SKYDIVE_HTTP_WS_QUEUE_SIZE", "0")]);
    assert_eq!(told(&loaded), ["$SKYDIVE_HTTP_WS_QUEUE_SIZE: error: http.ws.queue_size: 0 is below 1"]);
    assert_eq!(loaded.resolved.ws.queue_size, 10_000, "the default stands in");
}

#[test]
fn what_is_not_yaml_names_the_line() {
    for (text, line) in
        [("host_id: a\n  b: [\n", "a.yml:"), ("- 1\n- 2\n", "a.yml:1: error: the file holds a list")]
    {
        let told = told(&load_text(text));
        assert_eq!(told.len(), 1, "{told:?}");
        assert!(told[0].starts_with(line) && told[0].contains("error"), "{told:?}");
    }
    assert_told("a:\n\tc: d\n", &["a.yml:2: error: tabs disallowed within this context (block indentation)"]);
    assert_told("host_id: a\nhost_id: b\n", &["a.yml:2: warning: host_id: given twice, the last one counts"]);
    assert_eq!(load_text("host_id: a\nhost_id: b\n").resolved.host_id, "b");
    assert_told("", &[]);
    assert_told("# nothing\n", &[]);
    assert_told("analyzers:\nhttp:\n", &[]);
}

#[test]
fn hostile_documents_are_refused() {
    let deep = "[".repeat(5000);
    assert_eq!(told(&load_text(&deep)).len(), 1);
    let mut bomb = "a: &a [x,x,x,x,x,x,x,x,x]\n".to_owned();
    for (before, name) in ('a'..='h').zip('b'..='i') {
        bomb.push_str(&format!("{name}: &{name} [{}]\n", vec![format!("*{before}"); 9].join(",")));
    }
    assert!(load_text(&bomb).has_errors());
}

#[test]
fn foreign_storages_are_replaced_loudly() {
    let loaded =
        load_text("analyzer:\n  topology:\n    backend: es7\nstorage:\n  es7:\n    driver: elasticsearch\n");
    assert_eq!(loaded.resolved.analyzer.topology_backend, Backend::Embedded);
    assert_eq!(
        told(&loaded),
        [
            "a.yml:3: warning: analyzer.topology.backend: storage `es7` (elasticsearch) is not supported: NOTHING IS \
             WRITTEN THERE, nor anywhere else: this version keeps neither history nor flows yet"
        ]
    );
    assert!(load_text("analyzer.flow.backend: nowhere\n").has_errors());
    assert_told("analyzer.flow.backend: memory\n", &[]);
}

#[test]
fn what_is_worse_than_without_effect_is_told_once() {
    let about = |text: &str, key: &str| {
        let loaded = load_text(text);
        let lines: Vec<String> = loaded.problems.iter().map(ToString::to_string).collect();
        lines.into_iter().filter(|line| line.contains(key)).collect::<Vec<_>>()
    };
    assert_eq!(
        about("tls.server_cert: a\n", "server_cert"),
        ["a.yml:1: error: tls.server_cert: TLS is not available in this version; it will not run in clear"]
    );
    assert_eq!(about("tls.ca_cert: a\n", "ca_cert").len(), 1);
    assert_eq!(about("analyzer.topology.backend: elasticsearch\n", "backend").len(), 1);
    assert_eq!(
        about("auth.analyzer_username: u\n", "username"),
        ["a.yml:1: warning: auth.analyzer_username: deprecated, use agent.auth.cluster.username, \
          analyzer.auth.cluster.username (has no effect in this version yet)"]
    );
}

#[test]
fn metadata_of_the_host_keeps_what_is_empty() {
    let metadata = |loaded: Loaded| {
        assert_eq!(told(&loaded), [""; 0]);
        serde_json::Value::Object(loaded.resolved.agent.metadata)
    };
    let expected = serde_json::json!({"nul": null, "emptymap": {}, "emptylist": []});
    let text = "agent: {metadata: {nul: null, emptymap: {}, emptylist: []}}\n";
    assert_eq!(metadata(load_text(text)), expected);
    let json = r#"{"nul": null, "emptymap": {}, "emptylist": []}"#;
    assert_eq!(metadata(load_env(&[("SKYDIVE_AGENT_METADATA", json)])), expected);
    assert_eq!(metadata(load_text(&show(&load_text(text)))), expected);
    // Elsewhere it is as if the key were absent, and an empty section takes nothing away.
    assert_eq!(metadata(load_text("agent: {metadata: {}}\nhttp: {}\n")), serde_json::json!({}));
    let files = [file("1.yml", "agent.metadata.a: {b: 1}"), file("2.yml", "agent.metadata.a: {}")];
    assert_eq!(metadata(load(&files, &[], &around(&[]))), serde_json::json!({"a": {"b": 1}}));
    assert_eq!(metadata(load_text("agent.metadata: {a: {}, a.b: 2}\n")), serde_json::json!({"a": {"b": 2}}));
}

#[test]
fn values_that_cannot_stand_beside_each_other_are_told() {
    for (text, told, metadata) in [
        (
            "agent.metadata:\n  a: 3\n  a.b: 2\n",
            "a.yml:3: warning: agent.metadata.a.b: cannot stand beside agent.metadata.a, the last one counts",
            serde_json::json!({"a": {"b": 2}}),
        ),
        (
            "agent.metadata:\n  a.b: 2\n  a: 3\n",
            "a.yml:3: warning: agent.metadata.a: cannot stand beside agent.metadata.a.b, the last one counts",
            serde_json::json!({"a": 3}),
        ),
    ] {
        assert_told(text, &[told]);
        assert_eq!(serde_json::Value::Object(load_text(text).resolved.agent.metadata), metadata);
    }
    // A later source replaces what an earlier one says.
    let files = [file("1.yml", "agent.metadata.a: 3"), file("2.yml", "agent.metadata.a.b: 2")];
    assert_eq!(told(&load(&files, &[], &around(&[]))), [""; 0]);
}

#[test]
fn protection_that_is_not_there_is_not_left_out_silently() {
    assert!(load_text("analyzer.auth.api.backend: basic\n").has_errors());
    assert!(load_text("analyzer.auth.api.backend: mine\nauth.mine.type: keystone\n").has_errors());
    assert!(load_text("analyzer.auth.api.backend: nowhere\n").has_errors());
    assert!(load_text("tls.server_cert: a\ntls.server_key: b\n").has_errors());
    assert!(!load_text("analyzer.auth.api.backend: open\nauth.open.type: noauth\n").has_errors());
}

#[test]
fn files_for_the_host_node_are_checked() {
    let loaded = load_text(
        "agent:\n  metadata_config:\n    files:\n    - {path: /a.ini, type: ini, name: A, selector: s.k}\n    - {path: /b}\n",
    );
    assert_eq!(loaded.resolved.agent.metadata_files[0].selector, "s.k");
    let missing: Vec<String> = ["type", "name", "selector"]
        .map(|name| format!("a.yml:3: error: agent.metadata_config.files: entry 2 has no {name}"))
        .to_vec();
    assert_eq!(told(&loaded), missing);
    assert_told(
        "agent.metadata_config.files: [{path: /a, type: ini, name: A, selector: s, selektor: k, extra: 1}, hello]\n",
        &["a.yml:1: error: agent.metadata_config.files: entry 2: text where a section is expected"],
    );
    assert_told(
        "agent.metadata_config.files: [{path: /a, type: ini, name: A, selector: s, selektor: k, extra: 1}]\n",
        &[
            "a.yml:1: warning: agent.metadata_config.files: entry 1: unknown field `extra`",
            "a.yml:1: warning: agent.metadata_config.files: entry 1: unknown field `selektor`, did you mean selector?",
        ],
    );
}

#[test]
fn each_log_output_has_its_level() {
    let text = "logging:\n  backends: [stderr, file, syslog]\n  level: WARNING\n  file: {level: debug, encoder: json, path: /l}\n";
    let logging = load_text(text).resolved.logging;
    assert_eq!(logging.backends.len(), 2);
    assert_eq!(
        (logging.backends[0].level, logging.backends[0].encoder),
        (LogLevel::Warning, Encoder::Console)
    );
    assert_eq!((logging.backends[1].level, logging.backends[1].encoder), (LogLevel::Debug, Encoder::Json));
    assert_eq!(logging.backends[1].backend, LogBackend::File(PathBuf::from("/l")));

    let flags = [FlagValue { key: "logging.level", flag: "--verbose", value: "DEBUG".to_owned() }];
    let forced = load(&[file("a.yml", "logging.stderr.level: ERROR")], &flags, &around(&[]));
    assert_eq!(forced.resolved.logging.backends[0].level, LogLevel::Debug);
}

#[test]
fn what_is_shown_loads_again_to_the_same() {
    let text = "agent:\n  auth:\n    cluster: {username: u, password: geheim}\n  metadata: {rack: '7', 'a.b': true}\n\
                analyzers: [a:1]\nhttp.ws.queue_size: 5\nanalyzer.listen: ':8083'\n";
    let loaded = load_text(text);
    let shown = show(&loaded);
    assert!(!shown.contains("geheim"), "{shown}");
    assert!(
        shown.lines().any(|line| line.starts_with("http.ws.queue_size: 5 ") && line.ends_with("# a.yml:6")),
        "{shown}"
    );
    let mut again = load_text(&shown).resolved;
    again.agent.credentials.as_mut().expect("still there").password = "geheim".to_owned();
    assert_eq!(again, loaded.resolved);
}

#[test]
fn the_table_of_keys_is_sound() {
    let mut seen = BTreeSet::new();
    for def in KEYS {
        assert!(seen.insert(def.name), "{} is declared twice", def.name);
        assert_eq!(def.name, def.name.to_lowercase(), "{}", def.name);
        assert!(
            !def.about.is_empty() && !def.about.ends_with('.'),
            "{}: one line without a full stop",
            def.name
        );
        if !def.default.is_empty() {
            let raw = raw::Raw::Text(def.default.to_owned());
            let (typed, misfits) = typed::check(def.kind, &raw, &|_| None);
            assert!(typed.is_some() && misfits.is_empty(), "{}: {misfits:?}", def.name);
        }
        let stars = def.name.find("**");
        assert!(stars.is_none_or(|at| at + 2 == def.name.len()), "{}: `**` stands at the end", def.name);
        assert!(!def.name.ends_with('>') || stars.is_none(), "{}", def.name);
        if def.name.contains("password") {
            assert_eq!(def.kind, Kind::Secret, "{}", def.name);
        }
    }
    for (new, _) in alias::ALIASES {
        assert!(keys::find(new).is_some(), "{new} is not declared");
    }
}

#[test]
fn the_reference_page_is_the_committed_one() {
    let path = PathBuf::from(env!("CARGO_MANIFEST_DIR")).join("../../docs/configuration.md");
    if env::var_os("UPDATE_DOCS").is_some() {
        fs::write(&path, reference()).unwrap();
    }
    let committed = fs::read_to_string(&path).unwrap_or_default();
    assert!(committed == reference(), "run the tests with UPDATE_DOCS=1 to rewrite docs/configuration.md");
}

#[test]
fn links_of_the_fabric_are_entries_in_files_and_in_one_text() {
    let expected = ["A -> [c=red] B[Name=b, x=1]", "B --> *[Type=host]/eth0"];
    let listed = "analyzer.topology.fabric:\n  - A -> [c=red] B[Name=b, x=1]\n  - B --> *[Type=host]/eth0\n";
    let loaded = load_text(listed);
    assert_eq!(
        (told(&loaded), loaded.resolved.analyzer.fabric),
        (Vec::new(), expected.map(str::to_owned).to_vec())
    );
    let loaded = load_env(&[("SKYDIVE_ANALYZER_TOPOLOGY_FABRIC", &expected.join(" "))]);
    assert_eq!(
        (told(&loaded), loaded.resolved.analyzer.fabric),
        (Vec::new(), expected.map(str::to_owned).to_vec())
    );
}

#[test]
fn a_wrong_link_of_the_fabric_is_told_and_leaves_the_rest() {
    assert_told(
        "analyzer.topology:\n  fabric:\n    - A -> B\n    - A --> [x B\n",
        &["a.yml:2: warning: analyzer.topology.fabric: left out: entry 2, character 7: `[` is not closed"],
    );
    assert_told(
        "analyzer.topology.fabric: A",
        &["a.yml:1: warning: analyzer.topology.fabric: left out: entry 1, \
         character 2: Fabric link definition should have two endpoints: A"],
    );
}
