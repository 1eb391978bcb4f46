//! What rules want of a graph, as the difference to what it is.

use std::collections::{BTreeSet, HashMap};
use std::sync::Arc;

use skydive_api::{FollowedQuery, owns};
use skydive_graph::{Edge, Mutation, Node, Op, ReadCount, Snapshot, Source, key};
use skydive_proto::{EdgeRule, NodeAction, NodeRule};
use skydive_query::{Cx, View};
use skydive_value::{Id, Path, SmolStr};

use super::made::{Field, Made};
use super::{Name, Rule};

/// A look at a graph.
struct Look<'l> {
    snapshot: &'l Snapshot,
    view: View,
    before: &'l Made,
    source: Arc<Source>,
    cx: &'l Cx,
    made: Made,
    mutations: Vec<Mutation>,
}

/// The probe that nodes of this type are said to come from.
const FABRIC: &str = "fabric";

/// What has to change, and what rules will have done then. A rule whose query fails keeps what it has done before.
pub(super) fn wanted(
    rules: &[(Name, Arc<Rule>)],
    snapshot: &Snapshot,
    before: &Made,
    origin: &SmolStr,
    cx: &Cx,
) -> (Vec<Mutation>, Made) {
    let mut look = Look {
        snapshot,
        view: View::whole(snapshot.clone()),
        before,
        source: Arc::new(Source { host: SmolStr::default(), origin: origin.clone() }),
        cx,
        made: Made::default(),
        mutations: Vec::new(),
    };
    let carried = fields_by_rule(before);
    for (name, rule) in rules {
        match &**rule {
            Rule::Node { rule, query } => match rule.action() {
                Some(NodeAction::Create) => look.make_node(rule),
                Some(NodeAction::Update) => {
                    let known = carried.get(name).map_or(&[][..], Vec::as_slice);
                    look.want_fields(name, rule, query.as_ref(), known);
                }
                None => {}
            },
            Rule::Edge { rule, src, dst } => look.make_edge(name, rule, src, dst),
        }
    }
    look.set_fields();
    look.undo();
    (look.mutations, look.made)
}

