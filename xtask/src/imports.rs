//! What `use` declarations bring into a file, as whole paths.

use crate::source::Source;

/// Paths imported by shipped code, with the line on which each ends: `use a::{b, c as d}` gives `a::b` and `a::c`.
pub(crate) fn imports(source: &Source) -> Vec<(usize, String)> {
    let lines = source.lines.iter().map(|line| if line.in_test { "" } else { line.code.as_str() });
    let code = lines.collect::<Vec<_>>().join("\n");
    let mut found = Vec::new();
    for (start, word) in code.match_indices("use ") {
        let line = code[..start].rfind('\n').map_or(0, |newline| newline + 1);
        let before = code[line..start].trim_start();
        // After a visibility, or after another statement on the same line.
        if before.is_empty() || before.starts_with("pub") || before.ends_with([';', '{', '}', ' ']) {
            let start = start + word.len();
            let end = code[start..].find(';').map_or(code.len(), |end| start + end);
            expand("", &code[start..end], start, &mut found);
        }
    }
    found.into_iter().map(|(at, path)| (code[..at].matches('\n').count() + 1, path)).collect()
}

/// Adds the paths of a tree of imports that begins at byte `at`, each with the byte where it ends.
fn expand(prefix: &str, tree: &str, at: usize, found: &mut Vec<(usize, String)>) {
    if let Some((head, rest)) = tree.split_once('{') {
        let prefix = format!("{prefix}{}", head.trim());
        let inner = rest.rsplit_once('}').map_or(rest, |(inner, _)| inner);
        let mut begin = at + head.len() + 1;
        for branch in branches(inner) {
            expand(&prefix, branch, begin, found);
            begin += branch.len() + 1;
        }
        return;
    }
    let end = at + tree.trim_end().len();
    let leaf = tree.split(" as ").next().unwrap_or(tree).trim();
    if !leaf.is_empty() {
        let path = format!("{prefix}{leaf}");
        let path = path.trim_start_matches("::");
        found.push((end, path.strip_suffix("::self").unwrap_or(path).to_owned()));
    }
}

/// The parts between the commas of the outermost level.
fn branches(list: &str) -> impl Iterator<Item = &str> {
    let mut depth = 0_usize;
    list.split(move |c: char| {
        match c {
            '{' => depth += 1,
            '}' => depth = depth.saturating_sub(1),
            _ => {}
        }
        c == ',' && depth == 0
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn trees_become_paths() {
        let text = "use a::b;\npub(crate) use ::c::{\n    self, d as e,\n    f::{g, h::*},\n};\n#[cfg(test)]\nuse i;\nfn j() -> impl K + use<> { use l::m; }\n";
        let found = imports(&Source::parse("crates/x/src/lib.rs", text));
        let found: Vec<_> = found.iter().map(|(line, path)| (*line, path.as_str())).collect();
        assert_eq!(
            found,
            [(1, "a::b"), (3, "c"), (3, "c::d"), (4, "c::f::g"), (4, "c::f::h::*"), (8, "l::m")]
        );
    }
}
