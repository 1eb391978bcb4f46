//! What `top` draws: a line of totals, a table, a line of keys.

use ratatui::Frame;
use ratatui::layout::{Constraint, Layout, Rect};
use ratatui::style::{Color, Modifier, Style};
use ratatui::text::{Line, Span};
use ratatui::widgets::{Block, Cell, Clear, Paragraph, Row, Table, TableState, Wrap};

use super::model::{FlowRow, InterfaceRow, Model, Order, ProcessRow, Rate, View};
use crate::client::reasons;
use crate::flows::text::{bytes, layers, round_trip, sides};
use crate::terminal::harmless;

/// What is shown of the model, as keys have chosen.
#[derive(Debug, Default)]
pub(super) struct Look {
    pub(super) view: View,
    pub(super) order: Order,
    /// Rows that do not have this text are not shown.
    pub(super) search: String,
    /// Whether keys write into the search.
    pub(super) is_searching: bool,
    pub(super) is_paused: bool,
    pub(super) over: Over,
    /// Whether the colours of a terminal are wanted.
    pub(super) has_colors: bool,
    pub(super) table: TableState,
}

/// What lies over the rows.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub(super) enum Over {
    #[default]
    Nothing,
    /// What the keys do.
    Help,
    /// The flow that is chosen, whole.
    Details,
}

/// What is said beside the rows.
#[derive(Debug, Default)]
pub(super) struct Saying {
    pub(super) server: String,
    /// Why there is no newer sample.
    pub(super) trouble: Option<String>,
    pub(super) is_first: bool,
}

/// Rows that page keys pass over.
pub(super) const PAGE: u16 = 10;

/// What to do when there is nothing to show.
pub(super) const HINT: &str = "no capture is running; begin one:\n\n\
    skydive client capture create --gremlin \"G.V().Has('Name','eth0')\"";

const HELP: &str = "\
1 2 3, Tab    flows, interfaces, processes
s             order by the next column
/             show only rows with a text; Enter keeps it, Esc clears it
Up Down PgUp PgDn Home End   choose a row
Enter         the whole flow
Space         pause
q, Ctrl-C     leave";

/// A table as text: titles and rows.
pub(super) type TextTable = (Vec<&'static str>, Vec<Vec<String>>);

/// The first rows of every view.
pub(super) fn tables(model: &Model, rows: usize) -> [TextTable; 3] {
    let titles = |columns: &[Column]| columns.iter().map(Column::title).collect();
    [
        (titles(&FLOW_COLUMNS), model.flows.iter().take(rows).map(flow_cells).collect()),
        (titles(&INTERFACE_COLUMNS), model.interfaces.iter().take(rows).map(interface_cells).collect()),
        (titles(&PROCESS_COLUMNS), model.processes.iter().take(rows).map(process_cells).collect()),
    ]
}

impl Look {
    /// Shows another view, from its first row.
    pub(super) fn turn_to(&mut self, view: View) {
        (self.view, self.over) = (view, Over::Nothing);
        self.table.select(None);
    }

    /// Lays something over the rows, or takes it away.
    pub(super) fn toggle(&mut self, over: Over) {
        self.over = if self.over == over { Over::Nothing } else { over };
    }
}

/// Draws all of it.
pub(super) fn draw(frame: &mut Frame<'_>, model: &Model, look: &mut Look, saying: &Saying) {
    let [head, body, foot] =
        Layout::vertical([Constraint::Length(2), Constraint::Min(1), Constraint::Length(1)])
            .areas(frame.area());
    frame.render_widget(Paragraph::new(head_lines(model, look, saying)), head);
    frame.render_widget(Paragraph::new(foot_line(look)), foot);
    draw_table(frame, body, model, look);
    let is_bare = model.captured.is_empty() && model.flows.is_empty() && look.view != View::Interfaces;
    if is_bare && !saying.is_first && saying.trouble.is_none() {
        let area = body.inner(ratatui::layout::Margin { horizontal: 2, vertical: 2 });
        frame.render_widget(Paragraph::new(HINT).wrap(Wrap { trim: true }), area);
    }
    match look.over {
        Over::Nothing => {}
        Over::Help => popup(frame, body, " keys ", HELP),
        Over::Details => draw_details(frame, body, model, look),
    }
}

fn several(number: usize, what: &str) -> String {
    format!("{number} {what}{}", if number == 1 { "" } else { "s" })
}

fn head_lines<'t>(model: &Model, look: &Look, saying: &'t Saying) -> Vec<Line<'t>> {
    let strong = Style::new().add_modifier(Modifier::BOLD);
    let totals = format!(
        "  {}  {}  {} packets/s  {}  by {}{}",
        several(model.flows.len(), "conversation"),
        speed(model.rate.bytes),
        rounded(model.rate.packets),
        several(model.captured.len(), "captured node"),
        look.order.title(),
        if look.is_paused { "  PAUSED" } else { "" },
    );
    let first = Line::from(vec![Span::styled(&saying.server, strong), Span::raw(totals)]);
    let alarm = if look.has_colors { Style::new().fg(Color::Yellow) } else { strong };
    let second = match (&saying.trouble, saying.is_first) {
        (Some(trouble), _) => Line::styled(harmless(trouble), alarm),
        (None, true) => Line::raw("asking …"),
        (None, false) => Line::styled(missing(model), alarm),
    };
    vec![first, second]
}

