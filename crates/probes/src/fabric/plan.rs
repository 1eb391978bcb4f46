//! What the entries of the configuration describe together: nodes, links between them, and patterns.

use std::collections::{HashMap, HashSet};
use std::fmt;

use skydive_graph::{Edge, key};
use skydive_value::{Filter, Id, Map, Path, Test};

use super::language::{Arrow, Child, Link, Named, Pair, Wrong, parse};

/// The fabric that entries describe. An entry that is wrong describes nothing; the others are not concerned.
#[derive(Clone, Debug, Default)]
pub struct Fabric {
    /// In the order of their first mention.
    pub(super) nodes: Vec<(Id, Map)>,
    pub(super) links: Vec<PlannedLink>,
    pub(super) patterns: Vec<Pattern>,
    faults: Vec<Fault>,
}

/// An entry that is wrong.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Fault {
    /// Which entry, from 1.
    pub entry: usize,
    /// Which character of it, from 1.
    pub character: usize,
    /// What is wrong, for a human.
    pub why: String,
}

/// A link between two nodes that are described.
#[derive(Clone, Debug)]
pub(super) struct PlannedLink {
    pub(super) id: Id,
    pub(super) parent: Id,
    pub(super) child: Id,
    pub(super) relation: &'static str,
    pub(super) extra: Map,
}

/// Links from a node that is described to whatever is found like this.
#[derive(Clone, Debug, PartialEq)]
pub(super) struct Pattern {
    pub(super) from: Id,
    pub(super) extra: Map,
    pub(super) parent: Filter,
    pub(super) child: Filter,
}

/// What nodes and links described here are said to come from.
pub(super) const FABRIC: &str = "fabric";
/// Any name, behind a wildcard.
const ANY: &str = "*";

/// Collects what entries describe.
#[derive(Default)]
struct Draft {
    fabric: Fabric,
    known: HashSet<Id>,
    linked: HashSet<Id>,
    /// The last owner given to a node.
    owners: HashMap<Id, Id>,
}

impl Fabric {
    /// Reads the entries of a configuration.
    pub fn read(entries: &[String]) -> Self {
        let mut draft = Draft::default();
        for (at, text) in entries.iter().enumerate() {
            if let Err(wrong) = parse(text).and_then(|link| draft.take(&link)) {
                let before = text.get(..wrong.at).unwrap_or(text);
                let character = before.chars().count() + 1;
                draft.fabric.faults.push(Fault { entry: at + 1, character, why: wrong.why });
            }
        }
        let Draft { mut fabric, owners, .. } = draft;
        // A node has one owner; the last one given is it.
        fabric.links.retain(|link| {
            link.relation != key::relation::OWNERSHIP || owners.get(&link.child) == Some(&link.parent)
        });
        fabric
    }

    /// The entries that are wrong, in order.
    pub fn faults(&self) -> &[Fault] {
        &self.faults
    }

    pub(super) fn is_empty(&self) -> bool {
        self.nodes.is_empty()
    }
}

impl Draft {
    /// Takes all of a link or nothing.
    fn take(&mut self, link: &Link) -> Result<(), Wrong> {
        let mut extra: Map = [(key::TYPE, FABRIC)].into_iter().collect();
        for pair in &link.pairs {
            if pair.key == key::RELATION_TYPE && pair.value != key::relation::LAYER2 {
                let why = format!("the relation of a link is {} and cannot be chosen", key::relation::LAYER2);
                return Err(pair.wrong(why));
            }
            pair.put(&mut extra)?;
        }
        let (parent, parent_metadata) = described(&link.parent)?;
        match &link.child {
            Child::Node(child) => {
                let (child_id, child_metadata) = described(child)?;
                if child_id == parent {
                    return Err(child.wrong("a node cannot be linked to itself"));
                }
                if link.arrow == Arrow::Owns {
                    if self.is_owned_by(&parent, &child_id) {
                        return Err(child.wrong("ownership would form a circle"));
                    }
                    self.owners.insert(child_id.clone(), parent.clone());
                    self.link(&parent, &child_id, key::relation::OWNERSHIP, Map::new());
                }
                self.link(&parent, &child_id, key::relation::LAYER2, extra);
                self.node(parent, parent_metadata);
                self.node(child_id, child_metadata);
            }
            Child::Wildcard { parent: above, child } => {
                let name = Pair { key: key::NAME.into(), value: child.name.clone(), at: child.at };
                let is_named = child.name != ANY && child.pairs.iter().all(|pair| pair.key != key::NAME);
                let pattern = Pattern {
                    from: parent.clone(),
                    extra,
                    parent: filter(above.iter()),
                    child: filter(is_named.then_some(&name).into_iter().chain(&child.pairs)),
                };
                self.node(parent, parent_metadata);
                if !self.fabric.patterns.contains(&pattern) {
                    self.fabric.patterns.push(pattern);
                }
            }
        }
        Ok(())
    }

    /// The first description of a node counts.
    fn node(&mut self, id: Id, metadata: Map) {
        if self.known.insert(id.clone()) {
            self.fabric.nodes.push((id, metadata));
        }
    }

    /// The first of two same links counts.
    fn link(&mut self, parent: &Id, child: &Id, relation: &'static str, extra: Map) {
        let id = Edge::link_id(parent, child, relation);
        if self.linked.insert(id.clone()) {
            let (parent, child) = (parent.clone(), child.clone());
            self.fabric.links.push(PlannedLink { id, parent, child, relation, extra });
        }
    }

    fn is_owned_by(&self, node: &Id, owner: &Id) -> bool {
        let mut above = self.owners.get(node);
        while let Some(id) = above {
            if id == owner {
                return true;
            }
            above = self.owners.get(id);
        }
        false
    }
}

