//! The configuration as clients may read it, key by key: `GET /api/config/{key}`.
//!
//! Every known key has the value in force, of the JSON type that its kind says: seconds are numbers, lists are lists.
//! Secrets are masked; keys that nobody declared are not told, they may be anything.

use serde_json::{Number, Value as Json};
use skydive_api::ConfigKeys;

use super::alias::ALIASES;
use super::keys::{KEYS, KeyDef};
use super::raw::Raw;
use super::resolved::Resolved;
use super::settings::Settings;
use super::typed::{Typed, check};

/// What stands in place of a secret.
const MASK: &str = "********";

/// The configuration in force, for [`skydive_api::Areas`].
pub(crate) fn exposed(resolved: &Resolved, settings: &Settings) -> ConfigKeys {
    let mut values = Vec::new();
    for def in KEYS {
        if !def.is_pattern() {
            values.push((def.name.to_owned(), default_of(def, resolved)));
        }
        for (key, setting) in settings.covered_by(def) {
            let value = match &setting.typed {
                _ if def.is_secret() => Json::from(MASK),
                Some(typed) => to_json(typed, &setting.raw),
                None => setting.raw.to_json(),
            };
            values.push((key.to_owned(), value));
        }
    }
    let renamed = ALIASES.iter().rev().map(|(new, old)| ((*old).to_owned(), (*new).to_owned()));
    ConfigKeys::new(values, renamed)
}

fn default_of(def: &KeyDef, resolved: &Resolved) -> Json {
    let text = match def.name {
        "host_id" => return Json::from(resolved.host_id.as_str()),
        "data_dir" => return Json::from(resolved.data_dir.display().to_string()),
        "etcd.data_dir" => return Json::from(resolved.analyzer.resources_dir.display().to_string()),
        _ => def.default,
    };
    if def.is_secret() && !text.is_empty() {
        return Json::from(MASK);
    }
    let raw = Raw::Text(text.to_owned());
    let no_service = |_: &str| None;
    match check(def.kind, &raw, &no_service).0 {
        Some(typed) => to_json(&typed, &raw),
        None => Json::from(text),
    }
}

fn to_json(typed: &Typed, raw: &Raw) -> Json {
    match typed {
        Typed::Switch(on) => Json::Bool(*on),
        Typed::Whole(number) => Json::from(*number),
        Typed::Real(number) => Number::from_f64(*number).map_or(Json::Null, Json::Number),
        Typed::Time(time) if time.subsec_nanos() == 0 => Json::from(time.as_secs()),
        Typed::Time(time) => Json::from(time.as_secs_f64()),
        Typed::Bytes(bytes) => Json::from(*bytes),
        Typed::Words(words) => Json::from(words.clone()),
        Typed::Addresses(addresses) => addresses.iter().map(ToString::to_string).collect(),
        Typed::Text(text) => Json::from(text.as_str()),
        Typed::Address(_) | Typed::Raw(_) => raw.to_json(),
    }
}

#[cfg(test)]
mod tests {
    use std::collections::BTreeMap;

    use serde_json::json;

    use super::*;
    use crate::config::{Source, Surroundings, load};

    #[test]
    fn values_have_their_types_and_secrets_are_masked() {
        let text = "host_id: me\nanalyzers: [h1:1, h2:2]\nhttp.ws.ping_delay: 1500ms\ngraph.backend: memory\n\
                    auth.basic.users:\n  bob: letmein\nagent.auth.cluster.password: letmein\n\
                    storage.mine.password: letmein\nmystery.key: letmein\n";
        let sources = [Source { path: "a.yml".into(), text: Ok(text.to_owned()) }];
        let around = Surroundings {
            variables: BTreeMap::new(),
            host_name: "h".to_owned(),
            state_home: None,
            services: String::new(),
            seed: 0,
        };
        let loaded = load(&sources, &[], &around);
        let keys = exposed(&loaded.resolved, &loaded.settings);
        for (key, value) in [
            ("host_id", json!("me")),
            ("analyzers", json!(["h1:1", "h2:2"])),
            ("http.ws.ping_delay", json!(1.5)),
            ("http.ws.pong_timeout", json!(5)),
            ("etcd.embedded", json!(true)),
            ("etcd.data_dir", json!("/var/lib/skydive/etcd")),
            ("analyzer.listen", json!("127.0.0.1:8082")),
            ("analyzer.topology.backend", json!("memory")),
            ("graph.backend", json!("memory")),
            ("agent.auth.cluster.password", json!(MASK)),
            ("mystery.key", json!("")),
            ("no.such.key", json!("")),
        ] {
            assert_eq!(keys.value(key), value, "{key}");
        }
        for section in ["auth", "storage", "agent", "analyzer", "mystery"] {
            assert!(!keys.value(section).to_string().contains("letmein"), "{section}");
        }
    }
}
