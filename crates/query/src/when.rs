//! Time arguments: points and lengths of time as `At` takes them.

use skydive_value::{Span, Timestamp};

use crate::{Arg, Args, Given, QueryError};

/// The graph that a query looks at.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Moment {
    /// As it is now; of a length of time that ends now and was asked for.
    Live(Option<Span>),
    /// As it was.
    Point(Timestamp),
    /// Everything that was, revision by revision.
    Slice(Span),
}

/// Numbers up to this are seconds, larger ones milliseconds.
const LAST_SECOND: i64 = i32::MAX as i64;

/// How far from now a time may lie and still mean now: what a query takes to arrive, and clocks that differ.
const NEAR_MS: u64 = 2000;

/// The moment that the arguments of `At` name. What ends now is live: nobody needs history for it.
pub(crate) fn moment(args: &Args, now: Timestamp) -> Result<Moment, QueryError> {
    match args.given.as_slice() {
        [] => Err(QueryError::argument("At least one parameter must be provided to 'Context'", args.offset)),
        [at] => {
            let at = point(at, now)?;
            Ok(if is_near(at, now) { Moment::Live(None) } else { Moment::Point(at) })
        }
        [at, length] => {
            let until = point(at, now)?;
            let length_ms = length_ms(length, until)?;
            let since = Timestamp::from_millis(until.as_millis().saturating_sub(length_ms));
            let span = Span { since, until };
            Ok(if is_near(until, now) { Moment::Live(Some(span)) } else { Moment::Slice(span) })
        }
        _ => Err(QueryError::argument("At most two parameters must be provided to 'Context'", args.offset)),
    }
}

fn is_near(at: Timestamp, now: Timestamp) -> bool {
    at.as_millis().abs_diff(now.as_millis()) <= NEAR_MS
}

fn point(given: &Given, now: Timestamp) -> Result<Timestamp, QueryError> {
    let ms = match &given.arg {
        Arg::Now => return Ok(now),
        Arg::Int(n) if *n <= LAST_SECOND => n.saturating_mul(1000),
        Arg::Int(n) => *n,
        Arg::Text(text) => match (duration_ms(text), rfc1123_ms(text)) {
            (Some(ms), _) => now.as_millis().saturating_add(ms),
            (None, Some(ms)) => ms,
            (None, None) => {
                let text = "Time must be in RFC1123 or in Go Duration format";
                return Err(QueryError::argument(text, given.offset));
            }
        },
        _ => return Err(neither(given)),
    };
    Ok(Timestamp::from_millis(ms))
}

fn length_ms(given: &Given, until: Timestamp) -> Result<i64, QueryError> {
    match &given.arg {
        Arg::Int(seconds) => Ok(seconds.saturating_mul(1000)),
        Arg::Forever => Ok(until.as_millis()),
        Arg::Text(text) => duration_ms(text).ok_or_else(|| {
            QueryError::argument(format!("time: invalid duration {:?}", text.as_str()), given.offset)
        }),
        _ => Err(neither(given)),
    }
}

fn neither(given: &Given) -> QueryError {
    QueryError::argument("Key 'Context' must be either an integer or a string", given.offset)
}

/// `-1h30m`, `1.5s`, `300ms`: numbers with units, one sign in front.
fn duration_ms(text: &str) -> Option<i64> {
    const UNITS: [(&str, f64); 8] = [
        ("ns", 1e-6),
        ("us", 1e-3),
        ("µs", 1e-3),
        ("μs", 1e-3),
        ("ms", 1.0),
        ("s", 1e3),
        ("m", 6e4),
        ("h", 3.6e6),
    ];
    let (sign, mut rest) = match text.as_bytes().first()? {
        b'-' => (-1.0, &text[1..]),
        b'+' => (1.0, &text[1..]),
        _ => (1.0, text),
    };
    if rest == "0" {
        return Some(0);
    }
    let mut ms = 0.0;
    while !rest.is_empty() {
        let digits = rest.find(|c: char| !c.is_ascii_digit() && c != '.')?;
        let (number, after) = rest.split_at(digits);
        let unit = after.find(|c: char| c.is_ascii_digit() || c == '.').unwrap_or(after.len());
        let (unit, after) = after.split_at(unit);
        let (_, factor) = UNITS.iter().find(|(name, _)| *name == unit)?;
        ms += number.parse::<f64>().ok()? * factor;
        rest = after;
    }
    // 292 years, where the format of the original ends.
    const LIMIT_MS: f64 = 9.3e12;
    (text.len() > 1 && ms < LIMIT_MS).then_some((sign * ms) as i64)
}

