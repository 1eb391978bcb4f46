//! `client topology import`: an exported graph, sent as a publisher sends it.
//!
//! What a server cannot use it drops without a word. So elements are looked at before, a `SyncRequest` behind the last
//! of them is answered when all are in the graph, and the graph in the answer shows whether they are.

use std::fs;
use std::io::{self, IsTerminal, Read};
use std::path::Path;
use std::pin::pin;
use std::time::Duration;

use anyhow::{Context as _, anyhow, bail};
use serde_json::value::RawValue;
use skydive_client::{Connection, ConnectionSettings, Ended, Gone, Outgoing, Rest};
use skydive_proto::{
    EdgeJson, Elements, Envelope, GraphMessage, Handshake, NodeJson, Persistence, check_decoded_edge,
    check_decoded_node, graph_type, namespace, reason,
};
use skydive_value::{Id, Timestamp};
use tokio::time::timeout;

use crate::config::Surroundings;
use crate::terminal::harmless;
use crate::wiring::system_clock;

/// The service type of this client, before the host in the origin of what it adds.
const CLIENT: &str = "CLI";
/// Faulty elements that are named.
const NAMED: usize = 10;
/// Messages between two signs of progress.
const STEP: usize = 1000;
/// Back to the beginning of the line, and nothing in it.
const CLEAR: &str = "\r\x1b[K";

/// Sends the graph in `file` and returns when the server has it.
pub(super) async fn run(rest: &Rest, file: &Path, endpoint: &str, patience: Duration) -> anyhow::Result<()> {
    let now = system_clock().now();
    let name = file.display();
    let mut graph = decode(&read(file)?, now).with_context(|| format!("{name}: not an exported graph"))?;
    let left_out = leave_out_faulty(&mut graph);

    let handshake = Handshake {
        host_id: Surroundings::of_process().host_name.into(),
        client_type: CLIENT.into(),
        persistence: Persistence::Persistent,
        ..Handshake::default()
    };
    let settings = ConnectionSettings::default();
    let mut connection = Connection::open(rest.endpoint(), endpoint, &handshake, settings).await?;
    let reply = send(&mut connection, &graph, patience).await;
    if io::stderr().is_terminal() {
        eprint!("{CLEAR}");
    }
    let reply = reply.context("the server did not say that it has the graph; some of it may be missing")?;
    connection.close().await;

    let there = match GraphMessage::decode(&reply, now) {
        Ok(GraphMessage::SyncReply(there)) => there,
        Ok(_) => bail!("the server answered something else than the graph"),
        Err(fault) => bail!("the server does not tell whether it has the graph: {}", reason(&fault)),
    };
    let missing = [
        missing(ids_of_nodes(&graph), ids_of_nodes(&there)),
        missing(ids_of_edges(&graph), ids_of_edges(&there)),
    ];
    let [nodes, edges] = [graph.nodes.len() - missing[0].len(), graph.edges.len() - missing[1].len()];
    eprintln!("{nodes} nodes and {edges} edges of {name} are in the graph");
    let lines = missing[0]
        .iter()
        .map(|id| format!("node {id}"))
        .chain(missing[1].iter().map(|id| format!("edge {id}")));
    tell("did not get into the graph", lines.collect());
    match left_out + missing.iter().map(Vec::len).sum::<usize>() {
        0 => Ok(()),
        count => Err(anyhow!("{count} elements of {name} are not in the graph")),
    }
}

fn read(file: &Path) -> anyhow::Result<Vec<u8>> {
    let name = || file.display().to_string();
    if file != Path::new("-") {
        return fs::read(file).with_context(name);
    }
    let mut bytes = Vec::new();
    io::stdin().lock().read_to_end(&mut bytes).with_context(name)?;
    Ok(bytes)
}

/// The one graph of a list, as queries give it.
fn decode(bytes: &[u8], now: Timestamp) -> anyhow::Result<Elements> {
    let graphs: Vec<&RawValue> = serde_json::from_slice(bytes)?;
    let [graph] = graphs.as_slice() else {
        bail!("a list of exactly one object with nodes and edges is expected, this one has {}", graphs.len());
    };
    let graph = graph.get().as_bytes().to_vec();
    match GraphMessage::decode(&Envelope::json(namespace::GRAPH, graph_type::SYNC, graph.into()), now) {
        Ok(GraphMessage::Sync(graph)) => Ok(graph),
        Ok(_) => bail!("no graph"),
        Err(fault) => bail!("{}", reason(&fault)),
    }
}