/// What is missing in the answer.
pub(super) fn missing(model: &Model) -> String {
    harmless(&reasons(&model.coverage).join("; "))
}

fn foot_line(look: &Look) -> Line<'_> {
    if look.is_searching || !look.search.is_empty() {
        let cursor = if look.is_searching { "_" } else { "  (/ to change)" };
        return Line::raw(format!("/{}{cursor}", look.search));
    }
    let reversed = Style::new().add_modifier(Modifier::REVERSED);
    let mut spans = Vec::new();
    for (at, view) in View::ALL.into_iter().enumerate() {
        let style = if view == look.view { reversed } else { Style::new() };
        spans.push(Span::styled(format!(" {} {} ", at + 1, view.title()), style));
    }
    spans.push(Span::raw("  s order  / search  Enter details  Space pause  ? keys  q leave"));
    Line::from(spans)
}

fn draw_table(frame: &mut Frame<'_>, area: Rect, model: &Model, look: &mut Look) {
    let (columns, rows) = match look.view {
        View::Flows => (
            &FLOW_COLUMNS[..],
            chosen_flows(model, look).iter().map(|row| flow_cells(row)).collect::<Vec<_>>(),
        ),
        View::Interfaces => (&INTERFACE_COLUMNS[..], model.interfaces.iter().map(interface_cells).collect()),
        View::Processes => (&PROCESS_COLUMNS[..], model.processes.iter().map(process_cells).collect()),
    };
    let rows: Vec<Vec<String>> = if look.view == View::Flows {
        rows
    } else {
        rows.into_iter().filter(|cells| has_text(cells, &look.search)).collect()
    };
    let last = rows.len().checked_sub(1);
    let selected = look.table.selected().and_then(|at| last.map(|last| at.min(last)));
    look.table.select(selected);
    let head = columns.iter().map(|column| column.cell((*column.title()).to_owned()));
    let head = Row::new(head).style(Style::new().add_modifier(Modifier::BOLD | Modifier::UNDERLINED));
    let rows = rows
        .into_iter()
        .map(|cells| Row::new(columns.iter().zip(cells).map(|(column, text)| column.cell(text))));
    let constraints = columns.iter().map(|column| match column {
        Column::Number(_, width) => Constraint::Length(*width),
        Column::Text(_, share) => Constraint::Fill(*share),
    });
    let table = Table::new(rows, constraints)
        .header(head)
        .row_highlight_style(Style::new().add_modifier(Modifier::REVERSED));
    frame.render_stateful_widget(table, area, &mut look.table);
}

