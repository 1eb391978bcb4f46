//! What crosses REST as JSON schemas (draft 2020-12, as OpenAPI 3.1 has them), each with an example of real use.
//!
//! What is only written comes from the types that are written. What is read takes more forms than its type has fields
//! (`null` for absent, defaults, one shape of several), so these schemas are spelled here, beside the readers.

use std::collections::BTreeMap;

use serde_json::{Map, Value as Json, json};
use utoipa::ToSchema;

/// A schema with the named ones that it refers to.
#[derive(Clone, Debug, PartialEq)]
pub struct Shape {
    /// The schema, mostly a reference.
    pub schema: Json,
    /// Schemas by name.
    pub named: BTreeMap<String, Json>,
}

/// A body as somebody would send it.
#[derive(Clone, Debug, PartialEq)]
pub struct Example {
    /// What it is for, in a few words.
    pub about: &'static str,
    /// The body.
    pub json: Json,
}

const REFERENCE: &str = "#/components/schemas/";

impl Shape {
    /// That of a type.
    pub fn of<T: ToSchema>() -> Self {
        let mut inner = Vec::new();
        T::schemas(&mut inner);
        inner.push((T::name().into_owned(), T::schema()));
        let json =
            |schema| serde_json::to_value(schema).expect("a schema is made of texts, lists and objects");
        let named = inner.into_iter().map(|(name, schema)| (name, json(schema))).collect();
        Self { schema: json!({ "$ref": format!("{REFERENCE}{}", T::name()) }), named }
    }

    /// One without a name.
    pub fn inline(schema: Json) -> Self {
        Self { schema, named: BTreeMap::new() }
    }

    /// Any JSON.
    pub fn any(about: &str) -> Self {
        Self::inline(json!({ "description": about }))
    }

    /// Text.
    pub fn text() -> Self {
        Self::inline(json!({ "type": "string" }))
    }

    /// An object of id to what has this shape.
    pub fn by_id(self) -> Self {
        Self { schema: json!({ "type": "object", "additionalProperties": self.schema }), ..self }
    }

    /// A list of what has this shape.
    fn list(self) -> Self {
        Self { schema: json!({ "type": "array", "items": self.schema }), ..self }
    }

    fn named(name: &str, schema: Json) -> Self {
        let named = BTreeMap::from([(name.to_owned(), schema)]);
        Self { schema: json!({ "$ref": format!("{REFERENCE}{name}") }), named }
    }

    /// A node as it is told.
    pub fn node() -> Self {
        Self::named("Node", told("A node of the graph.", &[]))
    }

    /// An edge as it is told.
    pub fn edge() -> Self {
        let ends = [
            ("Parent", text("Id of the node that it starts from: the owner, if it is of ownership.")),
            ("Child", text("Id of the node that it goes to.")),
        ];
        Self::named("Edge", told("An edge of the graph.", &ends))
    }

    /// A whole graph.
    pub fn graph() -> Self {
        let (nodes, edges) = (Self::node().list(), Self::edge().list());
        let schema = object(
            "Nodes and the edges between them, oldest first.",
            &["Nodes", "Edges"],
            [("Nodes", nodes.schema), ("Edges", edges.schema)],
        );
        let mut graph = Self::named("Graph", schema);
        graph.named.extend(nodes.named.into_iter().chain(edges.named));
        graph
    }

    /// A node to be made.
    pub fn new_node() -> Self {
        let named = |by: &str, kind: &str| {
            let kind_of = json!({ "type": "string", "const": kind });
            let path = json!({ "type": "string" });
            metadata_of(&["Name", by], [("Type", kind_of), ("Name", name()), (by, path)])
        };
        let kind = with(name(), "not", json!({ "enum": ["netns", "ovsport"] }));
        let alternatives = json!([
            metadata_of(&["Name", "Type"], [("Name", name()), ("Type", kind)]),
            named("Path", "netns"),
            named("UUID", "ovsport"),
        ]);
        let metadata = json!({ "type": "object", "anyOf": alternatives, "description": FIELDS });
        Self::named("NewNode", wanted("A node to be made.", metadata, &[]))
    }

