//! The page of the book about queries, held against the language: a step or predicate that is missing there, or said
//! to be what it is not, fails; so does an example that is none, and an error that is another.

#![allow(clippy::unwrap_used, reason = "a test that cannot set up must fail")]

use std::collections::{BTreeMap, BTreeSet};

use skydive_graph::{Graph, Mutation, Node, Source};
use skydive_query::{
    Cx, Kind, Limits, PREDICATES, Plan, Rows, STEPS, Slot, StepDef, Takes, View, execute_on, parse,
};
use skydive_value::Timestamp;

const PAGE: &str = include_str!("../../../docs/queries.md");

const NOW: Timestamp = Timestamp::from_millis(1_700_000_000_000);

/// Cells of the rows of the tables under a heading, the code in them without its quotes.
fn rows(heading: &str) -> Vec<Vec<String>> {
    let (_, section) = PAGE.split_once(&format!("\n## {heading}\n")).unwrap();
    let section = section.split("\n## ").next().unwrap();
    let lines = section.lines().filter(|line| line.starts_with("| `"));
    lines
        .map(|line| {
            // A bar between quotes stands for itself.
            let cells = line.trim_matches('|').split(" | ");
            cells.map(|cell| cell.trim().replace('`', "").replace("\\|", "|")).collect()
        })
        .collect()
}

/// The one row for each name, by name.
fn by_name(heading: &str) -> BTreeMap<String, Vec<String>> {
    let mut found = BTreeMap::new();
    for row in rows(heading) {
        let old = found.insert(row[0].clone(), row.clone());
        assert_eq!(old, None, "{} stands there twice", row[0]);
    }
    found
}

fn arguments(step: &StepDef) -> String {
    let words = step.args.iter().map(|slot| match slot {
        Slot::Id => "id",
        Slot::Key => "key",
        Slot::Keys => "key…",
        Slot::Conditions => "key, value…",
        Slot::Number => "number",
        Slot::Depth => "depth",
        Slot::Order => "order",
        Slot::Name => "name",
        Slot::Names => "name…",
        Slot::Time => "time",
        Slot::Duration => "duration",
        Slot::Address => "address",
        Slot::Metadata => "Metadata(…)",
        Slot::Metric => "metric",
        Slot::PacketFilter => "filter",
    });
    words.collect::<Vec<_>>().join(", ")
}

fn places(step: &StepDef) -> String {
    let places = step.on.iter().map(|(on, gives)| format!("{on} → {gives}"));
    places.collect::<Vec<_>>().join(", ")
}

/// Parses and plans.
fn check(text: &str) -> Result<Plan, String> {
    let query = parse(text, &Limits::default()).map_err(|e| e.to_string())?;
    Plan::new(&query, NOW).map_err(|e| e.to_string())
}

/// Asks a graph of one node.
fn ask(text: &str) -> Result<Rows, String> {
    let query = parse(text, &Limits::default()).map_err(|e| e.to_string())?;
    let metadata = [("Name", "lo"), ("Type", "device")].into_iter().collect();
    let node = Node::new("n".into(), Source::of("agent", "h"), metadata, NOW);
    let mut graph = Graph::new();
    graph.apply(Mutation::AddNode(node), NOW, &mut Vec::new()).unwrap();
    let answer = execute_on(&query, &View::whole(graph.snapshot()), &Cx::new(NOW));
    answer.map(|answer| answer.rows).map_err(|e| e.to_string())
}

#[test]
fn every_step_is_there_as_it_is() {
    let mut found = by_name("Steps");
    let mut wrong = Vec::new();
    for step in STEPS {
        let expected = [step.name.to_owned(), step.about.to_owned(), places(step), arguments(step)];
        let row = found.remove(step.name).unwrap_or_default();
        if row.get(..4) != Some(&expected[..]) {
            let [name, about, places, arguments] = expected;
            let arguments = if arguments.is_empty() { arguments } else { format!("`{arguments}`") };
            wrong.push(format!("| `{name}` | {about} | {places} | {arguments} | `G.` |"));
            continue;
        }
        let example = &row[4];
        let word = if step.args.is_empty() { format!(".{}", step.name) } else { format!(".{}(", step.name) };
        assert!(example.contains(&word), "{}: {example}", step.name);
        check(example).unwrap_or_else(|error| panic!("{example}: {error}"));
    }
    assert!(wrong.is_empty(), "rows that the page should have:\n{}", wrong.join("\n"));
    assert!(found.is_empty(), "no such steps: {:?}", found.keys());
}

#[test]
fn every_predicate_is_there_as_it_is() {
    let mut found = by_name("Predicates");
    let mut wrong = Vec::new();
    for predicate in PREDICATES {
        let takes = match predicate.takes {
            Takes::One => "value",
            Takes::Text => "text",
            Takes::Two => "value, value",
            Takes::Any => "value…",
            Takes::Pairs => "key, value…",
        };
        let expected = [format!("{}({takes})", predicate.name), predicate.about.to_owned()];
        let row = found.remove(&expected[0]).unwrap_or_default();
        if row.get(..2) != Some(&expected[..]) {
            wrong.push(format!("| `{}` | {} | `G.V()` |", expected[0], expected[1]));
            continue;
        }
        assert!(row[2].contains(&format!("{}(", predicate.name)), "{row:?}");
        check(&row[2]).unwrap_or_else(|error| panic!("{}: {error}", row[2]));
    }
    assert!(wrong.is_empty(), "rows that the page should have:\n{}", wrong.join("\n"));
    assert!(found.is_empty(), "no such predicates: {:?}", found.keys());
}

#[test]
fn every_error_is_the_one_that_comes() {
    let mut shown = BTreeSet::new();
    for row in rows("Errors") {
        let [query, expected] = &row[..] else { panic!("{row:?}") };
        assert_eq!(ask(query).map(|rows| rows.len()), Err(expected.clone()), "{query}");
        shown.extend(STEPS.iter().filter(|s| query.contains(&format!(".{}(", s.name))).map(|s| s.name));
    }
    // Steps that refuse an argument without sense say so on the page.
    for step in STEPS.iter().filter(|step| step.name != "G") {
        let before = match step.on[0].0 {
            Kind::Graph => "G",
            Kind::Edges => "G.E()",
            _ => "G.V()",
        };
        if check(&format!("{before}.{}(NOW)", step.name)).is_err() {
            assert!(shown.contains(step.name), "no error of {}", step.name);
        }
    }
}
