//! Layers paths and applications as numbers.
//!
//! Millions of flows have a few dozen paths. A record keeps two numbers; the texts are made once. Whoever sends
//! packets chooses their headers and can make as many paths as flows, so:
//!
//! - the numbers of paths that no flow has any more are used again;
//! - long paths ([`is_plain`]) get at most half of the numbers. What does not fit is named by its first two layers and
//!   its last, as in `Ethernet/IPv6/Other/UDP`, and counted. Short paths and those are so few that there is always
//!   room for them.
//!
//! Applications are layers or configured, thus few; they stay.

use std::time::Duration;

use hashbrown::HashMap;
use skydive_packet::{Layer, LayerKind};
use skydive_value::SmolStr;

#[derive(Debug)]
pub(crate) struct Names {
    names: Vec<Name>,
    free: Vec<u16>,
    by_text: HashMap<SmolStr, u16>,
    by_kinds: HashMap<u128, (u16, u16)>,
    last: (u128, (u16, u16)),
    /// Names that are not plain.
    long: usize,
    /// Names that nobody uses.
    idle: usize,
    /// Flows whose path was too much.
    folded: u64,
    timeouts: HashMap<SmolStr, Duration>,
}

#[derive(Debug)]
struct Name {
    text: SmolStr,
    /// Flows with this path, and one for a name that stays.
    users: u32,
    stays: bool,
    long: bool,
    /// How long flows of this application may be idle, in nanoseconds; 0 without a limit.
    timeout: i64,
}

/// Most different names at a time.
const MAX: usize = u16::MAX as usize;
/// Those of them that may be long.
const MAX_LONG: usize = MAX / 2;
/// Stacks whose names are found without making the text.
const MAX_STACKS: usize = 8192;
/// Names that nobody uses are looked for when there are so many: each search looks at all.
const WORTH_A_SEARCH: usize = MAX / 16;
/// Layers of a plain path.
const PLAIN: usize = 5;
const OTHER: &str = "Other";

impl Names {
    pub(crate) fn new(timeouts: &HashMap<SmolStr, Duration>) -> Self {
        let mut names = Self {
            names: Vec::new(),
            free: Vec::new(),
            by_text: HashMap::new(),
            by_kinds: HashMap::new(),
            last: (0, (0, 0)),
            long: 0,
            idle: 0,
            folded: 0,
            timeouts: timeouts.clone(),
        };
        names.application(OTHER);
        names
    }

    pub(crate) fn text(&self, number: u16) -> &SmolStr {
        static NONE: SmolStr = SmolStr::new_static("");
        self.names.get(usize::from(number)).map_or(&NONE, |name| &name.text)
    }

    /// How long flows of an application may be idle, in nanoseconds.
    #[inline]
    pub(crate) fn timeout(&self, number: u16) -> Option<i64> {
        self.names.get(usize::from(number)).map(|name| name.timeout).filter(|nanos| *nanos > 0)
    }

    /// Flows whose path was too much.
    pub(crate) fn folded(&self) -> u64 {
        self.folded
    }

    /// The number of an application.
    pub(crate) fn application(&mut self, text: &str) -> u16 {
        let number = match self.by_text.get(text) {
            Some(number) => *number,
            None if self.is_full(false) => return 0,
            None => self.add(text, false),
        };
        let timeout = self.configured(text);
        if let Some(name) = self.names.get_mut(usize::from(number)).filter(|name| !name.stays) {
            (name.stays, name.timeout) = (true, timeout);
            self.take(number);
        }
        number
    }

    /// One flow less has a path.
    pub(crate) fn give(&mut self, number: u16) {
        if let Some(name) = self.names.get_mut(usize::from(number)) {
            name.users = name.users.saturating_sub(1);
            self.idle += usize::from(name.users == 0);
        }
    }

    /// No flow has any path.
    pub(crate) fn give_all(&mut self) {
        for name in &mut self.names {
            name.users = name.stays.into();
        }
        self.idle = self.names.iter().filter(|name| name.users == 0 && !name.text.is_empty()).count();
    }

