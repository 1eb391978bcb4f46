//! Names that say nothing about a type's one job.

use super::Violation;
use crate::source::Source;
use crate::workspace::Workspace;

/// Not as a word in the name of a type, a module or a file.
const BANNED: [&str; 16] = [
    "manager",
    "handler",
    "helper",
    "util",
    "utils",
    "common",
    "misc",
    "base",
    "impl",
    "data",
    "info",
    "object",
    "service",
    "processor",
    "wrapper",
    "context",
];
/// Not at the beginning of a function's name, unless a trait of others dictates it.
const EMPTY_VERB: &str = "fn get_";
const DECLARATIONS: [&str; 6] = ["struct", "enum", "trait", "union", "type", "mod"];

pub(super) fn check(workspace: &Workspace) -> Vec<Violation> {
    let mut found = Vec::new();
    for file in workspace.files.iter().filter(|file| file.is_rust()) {
        let stem = file.path.rsplit('/').next().unwrap_or("").trim_end_matches(".rs");
        if let Some(word) = banned(stem) {
            found.push(Violation::new(&file.path, 1, "name", format!("file {stem}: {word} says nothing")));
        }
        let source = Source::parse(&file.path, &file.text);
        for (number, code) in source.shipped() {
            if let Some((name, word)) = declared(code).and_then(|name| Some((name, banned(name)?))) {
                found.push(Violation::new(
                    &file.path,
                    number,
                    "name",
                    format!("{name}: {word} says nothing"),
                ));
            }
        }
        for (number, line) in source.numbered() {
            if !line.in_test && !line.in_trait_impl && line.code.contains(EMPTY_VERB) {
                let text = "get_ says nothing: name what is given, or the work that finding it is";
                found.push(Violation::new(&file.path, number, "name", text));
            }
        }
    }
    found
}

/// The name that a line declares.
fn declared(code: &str) -> Option<&str> {
    let mut words = code.split_whitespace().peekable();
    // Associated types (`type Error = …` within an impl) are named by the trait; they are indented.
    let indented = code.starts_with(' ');
    while let Some(word) = words.next() {
        let is_visibility = word.starts_with("pub");
        if DECLARATIONS.contains(&word) && !(indented && word == "type") {
            let name = words.next()?;
            let end = name.find(|c: char| !c.is_alphanumeric() && c != '_').unwrap_or(name.len());
            return name.get(..end);
        }
        // `pub(in crate::x)` and attributes on the same line are not worth understanding.
        if !is_visibility {
            return None;
        }
    }
    None
}

/// The banned word in a name, in either spelling.
fn banned(name: &str) -> Option<&'static str> {
    let words = split(name);
    BANNED.into_iter().find(|banned| words.iter().any(|word| word == banned))
}

/// `FlowTable` and `flow_table` as `flow`, `table`.
fn split(name: &str) -> Vec<String> {
    let mut words = vec![String::new()];
    let mut lower_before = false;
    for character in name.chars() {
        if character == '_' || (character.is_uppercase() && lower_before) {
            words.push(String::new());
        }
        lower_before = character.is_lowercase() || character.is_numeric();
        if character != '_'
            && let Some(word) = words.last_mut()
        {
            word.extend(character.to_lowercase());
        }
    }
    words
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::workspace::TextFile;

    fn reported(path: &str, text: &str) -> Vec<String> {
        let files = vec![TextFile { path: path.to_owned(), text: text.to_owned() }];
        check(&Workspace::from_files(files)).into_iter().map(|violation| violation.text).collect()
    }

    #[test]
    fn banned_words_are_found_in_types_modules_and_files() {
        assert_eq!(reported("crates/a/src/utils.rs", ""), ["file utils: utils says nothing"]);
        for code in [
            "pub struct CaptureManager {",
            "pub(crate) enum QueryContext {",
            "mod common;",
            "trait EventHandler<T>:",
            "type NodeInfo = u8;",
        ] {
            assert_eq!(reported("crates/a/src/a.rs", code).len(), 1, "{code}");
        }
    }

    #[test]
    fn functions_do_not_get() {
        for code in [
            "pub fn get_x() {}",
            "impl A {\n    async fn get_x(&self) {}\n}",
            "trait A {\n    fn get_x();\n}",
        ] {
            assert_eq!(reported("crates/a/src/a.rs", code).len(), 1, "{code}");
        }
        for code in [
            "impl fmt::B for A {\n    fn get_x(&self) {}\n}",
            "fn get(&self) {}",
            "fn target_x() {}",
            "#[cfg(test)]\nmod tests {\n    fn get_is_answered() {}\n}",
            "a.get_x();",
        ] {
            assert_eq!(reported("crates/a/src/a.rs", code), Vec::<String>::new(), "{code}");
        }
    }

    #[test]
    fn longer_words_and_tests_pass() {
        for code in [
            "pub struct Metadata;",
            "struct Database;",
            "mod information;",
            "    type Data = u8;",
            "fn handler() {}",
        ] {
            assert_eq!(reported("crates/a/src/a.rs", code), Vec::<String>::new(), "{code}");
        }
        assert!(reported("crates/a/src/a.rs", "#[cfg(test)]\nmod tests {\nstruct Data;\n}\n").is_empty());
    }
}
