//! What may stand where the cursor is, by the description of the language and by the live graph.

use std::collections::BTreeSet;
use std::sync::Arc;

use serde_json::Value as Json;
use skydive_proto::{Language, PredicateShape, StepShape};

use super::cursor::{Call, Cursor, Place};
use super::live::{Elements, Live, quoted};
use super::session::ORDERS;

/// Completes for one analyzer.
pub(super) struct Candidates {
    language: Arc<Language>,
    live: Live,
}

/// Words for one place.
#[derive(Debug, Default, PartialEq, Eq)]
pub(super) struct Found {
    /// Byte from which on they take the place of what is written.
    pub(super) start: usize,
    pub(super) words: Vec<Word>,
}

#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) struct Word {
    pub(super) shown: String,
    pub(super) written: String,
}

/// What an argument is.
#[derive(Clone, Debug, PartialEq, Eq)]
enum Role {
    Key(Elements),
    /// A key, or one of these words before it.
    KeyOrWord(Elements, &'static [&'static str]),
    /// The value of a key, or a predicate of it.
    Value(Elements, String),
    /// The value of a key, inside of a predicate.
    Compared(Elements, String),
    /// One of these words, or a predicate.
    Word(&'static [&'static str]),
    Predicate(&'static str),
}

/// Kinds of results, as the language names them.
mod kind {
    pub(super) const GRAPH: &str = "graph";
    pub(super) const EDGES: &str = "edges";
}

/// What a query begins with.
const GRAPH: &str = "G";
const HELP: &str = "help ";
const VALUES: [&str; 2] = ["true", "false"];

impl Candidates {
    pub(super) fn new(language: Arc<Language>, live: Live) -> Self {
        Self { language, live }
    }

    /// The graph may have changed.
    pub(super) fn forget(&self) {
        self.live.forget();
    }

    /// The words that go on from `before`; `after` is what stands behind the cursor.
    pub(super) fn at(&self, before: &str, after: &str) -> Found {
        if let Some(topic) = before.trim_start().strip_prefix(HELP) {
            let words = self.topics().filter(|name| begins(name, topic)).map(Word::plain).collect();
            return Found { start: before.len() - topic.len(), words };
        }
        let Some(cursor) = Cursor::find(before) else { return Found::default() };
        let mut words = match &cursor.place {
            Place::Begin => begin(&cursor.word),
            Place::Step(steps) => self.steps(self.kind(steps), &cursor.word),
            Place::Argument { before, calls } => match self.role(before, calls) {
                Some(role) => self.arguments(&role, &cursor),
                None => Vec::new(),
            },
        };
        // What is closed already is not closed once more.
        let closing = cursor.quote.or(if cursor.word.is_empty() { None } else { Some('(') });
        if let Some(closing) = closing.filter(|closing| after.starts_with(*closing)) {
            for word in &mut words {
                word.written.truncate(word.written.rfind(closing).unwrap_or(word.written.len()));
            }
        }
        Found { start: cursor.start, words }
    }

    fn topics(&self) -> impl Iterator<Item = &str> {
        let steps = self.language.steps.iter().map(|step| step.name.as_str());
        steps.chain(self.language.predicates.iter().map(|predicate| predicate.name.as_str()))
    }

    /// The kind of result that steps give; `None` when that cannot be told.
    fn kind(&self, steps: &[String]) -> Option<&str> {
        let (first, rest) = steps.split_first()?;
        let start = first.eq_ignore_ascii_case(GRAPH).then_some(kind::GRAPH);
        rest.iter().fold(start, |kind, step| self.step(step)?.gives(kind?))
    }

    fn steps(&self, kind: Option<&str>, word: &str) -> Vec<Word> {
        let fits = |step: &&StepShape| kind.is_none_or(|kind| step.gives(kind).is_some());
        let steps = self.language.steps.iter().filter(fits).filter(|step| begins(&step.name, word));
        let mut words: Vec<Word> = steps
            .map(|step| {
                let end = match (step.called, step.arguments.is_empty()) {
                    (false, _) => "",
                    (true, true) => "()",
                    (true, false) => "(",
                };
                Word::plain(&format!("{}{end}", step.name))
            })
            .collect();
        words.sort_unstable_by(|one, other| one.written.cmp(&other.written));
        words
    }

