//! The configuration layer: files, environment and flags become one checked, typed configuration.
//!
//! Two stages. *Raw*: each source is flattened to dotted lower-case keys ([`tree`]), the sources are laid over each
//! other and every value keeps where it came from ([`settings`]). *Resolved*: the values are checked against the one
//! table of known keys ([`keys`]) and turned into plain structs ([`resolved`]) that the rest of the program reads.
//! Nothing here reads the process environment: it is handed in as [`Surroundings`].

mod address;
mod alias;
mod exposed;
pub(crate) mod keys;
mod nearest;
mod problem;
mod raw;
mod reference;
mod resolve;
mod resolved;
mod settings;
mod show;
mod source;
mod tree;
mod typed;

#[cfg(test)]
mod tests;

pub(crate) use address::Address;
pub(crate) use exposed::exposed;
pub(crate) use problem::{Problem, Severity};
pub(crate) use reference::reference;
pub(crate) use resolved::{Encoder, FlowProtocol, LogBackend, LogLevel, LogOutput, ProbeChoice, Resolved};
pub(crate) use settings::{FlagValue, Settings};
pub(crate) use show::show;
pub(crate) use source::{Source, Surroundings};

use resolve::resolve;

/// Everything that loading gave: the configuration, where its values came from, and what is wrong with them.
pub(crate) struct Loaded {
    /// The typed configuration. Where a value was wrong it holds the default, so check `problems` first.
    pub(crate) resolved: Resolved,
    /// The values as given, with their origins.
    pub(crate) settings: Settings,
    /// Everything worth telling, in the order of the sources.
    pub(crate) problems: Vec<Problem>,
}

impl Loaded {
    /// Whether a problem forbids to start.
    pub(crate) fn has_errors(&self) -> bool {
        self.problems.iter().any(|problem| problem.severity == Severity::Error)
    }
}

/// Loads the sources in order, then the environment, then the flags, and resolves the result.
pub(crate) fn load(sources: &[Source], flags: &[FlagValue], around: &Surroundings) -> Loaded {
    let (settings, mut problems) = Settings::gather(sources, flags, around);
    let (resolved, more) = resolve(&settings, around);
    // What is worse than without effect is told once.
    let has_worse = |note: &Problem| more.iter().any(|p| p.key == note.key && p.origin == note.origin);
    problems.retain(|problem| problem.severity > Severity::Note || !has_worse(problem));
    problems.extend(more);
    Loaded { resolved, settings, problems }
}
