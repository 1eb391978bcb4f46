//! The sources laid over each other: every key that was given, its value, and where it came from.
//!
//! Precedence: flag, then environment, then the last file, then the first. Deprecated names are replaced here, so that
//! nothing behind this module knows them.

use std::collections::{BTreeMap, BTreeSet};

use serde_json::Value as Json;

use super::alias::{self, ALIASES};
use super::keys::{self, KEYS, KeyDef, Kind};
use super::nearest::nearest;
use super::problem::{Origin, Problem};
use super::raw::Raw;
use super::source::{Source, Surroundings};
use super::tree::{self, Leaf};
use super::typed::{Typed, check};

/// A value that somebody gave.
#[derive(Clone, Debug)]
pub(crate) struct Setting {
    pub(crate) raw: Raw,
    /// The checked value; `None` when it does not fit or the key is not known.
    pub(crate) typed: Option<Typed>,
    pub(crate) origin: Origin,
}

/// A value given on the command line.
#[derive(Clone, Debug)]
pub(crate) struct FlagValue {
    pub(crate) key: &'static str,
    /// As typed, with its dashes.
    pub(crate) flag: &'static str,
    pub(crate) value: String,
}

/// Every key that was given.
#[derive(Default)]
pub(crate) struct Settings {
    given: BTreeMap<String, Setting>,
}

/// Variables with our prefix that are read elsewhere: by the client, or by the service files of the packages.
const OTHER_VARIABLES: &[&str] = &[
    "SKYDIVE_ANALYZER",
    "SKYDIVE_USERNAME",
    "SKYDIVE_PASSWORD",
    "SKYDIVE_TIMEOUT",
    "SKYDIVE_AGENT_OPTIONS",
    "SKYDIVE_ANALYZER_OPTIONS",
];

impl Settings {
    /// Lays the sources over each other and checks every value against its declaration.
    pub(crate) fn gather(
        sources: &[Source],
        flags: &[FlagValue],
        around: &Surroundings,
    ) -> (Self, Vec<Problem>) {
        let mut settings = Self::default();
        let mut problems = Vec::new();
        for source in sources {
            settings.add_file(source, &mut problems);
        }
        settings.add_variables(around, &mut problems);
        for flag in flags {
            settings.insert(flag.key.to_owned(), Raw::Text(flag.value.clone()), Origin::Flag(flag.flag));
        }
        let renamed = settings.replace_deprecated(&mut problems);
        settings.check(around, &renamed, &mut problems);
        (settings, problems)
    }

    /// The value of a key as given.
    pub(crate) fn given(&self, key: &str) -> Option<&Setting> {
        self.given.get(key)
    }

    /// The given keys that a declaration covers, in order.
    pub(crate) fn covered_by(&self, def: &'static KeyDef) -> impl Iterator<Item = (&str, &Setting)> {
        self.given
            .iter()
            .filter(move |(key, _)| keys::find(key).is_some_and(|found| found.name == def.name))
            .map(|(key, setting)| (key.as_str(), setting))
    }

    /// The names that users gave to the parts of a section, as `auth` has.
    pub(crate) fn names_under(&self, section: &str) -> BTreeSet<&str> {
        let prefix = format!("{section}.");
        self.given.keys().filter_map(|key| key.strip_prefix(&prefix)?.split('.').next()).collect()
    }

    /// Where the value of a key comes from.
    pub(crate) fn origin(&self, key: &str) -> Origin {
        self.given.get(key).map_or(Origin::Default, |setting| setting.origin.clone())
    }

    /// A key and where its value comes from, for errors of a value that cannot be used.
    pub(crate) fn locate(&self, key: &str) -> String {
        format!("`{key}` ({})", self.origin(key))
    }

    fn add_file(&mut self, source: &Source, problems: &mut Vec<Problem>) {
        let at = |line| Origin::File { path: source.path.clone(), line };
        let text = match &source.text {
            Ok(text) => text,
            Err(why) => {
                return problems.push(Problem::error(&at(None), "", format!("cannot be read: {why}")));
            }
        };
        let leaves = match tree::leaves(text) {
            Ok(leaves) => leaves,
            Err(error) => return problems.push(Problem::error(&at(error.line), "", error.why)),
        };
        self.add_leaves(leaves, |leaf| at((leaf.line > 0).then_some(leaf.line)), problems);
    }

