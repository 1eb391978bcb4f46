//! How long a resource lives: the value of the header `X-Resource-TTL`, a duration as Go writes them.

use std::time::Duration;

use thiserror::Error;

/// A duration that is none.
#[derive(Clone, Debug, PartialEq, Eq, Error)]
#[error("invalid duration {0:?}")]
pub struct TtlError(String);

/// Nanoseconds of each unit.
const UNITS: [(&str, f64); 8] =
    [("ns", 1.0), ("us", 1e3), ("µs", 1e3), ("μs", 1e3), ("ms", 1e6), ("s", 1e9), ("m", 60e9), ("h", 3600e9)];

/// Reads a time to live: `5s`, `6000ms`, `1h2m3.5s`. `None` for zero, which means for ever; one below zero is refused.
pub fn parse_ttl(text: &str) -> Result<Option<Duration>, TtlError> {
    let wrong = || TtlError(text.chars().take(64).collect());
    let mut rest = text.strip_prefix('+').unwrap_or(text);
    if rest == "0" {
        return Ok(None);
    }
    if rest.is_empty() {
        return Err(wrong());
    }
    let mut nanos = 0.0;
    while !rest.is_empty() {
        let digits = rest.find(|c: char| !c.is_ascii_digit() && c != '.').ok_or_else(wrong)?;
        let (number, after) = rest.split_at(digits);
        let number: f64 = number.parse().map_err(|_| wrong())?;
        let end = after.find(|c: char| c.is_ascii_digit() || c == '.').unwrap_or(after.len());
        let (unit, after) = after.split_at(end);
        let (_, size) = UNITS.iter().find(|(name, _)| *name == unit).ok_or_else(wrong)?;
        nanos += number * size;
        rest = after;
    }
    // What Go can say, 292 years.
    if nanos > i64::MAX as f64 {
        return Err(wrong());
    }
    let ttl = Duration::from_nanos(nanos as u64);
    Ok((ttl > Duration::ZERO).then_some(ttl))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn durations_of_go() {
        for (text, ms) in [
            ("5s", 5_000),
            ("6000ms", 6_000),
            ("1m0s", 60_000),
            ("1h2m3.5s", 3_723_500),
            (".5s", 500),
            ("+2s", 2_000),
            ("1500us", 1),
        ] {
            assert_eq!(parse_ttl(text).unwrap().unwrap().as_millis(), ms, "{text}");
        }
        for none in ["0", "0s", "0h0m"] {
            assert_eq!(parse_ttl(none), Ok(None), "{none}");
        }
        for wrong in ["", "5", "s", "-1s", "1 s", "1d", "1.2.3s", ".s", "9999999999h", "NaNs", "é", "1sé"] {
            assert!(parse_ttl(wrong).is_err(), "{wrong}");
        }
    }
}
