//! `top`: the busiest flows, interfaces and processes, on a terminal and driven by keys; once, where there is none.

mod model;
mod screen;
mod source;

use std::io::{self, IsTerminal};
use std::thread;
use std::time::Duration;

use anyhow::Context as _;
use ratatui::DefaultTerminal;
use ratatui::crossterm::event::{self, Event, KeyCode, KeyEvent, KeyEventKind, KeyModifiers};
use skydive_client::Rest;
use tokio::sync::mpsc;
use tokio::time::{Instant, MissedTickBehavior, interval, sleep};

use crate::cli::TopFlags;
use crate::client::{LATE, awaited, print, waiting};
use crate::table;
use crate::terminal::Paint;
use model::{Model, Sample, View};
use screen::{Look, Over, Saying};

/// Keys that wait to be obeyed.
const KEYS: usize = 64;
/// Pause between two looks at the graph: interfaces count in intervals of many seconds.
const NODES_EVERY: Duration = Duration::from_secs(5);

/// What is asked for, again and again.
struct Asking<'r> {
    rest: &'r Rest,
    /// A query of flows without a limit.
    query: String,
    /// Flows that are looked at.
    flows: usize,
    since: Instant,
    /// When the graph was looked at last.
    nodes_at: Option<Instant>,
}

/// Whether to go on.
#[derive(PartialEq, Eq)]
enum Go {
    On,
    Away,
}

/// Runs until somebody leaves.
pub(crate) async fn run(rest: &Rest, flags: &TopFlags) -> anyhow::Result<()> {
    follow(rest, "G.Flows().Sort(DESC,'Last')".to_owned(), flags).await
}

/// The same for the flows of any query.
pub(crate) async fn follow(rest: &Rest, query: String, flags: &TopFlags) -> anyhow::Result<()> {
    let asking = Asking { rest, query, flows: flags.flows as usize, since: Instant::now(), nodes_at: None };
    if flags.once || !io::stdout().is_terminal() || !io::stdin().is_terminal() {
        return once(asking, flags).await;
    }
    let mut terminal = ratatui::try_init().context("the terminal cannot be used")?;
    let shown = show(&mut terminal, asking, flags).await;
    ratatui::restore();
    shown
}

impl Asking<'_> {
    async fn sample(&mut self) -> anyhow::Result<Sample> {
        let is_due = self.nodes_at.is_none_or(|at| at.elapsed() >= NODES_EVERY);
        let nodes = if is_due { Some(source::nodes(self.rest).await?) } else { None };
        if is_due {
            self.nodes_at = Some(Instant::now());
        }
        // One more than is looked at tells whether there are more.
        let query = format!("{}.Limit({})", self.query, self.flows + 1);
        let (mut flows, mut coverage) = source::flows(self.rest, &query).await?;
        coverage.truncated |= flows.len() > self.flows;
        flows.truncate(self.flows);
        Ok(Sample { at: self.since.elapsed().as_secs_f64(), flows, nodes, coverage })
    }
}

/// Two samples, and what they show as text.
async fn once(mut asking: Asking<'_>, flags: &TopFlags) -> anyhow::Result<()> {
    let mut model = Model::default();
    let look = Look::default();
    let rest = asking.rest;
    model.take(awaited(rest, asking.sample()).await?, look.order);
    let missing = screen::missing(&model);
    sleep(Duration::from_secs(flags.interval)).await;
    model.take(awaited(rest, asking.sample()).await?, look.order);
    // Who did not answer the first time may be given up by the second.
    let missing = Some(screen::missing(&model)).filter(|missing| !missing.is_empty()).unwrap_or(missing);
    let width = table::terminal_width();
    let mut text = String::new();
    for (titles, rows) in screen::tables(&model, flags.rows) {
        if !rows.is_empty() {
            text.push_str(&table::draw(titles, rows, width));
            text.push('\n');
        }
    }
    if !missing.is_empty() {
        eprintln!("{missing}");
    }
    if text.is_empty() {
        eprintln!("{}", screen::HINT);
    }
    print(table::painted(&text, Paint::of(&io::stdout())))
}

