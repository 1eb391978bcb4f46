//! The sub-commands of `client`: names, flags and aliases of the original.

use std::path::PathBuf;

use super::{CaptureCommand, LiveFlowsFlags};
use clap::builder::NonEmptyStringValueParser;
use clap::{Args, Subcommand, ValueEnum};
use serde_json::Value as Json;
use skydive_value::{DefinitionError, Map, parse_definition};

#[derive(Subcommand)]
pub(crate) enum ClientCommand {
    /// Run a Gremlin query
    Query(QueryFlags),
    /// Ask queries at a prompt that completes them
    Shell(ShellFlags),
    /// Begin, list and end captures
    #[command(subcommand)]
    Capture(CaptureCommand),
    /// Print the flows that captures see now, the latest first
    #[command(after_help = "Examples:
  skydive client flows --filter Application=DNS --limit 20
  skydive client flows --gremlin \"G.V().Has('Name','eth0')\" --sort Metric.ABBytes
  skydive client flows --follow
  skydive client flows --follow --format json | jq .Metric")]
    Flows(LiveFlowsFlags),
    /// Give a capture file to the analyzer, for its flows
    #[command(after_help = "Examples:
  skydive client pcap --trace /tmp/eth0.pcap
  skydive client query \"G.Flows().Has('Application','DNS')\"")]
    Pcap {
        /// The file, pcap or pcapng
        #[arg(short, long, value_name = "FILE")]
        trace: PathBuf,
    },
    /// Make, change, list and delete nodes
    #[command(subcommand)]
    Node(NodeCommand),
    /// Make, change, list and delete edges
    #[command(subcommand)]
    Edge(EdgeCommand),
    /// Make, list and delete rules that make nodes or set their metadata
    #[command(subcommand, visible_alias = "noderule")]
    NodeRule(NodeRuleCommand),
    /// Make, list and delete rules that link nodes
    #[command(subcommand, visible_alias = "edgerule")]
    EdgeRule(EdgeRuleCommand),
    /// Export and import the graph
    #[command(subcommand)]
    Topology(TopologyCommand),
    /// Print the analyzer's status; an agent's with --analyzer HOST:8081
    Status {
        #[command(flatten)]
        shape: ShapeFlag,
    },
}

#[derive(Args)]
pub(crate) struct QueryFlags {
    /// The query, such as G.V().Has('Type','veth')
    pub(crate) gremlin: String,
    #[command(flatten)]
    pub(crate) format: FormatFlag,
    /// Tell on standard error what the query read
    #[arg(long)]
    pub(crate) explain: bool,
    /// Accepted for old scripts, without effect as ever
    #[arg(long, hide = true)]
    pub(crate) delete: bool,
}

#[derive(Args)]
pub(crate) struct ShellFlags {
    /// Run the queries of a file and end; `-` is standard input
    #[arg(long, value_name = "FILE")]
    pub(crate) script: Option<PathBuf>,
    /// Where lines are remembered [default: ~/.skydive_history, after the name of the program]
    #[arg(long, value_name = "FILE")]
    pub(crate) history: Option<PathBuf>,
}

#[derive(Subcommand)]
pub(crate) enum NodeCommand {
    /// Make a node
    Create(NodeDraft),
    #[command(flatten)]
    Other(ElementCommand),
}

#[derive(Subcommand)]
pub(crate) enum EdgeCommand {
    /// Link two nodes
    Create(EdgeDraft),
    #[command(flatten)]
    Other(ElementCommand),
}

