//! The page on fields of flows names every field with its number.
#![allow(clippy::unwrap_used, reason = "a test that cannot set up must fail")]

use std::collections::BTreeSet;

use skydive_flow::field::FIELDS;

const PAGE: &str = include_str!("../../../docs/flow-fields.md");
const DECLARED: [&str; 2] = [include_str!("../src/flow/wire.rs"), include_str!("../src/flow/dns.rs")];

/// Message in lower case, name, number.
type Field = (String, &'static str, &'static str);

/// What is between two marks of a line.
fn between<'a>(line: &'a str, before: &str, after: &str) -> Option<&'a str> {
    line.split_once(before)?.1.split_once(after).map(|(found, _)| found)
}

/// Message, name and number of every field that JSON has.
fn declared() -> BTreeSet<Field> {
    let (mut found, mut message, mut number) = (BTreeSet::new(), "", "");
    for line in DECLARED.iter().flat_map(|file| file.lines()) {
        message = between(line, "struct ", " {").unwrap_or(message);
        number = between(line, "tag = \"", "\"").unwrap_or(number);
        if let Some(name) = between(line, "rename = \"", "\"") {
            found.insert((message.to_ascii_lowercase(), name, number));
        }
    }
    found
}

/// The same as the page has it. A section is a message.
fn on_page() -> BTreeSet<Field> {
    let (mut found, mut message) = (BTreeSet::new(), "");
    for line in PAGE.lines() {
        message = line.strip_prefix("## ").unwrap_or(message);
        let mut cells = line.split('|').map(str::trim).skip(1);
        let (Some(name), Some(number)) = (cells.next(), cells.next()) else { continue };
        if let Some(name) = between(name, "`", "`") {
            found.insert((message.to_ascii_lowercase(), name, number));
        }
    }
    found
}

#[test]
fn every_field_is_on_the_page_with_its_number() {
    let (declared, mut on_page) = (declared(), on_page());
    assert!(declared.len() > 120, "{}", declared.len());
    // JSON has none of these.
    on_page.retain(|(message, name, _)| message != "rawpacket" && *name != "LastRawPackets");
    let missing: Vec<_> = declared.difference(&on_page).collect();
    assert!(missing.is_empty(), "not on the page: {missing:?}");
    let surplus: Vec<_> = on_page.difference(&declared).collect();
    assert!(surplus.is_empty(), "only on the page: {surplus:?}");
}

#[test]
fn every_name_of_queries_is_on_the_page() {
    for field in FIELDS {
        let is_tcp =
            field.name.strip_prefix("TCPMetric.").is_some_and(|own| PAGE.contains(&format!("| `{own}` |")));
        assert!(is_tcp || PAGE.contains(&format!("`{}`", field.name)), "{}", field.name);
    }
}
