//! Dependency direction: which crate may use which.

use super::Violation;
use crate::workspace::{DependencyKind, Manifest, Workspace};

/// A crate's row in the table.
struct Row {
    name: &'static str,
    layer: u8,
    may_use: &'static [&'static str],
}

const fn row(name: &'static str, layer: u8, may_use: &'static [&'static str]) -> Row {
    Row { name, layer, may_use }
}

/// Every crate, lowest layer first. A crate uses only what its row lists; all of it lies in lower layers.
const TABLE: &[Row] = &[
    row("value", 0, &[]),
    row("packet", 0, &[]),
    row("prefetch", 0, &[]),
    row("graph", 1, &["value", "prefetch"]),
    row("flow", 1, &["value", "packet", "prefetch"]),
    row("query", 2, &["value", "graph", "flow", "packet"]),
    row("proto", 2, &["value", "graph", "flow"]),
    row("sys", 2, &["value"]),
    row("peers", 2, &["value"]),
    row("probes", 3, &["value", "graph", "packet", "sys", "peers"]),
    row("capture", 3, &["value", "packet", "flow", "sys", "peers"]),
    row("inject", 3, &["value", "packet", "sys"]),
    row("store", 3, &["value", "graph", "flow", "proto"]),
    row("export", 3, &["value", "flow", "proto"]),
    row("api", 3, &["value", "query", "proto", "graph", "flow"]),
    row("client", 3, &["value", "proto"]),
    row(
        "agent",
        4,
        &[
            "probes", "capture", "inject", "api", "client", "query", "proto", "sys", "peers", "graph",
            "flow", "value", "packet",
        ],
    ),
    row("hub", 4, &["value", "api", "client", "query", "proto", "flow", "graph", "packet"]),
    row(
        "skydive",
        5,
        &[
            "agent", "hub", "probes", "capture", "inject", "store", "export", "api", "client", "query",
            "proto", "sys", "peers", "graph", "flow", "value", "packet",
        ],
    ),
    row("testnet", 0, &[]),
    row("xtask", 0, &[]),
];

/// Crates that do no I/O and so link none of the crates that could.
pub(super) const PURE: [&str; 7] = ["value", "packet", "prefetch", "graph", "flow", "query", "proto"];
/// Crates that may contain `unsafe`, each with lints of its own: system calls, and one processor instruction
/// (`docs/decisions/009-prefetch.md`).
pub(super) const UNSAFE: [&str; 2] = ["sys", "prefetch"];
const IO_PACKAGES: [&str; 10] =
    ["tokio", "tokio-util", "rustix", "libc", "nix", "mio", "reqwest", "hyper", "axum", "socket2"];

/// Where an error may lose its type.
const ANYHOW: [&str; 3] = ["skydive", "testnet", "xtask"];

pub(super) fn check(workspace: &Workspace) -> Vec<Violation> {
    workspace.crates.iter().flat_map(check_crate).collect()
}

fn check_crate(manifest: &Manifest) -> Vec<Violation> {
    let file = format!("{}/Cargo.toml", manifest.folder);
    let name = manifest.short();
    let mut found = Vec::new();
    let mut report = |line, rule, text: String| found.push(Violation::new(&file, line, rule, text));

    let expected = match name {
        "skydive" | "xtask" => name.to_owned(),
        _ => format!("skydive-{name}"),
    };
    if manifest.name != expected {
        report(1, "package-name", format!("{} should be {expected}", manifest.name));
    }
    if !manifest.inherits_lints && !UNSAFE.contains(&name) {
        report(1, "lints", "does not inherit the workspace's lints".to_owned());
    }
    let Some(row) = find(name) else {
        report(1, "arrow", format!("{name} has no row in the table of xtask/src/tidy/arrows.rs"));
        return found;
    };
    for dependency in &manifest.dependencies {
        let shipped = dependency.kind == DependencyKind::Normal;
        let package = dependency.package.as_str();
        if let Some(target) = ours(package) {
            if !is_allowed(row, target, dependency.kind) {
                let kind = if shipped { "uses" } else { "uses in tests" };
                report(dependency.line, "arrow", format!("{name} -> {target}: {name} {kind} {target}"));
            }
            continue;
        }
        if shipped && PURE.contains(&name) && IO_PACKAGES.contains(&package) {
            report(dependency.line, "no-io", format!("{name} does no I/O and links {package}"));
        }
        if shipped && package == "anyhow" && !ANYHOW.contains(&name) {
            report(dependency.line, "anyhow", format!("{name} is a library: its errors have types"));
        }
        if package.starts_with("datafusion") && name != "store" {
            report(dependency.line, "arrow", format!("{name} -> {package}: only store links it"));
        }
    }
    found
}

fn find(name: &str) -> Option<&'static Row> {
    TABLE.iter().find(|row| row.name == name)
}

/// Our crate's short name, if the package is one of ours.
fn ours(package: &str) -> Option<&str> {
    match package {
        "skydive" | "xtask" => Some(package),
        _ => package.strip_prefix("skydive-"),
    }
}

