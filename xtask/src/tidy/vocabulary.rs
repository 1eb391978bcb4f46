//! The words that users type in queries: spelled where they are declared, named by constants everywhere else.

use std::collections::BTreeMap;

use super::Violation;
use crate::source::Source;
use crate::workspace::Workspace;

/// Where the words are declared.
const DECLARED_IN: [&str; 2] = ["crates/graph/src/key.rs", "crates/flow/src/field.rs"];

/// Who spells them all the same: a file, or a folder by its slash.
const EXEMPT: [&str; 5] = [
    // Fields of messages may be called like keys; their spellings stand in `proto` and nowhere else.
    "crates/proto/",
    // `sys` knows no graph: what a kind of link tells is named beside the kernel's number for it.
    "crates/sys/src/netlink/kinds.rs",
    // Protocols of flows are called like keys of nodes.
    "crates/flow/src/enumeration.rs",
    // The step `Neighbors` is called like a key.
    "crates/query/src/steps/spread.rs",
    // Fixtures for tests, which link no crate of ours.
    "crates/testnet/",
];

/// Before the name that a message of others has for a field.
const RENAMES: [&str; 2] = ["rename =", "alias ="];

pub(super) fn check(workspace: &Workspace) -> Vec<Violation> {
    let words = declared(workspace);
    let mut found = Vec::new();
    for file in workspace.files.iter().filter(|file| file.is_rust() && !is_exempt(&file.path)) {
        for (number, before, text) in Source::parse(&file.path, &file.text).shipped_strings() {
            let is_renamed = RENAMES.iter().any(|rename| before.trim_end().ends_with(rename));
            if let Some(place) = words.get(text).filter(|_| !is_renamed) {
                let text = format!("\"{text}\" is declared in {place}: use its constant");
                found.push(Violation::new(&file.path, number, "vocabulary", text));
            }
        }
    }
    found
}

/// The words, each with the file that declares it.
fn declared(workspace: &Workspace) -> BTreeMap<String, &'static str> {
    let mut words = BTreeMap::new();
    for place in DECLARED_IN {
        let Some(file) = workspace.file(place) else { continue };
        let source = Source::parse(place, &file.text);
        words.extend(
            source
                .shipped_strings()
                .filter(|(_, _, text)| is_distinctive(text))
                .map(|(_, _, text)| (text.to_owned(), place)),
        );
    }
    words
}

/// Keys are capitalised, `@` before or not. A word like `host` or `vf` has other meanings too.
fn is_distinctive(text: &str) -> bool {
    let name = text.trim_start_matches('@');
    name.len() > 1
        && name.starts_with(char::is_uppercase)
        && name.chars().all(|c| c.is_alphanumeric() || c == '.')
}

fn is_exempt(path: &str) -> bool {
    DECLARED_IN.contains(&path)
        || EXEMPT.iter().any(|exempt| path == *exempt || exempt.ends_with('/') && path.starts_with(exempt))
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::workspace::TextFile;

    const KEYS: &str = "//! Keys.\nnames! {\n    /// Says \"Not\".\n    A = \"RelationType\";\n    B = \"@ID\";\n    C = \"host\";\n    D = \"X\";\n}\n";

    fn reported(path: &str, text: &str) -> Vec<String> {
        let file = |path: &str, text: &str| TextFile { path: path.to_owned(), text: text.to_owned() };
        let files = vec![
            file("crates/graph/src/key.rs", KEYS),
            file("crates/flow/src/field.rs", "pub const B: Field = Field { name: \"Metric.ABBytes\" };\n"),
            file(path, text),
        ];
        check(&Workspace::from_files(files)).iter().map(ToString::to_string).collect()
    }

    #[test]
    fn a_key_spelled_elsewhere_is_reported() {
        assert_eq!(
            reported("crates/hub/src/run.rs", "//! A.\nconst X: &str = \"RelationType\";\n"),
            [
                "crates/hub/src/run.rs:2: vocabulary: \"RelationType\" is declared in crates/graph/src/key.rs: use its constant"
            ]
        );
        assert_eq!(reported("crates/hub/src/run.rs", "f(\"@ID\", r\"Metric.ABBytes\")").len(), 2);
        assert_eq!(reported("crates/sys/src/netlink/link.rs", "\"RelationType\"").len(), 1);
    }

    #[test]
    fn other_strings_and_other_places_pass() {
        for text in [
            "f(\"Relation\", \"RelationType \", \"host\", \"X\", \"Not\", RelationType)",
            "// \"RelationType\"",
            "#[serde(rename = \"RelationType\")]",
            "#[cfg(test)]\nmod tests {\n    const X: &str = \"RelationType\";\n}",
        ] {
            assert_eq!(reported("crates/hub/src/run.rs", text), Vec::<String>::new(), "{text}");
        }
        for path in [
            "crates/proto/src/element.rs",
            "crates/hub/tests/a.rs",
            "crates/hub/benches/a.rs",
            "crates/testnet/src/a.rs",
            "crates/sys/src/netlink/kinds.rs",
            "docs/a.md",
        ] {
            assert_eq!(reported(path, "f(\"RelationType\")"), Vec::<String>::new(), "{path}");
        }
    }
}