    /// An edge to be made.
    pub fn new_edge() -> Self {
        let ends = [("Parent", name()), ("Child", name())];
        Self::named("NewEdge", wanted("An edge to be made between nodes that are there.", relation(), &ends))
    }

    /// A node rule to be made.
    pub fn new_node_rule() -> Self {
        let node = metadata_of(&["Name", "Type"], [("Name", name()), ("Type", name())]);
        let set = json!({
            "type": ["object", "null"],
            "description": "What is set: anything but `Name` and `Type`.",
            "properties": { "Name": false, "Type": false },
        });
        let rule = |action: &str, about: &str, metadata, query: Json, required: &[&str]| {
            let action = json!({ "type": "string", "const": action });
            let own = [("Action", action), ("Metadata", metadata), ("Query", query)];
            object(about, required, described().into_iter().chain(own))
        };
        let query = |about: &str| json!({ "type": ["string", "null"], "description": about });
        let schema = json!({ "oneOf": [
            rule("create", "Makes a node.", node, query("Not looked at, but a query or blank."), &["Action", "Metadata"]),
            rule("update", "Sets metadata of nodes.", set, query("A query that gives nodes; blank is none."), &["Action"]),
        ]});
        Self::named("NewNodeRule", schema)
    }

    /// An edge rule to be made.
    pub fn new_edge_rule() -> Self {
        let end = |about: &str| json!({ "type": "string", "minLength": 1, "description": about });
        let own = [
            ("Src", end("A query; its first node is the parent.")),
            ("Dst", end("A query; its first node is the child.")),
            ("Metadata", relation()),
        ];
        let required = ["Src", "Dst", "Metadata"];
        let schema = object("Nodes to be linked.", &required, described().into_iter().chain(own));
        Self::named("NewEdgeRule", schema)
    }

    /// A capture to be made.
    pub fn new_capture() -> Self {
        let query =
            json!({ "type": "string", "minLength": 1, "description": "A query; captures on its nodes." });
        let kind = json!({
            "type": ["string", "null"],
            "description": "Kind of capture; the default of the node's type when absent.",
            "enum": [null, "", "afpacket", "pcap", "pcapsocket", "ebpf", "sflow", "ovssflow", "ovsmirror",
                "ovsnetflow", "dpdk"],
        });
        let within = |about: &str, least: i64, most: i64| json!({ "type": ["integer", "null"], "minimum": least, "maximum": most, "description": about });
        let yes = |about: &str| json!({ "type": ["boolean", "null"], "description": about });
        let header_size = json!({ "description": "Bytes looked at of a packet; 0 for the default.", "oneOf": [
            { "type": "null" },
            { "type": "integer", "const": 0 },
            { "type": "integer", "minimum": 14, "maximum": 4096 },
        ]});
        let mode =
            json!({ "enum": [null, "", "L2", "L3"], "description": "Which addresses identify a flow." });
        let own = [
            ("GremlinQuery", query),
            ("BPFFilter", optional_text("Packets that are counted, in tcpdump's language; all when empty.")),
            ("Type", kind),
            ("Port", within("Port of a collector; 0 for the default.", 0, 65_535)),
            ("SamplingRate", within("Of sFlow.", 0, i64::from(u32::MAX))),
            ("PollingInterval", within("Seconds between counter samples of sFlow.", 0, i64::from(u32::MAX))),
            ("RawPacketLimit", within("Packets kept of each flow.", 0, 10)),
            ("HeaderSize", header_size),
            ("ExtraTCPMetric", yes("TCP in detail.")),
            ("IPDefrag", yes("Puts fragments together.")),
            ("ReassembleTCP", yes("Puts TCP streams together.")),
            ("LayerKeyMode", mode),
            ("ExtraLayers", within("Sum of VRRP 1, DNS 2, DHCPv4 4, TLS 8, HTTP 16; 255 for all.", 0, 255)),
            ("Target", optional_text("Where packets or flows are sent, `address:port`.")),
            ("TargetType", json!({ "enum": [null, "", "local", "netflowv5", "erspanv1"] })),
        ];
        let schema = object("What is to be captured.", &["GremlinQuery"], described().into_iter().chain(own));
        Self::named("NewCapture", schema)
    }

