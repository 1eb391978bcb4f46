//! Skips that are allowed by name, and failures for all others.
//!
//! A test that quietly does nothing is worse than no test. What cannot run somewhere says so
//! through [`skip`], and only names listed in `tests/allowed-skips.txt` get away with it.

use std::path::{Path, PathBuf};

/// The file that names the allowed skips, seen from the workspace root.
const ALLOWED: &str = "tests/allowed-skips.txt";

/// Prints `skipped: NAME: REASON`.
///
/// The caller returns afterwards. Panics, and so fails the test, unless `tests/allowed-skips.txt`
/// has a line `NAME: why`.
pub fn skip(name: &str, reason: &str) {
    let file = workspace_root().join(ALLOWED);
    let allowed = std::fs::read_to_string(&file).unwrap_or_default();
    println!("skipped: {name}: {reason}");
    assert!(is_allowed(&allowed, name), "skip of {name} ({reason}) is not allowed by {ALLOWED}");
}

/// True for root. For others the running test is skipped under its own name (false), which fails it
/// unless that is allowed.
pub fn require_root() -> bool {
    if rustix::process::geteuid().is_root() {
        return true;
    }
    let thread = std::thread::current();
    skip(thread.name().unwrap_or("unnamed test"), "needs root");
    false
}

/// The workspace root: the nearest directory above the running test's crate that holds `Cargo.lock`.
pub fn workspace_root() -> PathBuf {
    let start = std::env::current_dir().unwrap_or_else(|_| PathBuf::from("."));
    let found = start.ancestors().find(|dir| dir.join("Cargo.lock").exists()).map(Path::to_owned);
    // Cargo runs tests in their crate's directory; a test binary started elsewhere falls back
    // to where this crate was built.
    found.unwrap_or_else(|| PathBuf::from(concat!(env!("CARGO_MANIFEST_DIR"), "/../..")))
}

fn is_allowed(file: &str, name: &str) -> bool {
    file.lines()
        .map(str::trim)
        .filter(|line| !line.starts_with('#'))
        .filter_map(|line| line.split_once(": "))
        .any(|(allowed, reason)| allowed == name && !reason.trim().is_empty())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn only_a_name_with_a_reason_is_allowed() {
        let file = "# comment: x\nsetup::docker: no cgroups here\nbare\nempty: \nmod::test: why\n";
        assert!(is_allowed(file, "setup::docker"));
        assert!(is_allowed(file, "mod::test"));
        for name in ["bare", "empty", "# comment", "setup", "mod"] {
            assert!(!is_allowed(file, name), "{name}");
        }
    }

    #[test]
    #[should_panic(expected = "not allowed")]
    fn skip_without_a_line_fails() {
        skip("testnet::nobody-lists-this", "to see it fail");
    }

    #[test]
    fn workspace_root_holds_the_list() {
        assert!(workspace_root().join(ALLOWED).is_file());
    }
}