/// `Sun, 06 Nov 2016 08:49:37 GMT`. Zones other than UTC have no offset here, as their abbreviations are ambiguous.
fn rfc1123_ms(text: &str) -> Option<i64> {
    const DAYS: [&str; 7] = ["Mon", "Tue", "Wed", "Thu", "Fri", "Sat", "Sun"];
    const MONTHS: [&str; 12] =
        ["Jan", "Feb", "Mar", "Apr", "May", "Jun", "Jul", "Aug", "Sep", "Oct", "Nov", "Dec"];
    let (weekday, rest) = text.split_once(", ")?;
    let fields: Vec<&str> = rest.split(' ').collect();
    let [day, month, year, clock, zone] = fields.as_slice() else { return None };
    let zone_is_name = matches!(zone.len(), 3..=5) && zone.bytes().all(|b| b.is_ascii_uppercase());
    if !DAYS.contains(&weekday) || !zone_is_name || year.len() != 4 {
        return None;
    }
    let number = |text: &str, max: i64| -> Option<i64> {
        let is_number = matches!(text.len(), 1..=4) && text.bytes().all(|b| b.is_ascii_digit());
        text.parse().ok().filter(|n| is_number && *n <= max)
    };
    let month = MONTHS.iter().position(|m| m == month)? as i64 + 1;
    let (year, day) = (number(year, 9999)?, number(day, 31).filter(|d| *d > 0)?);
    let clock: Vec<&str> = clock.split(':').collect();
    let [h, m, s] = clock.as_slice() else { return None };
    let seconds = number(h, 23)? * 3600 + number(m, 59)? * 60 + number(s, 59)?;
    Some((days_since_epoch(year, month, day) * 86_400 + seconds) * 1000)
}

/// Days from 1970-01-01 in the Gregorian calendar; years begin in March, so that the leap day ends one.
fn days_since_epoch(year: i64, month: i64, day: i64) -> i64 {
    let year = if month <= 2 { year - 1 } else { year };
    let era = year.div_euclid(400);
    let year_of_era = year.rem_euclid(400);
    let day_of_year = (153 * ((month + 9) % 12) + 2) / 5 + day - 1;
    era * 146_097 + year_of_era * 365 + year_of_era / 4 - year_of_era / 100 + day_of_year - 719_468
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn durations() {
        for (text, ms) in [
            ("-1m", Some(-60_000)),
            ("-2h30m", Some(-9_000_000)),
            ("-0s", Some(0)),
            ("0", Some(0)),
            ("1.5s", Some(1_500)),
            ("300ms", Some(300)),
            ("", None),
            ("-", None),
            ("5", None),
            ("abc", None),
            ("s", None),
            ("1é", None),
            ("99999999999h", None),
        ] {
            assert_eq!(duration_ms(text), ms, "{text}");
        }
    }

    #[test]
    fn dates() {
        for (text, ms) in [
            ("Sun, 06 Nov 2016 08:49:37 GMT", Some(1_478_422_177_000)),
            ("Thu, 01 Jan 1970 00:00:00 UTC", Some(0)),
            ("Tue, 29 Feb 2000 12:00:00 GMT", Some(951_825_600_000)),
            ("06 Nov 2016 08:49:37 GMT", None),
            ("Sun, 06 Nov 2016 8:49 GMT", None),
            ("Sun, 06 Nov 2016 25:49:37 GMT", None),
        ] {
            assert_eq!(rfc1123_ms(text), ms, "{text}");
        }
    }
}