/// A column: numbers have their width and stand at its right, texts share what is left.
#[derive(Clone, Copy)]
enum Column {
    Number(&'static str, u16),
    Text(&'static str, u16),
}

const FLOW_COLUMNS: [Column; 9] = [
    Column::Number("bytes/s", 8),
    Column::Number("packets/s", 9),
    Column::Number("total", 8),
    Column::Number("rtt ms", 8),
    Column::Text("a", 4),
    Column::Text("b", 4),
    Column::Text("process a", 2),
    Column::Text("process b", 2),
    Column::Text("layers, captured on", 5),
];
const INTERFACE_COLUMNS: [Column; 8] = [
    Column::Text("interface", 3),
    Column::Text("host/namespace", 3),
    Column::Text("type", 2),
    Column::Number("in/s", 9),
    Column::Number("out/s", 9),
    Column::Number("packets in/s", 12),
    Column::Number("packets out/s", 13),
    Column::Number("lost/s", 7),
];
const PROCESS_COLUMNS: [Column; 7] = [
    Column::Text("process", 1),
    Column::Number("flows", 7),
    Column::Number("out/s", 9),
    Column::Number("in/s", 9),
    Column::Number("packets out/s", 13),
    Column::Number("packets in/s", 12),
    Column::Number("total", 9),
];

impl Column {
    fn title(&self) -> &'static str {
        match self {
            Self::Number(title, _) | Self::Text(title, _) => title,
        }
    }

    fn cell(self, text: String) -> Cell<'static> {
        match self {
            Self::Number(..) => Cell::from(Line::from(text).right_aligned()),
            Self::Text(..) => Cell::from(text),
        }
    }
}

/// The flows that have the text searched for, in their order.
pub(super) fn chosen_flows<'m>(model: &'m Model, look: &Look) -> Vec<&'m FlowRow> {
    model
        .flows
        .iter()
        .filter(|row| look.search.is_empty() || has_text(&flow_cells(row), &look.search))
        .collect()
}

fn has_text(cells: &[String], text: &str) -> bool {
    let text = text.to_lowercase();
    cells.iter().any(|cell| cell.to_lowercase().contains(&text))
}

pub(super) fn flow_cells(row: &FlowRow) -> Vec<String> {
    let (a, b) = sides(&row.flow);
    let total = row.flow.metric.ab_bytes + row.flow.metric.ba_bytes;
    let [process_a, process_b] =
        row.processes.each_ref().map(|name| name.as_deref().map(harmless).unwrap_or_default());
    let place = if row.node.is_empty() { String::new() } else { format!("  {}", harmless(&row.node)) };
    vec![
        speed(row.rate.bytes),
        rounded(row.rate.packets),
        bytes(total),
        round_trip(row.flow.metric.rtt),
        a,
        b,
        process_a,
        process_b,
        format!("{}{place}", layers(&row.flow)),
    ]
}

fn interface_cells(row: &InterfaceRow) -> Vec<String> {
    vec![
        harmless(&row.name),
        harmless(&row.place),
        harmless(&row.kind),
        speed(row.received.bytes),
        speed(row.sent.bytes),
        rounded(row.received.packets),
        rounded(row.sent.packets),
        rounded(row.lost),
    ]
}

fn process_cells(row: &ProcessRow) -> Vec<String> {
    let Rate { bytes: out, packets: packets_out } = row.sent;
    let Rate { bytes: received, packets: packets_in } = row.received;
    vec![
        harmless(&row.name),
        row.flows.to_string(),
        speed(out),
        speed(received),
        rounded(packets_out),
        rounded(packets_in),
        bytes(row.total),
    ]
}

fn draw_details(frame: &mut Frame<'_>, area: Rect, model: &Model, look: &Look) {
    let flows = chosen_flows(model, look);
    let Some(row) = flows.get(look.table.selected().unwrap_or(0)) else { return };
    let json = serde_json::to_string_pretty(&skydive_proto::FlowJson(&row.flow)).unwrap_or_default();
    popup(frame, area, " flow ", &json);
}

fn popup(frame: &mut Frame<'_>, area: Rect, title: &str, text: &str) {
    let height = u16::try_from(text.lines().count()).unwrap_or(u16::MAX).saturating_add(2).min(area.height);
    let width = area.width.min(90);
    let place =
        Rect { x: area.x + (area.width - width) / 2, y: area.y + (area.height - height) / 2, width, height };
    frame.render_widget(Clear, place);
    frame.render_widget(Paragraph::new(text).block(Block::bordered().title(title)), place);
}

/// Bytes per second in the unit that fits.
pub(super) fn speed(per_second: f64) -> String {
    if per_second < 0.5 { "0".to_owned() } else { bytes(per_second.round() as u64) }
}

/// With one digit behind the point where that says something.
fn rounded(number: f64) -> String {
    match number {
        n if n < 0.05 => "0".to_owned(),
        n if n < 10.0 => format!("{n:.1}"),
        n => format!("{n:.0}"),
    }
}
