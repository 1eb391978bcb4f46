//! Records by the id of what they belong to, as metrics, sockets and packets are answered: a row for each record.

use serde_json::{Map, Value as Json};
use skydive_flow::field;
use skydive_proto::format_rfc3339;
use skydive_value::Timestamp;

use super::{NOTHING, cell, titles_of};
use crate::table;
use crate::terminal::harmless;

/// Fields that are times, in milliseconds since the epoch. They stand before all others.
const TIMES: &[&str] = &[field::START, field::LAST, "Timestamp"];

/// The only id of records that were summed up over all.
const AGGREGATED: &str = "Aggregated";

/// Whether an answer's item is lists of records by id.
pub(super) fn is_series(item: &Map<String, Json>) -> bool {
    let are_records =
        |value: &Json| value.as_array().is_some_and(|records| records.iter().all(Json::is_object));
    !item.is_empty() && item.values().all(are_records)
}

/// A row for each record. Numbers that are 0 in all of them are left out and named where the terminal is too narrow for all.
pub(super) fn series(items: &[Json], width: Option<u16>) -> String {
    let by_id = || items.iter().filter_map(Json::as_object).flatten();
    let records =
        || by_id().flat_map(|(id, records)| records.as_array().into_iter().flatten().map(move |r| (id, r)));
    let mut titles = titles_of(records().map(|(_, record)| record));
    titles.sort_by_key(|title| TIMES.iter().position(|time| time == title).unwrap_or(TIMES.len()));
    if titles.is_empty() {
        return NOTHING.to_owned();
    }
    let has_ids = by_id().any(|(id, _)| id != AGGREGATED);

    let draw = |titles: &[&String]| {
        let head =
            has_ids.then(|| "ID".to_owned()).into_iter().chain(titles.iter().map(|title| harmless(title)));
        let rows = records().map(|(id, record)| {
            let cells = titles.iter().map(|title| value(title, record));
            has_ids.then(|| harmless(id)).into_iter().chain(cells).collect::<Vec<_>>()
        });
        if has_ids { table::draw_whole_first(head, rows, width) } else { table::draw(head, rows, width) }
    };
    let needed = |titles: &[&String]| {
        let ids: Vec<String> = by_id().map(|(id, _)| harmless(id)).collect();
        let id = has_ids.then(|| table::width_of("ID", ids.iter()));
        let others = titles.iter().map(|title| {
            let cells: Vec<String> = records().map(|(_, record)| value(title, record)).collect();
            table::width_of(title, cells.iter())
        });
        table::width_of_row(id.into_iter().chain(others))
    };
    if width.is_none_or(|width| needed(&titles) <= usize::from(width)) {
        return draw(&titles);
    }
    let is_zero =
        |title: &&String| records().all(|(_, record)| record.get(title.as_str()).is_none_or(|v| *v == 0));
    let (zero, shown): (Vec<&String>, Vec<&String>) = titles.into_iter().partition(is_zero);
    let mut text = draw(&shown);
    if !zero.is_empty() {
        let names: Vec<String> = zero.iter().map(|title| harmless(title)).collect();
        text.push_str(&format!("0 everywhere: {}\n", names.join(", ")));
    }
    text
}

fn value(title: &str, record: &Json) -> String {
    let Some(value) = record.get(title) else { return String::new() };
    match value.as_i64() {
        Some(at) if TIMES.contains(&title) && at > 0 => format_rfc3339(Timestamp::from_millis(at)),
        _ => cell(value),
    }
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::super::render;

    #[test]
    fn metrics_are_rows() {
        let metric = |start: u64| json!({"RxBytes": 7, "Collisions": 0, "Start": start, "Last": 1_500});
        let answer = json!([{"n1": [metric(1_000), metric(0)], "n2": [metric(1_250)]}]);
        let text = render(&answer, None);
        let lines: Vec<&str> = text.lines().map(str::trim).collect();
        assert_eq!(lines.len(), 5, "{text}");
        assert!(lines[0].starts_with("ID  Start") && lines[0].contains("Collisions"), "{text}");
        assert!(lines[2].starts_with("n1  1970-01-01T00:00:01Z"), "{text}");
        assert!(lines[4].starts_with("n2  1970-01-01T00:00:01.250Z  1970-01-01T00:00:01.500Z"), "{text}");
        let narrow = render(&answer, Some(60));
        assert!(narrow.ends_with("0 everywhere: Collisions\n") && narrow.contains("RxBytes"), "{narrow}");
        let sum = render(&json!([{"Aggregated": [metric(1_000)]}]), None);
        assert!(!sum.contains("ID") && sum.contains("RxBytes"), "{sum}");
        assert_eq!(render(&json!([{"Aggregated": []}]), None), "nothing found\n");
    }

    #[test]
    fn a_socket_cannot_steer_the_terminal() {
        let text = render(&json!([{"n": [{"Name": "nc\u{1b}[2J", "State": "LISTEN"}]}]), None);
        assert!(text.contains("nc\u{fffd}[2J") && text.contains("LISTEN"), "{text}");
    }
}