    fn step(&self, name: &str) -> Option<&StepShape> {
        self.language.steps.iter().find(|step| step.name.eq_ignore_ascii_case(name))
    }

    fn predicate(&self, name: &str) -> Option<&PredicateShape> {
        self.language.predicates.iter().find(|predicate| predicate.name.eq_ignore_ascii_case(name))
    }

    /// What the argument at the cursor is.
    fn role(&self, before: &[String], calls: &[Call]) -> Option<Role> {
        let (outer, inner) = calls.split_first()?;
        let step = self.step(&outer.name)?;
        let after = self.kind(before);
        let elements = elements(step, after, outer.given.len());
        let Some(call) = inner.last() else { return slot(step, outer, elements) };
        let predicate = self.predicate(&call.name)?;
        if predicate.takes == "conditions" {
            return Some(condition(call, elements));
        }
        let around = inner.len().checked_sub(2).map_or(outer, |at| &inner[at]);
        let key = around.given.last()?.clone()?;
        Some(Role::Compared(elements, key))
    }

    fn arguments(&self, role: &Role, cursor: &Cursor) -> Vec<Word> {
        let mut found = Vec::new();
        let bare =
            |word: &str| (cursor.quote.is_none() && begins(word, &cursor.word)).then(|| Word::plain(word));
        match role {
            Role::Key(elements) | Role::KeyOrWord(elements, _) => {
                if let Role::KeyOrWord(_, words) = role {
                    found.extend(words.iter().filter_map(|word| bare(word)));
                }
                let keys = self.live.keys(*elements);
                found.extend(keys.iter().filter_map(|key| key_text(key, cursor)));
            }
            Role::Value(elements, key) | Role::Compared(elements, key) => {
                // Without a quote it may be a number.
                let is_text = cursor.quote.is_some() || cursor.word.starts_with(char::is_alphabetic);
                let begin = is_text.then_some(cursor.word.as_str()).filter(|begin| !begin.is_empty());
                for value in self.live.values(*elements, key, begin) {
                    found.extend(match &value {
                        Json::String(value) => text(value, cursor),
                        other => bare(&other.to_string()),
                    });
                }
                if matches!(role, Role::Value(..)) {
                    let predicates = self.language.predicates.iter();
                    let predicates = predicates.filter(|predicate| predicate.takes != "conditions");
                    found.extend(predicates.filter_map(|predicate| bare(&format!("{}(", predicate.name))));
                    // They come among the values where the key has them.
                    if !cursor.word.is_empty() {
                        found.extend(VALUES.iter().filter_map(|word| bare(word)));
                    }
                }
            }
            Role::Word(words) => found.extend(words.iter().filter_map(|word| bare(word))),
            Role::Predicate(name) => found.extend(bare(name)),
        }
        let mut seen = BTreeSet::new();
        found.retain(|word| seen.insert(word.written.clone()));
        found
    }
}

/// The steps that may follow.
trait Gives {
    fn gives(&self, after: &str) -> Option<&str>;
}

impl Gives for StepShape {
    fn gives(&self, after: &str) -> Option<&str> {
        self.on.iter().find(|place| place.after == after).map(|place| place.gives.as_str())
    }
}

fn begin(word: &str) -> Vec<Word> {
    let graph = [Word { shown: GRAPH.to_owned(), written: format!("{GRAPH}.") }];
    let orders = ORDERS.iter().map(|(order, _)| Word::plain(order));
    graph.into_iter().chain(orders).filter(|found| begins(&found.written, word)).collect()
}

