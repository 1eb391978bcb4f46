//! What `help` says: the language as the analyzer describes it.

use skydive_proto::{Language, PredicateShape, StepShape};

use super::session::ORDERS;
use crate::table;
use crate::terminal::harmless;

const EXAMPLE: &str = "A query is such as G.V().Has('Type','veth').Values('Name')";
const UNKNOWN: &str = "The server does not describe its language.\n";
/// Asks for the tables of all steps and predicates.
const ALL: &str = "all";
/// Where names are wrapped when the terminal does not say how wide it is.
const WIDTH: usize = 100;

/// About a step or predicate, or about everything in short when `topic` is empty.
pub(super) fn about(topic: &str, language: Option<&Language>) -> String {
    let Some(language) = language else {
        return if topic.is_empty() { orders() + "\n" + UNKNOWN } else { UNKNOWN.to_owned() };
    };
    let name = topic.trim_end_matches(['(', ')']);
    if name.is_empty() {
        return overview(language);
    }
    let step = language.steps.iter().find(|step| step.name.eq_ignore_ascii_case(name));
    let predicate = language.predicates.iter().find(|predicate| predicate.name.eq_ignore_ascii_case(name));
    let found: String =
        step.map(step_text).into_iter().chain(predicate.map(predicate_text)).collect::<Vec<_>>().join("\n");
    if !found.is_empty() {
        return found;
    }
    if name.eq_ignore_ascii_case(ALL) {
        return tables(language);
    }
    format!("There is no step or predicate {}; `help` lists them.\n", harmless(name))
}

fn overview(language: &Language) -> String {
    let mut text = format!("{EXAMPLE}\n\n{}", orders());
    let steps = language.steps.iter().map(|step| step.name.as_str());
    let predicates = language.predicates.iter().map(|predicate| predicate.name.as_str());
    for (title, names) in [
        ("Steps", steps.collect::<Vec<_>>()),
        ("Predicates", predicates.collect()),
        ("Words", language.words.iter().map(String::as_str).collect()),
    ] {
        text.push_str(&format!("\n{title}\n{}", wrapped(&names)));
    }
    text
}

fn orders() -> String {
    let lines: Vec<String> = ORDERS.iter().map(|(order, about)| format!("  {order:<6} {about}\n")).collect();
    lines.concat()
}

fn wrapped(names: &[&str]) -> String {
    let width = table::terminal_width().map_or(WIDTH, usize::from);
    let (mut text, mut line) = (String::new(), String::new());
    for name in names {
        if !line.is_empty() && line.len() + 1 + name.len() > width {
            text.push_str(&line);
            text.push('\n');
            line.clear();
        }
        line.push_str(if line.is_empty() { "  " } else { " " });
        line.push_str(&harmless(name));
    }
    text + &line + "\n"
}

fn tables(language: &Language) -> String {
    let width = table::terminal_width();
    let steps = language.steps.iter().map(|step| [harmless(&signature(step)), harmless(&step.about)]);
    let predicates = language
        .predicates
        .iter()
        .map(|predicate| [harmless(&called(predicate)), harmless(&predicate.about)]);
    let steps = table::draw(["Step", "Gives"], steps, width);
    steps + "\n" + &table::draw(["Predicate", "The field"], predicates, width)
}

fn step_text(step: &StepShape) -> String {
    let mut text = format!("{}\n  {}\n", signature(step), step.about);
    for place in &step.on {
        text.push_str(&format!("  after {}: gives {}\n", place.after, place.gives));
    }
    printable(&text)
}

fn predicate_text(predicate: &PredicateShape) -> String {
    printable(&format!("{}\n  the field {}\n", called(predicate), predicate.about))
}

fn printable(text: &str) -> String {
    text.lines().map(|line| harmless(line) + "\n").collect()
}

fn signature(step: &StepShape) -> String {
    if !step.called {
        return step.name.clone();
    }
    let arguments: Vec<&str> = step
        .arguments
        .iter()
        .map(|argument| match argument.as_str() {
            "conditions" => "key, value, …",
            "keys" => "key, …",
            "names" => "name, …",
            "metadata" => "Metadata(key, value, …)",
            other => other,
        })
        .collect();
    format!("{}({})", step.name, arguments.join(", "))
}

fn called(predicate: &PredicateShape) -> String {
    let takes = match predicate.takes.as_str() {
        "two values" => "value, value",
        "values" => "value, …",
        "conditions" => "key, value, …",
        other => other,
    };
    format!("{}({takes})", predicate.name)
}
