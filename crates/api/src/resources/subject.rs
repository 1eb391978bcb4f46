//! What the operations of a collection say of themselves.

use skydive_proto::{Example, Shape, YAML, header, media};

use crate::openapi::{Operation, RESOURCES};

/// What a collection holds, in words and shapes.
pub(crate) struct Subject {
    /// The name of one.
    pub(crate) one: &'static str,
    /// The name of several.
    pub(crate) many: &'static str,
    /// What one is.
    pub(crate) about: &'static str,
    /// How one is told.
    pub(crate) told: Shape,
    /// What makes one.
    pub(crate) wanted: Shape,
    pub(crate) examples: Vec<Example>,
    pub(crate) life: Life,
}

/// Where the members of a collection live.
pub(crate) enum Life {
    /// In the store: they have a time to live, and no patch changes them.
    Stored,
    /// The same, and of two that are alike one is refused.
    StoredOnce,
    /// In the graph; with a patch.
    InGraph(Example),
}

const PATCH: &str = "application/json-patch+json";
const TTL: &str =
    "Deletes it after this time: numbers with the units `h`, `m`, `s`, `ms`, `us`, `ns`; 0 is never.";
const NOT_SERVED: &str = "What keeps it does not serve now";
const NO_UTF8: &str = "The id is no UTF-8";

impl Subject {
    pub(super) fn listed(&self, name: &str) -> Operation {
        let Self { many, about, .. } = self;
        Operation::new(RESOURCES, format!("list_{name}"), format!("All {many}"))
            .about(*about)
            .answer(200, format!("All {many} by id"), media::JSON, self.told.clone().by_id())
            .refusal(503, NOT_SERVED)
    }

    pub(super) fn made(&self, name: &str) -> Operation {
        let one = with_article(self.one);
        let about =
            "Names of members may be in any case, unknown ones are skipped, and `null` is as good as absent.";
        let mut operation = Operation::new(RESOURCES, format!("create_{name}"), format!("Make {one}"))
            .about(format!("{} {about}", self.about))
            .body(media::JSON, self.wanted.clone())
            .examples(media::JSON, self.examples.clone())
            .body(YAML, self.wanted.clone())
            .yaml_examples(YAML, &self.examples)
            .answer(201, format!("The {} as it is kept", self.one), media::JSON, self.told.clone())
            .refusal(400, "What is wrong with it")
            .refusal(503, NOT_SERVED);
        if let Life::Stored | Life::StoredOnce = self.life {
            operation = operation.header_of(header::RESOURCE_TTL, TTL, DURATION, "1h30m");
        }
        if let Life::StoredOnce = self.life {
            operation = operation.refusal(409, "There is one that does the same");
        }
        operation
    }

    pub(super) fn found(&self, name: &str) -> Operation {
        self.of_one(format!("get_{name}"), "The")
            .answer(200, format!("The {}", self.one), media::JSON, self.told.clone())
            .refusal(400, NO_UTF8)
            .refusal(404, "There is none")
            .refusal(503, NOT_SERVED)
    }

    pub(super) fn patched(&self, name: &str) -> Operation {
        let operation = self
            .of_one(format!("patch_{name}"), "Change the")
            .body(PATCH, Shape::json_patch())
            .refusal(400, "What is wrong with the patch, or with what it makes")
            .empty(404, "There is none")
            .refusal(503, NOT_SERVED);
        match &self.life {
            Life::Stored | Life::StoredOnce => {
                operation.about("Refused: what is of this kind cannot be changed.")
            }
            Life::InGraph(example) => operation
                .about("Changes `Metadata`; what concerns anything else, or who it is, is passed over.")
                .examples(PATCH, vec![example.clone()])
                .answer(200, format!("The {} after it", self.one), media::JSON, self.told.clone())
                .empty(304, "The patch changes nothing"),
        }
    }

    pub(super) fn removed(&self, name: &str) -> Operation {
        self.of_one(format!("delete_{name}"), "Delete the")
            .answer(200, "It is gone; nothing more is said", "text/plain", Shape::text())
            .refusal(400, NO_UTF8)
            .refusal(404, "There is none")
            .refusal(503, NOT_SERVED)
    }

    fn of_one(&self, id: String, verb: &str) -> Operation {
        Operation::new(RESOURCES, id, format!("{verb} {}", self.one)).path(
            "id",
            "All that follows in the path, slashes too.",
            "tor1",
        )
    }
}

/// What the reader of times to live reads, but for other spellings of `us`.
const DURATION: &str = r"^(\+?(0|(([0-9]+(\.[0-9]*)?|\.[0-9]+)(ns|us|ms|s|m|h))+))?$";

fn with_article(noun: &str) -> String {
    let article = if noun.starts_with(['a', 'e', 'i', 'o', 'u']) { "an" } else { "a" };
    format!("{article} {noun}")
}
