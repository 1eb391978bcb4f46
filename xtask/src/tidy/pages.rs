//! Pages and lists that must keep up with the code.

use super::Violation;
use crate::source::code_of;
use crate::workspace::{TextFile, Workspace};

/// A slice of definitions and the folder with a page for each of them.
struct Slice {
    crate_name: &'static str,
    constant: &'static str,
    pages: &'static str,
}

const SLICES: &[Slice] = &[
    Slice { crate_name: "probes", constant: "PROBES", pages: "docs/probes" },
    Slice { crate_name: "probes", constant: "ANALYZER_PROBES", pages: "docs/probes" },
];

const ARCHITECTURE: &str = "ARCHITECTURE.md";
const MAX_ARCHITECTURE_LINES: usize = 300;
const SKIPS: &str = "tests/allowed-skips.txt";

pub(super) fn check(workspace: &Workspace) -> Vec<Violation> {
    let mut found: Vec<_> = SLICES.iter().flat_map(|slice| definitions(workspace, slice)).collect();
    found.extend(architecture(workspace));
    found.extend(skips(workspace));
    found.extend(links(workspace));
    found
}

fn definitions(workspace: &Workspace, slice: &Slice) -> Vec<Violation> {
    let lib = format!("crates/{}/src/lib.rs", slice.crate_name);
    let Some(file) = workspace.file(&lib) else { return Vec::new() };
    let mut found = Vec::new();
    for (line, module) in entries(&file.text, slice.constant) {
        let path = format!("crates/{}/src/{module}.rs", slice.crate_name);
        let name = workspace.file(&path).and_then(definition_name).unwrap_or(module);
        let page = format!("{}/{name}.md", slice.pages);
        if workspace.file(&page).is_none() {
            found.push(Violation::new(&lib, line, "page", format!("{name} has no {page}")));
        }
    }
    found
}

/// Modules named in `CONSTANT: … = &[ a::DEF, b::DEF ]`, with their lines.
fn entries<'a>(text: &'a str, constant: &str) -> Vec<(usize, &'a str)> {
    let code = code_of(text);
    let Some(start) = code.find(&format!(" {constant}:")) else { return Vec::new() };
    let Some(open) = code[start..].find('=').map(|at| start + at) else { return Vec::new() };
    let close = code[open..].find(';').map_or(code.len(), |at| open + at);
    let mut found = Vec::new();
    for (at, _) in code[open..close].match_indices("::DEF") {
        let before = &text[..open + at];
        let begin = before.rfind(|c: char| !c.is_alphanumeric() && c != '_').map_or(0, |at| at + 1);
        found.push((before.matches('\n').count() + 1, &before[begin..]));
    }
    found
}

/// The string after `name:` in a file's definition.
fn definition_name(file: &TextFile) -> Option<&str> {
    let (_, after) = file.text.split_once(" DEF:")?;
    let (_, after) = after.split_once("name: \"")?;
    after.split('"').next()
}

fn architecture(workspace: &Workspace) -> Vec<Violation> {
    let Some(file) = workspace.file(ARCHITECTURE) else {
        return vec![Violation::new(ARCHITECTURE, 1, "page", "is missing")];
    };
    let mut found = Vec::new();
    let lines = file.text.lines().count();
    if lines >= MAX_ARCHITECTURE_LINES {
        let text = format!("{lines} lines; it is a map and stays under {MAX_ARCHITECTURE_LINES}");
        found.push(Violation::new(ARCHITECTURE, 1, "length", text));
    }
    for member in &workspace.crates {
        if !file.text.contains(&format!("`{}`", member.folder)) {
            found.push(Violation::new(ARCHITECTURE, 1, "page", format!("does not name `{}`", member.folder)));
        }
    }
    found
}

fn skips(workspace: &Workspace) -> Vec<Violation> {
    let Some(file) = workspace.file(SKIPS) else { return Vec::new() };
    let lines = file.text.lines().enumerate();
    lines
        .filter(|(_, line)| !line.trim().is_empty() && !line.starts_with('#'))
        .filter(|(_, line)| line.split_once(": ").is_none_or(|(_, reason)| reason.trim().is_empty()))
        .map(|(index, line)| Violation::new(SKIPS, index + 1, "skip", format!("{line} gives no reason")))
        .collect()
}

