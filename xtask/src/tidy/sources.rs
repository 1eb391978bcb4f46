//! Rules for the text of files: what may not be written where.

use super::Violation;
use super::arrows::{PURE, UNSAFE};
use crate::source::{Source, has_word, is_test_file};
use crate::workspace::{TextFile, Workspace};

/// Code lines a file may have, tests, comments and blank lines not counted.
const MAX_CODE_LINES: usize = 600;

/// What a crate that does no I/O never names. Plain addresses of `std::net` are values and allowed.
const IO_WORDS: [&str; 16] = [
    "std::fs",
    "std::thread",
    "std::process",
    "std::env",
    "tokio",
    "rustix",
    "libc",
    "TcpStream",
    "TcpListener",
    "UdpSocket",
    "UnixStream",
    "UnixListener",
    "ToSocketAddrs",
    "SystemTime::now",
    "Instant::now",
    "println",
];

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
        if PURE.contains(&owner) {
            for word in IO_WORDS {
                if has_word(code, word) {
                    report(number, "no-io", &format!("{owner} does no I/O and names {word}"));
                }
            }
        }
    }
    let code_lines = source.shipped().filter(|(_, code)| !code.trim().is_empty()).count();
    if code_lines > MAX_CODE_LINES {
        report(1, "length", &format!("{code_lines} code lines, more than {MAX_CODE_LINES}: two ideas"));
    }
    debug_assert!(!is_test_file(path) || code_lines == 0, "tests are not counted");
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
