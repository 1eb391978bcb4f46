//! Rust text prepared for searching: comments and literals blanked, test code marked.
//!
//! Not a parser. It knows just enough of the grammar that a word in a comment, a string or a test is not
//! taken for code, and keeps every line where it was.

use std::ops::Range;

/// A file's text, line by line.
#[derive(Debug)]
pub(crate) struct Source {
    pub(crate) lines: Vec<Line>,
    literals: Vec<Literal>,
}

#[derive(Debug)]
pub(crate) struct Line {
    /// The line with comments and the contents of literals replaced by spaces.
    pub(crate) code: String,
    /// Part of an item under `#[cfg(test)]`, or of a file that is a test altogether.
    pub(crate) in_test: bool,
    /// Part of an implementation of a trait, which dictates names.
    pub(crate) in_trait_impl: bool,
}

/// A string literal.
#[derive(Debug)]
struct Literal {
    /// Where it begins: index of the line, byte within it.
    line: usize,
    column: usize,
    /// What stands between the quotes.
    text: String,
}

/// A stretch of text that is no code: a comment or a literal.
struct Opaque {
    all: Range<usize>,
    /// What stands between the quotes of a string.
    string: Option<Range<usize>>,
}

impl Source {
    pub(crate) fn parse(path: &str, text: &str) -> Self {
        let opaque = opaque(text);
        let code = blank(text, &opaque);
        let in_test = if is_test_file(path) { vec![true; code.len()] } else { test_items(&code) };
        let in_trait_impl = trait_impls(&code);
        let (mut lines, mut starts) = (Vec::new(), Vec::new());
        let mut at = 0;
        for line in code.split('\n') {
            let is_marked = |marks: &[bool]| {
                marks.get(at..at + line.len().max(1)).is_some_and(|marks| marks.contains(&true))
            };
            lines.push(Line {
                code: line.to_owned(),
                in_test: is_marked(&in_test),
                in_trait_impl: is_marked(&in_trait_impl),
            });
            starts.push(at);
            at += line.len() + 1;
        }
        let literals = opaque.into_iter().filter_map(|Opaque { all, string }| {
            let line = starts.partition_point(|start| *start <= all.start) - 1;
            Some(Literal { line, column: all.start - starts[line], text: text[string?].to_owned() })
        });
        Self { lines, literals: literals.collect() }
    }

    /// String literals of shipped code: line from 1, the code before it on that line, what it says.
    pub(crate) fn shipped_strings(&self) -> impl Iterator<Item = (usize, &str, &str)> {
        self.literals.iter().filter(|literal| !self.lines[literal.line].in_test).map(|literal| {
            (literal.line + 1, &self.lines[literal.line].code[..literal.column], literal.text.as_str())
        })
    }

    /// Lines of shipped code with their numbers from 1.
    pub(crate) fn shipped(&self) -> impl Iterator<Item = (usize, &str)> {
        self.numbered().filter(|(_, line)| !line.in_test).map(|(number, line)| (number, line.code.as_str()))
    }

    pub(crate) fn numbered(&self) -> impl Iterator<Item = (usize, &Line)> {
        self.lines.iter().enumerate().map(|(index, line)| (index + 1, line))
    }
}

/// Files that are tests, benches or examples as a whole.
pub(crate) fn is_test_file(path: &str) -> bool {
    path.split('/').any(|part| matches!(part, "tests" | "benches" | "examples" | "tests.rs"))
}

/// True if `line` has `word` standing alone, not as part of a longer name.
pub(crate) fn has_word(line: &str, word: &str) -> bool {
    let part_of_name = |c: char| c.is_alphanumeric() || c == '_';
    line.match_indices(word).any(|(at, _)| {
        !line[..at].ends_with(part_of_name) && !line[at + word.len()..].starts_with(part_of_name)
    })
}

/// Text with comments and the contents of literals replaced by spaces; bytes and newlines stay where they are.
pub(crate) fn code_of(text: &str) -> String {
    blank(text, &opaque(text))
}