/// Links from page to page lead somewhere.
fn links(workspace: &Workspace) -> Vec<Violation> {
    let mut found = Vec::new();
    for file in workspace.files.iter().filter(|file| file.is_markdown()) {
        let folder = file.path.rsplit_once('/').map_or("", |(folder, _)| folder);
        for (index, line) in file.text.lines().enumerate() {
            for (at, _) in line.match_indices("](") {
                let target = line[at + 2..].split([')', '#', ' ']).next().unwrap_or("");
                if target.is_empty() || target.contains("://") || target.starts_with("mailto:") {
                    continue;
                }
                let path = resolve(folder, target);
                let known =
                    |known: &TextFile| known.path == path || known.path.starts_with(&format!("{path}/"));
                if !workspace.files.iter().any(known) {
                    let text = format!("link to {target}, which is not there");
                    found.push(Violation::new(&file.path, index + 1, "link", text));
                }
            }
        }
    }
    found
}

/// `target` seen from `folder`, without `..`.
fn resolve(folder: &str, target: &str) -> String {
    let mut parts: Vec<&str> = folder.split('/').filter(|part| !part.is_empty()).collect();
    for part in target.split('/') {
        match part {
            "" | "." => {}
            ".." => drop(parts.pop()),
            _ => parts.push(part),
        }
    }
    parts.join("/")
}

#[cfg(test)]
mod tests {
    use super::*;

    fn reported(files: &[(&str, &str)]) -> Vec<String> {
        let mut files: Vec<_> = files
            .iter()
            .map(|(path, text)| TextFile { path: (*path).to_owned(), text: (*text).to_owned() })
            .collect();
        if !files.iter().any(|file| file.path == ARCHITECTURE) {
            files.push(TextFile { path: ARCHITECTURE.to_owned(), text: "`crates/probes`".to_owned() });
        }
        check(&Workspace::from_files(files)).iter().map(ToString::to_string).collect()
    }

    const LIB: &str = "//! P.\npub const PROBES: &[ProbeDef] = &[\n    host::DEF,\n    // off::DEF,\n    netlink::DEF,\n];\n";

    #[test]
    fn every_definition_has_a_page() {
        let found = reported(&[
            ("crates/probes/src/lib.rs", LIB),
            ("crates/probes/src/host.rs", "pub const DEF: ProbeDef = ProbeDef {\n    name: \"hostnode\",\n"),
            ("docs/probes/hostnode.md", ""),
        ]);
        assert_eq!(found, ["crates/probes/src/lib.rs:5: page: netlink has no docs/probes/netlink.md"]);
    }

    #[test]
    fn architecture_names_every_crate_and_stays_short() {
        let manifest = "[package]\nname = \"skydive-graph\"\n";
        let found = reported(&[("crates/graph/Cargo.toml", manifest)]);
        assert_eq!(found, ["ARCHITECTURE.md:1: page: does not name `crates/graph`"]);
        let long = "line\n".repeat(300);
        assert_eq!(reported(&[(ARCHITECTURE, &long)]).len(), 1);
    }

    #[test]
    fn allowed_skips_give_reasons() {
        let found = reported(&[(SKIPS, "# why\na::b: no such device\nc::d\n")]);
        assert_eq!(found, ["tests/allowed-skips.txt:3: skip: c::d gives no reason"]);
    }

    #[test]
    fn links_between_pages_lead_somewhere() {
        let found = reported(&[
            ("docs/a.md", "[b](b.md#part) [up](../README.md) [gone](c/d.md) [web](https://x.org/y) [dir](e)"),
            ("docs/b.md", ""),
            ("docs/e/f.md", ""),
            ("README.md", ""),
        ]);
        assert_eq!(found, ["docs/a.md:1: link: link to c/d.md, which is not there"]);
    }
}
