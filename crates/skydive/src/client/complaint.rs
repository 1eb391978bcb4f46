//! A refused query, drawn with a caret under the byte the server complained about.

use crate::terminal::{Color, Paint, harmless};

/// Characters of a line kept on each side of the caret.
const AROUND: usize = 60;

/// The message, and the part of the query around `position` if the server named one.
pub(crate) fn draw(query: &str, message: &str, position: Option<usize>, paint: Paint) -> String {
    let message = message.trim_end().lines().map(harmless).collect::<Vec<_>>().join("\n");
    let head = format!("{}: {message}", paint.color(Color::Red, "error"));
    let Some(position) = position else { return head };
    let position = position.min(query.len());
    // A position inside a character points at the character.
    let start = (0..=position).rev().find(|at| query.is_char_boundary(*at)).unwrap_or(0);
    let (before, after) = query.split_at(start);
    let line_start = before.rfind('\n').map_or(0, |at| at + 1);
    let before = &before[line_start..];
    let after = after.lines().next().unwrap_or_default();

    let skipped = before.chars().count().saturating_sub(AROUND);
    let left: String = harmless(&before.chars().skip(skipped).collect::<String>());
    let right: String = harmless(&after.chars().take(AROUND).collect::<String>());
    let lead = if skipped > 0 { "…" } else { "" };
    let tail = if after.chars().count() > AROUND { "…" } else { "" };
    let indent = " ".repeat(lead.chars().count() + left.chars().count());
    format!("{head}\n  {lead}{left}{right}{tail}\n  {indent}{}", paint.color(Color::Red, "^"))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn points_at_the_byte() {
        let draw = |query, position| draw(query, "no such step\n", position, Paint::Plain);
        assert_eq!(draw("G.V().Foo()", Some(6)), "error: no such step\n  G.V().Foo()\n        ^");
        assert_eq!(draw("G.V(", Some(99)), "error: no such step\n  G.V(\n      ^");
        assert_eq!(draw("G.V()", None), "error: no such step");
        assert_eq!(draw("é.V(\nG.E(\x1b", Some(7)), "error: no such step\n  G.E(\u{fffd}\n   ^");
        assert_eq!(draw("é.V", Some(1)), "error: no such step\n  é.V\n  ^");
    }

    #[test]
    fn crops_long_lines() {
        let query = "x".repeat(500);
        let text = draw(&query, "m", Some(250), Paint::Plain);
        let lines: Vec<&str> = text.lines().collect();
        assert_eq!(lines[1].chars().count(), 2 + 1 + 60 + 60 + 1);
        assert_eq!(lines[2].chars().count(), 2 + 1 + 60 + 1);
    }
}
