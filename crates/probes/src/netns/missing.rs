//! What the search for namespaces could not see.

use skydive_value::SmolStr;

/// What is missing of the namespaces shown.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub(super) struct Missing {
    /// Whether the processes of others may not be looked at.
    pub(super) is_blind: bool,
    /// Processes whose namespace could not be seen.
    pub(super) hidden: usize,
    /// Why the processes were not looked at the last time.
    pub(super) processes: Option<SmolStr>,
    /// Why the names were not read the last time.
    pub(super) names: Option<SmolStr>,
}

impl Missing {
    /// Whether it is worth telling after `told`: the number of processes goes up and down all the time.
    pub(super) fn is_news_after(&self, told: &Self) -> bool {
        let (now, then) = (self.hidden, told.hidden);
        let is_other_size = now > then.saturating_mul(2) || then > now.saturating_mul(2);
        is_other_size || *self != Self { hidden: now, ..told.clone() }
    }

    /// For a human; `None` when nothing is missing.
    pub(super) fn why(&self) -> Option<SmolStr> {
        let hidden = match (self.is_blind, self.hidden) {
            (false, 0) => None,
            (true, 0) => Some(
                "CAP_SYS_PTRACE is missing: namespaces of other users' processes are not found".to_owned(),
            ),
            (true, count) => Some(format!(
                "CAP_SYS_PTRACE is missing: the namespaces of {count} processes may not be looked at"
            )),
            (false, count) => Some(format!("the namespaces of {count} processes may not be looked at")),
        };
        let all = [hidden.map(SmolStr::from), self.processes.clone(), self.names.clone()];
        let all: Vec<SmolStr> = all.into_iter().flatten().collect();
        (!all.is_empty()).then(|| all.join("; ").into())
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_number_of_hidden_processes_is_no_news_until_it_is_another_size() {
        let of = |hidden| Missing { hidden, ..Missing::default() };
        assert_eq!(of(0).why(), None);
        assert_eq!(of(7).why().as_deref(), Some("the namespaces of 7 processes may not be looked at"));
        for (then, now, is_news) in
            [(0, 0, false), (0, 1, true), (1, 0, true), (100, 120, false), (100, 201, true), (100, 49, true)]
        {
            assert_eq!(of(now).is_news_after(&of(then)), is_news, "{then} {now}");
        }
        let failed = Missing { processes: Some("x".into()), ..of(7) };
        assert!(failed.is_news_after(&of(7)) && of(7).is_news_after(&failed));
        assert!(failed.why().is_some_and(|why| why.ends_with("looked at; x")));
    }
}