/// The elements whose fields the arguments of a step are about.
fn elements(step: &StepShape, after: Option<&str>, position: usize) -> Elements {
    let takes = |slot: &str| step.arguments.iter().any(|argument| argument == slot);
    let gives = after.and_then(|after| step.gives(after));
    let is_of_edges = if takes("metadata") {
        // What the target has, then what the edges on the way have.
        position > 0
    } else if takes("depth") {
        true
    } else if takes("conditions") {
        // What is chosen from: the edges between elements, if it is a graph.
        matches!(gives, Some(kind::EDGES | kind::GRAPH))
    } else {
        after == Some(kind::EDGES)
    };
    if is_of_edges { Elements::Edges } else { Elements::Nodes }
}

/// What stands at the next place among the arguments of a step.
fn slot(step: &StepShape, call: &Call, elements: Elements) -> Option<Role> {
    const ORDER: &[&str] = &["ASC", "DESC"];
    let position = call.given.len();
    let last = step.arguments.last()?;
    let slot = step.arguments.get(position).unwrap_or(last);
    if step.arguments.iter().any(|argument| argument == "conditions") {
        return Some(condition(call, elements));
    }
    match slot.as_str() {
        "key" if position < step.arguments.len() => Some(Role::Key(elements)),
        "keys" => Some(Role::Key(elements)),
        "order" => Some(Role::KeyOrWord(elements, ORDER)),
        "time" => Some(Role::Word(&["NOW"])),
        "duration" => Some(Role::Word(&["FOREVER"])),
        "metadata" => Some(Role::Predicate("Metadata(")),
        _ => None,
    }
}

/// Keys and values take turns.
fn condition(call: &Call, elements: Elements) -> Role {
    match call.given.last() {
        Some(Some(key)) if call.given.len() % 2 == 1 => Role::Value(elements, key.clone()),
        _ => Role::Key(elements),
    }
}

/// The name of a field likewise, up to its next dot: the hundreds below some fields would hide the others.
fn key_text(key: &str, cursor: &Cursor) -> Option<Word> {
    let rest = key.get(cursor.word.len()..)?;
    let Some(dot) = rest.find('.') else { return text(key, cursor) };
    let group = &key[..=cursor.word.len() + dot];
    let mut word = text(group, cursor)?;
    // It is not closed: more is to come.
    word.written.pop();
    Some(word)
}

/// A text as an argument, if what is written is its beginning.
fn text(text: &str, cursor: &Cursor) -> Option<Word> {
    let written = || quoted(text, cursor.quote);
    begins(text, &cursor.word).then(|| Word { shown: text.to_owned(), written: written() })
}

/// Names of the language may be written in any case, and what is in the graph is found that way too.
fn begins(name: &str, written: &str) -> bool {
    name.get(..written.len()).is_some_and(|begin| begin.eq_ignore_ascii_case(written))
}

impl Word {
    fn plain(text: &str) -> Self {
        Self { shown: text.to_owned(), written: text.to_owned() }
    }
}

#[cfg(test)]
mod tests {
    use skydive_client::{Endpoint, Rest};
    use tokio::runtime::{Builder, Runtime};

    use super::*;

    /// Candidates without a graph: nobody answers there.
    fn candidates() -> (Runtime, Candidates) {
        let runtime = Builder::new_multi_thread().worker_threads(1).enable_all().build().unwrap();
        let live = Live::new(Rest::new(Endpoint::new("127.0.0.1", 0)).unwrap(), runtime.handle().clone());
        (runtime, Candidates::new(Arc::new(skydive_api::language()), live))
    }