impl Look<'_> {
    fn make_node(&mut self, rule: &NodeRule) {
        let text = |key| rule.metadata.text(key).unwrap_or_default();
        let (name, node_type) = (text(key::NAME), text(key::TYPE));
        let id = Id::from_parts(&[node_type, name]);
        let is_there = self.snapshot.node(&id).is_some();
        if is_there && !self.before.nodes.contains(&id) {
            return;
        }
        if !is_there && !self.made.nodes.contains(&id) {
            let mut metadata = rule.metadata.clone();
            metadata.insert(key::TID, id.to_string());
            if node_type == FABRIC {
                metadata.insert(key::PROBE, FABRIC);
            }
            let node = Node::new(id.clone(), self.source.clone(), metadata, self.cx.now);
            self.mutations.push(Mutation::AddNode(node));
        }
        self.made.nodes.insert(id);
    }

    /// A node that was once updated stays so while the rule is there, whether or not the query still finds it: it may
    /// be the update itself that hides it.
    fn want_fields(&mut self, name: &Name, rule: &NodeRule, query: Option<&FollowedQuery>, known: &[&Id]) {
        let found = match query.map(|query| query.nodes(&self.view, self.cx)) {
            None => Vec::new(),
            Some(Ok(nodes)) => nodes,
            Some(Err(fault)) => {
                tracing::debug!(%fault, rule = %name.1, "query of a rule");
                Vec::new()
            }
        };
        let ids = known.iter().map(|id| (*id).clone()).chain(found.iter().map(|node| node.id.clone()));
        for id in ids.collect::<BTreeSet<Id>>() {
            let fields = self.made.fields.entry(id).or_default();
            for (key, value) in rule.metadata.iter() {
                fields.insert(key.clone(), Field { rule: name.clone(), value: value.clone() });
            }
        }
    }

    fn make_edge(&mut self, name: &Name, rule: &EdgeRule, src: &FollowedQuery, dst: &FollowedQuery) {
        if let Some(known) = self.before.edges.get(name)
            && self.snapshot.edge(known).is_some()
        {
            self.made.edges.insert(name.clone(), known.clone());
            return;
        }
        let (src, dst) = match (src.nodes(&self.view, self.cx), dst.nodes(&self.view, self.cx)) {
            (Ok(src), Ok(dst)) => (src, dst),
            (Err(fault), _) | (_, Err(fault)) => {
                tracing::debug!(%fault, rule = %name.1, "query of a rule");
                return;
            }
        };
        let (Some(src), Some(dst)) = (src.first(), dst.first()) else { return };
        let relation = rule.metadata.text(key::RELATION_TYPE).unwrap_or_default();
        let (src, dst) = (&src.id, &dst.id);
        if self.is_linked(src, dst, relation) {
            return;
        }
        if relation == key::relation::OWNERSHIP && owns(self.snapshot, dst, src) {
            tracing::debug!(rule = %name.1, "ownership would form a circle");
            return;
        }
        let extra = rule.metadata.clone();
        let edge = Edge::link(src.clone(), dst.clone(), relation, extra, self.source.clone(), self.cx.now);
        if self.snapshot.edge(&edge.id).is_some() {
            return;
        }
        self.made.edges.insert(name.clone(), edge.id.clone());
        self.mutations.push(Mutation::AddEdge(edge));
    }

    /// Layer-2 links have no direction.
    fn is_linked(&self, src: &Id, dst: &Id, relation: &str) -> bool {
        let reads = ReadCount::default();
        let leads = |from: &Id, to: &Id| {
            let mut edges = self.snapshot.out_edges(from, &reads);
            edges.any(|edge| edge.child().id == *to && edge.relation() == relation)
        };
        leads(src, dst) || relation == key::relation::LAYER2 && leads(dst, src)
    }

    fn set_fields(&mut self) {
        let snapshot = self.snapshot;
        self.made.fields.retain(|id, _| snapshot.node(id).is_some());
        for (id, fields) in &self.made.fields {
            let Some(node) = snapshot.node(id) else { continue };
            let differs = |(key, field): &(&SmolStr, &Field)| {
                node.read(&Path::parse(key)).as_ref() != Some(&field.value)
            };
            let ops: Vec<Op> =
                fields.iter().filter(differs).map(|(key, field)| Op::set(key, field.value.clone())).collect();
            if !ops.is_empty() {
                self.mutations.push(Mutation::update_node(id.clone(), ops));
            }
        }
    }

    /// Takes back what was done and is not wanted any more. A field that somebody else has changed since is theirs.
    fn undo(&mut self) {
        for (id, fields) in &self.before.fields {
            let Some(node) = self.snapshot.node(id) else { continue };
            let wanted = self.made.fields.get(id);
            let ops: Vec<Op> = fields
                .iter()
                .filter(|(key, _)| wanted.is_none_or(|wanted| !wanted.contains_key(*key)))
                .filter(|(key, field)| node.read(&Path::parse(key)).as_ref() == Some(&field.value))
                .map(|(key, _)| Op::remove(key))
                .collect();
            if !ops.is_empty() {
                self.mutations.push(Mutation::update_node(id.clone(), ops));
            }
        }
        let kept: BTreeSet<&Id> = self.made.edges.values().collect();
        let gone = self.before.edges.values().filter(|id| !kept.contains(id));
        self.mutations.extend(gone.map(|id| Mutation::DeleteEdge { id: id.clone() }));
        let gone = self.before.nodes.difference(&self.made.nodes);
        self.mutations.extend(gone.map(|id| Mutation::delete_node(id.clone())));
    }
}

fn fields_by_rule(made: &Made) -> HashMap<&Name, Vec<&Id>> {
    let mut by_rule: HashMap<&Name, BTreeSet<&Id>> = HashMap::new();
    for (id, fields) in &made.fields {
        for field in fields.values() {
            by_rule.entry(&field.rule).or_default().insert(id);
        }
    }
    by_rule.into_iter().map(|(rule, ids)| (rule, ids.into_iter().collect())).collect()
}

