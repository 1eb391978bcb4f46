//! Layers paths and applications as numbers.
//!
//! Millions of flows have a few dozen paths. A record keeps two numbers; the texts are made once.

use hashbrown::HashMap;
use skydive_packet::{Layer, LayerKind};
use skydive_value::SmolStr;

/// Most different names that are kept; further ones are called `Other`. Hostile packets can make many paths.
const MAX: usize = u16::MAX as usize;

#[derive(Debug)]
pub(crate) struct Names {
    texts: Vec<SmolStr>,
    by_text: HashMap<SmolStr, u16>,
    by_kinds: HashMap<u128, (u16, u16)>,
    last: (u128, (u16, u16)),
}

impl Names {
    pub(crate) fn new() -> Self {
        let mut names =
            Self { texts: Vec::new(), by_text: HashMap::new(), by_kinds: HashMap::new(), last: (0, (0, 0)) };
        names.number("Other");
        names
    }

    pub(crate) fn text(&self, number: u16) -> &SmolStr {
        static NONE: SmolStr = SmolStr::new_static("");
        self.texts.get(usize::from(number)).unwrap_or(&NONE)
    }

    /// All texts, each at its number.
    pub(crate) fn texts(&self) -> &[SmolStr] {
        &self.texts
    }

    /// The number of a text.
    pub(crate) fn number(&mut self, text: &str) -> u16 {
        if let Some(number) = self.by_text.get(text) {
            return *number;
        }
        if self.texts.len() == MAX {
            return 0;
        }
        let number = self.texts.len() as u16;
        self.texts.push(text.into());
        self.by_text.insert(text.into(), number);
        number
    }

    /// The numbers of the path of some layers and of the innermost one's name.
    pub(crate) fn of_layers(&mut self, layers: &[Layer]) -> (u16, u16) {
        // Sixteen kinds of a byte each are told apart without making the text; deeper stacks are rare.
        if layers.len() > size_of::<u128>() {
            return self.of_text(layers);
        }
        let kinds = layers.iter().fold(0, |kinds, layer| kinds << 8 | (layer.kind as u128 + 1));
        if self.last.0 == kinds && kinds != 0 {
            return self.last.1;
        }
        let numbers = match self.by_kinds.get(&kinds) {
            Some(numbers) => *numbers,
            None => self.of_text(layers),
        };
        if self.by_kinds.len() < MAX {
            self.by_kinds.insert(kinds, numbers);
        }
        self.last = (kinds, numbers);
        numbers
    }

    /// As [`Names::of_layers`], for a packet whose layer at `cut` came in fragments: its path says so.
    pub(crate) fn of_rebuilt(&mut self, layers: &[Layer], cut: usize) -> (u16, u16) {
        let mut names: Vec<&str> = layers.iter().filter_map(|layer| layer.kind.path_name()).collect();
        let nameless = layers.iter().take(cut).filter(|layer| layer.kind.path_name().is_none()).count();
        names.insert((cut + 1 - nameless).min(names.len()), LayerKind::Fragment.name());
        (self.number(&names.join("/")), self.number(names.last().copied().unwrap_or_default()))
    }

    fn of_text(&mut self, layers: &[Layer]) -> (u16, u16) {
        let names: Vec<&str> = layers.iter().filter_map(|layer| layer.kind.path_name()).collect();
        (self.number(&names.join("/")), self.number(names.last().copied().unwrap_or_default()))
    }
}
