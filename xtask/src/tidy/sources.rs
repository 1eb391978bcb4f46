//! Rules for the text of files: what may not be written where.

use std::collections::BTreeSet;

use super::Violation;
use super::arrows::{PURE, UNSAFE};
use crate::imports::imports;
use crate::source::{Source, has_word, is_test_file};
use crate::workspace::{TextFile, Workspace};

/// Code lines a file may have, tests, comments and blank lines not counted.
const MAX_CODE_LINES: usize = 600;

/// What a crate that does no I/O never names. Plain addresses of `std::net` are values and allowed.
const IO_WORDS: [&str; 21] = [
    "std::fs",
    "std::thread",
    "std::process",
    "std::env",
    "extern crate",
    "tokio",
    "rustix",
    "libc",
    "TcpStream",
    "TcpListener",
    "UdpSocket",
    "UnixStream",
    "UnixListener",
    "ToSocketAddrs",
    "SystemTime",
    "Instant",
    "stdin",
    "stdout",
    "stderr",
    "println",
    "eprintln",
];

/// Ways to make a channel without a bound. Only that of `std` takes no argument.
const UNBOUNDED: [&str; 2] = ["unbounded_channel", "mpsc::channel()"];

/// Imports that give `std`, or all that is in it, names which [`IO_WORDS`] does not know.
const BLURRED: [&str; 2] = ["std", "std::*"];

pub(super) fn check(workspace: &Workspace) -> Vec<Violation> {
    workspace.files.iter().flat_map(check_file).collect()
}

fn check_file(file: &TextFile) -> Vec<Violation> {
    let mut found = machine_paths(file);
    if file.is_rust() {
        found.extend(check_rust(file));
    }
    found
}

fn check_rust(file: &TextFile) -> Vec<Violation> {
    let path = file.path.as_str();
    let source = Source::parse(path, &file.text);
    let owner = path.strip_prefix("crates/").and_then(|rest| rest.split('/').next()).unwrap_or("");
    let mut found = Vec::new();
    let mut report = |line, rule, text: &str| found.push(Violation::new(path, line, rule, text));

    if path.ends_with("/mod.rs") {
        report(1, "mod-rs", "name the file after the module: foo.rs beside foo/");
    }
    if !file.text.starts_with("//!") {
        report(1, "header", "the first line is `//!` and says what lives here");
    }
    for (number, line) in source.numbered() {
        if !UNSAFE.contains(&owner) && has_word(&line.code, "unsafe") {
            report(number, "unsafe", "only crates/sys contains unsafe code");
        }
        // The rule itself: the attribute is looked for here, not used.
        if line.code.contains("#[ignore") {
            report(number, "ignore", "a test runs or is skipped by name; see tests/allowed-skips.txt");
        }
    }
    for (number, code) in source.shipped() {
        if code.contains(".unwrap()") {
            report(number, "unwrap", "outside tests: return an error or `expect` a proof");
        }
        if UNBOUNDED.iter().any(|channel| code.contains(channel)) {
            report(number, "channel", "has no bound: give it one, and say what happens beyond it");
        }
    }
    if PURE.contains(&owner) {
        for (number, word) in io(&source) {
            report(number, "no-io", &format!("{owner} does no I/O and names {word}"));
        }
    }
    let code_lines = source.shipped().filter(|(_, code)| !code.trim().is_empty()).count();
    if code_lines > MAX_CODE_LINES {
        report(1, "length", &format!("{code_lines} code lines, more than {MAX_CODE_LINES}: two ideas"));
    }
    debug_assert!(!is_test_file(path) || code_lines == 0, "tests are not counted");
    found
}

/// What shipped code names of I/O, in the code and by imports, each once a line.
fn io(source: &Source) -> BTreeSet<(usize, &'static str)> {
    let imported = imports(source);
    let in_imports = imported.iter().map(|(number, path)| (*number, path.as_str()));
    let mut found: BTreeSet<_> = in_imports
        .clone()
        .flat_map(|(number, path)| {
            BLURRED.into_iter().filter(move |blurred| *blurred == path).map(move |word| (number, word))
        })
        .collect();
    for (number, text) in source.shipped().chain(in_imports) {
        found.extend(IO_WORDS.into_iter().filter(|word| has_word(text, word)).map(|word| (number, word)));
    }
    found
}

/// Paths of one machine: they mean nothing on another.
fn machine_paths(file: &TextFile) -> Vec<Violation> {
    // Put together here, so that this file does not break its own rule.
    let forbidden = ["work", "root"].map(|name| format!("/{name}/"));
    let mut found = Vec::new();
    for (index, line) in file.text.lines().enumerate() {
        for path in &forbidden {
            // `a/root/b` is a path of the tree, not from the root of a machine.
            let absolute = line
                .match_indices(path.as_str())
                .any(|(at, _)| !line[..at].ends_with(|c: char| c.is_alphanumeric() || "._-}$)*".contains(c)));
            if absolute {
                found.push(Violation::new(&file.path, index + 1, "machine-path", format!("names {path}")));
            }
        }
    }
    found
}

