//! The house rules that a machine can check.
//!
//! Every rule is a function from the workspace in memory to violations. All violations are reported, not
//! the first; a rule that must be broken is changed here, with its reason in the commit.

use std::fmt;

use crate::workspace::Workspace;

mod arrows;
mod names;
mod pages;
mod sources;
mod vocabulary;

/// One place that breaks one rule.
#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord)]
pub(crate) struct Violation {
    pub(crate) file: String,
    pub(crate) line: usize,
    pub(crate) rule: &'static str,
    pub(crate) text: String,
}

impl Violation {
    pub(crate) fn new(file: &str, line: usize, rule: &'static str, text: impl Into<String>) -> Self {
        Self { file: file.to_owned(), line, rule, text: text.into() }
    }
}

impl fmt::Display for Violation {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}:{}: {}: {}", self.file, self.line, self.rule, self.text)
    }
}

/// All violations, by file and line.
pub(crate) fn check(workspace: &Workspace) -> Vec<Violation> {
    let mut found = arrows::check(workspace);
    found.extend(sources::check(workspace));
    found.extend(names::check(workspace));
    found.extend(pages::check(workspace));
    found.extend(vocabulary::check(workspace));
    found.sort();
    found
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_workspace_keeps_the_rules() {
        let workspace = Workspace::read(&crate::root().unwrap()).unwrap();
        assert!(workspace.crates.len() > 5, "the members were not found");
        let violations: Vec<_> = check(&workspace).iter().map(ToString::to_string).collect();
        assert!(violations.is_empty(), "\n{}", violations.join("\n"));
    }

    #[test]
    fn violation_prints_like_a_compiler_message() {
        let violation = Violation::new("crates/a/src/lib.rs", 7, "unsafe", "outside crates/sys");
        assert_eq!(violation.to_string(), "crates/a/src/lib.rs:7: unsafe: outside crates/sys");
    }
}
