//! How much of the truth an answer holds: the value of the header `X-Skydive-Coverage`.

use std::fmt;
use std::str::FromStr;

use skydive_value::{Span, Timestamp};

/// How much of the truth an answer holds. As text `asked=1;answered=1`, with more behind it when there is more to say:
/// `;truncated=1`, `;sampled=1`, `;lost=` and a number, `;instead-of=` and two times in milliseconds.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Coverage {
    /// Sources that were asked: the graph, agents, stores.
    pub asked: u32,
    /// Sources that answered.
    pub answered: u32,
    /// Whether a source had more than it gave.
    pub truncated: bool,
    /// Whether a source looked at a sample only.
    pub sampled: bool,
    /// Records that sources know to have lost.
    pub lost: u64,
    /// The time that was asked for, where only its end, which is now, was looked at.
    pub instead_of: Option<Span>,
}

impl Coverage {
    /// Whether nothing is missing.
    pub fn is_complete(&self) -> bool {
        *self == Self { asked: self.asked, answered: self.asked, ..Self::default() }
    }
}

impl fmt::Display for Coverage {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "asked={};answered={}", self.asked, self.answered)?;
        if self.truncated {
            f.write_str(";truncated=1")?;
        }
        if self.sampled {
            f.write_str(";sampled=1")?;
        }
        if self.lost > 0 {
            write!(f, ";lost={}", self.lost)?;
        }
        match self.instead_of {
            Some(span) => write!(f, ";instead-of={},{}", span.since, span.until),
            None => Ok(()),
        }
    }
}

impl FromStr for Coverage {
    type Err = ();

    fn from_str(text: &str) -> Result<Self, ()> {
        let mut coverage = Self::default();
        for part in text.split(';') {
            let (name, value) = part.split_once('=').ok_or(())?;
            match name {
                "asked" => coverage.asked = value.parse().map_err(|_| ())?,
                "answered" => coverage.answered = value.parse().map_err(|_| ())?,
                "truncated" => coverage.truncated = value == "1",
                "sampled" => coverage.sampled = value == "1",
                "lost" => coverage.lost = value.parse().map_err(|_| ())?,
                "instead-of" => {
                    let (since, until) = value.split_once(',').ok_or(())?;
                    let time = |text: &str| text.parse().map(Timestamp::from_millis).map_err(|_| ());
                    coverage.instead_of = Some(Span { since: time(since)?, until: time(until)? });
                }
                _ => {}
            }
        }
        Ok(coverage)
    }
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
            truncated: true,
            sampled: true,
            lost: 3,
            instead_of: Some(span),
            ..complete
        };
        for (coverage, is_complete, text) in [
            (complete, true, "asked=2;answered=2"),
            (all, false, "asked=2;answered=1;truncated=1;sampled=1;lost=3;instead-of=-5,7"),
        ] {
            assert_eq!(coverage.to_string(), text);
            assert_eq!(text.parse(), Ok(coverage));
            assert_eq!(coverage.is_complete(), is_complete);
        }
        for text in ["asked", "asked=x", "instead-of=5", "instead-of=5,"] {
            assert_eq!(text.parse::<Coverage>(), Err(()), "{text}");
        }
    }
}
