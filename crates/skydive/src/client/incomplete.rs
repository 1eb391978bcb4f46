//! Answers that lack something: what is said of them on standard error.

use skydive_client::Response;
use skydive_proto::{coverage_of_text, format_rfc3339, header};
use skydive_value::Coverage;

use crate::terminal::harmless;

/// What an answer lacks, in one line; `None` for one that is complete, or that does not say.
pub(crate) fn lacks(answer: &Response) -> Option<String> {
    let coverage = coverage_of_text(answer.header(header::COVERAGE)?)?;
    (!coverage.is_complete()).then(|| format!("incomplete: {}", harmless(&reasons(&coverage).join("; "))))
}

/// The same as parts of a sentence.
pub(crate) fn reasons(coverage: &Coverage) -> Vec<String> {
    let Coverage { asked, answered, silent, truncated, sampled, lost, instead_of } = coverage;
    let mut reasons = Vec::new();
    if answered < asked {
        let names =
            if silent.is_empty() { String::new() } else { format!(" (silent: {})", silent.join(", ")) };
        reasons.push(format!("{answered} of {asked} sources answered{names}"));
    }
    if *truncated {
        reasons.push("there is more than is shown".to_owned());
    }
    if *sampled {
        reasons.push("made from a sample".to_owned());
    }
    if *lost > 0 {
        reasons.push(format!("{lost} packets or flows were not counted since the captures began"));
    }
    if let Some(span) = instead_of {
        let (since, until) = (format_rfc3339(span.since), format_rfc3339(span.until));
        reasons.push(format!("this is how it is now, not what was from {since} to {until}"));
    }
    reasons
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn everything_that_is_missing_is_said() {
        let text = "asked=3;answered=1;silent=host-3,a%1b;truncated=1;sampled=1;lost=7;instead-of=0,300000";
        let coverage = coverage_of_text(text).unwrap();
        assert_eq!(
            reasons(&coverage),
            [
                "1 of 3 sources answered (silent: host-3, a\u{1b})",
                "there is more than is shown",
                "made from a sample",
                "7 packets or flows were not counted since the captures began",
                "this is how it is now, not what was from 1970-01-01T00:00:00Z to 1970-01-01T00:05:00Z",
            ]
        );
        assert!(reasons(&Coverage::complete()).is_empty());
    }
}
