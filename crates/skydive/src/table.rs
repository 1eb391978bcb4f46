//! Tables for reading: a line under the head and none between rows, at most as wide as the terminal.

use comfy_table::{ColumnConstraint, ContentArrangement, Table, TableComponent, presets};

use crate::terminal::{Color, Paint};

/// What a cell has beside its content: a blank on each side.
const PADDING: usize = 2;

/// What the line under the head is made of.
const RULE: char = '─';

/// The width of the terminal that standard output is. `None` when it is none, and when the terminal says 0, as those of
/// serial lines and of some tools do: nothing is wrapped then.
pub(crate) fn terminal_width() -> Option<u16> {
    Table::new().width().filter(|width| *width > 0)
}

/// The table, with a line feed at its end; wraps cells where `width` demands it.
pub(crate) fn draw<Title, Row>(
    titles: impl IntoIterator<Item = Title>,
    rows: impl IntoIterator<Item = Row>,
    width: Option<u16>,
) -> String
where
    Title: ToString,
    Row: IntoIterator<Item = String>,
{
    laid_out(titles, rows, width).trim_fmt() + "\n"
}

/// The same, but the first column is never wrapped: what is in it is copied.
pub(crate) fn draw_whole_first<Title, Row>(
    titles: impl IntoIterator<Item = Title>,
    rows: impl IntoIterator<Item = Row>,
    width: Option<u16>,
) -> String
where
    Title: ToString,
    Row: IntoIterator<Item = String>,
{
    let mut table = laid_out(titles, rows, width);
    if let Some(first) = table.column_mut(0) {
        first.set_constraint(ColumnConstraint::ContentWidth);
    }
    table.trim_fmt() + "\n"
}

fn laid_out<Title, Row>(
    titles: impl IntoIterator<Item = Title>,
    rows: impl IntoIterator<Item = Row>,
    width: Option<u16>,
) -> Table
where
    Title: ToString,
    Row: IntoIterator<Item = String>,
{
    let mut table = Table::new();
    table.load_preset(presets::NOTHING).force_no_tty();
    // Intersections would make room for vertical lines.
    table.set_style(TableComponent::HeaderLines, RULE);
    match width {
        Some(width) => table.set_width(width).set_content_arrangement(ContentArrangement::Dynamic),
        None => table.set_content_arrangement(ContentArrangement::Disabled),
    };
    table.set_header(titles.into_iter().map(|title| title.to_string()));
    table.add_rows(rows.into_iter().map(|row| row.into_iter().collect::<Vec<_>>()));
    table
}

/// Tables as drawn, one or several with empty lines between, with their heads in bold.
pub(crate) fn painted(text: &str, paint: Paint) -> String {
    if paint == Paint::Plain {
        return text.to_owned();
    }
    let is_rule = |line: &str| !line.is_empty() && line.chars().all(|c| c == RULE);
    let mut painted = String::new();
    for part in text.split_inclusive("\n\n") {
        let lines: Vec<&str> = part.lines().collect();
        let head = lines.iter().position(|line| is_rule(line));
        for (at, line) in lines.iter().enumerate() {
            let line = match head {
                Some(rule) if at < rule => paint.color(Color::Bold, line),
                Some(rule) if at == rule => paint.color(Color::Dim, line),
                _ => (*line).to_owned(),
            };
            painted.push_str(&line);
            painted.push('\n');
        }
    }
    painted
}

/// The width that a column needs for its title and cells.
pub(crate) fn width_of<'c>(title: &str, cells: impl Iterator<Item = &'c String>) -> usize {
    let lines = cells.flat_map(|cell| cell.lines()).chain([title]);
    PADDING + lines.map(|line| line.chars().count()).max().unwrap_or(0)
}

/// The width that a row of such columns needs.
pub(crate) fn width_of_row(columns: impl Iterator<Item = usize>) -> usize {
    columns.sum()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn has_a_line_under_the_head_and_wraps_only_where_a_width_is_given() {
        let rows = || [["a".to_owned(), "one two three".to_owned()], ["b".to_owned(), String::new()]];
        assert_eq!(
            draw(["x", "long title"], rows(), None),
            concat!(" x  long title\n", "──────────────────\n", " a  one two three\n", " b\n")
        );
        let narrow = draw(["x", "y"], rows(), Some(12));
        assert!(narrow.lines().all(|line| line.chars().count() <= 12), "{narrow}");
        assert_eq!(width_of("x", ["abc\nd".to_owned()].iter()), 5);
    }

    #[test]
    fn heads_are_painted_and_nothing_else() {
        let table = draw(["x"], [["a".to_owned()]], None);
        let both = format!("{table}\n{table}end\n");
        assert_eq!(painted(&both, Paint::Plain), both);
        let head = "\x1b[1m x\x1b[0m\n\x1b[2m───\x1b[0m\n a\n";
        assert_eq!(painted(&both, Paint::Colored), format!("{head}\n{head}end\n"));
    }
}