/// What can be done with nodes and edges alike.
#[derive(Subcommand)]
pub(crate) enum ElementCommand {
    /// Change metadata
    Update {
        /// Which to change
        #[arg(required = true, value_name = "ID", value_parser = NonEmptyStringValueParser::new())]
        ids: Vec<String>,
        /// Set a field; dots nest, the value is JSON or else text
        #[arg(short, long, value_name = "KEY=VALUE", value_parser = parse_assignment)]
        add: Vec<(String, Json)>,
        /// Remove a field
        #[arg(short, long, value_name = "KEY")]
        remove: Vec<String>,
        #[command(flatten)]
        shape: ShapeFlag,
    },
    #[command(flatten)]
    Read(ReadCommand),
    /// Delete by id; what cannot be deleted is told, and is no failure
    Delete {
        /// Which to delete
        #[arg(required = true, value_name = "ID", value_parser = NonEmptyStringValueParser::new())]
        ids: Vec<String>,
        /// The arguments are queries: delete what they find
        #[arg(long)]
        gremlin: bool,
    },
}

#[derive(Subcommand)]
pub(crate) enum NodeRuleCommand {
    /// Make a rule
    Create(NodeRuleDraft),
    #[command(flatten)]
    Other(RuleCommand),
}

#[derive(Subcommand)]
pub(crate) enum EdgeRuleCommand {
    /// Make a rule
    Create(EdgeRuleDraft),
    #[command(flatten)]
    Other(RuleCommand),
}

/// What can be done with rules of both kinds.
#[derive(Subcommand)]
pub(crate) enum RuleCommand {
    #[command(flatten)]
    Read(ReadCommand),
    /// Delete by id; what cannot be deleted is told, and is no failure
    Delete {
        /// Which to delete
        #[arg(required = true, value_name = "ID", value_parser = NonEmptyStringValueParser::new())]
        ids: Vec<String>,
    },
}

/// What can be read of everything that has an id.
#[derive(Subcommand)]
pub(crate) enum ReadCommand {
    /// List all of them
    List {
        #[command(flatten)]
        shape: ShapeFlag,
    },
    /// Print one
    Get {
        /// Which to print
        #[arg(value_parser = NonEmptyStringValueParser::new())]
        id: String,
        #[command(flatten)]
        shape: ShapeFlag,
    },
}

#[derive(Args)]
pub(crate) struct NodeDraft {
    /// Its name
    #[arg(long, value_name = "NAME")]
    pub(crate) node_name: Option<String>,
    /// Its type
    #[arg(long, value_name = "TYPE")]
    pub(crate) node_type: Option<String>,
    #[command(flatten)]
    pub(crate) metadata: MetadataFlag,
    /// The host it belongs to [default: this one]
    #[arg(long)]
    pub(crate) host: Option<String>,
    #[command(flatten)]
    pub(crate) shape: ShapeFlag,
}

#[derive(Args)]
pub(crate) struct EdgeDraft {
    /// Id of the node it starts at
    #[arg(long, value_name = "ID", value_parser = NonEmptyStringValueParser::new())]
    pub(crate) parent: String,
    /// Id of the node it ends at
    #[arg(long, value_name = "ID", value_parser = NonEmptyStringValueParser::new())]
    pub(crate) child: String,
    /// What it means: ownership, layer2 or any other
    #[arg(long, value_name = "TYPE")]
    pub(crate) edge_type: Option<String>,
    #[command(flatten)]
    pub(crate) metadata: MetadataFlag,
    /// The host it belongs to [default: this one]
    #[arg(long)]
    pub(crate) host: Option<String>,
    #[command(flatten)]
    pub(crate) shape: ShapeFlag,
}

#[derive(Args)]
pub(crate) struct NodeRuleDraft {
    #[command(flatten)]
    pub(crate) titles: TitleFlags,
    /// Name of the node to make
    #[arg(long, value_name = "NAME")]
    pub(crate) node_name: Option<String>,
    /// Type of the node to make
    #[arg(long, value_name = "TYPE")]
    pub(crate) node_type: Option<String>,
    #[command(flatten)]
    pub(crate) metadata: MetadataFlag,
    /// The nodes to update
    #[arg(long, value_name = "GREMLIN", default_value = "")]
    pub(crate) query: String,
    /// What the rule does
    #[arg(long)]
    pub(crate) action: RuleAction,
    #[command(flatten)]
    pub(crate) shape: ShapeFlag,
}