    /// The numbers of the path of some layers and of the innermost one's name, for one flow more.
    pub(crate) fn of_layers(&mut self, layers: &[Layer]) -> (u16, u16) {
        // Sixteen kinds of a byte each are told apart without making the text; deeper stacks are rare.
        if layers.len() > size_of::<u128>() {
            let names: Vec<&str> = layers.iter().filter_map(|layer| layer.kind.path_name()).collect();
            return self.of_texts(&names, is_plain(layers)).0;
        }
        let kinds = layers.iter().fold(0, |kinds, layer| kinds << 8 | (layer.kind as u128 + 1));
        let latest = (self.last.0 == kinds && kinds != 0).then_some(self.last.1);
        let known = latest.or_else(|| self.by_kinds.get(&kinds).copied());
        let numbers = match known {
            Some(numbers) => {
                self.take(numbers.0);
                numbers
            }
            None => {
                let names: Vec<&str> = layers.iter().filter_map(|layer| layer.kind.path_name()).collect();
                let (numbers, folded) = self.of_texts(&names, is_plain(layers));
                if folded {
                    return numbers;
                }
                if self.by_kinds.len() >= MAX_STACKS {
                    self.by_kinds.clear();
                }
                self.by_kinds.insert(kinds, numbers);
                numbers
            }
        };
        self.last = (kinds, numbers);
        numbers
    }

    /// As [`Names::of_layers`], for a packet whose layer at `cut` came in fragments: its path says so.
    pub(crate) fn of_rebuilt(&mut self, layers: &[Layer], cut: usize) -> (u16, u16) {
        let mut names: Vec<&str> = layers.iter().filter_map(|layer| layer.kind.path_name()).collect();
        let nameless = layers.iter().take(cut).filter(|layer| layer.kind.path_name().is_none()).count();
        names.insert((cut + 1 - nameless).min(names.len()), LayerKind::Fragment.name());
        self.of_texts(&names, is_plain(layers)).0
    }

    /// The numbers, and whether it is not the whole path.
    fn of_texts(&mut self, names: &[&str], plain: bool) -> ((u16, u16), bool) {
        let application = self.application(names.last().copied().unwrap_or_default());
        let text = names.join("/");
        let known = self.by_text.get(text.as_str()).copied();
        let whole = known.or_else(|| self.has_room(!plain).then(|| self.add(&text, !plain)));
        if whole.is_none() {
            self.folded += 1;
        }
        let path = whole.or_else(|| {
            let [first, second, .., last] = names else { return None };
            let text = [first, second, OTHER, last].join("/");
            let known = self.by_text.get(text.as_str()).copied();
            known.or_else(|| self.has_room(false).then(|| self.add(&text, false)))
        });
        self.take(path.unwrap_or_default());
        ((path.unwrap_or_default(), application), whole.is_none())
    }

    fn take(&mut self, number: u16) {
        if let Some(name) = self.names.get_mut(usize::from(number)) {
            self.idle -= usize::from(name.users == 0);
            name.users += 1;
        }
    }

    fn configured(&self, application: &str) -> i64 {
        // Configuration keys have no case.
        let found = self.timeouts.iter().find(|(key, _)| key.eq_ignore_ascii_case(application));
        found.and_then(|(_, timeout)| i64::try_from(timeout.as_nanos()).ok()).unwrap_or_default()
    }

    fn is_full(&self, long: bool) -> bool {
        long && self.long >= MAX_LONG || self.names.len() - self.free.len() >= MAX
    }

    fn has_room(&mut self, long: bool) -> bool {
        if self.is_full(long) && self.idle >= WORTH_A_SEARCH {
            self.forget_idle();
        }
        !self.is_full(long)
    }

    /// Adds a text that is not there, used by nobody yet.
    fn add(&mut self, text: &str, long: bool) -> u16 {
        let text = SmolStr::from(text);
        let name = Name { text: text.clone(), users: 0, stays: false, long, timeout: 0 };
        self.long += usize::from(long);
        self.idle += 1;
        let number = match self.free.pop() {
            Some(number) => {
                self.names[usize::from(number)] = name;
                number
            }
            None => {
                self.names.push(name);
                (self.names.len() - 1) as u16
            }
        };
        self.by_text.insert(text, number);
        number
    }