/// The id and the metadata of a node that is described.
fn described(node: &Named) -> Result<(Id, Map), Wrong> {
    let mut metadata: Map =
        [(key::NAME, node.name.as_str()), (key::TYPE, key::node_type::DEVICE)].into_iter().collect();
    for pair in &node.pairs {
        if [key::NAME, key::TYPE].contains(&pair.key.as_str()) && pair.value.is_empty() {
            return Err(pair.wrong(format!("`{}` must not be empty", pair.key)));
        }
        pair.put(&mut metadata)?;
    }
    metadata.insert(key::PROBE, FABRIC);
    Ok((Id::from_name(&format!("{FABRIC}{}", node.name)), metadata))
}

fn filter<'p>(pairs: impl Iterator<Item = &'p Pair>) -> Filter {
    pairs.map(Pair::filter).fold(Filter::all(), Filter::and)
}

impl Named {
    fn wrong(&self, why: impl Into<String>) -> Wrong {
        Wrong { at: self.at, why: why.into() }
    }
}

impl Pair {
    fn put(&self, metadata: &mut Map) -> Result<(), Wrong> {
        let path = Path::parse(&self.key);
        if path.is_attribute() || !metadata.set_path(&path, self.value.clone()) {
            return Err(self.wrong(format!("`{}` cannot be a key here", self.key)));
        }
        Ok(())
    }

    /// Values are texts here; what is found may have numbers and truth values.
    fn filter(&self) -> Filter {
        let path = Path::parse(&self.key);
        let text = Filter::Field(path.clone(), Test::Text(self.value.clone()));
        let typed = match (self.value.parse(), self.value.parse()) {
            (Ok(number), _) => Test::Int(number),
            (_, Ok(truth)) => Test::Bool(truth),
            _ => return text,
        };
        Filter::Or(vec![text, Filter::Field(path, typed)])
    }

    fn wrong(&self, why: impl Into<String>) -> Wrong {
        Wrong { at: self.at, why: why.into() }
    }
}

impl fmt::Display for Fault {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "entry {}, character {}: {}", self.entry, self.character, self.why)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn read(entries: &[&str]) -> Fabric {
        Fabric::read(&entries.iter().map(|entry| (*entry).to_owned()).collect::<Vec<_>>())
    }

    fn faults(entries: &[&str]) -> Vec<String> {
        read(entries).faults().iter().map(ToString::to_string).collect()
    }

    #[test]
    fn nodes_have_ids_and_metadata_of_their_first_mention() {
        let fabric = read(&[
            "TOR1[Name=tor1] -> [color=red] TOR1_PORT2[Name=port2, MTU=1500, Type=switchport, a.b=c]",
            "TOR1[Name=other] --> X",
        ]);
        assert_eq!(fabric.faults(), []);
        let ids: Vec<String> = fabric.nodes.iter().map(|(id, _)| id.to_string()).collect();
        assert_eq!(ids[0], "c171d2ee-d356-5a2d-bdb1-a4a3cfd4c9d1");
        let texts = |at: usize| {
            let metadata = &fabric.nodes[at].1;
            ["Name", "Type", "Probe"].map(|key| metadata.text(key).unwrap_or_default().to_owned())
        };
        assert_eq!(texts(0), ["tor1", "device", "fabric"]);
        assert_eq!(texts(1), ["port2", "switchport", "fabric"]);
        assert_eq!(texts(2), ["X", "device", "fabric"]);
        assert_eq!(fabric.nodes[1].1.text("MTU"), Some("1500"));
        assert_eq!(fabric.nodes[1].1.lookup(&Path::parse("a.b")), Ok(Some("c".into())));
        let links: Vec<_> =
            fabric.links.iter().map(|link| (link.relation, link.extra.text("color"))).collect();
        assert_eq!(links, [("ownership", None), ("layer2", Some("red")), ("layer2", None)]);
        assert_eq!(fabric.links[1].extra.text("Type"), Some("fabric"));
    }

    #[test]
    fn wrong_entries_are_told_and_leave_the_others() {
        let entries = ["a -> b", "é[Name=x", "c --> d", "b -> a", "e -> e", "a -> [RelationType=vf] f"];
        assert_eq!(
            faults(&entries),
            [
                "entry 2, character 2: `[` is not closed",
                "entry 4, character 6: ownership would form a circle",
                "entry 5, character 6: a node cannot be linked to itself",
                "entry 6, character 7: the relation of a link is layer2 and cannot be chosen",
            ]
        );
        let names: Vec<_> =
            read(&entries).nodes.iter().map(|(_, m)| m.text("Name").unwrap().to_owned()).collect();
        assert_eq!(names, ["a", "b", "c", "d"]);
        assert_eq!(
            faults(&["é -> é2 x -> y"]),
            ["entry 1, character 11: a second arrow: each link is an entry of its own"]
        );
        assert_eq!(faults(&["a[Type=] -> b"]), ["entry 1, character 3: `Type` must not be empty"]);
        assert_eq!(faults(&["a[@ID=x] -> b"]), ["entry 1, character 3: `@ID` cannot be a key here"]);
        assert_eq!(faults(&["a[Name.x=1] -> b"]), ["entry 1, character 3: `Name.x` cannot be a key here"]);
    }

    #[test]
    fn the_last_owner_counts_and_both_stay_linked() {
        let fabric = read(&["a -> c", "b -> c"]);
        let owners: Vec<_> = fabric.links.iter().filter(|l| l.relation == "ownership").collect();
        assert_eq!(owners.len(), 1);
        assert_eq!(owners[0].parent, Id::from_name("fabricb"));
        assert_eq!(fabric.links.len(), 3);
    }
}