/// Takes out what the server would drop, and says why.
fn leave_out_faulty(graph: &mut Elements) -> usize {
    let mut faults = Vec::new();
    graph.nodes.retain(|node| match check_decoded_node(node) {
        Ok(()) => true,
        Err(fault) => {
            faults.push(format!("node {}: {fault}", node.id));
            false
        }
    });
    graph.edges.retain(|edge| match check_decoded_edge(edge) {
        Ok(()) => true,
        Err(fault) => {
            faults.push(format!("edge {}: {fault}", edge.id));
            false
        }
    });
    let count = faults.len();
    tell("cannot be imported", faults);
    count
}

fn tell(what: &str, lines: Vec<String>) {
    for line in lines.iter().take(NAMED) {
        let line = line.lines().map(harmless).collect::<Vec<_>>().join("; ");
        eprintln!("{what}: {line}");
    }
    if lines.len() > NAMED {
        eprintln!("{what}: {} more", lines.len() - NAMED);
    }
}

/// Sends it all; gives the reply to the request behind it.
async fn send(connection: &mut Connection, graph: &Elements, patience: Duration) -> anyhow::Result<Envelope> {
    let outgoing = connection.outgoing();
    let mut sending = pin!(queue(outgoing, graph));
    let mut hearing = pin!(hear(connection));
    tokio::select! {
        heard = &mut hearing => return Ok(heard?),
        sent = &mut sending => sent?,
    }
    let heard = timeout(patience, hearing).await;
    Ok(heard.map_err(|_| anyhow!("nothing heard for {patience:?}; wait longer with --timeout"))??)
}

async fn queue(outgoing: Outgoing, graph: &Elements) -> anyhow::Result<()> {
    let nodes = graph.nodes.iter().map(|node| (graph_type::NODE_ADDED, serde_json::to_vec(&NodeJson(node))));
    let edges = graph.edges.iter().map(|edge| (graph_type::EDGE_ADDED, serde_json::to_vec(&EdgeJson(edge))));
    let (all, is_watched) = (graph.nodes.len() + graph.edges.len(), io::stderr().is_terminal());
    for (at, (kind, json)) in nodes.chain(edges).enumerate() {
        if is_watched && at % STEP == 0 {
            eprint!("{CLEAR}{at} of {all} nodes and edges sent");
        }
        say(&outgoing, kind, json?).await?;
    }
    say(&outgoing, graph_type::SYNC_REQUEST, b"{}".to_vec()).await?;
    Ok(())
}

async fn say(outgoing: &Outgoing, kind: &str, json: Vec<u8>) -> Result<(), Gone> {
    outgoing.send(Envelope::json(namespace::GRAPH, kind, json.into())).await
}

async fn hear(connection: &mut Connection) -> Result<Envelope, Ended> {
    loop {
        let message = connection.next().await?;
        if message.kind == graph_type::SYNC_REPLY {
            return Ok(message);
        }
    }
}

fn ids_of_nodes(graph: &Elements) -> impl Iterator<Item = &Id> {
    graph.nodes.iter().map(|node| &node.id)
}

fn ids_of_edges(graph: &Elements) -> impl Iterator<Item = &Id> {
    graph.edges.iter().map(|edge| &edge.id)
}

fn missing<'g>(wanted: impl Iterator<Item = &'g Id>, there: impl Iterator<Item = &'g Id>) -> Vec<&'g Id> {
    let there: hashbrown::HashSet<&Id> = there.collect();
    wanted.filter(|id| !there.contains(id)).collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_graph_is_a_list_of_one() {
        let decode = |text: &str| decode(text.as_bytes(), Timestamp::EPOCH);
        let graph =
            decode(r#"[{"Nodes":[{"ID":"a","Metadata":{"Name":"a","Type":"t"}}],"Edges":null}]"#).unwrap();
        assert_eq!((graph.nodes.len(), graph.edges.len()), (1, 0));
        for text in ["", "{}", "[]", "[{},{}]", "[1]", r#"[{"Nodes":[{}]}]"#] {
            assert!(decode(text).is_err(), "{text}");
        }
    }

    #[test]
    fn what_the_server_would_drop_is_not_sent() {
        let text = r#"[{"Nodes":[{"ID":"a","Metadata":{"Name":"a","Type":"t"}},{"ID":"b","Metadata":{}}],
            "Edges":[{"ID":"e","Parent":"a","Child":"a","Metadata":{}}]}]"#;
        let mut graph = decode(text.as_bytes(), Timestamp::EPOCH).unwrap();
        assert_eq!(leave_out_faulty(&mut graph), 2);
        assert_eq!((graph.nodes.len(), graph.edges.len()), (1, 0));
        let others = [Id::from("c")];
        assert_eq!(missing(ids_of_nodes(&graph), others.iter()), [&Id::from("a")]);
    }
}