    /// A patch of RFC 6902.
    pub fn json_patch() -> Self {
        let pointer =
            json!({ "type": "string", "pattern": "^(/([^~/]|~[01])*)*$", "description": "RFC 6901." });
        let operation = |names: &[&str], required: &[&str]| {
            let properties = [("op", json!({ "enum": names })), ("path", pointer.clone())];
            let from = required.contains(&"from").then(|| ("from", pointer.clone()));
            let value = required.contains(&"value").then(|| ("value", json!({})));
            object("", required, properties.into_iter().chain(from).chain(value))
        };
        let schema = json!({
            "type": "array",
            "description": "Operations of RFC 6902, done in order: all of them or none.",
            "items": { "oneOf": [
                operation(&["add", "replace", "test"], &["op", "path", "value"]),
                operation(&["remove"], &["op", "path"]),
                operation(&["move", "copy"], &["op", "path", "from"]),
            ]},
        });
        Self::named("JsonPatch", schema)
    }

    /// What asks a query.
    pub fn query() -> Self {
        let text =
            json!({ "type": ["string", "null"], "description": "The query; none is answered with 204." });
        let schema = object("A query.", &[], [("GremlinQuery", text)]);
        Self::named("Query", with(schema, "type", json!(["object", "null"])))
    }
}

impl Example {
    /// It as YAML.
    pub fn yaml(&self) -> String {
        serde_saphyr::to_string(&self.json).expect("what is JSON can be said in YAML")
    }

    /// Two switches.
    pub fn nodes() -> Vec<Self> {
        let switch = |about, name: &str| {
            let metadata = json!({ "Name": name, "Type": "switch", "Rack": 7 });
            Self { about, json: json!({ "ID": name, "Metadata": metadata }) }
        };
        vec![switch("a switch", "tor1"), switch("another switch", "tor2")]
    }

    /// A cable between them.
    pub fn edge() -> Self {
        let metadata = json!({ "RelationType": "layer2" });
        let json = json!({ "ID": "cable1", "Parent": "tor1", "Child": "tor2", "Metadata": metadata });
        Self { about: "a cable between two switches", json }
    }

    /// A change of metadata.
    pub fn patch() -> Self {
        let json = json!([{ "op": "add", "path": "/Metadata/Rack", "value": 8 }]);
        Self { about: "a field set", json }
    }

    /// Node rules of both kinds.
    pub fn node_rules() -> Vec<Self> {
        let create =
            json!({ "Name": "uplink", "Action": "create", "Metadata": { "Name": "isp", "Type": "fabric" } });
        let update = json!({
            "Name": "uplinks",
            "Action": "update",
            "Query": "G.V().Has('Name','eth0')",
            "Metadata": { "Role": "uplink" },
        });
        vec![
            Self { about: "a node that no probe finds", json: create },
            Self { about: "a field of the nodes of a query", json: update },
        ]
    }

    /// An edge rule.
    pub fn edge_rule() -> Self {
        let json = json!({
            "Name": "uplink",
            "Src": "G.V().Has('Name','tor1')",
            "Dst": "G.V().Has('Name','eth0')",
            "Metadata": { "RelationType": "layer2" },
        });
        Self { about: "a switch with the interface on it", json }
    }

    /// A capture.
    pub fn capture() -> Self {
        let json = json!({
            "Name": "web",
            "GremlinQuery": "G.V().Has('Name','eth0')",
            "BPFFilter": "tcp port 80",
            "ExtraTCPMetric": true,
        });
        Self { about: "web traffic of an interface", json }
    }

