//! Points in time as RFC 3339 text, in UTC with milliseconds.

use skydive_value::Timestamp;
use thiserror::Error;

/// Text that is no RFC 3339 time.
#[derive(Clone, Debug, PartialEq, Eq, Error)]
#[error("{0:?} is not an RFC 3339 time")]
pub struct Rfc3339Error(pub String);

const DAY_MS: i64 = 86_400_000;

/// The time as text, `2024-07-01T12:00:00.123Z`; a zero fraction is left out.
pub fn format_rfc3339(at: Timestamp) -> String {
    let ms = at.as_millis();
    let (days, rest) = (ms.div_euclid(DAY_MS), ms.rem_euclid(DAY_MS));
    let (year, month, day) = civil_of_days(days);
    let (hour, minute, second, fraction) =
        (rest / 3_600_000, rest / 60_000 % 60, rest / 1000 % 60, rest % 1000);
    let fraction = if fraction == 0 { String::new() } else { format!(".{fraction:03}") };
    format!("{year:04}-{month:02}-{day:02}T{hour:02}:{minute:02}:{second:02}{fraction}Z")
}

/// The time a text names; fractions below a millisecond are cut.
pub fn parse_rfc3339(text: &str) -> Result<Timestamp, Rfc3339Error> {
    parse(text).ok_or_else(|| Rfc3339Error(text.chars().take(64).collect()))
}

fn parse(text: &str) -> Option<Timestamp> {
    let (date, time) = text.split_once(['T', 't', ' '])?;
    let mut date = date.splitn(3, '-');
    let (year, month, day) = (number(date.next()?, 4)?, number(date.next()?, 2)?, number(date.next()?, 2)?);
    let zone_at = time.find(['Z', 'z', '+', '-'])?;
    let (clock, zone) = time.split_at_checked(zone_at)?;
    let (clock, fraction) = clock.split_once('.').unwrap_or((clock, ""));
    let mut clock = clock.splitn(3, ':');
    let (hour, minute, second) =
        (number(clock.next()?, 2)?, number(clock.next()?, 2)?, number(clock.next()?, 2)?);
    let in_range = (1..=12).contains(&month)
        && (1..=days_in_month(year, month)).contains(&day)
        && hour < 24
        && minute < 60
        && second <= 60
        && fraction.bytes().all(|b| b.is_ascii_digit());
    if !in_range {
        return None;
    }
    let fraction = format!("{fraction:0<3}");
    let millis = number(fraction.get(..3)?, 3)?;
    let offset_minutes = match zone.split_at_checked(1)? {
        ("Z" | "z", "") => 0,
        (sign, rest) => {
            let (h, m) = rest.split_once(':')?;
            let minutes = number(h, 2)? * 60 + number(m, 2)?;
            if sign == "-" { -minutes } else { minutes }
        }
    };
    let seconds =
        days_of_civil(year, month, day) * 86_400 + hour * 3600 + (minute - offset_minutes) * 60 + second;
    Some(Timestamp::from_millis(seconds * 1000 + millis))
}

fn number(text: &str, digits: usize) -> Option<i64> {
    (text.len() == digits && text.bytes().all(|b| b.is_ascii_digit())).then(|| text.parse().ok())?
}

fn days_in_month(year: i64, month: i64) -> i64 {
    match month {
        2 if year % 4 == 0 && (year % 100 != 0 || year % 400 == 0) => 29,
        2 => 28,
        4 | 6 | 9 | 11 => 30,
        _ => 31,
    }
}

/// Days since the epoch to a date of the Gregorian calendar: years counted from March in eras of 400.
fn civil_of_days(days: i64) -> (i64, i64, i64) {
    let days = days + 719_468;
    let (era, of_era) = (days.div_euclid(146_097), days.rem_euclid(146_097));
    let year_of_era = (of_era - of_era / 1460 + of_era / 36_524 - of_era / 146_096) / 365;
    let of_year = of_era - (365 * year_of_era + year_of_era / 4 - year_of_era / 100);
    let shifted = (5 * of_year + 2) / 153;
    let month = if shifted < 10 { shifted + 3 } else { shifted - 9 };
    let year = year_of_era + era * 400 + i64::from(month <= 2);
    (year, month, of_year - (153 * shifted + 2) / 5 + 1)
}

fn days_of_civil(year: i64, month: i64, day: i64) -> i64 {
    let year = if month <= 2 { year - 1 } else { year };
    let (era, of_era) = (year.div_euclid(400), year.rem_euclid(400));
    let shifted = if month > 2 { month - 3 } else { month + 9 };
    let of_year = (153 * shifted + 2) / 5 + day - 1;
    era * 146_097 + of_era * 365 + of_era / 4 - of_era / 100 + of_year - 719_468
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn known_times() {
        for (ms, text) in [
            (0, "1970-01-01T00:00:00Z"),
            (951_782_400_000, "2000-02-29T00:00:00Z"),
            (1_719_835_200_123, "2024-07-01T12:00:00.123Z"),
            (-1, "1969-12-31T23:59:59.999Z"),
        ] {
            assert_eq!(format_rfc3339(Timestamp::from_millis(ms)), text);
            assert_eq!(parse_rfc3339(text).unwrap().as_millis(), ms);
        }
        assert_eq!(
            parse_rfc3339("2024-07-01T14:00:00.123456789+02:00").unwrap().as_millis(),
            1_719_835_200_123
        );
    }

    #[test]
    fn nonsense_is_refused() {
        for text in
            ["", "T", "2024-02-30T00:00:00Z", "2024-01-01T00:00:00", "2024-01-01T00:00:00.xZ", "é-é-éTé:é:éZ"]
        {
            assert!(parse_rfc3339(text).is_err(), "{text}");
        }
    }
}
