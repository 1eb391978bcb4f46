//! Checked values: raw ones made into what the table of keys says they are.
//!
//! Lenient where viper was: a number may stand as text, text may stand as a number, a list as white-space separated
//! words.

use std::time::Duration;

use super::address::Address;
use super::keys::Kind;
use super::nearest::nearest;
use super::problem::Severity;
use super::raw::Raw;

/// A value of its declared type.
#[derive(Clone, Debug, PartialEq)]
pub(crate) enum Typed {
    Text(String),
    Switch(bool),
    Whole(i64),
    Real(f64),
    Time(Duration),
    Bytes(u64),
    Words(Vec<String>),
    Address(Address),
    Addresses(Vec<Address>),
    /// Sections and lists of sections stay as they are.
    Raw(Raw),
}

/// Why a value does not fit, and how much that matters.
#[derive(Debug, PartialEq)]
pub(crate) struct Misfit {
    pub(crate) severity: Severity,
    pub(crate) text: String,
}

impl From<String> for Misfit {
    fn from(text: String) -> Self {
        Self { severity: Severity::Error, text }
    }
}

/// Looks up the port of a service name.
pub(crate) type Services<'a> = &'a dyn Fn(&str) -> Option<u16>;

/// Checks a value against its type. A misfit with a severity below error leaves the value usable.
pub(crate) fn check(kind: Kind, raw: &Raw, services: Services<'_>) -> (Option<Typed>, Vec<Misfit>) {
    if let Kind::Names(known, severity) = kind {
        return match words(raw) {
            Err(text) => (None, vec![text.into()]),
            Ok(names) => {
                let misfits = names
                    .iter()
                    .filter(|name| !known.contains(&name.as_str()))
                    .map(|name| Misfit { severity, text: unknown(name, known) })
                    .collect();
                (Some(Typed::Words(names)), misfits)
            }
        };
    }
    match single(kind, raw, services) {
        Ok(typed) => (Some(typed), Vec::new()),
        Err(text) => (None, vec![text.into()]),
    }
}

fn single(kind: Kind, raw: &Raw, services: Services<'_>) -> Result<Typed, String> {
    match kind {
        Kind::Section | Kind::SecretSection => Ok(Typed::Raw(raw.clone())),
        Kind::Records => match raw {
            Raw::List(items) => match items.iter().position(|item| !matches!(item, Raw::Map(_))) {
                Some(at) => {
                    Err(format!("entry {}: {} where a section is expected", at + 1, items[at].kind()))
                }
                None => Ok(Typed::Raw(raw.clone())),
            },
            Raw::Text(text) if text.is_empty() => Ok(Typed::Raw(Raw::List(Vec::new()))),
            other => Err(format!("{} where a list of sections is expected", other.kind())),
        },
        Kind::Words | Kind::Names(..) => words(raw).map(Typed::Words),
        Kind::Links => match (raw, raw.as_text()) {
            (Raw::List(_), _) | (_, None) => words(raw),
            (_, Some(text)) => Ok(skydive_probes::split_links(&text)),
        }
        .map(Typed::Words),
        Kind::Hosts => words(raw)?
            .iter()
            .map(|text| Address::parse(text, services))
            .collect::<Result<_, _>>()
            .map(Typed::Addresses),
        Kind::Switch => switch(raw).map(Typed::Switch),
        _ => scalar(
            kind,
            &raw.as_text().ok_or_else(|| format!("{} where one value is expected", raw.kind()))?,
            services,
        ),
    }
}