    #[cold]
    fn forget_idle(&mut self) {
        for (number, name) in (0..).zip(&mut self.names) {
            // A number that is free has no text under which it could be found.
            if name.users == 0 && self.by_text.get(&name.text) == Some(&number) {
                self.by_text.remove(&name.text);
                self.long -= usize::from(name.long);
                name.text = SmolStr::default();
                self.free.push(number);
            }
        }
        self.idle = 0;
        self.by_kinds.clear();
        self.last = (0, (0, 0));
    }
}

/// Whether a path is one of few: short, and with one extension header at most. Of the headers that may follow each
/// other in any order, five layers are not enough to make more than some thousand paths.
fn is_plain(layers: &[Layer]) -> bool {
    let extensions = layers.iter().filter(|layer| {
        matches!(
            layer.kind,
            LayerKind::IPv6HopByHop
                | LayerKind::IPv6Routing
                | LayerKind::IPv6Fragment
                | LayerKind::IPv6Destination
                | LayerKind::IPSecAH
        )
    });
    layers.len() <= PLAIN && extensions.count() <= 1
}

#[cfg(test)]
mod tests {
    use super::*;

    const TCP: [LayerKind; 3] = [LayerKind::Ethernet, LayerKind::IPv6, LayerKind::TCP];

    fn stack(kinds: impl IntoIterator<Item = LayerKind>) -> Vec<Layer> {
        kinds.into_iter().map(|kind| Layer { start: 0, end: 0, header: 0, kind }).collect()
    }

    /// Another stack of extension headers for each number.
    fn hostile(number: usize) -> Vec<Layer> {
        let extensions = [LayerKind::IPv6HopByHop, LayerKind::IPv6Routing, LayerKind::IPv6Destination];
        let chosen = (0..11).map(|place| extensions[number / 3_usize.pow(place) % 3]);
        stack([LayerKind::Ethernet, LayerKind::IPv6].into_iter().chain(chosen).chain([LayerKind::UDP]))
    }

    fn names() -> Names {
        Names::new(&HashMap::new())
    }

    #[test]
    fn hostile_stacks_take_no_names_from_others() {
        let mut names = names();
        for number in 0..100_000 {
            names.of_layers(&hostile(number));
        }
        assert_eq!(names.folded(), (100_000 - MAX_LONG) as u64);
        let (path, application) = names.of_layers(&stack(TCP));
        assert_eq!(
            (names.text(path).as_str(), names.text(application).as_str()),
            ("Ethernet/IPv6/TCP", "TCP")
        );
        let (path, application) = names.of_layers(&hostile(177_000));
        assert_eq!(names.text(path), "Ethernet/IPv6/Other/UDP");
        assert_eq!(names.text(application), "UDP");
    }

    #[test]
    fn names_of_flows_that_ended_are_used_again() {
        let mut names = names();
        let known: Vec<u16> = (0..100_000).map(|number| names.of_layers(&hostile(number)).0).collect();
        let kept = names.of_layers(&stack(TCP)).0;
        for number in known {
            names.give(number);
        }
        for number in 100_000..130_000 {
            let (path, _) = names.of_layers(&hostile(number));
            assert_eq!(names.text(path).split('/').count(), 14);
        }
        assert_eq!(names.folded(), (100_000 - MAX_LONG) as u64, "no more than before");
        assert_eq!(names.of_layers(&stack(TCP)).0, kept);
        assert_eq!(names.text(kept), "Ethernet/IPv6/TCP");
        assert!(names.names.len() <= MAX && names.by_kinds.len() <= MAX_STACKS);
    }

    #[test]
    fn a_table_that_is_emptied_keeps_what_it_can_say() {
        let mut names = names();
        let first = names.of_layers(&stack(TCP));
        names.give_all();
        assert_eq!((names.idle, names.of_layers(&stack(TCP)), names.idle), (1, first, 0));
        names.give(first.0);
        assert_eq!(names.idle, 1);
        names.forget_idle();
        assert_eq!(names.text(first.1), "TCP", "applications stay");
        assert_eq!(names.text(first.0), "");
    }
}