#[cfg(test)]
mod tests {
    use super::*;

    fn rules(path: &str, text: &str) -> Vec<(usize, &'static str)> {
        let file = TextFile { path: path.to_owned(), text: text.to_owned() };
        check_file(&file).iter().map(|violation| (violation.line, violation.rule)).collect()
    }

    #[test]
    fn clean_file_passes() {
        let text = "//! Things.\n\nuse std::net::IpAddr;\n\n/// Not unsafe, no .unwrap().\npub fn a() {}\n\n#[cfg(test)]\nmod tests {\n    fn b() { x.unwrap(); std::fs::read(y); }\n}\n";
        assert_eq!(rules("crates/value/src/a.rs", text), []);
    }

    #[test]
    fn unsafe_lives_in_sys() {
        let text = "//! Things.\nfn a() { unsafe { b() } }\n";
        assert_eq!(rules("crates/graph/src/a.rs", text), [(2, "unsafe")]);
        assert_eq!(rules("crates/sys/src/a.rs", text), []);
    }

    #[test]
    fn pure_crates_do_no_io() {
        for code in [
            "std::fs::read(p)",
            "std::thread::spawn(f)",
            "tokio::spawn(f)",
            "std::net::UdpSocket::bind(a)",
            "std::time::Instant::now()",
            "SystemTime::now()",
        ] {
            let text = format!("//! Things.\nfn a() {{ {code} }}\n");
            assert_eq!(rules("crates/query/src/a.rs", &text), [(2, "no-io")], "{code}");
            assert_eq!(rules("crates/hub/src/a.rs", &text), [], "{code}");
            assert_eq!(rules("crates/query/benches/a.rs", &text), [], "{code}");
        }
    }

    #[test]
    fn imports_in_braces_and_by_other_names_do_not_hide_io() {
        for code in [
            "use std::{thread};",
            "use std::{collections::BTreeMap, thread::{self, spawn}};",
            "use std::thread as t;",
            "use std::{thread as t, fmt};",
            "use ::std::{fs};",
            "pub(crate) use std::time::{Duration, Instant as I};",
            "use std as s;",
            "use std::{self, fmt};",
            "use std::*;",
            "extern crate std as s;",
        ] {
            let text = format!("//! Things.\n{code}\n");
            assert_eq!(rules("crates/value/src/a.rs", &text), [(2, "no-io")], "{code}");
            assert_eq!(rules("crates/hub/src/a.rs", &text), [], "{code}");
        }
        let text = "//! Things.\nuse std::{\n    fmt,\n    thread,\n};\n";
        assert_eq!(rules("crates/value/src/a.rs", text), [(4, "no-io")]);
        let text = "//! Things.\nuse std::{fmt, time::Duration};\nuse crate::thread;\nfn a() -> impl B + use<'_> {}\n";
        assert_eq!(rules("crates/value/src/a.rs", text), []);
    }

    #[test]
    fn channels_have_a_bound() {
        for (code, faults) in [
            ("mpsc::unbounded_channel::<A>()", 1),
            ("std::sync::mpsc::channel()", 1),
            ("mpsc::channel(A)", 0),
            ("oneshot::channel()", 0),
        ] {
            let text = format!("//! A.\nfn a() {{ {code} }}\n");
            assert_eq!(rules("crates/hub/src/a.rs", &text).len(), faults, "{code}");
        }
    }

    #[test]
    fn shape_of_files() {
        assert_eq!(rules("crates/hub/src/a/mod.rs", "//! A.\n"), [(1, "mod-rs")]);
        assert_eq!(rules("crates/hub/src/a.rs", "fn a() {}\n"), [(1, "header")]);
        assert_eq!(rules("crates/hub/src/a.rs", "//! A.\nfn a() { b.unwrap() }\n"), [(2, "unwrap")]);
        let long = format!("//! A.\n{}", "fn a() {}\n".repeat(601));
        assert_eq!(rules("crates/hub/src/a.rs", &long), [(1, "length")]);
        let tests = format!("//! A.\n#[cfg(test)]\nmod tests {{\n{}}}\n", "fn a() {}\n".repeat(900));
        assert_eq!(rules("crates/hub/src/a.rs", &tests), []);
    }

    #[test]
    fn ignored_tests_are_reported_in_tests_too() {
        let text = format!("//! A.\n#[{}]\nfn a() {{}}\n", "ignore = \"slow\"");
        assert_eq!(rules("crates/hub/tests/a.rs", &text), [(2, "ignore")]);
    }

    #[test]
    fn paths_of_a_machine_are_reported_in_any_file() {
        let [work, root] = ["work", "root"].map(|name| format!("/{name}/x"));
        assert_eq!(rules("docs/a.md", &format!("see {work} and {root}")).len(), 2);
        assert_eq!(rules("docs/a.md", "crates/root/src, chroot/root/etc"), []);
    }
}