#[cfg(test)]
mod tests {
    use skydive_graph::Graph;
    use skydive_query::Limits;
    use skydive_value::{Map, Timestamp, Value};

    use super::*;

    /// A graph that rules are applied to until they want nothing more.
    #[derive(Default)]
    struct Bench {
        graph: Graph,
        rules: Vec<(Name, Arc<Rule>)>,
        made: Made,
    }

    impl Bench {
        fn with_nodes(names: &[&str]) -> Self {
            let mut bench = Self::default();
            for name in names {
                bench.add(name);
            }
            bench
        }

        fn add(&mut self, name: &str) {
            let metadata: Map = [("Name", name), ("Type", "device")].into_iter().collect();
            let node = Node::new(name.into(), Source::of("agent", "h"), metadata, Timestamp::EPOCH);
            self.apply(Mutation::AddNode(node));
        }

        fn apply(&mut self, mutation: Mutation) {
            self.graph.apply(mutation, Timestamp::EPOCH, &mut Vec::new()).unwrap();
        }

        fn rule(&mut self, id: &str, json: &str) {
            let query = |text: &str| FollowedQuery::read(text, &Limits::default(), Timestamp::EPOCH).unwrap();
            let rule = if json.contains("Src") {
                let rule = EdgeRule::decode(json.as_bytes()).unwrap();
                let (src, dst) = (query(&rule.src), query(&rule.dst));
                Rule::Edge { rule, src, dst }
            } else {
                let rule = NodeRule::decode(json.as_bytes()).unwrap();
                let query = (!rule.query.is_empty()).then(|| query(&rule.query));
                Rule::Node { rule, query }
            };
            self.rules.push((("rule", id.into()), Arc::new(rule)));
        }

        fn drop_rule(&mut self, id: &str) {
            self.rules.retain(|((_, name), _)| name != id);
        }

        /// Number of changes until nothing more is wanted.
        fn settle(&mut self) -> usize {
            let mut changes = 0;
            for _ in 0..10 {
                let cx = Cx::new(Timestamp::EPOCH);
                let (mutations, made) =
                    wanted(&self.rules, self.graph.view(), &self.made, &"analyzer.h".into(), &cx);
                self.made = made;
                if mutations.is_empty() {
                    return changes;
                }
                changes += mutations.len();
                for mutation in mutations {
                    self.apply(mutation);
                }
            }
            panic!("the rules never settle");
        }

        fn field(&self, node: &str, key: &str) -> Option<Value> {
            self.graph.node(&node.into())?.metadata.get(key).cloned()
        }
    }

    const CREATE: &str = r#"{"Action":"create","Metadata":{"Name":"tor","Type":"fabric"}}"#;
    const LINK: &str =
        r#"{"Src":"G.V('a')","Dst":"G.V('b')","Metadata":{"RelationType":"layer2","Speed":10}}"#;

    #[test]
    fn a_node_comes_and_goes_with_its_rule() {
        let mut bench = Bench::default();
        bench.rule("1", CREATE);
        bench.rule("2", CREATE);
        assert_eq!(bench.settle(), 1);
        let id = Id::from_parts(&["fabric", "tor"]);
        let node = bench.graph.node(&id).unwrap();
        assert_eq!(
            (node.metadata.text("TID"), node.metadata.text("Probe")),
            (Some(&*id.to_string()), Some("fabric"))
        );
        assert_eq!((node.source.host.as_str(), node.source.origin.as_str()), ("", "analyzer.h"));
        // It is made anew when somebody deletes it.
        bench.apply(Mutation::delete_node(id.clone()));
        assert_eq!(bench.settle(), 1);
        bench.drop_rule("1");
        assert_eq!(bench.settle(), 0);
        bench.drop_rule("2");
        assert_eq!((bench.settle(), bench.graph.node_count()), (1, 0));
        assert!(bench.made.is_empty());
    }