    #[test]
    fn steps_are_those_that_may_follow() {
        let (_runtime, candidates) = candidates();
        let at = |before: &str| {
            let found = candidates.at(before, "");
            let written: Vec<String> = found.words.into_iter().map(|word| word.written).collect();
            (found.start, written.join(" "))
        };
        let all = |start, words: &str| (start, words.to_owned());
        assert_eq!(at(""), all(0, "G. help \\json quit"));
        assert_eq!(at("g"), all(0, "G."));
        assert_eq!(at("\\"), all(0, "\\json"));
        assert_eq!(at("help sho"), all(5, "ShortestPathTo"));
        assert_eq!(at("G."), all(2, "At( Context( E( Flows( V("));
        assert_eq!(at("G.V().Has('a','b').ou"), all(19, "Out( OutE("));
        assert_eq!(at("G.V().OutE().OutV().coun"), all(20, "Count()"));
        assert_eq!(at("G.V().Count()."), all(14, ""));
        assert_eq!(at("G.V().Nonsense().Ha").1, "Has( HasEither( HasKey( HasNot(");
        assert_eq!(at("G.V().Has('Name', Ne"), all(18, "Ne( Nee("));
        assert_eq!(at("G.V().Has('Name', tr"), all(18, "true"));
        assert_eq!(at("G.V().Sort(D"), all(11, "DESC"));
        assert_eq!(at("G.V().ShortestPathTo("), all(21, "Metadata("));
        assert_eq!(at("G.V('x"), all(5, ""));
        // The attributes are there whatever the graph has.
        assert_eq!(at("G.V().Has('@i"), all(11, "@ID'"));
        assert_eq!(at("G.E().Has(par"), all(10, "'Parent'"));
        assert_eq!(at("G.V().OutE('Par"), all(12, "Parent'"));
        assert_eq!(at("G.V().Out('Par"), all(11, ""));
        assert_eq!(at("G.V().Values('@H"), all(14, "@Host'"));
    }

    #[test]
    fn fields_below_a_field_wait_for_its_dot() {
        let at = |text: &str, key: &str| key_text(key, &Cursor::find(text).unwrap()).map(|word| word.written);
        assert_eq!(at("G.V().Has('Fe", "Features.rx.all").as_deref(), Some("Features."));
        assert_eq!(at("G.V().Has(Fe", "Features.rx.all").as_deref(), Some("'Features."));
        assert_eq!(at("G.V().Has('Features.", "Features.rx.all").as_deref(), Some("Features.rx."));
        assert_eq!(at("G.V().Has('features.rx.a", "Features.rx.all").as_deref(), Some("Features.rx.all'"));
        assert_eq!(at("G.V().Has('x", "Features.rx.all"), None);
    }

    #[test]
    fn what_is_closed_already_is_not_closed_again() {
        let (_runtime, candidates) = candidates();
        let at = |before: &str, after: &str| candidates.at(before, after).words.remove(0).written;
        assert_eq!(at("G.V().Has('@i", "')"), "@ID");
        assert_eq!(at("G.V().Has('@i", "xx"), "@ID'");
        assert_eq!(at("G.V().HasN", "('a')"), "HasNot");
    }

    #[test]
    fn arguments_have_their_roles() {
        let (_runtime, candidates) = candidates();
        let role = |text: &str| match Cursor::find(text)?.place {
            Place::Argument { before, calls } => candidates.role(&before, &calls),
            _ => None,
        };
        let key = |text: &str| text.to_owned();
        assert_eq!(role("G.V().Has("), Some(Role::Key(Elements::Nodes)));
        assert_eq!(role("G.V().Has('a', "), Some(Role::Value(Elements::Nodes, key("a"))));
        assert_eq!(role("G.E().Has('a', 1, 'b', "), Some(Role::Value(Elements::Edges, key("b"))));
        assert_eq!(role("G.V().Has('a', Within('x', "), Some(Role::Compared(Elements::Nodes, key("a"))));
        assert_eq!(role("G.V().SubGraph("), Some(Role::Key(Elements::Edges)));
        assert_eq!(role("G.V().Descendants("), Some(Role::Key(Elements::Edges)));
        assert_eq!(role("G.V().ShortestPathTo(Metadata('a', "), Some(Role::Value(Elements::Nodes, key("a"))));
        let second = "G.V().ShortestPathTo(Metadata('a', 'b'), Metadata(";
        assert_eq!(role(second), Some(Role::Key(Elements::Edges)));
        assert_eq!(role("G.V().Dedup('a', "), Some(Role::Key(Elements::Nodes)));
        assert_eq!(role("G.V().Values('a', "), None);
        assert_eq!(role("G.V().Limit("), None);
        assert_eq!(role("G.V().Nonsense("), None);
    }
}