fn blank(text: &str, opaque: &[Opaque]) -> String {
    let mut out = text.as_bytes().to_vec();
    for byte in opaque.iter().flat_map(|opaque| opaque.all.clone()) {
        if out[byte] != b'\n' {
            out[byte] = b' ';
        }
    }
    // Whole literals were blanked byte by byte, so what is left is whole characters.
    String::from_utf8(out).expect("only complete literals are replaced by ASCII")
}

/// The comments and literals of a text, in order.
fn opaque(text: &str) -> Vec<Opaque> {
    let bytes = text.as_bytes();
    let mut found = Vec::new();
    let mut at = 0;
    while at < bytes.len() {
        let rest = &bytes[at..];
        let (length, quotes) = if rest.starts_with(b"//") {
            (find(rest, b"\n").unwrap_or(rest.len()), None)
        } else if rest.starts_with(b"/*") {
            (block_comment(rest), None)
        } else if let Some((length, hashes)) = raw_string(bytes, at) {
            (length, Some((hashes + 2, hashes + 1)))
        } else if rest[0] == b'"' {
            (quoted(rest, b'"'), Some((1, 1)))
        } else if rest[0] == b'\'' && is_char_literal(rest) {
            (quoted(rest, b'\''), None)
        } else {
            at += 1;
            continue;
        };
        // A text that ends within a literal has none that could be read.
        let string = quotes.map(|(open, close)| at + open..at + length.saturating_sub(close));
        let string = string.filter(|string| string.start <= string.end && text.get(string.clone()).is_some());
        found.push(Opaque { all: at..at + length, string });
        at += length;
    }
    found
}

fn find(haystack: &[u8], needle: &[u8]) -> Option<usize> {
    haystack.windows(needle.len()).position(|window| window == needle)
}

fn block_comment(bytes: &[u8]) -> usize {
    let (mut depth, mut at) = (0, 0);
    while at < bytes.len() {
        if bytes[at..].starts_with(b"/*") {
            depth += 1;
            at += 2;
        } else if bytes[at..].starts_with(b"*/") {
            depth -= 1;
            at += 2;
            if depth == 0 {
                return at;
            }
        } else {
            at += 1;
        }
    }
    bytes.len()
}

/// The length of a raw string that begins at `at`, and how many `#` it has.
fn raw_string(bytes: &[u8], at: usize) -> Option<(usize, usize)> {
    let rest = &bytes[at..];
    if rest[0] != b'r' || at > 0 && (bytes[at - 1].is_ascii_alphanumeric() && bytes[at - 1] != b'b') {
        return None;
    }
    let hashes = rest[1..].iter().take_while(|byte| **byte == b'#').count();
    if rest.get(1 + hashes) != Some(&b'"') {
        return None;
    }
    let start = hashes + 2;
    let close: Vec<u8> = std::iter::once(b'"').chain(std::iter::repeat_n(b'#', hashes)).collect();
    let length = find(&rest[start..], &close).map_or(rest.len(), |found| start + found + close.len());
    Some((length, hashes))
}

fn quoted(bytes: &[u8], quote: u8) -> usize {
    let mut at = 1;
    while at < bytes.len() {
        match bytes[at] {
            b'\\' => at += 2,
            byte if byte == quote => return at + 1,
            _ => at += 1,
        }
    }
    bytes.len()
}

/// Tells `'a'` and `'\n'` from the lifetime `'a`.
fn is_char_literal(bytes: &[u8]) -> bool {
    match bytes.get(1) {
        Some(b'\\') => true,
        Some(_) => {
            let text = String::from_utf8_lossy(&bytes[1..bytes.len().min(6)]);
            text.chars().nth(1) == Some('\'')
        }
        None => false,
    }
}

/// Marks the bytes of every item under a `cfg(test)` attribute, `cfg(any(test, …))` included.
fn test_items(code: &str) -> Vec<bool> {
    let mut marks = vec![false; code.len()];
    for attribute in ["#[cfg(test)]", "#[cfg(any(test,", "#[cfg(all(test,"] {
        for (start, _) in code.match_indices(attribute) {
            let end = item_end(code, start);
            marks[start..end].fill(true);
        }
    }
    marks
}