    /// Adds the leaves of one source, which must not contradict each other.
    fn add_leaves(
        &mut self,
        leaves: Vec<Leaf>,
        origin_of: impl Fn(&Leaf) -> Origin,
        problems: &mut Vec<Problem>,
    ) {
        let mut seen: BTreeSet<String> = BTreeSet::new();
        for leaf in leaves {
            let origin = origin_of(&leaf);
            let is_chosen_by_user = keys::find(&leaf.key).is_some_and(|def| def.kind == Kind::Section);
            let is_empty_map = leaf.raw == Raw::Map(BTreeMap::new());
            if !is_chosen_by_user && (is_empty_map || leaf.raw == Raw::Null) {
                continue;
            }
            // An empty section takes nothing from what stands under it elsewhere.
            if is_empty_map && self.given.keys().any(|other| is_below(other, &leaf.key)) {
                continue;
            }
            let contradicted =
                seen.iter().find(|other| is_below(other, &leaf.key) || is_below(&leaf.key, other));
            if seen.contains(&leaf.key) {
                let text = "given twice, the last one counts";
                problems.push(Problem::warning(&origin, &leaf.key, text));
            } else if let Some(other) = contradicted {
                let text = format!("cannot stand beside {other}, the last one counts");
                problems.push(Problem::warning(&origin, &leaf.key, text));
            }
            if !is_empty_map {
                seen.insert(leaf.key.clone());
            }
            problems.extend(unknown_key(&leaf.key, &origin));
            self.insert(leaf.key, leaf.raw, origin);
        }
    }

    fn add_variables(&mut self, around: &Surroundings, problems: &mut Vec<Problem>) {
        let mut names: BTreeMap<String, (String, Option<Kind>)> = BTreeMap::new();
        for def in KEYS {
            let instances = def.instances(self.given.keys().map(String::as_str));
            for key in instances {
                // An exact name is declared before the pattern that covers it too.
                names.entry(variable(&key)).or_insert((key, Some(def.kind)));
            }
        }
        for old in alias::old_names() {
            names.entry(variable(old)).or_insert_with(|| (old.to_owned(), None));
        }
        for (name, value) in &around.variables {
            if value.is_empty() {
                continue;
            }
            let origin = Origin::Variable(name.clone());
            match names.get(name) {
                Some((key, Some(Kind::Section | Kind::SecretSection | Kind::Records))) => {
                    self.add_json(key, value, &origin, problems);
                }
                Some((key, _)) => self.insert(key.clone(), Raw::Text(value.clone()), origin),
                None if OTHER_VARIABLES.contains(&name.as_str()) || is_service_link(name) => {}
                None => problems.push(Problem::warning(
                    &origin,
                    "",
                    suggestion("unknown variable", name, names.keys().map(String::as_str)),
                )),
            }
        }
    }

    fn add_json(&mut self, key: &str, text: &str, origin: &Origin, problems: &mut Vec<Problem>) {
        match serde_json::from_str::<Json>(text) {
            Ok(json @ (Json::Object(_) | Json::Array(_))) => {
                self.add_leaves(tree::leaves_of(key, Raw::from(json), 0), |_| origin.clone(), problems);
            }
            Ok(_) => problems.push(Problem::error(origin, key, "a JSON object is expected here")),
            Err(error) => problems.push(Problem::error(origin, key, format!("not JSON: {error}"))),
        }
    }

    /// Sets a value; it replaces what stands above and below it, so that a section never has a value of its own.
    fn insert(&mut self, key: String, raw: Raw, origin: Origin) {
        self.given.retain(|other, _| !is_below(other, &key) && !is_below(&key, other));
        self.given.insert(key, Setting { raw, typed: None, origin });
    }

