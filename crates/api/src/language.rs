//! The query language as it is served: from the tables that parse it.

use skydive_proto::{Language, Place, PredicateShape, StepShape};
use skydive_query::{PREDICATES, STEPS, WORDS};

/// Every step, predicate and word, for `GET /api/query/steps`.
pub fn language() -> Language {
    let steps = STEPS.iter().map(|step| StepShape {
        name: step.name.to_owned(),
        about: step.about.to_owned(),
        called: step.is_called(),
        on: step
            .on
            .iter()
            .map(|(after, gives)| Place { after: after.to_string(), gives: gives.to_string() })
            .collect(),
        arguments: step.args.iter().map(|slot| slot.name().to_owned()).collect(),
    });
    let predicates = PREDICATES.iter().map(|predicate| PredicateShape {
        name: predicate.name.to_owned(),
        about: predicate.about.to_owned(),
        takes: predicate.takes.name().to_owned(),
    });
    let words = WORDS.iter().map(|(word, _)| (*word).to_owned());
    Language { steps: steps.collect(), predicates: predicates.collect(), words: words.collect() }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_whole_language_is_described() {
        let language = language();
        assert_eq!(language.steps.len(), STEPS.len());
        let has = language.steps.iter().find(|step| step.name == "Has").unwrap();
        assert_eq!(has.arguments, ["conditions"]);
        assert!(has.called && has.on.iter().any(|place| place.after == "nodes" && place.gives == "nodes"));
        assert!(language.steps.iter().any(|step| !step.called));
        assert!(language.predicates.iter().any(|p| p.name == "Between" && p.takes == "two values"));
        assert!(language.words.contains(&"FOREVER".to_owned()));
    }
}