#[derive(Args)]
pub(crate) struct EdgeRuleDraft {
    #[command(flatten)]
    pub(crate) titles: TitleFlags,
    /// Query whose first node is the parent
    #[arg(long, value_name = "GREMLIN", default_value = "")]
    pub(crate) src: String,
    /// Query whose first node is the child
    #[arg(long, value_name = "GREMLIN", default_value = "")]
    pub(crate) dst: String,
    /// What the edge means: ownership, layer2 or any other
    #[arg(long, value_name = "TYPE")]
    pub(crate) relationtype: String,
    #[command(flatten)]
    pub(crate) metadata: MetadataFlag,
    #[command(flatten)]
    pub(crate) shape: ShapeFlag,
}

/// For people.
#[derive(Args)]
pub(crate) struct TitleFlags {
    /// Name to know it by
    #[arg(long, default_value = "")]
    pub(crate) name: String,
    /// What it is for
    #[arg(long, value_name = "TEXT", default_value = "")]
    pub(crate) description: String,
}

#[derive(Clone, Copy, PartialEq, Eq, ValueEnum)]
pub(crate) enum RuleAction {
    /// Make a node; it needs a name and a type
    Create,
    /// Set metadata of the nodes that the query finds
    Update,
}

#[derive(Args)]
pub(crate) struct MetadataFlag {
    /// Metadata: pairs with commas between them; dots nest, values are text
    #[arg(long, value_name = "KEY=VALUE,…", value_parser = parse_definition)]
    metadata: Vec<Map>,
}

#[derive(Subcommand)]
pub(crate) enum TopologyCommand {
    /// Run a query; `client query` does it now
    Query {
        /// The query
        #[arg(long, value_name = "QUERY", default_value = "G")]
        gremlin: String,
        #[command(flatten)]
        format: FormatFlag,
    },
    /// Print the whole graph as JSON, as `import` reads it
    Export,
    /// Add the nodes and edges of an exported graph
    Import {
        /// File with the graph; `-` is standard input
        #[arg(long, default_value = "graph.json")]
        file: PathBuf,
        /// Where publishers connect to
        #[arg(long, value_name = "PATH", default_value = "/ws/publisher")]
        endpoint: String,
    },
}

#[derive(Args)]
pub(crate) struct FormatFlag {
    /// Form of the answer [default: table on a terminal, else json]
    #[arg(long)]
    pub(crate) format: Option<Format>,
}

#[derive(Clone, Copy, PartialEq, Eq, ValueEnum)]
pub(crate) enum Format {
    /// The answer as it is, indented
    Json,
    /// Graphviz; the query must give a graph
    Dot,
    /// Packets; the query must end in RawPackets()
    Pcap,
    /// Columns for reading
    Table,
}

#[derive(Args)]
pub(crate) struct ShapeFlag {
    /// Form of the answer [default: table on a terminal, else json]
    #[arg(long)]
    pub(crate) format: Option<Shape>,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq, ValueEnum)]
pub(crate) enum Shape {
    /// The answer as it is, indented
    Json,
    /// Columns for reading
    Table,
}

impl MetadataFlag {
    /// All that was given; what was given last holds.
    pub(crate) fn into_map(self) -> Map {
        let mut all = Map::new();
        for (key, value) in self.metadata.iter().flat_map(Map::iter) {
            all.insert(key.clone(), value.clone());
        }
        all
    }
}

/// `key=value`; a value that is no JSON is text. A slash in a key is a dot.
fn parse_assignment(text: &str) -> Result<(String, Json), DefinitionError> {
    let (key, value) = text.split_once('=').ok_or_else(|| DefinitionError(text.into()))?;
    let value = serde_json::from_str(value).unwrap_or_else(|_| Json::from(value));
    Ok((key.replace('/', "."), value))
}

#[cfg(test)]
mod tests {
    use clap::Parser;
    use serde_json::json;

    use super::*;

