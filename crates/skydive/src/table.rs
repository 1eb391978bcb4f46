//! Tables for reading: a line under the head and none between rows, at most as wide as the terminal.

use comfy_table::{ContentArrangement, Table, TableComponent, presets};

/// What a cell has beside its content: a blank on each side.
const PADDING: usize = 2;

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
    let mut table = Table::new();
    table.load_preset(presets::NOTHING).force_no_tty();
    // Intersections would make room for vertical lines.
    table.set_style(TableComponent::HeaderLines, '─');
    match width {
        Some(width) => table.set_width(width).set_content_arrangement(ContentArrangement::Dynamic),
        None => table.set_content_arrangement(ContentArrangement::Disabled),
    };
    table.set_header(titles.into_iter().map(|title| title.to_string()));
    table.add_rows(rows.into_iter().map(|row| row.into_iter().collect::<Vec<_>>()));
    table.trim_fmt() + "\n"
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
}
