//! The recorded facts about metrics.

use serde_json::{Value as Json, json};
use skydive_value::Timestamp;

use super::*;

fn cases() -> Vec<Json> {
    serde_json::from_str(include_str!("../../tests/data/metrics.json")).unwrap()
}

/// The vectors have one number for all counters.
fn metric(json: &Json) -> Metric {
    let map: Map = serde_json::from_value(json.clone()).unwrap();
    Metric::of(&map)
}

fn metric_of_flow(json: &Json) -> Metric {
    Metric { rule: Rule::Keeps, ..metric(json) }
}

fn json_of(metric: Option<Metric>) -> Json {
    metric.map_or(Json::Null, |metric| serde_json::to_value(metric.into_map()).unwrap())
}

fn aggregated(metrics: &[Metric], range: Option<Span>, step_ms: i64) -> Result<Json, String> {
    let slices = aggregate(metrics, range, step_ms, || Ok(())).map_err(|e| e.to_string())?;
    Ok(serde_json::to_value(slices).unwrap())
}

#[test]
fn cuts() {
    let cases: Vec<Json> = cases().into_iter().filter(|case| case["kind"] == "interface-split").collect();
    assert_eq!(cases.len(), 7);
    for case in cases {
        let (left, right) = metric(&case["metric"]).split(case["at"].as_i64().unwrap());
        assert_eq!([json_of(left), json_of(right)], [case["left"].clone(), case["right"].clone()], "{case}");
    }
}

#[test]
fn slices() {
    let mut ran = 0;
    for case in cases().iter().filter(|case| case["kind"] == "flow-aggregate") {
        ran += 1;
        let series = case["series"].as_object().unwrap().values();
        let metrics: Vec<Metric> = series.flat_map(|s| s.as_array().unwrap()).map(metric_of_flow).collect();
        let time = |member: &str| Timestamp::from_millis(case["slice"][member].as_i64().unwrap());
        let range = Span { since: time("Start"), until: time("Last") };
        let slices = aggregated(&metrics, Some(range), case["step_s"].as_i64().unwrap() * 1000).unwrap();
        assert_eq!(slices, case["expect"], "{case}");
        let sum = slices.as_array().unwrap().iter().map(metric).reduce(|mut sum, next| {
            sum.add(&next);
            sum
        });
        assert_eq!(json_of(sum), case["sum_of_expect"], "{case}");
    }
    assert!(ran >= 15, "{ran}");
}

#[test]
fn cuts_of_flows() {
    let cases: Vec<Json> = cases().into_iter().filter(|case| case["kind"] == "flow-split").collect();
    assert_eq!(cases.len(), 5);
    for case in cases {
        let (left, right) = metric_of_flow(&case["metric"]).split(case["at"].as_i64().unwrap());
        assert_eq!([json_of(left), json_of(right)], [case["left"].clone(), case["right"].clone()], "{case}");
    }
}

#[test]
fn the_range_is_that_of_the_metrics_when_none_is_given() {
    let metrics = [
        metric(&json!({"Start": 1000, "Last": 21_000, "RxBytes": 30, "RxPackets": 1})),
        metric(&json!({"Start": 11_000, "Last": 12_000, "RxBytes": 5, "Speed": 1.5, "Text": "x"})),
    ];
    let expected = json!([
        {"Start": 1000, "Last": 11_000, "RxBytes": 15, "RxPackets": 0},
        {"Start": 11_000, "Last": 21_000, "RxBytes": 20, "RxPackets": 0, "Speed": 1.5},
    ]);
    assert_eq!(aggregated(&metrics, None, 10_000), Ok(expected));
    assert_eq!(aggregated(&[], None, 10_000), Ok(json!([])));
}

#[test]
fn what_is_small_is_counted_where_it_begins() {
    let small = [metric(&json!({"Start": 0, "Last": 60_000, "value": 1}))];
    let whole = json!([{"Start": 0, "Last": 10_000, "value": 1}]);
    assert_eq!(aggregated(&small, None, 10_000), Ok(whole));
    let instant = [metric(&json!({"Last": 60_000, "value": 1}))];
    let whole = json!([{"Start": 60_000, "Last": 60_000, "value": 1}]);
    assert_eq!(aggregated(&instant, None, 10_000), Ok(whole));
}

#[test]
fn any_time_is_survived() {
    let ends = [i64::MIN, -1, 0, 1, i64::MAX];
    for (start, last) in ends.iter().flat_map(|start| ends.iter().map(move |last| (*start, *last))) {
        let metrics = [metric(&json!({"Start": start, "Last": last, "value": i64::MAX}))];
        for step_ms in [1, 1000, i64::MAX] {
            let _ = aggregated(&metrics, None, step_ms);
            for at in ends {
                let _ = metrics[0].clone().split(at);
            }
            let range = Span { since: Timestamp::from_millis(-5), until: Timestamp::from_millis(5) };
            assert!(aggregated(&metrics, Some(range), step_ms).is_ok());
        }
    }
    let long = [metric(&json!({"Start": 0, "Last": 10_001, "value": 1}))];
    let error = aggregated(&long, None, 1).unwrap_err();
    assert_eq!(error, "Aggregates available slices exceeded: 10001/10000");
}