    /// Gives the new names that got their value from an old one.
    fn replace_deprecated(&mut self, problems: &mut Vec<Problem>) -> BTreeSet<&'static str> {
        let mut renamed = BTreeSet::new();
        for old in alias::old_names() {
            let Some(setting) = self.given.remove(old) else { continue };
            let (taken, free): (Vec<_>, Vec<_>) =
                alias::replacements(old).partition(|new| self.given.contains_key(*new));
            let news: Vec<String> = free.iter().map(|new| with_effect(new)).collect();
            let text = match (free.is_empty(), taken.is_empty()) {
                (true, _) => format!("deprecated and not used, because {} is given", taken.join(" and ")),
                (false, true) => format!("deprecated, use {}", news.join(", ")),
                (false, false) => {
                    format!("deprecated, use {}; not used for {}", news.join(", "), taken.join(", "))
                }
            };
            problems.push(Problem::warning(&setting.origin, old, text));
            for new in free {
                self.given.insert(new.to_owned(), setting.clone());
                renamed.insert(new);
            }
        }
        debug_assert!(
            ALIASES.iter().all(|(_, old)| !self.given.contains_key(*old)),
            "every old name is replaced"
        );
        renamed
    }

    /// Checks every value; the effect of `renamed` keys has been told.
    fn check(&mut self, around: &Surroundings, renamed: &BTreeSet<&str>, problems: &mut Vec<Problem>) {
        let services = |name: &str| around.service(name);
        for (key, setting) in &mut self.given {
            let Some(def) = keys::find(key) else { continue };
            let (typed, misfits) = check(def.kind, &setting.raw, &services);
            setting.typed = typed;
            for misfit in misfits {
                let text = if def.is_secret() { "the value does not fit".to_owned() } else { misfit.text };
                let mut problem = Problem::error(&setting.origin, key, text);
                problem.severity = misfit.severity;
                problems.push(problem);
            }
            if let Some(note) = def.effect.note().filter(|_| !renamed.contains(key.as_str())) {
                problems.push(Problem::note(&setting.origin, key, note));
            }
        }
    }
}

/// A new name, with a word on its effect where it has none.
fn with_effect(key: &str) -> String {
    match keys::find(key).and_then(|def| def.effect.note()) {
        Some(note) => format!("{key} ({note})"),
        None => key.to_owned(),
    }
}

/// Whether a key stands somewhere under a section.
fn is_below(key: &str, section: &str) -> bool {
    key.strip_prefix(section).is_some_and(|rest| rest.starts_with('.'))
}

/// The environment variable of a key.
pub(crate) fn variable(key: &str) -> String {
    format!("SKYDIVE_{}", key.to_uppercase().replace(['.', '-'], "_"))
}

/// The finding about a key that is not declared.
fn unknown_key(key: &str, origin: &Origin) -> Option<Problem> {
    if keys::find(key).is_some() || alias::replacements(key).next().is_some() {
        return None;
    }
    if keys::is_section(key) {
        return Some(Problem::error(origin, key, "is a section: keys are expected under it, not a value"));
    }
    // A key too short to fill a pattern is not near it either.
    let shaped: Vec<String> =
        KEYS.iter().map(|def| shape_like(def, key)).filter(|name| !name.contains('<')).collect();
    let known = shaped.iter().map(String::as_str).chain(alias::old_names());
    Some(Problem::warning(origin, key, suggestion("unknown key", key, known)))
}

/// The name of a declaration with the user's own words in place of `<word>` and `**`, so that only the rest is compared
/// and no pattern is ever suggested.
fn shape_like(def: &KeyDef, key: &str) -> String {
    let mut given = key.split('.');
    let mut shaped: Vec<&str> = Vec::new();
    for pattern in def.name.split('.') {
        if pattern == "**" {
            shaped.extend(given.by_ref());
            break;
        }
        match given.next() {
            Some(word) if pattern.starts_with('<') => shaped.push(word),
            _ => shaped.push(pattern),
        }
    }
    shaped.join(".")
}

/// What is wrong with a name, and the one that was probably meant.
pub(super) fn suggestion<'a>(what: &str, name: &str, known: impl Iterator<Item = &'a str>) -> String {
    match nearest(name, known) {
        Some(near) => format!("{what}, did you mean {near}?"),
        None => what.to_owned(),
    }
}

/// Variables that Kubernetes and Docker set for a service called `skydive-…`; nobody wrote them.
fn is_service_link(name: &str) -> bool {
    name.contains("_SERVICE_HOST")
        || name.contains("_SERVICE_PORT")
        || name.ends_with("_PORT")
        || name.contains("_PORT_")
}