    #[test]
    fn a_link_waits_for_its_ends_and_goes_with_its_rule() {
        let mut bench = Bench::with_nodes(&["a"]);
        bench.rule("1", LINK);
        bench.rule("2", LINK);
        assert_eq!(bench.settle(), 0, "an end is missing: {:?}", bench.made);
        bench.add("b");
        bench.settle();
        let id = Edge::link_id(&"a".into(), &"b".into(), "layer2");
        let edge = bench.graph.edge(&id).unwrap();
        assert_eq!(edge.metadata.get("Speed"), Some(&Value::Int(10)));
        bench.apply(Mutation::delete_node("b".into()));
        bench.add("b");
        bench.settle();
        assert_eq!(bench.graph.edge_count(), 1);
        for rule in ["1", "2"] {
            assert_eq!(bench.graph.edge_count(), 1);
            bench.drop_rule(rule);
            bench.settle();
        }
        assert_eq!(bench.graph.edge_count(), 0);
    }

    #[test]
    fn a_link_of_somebody_else_is_left_alone() {
        let mut bench = Bench::with_nodes(&["a", "b"]);
        let theirs = |relation: &str, parent: &str, child: &str| {
            let source = Source::of("agent", "h");
            let edge =
                Edge::link(parent.into(), child.into(), relation, Map::new(), source, Timestamp::EPOCH);
            Mutation::AddEdge(edge)
        };
        bench.apply(theirs("layer2", "b", "a"));
        bench.apply(theirs("ownership", "b", "a"));
        bench.rule("1", LINK);
        bench.rule("2", r#"{"Src":"G.V('a')","Dst":"G.V('b')","Metadata":{"RelationType":"ownership"}}"#);
        assert_eq!(bench.settle(), 0);
        bench.rules.clear();
        assert_eq!((bench.settle(), bench.graph.edge_count()), (0, 2));
    }

    #[test]
    fn fields_are_set_on_what_matches_and_taken_back() {
        let mut bench = Bench::with_nodes(&["a", "b"]);
        bench.rule(
            "1",
            r#"{"Action":"update","Query":"G.V().Has('Type','device')","Metadata":{"Zone":"x","D.E":1}}"#,
        );
        assert_eq!(bench.settle(), 2);
        bench.add("c");
        assert_eq!(bench.settle(), 1);
        assert_eq!(bench.field("c", "Zone"), Some("x".into()));
        assert_eq!(bench.field("c", "D").and_then(|d| d.as_map()?.get("E").cloned()), Some(Value::Int(1)));
        // What somebody else says since stays theirs when the rule goes.
        bench.drop_rule("1");
        bench.apply(Mutation::update_node("b".into(), [Op::set("Zone", "y")]));
        bench.settle();
        assert_eq!((bench.field("a", "Zone"), bench.field("b", "Zone")), (None, Some("y".into())));
        assert_eq!(bench.field("c", "D"), None);
        assert!(bench.made.is_empty());
    }

    #[test]
    fn rules_that_fight_settle_with_the_last_one() {
        let mut bench = Bench::with_nodes(&["a"]);
        bench.rule("1", r#"{"Action":"update","Query":"G.V()","Metadata":{"A":1}}"#);
        bench.rule("2", r#"{"Action":"update","Query":"G.V()","Metadata":{"A":2}}"#);
        assert_eq!((bench.settle(), bench.field("a", "A")), (1, Some(Value::Int(2))));
        bench.drop_rule("2");
        assert_eq!((bench.settle(), bench.field("a", "A")), (1, Some(Value::Int(1))));
        // Each undoes what the other looks for.
        bench.rule("3", r#"{"Action":"update","Query":"G.V().Has('A',1)","Metadata":{"A":5}}"#);
        bench.rule("4", r#"{"Action":"update","Query":"G.V().Has('A',5)","Metadata":{"A":1}}"#);
        bench.settle();
    }

    #[test]
    fn many_matches_are_changed_once() {
        let names: Vec<String> = (0..5000).map(|i| format!("n{i}")).collect();
        let mut bench = Bench::with_nodes(&names.iter().map(String::as_str).collect::<Vec<_>>());
        bench.rule("1", r#"{"Action":"update","Query":"G.V()","Metadata":{"A":1}}"#);
        assert_eq!(bench.settle(), 5000);
        assert_eq!(bench.settle(), 0);
        bench.rules.clear();
        assert_eq!(bench.settle(), 5000);
    }
}