    /// Queries.
    pub fn queries() -> Vec<Self> {
        let of = |about, query: &str| Self { about, json: json!({ "GremlinQuery": query }) };
        vec![
            of("the interfaces that are down", "G.V().Has('State','DOWN').Values('Name')"),
            of("how many nodes", "G.V().Count()"),
            of("the whole graph", "G"),
        ]
    }
}

const FIELDS: &str = "Its fields, as far as it has a shape.";

fn object<'a>(about: &str, required: &[&str], properties: impl IntoIterator<Item = (&'a str, Json)>) -> Json {
    let properties: Map<_, _> =
        properties.into_iter().map(|(name, schema)| (name.to_owned(), schema)).collect();
    let mut schema = json!({ "type": "object", "properties": properties });
    if !about.is_empty() {
        schema = with(schema, "description", about);
    }
    if !required.is_empty() {
        schema = with(schema, "required", required);
    }
    schema
}

/// A schema with one more word.
fn with(mut schema: Json, word: &str, value: impl Into<Json>) -> Json {
    if let Json::Object(words) = &mut schema {
        words.insert(word.to_owned(), value.into());
    }
    schema
}

fn text(about: &str) -> Json {
    json!({ "type": "string", "description": about })
}

/// Text that is not empty.
fn name() -> Json {
    json!({ "type": "string", "minLength": 1 })
}

fn number(about: &str) -> Json {
    json!({ "type": "integer", "format": "int64", "description": about })
}

/// A number that may be left out, within what is read.
fn optional_number(about: &str) -> Json {
    json!({
        "type": ["integer", "null"], "format": "int64", "description": about,
        "minimum": i64::MIN, "maximum": i64::MAX,
    })
}

fn optional_text(about: &str) -> Json {
    json!({ "type": ["string", "null"], "description": about })
}

fn metadata_of<'a>(required: &[&str], fields: impl IntoIterator<Item = (&'a str, Json)>) -> Json {
    object("", required, fields)
}

/// Metadata of an edge.
fn relation() -> Json {
    let relation = with(name(), "description", "`ownership`, `layer2` or any other.");
    object(FIELDS, &["RelationType"], [("RelationType", relation)])
}