    #[derive(Parser)]
    struct Top {
        #[command(subcommand)]
        command: ClientCommand,
    }

    fn parse(line: &str) -> Result<ClientCommand, clap::Error> {
        Top::try_parse_from(["skydive"].into_iter().chain(line.split_whitespace())).map(|top| top.command)
    }

    #[test]
    fn commands_and_flags_of_the_original_are_accepted() {
        for line in [
            "node create --node-name n --node-type t --metadata k=v --host h",
            "node update id1 id2 -a k=v --add l=1 -r m --remove n",
            "node list",
            "node get id",
            "node delete id1 id2",
            "node delete --gremlin G.V()",
            "edge create --parent p --child c --edge-type layer2 --metadata k=v --host h",
            "edge update id -a k=v",
            "edge delete G.E() --gremlin",
            "node-rule create --name n --description d --node-name x --node-type y --action create",
            "noderule create --action update --query G.V() --metadata k=v",
            "edge-rule create --name n --src G.V() --dst G.V() --relationtype layer2 --metadata k=v",
            "edgerule list",
            "edgerule get id",
            "noderule delete a b",
            "topology query --gremlin G.V() --format dot",
            "topology export",
            "topology import --file g.json --endpoint /ws/publisher",
            "capture create --gremlin G.V() --reassamble-tcp --extra-layer VRRP --extra-layer DNS --layer-key-mode L2",
            "capture create --node t --bpf tcp --samplingrate 1 --pollinginterval 10 --port 0 --ttl 1000",
            "capture list",
            "capture get id",
            "capture delete a b",
            "query G --format pcap --delete",
            "shell --script f --history h",
            "status",
        ] {
            assert!(parse(line).is_ok(), "{line}");
        }
        for line in [
            "node get",
            "node delete",
            "edge update",
            "edge create --parent p",
            "edge-rule create --src G.V() --dst G.V()",
            "node-rule create --action destroy",
            "node delete  --gremlin",
            "capture create",
            "capture create --gremlin G.V() --node t",
            "query",
        ] {
            assert!(parse(line).is_err(), "{line}");
        }
    }

    /// What `reference/vectors/metadata.json` says of metadata on one line.
    #[test]
    fn metadata_is_read_as_by_the_original() {
        let read = |text: &str| {
            let line = ["skydive", "node", "create", "--metadata", text];
            let command = Top::try_parse_from(line).map_err(|error| error.to_string())?.command;
            let ClientCommand::Node(NodeCommand::Create(draft)) = command else { panic!("not a node") };
            Ok::<Json, String>(serde_json::to_value(draft.metadata.into_map()).unwrap())
        };
        for (text, expected) in [
            ("", json!({})),
            ("k1=v1", json!({"k1": "v1"})),
            ("k1=v1,k2=v2", json!({"k1": "v1", "k2": "v2"})),
            (" k1=v1 , k2=v2", json!({"k1": "v1", "k2": "v2"})),
            ("a.b=c,a.d=e", json!({"a": {"b": "c", "d": "e"}})),
            ("k1=", json!({"k1": ""})),
            ("n=10", json!({"n": "10"})),
        ] {
            assert_eq!(read(text), Ok(expected), "{text}");
        }
        for text in ["k1", "k1=v=w"] {
            let error = read(text).unwrap_err();
            assert!(error.contains(&format!("attributes must be defined by pair k=v: {text}")), "{error}");
        }
    }

    #[test]
    fn assigned_values_are_json_or_text() {
        let read = |text| parse_assignment(text).unwrap();
        assert_eq!(read("a/b=1"), ("a.b".to_owned(), json!(1)));
        assert_eq!(read("k={\"x\":[true]}"), ("k".to_owned(), json!({"x": [true]})));
        assert_eq!(read("k=v=w"), ("k".to_owned(), json!("v=w")));
        assert_eq!(read("k="), ("k".to_owned(), json!("")));
        assert!(parse_assignment("k").is_err());
    }
}