fn is_allowed(row: &Row, target: &str, kind: DependencyKind) -> bool {
    if row.may_use.contains(&target) {
        return true;
    }
    // Tests may also stand on testnet and on crates of the same or a lower layer.
    kind == DependencyKind::Dev
        && !["testnet", "xtask"].contains(&row.name)
        && (target == "testnet"
            || target != "xtask" && find(target).is_some_and(|other| other.layer <= row.layer))
}

#[cfg(test)]
mod tests {
    use super::*;

    fn planted(folder: &str, section: &str, package: &str) -> Vec<String> {
        let name = match folder {
            "xtask" => "xtask".to_owned(),
            "crates/skydive" => "skydive".to_owned(),
            _ => folder.replace("crates/", "skydive-"),
        };
        let text = format!(
            "[package]\nname = \"{name}\"\n[lints]\nworkspace = true\n[{section}]\n{package}.workspace = true\n"
        );
        check_crate(&Manifest::parse(folder, &text)).iter().map(ToString::to_string).collect()
    }

    #[test]
    fn forbidden_arrows_are_reported_with_both_names() {
        for (from, to) in [
            ("value", "graph"),
            ("hub", "probes"),
            ("api", "hub"),
            ("probes", "hub"),
            ("client", "graph"),
            ("sys", "graph"),
            ("query", "proto"),
            ("value", "packet"),
            ("agent", "store"),
        ] {
            let found = planted(&format!("crates/{from}"), "dependencies", &format!("skydive-{to}"));
            assert_eq!(
                found,
                [format!("crates/{from}/Cargo.toml:6: arrow: {from} -> {to}: {from} uses {to}")]
            );
        }
    }

    #[test]
    fn allowed_arrows_pass() {
        for (from, to) in [("graph", "value"), ("agent", "sys"), ("hub", "api"), ("api", "query")] {
            let found = planted(&format!("crates/{from}"), "dependencies", &format!("skydive-{to}"));
            assert_eq!(found, Vec::<String>::new());
        }
        assert!(planted("crates/skydive", "dependencies", "skydive-hub").is_empty());
    }

    #[test]
    fn testnet_is_for_tests_alone() {
        assert!(planted("crates/sys", "dev-dependencies", "skydive-testnet").is_empty());
        assert_eq!(planted("crates/sys", "dependencies", "skydive-testnet").len(), 1);
        assert_eq!(planted("crates/skydive", "dependencies", "skydive-testnet").len(), 1);
        assert_eq!(planted("crates/testnet", "dev-dependencies", "skydive-value").len(), 1);
        assert_eq!(planted("xtask", "dependencies", "skydive-value").len(), 1);
    }

    #[test]
    fn tests_may_use_the_same_layer_but_not_a_higher_one() {
        assert!(planted("crates/query", "dev-dependencies", "skydive-proto").is_empty());
        assert_eq!(planted("crates/query", "dev-dependencies", "skydive-api").len(), 1);
        assert_eq!(planted("crates/client", "dev-dependencies", "skydive-hub").len(), 1);
    }

    #[test]
    fn pure_crates_link_nothing_that_does_io() {
        assert_eq!(
            planted("crates/query", "dependencies", "tokio"),
            ["crates/query/Cargo.toml:6: no-io: query does no I/O and links tokio"]
        );
        assert!(planted("crates/api", "dependencies", "tokio").is_empty());
    }

    #[test]
    fn libraries_have_typed_errors_and_inherit_lints() {
        assert_eq!(planted("crates/hub", "dependencies", "anyhow").len(), 1);
        assert!(planted("crates/hub", "dev-dependencies", "anyhow").is_empty());
        let bare = Manifest::parse("crates/graph", "[package]\nname = \"skydive-graph\"\n");
        assert_eq!(check_crate(&bare).first().map(|v| v.rule), Some("lints"));
    }

    #[test]
    fn packages_are_called_after_their_folders() {
        for (folder, name, faults) in [
            ("crates/hub", "skydive-hub", 0),
            ("crates/skydive", "skydive", 0),
            ("xtask", "xtask", 0),
            ("crates/hub", "hub", 1),
            ("crates/hub", "skydive", 1),
            ("crates/skydive", "skydive-skydive", 1),
        ] {
            let text = format!("[package]\nname = \"{name}\"\n[lints]\nworkspace = true\n");
            assert_eq!(check_crate(&Manifest::parse(folder, &text)).len(), faults, "{folder} {name}");
        }
    }

    #[test]
    fn a_crate_without_a_row_is_reported() {
        assert!(planted("crates/novel", "dependencies", "serde").iter().any(|text| text.contains("no row")));
    }

    #[test]
    fn every_arrow_of_the_table_points_down() {
        for row in TABLE {
            for target in row.may_use {
                let other = find(target).unwrap();
                assert!(other.layer < row.layer, "{} -> {target}", row.name);
            }
        }
    }
}