/// What all rules have.
fn described() -> [(&'static str, Json); 2] {
    ["Name", "Description"].map(|name| (name, optional_text("For people.")))
}

/// An element as it is told.
fn told(about: &str, more: &[(&str, Json)]) -> Json {
    const MILLIS: &str = "Milliseconds since 1970.";
    let deleted = with(number(MILLIS), "type", json!(["integer", "null"]));
    let own = [
        ("ID", text("Identifier.")),
        ("Metadata", json!({ "type": "object", "description": "Its fields." })),
        ("Host", text("Host that it is on.")),
        ("Origin", text("What made it.")),
        ("CreatedAt", number(MILLIS)),
        ("UpdatedAt", number(MILLIS)),
        ("DeletedAt", deleted),
        ("Revision", number("Counts its changes.")),
    ];
    let all: Vec<_> = own.into_iter().chain(more.iter().cloned()).collect();
    let required: Vec<&str> = all.iter().map(|(name, _)| *name).collect();
    object(about, &required, all)
}

/// An element to be made.
fn wanted(about: &str, metadata: Json, more: &[(&str, Json)]) -> Json {
    const MILLIS: &str = "Milliseconds since 1970; the time of now without.";
    let id = with(name(), "description", "Identifier.");
    let needed = [("ID", id), ("Metadata", metadata)].into_iter().chain(more.iter().cloned());
    let required: Vec<&str> = needed.clone().map(|(name, _)| name).collect();
    let optional = [
        ("Host", optional_text("Host that it is on.")),
        ("Origin", optional_text("What made it; `api.<host id>` without.")),
        ("CreatedAt", optional_number(MILLIS)),
        ("UpdatedAt", optional_number(MILLIS)),
        ("Revision", optional_number("0 without.")),
    ];
    object(about, &required, needed.chain(optional))
}

#[cfg(test)]
#[expect(clippy::indexing_slicing, reason = "the schemas are ours")]
mod tests {
    use std::collections::BTreeSet;

    use skydive_graph::{Edge, Node, Source};
    use skydive_value::{Map, Timestamp};

    use super::*;
    use crate::{
        AgentStatus, AnalyzerStatus, EdgeJson, EdgeRule, Identity, JsonPatch, Language, NodeJson, NodeRule,
        check_decoded_edge, check_decoded_node, decode_edge, decode_node, json_of_yaml, query_of_body,
    };

    const NOW: Timestamp = Timestamp::EPOCH;

    fn members(json: &Json) -> BTreeSet<&str> {
        json.as_object().unwrap().keys().map(String::as_str).collect()
    }

    /// The names that a schema requires must be what is written, no more and no less.
    fn is_told(shape: &Shape, name: &str, written: &Json) {
        let schema = &shape.named[name];
        let required: BTreeSet<&str> =
            schema["required"].as_array().unwrap().iter().filter_map(Json::as_str).collect();
        assert_eq!(required, members(written), "{name}");
        assert_eq!(members(&schema["properties"]), members(written), "{name}");
    }

    #[test]
    fn what_is_told_is_what_is_written() {
        let node = Node::new("a".into(), Source::of("s", "h"), Map::new(), NOW);
        is_told(&Shape::node(), "Node", &serde_json::to_value(NodeJson(&node)).unwrap());
        let edge = Edge::new("e".into(), "a".into(), "b".into(), Source::of("s", "h"), Map::new(), NOW);
        is_told(&Shape::edge(), "Edge", &serde_json::to_value(EdgeJson(&edge)).unwrap());
        is_told(&Shape::of::<NodeRule>(), "NodeRule", &serde_json::to_value(NodeRule::default()).unwrap());
        is_told(&Shape::of::<EdgeRule>(), "EdgeRule", &serde_json::to_value(EdgeRule::default()).unwrap());
        is_told(&Shape::of::<Language>(), "Language", &serde_json::to_value(Language::default()).unwrap());
    }

    #[test]
    fn references_have_their_schemas() {
        let shapes = [
            Shape::of::<AgentStatus>(),
            Shape::of::<AnalyzerStatus>(),
            Shape::of::<Language>(),
            Shape::of::<Identity>(),
            Shape::graph(),
            Shape::node().by_id(),
        ];
        for shape in shapes {
            let text = json!([shape.schema, shape.named]).to_string();
            for name in text.split(REFERENCE).skip(1).map(|rest| rest.split('"').next().unwrap()) {
                assert!(shape.named.contains_key(name), "{name} of {}", shape.schema);
            }
        }
    }

    #[test]
    fn examples_are_read() {
        let bytes = |example: Example| {
            let json = example.json.to_string().into_bytes();
            assert_eq!(json_of_yaml(example.yaml().as_bytes()).unwrap(), json);
            json
        };
        for node in Example::nodes() {
            let node = bytes(node);
            check_decoded_node(&decode_node(&node, NOW).unwrap()).unwrap();
            let mut node = serde_json::from_slice(&node).unwrap();
            JsonPatch::decode(&bytes(Example::patch())).unwrap().apply(&mut node).unwrap();
        }
        check_decoded_edge(&decode_edge(&bytes(Example::edge()), NOW).unwrap()).unwrap();
        for rule in Example::node_rules() {
            NodeRule::decode(&bytes(rule)).unwrap().check_shape().unwrap();
        }
        EdgeRule::decode(&bytes(Example::edge_rule())).unwrap().check_shape().unwrap();
        for query in Example::queries() {
            assert!(query_of_body(&bytes(query)).unwrap().is_some());
        }
    }
}
