//! Errors as reasons: one line for the other end of a connection, a status or a log.

use std::error::Error;

/// An error with its causes, without those that the text before them already tells.
pub fn reason(error: &(dyn Error + 'static)) -> String {
    let mut words = error.to_string();
    let mut cause = error.source();
    while let Some(error) = cause {
        let text = error.to_string();
        if !words.contains(&text) {
            words.push_str(": ");
            words.push_str(&text);
        }
        cause = error.source();
    }
    words
}

#[cfg(test)]
mod tests {
    use thiserror::Error;

    use super::*;

    #[derive(Debug, Error)]
    enum Fault {
        #[error("address in use")]
        Used,
        #[error("listen")]
        Listen(#[source] Box<Fault>),
        #[error("listen: {0}")]
        Pasted(#[source] Box<Fault>),
        #[error("analyzer")]
        Analyzer(#[source] Box<Fault>),
    }

    #[test]
    fn a_cause_is_told_once() {
        let used = || Box::new(Fault::Used);
        assert_eq!(reason(&Fault::Used), "address in use");
        for inner in [Fault::Listen(used()), Fault::Pasted(used())] {
            assert_eq!(reason(&Fault::Analyzer(Box::new(inner))), "analyzer: listen: address in use");
        }
    }
}