/// Marks the bytes of every `impl Trait for Type { … }`.
fn trait_impls(code: &str) -> Vec<bool> {
    let mut marks = vec![false; code.len()];
    for (start, _) in code.match_indices("impl") {
        let line = code[..start].rfind('\n').map_or(0, |newline| newline + 1);
        let begins = matches!(code[line..start].trim(), "" | "unsafe" | "default");
        let header = code[start..].split(['{', ';']).next().unwrap_or("");
        // `for<'a>` within the header has no space behind it.
        if begins && header.split_whitespace().any(|word| word == "for") {
            // From its brace on: commas of a where clause end nothing.
            marks[start..item_end(code, start + header.len())].fill(true);
        }
    }
    marks
}

/// The end of the item that begins, with its attributes, at `start`: its closing brace, or its semicolon.
fn item_end(code: &str, start: usize) -> usize {
    let mut depth = 0_usize;
    for (offset, character) in code[start..].char_indices() {
        match character {
            '{' | '[' | '(' => depth += 1,
            '}' | ']' | ')' => {
                depth = depth.saturating_sub(1);
                if depth == 0 && character == '}' {
                    return start + offset + 1;
                }
            }
            ';' | ',' if depth == 0 => return start + offset + 1,
            _ => {}
        }
    }
    code.len()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn comments_and_literals_are_blank_and_lines_stay() {
        let text = "let a = \"unsafe \\\" {\"; // unsafe\nlet b = r#\"un\"safe\"#; /* un /* n */ safe\n */ let c: &'a str = x('{', '\\'', 'ü');";
        let code = code_of(text);
        assert_eq!(code.len(), text.len());
        assert_eq!(code.lines().count(), 3);
        assert!(!code.contains("safe") && !code.contains('{'), "{code}");
        assert!(code.contains("let c: &'a str = x("), "{code}");
    }

    #[test]
    fn only_items_under_cfg_test_are_tests() {
        let text = "use a;\n#[cfg(test)]\nuse b;\nfn c() {}\n#[cfg(test)]\nmod tests {\n    fn d() { }\n}\nfn e() {}\n";
        let source = Source::parse("crates/x/src/lib.rs", text);
        let shipped: Vec<_> = source.shipped().filter(|(_, code)| !code.is_empty()).collect();
        assert_eq!(shipped, [(1, "use a;"), (4, "fn c() {}"), (9, "fn e() {}")]);
    }

    #[test]
    fn strings_are_kept_apart() {
        let text = "//! \"A\".\nlet a = (\"B\", r#\"C\"#, b\"D\", '\"'); // \"E\"\n#[cfg(test)]\nconst F: &str = \"F\";\nlet g = \"\";\nlet h = \"H";
        let source = Source::parse("crates/x/src/lib.rs", text);
        let found: Vec<_> = source.shipped_strings().map(|(line, _, text)| (line, text)).collect();
        assert_eq!(found, [(2, "B"), (2, "C"), (2, "D"), (5, ""), (6, "")]);
        assert_eq!(source.shipped_strings().next(), Some((2, "let a = (", "B")));
    }

    #[test]
    fn implementations_of_traits_are_known() {
        let text = "impl<T> A for B<T>\nwhere\n    T: C,\n{\n    fn d() {}\n}\nimpl B {\n    fn e() { for f in g {} }\n}\n";
        let source = Source::parse("crates/x/src/lib.rs", text);
        let marked: Vec<_> =
            source.numbered().filter(|(_, line)| line.in_trait_impl).map(|(number, _)| number).collect();
        assert_eq!(marked, [1, 2, 3, 4, 5, 6]);
    }

    #[test]
    fn test_files_ship_nothing() {
        assert_eq!(Source::parse("crates/x/tests/a.rs", "fn a() {}").shipped().count(), 0);
        assert!(is_test_file("crates/x/src/parse/tests.rs"));
        assert!(!is_test_file("crates/testnet/src/lib.rs"));
    }

    #[test]
    fn words_stand_alone() {
        assert!(has_word("unsafe { x }", "unsafe"));
        assert!(!has_word("unsafe_code", "unsafe"));
        assert!(!has_word("not_unsafe", "unsafe"));
    }
}