fn scalar(kind: Kind, text: &str, services: Services<'_>) -> Result<Typed, String> {
    match kind {
        Kind::Whole(least, most) => {
            let number: i64 = text.trim().parse().map_err(|_| format!("`{text}` is not a whole number"))?;
            if number < least {
                Err(format!("{number} is below {least}"))
            } else if number > most {
                Err(format!("{number} is above {most}"))
            } else {
                Ok(Typed::Whole(number))
            }
        }
        Kind::Real => match text.trim().parse::<f64>() {
            Ok(number) if number.is_finite() && number >= 0.0 => Ok(Typed::Real(number)),
            Ok(number) => Err(format!("{number} is not a number from 0 on")),
            Err(_) => Err(format!("`{text}` is not a number")),
        },
        Kind::Seconds(least) => {
            let time = duration(text).ok_or_else(|| {
                format!("`{text}` is not a time: seconds, or a number with ms, s, m or h, expected")
            })?;
            if time < Duration::from_millis(least) {
                Err(format!("{text} is below {} s", Duration::from_millis(least).as_secs_f64()))
            } else {
                Ok(Typed::Time(time))
            }
        }
        Kind::Bytes(least) => {
            let bytes = bytes(text).ok_or_else(|| {
                format!("`{text}` is not a size: bytes, or a number with KiB, MiB or GiB, expected")
            })?;
            if bytes < least {
                Err(format!("{text} is below {least} bytes"))
            } else {
                Ok(Typed::Bytes(bytes))
            }
        }
        Kind::One(names) => names
            .iter()
            .find(|name| name.eq_ignore_ascii_case(text.trim()))
            .map(|name| Typed::Text((*name).to_owned()))
            .ok_or_else(|| unknown(text, names)),
        Kind::Listen => Address::parse(text, services).map(Typed::Address),
        _ => Ok(Typed::Text(text.to_owned())),
    }
}

fn unknown(name: &str, known: &[&str]) -> String {
    let lower: Vec<String> = known.iter().map(|name| name.to_lowercase()).collect();
    let meant = nearest(&name.to_lowercase(), lower.iter().map(String::as_str))
        .and_then(|near| known.iter().find(|name| name.eq_ignore_ascii_case(near)));
    match meant {
        Some(near) => format!("`{name}` is not known, did you mean `{near}`?"),
        None => {
            let names: Vec<&str> = known.iter().copied().filter(|name| !name.is_empty()).collect();
            format!("`{name}` is not one of {}", names.join(", "))
        }
    }
}

fn switch(raw: &Raw) -> Result<bool, String> {
    match raw {
        Raw::Bool(value) => Ok(*value),
        Raw::Int(0) => Ok(false),
        Raw::Int(1) => Ok(true),
        Raw::Text(text) => match text.trim().to_lowercase().as_str() {
            "true" | "t" | "1" | "yes" | "on" => Ok(true),
            "false" | "f" | "0" | "no" | "off" => Ok(false),
            _ => Err(format!("`{text}` is neither true nor false")),
        },
        other => Err(format!("{other} is neither true nor false")),
    }
}

fn words(raw: &Raw) -> Result<Vec<String>, String> {
    match raw {
        Raw::List(items) => items
            .iter()
            .filter(|item| **item != Raw::Null)
            .map(|item| item.as_text().ok_or_else(|| format!("{} inside a list of words", item.kind())))
            .collect(),
        scalar => match scalar.as_text() {
            Some(text) => Ok(text.split_whitespace().map(str::to_owned).collect()),
            None => Err(format!("{} where a list is expected", scalar.kind())),
        },
    }
}

/// Seconds, or a number with a unit.
fn duration(text: &str) -> Option<Duration> {
    let text = text.trim();
    let digits = text.trim_end_matches(|c: char| c.is_ascii_alphabetic());
    let per_unit = match &text[digits.len()..] {
        "" | "s" => 1.0,
        "ms" => 0.001,
        "m" => 60.0,
        "h" => 3600.0,
        _ => return None,
    };
    Duration::try_from_secs_f64(digits.trim().parse::<f64>().ok()? * per_unit).ok()
}

/// Bytes, or a number with a unit; `K`, `KB` and `KiB` all mean 1024.
fn bytes(text: &str) -> Option<u64> {
    let text = text.trim();
    let digits = text.trim_end_matches(|c: char| c.is_ascii_alphabetic());
    let unit = text[digits.len()..].to_lowercase();
    let shift = match unit.trim_end_matches("ib").trim_end_matches('b') {
        "" => 0,
        "k" => 10,
        "m" => 20,
        "g" => 30,
        _ => return None,
    };
    digits.trim().parse::<u64>().ok()?.checked_mul(1 << shift)
}
