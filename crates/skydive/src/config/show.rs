//! The configuration in force, as a file that could be loaded again, each line with its origin.

use super::Loaded;
use super::keys::{KEYS, KeyDef, Use};
use super::problem::Origin;
use super::raw::Raw;
use super::settings::Setting;

/// What stands in place of a secret.
const MASK: &str = "\"********\"";

/// Every key this version acts on and every key that was given, with its value and origin.
pub(crate) fn show(loaded: &Loaded) -> String {
    let mut rows: Vec<(String, String)> = Vec::new();
    for def in KEYS {
        let given: Vec<(&str, &Setting)> = loaded.settings.covered_by(def).collect();
        for (key, setting) in &given {
            let value = if def.is_secret() { MASK.to_owned() } else { setting.raw.to_string() };
            rows.push((format!("{key}: {value}"), setting.origin.to_string()));
        }
        if given.is_empty() && def.effect == Use::Now && !def.is_pattern() {
            rows.push((format!("{}: {}", def.name, default_of(def, loaded)), Origin::Default.to_string()));
        }
    }
    let width =
        rows.iter().map(|(row, _)| row.chars().count()).filter(|width| *width <= 80).max().unwrap_or(0);
    let mut text = String::new();
    for (row, origin) in &rows {
        text.push_str(&format!("{row:width$}  # {origin}\n"));
    }
    text
}

fn default_of(def: &KeyDef, loaded: &Loaded) -> String {
    let text = match def.name {
        "host_id" => loaded.resolved.host_id.clone(),
        "data_dir" => loaded.resolved.data_dir.display().to_string(),
        "etcd.data_dir" => loaded.resolved.analyzer.resources_dir.display().to_string(),
        _ => def.default.to_owned(),
    };
    match text.parse::<i64>() {
        Ok(number) => number.to_string(),
        Err(_) if text == "true" || text == "false" => text,
        Err(_) => Raw::Text(text).to_string(),
    }
}