async fn show(
    terminal: &mut DefaultTerminal,
    mut asking: Asking<'_>,
    flags: &TopFlags,
) -> anyhow::Result<()> {
    let rest = asking.rest;
    let mut keys = read_keys();
    let mut model = Model::default();
    let mut look = Look { has_colors: Paint::of(&io::stdout()) == Paint::Colored, ..Look::default() };
    let mut saying = Saying { server: asking.rest.endpoint().to_string(), trouble: None, is_first: true };
    let every = Duration::from_secs(flags.interval);
    let mut ticks = interval(every);
    ticks.set_missed_tick_behavior(MissedTickBehavior::Delay);
    loop {
        terminal.draw(|frame| screen::draw(frame, &model, &mut look, &saying))?;
        // Keys are obeyed while an answer is awaited.
        let sampled = async {
            ticks.tick().await;
            asking.sample().await
        };
        let mut sampled = std::pin::pin!(sampled);
        let mut late = std::pin::pin!(sleep(every + LATE));
        let sample = loop {
            tokio::select! {
                sample = &mut sampled => break sample,
                () = &mut late, if saying.trouble.is_none() => {
                    saying.trouble = Some(waiting(rest));
                    terminal.draw(|frame| screen::draw(frame, &model, &mut look, &saying))?;
                }
                event = keys.recv() => {
                    let Some(event) = event else { return Ok(()) };
                    if obey(&event, &mut look, &mut model) == Go::Away {
                        return Ok(());
                    }
                    terminal.draw(|frame| screen::draw(frame, &model, &mut look, &saying))?;
                }
            }
        };
        match sample {
            Ok(sample) if !look.is_paused => {
                model.take(sample, look.order);
                (saying.trouble, saying.is_first) = (None, false);
            }
            Ok(_) => {}
            // An analyzer that is away comes back: what was seen last stays, with the reason.
            Err(trouble) => saying.trouble = Some(format!("{trouble:#}")),
        }
    }
}

/// Reads keys on a thread of its own, which ends with the program.
fn read_keys() -> mpsc::Receiver<Event> {
    let (sender, receiver) = mpsc::channel(KEYS);
    thread::spawn(move || {
        while let Ok(event) = event::read() {
            if sender.blocking_send(event).is_err() {
                return;
            }
        }
    });
    receiver
}

fn obey(event: &Event, look: &mut Look, model: &mut Model) -> Go {
    let Event::Key(KeyEvent { code, modifiers, kind: KeyEventKind::Press, .. }) = event else {
        return Go::On;
    };
    if modifiers.contains(KeyModifiers::CONTROL) {
        return if *code == KeyCode::Char('c') { Go::Away } else { Go::On };
    }
    if look.is_searching {
        match code {
            KeyCode::Char(c) => look.search.push(*c),
            KeyCode::Backspace => drop(look.search.pop()),
            KeyCode::Enter => look.is_searching = false,
            KeyCode::Esc => {
                look.search.clear();
                look.is_searching = false;
            }
            _ => {}
        }
        return Go::On;
    }
    match code {
        KeyCode::Char('q') => return Go::Away,
        KeyCode::Esc if look.over != Over::Nothing => look.over = Over::Nothing,
        KeyCode::Esc if !look.search.is_empty() => look.search.clear(),
        KeyCode::Esc => return Go::Away,
        KeyCode::Char('1') => look.turn_to(View::Flows),
        KeyCode::Char('2') => look.turn_to(View::Interfaces),
        KeyCode::Char('3') => look.turn_to(View::Processes),
        KeyCode::Tab => look.turn_to(look.view.next()),
        KeyCode::Char('s') => {
            look.order = look.order.next();
            model.sort(look.order);
        }
        KeyCode::Char('/') => look.is_searching = true,
        KeyCode::Char(' ') => look.is_paused = !look.is_paused,
        KeyCode::Char('?' | 'h') => look.toggle(Over::Help),
        KeyCode::Enter if look.view == View::Flows => look.toggle(Over::Details),
        KeyCode::Up => look.table.select_previous(),
        KeyCode::Down => look.table.select_next(),
        KeyCode::PageUp => look.table.scroll_up_by(screen::PAGE),
        KeyCode::PageDown => look.table.scroll_down_by(screen::PAGE),
        KeyCode::Home => look.table.select_first(),
        KeyCode::End => look.table.select_last(),
        _ => {}
    }
    Go::On
}

#[cfg(test)]
mod tests;
