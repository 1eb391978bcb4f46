//! How much of the truth an answer holds: the value of the header `X-Skydive-Coverage`.

use std::fmt::Write;

use skydive_value::{Coverage, SmolStr, Span, Timestamp};

/// Coverage as text: `asked=1;answered=1`, with more behind it when there is more to say: `;silent=` and names of
/// sources that did not answer with commas between, other than letters, digits and `-._:` as `%` and two hexadecimal
/// digits a byte; `;truncated=1`, `;sampled=1`, `;lost=` and a number, `;instead-of=` and two times in milliseconds.
pub fn coverage_to_text(coverage: &Coverage) -> String {
    let Coverage { asked, answered, silent, truncated, sampled, lost, instead_of } = coverage;
    let mut parts = vec![format!("asked={asked}"), format!("answered={answered}")];
    if !silent.is_empty() {
        let names: Vec<String> = silent.iter().map(|name| escaped(name)).collect();
        parts.push(format!("silent={}", names.join(",")));
    }
    if *truncated {
        parts.push("truncated=1".to_owned());
    }
    if *sampled {
        parts.push("sampled=1".to_owned());
    }
    if *lost > 0 {
        parts.push(format!("lost={lost}"));
    }
    if let Some(span) = instead_of {
        parts.push(format!("instead-of={},{}", span.since, span.until));
    }
    parts.join(";")
}

/// Reads what [`coverage_to_text`] wrote; parts of later versions are passed over. `None` when it is malformed.
pub fn coverage_of_text(text: &str) -> Option<Coverage> {
    let mut coverage = Coverage::default();
    for part in text.split(';') {
        let (name, value) = part.split_once('=')?;
        match name {
            "asked" => coverage.asked = value.parse().ok()?,
            "answered" => coverage.answered = value.parse().ok()?,
            "silent" => {
                coverage.silent =
                    value.split(',').take(Coverage::NAMES).map(unescaped).collect::<Option<_>>()?;
            }
            "truncated" => coverage.truncated = value == "1",
            "sampled" => coverage.sampled = value == "1",
            "lost" => coverage.lost = value.parse().ok()?,
            "instead-of" => {
                let (since, until) = value.split_once(',')?;
                let time = |text: &str| text.parse().map(Timestamp::from_millis).ok();
                coverage.instead_of = Some(Span { since: time(since)?, until: time(until)? });
            }
            _ => {}
        }
    }
    Some(coverage)
}

fn escaped(name: &str) -> String {
    name.bytes().fold(String::new(), |mut text, byte| {
        if byte.is_ascii_alphanumeric() || b"-._:".contains(&byte) {
            text.push(char::from(byte));
        } else {
            // Writing to a string cannot fail.
            let _ = write!(text, "%{byte:02x}");
        }
        text
    })
}

fn unescaped(text: &str) -> Option<SmolStr> {
    let mut bytes = Vec::new();
    let mut rest = text.bytes();
    while let Some(byte) = rest.next() {
        if byte != b'%' {
            bytes.push(byte);
            continue;
        }
        let digit = |byte: Option<u8>| char::from(byte?).to_digit(16);
        bytes.push(u8::try_from(digit(rest.next())? * 16 + digit(rest.next())?).ok()?);
    }
    String::from_utf8(bytes).ok().map(SmolStr::from)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn it_is_read_as_written() {
        let complete = Coverage { asked: 2, answered: 2, ..Coverage::default() };
        let span = Span { since: Timestamp::from_millis(-5), until: Timestamp::from_millis(7) };
        let all = Coverage {
            answered: 1,
            silent: vec!["host-3.example".into(), "ein Wirt;ö".into()],
            truncated: true,
            sampled: true,
            lost: 3,
            instead_of: Some(span),
            ..complete.clone()
        };
        for (coverage, text) in [
            (complete, "asked=2;answered=2"),
            (
                all,
                "asked=2;answered=1;silent=host-3.example,ein%20Wirt%3b%c3%b6;truncated=1;sampled=1;lost=3;\
                 instead-of=-5,7",
            ),
        ] {
            assert_eq!(coverage_to_text(&coverage), text);
            assert_eq!(coverage_of_text(text), Some(coverage));
        }
        for text in
            ["asked", "asked=x", "instead-of=5", "instead-of=5,", "silent=%", "silent=%zz", "silent=%ff"]
        {
            assert_eq!(coverage_of_text(text), None, "{text}");
        }
    }
}
